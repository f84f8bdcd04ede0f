/*
 * Verbs about channels, rings, grants and refusals.
 *
 * Invariant: fields are those of docs/protocol.md, in its order; a value that
 * nobody told is null.
 */
#include "guests/control/verbs.h"
#include "rings/fault.h"

#include "guests/control/channels.h"
#include "guests/control/hv.h"
#include "guests/control/rings_view.h"
#include "guests/control/why.h"
#include "lib/errno.h"
#include "lib/vcpu_state.h"

/* ---- channels ---- */

static void emit_end(struct emit *e, uint32_t id,
                     const struct belfry_channel *c)
{
    char name[BELFRY_NAME_SIZE];

    emit_object(e, NULL);
    emit_string(e, "domain", domain_name(id, name, sizeof(name)));
    emit_number(e, "id", id);
    emit_number(e, "port", c->port);
    emit_bool(e, "pending", c->pending);
    emit_bool(e, "masked", c->masked);
    emit_bool(e, "selector", c->selector);
    emit_bool(e, "upcall_pending", c->upcall_pending);
    emit_bool(e, "upcall_masked", c->upcall_masked);
    emit_number(e, "vcpu", c->vcpu);
    emit_string(e, "vcpu_state", vcpu_state_name(c->vcpu_state));
    emit_number(e, "vcpu_since", c->vcpu_state_since);
    emit_address(e, "rip", c->vcpu_rip);
    emit_string(e, "symbol", c->vcpu_symbol);
    emit_bool(e, "polled", c->polled);
    emit_number(e, "sent", c->sent);
    emit_number(e, "delivered", c->delivered);
    emit_number(e, "coalesced", c->coalesced);
    emit_number(e, "dropped", c->dropped);
    emit_number(e, "throttled", c->throttled);
    emit_number(e, "last_sent", c->last_sent);
    emit_number(e, "last_delivered", c->last_delivered);
    emit_number(e, "pending_since", c->pending_since);
    emit_object_end(e);
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = { "free", "unbound", "interdomain",
                                         "virq", "ipi" };

    return state < 5 ? names[state] : "unknown";
}

static uint64_t last_moved(const struct channel_info *c)
{
    uint64_t last = 0;

    for (unsigned int i = 0; i < c->nr_ends; i++) {
        last = c->end[i].last_sent > last ? c->end[i].last_sent : last;
        last =
            c->end[i].last_delivered > last ? c->end[i].last_delivered : last;
    }
    return last;
}

struct listing {
    struct emit *emit;
    bool filtered;
    uint32_t only; /* a domain's id */
    uint64_t now;
};

static bool wanted(const struct listing *l, const struct channel_info *c)
{
    return !l->filtered || c->id[0] == l->only ||
           (c->nr_ends == 2 && c->id[1] == l->only);
}

static bool emit_channel(const struct channel_info *c, void *data)
{
    struct listing *l = data;
    struct emit *e = l->emit;
    uint64_t last = last_moved(c);

    if (!wanted(l, c))
        return true;
    emit_object(e, NULL);
    emit_string(e, "channel", c->name);
    emit_string(e, "state", state_name(c->end[0].state));
    emit_known(e, "virq", c->end[0].state == BELFRY_PORT_VIRQ, c->end[0].virq);
    emit_array(e, "ends");
    for (unsigned int i = 0; i < c->nr_ends; i++)
        emit_end(e, c->id[i], &c->end[i]);
    emit_array_end(e);
    emit_number(e, "idle", l->now > last ? l->now - last : 0);
    emit_object_end(e);
    return true;
}

static int begin_listing(struct call *c, struct listing *l)
{
    struct belfry_domain only;
    int code = c->argc ? call_domain(c, c->argv[0], &only) : 0;

    *l = (struct listing){ .emit = c->emit, .now = clock_now() };
    if (c->argc && !code) {
        l->filtered = true;
        l->only = only.id;
    }
    return code;
}

