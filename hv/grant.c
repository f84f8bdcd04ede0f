/*
 * grant_table_op: map, unmap, copy and the calls about the table itself.
 *
 * The items of a batch are copied in a chunk at a time, each once; then the
 * chunk is done, under one lock and with one flush of the TLB, and goes back
 * with all results.  A batch can be interrupted between two chunks.  What a
 * single item needs is inline, in the order in which it is usually needed.
 */
#include "hv/grant_entry.h"

#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/mmu_grant.h"
#include "lib/errno.h"
#include "lib/string.h"

/* What of a map call's flags its record keeps. */
#define RECORDED (MAPTRACK_MAPS | GNTMAP_readonly | GNTMAP_contains_pte)

/* The rest of a command is Xen's to say where a restarted one goes on. */
#define COMMAND_BITS 12

#define CHUNK 32u /* items that are done at a time */

union items {
    struct gnttab_map_grant_ref map[CHUNK];
    struct gnttab_unmap_grant_ref unmap[CHUNK];
    struct gnttab_copy copy[CHUNK];
};

/* ---- map_grant_ref ---- */

/* Claim the entry and count the mapping. */
static ALWAYS_INLINE frame_t map_count(struct domain *granter, uint16_t mapper,
                                       const struct gnttab_map_grant_ref *op)
{
    struct grant_table *gt = granter->grants;
    struct grant_use use;
    frame_t frame;

    spin_lock(&gt->lock);
    frame = grant_claim(granter, gt, op->ref, mapper,
                        !(op->flags & GNTMAP_readonly),
                        GTF_type_mask | GTF_sub_page, &use);
    if (LIKELY(frame >= 0))
        grant_count(granter, gt, use.act, (uint32_t)frame, mapper, op->flags);
    spin_unlock(&gt->lock);

    return frame;
}

/* The claimed frame's reference serves one mapping; if a host and a device
 * mapping are asked for, the latter takes its own. */
static ALWAYS_INLINE bool map_install(struct vcpu *v, struct domain *d,
                                      struct domain *granter,
                                      const struct gnttab_map_grant_ref *op,
                                      uint64_t frame, uint64_t *pte_maddr)
{
    bool write = !(op->flags & GNTMAP_readonly);
    bool both = op->flags & GNTMAP_device_map;

    if (!(op->flags & GNTMAP_host_map))
        return true;
    if (UNLIKELY(both) && frame_claim(granter, frame, write) < 0)
        return false;
    if (LIKELY(mmu_grant_map(v, d, op->host_addr,
                             op->flags & GNTMAP_contains_pte,
                             grant_pte(frame, op->flags), pte_maddr)))
        return true;
    if (both)
        frame_release(frame, write);
    return false;
}

static ALWAYS_INLINE int16_t map_frame(struct vcpu *v, struct domain *d,
                                       struct domain *granter,
                                       struct gnttab_map_grant_ref *op,
                                       struct maptrack *m, uint16_t mapper)
{
    frame_t frame = map_count(granter, mapper, op);

    if (UNLIKELY(frame < 0))
        return (int16_t)frame;
    if (UNLIKELY(!map_install(v, d, granter, op, (uint64_t)frame,
                              &m->pte_maddr))) {
        grant_discount(granter, op->ref, op->flags);
        frame_release((uint64_t)frame, !(op->flags & GNTMAP_readonly));
        return GNTST_general_error;
    }
    m->granter = granter;
    m->ref = op->ref;
    m->frame = (uint32_t)frame;
    m->flags = op->flags & RECORDED;
    op->handle = m->handle;
    op->dev_bus_addr = (uint64_t)frame << PAGE_SHIFT;

    return GNTST_okay;
}

static ALWAYS_INLINE int16_t map(struct vcpu *v, struct domain *d,
                                 struct gnttab_map_grant_ref *op,
                                 uint16_t mapper)
{
    struct domain *granter;
    struct maptrack *m;
    int16_t status;

    if (UNLIKELY(!(op->flags & MAPTRACK_MAPS)))
        return refuse(GNTST_bad_gntref, "neither host_map nor device_map");
    granter = domain_find(op->dom);
    if (UNLIKELY(granter == NULL))
        return refuse(GNTST_bad_domain, "no domain has this id");
    m = maptrack_alloc(d->grants);
    if (UNLIKELY(m == NULL))
        return refuse(GNTST_no_space, "no room for another mapping's record");
    status = map_frame(v, d, granter, op, m, mapper);
    if (UNLIKELY(status != GNTST_okay))
        maptrack_free(d->grants, m);
    return status;
}

