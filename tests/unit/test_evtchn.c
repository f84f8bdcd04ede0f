/*
 * Event channels: the semantics and errors of Xen 4.17, one-bit delivery
 * without lost wake-ups, and the rows E of the security catalogue that a
 * host can show.
 */
#include <check.h>

#include "hv/abi/belfry.h"
#include "evtchn_world.h"

#define ALL_PORTS (EVTCHN_MAX_PORTS - 1) /* but the reserved one */

/* A bound channel: *a of domain 1, *b of domain 2, both quiet. */
static void connect(int *a, int *b)
{
    *a = alloc_port(1, 2);
    *b = bind_port(2, 1, *a);
    ck_assert_int_gt(*a, 0);
    ck_assert_int_gt(*b, 0);
    handle_all(2);
    world[2].wakes[0] = 0;
}

static struct belfry_channel info(unsigned int n, int port)
{
    struct belfry_channel c;
    uint32_t at = (uint32_t)port;

    ck_assert(evtchn_info(dom(n), &at, &c));
    ck_assert_uint_eq(at, port);
    return c;
}

static struct evtchn_status status(unsigned int n, unsigned int of, int port)
{
    struct evtchn_status op = { .dom = DOM_ID(of), .port = (uint32_t)port };

    ck_assert_int_eq(evtchn_status(dom(n), &op), 0);
    return op;
}

static int status_rc(unsigned int n, uint16_t domid, uint32_t port)
{
    struct evtchn_status op = { .dom = domid, .port = port };

    return evtchn_status(dom(n), &op);
}

/* ---- Delivery. ---- */

START_TEST(a_send_sets_pending_selector_and_upcall_and_wakes)
{
    int a, b;

    connect(&a, &b);
    ck_assert_int_eq(send(1, a), 0);
    ck_assert(is_pending(2, b));
    ck_assert(evtchn_is_pending(dom(2), (uint32_t)b));
    ck_assert_uint_eq(selector(2, 0), 1);
    ck_assert(upcall(2, 0));
    ck_assert_uint_eq(world[2].wakes[0], 1);
    ck_assert(!is_pending(1, a));
}
END_TEST

START_TEST(a_second_send_coalesces)
{
    int a, b;

    connect(&a, &b);
    send(1, a);
    upcall(2, 0);
    selector(2, 0);
    ck_assert_int_eq(send(1, a), 0);
    ck_assert(!upcall(2, 0));
    ck_assert_uint_eq(world[2].wakes[0], 1);
    ck_assert_uint_eq(info(2, b).coalesced, 1);
}
END_TEST

START_TEST(the_selector_bit_is_that_of_the_word)
{
    int last = 0;

    for (unsigned int i = 0; i < ALL_PORTS; i++)
        last = bind_ipi(1, 1);
    ck_assert_int_eq(last, ALL_PORTS);
    for (int port = 1; port <= last; port += 61) {
        send(1, port);
        ck_assert_uint_eq(selector(1, 1), 1ULL << (port / 64));
        ck_assert(upcall(1, 1));
        ck_assert(is_pending(1, port));
    }
}
END_TEST

START_TEST(a_masked_port_becomes_pending_and_no_more)
{
    int a, b;

    connect(&a, &b);
    mask(2, b);
    send(1, a);
    ck_assert(is_pending(2, b));
    ck_assert_uint_eq(selector(2, 0), 0);
    ck_assert(!upcall(2, 0));
    ck_assert_uint_eq(world[2].wakes[0], 0);
}
END_TEST

START_TEST(unmask_raises_what_became_pending_while_masked)
{
    int a, b;

    connect(&a, &b);
    mask(2, b);
    send(1, a);
    ck_assert_int_eq(evtchn_unmask(dom(2), (uint32_t)b), 0);
    ck_assert_uint_eq(selector(2, 0), 1);
    ck_assert(upcall(2, 0));
    ck_assert_uint_eq(world[2].wakes[0], 1);
    /* A second unmask finds nothing masked and is silent. */
    ck_assert_int_eq(evtchn_unmask(dom(2), (uint32_t)b), 0);
    ck_assert(!upcall(2, 0));
}
END_TEST

START_TEST(unmask_of_a_quiet_port_raises_nothing)
{
    int a, b;

    connect(&a, &b);
    mask(2, b);
    ck_assert_int_eq(evtchn_unmask(dom(2), (uint32_t)b), 0);
    ck_assert(!upcall(2, 0));
    ck_assert(!bit_test(shared(2)->evtchn_mask, (unsigned int)b));
}
END_TEST

START_TEST(a_vcpu_is_woken_once_until_it_takes_the_upcall)
{
    int a, b, a2 = alloc_port(1, 2), b2 = bind_port(2, 1, a2);

    ck_assert_int_gt(b2, 0);
    connect(&a, &b);
    send(1, a);
    send(1, a2);
    ck_assert_uint_eq(world[2].wakes[0], 1);
    ck_assert(is_pending(2, b) && is_pending(2, b2));
}
END_TEST

