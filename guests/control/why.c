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

/* What an end has done so far. */
struct done {
    uint64_t rung, throttled;
    uint64_t heard; /* another number later: it hears its bells */
    uint64_t slots; /* and works on its ring */
};

struct first_look {
    char name[72];
    uint64_t time;
    struct done by[2];
};

static struct search {
    const char *name; /* of a channel, or NULL: */
    uint32_t id;      /* of a domain */
    bool found, again;
    struct judgement worst;
    unsigned int nr_looks;
    struct first_look look[64];
} search;

static struct done done_by(const struct channel_info *c, unsigned int end)
{
    const struct belfry_channel *p = &c->end[end];
    const struct belfry_ring *r = ring_at(c->id[end], p->port);

    return (struct done){ .rung = p->sent,
                          .throttled = p->throttled,
                          .heard = p->pending_since + p->delivered,
                          .slots = r ? r->private_prod + r->private_cons : 0 };
}

/* What has grown in between; less than before: it is another channel now. */
static uint64_t growth(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void compare(const struct channel_info *c, const struct first_look *l)
{
    state.apart = growth(state.now, l->time);
    for (unsigned int i = 0; i < c->nr_ends; i++) {
        struct done now = done_by(c, i), before = l->by[i];
        struct channel_end *e = &state.end[i];

        e->rung = growth(now.rung, before.rung);
        e->throttled = growth(now.throttled, before.throttled);
        e->moved = now.heard != before.heard || now.slots != before.slots;
        state.ring_moved |= now.slots != before.slots;
    }
}

static void remember(const struct channel_info *c)
{
    struct first_look *l = &search.look[search.nr_looks];

    if (search.nr_looks == sizeof(search.look) / sizeof(search.look[0]))
        return;
    search.nr_looks++;
    string_copy(l->name, c->name, sizeof(l->name));
    l->time = state.now;
    for (unsigned int i = 0; i < c->nr_ends; i++)
        l->by[i] = done_by(c, i);
}

/* Virtual interrupts and the like have one end and nobody to wait for. */
static bool is_wanted(const struct channel_info *c)
{
    if (search.name)
        return strcmp(c->name, search.name) == 0;
    return (c->id[0] == search.id ||
            (c->nr_ends == 2 && c->id[1] == search.id)) &&
           c->end[0].state != BELFRY_PORT_VIRQ &&
           c->end[0].state != BELFRY_PORT_IPI;
}

static void judge(void)
{
    channel_judge(&state, &judgement);
    if (!search.found || (judgement.bad && !search.worst.bad))
        search.worst = judgement;
    search.found = true;
    search.again |= judgement.again;
}

static bool look(const struct channel_info *c, void *unused)
{
    (void)unused;
    if (!is_wanted(c))
        return true;
    gather(c);
    remember(c);
    judge();
    return true;
}

static bool look_again(const struct channel_info *c, void *unused)
{
    (void)unused;
    for (unsigned int i = 0; i < search.nr_looks && is_wanted(c); i++) {
        if (strcmp(c->name, search.look[i].name) != 0)
            continue;
        gather(c);
        compare(c, &search.look[i]);
        judge();
    }
    return true;
}

/* The channel of this name, or all of a domain, and the worst of them; false
 * if there is none.  What one look does not show, two may: a domain that goes
 * on with its ring has no need of bells. */
static bool find_worst(const char *name, uint32_t id)
{
    memset(&search, 0, sizeof(search));
    search.name = name;
    search.id = id;
    channels_each(look, NULL);
    judgement = search.worst;
    if (!search.again)
        return search.found;
    let_time_pass();
    rings_gather();
    search.found = false;
    channels_each(look_again, NULL);
    if (search.found)
        judgement = search.worst;
    return true;
}

static bool why_channel(const char *name)
{
    struct wire w;

    if (find_worst(name, 0))
        return true;
    if (!wire_by_name(name, &w))
        return false;
    gather_wire(&w);
    channel_judge(&state, &judgement);
    return true;
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
    struct wire w;
    bool found = find_worst(NULL, d->id);

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
