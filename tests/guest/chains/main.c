/*
 * Defends: on A calls B calls C, whichever of them ends, at whatever step,
 * nobody waits for ever, every survivor learns the truth, and nothing of the
 * dead stays behind.
 *
 * For each role, fresh domains run the chain with the injector set to one step
 * further each time, until the role comes through.  Then the parent destroys a
 * role that sleeps at a point of rings/call.c, or another one meanwhile; and
 * last one sleeps there for good, and is found out by deadlines.
 *
 * Without deadlines there is no timer: what makes a survivor go on can only be
 * the death itself.  The parent has the lowest priority.  So on one CPU, when
 * it goes on after the ring that lets the chain begin, nobody else has
 * anything left to do, and who has not learnt by then waits for ever.  On
 * several CPUs it waits for TIMEOUT.
 */
#include "tests/guest/parent.h"
#include "tests/guest/chains/chains.h"

#define TIMEOUT  20000000000 /* for hosts that do other things too */
#define PATIENCE 50000000

enum way { CRASH, DESTROY, ELSEWHERE, STALL };

static const char *const role_names[ROLES] = { "a", "b", "c" };

struct member {
    struct child child;
    struct meet *meet;
    struct grant_mapping mapping;
    volatile struct chain_orders *orders;
    struct chain_report report; /* as it stood last */
};

struct trial {
    enum way way;
    enum role victim, sleeper; /* mostly one */
    uint64_t at;               /* the victim's step, or the sleeper's point */
    bool refuses;
};

static struct member chain[ROLES];
static evtchn_port_t bell;
static bool one_cpu, rehearsed;

/* ---- The table. ---- */

enum seen {
    ANSWERED,
    PEER_DEAD,
    PEER_LEFT,
    TOLD,
    CANCELLED,
    TIMED_OUT,
    CALLER_DEAD,
    CALLER_LEFT,
    NR_SEEN,
};

static const char *const seen_names[NR_SEEN] = {
    [ANSWERED] = "all answered",
    [PEER_DEAD] = "server dead",
    [PEER_LEFT] = "server left",
    [TOLD] = "told by b",
    [CANCELLED] = "refused by b, and told why",
    [TIMED_OUT] = "timed out",
    [CALLER_DEAD] = "caller dead",
    [CALLER_LEFT] = "caller left",
};

struct row {
    unsigned int trials, steps;
    unsigned int seen[ROLES][NR_SEEN];
    unsigned int evidence[CALL_PAUSED + 1];
};

static struct row rows[STALL + 1][ROLES];
static unsigned int kills, hangs, leaks;

/* ---- Building a chain. ---- */

static volatile struct chain_report *live_report(enum role role)
{
    return chain_report(chain[role].meet);
}

static bool await_stage(uint64_t stage)
{
    uint64_t deadline = clock_now() + TIMEOUT;

    for (unsigned int i = 0; i < ROLES; i++)
        while (load_acquire(&live_report(i)->stage) < stage) {
            if (clock_now() >= deadline)
                return CHECK(!"a role is not ready");
            sleep_ns(50000);
        }
    return true;
}

static bool see_vcpu(enum role role, struct belfry_vcpu *v)
{
    struct belfry_vcpus list =
        BELFRY_ARG(belfry_vcpus, .id = chain[role].child.id, .count = 1,
                   .vcpus = v, .item_size = sizeof(*v));

    return CHECK_EQ(hypercall_belfry_op(BELFRYOP_vcpus, &list), 0);
}

static bool await_state(enum role role, unsigned int state)
{
    uint64_t deadline = clock_now() + TIMEOUT;
    struct belfry_vcpu v;

    while (see_vcpu(role, &v) && v.state != state)
        if (clock_now() >= deadline)
            return CHECK(!"a role does not sleep");
    return true;
}

static void all_go(uint64_t stage)
{
    for (unsigned int i = 0; i < ROLES; i++)
        meet_go(chain[i].meet, stage);
}

static void tell_link(enum role called)
{
    chain[called].orders->up.ref = live_report(called - 1)->down.ref;
    chain[called].orders->up.port = live_report(called - 1)->down.port;
}

static bool start_members(void)
{
    for (unsigned int i = 0; i < ROLES; i++) {
        struct member *m = &chain[i];

        if (!child_start(&m->child, role_names[i]))
            return false;
        m->meet = meet_find(m->child.id, &m->mapping);
        if (!CHECK(m->meet))
            return false;
        m->orders = chain_orders(m->meet);
    }
    return true;
}