static int run_channels(struct call *c)
{
    struct listing l;
    int code = begin_listing(c, &l);

    if (code)
        return code;
    emit_array(c->emit, "data");
    channels_each(emit_channel, &l);
    emit_array_end(c->emit);
    return 0;
}

static const struct column channel_columns[] = {
    { "CHANNEL", "channel", 0 },
    { "STATE", "state", 0 },
    { "A", "ends.0.domain", 0 },
    { "PORT", "ends.0.port", 0 },
    { "P", "ends.0.pending", STYLE_BIT },
    { "M", "ends.0.masked", STYLE_BIT },
    { "RUNG", "ends.0.sent", 0 },
    { "COALESCED", "ends.0.coalesced", 0 },
    { "THROTTLED", "ends.0.throttled", 0 },
    { "B", "ends.1.domain", 0 },
    { "PORT", "ends.1.port", 0 },
    { "P", "ends.1.pending", STYLE_BIT },
    { "M", "ends.1.masked", STYLE_BIT },
    { "RUNG", "ends.1.sent", 0 },
    { "COALESCED", "ends.1.coalesced", 0 },
    { "THROTTLED", "ends.1.throttled", 0 },
    { "IDLE", "idle", STYLE_TIME },
    { NULL, NULL, 0 },
};

/* ---- rings ---- */

struct ring_listing {
    struct emit *emit;
    const char *only; /* a channel's name, or NULL */
    bool found;
};

/* The indices as the ring's first page shows them; false: not to be had. */
static bool read_header(uint32_t id, const struct belfry_ring *front,
                        uint32_t header[4])
{
    const struct dom *d = dom_by_id(id);

    return front && front->frame && d &&
           hv_peek(id, d->info.generation, front->frame, 0, header,
                   4 * sizeof(*header)) == 0;
}

static void emit_indices(struct emit *e, const struct belfry_ring *front,
                         const struct belfry_ring *back, uint32_t front_id)
{
    uint32_t header[4]; /* req_prod, req_event, rsp_prod, rsp_event */
    const struct belfry_ring *any = front ? front : back;

    if (!read_header(front_id, front, header)) {
        header[0] = any->req_prod;
        header[1] = any->req_event;
        header[2] = any->rsp_prod;
        header[3] = any->rsp_event;
    }
    emit_number(e, "req_prod", header[0]);
    emit_known(e, "req_cons", back, back ? back->private_cons : 0);
    emit_number(e, "req_event", header[1]);
    emit_number(e, "rsp_prod", header[2]);
    emit_known(e, "rsp_cons", front, front ? front->private_cons : 0);
    emit_number(e, "rsp_event", header[3]);
}

/* What the peer of a side did, as that side says; "" if nothing. */
static const char *fault_text(const struct belfry_ring *front,
                              const struct belfry_ring *back)
{
    if (front && front->fault)
        return ring_fault_name((enum ring_fault)front->fault);
    return back && back->fault ? ring_fault_name((enum ring_fault)back->fault)
                               : "";
}

static void emit_side_counts(struct emit *e, const struct belfry_ring *front,
                             const struct belfry_ring *back)
{
    const struct belfry_ring *r = front ? front : back;
    uint64_t now = clock_now();
    uint64_t age = r->oldest && r->oldest < now ? now - r->oldest : 0;

    emit_number(e, "in_flight", r->in_flight);
    emit_number(e, "oldest", age);
    emit_number(e, "notified", r->notified);
    emit_number(e, "suppressed", r->suppressed);
    emit_known(e, "full", front, front ? front->full : 0);
    emit_bool(e, "fault", (front && front->fault) || (back && back->fault));
    emit_string(e, "reason", fault_text(front, back));
}

