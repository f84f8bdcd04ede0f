/*
 * The decision table of `why`.
 *
 * Invariant: every path fills in finding, sentence and next.
 */
#include "guests/control/verdict.h"

#include "guests/control/text.h"
#include "lib/format.h"
#include "lib/string.h"

#define SAY(j, ...)                                                            \
    format_string((j)->sentence, sizeof((j)->sentence), __VA_ARGS__)
#define NEXT(j, ...) format_string((j)->next, sizeof((j)->next), __VA_ARGS__)
#define EVIDENCE(j, ...)                                                       \
    do {                                                                       \
        if ((j)->nr_evidence < 4)                                              \
            format_string((j)->evidence[(j)->nr_evidence++],                   \
                          sizeof((j)->evidence[0]), __VA_ARGS__);              \
    } while (0)

const char *finding_name(enum finding f)
{
    switch (f) {
    case FINDING_PEER_DEAD:
        return "PEER-DEAD";
    case FINDING_HANDSHAKE:
        return "HANDSHAKE";
    case FINDING_IDLE:
        return "IDLE";
    case FINDING_MASKED:
        return "MASKED";
    case FINDING_SELECTOR_LOST:
        return "SELECTOR-LOST";
    case FINDING_EVENTS_OFF:
        return "EVENTS-OFF";
    case FINDING_STARVED:
        return "STARVED";
    case FINDING_HYPERVISOR_BUG:
        return "HYPERVISOR-BUG";
    case FINDING_THROTTLED:
        return "THROTTLED";
    case FINDING_PING_PONG:
        return "PING-PONG";
    case FINDING_BUSY:
        break;
    }
    return "BUSY";
}

/* How long ago, as text; "" for a time that never was. */
static const char *ago(const struct channel_state *s, uint64_t time, char *buf)
{
    buf[0] = 0;
    if (time && time <= s->now)
        text_duration(buf, 32, s->now - time);
    return buf;
}

/* "at handle+0x10", "at rip 0x1234" */
static const char *place(const struct belfry_channel *c, char *buf, size_t size)
{
    if (c->vcpu_symbol[0])
        format_string(buf, size, "at %s", c->vcpu_symbol);
    else
        format_string(buf, size, "at rip 0x%llx",
                      (unsigned long long)c->vcpu_rip);
    return buf;
}

static void describe_port(const struct channel_state *s,
                          const struct channel_end *e, struct judgement *j)
{
    char since[32];
    const struct belfry_channel *c = &e->port;

    if (!e->has_port)
        return;
    EVIDENCE(j,
             "%s port %u: pending %u, masked %u, selector %u, upcalls %s, "
             "rung %llu times, delivered %llu, last rung %s ago",
             e->domain, c->port, c->pending, c->masked, c->selector,
             c->upcall_masked ? "masked" : "on", (unsigned long long)c->sent,
             (unsigned long long)c->delivered,
             c->last_sent ? ago(s, c->last_sent, since) : "never, not");
}

/* ---- Row 1. ---- */

/* The end that is to blame: one that failed before one that ended well, and
 * then the one that ended first.  NULL: both live. */
static const struct channel_end *first_dead(const struct channel_state *s)
{
    const struct channel_end *a = &s->end[0], *b = &s->end[1];

    if (!a->gone || !b->gone)
        return a->gone ? a : b->gone ? b : NULL;
    if (a->well != b->well)
        return a->well ? b : a;
    return b->ended < a->ended ? b : a;
}

static bool judge_dead(const struct channel_state *s, struct judgement *j)
{
    const struct channel_end *e = first_dead(s), *o;
    char since[32];

    if (!e)
        return false;
    o = e == &s->end[0] ? &s->end[1] : &s->end[0];
    j->finding = FINDING_PEER_DEAD;
    /* One that ended well is missed only by a peer with work for it. */
    j->bad = !e->well || (o->has_port && o->port.pending) || s->in_flight > 0;
    SAY(j, "%s %s: %s, %s ago", e->domain, e->well ? "is gone" : "is dead",
        e->why, ago(s, e->ended, since));
    if (e->last_line[0])
        EVIDENCE(j, "its last line was: %s", e->last_line);
    if (o->gone)
        EVIDENCE(j, "%s: %s, %s ago", o->domain, o->why,
                 ago(s, o->ended, since));
    describe_port(s, o, j);
    NEXT(j, "belfry create %s", e->domain);
    return true;
}

