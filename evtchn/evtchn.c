/*
 * The state machine of ports: allocate, bind, close, status.
 *
 * The owner opens and closes its ports under its domain lock; a change of
 * state is made with the port's lock held, and with the peer's too if there
 * is one.  Everything is checked before anything is changed.
 */
#include "evtchn/private.h"

#include "lib/errno.h"
#include "lib/string.h"

struct evtchn *evtchn_lookup(struct evtchn_domain *d, uint32_t port)
{
    return port_lookup(d, port);
}

bool evtchn_virq_is_global(uint32_t virq)
{
    return virq != VIRQ_TIMER && virq != VIRQ_DEBUG && virq != VIRQ_XENOPROF &&
           virq != VIRQ_XENPMU;
}

uint32_t *evtchn_virq_slot(struct evtchn_vcpu *v, uint32_t virq)
{
    if (evtchn_virq_is_global(virq))
        return &v->domain->global_virq_port[virq];
    return &v->virq_port[virq];
}

/* ---- Two ports at once. ---- */

static void lock_two(struct evtchn *a, struct evtchn *b)
{
    spin_lock(a < b ? &a->lock : &b->lock);
    spin_lock(a < b ? &b->lock : &a->lock);
}

/*
 * The peer is known, and cannot go away, only while our own lock is held.
 * So where the address order wants the peer's lock first, try it, and start
 * over if somebody has it: he may be waiting for ours.
 */
struct evtchn *evtchn_lock_with_peer(struct evtchn *chn)
{
    for (;;) {
        struct evtchn *peer;

        spin_lock(&chn->lock);
        if (!port_is_bound(chn))
            return NULL;
        peer = chn->u.remote.port;
        if (chn < peer) {
            spin_lock(&peer->lock);
            return peer;
        }
        if (spin_trylock(&peer->lock))
            return peer;
        spin_unlock(&chn->lock);
        spin_relax();
    }
}

void evtchn_unlock_with_peer(struct evtchn *chn, struct evtchn *peer)
{
    if (peer != NULL)
        spin_unlock(&peer->lock);
    spin_unlock(&chn->lock);
}

/* ---- Domains by id. ---- */

static struct evtchn_domain *domain_find(struct evtchn_domain *self,
                                         uint16_t domid)
{
    struct evtchn_domain *d;

    if (domid == DOMID_SELF || domid == self->self.domid)
        return self;
    d = evtchn_hook_get(domid);
    if (d == NULL)
        evtchn_hook_reason("no domain has this id", domid);
    return d;
}

static void domain_release(struct evtchn_domain *self, struct evtchn_domain *d)
{
    if (d != self)
        evtchn_hook_put(d);
}

/* ---- Free ports. ---- */

/* Add a bucket: its records first, then the bound that lets readers in. */
static int grow(struct evtchn_domain *d)
{
    uint32_t first = d->nr_valid;
    struct evtchn *bucket;

    if (first == EVTCHN_MAX_PORTS)
        return refuse(-ENOSPC, first,
                      "all 4096 ports of the domain are in use");
    bucket = evtchn_hook_alloc_page();
    if (bucket == NULL)
        return refuse(-ENOMEM, first, "no memory for more ports");
    for (uint32_t i = 0; i < EVTCHN_PER_BUCKET; i++)
        bucket[i].port = (uint16_t)(first + i);
    d->bucket[first / EVTCHN_PER_BUCKET] = bucket;
    store_release(&d->nr_valid, first + EVTCHN_PER_BUCKET);

    return 0;
}

/* The lowest free port into *chn; 0 or an error.  d->lock held; nothing but
 * the room for ports has changed. */
static int find_free(struct evtchn_domain *d, struct evtchn **chn)
{
    uint32_t port = d->next_hint;

    if (d->dying)
        return refuse(-EINVAL, d->self.domid, "the domain is being destroyed");
    while (port < d->nr_valid &&
           read_once(&port_at(d, port)->state) != EVTCHN_FREE)
        port++;
    d->next_hint = port;
    if (port == d->nr_valid) {
        int rc = grow(d);

        if (rc != 0)
            return rc;
    }
    *chn = port_at(d, port);

    return 0;
}

