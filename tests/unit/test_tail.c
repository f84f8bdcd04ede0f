/* A reader gets the bytes of a stream in order, each once, in pieces of any
 * size; one that comes too late goes on with the oldest that is kept. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tail.h"

static char kept[8], got[32];
static uint64_t end, position;

static void put(const char *text)
{
    for (; *text; text++)
        kept[end++ % sizeof(kept)] = *text;
}

static const char *read(size_t room)
{
    size_t n = tail_read(kept, sizeof(kept), end, &position, got, room);

    ck_assert_uint_le(n, room);
    got[n] = '\0';
    return got;
}

static void start(void)
{
    end = position = 0;
}

START_TEST(all_of_it_in_pieces)
{
    put("abcde");
    ck_assert_str_eq(read(2), "ab");
    ck_assert_str_eq(read(10), "cde");
    ck_assert_str_eq(read(10), "");
    put("fghijkl");
    ck_assert_str_eq(read(10), "fghijkl");
    ck_assert_uint_eq(position, 12);
}
END_TEST

START_TEST(what_was_overwritten_is_skipped)
{
    put("abcdefgh");
    ck_assert_str_eq(read(0), "");
    put("ij");
    ck_assert_str_eq(read(10), "cdefghij");
    put("0123456789");
    ck_assert_str_eq(read(3), "234");
    ck_assert_uint_eq(position, 15);
}
END_TEST

START_TEST(a_position_that_never_was_is_the_end)
{
    put("abc");
    position = ~0ULL;
    ck_assert_str_eq(read(10), "");
    ck_assert_uint_eq(position, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail");
    TCase *tc = tcase_create("core");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tc, start, NULL);
    tcase_add_test(tc, all_of_it_in_pieces);
    tcase_add_test(tc, what_was_overwritten_is_skipped);
    tcase_add_test(tc, a_position_that_never_was_is_the_end);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
