/*
 * Grant tables, version 1 (<xen/grant_table.h>).
 *
 * A domain writes entries into its table, pages it shares with the
 * hypervisor; the peer named in an entry may map or copy the frame.  Every
 * field the guest can change is read once into a local, checked there and
 * used from there.
 *
 * The module is pure logic: frames through page.h, other domains and the
 * page tables through the same hooks the host tests implement.
 *
 * Lock: grant_table.lock of the granter guards its active entries; that of
 * the mapper guards its maptrack.  Order when both are needed: by ascending
 * address, in double_lock().
 */
#ifndef HV_GRANT_H
#define HV_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

#include "hv/abi/belfry.h"
#include "hv/x86/page.h"
#include "lib/spinlock.h"

#define GRANT_MAX_FRAMES   64u /* pages of v1 entries, 512 each */
#define GRANT_INIT_FRAMES  1u
#define MAPTRACK_MAX_PAGES 256u

/* What is mapped of one entry; the guest cannot see or change it. */
struct grant_active {
    uint32_t maps_ro, maps_rw; /* host mappings */
    uint32_t pins;             /* copies and device maps in progress */
    uint16_t peer;             /* valid while any of the above */
    uint16_t reserved;
    mfn_t frame;
    uint64_t since; /* stamp of the first mapping */
};

/* A mapping this domain holds of another's grant. */
struct maptrack {
    uint64_t generation; /* of the granter; 0: free */
    uint32_t ref;
    uint16_t granter;
    uint16_t flags;     /* GNTMAP_* that are still in force */
    uint64_t pte_maddr; /* where the PTE stands */
    uint32_t next_free;
    uint32_t reserved;
};

struct grant_table {
    spinlock_t lock;
    uint32_t nr_frames;
    struct grant_entry_v1 *shared[GRANT_MAX_FRAMES]; /* [GST] direct map */
    struct grant_active *active; /* ... pages of them, see grant.c */
    void *active_page[GRANT_MAX_FRAMES * 4];
    uint32_t maptrack_pages, maptrack_free, maptrack_used;
    struct maptrack *maptrack_page[MAPTRACK_MAX_PAGES];
};
/* It is too large for struct domain: one allocation of its own, by page. */

/* 0 or -ENOMEM. */
int grant_domain_init(struct domain *d);
/* Drop every mapping record this domain holds of others.  Bounded by
 * @budget records a call; true when done. */
bool grant_release_mappings(struct domain *d, unsigned int budget);
/* Free the table; no peer maps any of it any more. */
void grant_domain_destroy(struct domain *d);
/* Frames of the domain that live peers map or pin now. */
uint32_t grant_mapped_by_peers(struct domain *d);

/* The builder's: entry @ref permits @peer to use @frame (console, store). */
int grant_set_entry(struct domain *d, uint32_t ref, uint16_t peer, mfn_t frame);

/* grant_table_op: @cmd GNTTABOP_*, @arg the guest's array of @count.
 * Returns 0 or -Exxx; items carry GNTST_* statuses of their own. */
long grant_table_op(struct vcpu *v, unsigned int cmd, void *arg,
                    unsigned int count);

/* BELFRYOP_grants: the next entry with ref >= *ref that permits something or
 * is mapped; false at the end. */
bool grant_info(struct domain *d, uint32_t *ref, struct belfry_grant *info);

/* As evtchn_audit.  Also adds this domain's own references by grants to the
 * page audit through page_audit_expect() (hv/audit.h). */
unsigned int grant_audit(struct domain *d, uint64_t *grants,
                         void (*report)(void *ctx, const char *text),
                         void *ctx);

#endif
