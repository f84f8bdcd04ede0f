/*
 * Looking at ports: for the control tool, and the audit.
 *
 * Nothing here changes a port.  A port is described with its own and its
 * peer's lock held, so that its counters agree with each other.
 */
#include "evtchn/private.h"

#include "lib/string.h"

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void describe_state(const struct evtchn *chn,
                           struct belfry_channel *info)
{
    switch (chn->state) {
    case EVTCHN_UNBOUND:
        info->state = BELFRY_PORT_UNBOUND;
        info->remote_id = chn->u.unbound.domid;
        break;
    case EVTCHN_GATED:
    case EVTCHN_INTERDOMAIN:
        info->state = has_ended(chn->u.remote.domain) ? BELFRY_PORT_GONE
                                                      : BELFRY_PORT_INTERDOMAIN;
        info->remote_id = chn->u.remote.domain->self.domid;
        info->remote_port = chn->u.remote.port->port;
        info->remote_generation = chn->u.remote.generation;
        break;
    case EVTCHN_VIRQ:
        info->state = BELFRY_PORT_VIRQ;
        info->virq = chn->u.virq;
        break;
    default:
        info->state = BELFRY_PORT_IPI;
        break;
    }
}

static bool is_polled(const struct evtchn_domain *d, uint32_t port)
{
    for (uint32_t i = 0; i < d->nr_vcpus; i++) {
        uint32_t polled = read_once(&d->vcpu[i]->poll_port);

        if (read_once(&d->vcpu[i]->polling) && (polled == 0 || polled == port))
            return true;
    }
    return false;
}

/* The bits that the guest and we share. */
static void describe_bits(const struct evtchn_domain *d,
                          const struct evtchn *chn, struct belfry_channel *info)
{
    const struct vcpu_info *v = read_once(&d->vcpu[chn->vcpu]->info);

    info->pending = bit_test(d->shared->evtchn_pending, chn->port);
    info->masked = bit_test(d->shared->evtchn_mask, chn->port);
    info->selector = bit_test(&v->evtchn_pending_sel, chn->port / 64u);
    info->upcall_pending = read_once(&v->evtchn_upcall_pending) != 0;
    info->upcall_masked = read_once(&v->evtchn_upcall_mask) != 0;
    info->polled = is_polled(d, chn->port);
}

static void describe_counters(const struct evtchn *chn,
                              struct belfry_channel *info)
{
    const struct evtchn_counters *n = &chn->n;

    info->sent = n->sent + (chn->limit != NULL && chn->limit->held);
    info->throttled = n->throttled;
    info->coalesced = n->coalesced;
    info->delivered = n->sent - n->coalesced - n->masked + n->late;
    info->dropped = n->dropped;
    info->last_sent = later(n->last_sent, n->last_prompt); /* handed over */
    info->last_delivered = later(n->last_prompt, n->last_late);
    info->pending_since =
        info->pending ? later(n->last_prompt, n->last_masked) : 0;
}

bool evtchn_info(struct evtchn_domain *d, uint32_t *port,
                 struct belfry_channel *info)
{
    for (; *port < load_acquire(&d->nr_valid); ++*port) {
        struct evtchn *chn = port_at(d, *port);
        struct evtchn *peer = evtchn_lock_with_peer(chn);
        bool found = port_is_open(chn);

        if (found) {
            memset(info, 0, sizeof(*info));
            info->port = chn->port;
            info->vcpu = chn->vcpu;
            info->options = chn->options;
            describe_state(chn, info);
            describe_bits(d, chn, info);
            describe_counters(chn, info);
        }
        evtchn_unlock_with_peer(chn, peer);
        if (found)
            return true;
    }
    return false;
}

void evtchn_totals(struct evtchn_domain *d, uint64_t *sent, uint64_t *received)
{
    spin_lock(&d->lock);
    *sent = d->closed_sent;
    *received = d->closed_received;
    for (uint32_t port = 1; port < d->nr_valid; port++) {
        struct evtchn *chn = port_at(d, port);
        struct evtchn *peer = evtchn_lock_with_peer(chn);

        if (port_is_open(chn)) {
            *sent += chn->n.rung;
            *received += chn->n.sent;
        }
        evtchn_unlock_with_peer(chn, peer);
    }
    spin_unlock(&d->lock);
}

/* ---- The audit. ---- */

static void audit_bound(struct evtchn_domain *d, const struct evtchn *chn)
{
    const struct evtchn *peer = chn->u.remote.port;

    if (!port_is_bound(peer) || peer->u.remote.port != chn ||
        peer->u.remote.domain != d)
        evtchn_hook_differs(d, chn->port, "its peer is not bound to it");
    else if (chn->u.remote.generation !=
                 chn->u.remote.domain->self.generation ||
             port_lookup(chn->u.remote.domain, peer->port) != peer)
        evtchn_hook_differs(d, chn->port,
                            "its peer is not the domain's it was bound to");
    else if (chn->state != EVTCHN_GATED && must_be_gated(chn))
        evtchn_hook_differs(d, chn->port, "sends on it are not looked at");
}

static void audit_port(struct evtchn_domain *d, uint32_t port)
{
    struct evtchn *chn = port_at(d, port);

    if (chn->port != port)
        evtchn_hook_differs(d, port, "its record bears another number");
    if (spin_is_locked(&chn->lock))
        evtchn_hook_differs(d, port, "its lock was left held");
    if (chn->vcpu >= d->nr_vcpus)
        evtchn_hook_differs(d, port, "it notifies a vCPU that does not exist");
    else if (port_is_bound(chn))
        audit_bound(d, chn);
    else if (chn->state == EVTCHN_VIRQ &&
             *evtchn_virq_slot(d->vcpu[chn->vcpu], chn->u.virq) != port)
        evtchn_hook_differs(d, port, "its VIRQ is bound to another port");
    else if (chn->state == EVTCHN_FREE && port < d->next_hint)
        evtchn_hook_differs(d, port, "it is free and would never be found");
    if ((chn->state == EVTCHN_RESERVED) != (port == 0))
        evtchn_hook_differs(d, port, "port 0 alone is reserved");
    if (chn->limit != NULL && chn->limit->chn != chn)
        evtchn_hook_differs(d, port, "its limit is another port's");
}

static void audit_virqs(struct evtchn_domain *d, const uint32_t *ports)
{
    for (uint32_t virq = 0; virq < NR_VIRQS; virq++) {
        const struct evtchn *chn = port_lookup(d, ports[virq]);

        if (ports[virq] != 0 &&
            (chn == NULL || chn->state != EVTCHN_VIRQ || chn->u.virq != virq))
            evtchn_hook_differs(d, ports[virq],
                                "a VIRQ points at it, but it is none");
    }
}

uint32_t evtchn_audit(struct evtchn_domain *d)
{
    uint32_t polling = 0;

    for (uint32_t port = 0; port < d->nr_valid; port++)
        audit_port(d, port);
    audit_virqs(d, d->global_virq_port);
    evtchn_audit_limits(d);
    for (uint32_t i = 0; i < d->nr_vcpus; i++) {
        audit_virqs(d, d->vcpu[i]->virq_port);
        polling += d->vcpu[i]->polling;
    }
    if (polling != d->nr_polling)
        evtchn_hook_differs(d, 0, "the count of polling vCPUs is wrong");
    return d->nr_valid;
}
