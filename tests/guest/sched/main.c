/*
 * Defends: the larger priority runs first, equals take turns, a paused
 * domain does not run, and operations on domains answer as documented.
 *
 * Children count in a shared word as fast as they can; the parent, above
 * them all, looks at how far they have come.  All are on one CPU, and its clock
 * counts instructions, so that what the host does beside it changes nothing.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS 1000000ull

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();

    meet_wait(m);
    for (;;) {
        if (m->go == 2) /* rest */
            sleep_ns(MS);
        m->beats++;
    }
}

struct player {
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
};

static struct player busy1, busy2, urgent, idle;

static void start(struct player *p, const char *name)
{
    if (!child_start(&p->child, name) ||
        !CHECK(p->m = meet_find(p->child.id, &p->mapping)))
        test_end("sched");
}

static void stop(struct player *p)
{
    grant_unmap(&p->mapping);
    child_destroy(&p->child);
}

static uint64_t progress(struct player *p, uint64_t ns)
{
    uint64_t before = p->m->beats;

    sleep_ns(ns);
    return p->m->beats - before;
}

static uint64_t cpu_time(struct player *p)
{
    struct belfry_domain info;

    CHECK(domain_info(p->child.id, &info));
    return info.cpu_time;
}

/* Two of one priority share the CPU, within a third of each other. */
static void equals_take_turns(void)
{
    uint64_t a = cpu_time(&busy1), b = cpu_time(&busy2);

    meet_go(busy1.m, 1);
    meet_go(busy2.m, 1);
    sleep_ns(200 * MS);
    a = cpu_time(&busy1) - a;
    b = cpu_time(&busy2) - b;
    printf("equals: %lu and %lu us\n", a / 1000, b / 1000);
    CHECK(a > 50 * MS && b > 50 * MS);
    CHECK(a < 2 * b && b < 2 * a);
    CHECK(a + b < 205 * MS);
}

/* The urgent one takes all while it works, nothing while it rests. */
static void larger_runs_first(void)
{
    uint64_t before, during;

    meet_go(urgent.m, 1);
    sleep_ns(20 * MS);
    before = busy1.m->beats + busy2.m->beats;
    during = progress(&urgent, 40 * MS);
    CHECK_EQ(busy1.m->beats + busy2.m->beats, before);
    CHECK(during > 1000);
    meet_go(urgent.m, 2);
    sleep_ns(20 * MS);
    CHECK(progress(&busy1, 40 * MS) > 1000);
    CHECK(progress(&urgent, 50 * MS) > 5); /* and wakes before the others */
    /* And the least one gets nothing from two that never rest. */
    meet_go(idle.m, 1);
    CHECK_EQ(progress(&idle, 30 * MS), 0);
}

static void pausing(void)
{
    const unsigned int id = busy1.child.id;
    const uint64_t generation = busy1.child.generation;

    CHECK_EQ(domain_control(id, generation, BELFRY_CONTROL_PAUSE), 0);
    CHECK_EQ(progress(&busy1, 30 * MS), 0);
    CHECK(progress(&busy2, 30 * MS) > 1000);
    CHECK_EQ(domain_control(id, generation, BELFRY_CONTROL_PAUSE), 0);
    CHECK_EQ(domain_control(id, generation, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK_EQ(progress(&busy1, 30 * MS), 0); /* paused twice */
    CHECK_EQ(domain_control(id, generation, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK(progress(&busy1, 40 * MS) > 1000);
    CHECK(domain_control(id, generation, BELFRY_CONTROL_UNPAUSE) < 0);
}

/* The least priority runs once the others are paused. */
static void the_least(void)
{
    domain_control(busy1.child.id, 0, BELFRY_CONTROL_PAUSE);
    domain_control(busy2.child.id, 0, BELFRY_CONTROL_PAUSE);
    CHECK(progress(&idle, 30 * MS) > 1000);
    domain_control(busy1.child.id, 0, BELFRY_CONTROL_UNPAUSE);
    domain_control(busy2.child.id, 0, BELFRY_CONTROL_UNPAUSE);
}

static void control_errors(void)
{
    const unsigned int id = busy1.child.id;
    const uint64_t generation = busy1.child.generation;
    struct belfry_create create = BELFRY_ARG(belfry_create);

    CHECK_EQ(domain_control(999, 0, BELFRY_CONTROL_PAUSE), -ESRCH);
    CHECK_EQ(domain_control(id, generation + 1, BELFRY_CONTROL_DESTROY),
             -ESRCH);
    CHECK_EQ(domain_control(id, generation, 99), -EINVAL);
    CHECK_EQ(domain_control(0, 0, BELFRY_CONTROL_PAUSE), -EINVAL);
    CHECK_EQ(domain_control(0, 0, BELFRY_CONTROL_DESTROY), -EINVAL);
    string_copy(create.name, "nobody", sizeof(create.name));
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_create, &create), -ENOENT);
    CHECK(create.text[0] != 0);
    string_copy(create.name, "busy1", sizeof(create.name));
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_create, &create), -EEXIST);
    CHECK(create.text[0] != 0);
}

/* Sizes and versions that are not ours. */
static void abi_rules(void)
{
    struct {
        struct belfry_machine machine;
        uint64_t more[2];
    } op = { .machine = BELFRY_ARG(belfry_machine) };

    op.machine.size = sizeof(op.machine) - 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, &op), -EINVAL);
    op.machine.size = sizeof(op);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, &op), 0);
    op.machine.size = sizeof(op);
    op.machine.version = BELFRY_ABI_VERSION;
    op.more[1] = 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, &op), -E2BIG);
    op.machine.size = sizeof(op.machine);
    op.machine.version = BELFRY_ABI_VERSION + 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, &op), -EPROTO);
    CHECK_EQ(hypercall_belfry_op(99, &op), -ENOSYS);
}

/* A new life has a new generation; the old one names nobody. */
static void restart(void)
{
    struct belfry_control op = BELFRY_ARG(
        belfry_control, .action = BELFRY_CONTROL_RESTART,
        .id = busy2.child.id, .generation = busy2.child.generation);
    struct belfry_domain info;
    uint64_t old = busy2.child.generation;

    grant_unmap(&busy2.mapping);
    child_detach(&busy2.child);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_control, &op), 0);
    CHECK(op.generation != old && op.generation != 0);
    CHECK_EQ(domain_control(op.id, old, BELFRY_CONTROL_PAUSE), -ESRCH);
    CHECK(domain_find("busy2", &info));
    CHECK_EQ(info.id, op.id);
    CHECK_EQ(info.state, BELFRY_STATE_PAUSED);
    child_attach(&busy2.child, "busy2", op.id, op.generation);
    CHECK_EQ(domain_control(op.id, op.generation, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK(busy2.m = meet_find(op.id, &busy2.mapping));
}

int guest_main(void)
{
    uint64_t before;

    if (!guest.initial)
        child_main();
    test_needs_belfry("sched");
    sleep_ns(MS);
    child_rehearse("busy1");
    before = machine_free_pages();
    start(&busy1, "busy1");
    start(&busy2, "busy2");
    start(&urgent, "urgent");
    start(&idle, "idle");
    equals_take_turns();
    larger_runs_first();
    pausing();
    the_least();
    control_errors();
    abi_rules();
    restart();
    stop(&busy1);
    stop(&busy2);
    stop(&urgent);
    stop(&idle);
    CHECK_EQ(machine_free_pages(), before);
    test_end("sched");
}
