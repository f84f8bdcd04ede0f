/*
 * memory_op: how much memory a domain has, and where things are.
 *
 * A domain changes its own reservation only.  Extents of several frames
 * cannot be populated, since the allocator has single frames, which is what
 * a guest sees of a machine whose memory is fragmented.
 */
#include "hv/domain.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/cpu.h"
#include "hv/x86/page.h"

#include <xen/memory.h>

/* The upper bits of the command count the extents that are done. */
#define EXTENT_SHIFT 6u
#define COMMAND_MASK ((1u << EXTENT_SHIFT) - 1)
#define ORDER_MAX    9u

#define M2P_EXTENT   0x200000u
#define E820_RAM     1u
#define E820_ENTRIES 1u

struct e820_entry {
    uint64_t address, size;
    uint32_t type;
} __attribute__((packed));

/* ---- Reservations. ---- */

/* Do extent @i, whose number in the guest's list is @frame: true if done. */
typedef bool extent_function(struct domain *d,
                             const struct xen_memory_reservation *r,
                             uint64_t i, xen_pfn_t frame);

/* Tell the guest which frame it got, or take it back. */
static bool extent_publish(struct domain *d,
                           const struct xen_memory_reservation *r, uint64_t i,
                           struct page *page)
{
    xen_pfn_t mfn = mfn_of(page);

    if (!guest_copy_to_offset(r->extent_start.p, i, &mfn, sizeof(mfn)))
        return true;

    if (page_get(page, d)) {
        (void)domain_page_release(d, page);
        page_put(page);
    }
    return false;
}

static bool extent_increase(struct domain *d,
                            const struct xen_memory_reservation *r, uint64_t i,
                            xen_pfn_t frame)
{
    struct page *page = r->extent_order ? NULL : domain_page_alloc(d);

    (void)frame;
    if (!page)
        return false;
    return !r->extent_start.p || extent_publish(d, r, i, page);
}

static bool extent_populate(struct domain *d,
                            const struct xen_memory_reservation *r, uint64_t i,
                            xen_pfn_t frame)
{
    struct page *page = r->extent_order ? NULL : domain_page_alloc(d);

    if (!page)
        return false;
    write_once(&m2p[mfn_of(page)], frame);
    return extent_publish(d, r, i, page);
}

/* A page that is still mapped or pinned stays what it is until the last such
 * use goes; then it is free. */
static bool frame_release(struct domain *d, mfn_t mfn)
{
    struct page *page = page_get_mfn(mfn, d);

    if (!page)
        return false;

    bool shared = read_once(&page->count) & PAGE_SHARED;

    (void)domain_page_release(d, page);
    page_put(page);
    return !shared;
}

static bool extent_decrease(struct domain *d,
                            const struct xen_memory_reservation *r, uint64_t i,
                            xen_pfn_t frame)
{
    (void)i;
    for (uint64_t j = 0; j < 1ULL << r->extent_order; j++)
        if (!frame_release(d, frame + j))
            return false;
    return true;
}

/* May this be begun at all?  All that is wrong with it means "none done". */
static bool reservation_ok(const struct vcpu *v, uint32_t op,
                           const struct xen_memory_reservation *r)
{
    const void *list = r->extent_start.p;
    uint32_t bits = XENMEMF_get_address_bits(r->mem_flags);

    if (r->domid != DOMID_SELF && r->domid != v->domain->id)
        return refuse(false, "only a domain's own reservation can be changed");
    if (r->nr_extents > UINT32_MAX >> EXTENT_SHIFT ||
        r->extent_order > ORDER_MAX || (bits && bits <= PAGE_SHIFT))
        return refuse(false, "too many extents, or of no sensible size");
    if (op == XENMEM_increase_reservation && !list)
        return true;
    return guest_range_ok(list, r->nr_extents * sizeof(xen_pfn_t));
}

static long reservation_run(struct vcpu *v, uint32_t op, uint64_t start,
                            const struct xen_memory_reservation *r,
                            extent_function *function)
{
    uint64_t i;

    for (i = start; i < r->nr_extents; i++) {
        xen_pfn_t frame = 0;

        if (i != start && hypercall_preempt_check()) {
            current_regs()->rdi = op | i << EXTENT_SHIFT;
            return hypercall_restart(v);
        }
        if (op != XENMEM_increase_reservation &&
            guest_copy_from_offset(&frame, r->extent_start.p, i,
                                   sizeof(frame)))
            break;
        if (!function(v->domain, r, i, frame))
            break;
    }

    return (long)i;
}