START_TEST(an_event_goes_to_the_vcpu_it_is_bound_to)
{
    int a, b;

    connect(&a, &b);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(2), (uint32_t)b, 2), 0);
    send(1, a);
    ck_assert(!upcall(2, 0));
    ck_assert(upcall(2, 2));
    ck_assert_uint_eq(status(2, 2, b).vcpu, 2);
}
END_TEST

START_TEST(an_ipi_rings_its_own_domain)
{
    int port = bind_ipi(1, 2);

    ck_assert_int_eq(send(1, port), 0);
    ck_assert(is_pending(1, port));
    ck_assert(upcall(1, 2));
}
END_TEST

/* ---- Polling. ---- */

START_TEST(a_poller_is_woken_though_the_port_is_masked)
{
    int a, b;

    connect(&a, &b);
    mask(2, b);
    evtchn_poll_begin(&world[2].vcpu[1], (uint32_t)b);
    send(1, a);
    ck_assert_uint_eq(world[2].wakes[1], 1);
    ck_assert(!upcall(2, 0));
    ck_assert(!evtchn_poll_end(&world[2].vcpu[1]));
    ck_assert_uint_eq(dom(2)->nr_polling, 0);
    ck_assert_uint_eq(info(2, b).delivered, 2); /* one is bind's */
}
END_TEST

START_TEST(a_poller_of_another_port_sleeps_on)
{
    int a, b, other = bind_ipi(2, 0);

    connect(&a, &b);
    mask(2, b);
    evtchn_poll_begin(&world[2].vcpu[1], (uint32_t)other);
    evtchn_poll_begin(&world[2].vcpu[2], 0);
    send(1, a);
    ck_assert_uint_eq(world[2].wakes[1], 0);
    ck_assert_uint_eq(world[2].wakes[2], 1);
    ck_assert_uint_eq(dom(2)->nr_polling, 1);
    ck_assert(info(2, other).polled);
    ck_assert(!info(2, b).polled);
    ck_assert(evtchn_poll_end(&world[2].vcpu[1]));
}
END_TEST

START_TEST(an_upcall_ends_the_poll_of_its_vcpu)
{
    int a, b, other = bind_ipi(2, 0);

    connect(&a, &b);
    evtchn_poll_begin(&world[2].vcpu[0], (uint32_t)other);
    send(1, a);
    ck_assert_uint_eq(world[2].wakes[0], 1);
    ck_assert(!evtchn_poll_end(&world[2].vcpu[0]));
}
END_TEST

START_TEST(E14_only_open_ports_can_be_polled)
{
    int unbound = alloc_port(1, 2), closed = alloc_port(1, 2);

    close_port(1, closed);
    ck_assert_int_eq(evtchn_poll_check(dom(1), (uint32_t)unbound), 0);
    ck_assert_int_eq(evtchn_poll_check(dom(1), (uint32_t)closed), -EINVAL);
    ck_assert_int_eq(evtchn_poll_check(dom(1), 0), -EINVAL);
    ck_assert_int_eq(evtchn_poll_check(dom(1), 32), -EINVAL);
    ck_assert_int_eq(evtchn_poll_check(dom(1), 4096), -EINVAL);
    ck_assert_int_eq(evtchn_poll_check(dom(1), ~0u), -EINVAL);
}
END_TEST

/* ---- alloc_unbound, bind_interdomain, close, status. ---- */

START_TEST(the_lowest_free_port_is_taken)
{
    ck_assert_int_eq(alloc_port(1, 2), 1);
    ck_assert_int_eq(alloc_port(1, 2), 2);
    ck_assert_int_eq(bind_ipi(1, 0), 3);
    ck_assert_int_eq(close_port(1, 2), 0);
    ck_assert_int_eq(alloc_port(1, 2), 2);
    ck_assert_int_eq(alloc_port(1, 2), 4);
}
END_TEST

START_TEST(alloc_on_behalf_of_others_is_for_the_privileged)
{
    static const struct {
        unsigned int caller;
        uint16_t dom, remote;
        int rc;
    } rows[] = {
        { 1, DOMID_SELF, DOMID_SELF, 0 },
        { 1, DOM_ID(1), DOM_ID(2), 0 },
        { 1, DOM_ID(2), DOM_ID(1), -EPERM },
        { 1, 999, DOM_ID(1), -ESRCH },
        { 0, DOM_ID(2), DOM_ID(1), 0 },
        { 0, 999, DOM_ID(1), -ESRCH },
        { 0, DOMID_XEN, DOM_ID(1), -ESRCH },
        { 1, DOMID_SELF, 999, 0 }, /* who may bind need not exist yet */
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct evtchn_alloc_unbound op = { .dom = rows[i].dom,
                                           .remote_dom = rows[i].remote };

        ck_assert_int_eq(evtchn_alloc_unbound(dom(rows[i].caller), &op),
                         rows[i].rc);
    }
    ck_assert_uint_eq(status(0, 2, 1).u.unbound.dom, DOM_ID(1));
    ck_assert_uint_eq(status(1, 1, 1).u.unbound.dom, DOM_ID(1));
}
END_TEST

