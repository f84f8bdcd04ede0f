/*
 * The cost of each operation, in the counts of the time-stamp counter.
 * Under `belfry run --icount` that is instructions, of the hypervisor and
 * both guests together, the same on every run; tests/bench.sh puts the lines
 * "bench: NAME VALUE" beside the figures of other systems.  Else it is time,
 * by "bench: khz N".
 *
 * Averages of blocks, ROUNDS in all, after a warm-up.  The periodic timer is
 * stopped, and events come by upcalls that return with iretq, as in the best
 * configuration of the systems compared with.
 *
 * The measuring domain is named `bench`, the other one `peer`.  On Belfry the
 * first finds the second, which knows that it belongs to domain 0; under Xen's
 * toolstack the command line says who it is (with=DOMID).  As Xen's first
 * domain it is alone: the rows of one domain only.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"
#include "guests/lib/call.h"
#include "rings/reqrsp.h"

#define ROUNDS      10000u
#define BLOCKS      20u /* ROUNDS are measured in */
#define WARM_UP     1000u
#define BATCH       32u /* of grant maps */
#define REQUEST     64u /* bytes of a ring's requests */
#define RING_ROUNDS 2000u

/* What the peer does; it stays at one until it sees another. */
enum { GO_CALL_64 = 1, GO_ECHO, GO_CALL, GO_RING };

enum { IN_PORT, IN_RING_REF, IN_CALL_PORT, IN_CALL_REF };
enum { OUT_READY, OUT_REFS };

/* ---- The upcall: takes the one port that is not masked. ---- */
struct vcpu_info *bench_vcpu __attribute__((used));
uint64_t *bench_word __attribute__((used)); /* of the pending bits */
uint64_t bench_keep __attribute__((used));  /* all bits but the port's */
uint32_t bench_rang __attribute__((used));
extern char bench_upcall[];

/* evtchn_upcall_mask stays set, as the hypervisor left it: the program is
 * never interrupted but where it asks for it. */
__asm__(".pushsection .text\n"
        "bench_upcall:\n"
        "    popq %rcx\n"
        "    popq %r11\n"
        "    pushq %rax\n"
        "    pushq %rdx\n"
        "    movq bench_vcpu(%rip), %rax\n"
        "    movb $0, (%rax)\n"  /* evtchn_upcall_pending */
        "    movq $0, 8(%rax)\n" /* evtchn_pending_sel */
        "    movq bench_word(%rip), %rax\n"
        "    movq bench_keep(%rip), %rdx\n"
        "    lock andq %rdx, (%rax)\n"
        "    movl $1, bench_rang(%rip)\n"
        "    popq %rdx\n"
        "    popq %rax\n"
        "    orb $3, 8(%rsp)\n"
        "    iretq\n"
        ".popsection\n");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "asm");

/* From now on no other port is unmasked: not the store's either. */
static void take_upcalls_for(evtchn_port_t port)
{
    if (store_available())
        event_mask(guest.start->store_evtchn);
    bench_vcpu = &guest.shared->vcpu_info[0];
    bench_word = (uint64_t *)&guest.shared->evtchn_pending[port / 64];
    bench_keep = ~(1ull << port % 64);
    *bench_word &= bench_keep;
    bench_rang = 0;
    BUG_ON(hypercall_set_callbacks(bench_upcall, NULL, NULL) != 0);
    event_unmask(port);
}

/* Sleep until it rings.  Events are off but inside of block. */
static inline void wait_for_ring(void)
{
    while (!read_once(&bench_rang))
        hypercall_sched_op(SCHEDOP_block, NULL);
    write_once(&bench_rang, 0);
}

/* The one that is pending, as the upcall would; false: none is. */
static bool take_ring(void)
{
    write_once(&bench_vcpu->evtchn_upcall_pending, 0);
    write_once(&bench_vcpu->evtchn_pending_sel, 0);
    return __atomic_fetch_and(bench_word, bench_keep, __ATOMIC_SEQ_CST) &
           ~bench_keep;
}

static inline void ring(evtchn_port_t port)
{
    struct evtchn_send op = { .port = port };

    hypercall_event_channel_op(EVTCHNOP_send, &op);
}

/* ---- Reports. ---- */

