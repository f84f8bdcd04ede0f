/*
 * Event channels: Xen's 2-level ABI (<xen/event_channel.h>).
 *
 * A port is a bell: one pending bit and one mask bit in the owner's shared
 * page, no payload, no count.  This module is the state machine of ports and
 * the setting of those bits.  It knows nothing of scheduling: what it needs
 * from outside are the evtchn_hook_* functions at the end, which the
 * hypervisor and the host tests each implement.
 *
 * Locks.  evtchn_domain.lock guards the allocation of ports and buckets, and
 * virq_port.  evtchn.lock guards one port.  An operation on both ends of a
 * channel takes the two port locks by ascending address, in double_lock().
 * Order: domain lock, then port locks; a send takes its own port's lock
 * alone, which keeps the peer from going away, since closing takes both.
 *
 * nr_valid only grows: a port below it has a bucket for ever (published with
 * store_release after the bucket), so readers need no lock to look a port up.
 */
#ifndef EVTCHN_H
#define EVTCHN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>

#include "lib/spinlock.h"

#define EVTCHN_MAX_PORTS   4096u /* the 2-level limit for 64-bit guests */
#define EVTCHN_PER_BUCKET  32u   /* one page of 128-byte ports */
#define EVTCHN_NR_BUCKETS  (EVTCHN_MAX_PORTS / EVTCHN_PER_BUCKET)

struct evtchn_domain;

enum evtchn_state {
    EVTCHN_FREE,
    EVTCHN_RESERVED, /* port 0 */
    EVTCHN_UNBOUND,
    EVTCHN_INTERDOMAIN,
    EVTCHN_VIRQ,
    EVTCHN_IPI,
};

struct evtchn {
    spinlock_t lock;
    uint8_t state; /* enum evtchn_state */
    uint16_t vcpu; /* the vCPU that is notified */
    uint32_t port;
    union {
        uint16_t unbound_domid; /* who may bind */
        struct {
            struct evtchn_domain *domain;
            uint64_t generation;
            uint32_t port;
        } remote;
        uint32_t virq;
    } u;
    /* Counters of notifications raised on this port (hv/abi/belfry.h says
     * what each counts); stamps in evtchn_hook_stamp() units, 0: never. */
    uint64_t sent, delivered, coalesced, dropped;
    uint64_t last_sent, last_delivered, pending_since;
} __attribute__((aligned(128)));
_Static_assert(sizeof(struct evtchn) == 128, "32 ports a page");

/* What the module keeps of a vCPU. */
struct evtchn_vcpu {
    struct evtchn_domain *domain;
    uint32_t id;
    struct vcpu_info *info; /* [GST] shared with the guest */
    uint32_t virq_port[NR_VIRQS]; /* port that each per-vCPU VIRQ is bound to */
    bool polling;           /* waits in poll for one of some ports */
    uint32_t poll_port;     /* the only port polled, or 0: several */
};

/* What the module keeps of a domain. */
struct evtchn_domain {
    uint16_t domid;
    bool privileged;
    bool dying; /* lock: no new ports once set */
    uint64_t generation;
    struct shared_info *shared; /* [GST] pending and mask bits */
    uint32_t nr_vcpus;
    struct evtchn_vcpu **vcpu; /* nr_vcpus pointers */
    spinlock_t lock;
    uint32_t nr_valid;               /* only grows */
    uint32_t next_hint;              /* lock: where to look for a free port */
    uint32_t nr_polling;             /* vCPUs in poll, changed atomically */
    uint32_t global_virq_port[NR_VIRQS]; /* lock */
    struct evtchn *bucket[EVTCHN_NR_BUCKETS];
    uint64_t total_sent, total_received;
};

/* Start-up of a domain: port 0 reserved.  Fields of identity, shared and
 * vcpu are set by the caller.  0 or -ENOMEM. */
int evtchn_domain_init(struct evtchn_domain *d);

