/*
 * Byte streams on the host: the console's and the store's layouts, wrap,
 * full, and every impossible distance.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#include "lib/errno.h"
#include "rings/stream.h"

#define SIZE 16u

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

static struct {
    uint32_t prod, cons;
    uint8_t data[SIZE];
    uint8_t canary[SIZE];
} ring;
static struct stream writer, reader;

static void connect_at(uint32_t index)
{
    memset(&ring, 0xa5, sizeof(ring));
    ring.prod = ring.cons = index;
    stream_attach_producer(&writer, ring.data, SIZE, &ring.prod, &ring.cons);
    stream_attach_consumer(&reader, ring.data, SIZE, &ring.prod, &ring.cons);
}

START_TEST(bytes_arrive_in_order_at_every_phase)
{
    uint8_t in[3 * SIZE], out[3 * SIZE];

    for (unsigned int i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i + 1);
    for (uint32_t phase = 0; phase < 2 * SIZE; phase++)
        for (uint32_t n = 0; n <= sizeof(in); n++) {
            int expected = n < SIZE ? (int)n : (int)SIZE;

            connect_at(UINT32_MAX - SIZE + phase);
            must(stream_writable(&writer) == (int)SIZE);
            must(stream_write(&writer, in, n) == expected);
            must(stream_readable(&reader) == expected);
            must(stream_read(&reader, out, sizeof(out)) == expected);
            must(memcmp(in, out, (size_t)expected) == 0);
            must(stream_readable(&reader) == 0);
            must(ring.canary[0] == 0xa5 && ring.canary[SIZE - 1] == 0xa5);
        }
}
END_TEST

/* XSA-86's fix broke the full ring. */
START_TEST(R2_a_full_stream_is_read_not_refused)
{
    uint8_t bytes[SIZE] = "0123456789abcdef";
    uint8_t out[SIZE];

    connect_at(7);
    ck_assert_int_eq(stream_write(&writer, bytes, SIZE), SIZE);
    ck_assert_int_eq(stream_write(&writer, bytes, SIZE), 0);
    ck_assert_int_eq(stream_writable(&writer), 0);
    ck_assert_int_eq(stream_read(&reader, out, SIZE), SIZE);
    ck_assert_mem_eq(out, bytes, SIZE);
}
END_TEST

static void check_distance(uint32_t own, uint32_t distance)
{
    uint8_t bytes[SIZE];
    bool good = distance <= SIZE;

    connect_at(own);
    ring.prod = own + distance;
    must(stream_readable(&reader) == (good ? (int)distance : -EPROTO));
    must(stream_read(&reader, bytes, SIZE) == (good ? (int)distance : -EPROTO));

    connect_at(own);
    ring.cons = own - distance;
    must(stream_writable(&writer) == (good ? (int)(SIZE - distance) : -EPROTO));
    must(stream_write(&writer, bytes, SIZE) ==
         (good ? (int)(SIZE - distance) : -EPROTO));
}

START_TEST(R2_every_impossible_distance_is_a_fault)
{
    for (uint32_t own = 0; own < 256; own++)
        for (uint32_t distance = 0; distance < 65536; distance++) {
            check_distance(own - 128, distance);
            check_distance(own - 128, 0u - distance);
        }
}
END_TEST

START_TEST(R2_random_indices_never_give_more_than_the_buffer)
{
    for (unsigned int i = 0; i < 10000000; i++)
        check_distance((uint32_t)rand() * 3u, (uint32_t)rand() * 5u);
}
END_TEST

/* A peer that mends its index is no better for it. */
START_TEST(an_impossible_index_is_a_sticky_fault_with_a_name)
{
    uint8_t bytes[SIZE];

    connect_at(9);
    ring.prod += SIZE + 1;
    ck_assert_int_eq(stream_read(&reader, bytes, 1), -EPROTO);
    ring.prod -= SIZE;
    ck_assert_int_eq(stream_read(&reader, bytes, 1), -EPROTO);
    ck_assert_int_eq(stream_readable(&reader), -EPROTO);
    ck_assert_int_eq(reader.fault, RING_FORGED_PROD);

    connect_at(9);
    ring.cons++;
    ck_assert_int_eq(stream_write(&writer, bytes, 1), -EPROTO);
    ring.cons--;
    ck_assert_int_eq(stream_write(&writer, bytes, 1), -EPROTO);
    ck_assert_int_eq(stream_writable(&writer), -EPROTO);
    ck_assert_int_eq(writer.fault, RING_FORGED_CONS);
    ck_assert_uint_eq(ring.prod, 9);
}
END_TEST

