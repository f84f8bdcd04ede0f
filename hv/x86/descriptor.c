/*
 * GDTs and LDTs of guests, and the per-domain area that maps them.
 *
 * What a vCPU's entries of the area map writable, but for the hypervisor's
 * own page, it holds uses of as SEGDESC; entries that map nothing of the
 * guest's show a page of zeros (GDT) or are not present (LDT).
 */
#include "hv/x86/descriptor.h"

#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/boot.h"
#include "hv/x86/cpu.h"
#include "hv/x86/pte.h"

#define GDT_GUEST_PAGES HV_GDT_PAGE
#define GDT_PAGES       16u
#define LDT_PAGES       16u
#define DESCRIPTORS     512u /* a page */
#define LDT_MAX         8192u

/* The CPU sets the accessed bit in descriptors, so guests' are writable. */
#define MAP_RO (PTE_PRESENT | PTE_ACCESSED | PTE_NX)
#define MAP_RW (MAP_RO | PTE_RW | PTE_DIRTY)

static const uint64_t zero_page[DESCRIPTORS] __attribute__((aligned(4096)));

static uint64_t image_page(const void *page, uint64_t flags)
{
    return ((uint64_t)page - IMAGE_BASE) | flags;
}

/* ---- The per-domain area. ---- */

static uint64_t table_entry(const uint64_t *table)
{
    return virt_to_mfn(table) << PAGE_SHIFT |
           (PTE_PRESENT | PTE_RW | PTE_ACCESSED);
}

int arch_domain_init(struct domain *d)
{
    d->perdomain_l3 = alloc_page_memory();
    d->perdomain_l2 = alloc_page_memory();
    if (!d->perdomain_l3 || !d->perdomain_l2)
        return -ENOMEM;
    d->perdomain_l3[0] = table_entry(d->perdomain_l2);
    return 0;
}

void arch_domain_free(struct domain *d)
{
    free_page_memory(d->perdomain_l2);
    free_page_memory(d->perdomain_l3);
}

int descriptor_vcpu_init(struct vcpu *v)
{
    uint64_t *l1 = alloc_page_memory();

    if (!l1)
        return -ENOMEM;
    v->arch.perdomain_l1 = l1;
    v->domain->perdomain_l2[v->id] = table_entry(l1);
    for (unsigned int i = 0; i < GDT_PAGES; i++)
        l1[i] = image_page(zero_page, MAP_RO);
    l1[HV_GDT_PAGE] = image_page(hv_gdt, MAP_RW);
    return 0;
}

/* ---- Pages of the guest's in the area. ---- */

static void frames_put(const mfn_t *frames, unsigned int count)
{
    while (count--)
        page_put_and_type(page_of(frames[count]));
}

/* Show @count frames, and then @empty, in @slots entries from @first on; put
 * what they showed before, when no CPU translates to it any more. */
static void pages_replace(struct vcpu *v, unsigned int first,
                          unsigned int slots, const mfn_t *frames,
                          unsigned int count, uint64_t empty)
{
    uint64_t *entry = v->arch.perdomain_l1 + first;
    unsigned int nr_old = 0;
    mfn_t old[VCPU_PAGES];

    for (unsigned int i = 0; i < slots; i++) {
        if (entry[i] & PTE_RW)
            old[nr_old++] = pte_frame(entry[i]);
        entry[i] = i < count ? frames[i] << PAGE_SHIFT | MAP_RW : empty;
    }
    if (count || nr_old)
        tlb_flush_domain(v->domain);
    frames_put(old, nr_old);
}

/* ---- GDT. ---- */

static int frames_get(struct domain *d, const mfn_t *frames, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        int rc = page_get_and_type(frames[i], d, PAGE_SEGDESC);

        if (!rc)
            continue;
        frames_put(frames, i);
        return rc;
    }
    return 0;
}

static void gdt_replace(struct vcpu *v, const mfn_t *frames, unsigned int count)
{
    pages_replace(v, 0, GDT_GUEST_PAGES, frames, count,
                  image_page(zero_page, MAP_RO));
}

int descriptor_set_gdt(struct vcpu *v, const mfn_t *frames, uint32_t entries)
{
    struct domain *d = v->domain;
    unsigned int count = (entries + DESCRIPTORS - 1) / DESCRIPTORS;

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return -EINVAL;

    spin_lock(&d->pt_lock);
    int rc = frames_get(d, frames, count);

    if (!rc)
        gdt_replace(v, frames, count);
    spin_unlock(&d->pt_lock);

    return rc;
}

long do_set_gdt(struct vcpu *v, void *list, uint32_t entries)
{
    unsigned int count = (entries + DESCRIPTORS - 1) / DESCRIPTORS;
    mfn_t frames[GDT_GUEST_PAGES];

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return refuse(-EINVAL, "a GDT has at most 7168 entries of the guest's");
    if (count && guest_copy_from(frames, list, count * sizeof(frames[0])))
        return -EFAULT;

    return descriptor_set_gdt(v, frames, entries);
}

