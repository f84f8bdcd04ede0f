/*
 * Credits: a port that has them is rung as often as they say, and no ring is
 * lost by it: each is delivered, at once or later, whatever becomes of the
 * limit, the port, its peer or either domain meanwhile.
 */
#include <check.h>

#include <xen/sched.h>

#include "evtchn_world.h"

#define CREDITS  3u
#define INTERVAL 1000u

static int a, b; /* a channel: a of domain 1 rings b of domain 2, quiet */

static int port_op(unsigned int n, struct belfry_port *op)
{
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    return evtchn_port_op(dom(n), op, &origin, &vcpu);
}

static int limit(unsigned int n, int port, uint32_t credits, uint64_t interval)
{
    struct belfry_port op = { .port = (uint32_t)port,
                              .set = BELFRY_PORT_SET_CREDITS,
                              .credits = credits,
                              .interval = interval };

    return port_op(n, &op);
}

static void notice(unsigned int n, int port)
{
    struct belfry_port op = { .port = (uint32_t)port,
                              .set = BELFRY_PORT_SET_OPTIONS,
                              .options = BELFRY_PORT_NOTICE };

    ck_assert_int_eq(port_op(n, &op), 0);
}

static struct belfry_port look(unsigned int n, int port)
{
    struct belfry_port op = { .port = (uint32_t)port };

    ck_assert_int_eq(port_op(n, &op), 0);
    return op;
}

static struct belfry_channel info(unsigned int n, int port)
{
    struct belfry_channel c;
    uint32_t at = (uint32_t)port;

    ck_assert(evtchn_info(dom(n), &at, &c));
    ck_assert_uint_eq(at, (uint32_t)port);
    return c;
}

static unsigned int state_of(unsigned int n, int port)
{
    return evtchn_lookup(dom(n), (uint32_t)port)->state;
}

static struct evtchn_limit *record_of(unsigned int n, int port)
{
    return evtchn_lookup(dom(n), (uint32_t)port)->limit;
}

static void connect(void)
{
    a = alloc_port(1, 2);
    b = bind_port(2, 1, a);
    ck_assert_int_gt(a, 0);
    ck_assert_int_gt(b, 0);
    handle_all(2);
}

static void begin(void)
{
    world_begin();
    connect();
    ck_assert_int_eq(limit(2, b, CREDITS, INTERVAL), 0);
}

static void end(void)
{
    ck_assert_uint_eq(world_audit(), 0);
    world_end();
}

/* Ring it: delivered at once?  Takes the ring. */
static bool rings(void)
{
    ck_assert_int_eq(send(1, a), 0);
    if (!is_pending(2, b)) {
        ck_assert(!upcall(2, 0));
        return false;
    }
    ck_assert(upcall(2, 0));
    handle_all(2);
    return true;
}

/* All credits are used up, and one ring is held back. */
static void hold_one(void)
{
    unsigned int others = nr_timers;

    for (unsigned int i = 0; i < CREDITS; i++)
        ck_assert(rings());
    ck_assert(!rings());
    ck_assert_uint_eq(nr_timers, others + 1);
}

static void expect_delivered(void)
{
    ck_assert(is_pending(2, b));
    ck_assert(upcall(2, 0));
    handle_all(2);
}

static void destroy(unsigned int n)
{
    while (!evtchn_domain_destroy(dom(n), 1))
        ;
}

static void end_of(unsigned int n)
{
    dom(n)->self.reason = SHUTDOWN_crash;
    dom(n)->self.state = BELFRY_PEER_CRASHED;
    evtchn_domain_ended(dom(n));
}

/* ---- The bucket. ---- */

START_TEST(a_row_is_delivered_as_it_comes_then_one_each_interval)
{
    hold_one();
    pass(INTERVAL - 1);
    ck_assert(!is_pending(2, b));
    pass(1);
    expect_delivered();
    for (unsigned int i = 0; i < 5; i++) {
        ck_assert(!rings());
        pass(INTERVAL - 1);
        ck_assert(!is_pending(2, b));
        pass(1);
        expect_delivered();
    }
    ck_assert_uint_eq(nr_timers, 0);
}
END_TEST