START_TEST(self_as_remote_is_the_caller_also_for_others_ports)
{
    struct evtchn_alloc_unbound op = { .dom = DOM_ID(2),
                                       .remote_dom = DOMID_SELF };

    ck_assert_int_eq(evtchn_alloc_unbound(dom(0), &op), 0);
    ck_assert_uint_eq(status(2, 2, (int)op.port).u.unbound.dom, DOM_ID(0));
}
END_TEST

START_TEST(bind_leaves_the_local_port_pending)
{
    int a = alloc_port(1, 2), b = bind_port(2, 1, a);

    ck_assert(is_pending(2, b));
    ck_assert(upcall(2, 0));
    ck_assert(!is_pending(1, a));
    ck_assert(!upcall(1, 0));
}
END_TEST

START_TEST(bind_needs_a_port_that_waits_for_the_binder)
{
    int for2 = alloc_port(1, 2), ipi = bind_ipi(1, 0);
    int virq = bind_virq(1, VIRQ_TIMER, 0);

    ck_assert_int_eq(bind_port(3, 1, for2), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, ipi), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, virq), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, 0), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, 31), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, 4096), -EINVAL);
    ck_assert_int_eq(bind_port(2, 1, -1), -EINVAL);
    ck_assert_int_eq(bind_port(2, 999, for2), -ESRCH);
    ck_assert_int_gt(bind_port(2, 1, for2), 0);
    ck_assert_int_eq(bind_port(2, 1, for2), -EINVAL);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_channel_may_loop_back_to_its_own_domain)
{
    struct evtchn_bind_interdomain op = { .remote_dom = DOMID_SELF };
    int a = alloc_port(1, 1);

    op.remote_port = (uint32_t)a;
    ck_assert_int_eq(evtchn_bind_interdomain(dom(1), &op), 0);
    handle_all(1);
    send(1, a);
    ck_assert(is_pending(1, (int)op.local_port));
    send(1, (int)op.local_port);
    ck_assert(is_pending(1, a));
    ck_assert_int_eq(close_port(1, a), 0);
    ck_assert_uint_eq(status(1, 1, (int)op.local_port).status,
                      EVTCHNSTAT_unbound);
}
END_TEST

/* The port it would get is the one it names: no lock is taken twice. */
START_TEST(a_free_port_cannot_be_bound_to_itself)
{
    ck_assert_int_eq(bind_port(1, 1, 1), -EINVAL);
    ck_assert_int_eq(alloc_port(1, 1), 1);
}
END_TEST

