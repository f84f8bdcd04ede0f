/*
 * memory_op: how much memory a domain has, and where things are.
 *
 * A domain changes its own reservation only.  Extents of several frames
 * cannot be populated, since the allocator has single frames, which is what
 * a guest sees of a machine whose memory is fragmented.
 */
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/x86/cpu.h"

#include <xen/memory.h>

/* The upper bits of the command count the extents that are done. */
#define EXTENT_SHIFT 6u
#define COMMAND_MASK ((1u << EXTENT_SHIFT) - 1)
#define ORDER_MAX    9u

#define M2P_EXTENT   0x200000u
#define E820_RAM     1u

struct e820_entry {
    uint64_t address, size;
    uint32_t type;
} __attribute__((packed));

/* ---- Reservations. ---- */

/* Tell the guest which frame it got, or take it back. */
static bool extent_publish(struct domain *d, void *list, uint64_t i,
                           struct page *page)
{
    xen_pfn_t mfn = mfn_of(page);

    if (!guest_copy_to_offset(list, i, &mfn, sizeof(mfn)))
        return true;

    if (page_get(page, d)) {
        (void)domain_page_release(d, page);
        page_put(page);
    }
    return false;
}

/* A page that is still mapped or pinned stays what it is until the last such
 * use goes; then it is free. */
static bool extent_release(struct domain *d, mfn_t first, unsigned int order)
{
    bool done = true;

    for (uint64_t i = 0; i < 1ULL << order && done; i++) {
        struct page *page = page_get_mfn(first + i, d);

        if (!page)
            return false;
        done = !(read_once(&page->count) & PAGE_SHARED);
        (void)domain_page_release(d, page);
        page_put(page);
    }
    return done;
}

/* Do extent @i of the guest's list: true if done.  The list has the frames
 * to release, or the guest's numbers of those to populate, and takes those
 * that it got; increase_reservation may do without one. */
static bool extent_do(struct domain *d, uint32_t op,
                      const struct xen_memory_reservation *r, uint64_t i)
{
    bool increase = op == XENMEM_increase_reservation;
    void *list = r->extent_start.p;
    xen_pfn_t number = M2P_INVALID;
    struct page *page;

    if (!increase && guest_copy_from_offset(&number, list, i, sizeof(number)))
        return false;
    if (op == XENMEM_decrease_reservation)
        return extent_release(d, number, r->extent_order);
    page = r->extent_order ? NULL : domain_page_alloc(d);
    if (!page)
        return false;
    write_once(&m2p[mfn_of(page)], number);
    return (increase && !list) || extent_publish(d, list, i, page);
}

/* May this be begun at all?  Only with a domain's own reservation. */
static bool reservation_ok(const struct vcpu *v, uint32_t op,
                           const struct xen_memory_reservation *r)
{
    const void *list = r->extent_start.p;
    uint32_t bits = XENMEMF_get_address_bits(r->mem_flags);

    if (r->domid != DOMID_SELF && r->domid != v->domain->id)
        return false;
    if (r->nr_extents > UINT32_MAX >> EXTENT_SHIFT ||
        r->extent_order > ORDER_MAX || (bits && bits <= PAGE_SHIFT))
        return false;
    return (op == XENMEM_increase_reservation && !list) ||
           guest_range_ok(list, r->nr_extents * sizeof(xen_pfn_t));
}

/* Returns how many are done, also where something is wrong, as on Xen. */
static long reservation(struct vcpu *v, uint32_t op, uint64_t start, void *arg)
{
    struct xen_memory_reservation r;
    uint64_t i;

    if (guest_copy_from(&r, arg, sizeof(r)) || start >= r.nr_extents ||
        !reservation_ok(v, op, &r))
        return (long)start;

    for (i = start; i < r.nr_extents; i++) {
        if (i != start && hypercall_preempt_check(1)) {
            current_regs()->rdi = op | i << EXTENT_SHIFT;
            return hypercall_restart(v);
        }
        if (!extent_do(v->domain, op, &r, i))
            break;
    }
    return (long)i;
}

/* ---- Questions. ---- */

static long domain_total(const struct domain *d, uint32_t op)
{
    /* XENMEM_maximum_gpfn: the guest says itself. */
    uint64_t frames = read_once(&d->shared->arch.max_pfn);

    if (op == XENMEM_current_reservation)
        return (long)read_once(&d->nr_pages);
    if (op == XENMEM_maximum_reservation)
        return (long)read_once(&d->max_pages);
    return frames ? (long)(frames - 1) : 0;
}

static long ask_total(const struct vcpu *v, uint32_t op, const void *arg)
{
    struct xen_memory_domain which;
    struct domain *d;
    long total;

    if (guest_copy_from(&which, arg, sizeof(which)))
        return -EFAULT;
    d = domain_get(which.domid == DOMID_SELF ? v->domain->id : which.domid);
    if (!d)
        return -ESRCH;
    total = d == v->domain || v->domain->privileged ? domain_total(d, op) :
                                                      -EPERM;
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
    map.nr_entries = map.nr_entries != 0;
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
