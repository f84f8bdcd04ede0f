/*
 * Event channels between threads: every thread is a CPU.  No wake-up is
 * lost, no race of send, unmask, bind and close leaves a port that the audit
 * would not pass, and (under TSan) nothing is shared without an order.
 */
#include <check.h>
#include <pthread.h>

#include "hv/abi/belfry.h"
#include "bell.h"
#include "evtchn_world.h"

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void run(void *(*a)(void *), void *(*b)(void *), void *(*c)(void *))
{
    void *(*function[])(void *) = { a, b, c };
    pthread_t thread[3];

    for (int i = 0; i < 3; i++)
        if (function[i] != NULL)
            pthread_create(&thread[i], NULL, function[i], NULL);
    for (int i = 0; i < 3; i++)
        if (function[i] != NULL)
            pthread_join(thread[i], NULL);
}

static bool stop;

/* ---- A consumer that really sleeps. ---- */

#define EVENTS 100000u

static struct bell bell;
static int port_a, port_b;
static uint32_t produced, consumed;
static const char *wrong;

static void ring_bell(struct evtchn_vcpu *v)
{
    if (v->domain == dom(2))
        bell_ring(&bell);
}

static void connect(void)
{
    port_a = alloc_port(1, 2);
    port_b = bind_port(2, 1, port_a);
    handle_all(2);
    bell.pending = 0;
    produced = consumed = 0;
    wrong = NULL;
    stop = false;
    on_wake = ring_bell;
}

/* One at a time: what the peer has not seen is not sent again, so that one
 * lost wake-up stops both. */
static void *produce(void *unused)
{
    (void)unused;
    while (produced < EVENTS && !read_once(&wrong)) {
        atomic_add_return(&produced, 1);
        send(1, port_a);
        while (load_acquire(&consumed) != produced && !read_once(&wrong))
            sched_yield();
    }
    return NULL;
}

/* The loop of a guest's handler.  Returns when it has found nothing more. */
static void handle_upcalls(void)
{
    while (upcall(2, 0))
        if (selector(2, 0) & 1)
            if (is_pending(2, port_b)) {
                take(2, port_b);
                store_release(&consumed, load_acquire(&produced));
            }
}

/* Sometimes the port is masked for a while, as when a handler is busy. */
static void *consume(void *unused)
{
    uint32_t seed = 1;

    (void)unused;
    while (consumed < EVENTS) {
        bool masked = random_next(&seed) % 4 == 0;

        if (masked)
            mask(2, port_b);
        handle_upcalls();
        if (masked)
            evtchn_unmask(dom(2), (uint32_t)port_b);
        /* Block: not if an upcall is due, and else until one is raised. */
        if (!evtchn_upcall_due(&world[2].vcpu[0]) && consumed < EVENTS &&
            !bell_wait(&bell)) {
            write_once(&wrong, "a wake-up was lost");
            return NULL;
        }
    }
    return NULL;
}

START_TEST(no_upcall_is_lost)
{
    connect();
    run(produce, consume, NULL);
    ck_assert_msg(wrong == NULL, "%s at %u", wrong, consumed);
    ck_assert_uint_eq(consumed, EVENTS);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

static void *poll_and_consume(void *unused)
{
    (void)unused;
    while (consumed < EVENTS) {
        struct evtchn_vcpu *v = &world[2].vcpu[1];

        evtchn_poll_begin(v, (uint32_t)port_b);
        if (evtchn_is_pending(dom(2), (uint32_t)port_b)) {
            evtchn_poll_end(v);
        } else if (!bell_wait(&bell)) {
            write_once(&wrong, "a polled event was lost");
            return NULL;
        }
        if (is_pending(2, port_b)) {
            take(2, port_b);
            store_release(&consumed, load_acquire(&produced));
        }
    }
    return NULL;
}

START_TEST(no_polled_event_is_lost)
{
    connect();
    mask(2, port_b);
    run(produce, poll_and_consume, NULL);
    ck_assert_msg(wrong == NULL, "%s at %u", wrong, consumed);
    ck_assert_uint_eq(dom(2)->nr_polling, 0);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* ---- One send against one unmask, at the same moment. ---- */

#define ROUNDS 50000u

static uint32_t arrived;

/* Both threads leave at the same time, give or take @delay turns. */
static void meet(uint32_t turn, uint32_t delay)
{
    uint32_t spins = 0;

    atomic_add_return(&arrived, 1);
    while (load_acquire(&arrived) < 2 * turn)
        if (++spins % 4096 == 0)
            sched_yield();
    for (uint32_t i = 0; i < delay; i++)
        (void)read_once(&stop);
}

static void *send_in_turns(void *unused)
{
    uint32_t seed = 5;

    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        meet(2 * i + 1, random_next(&seed) % 64);
        send(1, port_a);
        meet(2 * i + 2, 0);
    }
    return NULL;
}

static void *unmask_in_turns(void *unused)
{
    uint32_t seed = 6;

    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        mask(2, port_b);
        meet(2 * i + 1, random_next(&seed) % 64);
        evtchn_unmask(dom(2), (uint32_t)port_b);
        meet(2 * i + 2, 0);
        if (!upcall(2, 0) || selector(2, 0) != 1 || !is_pending(2, port_b))
            write_once(&wrong, "an edge was lost");
        take(2, port_b);
    }
    return NULL;
}

