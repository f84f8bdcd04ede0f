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
#include "lib/format.h"
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

struct audit {
    struct domain *domain;
    void (*report)(void *ctx, const char *text);
    void *ctx;
    unsigned int differences;
};

static void differ(struct audit *a, const char *object, uint32_t number,
                   const char *what)
{
    char text[96];

    format_string(text, sizeof(text), "%s %u: %s", object, number, what);
    a->report(a->ctx, text);
    a->differences++;
}

/* The records that @mapper holds of the audited domain's grants. */
static void add_shares_of(struct audit *a, struct domain *mapper, uint64_t n)
{
    struct grant_table *gt = a->domain->grants;

    for (uint32_t i = 0; i < mapper->grants->maptrack_limit; i++) {
        const struct maptrack *m = maptrack_at(mapper->grants, i);

        if (m->flags != 0 && m->granter == a->domain &&
            m->ref < grant_nr_entries(gt))
            grant_active(gt, m->ref)->uses += n * grant_uses_of(m->flags);
    }
}

/* @n is 1 or -1. */
static void add_shares(struct audit *a, uint64_t n)
{
    struct domain *d;

    for (d = domain_next(0); d != NULL; d = domain_after(d))
        if (d->grants != NULL)
            add_shares_of(a, d, n);
}

static void audit_entries(struct audit *a)
{
    struct grant_table *gt = a->domain->grants;
    uint32_t nr = grant_nr_entries(gt), nr_active = 0;

    for (uint32_t ref = 0; ref < nr; ref++)
        nr_active += grant_active(gt, ref)->uses != 0;
    add_shares(a, -1ull);
    for (uint32_t ref = 0; ref < nr; ref++)
        if (grant_active(gt, ref)->uses != 0)
            differ(a, "grant", ref, "its counts are not those of its maps");
    add_shares(a, 1);
    if (nr_active != gt->nr_active)
        differ(a, "grants", nr_active, "the count of active ones is wrong");
}

/* A record of this domain's, of a mapping it holds. */
static void audit_record(struct audit *a, const struct maptrack *m)
{
    struct grant_table *gt = m->granter->grants;
    const struct grant_active *act = NULL;

    if (m->ref < grant_nr_entries(gt))
        act = grant_active(gt, m->ref);
    if (act == NULL || act->frame != m->frame || act->peer != a->domain->id)
        differ(a, "mapping", m->handle, "it is not of what its grant says");
    if (m->flags & GNTMAP_device_map)
        page_audit_expect(m->frame, m->flags & GNTMAP_readonly ? PAGE_NONE
                                                               : PAGE_WRITABLE);
}

static void audit_records(struct audit *a)
{
    struct grant_table *gt = a->domain->grants;
    uint32_t used = 0, free = 0;

    for (uint32_t i = 0; i < gt->maptrack_limit; i++) {
        const struct maptrack *m = maptrack_at(gt, i);

        if (m->handle != i)
            differ(a, "mapping", i, "its record bears another number");
        if (m->flags == 0)
            continue;
        audit_record(a, m);
        used++;
    }
    for (const struct maptrack *m = gt->maptrack_free;
         m != NULL && free <= gt->maptrack_limit; m = m->next)
        free++;
    if (used != gt->maptrack_used || used + free != gt->maptrack_limit)
        differ(a, "mappings", used, "used and free ones are not all");
}

unsigned int grant_audit(struct domain *d, uint64_t *grants,
                         void (*report)(void *ctx, const char *text), void *ctx)
{
    struct audit a = { .domain = d, .report = report, .ctx = ctx };

    if (d->grants == NULL)
        return 0;
    if (spin_is_locked(&d->grants->lock))
        differ(&a, "grants", 0, "the lock was left held");
    audit_entries(&a);
    audit_records(&a);
    *grants += grant_nr_entries(d->grants);

    return a.differences;
}
