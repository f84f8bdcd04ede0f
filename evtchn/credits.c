/*
 * Credits: how often a port may be rung (BELFRY_PORT_SET_CREDITS).
 *
 * What is left of the credits is kept as the time at which all would be there
 * again: each ring moves it on by one interval.  A ring that finds none is
 * held back, with all that come after it, until a timer delivers them as one.
 *
 * The sender's end of a port with a limit is gated, so that the others pay
 * nothing.  Nothing is held back on a port without a peer.
 */
#include "evtchn/private.h"

#include "lib/errno.h"

#define LONGEST  (1ull << 62) /* ns; so that no sum of times overflows */
#define ROW_ENDS 1000000000u  /* ns with all credits unused; for the log */

_Static_assert(BELFRY_LIMITS * sizeof(struct evtchn_limit) <= 4096, "one page");

static uint64_t credit_due(const struct evtchn_limit *l)
{
    uint64_t others = (l->credits - 1) * l->interval;

    return l->full_at > others ? l->full_at - others : 0;
}

static bool take_credit(struct evtchn_limit *l, uint64_t now)
{
    if (now < credit_due(l))
        return false;
    if (now >= l->full_at + ROW_ENDS)
        l->told = false;
    if (now > l->full_at)
        l->full_at = now;
    l->full_at += l->interval;
    return true;
}

/* Must the ring wait for a credit?  Where there is no timer nothing may wait:
 * a ring too many is better than one that is lost. */
static bool hold(struct evtchn_limit *l)
{
    if (take_credit(l, evtchn_hook_now()))
        l->held = false;
    else if (!l->held)
        l->held = evtchn_hook_timer_set(l, credit_due(l));
    return l->held;
}

/* Of those delivered as one, one counts as sent when it is; the others are as
 * good as found pending. */
void evtchn_raise_limited(struct evtchn_domain *d, struct evtchn *chn)
{
    struct evtchn_limit *l = chn->limit;

    if (l->held) {
        chn->n.sent++;
        chn->n.coalesced++;
    }
    if (!hold(l)) {
        evtchn_raise(d, chn);
        return;
    }
    chn->n.throttled++;
    chn->n.last_sent = evtchn_stamp();
    if (!l->told)
        evtchn_hook_throttled(d, chn->port, chn->u.remote.domain);
    l->told = true;
}

void evtchn_limit_due(struct evtchn_limit *l)
{
    struct evtchn *chn = read_once(&l->chn), *peer;

    if (chn == NULL)
        return;
    peer = evtchn_lock_with_peer(chn);
    if (peer != NULL && chn->limit == l && l->held) {
        l->held = false; /* and the timer is not set */
        if (!hold(l))
            evtchn_raise(peer->u.remote.domain, chn);
    }
    evtchn_unlock_with_peer(chn, peer);
}

void evtchn_limit_flush(struct evtchn_domain *d, struct evtchn *chn)
{
    if (chn->limit == NULL || !chn->limit->held)
        return;
    chn->limit->held = false;
    evtchn_raise(d, chn);
}

void evtchn_limit_drop(struct evtchn *chn)
{
    if (chn->limit == NULL)
        return;
    evtchn_hook_timer_cancel(chn->limit);
    chn->limit->held = false; /* the next port's ring is not held back yet */
    write_once(&chn->limit->chn, NULL);
    chn->limit = NULL;
}

static int take_record(struct evtchn_domain *d, struct evtchn *chn)
{
    if (d->limits == NULL)
        d->limits = evtchn_hook_alloc_page();
    if (d->limits == NULL)
        return refuse(-ENOMEM, chn->port, "no memory for limits");
    for (uint32_t i = 0; i < BELFRY_LIMITS; i++) {
        struct evtchn_limit *l = &d->limits[i];

        if (l->chn != NULL)
            continue;
        write_once(&l->chn, chn);
        chn->limit = l;
        return 0;
    }
    return refuse(-ENOSPC, chn->port, "no more ports of the domain can have limits");
}

int evtchn_limit_set(struct evtchn_domain *d, struct evtchn *chn,
                     uint32_t credits, uint64_t interval)
{
    int rc = 0;

    if (chn->state != EVTCHN_UNBOUND && !port_is_bound(chn))
        return refuse(-EINVAL, chn->port, "no peer will ever ring this port");
    if (credits != 0 && (interval == 0 || interval > LONGEST / credits))
        return refuse(-EINVAL, chn->port, "the interval is 0, or too long");

    evtchn_limit_flush(d, chn);
    if (credits == 0)
        evtchn_limit_drop(chn);
    else if (chn->limit == NULL)
        rc = take_record(d, chn);
    if (chn->limit != NULL) {
        chn->limit->interval = interval;
        chn->limit->credits = credits;
        chn->limit->full_at = 0;
        chn->limit->told = false;
    }
    if (port_is_bound(chn))
        gate(chn->u.remote.port);
    return rc;
}

void evtchn_audit_limits(struct evtchn_domain *d)
{
    for (uint32_t i = 0; d->limits != NULL && i < BELFRY_LIMITS; i++) {
        const struct evtchn_limit *l = &d->limits[i];

        if (l->chn == NULL)
            continue;
        if (l->chn->limit != l)
            evtchn_hook_differs(d, l->chn->port, "its limit is not its own");
        if (l->held && !port_is_bound(l->chn))
            evtchn_hook_differs(d, l->chn->port,
                                "a ring is held back, and has no sender");
    }
}
