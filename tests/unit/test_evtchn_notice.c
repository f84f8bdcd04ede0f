/*
 * The end of a peer as an event: those who ask for it hear of it once, can
 * learn why, and cannot ring into the void; the others see what Xen shows.
 */
#include <check.h>

#include <xen/sched.h>

#include "evtchn_world.h"

static int a, b; /* a channel: a of domain 1, b of domain 2, both quiet */

static void begin(void)
{
    world_begin();
    a = alloc_port(1, 2);
    b = bind_port(2, 1, a);
    ck_assert_int_gt(a, 0);
    ck_assert_int_gt(b, 0);
    take(2, b);
}

static struct belfry_port port_op(unsigned int n, int port, uint32_t set,
                                  uint32_t options)
{
    struct belfry_port op = { .port = (uint32_t)port,
                              .set = set,
                              .options = options };
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    ck_assert_int_eq(evtchn_port_op(dom(n), &op, &origin, &vcpu), 0);
    return op;
}

static void ask(unsigned int n, int port)
{
    port_op(n, port, BELFRY_PORT_SET_OPTIONS, BELFRY_PORT_NOTICE);
}

static struct belfry_port look(unsigned int n, int port)
{
    return port_op(n, port, 0, 0);
}

static void crash(unsigned int n)
{
    dom(n)->self.reason = SHUTDOWN_crash;
    dom(n)->self.vector = 14;
    dom(n)->self.rip = 0xdead;
    dom(n)->self.state = BELFRY_PEER_CRASHED;
    evtchn_domain_ended(dom(n));
}

static void destroy(unsigned int n)
{
    while (!evtchn_domain_destroy(dom(n), 1))
        ;
}

START_TEST(nobody_hears_who_did_not_ask)
{
    crash(2);
    ck_assert(!is_pending(1, a));
    ck_assert_int_eq(send(1, a), 0);
    ck_assert(is_pending(2, b));
    destroy(2);
    ck_assert(!is_pending(1, a));
    ck_assert_int_eq(send(1, a), 0); /* dropped, as on Xen */
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_close_rings_and_ends_sends)
{
    struct belfry_port p;

    ask(1, a);
    ck_assert(!is_pending(1, a));
    ck_assert_int_eq(close_port(2, b), 0);
    ck_assert(is_pending(1, a));
    ck_assert(upcall(1, 0));
    ck_assert_int_eq(send(1, a), -EPIPE);
    p = look(1, a);
    ck_assert_uint_eq(p.peer_state, BELFRY_PEER_CLOSED);
    ck_assert_uint_eq(p.peer, DOM_ID(2));
    ck_assert_uint_eq(p.peer_generation, 102);
    ck_assert_uint_eq(p.options, BELFRY_PORT_NOTICE);
}
END_TEST

