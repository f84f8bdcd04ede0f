/*
 * Statistics pages of rings.
 *
 * Invariant: what is kept is a copy, with every text terminated.
 */
#include "guests/control/rings_view.h"

#include "guests/control/hv.h"
#include "guests/control/verbs.h"

static struct known {
    uint32_t id;
    struct belfry_ring ring;
} known[128];
static unsigned int nr_known;

static void gather_from(const struct belfry_domain *d)
{
    static struct belfry_rings page;

    if (!d->rings_frame ||
        hv_peek(d->id, d->generation, d->rings_frame, 0, &page, sizeof(page)))
        return;
    if (page.magic != BELFRY_RINGS_MAGIC)
        return;
    for (unsigned int i = 0; i < BELFRY_RINGS_MAX && nr_known < 128; i++) {
        struct belfry_ring *r = &page.ring[i];

        r->protocol[sizeof(r->protocol) - 1] = 0;
        r->name[sizeof(r->name) - 1] = 0;
        if (r->in_use && r->protocol[0] && r->side <= BELFRY_RING_BACK)
            known[nr_known++] = (struct known){ d->id, *r };
    }
}

void rings_gather(void)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);

    nr_known = 0;
    for (unsigned int i = 0; i < n; i++)
        gather_from(all[i]);
}

const struct belfry_ring *ring_at(uint32_t id, uint32_t port)
{
    for (unsigned int i = 0; i < nr_known; i++)
        if (known[i].id == id && known[i].ring.port == port)
            return &known[i].ring;
    return NULL;
}

bool rings_of(const struct channel_info *c, const struct belfry_ring *side[2],
              uint32_t id[2])
{
    side[0] = side[1] = NULL;
    for (unsigned int i = 0; i < c->nr_ends; i++) {
        const struct belfry_ring *r = ring_at(c->id[i], c->end[i].port);

        if (!r)
            continue;
        side[r->side] = r;
        id[r->side] = c->id[i];
        if (c->nr_ends == 2)
            id[!r->side] = c->id[!i];
    }
    return side[0] || side[1];
}