START_TEST(close_leaves_the_peer_waiting_for_the_closer)
{
    int a, b;

    connect(&a, &b);
    ck_assert_int_eq(close_port(1, a), 0);
    ck_assert_uint_eq(status(2, 2, b).status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(status(2, 2, b).u.unbound.dom, DOM_ID(1));
    ck_assert_uint_eq(status(1, 1, a).status, EVTCHNSTAT_closed);
    ck_assert_int_eq(close_port(1, a), -EINVAL);
    ck_assert_int_eq(send(1, a), -EINVAL);
    ck_assert_int_eq(send(2, b), 0); /* dropped without an error, as on Xen */
    ck_assert_uint_eq(info(2, b).dropped, 1);
    ck_assert_int_eq(bind_port(3, 2, b), -EINVAL);
    ck_assert_int_gt(bind_port(1, 2, b), 0);
}
END_TEST

START_TEST(close_clears_pending_and_the_vcpu)
{
    int a, b;

    connect(&a, &b);
    evtchn_bind_vcpu(dom(2), (uint32_t)b, 2);
    send(1, a);
    close_port(2, b);
    ck_assert(!is_pending(2, b));
    ck_assert_uint_eq(status(2, 2, b).vcpu, 0);
    ck_assert_int_eq(alloc_port(2, 1), b);
    ck_assert_uint_eq(status(2, 2, b).vcpu, 0);
    ck_assert_uint_eq(info(2, b).sent, 0);
}
END_TEST

START_TEST(status_of_every_state)
{
    int a, b, unbound = alloc_port(1, 3), ipi = bind_ipi(1, 2);
    int virq = bind_virq(1, VIRQ_DEBUG, 1);
    struct evtchn_status s;

    connect(&a, &b);
    ck_assert_uint_eq(status(1, 1, 0).status, EVTCHNSTAT_closed);
    ck_assert_uint_eq(status(1, 1, 30).status, EVTCHNSTAT_closed);
    s = status(1, 1, unbound);
    ck_assert_uint_eq(s.status, EVTCHNSTAT_unbound);
    ck_assert_uint_eq(s.u.unbound.dom, DOM_ID(3));
    s = status(1, 1, ipi);
    ck_assert_uint_eq(s.status, EVTCHNSTAT_ipi);
    ck_assert_uint_eq(s.vcpu, 2);
    s = status(1, 1, virq);
    ck_assert_uint_eq(s.status, EVTCHNSTAT_virq);
    ck_assert_uint_eq(s.u.virq, VIRQ_DEBUG);
    ck_assert_uint_eq(s.vcpu, 1);
    s = status(2, 2, b);
    ck_assert_uint_eq(s.status, EVTCHNSTAT_interdomain);
    ck_assert_uint_eq(s.u.interdomain.dom, DOM_ID(1));
    ck_assert_uint_eq(s.u.interdomain.port, a);
}
END_TEST

START_TEST(status_of_others_is_for_the_privileged)
{
    int a = alloc_port(1, 2);

    ck_assert_int_eq(status_rc(0, DOM_ID(1), (uint32_t)a), 0);
    ck_assert_int_eq(status_rc(2, DOM_ID(1), (uint32_t)a), -EPERM);
    ck_assert_int_eq(status_rc(2, 999, 1), -ESRCH);
    ck_assert_int_eq(status_rc(2, DOMID_SELF, 1), 0);
    ck_assert_int_eq(status_rc(0, DOM_ID(1), 32), -EINVAL);
}
END_TEST

START_TEST(an_alloc_that_nobody_heard_of_can_be_undone)
{
    struct evtchn_alloc_unbound op = { .dom = DOM_ID(2),
                                       .remote_dom = DOM_ID(1) };

    ck_assert_int_eq(evtchn_alloc_unbound(dom(0), &op), 0);
    evtchn_undo_alloc(dom(0), &op);
    ck_assert_uint_eq(status(2, 2, (int)op.port).status, EVTCHNSTAT_closed);
}
END_TEST

/* ---- VIRQs, IPIs, vCPUs. ---- */

START_TEST(bind_virq_errors_are_those_of_xen)
{
    static const struct {
        uint32_t virq, vcpu;
        int rc;
    } rows[] = {
        { VIRQ_TIMER, 0, 1 },
        { VIRQ_TIMER, 0, -EEXIST },
        { VIRQ_TIMER, 1, 2 },
        { VIRQ_TIMER, NR_VCPUS, -ENOENT },
        { VIRQ_TIMER, ~0u, -ENOENT },
        { VIRQ_DEBUG, 2, 3 },
        { VIRQ_XENPMU, 1, 4 },
        { VIRQ_XENOPROF, 1, 5 },
        { VIRQ_CONSOLE, 1, -EINVAL },
        { VIRQ_CONSOLE, 0, 6 }, /* anyone may; it never fires for others */
        { VIRQ_CONSOLE, 0, -EEXIST },
        { VIRQ_DOM_EXC, NR_VCPUS, -EINVAL },
        { VIRQ_BELFRY_SERIAL, 1, -EINVAL },
        { VIRQ_BELFRY_LOG, 0, 7 },
        { NR_VIRQS, 0, -EINVAL },
        { ~0u, 0, -EINVAL },
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_int_eq(bind_virq(1, rows[i].virq, rows[i].vcpu), rows[i].rc);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_vcpus_virq_rings_its_own_port_alone)
{
    int first = bind_virq(1, VIRQ_TIMER, 0);
    int second = bind_virq(1, VIRQ_TIMER, 1);

    evtchn_send_virq(&world[1].vcpu[1], VIRQ_TIMER);
    ck_assert(!is_pending(1, first));
    ck_assert(is_pending(1, second));
    ck_assert(!upcall(1, 0));
    ck_assert(upcall(1, 1));
    evtchn_send_virq(&world[1].vcpu[2], VIRQ_TIMER); /* bound to nothing */
    ck_assert(!upcall(1, 2));
}
END_TEST

/* As if the port had been closed and opened again since the look. */
START_TEST(a_virq_rings_no_port_that_is_not_its_own)
{
    int unbound = alloc_port(1, 2), other = bind_virq(1, VIRQ_DEBUG, 0);

    world[1].vcpu[0].virq_port[VIRQ_TIMER] = (uint32_t)unbound;
    evtchn_send_virq(&world[1].vcpu[0], VIRQ_TIMER);
    world[1].vcpu[0].virq_port[VIRQ_TIMER] = (uint32_t)other;
    evtchn_send_virq(&world[1].vcpu[0], VIRQ_TIMER);
    world[1].vcpu[0].virq_port[VIRQ_TIMER] = 0;
    ck_assert(!is_pending(1, unbound) && !is_pending(1, other));
}
END_TEST

START_TEST(a_global_virq_follows_bind_vcpu_and_ends_with_close)
{
    int port = bind_virq(1, VIRQ_CONSOLE, 0);

    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)port, 2), 0);
    evtchn_send_global_virq(dom(1), VIRQ_CONSOLE);
    ck_assert(upcall(1, 2));
    ck_assert_int_eq(close_port(1, port), 0);
    handle_all(1);
    evtchn_send_global_virq(dom(1), VIRQ_CONSOLE);
    ck_assert(!is_pending(1, port));
    ck_assert_int_eq(bind_virq(1, VIRQ_CONSOLE, 0), port);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(nothing_can_be_sent_on_a_virq)
{
    int port = bind_virq(1, VIRQ_TIMER, 0);

    ck_assert_int_eq(send(1, port), -EINVAL);
    ck_assert_int_eq(send(1, 0), -EINVAL);
}
END_TEST