START_TEST(credits_come_back_one_by_one_and_no_more_than_there_were)
{
    hold_one();
    pass(INTERVAL); /* the one that was held back takes it */
    handle_all(2);
    pass(2 * INTERVAL);
    ck_assert(rings());
    ck_assert(rings());
    ck_assert(!rings());
    pass(INTERVAL);
    handle_all(2);
    pass(1000 * INTERVAL);
    for (unsigned int i = 0; i < CREDITS; i++)
        ck_assert(rings());
    ck_assert(!rings());
}
END_TEST

START_TEST(who_rings_slowly_is_never_held_back)
{
    for (unsigned int i = 0; i < 100; i++) {
        ck_assert(rings());
        pass(INTERVAL);
    }
    ck_assert_uint_eq(info(2, b).throttled, 0);
    ck_assert_uint_eq(throttle_lines, 0);
}
END_TEST

START_TEST(many_are_delivered_as_one_and_counted)
{
    struct belfry_channel c;

    hold_one();
    for (unsigned int i = 0; i < 9; i++)
        ck_assert(!rings());
    c = info(2, b);
    ck_assert_uint_eq(c.sent, 1 + CREDITS + 10); /* 1: its binding's */
    ck_assert_uint_eq(c.throttled, 10);
    ck_assert_uint_eq(c.coalesced, 9);
    ck_assert_uint_eq(c.delivered, 1 + CREDITS);
    ck_assert_uint_eq(look(2, b).throttled, 10);
    pass(INTERVAL);
    expect_delivered();
    pass(INTERVAL);
    ck_assert(!is_pending(2, b));
    c = info(2, b);
    ck_assert_uint_eq(c.sent, 1 + CREDITS + 10);
    ck_assert_uint_eq(c.delivered, 1 + CREDITS + 1);
    ck_assert_uint_eq(c.throttled, 10);
}
END_TEST

/* The timer is late, and somebody rings when the credit is there. */
START_TEST(a_ring_takes_along_what_is_held_back)
{
    hold_one();
    world_time += INTERVAL;
    ck_assert(rings());
    ck_assert_uint_eq(info(2, b).sent, 1 + CREDITS + 2);
    ck_assert_uint_eq(info(2, b).delivered, 1 + CREDITS + 1);
    pass(0);
    ck_assert(!is_pending(2, b));
    ck_assert(!rings()); /* and the credit was taken once */
    pass(INTERVAL);
    expect_delivered();
}
END_TEST

START_TEST(without_a_timer_nothing_is_held_back)
{
    max_timers = 0;
    for (unsigned int i = 0; i < 10; i++)
        ck_assert(rings());
    ck_assert_uint_eq(info(2, b).throttled, 0);
}
END_TEST

START_TEST(the_longest_interval_is_long_enough)
{
    ck_assert_int_eq(limit(2, b, 1, 1ull << 62), 0);
    ck_assert(rings());
    ck_assert(!rings());
    pass((1ull << 62) - 1);
    ck_assert(!is_pending(2, b));
    pass(1);
    expect_delivered();
}
END_TEST

/* ---- What is held back is masked, polled, moved. ---- */

START_TEST(a_masked_port_becomes_pending_and_unmask_tells)
{
    hold_one();
    mask(2, b);
    pass(INTERVAL);
    ck_assert(is_pending(2, b));
    ck_assert(!upcall(2, 0));
    ck_assert_int_eq(evtchn_unmask(dom(2), (uint32_t)b), 0);
    ck_assert(upcall(2, 0));
}
END_TEST

START_TEST(a_poller_is_woken_when_the_credit_comes)
{
    hold_one();
    mask(2, b);
    evtchn_poll_begin(&world[2].vcpu[1], (uint32_t)b);
    world[2].wakes[1] = 0;
    pass(INTERVAL);
    ck_assert_uint_eq(world[2].wakes[1], 1);
    ck_assert(!evtchn_poll_end(&world[2].vcpu[1]));
}
END_TEST

START_TEST(it_rings_the_vcpu_that_the_port_has_moved_to)
{
    hold_one();
    ck_assert_int_eq(evtchn_bind_vcpu(dom(2), (uint32_t)b, 2), 0);
    pass(INTERVAL);
    ck_assert(upcall(2, 2));
    ck_assert(!upcall(2, 0));
}
END_TEST

/* ---- The limit changes. ---- */

