/*
 * grant_table_op: map, unmap, copy and the calls about the table itself.
 *
 * Each item of a batch is copied in once, done, and its status copied out
 * before the next is looked at, so a batch can be interrupted between any
 * two and goes on behind the last that is done.
 */
#include "hv/grant_entry.h"

#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MAPPED (GNTMAP_host_map | GNTMAP_device_map)
/* What of a map call's flags its record keeps. */
#define RECORDED (MAPPED | GNTMAP_readonly | GNTMAP_contains_pte)
/* In a record's flags: some vCPU is unmapping it just now. */
#define BUSY (1u << 31)

/* Bits of the PTE of a grant mapping, always these; NX as on Xen. */
#define PTE_ALWAYS                                                             \
    ((1ULL << 63) | (1ULL << 6) | (1ULL << 5) | (1ULL << 2) | 1ULL)
#define PTE_WRITABLE    (1ULL << 1)
#define PTE_AVAIL_SHIFT 9
#define PTE_AVAIL_MASK  7u

/* The rest of a command is Xen's to say where a restarted one goes on. */
#define COMMAND_BITS 12

#define ALWAYS_INLINE inline __attribute__((always_inline))

union item {
    struct gnttab_map_grant_ref map;
    struct gnttab_unmap_grant_ref unmap;
    struct gnttab_unmap_and_replace replace;
    struct gnttab_copy copy;
    struct gnttab_swap_grant_ref swap;
};

/* What the items of one call have in common: the domains found last, each
 * with a reference, for the source (or the only one) and the destination. */
struct batch {
    struct vcpu *v;
    struct domain *domain[2];
};

static int16_t fail(int16_t status, const char *reason)
{
    refuse_reason(reason);
    return status;
}

static void hold(struct domain *d)
{
    atomic_add_return(&d->refs, 1);
}

static __attribute__((noinline)) struct domain *
batch_find(struct batch *b, unsigned int side, uint16_t id)
{
    if (b->domain[side] != NULL)
        domain_put(b->domain[side]);
    return b->domain[side] = domain_get(id);
}

/* The domain, valid until the end of the batch or the next call for this
 * side; NULL if there is none, or it is being destroyed. */
static inline struct domain *batch_domain(struct batch *b, unsigned int side,
                                          uint16_t id)
{
    struct domain *d = b->domain[side];

    if (d == NULL || d->id != id)
        d = batch_find(b, side, id);
    if (d != NULL && read_once(&d->state) != DOMAIN_DYING)
        return d;
    refuse_reason("no domain has this id, or it is being destroyed");
    return NULL;
}

/* ---- map_grant_ref ---- */

static uint64_t make_pte(uint32_t frame, uint32_t flags)
{
    uint64_t avail = flags >> _GNTMAP_guest_avail0 & PTE_AVAIL_MASK;
    uint64_t pte = (uint64_t)frame << PAGE_SHIFT | PTE_ALWAYS;

    if (!(flags & GNTMAP_readonly))
        pte |= PTE_WRITABLE;
    return pte | avail << PTE_AVAIL_SHIFT;
}

/* Claim the entry and count the mapping. */
static int16_t map_count(struct domain *mapper, struct domain *granter,
                         const struct gnttab_map_grant_ref *op, uint32_t *frame)
{
    struct grant_table *gt = granter->grants;
    bool write = !(op->flags & GNTMAP_readonly);
    int16_t status;

    spin_lock(&gt->lock);
    status = grant_claim(granter, op->ref, mapper->id, write,
                         GTF_type_mask | GTF_sub_page, frame);
    if (status == GNTST_okay)
        grant_count(gt, op->ref, *frame, mapper->id, op->flags);
    spin_unlock(&gt->lock);

    return status;
}

static inline void map_discount(struct domain *granter, uint32_t ref,
                                uint32_t flags)
{
    spin_lock(&granter->grants->lock);
    grant_discount(granter->grants, ref, flags);
    spin_unlock(&granter->grants->lock);
}