static ALWAYS_INLINE void map_all(struct vcpu *v,
                                  struct gnttab_map_grant_ref *op,
                                  unsigned int n)
{
    struct domain *d = v->domain;
    const uint16_t id = d->id;

    spin_lock(&d->pt_lock);
    for (unsigned int i = 0; i < n; i++) {
        op[i].status = map(v, d, &op[i], id);
        if (UNLIKELY(op[i].status != GNTST_okay))
            refused_record(v, "grant_table_op/map", op[i].ref, op[i].status);
    }
    spin_unlock(&d->pt_lock);
}

/* ---- unmap_grant_ref, unmap_and_replace: the same but that dev_bus_addr is
 * new_addr. ---- */

_Static_assert(sizeof(struct gnttab_unmap_and_replace) ==
                       sizeof(struct gnttab_unmap_grant_ref) &&
                   offsetof(struct gnttab_unmap_and_replace, new_addr) ==
                       offsetof(struct gnttab_unmap_grant_ref, dev_bus_addr) &&
                   offsetof(struct gnttab_unmap_and_replace, handle) ==
                       offsetof(struct gnttab_unmap_grant_ref, handle) &&
                   offsetof(struct gnttab_unmap_and_replace, status) ==
                       offsetof(struct gnttab_unmap_grant_ref, status),
               "one may be taken for the other");

/* What an item takes down of a mapping, and has still to give back. */
struct unmapped {
    struct maptrack *m;
    uint32_t parts, left; /* GNTMAP_host_map, GNTMAP_device_map */
};

static ALWAYS_INLINE int16_t unmap_parts(struct vcpu *v, struct domain *d,
                                         const struct gnttab_unmap_grant_ref *op,
                                         bool replace, struct unmapped *u)
{
    struct maptrack *m = u->m;
    uint64_t bus = replace ? 0 : op->dev_bus_addr;
    uint32_t flags = m->flags, parts = 0;

    if (UNLIKELY(bus != 0) && (flags & GNTMAP_device_map)) {
        if (bus != (uint64_t)m->frame << PAGE_SHIFT)
            return refuse(GNTST_bad_dev_addr, "not the mapping's bus address");
        parts = GNTMAP_device_map;
    }
    if (op->host_addr != 0 && (flags & GNTMAP_host_map)) {
        if (UNLIKELY(!mmu_grant_unmap(
                v, d, op->host_addr, flags & GNTMAP_contains_pte,
                grant_pte(m->frame, flags & GNTMAP_readonly),
                replace ? op->dev_bus_addr : 0)))
            return GNTST_general_error;
        parts |= GNTMAP_host_map;
    }
    m->flags = flags & ~parts;
    u->parts = parts;
    u->left = flags & ~parts & MAPTRACK_MAPS;

    return GNTST_okay;
}

/* What is no mapping may have been one that was taken: its number is free
 * now. */
static int16_t unmap_taken(struct grant_table *gt, struct maptrack *m)
{
    if (!(m->flags & MAPTRACK_TAKEN))
        return refuse(GNTST_bad_handle, "no mapping has this handle");
    m->flags = 0;
    maptrack_free(gt, m);
    return GNTST_okay;
}

static ALWAYS_INLINE int16_t unmap_begin(struct vcpu *v, struct domain *d,
                                         const struct gnttab_unmap_grant_ref *op,
                                         bool replace, struct unmapped *u)
{
    u->parts = 0;
    if (UNLIKELY(op->handle >= d->grants->maptrack_limit))
        return refuse(GNTST_bad_handle, "no mapping has this handle");
    u->m = maptrack_at(d->grants, op->handle);
    if (UNLIKELY(!(u->m->flags & MAPTRACK_MAPS)))
        return unmap_taken(d->grants, u->m);
    return unmap_parts(v, d, op, replace, u);
}

/* The TLB is flushed.  Uses first, references after: while an entry counts a
 * use its frame is held. */
