/*
 * The page of ring statistics: see ring_stats.h.
 *
 * A reader copies the page while we write it, so each value is one store,
 * and a slot's in_use is set last and cleared first.
 */
#include "guests/drivers/ring_stats.h"

#include "guests/lib/guest.h"

static struct belfry_rings *rings; /* NULL: not yet, or not on Belfry */

static bool register_page(void)
{
    struct belfry_register_rings op = { .size = sizeof(op),
                                        .version = BELFRY_ABI_VERSION };
    struct belfry_rings *page;

    if (!guest.on_belfry)
        return false;
    page = page_try_alloc();
    if (!page)
        return false;
    page->magic = BELFRY_RINGS_MAGIC;
    op.frame = virt_to_mfn(page);
    if (hypercall_belfry_op(BELFRYOP_register_rings, &op)) {
        page_free(page);
        return false;
    }
    rings = page;
    return true;
}

static struct belfry_ring *free_slot(void)
{
    for (uint32_t i = 0; i < BELFRY_RINGS_MAX; i++)
        if (!rings->ring[i].in_use) {
            if (rings->count <= i)
                write_once(&rings->count, i + 1);
            return &rings->ring[i];
        }
    return NULL;
}

struct belfry_ring *ring_stats_add(const struct protocol *p, const char *name,
                                   uint32_t side, uint32_t port, uint64_t frame)
{
    struct belfry_ring *stats;

    if (!rings && !register_page())
        return NULL;
    stats = free_slot();
    if (!stats)
        return NULL;
    memset(stats, 0, sizeof(*stats));
    string_copy(stats->protocol, p->name, sizeof(stats->protocol));
    string_copy(stats->name, name, sizeof(stats->name));
    stats->version = p->version;
    stats->features = p->features;
    stats->side = side;
    stats->port = port;
    stats->frame = frame;
    store_release(&stats->in_use, 1);
    return stats;
}

void ring_stats_remove(struct belfry_ring *stats)
{
    if (stats)
        store_release(&stats->in_use, 0);
}

static void copy_common(struct belfry_ring *stats, struct ring_shared *shared,
                        const struct ring_stats *counts, enum ring_fault fault)
{
    write_once(&stats->full, counts->full);
    write_once(&stats->notified, counts->notified);
    write_once(&stats->suppressed, counts->suppressed);
    write_once(&stats->prod_at_notify, counts->prod_at_notify);
    write_once(&stats->fault, (uint32_t)fault);
    write_once(&stats->req_prod, read_once(&shared->req_prod));
    write_once(&stats->req_event, read_once(&shared->req_event));
    write_once(&stats->rsp_prod, read_once(&shared->rsp_prod));
    write_once(&stats->rsp_event, read_once(&shared->rsp_event));
}

void ring_stats_front(struct belfry_ring *stats, const struct ring_front *r,
                      uint64_t oldest)
{
    if (!stats)
        return;
    write_once(&stats->slots, r->nr_slots);
    write_once(&stats->private_prod, r->req_prod);
    write_once(&stats->private_cons, r->rsp_cons);
    write_once(&stats->in_flight, r->req_prod - r->rsp_cons);
    write_once(&stats->oldest, oldest);
    copy_common(stats, r->shared, &r->stats, r->fault);
}

void ring_stats_back(struct belfry_ring *stats, const struct ring_back *r,
                     uint64_t oldest)
{
    if (!stats)
        return;
    write_once(&stats->slots, r->nr_slots);
    write_once(&stats->private_prod, r->rsp_prod);
    write_once(&stats->private_cons, r->req_cons);
    write_once(&stats->in_flight, r->req_cons - r->rsp_prod);
    write_once(&stats->oldest, oldest);
    copy_common(stats, r->shared, &r->stats, r->fault);
}
