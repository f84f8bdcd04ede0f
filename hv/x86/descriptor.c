/*
 * GDTs and LDTs of guests, and the per-domain area that maps them.
 *
 * What a vCPU's 32 entries of the area map, it holds uses of as SEGDESC;
 * entries that map nothing of the guest's show a page of zeros (GDT) or are
 * not present (LDT).
 */
#include "hv/x86/descriptor.h"

#include "hv/domain.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/boot.h"
#include "hv/x86/cpu.h"
#include "hv/x86/pte.h"

#define VCPU_PAGES      32u /* of the per-domain area */
#define GDT_GUEST_PAGES 14u
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

static uint64_t frame_entry(mfn_t mfn, uint64_t flags)
{
    return mfn << PAGE_SHIFT | flags;
}

/* ---- The per-domain area. ---- */

static void area_link(uint64_t *table, unsigned int slot, const void *below)
{
    table[slot] = frame_entry(virt_to_mfn(below),
                              PTE_PRESENT | PTE_RW | PTE_ACCESSED);
}

static void *area_below(const uint64_t *table, unsigned int slot)
{
    return table[slot] ? mfn_to_virt(pte_frame(table[slot])) : NULL;
}

/* A table below @table, made if there is none. */
static void *area_extend(uint64_t *table, unsigned int slot)
{
    void *below = area_below(table, slot);

    if (!below) {
        below = alloc_page_memory();
        if (below)
            area_link(table, slot, below);
    }
    return below;
}

int arch_domain_init(struct domain *d)
{
    d->perdomain_l3 = alloc_page_memory();
    if (!d->perdomain_l3)
        return -ENOMEM;

    uint64_t *l2 = area_extend(d->perdomain_l3, 0);

    for (unsigned int i = 0; l2 && i < MAX_VCPUS * VCPU_PAGES / PT_ENTRIES; i++)
        if (!area_extend(l2, i))
            l2 = NULL;
    if (!l2) {
        arch_domain_free(d);
        return -ENOMEM;
    }

    return 0;
}

void arch_domain_free(struct domain *d)
{
    if (!d->perdomain_l3)
        return;

    uint64_t *l2 = area_below(d->perdomain_l3, 0);

    for (unsigned int i = 0; l2 && i < PT_ENTRIES && l2[i]; i++)
        free_page_memory(area_below(l2, i));
    if (l2)
        free_page_memory(l2);
    free_page_memory(d->perdomain_l3);
    d->perdomain_l3 = NULL;
}

void descriptor_vcpu_init(struct vcpu *v)
{
    const uint64_t *l2 = area_below(v->domain->perdomain_l3, 0);
    unsigned int first = v->id * VCPU_PAGES;
    uint64_t *l1 = area_below(l2, first / PT_ENTRIES);

    l1 += first % PT_ENTRIES;
    for (unsigned int i = 0; i < GDT_PAGES; i++)
        l1[i] = image_page(zero_page, MAP_RO);
    l1[GDT_GUEST_PAGES] = image_page(hv_gdt, MAP_RW);
    v->arch.perdomain_l1 = l1;
}

/* ---- GDT. ---- */

/* Put the guest's GDT frames; no CPU translates to them any more. */
static void frames_put(const mfn_t *frames, unsigned int count)
{
    while (count--)
        page_put_and_type(page_of(frames[count]));
}

static int frames_get(struct domain *d, const mfn_t *frames, unsigned int count)
{
    for (unsigned int i = 0; i < count; i++) {
        if (mfn_is_ram(frames[i]) &&
            !page_get_and_type(page_of(frames[i]), d, PAGE_SEGDESC))
            continue;
        frames_put(frames, i);
        return -EINVAL;
    }
    return 0;
}

/* Show the new frames to the CPU in place of the old ones, then put those. */
static void gdt_replace(struct vcpu *v, const mfn_t *frames, unsigned int count,
                        uint32_t entries)
{
    struct arch_vcpu *a = &v->arch;
    unsigned int old_count = a->nr_gdt_frames;
    mfn_t old[GDT_GUEST_PAGES];

    for (unsigned int i = 0; i < GDT_GUEST_PAGES; i++) {
        old[i] = a->gdt_frame[i];
        a->gdt_frame[i] = i < count ? frames[i] : 0;
        a->perdomain_l1[i] = i < count ? frame_entry(frames[i], MAP_RW)
                                       : image_page(zero_page, MAP_RO);
    }
    a->nr_gdt_frames = count;
    a->gdt_entries = entries;

    tlb_flush_domain(v->domain);
    frames_put(old, old_count);
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
        gdt_replace(v, frames, count, entries);
    spin_unlock(&d->pt_lock);

    return rc;
}

long do_set_gdt(struct vcpu *v, void *list, uint32_t entries)
{
    unsigned int count = (entries + DESCRIPTORS - 1) / DESCRIPTORS;
    mfn_t frames[GDT_GUEST_PAGES];

    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return refuse(-EINVAL, "a GDT has at most 7168 entries of the guest's");
    if (guest_copy_from(frames, list, count * sizeof(frames[0])))
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
        (entries && (base % PAGE_SIZE || !guest_va_ok(base))))
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
    uint64_t *ldt = v->arch.perdomain_l1 + GDT_PAGES;
    mfn_t mapped[LDT_PAGES];
    unsigned int count = 0;

    for (unsigned int i = 0; i < LDT_PAGES; i++) {
        if (ldt[i] & PTE_PRESENT)
            mapped[count++] = pte_frame(ldt[i]);
        ldt[i] = 0;
    }
    if (!count)
        return;

    tlb_flush_domain(v->domain);
    frames_put(mapped, count);
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

/* The frame that the guest's kernel has at @va, with a use as SEGDESC. */
static struct page *ldt_page_get(struct vcpu *v, uint64_t va)
{
    struct page *table;
    const uint64_t *pte = pagetable_walk_from(v->arch.kernel_table, va, &table);
    uint64_t entry = pte ? read_once(pte) : 0;

    if (!(entry & PTE_PRESENT))
        return NULL;

    struct page *page = page_of(pte_frame(entry));

    return page_get_and_type(page, v->domain, PAGE_SEGDESC) ? NULL : page;
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
    struct page *page = *entry ? NULL : ldt_page_get(v, va);

    if (page)
        *entry = frame_entry(mfn_of(page), MAP_RW);
    spin_unlock(&d->pt_lock);

    return page != NULL;
}

/* ---- The end of a vCPU. ---- */

static void table_put(mfn_t *table)
{
    if (*table)
        page_put_and_type(page_of(*table));
    *table = 0;
}

void arch_vcpu_release(struct vcpu *v)
{
    struct arch_vcpu *a = &v->arch;
    struct domain *d = v->domain;

    /* Events that still come must not go into a page we let go of. */
    if (mfn_is_ram(a->info_frame)) {
        write_once(&v->evtchn.info, &d->shared->vcpu_info[v->id]);
        page_put_and_type(page_of(a->info_frame));
        a->info_frame = INVALID_MFN;
    }

    spin_lock(&d->pt_lock);
    if (a->perdomain_l1) {
        descriptor_unmap_ldt(v);
        gdt_replace(v, NULL, 0, 0);
    }
    a->ldt_entries = 0;
    table_put(&a->user_table);
    table_put(&a->kernel_table);
    spin_unlock(&d->pt_lock);
}
