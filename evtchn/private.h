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

/* ---- Credits.  A limit changes under the domain lock of the port's owner
 * @d and both port locks. ---- */

/* As evtchn_raise(), for a bound port with a limit: at once, or later. */
void evtchn_raise_limited(struct evtchn_domain *d, struct evtchn *chn);
/* Set, change or remove (0 @credits) the limit.  0; -EINVAL, -ENOSPC, -ENOMEM
 * as BELFRYOP_port. */
int evtchn_limit_set(struct evtchn_domain *d, struct evtchn *chn,
                     uint32_t credits, uint64_t interval);
/* What is held back is delivered now: there may soon be no peer any more. */
void evtchn_limit_flush(struct evtchn_domain *d, struct evtchn *chn);
/* The port is being closed. */
void evtchn_limit_drop(struct evtchn *chn);
void evtchn_audit_limits(struct evtchn_domain *d);

/* Must sends on this bound port be looked at? */
static inline bool must_be_gated(const struct evtchn *chn)
{
    return chn->u.remote.port->limit != NULL ||
           ((chn->options & BELFRY_PORT_NOTICE) &&
            has_ended(chn->u.remote.domain));
}

/* Both port locks held: the state of a bound port, after a change of what
 * counts for it. */
static inline void gate(struct evtchn *chn)
{
    write_once(&chn->state,
               must_be_gated(chn) ? EVTCHN_GATED : EVTCHN_INTERDOMAIN);
}

/* Lock a port and, if it is bound, its peer, which is returned; NULL if it
 * is not bound. */
struct evtchn *evtchn_lock_with_peer(struct evtchn *chn);
void evtchn_unlock_with_peer(struct evtchn *chn, struct evtchn *peer);

/* Where the port of a VIRQ of @v is kept. */
uint32_t *evtchn_virq_slot(struct evtchn_vcpu *v, uint32_t virq);
bool evtchn_virq_is_global(uint32_t virq);

#endif
