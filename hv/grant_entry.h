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

#define GRANT_LIKELY(x) __builtin_expect(!!(x), 1)

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
    uint64_t one = flags & GNTMAP_readonly ? 1 : 1ULL << 16;

    return (flags & GNTMAP_host_map ? one : 0) |
           (flags & GNTMAP_device_map ? one << 32 : 0);
}

static inline bool grant_has_writers(const struct grant_active *act)
{
    return act->uses & 0xffff0000ffff0000ULL;
}

/* grant_claim() where it is not the first use, or is to be refused. */
int16_t grant_claim_rare(struct domain *d, uint32_t ref, uint16_t peer,
                         bool write, uint16_t mask, uint32_t *frame);

/*
 * The user that claimed it is no more, or not in the counts: show the guest
 * what uses are left.  The frame's reference is not touched.  Lock held.
 */
static inline void grant_unclaim(struct grant_table *gt, uint32_t ref,
                                 bool write)
{
    const struct grant_active *act = grant_active(gt, ref);
    uint16_t gone = act->uses == 0 ? GTF_reading : 0;

    if (write && !grant_has_writers(act))
        gone |= GTF_writing;
    if (gone != 0)
        __atomic_fetch_and(&grant_shared(gt, ref)->v1.flags, (uint16_t)~gone,
                           __ATOMIC_SEQ_CST);
}

/* A reference on @d's frame, and a use as writable; the number may be
 * anything. */
static inline int16_t frame_claim(struct domain *d, uint64_t frame, bool write)
{
    struct page *page = page_get_mfn(frame, d);

    if (page == NULL)
        return GNTST_bad_page;
    if (!write || GRANT_LIKELY(page_get_type(page, PAGE_WRITABLE) == 0))
        return GNTST_okay;
    page_put(page);
    return GNTST_general_error;
}

static inline void frame_release(uint64_t frame, bool write)
{
    if (write)
        page_put_type(page_of(frame));
    page_put(page_of(frame));
}

/*
 * May @peer use entry @ref of @d, and to write?  On GNTST_okay the entry
 * shows GTF_reading (and GTF_writing), *frame is what it grants and was read
 * together with the permission, and the caller owns a reference on the frame
 * (and a use as writable).  @mask: the flags that must spell permit_access.
 * Lock of @d's table held.
 */
static inline __attribute__((always_inline)) int16_t
grant_claim(struct domain *d, uint32_t ref, uint16_t peer, bool write,
            uint16_t mask, uint32_t *frame)
{
    static const uint16_t use[] = { GTF_reading, GTF_reading | GTF_writing };
    const uint32_t wanted = (uint32_t)peer << 16 | GTF_permit_access;
    const uint32_t look = 0xffff0000u | mask | (write ? GTF_readonly : 0);
    struct grant_table *gt = d->grants;
    union grant_entry *shared, e;
    int16_t status;

    if (ref >= grant_nr_entries(gt) || grant_active(gt, ref)->uses != 0)
        return grant_claim_rare(d, ref, peer, write, mask, frame);
    shared = grant_shared(gt, ref);
    e.raw = read_once(&shared->raw);
    /* Flags and domid are the lower half. */
    if ((((uint32_t)e.raw ^ wanted) & look) != 0 ||
        !atomic_cas(&shared->raw, &e.raw, e.raw | use[write]))
        return grant_claim_rare(d, ref, peer, write, mask, frame);
    *frame = e.v1.frame;
    status = frame_claim(d, e.v1.frame, write);
    if (status != GNTST_okay)
        grant_unclaim(gt, ref, write);
    return status;
}

/* Count a mapping with these GNTMAP_* of a claimed entry.  Lock held. */
static inline void grant_count(struct grant_table *gt, uint32_t ref,
                               uint32_t frame, uint16_t peer, uint32_t flags)
{
    struct grant_active *act = grant_active(gt, ref);

    if (act->uses == 0) {
        act->frame = frame;
        act->peer = peer;
        act->since = stamp_now();
        gt->nr_active++;
    }
    act->uses += grant_uses_of(flags);
}

/* Count it out, and show the guest what is left.  Lock held. */
static inline void grant_discount(struct grant_table *gt, uint32_t ref,
                                  uint32_t flags)
{
    struct grant_active *act = grant_active(gt, ref);

    act->uses -= grant_uses_of(flags);
    if (act->uses == 0)
        gt->nr_active--;
    grant_unclaim(gt, ref, !(flags & GNTMAP_readonly));
}

/* ---- Records of mappings. ---- */

/* One page of records more: a free one, or NULL.  Lock held. */
struct maptrack *maptrack_grow(struct grant_table *gt);

/* A record for a new mapping, or NULL; its flags are 0 until the caller sets
 * them.  Takes the lock. */
static inline struct maptrack *maptrack_alloc(struct grant_table *gt)
{
    struct maptrack *m;

    spin_lock(&gt->lock);
    m = gt->maptrack_free;
    if (GRANT_LIKELY(m != NULL) || (m = maptrack_grow(gt)) != NULL) {
        gt->maptrack_free = m->next;
        gt->maptrack_used++;
    }
    spin_unlock(&gt->lock);

    return m;
}

/* Give one back.  Lock held. */
static inline void maptrack_free(struct grant_table *gt, struct maptrack *m)
{
    m->flags = 0;
    m->next = gt->maptrack_free;
    gt->maptrack_free = m;
    gt->maptrack_used--;
}

#endif