/* Domain lock and port lock held. */
static void port_open(struct evtchn_domain *d, struct evtchn *chn,
                      enum evtchn_state state, uint32_t vcpu)
{
    chn->n = (struct evtchn_counters){ .sent = 0 };
    chn->options = 0;
    write_once(&chn->waiting, 0);
    write_once(&chn->vcpu, (uint16_t)vcpu);
    write_once(&chn->state, (uint8_t)state);
    d->next_hint = chn->port + 1u;
}

/* Domain lock and port lock held. */
static void port_free(struct evtchn_domain *d, struct evtchn *chn)
{
    evtchn_limit_drop(chn);
    bit_test_and_clear(d->shared->evtchn_pending, chn->port);
    write_once(&chn->vcpu, 0);
    write_once(&chn->state, EVTCHN_FREE);
    d->closed_sent += chn->n.rung;
    d->closed_received += chn->n.sent;
    if (chn->port < d->next_hint)
        d->next_hint = chn->port;
}

/* Both port locks held: @peer is left behind by @d.  If that has ended as a
 * whole, whoever wanted to know has been told. */
static void leave(const struct evtchn_domain *d, const struct evtchn *chn,
                  struct evtchn *peer)
{
    struct evtchn_domain *left = chn->u.remote.domain;

    evtchn_limit_flush(left, peer);
    write_once(&peer->state, EVTCHN_UNBOUND);
    peer->u.unbound = d->self;
    if (has_ended(d))
        return;
    peer->u.unbound.state = BELFRY_PEER_CLOSED;
    if (peer->options & BELFRY_PORT_NOTICE)
        evtchn_raise(left, peer);
}

/* Domain lock held, and the lock of the port and its peer. */
static void disconnect(struct evtchn_domain *d, struct evtchn *chn,
                       struct evtchn *peer)
{
    if (peer != NULL) {
        leave(d, chn, peer);
    } else if (chn->state == EVTCHN_VIRQ) {
        write_once(evtchn_virq_slot(d->vcpu[chn->vcpu], chn->u.virq), 0);
    }
    port_free(d, chn);
}

static int close_port(struct evtchn_domain *d, struct evtchn *chn)
{
    struct evtchn *peer;
    int rc = 0;

    spin_lock(&d->lock);
    peer = evtchn_lock_with_peer(chn);
    if (port_is_open(chn))
        disconnect(d, chn, peer);
    else
        rc = -EINVAL;
    evtchn_unlock_with_peer(chn, peer);
    spin_unlock(&d->lock);

    return rc;
}

/* ---- The operations. ---- */

/* Open a port of @d in @target for @remote to bind. */
static int alloc_unbound(struct evtchn_domain *target, uint16_t remote,
                         evtchn_port_t *port)
{
    struct evtchn *chn;
    int rc;

    spin_lock(&target->lock);
    rc = find_free(target, &chn);
    if (rc == 0) {
        spin_lock(&chn->lock);
        port_open(target, chn, EVTCHN_UNBOUND, 0);
        chn->u.unbound = (struct evtchn_end){ .domid = remote };
        spin_unlock(&chn->lock);
        *port = chn->port;
    }
    spin_unlock(&target->lock);

    return rc;
}

int evtchn_alloc_unbound(struct evtchn_domain *d,
                         struct evtchn_alloc_unbound *op)
{
    uint16_t remote =
        op->remote_dom == DOMID_SELF ? d->self.domid : op->remote_dom;
    struct evtchn_domain *target = domain_find(d, op->dom);
    int rc;

    if (target == NULL)
        return -ESRCH;
    if (target != d && !d->privileged)
        rc = refuse(-EPERM, op->dom,
                    "only the initial domain allocates for others");
    else
        rc = alloc_unbound(target, remote, &op->port);
    domain_release(d, target);

    return rc;
}

void evtchn_undo_alloc(struct evtchn_domain *d,
                       const struct evtchn_alloc_unbound *op)
{
    struct evtchn_domain *target = domain_find(d, op->dom);

    if (target == NULL)
        return;
    close_port(target, port_at(target, op->port));
    domain_release(d, target);
}

