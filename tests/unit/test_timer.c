/*
 * Defends: of many timers that are set, moved and cancelled in any order each
 * that is still set expires once, never before its time, and the earliest
 * first; the interrupt is armed for the earliest.
 *
 * hv/timer.c is included, so that its CPU can be an ordinary variable.
 */
#include <check.h>
#include <stdlib.h>

#include "hv/x86/cpu.h"

static struct cpu only_cpu;
#define this_cpu() (&only_cpu)
#include "hv/timer.c"

#define TIMERS 500u

struct cpu *cpus[MAX_CPUS] = { &only_cpu };
static struct timer timers[TIMERS];
static stime_t wanted[TIMERS]; /* when it should expire; STIME_NEVER: not */
static stime_t clock_ns, armed, last;
static unsigned int fired, wrong; /* counted: an assertion costs a system call */

stime_t now(void)
{
    return clock_ns;
}

void arch_timer_arm(stime_t expires)
{
    armed = expires;
}

static void expired(struct timer *t)
{
    stime_t *want = &wanted[t - timers];

    wrong += *want == STIME_NEVER || *want != t->expires || *want > clock_ns;
    wrong += *want < last || timer_is_set(t);
    last = *want;
    *want = STIME_NEVER;
    fired++;
}

static void start(void)
{
    only_cpu.timers.armed = STIME_NEVER;
    for (unsigned int i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], expired);
        wanted[i] = STIME_NEVER;
    }
}

static void set(unsigned int i, stime_t expires)
{
    timer_set(&timers[i], expires);
    wanted[i] = expires;
}

static void cancel_one(unsigned int i)
{
    timer_cancel(&timers[i]);
    wanted[i] = STIME_NEVER;
}

static stime_t earliest(void)
{
    stime_t first = STIME_NEVER;

    for (unsigned int i = 0; i < TIMERS; i++)
        if (wanted[i] < first)
            first = wanted[i];
    return first;
}

/* The interrupt comes at this time. */
static void run_until(stime_t time)
{
    clock_ns = time;
    last = 0;
    timer_run();
    wrong += earliest() <= time || only_cpu.timers.armed != earliest();
    wrong += earliest() != STIME_NEVER && armed != earliest();
}

static void check_set(void)
{
    for (unsigned int i = 0; i < TIMERS; i++)
        wrong += timer_is_set(&timers[i]) != (wanted[i] != STIME_NEVER);
}

START_TEST(any_order)
{
    srand(7);
    for (unsigned int step = 0; step < 20000; step++) {
        unsigned int i = (unsigned int)rand() % TIMERS;

        if (rand() % 3)
            set(i, clock_ns + (unsigned int)rand() % 1000);
        else
            cancel_one(i);
        if (step % 20 == 0) {
            wrong += only_cpu.timers.armed > earliest();
            check_set();
            run_until(clock_ns + (unsigned int)rand() % 100);
        }
    }
    run_until(clock_ns + 1000);
    ck_assert_uint_gt(fired, TIMERS);
    ck_assert_ptr_null(only_cpu.timers.first);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(ascending_and_descending)
{
    for (unsigned int i = 0; i < TIMERS; i++)
        set(i, 1000 + i);
    run_until(1000 + TIMERS);
    for (unsigned int i = 0; i < TIMERS; i++)
        set(i, clock_ns + 1000 - i);
    for (unsigned int i = 0; i < TIMERS; i += 2)
        cancel_one(i);
    check_set();
    run_until(clock_ns + 1000);
    ck_assert_uint_eq(fired, TIMERS + TIMERS / 2);
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(cancelled_twice_is_cancelled)
{
    set(0, 10);
    cancel_one(0);
    cancel_one(0);
    run_until(20);
    ck_assert_uint_eq(fired, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *tc = tcase_create("core");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tc, start, NULL);
    tcase_add_test(tc, any_order);
    tcase_add_test(tc, ascending_and_descending);
    tcase_add_test(tc, cancelled_twice_is_cancelled);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
