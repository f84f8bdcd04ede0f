/*
 * Looking at grant tables: for the control tool, and the audit.
 *
 * The audit recounts from the other side: each record of a mapping, in
 * whichever domain, must be one count of an active entry, and no counts may
 * be left over.  So it takes every record's share out of the counts, looks
 * at what remains, and puts the shares back.
 */
#include "hv/grant_entry.h"

#include "hv/audit.h"
#include "lib/string.h"

/* ---- For the control tool. ---- */

static bool describe(struct grant_table *gt, uint32_t ref,
                     struct belfry_grant *info)
{
    const struct grant_active *act = grant_active(gt, ref);
    union grant_entry entry = { .raw = read_once(&grant_shared(gt, ref)->raw) };
    bool in_use = act->uses != 0;

    if (!in_use && (entry.v1.flags & GTF_type_mask) == GTF_invalid)
        return false;
    memset(info, 0, sizeof(*info));
    info->ref = ref;
    info->flags = entry.v1.flags;
    info->peer = in_use ? act->peer : entry.v1.domid;
    info->frame = in_use ? act->frame : entry.v1.frame;
    info->maps_ro = act->maps_ro + act->devices_ro;
    info->maps_rw = act->maps_rw + act->devices_rw;
    info->since = in_use ? act->since : 0;
    info->revoking = act->revocation != 0;

    return true;
}

bool grant_info(struct domain *d, uint32_t *ref, struct belfry_grant *info)
{
    struct grant_table *gt = d->grants;
    bool found = false;

    spin_lock(&gt->lock);
    while (*ref < grant_nr_entries(gt) && !(found = describe(gt, *ref, info)))
        ++*ref;
    spin_unlock(&gt->lock);

    return found;
}

/* ---- The audit. ---- */

/* The records that @mapper holds of the audited domain's grants. */
static void add_shares_of(struct domain *d, struct domain *mapper, uint64_t n)
{
    struct grant_table *gt = d->grants;

    for (uint32_t i = 0; i < mapper->grants->maptrack_limit; i++) {
        const struct maptrack *m = maptrack_at(mapper->grants, i);

        if ((m->flags & MAPTRACK_MAPS) && m->granter == d &&
            m->ref < grant_nr_entries(gt))
            grant_active(gt, m->ref)->uses += n * grant_uses_of(m->flags);
    }
}

/* @n is 1 or -1. */
static void add_shares(struct domain *d, uint64_t n)
{
    struct domain *m;

    for (m = domain_next(0); m != NULL; m = domain_after(m))
        if (m->grants != NULL)
            add_shares_of(d, m, n);
}

/* An entry under revocation is in use, and each knows the other. */
static bool grant_revocation_fits(const struct grant_table *gt, uint32_t ref,
                                  const struct grant_active *act)
{
    const struct revocation *r;

    if (act->uses == 0 || gt->revocations == NULL ||
        act->revocation > BELFRY_REVOCATIONS)
        return false;
    r = &gt->revocations[act->revocation - 1];
    return r->state == BELFRY_REVOKE_PENDING && r->ref == ref &&
           r->peer == act->peer;
}

static void audit_entries(struct domain *d)
{
    struct grant_table *gt = d->grants;
    uint32_t nr = grant_nr_entries(gt), nr_active = 0;

    for (uint32_t ref = 0; ref < nr; ref++) {
        const struct grant_active *act = grant_active(gt, ref);

        nr_active += act->uses != 0;
        if (act->revocation != 0 && !grant_revocation_fits(gt, ref, act))
            audit_differs(d, "grant", ref, "it is not what is being revoked");
    }
    add_shares(d, -1ull);
    for (uint32_t ref = 0; ref < nr; ref++)
        if (grant_active(gt, ref)->uses != 0)
            audit_differs(d, "grant", ref,
                          "its counts are not those of its maps");
    add_shares(d, 1);
    if (nr_active != gt->nr_active)
        audit_differs(d, "grants", nr_active,
                      "the count of active ones is wrong");
}

/* A record of this domain's, of a mapping it holds. */
static void audit_record(const struct domain *d, const struct maptrack *m)
{
    struct grant_table *gt = m->granter->grants;
    const struct grant_active *act = NULL;

    if (m->ref < grant_nr_entries(gt))
        act = grant_active(gt, m->ref);
    if (act == NULL || act->frame != m->frame || act->peer != d->id)
        audit_differs(d, "mapping", m->handle,
                      "it is not of what its grant says");
    if (m->flags & GNTMAP_device_map)
        page_audit_expect(m->frame, m->flags & GNTMAP_readonly ? PAGE_NONE
                                                               : PAGE_WRITABLE);
}

static void audit_records(const struct domain *d)
{
    struct grant_table *gt = d->grants;
    uint32_t used = 0, free = 0;

    for (uint32_t i = 0; i < gt->maptrack_limit; i++) {
        const struct maptrack *m = maptrack_at(gt, i);

        if (m->handle != i)
            audit_differs(d, "mapping", i, "its record bears another number");
        if (m->flags & MAPTRACK_MAPS)
            audit_record(d, m);
        used += (m->flags & (MAPTRACK_MAPS | MAPTRACK_TAKEN)) != 0;
    }
    for (const struct maptrack *m = gt->maptrack_free;
         m != NULL && free <= gt->maptrack_limit; m = m->next)
        free++;
    if (used != gt->maptrack_used || used + free != gt->maptrack_limit)
        audit_differs(d, "mappings", used, "used and free ones are not all");
}

uint32_t grant_audit(struct domain *d)
{
    if (d->grants == NULL)
        return 0;
    if (spin_is_locked(&d->grants->lock))
        audit_differs(d, "grants", 0, "the lock was left held");
    audit_entries(d);
    audit_records(d);
    return grant_nr_entries(d->grants);
}