/* The claimed frame's reference serves one mapping; if a host and a device
 * mapping are asked for, the latter takes its own. */
static int16_t map_install(struct vcpu *v, struct domain *granter,
                           const struct gnttab_map_grant_ref *op,
                           uint32_t frame, uint64_t *pte_maddr)
{
    bool write = !(op->flags & GNTMAP_readonly);
    int16_t status;

    if (!(op->flags & GNTMAP_host_map))
        return GNTST_okay;
    if ((op->flags & GNTMAP_device_map) &&
        frame_claim(granter, frame, write) != GNTST_okay)
        return GNTST_general_error;
    status = mmu_grant_map(v, op->host_addr, op->flags & GNTMAP_contains_pte,
                           make_pte(frame, op->flags), pte_maddr);
    if (status != GNTST_okay && (op->flags & GNTMAP_device_map))
        frame_release(frame, write);

    return status;
}

static int16_t map_frame(struct vcpu *v, struct domain *granter,
                         struct gnttab_map_grant_ref *op, struct maptrack *m)
{
    uint32_t frame;
    int16_t status = map_count(v->domain, granter, op, &frame);

    if (status != GNTST_okay)
        return status;
    status = map_install(v, granter, op, frame, &m->pte_maddr);
    if (status != GNTST_okay) {
        map_discount(granter, op->ref, op->flags);
        frame_release(frame, !(op->flags & GNTMAP_readonly));
        return status;
    }
    hold(granter);
    m->granter = granter;
    m->ref = op->ref;
    m->frame = frame;
    store_release(&m->flags, op->flags & RECORDED);
    op->handle = m->handle;
    op->dev_bus_addr = (uint64_t)frame << PAGE_SHIFT;

    return GNTST_okay;
}

static int16_t map(struct batch *b, union item *item)
{
    struct gnttab_map_grant_ref *op = &item->map;
    struct grant_table *gt = b->v->domain->grants;
    struct domain *granter;
    struct maptrack *m;
    int16_t status;

    if (!(op->flags & MAPPED))
        return fail(GNTST_bad_gntref, "neither host_map nor device_map");
    granter = batch_domain(b, 0, op->dom);
    if (granter == NULL)
        return GNTST_bad_domain;
    m = maptrack_alloc(gt);
    if (m == NULL)
        return fail(GNTST_no_space, "no room for another mapping's record");
    status = map_frame(b->v, granter, op, m);
    if (status != GNTST_okay) {
        spin_lock(&gt->lock);
        maptrack_free(gt, m);
        spin_unlock(&gt->lock);
    }
    return status;
}

/* ---- unmap_grant_ref, unmap_and_replace ---- */

struct unmap {
    uint64_t host_addr, dev_bus_addr, new_addr;
    uint32_t handle;
};

/* The record is ours until record_end(): one unmap at a time (G4). */
static struct maptrack *record_begin(struct grant_table *gt, uint32_t handle)
{
    struct maptrack *m;
    uint32_t flags;

    for (;;) {
        spin_lock(&gt->lock);
        m = handle < gt->maptrack_limit ? maptrack_at(gt, handle) : NULL;
        flags = m != NULL ? read_once(&m->flags) : 0;
        if (flags != 0 && !(flags & BUSY))
            write_once(&m->flags, flags | BUSY);
        spin_unlock(&gt->lock);
        if (flags == 0)
            return NULL;
        if (!(flags & BUSY))
            return m;
        spin_relax();
    }
}

/* @done is no more mapped.  The granter if the record's reference on it is
 * now the caller's to drop, else NULL. */
static struct domain *record_end(struct grant_table *gt, struct maptrack *m,
                                 uint32_t done)
{
    struct domain *granter = m->granter;
    uint32_t left = m->flags & ~(done | BUSY);

    spin_lock(&gt->lock);
    if (left & MAPPED)
        write_once(&m->flags, left);
    else
        maptrack_free(gt, m);
    spin_unlock(&gt->lock);

    return left & MAPPED ? NULL : granter;
}