START_TEST(bind_vcpu_moves_only_what_may_move)
{
    int a, b, ipi = bind_ipi(1, 0), virq = bind_virq(1, VIRQ_TIMER, 0);
    int unbound = alloc_port(1, 3);

    connect(&a, &b);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)a, 1), 0);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)unbound, 1), 0);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)a, NR_VCPUS), -ENOENT);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), ~0u, NR_VCPUS), -ENOENT);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)ipi, 1), -EINVAL);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), (uint32_t)virq, 1), -EINVAL);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), 0, 1), -EINVAL);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), 31, 1), -EINVAL);
    ck_assert_int_eq(bind_ipi(1, NR_VCPUS), -ENOENT);
    ck_assert_int_eq(bind_ipi(1, ~0u), -ENOENT);
}
END_TEST

/* ---- The catalogue. ---- */

static void check_refused(uint32_t port, int quiet_rc)
{
    ck_assert_int_eq(evtchn_send(dom(1), port), -EINVAL);
    ck_assert_int_eq(status_rc(1, DOMID_SELF, port), quiet_rc);
    ck_assert_int_eq(evtchn_close(dom(1), port), -EINVAL);
    ck_assert_int_eq(evtchn_unmask(dom(1), port), quiet_rc);
    ck_assert_int_eq(evtchn_bind_vcpu(dom(1), port, 0), -EINVAL);
    ck_assert_int_eq(evtchn_poll_check(dom(1), port), -EINVAL);
}

/* Status and unmask of a free port in an allocated bucket are no errors on
 * Xen; of all others they are. */
START_TEST(E1_unallocated_ports)
{
    for (uint32_t port = 0; port < 1u << 17; port++)
        check_refused(port, port < EVTCHN_PER_BUCKET ? 0 : -EINVAL);
    check_refused(1u << 31, -EINVAL);
    check_refused(~0u, -EINVAL);
    ck_assert(!upcall(1, 0));
}
END_TEST

static unsigned int alloc_all(unsigned int n)
{
    unsigned int count = 0;
    int rc;

    while ((rc = alloc_port(n, 2)) > 0)
        count++;
    ck_assert_int_eq(rc, -ENOSPC);
    return count;
}

