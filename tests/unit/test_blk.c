/*
 * Block requests on the host: what a frontend may ask of a disk.
 *
 * The property behind all of it: a request that is to be done moves only
 * bytes of the disk and only bytes of the granted pages.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "guests/drivers/blk.h"

#define SECTORS 1000u

static struct blkif_request read_of(uint64_t sector, unsigned int nr_segments)
{
    struct blkif_request r;

    memset(&r, 0, sizeof(r));
    r.operation = BLKIF_OP_READ;
    r.sector_number = sector;
    r.nr_segments = (uint8_t)nr_segments;
    for (unsigned int i = 0; i < BLK_SEGMENTS; i++)
        r.seg[i].last_sect = 7;
    return r;
}

static int check(const struct blkif_request *r, bool readonly)
{
    const char *reason = NULL;
    int result = blk_check(r, SECTORS, readonly, &reason);

    if (result != BLKIF_RSP_OKAY)
        ck_assert_ptr_nonnull(reason);
    return result;
}

START_TEST(requests_inside_the_disk_are_done)
{
    struct blkif_request r = read_of(0, 1);

    ck_assert_int_eq(check(&r, false), BLKIF_RSP_OKAY);
    ck_assert_uint_eq(blk_request_sectors(&r), 8);
    r = read_of(SECTORS - 88, 11);
    ck_assert_int_eq(check(&r, true), BLKIF_RSP_OKAY);
    ck_assert_uint_eq(blk_request_sectors(&r), BLK_REQUEST_SECTORS);
    r.operation = BLKIF_OP_WRITE;
    ck_assert_int_eq(check(&r, false), BLKIF_RSP_OKAY);
    r = read_of(SECTORS - 1, 1);
    r.seg[0].last_sect = 0;
    ck_assert_int_eq(check(&r, false), BLKIF_RSP_OKAY);
}
END_TEST

/* XSA-270's class: the sum of place and length must not wrap. */
START_TEST(R14_ranges_around_every_edge_are_refused_or_inside)
{
    static const uint64_t edges[] = {
        0, SECTORS, 1ull << 31, 1ull << 32, 1ull << 55, 1ull << 63, 0ull,
    };

    for (size_t e = 0; e < sizeof(edges) / sizeof(edges[0]); e++)
        for (uint64_t d = 0; d < 256; d++)
            for (unsigned int n = 0; n <= 11; n++) {
                uint64_t sector = edges[e] + d - 128;
                struct blkif_request r = read_of(sector, n);
                bool inside =
                    n > 0 && sector < SECTORS && sector + n * 8 <= SECTORS;

                if (check(&r, false) !=
                    (inside ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR))
                    ck_abort_msg("sector %llx, %u segments",
                                 (unsigned long long)sector, n);
            }
}
END_TEST

START_TEST(R13_impossible_segments_are_garbage)
{
    for (unsigned int n = 12; n < 256; n++) {
        struct blkif_request r = read_of(0, n);

        ck_assert_int_eq(check(&r, false), BLK_GARBAGE);
    }
    for (unsigned int first = 0; first < 256; first++)
        for (unsigned int last = 0; last < 256; last++)
            for (unsigned int at = 0; at < 11; at += 5) {
                struct blkif_request r = read_of(0, 11);
                bool good = first <= last && last < 8;

                r.seg[at].first_sect = (uint8_t)first;
                r.seg[at].last_sect = (uint8_t)last;
                if (check(&r, false) != (good ? BLKIF_RSP_OKAY : BLK_GARBAGE))
                    ck_abort_msg("sectors %u to %u", first, last);
            }
}
END_TEST

/* Segments behind nr_segments are nobody's business. */
START_TEST(unused_segments_are_not_looked_at)
{
    struct blkif_request r = read_of(0, 2);

    r.seg[2].first_sect = 200;
    r.seg[2].last_sect = 100;
    ck_assert_int_eq(check(&r, false), BLKIF_RSP_OKAY);
    ck_assert_uint_eq(blk_request_sectors(&r), 16);
}
END_TEST

