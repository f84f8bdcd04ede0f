/*
 * Grants that are taken back: notice, deadline, and the end of it.
 *
 * A revocation begins as BELFRY_REVOKE_PENDING, and its active entry names
 * it: nobody can begin to use that entry.  When the last use goes it has
 * ended, and stays until the granter asks.  At the deadline the timer of the
 * granter's table looks for the peer's mappings, which only their records
 * know; that is done a part at a time, since the peer says how many it has.
 *
 * The peer's pt_lock keeps its records, and keeps it from making new ones;
 * the lock of the granter's table guards the revocations.
 */
#include "hv/grant_entry.h"

#include "hv/x86/mmu_grant.h"

#define PART       1024u /* records that are looked at in a row */
#define COST_TAKEN 32u   /* a flush of the TLB, as records */

static struct revocation *revocation_of(const struct grant_table *gt,
                                        const struct grant_active *act)
{
    return &gt->revocations[act->revocation - 1];
}

/* For all that are pending; lock held. */
static void arm(struct grant_table *gt)
{
    stime_t first = STIME_NEVER;

    for (unsigned int i = 0; i < BELFRY_REVOCATIONS; i++) {
        const struct revocation *r = &gt->revocations[i];

        if (r->state == BELFRY_REVOKE_PENDING && r->time < first)
            first = r->time;
    }
    if (first != STIME_NEVER)
        timer_set(&gt->revoke_timer, first);
}

/* ---- The beginning. ---- */

/* The entry gets a place: 0, -ENOSPC, -ENOMEM. */
static int give_place(struct grant_table *gt, struct grant_active *act)
{
    if (gt->revocations == NULL)
        gt->revocations = alloc_page_memory();
    if (gt->revocations == NULL)
        return -ENOMEM;
    for (uint16_t i = 0; i < BELFRY_REVOCATIONS; i++) {
        if (gt->revocations[i].state != BELFRY_REVOKE_UNUSED)
            continue;
        write_once(&act->revocation, i + 1);
        return 0;
    }
    return refuse(-ENOSPC, "too many revocations, or nobody asks how they end");
}

static int begin(struct grant_table *gt, uint32_t ref, struct grant_active *act,
                 struct domain *peer, stime_t deadline)
{
    int rc = give_place(gt, act);

    if (rc != 0)
        return rc;
    *revocation_of(gt, act) = (struct revocation){
        .time = deadline,
        .peer_generation = peer->generation,
        .ref = ref,
        .peer = act->peer,
        .state = BELFRY_REVOKE_PENDING,
    };
    grant_hook_ring(peer);
    return 0;
}

/* What the peer was promised it gets, and it is told once, so that nobody can
 * keep it busy with this. */
static int set_deadline(struct grant_table *gt, uint32_t ref,
                        struct grant_active *act, stime_t deadline)
{
    struct domain *peer = domain_find(act->peer); /* it has mappings: it is */
    bool runs = read_once(&peer->state) == DOMAIN_RUNNING;
    struct revocation *r;

    if (act->revocation == 0)
        return begin(gt, ref, act, peer, runs ? deadline : 0);
    r = revocation_of(gt, act);
    if (!runs || deadline > r->time)
        r->time = runs ? deadline : 0;
    return 0;
}

static int revoke(struct grant_table *gt, uint32_t ref, stime_t deadline,
                  uint32_t *state)
{
    struct grant_use use;
    int rc = 0;

    if (ref >= grant_nr_entries(gt))
        return refuse(-EINVAL, "the table is not that large");
    use = grant_use(gt, ref);
    *state = BELFRY_REVOKE_UNUSED;
    if (use.act->uses != 0) {
        *state = BELFRY_REVOKE_PENDING;
        rc = set_deadline(gt, ref, use.act, deadline);
    }
    if (rc == 0)
        (void)atomic_and(use.shared, ~(uint64_t)GTF_type_mask);
    return rc;
}

/* ---- The deadline. ---- */

/* Of a record of @peer's.  As in an unmap: uses first, references after. */
static void take(struct domain *peer, struct maptrack *m)
{
    struct domain *granter = m->granter;
    uint32_t ref = m->ref, flags = m->flags, frame = m->frame;
    bool write = !(flags & GNTMAP_readonly);
    bool mapped = (flags & GNTMAP_host_map) &&
                  mmu_grant_take(peer, m->pte_maddr, grant_pte(frame, flags));

    m->flags = MAPTRACK_TAKEN;
    m->generation = granter->generation;
    m->domid = granter->id;
    if (mapped)
        tlb_flush_domain(peer);
    grant_discount(granter, ref, flags);
    if (mapped)
        frame_release(frame, write);
    if (flags & GNTMAP_device_map)
        frame_release(frame, write);
}

/* It goes on there, unless it has ended and its place is another's now. */
static void keep_handle(struct grant_table *gt, struct revocation *r,
                        uint32_t ref, const struct domain *peer,
                        uint32_t handle)
{
    spin_lock(&gt->lock);
    if (r->state == BELFRY_REVOKE_PENDING && r->ref == ref &&
        r->peer == peer->id)
        r->handle = handle;
    spin_unlock(&gt->lock);
}

/* Look at less than @left records; returns how many more may be looked at.
 * With the last one taken it has ended, and *r may be anything from then on. */
static unsigned int take_part(struct domain *granter, struct domain *peer,
                              struct revocation *r, unsigned int left)
{
    struct grant_table *records = peer->grants;
    const uint32_t ref = r->ref;
    uint32_t handle = r->handle;
    bool any = false;