/* Take down what @u names of the mapping: *done. */
static int16_t unmap_parts(struct vcpu *v, const struct unmap *u,
                           const struct maptrack *m, uint32_t *done)
{
    bool contains_pte = m->flags & GNTMAP_contains_pte;
    int16_t status;

    if (u->dev_bus_addr != 0 && (m->flags & GNTMAP_device_map) &&
        u->dev_bus_addr != (uint64_t)m->frame << PAGE_SHIFT)
        return fail(GNTST_bad_dev_addr, "not the mapping's bus address");
    if (u->host_addr != 0 && (m->flags & GNTMAP_host_map)) {
        if (contains_pte && u->new_addr != 0)
            return fail(GNTST_general_error, "contains_pte cannot replace");
        status = mmu_grant_unmap(v, u->host_addr, contains_pte, m->frame,
                                 !(m->flags & GNTMAP_readonly), u->new_addr);
        if (status != GNTST_okay)
            return status;
        *done |= GNTMAP_host_map;
    }
    if (u->dev_bus_addr != 0)
        *done |= m->flags & GNTMAP_device_map;

    return GNTST_okay;
}

/* Uses first, references after: while an entry counts a use its frame is
 * held. */
static void give_back(const struct maptrack *m, uint32_t done)
{
    bool write = !(m->flags & GNTMAP_readonly);

    map_discount(m->granter, m->ref, done | (m->flags & GNTMAP_readonly));
    if (done & GNTMAP_host_map)
        frame_release(m->frame, write);
    if (done & GNTMAP_device_map)
        frame_release(m->frame, write);
}

static int16_t unmap_handle(struct vcpu *v, const struct unmap *u)
{
    struct grant_table *gt = v->domain->grants;
    struct maptrack *m = record_begin(gt, u->handle);
    struct domain *granter;
    uint32_t done = 0;
    int16_t status;

    if (m == NULL)
        return fail(GNTST_bad_handle, "no mapping has this handle");
    status = unmap_parts(v, u, m, &done);
    if (done != 0)
        give_back(m, done);
    granter = record_end(gt, m, done);
    if (granter != NULL)
        domain_put(granter);

    return status;
}

static int16_t unmap(struct batch *b, union item *item)
{
    const struct gnttab_unmap_grant_ref *op = &item->unmap;
    struct unmap u = { op->host_addr, op->dev_bus_addr, 0, op->handle };

    return unmap_handle(b->v, &u);
}

static int16_t unmap_and_replace(struct batch *b, union item *item)
{
    const struct gnttab_unmap_and_replace *op = &item->replace;
    struct unmap u = { op->host_addr, 0, op->new_addr, op->handle };

    return unmap_handle(b->v, &u);
}

/* The guest cannot be told of the mapping it got. */
static void map_undo(struct batch *b, const union item *item)
{
    const struct gnttab_map_grant_ref *op = &item->map;
    struct unmap u = { op->host_addr, op->dev_bus_addr, 0, op->handle };

    unmap_handle(b->v, &u);
}

/* ---- copy ---- */

/* One end of a copy. */
struct side {
    struct domain *domain;
    bool is_grant, write;
    uint32_t ref;   /* a grant's */
    uint64_t frame; /* else the frame; in the end the frame of both */
};

static int16_t side_init(struct batch *b, struct side *s, unsigned int index,
                         const struct gnttab_copy_ptr *ptr, bool is_grant)
{
    s->is_grant = is_grant;
    s->write = index == 1;
    s->ref = ptr->u.ref;
    s->frame = ptr->u.gmfn;
    s->domain = ptr->domid == DOMID_SELF ? b->v->domain
                                         : batch_domain(b, index, ptr->domid);

    if (s->domain == NULL)
        return GNTST_bad_domain;
    if (!is_grant && ptr->domid != DOMID_SELF)
        return fail(GNTST_permission_denied, "frames of others need a grant");
    return GNTST_okay;
}

static struct grant_table *side_table(const struct side *s)
{
    return s->is_grant ? s->domain->grants : NULL;
}

