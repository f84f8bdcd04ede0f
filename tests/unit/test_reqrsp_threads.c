/*
 * Request/response rings between two threads that really sleep.
 *
 * Each side sleeps only when arm() says that it may, and is woken only when
 * publish() says that it must: a lost wake-up is a test that ends in its
 * time-out.  The same program runs under the thread sanitizer.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "rings/reqrsp.h"
#include "tests/unit/bell.h"

#define PAGE  4096u
#define LARGE (64u + 1024u * 64u) /* a ring of 1024 slots */

struct message {
    uint64_t id;
    uint64_t check[7];
};

struct run {
    uint64_t messages;
    uint32_t max_batch; /* published at once: 1 to this */
    size_t bytes;       /* of the ring page that are used */
    uint32_t spin;      /* looks at most before arming: 0 to this */
    struct bell to_back, to_front;
    uint64_t taken;     /* by the back */
    const char *failed; /* what either side found wrong */
};

static _Alignas(PAGE) uint8_t page[LARGE];
static struct ring_front front;
static struct ring_back back;

/* Private memory: there is nothing for the sanitizer to see in these two. */
#define UNSEEN __attribute__((no_sanitize("thread")))

UNSEEN static void fill(struct message *m, uint64_t id)
{
    m->id = id;
    for (unsigned int i = 0; i < 7; i++)
        m->check[i] = id * (2 * i + 3);
}

UNSEEN static bool intact(const struct message *m, uint64_t id)
{
    uint64_t differences = m->id ^ id;

    for (unsigned int i = 0; i < 7; i++)
        differences |= m->check[i] ^ id * (2 * i + 3);
    return differences == 0;
}

/* Batches of all sizes, the same on every run. */
static uint32_t batch_size(const struct run *run, uint64_t id)
{
    return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 40) % run->max_batch + 1;
}

static int front_send(struct run *run, uint64_t *sent)
{
    uint32_t batch = batch_size(run, *sent);
    struct message m;

    while (batch-- > 0 && *sent < run->messages) {
        fill(&m, *sent);
        if (ring_front_put(&front, &m, sizeof(m)) != 0)
            break;
        ++*sent;
    }
    if (ring_front_publish(&front))
        bell_ring(&run->to_back);
    return front.fault;
}

static const char *front_receive(uint64_t *received)
{
    struct message m;
    int error;

    while ((error = ring_front_take(&front, &m, sizeof(m))) == 0)
        if (!intact(&m, (*received)++))
            return "the front got a damaged response";
    return error == -EAGAIN ? NULL : "the front saw a fault";
}

/* Poll a while, so that the next message is under way just when the other
 * side arms: a front that always sleeps never meets it there. */
static void spin(const struct run *run, uint64_t id)
{
    uint64_t looks = run->spin ? id * 0x9e3779b97f4a7c15u >> 40 : 0;

    for (looks %= run->spin + 1; looks > 0; looks--)
        if (__atomic_load_n(&front.shared->rsp_prod, __ATOMIC_RELAXED) !=
            front.rsp_cons)
            return;
}

static const char *run_front(struct run *run)
{
    uint64_t sent = 0, received = 0;

    while (received < run->messages) {
        const char *failed;

        if (front_send(run, &sent))
            return "the front saw a fault";
        failed = front_receive(&received);
        if (failed)
            return failed;
        if (ring_front_free(&front) > 0 && sent < run->messages)
            continue;
        spin(run, sent);
        if (!ring_front_arm(&front) && received < run->messages &&
            !bell_wait(&run->to_front))
            return "the front slept for ever";
    }
    return NULL;
}

static const char *back_answer(struct run *run)
{
    uint32_t batch = batch_size(run, run->taken + 1);
    struct message m;
    int error = -EAGAIN;

    while (batch-- > 0 && (error = ring_back_take(&back, &m, sizeof(m))) == 0) {
        if (!intact(&m, run->taken++))
            return "the back got a damaged request";
        if (ring_back_put(&back, &m, sizeof(m)) != 0)
            return "the back found no room";
    }
    if (ring_back_publish(&back))
        bell_ring(&run->to_front);
    return error == -EPROTO ? "the back saw a fault" : NULL;
}

static const char *run_back(struct run *run)
{
    while (run->taken < run->messages) {
        const char *failed = back_answer(run);

        if (failed)
            return failed;
        if (run->taken < run->messages && !ring_back_arm(&back) &&
            !bell_wait(&run->to_back))
            return "the back slept for ever";
    }
    return NULL;
}

static void note(struct run *run, const char *why)
{
    if (why)
        __atomic_store_n(&run->failed, why, __ATOMIC_RELAXED);
}

static void *front_main(void *run)
{
    note(run, run_front(run));
    return NULL;
}

static void *back_main(void *run)
{
    note(run, run_back(run));
    return NULL;
}

static void exchange(struct run *run)
{
    pthread_t f, b;

    ring_front_create(&front, page, run->bytes, sizeof(struct message));
    ring_back_attach(&back, page, run->bytes, sizeof(struct message));
    pthread_create(&b, NULL, back_main, run);
    pthread_create(&f, NULL, front_main, run);
    pthread_join(f, NULL);
    pthread_join(b, NULL);
    if (run->failed)
        ck_abort_msg("%s", run->failed);
    ck_assert_uint_eq(front.rsp_cons, (uint32_t)run->messages);
    ck_assert_uint_gt(front.stats.notified, 0);
}

START_TEST(two_million_messages_arrive_in_order_and_whole)
{
    struct run run = { .messages = 2000000, .max_batch = 48, .bytes = PAGE };

    exchange(&run);
    ck_assert_uint_gt(front.stats.suppressed, 0);
}
END_TEST

/* How many requests: a hundred million with their responses under the thread
 * sanitizer, for which this test is; MESSAGES= another number. */
static uint64_t many(void)
{
    const char *wanted = getenv("MESSAGES");

    if (wanted)
        return strtoull(wanted, NULL, 0);
#ifdef __SANITIZE_THREAD__
    return 100000000;
#else
    return 2000000;
#endif
}

START_TEST(many_messages_in_large_batches)
{
    struct run run = { .messages = many(), .max_batch = 512, .bytes = LARGE };

    exchange(&run);
    printf("%lu requests and their responses, %u bells\n", run.messages,
           front.stats.notified + back.stats.notified);
}
END_TEST

/* Depth one: both sides sleep for every message. */
START_TEST(no_wakeup_is_lost_with_one_slot)
{
    struct run run = {
        .messages = 500000, .max_batch = 1, .bytes = 64 + 64, .spin = 3000
    };

    exchange(&run);
}
END_TEST

START_TEST(no_wakeup_is_lost_with_two_slots)
{
    struct run run = { .messages = 200000, .max_batch = 2, .bytes = 64 + 128 };

    exchange(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reqrsp_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, two_million_messages_arrive_in_order_and_whole);
    tcase_add_test(tests, many_messages_in_large_batches);
    tcase_add_test(tests, no_wakeup_is_lost_with_one_slot);
    tcase_add_test(tests, no_wakeup_is_lost_with_two_slots);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
