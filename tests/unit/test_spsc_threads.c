/*
 * A one-way queue between two threads that really sleep, each for the other:
 * every message arrives once, in order and whole.
 *
 * A side sleeps only when arm says that it may, and is woken only when the
 * other is told to ring: a lost wake-up is a test that ends in its time-out.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "rings/spsc.h"
#include "tests/unit/bell.h"

#define LARGE (256u + 256u * 64u) /* a queue of 256 slots */

struct message {
    uint64_t id, check[7];
};

struct run {
    uint64_t messages;
    uint32_t max_batch; /* published, or given back, at once: 1 to this */
    size_t bytes;
    uint32_t spin; /* looks at most before arming: 0 to this */
    struct bell to_producer, to_consumer;
    uint32_t slept;
    const char *failed;
};

static _Alignas(4096) uint8_t page[LARGE];
static struct spsc_producer producer;
static struct spsc_consumer consumer;

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

/* Numbers of all sizes, the same on every run. */
static uint32_t below(uint32_t n, uint64_t id)
{
    return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 40) % n;
}

/* Poll a while, so that the other side moves on just when this one arms. */
static void spin(const struct run *run, const uint32_t *index, uint64_t id)
{
    uint32_t since = __atomic_load_n(index, __ATOMIC_RELAXED);

    for (uint32_t n = below(run->spin + 1, id); n > 0; n--)
        if (__atomic_load_n(index, __ATOMIC_RELAXED) != since)
            return;
}

static bool sleep_until_rung(struct run *run, struct bell *bell)
{
    __atomic_fetch_add(&run->slept, 1, __ATOMIC_RELAXED);
    return bell_wait(bell);
}

static const char *produce(struct run *run)
{
    struct message m;
    int error = 0;

    for (uint64_t sent = 0; sent < run->messages;) {
        for (uint32_t n = below(run->max_batch, sent) + 1;
             n > 0 && sent < run->messages; n--) {
            fill(&m, sent);
            error = spsc_put(&producer, &m, sizeof(m));
            if (error)
                break;
            sent++;
        }
        if (!error && sent < run->messages && below(4, sent) == 0) {
            spsc_publish_quiet(&producer);
            continue;
        }
        if (spsc_publish(&producer))
            bell_ring(&run->to_consumer);
        if (error == -EPROTO)
            return "the producer saw a fault";
        if (!error)
            continue;
        spin(run, &producer.shared->cons, sent);
        if (!spsc_arm_put(&producer) &&
            !sleep_until_rung(run, &run->to_producer))
            return "the producer slept for ever";
    }
    return NULL;
}

static const char *consume(struct run *run)
{
    struct message m;
    int error = 0;

    for (uint64_t taken = 0; taken < run->messages;) {
        for (uint32_t n = below(run->max_batch, taken + 1) + 1; n > 0; n--) {
            error = spsc_take(&consumer, &m, sizeof(m));
            if (error)
                break;
            if (!intact(&m, taken++))
                return "a message was lost or damaged";
        }
        if (!error && below(4, taken) == 0) {
            spsc_release_quiet(&consumer);
            continue;
        }
        if (spsc_release(&consumer))
            bell_ring(&run->to_producer);
        if (error == -EPROTO)
            return "the consumer saw a fault";
        if (!error || taken == run->messages)
            continue;
        spin(run, &consumer.shared->prod, taken);
        if (!spsc_arm_take(&consumer) &&
            !sleep_until_rung(run, &run->to_consumer))
            return "the consumer slept for ever";
    }
    return NULL;
}

static void note(struct run *run, const char *why)
{
    if (why)
        __atomic_store_n(&run->failed, why, __ATOMIC_RELAXED);
}

static void *producer_main(void *run)
{
    note(run, produce(run));
    return NULL;
}

static void *consumer_main(void *run)
{
    note(run, consume(run));
    return NULL;
}

static void exchange(struct run *run)
{
    pthread_t p, c;

    memset(page, 0, sizeof(page));
    ck_assert_int_eq(spsc_attach_producer(&producer, page, run->bytes, 64), 0);
    ck_assert_int_eq(spsc_attach_consumer(&consumer, page, run->bytes, 64), 0);
    pthread_create(&c, NULL, consumer_main, run);
    pthread_create(&p, NULL, producer_main, run);
    pthread_join(p, NULL);
    pthread_join(c, NULL);
    if (run->failed)
        ck_abort_msg("%s", run->failed);
    ck_assert_uint_eq(consumer.cons, (uint32_t)run->messages);
    ck_assert_uint_gt(run->slept, 0);
}

static uint64_t many(void)
{
    const char *wanted = getenv("MESSAGES");

    return wanted ? strtoull(wanted, NULL, 0) : 10000000;
}

START_TEST(many_messages_in_large_batches)
{
    struct run run = { .messages = many(), .max_batch = 200, .bytes = LARGE };

    exchange(&run);
    printf("%lu messages one way, %u sleeps\n", run.messages, run.slept);
}
END_TEST

/* Depth one: both sides sleep for every message. */
START_TEST(no_wakeup_is_lost_with_one_slot)
{
    struct run run = {
        .messages = 300000, .max_batch = 1, .bytes = 256 + 64, .spin = 3000
    };

    exchange(&run);
}
END_TEST

START_TEST(no_wakeup_is_lost_with_two_slots)
{
    struct run run = { .messages = 200000, .max_batch = 2, .bytes = 256 + 128 };

    exchange(&run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spsc_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, many_messages_in_large_batches);
    tcase_add_test(tests, no_wakeup_is_lost_with_one_slot);
    tcase_add_test(tests, no_wakeup_is_lost_with_two_slots);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