    for (left--; left > 0 && handle < records->maptrack_limit; left--) {
        struct maptrack *m = maptrack_at(records, handle++);

        if (!(m->flags & MAPTRACK_MAPS) || m->granter != granter ||
            m->ref != ref)
            continue;
        r->taken = true;
        take(peer, m);
        any = true;
        left -= left > COST_TAKEN ? COST_TAKEN : left - 1;
    }
    keep_handle(granter->grants, r, ref, peer, handle);
    if (any)
        grant_hook_ring(peer);
    return left;
}

/* The first whose deadline has passed, and whose it is; NULL: none. */
static struct revocation *find_due(struct grant_table *gt,
                                   struct domain **peer)
{
    struct revocation *due = NULL;
    stime_t time = now();

    spin_lock(&gt->lock);
    for (unsigned int i = 0; i < BELFRY_REVOCATIONS && due == NULL; i++) {
        struct revocation *r = &gt->revocations[i];

        if (r->state == BELFRY_REVOKE_PENDING && r->time <= time)
            due = r;
    }
    if (due != NULL)
        *peer = domain_find(due->peer);
    spin_unlock(&gt->lock);

    return due;
}

/* It may have ended since it was found, and stand for another peer's now. */
static bool is_due(struct grant_table *gt, const struct revocation *r,
                   const struct domain *peer)
{
    bool due;

    spin_lock(&gt->lock);
    due = r->state == BELFRY_REVOKE_PENDING && r->time <= now() &&
          r->peer == peer->id;
    spin_unlock(&gt->lock);

    return due;
}

/* A part of what is due of @d's; the timer does the rest. */
static void take_due(struct domain *d)
{
    struct grant_table *gt = d->grants;
    unsigned int left = PART;
    struct revocation *r;
    struct domain *peer;

    while (left > 0 && (r = find_due(gt, &peer)) != NULL) {
        spin_lock(&peer->pt_lock);
        if (is_due(gt, r, peer))
            left = take_part(d, peer, r, left);
        spin_unlock(&peer->pt_lock);
    }
    spin_lock(&gt->lock);
    arm(gt);
    spin_unlock(&gt->lock);
}

/* What has no time is done at once. */
int grant_revoke(struct domain *d, uint32_t ref, stime_t deadline,
                 uint32_t *state)
{
    int rc;

    spin_lock(&d->grants->lock);
    rc = revoke(d->grants, ref, deadline, state);
    spin_unlock(&d->grants->lock);
    if (rc == 0 && *state == BELFRY_REVOKE_PENDING)
        take_due(d);

    return rc;
}

void grant_revoke_due(struct timer *t)
{
    struct grant_table *gt = container_of(t, struct grant_table, revoke_timer);
    struct domain *d = gt->domain;

    if (!domain_hold(d))
        return;
    take_due(d);
    domain_put(d);
}

/* ---- The end. ---- */

void grant_revoke_end(struct grant_table *gt, struct grant_active *act)
{
    struct revocation *r = revocation_of(gt, act);

    r->state = r->taken ? BELFRY_REVOKE_TAKEN : BELFRY_REVOKE_RELEASED;
    r->time = now();
    write_once(&act->revocation, 0);
    grant_hook_ring(gt->domain);
}

static bool tell(struct revocation *r, struct belfry_revocation *info)
{
    if (r->state <= BELFRY_REVOKE_PENDING)
        return false;
    info->ref = r->ref;
    info->peer = r->peer;
    info->peer_generation = r->peer_generation;
    info->state = r->state;
    info->ended = r->time;
    r->state = BELFRY_REVOKE_UNUSED;
    return true;
}

bool grant_revoked(struct domain *d, struct belfry_revocation *info)
{
    struct grant_table *gt = d->grants;
    bool found = false;

    spin_lock(&gt->lock);
    for (unsigned int i = 0; gt->revocations && i < BELFRY_REVOCATIONS; i++)
        if ((found = tell(&gt->revocations[i], info)))
            break;
    spin_unlock(&gt->lock);

    return found;
}

/* ---- What the peer sees. ---- */

/* Is this mapping being revoked?  Until when may it stay? */
static bool is_pending(const struct maptrack *m, uint64_t *deadline)
{
    struct grant_table *gt = m->granter->grants;
    const struct grant_active *act = grant_active(gt, m->ref);
    bool pending;

    if (read_once(&act->revocation) == 0)
        return false;
    spin_lock(&gt->lock);
    pending = act->revocation != 0;
    if (pending)
        *deadline = revocation_of(gt, act)->time;
    spin_unlock(&gt->lock);

    return pending;
}

static bool describe(const struct maptrack *m, struct belfry_notice *info)
{
    if (m->flags & MAPTRACK_TAKEN) {
        info->state = BELFRY_REVOKE_TAKEN;
        info->granter = m->domid;
        info->granter_generation = m->generation;
    } else if ((m->flags & MAPTRACK_MAPS) && is_pending(m, &info->deadline)) {
        info->state = BELFRY_REVOKE_PENDING;
        info->granter = m->granter->id;
        info->granter_generation = m->granter->generation;
    } else {
        return false;
    }
    info->handle = m->handle;
    info->ref = m->ref;
    return true;
}

bool grant_notice(struct domain *d, uint32_t *handle,
                  struct belfry_notice *info)
{
    struct grant_table *gt = d->grants;
    uint64_t end = ((uint64_t)*handle / PART + 1) * PART;
    bool found = false;

    spin_lock(&d->pt_lock);
    while (!found && *handle < end && *handle < gt->maptrack_limit)
        found = describe(maptrack_at(gt, (*handle)++), info);
    if (!found && *handle >= gt->maptrack_limit)
        *handle = 0;
    spin_unlock(&d->pt_lock);

    return found;
}
