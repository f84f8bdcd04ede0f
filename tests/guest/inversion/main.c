/*
 * Defends: a caller of a high priority does not wait for whoever of a medium
 * one happens to spin while the server, of a low one, holds its request;
 * neither through a second server, nor when the server is busy with another's
 * request.  With rings and waits alone (no lending) it does, and the longer
 * the other spins the longer.
 *
 * The table shows how long the high one waits for an answer.  On one CPU,
 * whose clock counts instructions, the bounds are checked; on more the
 * figures are only printed.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS     1000000ul
#define US     1000ul
#define ROUNDS 8u
#define WORK   50000u   /* steps a request, about 0.2 ms */
#define REST   (2 * MS) /* of the spinner, between two spins */

enum role { HIGH, SPINNER, MIDDLE, LOW, OTHER, ROLES };

static const char *const names[ROLES] = { "high", "spinner", "middle", "low",
                                          "other" };

enum { GO_OFFER = 1, GO_BIND, GO_RUN }; /* and from there on: anew */

/* What the parent says; the last three may change at any time. */
enum {
    IN_ID,                     /* of each role's domain */
    IN_TO_LOW = IN_ID + ROLES, /* ports to bind */
    IN_TO_MIDDLE,
    IN_CALLS, /* lend: belfry_call and serve, not send and wait */
    IN_WHAT,  /* of the high one: enum what */
    IN_BUSY   /* of the spinner: ns; of the other caller: not 0 */
};

enum what { ASK_LOW, ASK_MIDDLE, NAP };

/* What a child says. */
enum {
    OUT_DONE, /* the last go it has finished */
    OUT_PORT, /* offered, to each role */
    OUT_WORST = OUT_PORT + ROLES,
    OUT_MEDIAN
};

/* ---- Children. ---- */
static struct meet *m;
static bool rang[ROLES];
static evtchn_port_t port_of[ROLES]; /* from that role, or to it */

static void note_ring(evtchn_port_t port, void *data)
{
    (void)port;
    *(bool *)data = true;
}

static void offer(enum role to)
{
    BUG_ON(event_alloc_unbound((domid_t)m->in[IN_ID + to], &port_of[to]) != 0);
    BUG_ON(event_handle(port_of[to], note_ring, &rang[to]) != 0);
    m->out[OUT_PORT + to] = port_of[to];
}

static void bind(enum role to, unsigned int port_word)
{
    BUG_ON(event_bind_interdomain((domid_t)m->in[IN_ID + to],
                                  (evtchn_port_t)m->in[port_word],
                                  &port_of[to]) != 0);
    BUG_ON(event_unmask(port_of[to]) != 0);
    event_take(port_of[to]); /* whoever binds finds it rung */
}

/* A request and its answer. */
static void ask(enum role server)
{
    evtchn_port_t port = port_of[server];

    if (!m->in[IN_CALLS]) {
        event_send(port);
        event_wait_for(port);
        return;
    }
    /* It ends for other events too: who only waited then would lend nothing. */
    while (hypercall_belfry_call(port, 0) != 1 && !event_take(port))
        event_poll();
}

static void work(void)
{
    for (unsigned int i = 0; i < WORK; i++)
        m->beats++;
}

/* A role that has rung, or ROLES. */
static enum role take_ring(void)
{
    event_poll();
    for (unsigned int i = 0; i < ROLES; i++) {
        if (rang[i]) {
            rang[i] = false;
            return i;
        }
    }
    return ROLES;
}

static enum role role_of(evtchn_port_t port)
{
    for (unsigned int i = 0; port && i < ROLES; i++)
        if (port_of[i] == port)
            return i;
    return ROLES;
}

/* Answer one role, if it is any, and wait for the next. */
static enum role answer_and_wait(enum role answered)
{
    uint32_t port = answered < ROLES ? port_of[answered] : 0;
    enum role next = take_ring();

