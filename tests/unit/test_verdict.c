/*
 * The decision table of `why`: one test a row, each from a snapshot that
 * shows that row and nothing before it, and the line between "busy" and
 * "stuck".
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "guests/control/verdict.h"

#define SECOND 1000000000ull
#define NOW    (100 * SECOND)

static struct channel_state s;
static struct judgement j;

/* A healthy channel: reader's port 5 and disk's port 9, all bells heard. */
static void setup(void)
{
    memset(&s, 0, sizeof(s));
    strcpy(s.name, "reader.xvda");
    strcpy(s.end[0].domain, "reader");
    strcpy(s.end[1].domain, "disk");
    s.now = NOW;
    for (int i = 0; i < 2; i++) {
        struct belfry_channel *c = &s.end[i].port;

        s.end[i].has_port = true;
        c->port = i ? 9 : 5;
        c->state = BELFRY_PORT_INTERDOMAIN;
        c->vcpu_state = BELFRY_VCPU_BLOCKED;
        c->sent = c->delivered = 42;
        c->last_sent = c->last_delivered = NOW - SECOND;
        strcpy(c->vcpu_symbol, "handle_request+0x1c");
    }
}

/* The bell at one end was rung so long ago; bits as after a plain send. */
static struct belfry_channel *ring(int i, uint64_t ago)
{
    struct belfry_channel *c = &s.end[i].port;

    c->pending = c->selector = c->upcall_pending = 1;
    c->pending_since = NOW - ago;
    c->vcpu_state = BELFRY_VCPU_RUNNABLE;
    return c;
}

static void expect(enum finding finding, bool bad, const char *word)
{
    channel_judge(&s, &j);
    ck_assert_str_eq(finding_name(j.finding), finding_name(finding));
    ck_assert_int_eq(j.bad, bad);
    if (!strstr(j.sentence, word))
        ck_abort_msg("'%s' is not in: %s", word, j.sentence);
    ck_assert_str_ne(j.next, "");
}

START_TEST(row_1_a_dead_peer_is_named_with_reason_and_time)
{
    s.end[1].has_port = false;
    s.end[1].gone = true;
    strcpy(s.end[1].why, "crashed: page fault at 0x8 in serve+0x20");
    strcpy(s.end[1].last_line, "sector 17");
    s.end[1].ended = NOW - 3 * SECOND;
    s.end[0].port.state = BELFRY_PORT_UNBOUND; /* also row 2 */
    ring(0, SECOND)->masked = 1;               /* also row 5 */
    expect(FINDING_PEER_DEAD, true,
           "disk is dead: crashed: page fault at "
           "0x8 in serve+0x20, 3.00 s ago");
    ck_assert_uint_ge(j.nr_evidence, 1);
    ck_assert_ptr_nonnull(strstr(j.evidence[0], "sector 17"));
    ck_assert_str_eq(j.next, "belfry create disk");
}
END_TEST

START_TEST(row_1_one_that_ended_well_is_missed_only_with_work_left)
{
    s.end[0].has_port = false;
    s.end[0].gone = s.end[0].well = true;
    strcpy(s.end[0].why, "ended: poweroff");
    s.end[0].ended = NOW - SECOND;
    expect(FINDING_PEER_DEAD, false, "reader is gone: ended: poweroff");
    s.in_flight = 1;
    expect(FINDING_PEER_DEAD, true, "reader is gone");
    s.in_flight = 0;
    ring(1, 10);
    expect(FINDING_PEER_DEAD, true, "reader is gone");
}
END_TEST

START_TEST(row_1_of_two_dead_the_one_to_blame_is_named)
{
    for (int i = 0; i < 2; i++) {
        s.end[i].gone = true;
        s.end[i].ended = NOW - (unsigned int)(1 + i) * SECOND;
        strcpy(s.end[i].why, i ? "destroyed" : "failed");
    }
    expect(FINDING_PEER_DEAD, true, "disk is dead: destroyed, 2.00 s ago");
    ck_assert_ptr_nonnull(strstr(j.evidence[0], "reader: failed, 1.00 s ago"));
    s.end[1].well = true;
    expect(FINDING_PEER_DEAD, true, "reader is dead: failed, 1.00 s ago");
}
END_TEST