static ALWAYS_INLINE void unmap_end(struct grant_table *gt,
                                    const struct unmapped *u)
{
    struct maptrack *m = u->m;
    uint32_t readonly = m->flags & GNTMAP_readonly;

    grant_discount(m->granter, m->ref, u->parts | readonly);
    if (LIKELY(u->parts & GNTMAP_host_map))
        frame_release(m->frame, !readonly);
    if (UNLIKELY(u->parts & GNTMAP_device_map))
        frame_release(m->frame, !readonly);
    if (LIKELY(u->left == 0))
        maptrack_free(gt, m);
}

static ALWAYS_INLINE void unmap_all(struct vcpu *v,
                                    struct gnttab_unmap_grant_ref *op,
                                    unsigned int n, bool replace)
{
    struct domain *d = v->domain;
    struct unmapped u[CHUNK];
    uint32_t parts = 0;

    spin_lock(&d->pt_lock);
    for (unsigned int i = 0; i < n; i++) {
        op[i].status = unmap_begin(v, d, &op[i], replace, &u[i]);
        parts |= u[i].parts;
        if (UNLIKELY(op[i].status != GNTST_okay))
            refused_record(v, "grant_table_op/unmap", op[i].handle,
                           op[i].status);
    }
    /* All of it: a table may be mapped at other addresses as well. */
    if (LIKELY(parts & GNTMAP_host_map))
        tlb_flush_domain(d);
    for (unsigned int i = 0; i < n; i++)
        if (LIKELY(u[i].parts != 0))
            unmap_end(d->grants, &u[i]);
    spin_unlock(&d->pt_lock);
}

/* The guest cannot be told of the mappings it got. */
static __attribute__((noinline)) void
map_undo(struct vcpu *v, const struct gnttab_map_grant_ref *op, unsigned int n)
{
    for (; n > 0; n--, op++) {
        struct gnttab_unmap_grant_ref undo = {
            .host_addr = op->host_addr,
            .dev_bus_addr = op->dev_bus_addr,
            .handle = op->handle,
        };

        if (op->status == GNTST_okay)
            unmap_all(v, &undo, 1, false);
    }
}

/* ---- copy ---- */

/* One end of a copy. */
struct end {
    struct domain *domain;
    struct grant_table *gt; /* NULL: a frame of the caller's own */
    struct grant_use use;
    frame_t frame;
};

/* Whose memory it is. */
static ALWAYS_INLINE int16_t end_find(struct end *e, struct vcpu *v,
                                      const struct gnttab_copy_ptr *ptr,
                                      bool is_grant)
{
    e->domain = v->domain;
    e->gt = NULL;
    if (ptr->domid != DOMID_SELF) {
        e->domain = domain_find(ptr->domid);
        if (UNLIKELY(e->domain == NULL))
            return refuse(GNTST_bad_domain, "no domain has this id");
        if (UNLIKELY(!is_grant))
            return refuse(GNTST_permission_denied,
                          "frames of others need a grant");
    }
    if (is_grant)
        e->gt = e->domain->grants;
    return GNTST_okay;
}

/* Its frame, with a reference, and for the destination a use as writable; or
 * why not. */
static ALWAYS_INLINE bool end_claim(struct end *e,
                                    const struct gnttab_copy_ptr *ptr,
                                    bool write, uint16_t copier)
{
    e->use = (struct grant_use){ NULL, NULL };
    if (e->gt == NULL)
        e->frame = frame_claim(e->domain, ptr->u.gmfn, write);
    else
        e->frame = grant_claim(e->domain, e->gt, ptr->u.ref, copier, write,
                               GTF_type_mask, &e->use);
    return LIKELY(e->frame >= 0);
}

static ALWAYS_INLINE void end_release(const struct end *e, bool write)
{
    if (e->gt != NULL)
        grant_unclaim(e->use, write);
    frame_release((uint64_t)e->frame, write);
}

/* Either may be NULL, or both the same. */
static inline void double_lock(struct grant_table *a, struct grant_table *b)
{
    struct grant_table *first = a < b ? a : b, *second = a < b ? b : a;

    if (first != NULL && first != second)
        spin_lock(&first->lock);
    if (second != NULL)
        spin_lock(&second->lock);
}

static inline void double_unlock(struct grant_table *a, struct grant_table *b)
{
    if (a != NULL)
        spin_unlock(&a->lock);
    if (b != NULL && b != a)
        spin_unlock(&b->lock);
}

