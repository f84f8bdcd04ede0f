/*
 * The grant table of a domain, and its records of mappings of others.
 *
 * An entry shows GTF_reading exactly while its active entry counts a use or
 * a copy is under way, GTF_writing likewise for uses that write; both change
 * with the table's lock held.  (The guest can scribble over its own flags;
 * nothing here believes them.)
 */
#include "hv/grant_entry.h"

#include "lib/errno.h"

/* A guest can change its entry as fast as we can look, but it has reason to
 * only now and then (to make a grant read-only): G17. */
#define CLAIM_TRIES 5u

/* ---- Size. ---- */

static void free_from(void **pages, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        if (pages[i] != NULL)
            free_page_memory(pages[i]);
        pages[i] = NULL;
    }
}

static int alloc_from(void **pages, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        pages[i] = alloc_page_memory();
        if (pages[i] == NULL) {
            free_from(pages, first, i);
            return -ENOMEM;
        }
    }
    return 0;
}

static struct page *page_at(const void *memory)
{
    return page_of(virt_to_mfn(memory));
}

int grant_table_grow(struct domain *d, uint32_t nr_frames)
{
    struct grant_table *gt = d->grants;
    void **active = (void **)gt->active, **shared = (void **)gt->shared;
    uint32_t first = gt->nr_frames;

    if (nr_frames <= first)
        return 0;
    if (alloc_from(active, first * ACTIVE_PER_FRAME,
                   nr_frames * ACTIVE_PER_FRAME) != 0)
        return -ENOMEM;
    if (alloc_from(shared, first, nr_frames) != 0) {
        free_from(active, first * ACTIVE_PER_FRAME,
                  nr_frames * ACTIVE_PER_FRAME);
        return -ENOMEM;
    }
    for (uint32_t i = first; i < nr_frames; i++)
        page_share(page_at(shared[i]), d);
    gt->nr_frames = nr_frames;

    return 0;
}

/* ---- Birth and death. ---- */

int grant_domain_init(struct domain *d)
{
    d->grants = alloc_page_memory();
    if (d->grants == NULL)
        return -ENOMEM;
    d->grants->domain = d;
    timer_init(&d->grants->revoke_timer, grant_revoke_due);
    if (grant_table_grow(d, GRANT_INIT_FRAMES) != 0) {
        grant_domain_destroy(d);
        return -ENOMEM;
    }
    return 0;
}

void grant_domain_destroy(struct domain *d)
{
    struct grant_table *gt = d->grants;

    if (gt == NULL)
        return;
    timer_cancel(&gt->revoke_timer);
    free_page_memory(gt->revocations);
    for (uint32_t i = 0; i < gt->nr_frames; i++)
        page_unshare(page_at(gt->shared[i]));
    free_from((void **)gt->shared, 0, gt->nr_frames);
    free_from((void **)gt->active, 0, gt->nr_frames * ACTIVE_PER_FRAME);
    if (gt->maptrack != NULL) {
        free_from((void **)gt->maptrack, 0, MAPTRACK_MAX_PAGES);
        free_page_memory(gt->maptrack);
    }
    free_page_memory(gt);
    d->grants = NULL;
}

uint32_t grant_mapped_by_peers(struct domain *d)
{
    return read_once(&d->grants->nr_active);
}

int grant_set_entry(struct domain *d, uint32_t ref, uint16_t peer, mfn_t frame)
{
    union grant_entry entry = { .v1 = { .flags = GTF_permit_access,
                                        .domid = peer,
                                        .frame = (uint32_t)frame } };

    if (ref >= grant_nr_entries(d->grants))
        return -EINVAL;
    store_release(&grant_shared(d->grants, ref)->raw, entry.raw);

    return 0;
}

/* ---- Who may use an entry. ---- */

/* The permission of an entry that nobody uses yet, or of one that is in use
 * only for reading and is now to be written. */
