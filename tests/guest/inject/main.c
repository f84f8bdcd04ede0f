/*
 * Defends: the injector (BELFRYOP_inject) ends a domain at exactly the step
 * that it was told, of all steps that there are, and the same life has the
 * same steps each time.
 *
 * The victim's life ends with ROUNDS rounds of a named point and of a call
 * that makes a port, and with its shutdown.  Counted from the end, it is
 * known at which step how many ports are there.
 */
#include "tests/guest/parent.h"

#include <xen/version.h>

#define ROUNDS      3u
#define ROUND_STEPS 3u /* the point, the call's entry, its return */
#define TAIL        (ROUNDS * ROUND_STEPS + 1) /* the last is the shutdown's */
#define TIMEOUT     5000000000

/* ---- The victim. ---- */

/* Rows of a multicall are the one call. */
static void call_several(void)
{
    struct multicall_entry calls[3] = { 0 };

    for (unsigned int i = 0; i < 3; i++) {
        calls[i].op = __HYPERVISOR_xen_version;
        calls[i].args[0] = XENVER_version;
    }
    BUG_ON(hypercall_multicall(calls, 3) != 0);
}

_Noreturn static void end(void)
{
    struct sched_shutdown shutdown = { .reason = SHUTDOWN_poweroff };

    for (;;)
        hypercall_sched_op(SCHEDOP_shutdown, &shutdown);
}

_Noreturn static void victim_main(void)
{
    struct belfry_inject own = BELFRY_ARG(belfry_inject, .id = guest.domid);
    evtchn_port_t port;

    BUG_ON(hypercall_belfry_op(BELFRYOP_inject, &own) != -EPERM);
    BUG_ON(hypercall_belfry_op(BELFRYOP_step, NULL) != 0);
    call_several();
    for (unsigned int i = 0; i < ROUNDS; i++) {
        hypercall_belfry_step(i);
        BUG_ON(event_alloc_unbound(0, &port) != 0);
    }
    end();
}

/* ---- The parent. ---- */

static unsigned int nr_ports(const struct child *c)
{
    static struct belfry_channel channel[32];
    struct belfry_channels list =
        BELFRY_ARG(belfry_channels, .id = c->id, .count = 32,
                   .channels = channel, .item_size = sizeof(channel[0]));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &list), 0);
    return list.count;
}

/* Ports of the tail that are there before its step @n. */
static unsigned int ports_before(uint64_t n)
{
    uint64_t in_round = n % ROUND_STEPS;

    return (unsigned int)(n / ROUND_STEPS) + (in_round == 2);
}

struct life {
    struct belfry_domain end;
    uint64_t steps;
    unsigned int ports;
};

/* One whole life, with its end at this step. */
static bool live(uint64_t kill_at, struct life *life)
{
    struct child c;
    bool ended = false;

    if (!child_create(&c, "victim"))
        return false;
    CHECK_EQ(domain_inject(c.id, c.generation, kill_at), 0);
    domain_control(c.id, c.generation, BELFRY_CONTROL_UNPAUSE);
    if (CHECK(child_wait(&c, TIMEOUT, &life->end))) {
        ended = true;
        life->ports = nr_ports(&c);
        life->steps = domain_inject(c.id, c.generation, BELFRY_INJECT_NEVER);
    }
    child_destroy(&c);
    return ended;
}

static void check_kill(uint64_t n, const struct life *whole)
{
    uint64_t tail = whole->steps - TAIL;
    uint64_t before = machine_free_pages();
    struct life life;
    char text[96];

    if (!live(n, &life))
        return;
    CHECK_EQ(life.end.reason, SHUTDOWN_crash);
    CHECK_EQ(life.end.crash_vector, 0xffffffff);
    format_string(text, sizeof(text), "killed by the injector before step %lu",
                  n);
    CHECK_EQ(strcmp(life.end.crash_text, text), 0);
    CHECK_EQ(life.steps, n + 1);
    if (n >= tail)
        CHECK_EQ(life.ports, whole->ports - ROUNDS + ports_before(n - tail));
    CHECK_EQ(machine_free_pages(), before);
}

/* All of the tail, and some of what the runtime does before it. */
static void check_kills(const struct life *whole)
{
    uint64_t tail = whole->steps - TAIL;

    for (uint64_t n = 0; n < tail; n += n < 8 ? 1 : 1 + tail / 12)
        check_kill(n, whole);
    for (uint64_t n = tail; n < whole->steps; n++)
        check_kill(n, whole);
    check_audit("after the kills");
}

static void check_counts(const struct life *whole)
{
    struct life again;

    for (unsigned int i = 0; i < 3; i++)
        if (live(BELFRY_INJECT_NEVER, &again))
            CHECK_EQ(again.steps, whole->steps);
    if (live(whole->steps, &again)) /* a step beyond the last */
        CHECK_EQ(again.end.reason, SHUTDOWN_poweroff);
}

static void check_errors(void)
{
    struct belfry_inject a = BELFRY_ARG(belfry_inject, .id = guest.domid);
    struct child c;

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_inject, &a), -EINVAL);
    a.id = 4711;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_inject, &a), -ESRCH);
    if (!child_create(&c, "victim"))
        return;
    a.id = c.id;
    a.generation = c.generation + 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_inject, &a), -ESRCH);
    a.generation = c.generation;
    a.reserved = 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_inject, &a), -EINVAL);
    child_destroy(&c);
    hypercall_belfry_step(0); /* nobody counts ours */
}

int guest_main(void)
{
    struct belfry_version version = BELFRY_ARG(belfry_version);
    struct life whole;

    if (!guest.initial)
        victim_main();
    test_needs_belfry("inject");
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_version, &version), 0);
    CHECK(version.capabilities & BELFRY_CAP_INJECT);
    check_errors();
    child_rehearse("victim");
    if (live(BELFRY_INJECT_NEVER, &whole)) {
        CHECK_EQ(whole.end.reason, SHUTDOWN_poweroff);
        printf("a life has %lu steps\n", whole.steps);
        check_counts(&whole);
        check_kills(&whole);
    }
    test_end("inject");
}