/* Either may be NULL, or both the same. */
static void double_lock(struct grant_table *a, struct grant_table *b)
{
    struct grant_table *first = a < b ? a : b, *second = a < b ? b : a;

    if (first != NULL && first != second)
        spin_lock(&first->lock);
    if (second != NULL)
        spin_lock(&second->lock);
}

static void double_unlock(struct grant_table *a, struct grant_table *b)
{
    if (a != NULL)
        spin_unlock(&a->lock);
    if (b != NULL && b != a)
        spin_unlock(&b->lock);
}

/* A reference on the frame, and for the destination a use as writable. */
static ALWAYS_INLINE int16_t side_claim(struct side *s, uint16_t copier)
{
    uint32_t frame;
    int16_t status;

    if (!s->is_grant)
        return frame_claim(s->domain, s->frame, s->write);
    status =
        grant_claim(s->domain, s->ref, copier, s->write, GTF_type_mask, &frame);
    s->frame = frame;

    return status;
}

static ALWAYS_INLINE void side_release(const struct side *s)
{
    if (s->is_grant)
        grant_unclaim(s->domain->grants, s->ref, s->write);
    frame_release(s->frame, s->write);
}

static int16_t copy_bytes(const struct gnttab_copy *op, const struct side *from,
                          const struct side *to)
{
    if (op->source.offset + op->len > PAGE_SIZE ||
        op->dest.offset + op->len > PAGE_SIZE)
        return fail(GNTST_bad_copy_arg, "the copy crosses a page's end");
    memmove((char *)mfn_to_virt(to->frame) + op->dest.offset,
            (char *)mfn_to_virt(from->frame) + op->source.offset, op->len);

    return GNTST_okay;
}

static int16_t copy_locked(const struct gnttab_copy *op, struct side *from,
                           struct side *to, uint16_t copier)
{
    int16_t status = side_claim(from, copier);

    if (status != GNTST_okay)
        return status;
    status = side_claim(to, copier);
    if (status == GNTST_okay) {
        status = copy_bytes(op, from, to);
        side_release(to);
    }
    side_release(from);

    return status;
}

static int16_t copy(struct batch *b, union item *item)
{
    const struct gnttab_copy *op = &item->copy;
    struct side from, to;
    int16_t status;

    status =
        side_init(b, &from, 0, &op->source, op->flags & GNTCOPY_source_gref);
    if (status == GNTST_okay)
        status = side_init(b, &to, 1, &op->dest, op->flags & GNTCOPY_dest_gref);
    if (status != GNTST_okay)
        return status;
    double_lock(side_table(&from), side_table(&to));
    status = copy_locked(op, &from, &to, b->v->domain->id);
    double_unlock(side_table(&from), side_table(&to));

    return status;
}

/* ---- swap_grant_ref ---- */

static int16_t swap_locked(struct grant_table *gt, uint32_t a, uint32_t b)
{
    uint64_t entry;

    if (a >= grant_nr_entries(gt) || b >= grant_nr_entries(gt))
        return fail(GNTST_bad_gntref, "the table is not that large");
    if (a == b)
        return GNTST_okay;
    if (grant_active(gt, a)->uses != 0 || grant_active(gt, b)->uses != 0)
        return fail(GNTST_eagain, "an entry is in use");
    entry = read_once(&grant_shared(gt, a)->raw);
    write_once(&grant_shared(gt, a)->raw, read_once(&grant_shared(gt, b)->raw));
    write_once(&grant_shared(gt, b)->raw, entry);

    return GNTST_okay;
}

static int16_t swap(struct batch *b, union item *item)
{
    struct grant_table *gt = b->v->domain->grants;
    int16_t status;

    spin_lock(&gt->lock);
    status = swap_locked(gt, item->swap.ref_a, item->swap.ref_b);
    spin_unlock(&gt->lock);

    return status;
}

/* ---- Batches. ---- */

/* An item's size; where its status is, what a refusal shows, and the part
 * that is written back. */
