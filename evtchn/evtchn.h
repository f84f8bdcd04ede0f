/*
 * Event channels: Xen's 2-level ABI (<xen/event_channel.h>).
 *
 * A port is a bell: one pending bit and one mask bit in the owner's shared
 * page, no payload, no count.  This module is the state machine of ports and
 * the setting of those bits.  It knows nothing of scheduling: what it needs
 * from outside are the evtchn_hook_* functions at the end, which the
 * hypervisor and the host tests each implement.
 *
 * Locks.  evtchn_domain.lock guards which of the domain's ports are free, its
 * buckets and the VIRQ tables; the owner opens and closes ports under it.
 * evtchn.lock guards one port; whatever changes both ends of a channel holds
 * both port locks, taken by ascending address (lock_with_peer, lock_two).
 * Order: domain lock, then port locks, then those of timers.  A send takes its
 * own port's lock alone: that keeps the peer from going away, since closing
 * either end takes both locks.
 *
 * Life of memory.  nr_valid only grows: a port below it has a bucket for as
 * long as the domain's memory lives (published with store_release after the
 * bucket), so readers look a port up without a lock.  A bound port points at
 * its peer's record; that is safe because a domain's memory goes only after
 * evtchn_domain_destroy() has closed all its ports.
 */
#ifndef EVTCHN_H
#define EVTCHN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>

#include "lib/spinlock.h"

#define EVTCHN_MAX_PORTS  4096u /* the 2-level limit for 64-bit guests */
#define EVTCHN_PER_BUCKET 32u   /* one page of 128-byte ports */
#define EVTCHN_NR_BUCKETS (EVTCHN_MAX_PORTS / EVTCHN_PER_BUCKET)

struct belfry_channel;
struct belfry_port;
struct evtchn_limit;
struct evtchn_domain;

enum evtchn_state {
    EVTCHN_FREE,
    EVTCHN_RESERVED, /* port 0 */
    EVTCHN_UNBOUND,
    EVTCHN_VIRQ,
    EVTCHN_GATED,       /* bound; each send is looked at first */
    EVTCHN_INTERDOMAIN, /* bound; from here on a send just rings */
    EVTCHN_IPI,
};

/* A domain, and how it came to its end. */
struct evtchn_end {
    uint16_t domid;
    uint16_t origin; /* the same for all domains made from one module */
    uint8_t state;   /* BELFRY_PEER_* */
    uint8_t reason;  /* SHUTDOWN_* */
    uint8_t vector;  /* of a crash; 0xff: none */
    uint64_t generation;
    uint64_t rip; /* of a crash */
};

/* The stamps of this module: cheap, monotonic on a CPU, never 0.  No hook,
 * since every send takes one; on a host it works just the same. */
static inline uint64_t evtchn_stamp(void)
{
    return __builtin_ia32_rdtsc();
}

/*
 * Counters of one port, from its opening on; stamps of 0: never.
 *
 * A notification is raised under the lock of the end it comes from: the
 * peer's for a bound channel, the port's own for a VIRQ or an IPI.  That
 * lock guards the first group and `lock` of the port itself the second, so
 * a send needs no atomic counters.  Read both groups through evtchn_info().
 */
struct evtchn_counters {
    uint64_t sent;      /* notifications raised on this port */
    uint64_t coalesced; /* of these, found pending already set */
    uint64_t masked;    /* of these, set pending while masked, unpolled */
    uint64_t last_sent;
    uint64_t last_prompt, last_masked; /* when it became pending, how */
    uint64_t throttled; /* rings that found no credit (credits.c) */

    uint64_t rung;    /* by the owner on the peer's port */
    uint64_t dropped; /* by the owner while there was no peer */
    uint64_t late;    /* of `masked`, delivered by unmask */
    uint64_t last_late;
};

