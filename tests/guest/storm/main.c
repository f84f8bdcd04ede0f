/*
 * Defends: a domain that rings another without end takes no more from it, and
 * from those beside them, than one that spins, if the port has credits: the
 * victim keeps at least half of its throughput, bystanders 95 %.
 *
 * All have one priority and count loops; the victim takes an upcall for each
 * ring that gets through.  With two CPUs the victim and its sender are on
 * different ones, so that a ring is an interrupt.
 *
 * Three phases take turns, since other work of the host changes from moment to
 * moment: the sender spins; it rings; it rings and the port has credits.
 * Each lasts a few turns of all domains on a CPU.  A round is judged by itself
 * and the median of all rounds counts; there are more of them until that is
 * good enough or clearly is not.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS 1000000ul

#define PHASE_LENGTH (120 * MS) /* turns are 10 ms, of two or four domains */
#define MIN_ROUNDS   20u
#define MAX_ROUNDS   120u
#define CREDITS      4u
#define INTERVAL     (10 * MS)

#define VICTIM_KEEPS    50u /* percent */
#define BYSTANDER_KEEPS 95u

enum phase { CALM = 1, STORM, CREDIT, END_PHASES };
enum { VICTIM, SENDER, NEAR, FAR, NR_PLAYERS };

/* Words of the meeting pages. */
enum { IN_PEER, IN_PORT };
enum { OUT_PORT, OUT_PHASE, OUT_UPCALLS };

/* ---- The victim. ---- */

/* The upcall: takes the port's ring, counts, and goes back by the hypercall
 * that also unmasks. */
struct vcpu_info *storm_vcpu __attribute__((used));
uint64_t *storm_word __attribute__((used));  /* of the pending bits */
uint64_t storm_others __attribute__((used)); /* all bits but the port's */
volatile uint64_t *storm_count __attribute__((used));
extern char storm_upcall[];

__asm__(".pushsection .text\n"
        "storm_upcall:\n"
        "    popq %rcx\n"
        "    popq %r11\n"
        "    pushq %rax\n"
        "    pushq %rdx\n"
        "    movq storm_vcpu(%rip), %rax\n"
        "    movb $0, (%rax)\n" /* evtchn_upcall_pending */
        "    xorl %edx, %edx\n"
        "    xchgq %rdx, 8(%rax)\n" /* evtchn_pending_sel */
        "    movq storm_word(%rip), %rax\n"
        "    movq storm_others(%rip), %rdx\n"
        "    lock andq %rdx, (%rax)\n"
        "    movq storm_count(%rip), %rax\n"
        "    incq (%rax)\n"
        "    popq %rdx\n"
        "    popq %rax\n"
        "    pushq $0\n"
        "    jmp hypercall_page + 23 * 32\n" /* __HYPERVISOR_iret */
        ".popsection\n");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == 8, "asm");

static void take_upcalls_for(evtchn_port_t port)
{
    storm_vcpu = &guest.shared->vcpu_info[0];
    storm_word = (uint64_t *)&guest.shared->evtchn_pending[port / 64];
    storm_others = ~(1ull << port % 64);
    if (store_available())
        event_mask(guest.start->store_evtchn);
    event_mask(guest.start->console.domU.evtchn);
    BUG_ON(hypercall_set_callbacks(storm_upcall, NULL, NULL) != 0);
    BUG_ON(event_unmask(port) != 0);
    write_once(&storm_vcpu->evtchn_upcall_mask, 0);
}

_Noreturn static void victim_main(struct meet *m)
{
    evtchn_port_t port;

    storm_count = &m->out[OUT_UPCALLS];
    BUG_ON(event_alloc_unbound((domid_t)m->in[IN_PEER], &port) != 0);
    take_upcalls_for(port);
    m->out[OUT_PORT] = port;
    for (;;) {
        uint64_t go = m->go;

        BUG_ON(event_limit(port, go == CREDIT ? CREDITS : 0, INTERVAL));
        m->out[OUT_PHASE] = go;
        while (m->go == go)
            m->beats++;
    }
}

/* ---- The others. ---- */

_Noreturn static void sender_main(struct meet *m)
{
    evtchn_port_t port;

    BUG_ON(event_bind_interdomain((domid_t)m->in[IN_PEER],
                                  (evtchn_port_t)m->in[IN_PORT], &port) != 0);
    for (;;) {
        uint64_t go = m->go;

        m->out[OUT_PHASE] = go;
        while (m->go == go) {
            if (go != CALM)
                event_send(port);
            m->beats++;
        }
    }
}