START_TEST(send_and_unmask_lose_no_edge_between_them)
{
    struct belfry_channel c;
    uint32_t port;

    connect();
    arrived = 0;
    run(send_in_turns, unmask_in_turns, NULL);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    port = (uint32_t)port_b;
    ck_assert(evtchn_info(dom(2), &port, &c));
    ck_assert_uint_eq(c.sent, ROUNDS + 1);
    ck_assert_uint_eq(c.delivered, ROUNDS + 1);
}
END_TEST

/* ---- Both ends are closed at the same moment. ---- */

static void *close_a_in_turns(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        port_a = alloc_port(1, 2);
        port_b = bind_port(2, 1, port_a);
        meet(2 * i + 1, 0);
        if (close_port(1, port_a) != 0)
            write_once(&wrong, "one end was closed by the other");
        meet(2 * i + 2, 0);
    }
    return NULL;
}

static void *close_b_in_turns(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        meet(2 * i + 1, 0);
        if (close_port(2, port_b) != 0)
            write_once(&wrong, "one end was closed by the other");
        meet(2 * i + 2, 0);
    }
    return NULL;
}

START_TEST(E11_both_ends_may_be_closed_at_once)
{
    wrong = NULL;
    arrived = 0;
    run(close_a_in_turns, close_b_in_turns, NULL);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* ---- Counters while everything happens. ---- */

static void *send_many(void *unused)
{
    (void)unused;
    for (unsigned int i = 0; i < EVENTS; i++)
        send(1, port_a);
    write_once(&stop, true);
    return NULL;
}

static void *unmask_many(void *unused)
{
    (void)unused;
    while (!read_once(&stop)) {
        mask(2, port_b);
        take(2, port_b);
        evtchn_unmask(dom(2), (uint32_t)port_b);
        take(2, port_b);
    }
    return NULL;
}

static void *look_many(void *unused)
{
    struct belfry_channel c = { .sent = 0 };
    uint64_t sent, received;

    (void)unused;
    while (!read_once(&stop)) {
        uint32_t port = (uint32_t)port_b;

        evtchn_info(dom(2), &port, &c);
        if (c.delivered + c.coalesced > c.sent)
            write_once(&wrong, "more was delivered than sent");
        evtchn_totals(dom(2), &sent, &received);
        if (received < c.sent)
            write_once(&wrong, "the totals lag");
    }
    return NULL;
}

START_TEST(counters_agree_at_any_moment)
{
    struct belfry_channel c;
    uint32_t port;

    connect();
    run(send_many, unmask_many, look_many);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    evtchn_unmask(dom(2), (uint32_t)port_b);
    port = (uint32_t)port_b;
    ck_assert(evtchn_info(dom(2), &port, &c));
    ck_assert_uint_eq(c.sent, EVENTS + 1);
    ck_assert_uint_le(c.delivered + c.coalesced, c.sent);
}
END_TEST

/* ---- E3, E4: looking ports up while they come into being. ---- */

static int newest; /* highest port that alloc has returned */

static void *alloc_all(void *unused)
{
    int port;

    (void)unused;
    while ((port = alloc_port(1, 2)) > 0)
        store_release(&newest, port);
    write_once(&stop, true);
    return NULL;
}

/* The next port: not there, closed or unbound, and never garbage. */
static void *probe_next(void *unused)
{
    (void)unused;
    while (!read_once(&stop)) {
        struct evtchn_status op = { .dom = DOMID_SELF };
        int rc;

        op.port = (uint32_t)load_acquire(&newest) + 1;
        rc = evtchn_status(dom(1), &op);
        if (rc != 0 && rc != -EINVAL)
            write_once(&wrong, "status gave another error");
        if (rc == 0 && op.status != EVTCHNSTAT_closed &&
            op.status != EVTCHNSTAT_unbound)
            write_once(&wrong, "a new port was garbage");
        rc = send(1, (int)op.port);
        if (rc != 0 && rc != -EINVAL)
            write_once(&wrong, "send gave another error");
    }
    return NULL;
}

START_TEST(E4_a_bucket_is_whole_when_it_is_seen)
{
    newest = 0;
    stop = false;
    wrong = NULL;
    run(alloc_all, probe_next, probe_next);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    ck_assert_int_eq(newest, EVTCHN_MAX_PORTS - 1);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

static void *alloc_and_close_at_the_limit(void *unused)
{
    (void)unused;
    for (unsigned int i = 0; i < EVENTS; i++) {
        int port = alloc_port(1, 2);

        if (port <= 0 || close_port(1, port) != 0)
            write_once(&wrong, "the last port was lost");
    }
    write_once(&stop, true);
    return NULL;
}

static void *probe_last(void *unused)
{
    (void)unused;
    newest = EVTCHN_MAX_PORTS - 2;
    return probe_next(NULL);
}

START_TEST(E3_a_port_once_valid_stays_so)
{
    wrong = NULL;
    alloc_all(NULL);
    close_port(1, EVTCHN_MAX_PORTS - 1);
    stop = false;
    run(alloc_and_close_at_the_limit, probe_last, NULL);
    ck_assert_msg(wrong == NULL, "%s", wrong);
}
END_TEST

/* ---- E11: everything at once, on few ports, from all sides. ---- */

#define OPS   200000u
#define PORTS 6u /* more would seldom meet */

static void random_op(unsigned int self, unsigned int peer, uint32_t *seed)
{
    uint32_t r = random_next(seed);
    int port = (int)(r / 16 % PORTS) + 1;

    switch (r % 16) {
    case 0:
    case 1:
        alloc_port(self, peer);
        break;
    case 2:
    case 3:
    case 4:
        bind_port(self, peer, port);
        break;
    case 5:
    case 6:
        close_port(self, port);
        break;
    case 7:
        alloc_port(self, self);
        break;
    case 8:
        bind_port(self, self, port);
        break;
    case 9:
        evtchn_bind_vcpu(dom(self), (uint32_t)port, r % NR_VCPUS);
        break;
    case 10:
        mask(self, port);
        evtchn_unmask(dom(self), (uint32_t)port);
        break;
    case 11:
        bind_virq(self, VIRQ_TIMER, r % NR_VCPUS);
        break;
    default:
        send(self, port);
        break;
    }
    if (r % 64 == 0)
        handle_all(self);
}

static void *act_as_1(void *unused)
{
    uint32_t seed = 11;

    (void)unused;
    for (unsigned int i = 0; i < OPS; i++)
        random_op(1, 2, &seed);
    write_once(&stop, true);
    return NULL;
}

static void *act_as_2(void *unused)
{
    uint32_t seed = 22;

    (void)unused;
    for (unsigned int i = 0; i < OPS; i++)
        random_op(2, 1, &seed);
    return NULL;
}

/* The timer of domain 1's vCPUs, its second vCPU, and the control tool. */
static void *disturb(void *unused)
{
    struct belfry_channel c;
    uint32_t seed = 33;

    (void)unused;
    while (!read_once(&stop)) {
        evtchn_send_virq(&world[1].vcpu[random_next(&seed) % NR_VCPUS],
                         VIRQ_TIMER);
        random_op(1, 2, &seed);
        for (uint32_t port = 0; evtchn_info(dom(2), &port, &c); port++)
            ;
    }
    return NULL;
}

START_TEST(E11_bind_send_close_from_all_sides)
{
    stop = false;
    run(act_as_1, act_as_2, disturb);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* A domain dies while its peer goes on binding, sending and closing. */
static void *die(void *unused)
{
    uint32_t seed = 44;

    (void)unused;
    for (unsigned int i = 0; i < 2000; i++)
        random_op(1, 2, &seed);
    while (!evtchn_domain_destroy(dom(1), 1))
        ;
    return NULL;
}

START_TEST(a_domain_dies_among_its_peers)
{
    run(die, act_as_2, NULL);
    for (int port = 0; port < (int)EVTCHN_PER_BUCKET; port++)
        ck_assert(evtchn_lookup(dom(1), (uint32_t)port)->state <=
                  EVTCHN_RESERVED);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, world_begin, world_end);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, no_upcall_is_lost);
    tcase_add_test(tests, no_polled_event_is_lost);
    tcase_add_test(tests, send_and_unmask_lose_no_edge_between_them);
    tcase_add_test(tests, E11_both_ends_may_be_closed_at_once);
    tcase_add_test(tests, counters_agree_at_any_moment);
    tcase_add_test(tests, E3_a_port_once_valid_stays_so);
    tcase_add_test(tests, E4_a_bucket_is_whole_when_it_is_seen);
    tcase_add_test(tests, E11_bind_send_close_from_all_sides);
    tcase_add_test(tests, a_domain_dies_among_its_peers);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
