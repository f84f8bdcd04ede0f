/*
 * A byte stream between two threads that really sleep, in chunks of every
 * size: each byte arrives once and in order.
 */
#include <check.h>
#include <pthread.h>

#include "lib/errno.h"
#include "rings/stream.h"
#include "rings/vchan.h"
#include "tests/unit/bell.h"

#define SIZE  1024u
#define BYTES (24u << 20)

static uint32_t prod, cons;
static uint8_t data[SIZE];
static struct bell to_reader, to_writer;
static const char *wrong;

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 2654435761u >> 24);
}

static uint32_t chunk_at(uint32_t position)
{
    return 1 + byte_at(position ^ 0x5555) * 5u;
}

static const char *run_writer(void)
{
    struct stream out;
    uint8_t chunk[2048];

    stream_attach_producer(&out, data, SIZE, &prod, &cons);
    for (uint32_t done = 0; done < BYTES;) {
        uint32_t n = chunk_at(done);
        int written;

        if (n > BYTES - done)
            n = BYTES - done;
        for (uint32_t i = 0; i < n; i++)
            chunk[i] = byte_at(done + i);
        written = stream_write(&out, chunk, n);
        if (written < 0)
            return "the writer saw a fault";
        done += (uint32_t)written;
        if (written > 0)
            bell_ring(&to_reader);
        else if (!bell_wait(&to_writer))
            return "the writer slept for ever";
    }
    return NULL;
}

static const char *run_reader(void)
{
    struct stream in;
    uint8_t chunk[2048];

    stream_attach_consumer(&in, data, SIZE, &prod, &cons);
    for (uint32_t done = 0; done < BYTES;) {
        int n = stream_read(&in, chunk, chunk_at(done + 7));

        if (n < 0)
            return "the reader saw a fault";
        for (uint32_t i = 0; i < (uint32_t)n; i++)
            if (chunk[i] != byte_at(done + i))
                return "a byte was lost or damaged";
        done += (uint32_t)n;
        if (n > 0)
            bell_ring(&to_writer);
        else if (!bell_wait(&to_reader))
            return "the reader slept for ever";
    }
    return NULL;
}

/* ---- The same over a vchan, whose bell is rung only on demand. ---- */

static _Alignas(4096) uint8_t page[4096];
static struct vchan server, client;

static const char *run_client(void)
{
    uint8_t chunk[2048];

    for (uint32_t done = 0; done < BYTES;) {
        uint32_t n = chunk_at(done);
        bool bell;
        int written;

        if (n > BYTES - done)
            n = BYTES - done;
        for (uint32_t i = 0; i < n; i++)
            chunk[i] = byte_at(done + i);
        written = vchan_write(&client, chunk, n, &bell);
        if (written < 0)
            return "the client saw a fault";
        if (bell)
            bell_ring(&to_reader);
        done += (uint32_t)written;
        if (written == 0 && !vchan_arm_write(&client) && !bell_wait(&to_writer))
            return "the client slept for ever";
    }
    return NULL;
}

static const char *run_server(void)
{
    uint8_t chunk[2048];

    for (uint32_t done = 0; done < BYTES;) {
        bool bell;
        int n = vchan_read(&server, chunk, chunk_at(done + 7), &bell);

        if (n < 0)
            return "the server saw a fault";
        if (bell)
            bell_ring(&to_writer);
        for (uint32_t i = 0; i < (uint32_t)n; i++)
            if (chunk[i] != byte_at(done + i))
                return "a byte was lost or damaged";
        done += (uint32_t)n;
        if (n == 0 && !vchan_arm_read(&server) && !bell_wait(&to_reader))
            return "the server slept for ever";
    }
    return NULL;
}

static void note(const char *why)
{
    if (why)
        __atomic_store_n(&wrong, why, __ATOMIC_RELAXED);
}

static void *writer_main(void *unused)
{
    note(run_writer());
    return unused;
}

static void *reader_main(void *unused)
{
    note(run_reader());
    return unused;
}

static void *client_main(void *unused)
{
    note(run_client());
    return unused;
}

static void *server_main(void *unused)
{
    note(run_server());
    return unused;
}

START_TEST(no_wakeup_is_lost_over_a_vchan)
{
    struct vchan_area area = { .page = page,
                               .left_order = 10,
                               .right_order = 11 };
    pthread_t w, r;

    ck_assert_int_eq(vchan_create(&server, &area), 0);
    ck_assert_int_eq(vchan_attach(&client, &area), 0);
    pthread_create(&w, NULL, client_main, NULL);
    pthread_create(&r, NULL, server_main, NULL);
    pthread_join(w, NULL);
    pthread_join(r, NULL);
    if (wrong)
        ck_abort_msg("%s", wrong);
}
END_TEST

START_TEST(every_byte_arrives_once_and_in_order)
{
    pthread_t w, r;

    pthread_create(&w, NULL, writer_main, NULL);
    pthread_create(&r, NULL, reader_main, NULL);
    pthread_join(w, NULL);
    pthread_join(r, NULL);
    if (wrong)
        ck_abort_msg("%s", wrong);
    ck_assert_uint_eq(prod, BYTES);
    ck_assert_uint_eq(cons, BYTES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_byte_arrives_once_and_in_order);
    tcase_add_test(tests, no_wakeup_is_lost_over_a_vchan);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