/* ---- Row 2. ---- */

static bool judge_handshake(const struct channel_state *s, struct judgement *j)
{
    for (int i = 0; i < 2; i++) {
        const struct channel_end *e = &s->end[i], *o = &s->end[!i];

        if (e->absent) {
            SAY(j, "waiting for %s, which does not run", e->domain);
            NEXT(j, "belfry create %s", e->domain);
        } else if (e->has_port && e->port.state == BELFRY_PORT_UNBOUND) {
            SAY(j, "waiting for %s to bind port %u of %s%s%s", o->domain,
                e->port.port, e->domain, s->handshake[0] ? ": " : "",
                s->handshake);
            NEXT(j, "belfry console %s", o->domain);
        } else {
            continue;
        }
        j->finding = FINDING_HANDSHAKE;
        j->bad = true;
        return true;
    }
    if (!s->handshake[0])
        return false;
    j->finding = FINDING_HANDSHAKE;
    j->bad = true;
    SAY(j, "%s", s->handshake);
    NEXT(j, "belfry store ls /local/domain");
    return true;
}

/* ---- Rows 5 to 9: a bell that was rung and not heard. ---- */

static enum finding finding_of_end(const struct channel_end *e)
{
    const struct belfry_channel *c = &e->port;

    if (c->polled || e->moved)
        return FINDING_BUSY; /* it looks at the bit, or the ring, itself */
    if (c->masked)
        return FINDING_MASKED;
    if (!c->selector)
        return FINDING_SELECTOR_LOST;
    if (e->paused || c->vcpu_state == BELFRY_VCPU_PAUSED)
        return FINDING_STARVED;
    if (c->upcall_masked)
        return FINDING_EVENTS_OFF;
    if (c->vcpu_state == BELFRY_VCPU_RUNNABLE)
        return FINDING_STARVED;
    if (c->vcpu_state >= BELFRY_VCPU_BLOCKED)
        return FINDING_HYPERVISOR_BUG;
    return FINDING_BUSY;
}

static void say_rung(const struct channel_state *s, const struct channel_end *e,
                     struct judgement *j)
{
    char since[32], at[80];
    const struct belfry_channel *c = &e->port;
    const char *name = e->domain;

    ago(s, c->pending_since, since);
    place(c, at, sizeof(at));
    NEXT(j, "belfry vcpus %s", name);
    switch (j->finding) {
    case FINDING_MASKED:
        SAY(j, "%s has masked port %u, which has been rung for %s; it is %s",
            name, c->port, since, at);
        return;
    case FINDING_SELECTOR_LOST:
        SAY(j,
            "%s cleared its selector without looking at port %u, which has "
            "been rung for %s; it is %s",
            name, c->port, since, at);
        return;
    case FINDING_EVENTS_OFF:
        SAY(j,
            "%s has masked all events; port %u has been rung for %s; it is "
            "%s",
            name, c->port, since, at);
        return;
    case FINDING_STARVED:
        if (e->paused) {
            SAY(j, "%s is paused; port %u has been rung for %s", name, c->port,
                since);
            NEXT(j, "belfry unpause %s", name);
            return;
        }
        SAY(j,
            "%s has been waiting for a processor while port %u was rung for "
            "%s%s%s",
            name, c->port, since, s->starved_by[0] ? "; it runs behind " : "",
            s->starved_by);
        return;
    default:
        SAY(j,
            "%s sleeps although port %u has been rung for %s: the hypervisor "
            "missed a wake-up",
            name, c->port, since);
        NEXT(j, "belfry log");
        return;
    }
}

/* The bell was rung long ago, and something stands in the way. */
static bool judge_stuck(const struct channel_state *s, struct judgement *j)
{
    for (int i = 0; i < 2; i++) {
        const struct channel_end *e = &s->end[i];

        if (!e->has_port || !e->port.pending ||
            s->now - e->port.pending_since < FINDING_PATIENCE)
            continue;
        j->finding = finding_of_end(e);
        if (j->finding == FINDING_BUSY)
            continue;
        j->bad = true;
        say_rung(s, e, j);
        describe_port(s, e, j);
        return true;
    }
    j->finding = FINDING_BUSY;
    return false;
}