static bool emit_ring(const struct channel_info *c, void *data)
{
    struct ring_listing *l = data;
    struct emit *e = l->emit;
    const struct belfry_ring *side[2], *any;
    char name[BELFRY_NAME_SIZE];
    uint32_t id[2] = { ~0u, ~0u };

    if (l->only && strcmp(l->only, c->name) != 0)
        return true;
    l->found = true;
    if (!rings_of(c, side, id))
        return true;
    any = side[0] ? side[0] : side[1];
    emit_object(e, NULL);
    emit_string(e, "channel", c->name);
    emit_string(e, "protocol", any->protocol);
    emit_number(e, "version", any->version);
    emit_number(e, "features", any->features);
    emit_string(e, "name", any->name);
    emit_string(e, "front", domain_name(id[0], name, sizeof(name)));
    emit_string(e, "back", domain_name(id[1], name, sizeof(name)));
    emit_number(e, "slots", any->slots);
    emit_indices(e, side[0], side[1], id[0]);
    emit_side_counts(e, side[0], side[1]);
    emit_object_end(e);
    return true;
}

static bool find_name(const struct channel_info *c, void *data)
{
    struct ring_listing *l = data;

    l->found |= strcmp(l->only, c->name) == 0;
    return !l->found;
}

static int run_rings(struct call *c)
{
    struct ring_listing l = { .emit = c->emit,
                              .only = c->argc ? c->argv[0] : NULL };

    if (l.only)
        channels_each(find_name, &l);
    if (l.only && !l.found) {
        c->have = emit_channel_names;
        return call_fail(c, CODE_NOT_FOUND, "channel %s: not found", l.only);
    }
    rings_gather();
    emit_array(c->emit, "data");
    channels_each(emit_ring, &l);
    emit_array_end(c->emit);
    return 0;
}

static const struct column ring_columns[] = {
    { "CHANNEL", "channel", 0 },
    { "PROTOCOL", "protocol", 0 },
    { "SLOTS", "slots", 0 },
    { "REQ-PROD", "req_prod", 0 },
    { "REQ-CONS", "req_cons", 0 },
    { "RSP-PROD", "rsp_prod", 0 },
    { "RSP-CONS", "rsp_cons", 0 },
    { "IN-FLIGHT", "in_flight", 0 },
    { "OLDEST", "oldest", STYLE_TIME },
    { "NOTIFIED", "notified", 0 },
    { "SUPPRESSED", "suppressed", 0 },
    { "FULL", "full", 0 },
    { NULL, NULL, 0 },
};

/* ---- grants ---- */

/* What is known of a grant's purpose: by convention, or by its ring. */
static const char *grant_channel(const struct belfry_domain *d,
                                 const struct belfry_grant *g, char *to,
                                 size_t size)
{
    to[0] = 0;
    if (d->id != guest.domid && g->ref < 2)
        format_string(to, size, "%s.%s", d->name, g->ref ? "store" : "console");
    return to;
}

static void emit_grant(struct emit *e, const struct belfry_domain *d,
                       const struct belfry_grant *g)
{
    char peer[BELFRY_NAME_SIZE], channel[72];

    emit_object(e, NULL);
    emit_string(e, "owner", d->name);
    emit_number(e, "ref", g->ref);
    emit_number(e, "frame", g->frame);
    emit_bool(e, "readonly", g->flags & GTF_readonly);
    emit_string(e, "peer", domain_name(g->peer, peer, sizeof(peer)));
    emit_number(e, "maps", g->maps_ro + g->maps_rw);
    emit_bool(e, "revoking", g->revoking);
    emit_number(e, "since", g->since);
    emit_string(e, "channel", grant_channel(d, g, channel, sizeof(channel)));
    emit_object_end(e);
}

static void emit_grants_of(struct emit *e, const struct belfry_domain *d)
{
    static struct belfry_grant grants[32];
    uint32_t next = 0;
    int n;

    while ((n = hv_grants(d->id, d->generation, next, grants, 32)) > 0) {
        for (int i = 0; i < n; i++)
            emit_grant(e, d, &grants[i]);
        next = grants[n - 1].ref + 1;
    }
}