START_TEST(a_change_delivers_and_begins_anew)
{
    hold_one();
    ck_assert_int_eq(limit(2, b, 1, 50), 0);
    expect_delivered();
    ck_assert(rings());
    ck_assert(!rings());
    pass(50);
    expect_delivered();
    ck_assert_uint_eq(look(2, b).credits, 1);
    ck_assert_uint_eq(look(2, b).interval, 50);
    ck_assert_uint_eq(look(2, b).throttled, 2); /* as before, and one more */
}
END_TEST

START_TEST(a_limit_that_is_removed_leaves_nothing)
{
    hold_one();
    ck_assert_uint_eq(state_of(1, a), EVTCHN_GATED);
    ck_assert_int_eq(limit(2, b, 0, 0), 0);
    expect_delivered();
    ck_assert_uint_eq(nr_timers, 0);
    ck_assert_uint_eq(state_of(1, a), EVTCHN_INTERDOMAIN);
    ck_assert_ptr_null(record_of(2, b));
    for (unsigned int i = 0; i < 20; i++)
        ck_assert(rings());
    ck_assert_uint_eq(look(2, b).credits, 0);
    ck_assert_uint_eq(look(2, b).throttled, 1);
}
END_TEST

START_TEST(to_look_changes_nothing)
{
    hold_one();
    ck_assert_uint_eq(look(2, b).credits, CREDITS);
    ck_assert_uint_eq(look(2, b).interval, INTERVAL);
    notice(2, b);
    ck_assert(!is_pending(2, b));
    ck_assert_uint_eq(nr_timers, 1);
}
END_TEST

START_TEST(the_other_direction_has_no_limit)
{
    hold_one();
    for (unsigned int i = 0; i < 20; i++) {
        ck_assert_int_eq(send(2, b), 0);
        ck_assert(is_pending(1, a));
        handle_all(1);
    }
    ck_assert_uint_eq(state_of(2, b), EVTCHN_INTERDOMAIN);
}
END_TEST

START_TEST(both_ends_may_have_limits)
{
    ck_assert_int_eq(limit(1, a, 1, INTERVAL), 0);
    ck_assert_int_eq(send(2, b), 0);
    handle_all(1);
    ck_assert_int_eq(send(2, b), 0);
    ck_assert(!is_pending(1, a));
    /* The other one has credits of its own. */
    hold_one();
    pass(INTERVAL);
    ck_assert(is_pending(1, a));
    ck_assert(is_pending(2, b));
    ck_assert_int_eq(limit(1, a, 0, 0), 0);
    ck_assert_uint_eq(state_of(2, b), EVTCHN_INTERDOMAIN);
    ck_assert_uint_eq(state_of(1, a), EVTCHN_GATED);
}
END_TEST

/* ---- Ends. ---- */

START_TEST(a_closed_port_gives_back_record_and_timer)
{
    struct evtchn_limit *record = record_of(2, b);

    hold_one();
    ck_assert_int_eq(close_port(2, b), 0);
    ck_assert_uint_eq(nr_timers, 0);
    ck_assert_ptr_null(record->chn);
    pass(INTERVAL);
    ck_assert(!is_pending(2, b));
    ck_assert_int_eq(alloc_port(2, 1), b);
    ck_assert_uint_eq(look(2, b).credits, 0);
    ck_assert_uint_eq(look(2, b).throttled, 0);
}
END_TEST

/* Its record goes to a port that nothing has rung yet. */
START_TEST(what_was_held_back_is_forgotten_with_its_port)
{
    ck_assert_int_eq(limit(2, b, 1, INTERVAL), 0);
    send(1, a);
    send(1, a);
    ck_assert(record_of(2, b)->held);
    ck_assert_int_eq(close_port(2, b), 0);
    b = alloc_port(2, 1);
    ck_assert_int_eq(limit(2, b, 1, INTERVAL), 0);
    ck_assert(!record_of(2, b)->held);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_peer_that_closes_takes_nothing_along)
{
    hold_one();
    ck_assert_int_eq(close_port(1, a), 0);
    expect_delivered();
    pass(INTERVAL);
    ck_assert(!is_pending(2, b));
    /* The limit is the port's: it holds for the next one too. */
    a = bind_port(1, 2, b);
    ck_assert_int_gt(a, 0);
    ck_assert_uint_eq(state_of(1, a), EVTCHN_GATED);
    pass(CREDITS * INTERVAL);
    hold_one();
}
END_TEST

START_TEST(a_peer_that_dies_takes_nothing_along)
{
    hold_one();
    end_of(1);
    pass(INTERVAL);
    expect_delivered();
    destroy(1);
    ck_assert(!is_pending(2, b));
}
END_TEST