/* ---- Rows 16 and 17: bells that are rung too often. ---- */

static unsigned long long per_second(const struct channel_state *s, uint64_t n)
{
    return n * 1000000000ull / s->apart;
}

/* Where no ring is registered nobody knows whether the bells are for
 * nothing. */
static bool judge_ping_pong(const struct channel_state *s, struct judgement *j)
{
    const struct channel_end *a = &s->end[0], *b = &s->end[1];

    if (!s->apart || !s->in_flight_known || s->ring_moved ||
        per_second(s, a->rung) < FINDING_STORM ||
        per_second(s, b->rung) < FINDING_STORM)
        return false;
    j->finding = FINDING_PING_PONG;
    j->bad = true;
    SAY(j,
        "%s and %s ring each other, %llu and %llu times a second, and their "
        "ring does not move",
        a->domain, b->domain, per_second(s, b->rung), per_second(s, a->rung));
    describe_port(s, a, j);
    describe_port(s, b, j);
    NEXT(j, "belfry rings %s", s->name);
    return true;
}

static bool judge_throttled(const struct channel_state *s, struct judgement *j)
{
    char apart[32];

    for (int i = 0; i < 2; i++) {
        const struct channel_end *e = &s->end[i], *o = &s->end[!i];

        if (!e->throttled)
            continue;
        j->finding = FINDING_THROTTLED;
        j->bad = true;
        text_duration(apart, sizeof(apart), s->apart);
        SAY(j,
            "%s rings port %u of %s faster than its limit: in %s %llu of %llu "
            "rings were held back",
            o->domain, e->port.port, e->domain, apart,
            (unsigned long long)e->throttled, (unsigned long long)e->rung);
        describe_port(s, e, j);
        NEXT(j, "belfry vcpus %s", o->domain);
        return true;
    }
    return false;
}

static bool judge_ringing(const struct channel_state *s, struct judgement *j)
{
    char since[32];

    for (int i = 0; i < 2; i++) {
        const struct channel_end *e = &s->end[i];

        if (!e->has_port || !e->port.pending)
            continue;
        SAY(j, "%s was rung %s ago and %s", e->domain,
            ago(s, e->port.pending_since, since),
            e->port.polled ? "polls the port"
            : e->moved     ? "is at work"
                           : "is about to look");
        describe_port(s, e, j);
        NEXT(j, "belfry why %s", s->name);
        return true;
    }
    return false;
}

/* ---- Row 3, and what is left. ---- */

static void judge_quiet(const struct channel_state *s, struct judgement *j)
{
    if (s->in_flight > 0) {
        j->finding = FINDING_BUSY;
        SAY(j, "%u requests are in flight and every bell was heard",
            s->in_flight);
        NEXT(j, "belfry rings %s", s->name);
    } else {
        j->finding = FINDING_IDLE;
        SAY(j, "nothing is wrong: %s%s",
            s->ring_empty ? "the ring is empty, both ways"
                          : "every bell was heard",
            s->in_flight_known ? ", no request is in flight" : "");
        NEXT(j, "belfry channels");
    }
    describe_port(s, &s->end[0], j);
    describe_port(s, &s->end[1], j);
}

/* Is there more to see than one look shows?  Bells that somebody will hear
 * in a moment, or that are rung all the time. */
static bool is_lively(const struct channel_state *s, const struct judgement *j)
{
    if (j->bad)
        return true;
    for (int i = 0; i < 2; i++)
        if (s->end[i].has_port &&
            s->now - s->end[i].port.last_sent < FINDING_PATIENCE)
            return true;
    return false;
}

void channel_judge(const struct channel_state *s, struct judgement *j)
{
    memset(j, 0, sizeof(*j));
    if (judge_dead(s, j) || judge_handshake(s, j))
        return;
    /* Row 3 stands before the bells: who has nothing to fetch may leave
     * them unheard. */
    if (s->ring_empty || (!judge_stuck(s, j) && !judge_ping_pong(s, j) &&
                          !judge_throttled(s, j) && !judge_ringing(s, j)))
        judge_quiet(s, j);
    j->again = !s->apart && is_lively(s, j);
}
