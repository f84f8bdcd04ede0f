/*
 * Defends: a domain runs on the CPUs that its line or `pin` names and on no
 * others, from the moment the call returns; it loses nothing on the way
 * there, and a mask without a CPU of this machine changes nothing.
 *
 * Children count as fast as they can, or between short sleeps, and keep a
 * value in a register that only a vCPU's own state can hold.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS    1000000ull
#define MOVES 300u

enum { GO_SPIN = 1, GO_NAP };

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();
    uint64_t kept = 0x5eed ^ guest.domid, seen = kept;

    meet_wait(m);
    __asm__ volatile("movq %0, %%xmm7" : : "r"(kept));
    for (;;) {
        if (m->go == GO_NAP)
            sleep_ns(100000);
        __asm__ volatile("movq %%xmm7, %0" : "=r"(seen));
        m->faults += seen != kept;
        m->beats++;
    }
}

struct player {
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
};

static struct player left, right;

static void start(struct player *p, const char *name)
{
    if (!child_start(&p->child, name) ||
        !CHECK(p->m = meet_find(p->child.id, &p->mapping)))
        test_end("affinity");
    meet_go(p->m, GO_SPIN);
}

static void stop(struct player *p)
{
    CHECK_EQ(p->m->faults, 0);
    grant_unmap(&p->mapping);
    child_destroy(&p->child);
}

static struct belfry_vcpu vcpu(const struct player *p)
{
    struct belfry_vcpu v = { .cpu = ~0u };
    struct belfry_vcpus list =
        BELFRY_ARG(belfry_vcpus, .id = p->child.id, .count = 1, .vcpus = &v,
                   .item_size = sizeof(v));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_vcpus, &list), 0);
    return v;
}

static uint64_t cpu_time(struct player *p)
{
    struct belfry_domain info;

    CHECK(domain_info(p->child.id, &info));
    return info.cpu_time;
}

static long pin(unsigned int id, uint64_t generation, uint64_t cpus)
{
    struct belfry_control control =
        BELFRY_ARG(belfry_control, .action = BELFRY_CONTROL_PIN, .id = id,
                   .generation = generation, .cpus = cpus);

    return hypercall_belfry_op(BELFRYOP_control, &control);
}

static long pin_player(const struct player *p, uint64_t cpus)
{
    return pin(p->child.id, p->child.generation, cpus);
}

/* It makes progress, and never elsewhere. */
static void check_runs_on(const struct player *p, uint64_t cpus)
{
    uint64_t before = p->m->beats, deadline = clock_now() + 2000 * MS;

    while (p->m->beats - before < 20 && clock_now() < deadline) {
        sleep_ns(MS);
        CHECK(cpus >> vcpu(p).cpu & 1);
    }
    CHECK(p->m->beats - before >= 20);
}

/* Paused, and off its CPU: its time stands still and is exact. */
static uint64_t stopped_time(struct player *p)
{
    uint64_t before, now;

    CHECK_EQ(domain_control(p->child.id, 0, BELFRY_CONTROL_PAUSE), 0);
    do {
        before = cpu_time(p);
        sleep_ns(2 * MS);
        now = cpu_time(p);
    } while (vcpu(p).state != BELFRY_VCPU_PAUSED || now != before);
    return now;
}

static void go_on(const struct player *p)
{
    CHECK_EQ(domain_control(p->child.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
}

/* What both did of a time in which one CPU could do 100. */
static uint64_t percent_of_both(void)
{
    uint64_t before = stopped_time(&left) + stopped_time(&right);
    uint64_t since = clock_now(), both;

    go_on(&left);
    go_on(&right);
    sleep_ns(200 * MS);
    both = stopped_time(&left) + stopped_time(&right) - before;
    since = clock_now() - since;
    go_on(&left);
    go_on(&right);
    return both * 100 / since;
}

static void lines_are_obeyed(void)
{
    CHECK_EQ(vcpu(&left).cpus, 1);
    CHECK_EQ(vcpu(&right).cpus, 2);
    check_runs_on(&left, 1);
    check_runs_on(&right, 2);
    CHECK(percent_of_both() > 130);
}

static void two_share_one(void)
{
    for (uint64_t cpus = 1; cpus <= 2; cpus++) {
        CHECK_EQ(pin_player(&left, cpus), 0);
        CHECK_EQ(pin_player(&right, cpus), 0);
        CHECK_EQ(vcpu(&left).cpus, cpus);
        CHECK(percent_of_both() <= 100);
        check_runs_on(&left, cpus);
        check_runs_on(&right, cpus);
    }
    CHECK_EQ(pin_player(&left, 1), 0);
    CHECK(percent_of_both() > 130);
}

static void refusals_change_nothing(void)
{
    const struct child *c = &left.child;

    CHECK_EQ(pin_player(&left, 1), 0);
    CHECK_EQ(pin_player(&left, 0), -EINVAL);
    CHECK_EQ(pin_player(&left, ~3ull), -EINVAL);
    CHECK_EQ(pin(c->id, c->generation + 1, 2), -ESRCH);
    CHECK_EQ(pin(guest.domid, 0, 2), -EINVAL);
    CHECK_EQ(vcpu(&left).cpus, 1);
    check_runs_on(&left, 1);
    CHECK_EQ(pin_player(&left, ~1ull), 0); /* some of these are here */
    CHECK_EQ(vcpu(&left).cpus, 2);
    check_runs_on(&left, 2);
}

static void paused_and_asleep(void)
{
    const struct child *c = &left.child;

    CHECK_EQ(domain_control(c->id, 0, BELFRY_CONTROL_PAUSE), 0);
    CHECK_EQ(pin_player(&left, 1), 0);
    CHECK_EQ(vcpu(&left).state, BELFRY_VCPU_PAUSED);
    CHECK_EQ(domain_control(c->id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    check_runs_on(&left, 1);
    meet_go(left.m, GO_NAP);
    for (uint64_t i = 0; i < 20; i++) {
        CHECK_EQ(pin_player(&left, 1 + i % 2), 0);
        check_runs_on(&left, 1 + i % 2);
    }
}

/* Again and again, at all moments of a life of spinning and of naps. */
static void many_moves(void)
{
    for (unsigned int i = 0; i < MOVES; i++) {
        uint64_t cpus = 1 + random_below(3);

        meet_go(left.m, 1 + random_below(2));
        CHECK_EQ(pin_player(&left, cpus), 0);
        CHECK_EQ(pin_player(&right, 1 + random_below(3)), 0);
        CHECK(cpus >> vcpu(&left).cpu & 1);
        if (i % 2)
            sleep_ns(random_below(300000));
        CHECK(cpus >> vcpu(&left).cpu & 1);
    }
    CHECK_EQ(pin_player(&right, 3), 0);
    check_runs_on(&left, 3);
    check_runs_on(&right, 3);
}

int guest_main(void)
{
    struct belfry_machine machine;
    uint64_t before;

    if (!guest.initial)
        child_main();
    test_needs_belfry("affinity");
    machine_info(&machine);
    if (!CHECK_EQ(machine.nr_cpus, 2))
        test_end("affinity");
    child_rehearse("left");
    before = machine_free_pages();
    start(&left, "left");
    start(&right, "right");
    lines_are_obeyed();
    two_share_one();
    refusals_change_nothing();
    paused_and_asleep();
    many_moves();
    stop(&left);
    stop(&right);
    CHECK_EQ(machine_free_pages(), before);
    test_end("affinity");
}