static ALWAYS_INLINE int16_t copy_bytes(const struct gnttab_copy *op,
                                        frame_t from, frame_t to)
{
    if (UNLIKELY(op->source.offset + op->len > PAGE_SIZE ||
                 op->dest.offset + op->len > PAGE_SIZE))
        return refuse(GNTST_bad_copy_arg, "the copy crosses a page's end");
    memmove((char *)mfn_to_virt((mfn_t)to) + op->dest.offset,
            (char *)mfn_to_virt((mfn_t)from) + op->source.offset, op->len);

    return GNTST_okay;
}

static ALWAYS_INLINE int16_t copy_locked(const struct gnttab_copy *op,
                                         struct end *from, struct end *to,
                                         uint16_t copier)
{
    int16_t status;

    if (!end_claim(from, &op->source, false, copier))
        return (int16_t)from->frame;
    if (end_claim(to, &op->dest, true, copier)) {
        status = copy_bytes(op, from->frame, to->frame);
        end_release(to, true);
    } else {
        status = (int16_t)to->frame;
    }
    end_release(from, false);

    return status;
}

static ALWAYS_INLINE int16_t copy(struct vcpu *v, const struct gnttab_copy *op)
{
    struct end from, to;
    int16_t status = end_find(&from, v, &op->source,
                              op->flags & GNTCOPY_source_gref);

    if (LIKELY(status == GNTST_okay))
        status = end_find(&to, v, &op->dest, op->flags & GNTCOPY_dest_gref);
    if (UNLIKELY(status != GNTST_okay))
        return status;
    double_lock(from.gt, to.gt);
    status = copy_locked(op, &from, &to, v->domain->id);
    double_unlock(from.gt, to.gt);

    return status;
}

static ALWAYS_INLINE void copy_all(struct vcpu *v, struct gnttab_copy *op,
                                   unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        op[i].status = copy(v, &op[i]);
        if (UNLIKELY(op[i].status != GNTST_okay))
            refused_record(v, "grant_table_op/copy", op[i].source.u.ref,
                           op[i].status);
    }
}

/* ---- Batches. ---- */

/* All of an item, and what follows @results in it, are multiples of these. */
#define UNIT 8u

#define NOT_THERE 1 /* not all of the items can be copied in: none is done */

/* One chunk: 0, -EFAULT, or NOT_THERE. */
static ALWAYS_INLINE long items(struct vcpu *v, uint32_t cmd, size_t size,
                                size_t results, char *guest, unsigned int n)
{
    union items op;

    if (UNLIKELY(guest_copy_from8(&op, guest, n * size / UNIT) != 0))
        return n == 1 ? -EFAULT : NOT_THERE;
    if (cmd == GNTTABOP_map_grant_ref)
        map_all(v, op.map, n);
    else if (cmd == GNTTABOP_copy)
        copy_all(v, op.copy, n);
    else
        unmap_all(v, op.unmap, n, cmd == GNTTABOP_unmap_and_replace);
    /* What stands before the first one's results is as it was. */
    if (LIKELY(guest_copy_to8(guest + results, (const char *)&op + results,
                              (n * size - results) / UNIT) == 0))
        return 0;
    if (cmd == GNTTABOP_map_grant_ref)
        map_undo(v, op.map, n);
    return -EFAULT;
}

static ALWAYS_INLINE long batch(struct vcpu *v, uint32_t cmd, size_t size,
                                size_t results, char *guest, uint32_t count)
{
    unsigned int most = CHUNK;

    if (!guest_range_ok(guest, count * size))
        return -EFAULT;
    while (count != 0) {
        unsigned int n = count < most ? count : most;
        long rc = items(v, cmd, size, results, guest, n);

        if (rc == NOT_THERE) {
            most = 1; /* as far as they are there */
            continue;
        }
        if (rc != 0)
            return rc;
        count -= n;
        guest += n * size;
        if (count != 0 && hypercall_preempt_check(n))
            return grant_hook_continue(v, guest, count);
    }
    return 0;
}

/* An operation has the arguments of the call, which stay in their registers. */
typedef long op_fn(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count);

/* The above, inline, with an operation's constants.  A single item is the usual
 * number, and needs no loops. */