START_TEST(a_peer_that_is_destroyed_takes_nothing_along)
{
    hold_one();
    end_of(1);
    destroy(1);
    expect_delivered();
    pass(INTERVAL);
    ck_assert(!is_pending(2, b));
}
END_TEST

START_TEST(an_owner_that_is_destroyed_leaves_no_timer)
{
    hold_one();
    end_of(2);
    ck_assert(!rings());
    destroy(2);
    ck_assert_uint_eq(nr_timers, 0);
    pass(INTERVAL);
    ck_assert_int_eq(send(1, a), 0);
}
END_TEST

/* Sends on a have two reasons to be looked at; each goes by itself. */
START_TEST(an_end_that_is_told_and_a_limit_keep_out_of_each_others_way)
{
    notice(1, a);
    end_of(2);
    ck_assert_int_eq(limit(2, b, 0, 0), 0);
    ck_assert_uint_eq(state_of(1, a), EVTCHN_GATED);
    ck_assert_int_eq(send(1, a), -EPIPE);
    ck_assert_int_eq(limit(2, b, 1, 1), 0);
    ck_assert_int_eq(send(1, a), -EPIPE);
}
END_TEST

/* ---- A timer that expires on another CPU meanwhile. ---- */

START_TEST(an_expiry_of_a_port_that_was_closed_rings_nobody)
{
    struct evtchn_limit *record;
    int other;

    hold_one();
    record = record_of(2, b);
    ck_assert_int_eq(close_port(2, b), 0);
    evtchn_limit_due(record);
    ck_assert(!is_pending(2, b));
    /* The next port gets the same record. */
    other = alloc_port(2, 1);
    a = bind_port(1, 2, other);
    b = other;
    ck_assert_int_eq(limit(2, b, CREDITS, INTERVAL), 0);
    ck_assert_ptr_eq(record_of(2, b), record);
    hold_one();
    evtchn_limit_due(record);
    ck_assert(!is_pending(2, b));
    pass(INTERVAL);
    expect_delivered();
}
END_TEST

START_TEST(an_expiry_of_a_limit_that_was_removed_rings_nobody)
{
    struct evtchn_limit *record = record_of(2, b);

    hold_one();
    ck_assert_int_eq(limit(2, b, 0, 0), 0);
    handle_all(2);
    evtchn_limit_due(record);
    ck_assert(!is_pending(2, b));
}
END_TEST

/* ---- The log. ---- */

START_TEST(a_row_is_told_of_once)
{
    hold_one();
    ck_assert_uint_eq(throttle_lines, 1);
    for (unsigned int i = 0; i < 5; i++) {
        ck_assert(!rings());
        pass(INTERVAL);
        handle_all(2);
    }
    pass(CREDITS * INTERVAL); /* it has rested for a moment */
    hold_one();
    ck_assert_uint_eq(throttle_lines, 1);
    pass(INTERVAL);
    handle_all(2);
    pass(CREDITS * INTERVAL + 1000000000);
    hold_one();
    ck_assert_uint_eq(throttle_lines, 2);
}
END_TEST

/* ---- What is refused. ---- */

START_TEST(bad_limits_are_refused_and_change_nothing)
{
    int virq = bind_virq(2, VIRQ_TIMER, 0), ipi = bind_ipi(2, 0);
    struct belfry_port both = { .port = (uint32_t)b,
                                .set = BELFRY_PORT_SET_OPTIONS |
                                       BELFRY_PORT_SET_CREDITS,
                                .options = BELFRY_PORT_NOTICE,
                                .credits = 1 };

    ck_assert_int_eq(limit(2, virq, 1, 1), -EINVAL);
    ck_assert_int_eq(limit(2, ipi, 1, 1), -EINVAL);
    ck_assert_int_eq(limit(2, 20, 1, 1), -EINVAL);
    ck_assert_int_eq(limit(2, 4000, 1, 1), -EINVAL);
    ck_assert_int_eq(limit(2, b, 1, 0), -EINVAL);
    ck_assert_int_eq(limit(2, b, 1, (1ull << 62) + 1), -EINVAL);
    ck_assert_int_eq(limit(2, b, ~0u, 1ull << 31), -EINVAL);
    ck_assert_int_eq(port_op(2, &both), -EINVAL);
    ck_assert_uint_eq(look(2, b).options, 0);
    ck_assert_uint_eq(look(2, b).credits, CREDITS);
    ck_assert_uint_eq(look(2, b).interval, INTERVAL);
}
END_TEST