static const struct op {
    const char *name;
    int16_t (*run)(struct batch *b, union item *item);
    void (*undo)(struct batch *b, const union item *item);
    uint8_t size, status, shown, out, out_size;
} ops[] = {
#define STATUS(type) offsetof(struct type, status)
#define SHOWN(type, field)                                                     \
    sizeof(struct type), STATUS(type), offsetof(struct type, field)
    [GNTTABOP_map_grant_ref] = { "grant_table_op/map", map, map_undo,
                                 SHOWN(gnttab_map_grant_ref, ref),
                                 offsetof(struct gnttab_map_grant_ref, dom),
                                 16 },
    [GNTTABOP_unmap_grant_ref] = { "grant_table_op/unmap", unmap, NULL,
                                   SHOWN(gnttab_unmap_grant_ref, handle),
                                   STATUS(gnttab_unmap_grant_ref), 2 },
    [GNTTABOP_unmap_and_replace] = { "grant_table_op/replace",
                                     unmap_and_replace, NULL,
                                     SHOWN(gnttab_unmap_and_replace, handle),
                                     STATUS(gnttab_unmap_and_replace), 2 },
    [GNTTABOP_copy] = { "grant_table_op/copy", copy, NULL,
                        SHOWN(gnttab_copy, source), STATUS(gnttab_copy), 2 },
    [GNTTABOP_swap_grant_ref] = { "grant_table_op/swap", swap, NULL,
                                  SHOWN(gnttab_swap_grant_ref, ref_a),
                                  STATUS(gnttab_swap_grant_ref), 2 },
#undef SHOWN
#undef STATUS
};
_Static_assert(offsetof(struct gnttab_map_grant_ref, dom) == 16 &&
                   sizeof(struct gnttab_map_grant_ref) == 32,
               "what map writes back is the last 16 bytes");

static __attribute__((noinline)) void record_refusal(struct vcpu *v,
                                                     const struct op *op,
                                                     const union item *item,
                                                     int16_t status)
{
    uint32_t shown;

    memcpy(&shown, (const char *)item + op->shown, sizeof(shown));
    refused_record(v, op->name, shown, status);
}

/* One item: 0 or -EFAULT. */
static ALWAYS_INLINE int run_item(struct batch *b, const struct op *op,
                                  char *guest)
{
    union item item;
    int16_t status;

    if (guest_copy_from(&item, guest, op->size) != 0)
        return -EFAULT;
    status = op->run(b, &item);
    if (__builtin_expect(status != GNTST_okay, 0))
        record_refusal(b->v, op, &item, status);
    memcpy((char *)&item + op->status, &status, sizeof(status));
    if (guest_copy_to(guest + op->out, (char *)&item + op->out, op->out_size) ==
        0)
        return 0;
    if (status == GNTST_okay && op->undo != NULL)
        op->undo(b, &item);
    return -EFAULT;
}

/* Inline, so that each operation has a loop of its own: what @op says is a
 * constant there. */
static ALWAYS_INLINE long run_batch(struct vcpu *v, const struct op *op,
                                    char *guest, unsigned int count)
{
    struct batch b = { .v = v };
    long rc = 0;

    if (!guest_range_ok(guest, (size_t)count * op->size))
        return -EFAULT;
    for (unsigned int i = 0; i < count && rc == 0; i++) {
        if (i != 0 && hypercall_preempt_check()) {
            rc = grant_hook_continue(v, guest, count - i);
            break;
        }
        rc = run_item(&b, op, guest);
        guest += op->size;
    }
    for (unsigned int side = 0; side < 2; side++)
        if (b.domain[side] != NULL)
            domain_put(b.domain[side]);

    return rc;
}

/* ---- Calls about a table.  One item, and errors as the other calls. ---- */

