/*
 * Delivery: from a notification to the bits that the guest sees.
 *
 * The order is pending bit, mask bit, selector bit, upcall flag, wake.  Each
 * step is a locked instruction or follows one, so that a guest which clears
 * its side first and looks at the next after (mask, then pending; upcall
 * flag, then selector, then pending) can lose no wake-up: of the two that
 * race at least one sees the other.
 */
#include "evtchn/private.h"

#include "lib/errno.h"

#define UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define OUT_OF_LINE   __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))

static uint64_t *pending_words(const struct evtchn_domain *d)
{
    return d->shared->evtchn_pending;
}

static uint64_t *mask_words(const struct evtchn_domain *d)
{
    return d->shared->evtchn_mask;
}

static struct evtchn_vcpu *notified_vcpu(const struct evtchn_domain *d,
                                         const struct evtchn *chn)
{
    return d->vcpu[read_once(&chn->vcpu)];
}

/* An upcall has become pending. */
static OUT_OF_LINE void wake(struct evtchn_vcpu *v)
{
    if (UNLIKELY(read_once(&v->polling)))
        evtchn_poll_end(v);
    evtchn_hook_wake(v);
}

/* The port has become pending and is not masked: tell the vCPU. */
static ALWAYS_INLINE void notify(struct evtchn_vcpu *v, unsigned int port)
{
    struct vcpu_info *info = read_once(&v->info);

    if (!bit_test_and_set(&info->evtchn_pending_sel, port / 64 % 64) &&
        !atomic_xchg(&info->evtchn_upcall_pending, 1))
        wake(v);
}

/* Wake the vCPUs that poll this port; was there one? */
static OUT_OF_LINE bool wake_pollers(struct evtchn_domain *d, uint32_t port)
{
    bool woken = false;

    for (uint32_t i = 0; i < d->nr_vcpus; i++) {
        struct evtchn_vcpu *v = d->vcpu[i];
        uint32_t polled;

        if (!load_acquire(&v->polling))
            continue;
        polled = read_once(&v->poll_port);
        if (polled != 0 && polled != port)
            continue;
        wake(v);
        woken = true;
    }
    return woken;
}

static ALWAYS_INLINE bool is_masked(const struct evtchn_domain *d,
                                    unsigned int port)
{
    return bit_test(mask_words(d), port);
}

/*
 * It became pending while masked: no upcall, unless unmask finds it.  Who
 * takes `waiting` back counts it: unmask, or we, if the mask went in between
 * (then whoever cleared it saw the pending bit).
 */
static ALWAYS_INLINE void raise_masked(struct evtchn_domain *d,
                                       struct evtchn *chn, unsigned int port,
                                       uint64_t stamp)
{
    chn->n.masked++;
    chn->n.last_masked = stamp;
    store_seq_cst(&chn->waiting, 1);
    if (UNLIKELY(!is_masked(d, port)) && atomic_xchg(&chn->waiting, 0)) {
        chn->n.masked--;
        chn->n.last_prompt = stamp;
    }
}

/* The rest of raise() while some vCPU polls. */
static OUT_OF_LINE void raise_polled(struct evtchn_domain *d,
                                     struct evtchn *chn, unsigned int port,
                                     uint64_t stamp)
{
    bool polled = wake_pollers(d, port);

    if (!is_masked(d, port)) {
        notify(notified_vcpu(d, chn), port);
        polled = true;
    }
    if (polled)
        chn->n.last_prompt = stamp;
    else
        raise_masked(d, chn, port, stamp);
}

static ALWAYS_INLINE void raise(struct evtchn_domain *d, struct evtchn *chn)
{
    unsigned int port = chn->port;
    uint64_t stamp = evtchn_stamp();

    chn->n.sent++;
    chn->n.last_sent = stamp;
    if (bit_test_and_set(pending_words(d), port)) {
        chn->n.coalesced++;
        return;
    }
    if (UNLIKELY(load_seq_cst(&d->nr_polling) != 0)) {
        raise_polled(d, chn, port, stamp);
    } else if (is_masked(d, port)) {
        raise_masked(d, chn, port, stamp);
    } else {
        chn->n.last_prompt = stamp;
        notify(notified_vcpu(d, chn), port);
    }
}

void evtchn_raise(struct evtchn_domain *d, struct evtchn *chn)
{
    raise(d, chn);
}