static void give_orders(const struct trial *t)
{
    for (unsigned int i = 0; i < ROLES; i++) {
        volatile struct chain_orders *orders = chain[i].orders;

        orders->caller = i > A ? chain[i - 1].child.id : 0;
        orders->server = i < C ? chain[i + 1].child.id : 0;
        orders->stop_at = t->way != CRASH && t->sleeper == i ? t->at : NO_POINT;
        orders->patience = t->way == STALL ? PATIENCE : 0;
        orders->refuses = t->refuses;
    }
}

static bool build(const struct trial *t)
{
    if (!start_members())
        return false;
    give_orders(t);
    all_go(STAGE_OFFERED);
    if (!await_stage(STAGE_OFFERED))
        return false;
    tell_link(B);
    tell_link(C);
    all_go(STAGE_BOUND);
    if (!await_stage(STAGE_BOUND))
        return false;
    all_go(STAGE_READY);
    return await_stage(STAGE_READY) && await_state(A, BELFRY_VCPU_BLOCKED) &&
           await_state(B, BELFRY_VCPU_SERVING) &&
           await_state(C, BELFRY_VCPU_SERVING) &&
           CHECK_EQ(event_bind_interdomain((domid_t)chain[A].child.id,
                                           (evtchn_port_t)live_report(A)->bell,
                                           &bell),
                    0);
}

/* ---- Taking it apart.  What is left then, is a leak. ---- */

static void let_go(enum role role)
{
    struct member *m = &chain[role];

    if (!m->meet)
        return;
    m->report = *live_report(role);
    grant_unmap(&m->mapping);
    m->meet = NULL;
    child_detach(&m->child);
}

static void leaked(const char *what, enum role role)
{
    leaks++;
    printf("%s: leak: %s\n", role_names[role], what);
}

/* Everybody has let go of it, so it does not linger. */
static void destroy(enum role role)
{
    struct child *c = &chain[role].child;
    static struct belfry_domain info;

    let_go(role);
    CHECK_EQ(domain_control(c->id, c->generation, BELFRY_CONTROL_DESTROY), 0);
    if (domain_info(c->id, &info))
        leaked("it lingers", role);
}

static void check_survivor_has_nothing(enum role role)
{
    static struct belfry_domain info;
    struct belfry_vcpu v = { 0 };

    see_vcpu(role, &v);
    if (v.lent_priority)
        leaked("a lent priority", role);
    let_go(role);
    CHECK(domain_info(chain[role].child.id, &info));
    if (info.grants_active)
        leaked("a grant that is mapped", role);
}

/* ---- One trial. ---- */

/* Does it have to end?  Behind somebody who sleeps for good a server may
 * serve for good. */
static bool must_end(const struct trial *t, enum role role)
{
    if (role == t->victim)
        return false;
    return t->way != STALL || role < t->victim;
}

static bool have_ended(const struct trial *t)
{
    for (unsigned int i = 0; i < ROLES; i++)
        if (must_end(t, i) && !load_acquire(&live_report(i)->done))
            return false;
    return true;
}

static void await_survivors(const struct trial *t)
{
    uint64_t deadline = clock_now() + TIMEOUT;
    bool ended = have_ended(t);

    if (!one_cpu || t->way >= ELSEWHERE)
        while (!ended && clock_now() < deadline) {
            sleep_ns(100000);
            ended = have_ended(t);
        }
    if (ended)
        return;
    hangs++;
    for (unsigned int i = 0; i < ROLES; i++)
        printf("hang: %s %u at %lu: %s done %lu answered %lu error %lu\n",
               role_names[t->victim], t->way, t->at, role_names[i],
               live_report(i)->done, live_report(i)->answered,
               live_report(i)->error);
}

/* It sleeps for good, as far as can be seen: its last step, the return to the
 * guest, may be yet to come on another CPU. */
static bool came_through(enum role role)
{
    struct belfry_vcpu v;

    if (!live_report(role)->done || !see_vcpu(role, &v) ||
        v.state != BELFRY_VCPU_BLOCKED)
        return false;
    sleep_ns(100000);
    return true;
}

static bool was_killed(const struct trial *t)
{
    static struct belfry_domain info;
    uint64_t deadline = clock_now() + TIMEOUT;
    bool through;

    do {
        through = came_through(t->victim);
        if (!CHECK(domain_info(chain[t->victim].child.id, &info)))
            return false;
        if (info.state == BELFRY_STATE_SHUTDOWN) {
            CHECK_EQ(strncmp(info.crash_text, "killed by the injector", 22), 0);
            return true;
        }
    } while (!through && clock_now() < deadline);
    return false;
}