/* Both port locks held: this end is bound to that. */
static void bind_to(struct evtchn *chn, struct evtchn_domain *rd,
                    struct evtchn *remote)
{
    chn->u.remote.domain = rd;
    chn->u.remote.port = remote;
    chn->u.remote.generation = rd->self.generation;
}

/* Domain lock of @d held. */
static int bind_interdomain(struct evtchn_domain *d, struct evtchn *chn,
                            struct evtchn_domain *rd, uint32_t port)
{
    struct evtchn *remote = port_lookup(rd, port);
    int rc = 0;

    if (remote == NULL || remote == chn)
        return refuse(-EINVAL, port, "the remote port is not open");

    lock_two(chn, remote);
    if (remote->state != EVTCHN_UNBOUND) {
        rc = refuse(-EINVAL, port, "the remote port does not wait for a peer");
    } else if (remote->u.unbound.domid != d->self.domid) {
        rc = refuse(-EINVAL, port, "the remote port waits for another domain");
    } else {
        port_open(d, chn, EVTCHN_INTERDOMAIN, 0);
        bind_to(chn, rd, remote);
        bind_to(remote, d, chn);
        gate(chn);
        gate(remote);
        /* The peer may have rung while there was nobody to hear it. */
        evtchn_raise(d, chn);
    }
    spin_unlock(&chn->lock);
    spin_unlock(&remote->lock);

    return rc;
}

int evtchn_bind_interdomain(struct evtchn_domain *d,
                            struct evtchn_bind_interdomain *op)
{
    struct evtchn_domain *rd = domain_find(d, op->remote_dom);
    struct evtchn *chn;
    int rc;

    if (rd == NULL)
        return -ESRCH;
    spin_lock(&d->lock);
    rc = find_free(d, &chn);
    if (rc == 0)
        rc = bind_interdomain(d, chn, rd, op->remote_port);
    if (rc == 0)
        op->local_port = chn->port;
    spin_unlock(&d->lock);
    domain_release(d, rd);

    return rc;
}

int evtchn_bind_virq(struct evtchn_domain *d, struct evtchn_bind_virq *op)
{
    struct evtchn *chn;
    uint32_t *slot;
    int rc;

    if (op->virq >= NR_VIRQS)
        return refuse(-EINVAL, op->virq, "there is no such VIRQ");
    if (evtchn_virq_is_global(op->virq) && op->vcpu != 0)
        return refuse(-EINVAL, op->virq, "a global VIRQ is bound on vCPU 0");
    if (op->vcpu >= d->nr_vcpus)
        return refuse(-ENOENT, op->vcpu, "there is no such vCPU");

    spin_lock(&d->lock);
    slot = evtchn_virq_slot(d->vcpu[op->vcpu], op->virq);
    if (*slot != 0)
        rc = refuse(-EEXIST, op->virq, "the VIRQ is bound already");
    else
        rc = find_free(d, &chn);
    if (rc == 0) {
        spin_lock(&chn->lock);
        port_open(d, chn, EVTCHN_VIRQ, op->vcpu);
        chn->u.virq = op->virq;
        spin_unlock(&chn->lock);
        op->port = chn->port;
        write_once(slot, chn->port);
    }
    spin_unlock(&d->lock);

    return rc;
}

int evtchn_bind_ipi(struct evtchn_domain *d, struct evtchn_bind_ipi *op)
{
    struct evtchn *chn;
    int rc;

    if (op->vcpu >= d->nr_vcpus)
        return refuse(-ENOENT, op->vcpu, "there is no such vCPU");

    spin_lock(&d->lock);
    rc = find_free(d, &chn);
    if (rc == 0) {
        spin_lock(&chn->lock);
        port_open(d, chn, EVTCHN_IPI, op->vcpu);
        bind_to(chn, d, chn);
        spin_unlock(&chn->lock);
        op->port = chn->port;
    }
    spin_unlock(&d->lock);

    return rc;
}

static bool may_move(const struct evtchn *chn)
{
    return chn->state == EVTCHN_UNBOUND || port_is_bound(chn) ||
           (chn->state == EVTCHN_VIRQ && evtchn_virq_is_global(chn->u.virq));
}