START_TEST(writes_to_a_readonly_disk_are_refused)
{
    struct blkif_request r = read_of(0, 1);

    r.operation = BLKIF_OP_WRITE;
    ck_assert_int_eq(check(&r, true), BLKIF_RSP_ERROR);
}
END_TEST

START_TEST(a_flush_carries_nothing)
{
    struct blkif_request r = read_of(UINT64_MAX, 0);

    r.operation = BLKIF_OP_FLUSH_DISKCACHE;
    ck_assert_int_eq(check(&r, false), BLKIF_RSP_OKAY);
    ck_assert_int_eq(check(&r, true), BLKIF_RSP_OKAY);
    r.nr_segments = 1;
    ck_assert_int_eq(check(&r, false), BLKIF_RSP_ERROR);
}
END_TEST

START_TEST(other_operations_are_not_offered)
{
    for (unsigned int op = 0; op < 256; op++) {
        struct blkif_request r = read_of(0, 1);

        if (op == BLKIF_OP_READ || op == BLKIF_OP_WRITE ||
            op == BLKIF_OP_FLUSH_DISKCACHE)
            continue;
        r.operation = (uint8_t)op;
        ck_assert_int_eq(check(&r, false), BLKIF_RSP_EOPNOTSUPP);
    }
}
END_TEST

/* The property itself, on random bytes with a bias to sense. */
START_TEST(R13_what_is_done_stays_inside)
{
    for (unsigned int i = 0; i < 1000000; i++) {
        struct blkif_request r;
        uint8_t *bytes = (uint8_t *)&r;
        const char *reason;

        for (size_t b = 0; b < sizeof(r); b++)
            bytes[b] = (uint8_t)(rand() >> 8 & (rand() % 3 ? 7 : 255));
        r.sector_number = (uint64_t)rand() % (2 * SECTORS);
        if (i % 7 == 0)
            r.sector_number -= SECTORS;
        if (blk_check(&r, SECTORS, false, &reason) != BLKIF_RSP_OKAY ||
            r.operation == BLKIF_OP_FLUSH_DISKCACHE)
            continue;
        if (r.sector_number >= SECTORS || r.nr_segments > 11 ||
            r.sector_number + blk_request_sectors(&r) > SECTORS)
            ck_abort_msg("a request outside the disk would be done");
        for (unsigned int s = 0; s < r.nr_segments; s++)
            if (r.seg[s].first_sect > r.seg[s].last_sect ||
                r.seg[s].last_sect > 7)
                ck_abort_msg("a segment outside its page would be done");
    }
}
END_TEST

START_TEST(device_names_have_xens_numbers)
{
    ck_assert_uint_eq(blk_device_number("xvda"), 51712);
    ck_assert_uint_eq(blk_device_number("xvdb"), 51728);
    ck_assert_uint_eq(blk_device_number("xvda1"), 51713);
    ck_assert_uint_eq(blk_device_number("xvdp9"), 51712 + 15 * 16 + 9);
    ck_assert_uint_eq(blk_device_number(""), 0);
    ck_assert_uint_eq(blk_device_number("xvd"), 0);
    ck_assert_uint_eq(blk_device_number("sda"), 0);
    ck_assert_uint_eq(blk_device_number("xvdq"), 0);
    ck_assert_uint_eq(blk_device_number("xvda0"), 0);
    ck_assert_uint_eq(blk_device_number("xvda12"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blk");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, requests_inside_the_disk_are_done);
    tcase_add_test(tests, R14_ranges_around_every_edge_are_refused_or_inside);
    tcase_add_test(tests, R13_impossible_segments_are_garbage);
    tcase_add_test(tests, unused_segments_are_not_looked_at);
    tcase_add_test(tests, writes_to_a_readonly_disk_are_refused);
    tcase_add_test(tests, a_flush_carries_nothing);
    tcase_add_test(tests, other_operations_are_not_offered);
    tcase_add_test(tests, R13_what_is_done_stays_inside);
    tcase_add_test(tests, device_names_have_xens_numbers);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