START_TEST(a_crash_rings_at_once_and_says_why)
{
    struct belfry_port p;

    ask(1, a);
    crash(2);
    ck_assert(is_pending(1, a));
    ck_assert_int_eq(send(1, a), -EPIPE);
    ck_assert(!is_pending(2, b));
    p = look(1, a);
    ck_assert_uint_eq(p.peer_state, BELFRY_PEER_CRASHED);
    ck_assert_uint_eq(p.peer_reason, SHUTDOWN_crash);
    ck_assert_uint_eq(p.peer_vector, 14);
    ck_assert_uint_eq(p.peer_rip, 0xdead);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(the_cause_outlives_the_domain_and_is_told_once)
{
    struct belfry_port p;

    ask(1, a);
    crash(2);
    take(1, a);
    destroy(2);
    ck_assert(!is_pending(1, a));
    ck_assert_int_eq(send(1, a), -EPIPE);
    p = look(1, a);
    ck_assert_uint_eq(p.peer_state, BELFRY_PEER_CRASHED);
    ck_assert_uint_eq(p.peer_generation, 102);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(who_asks_too_late_is_told_at_once)
{
    crash(2);
    ask(1, a);
    ck_assert(is_pending(1, a));
    ck_assert_int_eq(send(1, a), -EPIPE);
    take(1, a);
    destroy(2);
    port_op(1, a, BELFRY_PORT_SET_OPTIONS, 0);
    ck_assert_int_eq(send(1, a), 0);
    ask(1, a);
    ck_assert(is_pending(1, a));
}
END_TEST

START_TEST(a_port_that_was_never_bound_has_no_peer_to_lose)
{
    int alone = alloc_port(1, 3);

    ask(1, alone);
    ck_assert_int_eq(send(1, alone), 0);
    ck_assert_uint_eq(look(1, alone).peer_state, BELFRY_PEER_NONE);
    ck_assert(!is_pending(1, alone));
    /* It keeps what was asked when somebody binds. */
    ck_assert_int_gt(bind_port(3, 1, alone), 0);
    crash(3);
    ck_assert(is_pending(1, alone));
}
END_TEST

START_TEST(a_new_port_has_asked_for_nothing)
{
    ask(1, a);
    ck_assert_int_eq(close_port(1, a), 0);
    ck_assert_int_eq(alloc_port(1, 2), a);
    ck_assert_uint_eq(look(1, a).options, 0);
}
END_TEST

START_TEST(a_poller_is_woken_by_the_end)
{
    ask(1, a);
    mask(1, a);
    evtchn_poll_begin(world[1].vcpus[0], (uint32_t)a);
    crash(2);
    ck_assert_uint_eq(world[1].wakes[0], 1);
    ck_assert(!evtchn_poll_end(world[1].vcpus[0]));
}
END_TEST

START_TEST(a_successor_rings_those_it_concerns)
{
    struct belfry_port op = { .port = (uint32_t)a };
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    ask(1, a);
    crash(2);
    take(1, a);
    evtchn_tell_successor(dom(1), 2); /* of another domain */
    ck_assert(!is_pending(1, a));
    evtchn_tell_successor(dom(1), 3);
    ck_assert(is_pending(1, a));
    take(1, a);
    destroy(2);
    evtchn_tell_successor(dom(1), 3);
    ck_assert(is_pending(1, a));
    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), 0);
    ck_assert_uint_eq(origin, 3);
    ck_assert_ptr_null(vcpu);
}
END_TEST

START_TEST(a_live_peer_is_described)
{
    struct belfry_port op = { .port = (uint32_t)a };
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    mask(2, b);
    send(1, a);
    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), 0);
    ck_assert_uint_eq(op.peer_state, BELFRY_PEER_ALIVE);
    ck_assert_uint_eq(op.peer_pending, 1);
    ck_assert_uint_eq(op.peer_masked, 1);
    ck_assert_ptr_eq(vcpu, world[2].vcpus[0]);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct belfry_port op = { .port = 4000 };
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), -EINVAL);
    op.port = 20; /* in a bucket, not open */
    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), -EINVAL);
    op.port = (uint32_t)a;
    op.set = 1u << 31;
    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), -EINVAL);
    op.set = BELFRY_PORT_SET_OPTIONS;
    op.options = 1u << 7;
    ck_assert_int_eq(evtchn_port_op(dom(1), &op, &origin, &vcpu), -EINVAL);
    ck_assert_uint_eq(look(1, a).options, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn_notice");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, begin, world_end);
    tcase_add_test(tests, nobody_hears_who_did_not_ask);
    tcase_add_test(tests, a_close_rings_and_ends_sends);
    tcase_add_test(tests, a_crash_rings_at_once_and_says_why);
    tcase_add_test(tests, the_cause_outlives_the_domain_and_is_told_once);
    tcase_add_test(tests, who_asks_too_late_is_told_at_once);
    tcase_add_test(tests, a_port_that_was_never_bound_has_no_peer_to_lose);
    tcase_add_test(tests, a_new_port_has_asked_for_nothing);
    tcase_add_test(tests, a_poller_is_woken_by_the_end);
    tcase_add_test(tests, a_successor_rings_those_it_concerns);
    tcase_add_test(tests, a_live_peer_is_described);
    tcase_add_test(tests, bad_arguments_are_refused);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