static int16_t check_entry(union grant_entry e, bool in_use, uint16_t peer,
                           bool write, uint16_t mask)
{
    if (!in_use && (e.v1.flags & mask) != GTF_permit_access)
        return refuse(GNTST_general_error, "the entry does not permit access");
    if (!in_use && e.v1.domid != peer)
        return refuse(GNTST_general_error, "the entry is for another domain");
    if (write && (e.v1.flags & GTF_readonly))
        return refuse(GNTST_general_error, "the entry permits only reading");
    return GNTST_okay;
}

/* Set the flags of use: the frame of the very entry that was checked. */
static frame_t mark_entry(uint64_t *shared, bool in_use, uint16_t peer,
                          bool write, uint16_t mask)
{
    uint64_t use = GTF_reading | (write ? GTF_writing : 0);
    union grant_entry e = { .raw = read_once(shared) };

    for (unsigned int i = 0; i < CLAIM_TRIES; i++) {
        int16_t status = check_entry(e, in_use, peer, write, mask);

        if (status != GNTST_okay)
            return status;
        if (atomic_cas(shared, &e.raw, e.raw | use))
            return e.v1.frame;
    }
    return refuse(GNTST_general_error, "the entry keeps changing");
}

frame_t grant_claim_rare(struct domain *d, struct grant_use use, uint16_t peer,
                         bool write, uint16_t mask)
{
    bool in_use = use.act->uses != 0;
    frame_t frame = 0;

    if (read_once(&d->state) == DOMAIN_DYING)
        return refuse(GNTST_bad_domain, "the domain is being destroyed");
    if (use.act->revocation != 0)
        return refuse(GNTST_general_error, "the grant is being revoked");
    if (in_use && use.act->peer != peer)
        return refuse(GNTST_general_error, "another domain uses the entry");
    if (!in_use || (write && !grant_has_writers(use.act)))
        frame = mark_entry(use.shared, in_use, peer, write, mask);
    if (frame < 0)
        return frame;
    frame = frame_claim(d, in_use ? use.act->frame : (uint64_t)frame, write);
    if (frame >= 0)
        return frame;
    grant_unclaim(use, write);
    /* A frame in use is what Xen cannot pin; a first one is a bad page. */
    return in_use ? GNTST_general_error : frame;
}

/* ---- Records of mappings. ---- */

struct maptrack *maptrack_grow(struct grant_table *gt)
{
    uint32_t first = gt->maptrack_limit;
    struct maptrack *page;

    if (first == MAPTRACK_MAX_PAGES * MAPTRACK_PER_PAGE)
        return NULL;
    if (gt->maptrack == NULL)
        gt->maptrack = alloc_page_memory();
    page = gt->maptrack ? alloc_page_memory() : NULL;
    if (page == NULL)
        return NULL;
    gt->maptrack[first / MAPTRACK_PER_PAGE] = page;
    for (uint32_t i = 0; i < MAPTRACK_PER_PAGE; i++) {
        page[i].handle = first + i;
        page[i].next = &page[i + 1];
    }
    page[MAPTRACK_PER_PAGE - 1].next = NULL; /* there was no free one */
    gt->maptrack_limit = first + MAPTRACK_PER_PAGE;

    return page;
}

static void release_record(struct grant_table *gt, struct maptrack *m)
{
    grant_discount(m->granter, m->ref, m->flags);
    if (m->flags & GNTMAP_device_map)
        frame_release(m->frame, !(m->flags & GNTMAP_readonly));
    m->flags = 0;
    maptrack_free(gt, m);
}

bool grant_release_mappings(struct domain *d, unsigned int budget)
{
    struct grant_table *gt = d->grants;
    uint32_t end;

    if (gt == NULL)
        return true;
    spin_lock(&d->pt_lock);
    end = gt->maptrack_limit - gt->released > budget ? gt->released + budget
                                                     : gt->maptrack_limit;
    for (; gt->released < end; gt->released++)
        if (maptrack_at(gt, gt->released)->flags & MAPTRACK_MAPS)
            release_record(gt, maptrack_at(gt, gt->released));
    spin_unlock(&d->pt_lock);

    return end == gt->maptrack_limit;
}
