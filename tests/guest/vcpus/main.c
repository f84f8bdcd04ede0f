/*
 * Defends: the runtime brings further vCPUs up, each with its own stack, traps
 * and sleep.  Whoever is told to be down is down at once, also in the middle of
 * a turn, and no order of up, down and block makes the scheduler lose a vCPU or
 * have it twice.  What two vCPUs do to a third at one time happens once.  A
 * handler may close its own channel (E15).
 */
#include "tests/guest/fault.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

#define MS     1000000ull
#define ROUNDS 3000u
#define RACERS 10u /* domains */
#define FIRST  3u  /* of the vCPUs that nobody starts */
#define END    32u

static volatile uint64_t count[4];
static evtchn_port_t port[4];

/* Until it is so, or two seconds have gone. */
#define WAIT_UNTIL(cond)                                                       \
    ({                                                                         \
        uint64_t deadline_ = clock_now() + 2000 * MS;                          \
                                                                               \
        while (!(cond) && clock_now() < deadline_)                             \
            hypercall_sched_op(SCHEDOP_yield, NULL);                           \
        (cond);                                                                \
    })

/* ---- What a user does. ---- */

static void note_id(void *data)
{
    *(unsigned int *)data = vcpu_id();
}

static void start_and_end(void)
{
    for (unsigned int id = 1; id < FIRST; id++) {
        for (unsigned int again = 0; again < 10; again++) {
            unsigned int seen = 0;

            CHECK_EQ(vcpu_start(id, note_id, &seen), 0);
            CHECK(WAIT_UNTIL(!vcpu_is_up(id)));
            CHECK_EQ(seen, id);
        }
    }
    CHECK_EQ(vcpu_id(), 0);
    CHECK_EQ(vcpu_start(0, note_id, NULL), -ENOENT);
    CHECK_EQ(vcpu_start(4, note_id, NULL), -ENOENT);
}

/* Its faults come to its own stack, and its printf to the common console. */
static void fault_and_print(void *data)
{
    bool *faulted = data;

    fault_install(); /* each vCPU has a table of its own */
    *faulted = fault_reading((const void *)8);
    printf("vCPU %u prints\n", vcpu_id());
}

static void traps_and_console(void)
{
    bool faulted = false;

    CHECK_EQ(vcpu_start(1, fault_and_print, &faulted), 0);
    CHECK(WAIT_UNTIL(!vcpu_is_up(1)));
    CHECK(faulted);
}

/* Two vCPUs ring each other; nothing is lost. */
static void answer(void *data)
{
    (void)data;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        vcpu_wait_for(port[1], 0);
        count[1]++;
        event_send(port[0]);
    }
}

static void ring_each_other(void)
{
    CHECK_EQ(event_bind_ipi(&port[0]), 0);
    CHECK_EQ(event_bind_ipi(&port[1]), 0);
    count[1] = 0;
    CHECK_EQ(vcpu_start(1, answer, NULL), 0);
    CHECK_EQ(vcpu_start(1, answer, NULL), -EBUSY);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        event_send(port[1]);
        if (!CHECK(vcpu_wait_for(port[0], clock_now() + 2000 * MS)))
            break;
        count[0]++;
    }
    CHECK(WAIT_UNTIL(!vcpu_is_up(1)));
    CHECK_EQ(count[1], ROUNDS);
}

static void sleep_ends_in_time(void)
{
    uint64_t deadline = clock_now() + 5 * MS;

    CHECK(!vcpu_wait_for(port[0], deadline));
    CHECK(clock_now() >= deadline);
}

/* ---- E15: a handler closes its own channel, which another vCPU rings and
 * rings; nobody is called for it, or with its data, ever after. ---- */

#define CLOSES 20000u

static struct cell {
    bool live;
    evtchn_port_t port;
} cells[2];
static volatile evtchn_port_t rung_port;
static volatile bool ring_on;
static unsigned int closed, stale;

static void ring_all_the_time(void *data)
{
    (void)data;
    while (ring_on) {
        event_send(rung_port);
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
}

static void close_own(evtchn_port_t rung, void *data)
{
    struct cell *cell = data;

    stale += !cell->live || cell->port != rung;
    cell->live = false;
    closed += event_close(rung) == 0;
}

/* Half of them are closed before their handler has been called. */
static void E15_closed_while_it_rings(void)
{
    ring_on = true;
    CHECK_EQ(vcpu_start(1, ring_all_the_time, NULL), 0);
    for (unsigned int i = 0; i < CLOSES && test_failures == 0; i++) {
        struct cell *cell = &cells[i % 2];

        CHECK_EQ(event_bind_ipi(&cell->port), 0);
        rung_port = cell->port;
        event_poll();
        cell->live = true;
        CHECK_EQ(event_handle(cell->port, close_own, cell), 0);
        if (i % 4 < 2)
            close_own(cell->port, cell);
        CHECK(WAIT_UNTIL(event_poll() || !cell->live));
        CHECK(!cell->live);
        CHECK_EQ(closed, i + 1);
        CHECK_EQ(stale, 0);
    }
    ring_on = false;
    CHECK(WAIT_UNTIL(!vcpu_is_up(1)));
}

/* ---- Down means down. ---- */

static void count_for_ever(void *data)
{
    volatile uint64_t *counter = &count[vcpu_id()];

    (void)data;
    for (;;)
        ++*counter;
}

static void nap_for_ever(void *data)
{
    volatile uint64_t *counter = &count[vcpu_id()];

    (void)data;
    for (;;) {
        vcpu_wait_for(port[2], clock_now() + 20000);
        ++*counter;
    }
}

/* Its CPU hears of it at once when the host lets it; from then on it stands. */
static bool has_stopped(unsigned int id)
{
    uint64_t before;

    for (unsigned int tries = 0; tries < 1000; tries++) {
        before = count[id];
        sleep_ns(MS);
        if (count[id] == before)
            return true;
    }
    return false;
}

static void put_down_while_it_runs(vcpu_fn *fn, unsigned int id)
{
    count[id] = 0;
    CHECK_EQ(vcpu_start(id, fn, NULL), 0);
    for (unsigned int i = 0; i < 50; i++) {
        uint64_t before = count[id];

        if (!CHECK(WAIT_UNTIL(count[id] != before)))
            break;
        CHECK_EQ(hypercall_vcpu_op(VCPUOP_down, id, NULL), 0);
        CHECK(!vcpu_is_up(id));
        if (!CHECK(has_stopped(id)))
            break;
        CHECK_EQ(hypercall_vcpu_op(VCPUOP_up, id, NULL), 0);
    }
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_down, id, NULL), 0);
}