_Noreturn static void bystander_main(struct meet *m)
{
    for (;;)
        m->beats++;
}

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();

    meet_wait(m);
    if (strcmp(guest.name, "victim") == 0)
        victim_main(m);
    if (strcmp(guest.name, "sender") == 0)
        sender_main(m);
    bystander_main(m);
}

/* ---- The parent: the players. ---- */

static struct player {
    const char *name;
    unsigned int keeps; /* percent, in the phase with credits */
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
    uint64_t rate[END_PHASES]; /* beats a second, in this round */
    uint64_t keeping[END_PHASES][MAX_ROUNDS]; /* percent of CALM, sorted */
} players[NR_PLAYERS] = {
    [VICTIM] = { .name = "victim", .keeps = VICTIM_KEEPS },
    [SENDER] = { .name = "sender" },
    [NEAR] = { .name = "near", .keeps = BYSTANDER_KEEPS },
    [FAR] = { .name = "far", .keeps = BYSTANDER_KEEPS },
};

static const struct placement {
    const char *title;
    unsigned int cpu[NR_PLAYERS];
} on_one[] = { { "all on one CPU", { 0, 0, 0, 0 } } },
  on_two[] = { { "far on the sender's CPU", { 0, 1, 0, 1 } },
               { "the sender alone on its CPU", { 0, 1, 0, 0 } } };

#define for_each_player(p)                                                     \
    for (struct player *p = players; p < players + NR_PLAYERS; p++)

static void pin(const struct player *p, unsigned int cpu)
{
    struct belfry_control op =
        BELFRY_ARG(belfry_control, .action = BELFRY_CONTROL_PIN,
                   .id = p->child.id, .cpus = 1ull << cpu);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_control, &op), 0);
}

static unsigned int cpus(void)
{
    static struct belfry_machine machine;

    machine_info(&machine);
    return machine.nr_cpus;
}

static void wait_until(volatile uint64_t *word, uint64_t value)
{
    uint64_t deadline = clock_now() + 10000 * MS;

    while (*word != value && clock_now() < deadline)
        sleep_ns(MS);
    CHECK_EQ(*word, value);
}