START_TEST(E2_allocation_beyond_the_limit)
{
    ck_assert_uint_eq(alloc_all(1), ALL_PORTS);
    for (unsigned int i = 0; i < 100; i++) {
        ck_assert_int_eq(alloc_port(1, 2), -ENOSPC);
        ck_assert_int_eq(bind_ipi(1, 0), -ENOSPC);
        ck_assert_int_eq(bind_port(1, 2, 1), -ENOSPC);
    }
    for (int port = ALL_PORTS; port > 0; port--)
        ck_assert_int_eq(close_port(1, port), 0);
    ck_assert_uint_eq(alloc_all(1), ALL_PORTS);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(E6_destroy_in_steps)
{
    unsigned int steps = 1;

    for (unsigned int i = 0; i < ALL_PORTS; i++)
        ck_assert_int_gt(bind_port(2, 1, alloc_port(1, 2)), 0);
    while (!evtchn_domain_destroy(dom(1), 100)) {
        steps++;
        ck_assert_int_eq(alloc_port(1, 2), -EINVAL);
        ck_assert_int_eq(bind_ipi(1, 0), -EINVAL);
        ck_assert_int_eq(bind_virq(1, VIRQ_TIMER, 0), -EINVAL);
        ck_assert_uint_eq(world_audit(), 0);
    }
    ck_assert_uint_ge(steps, EVTCHN_MAX_PORTS / 100);
    for (int port = 1; port <= (int)ALL_PORTS; port++)
        ck_assert_uint_eq(status(2, 2, port).status, EVTCHNSTAT_unbound);
    /* Others may still look at its ports, and find them closed. */
    ck_assert_uint_eq(status(0, 1, 7).status, EVTCHNSTAT_closed);
    ck_assert_int_eq(bind_port(2, 1, 7), -ENOSPC);
    close_port(2, 9);
    ck_assert_int_eq(bind_port(2, 1, 7), -EINVAL);
}
END_TEST

/* The limit is exactly 4,096: all ports at once touch the event words of the
 * shared page, the vCPU's selector and flag, and nothing else. */
START_TEST(E8_only_event_words_are_written)
{
    struct guest_page *page = world[1].page;
    struct shared_info *s = &page->shared, expected;

    memset(page, 0x5a, sizeof(*page));
    memset(s->evtchn_pending, 0, sizeof(s->evtchn_pending));
    memset(s->evtchn_mask, 0, sizeof(s->evtchn_mask));
    s->vcpu_info[1].evtchn_pending_sel = 0;
    s->vcpu_info[1].evtchn_upcall_pending = 0;
    expected = *s;
    for (unsigned int i = 0; i < ALL_PORTS; i++)
        ck_assert_int_eq(send(1, bind_ipi(1, 1)), 0);
    memset(expected.evtchn_pending, 0xff, sizeof(expected.evtchn_pending));
    expected.evtchn_pending[0] &= ~1ul;
    expected.vcpu_info[1].evtchn_pending_sel = ~0ul;
    expected.vcpu_info[1].evtchn_upcall_pending = 1;
    ck_assert_mem_eq(s, &expected, sizeof(expected));
    for (unsigned int i = 0; i < 64; i++) {
        ck_assert_uint_eq(page->before[i], 0x5a5a5a5a5a5a5a5a);
        ck_assert_uint_eq(page->after[i], 0x5a5a5a5a5a5a5a5a);
    }
}
END_TEST

START_TEST(E9_allocation_failures)
{
    for (unsigned int i = 0; i < EVTCHN_PER_BUCKET - 1; i++)
        ck_assert_int_gt(alloc_port(1, 2), 0);
    pages_left = 0;
    ck_assert_int_eq(alloc_port(1, 2), -ENOMEM);
    ck_assert_int_eq(bind_ipi(1, 0), -ENOMEM);
    ck_assert_int_eq(bind_virq(1, VIRQ_TIMER, 0), -ENOMEM);
    ck_assert_int_eq(bind_port(1, 2, alloc_port(2, 1)), -ENOMEM);
    ck_assert_uint_eq(world_audit(), 0);
    check_refused(EVTCHN_PER_BUCKET, -EINVAL);
    pages_left = -1;
    ck_assert_int_eq(bind_virq(1, VIRQ_TIMER, 0), EVTCHN_PER_BUCKET);
    ck_assert_int_eq(bind_port(1, 2, 1), EVTCHN_PER_BUCKET + 1);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(E9_no_memory_for_the_first_bucket)
{
    struct evtchn_domain d = { .shared = shared(1) };

    pages_left = 0;
    ck_assert_int_eq(evtchn_domain_init(&d), -ENOMEM);
    ck_assert(evtchn_domain_destroy(&d, ~0u));
    evtchn_domain_free(&d);
}
END_TEST

START_TEST(E10_virq_without_ports_left)
{
    int other = bind_virq(2, VIRQ_TIMER, 0), own = bind_virq(1, VIRQ_TIMER, 0);

    alloc_all(1);
    for (unsigned int i = 0; i < 1000; i++) {
        ck_assert_int_eq(bind_virq(1, VIRQ_DEBUG, 0), -ENOSPC);
        ck_assert_int_eq(bind_virq(1, VIRQ_TIMER, 1), -ENOSPC);
    }
    evtchn_send_virq(&world[2].vcpu[0], VIRQ_TIMER);
    evtchn_send_virq(&world[1].vcpu[0], VIRQ_TIMER);
    ck_assert(is_pending(2, other) && upcall(2, 0));
    ck_assert(is_pending(1, own) && upcall(1, 0));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* ---- What the control tool is shown. ---- */

/* ---- Two ports are locked by address: whoever waits for the first of them
 * does not have the second.  The wait itself is where the test looks. ---- */

static struct evtchn *first, *second;
static unsigned int waits;
static bool had_second;
static void (*on_relax)(void);

void spin_relax(void)
{
    if (on_relax != NULL)
        on_relax();
}

/* The other CPU, which has the first, wants the second and then lets go. */
static void look_and_let_go(void)
{
    waits++;
    had_second |= spin_is_locked(&second->lock);
    spin_unlock(&first->lock);
    on_relax = NULL;
}

static void hold_first(struct evtchn *a, struct evtchn *b)
{
    first = a < b ? a : b;
    second = a < b ? b : a;
    waits = 0;
    had_second = false;
    on_relax = look_and_let_go;
    spin_lock(&first->lock);
}

START_TEST(E11_close_locks_two_ports_by_address)
{
    int port[3] = { 0, alloc_port(1, 2), 0 };
    struct evtchn *end[3];
    unsigned int owner;

    port[2] = bind_port(2, 1, port[1]);
    for (unsigned int n = 1; n <= 2; n++)
        end[n] = evtchn_lookup(dom(n), (uint32_t)port[n]);
    hold_first(end[1], end[2]);
    owner = second == end[1] ? 1 : 2;
    ck_assert_int_eq(evtchn_close(dom(owner), (uint32_t)port[owner]), 0);
    ck_assert_uint_eq(waits, 1);
    ck_assert(!had_second);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* From either side, so that each order of address and part is there. */
START_TEST(E11_bind_locks_two_ports_by_address)
{
    for (unsigned int n = 1; n <= 2; n++) {
        int remote = alloc_port(n, 3 - n), own = alloc_port(3 - n, n);
        struct evtchn *end = evtchn_lookup(dom(3 - n), (uint32_t)own);

        evtchn_close(dom(3 - n), (uint32_t)own); /* it is the next to be had */
        hold_first(end, evtchn_lookup(dom(n), (uint32_t)remote));
        ck_assert_int_eq(bind_port(3 - n, n, remote), own);
        ck_assert_uint_eq(waits, 1);
        ck_assert(!had_second);
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(counters_say_what_became_of_each_send)
{
    struct belfry_channel c;
    int a, b;

    connect(&a, &b);
    send(1, a); /* at once */
    send(1, a); /* coalesced */
    take(2, b);
    mask(2, b);
    send(1, a); /* masked, found by unmask */
    c = info(2, b);
    ck_assert_uint_eq(c.delivered, 2); /* bind's and the first */
    ck_assert_uint_ne(c.pending_since, 0);
    ck_assert_uint_eq(c.pending_since, c.last_sent);
    ck_assert_uint_lt(c.last_delivered, c.last_sent);
    evtchn_unmask(dom(2), (uint32_t)b);
    take(2, b);
    mask(2, b);
    send(1, a); /* masked, and nobody looks */
    take(2, b);
    c = info(2, b);
    ck_assert_uint_eq(c.sent, 5);
    ck_assert_uint_eq(c.coalesced, 1);
    ck_assert_uint_eq(c.delivered, 3);
    ck_assert_uint_eq(c.dropped, 0);
    ck_assert_uint_eq(c.pending_since, 0);
    ck_assert_uint_ge(c.last_sent, c.last_delivered);
    ck_assert_uint_eq(info(1, a).sent, 0);
}
END_TEST

/* What was delivered once is not counted again when the guest masks the port
 * before it looks and unmasks it after. */
START_TEST(unmask_counts_only_what_was_not_delivered)
{
    int a, b;

    connect(&a, &b);
    send(1, a);
    mask(2, b);
    evtchn_unmask(dom(2), (uint32_t)b);
    ck_assert_uint_eq(info(2, b).delivered, 2);
}
END_TEST

START_TEST(info_shows_each_open_port_and_its_bits)
{
    struct belfry_channel c;
    uint32_t port = 0;
    int a, b, far = 0;

    for (unsigned int i = 0; i < 40; i++)
        far = bind_ipi(2, 1);
    for (int i = 1; i < far; i++)
        close_port(2, i);
    connect(&a, &b);
    mask(2, b);
    send(1, a);
    send(2, far);
    ck_assert(evtchn_info(dom(2), &port, &c));
    ck_assert_uint_eq(port, b);
    ck_assert_uint_eq(c.state, BELFRY_PORT_INTERDOMAIN);
    ck_assert_uint_eq(c.remote_id, DOM_ID(1));
    ck_assert_uint_eq(c.remote_port, a);
    ck_assert_uint_eq(c.remote_generation, 101);
    ck_assert(c.pending && c.masked && !c.selector && !c.upcall_pending);
    port++;
    ck_assert(evtchn_info(dom(2), &port, &c));
    ck_assert_uint_eq(port, far);
    ck_assert_uint_eq(c.state, BELFRY_PORT_IPI);
    ck_assert_uint_eq(c.vcpu, 1);
    ck_assert(c.pending && !c.masked && c.selector && c.upcall_pending);
    port++;
    ck_assert(!evtchn_info(dom(2), &port, &c));
    port = ~0u;
    ck_assert(!evtchn_info(dom(2), &port, &c));
}
END_TEST

START_TEST(totals_outlive_the_ports)
{
    uint64_t sent, received;
    int a, b;

    connect(&a, &b);
    send(1, a);
    send(1, a);
    send(2, b);
    evtchn_totals(dom(2), &sent, &received);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(received, 3); /* one is bind's */
    close_port(2, b);
    evtchn_totals(dom(2), &sent, &received);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(received, 3);
    evtchn_totals(dom(1), &sent, &received);
    ck_assert_uint_eq(sent, 2);
    ck_assert_uint_eq(received, 1);
}
END_TEST

/* An audit that finds nothing proves nothing, unless it can find. */
START_TEST(the_audit_finds_what_is_wrong)
{
    int a, b, virq = bind_virq(1, VIRQ_TIMER, 1);
    struct evtchn *ea, *eb, *ev;

    connect(&a, &b);
    ea = evtchn_lookup(dom(1), (uint32_t)a);
    eb = evtchn_lookup(dom(2), (uint32_t)b);
    ev = evtchn_lookup(dom(1), (uint32_t)virq);
    ck_assert_uint_eq(world_audit(), 0);
#define FINDS(lvalue, wrong)                                                   \
    do {                                                                       \
        __typeof__(lvalue) right = (lvalue);                                   \
        (lvalue) = (wrong);                                                    \
        ck_assert_msg(world_audit() != 0, "%s = %s", #lvalue, #wrong);         \
        (lvalue) = right;                                                      \
        ck_assert_uint_eq(world_audit(), 0);                                   \
    } while (0)
    FINDS(ea->state, EVTCHN_FREE);
    FINDS(ea->state, EVTCHN_RESERVED);
    FINDS(ea->port, 9);
    FINDS(ea->vcpu, NR_VCPUS);
    FINDS(ea->lock.held, 1);
    FINDS(ea->u.remote.port, evtchn_lookup(dom(2), 5));
    FINDS(ea->u.remote.generation, 7);
    FINDS(eb->u.remote.domain, dom(3));
    FINDS(ev->u.virq, VIRQ_DEBUG);
    FINDS(ev->vcpu, 2);
    FINDS(ev->state, EVTCHN_IPI);
    FINDS(world[1].vcpu[1].virq_port[VIRQ_TIMER], 0);
    FINDS(dom(1)->global_virq_port[VIRQ_CONSOLE], 5000);
    FINDS(dom(1)->next_hint, 20);
    FINDS(dom(1)->nr_polling, 1);
#undef FINDS
}
END_TEST

START_TEST(a_refusal_says_why)
{
    last_reason = NULL;
    ck_assert_int_eq(send(1, 77), -EINVAL);
    ck_assert_ptr_nonnull(last_reason);
    ck_assert_uint_eq(last_number, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, world_begin, world_end);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_send_sets_pending_selector_and_upcall_and_wakes);
    tcase_add_test(tests, a_second_send_coalesces);
    tcase_add_test(tests, the_selector_bit_is_that_of_the_word);
    tcase_add_test(tests, a_masked_port_becomes_pending_and_no_more);
    tcase_add_test(tests, unmask_raises_what_became_pending_while_masked);
    tcase_add_test(tests, unmask_of_a_quiet_port_raises_nothing);
    tcase_add_test(tests, a_vcpu_is_woken_once_until_it_takes_the_upcall);
    tcase_add_test(tests, an_event_goes_to_the_vcpu_it_is_bound_to);
    tcase_add_test(tests, an_ipi_rings_its_own_domain);
    tcase_add_test(tests, a_poller_is_woken_though_the_port_is_masked);
    tcase_add_test(tests, a_poller_of_another_port_sleeps_on);
    tcase_add_test(tests, an_upcall_ends_the_poll_of_its_vcpu);
    tcase_add_test(tests, the_lowest_free_port_is_taken);
    tcase_add_test(tests, alloc_on_behalf_of_others_is_for_the_privileged);
    tcase_add_test(tests, self_as_remote_is_the_caller_also_for_others_ports);
    tcase_add_test(tests, bind_leaves_the_local_port_pending);
    tcase_add_test(tests, bind_needs_a_port_that_waits_for_the_binder);
    tcase_add_test(tests, a_channel_may_loop_back_to_its_own_domain);
    tcase_add_test(tests, a_free_port_cannot_be_bound_to_itself);
    tcase_add_test(tests, close_leaves_the_peer_waiting_for_the_closer);
    tcase_add_test(tests, close_clears_pending_and_the_vcpu);
    tcase_add_test(tests, status_of_every_state);
    tcase_add_test(tests, status_of_others_is_for_the_privileged);
    tcase_add_test(tests, an_alloc_that_nobody_heard_of_can_be_undone);
    tcase_add_test(tests, bind_virq_errors_are_those_of_xen);
    tcase_add_test(tests, a_vcpus_virq_rings_its_own_port_alone);
    tcase_add_test(tests, a_virq_rings_no_port_that_is_not_its_own);
    tcase_add_test(tests, a_global_virq_follows_bind_vcpu_and_ends_with_close);
    tcase_add_test(tests, nothing_can_be_sent_on_a_virq);
    tcase_add_test(tests, bind_vcpu_moves_only_what_may_move);
    tcase_add_test(tests, E1_unallocated_ports);
    tcase_add_test(tests, E2_allocation_beyond_the_limit);
    tcase_add_test(tests, E6_destroy_in_steps);
    tcase_add_test(tests, E8_only_event_words_are_written);
    tcase_add_test(tests, E9_allocation_failures);
    tcase_add_test(tests, E9_no_memory_for_the_first_bucket);
    tcase_add_test(tests, E10_virq_without_ports_left);
    tcase_add_test(tests, E14_only_open_ports_can_be_polled);
    tcase_add_test(tests, E11_close_locks_two_ports_by_address);
    tcase_add_test(tests, E11_bind_locks_two_ports_by_address);
    tcase_add_test(tests, counters_say_what_became_of_each_send);
    tcase_add_test(tests, unmask_counts_only_what_was_not_delivered);
    tcase_add_test(tests, info_shows_each_open_port_and_its_bits);
    tcase_add_test(tests, totals_outlive_the_ports);
    tcase_add_test(tests, the_audit_finds_what_is_wrong);
    tcase_add_test(tests, a_refusal_says_why);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