static long reservation(struct vcpu *v, uint32_t op, uint64_t start, void *arg)
{
    static extent_function *const functions[] = {
        [XENMEM_increase_reservation] = extent_increase,
        [XENMEM_decrease_reservation] = extent_decrease,
        [XENMEM_populate_physmap] = extent_populate,
    };
    struct xen_memory_reservation r;

    if (guest_copy_from(&r, arg, sizeof(r)) || start >= r.nr_extents ||
        !reservation_ok(v, op, &r))
        return (long)start;

    return reservation_run(v, op, start, &r, functions[op]);
}

/* ---- Questions. ---- */

static long domain_total(const struct domain *d, uint32_t op)
{
    switch (op) {
    case XENMEM_current_reservation:
        return (long)read_once(&d->nr_pages);
    case XENMEM_maximum_reservation:
        return (long)read_once(&d->max_pages);
    default: { /* XENMEM_maximum_gpfn: the guest says itself */
        uint64_t frames = read_once(&d->shared->arch.max_pfn);

        return frames ? (long)(frames - 1) : 0;
    }
    }
}

static long ask_total(const struct vcpu *v, uint32_t op, const void *arg)
{
    struct xen_memory_domain which;

    if (guest_copy_from(&which, arg, sizeof(which)))
        return -EFAULT;
    if (which.domid == DOMID_SELF || which.domid == v->domain->id)
        return domain_total(v->domain, op);

    struct domain *d = domain_get(which.domid);

    if (!d)
        return -ESRCH;

    long total = v->domain->privileged ? domain_total(d, op) : -EPERM;

    domain_put(d);
    return total;
}

static long machphys_mapping(void *arg)
{
    struct xen_machphys_mapping mapping = {
        .v_start = MACH2PHYS_VIRT_START,
        .v_end = MACH2PHYS_VIRT_END,
        .max_mfn = max_mfn - 1,
    };

    return guest_copy_to(arg, &mapping, sizeof(mapping));
}

/* The frames of each 2 MiB of the M2P, which is contiguous. */
static long machphys_mfn_list(void *arg)
{
    uint64_t extents =
        (max_mfn * sizeof(*m2p) + M2P_EXTENT - 1) / M2P_EXTENT;
    struct xen_machphys_mfn_list list;
    unsigned int i;

    if (guest_copy_from(&list, arg, sizeof(list)))
        return -EFAULT;
    for (i = 0; i < list.max_extents && i < extents; i++) {
        xen_pfn_t mfn = virt_to_mfn(m2p) + i * (M2P_EXTENT / PAGE_SIZE);

        if (guest_copy_to_offset(list.extent_start.p, i, &mfn, sizeof(mfn)))
            return -EFAULT;
    }
    list.nr_extents = i;

    return guest_copy_to(arg, &list, sizeof(list));
}

/* A PV guest's memory is one piece that begins at 0. */
static long memory_map(const struct vcpu *v, void *arg)
{
    struct e820_entry entry = {
        .address = 0,
        .size = v->domain->max_pages << PAGE_SHIFT,
        .type = E820_RAM,
    };
    struct xen_memory_map map;

    if (guest_copy_from(&map, arg, sizeof(map)))
        return -EFAULT;
    if (map.nr_entries > E820_ENTRIES)
        map.nr_entries = E820_ENTRIES;
    if (map.nr_entries &&
        guest_copy_to(map.buffer.p, &entry, sizeof(entry)))
        return -EFAULT;

    return guest_copy_to(arg, &map, sizeof(map));
}

long do_memory_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    uint32_t op = cmd & COMMAND_MASK;
    uint32_t start = cmd >> EXTENT_SHIFT;

    if (op == XENMEM_increase_reservation ||
        op == XENMEM_decrease_reservation || op == XENMEM_populate_physmap)
        return reservation(v, op, start, arg);
    if (start)
        return op == XENMEM_add_to_physmap ? -EACCES : -EINVAL;

    switch (op) {
    case XENMEM_maximum_ram_page:
        return (long)max_mfn;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return ask_total(v, op, arg);
    case XENMEM_machphys_mapping:
        return machphys_mapping(arg);
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(arg);
    case XENMEM_memory_map:
        return memory_map(v, arg);
    case XENMEM_machine_memory_map: /* the firmware's map is nobody's need */
        return v->domain->privileged ? -EOPNOTSUPP : -EPERM;
    case XENMEM_add_to_physmap: /* for translated guests, which there are not */
    case XENMEM_add_to_physmap_batch:
    case XENMEM_remove_from_physmap:
        return -EACCES;
    case XENMEM_exchange:
    case XENMEM_set_memory_map:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}
