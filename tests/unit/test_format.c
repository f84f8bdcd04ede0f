/*
 * printf's formatter agrees with the C library's on what both know, and
 * never writes beyond the buffer.
 */
#include <check.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/format.h"
#include "lib/string.h"

/* Both formatters, every buffer size up to the whole text and beyond. */
#define same(...)                                                              \
    do {                                                                       \
        char ours[128], theirs[128];                                           \
        int n = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                 \
        for (size_t size = 0; size <= (size_t)n + 2; size++) {                 \
            memset(ours, 'x', sizeof(ours));                                   \
            snprintf(theirs, size, __VA_ARGS__);                               \
            ck_assert_int_eq(format_string(ours, size, __VA_ARGS__), n);       \
            if (size > 0)                                                      \
                ck_assert_str_eq(ours, theirs);                                \
            ck_assert_int_eq(ours[size], 'x');                                 \
        }                                                                      \
    } while (0)

START_TEST(integers_are_as_in_c)
{
    same("%d %d %d %i", 0, INT_MAX, INT_MIN, -7);
    same("%u %u", 0u, UINT_MAX);
    same("%x %X %o %#x %#X %#o %#x", 0xbeefu, 0xbeefu, 8u, 255u, 255u, 8u, 0u);
    same("%ld %lu %lld %llx", LONG_MIN, ULONG_MAX, LLONG_MIN, ULLONG_MAX);
    same("%hhd %hhu %hd %hu", (signed char)-1, (unsigned char)200,
         (short)-30000, (unsigned short)60000);
    same("%zu %zd %jd %td", (size_t)-1, (ssize_t)-1, (intmax_t)-1,
         (ptrdiff_t)-1);
}
END_TEST

START_TEST(flags_width_and_precision_are_as_in_c)
{
    same("[%5d] [%-5d] [%05d] [%+d] [% d] [%+d]", 42, 42, -42, 42, 42, -42);
    same("[%8.3d] [%-8.3d] [%.0d] [%.5x] [%#8x] [%#08x]", 5, 5, 0, 0xabu, 1u,
         1u);
    same("[%*d] [%*d] [%.*d] [%.*d]", 6, 1, -6, 1, 4, 2, -4, 2);
    same("[%#o] [%#.3o] [%.3o]", 0u, 8u, 8u);
}
END_TEST

START_TEST(text_is_as_in_c)
{
    same("%s|%10s|%-10s|%.2s|%c|%%", "abc", "abc", "abc", "abc", 'q');
    same("%s", "");
    same("no conversion");
    same("[%3c] [%-3c]", 'a', 'b');
}
END_TEST

START_TEST(a_precision_reads_no_further)
{
    char *three = malloc(3); /* not terminated: ASan guards what follows */
    char out[8];

    memcpy(three, "abc", 3);
    ck_assert_int_eq(format_string(out, sizeof(out), "%.3s", three), 3);
    ck_assert_str_eq(out, "abc");
    free(three);
}
END_TEST

START_TEST(pointers_have_sixteen_digits)
{
    char out[32];

    format_string(out, sizeof(out), "%p", (void *)(uintptr_t)0x1234);
    ck_assert_str_eq(out, "0x0000000000001234");
}
END_TEST

/* The compiler's checks are off: such formats come from nowhere but bugs. */
START_TEST(broken_formats_do_no_harm)
{
    int (*volatile f)(char *, size_t, const char *, ...) = format_string;
    char out[16];

    ck_assert_int_eq(f(out, sizeof(out), "abc%"), 3);
    ck_assert_str_eq(out, "abc");
    ck_assert_int_eq(f(out, sizeof(out), "%-5.3l"), 0);
    ck_assert_int_eq(f(out, sizeof(out), "%y"), 1);
    ck_assert_int_eq(f(out, sizeof(out), "%s", NULL), 6);
    ck_assert_str_eq(out, "(null)");
}
END_TEST

START_TEST(random_integers_agree)
{
    char ours[64], theirs[64];

    srand(1);
    for (unsigned int i = 0; i < 20000; i++) {
        long v = (long)((uint64_t)rand() << 33 ^ (uint64_t)rand() << 11) >>
                 (rand() % 64);
        int width = rand() % 25 - 12, precision = rand() % 25 - 5;

        snprintf(theirs, sizeof(theirs), "%*.*ld %#lx", width, precision, v, v);
        format_string(ours, sizeof(ours), "%*.*ld %#lx", width, precision, v,
                      v);
        ck_assert_str_eq(ours, theirs);
    }
}
END_TEST

START_TEST(string_copy_cuts_and_terminates)
{
    char out[4] = "zzz";

    ck_assert_uint_eq(string_copy(out, "abcdef", sizeof(out)), 6);
    ck_assert_str_eq(out, "abc");
    ck_assert_uint_eq(string_copy(out, "ab", sizeof(out)), 2);
    ck_assert_str_eq(out, "ab");
    ck_assert_uint_eq(string_copy(out, "ab", 0), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, integers_are_as_in_c);
    tcase_add_test(tests, flags_width_and_precision_are_as_in_c);
    tcase_add_test(tests, text_is_as_in_c);
    tcase_add_test(tests, a_precision_reads_no_further);
    tcase_add_test(tests, pointers_have_sixteen_digits);
    tcase_add_test(tests, broken_formats_do_no_harm);
    tcase_add_test(tests, random_integers_agree);
    tcase_add_test(tests, string_copy_cuts_and_terminates);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
