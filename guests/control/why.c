/*
 * `why`: what is known of a channel, or of all channels of a domain.
 *
 * Invariant: a name of the system description is answered also when its
 * domains are gone: that is when it is asked for.
 */
#include "guests/control/why.h"

#include "guests/control/channels.h"
#include "guests/control/hv.h"
#include "guests/control/rings_view.h"
#include "guests/control/verdict.h"
#include "guests/control/wire.h"

static struct channel_state state;
static struct judgement judgement;

/* ---- One end. ---- */

static void end_of_ended(struct channel_end *to, const struct ended *e)
{
    to->gone = true;
    to->well = e->info.reason == SHUTDOWN_poweroff;
    string_copy(to->domain, e->info.name, sizeof(to->domain));
    string_copy(to->why, e->why, sizeof(to->why));
    string_copy(to->last_line, e->last_line, sizeof(to->last_line));
    to->ended = e->info.ended;
}

/* The end in the domain of this name, its port not yet known. */
static void end_by_name(struct channel_end *to, const char *name)
{
    const struct dom *d = dom_by_name(name);
    const struct ended *e = ended_by_name(name);

    string_copy(to->domain, name, sizeof(to->domain));
    if (d)
        to->paused = d->info.state == BELFRY_STATE_PAUSED;
    else if (e)
        end_of_ended(to, e);
    else if (strcmp(name, own_info.name) != 0)
        to->absent = true;
}

static void set_port(struct channel_end *to, const struct belfry_channel *c)
{
    to->has_port = true;
    to->port = *c;
}

/* ---- What the device's handshake waits for. ---- */

static void describe_handshake(const struct wire *w)
{
    unsigned int f = w->front_state, b = w->back_state;
    /* The side that has done less is the one that is waited for. */
    const char *late = f <= b ? w->module->args.name : w->device->peer;
    const char *other = f <= b ? w->device->peer : w->module->args.name;

    state.handshake[0] = 0;
    if (w->device->kind == DEVICE_CHAN || (f == 4 && b == 4))
        return;
    format_string(state.handshake, sizeof(state.handshake),
                  "waiting for %s to go on from %s; %s is %s", late,
                  wire_state_name(f <= b ? f : b), other,
                  wire_state_name(f <= b ? b : f));
}

/* ---- The channel. ---- */

static void begin(const char *name)
{
    memset(&state, 0, sizeof(state));
    string_copy(state.name, name, sizeof(state.name));
    state.now = clock_now();
}

/* Who is ahead of a vCPU that waits: the most urgent other domain that could
 * run. */
static void find_rival(const char *than)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);
    static struct belfry_vcpu v[4];
    uint64_t most = 0;

    for (unsigned int i = 1; i < n; i++) {
        int count = hv_vcpus(all[i]->id, all[i]->generation, v, 4);

        if (strcmp(all[i]->name, than) == 0 || count <= 0 ||
            v[0].state > BELFRY_VCPU_RUNNABLE || v[0].priority + 1 <= most)
            continue;
        most = v[0].priority + 1;
        string_copy(state.starved_by, all[i]->name, sizeof(state.starved_by));
    }
}

static void in_flight(const struct channel_info *c)
{
    const struct belfry_ring *side[2];
    uint32_t id[2];

    if (!rings_of(c, side, id))
        return;
    state.in_flight_known = true;
    state.in_flight = side[0] ? side[0]->in_flight : side[1]->in_flight;
}

/* A domain that only prints need not hear its console's bell. */
static bool is_empty_console(const struct channel_info *c)
{
    const struct dom *d = dom_by_id(c->id[0]);

    return d && c->nr_ends == 2 && c->id[1] == guest.domid &&
           c->end[0].port == d->info.console_port &&
           domcon_is_empty(&d->console);
}

/* A channel that the hypervisor knows. */
static void gather(const struct channel_info *c)
{
    char name[BELFRY_NAME_SIZE];
    struct wire w;

    begin(c->name);
    for (unsigned int i = 0; i < c->nr_ends; i++) {
        end_by_name(&state.end[i], domain_name(c->id[i], name, sizeof(name)));
        set_port(&state.end[i], &c->end[i]);
        if (c->end[i].pending && !state.starved_by[0])
            find_rival(state.end[i].domain);
    }
    if (c->nr_ends == 1 && c->end[0].state == BELFRY_PORT_UNBOUND) {
        domain_name(c->end[0].remote_id, name, sizeof(name));
        end_by_name(&state.end[1], name);
    }
    if (wire_by_name(c->name, &w))
        describe_handshake(&w);
    in_flight(c);
    state.ring_empty = is_empty_console(c);
}

/* A channel that only the system description knows. */
static void gather_wire(const struct wire *w)
{
    begin(w->name);
    end_by_name(&state.end[0], w->module->args.name);
    end_by_name(&state.end[1], w->device->peer);
    describe_handshake(w);
    if (!state.handshake[0])
        format_string(state.handshake, sizeof(state.handshake),
                      "waiting for %s and %s to make the channel",
                      w->module->args.name, w->device->peer);
}

/* ---- Looking for it. ---- */

#define LOOKS_APART 110000000ull /* ns: more than FINDING_PATIENCE */

