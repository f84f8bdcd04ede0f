/*
 * Entries and records, for grant*.c alone.
 *
 * Every map, unmap and copy passes through here, so the usual case is inline
 * and short; whatever is not usual is left to grant_table.c.
 */
#ifndef HV_GRANT_ENTRY_H
#define HV_GRANT_ENTRY_H

#include "hv/domain.h"
#include "hv/grant.h"
#include "hv/refused.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

static inline uint32_t grant_nr_entries(const struct grant_table *gt)
{
    return gt->nr_frames * GRANT_PER_FRAME;
}

/* Entry @ref, below grant_nr_entries(). */
static inline union grant_entry *grant_shared(struct grant_table *gt,
                                              uint32_t ref)
{
    return &gt->shared[ref / GRANT_PER_FRAME][ref % GRANT_PER_FRAME];
}

static inline struct grant_active *grant_active(struct grant_table *gt,
                                                uint32_t ref)
{
    return &gt->active[ref / ACTIVE_PER_PAGE][ref % ACTIVE_PER_PAGE];
}

static inline struct maptrack *maptrack_at(struct grant_table *gt,
                                           uint32_t handle)
{
    return &gt->maptrack[handle / MAPTRACK_PER_PAGE]
                        [handle % MAPTRACK_PER_PAGE];
}

/* Make the table at least @nr_frames large (at most GRANT_MAX_FRAMES).
 * 0 or -ENOMEM: then it is as large as before.  Lock held. */
int grant_table_grow(struct domain *d, uint32_t nr_frames);

/* ---- Uses of an entry. ---- */

/* What a mapping with these GNTMAP_* adds to grant_active.uses. */
static inline uint64_t grant_uses_of(uint32_t flags)
{
    static const uint64_t uses[8] = {
        [GNTMAP_device_map] = 1ULL << 48,
        [GNTMAP_host_map] = 1ULL << 16,
        [GNTMAP_host_map | GNTMAP_device_map] = 1ULL << 48 | 1ULL << 16,
        [GNTMAP_readonly | GNTMAP_device_map] = 1ULL << 32,
        [GNTMAP_readonly | GNTMAP_host_map] = 1,
        [GNTMAP_readonly | GNTMAP_host_map | GNTMAP_device_map] =
            1ULL << 32 | 1,
    };

    return uses[flags & 7];
}

static inline bool grant_has_writers(const struct grant_active *act)
{
    return act->uses & 0xffff0000ffff0000ULL;
}

/* The two halves of an entry: what we know of it, and what the guest sees. */
struct grant_use {
    struct grant_active *act;
    uint64_t *shared;
};

/* Of entry @ref, below grant_nr_entries(). */
static inline struct grant_use grant_use(struct grant_table *gt, uint32_t ref)
{
    return (struct grant_use){ grant_active(gt, ref),
                               &grant_shared(gt, ref)->raw };
}

/*
 * The user that claimed it is no more, or not in the counts: show the guest
 * what uses are left.  The frame's reference is not touched.  Lock held.
 */
static inline void grant_unclaim(struct grant_use use, bool write)
{
    if (LIKELY(use.act->uses == 0))
        (void)atomic_and(use.shared, ~(uint64_t)(GTF_reading | GTF_writing));
    else if (write && !grant_has_writers(use.act))
        (void)atomic_and(use.shared, ~(uint64_t)GTF_writing);
}

/* A frame that is held for a use: its number, or a negative GNTST_*. */
typedef int64_t frame_t;

/* A reference on @d's frame, and a use as writable; the number may be
 * anything. */
static ALWAYS_INLINE frame_t frame_claim(struct domain *d, uint64_t frame,
                                         bool write)
{
    if (UNLIKELY(frame >= max_mfn || !page_get(page_of(frame), d)))
        return refuse(GNTST_bad_page, "the frame is not the domain's own");
    if (!write || LIKELY(page_get_writable(page_of(frame)) == 0))
        return (frame_t)frame;
    page_put(page_of(frame));
    return GNTST_general_error;
}

static inline void frame_release(uint64_t frame, bool write)
{
    struct page *page = page_of(frame);

    if (LIKELY(write))
        page_put_type(page);
    page_put(page);
}

/* grant_claim() where it is not the first use, or is to be refused. */
frame_t grant_claim_rare(struct domain *d, struct grant_use use, uint16_t peer,
                         bool write, uint16_t mask);