#define BATCH(name, number, type, results)                                     \
    static __attribute__((noinline)) long name##_several(                      \
        struct vcpu *v, void *arg, uint32_t count)                             \
    {                                                                          \
        return batch(v, number, sizeof(struct type),                           \
                     offsetof(struct type, results), arg, count);              \
    }                                                                          \
    static long name(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count)  \
    {                                                                          \
        (void)cmd;                                                             \
        if (UNLIKELY(count != 1))                                              \
            return name##_several(v, arg, count);                              \
        return items(v, number, sizeof(struct type),                           \
                     offsetof(struct type, results), arg, 1);                  \
    }
BATCH(map_op, GNTTABOP_map_grant_ref, gnttab_map_grant_ref, dom)
BATCH(unmap_op, GNTTABOP_unmap_grant_ref, gnttab_unmap_grant_ref, handle)
BATCH(replace_op, GNTTABOP_unmap_and_replace, gnttab_unmap_and_replace, handle)
BATCH(copy_op, GNTTABOP_copy, gnttab_copy, len)

/* ---- swap_grant_ref ---- */

static int16_t swap_locked(struct grant_table *gt, uint32_t a, uint32_t b)
{
    uint64_t entry;

    if (a >= grant_nr_entries(gt) || b >= grant_nr_entries(gt))
        return refuse(GNTST_bad_gntref, "the table is not that large");
    if (a == b)
        return GNTST_okay;
    if (grant_active(gt, a)->uses != 0 || grant_active(gt, b)->uses != 0)
        return refuse(GNTST_eagain, "an entry is in use");
    entry = read_once(&grant_shared(gt, a)->raw);
    write_once(&grant_shared(gt, a)->raw, read_once(&grant_shared(gt, b)->raw));
    write_once(&grant_shared(gt, b)->raw, entry);

    return GNTST_okay;
}

static long swap_op(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count)
{
    struct gnttab_swap_grant_ref op, *guest = arg;
    struct grant_table *gt = v->domain->grants;

    (void)cmd;
    if (!guest_range_ok(guest, count * sizeof(op)))
        return -EFAULT;
    for (; count != 0; count--, guest++) {
        if (guest_copy_from(&op, guest, sizeof(op)) != 0)
            return -EFAULT;
        spin_lock(&gt->lock);
        op.status = swap_locked(gt, op.ref_a, op.ref_b);
        spin_unlock(&gt->lock);
        if (op.status != GNTST_okay)
            refused_record(v, "grant_table_op/swap", op.ref_a, op.status);
        if (guest_copy_to(guest, &op, sizeof(op)) != 0)
            return -EFAULT;
        if (count > 1 && hypercall_preempt_check(1))
            return grant_hook_continue(v, guest + 1, count - 1);
    }
    return 0;
}

/* ---- Calls about a table.  One item, and errors as the other calls. ---- */

/* Whose table the caller may ask about: 0, -ESRCH, -EPERM. */
static int table_owner(struct vcpu *v, uint16_t id, struct domain **out)
{
    struct domain *self = v->domain;

    *out = id == DOMID_SELF ? self : domain_find(id);
    if (*out == NULL)
        return refuse(-ESRCH, "no domain has this id");
    if (*out != self && !self->privileged)
        return refuse(-EPERM, "only the initial domain may ask about others");
    return 0;
}

static int16_t status_of(int error)
{
    switch (error) {
    case 0:
        return GNTST_okay;
    case -ESRCH:
        return GNTST_bad_domain;
    case -EPERM:
        return GNTST_permission_denied;
    default:
        return GNTST_general_error;
    }
}

/* The frames of the table, as many as asked for. */
static int16_t write_frames(const struct grant_table *gt, xen_pfn_t *guest,
                            uint32_t nr)
{
    int16_t status = GNTST_okay;

    for (uint32_t i = 0; i < nr; i++) {
        xen_pfn_t frame = virt_to_mfn(gt->shared[i]);

        if (guest_copy_to_offset(guest, i, &frame, sizeof(frame)) != 0)
            status = refuse(GNTST_bad_virt_addr, "the frame list is not mapped");
    }
    return status;
}

static int16_t setup(struct domain *d, const struct gnttab_setup_table *op)
{
    int16_t status;

    if (op->nr_frames > GRANT_MAX_FRAMES)
        return refuse(GNTST_general_error, "more frames than a table may have");
    spin_lock(&d->grants->lock);
    if (grant_table_grow(d, op->nr_frames) != 0)
        status = refuse(GNTST_general_error, "no memory for a larger table");
    else
        status = write_frames(d->grants, op->frame_list.p, op->nr_frames);
    spin_unlock(&d->grants->lock);

    return status;
}

