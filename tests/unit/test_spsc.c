/*
 * One-way queues: each message arrives once and in order across the wrap of
 * the indices, a bell is rung for who sleeps, and a peer's index is believed
 * exactly where an honest peer could have put it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "rings/spsc.h"

#define PAGE  4096u
#define SLOT  24u
#define SLOTS 8u
#define BYTES (sizeof(struct spsc_shared) + SLOTS * SLOT)

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

struct message {
    uint64_t id, twice, thrice;
};

static _Alignas(PAGE) uint8_t page[4 * PAGE];
static struct spsc_producer producer;
static struct spsc_consumer consumer;

static struct spsc_shared *shared(void)
{
    return (struct spsc_shared *)page;
}

static void connect_at(uint32_t index)
{
    memset(page, 0, BYTES);
    shared()->prod = shared()->cons = index;
    shared()->prod_event = shared()->cons_event = index;
    must(spsc_attach_producer(&producer, page, BYTES, SLOT) == 0);
    must(spsc_attach_consumer(&consumer, page, BYTES, SLOT) == 0);
}

static int put(uint64_t id)
{
    struct message m = { id, 2 * id, 3 * id };

    return spsc_put(&producer, &m, sizeof(m));
}

static int take(uint64_t id)
{
    struct message m = { 0 };
    int error = spsc_take(&consumer, &m, sizeof(m));

    must(error || (m.id == id && m.twice == 2 * id && m.thrice == 3 * id));
    return error;
}

/* ---- Layout and sizes. ---- */

START_TEST(no_two_fields_share_a_cache_line)
{
    const size_t at[] = { offsetof(struct spsc_shared, prod),
                          offsetof(struct spsc_shared, cons),
                          offsetof(struct spsc_shared, prod_event),
                          offsetof(struct spsc_shared, cons_event),
                          offsetof(struct spsc_shared, slots) };

    for (unsigned int i = 0; i < 5; i++)
        ck_assert_uint_eq(at[i], 64 * i);
}
END_TEST

START_TEST(slots_are_the_power_of_two_that_fits)
{
    ck_assert_uint_eq(spsc_slots(PAGE, 64), 32);
    ck_assert_uint_eq(spsc_slots(256 + 64 * 64, 64), 64);
    ck_assert_uint_eq(spsc_slots(256 + 64 * 64 - 1, 64), 32);
    ck_assert_uint_eq(spsc_slots(256 + 7, 7), 1);
    for (size_t bytes = 0; bytes < 256 + 7; bytes++)
        must(spsc_slots(bytes, 7) == 0);
    ck_assert_uint_eq(spsc_slots(PAGE, 0), 0);
    ck_assert_uint_eq(spsc_slots(SIZE_MAX, 1), 0x40000000);
}
END_TEST

START_TEST(a_queue_that_was_refused_touches_nothing)
{
    uint8_t m[SLOT];

    memset(page, 0xa5, sizeof(page));
    for (size_t at = 0; at < 64; at++) {
        size_t bytes = at == 0 ? sizeof(struct spsc_shared) : PAGE;

        must(spsc_attach_producer(&producer, page + at, bytes, SLOT) ==
             -EINVAL);
        must(spsc_attach_consumer(&consumer, page + at, bytes, SLOT) ==
             -EINVAL);
        must(spsc_put(&producer, m, SLOT) == -EPROTO);
        must(spsc_take(&consumer, m, SLOT) == -EPROTO);
        must(!spsc_publish(&producer) && !spsc_release(&consumer));
        spsc_publish_quiet(&producer);
        spsc_release_quiet(&consumer);
        must(!spsc_arm_put(&producer) && !spsc_arm_take(&consumer));
        must(producer.fault == RING_NOT_ATTACHED);
        must(consumer.fault == RING_NOT_ATTACHED);
    }
    for (size_t i = 0; i < sizeof(page); i++)
        must(page[i] == 0xa5);
}
END_TEST

START_TEST(nothing_is_written_behind_the_queue)
{
    connect_at(0);
    memset(page + BYTES, 0xa5, sizeof(page) - BYTES);
    for (uint64_t id = 0; id < 100; id++) {
        must(put(id) == 0);
        spsc_publish(&producer);
        must(take(id) == 0);
        spsc_release(&consumer);
    }
    for (size_t i = BYTES; i < sizeof(page); i++)
        must(page[i] == 0xa5);
}
END_TEST

START_TEST(a_message_larger_than_a_slot_is_refused)
{
    uint8_t large[SLOT + 1] = { 0 };

    connect_at(0);
    ck_assert_int_eq(spsc_put(&producer, large, SLOT + 1), -EINVAL);
    ck_assert_int_eq(put(1), 0);
    spsc_publish(&producer);
    ck_assert_int_eq(spsc_take(&consumer, large, SLOT + 1), -EINVAL);
    ck_assert_int_eq(spsc_put(&producer, large, SLOT + 1), -EINVAL);
    ck_assert_int_eq(take(1), 0);
}
END_TEST

/* ---- Messages. ---- */