static void must_refuse(uint8_t *data, uint32_t size, uint32_t *prod,
                        uint32_t *cons)
{
    uint8_t byte = 0;
    struct stream s;

    must(stream_attach_producer(&s, data, size, prod, cons) == -EINVAL);
    must(stream_write(&s, &byte, 1) == -EPROTO && stream_writable(&s) < 0);
    must(stream_attach_consumer(&s, data, size, prod, cons) == -EINVAL);
    must(stream_read(&s, &byte, 1) == -EPROTO && stream_readable(&s) < 0);
    must(s.fault == RING_NOT_ATTACHED);
}

START_TEST(what_is_no_stream_is_refused)
{
    static _Alignas(8) uint8_t memory[64];
    uint32_t *word = (uint32_t *)memory;

    for (uint64_t size = 0; size <= 1u << 20; size++)
        if (size == 0 || (size & (size - 1)) != 0)
            must_refuse(memory + 32, (uint32_t)size, word, word + 1);
    must_refuse(memory + 32, 0x80000000u, word, word + 1);
    must_refuse(memory + 32, UINT32_MAX, word, word + 1);
    for (size_t i = 6; i < 10; i++) { /* an index in the buffer */
        must_refuse(memory + 24, 16, word + i, word);
        must_refuse(memory + 24, 16, word, word + i);
    }
    must_refuse(memory + 32, 16, word, word);
    must_refuse(memory + 32, 16, (uint32_t *)(void *)(memory + 1), word + 2);
    must_refuse(memory + 22, 16, word, word + 5); /* half of it */
}
END_TEST

/* The index a side owns is never read back from the page. */
START_TEST(R2_own_index_is_not_read_back)
{
    uint8_t out[SIZE];

    connect_at(0);
    stream_write(&writer, "abc", 3);
    ring.prod = 1000;
    ck_assert_int_eq(stream_write(&writer, "def", 3), 3);
    ck_assert_uint_eq(ring.prod, 6);
    ck_assert_int_eq(stream_read(&reader, out, 3), 3);
    ring.cons = 1000;
    ck_assert_int_eq(stream_read(&reader, out, 3), 3);
    ck_assert_uint_eq(ring.cons, 6);
    ck_assert_mem_eq(out, "def", 3);
}
END_TEST

/* A guest has written its first lines before the console's server attaches. */
START_TEST(attach_finds_what_was_written_before)
{
    static struct xencons_interface console;
    struct stream out;
    char text[16];

    memcpy(console.out + sizeof(console.out) - 2, "he", 2);
    memcpy(console.out, "llo", 3);
    console.out_cons = sizeof(console.out) - 2;
    console.out_prod = console.out_cons + 5;
    stream_attach_consumer(&out, (uint8_t *)console.out, sizeof(console.out),
                           &console.out_prod, &console.out_cons);
    ck_assert_int_eq(stream_read(&out, text, sizeof(text)), 5);
    ck_assert_mem_eq(text, "hello", 5);
    ck_assert_uint_eq(console.out_cons, console.out_prod);
}
END_TEST

START_TEST(the_store_ring_carries_both_directions)
{
    static struct xenstore_domain_interface store;
    struct stream to, from;
    char text[XENSTORE_RING_SIZE];

    stream_attach_producer(&to, (uint8_t *)store.req, XENSTORE_RING_SIZE,
                           &store.req_prod, &store.req_cons);
    stream_attach_consumer(&from, (uint8_t *)store.req, XENSTORE_RING_SIZE,
                           &store.req_prod, &store.req_cons);
    for (unsigned int i = 0; i < 5000; i++) {
        ck_assert_int_eq(stream_write(&to, "question", 9), 9);
        ck_assert_int_eq(stream_read(&from, text, sizeof(text)), 9);
        ck_assert_str_eq(text, "question");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, bytes_arrive_in_order_at_every_phase);
    tcase_add_test(tests, R2_a_full_stream_is_read_not_refused);
    tcase_add_test(tests, R2_every_impossible_distance_is_a_fault);
    tcase_add_test(tests, R2_random_indices_never_give_more_than_the_buffer);
    tcase_add_test(tests, an_impossible_index_is_a_sticky_fault_with_a_name);
    tcase_add_test(tests, what_is_no_stream_is_refused);
    tcase_add_test(tests, R2_own_index_is_not_read_back);
    tcase_add_test(tests, attach_finds_what_was_written_before);
    tcase_add_test(tests, the_store_ring_carries_both_directions);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