/* The cost of one operation, in tenths, in each block.  What is printed
 * is the median of the blocks: the few that a timer interrupt falls into,
 * which depends on when the machine was started, do not count. */
static uint64_t cost[BLOCKS];
static unsigned int blocks;
static uint64_t started;

static inline void begin(void)
{
    started = rdtsc();
}

/* n operations have been done since begin(). */
static inline void end_block(uint64_t n)
{
    uint64_t tenths = ((rdtsc() - started) * 10 + n / 2) / n;
    unsigned int at = blocks++;

    for (; at > 0 && cost[at - 1] > tenths; at--)
        cost[at] = cost[at - 1];
    cost[at] = tenths;
}

static void report(const char *name)
{
    uint64_t median = cost[blocks / 2];

    printf("bench: %s %lu.%lu\n", name, median / 10, median % 10);
    blocks = 0;
}

/* Of the counter. */
static void report_clock(void)
{
    const struct vcpu_time_info *t = &guest.shared->vcpu_info[0].time;
    uint64_t ms = 1000000ull << 32; /* in units of the scaled counter */

    ms /= t->tsc_to_system_mul;
    printf("bench: khz %lu\n",
           t->tsc_shift < 0 ? ms << -t->tsc_shift : ms >> t->tsc_shift);
}

/* Run @statement WARM_UP times, then ROUNDS times, measured. */
#define MEASURE(name, statement)                                               \
    do {                                                                       \
        for (unsigned int round_ = 0; round_ < WARM_UP; round_++)              \
            statement;                                                         \
        for (unsigned int block_ = 0; block_ < BLOCKS; block_++) {             \
            begin();                                                           \
            for (unsigned int round_ = 0; round_ < ROUNDS / BLOCKS; round_++)  \
                statement;                                                     \
            end_block(ROUNDS / BLOCKS);                                        \
        }                                                                      \
        report(name);                                                          \
    } while (0)

/* ---- Rows of one domain. ---- */
static void row_null(void)
{
    MEASURE("null", hypercall_xen_version(0, NULL));
}

static evtchn_port_t loop_a, loop_b;

static void make_loop(void)
{
    CHECK_EQ(event_alloc_unbound(DOMID_SELF, &loop_a), 0);
    CHECK_EQ(event_bind_interdomain(DOMID_SELF, loop_a, &loop_b), 0);
    event_mask(loop_a);
    event_mask(loop_b);
}

static inline void forget(evtchn_port_t port)
{
    uint64_t *word = (uint64_t *)&guest.shared->evtchn_pending[port / 64];

    write_once(word, *word & ~(1ull << port % 64));
}

static void send_and_forget(void)
{
    ring(loop_a);
    forget(loop_b);
}

static void send_to_self(void)
{
    write_once(&bench_vcpu->evtchn_upcall_mask, 0);
    ring(loop_a);
}

static void rows_send(void)
{
    make_loop();
    ring(loop_a);
    MEASURE("send-pending", ring(loop_a));
    forget(loop_b);
    MEASURE("send-masked", send_and_forget());
    take_upcalls_for(loop_b);
    MEASURE("send-fresh", send_and_forget()); /* with events off */
    bench_rang = 0;
    MEASURE("self-upcall", send_to_self());
    CHECK_EQ(bench_rang, 1);
    write_once(&bench_vcpu->evtchn_upcall_mask, 1);
    CHECK_EQ(bench_vcpu->evtchn_upcall_pending, 0);
    event_mask(loop_b);
}

/* The same entry again, which is how a translation is flushed; and another
 * frame each time. */
static void rows_update_va(void)
{
    void *page = page_alloc(), *other = page_alloc();
    uint64_t pte[2] = { virt_to_mfn(page) << PAGE_SHIFT | PAGE_WRITE,
                        virt_to_mfn(other) << PAGE_SHIFT | PAGE_WRITE };

    MEASURE("update-va",
            hypercall_update_va_mapping(page, pte[0], UVMF_INVLPG));
    MEASURE("update-va-new",
            hypercall_update_va_mapping(page, pte[round_ & 1], UVMF_INVLPG));
    CHECK_EQ(hypercall_update_va_mapping(page, pte[0], UVMF_INVLPG), 0);
}

/* ---- Grants: of the peer, or else of our own. ---- */
static struct gnttab_map_grant_ref maps[BATCH];
static struct gnttab_unmap_grant_ref unmaps[BATCH];
static struct gnttab_copy copies[1];