START_TEST(row_2_an_unbound_port_waits_for_the_other_side)
{
    s.end[0].port.state = BELFRY_PORT_UNBOUND;
    s.end[1].has_port = false;
    expect(FINDING_HANDSHAKE, true,
           "waiting for disk to bind port 5 of "
           "reader");
    setup();
    s.end[1].has_port = false;
    s.end[1].absent = true;
    expect(FINDING_HANDSHAKE, true, "waiting for disk, which does not run");
    setup();
    strcpy(s.handshake, "waiting for reader to go on from Initialising");
    ring(0, SECOND)->masked = 1;
    expect(FINDING_HANDSHAKE, true, "go on from Initialising");
}
END_TEST

START_TEST(row_3_nothing_rung_and_nothing_in_flight_is_idle)
{
    expect(FINDING_IDLE, false, "nothing is wrong");
    ck_assert_uint_eq(j.nr_evidence, 2);
    s.in_flight_known = true;
    expect(FINDING_IDLE, false, "no request is in flight");
    s.in_flight = 4;
    expect(FINDING_BUSY, false, "4 requests are in flight");
}
END_TEST

START_TEST(row_3_an_empty_ring_needs_no_bell)
{
    ring(1, 2 * SECOND)->masked = true;
    expect(FINDING_MASKED, true, "disk has masked port 9");
    s.ring_empty = true;
    expect(FINDING_IDLE, false, "the ring is empty, both ways");
}
END_TEST

START_TEST(row_5_masked_by_whom_for_how_long_and_where)
{
    struct belfry_channel *c = ring(1, 2 * SECOND);

    c->masked = 1;
    c->selector = 0;      /* also row 6 */
    c->upcall_masked = 1; /* also row 7 */
    expect(FINDING_MASKED, true,
           "disk has masked port 9, which has been rung for 2.00 s; it is at "
           "handle_request+0x1c");
    c->vcpu_symbol[0] = 0;
    c->vcpu_rip = 0x1234;
    expect(FINDING_MASKED, true, "at rip 0x1234");
}
END_TEST

START_TEST(row_6_the_selector_was_cleared_without_a_scan)
{
    struct belfry_channel *c = ring(0, SECOND);

    c->selector = 0;
    c->upcall_masked = 1; /* also row 7 */
    expect(FINDING_SELECTOR_LOST, true, "reader cleared its selector");
}
END_TEST

START_TEST(row_7_all_events_are_off)
{
    ring(0, SECOND)->upcall_masked = 1;
    expect(FINDING_EVENTS_OFF, true, "reader has masked all events");
}
END_TEST

START_TEST(row_8_no_processor_for_it)
{
    ring(0, SECOND);
    strcpy(s.starved_by, "hog");
    expect(FINDING_STARVED, true, "behind hog");
    s.end[0].paused = true;
    expect(FINDING_STARVED, true, "reader is paused");
    ck_assert_str_eq(j.next, "belfry unpause reader");
}
END_TEST

START_TEST(row_9_asleep_although_everything_says_wake_up)
{
    ring(0, SECOND)->vcpu_state = BELFRY_VCPU_BLOCKED;
    expect(FINDING_HYPERVISOR_BUG, true, "the hypervisor missed a wake-up");
}
END_TEST

/* A second look, 0.1 s after the first: so often rung in between. */
static void look_again(uint64_t rung_0, uint64_t rung_1)
{
    s.apart = SECOND / 10;
    s.end[0].rung = rung_0;
    s.end[1].rung = rung_1;
    s.end[0].moved = s.end[1].moved = true;
}

START_TEST(row_16_rung_faster_than_the_limit)
{
    look_again(0, 500);
    expect(FINDING_IDLE, false, "nothing is wrong");
    s.end[1].throttled = 480;
    expect(FINDING_THROTTLED, true,
           "reader rings port 9 of disk faster than its limit: in 100.0 ms "
           "480 of 500 rings were held back");
    ck_assert_str_eq(j.next, "belfry vcpus reader");
    ring(1, 1000); /* a ring that has got through does not hide it */
    expect(FINDING_THROTTLED, true, "faster than its limit");
}
END_TEST

START_TEST(row_17_bells_both_ways_and_a_ring_that_stands_still)
{
    s.in_flight_known = true;
    look_again(2000, 150);
    expect(FINDING_PING_PONG, true,
           "reader and disk ring each other, 1500 and 20000 times a second");
    ck_assert_str_eq(j.next, "belfry rings reader.xvda");
    s.end[0].throttled = 10; /* also row 16 */
    s.in_flight = 1;
    expect(FINDING_PING_PONG, true, "their ring does not move");
}
END_TEST