/* Sleeping at the point, or through without having come to it. */
static bool await_stop(enum role role)
{
    uint64_t deadline = clock_now() + TIMEOUT;
    volatile struct chain_report *report = live_report(role);

    while (!load_acquire(&report->stopped) && !load_acquire(&report->done) &&
           clock_now() < deadline)
        sleep_ns(100000);
    return report->stopped;
}

/* Let it run to its end; true if the victim has met its own. */
static bool run(const struct trial *t)
{
    const struct child *victim = &chain[t->victim].child;
    bool met;

    if (t->way == CRASH)
        domain_inject(victim->id, victim->generation, t->at);
    event_send(bell);
    if (t->way == CRASH) {
        await_survivors(t);
        return was_killed(t);
    }
    met = await_stop(t->sleeper);
    if (met && t->way != STALL) {
        let_go(t->victim);
        CHECK_EQ(domain_control(victim->id, victim->generation,
                                BELFRY_CONTROL_DESTROY),
                 0);
    }
    if (t->way == ELSEWHERE)
        chain[t->sleeper].orders->stop_at = NO_POINT;
    await_survivors(t);
    return met;
}

/* ---- What the survivors saw. ---- */

static bool is_dead(const struct chain_sight *s)
{
    return s->state == BELFRY_PEER_CRASHED || s->state == BELFRY_PEER_DESTROYED;
}

/* What is said of a role is so: @left, it has left that link by itself. */
static void check_sight(const struct trial *t, bool met,
                        const struct chain_sight *s, enum role of, bool left)
{
    CHECK_EQ(s->generation, chain[of].child.generation);
    if (is_dead(s)) {
        CHECK(met && of == t->victim);
        CHECK_EQ(s->state,
                 t->way == CRASH ? BELFRY_PEER_CRASHED : BELFRY_PEER_DESTROYED);
    } else if (s->state == BELFRY_PEER_CLOSED) {
        CHECK(left);
    } else {
        CHECK_EQ(s->state, BELFRY_PEER_ALIVE);
    }
}

static enum seen seen_by_caller(const struct chain_report *r)
{
    switch (r->error) {
    case EPIPE:
        return is_dead(&r->server) ? PEER_DEAD : PEER_LEFT;
    case ECANCELED:
        return CANCELLED;
    case ETIMEDOUT:
        return TIMED_OUT;
    default:
        CHECK_EQ(r->error, 0);
        return r->told.state ? TOLD : ANSWERED;
    }
}

static enum seen seen_by_server(const struct chain_report *r)
{
    return is_dead(&r->caller) ? CALLER_DEAD : CALLER_LEFT;
}

static enum seen seen_by(enum role role)
{
    const struct chain_report *r = &chain[role].report;

    if (role == A || (role == B && r->error))
        return seen_by_caller(r);
    return seen_by_server(r);
}

static void check_report(const struct trial *t, bool met, enum role role)
{
    const struct chain_report *r = &chain[role].report;

    if (role != C)
        check_sight(t, met, &r->server, role + 1,
                    chain[role + 1].report.closed_up);
    if (role == A && r->error == ECANCELED)
        CHECK(r->told.state);
    if (role == A && r->told.state)
        check_sight(t, met, &r->told, C, chain[C].report.closed_up);
    if (role != A) {
        CHECK(r->caller.state > BELFRY_PEER_ALIVE);
        check_sight(t, met, &r->caller, role - 1,
                    chain[role - 1].report.closed_down);
    }
    if (role == A && !r->error && !r->told.state)
        CHECK_EQ(r->answered, ROUNDS);
}

static void look_at_survivors(const struct trial *t, bool met)
{
    struct row *row = &rows[t->way][t->victim];

    for (unsigned int i = 0; i < ROLES; i++) {
        const struct chain_report *r = &chain[i].report;

        if (!r->done || (i == t->victim && met))
            continue;
        check_report(t, met, i);
        if (!met)
            continue;
        row->seen[i][seen_by(i)]++;
        if (r->error == ETIMEDOUT && r->evidence <= CALL_PAUSED)
            row->evidence[r->evidence]++;
    }
    row->trials += met;
}

/* The dead first: the survivors have let go of it. */
static void take_apart(const struct trial *t, bool met)
{
    static struct belfry_domain info;
    const struct child *victim = &chain[t->victim].child;
    bool destroyed = met && (t->way == DESTROY || t->way == ELSEWHERE);

    let_go(t->victim);
    if (destroyed && domain_info(victim->id, &info))
        leaked("it lingers", t->victim);
    if (t->way != STALL && !destroyed)
        destroy(t->victim);
    for (unsigned int i = 0; i < ROLES; i++)
        if (t->way != STALL && i != t->victim)
            check_survivor_has_nothing(i);
        else
            let_go(i);
    for (unsigned int i = ROLES; i-- > 0;) /* who maps before who is mapped */
        if (t->way == STALL || i != t->victim)
            destroy(i);
    CHECK_EQ(event_close(bell), 0);
}