/* ---- One descriptor. ---- */

long do_update_descriptor(struct vcpu *v, uint64_t maddr, uint64_t descriptor)
{
    struct domain *d = v->domain;

    if (maddr % sizeof(descriptor) || !descriptor_adjust(&descriptor))
        return refuse(-EINVAL, "the descriptor is not aligned or not allowed");

    struct page *page = page_get_mfn(maddr >> PAGE_SHIFT, d);

    if (!page)
        return -EINVAL;

    spin_lock(&d->pt_lock);
    uint64_t type = read_once(&page->type) & PAGE_TYPE_MASK;
    int rc = page_get_type(page, type == PAGE_SEGDESC ? type : PAGE_WRITABLE);

    if (!rc) {
        char *frame = mfn_to_virt(mfn_of(page));

        write_once((uint64_t *)(frame + maddr % PAGE_SIZE), descriptor);
        page_put_type(page);
    }
    spin_unlock(&d->pt_lock);
    page_put(page);

    return rc;
}

/* ---- LDT. ---- */

int descriptor_set_ldt(struct vcpu *v, uint64_t base, uint32_t entries)
{
    struct arch_vcpu *a = &v->arch;

    if (entries > LDT_MAX ||
        (entries && (base % PAGE_SIZE || !guest_address_ok(base))))
        return refuse(-EINVAL,
                      "an LDT is page-aligned and has at most 8192 entries");
    if (a->ldt_base == base && a->ldt_entries == entries)
        return 0;

    spin_lock(&v->domain->pt_lock);
    descriptor_unmap_ldt(v);
    spin_unlock(&v->domain->pt_lock);
    a->ldt_base = base;
    a->ldt_entries = entries;
    cpu_load_ldt(v);

    return 0;
}

void descriptor_unmap_ldt(struct vcpu *v)
{
    pages_replace(v, GDT_PAGES, LDT_PAGES, NULL, 0, 0);
}

static bool in_ldt(const struct vcpu *v, uint64_t address)
{
    uint64_t ldt = vcpu_ldt_address(v->id);

    return address >= ldt && address - ldt < v->arch.ldt_entries * 8ULL;
}

uint64_t descriptor_guest_address(const struct vcpu *v, uint64_t address)
{
    if (!in_ldt(v, address))
        return address;
    return v->arch.ldt_base + (address - vcpu_ldt_address(v->id));
}

/* The frame that the guest's kernel has at @va, with a use as SEGDESC; 0 if
 * there is none. */
static mfn_t ldt_frame_get(struct vcpu *v, uint64_t va)
{
    const uint64_t *pte = pagetable_walk_from(v->arch.kernel_table, va);
    uint64_t entry = pte ? read_once(pte) : 0;

    if (!(entry & PTE_PRESENT) ||
        page_get_and_type(pte_frame(entry), v->domain, PAGE_SEGDESC))
        return 0;
    return pte_frame(entry);
}

bool descriptor_map_ldt(struct vcpu *v, uint64_t address)
{
    if (!in_ldt(v, address))
        return false;

    struct domain *d = v->domain;
    uint64_t va = descriptor_guest_address(v, address);
    uint64_t *entry = v->arch.perdomain_l1 + GDT_PAGES +
                      (address - vcpu_ldt_address(v->id)) / PAGE_SIZE;

    spin_lock(&d->pt_lock);
    mfn_t mfn = *entry ? 0 : ldt_frame_get(v, va);

    if (mfn)
        *entry = mfn << PAGE_SHIFT | MAP_RW;
    spin_unlock(&d->pt_lock);

    return mfn != 0;
}

/* ---- The end of a vCPU. ---- */

/* It stays whole: domain_pages_relinquish() takes it apart in steps. */
static void table_leave(mfn_t *table)
{
    if (*table)
        pagetable_leave(page_of(*table));
    *table = 0;
}

void arch_vcpu_release(struct vcpu *v)
{
    struct arch_vcpu *a = &v->arch;
    struct domain *d = v->domain;

    /* Events that still come must not go into a page we let go of. */
    if (a->info_frame) {
        write_once(&v->evtchn.info, &d->shared->vcpu_info[v->id]);
        page_put_and_type(page_of(a->info_frame));
        a->info_frame = 0;
    }

    spin_lock(&d->pt_lock);
    descriptor_unmap_ldt(v);
    gdt_replace(v, NULL, 0);
    a->ldt_entries = 0;
    table_leave(&a->user_table);
    table_leave(&a->kernel_table);
    spin_unlock(&d->pt_lock);
}