    if (!m->in[IN_CALLS]) {
        if (port)
            event_send(port);
        for (; next == ROLES; next = take_ring())
            event_wait();
        return next;
    }
    /* One that waits already: answer, and do not sleep. */
    port = (uint32_t)hypercall_belfry_serve(port, next == ROLES ? 0 : 1);
    if (next != ROLES)
        return next;
    next = role_of(port);
    return next == ROLES ? take_ring() : next;
}

_Noreturn static void serve(bool through_low)
{
    enum role from = ROLES;

    for (;;) {
        from = answer_and_wait(from);
        if (from == ROLES)
            continue;
        if (through_low)
            ask(LOW);
        else
            work();
    }
}

_Noreturn static void spin(void)
{
    for (;;) {
        uint64_t end = clock_now() + m->in[IN_BUSY];

        while (m->in[IN_BUSY] && clock_now() < end)
            m->beats++;
        sleep_ns(REST);
    }
}

_Noreturn static void keep_low_busy(void)
{
    for (;;) {
        if (m->in[IN_BUSY])
            ask(LOW);
        else
            sleep_ns(MS);
    }
}

/* One round of what the high one does, in ns. */
static uint64_t round_of(uint64_t what)
{
    uint64_t start = clock_now();

    if (what == NAP) {
        sleep_ns(MS);
        return clock_now() - start - MS;
    }
    ask(what == ASK_LOW ? LOW : MIDDLE);
    return clock_now() - start;
}

/* Rounds at many moments of the others' lives. */
static void measure(void)
{
    uint64_t took[ROUNDS];

    for (unsigned int i = 0; i < ROUNDS; i++) {
        uint64_t ns;
        unsigned int at = i;

        sleep_ns(REST + random_below(MS));
        ns = round_of(m->in[IN_WHAT]);
        for (; at > 0 && took[at - 1] > ns; at--)
            took[at] = took[at - 1];
        took[at] = ns;
    }
    m->out[OUT_WORST] = took[ROUNDS - 1];
    m->out[OUT_MEDIAN] = took[ROUNDS / 2];
}

_Noreturn static void be_high(void)
{
    for (;;) {
        uint64_t run = m->go;

        measure();
        m->out[OUT_DONE] = run;
        while (m->go == run)
            sleep_ns(MS);
    }
}

static void prepare(enum role self)
{
    if (self == LOW) {
        offer(HIGH);
        offer(MIDDLE);
        offer(OTHER);
    }
    if (self == MIDDLE)
        offer(HIGH);
    m->out[OUT_DONE] = GO_OFFER;
    while (m->go == GO_OFFER)
        sleep_ns(MS);
    if (self == HIGH)
        bind(MIDDLE, IN_TO_MIDDLE);
    if (self == HIGH || self == MIDDLE || self == OTHER)
        bind(LOW, IN_TO_LOW);
    m->out[OUT_DONE] = GO_BIND;
    while (m->go == GO_BIND)
        sleep_ns(MS);
}

_Noreturn static void child_main(void)
{
    unsigned int self = 0;

    while (strcmp(guest.name, names[self]) != 0)
        self++;
    m = meet_offer();
    meet_wait(m);
    prepare(self);
    if (self == HIGH)
        be_high();
    if (self == SPINNER)
        spin();
    if (self == OTHER)
        keep_low_busy();
    serve(self == MIDDLE);
}

/* ---- The parent. ---- */
static struct {
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
} players[ROLES];

static void start_all(void)
{
    for (unsigned int i = 0; i < ROLES; i++)
        if (!child_start(&players[i].child, names[i]) ||
            !CHECK(players[i].m =
                       meet_find(players[i].child.id, &players[i].mapping)))
            test_end("inversion");
}

static void stop_all(void)
{
    for (unsigned int i = 0; i < ROLES; i++) {
        grant_unmap(&players[i].mapping);
        child_destroy(&players[i].child);
    }
}

static void tell_all(unsigned int word, uint64_t value)
{
    for (unsigned int i = 0; i < ROLES; i++)
        players[i].m->in[word] = value;
}

static void await(enum role role, uint64_t done)
{
    uint64_t deadline = clock_now() + 20000 * MS;

    while (players[role].m->out[OUT_DONE] != done)
        if (!CHECK(clock_now() < deadline))
            test_end("inversion");
        else
            sleep_ns(MS);
}

