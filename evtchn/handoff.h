/*
 * What the hand-off of a ring needs of ports, inline: for hv/x86/handoff.c
 * alone, where each instruction counts.  Everybody else: evtchn.h.
 */
#ifndef EVTCHN_HANDOFF_H
#define EVTCHN_HANDOFF_H

#include "evtchn/private.h"

/* The port with its lock, if it is bound to a peer that can just be rung;
 * NULL if it is not, or its lock is held. */
static inline struct evtchn *evtchn_try_lock_bound(struct evtchn_domain *d,
                                                   uint32_t port)
{
    struct evtchn *chn;

    if (port >= load_acquire(&d->nr_valid))
        return NULL;
    chn = port_at(d, port);
    if (!spin_trylock(&chn->lock))
        return NULL;
    if (chn->state == EVTCHN_INTERDOMAIN)
        return chn;
    spin_unlock(&chn->lock);
    return NULL;
}

/* The ring was handed over: sent and delivered in one. */
static inline void evtchn_count_handoff(struct evtchn *chn, struct evtchn *peer,
                                        uint64_t stamp)
{
    chn->n.rung++;
    peer->n.sent++;
    peer->n.last_prompt = stamp;
}

/* As evtchn_poll_begin() and evtchn_poll_end(), for a vCPU that is not polling
 * and one that is. */
static inline void evtchn_poll_begin_quick(struct evtchn_vcpu *v, uint32_t port)
{
    write_once(&v->poll_port, port);
    write_once(&v->polling, true);
    (void)atomic_add_return(&v->domain->nr_polling, 1);
}

static inline bool evtchn_poll_end_quick(struct evtchn_vcpu *v)
{
    if (!atomic_xchg(&v->polling, false))
        return false;
    (void)atomic_sub_return(&v->domain->nr_polling, 1);
    return true;
}

#endif