/* Whose table the caller may ask about, with a reference: 0, -ESRCH, -EPERM. */
static int find_domain(struct vcpu *v, uint16_t id, struct domain **out)
{
    struct domain *self = v->domain, *d;

    if (id == DOMID_SELF || id == self->id) {
        hold(self);
        *out = self;
        return 0;
    }
    d = domain_get(id);
    if (d == NULL) {
        refuse_reason("no domain has this id");
        return -ESRCH;
    }
    if (!self->privileged) {
        domain_put(d);
        refuse_reason("only the initial domain may ask about others");
        return -EPERM;
    }
    *out = d;
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
            status = fail(GNTST_bad_virt_addr, "the frame list is not mapped");
    }
    return status;
}

static int16_t setup(struct domain *d, const struct gnttab_setup_table *op)
{
    int16_t status;

    if (op->nr_frames > GRANT_MAX_FRAMES)
        return fail(GNTST_general_error, "more frames than a table may have");
    spin_lock(&d->grants->lock);
    if (grant_table_grow(d, op->nr_frames) != 0)
        status = fail(GNTST_general_error, "no memory for a larger table");
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

static long setup_table(struct vcpu *v, struct gnttab_setup_table *guest,
                        unsigned int count)
{
    struct gnttab_setup_table op;
    struct domain *d;
    int16_t status;

    if (count != 1)
        return -EINVAL;
    if (guest_copy_from(&op, guest, sizeof(op)) != 0 ||
        !guest_range_ok(op.frame_list.p,
                        op.nr_frames * sizeof(*op.frame_list.p)))
        return -EFAULT;
    status = status_of(find_domain(v, op.dom, &d));
    if (status == GNTST_okay) {
        status = setup(d, &op);
        domain_put(d);
    }
    return finish(v, "grant_table_op/setup_table", op.nr_frames, status,
                  &guest->status);
}

static long query_size(struct vcpu *v, struct gnttab_query_size *guest,
                       unsigned int count)
{
    struct gnttab_query_size op;
    struct domain *d;

    if (count != 1)
        return -EINVAL;
    if (guest_copy_from(&op, guest, sizeof(op)) != 0)
        return -EFAULT;
    op.status = status_of(find_domain(v, op.dom, &d));
    if (op.status == GNTST_okay) {
        op.nr_frames = read_once(&d->grants->nr_frames);
        op.max_nr_frames = GRANT_MAX_FRAMES;
        domain_put(d);
        if (guest_copy_to(guest, &op, sizeof(op)) != 0)
            return -EFAULT;
    }
    return finish(v, "grant_table_op/query_size", op.dom, op.status,
                  &guest->status);
}

static long get_version(struct vcpu *v, struct gnttab_get_version *guest)
{
    struct gnttab_get_version op;
    struct domain *d;
    int rc;

    if (guest_copy_from(&op, guest, sizeof(op)) != 0)
        return -EFAULT;
    rc = find_domain(v, op.dom, &d);
    if (rc != 0)
        return rc;
    domain_put(d);
    op.version = 1;

    return guest_copy_to(&guest->version, &op.version, sizeof(op.version));
}

static long set_version(struct gnttab_set_version *guest)
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

long do_grant_table_op(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count)
{
    if ((int32_t)count < 0)
        return -EINVAL;

    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        return run_batch(v, &ops[GNTTABOP_map_grant_ref], arg, count);
    case GNTTABOP_unmap_grant_ref:
        return run_batch(v, &ops[GNTTABOP_unmap_grant_ref], arg, count);
    case GNTTABOP_copy:
        return run_batch(v, &ops[GNTTABOP_copy], arg, count);
    case GNTTABOP_unmap_and_replace:
    case GNTTABOP_swap_grant_ref:
        return run_batch(v, &ops[cmd], arg, count);
    case GNTTABOP_setup_table:
        return setup_table(v, arg, count);
    case GNTTABOP_query_size:
        return query_size(v, arg, count);
    case GNTTABOP_set_version:
        return set_version(arg);
    case GNTTABOP_get_version:
        return get_version(v, arg);
    default:
        refuse_reason("this grant table operation is not offered");
        return cmd >> COMMAND_BITS ? -EINVAL : -ENOSYS;
    }
}
