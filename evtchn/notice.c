/*
 * BELFRYOP_port: what one end of a channel may know of the other, and whose
 * end is an event (BELFRY_PORT_NOTICE).
 *
 * A domain that ends keeps its ports until it is destroyed, so that they can
 * still be looked at.  The ends of those who asked are gated meanwhile: each
 * send on them finds the peer gone.
 */
#include "evtchn/private.h"

#include "lib/errno.h"

/* The port's lock held, and its peer's. */
static const struct evtchn_end *end_of_peer(const struct evtchn *chn)
{
    static const struct evtchn_end nobody;

    if (port_is_bound(chn))
        return &chn->u.remote.domain->self;
    return chn->state == EVTCHN_UNBOUND ? &chn->u.unbound : &nobody;
}

static bool is_gone(const struct evtchn_end *end)
{
    return end->state > BELFRY_PEER_ALIVE;
}

/* Both locks held: the owner @d is to hear that the port's peer has ended. */
static void tell(struct evtchn_domain *d, struct evtchn *chn)
{
    if (!(chn->options & BELFRY_PORT_NOTICE))
        return;
    if (port_is_bound(chn))
        gate(chn);
    evtchn_raise(d, chn);
}

void evtchn_domain_ended(struct evtchn_domain *d)
{
    for (uint32_t port = 1; port < d->nr_valid; port++) {
        struct evtchn *chn = port_at(d, port), *peer;

        if (!port_is_bound(chn)) /* a peer that binds now will ask later */
            continue;
        peer = evtchn_lock_with_peer(chn);
        if (peer != NULL)
            tell(chn->u.remote.domain, peer);
        evtchn_unlock_with_peer(chn, peer);
    }
}

void evtchn_tell_successor(struct evtchn_domain *d, uint16_t origin)
{
    for (uint32_t port = 1; port < load_acquire(&d->nr_valid); port++) {
        struct evtchn *chn = port_at(d, port), *peer;

        if (!(read_once(&chn->options) & BELFRY_PORT_NOTICE))
            continue;
        peer = evtchn_lock_with_peer(chn);
        if (is_gone(end_of_peer(chn)) && end_of_peer(chn)->origin == origin)
            tell(d, chn);
        evtchn_unlock_with_peer(chn, peer);
    }
}

/* Domain lock and both port locks held: nothing is changed, or all. */
static int change(struct evtchn_domain *d, struct evtchn *chn,
                  const struct belfry_port *op)
{
    int rc = 0;

    if (!port_is_open(chn))
        return refuse(-EINVAL, op->port, "the port is not open");
    if (op->set & BELFRY_PORT_SET_CREDITS)
        rc = evtchn_limit_set(d, chn, op->credits, op->interval);
    if (rc != 0 || !(op->set & BELFRY_PORT_SET_OPTIONS))
        return rc;
    write_once(&chn->options, (uint8_t)op->options);
    if (is_gone(end_of_peer(chn)))
        tell(d, chn);
    return 0;
}

static void describe_own(const struct evtchn *chn, struct belfry_port *op)
{
    op->options = chn->options;
    op->credits = chn->limit != NULL ? chn->limit->credits : 0;
    op->interval = chn->limit != NULL ? chn->limit->interval : 0;
    op->throttled = chn->n.throttled;
}

int evtchn_peer_vcpu(struct evtchn_domain *d, uint32_t port,
                     struct evtchn_vcpu **vcpu)
{
    struct evtchn *chn = port_lookup(d, port);
    int rc = 0;

    if (chn == NULL)
        return refuse(-EINVAL, port, "the port was never allocated");
    spin_lock(&chn->lock);
    if (is_gone(end_of_peer(chn)))
        rc = refuse(-EPIPE, port, "the peer is gone");
    else if (!port_is_bound(chn))
        rc = refuse(-EINVAL, port, "the port has no peer");
    else
        *vcpu =
            chn->u.remote.domain->vcpu[read_once(&chn->u.remote.port->vcpu)];
    spin_unlock(&chn->lock);

    return rc;
}

void evtchn_take_back(struct evtchn_domain *d, uint32_t port)
{
    bit_test_and_clear(d->shared->evtchn_pending, port);
}

static void describe_peer(const struct evtchn *chn, struct belfry_port *op,
                          struct evtchn_vcpu **vcpu)
{
    const struct evtchn_end *end = end_of_peer(chn);
    const struct evtchn_domain *d;
    const struct evtchn *peer;

    op->peer = end->domid;
    op->peer_state = end->state;
    op->peer_generation = end->generation;
    op->peer_reason = end->reason;
    op->peer_vector = end->vector == 0xff ? 0xffffffffu : end->vector;
    op->peer_rip = end->rip;
    if (!port_is_bound(chn))
        return;
    d = chn->u.remote.domain;
    peer = chn->u.remote.port;
    op->peer_pending = bit_test(d->shared->evtchn_pending, peer->port);
    op->peer_masked = bit_test(d->shared->evtchn_mask, peer->port);
    *vcpu = d->vcpu[peer->vcpu];
}

int evtchn_port_op(struct evtchn_domain *d, struct belfry_port *op,
                   uint16_t *origin, struct evtchn_vcpu **vcpu)
{
    const uint32_t sets = BELFRY_PORT_SET_OPTIONS | BELFRY_PORT_SET_CREDITS;
    struct evtchn *chn = port_lookup(d, op->port), *peer;
    int rc;

    *origin = 0;
    *vcpu = NULL;
    if (op->set & ~sets || op->options & ~BELFRY_PORT_NOTICE)
        return refuse(-EINVAL, op->port, "an unknown bit is set");
    if (chn == NULL)
        return refuse(-EINVAL, op->port, "the port was never allocated");

    spin_lock(&d->lock); /* which limits are free */
    peer = evtchn_lock_with_peer(chn);
    rc = change(d, chn, op);
    if (rc == 0) {
        describe_own(chn, op);
        *origin = end_of_peer(chn)->origin;
        describe_peer(chn, op, vcpu);
    }
    evtchn_unlock_with_peer(chn, peer);
    spin_unlock(&d->lock);

    return rc;
}
