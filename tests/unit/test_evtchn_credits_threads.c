/*
 * Credits between threads, every thread a CPU, one of them with the timers:
 * no ring is lost while its limit changes, the port moves or the timer
 * expires, and no race with a close or a death leaves a limit or a timer that
 * is nobody's.
 */
#include <check.h>
#include <pthread.h>

#include "evtchn_world.h"

#define EVENTS 20000u
#define OPS    100000u
#define PORTS  6u /* more would seldom meet */

static int port_a, port_b;
static uint32_t produced, consumed;
static bool stop;

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void limit(unsigned int n, int port, uint32_t credits, uint64_t interval)
{
    struct belfry_port op = { .port = (uint32_t)port,
                              .set = BELFRY_PORT_SET_CREDITS,
                              .credits = credits,
                              .interval = interval };
    struct evtchn_vcpu *vcpu;
    uint16_t origin;

    evtchn_port_op(dom(n), &op, &origin, &vcpu);
}

static void run(void *(*function[4])(void *))
{
    pthread_t thread[4];

    stop = false;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, function[i], NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

/* The CPU that the timers are on. */
static void *tick(void *unused)
{
    (void)unused;
    while (!read_once(&stop)) {
        pass(10);
        sched_yield();
    }
    return NULL;
}

/* ---- One ring at a time: the first that is lost stops all. ---- */

static void *produce(void *unused)
{
    (void)unused;
    for (unsigned int i = 0; i < EVENTS; i++) {
        uint32_t turns = 0;

        atomic_add_return(&produced, 1);
        send(1, port_a);
        while (load_acquire(&consumed) != produced && ++turns < 1000000)
            sched_yield();
        if (load_acquire(&consumed) != produced)
            break;
    }
    write_once(&stop, true);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    while (!read_once(&stop)) {
        if (is_pending(2, port_b)) {
            take(2, port_b);
            store_release(&consumed, load_acquire(&produced));
        } else {
            sched_yield();
        }
    }
    return NULL;
}

/* The owner changes its mind all the time. */
static void *change(void *unused)
{
    uint32_t seed = 3;

    (void)unused;
    while (!read_once(&stop)) {
        limit(2, port_b, random_next(&seed) % 3, 1 + random_next(&seed) % 64);
        evtchn_bind_vcpu(dom(2), (uint32_t)port_b,
                         random_next(&seed) % NR_VCPUS);
        for (uint32_t i = random_next(&seed) % 16; i > 0; i--)
            sched_yield();
    }
    return NULL;
}

START_TEST(no_ring_is_lost_while_the_limit_changes)
{
    port_a = alloc_port(1, 2);
    port_b = bind_port(2, 1, port_a);
    handle_all(2);
    produced = consumed = 0;
    run((void *(*[])(void *)){ produce, consume, change, tick });
    ck_assert_uint_eq(produced, EVENTS);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* ---- Everything at once, on few ports, from all sides. ---- */

static void random_op(unsigned int self, unsigned int peer, uint32_t *seed)
{
    uint32_t r = random_next(seed);
    int port = (int)(r / 16 % PORTS) + 1;

    switch (r % 16) {
    case 0:
        alloc_port(self, peer);
        break;
    case 1:
    case 2:
        bind_port(self, peer, port);
        break;
    case 3:
        close_port(self, port);
        break;
    case 4:
    case 5:
    case 6:
        limit(self, port, r % 3, 1 + r % 64);
        break;
    case 7:
        evtchn_bind_vcpu(dom(self), (uint32_t)port, r % NR_VCPUS);
        break;
    default:
        send(self, port);
        break;
    }
    if (r % 8 == 0)
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
    while (!read_once(&stop))
        random_op(2, 1, &seed);
    return NULL;
}

/* Another vCPU of domain 1, and the control tool. */
static void *disturb(void *unused)
{
    struct belfry_channel c;
    uint32_t seed = 33;

    (void)unused;
    while (!read_once(&stop)) {
        random_op(1, 2, &seed);
        for (uint32_t port = 0; evtchn_info(dom(2), &port, &c); port++)
            ;
    }
    return NULL;
}

START_TEST(limits_come_and_go_from_all_sides)
{
    run((void *(*[])(void *)){ act_as_1, act_as_2, disturb, tick });
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

static void *die(void *unused)
{
    uint32_t seed = 44;

    (void)unused;
    for (unsigned int i = 0; i < 2000; i++)
        random_op(1, 2, &seed);
    while (!evtchn_domain_destroy(dom(1), 1))
        ;
    write_once(&stop, true);
    return NULL;
}

static void *idle(void *unused)
{
    return unused;
}

START_TEST(a_domain_with_limits_dies_among_its_peers)
{
    run((void *(*[])(void *)){ die, act_as_2, idle, tick });
    for (uint32_t i = 0; i < BELFRY_LIMITS && dom(1)->limits != NULL; i++)
        ck_assert_ptr_null(dom(1)->limits[i].chn);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn_credits_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, world_begin, world_end);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, no_ring_is_lost_while_the_limit_changes);
    tcase_add_test(tests, limits_come_and_go_from_all_sides);
    tcase_add_test(tests, a_domain_with_limits_dies_among_its_peers);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