static bool peer_is_gone(const struct evtchn *chn)
{
    if (chn->state == EVTCHN_UNBOUND)
        return chn->u.unbound.state != BELFRY_PEER_NONE;
    return port_is_bound(chn) && has_ended(chn->u.remote.domain);
}

/* There may be nobody to ring, or there is a limit. */
static OUT_OF_LINE long send_gated(struct evtchn *chn)
{
    if (chn->state != EVTCHN_UNBOUND && chn->state != EVTCHN_GATED)
        return refuse(-EINVAL, chn->port,
                      "nothing can be sent on a port in this state");
    if ((chn->options & BELFRY_PORT_NOTICE) && peer_is_gone(chn))
        return refuse(-EPIPE, chn->port, "the peer is gone");
    if (chn->state == EVTCHN_UNBOUND) {
        chn->n.dropped++;
        return 0;
    }
    chn->n.rung++;
    if (chn->u.remote.port->limit != NULL)
        evtchn_raise_limited(chn->u.remote.domain, chn->u.remote.port);
    else
        raise(chn->u.remote.domain, chn->u.remote.port);
    return 0;
}

long evtchn_send(struct evtchn_domain *d, uint32_t port)
{
    struct evtchn *chn;
    long rc = 0;

    if (UNLIKELY(port >= load_acquire(&d->nr_valid)))
        return refuse(-EINVAL, port, "the port was never allocated");

    chn = port_at(d, port);
    spin_lock(&chn->lock);
    if (UNLIKELY(chn->state < EVTCHN_INTERDOMAIN)) {
        rc = send_gated(chn);
    } else {
        chn->n.rung++;
        raise(chn->u.remote.domain, chn->u.remote.port);
    }
    spin_unlock(&chn->lock);

    return rc;
}

static void send_virq(struct evtchn_domain *d, const uint32_t *slot,
                      uint32_t virq)
{
    uint32_t port = read_once(slot);
    struct evtchn *chn;

    if (port == 0)
        return;
    chn = port_at(d, port);
    spin_lock(&chn->lock);
    /* It may have been closed, and opened for something else, since. */
    if (chn->state == EVTCHN_VIRQ && chn->u.virq == virq)
        evtchn_raise(d, chn);
    spin_unlock(&chn->lock);
}

void evtchn_send_virq(struct evtchn_vcpu *v, uint32_t virq)
{
    send_virq(v->domain, &v->virq_port[virq], virq);
}

void evtchn_send_global_virq(struct evtchn_domain *d, uint32_t virq)
{
    send_virq(d, &d->global_virq_port[virq], virq);
}

/* Port lock held.  Clear the mask, then look: the other half of raise. */
static void unmask(struct evtchn_domain *d, struct evtchn *chn)
{
    if (!bit_test_and_clear(mask_words(d), chn->port) ||
        !bit_test(pending_words(d), chn->port))
        return;
    notify(notified_vcpu(d, chn), chn->port);
    if (atomic_xchg(&chn->waiting, 0)) {
        chn->n.late++;
        chn->n.last_late = evtchn_stamp();
    }
}

int evtchn_unmask(struct evtchn_domain *d, uint32_t port)
{
    struct evtchn *chn = port_lookup(d, port);

    if (chn == NULL)
        return refuse(-EINVAL, port, "the port was never allocated");
    spin_lock(&chn->lock);
    if (port_is_open(chn))
        unmask(d, chn);
    spin_unlock(&chn->lock);

    return 0;
}

int evtchn_poll_check(struct evtchn_domain *d, uint32_t port)
{
    struct evtchn *chn = port_lookup(d, port);
    bool open;

    if (chn == NULL)
        return refuse(-EINVAL, port, "a polled port was never allocated");
    spin_lock(&chn->lock);
    open = port_is_open(chn);
    spin_unlock(&chn->lock);

    return open ? 0 : refuse(-EINVAL, port, "a polled port is not open");
}

void evtchn_poll_begin(struct evtchn_vcpu *v, uint32_t port)
{
    write_once(&v->poll_port, port);
    if (!atomic_xchg(&v->polling, true))
        atomic_add_return(&v->domain->nr_polling, 1);
}

bool evtchn_poll_end(struct evtchn_vcpu *v)
{
    if (!atomic_xchg(&v->polling, false))
        return false;
    atomic_sub_return(&v->domain->nr_polling, 1);

    return true;
}

bool evtchn_is_pending(const struct evtchn_domain *d, uint32_t port)
{
    return bit_test(pending_words(d), port);
}