struct evtchn {
    spinlock_t lock;
    uint8_t state;   /* enum evtchn_state */
    uint8_t waiting; /* atomic: became pending while masked, undelivered */
    uint8_t options; /* BELFRY_PORT_*, of the owner */
    uint16_t vcpu;   /* the vCPU that is notified */
    uint16_t port;   /* its own number, constant */
    union {
        /* Who may bind; and how it left, if it was bound before. */
        struct evtchn_end unbound;
        struct { /* whom a send rings; an IPI's is itself */
            struct evtchn_domain *domain;
            struct evtchn *port;
            uint64_t generation;
        } remote;
        uint32_t virq;
    } u;
    struct evtchn_counters n;
    struct evtchn_limit *limit; /* of how often it may be rung, or NULL */
} __attribute__((aligned(128)));
_Static_assert(sizeof(struct evtchn) == 128, "32 ports a page");

/* How often a port may be rung (credits.c).  Which port's it is changes under
 * the owner's domain lock and both port locks; the rest with the lock held
 * that the port's rings are raised under. */
struct evtchn_limit {
    struct evtchn *chn; /* whose; NULL: nobody's */
    uint64_t interval;  /* ns from credit to credit */
    uint64_t full_at;   /* the time at which all credits will be there */
    uint32_t credits;
    bool held;         /* a ring waits for a credit, and the timer is set */
    bool told;         /* the log has a line about this row */
    uint64_t timer[6]; /* what evtchn_hook_timer_set() keeps here */
};

/* What the module keeps of a vCPU. */
struct evtchn_vcpu {
    struct evtchn_domain *domain;
    uint32_t id;
    struct vcpu_info *info;       /* [GST] shared with the guest */
    uint32_t virq_port[NR_VIRQS]; /* port that each per-vCPU VIRQ is bound to */
    bool polling;       /* atomic: waits in poll for one of some ports */
    uint32_t poll_port; /* the only port polled, or 0: several */
};

/* What the module keeps of a domain. */
struct evtchn_domain {
    bool privileged;
    struct evtchn_end self;     /* who this is; ALIVE until it ends */
    struct shared_info *shared; /* [GST] pending and mask bits */
    uint32_t nr_vcpus;
    struct evtchn_vcpu **vcpu; /* nr_vcpus pointers */
    uint32_t nr_valid;         /* only grows */
    uint32_t nr_polling;       /* vCPUs in poll, changed atomically */
    struct evtchn *bucket[EVTCHN_NR_BUCKETS];

    spinlock_t lock;    /* of what follows, and of growing nr_valid */
    bool dying;         /* no new ports once set */
    uint32_t next_hint; /* no port below it is free */
    uint32_t closed;    /* where evtchn_domain_destroy() stands */
    uint32_t global_virq_port[NR_VIRQS];
    uint64_t closed_sent, closed_received; /* by ports that were closed */
    struct evtchn_limit *limits; /* BELFRY_LIMITS, one page; NULL: none yet */
};

/* Start-up of a domain: port 0 reserved.  Fields of identity, shared and
 * vcpu are set by the caller, all else is zero.  0 or -ENOMEM. */
int evtchn_domain_init(struct evtchn_domain *d);

/* The domain is dying: close every port, and open none any more.  Peers'
 * ends become unbound.  At most @budget ports a call: returns true when all
 * is done, else call again. */
bool evtchn_domain_destroy(struct evtchn_domain *d, unsigned int budget);

/* The domain runs no more: d->self says why, since just now.  Each peer that
 * has asked for it is told at once, though the ports stay as they are until
 * evtchn_domain_destroy(). */
void evtchn_domain_ended(struct evtchn_domain *d);

/* A domain of this origin has been built: ring the ports of @d whose peer had
 * the same and is gone. */
void evtchn_tell_successor(struct evtchn_domain *d, uint16_t origin);

/* Free the buckets, when nobody has a reference to the domain any more. */
void evtchn_domain_free(struct evtchn_domain *d);

/* The port's record, or NULL if it was never allocated.  No lock needed. */
struct evtchn *evtchn_lookup(struct evtchn_domain *d, uint32_t port);

