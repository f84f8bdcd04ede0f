/* An address has the name of the function at or before it, also at the first
 * and the last one's, and none where the list begins later or is empty. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/exception.h"
#include "lib/symbols.h"

static const char lines[] = "0000000040001000 T guest_start\n"
                            "0000000040001abc t serve\n"
                            "ffff828000200010 T last\n";

static const char *name(uint64_t address)
{
    static char buf[64];

    symbol_format(buf, sizeof(buf), lines, lines + strlen(lines), address);
    return buf;
}

START_TEST(the_name_is_of_the_function_at_or_before)
{
    ck_assert_str_eq(name(0x40000fff), "");
    ck_assert_str_eq(name(0x40001000), "guest_start+0");
    ck_assert_str_eq(name(0x40001abb), "guest_start+0xabb");
    ck_assert_str_eq(name(0x40001abc), "serve+0");
    ck_assert_str_eq(name(0xffff82800020000fULL), "serve+0xffff827fc01fe553");
    ck_assert_str_eq(name(0xffff828000200011ULL), "last+0x1");
}
END_TEST

START_TEST(without_a_list_there_is_no_name)
{
    char buf[64] = "x";

    symbol_format(buf, sizeof(buf), lines, lines, 0x40001000);
    ck_assert_str_eq(buf, "");
}
END_TEST

START_TEST(a_name_that_is_too_long_is_cut)
{
    char buf[8];

    symbol_format(buf, sizeof(buf), lines, lines + strlen(lines), 0x40001000);
    ck_assert_str_eq(buf, "guest_s");
}
END_TEST

START_TEST(every_vector_has_a_name)
{
    ck_assert_str_eq(exception_name(0), "divide error");
    ck_assert_str_eq(exception_name(14), "page fault");
    ck_assert_str_eq(exception_name(22), "reserved exception");
    ck_assert_str_eq(exception_name(30), "security exception");
    ck_assert_str_eq(exception_name(31), "reserved exception");
    ck_assert_str_eq(exception_name(32), "interrupt");
    ck_assert_str_eq(exception_name(~0u), "interrupt");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("symbols");
    TCase *tc = tcase_create("core");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tc, the_name_is_of_the_function_at_or_before);
    tcase_add_test(tc, without_a_list_there_is_no_name);
    tcase_add_test(tc, a_name_that_is_too_long_is_cut);
    tcase_add_test(tc, every_vector_has_a_name);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