START_TEST(zeroed_memory_is_an_empty_queue)
{
    memset(page, 0, PAGE);
    ck_assert_int_eq(spsc_attach_consumer(&consumer, page, PAGE, SLOT), 0);
    ck_assert_int_eq(take(0), -EAGAIN);
    ck_assert_int_eq(spsc_attach_producer(&producer, page, PAGE, SLOT), 0);
    ck_assert_int_eq(put(7), 0);
    ck_assert(spsc_publish(&producer)); /* nobody can have looked yet */
    ck_assert_int_eq(take(7), 0);
}
END_TEST

/* Filled by every amount and drained by every other, over and over. */
START_TEST(every_message_arrives_once_and_in_order)
{
    uint64_t sent = 0, taken = 0;

    connect_at(UINT32_MAX - 100);
    for (unsigned int round = 0; round < 5000; round++) {
        for (unsigned int n = round % (SLOTS + 2); n > 0; n--) {
            bool full = sent - taken == SLOTS;

            must(put(sent) == (full ? -ENOSPC : 0));
            sent += !full;
        }
        spsc_publish(&producer);
        for (unsigned int n = round * 7 % (SLOTS + 2); n > 0; n--) {
            bool empty = sent == taken;

            must(take(taken) == (empty ? -EAGAIN : 0));
            taken += !empty;
        }
        spsc_release(&consumer);
    }
    ck_assert_uint_gt(taken, 1000);
}
END_TEST

START_TEST(what_is_not_published_is_not_seen)
{
    connect_at(0);
    for (uint64_t id = 0; id < SLOTS; id++)
        ck_assert_int_eq(put(id), 0);
    ck_assert_int_eq(take(0), -EAGAIN);
    spsc_publish(&producer);
    for (uint64_t id = 0; id < SLOTS; id++)
        ck_assert_int_eq(take(id), 0);
    ck_assert_int_eq(put(SLOTS), -ENOSPC); /* taken, not given back */
    spsc_release(&consumer);
    ck_assert_int_eq(put(SLOTS), 0);
}
END_TEST

START_TEST(a_new_self_goes_on_where_the_old_one_stopped)
{
    connect_at(0);
    for (uint64_t id = 0; id < 5; id++)
        put(id);
    spsc_publish(&producer);
    put(99); /* never published: gone with its producer */
    ck_assert_int_eq(spsc_attach_producer(&producer, page, BYTES, SLOT), 0);
    put(5);
    spsc_publish(&producer);
    for (uint64_t id = 0; id < 3; id++)
        take(id);
    spsc_release(&consumer);
    take(3); /* not given back: comes again */
    ck_assert_int_eq(spsc_attach_consumer(&consumer, page, BYTES, SLOT), 0);
    for (uint64_t id = 3; id < 6; id++)
        ck_assert_int_eq(take(id), 0);
    ck_assert_int_eq(take(6), -EAGAIN);
}
END_TEST

/* ---- Bells. ---- */

START_TEST(the_bell_rings_only_for_who_sleeps)
{
    connect_at(UINT32_MAX - 1);
    put(0);
    ck_assert(spsc_publish(&producer)); /* armed at the start */
    put(1);
    ck_assert(!spsc_publish(&producer)); /* nobody armed again */
    ck_assert(!spsc_publish(&producer)); /* nothing new */
    ck_assert(spsc_arm_take(&consumer)); /* there are messages */
    take(0);
    take(1);
    ck_assert(spsc_arm_take(&consumer)); /* they are not given back */
    ck_assert(spsc_release(&consumer));  /* armed at the start */
    ck_assert(!spsc_release(&consumer));
    ck_assert(!spsc_arm_take(&consumer)); /* now it may sleep */
    put(2);
    put(3);
    ck_assert(spsc_publish(&producer));

    for (uint64_t id = 4; id < 2 + SLOTS; id++)
        put(id);
    ck_assert(spsc_arm_put(&producer)); /* not published */
    spsc_publish(&producer);
    ck_assert(!spsc_arm_put(&producer)); /* full: now it may sleep */
    take(2);
    ck_assert(!spsc_arm_put(&producer)); /* taken, not given back */
    ck_assert(spsc_release(&consumer));
    ck_assert(spsc_arm_put(&producer)); /* there is room */
}
END_TEST

/* Seen at once, but a sleeper is woken only by the call that follows. */
START_TEST(what_was_moved_quietly_is_rung_for_later)
{
    connect_at(UINT32_MAX - 1);
    for (uint64_t id = 0; id < SLOTS; id++)
        put(id);
    spsc_publish_quiet(&producer);
    ck_assert(spsc_arm_put(&producer)); /* full, yet nobody was rung */
    ck_assert(spsc_publish(&producer)); /* armed at the start */
    ck_assert(!spsc_publish(&producer));
    ck_assert(!spsc_arm_put(&producer));

    for (uint64_t id = 0; id < SLOTS; id++)
        ck_assert_int_eq(take(id), 0);
    spsc_release_quiet(&consumer);
    ck_assert(spsc_arm_take(&consumer));
    ck_assert_int_eq(put(SLOTS), 0); /* the room is there */
    ck_assert(spsc_release(&consumer));
    ck_assert(!spsc_release(&consumer));
    ck_assert(!spsc_arm_take(&consumer));
    spsc_publish_quiet(&producer);
    put(SLOTS + 1);
    ck_assert(spsc_publish(&producer)); /* it slept before the quiet one */
    ck_assert_int_eq(take(SLOTS), 0);
}
END_TEST