static void step_all(uint64_t go)
{
    for (unsigned int i = 0; i < ROLES; i++)
        meet_go(players[i].m, go);
    for (unsigned int i = 0; i < ROLES && go < GO_RUN; i++)
        await(i, go);
}

static void connect(void)
{
    for (unsigned int i = 0; i < ROLES; i++)
        tell_all(IN_ID + i, players[i].child.id);
    step_all(GO_OFFER);
    for (unsigned int i = 0; i < ROLES; i++)
        players[i].m->in[IN_TO_LOW] = players[LOW].m->out[OUT_PORT + i];
    players[HIGH].m->in[IN_TO_MIDDLE] = players[MIDDLE].m->out[OUT_PORT + HIGH];
    step_all(GO_BIND);
    players[HIGH].m->in[IN_WHAT] = NAP;
    step_all(GO_RUN);
    await(HIGH, GO_RUN);
}

/* Worst of the rounds, in us, with a spin of so many ms. */
static uint64_t measured(const char *shape, enum what what, bool calls,
                         uint64_t spin_ms)
{
    static uint64_t run = GO_RUN;
    const struct meet *high = players[HIGH].m;

    tell_all(IN_CALLS, calls);
    players[HIGH].m->in[IN_WHAT] = what;
    players[SPINNER].m->in[IN_BUSY] = spin_ms * MS;
    meet_go(players[HIGH].m, ++run);
    await(HIGH, run);
    players[SPINNER].m->in[IN_BUSY] = 0;
    sleep_ns(2 * REST);
    printf("inversion: %-22s %-9s %5lu %7lu.%lu %7lu.%lu\n", shape,
           what == NAP ? "-"
           : calls     ? "lent"
                       : "not lent",
           spin_ms, high->out[OUT_MEDIAN] / US,
           high->out[OUT_MEDIAN] % US / 100, high->out[OUT_WORST] / US,
           high->out[OUT_WORST] % US / 100);
    return high->out[OUT_WORST] / US;
}

static bool bounds_hold;

/* With lending the spinner costs nothing but a few switches; without, all of
 * its time. */
static void table_of(const char *shape, enum what what)
{
    uint64_t lent[3], unlent[3];
    static const uint64_t spins[3] = { 0, 5, 20 };

    for (unsigned int i = 0; i < 3; i++)
        lent[i] = measured(shape, what, true, spins[i]);
    for (unsigned int i = 0; i < 3; i++)
        unlent[i] = measured(shape, what, false, spins[i]);
    if (!bounds_hold)
        return;
    CHECK(lent[1] < 2 * lent[0] + 100);
    CHECK(lent[2] < 2 * lent[0] + 100);
    CHECK(unlent[0] < 2 * lent[0] + 100);
    CHECK(unlent[0] > 100); /* not somebody else's answer */
    CHECK(unlent[1] > 3000);
    CHECK(unlent[2] > 3 * unlent[1]);
}

static void latency(void)
{
    uint64_t idle = measured("wake to run", NAP, false, 0);
    uint64_t busy = measured("wake to run", NAP, false, 20);

    if (bounds_hold)
        CHECK(busy < idle + 50);
}

int guest_main(void)
{
    struct belfry_machine machine;
    uint64_t before;

    if (!guest.initial)
        child_main();
    test_needs_belfry("inversion");
    machine_info(&machine);
    bounds_hold = machine.nr_cpus == 1;
    child_rehearse("low");
    before = machine_free_pages();
    start_all();
    connect();
    printf("inversion: the high one's wait    priority   spin    median     "
           "worst   (spin in ms, others in us)\n");
    table_of("caller, server", ASK_LOW);
    table_of("caller, server, server", ASK_MIDDLE);
    players[OTHER].m->in[IN_BUSY] = 1;
    sleep_ns(2 * MS);
    table_of("caller, busy server", ASK_LOW);
    players[OTHER].m->in[IN_BUSY] = 0;
    latency();
    stop_all();
    CHECK_EQ(machine_free_pages(), before);
    test_end("inversion");
}