static void start_all(void)
{
    struct player *victim = &players[VICTIM], *sender = &players[SENDER];

    for_each_player (p) {
        if (!child_create(&p->child, p->name))
            test_end("storm");
        CHECK_EQ(domain_control(p->child.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
        p->m = meet_find(p->child.id, &p->mapping);
        if (!CHECK(p->m))
            test_end("storm");
    }
    victim->m->in[IN_PEER] = sender->child.id;
    meet_go(victim->m, CALM);
    wait_until(&victim->m->out[OUT_PHASE], CALM);
    sender->m->in[IN_PEER] = victim->child.id;
    sender->m->in[IN_PORT] = victim->m->out[OUT_PORT];
    meet_go(sender->m, CALM);
    wait_until(&sender->m->out[OUT_PHASE], CALM);
    meet_go(players[NEAR].m, 1);
    meet_go(players[FAR].m, 1);
}

static void stop_all(void)
{
    for_each_player (p) {
        grant_unmap(&p->mapping);
        child_destroy(&p->child);
    }
}

/* ---- Measuring. ---- */

static unsigned int rounds;
static uint64_t upcalls[END_PHASES], lasted[END_PHASES]; /* of all rounds */

static void begin_phase(enum phase phase)
{
    meet_go(players[VICTIM].m, phase);
    meet_go(players[SENDER].m, phase);
    wait_until(&players[VICTIM].m->out[OUT_PHASE], phase);
    wait_until(&players[SENDER].m->out[OUT_PHASE], phase);
}

static void measure(enum phase phase)
{
    const struct meet *victim = players[VICTIM].m;
    uint64_t elapsed, taken, before[NR_PLAYERS];

    begin_phase(phase);
    elapsed = clock_now();
    taken = victim->out[OUT_UPCALLS];
    for_each_player (p)
        before[p - players] = p->m->beats;
    sleep_ns(PHASE_LENGTH);
    for_each_player (p)
        before[p - players] = p->m->beats - before[p - players];
    taken = victim->out[OUT_UPCALLS] - taken;
    elapsed = clock_now() - elapsed;

    for_each_player (p)
        p->rate[phase] = before[p - players] * 1000 * MS / elapsed;
    upcalls[phase] += taken;
    lasted[phase] += elapsed;
    if (phase == CREDIT)
        CHECK(taken <= CREDITS + elapsed / INTERVAL + 1);
}

static void insert(uint64_t *sorted, uint64_t value)
{
    unsigned int at = rounds;

    for (; at > 0 && sorted[at - 1] > value; at--)
        sorted[at] = sorted[at - 1];
    sorted[at] = value;
}

static void one_round(void)
{
    for (unsigned int i = 0; i < 3; i++)
        measure((enum phase)(CALM + (rounds + i) % 3));
    for_each_player (p)
        for (unsigned int phase = STORM; phase < END_PHASES; phase++)
            insert(p->keeping[phase],
                   p->rate[phase] * 100 / (p->rate[CALM] | 1));
    rounds++;
}

static uint64_t keeps(const struct player *p, enum phase phase)
{
    return p->keeping[phase][rounds / 2];
}

static bool is_good(void)
{
    for_each_player (p)
        if (keeps(p, CREDIT) < p->keeps)
            return false;
    return true;
}

static void print_table(const char *title)
{
    printf("%s, %u rounds; loops, %% of those beside a sender that spins:\n",
           title, rounds);
    printf("%-10s %14s %14s\n", "", "no credits", "credits");
    for_each_player (p)
        printf("%-10s %14lu %14lu%s\n", p->name, keeps(p, STORM),
               keeps(p, CREDIT), p->keeps ? "" : " (loops with a send)");
    printf("%-10s %14lu %14lu\n", "upcalls/s",
           upcalls[STORM] * 1000 * MS / lasted[STORM],
           upcalls[CREDIT] * 1000 * MS / lasted[CREDIT]);
}

static void play(const struct placement *where)
{
    for_each_player (p)
        pin(p, where->cpu[p - players]);
    memset(upcalls, 0, sizeof(upcalls));
    memset(lasted, 0, sizeof(lasted));
    rounds = 0;
    while (rounds < MIN_ROUNDS || (rounds < MAX_ROUNDS && !is_good()))
        one_round();
    print_table(where->title);
    for_each_player (p)
        CHECK(keeps(p, CREDIT) >= p->keeps);
}

/* ---- What the hypervisor says of it. ---- */

static struct belfry_channel victims_port(void)
{
    static struct belfry_channel c;
    struct belfry_channels op =
        BELFRY_ARG(belfry_channels, .id = players[VICTIM].child.id,
                   .first = (uint32_t)players[VICTIM].m->out[OUT_PORT],
                   .count = 1, .item_size = sizeof(c), .channels = &c);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &op), 0);
    CHECK_EQ(op.count, 1);
    return c;
}

static bool log_has(const char *text)
{
    static char log[65536];
    struct belfry_log op =
        BELFRY_ARG(belfry_log, .length = sizeof(log), .buffer = log);
    size_t n = strlen(text);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_log, &op), 0);
    for (size_t i = 0; i + n <= op.length; i++)
        if (memcmp(&log[i], text, n) == 0)
            return true;
    return false;
}

/* The storm is over: the last ring has arrived, and each is accounted for. */
static void nothing_is_lost(void)
{
    uint64_t before;
    struct belfry_channel c;

    begin_phase(CREDIT);
    sleep_ns(50 * MS);
    meet_go(players[SENDER].m, CALM); /* the limit stays */
    wait_until(&players[SENDER].m->out[OUT_PHASE], CALM);
    sleep_ns(100 * MS);
    c = victims_port();
    CHECK(c.throttled > 0);
    CHECK(!c.pending);
    CHECK_EQ(c.delivered + c.coalesced, c.sent);
    CHECK(c.throttled <= c.sent);
    before = c.delivered;
    sleep_ns(50 * MS);
    CHECK_EQ(victims_port().delivered, before);
    CHECK(log_has("sender rings port "));
}

int guest_main(void)
{
    uint64_t before;

    if (!guest.initial)
        child_main();
    test_needs_belfry("storm");
    sleep_ns(MS);
    for_each_player (p)
        child_rehearse(p->name);
    before = machine_free_pages();
    start_all();
    if (cpus() == 1) {
        play(on_one);
    } else {
        play(&on_two[0]);
        play(&on_two[1]);
    }
    nothing_is_lost();
    begin_phase(CREDIT);
    stop_all(); /* in the midst of it: the victim first */
    CHECK_EQ(machine_free_pages(), before);
    test_end("storm");
}
