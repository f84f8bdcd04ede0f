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

static int16_t refuse(int16_t status, const char *reason)
{
    refuse_reason(reason);
    return status;
}

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

/* Set the flags of use; *frame is from the very entry that was checked. */
static int16_t mark_entry(union grant_entry *shared, bool in_use, uint16_t peer,
                          bool write, uint16_t mask, uint32_t *frame)
{
    uint16_t use = GTF_reading | (write ? GTF_writing : 0);
    union grant_entry e = { .raw = read_once(&shared->raw) };

    for (unsigned int i = 0; i < CLAIM_TRIES; i++) {
        union grant_entry marked = e;
        int16_t status = check_entry(e, in_use, peer, write, mask);

        if (status != GNTST_okay)
            return status;
        marked.v1.flags |= use;
        if (atomic_cas(&shared->raw, &e.raw, marked.raw)) {
            *frame = e.v1.frame;
            return GNTST_okay;
        }
    }
    return refuse(GNTST_general_error, "the entry keeps changing");
}

int16_t grant_claim_rare(struct domain *d, uint32_t ref, uint16_t peer,
                         bool write, uint16_t mask, uint32_t *frame)
{
    struct grant_table *gt = d->grants;
    const struct grant_active *act;
    bool in_use;
    int16_t status;

    if (ref >= grant_nr_entries(gt))
        return refuse(GNTST_bad_gntref, "the table is not that large");
    act = grant_active(gt, ref);
    in_use = act->uses != 0;
    if (in_use && act->peer != peer)
        return refuse(GNTST_general_error, "another domain uses the entry");
    if (!in_use || (write && !grant_has_writers(act))) {
        status =
            mark_entry(grant_shared(gt, ref), in_use, peer, write, mask, frame);
        if (status != GNTST_okay)
            return status;
    }
    if (in_use)
        *frame = act->frame;
    status = frame_claim(d, *frame, write);
    if (status == GNTST_okay)
        return status;
    grant_unclaim(gt, ref, write);
    /* A frame in use is what Xen cannot pin; a first one is a bad page. */
    return in_use ? GNTST_general_error : status;
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

/* The records of a dying domain: none of its vCPUs runs any more. */
static void release_record(struct grant_table *gt, struct maptrack *m)
{
    struct domain *granter = m->granter;
    uint32_t flags = m->flags;

    spin_lock(&granter->grants->lock);
    grant_discount(granter->grants, m->ref, flags);
    spin_unlock(&granter->grants->lock);
    if (flags & GNTMAP_device_map)
        frame_release(m->frame, !(flags & GNTMAP_readonly));
    spin_lock(&gt->lock);
    maptrack_free(gt, m);
    spin_unlock(&gt->lock);
    domain_put(granter);
}

bool grant_release_mappings(struct domain *d, unsigned int budget)
{
    struct grant_table *gt = d->grants;

    if (gt == NULL)
        return true;
    for (; gt->released < gt->maptrack_limit; gt->released++) {
        struct maptrack *m = maptrack_at(gt, gt->released);

        if (budget-- == 0)
            return false;
        if (m->flags != 0)
            release_record(gt, m);
    }
    return true;
}