static void map_and_unmap(unsigned int n)
{
    hypercall_grant_table_op(GNTTABOP_map_grant_ref, maps, n);
    for (unsigned int i = 0; i < n; i++)
        unmaps[i].handle = maps[i].handle;
    hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, unmaps, n);
}

static void prepare_grants(domid_t from, const grant_ref_t *refs)
{
    char *window = pages_alloc(BATCH);

    for (unsigned int i = 0; i < BATCH; i++) {
        CHECK_EQ(page_protect(window + i * PAGE_SIZE, 0, 0), 0);
        maps[i].dom = from;
        maps[i].ref = refs[i];
        maps[i].flags = GNTMAP_host_map;
        maps[i].host_addr = (uint64_t)window + i * PAGE_SIZE;
        unmaps[i].host_addr = maps[i].host_addr;
    }
    copies[0].source.domid = from;
    copies[0].source.u.ref = refs[0];
    copies[0].dest.domid = DOMID_SELF;
    copies[0].dest.u.gmfn = virt_to_mfn(page_alloc());
    copies[0].flags = GNTCOPY_source_gref;
}

static void grant_copy_of(uint16_t bytes)
{
    copies[0].len = bytes;
    hypercall_grant_table_op(GNTTABOP_copy, copies, 1);
}

static void row_map_batch(void)
{
    const unsigned int batches = ROUNDS / BLOCKS / BATCH;

    for (unsigned int i = 0; i < batches; i++)
        map_and_unmap(BATCH);
    for (unsigned int block = 0; block < BLOCKS; block++) {
        begin();
        for (unsigned int i = 0; i < batches; i++)
            map_and_unmap(BATCH);
        end_block(batches * BATCH);
    }
    report("map-32");
}

static void rows_grants(domid_t from, const grant_ref_t *refs)
{
    prepare_grants(from, refs);
    MEASURE("map-1", map_and_unmap(1));
    CHECK_EQ(maps[0].status, 0);
    CHECK_EQ(unmaps[0].status, 0);
    row_map_batch();
    CHECK_EQ(maps[BATCH - 1].status, 0);
    CHECK_EQ(unmaps[BATCH - 1].status, 0);
    MEASURE("copy-64", grant_copy_of(64));
    CHECK_EQ(copies[0].status, 0);
    MEASURE("copy-4096", grant_copy_of(4096));
    CHECK_EQ(copies[0].status, 0);
}

static void grants_of_own(grant_ref_t *refs)
{
    for (unsigned int i = 0; i < BATCH; i++)
        refs[i] = (grant_ref_t)grant_access(guest.domid, page_alloc(), false);
}

/* ---- The peer. ---- */
struct ring_request {
    uint64_t id;
    uint8_t payload[REQUEST - 8];
};

static void serve_ring(struct meet *m, domid_t front, evtchn_port_t port)
{
    struct grant_mapping map;
    grant_ref_t ref = (grant_ref_t)m->in[IN_RING_REF];
    struct ring_back back;
    struct ring_request request;

    BUG_ON(grant_map(front, &ref, 1, false, &map) != 0);
    BUG_ON(ring_back_attach(&back, map.address, PAGE_SIZE, REQUEST) != 0);
    m->out[OUT_READY] = GO_RING;
    for (;;) {
        while (ring_back_take(&back, &request, sizeof(request)) == 0)
            ring_back_put(&back, &request, sizeof(request));
        if (ring_back_publish(&back))
            ring(port);
        if (!ring_back_arm(&back))
            wait_for_ring();
    }
}

/* A ring that came as a pending bit is looked at as one; others are handed
 * over. */
static void serve_calls(struct meet *m, evtchn_port_t port)
{
    uint32_t answer = 0;

    m->out[OUT_READY] = GO_CALL;
    while (m->go == GO_CALL) {
        answer = (uint32_t)hypercall_belfry_serve(answer, 0);
        if (answer == 0 && take_ring())
            answer = port;
    }
    ring(port);
}

/* ---- Calls by the library, 64 bytes there and back. ---- */

/* A request that says 0 is the last. */
static long answer(void *data, const void *request, size_t size, void *to)
{
    (void)data;
    memcpy(to, request, size);
    if (!*(const uint64_t *)request)
        call_serve_stop();
    return (long)size;
}

