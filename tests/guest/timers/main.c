/*
 * Defends: a timer rings once, not before its time and not much after; odd
 * times are taken without harm (E12); the clock never goes back; poll and
 * block end in time.
 */
#include "tests/guest/test.h"

#define MS 1000000ull

/* Late by more than this is a fault, even in an emulator on a busy host. */
#define MUCH (200 * MS)

static evtchn_port_t timer;
static unsigned int rings;

static void on_timer(evtchn_port_t port, void *data)
{
    (void)port;
    (void)data;
    rings++;
}

static void no_periodic_timer(void)
{
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL), 0);
}

/* How many rings come within this time.  The runtime's own sleeps would set
 * the timer, so this looks without sleeping. */
static unsigned int rings_within(uint64_t ns)
{
    uint64_t until = clock_now() + ns;

    rings = 0;
    while (clock_now() < until)
        event_poll();
    return rings;
}

static void wait_for_ring(uint64_t expires)
{
    rings = 0;
    while (rings == 0 && clock_now() < expires + MUCH)
        event_poll();
    CHECK_EQ(rings, 1);
    CHECK(clock_now() >= expires);
    CHECK(clock_now() < expires + MUCH);
}

static void set_timer_op(void)
{
    for (unsigned int i = 1; i <= 10; i++) {
        uint64_t expires = clock_now() + i * MS;

        CHECK_EQ(hypercall_set_timer_op(expires), 0);
        wait_for_ring(expires);
    }
    /* Set again before it rings: only the last counts. */
    hypercall_set_timer_op(clock_now() + 50 * MS);
    hypercall_set_timer_op(clock_now() + 5 * MS);
    CHECK_EQ(rings_within(100 * MS), 1);
    /* 0 takes it back. */
    hypercall_set_timer_op(clock_now() + 5 * MS);
    CHECK_EQ(hypercall_set_timer_op(0), 0);
    CHECK_EQ(rings_within(30 * MS), 0);
}

/* E12: a time that is past, or the end of all times. */
static void E12_odd_times(void)
{
    uint64_t start = clock_now();

    CHECK_EQ(hypercall_set_timer_op(1), 0);
    wait_for_ring(start);
    CHECK_EQ(hypercall_set_timer_op(clock_now() - MS), 0);
    wait_for_ring(start);
    hypercall_set_timer_op(INT64_MAX);
    CHECK_EQ(rings_within(5 * MS), 0);
    hypercall_set_timer_op(UINT64_MAX);
    rings_within(5 * MS); /* Xen takes it for a time past */
    hypercall_set_timer_op(1ull << 63);
    rings_within(5 * MS);
    CHECK_EQ(hypercall_set_timer_op(0), 0);
}

static long set_single(uint64_t expires, uint32_t flags)
{
    struct vcpu_set_singleshot_timer op = { .timeout_abs_ns = expires,
                                            .flags = flags };

    return hypercall_vcpu_op(VCPUOP_set_singleshot_timer, 0, &op);
}

static void singleshot(void)
{
    uint64_t expires = clock_now() + 3 * MS;
    long error;

    CHECK_EQ(set_single(expires, 0), 0);
    wait_for_ring(expires);
    CHECK_EQ(set_single(clock_now() + 5 * MS, VCPU_SSHOTTMR_future), 0);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
    CHECK_EQ(rings_within(30 * MS), 0);
    /* Xen 4.17 has forgotten what this flag promised, and rings. */
    error = set_single(clock_now() - MS, VCPU_SSHOTTMR_future);
    CHECK_EQ(rings_within(30 * MS), error == 0);
    CHECK(error == 0 || error == -ETIME);
    CHECK(hypercall_vcpu_op(VCPUOP_set_singleshot_timer, 0, NULL) < 0);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL),
             -ENOENT);
}

static long set_periodic(uint64_t period)
{
    struct vcpu_set_periodic_timer op = { .period_ns = period };

    return hypercall_vcpu_op(VCPUOP_set_periodic_timer, 0, &op);
}

static void periodic(void)
{
    unsigned int n;

    CHECK_EQ(set_periodic(10 * MS), 0);
    n = rings_within(205 * MS);
    CHECK(n >= 10 && n <= 21);
    CHECK_EQ(set_periodic(0), -EINVAL);
    CHECK_EQ(set_periodic(1), -EINVAL);
    CHECK_EQ(set_periodic(MS - 1), -EINVAL);
    CHECK_EQ(set_periodic(UINT64_MAX), -EINVAL);
    no_periodic_timer();
    rings_within(20 * MS);
    CHECK_EQ(rings_within(50 * MS), 0);
}

/* The port of the timer: the runtime's once it has slept, else our own. */
static void find_timer(void)
{
    struct evtchn_status st = { .dom = DOMID_SELF };

    for (st.port = 1; st.port < 64 && timer == 0; st.port++)
        if (hypercall_event_channel_op(EVTCHNOP_status, &st) == 0 &&
            st.status == EVTCHNSTAT_virq && st.u.virq == VIRQ_TIMER)
            timer = st.port;
    if (timer == 0)
        CHECK_EQ(event_bind_virq(VIRQ_TIMER, &timer), 0);
    CHECK_EQ(event_handle(timer, on_timer, NULL), 0);
}

/* Blocked with a timer set, the vCPU wakes. */
static void sleeping(void)
{
    for (unsigned int i = 0; i < 20; i++) {
        uint64_t start = clock_now();

        sleep_ns(2 * MS);
        CHECK(clock_now() >= start + 2 * MS);
        CHECK(clock_now() < start + 2 * MS + MUCH);
    }
}

static void clock_and_wall(void)
{
    uint64_t s1, s2, last = clock_now();
    uint32_t n1, n2;
    unsigned int back = 0;

    clock_wall(&s1, &n1);
    for (unsigned int i = 0; i < 100000; i++) {
        uint64_t t = clock_now();

        back += t < last;
        last = t;
        if (i % 1000 == 0)
            hypercall_sched_op(SCHEDOP_yield, NULL);
    }
    CHECK_EQ(back, 0);
    clock_wall(&s2, &n2);
    CHECK(s1 > 1600000000);
    CHECK(s2 > s1 || (s2 == s1 && n2 >= n1));
    CHECK(n1 < 1000000000 && n2 < 1000000000);
}

/* The time page of the vCPU is even and plausible. */
static void time_page(void)
{
    const volatile struct vcpu_time_info *t =
        &guest.shared->vcpu_info[0].time;

    CHECK_EQ(t->version & 1, 0);
    CHECK(t->tsc_timestamp <= rdtsc());
    CHECK(t->system_time <= clock_now());
}

int guest_main(void)
{
    no_periodic_timer();
    clock_and_wall();
    time_page();
    sleeping();
    find_timer();
    rings_within(5 * MS);
    set_timer_op();
    E12_odd_times();
    singleshot();
    periodic();
    test_end("timers");
}
