/*
 * Budgets: so much in each period, never more, and nothing saved up.
 */
#include <check.h>
#include <stdlib.h>

#include "hv/budget.h"

static struct budget b;

START_TEST(it_lasts_for_its_length)
{
    budget_init(&b, 20, 100, 1000);
    ck_assert_uint_eq(budget_left(&b, 1000), 20);
    ck_assert(!budget_charge(&b, 19, 1019));
    ck_assert_uint_eq(budget_left(&b, 1019), 1);
    ck_assert(budget_charge(&b, 1, 1020));
    ck_assert(b.exhausted);
    ck_assert_uint_eq(budget_left(&b, 1020), 0);
    ck_assert_uint_eq(b.end, 1100);
}
END_TEST

/* Time at priority 0 costs nothing, and is told only once. */
START_TEST(exhausted_it_stays_until_refilled)
{
    budget_init(&b, 20, 100, 1000);
    ck_assert(budget_charge(&b, 50, 1050));
    ck_assert(!budget_charge(&b, 60, 1110));
    ck_assert_uint_eq(budget_left(&b, 1110), 0);
    budget_refill(&b, 1110);
    ck_assert_uint_eq(b.end, 1200);
    ck_assert_uint_eq(budget_left(&b, 1110), 20);
    /* What it ran before the refill is not charged. */
    ck_assert(!budget_charge(&b, 115, 1115));
    ck_assert_uint_eq(budget_left(&b, 1115), 5);
}
END_TEST

START_TEST(a_timer_may_be_early)
{
    budget_init(&b, 20, 100, 1000);
    ck_assert(budget_charge(&b, 20, 1020));
    budget_refill(&b, 1099);
    ck_assert_uint_eq(b.end, 1200);
    ck_assert_uint_eq(budget_left(&b, 1099), 20);
}
END_TEST

START_TEST(a_new_period_begins_full)
{
    budget_init(&b, 20, 100, 1000);
    ck_assert(!budget_charge(&b, 15, 1095));
    ck_assert_uint_eq(budget_left(&b, 1100), 20);
    ck_assert(!budget_charge(&b, 15, 1105)); /* 5 of these are of this one */
    ck_assert_uint_eq(budget_left(&b, 1105), 15);
    ck_assert_uint_eq(b.end, 1200);
}
END_TEST

START_TEST(nothing_is_saved_up)
{
    budget_init(&b, 20, 100, 1000);
    ck_assert_uint_eq(budget_left(&b, 5432), 20);
    ck_assert(!budget_charge(&b, 4, 5434));
    ck_assert_uint_eq(b.end, 5500);
    ck_assert_uint_eq(budget_left(&b, 5434), 16);
}
END_TEST

START_TEST(a_budget_may_be_all_of_a_period)
{
    budget_init(&b, 100, 100, 1000);
    ck_assert(!budget_charge(&b, 99, 1099));
    ck_assert(!budget_charge(&b, 51, 1150));
    ck_assert_uint_eq(budget_left(&b, 1150), 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("budget");
    TCase *tcase = tcase_create("budget");
    SRunner *runner;
    int failed;

    tcase_add_test(tcase, it_lasts_for_its_length);
    tcase_add_test(tcase, exhausted_it_stays_until_refilled);
    tcase_add_test(tcase, a_timer_may_be_early);
    tcase_add_test(tcase, a_new_period_begins_full);
    tcase_add_test(tcase, nothing_is_saved_up);
    tcase_add_test(tcase, a_budget_may_be_all_of_a_period);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);

    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