static ALWAYS_INLINE frame_t claim(struct domain *d, struct grant_use use,
                                   uint16_t peer, bool write, uint16_t mask)
{
    const uint16_t flags = write ? GTF_reading | GTF_writing : GTF_reading;
    const uint32_t wanted = (uint32_t)peer << 16 | GTF_permit_access;
    const uint32_t look = 0xffff0000u | mask | (write ? GTF_readonly : 0);
    uint64_t entry = read_once(use.shared);
    frame_t frame;

    /* Flags and domid are the lower half. */
    if (UNLIKELY(use.act->uses != 0 || read_once(&d->state) == DOMAIN_DYING ||
                 (((uint32_t)entry ^ wanted) & look) != 0 ||
                 !atomic_cas(use.shared, &entry, entry | flags)))
        return grant_claim_rare(d, use, peer, write, mask);
    frame = frame_claim(d, entry >> 32, write);
    if (UNLIKELY(frame < 0))
        grant_unclaim(use, write);
    return frame;
}

/*
 * May @peer use entry @ref of @d, and to write?  If so the entry shows
 * GTF_reading (and GTF_writing), the frame is what it grants and was read
 * together with the permission, and the caller owns a reference on it (and a
 * use as writable).  @mask: the flags that must spell permit_access.  Lock of
 * the domain's table held.
 */
static ALWAYS_INLINE frame_t grant_claim(struct domain *d,
                                         struct grant_table *gt, uint32_t ref,
                                         uint16_t peer, bool write,
                                         uint16_t mask, struct grant_use *use)
{
    if (UNLIKELY(ref >= grant_nr_entries(gt)))
        return refuse(GNTST_bad_gntref, "the table is not that large");
    *use = grant_use(gt, ref);
    /* Two copies, in each of which @write is a constant. */
    return write ? claim(d, *use, peer, true, mask)
                 : claim(d, *use, peer, false, mask);
}

/* Count a mapping with these GNTMAP_* of a claimed entry.  A domain with
 * entries in use has one reference for them all: it cannot have lost its last
 * one, since it was not dying when the entry was claimed.  Lock held. */
static inline void grant_count(struct domain *d, struct grant_table *gt,
                               struct grant_active *act, uint32_t frame,
                               uint16_t peer, uint32_t flags)
{
    if (act->uses == 0) {
        act->frame = frame;
        act->peer = peer;
        act->since = stamp_now();
        if (UNLIKELY(gt->nr_active++ == 0))
            (void)atomic_add_return(&d->refs, 1);
    }
    act->uses += grant_uses_of(flags);
}

/* The timer of a table, for what is to be taken from peers now. */
void grant_revoke_due(struct timer *t);
/* The last use of an entry that is being revoked has gone.  Lock held. */
void grant_revoke_end(struct grant_table *gt, struct grant_active *act);

/* Count it out, and show the guest what is left.  Takes the lock. */
static inline void grant_discount(struct domain *d, uint32_t ref,
                                  uint32_t flags)
{
    struct grant_table *gt = d->grants;
    struct grant_use use;
    uint32_t left = 1;

    spin_lock(&gt->lock);
    use = grant_use(gt, ref);
    use.act->uses -= grant_uses_of(flags);
    if (LIKELY(use.act->uses == 0))
        left = --gt->nr_active;
    grant_unclaim(use, !(flags & GNTMAP_readonly));
    if (UNLIKELY(use.act->revocation != 0) && use.act->uses == 0)
        grant_revoke_end(gt, use.act);
    spin_unlock(&gt->lock);
    if (UNLIKELY(left == 0))
        domain_put(d);
}

/* ---- Records of mappings.  The mapper's pt_lock is held. ---- */

/* One page of records more: a free one, or NULL. */
struct maptrack *maptrack_grow(struct grant_table *gt);

/* A record for a new mapping, or NULL; its flags say that nothing is mapped
 * until the caller sets them. */
static inline struct maptrack *maptrack_alloc(struct grant_table *gt)
{
    struct maptrack *m = gt->maptrack_free;

    if (LIKELY(m != NULL) || (m = maptrack_grow(gt)) != NULL) {
        gt->maptrack_free = m->next;
        gt->maptrack_used++;
    }
    return m;
}

/* Its flags say already that nothing is mapped. */
static inline void maptrack_free(struct grant_table *gt, struct maptrack *m)
{
    m->next = gt->maptrack_free;
    gt->maptrack_free = m;
    gt->maptrack_used--;
}

#endif