START_TEST(row_17_work_is_no_ping_pong)
{
    s.in_flight_known = true;
    look_again(2000, 2000);
    s.ring_moved = true; /* it does something */
    expect(FINDING_IDLE, false, "nothing is wrong");
    s.ring_moved = false;
    s.end[1].rung = 99; /* one way only */
    expect(FINDING_IDLE, false, "nothing is wrong");
    s.end[1].rung = 100;
    expect(FINDING_PING_PONG, true, "1000 and 20000 times a second");
    s.in_flight_known = false; /* nobody can say what they do */
    expect(FINDING_IDLE, false, "nothing is wrong");
}
END_TEST

START_TEST(what_is_rung_just_now_deserves_a_second_look)
{
    expect(FINDING_IDLE, false, "");
    ck_assert(!j.again);
    s.end[1].port.last_sent = NOW - 1;
    expect(FINDING_IDLE, false, "");
    ck_assert(j.again);
    s.apart = 1;
    expect(FINDING_IDLE, false, "");
    ck_assert(!j.again);
    setup();
    ring(0, SECOND)->masked = 1;
    expect(FINDING_MASKED, true, "");
    ck_assert(j.again);
    s.end[1].gone = true;
    expect(FINDING_PEER_DEAD, true, "");
    ck_assert(!j.again);
}
END_TEST

START_TEST(before_100_ms_every_row_but_1_and_2_is_busy)
{
    for (int row = 5; row <= 9; row++) {
        struct belfry_channel *c;

        setup();
        c = ring(0, FINDING_PATIENCE - 1);
        c->masked = row == 5;
        c->selector = row != 6;
        c->upcall_masked = row == 7;
        c->vcpu_state = row == 9 ? BELFRY_VCPU_BLOCKED : BELFRY_VCPU_RUNNABLE;
        expect(FINDING_BUSY, false, "reader was rung 99.9 ms ago");
        c->pending_since--;
        channel_judge(&s, &j);
        ck_assert_int_eq((int)j.finding, row);
    }
}
END_TEST

START_TEST(a_guest_that_polls_is_not_stuck)
{
    struct belfry_channel *c = ring(0, 5 * SECOND);

    c->masked = c->upcall_masked = 1;
    c->polled = 1;
    expect(FINDING_BUSY, false, "polls the port");
    c->polled = 0;
    s.end[0].moved = true;
    expect(FINDING_BUSY, false, "is at work");
    s.end[0].moved = false;
    expect(FINDING_MASKED, true, "reader has masked port 5");
}
END_TEST

START_TEST(the_stuck_end_is_found_behind_a_busy_one)
{
    ring(0, 1000);
    ring(1, SECOND)->masked = 1;
    expect(FINDING_MASKED, true, "disk has masked port 9");
}
END_TEST

START_TEST(running_and_rung_is_about_to_look)
{
    ring(0, SECOND)->vcpu_state = BELFRY_VCPU_RUNNING;
    expect(FINDING_BUSY, false, "is about to look");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verdict");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, row_1_a_dead_peer_is_named_with_reason_and_time);
    tcase_add_test(tests,
                   row_1_one_that_ended_well_is_missed_only_with_work_left);
    tcase_add_test(tests, row_1_of_two_dead_the_one_to_blame_is_named);
    tcase_add_test(tests, row_2_an_unbound_port_waits_for_the_other_side);
    tcase_add_test(tests, row_3_nothing_rung_and_nothing_in_flight_is_idle);
    tcase_add_test(tests, row_3_an_empty_ring_needs_no_bell);
    tcase_add_test(tests, row_5_masked_by_whom_for_how_long_and_where);
    tcase_add_test(tests, row_6_the_selector_was_cleared_without_a_scan);
    tcase_add_test(tests, row_7_all_events_are_off);
    tcase_add_test(tests, row_8_no_processor_for_it);
    tcase_add_test(tests, row_9_asleep_although_everything_says_wake_up);
    tcase_add_test(tests, row_16_rung_faster_than_the_limit);
    tcase_add_test(tests, row_17_bells_both_ways_and_a_ring_that_stands_still);
    tcase_add_test(tests, row_17_work_is_no_ping_pong);
    tcase_add_test(tests, what_is_rung_just_now_deserves_a_second_look);
    tcase_add_test(tests, before_100_ms_every_row_but_1_and_2_is_busy);
    tcase_add_test(tests, a_guest_that_polls_is_not_stuck);
    tcase_add_test(tests, the_stuck_end_is_found_behind_a_busy_one);
    tcase_add_test(tests, running_and_rung_is_about_to_look);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