/* True if the victim met its end, or its stop. */
static bool try(const struct trial *t)
{
    uint64_t before = machine_free_pages();
    unsigned int failed = test_failures;
    bool met;

    memset(chain, 0, sizeof(chain));
    if (!build(t))
        return false;
    met = run(t);
    take_apart(t, met);
    look_at_survivors(t, met);
    kills += met && t->way != STALL;
    if (rehearsed && machine_free_pages() != before)
        leaked("pages", t->victim);
    if (test_failures != failed)
        printf("    (%s, way %u, at %lu)\n", role_names[t->victim], t->way,
               t->at);
    return met;
}

/* ---- All trials. ---- */

/* From its first step on until it comes through. */
static void sweep(enum way way, enum role victim, enum role sleeper,
                  uint64_t first, uint64_t stride)
{
    struct trial t = { way, victim, sleeper, first, way == DESTROY };

    while (test_failures < TEST_REPORTS && hangs < 10 && try(&t))
        t.at += stride;
    if (way == CRASH && rows[way][victim].steps < t.at)
        rows[way][victim].steps = (unsigned int)t.at;
}

/* One chain that nobody disturbs: what is allocated once, is after this. */
static void rehearse(void)
{
    const struct trial t = { CRASH, A, A, BELFRY_INJECT_NEVER, false };

    CHECK(!try(&t));
    rehearsed = true;
}

static void print_row(enum way way, enum role victim)
{
    static const char *const ways[] = { "crashes", "is destroyed",
                                        "is destroyed elsewhere", "stalls" };
    const struct row *row = &rows[way][victim];

    printf("| %s %s, %u times", role_names[victim], ways[way], row->trials);
    if (way == CRASH)
        printf(" at %u steps", row->steps);
    for (unsigned int i = 0; i < ROLES; i++) {
        if (i == victim || (way == STALL && i > victim))
            continue;
        printf(" | %s:", role_names[i]);
        for (unsigned int seen = 0; seen < NR_SEEN; seen++)
            if (row->seen[i][seen])
                printf(" %s %u", seen_names[seen], row->seen[i][seen]);
    }
    printf(" |\n");
}

static void print_evidence(enum role victim)
{
    const struct row *row = &rows[STALL][victim];

    printf("| %s stalls:", role_names[victim]);
    for (unsigned int i = 0; i <= CALL_PAUSED; i++)
        if (row->evidence[i])
            printf(" \"%s\" %u", call_evidence_name(i), row->evidence[i]);
    printf(" |\n");
}

static void print_table(void)
{
    for (unsigned int way = CRASH; way <= STALL; way++)
        for (unsigned int victim = 0; victim < ROLES; victim++)
            if (rows[way][victim].trials)
                print_row(way, victim);
    for (unsigned int victim = B; victim < ROLES; victim++)
        print_evidence(victim);
    printf("| %u kills, %u hangs, %u leaks |\n", kills, hangs, leaks);
}

static void make_trials(unsigned int wanted)
{
    for (uint64_t round = 0; round == 0 || kills < wanted; round++) {
        for (unsigned int i = 0; i < ROLES; i++)
            sweep(CRASH, i, i, 0, 1);
        for (unsigned int i = 0; i < ROLES; i++)
            sweep(DESTROY, i, i, round % 2, 2);
        for (unsigned int i = 0; i < ROLES * ROLES; i++)
            if (i / ROLES != i % ROLES)
                sweep(ELSEWHERE, i / ROLES, i % ROLES, round % 3, 3);
        for (unsigned int i = B; i < ROLES; i++)
            sweep(STALL, i, i, round % 3, 3);
        check_audit("after a round");
        if (test_failures || hangs || leaks)
            return;
    }
}

int guest_main(void)
{
    struct belfry_machine machine;

    if (!guest.initial)
        chain_main(guest.name[0] == 'a' ? A : guest.name[0] == 'b' ? B : C);
    test_needs_belfry("chains");
    machine_info(&machine);
    one_cpu = machine.nr_cpus == 1;
    rehearse();
    make_trials((unsigned int)cmdline_number("kills", 0));
    print_table();
    CHECK_EQ(hangs, 0);
    CHECK_EQ(leaks, 0);
    test_end("chains");
}