/* Up and down as fast as can be, beside a vCPU that sleeps and wakes. */
static void up_and_down(unsigned int id)
{
    for (unsigned int i = 0; i < 20 * ROUNDS; i++) {
        hypercall_vcpu_op(VCPUOP_up, id, NULL);
        if (i % 3 == 0)
            event_send(port[2]);
        hypercall_vcpu_op(VCPUOP_down, id, NULL);
        if (i % 64 == 0)
            hypercall_sched_op(SCHEDOP_yield, NULL);
    }
    hypercall_vcpu_op(VCPUOP_up, id, NULL);
    count[id] = 0;
    CHECK(WAIT_UNTIL(count[id] > 10));
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_down, id, NULL), 0);
}

/* ---- Two at one time: in domains that live for one such race. ---- */

static struct vcpu_guest_context context;
static uint32_t arrived[3 * END], initialised, registered;

/* Two CPUs go on at the same instant; on one, nobody waits for a turn. */
static void together(unsigned int at)
{
    unsigned int spins = 0;

    atomic_add_return(&arrived[at], 1);
    while (read_once(&arrived[at]) < 2)
        if (++spins % 4096 == 0)
            hypercall_sched_op(SCHEDOP_yield, NULL);
}

static void race(void *data)
{
    struct vcpu_register_vcpu_info info = { .mfn = *(uint64_t *)data };

    for (unsigned int id = FIRST; id < END; id++) {
        together(3 * id);
        if (hypercall_vcpu_op(VCPUOP_initialise, id, &context) == 0)
            atomic_add_return(&initialised, 1);
        together(3 * id + 1);
        if (hypercall_vcpu_op(VCPUOP_register_vcpu_info, id, &info) == 0)
            atomic_add_return(&registered, 1);
        together(3 * id + 2);
    }
}

static void make_context(void)
{
    context.flags = VGCF_in_kernel;
    context.user_regs.rip = (unsigned long)count_for_ever;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.kernel_ss = FLAT_KERNEL_SS;
    context.ctrlreg[3] = virt_to_maddr((void *)guest.start->pt_base);
}

/* It ends with a vCPU put down in the middle of a turn, and when the last has
 * gone down. */
_Noreturn static void racer_main(void)
{
    uint64_t mfn = virt_to_mfn(page_alloc());

    make_context();
    vcpu_start(2, race, &mfn);
    race(&mfn);
    vcpu_start(1, count_for_ever, NULL);
    while (count[1] == 0)
        hypercall_sched_op(SCHEDOP_yield, NULL);
    hypercall_vcpu_op(VCPUOP_down, 1, NULL);
    if (initialised == END - FIRST && registered == END - FIRST)
        hypercall_vcpu_op(VCPUOP_down, 0, NULL);
    guest_exit(1);
}

/* What was counted twice keeps its frame from being freed. */
static void at_one_time(void)
{
    struct belfry_domain info;
    struct child child;
    uint64_t before;

    child_rehearse("racer");
    before = machine_free_pages();
    for (unsigned int i = 0; i < RACERS && test_failures == 0; i++) {
        if (!child_start(&child, "racer"))
            return;
        CHECK(child_wait(&child, 2000 * MS, &info));
        CHECK_EQ(info.reason, SHUTDOWN_poweroff);
        child_destroy(&child);
        CHECK_EQ(machine_free_pages(), before);
    }
}

int guest_main(void)
{
    if (!guest.initial)
        racer_main();
    if (vcpu_count() != 4)
        verdict(VERDICT_SKIP, "vcpus");
    start_and_end();
    traps_and_console();
    ring_each_other();
    sleep_ends_in_time();
    E15_closed_while_it_rings();
    CHECK_EQ(event_bind_ipi(&port[2]), 0);
    put_down_while_it_runs(nap_for_ever, 1);
    put_down_while_it_runs(count_for_ever, 2);
    up_and_down(1);
    up_and_down(2);
    if (guest.on_belfry)
        at_one_time();
    test_end("vcpus");
}