/*
 * EVTCHNOP_* on behalf of @d: the argument is a private copy of the guest's
 * structure, OUT fields are written to it.  All errors are those Xen 4.17
 * gives.  DOMID_SELF in dom fields is resolved here.
 */

/* -ESRCH no such domain; -EPERM another domain's port, @d not privileged;
 * -EINVAL it is dying; -ENOSPC no port left; -ENOMEM. */
int evtchn_alloc_unbound(struct evtchn_domain *d,
                         struct evtchn_alloc_unbound *op);
/* Close the port that evtchn_alloc_unbound() has just opened, in whichever
 * domain: its caller could not be told of it. */
void evtchn_undo_alloc(struct evtchn_domain *d,
                       const struct evtchn_alloc_unbound *op);
/* -ESRCH no such domain; -EINVAL its port is not unbound, or not for @d;
 * -ENOSPC no local port left; -ENOMEM.  The local port is left pending. */
int evtchn_bind_interdomain(struct evtchn_domain *d,
                            struct evtchn_bind_interdomain *op);
/* -EINVAL no such VIRQ, or a global one and not vCPU 0; -ENOENT no such
 * vCPU; -EEXIST it is bound; -ENOSPC; -ENOMEM.  As on Xen, any domain may
 * bind any VIRQ: those of the initial domain never fire for others. */
int evtchn_bind_virq(struct evtchn_domain *d, struct evtchn_bind_virq *op);
/* -ENOENT no such vCPU; -ENOSPC; -ENOMEM. */
int evtchn_bind_ipi(struct evtchn_domain *d, struct evtchn_bind_ipi *op);
/* -ENOENT no such vCPU; -EINVAL no such port, or one that cannot move. */
int evtchn_bind_vcpu(struct evtchn_domain *d, uint32_t port, uint32_t vcpu);
/* -EINVAL the port is not open. */
int evtchn_close(struct evtchn_domain *d, uint32_t port);
/* -EINVAL nothing can be sent on this port; -EPIPE its peer is gone, and it
 * has BELFRY_PORT_NOTICE.  0 also when it is unbound: the notification is
 * dropped, and counted as such.  (long, as the hypercall, which so ends with
 * a jump to here.) */
long evtchn_send(struct evtchn_domain *d, uint32_t port);
/* -ESRCH no such domain; -EINVAL the port was never allocated; -EPERM
 * another domain's port, @d not privileged. */
int evtchn_status(struct evtchn_domain *d, struct evtchn_status *op);
/* -EINVAL the port was never allocated. */
int evtchn_unmask(struct evtchn_domain *d, uint32_t port);

/* The vCPU that a ring on the port would notify, valid until this CPU leaves
 * the hypervisor.  -EINVAL no open port with a peer; -EPIPE the peer is gone.
 */
int evtchn_peer_vcpu(struct evtchn_domain *d, uint32_t port,
                     struct evtchn_vcpu **vcpu);
/* Take a ring of the port back, if there is one that nobody has looked at. */
void evtchn_take_back(struct evtchn_domain *d, uint32_t port);

/* BELFRYOP_port without what only the hypervisor knows.  *origin: of the peer
 * or of who was it; *vcpu: the peer's that is notified, NULL if none is bound,
 * valid until this CPU leaves the hypervisor.  Errors as belfry.h has them. */
int evtchn_port_op(struct evtchn_domain *d, struct belfry_port *op,
                   uint16_t *origin, struct evtchn_vcpu **vcpu);

/* The time that was given to evtchn_hook_timer_set() has come.  With no lock;
 * harmless when the limit is another port's meanwhile, or nobody's. */
void evtchn_limit_due(struct evtchn_limit *limit);

/* Raise a per-vCPU VIRQ; nothing happens if it is not bound. */
void evtchn_send_virq(struct evtchn_vcpu *v, uint32_t virq);
/* Raise a global VIRQ of a domain; nothing happens if it is not bound. */
void evtchn_send_global_virq(struct evtchn_domain *d, uint32_t virq);

