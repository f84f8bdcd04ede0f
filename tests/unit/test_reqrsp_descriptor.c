/*
 * What two ends of a ring say of themselves: every line that is written is
 * read back the same, nothing else is read, and each difference has a name.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "lib/string.h"
#include "rings/descriptor.h"

static const struct ring_descriptor blkif = {
    .protocol = "blkif",
    .version = 1,
    .features = 3,
    .needs = 1,
    .request_size = 112,
    .response_size = 16,
    .slots = 32,
};

START_TEST(a_line_is_read_as_it_was_written)
{
    static const uint32_t numbers[] = { 0, 1, 9, 10, 0x7fffffff, UINT32_MAX };
    char line[RING_DESCRIPTOR_SIZE];
    struct ring_descriptor d;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct ring_descriptor original = {
            .protocol = "fifteen-letters",
            .version = numbers[i],
            .features = numbers[i],
            .needs = numbers[(i + 1) % 6],
            .request_size = numbers[(i + 2) % 6],
            .response_size = numbers[(i + 3) % 6],
            .slots = numbers[(i + 4) % 6],
        };

        ck_assert_int_eq(ring_descriptor_format(line, &original), 0);
        ck_assert_int_eq(ring_descriptor_parse(&d, line), 0);
        ck_assert_mem_eq(&d, &original, sizeof(d));
    }
    ck_assert_int_eq(ring_descriptor_format(line, &blkif), 0);
    ck_assert_str_eq(line, "blkif version=1 features=0x3 needs=0x1 "
                           "request=112 response=16 slots=32");
}
END_TEST

START_TEST(names_that_are_no_word_are_refused)
{
    static const char *const bad[] = { "", "two words", "a=b", "a/b", "\n" };
    char line[RING_DESCRIPTOR_SIZE];
    struct ring_descriptor d = blkif;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        string_copy(d.protocol, bad[i], sizeof(d.protocol));
        ck_assert_int_eq(ring_descriptor_format(line, &d), -EINVAL);
    }
    memset(d.protocol, 'a', sizeof(d.protocol)); /* no end */
    ck_assert_int_eq(ring_descriptor_format(line, &d), -EINVAL);
}
END_TEST

/* One byte of a good line changed, cut off or added, in every way: it is
 * refused, or a good line itself. */
START_TEST(nothing_but_a_line_is_read)
{
    char line[RING_DESCRIPTOR_SIZE], again[RING_DESCRIPTOR_SIZE];
    struct ring_descriptor d;
    size_t n;

    ring_descriptor_format(line, &blkif);
    n = strlen(line);
    for (size_t i = 0; i <= n; i++)
        for (unsigned int byte = 0; byte < 256; byte++) {
            char *bad = malloc(n + 2); /* its end is watched by ASan */

            memcpy(bad, line, n + 1);
            bad[n + 1] = 0;
            bad[i] = (char)byte;
            if (ring_descriptor_parse(&d, bad) == 0) {
                ck_assert_int_eq(ring_descriptor_format(again, &d), 0);
                ck_assert_uint_le(strlen(again), n + 1);
            } else {
                ck_assert(byte != (unsigned char)line[i]);
            }
            free(bad);
        }
    ck_assert_int_eq(
        ring_descriptor_parse(&d, "blkif version=4294967296 features=0x3 "
                                  "needs=0x1 request=1 response=1 slots=1"),
        -EPROTO);
}
END_TEST

START_TEST(shared_memory_carries_a_line)
{
    char *place = calloc(1, RING_DESCRIPTOR_SIZE); /* its ends are watched */
    struct ring_descriptor d = blkif;

    ck_assert_int_eq(ring_descriptor_read(&d, place), -EAGAIN);
    ck_assert_int_eq(ring_descriptor_write(place, &blkif), 0);
    memset(&d, 0, sizeof(d));
    ck_assert_int_eq(ring_descriptor_read(&d, place), 0);
    ck_assert_mem_eq(&d, &blkif, sizeof(d));
    memset(place, 'a', RING_DESCRIPTOR_SIZE); /* no end */
    ck_assert_int_eq(ring_descriptor_read(&d, place), -EPROTO);

    memset(place, 0, RING_DESCRIPTOR_SIZE);
    d = blkif;
    d.protocol[0] = ' ';
    ck_assert_int_eq(ring_descriptor_write(place, &d), -EINVAL);
    ck_assert_int_eq(ring_descriptor_read(&d, place), -EAGAIN);
    free(place);
}
END_TEST

static struct ring_descriptor other;

static void must_differ(const char *how)
{
    const char *why = ring_descriptor_differs(&blkif, &other);

    ck_assert_ptr_nonnull(why);
    ck_assert_str_eq(why, how);
    other = blkif;
}

START_TEST(each_difference_has_a_name)
{
    other = blkif;
    ck_assert_ptr_null(ring_descriptor_differs(&blkif, &other));
    other.protocol[0] = 'c';
    must_differ("speaks another protocol");
    other.version++;
    must_differ("speaks another version of the protocol");
    other.request_size++;
    must_differ("has messages of another size");
    other.response_size--;
    must_differ("has messages of another size");
    other.slots *= 2;
    must_differ("has another number of slots");
    other.features = 2;
    must_differ("lacks a feature that is needed here");
    other.needs = 4;
    must_differ("needs a feature that is missing here");
    other.slots = 0;
    other.features = 5;
    ck_assert_ptr_null(ring_descriptor_differs(&blkif, &other));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reqrsp_descriptor");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, a_line_is_read_as_it_was_written);
    tcase_add_test(tests, names_that_are_no_word_are_refused);
    tcase_add_test(tests, nothing_but_a_line_is_read);
    tcase_add_test(tests, shared_memory_carries_a_line);
    tcase_add_test(tests, each_difference_has_a_name);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
