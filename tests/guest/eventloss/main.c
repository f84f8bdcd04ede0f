/*
 * Defends: no ring is lost.  Every send after the receiver's last look is
 * followed by a wake, whatever races with it: the receiver going to sleep by
 * block, poll or serve, its masking and unmasking the port, and its or the
 * sender's being moved to the other CPU.
 *
 * The producer numbers its sends in a shared page.  After a burst of random
 * length it stops until the consumer has seen the last number: had that send
 * woken nobody, no other would.  A consumer that sleeps behind the number for
 * PATIENCE is a loss.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS       1000000ul
#define PATIENCE (5000 * MS)
#define BURST    12u /* of two to this power at most */

enum { GO_OFFER = 1, GO_RUN, GO_STOP };
enum { IN_PEER, IN_PORT, IN_REF, IN_SENDS };
enum { OUT_READY, OUT_PORT, OUT_REF, OUT_SENT, OUT_LOST, OUT_LOOKS };

/* Between the two children. */
struct numbers {
    volatile uint64_t sent;                              /* [P] */
    volatile uint64_t seen __attribute__((aligned(64))); /* [C] */
};

/* ---- The consumer. ---- */
static void look(struct meet *m, struct numbers *n)
{
    uint64_t sent = load_acquire(&n->sent);

    m->faults += sent < n->seen;
    store_release(&n->seen, sent);
    m->out[OUT_LOOKS]++;
}

static void poll_port(evtchn_port_t port)
{
    struct sched_poll op = { .nr_ports = 1 };

    set_xen_guest_handle(op.ports, &port);
    hypercall_sched_op(SCHEDOP_poll, &op);
}

static void dawdle(void)
{
    for (volatile uint64_t i = random_below(200); i; i--)
        ;
}

/* One of the ways to look, and to go to sleep after it. */
static void look_and_sleep(struct meet *m, struct numbers *n,
                           evtchn_port_t port)
{
    uint64_t how = random_below(8);

    if (how >= 4)
        event_mask(port);
    if (how & 1)
        dawdle();
    look(m, n);
    if (how & 1)
        dawdle();
    if (how >= 6)
        poll_port(port);
    if (how >= 4)
        event_unmask(port);
    if (how == 2)
        hypercall_belfry_serve(0, 0);
    event_wait_for(port);
}

_Noreturn static void consume(struct meet *m)
{
    struct numbers *n = page_alloc();
    domid_t producer = (domid_t)m->in[IN_PEER];
    evtchn_port_t port;

    BUG_ON(event_alloc_unbound(producer, &port) != 0);
    event_unmask(port);
    m->out[OUT_PORT] = port;
    m->out[OUT_REF] = (uint64_t)grant_access(producer, n, false);
    m->out[OUT_READY] = GO_OFFER;
    for (;;)
        look_and_sleep(m, n, port);
}

/* ---- The producer. ---- */

/* Short ones and long ones: as many of each order of magnitude. */
static uint64_t burst_length(void)
{
    return 1 + random_below(1ul << random_below(BURST));
}

/* Until the consumer has seen this one.  Woken or not, it goes on: the next
 * send tells whether the ring was lost, or the wake. */
static void await(struct meet *m, const struct numbers *n, uint64_t number)
{
    uint64_t start = clock_now();

    while (load_acquire(&n->seen) != number) {
        hypercall_sched_op(SCHEDOP_yield, NULL);
        if (clock_now() - start < PATIENCE)
            continue;
        m->out[OUT_LOST]++;
        return;
    }
}

_Noreturn static void produce(struct meet *m)
{
    static struct grant_mapping mapping;
    domid_t consumer = (domid_t)m->in[IN_PEER];
    grant_ref_t ref = (grant_ref_t)m->in[IN_REF];
    uint64_t number = 0, sends = m->in[IN_SENDS];
    struct numbers *n;
    evtchn_port_t port;

    BUG_ON(grant_map(consumer, &ref, 1, false, &mapping) != 0);
    BUG_ON(event_bind_interdomain(consumer, (evtchn_port_t)m->in[IN_PORT],
                                  &port) != 0);
    n = mapping.address;
    while (number < sends && m->go == GO_RUN) {
        for (uint64_t burst = burst_length(); burst; burst--) {
            store_release(&n->sent, ++number);
            event_send(port);
        }
        await(m, n, number);
        m->out[OUT_SENT] = number;
    }
    m->out[OUT_READY] = GO_STOP;
    for (;;)
        sleep_ns(100 * MS);
}

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();

    meet_wait(m);
    if (strcmp(guest.name, "consumer") == 0)
        consume(m);
    produce(m);
}

/* ---- The parent. ---- */
struct player {
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
};

static struct player consumer, producer;

static void start(struct player *p, const char *name)
{
    if (!child_start(&p->child, name) ||
        !CHECK(p->m = meet_find(p->child.id, &p->mapping)))
        test_end("eventloss");
}

static void stop(struct player *p)
{
    CHECK_EQ(p->m->faults, 0);
    grant_unmap(&p->mapping);
    child_destroy(&p->child);
}

static void connect(uint64_t sends)
{
    consumer.m->in[IN_PEER] = producer.child.id;
    producer.m->in[IN_PEER] = consumer.child.id;
    producer.m->in[IN_SENDS] = sends;
    meet_go(consumer.m, GO_OFFER);
    while (consumer.m->out[OUT_READY] != GO_OFFER)
        sleep_ns(MS);
    producer.m->in[IN_PORT] = consumer.m->out[OUT_PORT];
    producer.m->in[IN_REF] = consumer.m->out[OUT_REF];
    meet_go(producer.m, GO_RUN);
}

static void pin(const struct player *p, uint64_t cpus)
{
    struct belfry_control control =
        BELFRY_ARG(belfry_control, .action = BELFRY_CONTROL_PIN,
                   .id = p->child.id, .cpus = cpus);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_control, &control), 0);
}

/* Mostly apart, on this CPU or on that, now and then on one or on any. */
static void move(void)
{
    uint64_t where = 1 + random_below(2);

    pin(&consumer, random_below(8) ? where : 3);
    pin(&producer, random_below(8) ? 3 - where : 1 + random_below(3));
}

/* True until it is done or has lost one too many. */
static bool goes_on(void)
{
    return producer.m->out[OUT_READY] != GO_STOP &&
           producer.m->out[OUT_LOST] < 3;
}

int guest_main(void)
{
    uint64_t before, start_time, sends = cmdline_number("sends", 2000000);
    uint64_t sent, lost, looks, moves = 0;

    random_seed(cmdline_number("seed", 1));
    if (!guest.initial)
        child_main();
    test_needs_belfry("eventloss");
    child_rehearse("consumer");
    before = machine_free_pages();
    start(&consumer, "consumer");
    start(&producer, "producer");
    connect(sends);
    start_time = clock_now();
    for (; goes_on(); moves++) {
        move();
        sleep_ns(MS + random_below(4 * MS));
    }
    sent = producer.m->out[OUT_SENT];
    lost = producer.m->out[OUT_LOST];
    looks = consumer.m->out[OUT_LOOKS];
    printf("%lu sends, %lu looks, %lu moves, %lu lost in %lu ms\n", sent, looks,
           moves, lost, (clock_now() - start_time) / MS);
    CHECK_EQ(lost, 0);
    CHECK(sent >= sends);
    CHECK(looks >= sends / 1000);
    CHECK(moves >= sends / 1000000);
    stop(&producer);
    stop(&consumer);
    CHECK_EQ(machine_free_pages(), before);
    test_end("eventloss");
}