/*
 * Polling.  A vCPU that polls is woken when one of its ports becomes pending,
 * masked or not.  In this order, so that no wake-up is lost:
 *
 *   1. every port passes evtchn_poll_check();
 *   2. the vCPU is marked blocked, so that a wake finds it so;
 *   3. evtchn_poll_begin(): a full barrier, pairs with the locked setting of
 *      the pending bit in evtchn_raise(), which then looks at nr_polling;
 *   4. one of the ports evtchn_is_pending(): evtchn_poll_end(), and do not
 *      block after all.
 *
 * A wake by this module, for a polled port or for an upcall, ends the poll
 * first; who wakes the vCPU otherwise (a time-out) calls evtchn_poll_end().
 */

/* 0 if the port can be polled, -EINVAL if nothing can ever ring it. */
int evtchn_poll_check(struct evtchn_domain *d, uint32_t port);
/* @port: the only one polled, or 0 if there are several. */
void evtchn_poll_begin(struct evtchn_vcpu *v, uint32_t port);
/* Was it polling?  (A time-out that comes too late finds that it was not.) */
bool evtchn_poll_end(struct evtchn_vcpu *v);
/* Is its pending bit set?  The port must have passed evtchn_poll_check. */
bool evtchn_is_pending(const struct evtchn_domain *d, uint32_t port);

/* Are there events that this vCPU would take an upcall for, now? */
static inline bool evtchn_upcall_due(const struct evtchn_vcpu *v)
{
    return read_once(&v->info->evtchn_upcall_pending) &&
           !read_once(&v->info->evtchn_upcall_mask);
}

/*
 * The next port >= *port that is not free: *port and all of *info but what
 * the module cannot know (vcpu_state and what follows it but the counters).
 * Stamps are raw; the caller converts them to times.  false at the end.
 */
bool evtchn_info(struct evtchn_domain *d, uint32_t *port,
                 struct belfry_channel *info);

/* Notifications the domain has sent and received over all ports, ever. */
void evtchn_totals(struct evtchn_domain *d, uint64_t *sent, uint64_t *received);

/*
 * Recount: the states of all ports of @d agree with their peers' and with
 * the virq tables.  Each difference goes to evtchn_hook_differs(); returns the
 * number of ports looked at.  Nothing else may run meanwhile.
 */
uint32_t evtchn_audit(struct evtchn_domain *d);

/*
 * ---- Hooks: implemented by the hypervisor (hv/evtchn_glue.c) and by tests.
 */

/* A domain by id with a reference, or NULL.  DOMID_SELF is not passed; no
 * lock of this module is held. */
struct evtchn_domain *evtchn_hook_get(uint16_t domid);
void evtchn_hook_put(struct evtchn_domain *d);

/* If the vCPU is blocked, make it runnable: an upcall has become pending for
 * it, or a port that it polls.  Called with a port lock held; must not call
 * back into this module. */
void evtchn_hook_wake(struct evtchn_vcpu *v);

/* Nanoseconds, never backwards. */
uint64_t evtchn_hook_now(void);

/* Call evtchn_limit_due(limit) once at that time, and not at the time given
 * before.  With the locks of the port held; false: there is no timer. */
bool evtchn_hook_timer_set(struct evtchn_limit *limit, uint64_t time);
/* Do not call it; a call may be under way, for as long as the domain's memory
 * lives. */
void evtchn_hook_timer_cancel(struct evtchn_limit *limit);

/* The first of a row of rings of this port has been held back; @by rings it.
 * With port locks held. */
void evtchn_hook_throttled(struct evtchn_domain *d, uint32_t port,
                           struct evtchn_domain *by);

/* Zeroed page of 4,096 bytes charged to nobody, or NULL. */
void *evtchn_hook_alloc_page(void);
void evtchn_hook_free_page(void *page);

/* Why a call is being refused, for `belfry refused`, and the port, VIRQ, vCPU
 * or domain that it is about; text is static. */
void evtchn_hook_reason(const char *text, uint32_t number);

/* The audit found this of a port of @d. */
void evtchn_hook_differs(struct evtchn_domain *d, uint32_t port,
                         const char *what);

#endif