/* The result of a call whose status goes to the guest at @field. */
static long finish(struct vcpu *v, const char *name, uint32_t shown,
                   int16_t status, void *field)
{
    if (status != GNTST_okay)
        refused_record(v, name, shown, status);
    return guest_copy_to(field, &status, sizeof(status)) != 0 ? -EFAULT : 0;
}

static long setup_table(struct vcpu *v, void *arg)
{
    struct gnttab_setup_table op, *guest = arg;
    struct domain *d;
    int16_t status;

    if (guest_copy_from(&op, guest, sizeof(op)) != 0 ||
        !guest_range_ok(op.frame_list.p,
                        op.nr_frames * sizeof(*op.frame_list.p)))
        return -EFAULT;
    status = status_of(table_owner(v, op.dom, &d));
    if (status == GNTST_okay)
        status = setup(d, &op);
    return finish(v, "grant_table_op/setup_table", op.nr_frames, status,
                  &guest->status);
}

static long query_size(struct vcpu *v, void *arg)
{
    struct gnttab_query_size op, *guest = arg;
    struct domain *d;

    if (guest_copy_from(&op, guest, sizeof(op)) != 0)
        return -EFAULT;
    op.status = status_of(table_owner(v, op.dom, &d));
    if (op.status == GNTST_okay) {
        op.nr_frames = read_once(&d->grants->nr_frames);
        op.max_nr_frames = GRANT_MAX_FRAMES;
        if (guest_copy_to(guest, &op, sizeof(op)) != 0)
            return -EFAULT;
    }
    return finish(v, "grant_table_op/query_size", op.dom, op.status,
                  &guest->status);
}

static long get_version(struct vcpu *v, void *arg)
{
    struct gnttab_get_version op, *guest = arg;
    struct domain *d;
    int rc;


    if (guest_copy_from(&op, guest, sizeof(op)) != 0)
        return -EFAULT;
    rc = table_owner(v, op.dom, &d);
    if (rc != 0)
        return rc;
    op.version = 1;

    return guest_copy_to(&guest->version, &op.version, sizeof(op.version));
}

static long set_version(void *guest)
{
    struct gnttab_set_version op;
    long rc = 0;


    if (guest_copy_from(&op, guest, sizeof(op)) != 0)
        return -EFAULT;
    if (op.version != 1) {
        rc = op.version == 2 ? -ENOSYS : -EINVAL;
        refuse_reason("grant tables have version 1 here");
    }
    op.version = 1;

    return guest_copy_to(guest, &op, sizeof(op)) != 0 ? -EFAULT : rc;
}

static long table_op(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count)
{
    switch (cmd) {
    case GNTTABOP_setup_table:
        return count == 1 ? setup_table(v, arg) : -EINVAL;
    case GNTTABOP_query_size:
        return count == 1 ? query_size(v, arg) : -EINVAL;
    case GNTTABOP_set_version:
        return set_version(arg);
    case GNTTABOP_get_version:
        return get_version(v, arg);
    default:
        return refuse(cmd >> COMMAND_BITS ? -EINVAL : -ENOSYS,
                      "this grant table operation is not offered");
    }
}

long do_grant_table_op(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count)
{
    static op_fn *const ops[] = {
        [GNTTABOP_map_grant_ref] = map_op,
        [GNTTABOP_unmap_grant_ref] = unmap_op,
        [GNTTABOP_setup_table ... GNTTABOP_transfer] = table_op,
        [GNTTABOP_copy] = copy_op,
        [GNTTABOP_query_size] = table_op,
        [GNTTABOP_unmap_and_replace] = replace_op,
        [GNTTABOP_set_version ... GNTTABOP_get_version] = table_op,
        [GNTTABOP_swap_grant_ref] = swap_op,
    };

    if (UNLIKELY((int32_t)count < 0))
        return -EINVAL;
    if (UNLIKELY(cmd >= sizeof(ops) / sizeof(ops[0])))
        return table_op(v, cmd, arg, count);
    return ops[cmd](v, cmd, arg, count);
}