START_TEST(so_many_limits_and_no_more)
{
    int port[BELFRY_LIMITS];

    for (unsigned int i = 1; i < BELFRY_LIMITS; i++) {
        port[i] = alloc_port(2, 1);
        ck_assert_int_eq(limit(2, port[i], 1, 1), 0);
    }
    port[0] = alloc_port(2, 1);
    ck_assert_int_eq(limit(2, port[0], 1, 1), -ENOSPC);
    ck_assert_int_eq(limit(2, port[1], 2, 2), 0); /* it has one */
    ck_assert_int_eq(close_port(2, port[7]), 0);
    ck_assert_int_eq(limit(2, port[0], 1, 1), 0);
    ck_assert_int_eq(limit(2, port[1], 0, 0), 0);
    ck_assert_int_eq(limit(2, alloc_port(2, 1), 1, 1), 0);
}
END_TEST

START_TEST(without_memory_there_is_no_limit)
{
    pages_left = 0;
    ck_assert_int_eq(limit(1, a, 1, 1), -ENOMEM);
    ck_assert_uint_eq(state_of(2, b), EVTCHN_INTERDOMAIN);
    ck_assert_int_eq(limit(1, a, 0, 0), 0);
    pages_left = -1;
    ck_assert_int_eq(limit(1, a, 1, 1), 0);
}
END_TEST

START_TEST(a_domain_may_limit_itself)
{
    int one = alloc_port(3, 3), two = bind_port(3, 3, one);

    handle_all(3);
    ck_assert_int_eq(limit(3, two, 1, INTERVAL), 0);
    send(3, one);
    handle_all(3);
    send(3, one);
    ck_assert(!is_pending(3, two));
    pass(INTERVAL);
    ck_assert(is_pending(3, two));
    send(3, one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn_credits");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests,
                   a_row_is_delivered_as_it_comes_then_one_each_interval);
    tcase_add_test(tests,
                   credits_come_back_one_by_one_and_no_more_than_there_were);
    tcase_add_test(tests, who_rings_slowly_is_never_held_back);
    tcase_add_test(tests, many_are_delivered_as_one_and_counted);
    tcase_add_test(tests, a_ring_takes_along_what_is_held_back);
    tcase_add_test(tests, without_a_timer_nothing_is_held_back);
    tcase_add_test(tests, the_longest_interval_is_long_enough);
    tcase_add_test(tests, a_masked_port_becomes_pending_and_unmask_tells);
    tcase_add_test(tests, a_poller_is_woken_when_the_credit_comes);
    tcase_add_test(tests, it_rings_the_vcpu_that_the_port_has_moved_to);
    tcase_add_test(tests, a_change_delivers_and_begins_anew);
    tcase_add_test(tests, a_limit_that_is_removed_leaves_nothing);
    tcase_add_test(tests, to_look_changes_nothing);
    tcase_add_test(tests, the_other_direction_has_no_limit);
    tcase_add_test(tests, both_ends_may_have_limits);
    tcase_add_test(tests, a_closed_port_gives_back_record_and_timer);
    tcase_add_test(tests, what_was_held_back_is_forgotten_with_its_port);
    tcase_add_test(tests, a_peer_that_closes_takes_nothing_along);
    tcase_add_test(tests, a_peer_that_dies_takes_nothing_along);
    tcase_add_test(tests, a_peer_that_is_destroyed_takes_nothing_along);
    tcase_add_test(tests, an_owner_that_is_destroyed_leaves_no_timer);
    tcase_add_test(tests,
                   an_end_that_is_told_and_a_limit_keep_out_of_each_others_way);
    tcase_add_test(tests, an_expiry_of_a_port_that_was_closed_rings_nobody);
    tcase_add_test(tests, an_expiry_of_a_limit_that_was_removed_rings_nobody);
    tcase_add_test(tests, a_row_is_told_of_once);
    tcase_add_test(tests, bad_limits_are_refused_and_change_nothing);
    tcase_add_test(tests, so_many_limits_and_no_more);
    tcase_add_test(tests, without_memory_there_is_no_limit);
    tcase_add_test(tests, a_domain_may_limit_itself);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