/* ---- Hostile peers. ---- */

static const uint32_t far_away[] = {
    0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xffff0000, 0xffffffff,
};
#define NEAR   (3 * SLOTS)
#define FORGED (2 * NEAR + sizeof(far_away) / sizeof(far_away[0]))

static uint32_t forged(unsigned int i)
{
    return i < 2 * NEAR ? i - NEAR : far_away[i - 2 * NEAR];
}

/* @taken messages of a full queue are taken, @released of them given back. */
static void check_consumer(uint32_t base, uint32_t taken, uint32_t released,
                           uint32_t distance)
{
    uint32_t most = SLOTS - (taken - released);
    int expected = distance == 0 ? -EAGAIN : distance <= most ? 0 : -EPROTO;

    connect_at(base);
    for (uint32_t i = 0; i < taken; i++)
        put(i);
    spsc_publish(&producer);
    for (uint32_t i = 0; i < taken; i++) {
        take(i);
        if (i + 1 == released)
            spsc_release(&consumer);
    }
    shared()->prod = base + taken + distance;
    must(spsc_take(&consumer, &(struct message){ 0 }, SLOT) == expected);
    if (expected != -EPROTO)
        return;
    shared()->prod = base + taken; /* mending it does not help */
    must(take(0) == -EPROTO);
    must(!spsc_release(&consumer) && !spsc_arm_take(&consumer));
    must(consumer.fault == RING_FORGED_PROD);
}

START_TEST(a_producer_out_of_reach_is_a_sticky_fault)
{
    for (uint32_t taken = 0; taken <= SLOTS; taken++)
        for (uint32_t released = 0; released <= taken; released++)
            for (unsigned int i = 0; i < FORGED; i++)
                check_consumer(UINT32_MAX - 4, taken, released, forged(i));
}
END_TEST

/* The producer has found @known slots given back once before, and filled the
 * queue again; of that, it has published @published messages. */
static void check_producer(uint32_t base, uint32_t known, uint32_t published,
                           uint32_t distance)
{
    uint32_t most = SLOTS - known + published;
    int expected = distance == 0 ? -ENOSPC : distance <= most ? 0 : -EPROTO;

    connect_at(base);
    for (uint32_t i = 0; i < SLOTS; i++)
        put(i);
    spsc_publish(&producer);
    shared()->cons = base + known;
    for (uint32_t i = 0; i < known; i++) {
        put(i);
        if (i + 1 == published)
            spsc_publish(&producer);
    }
    shared()->cons = base + known + distance;
    must(put(1) == expected);
    if (expected != -EPROTO)
        return;
    shared()->cons = base + known + 1;
    must(put(1) == -EPROTO);
    must(!spsc_publish(&producer) && !spsc_arm_put(&producer));
    must(producer.fault == RING_FORGED_CONS);
}

START_TEST(a_consumer_out_of_reach_is_a_sticky_fault)
{
    for (uint32_t known = 0; known <= SLOTS; known++)
        for (uint32_t published = 0; published <= known; published++)
            for (unsigned int i = 0; i < FORGED; i++)
                check_producer(UINT32_MAX - 4, known, published, forged(i));
}
END_TEST

START_TEST(own_indices_are_not_read_back)
{
    connect_at(0);
    put(0);
    spsc_publish(&producer);
    shared()->prod = 12345; /* the peer scribbles; the producer goes on */
    put(1);
    spsc_publish(&producer);
    ck_assert_uint_eq(shared()->prod, 2);
    take(0);
    spsc_release(&consumer);
    shared()->cons = 12345;
    take(1);
    spsc_release(&consumer);
    ck_assert_uint_eq(shared()->cons, 2);
    ck_assert_int_eq(take(2), -EAGAIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spsc");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, no_two_fields_share_a_cache_line);
    tcase_add_test(tests, slots_are_the_power_of_two_that_fits);
    tcase_add_test(tests, a_queue_that_was_refused_touches_nothing);
    tcase_add_test(tests, nothing_is_written_behind_the_queue);
    tcase_add_test(tests, a_message_larger_than_a_slot_is_refused);
    tcase_add_test(tests, zeroed_memory_is_an_empty_queue);
    tcase_add_test(tests, every_message_arrives_once_and_in_order);
    tcase_add_test(tests, what_is_not_published_is_not_seen);
    tcase_add_test(tests, a_new_self_goes_on_where_the_old_one_stopped);
    tcase_add_test(tests, the_bell_rings_only_for_who_sleeps);
    tcase_add_test(tests, what_was_moved_quietly_is_rung_for_later);
    tcase_add_test(tests, a_producer_out_of_reach_is_a_sticky_fault);
    tcase_add_test(tests, a_consumer_out_of_reach_is_a_sticky_fault);
    tcase_add_test(tests, own_indices_are_not_read_back);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