/* Consoles and stores are served meanwhile. */
static void let_time_pass(void)
{
    uint64_t deadline = clock_now() + LOOKS_APART;

    while (clock_now() < deadline) {
        if (domains_work())
            event_poll();
        else
            event_wait_until(deadline);
    }
}

struct search {
    const char *name; /* of a channel, or NULL */
    uint32_t id;      /* of a domain */
    bool found;
    struct judgement worst;
    char worst_name[72];
    struct channel_info info;
};

static bool match_name(const struct channel_info *c, void *data)
{
    struct search *s = data;

    if (strcmp(c->name, s->name) != 0)
        return true;
    s->found = true;
    s->info = *c;
    return false;
}

static struct search search;

/* What an end has done so far: a different number later means it is alive. */
static uint64_t progress(unsigned int end)
{
    const struct belfry_channel *c = &search.info.end[end];
    const struct belfry_ring *r = ring_at(search.info.id[end], c->port);
    uint64_t mark = c->pending_since + c->delivered;

    return r ? mark + r->private_prod + r->private_cons : mark;
}

/* A bell that was rung and not heard is judged by two looks: a domain that
 * goes on with its ring has no need of bells. */
static void look_again(void)
{
    uint64_t before[2] = { progress(0), progress(1) };

    let_time_pass();
    rings_gather();
    search.found = false;
    channels_each(match_name, &search);
    if (!search.found)
        return;
    gather(&search.info);
    for (unsigned int i = 0; i < search.info.nr_ends; i++)
        state.end[i].moved = progress(i) != before[i];
    channel_judge(&state, &judgement);
}

static bool why_channel(const char *name)
{
    struct wire w;

    memset(&search, 0, sizeof(search));
    search.name = name;
    channels_each(match_name, &search);
    if (search.found)
        gather(&search.info);
    else if (wire_by_name(name, &w))
        gather_wire(&w);
    else
        return false;
    channel_judge(&state, &judgement);
    if (search.found && judgement.bad && judgement.finding >= FINDING_MASKED)
        look_again();
    return true;
}

/* Virtual interrupts and the like have one end and nobody to wait for. */
static bool match_domain(const struct channel_info *c, void *data)
{
    struct search *s = data;
    bool ours = c->id[0] == s->id || (c->nr_ends == 2 && c->id[1] == s->id);

    if (!ours || c->end[0].state == BELFRY_PORT_VIRQ ||
        c->end[0].state == BELFRY_PORT_IPI)
        return true;
    gather(c);
    channel_judge(&state, &judgement);
    if (!s->found || (judgement.bad && !s->worst.bad)) {
        s->worst = judgement;
        string_copy(s->worst_name, c->name, sizeof(s->worst_name));
    }
    s->found = true;
    return !s->worst.bad;
}

/* The name of a domain that only its end is known of. */
static bool why_ended(const char *name)
{
    const struct ended *e = ended_by_name(name);

    if (!e)
        return false;
    begin(name);
    end_of_ended(&state.end[0], e);
    channel_judge(&state, &judgement);
    return true;
}

static void why_living(const struct belfry_domain *d)
{
    static char name[72];
    struct wire w;
    bool found;

    memset(&search, 0, sizeof(search));
    search.id = d->id;
    channels_each(match_domain, &search);
    judgement = search.worst;
    found = search.found;
    string_copy(name, search.worst_name, sizeof(name));
    if (judgement.bad)
        why_channel(name);
    /* A device whose peer is dead may have no channel any more. */
    for (unsigned int i = 0; !judgement.bad && wire_at(i, &w); i++) {
        if (strcmp(w.module->args.name, d->name) != 0 &&
            strcmp(w.device->peer, d->name) != 0)
            continue;
        if (w.front && w.back)
            continue;
        gather_wire(&w);
        channel_judge(&state, &judgement);
    }
    if (!found && !judgement.bad) {
        begin(d->name);
        channel_judge(&state, &judgement);
    }
}

static bool emit_name(const struct channel_info *c, void *data)
{
    emit_string(data, NULL, c->name);
    return true;
}

void emit_channel_names(struct emit *e)
{
    channels_each(emit_name, e);
}

static void emit_all_names(struct emit *e)
{
    emit_domain_names(e);
    emit_channel_names(e);
}

static void emit_judgement(struct emit *e)
{
    emit_object(e, "data");
    emit_string(e, "verdict", finding_name(judgement.finding));
    emit_number(e, "number", judgement.finding);
    emit_string(e, "sentence", judgement.sentence);
    emit_array(e, "evidence");
    for (unsigned int i = 0; i < judgement.nr_evidence; i++)
        emit_string(e, NULL, judgement.evidence[i]);
    emit_array_end(e);
    emit_string(e, "next", judgement.next);
    emit_bool(e, "bad", judgement.bad);
    emit_object_end(e);
}

int run_why(struct call *c)
{
    struct belfry_domain d;

    rings_gather();
    if (call_domain(c, c->argv[0], &d) == 0) {
        why_living(&d);
    } else if (!why_channel(c->argv[0]) && !why_ended(c->argv[0])) {
        c->have = emit_all_names;
        return call_fail(c, CODE_NOT_FOUND, "channel %s: not found",
                         c->argv[0]);
    }
    c->have = NULL;
    emit_judgement(c->emit);
    return 0;
}