int evtchn_bind_vcpu(struct evtchn_domain *d, uint32_t port, uint32_t vcpu)
{
    struct evtchn *chn = port_lookup(d, port);
    int rc = 0;

    if (vcpu >= d->nr_vcpus)
        return refuse(-ENOENT, vcpu, "there is no such vCPU");
    if (chn == NULL)
        return refuse(-EINVAL, port, "the port was never allocated");
    spin_lock(&chn->lock);
    if (may_move(chn))
        write_once(&chn->vcpu, (uint16_t)vcpu);
    else
        rc = refuse(-EINVAL, port, "a port of this kind stays on its vCPU");
    spin_unlock(&chn->lock);

    return rc;
}

int evtchn_close(struct evtchn_domain *d, uint32_t port)
{
    struct evtchn *chn = port_lookup(d, port);

    if (chn == NULL || close_port(d, chn) != 0)
        return refuse(-EINVAL, port, "the port is not open");
    return 0;
}

/* Port lock held. */
static void describe(const struct evtchn *chn, struct evtchn_status *op)
{
    static const uint8_t status[] = {
        [EVTCHN_FREE] = EVTCHNSTAT_closed,
        [EVTCHN_RESERVED] = EVTCHNSTAT_closed,
        [EVTCHN_UNBOUND] = EVTCHNSTAT_unbound,
        [EVTCHN_GATED] = EVTCHNSTAT_interdomain,
        [EVTCHN_INTERDOMAIN] = EVTCHNSTAT_interdomain,
        [EVTCHN_VIRQ] = EVTCHNSTAT_virq,
        [EVTCHN_IPI] = EVTCHNSTAT_ipi,
    };

    op->status = status[chn->state];
    op->vcpu = chn->vcpu;
    if (chn->state == EVTCHN_UNBOUND) {
        op->u.unbound.dom = chn->u.unbound.domid;
    } else if (port_is_bound(chn)) {
        op->u.interdomain.dom = chn->u.remote.domain->self.domid;
        op->u.interdomain.port = chn->u.remote.port->port;
    } else if (chn->state == EVTCHN_VIRQ) {
        op->u.virq = chn->u.virq;
    }
}

int evtchn_status(struct evtchn_domain *d, struct evtchn_status *op)
{
    struct evtchn_domain *target = domain_find(d, op->dom);
    struct evtchn *chn;
    int rc = 0;

    if (target == NULL)
        return -ESRCH;
    chn = port_lookup(target, op->port);
    if (chn == NULL) {
        rc = refuse(-EINVAL, op->port, "the port was never allocated");
    } else if (target != d && !d->privileged) {
        rc = refuse(-EPERM, op->dom,
                    "only the initial domain sees ports of others");
    } else {
        spin_lock(&chn->lock);
        describe(chn, op);
        spin_unlock(&chn->lock);
    }
    domain_release(d, target);

    return rc;
}

/* ---- Birth and death of a domain. ---- */

int evtchn_domain_init(struct evtchn_domain *d)
{
    int rc = grow(d);

    if (rc != 0)
        return rc;
    port_at(d, 0)->state = EVTCHN_RESERVED;
    d->next_hint = 1;

    return 0;
}

bool evtchn_domain_destroy(struct evtchn_domain *d, unsigned int budget)
{
    spin_lock(&d->lock);
    d->dying = true;
    spin_unlock(&d->lock);

    for (; d->closed < d->nr_valid; d->closed++) {
        if (budget-- == 0)
            return false;
        close_port(d, port_at(d, d->closed));
    }
    return true;
}

void evtchn_domain_free(struct evtchn_domain *d)
{
    for (uint32_t i = 0; i < EVTCHN_NR_BUCKETS; i++) {
        if (d->bucket[i] != NULL)
            evtchn_hook_free_page(d->bucket[i]);
        d->bucket[i] = NULL;
    }
    if (d->limits != NULL)
        evtchn_hook_free_page(d->limits);
    d->limits = NULL;
    d->nr_valid = 0;
}