static void serve_calls_64(struct meet *m, domid_t front)
{
    static struct call_service service, *services[] = { &service };
    grant_ref_t ref = (grant_ref_t)m->in[IN_CALL_REF];
    struct grant_mapping map;
    evtchn_port_t port;

    BUG_ON(grant_map(front, &ref, 1, false, &map) != 0);
    BUG_ON(event_bind_interdomain(front, (evtchn_port_t)m->in[IN_CALL_PORT],
                                  &port));
    BUG_ON(call_service_open(&service, map.address, port, answer, NULL));
    m->out[OUT_READY] = GO_CALL_64;
    BUG_ON(call_serve(services, 1, 0) != 0);
    BUG_ON(event_close(port));
    while (m->go == GO_CALL_64)
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

static void stop_periodic_timer(void)
{
    hypercall_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
}

_Noreturn static void peer_main(void)
{
    domid_t front = (domid_t)cmdline_number("with", 0);
    struct meet *m = meet_offer_to(front);
    evtchn_port_t port;

    stop_periodic_timer();
    for (unsigned int i = 0; i < BATCH; i++)
        m->out[OUT_REFS + i] =
            (uint64_t)grant_access(front, page_alloc(), false);
    m->beats = 1;
    if (meet_wait(m) == GO_CALL_64)
        serve_calls_64(m, front);
    BUG_ON(event_bind_interdomain(front, (evtchn_port_t)m->in[IN_PORT],
                                  &port));
    take_upcalls_for(port);
    m->out[OUT_READY] = GO_ECHO;
    while (m->go == GO_ECHO) {
        wait_for_ring();
        ring(port);
    }
    if (m->go == GO_CALL)
        serve_calls(m, port);
    serve_ring(m, front, port);
    for (;;)
        ;
}

/* A domain that is only there. */
_Noreturn static void idle_main(void)
{
    stop_periodic_timer();
    for (;;)
        hypercall_sched_op(SCHEDOP_block, NULL);
}

/* ---- Rows of two domains. ---- */
static evtchn_port_t port;

static void await_peer(struct meet *m, uint64_t what)
{
    while (m->out[OUT_READY] != what)
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

static struct call_client client;

static int call_64(uint64_t first)
{
    uint64_t message[REQUEST / 8] = { first };
    size_t size = sizeof(message);
    struct call_ending ending;

    return call_client_call(&client, message, size, message, &size, 0, &ending);
}

static void row_call_64(struct meet *m, unsigned int peer)
{
    void *page = page_alloc();
    evtchn_port_t bell;

    CHECK_EQ(event_alloc_unbound((domid_t)peer, &bell), 0);
    CHECK_EQ(call_client_open(&client, page, bell), 0);
    m->in[IN_CALL_PORT] = bell;
    m->in[IN_CALL_REF] = (uint64_t)grant_access((domid_t)peer, page, false);
    meet_go(m, GO_CALL_64);
    await_peer(m, GO_CALL_64);
    MEASURE("call-64", call_64(1));
    CHECK_EQ(call_64(0), 0);
    event_close(bell);
}

static void round_trip(void)
{
    ring(port);
    wait_for_ring();
}

static void row_event_rtt(struct meet *m, unsigned int peer)
{
    CHECK_EQ(event_alloc_unbound((domid_t)peer, &port), 0);
    m->in[IN_PORT] = port;
    take_upcalls_for(port);
    meet_go(m, GO_ECHO);
    await_peer(m, GO_ECHO);
    MEASURE("event-rtt", round_trip());
}

/* Where the peer is on another CPU its answer comes as a pending bit. */
static void call_and_look(void)
{
    struct sched_poll poll = { .nr_ports = 1 };

    if (hypercall_belfry_call(port, 0) == 1)
        return;
    set_xen_guest_handle(poll.ports, &port);
    while (!take_ring())
        hypercall_sched_op(SCHEDOP_poll, &poll);
}

/* Of Belfry alone.  On one CPU the ring is handed over, and so is the answer:
 * there is nothing to look at. */
static void row_call_rtt(struct meet *m)
{
    struct belfry_machine machine;

    machine_info(&machine);
    meet_go(m, GO_CALL);
    round_trip(); /* the last echo */
    await_peer(m, GO_CALL);
    if (machine.nr_cpus > 1) {
        MEASURE("call-rtt", call_and_look());
        return;
    }
    MEASURE("call-rtt", hypercall_belfry_call(port, 0));
    CHECK_EQ(hypercall_belfry_call(port, 0), 1);
}

/* Put @depth requests, ring if it asks for it, take all responses. */
static void ring_batch(struct ring_front *front, unsigned int depth)
{
    struct ring_request request = { .id = depth };
    unsigned int left = depth;

    for (unsigned int i = 0; i < depth; i++)
        ring_front_put(front, &request, sizeof(request));
    if (ring_front_publish(front))
        ring(port);
    for (;;) {
        while (ring_front_take(front, &request, sizeof(request)) == 0)
            if (--left == 0)
                return;
        if (!ring_front_arm(front))
            wait_for_ring();
    }
}

static void row_ring(struct ring_front *front, unsigned int depth,
                     const char *name)
{
    const unsigned int batches = RING_ROUNDS / BLOCKS;

    for (unsigned int i = 0; i < batches; i++)
        ring_batch(front, depth);
    for (unsigned int block = 0; block < BLOCKS; block++) {
        begin();
        for (unsigned int i = 0; i < batches; i++)
            ring_batch(front, depth);
        end_block((uint64_t)batches * depth);
    }
    report(name);
    CHECK_EQ(front->fault, 0);
}

static void rows_ring(struct meet *m, unsigned int peer)
{
    static struct ring_front front;
    void *page = page_alloc();

    CHECK_EQ(ring_front_create(&front, page, PAGE_SIZE, REQUEST), 0);
    m->in[IN_RING_REF] = (uint64_t)grant_access((domid_t)peer, page, false);
    meet_go(m, GO_RING);
    round_trip(); /* the last echo, or call */
    await_peer(m, GO_RING);
    row_ring(&front, 1, "ring-1");
    row_ring(&front, 8, "ring-8");
    row_ring(&front, 32, "ring-32");
}

static void open_ports(uint64_t n)
{
    evtchn_port_t p;

    for (uint64_t i = 0; i < n; i++)
        if (!CHECK_EQ(event_alloc_unbound(DOMID_SELF, &p), 0))
            return;
}

/* All domains of the image run; how many there are, with us. */
static unsigned int wake_all(void)
{
    struct belfry_domain info;
    unsigned int n = 1;

    for (unsigned int id = 1; id < 200; id++)
        if (domain_info(id, &info)) {
            domain_control(id, 0, BELFRY_CONTROL_UNPAUSE);
            n++;
        }
    return n;
}

/* The other domain's id; 0 if we are alone. */
static unsigned int find_peer(void)
{
    struct belfry_domain info;

    if (!guest.on_belfry)
        return (unsigned int)cmdline_number("with", 0);
    printf("%u domains\n", wake_all());
    return CHECK(domain_find("peer", &info)) ? info.id : 0;
}

static void rows_of_two(unsigned int peer)
{
    static struct grant_mapping mapping;
    grant_ref_t refs[BATCH];
    struct meet *m = meet_find(peer, &mapping);

    if (!CHECK(m))
        test_end("bench");
    while (m->beats == 0)
        sleep_ns(100000);
    for (unsigned int i = 0; i < BATCH; i++)
        refs[i] = (grant_ref_t)m->out[OUT_REFS + i];
    rows_grants((domid_t)peer, refs);
    row_call_64(m, peer);
    row_event_rtt(m, peer);
    if (guest.on_belfry)
        row_call_rtt(m);
    rows_ring(m, peer);
}

static void rows_of_own_grants(void)
{
    grant_ref_t refs[BATCH];

    grants_of_own(refs);
    rows_grants(guest.domid, refs);
}

int guest_main(void)
{
    unsigned int peer;

    if (!guest.initial && strcmp(guest.name, "peer") == 0)
        peer_main();
    if (!guest.initial && strcmp(guest.name, "bench") != 0)
        idle_main();
    report_clock();
    open_ports(cmdline_number("ports", 0));
    stop_periodic_timer();
    peer = find_peer();
    if (peer)
        rows_of_two(peer);
    else
        rows_of_own_grants();
    row_null();
    rows_send();
    rows_update_va();
    test_end("bench");
}
