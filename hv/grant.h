/*
 * Grant tables, version 1 (<xen/grant_table.h>).
 *
 * A domain writes entries into its table, pages it shares with the
 * hypervisor; the peer named in an entry may map or copy the frame.  Every
 * field the guest can change is read once into a local, checked there and
 * used from there: an entry is eight bytes and is read in one access.
 *
 * The module is pure logic: frames through page.h, other domains and the
 * page tables through the same functions the host tests implement.
 *
 * Files: grant_table.c is the table itself and the records of mappings, with
 * what it does for the others in grant_entry.h; grant.c is the hypercall;
 * grant_revoke.c takes grants back; grant_info.c lists and audits.
 *
 * Locks: grant_table.lock of the granter guards its active entries and the
 * flags we set in its shared ones; domain.pt_lock of the mapper, which is the
 * outer one, guards its records of mappings along with the tables that these
 * are in.  The locks of two tables are both held only for a copy between two
 * grants, which takes them by ascending address, in double_lock().
 */
#ifndef HV_GRANT_H
#define HV_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

#include "hv/abi/belfry.h"
#include "hv/timer.h"
#include "hv/x86/page.h"

#define GRANT_MAX_FRAMES   64u /* pages of v1 entries, 512 each */
#define GRANT_INIT_FRAMES  1u
#define GRANT_PER_FRAME    512u
#define MAPTRACK_MAX_PAGES 511u

/*
 * How one entry is in use; the guest cannot see or change it.  Copies are
 * not counted: the lock is held for as long as one takes.
 */
struct grant_active {
    union {
        uint64_t uses; /* all of these, as one number */
        struct {
            uint16_t maps_ro, maps_rw;       /* host mappings */
            uint16_t devices_ro, devices_rw; /* device mappings */
        };
    };
    uint32_t frame; /* valid while there are uses */
    uint16_t peer;  /* likewise */
    uint16_t revocation; /* 0: none; else its place in revocations[], from 1 */
    uint64_t since; /* stamp of the first use */
    uint64_t reserved2;
};
_Static_assert(sizeof(struct grant_active) == 32, "128 a page");
#define ACTIVE_PER_PAGE  128u
#define ACTIVE_PER_FRAME (GRANT_PER_FRAME / ACTIVE_PER_PAGE)

/*
 * A mapping this domain holds of another's grant.  It is a use of that one's
 * entry, which keeps the granter, so no later domain of the same id can be
 * meant; and it holds the frame by the PTE (host) and by itself (device).
 */
struct maptrack {
    union {
        struct domain *granter;
        uint64_t generation; /* the granter's, if it was taken */
    };
    union {
        uint64_t pte_maddr;    /* where the PTE stands */
        struct maptrack *next; /* while it is free */
    };
    uint32_t ref;
    uint32_t flags; /* GNTMAP_* that are still in force, or MAPTRACK_TAKEN */
    union {
        uint32_t frame;
        uint32_t domid; /* the granter's, if it was taken */
    };
    uint32_t handle; /* its own number, constant */
};
_Static_assert(sizeof(struct maptrack) == 32, "128 a page");
#define MAPTRACK_PER_PAGE 128u
/* Of its flags: one of these, or it is free. */
#define MAPTRACK_MAPS     (GNTMAP_host_map | GNTMAP_device_map)
#define MAPTRACK_TAKEN    (1u << 31) /* by a revocation: only its number lives */
_Static_assert(MAPTRACK_MAX_PAGES * MAPTRACK_PER_PAGE <= UINT16_MAX,
               "a count of struct grant_active cannot overflow");

/* An entry as the guest writes it, and as we read it: all at once. */
union grant_entry {
    uint64_t raw;
    struct grant_entry_v1 v1;
};

/* An entry that is being revoked, or was and nobody has asked yet. */
struct revocation {
    stime_t time; /* the deadline; when it has ended: that time */
    uint64_t peer_generation;
    uint32_t ref;
    uint32_t handle; /* of the peer's records, those below were looked at */
    uint16_t peer;
    uint8_t state; /* BELFRY_REVOKE_*; UNUSED: free */
    bool taken;    /* the peer did not unmap all of it in time */
};
_Static_assert(sizeof(struct revocation) * BELFRY_REVOCATIONS == PAGE_SIZE,
               "one page");

/* One page. */
struct grant_table {
    spinlock_t lock; /* of all that is not under pt_lock */
    uint32_t nr_frames;
    uint32_t nr_active; /* entries in use by peers */
    struct revocation *revocations; /* NULL until needed */
    struct domain *domain;          /* whose it is */
    struct timer revoke_timer;
    /* Under the domain's pt_lock: */
    uint32_t maptrack_limit; /* handles below it exist */
    uint32_t maptrack_used;
    uint32_t released; /* where grant_release_mappings() stands */
    struct maptrack *maptrack_free;
    struct maptrack **maptrack; /* a page of pointers, NULL until needed */
    /* Under the lock again: */
    union grant_entry *shared[GRANT_MAX_FRAMES]; /* [GST] direct map */
    struct grant_active *active[GRANT_MAX_FRAMES * ACTIVE_PER_FRAME];
};
_Static_assert(sizeof(struct grant_table) <= PAGE_SIZE, "one page");

/* 0 or -ENOMEM. */
int grant_domain_init(struct domain *d);
/* The domain is dying: drop every mapping record it holds of others.  Host
 * mappings' references on frames are dropped by its page tables' end.
 * At most @budget records a call; true when done. */
bool grant_release_mappings(struct domain *d, unsigned int budget);
/* Free the table; no peer maps any of it any more.  Harmless if the domain
 * has none. */
void grant_domain_destroy(struct domain *d);
/* Entries of the domain that live peers map now. */
uint32_t grant_mapped_by_peers(struct domain *d);

/* The builder's: entry @ref permits @peer to use @frame (console, store).
 * -EINVAL: the table is not that large. */
int grant_set_entry(struct domain *d, uint32_t ref, uint16_t peer, mfn_t frame);

/* BELFRYOP_revoke, for the caller's domain: 0 and *state, or -Exxx. */
int grant_revoke(struct domain *d, uint32_t ref, stime_t deadline,
                 uint32_t *state);
/* BELFRYOP_revoked: the next that has ended, which is forgotten here. */
bool grant_revoked(struct domain *d, struct belfry_revocation *info);
/* BELFRYOP_notices: the next mapping from *handle on, which then says where
 * to go on; false: none, at the end of all (*handle is 0) or of a part. */
bool grant_notice(struct domain *d, uint32_t *handle,
                  struct belfry_notice *info);

/* BELFRYOP_grants: the next entry with ref >= *ref that permits something or
 * is mapped; false at the end. */
bool grant_info(struct domain *d, uint32_t *ref, struct belfry_grant *info);

/* Recount: what the records of mappings say is what the entries count.
 * Differences go to audit_differs(), the references by this domain's grants to
 * page_audit_expect() (hv/audit.h); returns the number of entries. */
uint32_t grant_audit(struct domain *d);

/* Hooks (hv/grant_glue.c).  The call is to go on later, with these as its
 * second and third argument; returns what the call must return. */
long grant_hook_continue(struct vcpu *v, void *arg, unsigned int count);
/* VIRQ_BELFRY_GRANT for the domain.  Its table's or its pt_lock may be held. */
void grant_hook_ring(struct domain *d);

#endif