static int run_grants(struct call *c)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);
    struct listing l;
    int code = begin_listing(c, &l);

    if (code)
        return code;
    emit_array(c->emit, "data");
    for (unsigned int i = 0; i < n; i++)
        if (!l.filtered || all[i]->id == l.only)
            emit_grants_of(c->emit, all[i]);
    emit_array_end(c->emit);
    return 0;
}

static const struct column grant_columns[] = {
    { "OWNER", "owner", 0 },     { "REF", "ref", 0 },
    { "FRAME", "frame", 0 },     { "RO", "readonly", STYLE_BIT },
    { "TO", "peer", 0 },         { "MAPS", "maps", 0 },
    { "CHANNEL", "channel", 0 }, { NULL, NULL, 0 },
};

/* ---- refused ---- */

/* Items of grant operations fail with a status, all else with an errno. */
static const char *error_text(const struct belfry_refusal *r)
{
    static const char *const status[] = { "GNTST_okay",
                                          "GNTST_general_error",
                                          "GNTST_bad_domain",
                                          "GNTST_bad_gntref",
                                          "GNTST_bad_handle",
                                          "GNTST_bad_virt_addr",
                                          "GNTST_bad_dev_addr",
                                          "GNTST_no_device_space",
                                          "GNTST_permission_denied",
                                          "GNTST_bad_page",
                                          "GNTST_bad_copy_arg",
                                          "GNTST_address_too_big",
                                          "GNTST_eagain",
                                          "GNTST_no_space" };

    if (strncmp(r->call, "grant_table_op/", 15) == 0 && r->error <= 0 &&
        r->error >= -13)
        return status[-r->error];
    return errno_name(r->error);
}

static void emit_refusal(struct emit *e, const struct belfry_refusal *r)
{
    char name[BELFRY_NAME_SIZE];

    emit_object(e, NULL);
    emit_number(e, "sequence", r->sequence);
    emit_number(e, "time", r->time);
    emit_string(e, "domain", domain_name(r->id, name, sizeof(name)));
    emit_string(e, "call", r->call);
    emit_address(e, "argument", r->argument);
    emit_string(e, "error", error_text(r));
    emit_string(e, "reason", r->reason);
    emit_address(e, "rip", r->rip);
    emit_string(e, "symbol", r->symbol);
    emit_object_end(e);
}

static int run_refused(struct call *c)
{
    static struct belfry_refusal refusals[16];
    uint64_t after = 0;
    struct listing l;
    int n, code = begin_listing(c, &l);

    if (code)
        return code;
    emit_array(c->emit, "data");
    while ((n = hv_refused(after, refusals, 16)) > 0) {
        for (int i = 0; i < n; i++)
            if (!l.filtered || refusals[i].id == l.only)
                emit_refusal(c->emit, &refusals[i]);
        after = refusals[n - 1].sequence;
    }
    emit_array_end(c->emit);
    return 0;
}

static const struct column refused_columns[] = {
    { "TIME", "time", STYLE_TIME }, { "DOM", "domain", 0 },
    { "CALL", "call", 0 },          { "ERROR", "error", 0 },
    { "ARGUMENT", "argument", 0 },  { "REASON", "reason", 0 },
    { "SYMBOL", "symbol", 0 },      { NULL, NULL, 0 },
};

const struct verb channel_verbs[] = {
    { "channels", "[DOM]", "event channels, both ends", "belfry.channels", 0, 1,
      run_channels, channel_columns },
    { "rings", "[CHANNEL]", "rings that domains have registered",
      "belfry.rings", 0, 1, run_rings, ring_columns },
    { "grants", "[DOM]", "pages that domains share", "belfry.grants", 0, 1,
      run_grants, grant_columns },
    { "refused", "[DOM]", "the last refused hypercalls", "belfry.refused", 0, 1,
      run_refused, refused_columns },
    { "why", "CHANNEL|DOM", "what is wrong, in a sentence", "belfry.why", 1, 1,
      run_why, NULL },
    { 0 },
};
