/* What the files of this module share and nobody else may use. */
#ifndef EVTCHN_PRIVATE_H
#define EVTCHN_PRIVATE_H

#include "evtchn/evtchn.h"

#include "hv/abi/belfry.h"

/* A port below nr_valid. */
static inline struct evtchn *port_at(struct evtchn_domain *d, uint32_t port)
{
    return &d->bucket[port / EVTCHN_PER_BUCKET][port % EVTCHN_PER_BUCKET];
}

/* Pairs with the store_release in grow(). */
static inline struct evtchn *port_lookup(struct evtchn_domain *d, uint32_t port)
{
    if (port >= load_acquire(&d->nr_valid))
        return NULL;
    return port_at(d, port);
}

static inline bool port_is_open(const struct evtchn *chn)
{
    return chn->state > EVTCHN_RESERVED;
}

/* To a peer, which lock_with_peer() then finds. */
static inline bool port_is_bound(const struct evtchn *chn)
{
    return chn->state == EVTCHN_GATED || chn->state == EVTCHN_INTERDOMAIN;
}

static inline bool has_ended(const struct evtchn_domain *d)
{
    return read_once(&d->self.state) != BELFRY_PEER_ALIVE;
}

static inline int refuse(int error, uint32_t number, const char *reason)
{
    evtchn_hook_reason(reason, number);
    return error;
}

/* Raise a notification on an open port of @d.  The lock of the end that it
 * comes from is held (evtchn.h, struct evtchn_counters). */
void evtchn_raise(struct evtchn_domain *d, struct evtchn *chn);

/* Lock a port and, if it is bound, its peer, which is returned; NULL if it
 * is not bound. */
struct evtchn *evtchn_lock_with_peer(struct evtchn *chn);
void evtchn_unlock_with_peer(struct evtchn *chn, struct evtchn *peer);

/* Where the port of a VIRQ of @v is kept. */
uint32_t *evtchn_virq_slot(struct evtchn_vcpu *v, uint32_t virq);
bool evtchn_virq_is_global(uint32_t virq);

#endif