/* Close every port (the domain is dying) and free the buckets.  Peers' ends
 * become unbound.  Bounded by EVTCHN_MAX_PORTS; at most @budget ports a
 * call: returns true when all is done, else call again. */
bool evtchn_domain_destroy(struct evtchn_domain *d, unsigned int budget);

/* The port's record, or NULL if it was never allocated.  No lock needed. */
struct evtchn *evtchn_lookup(struct evtchn_domain *d, uint32_t port);

/*
 * EVTCHNOP_* on behalf of vCPU @v of @d: the argument is a private copy of
 * the guest's structure, OUT fields are written to it.  All errors are those
 * Xen 4.17 gives.  DOMID_SELF in dom fields is resolved here.
 */
int evtchn_alloc_unbound(struct evtchn_domain *d,
                         struct evtchn_alloc_unbound *op);
int evtchn_bind_interdomain(struct evtchn_domain *d,
                            struct evtchn_bind_interdomain *op);
int evtchn_bind_virq(struct evtchn_domain *d, struct evtchn_bind_virq *op);
int evtchn_bind_ipi(struct evtchn_domain *d, struct evtchn_bind_ipi *op);
int evtchn_bind_vcpu(struct evtchn_domain *d, uint32_t port, uint32_t vcpu);
int evtchn_close(struct evtchn_domain *d, uint32_t port);
int evtchn_send(struct evtchn_domain *d, uint32_t port);
int evtchn_status(struct evtchn_domain *d, struct evtchn_status *op);
int evtchn_unmask(struct evtchn_domain *d, uint32_t port);

/* Raise a per-vCPU VIRQ; nothing happens if it is not bound. */
void evtchn_send_virq(struct evtchn_vcpu *v, uint32_t virq);
/* Raise a global VIRQ of a domain; nothing happens if it is not bound. */
void evtchn_send_global_virq(struct evtchn_domain *d, uint32_t virq);

/* 0 if the port can be polled, -EINVAL if nothing can ever ring it. */
int evtchn_poll_check(struct evtchn_domain *d, uint32_t port);
/* Is its pending bit set?  The port must have passed evtchn_poll_check. */
bool evtchn_is_pending(const struct evtchn_domain *d, uint32_t port);

/* Are there events that this vCPU would take an upcall for, now? */
static inline bool evtchn_upcall_due(const struct evtchn_vcpu *v)
{
    return read_once(&v->info->evtchn_upcall_pending) &&
           !read_once(&v->info->evtchn_upcall_mask);
}

/*
 * Recount: the states of all ports of @d agree with their peers' and with
 * the virq tables.  Returns the number of differences, described in turn to
 * report(ctx, text); *ports is increased by the ports looked at.  Nothing
 * else may run meanwhile.
 */
unsigned int evtchn_audit(struct evtchn_domain *d, uint64_t *ports,
                          void (*report)(void *ctx, const char *text),
                          void *ctx);

/*
 * ---- Hooks: implemented by the hypervisor (hv/evtchn_glue.c) and by tests.
 */

/* A live domain by id with a reference, or NULL.  DOMID_SELF is not passed. */
struct evtchn_domain *evtchn_hook_get(uint16_t domid);
void evtchn_hook_put(struct evtchn_domain *d);

/* The vCPU has a new upcall pending: if it is blocked, make it runnable.
 * Called with a port lock held; must not call back into this module. */
void evtchn_hook_wake(struct evtchn_vcpu *v);

/* The port became pending while masked or not: wake vCPUs of @d that poll
 * it.  Called only while d->nr_polling is not 0. */
void evtchn_hook_wake_pollers(struct evtchn_domain *d, uint32_t port);

/* Zeroed page of 4,096 bytes charged to nobody, or NULL. */
void *evtchn_hook_alloc_page(void);
void evtchn_hook_free_page(void *page);

/* A cheap time stamp, monotonic a CPU, never 0 (the TSC in the hypervisor). */
uint64_t evtchn_hook_stamp(void);

/* Why a call is being refused, for `belfry refused`; text is static. */
void evtchn_hook_reason(const char *text);

#endif
