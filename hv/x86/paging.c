/*
 * The hypervisor's address space: built once at boot, static after.
 *
 * No page is both writable and executable.  The image's text and read-only
 * data are read-only in the direct map too; guards under stacks are simply
 * not mapped.
 */
#include "hv/x86/boot.h"

#include "hv/audit.h"
#include "hv/x86/cpu.h"
#include "hv/x86/pte.h"
#include "lib/string.h"

#define LARGE_PAGE 0x200000u

extern char text_start[], text_end[], rodata_end[], image_end[];

char *directmap;
struct page *frame_table;
mfn_t max_mfn;
uint64_t *m2p;
struct audit_expected *audit_scratch;
uint64_t *hv_l4;
static uint64_t fixmap_next = FIXMAP_BASE;

/* The table below an entry, made if there is none. */
static uint64_t *descend(uint64_t *entry, uint64_t flags)
{
    if (!(*entry & PTE_PRESENT)) {
        void *table = boot_memory_alloc(1);

        *entry = virt_to_mfn(table) << PAGE_SHIFT | PTE_PRESENT | PTE_RW;
    }
    *entry |= flags & PTE_USER;
    return mfn_to_virt(pte_frame(*entry));
}

/* Map one page at level 1, or one large page at level 2. */
static void map(uint64_t va, uint64_t maddr, uint64_t flags, unsigned int level)
{
    uint64_t *table = hv_l4;

    for (unsigned int l = 4; l > level; l--)
        table = descend(&table[pt_index(va, l)], flags);
    table[pt_index(va, level)] =
        maddr | flags | PTE_PRESENT | (level == 2 ? PTE_PSE : 0);
}

/* Permissions of a page of the image, by where it stands. */
static uint64_t image_flags(uint64_t va)
{
    if (va >= (uint64_t)text_start && va < (uint64_t)text_end)
        return 0;
    if (va >= (uint64_t)text_end && va < (uint64_t)rodata_end)
        return PTE_NX;
    return PTE_RW | PTE_NX;
}

/* Small pages where the image is: its text stays read-only here too. */
static void map_direct(uint64_t top)
{
    uint64_t image = (uint64_t)text_start - IMAGE_BASE;
    uint64_t end = (uint64_t)image_end - IMAGE_BASE;

    for (uint64_t m = 0; m < top; m += LARGE_PAGE) {
        if (m + LARGE_PAGE <= image || m >= end) {
            map(DIRECTMAP_BASE + m, m, PTE_RW | PTE_NX, 2);
            continue;
        }
        for (uint64_t p = m; p < m + LARGE_PAGE; p += PAGE_SIZE)
            map(DIRECTMAP_BASE + p, p, image_flags(IMAGE_BASE + p) | PTE_NX,
                1);
    }
}

/* What has an entry of so many bytes for each frame. */
static void *frames_alloc(size_t entry)
{
    return boot_memory_alloc((max_mfn * entry + PAGE_SIZE - 1) / PAGE_SIZE);
}

static void make_frame_tables(void)
{
    max_mfn = boot_memory_top() >> PAGE_SHIFT;
    frame_table = frames_alloc(sizeof(*frame_table));
    audit_scratch = frames_alloc(sizeof(*audit_scratch));
    m2p = frames_alloc(sizeof(*m2p));
    for (mfn_t i = 0; i < max_mfn; i++)
        m2p[i] = M2P_INVALID;
    for (uint64_t o = 0; o < max_mfn * sizeof(*m2p); o += PAGE_SIZE)
        map(M2P_BASE + o, (virt_to_mfn(m2p) << PAGE_SHIFT) + o,
            PTE_USER | PTE_NX, 1);
}

volatile void *paging_map_device(uint64_t maddr)
{
    uint64_t va = fixmap_next;

    fixmap_next += PAGE_SIZE;
    map(va, maddr & ~(uint64_t)(PAGE_SIZE - 1),
        PTE_RW | PTE_NX | PTE_PCD | PTE_PWT, 1);
    return (volatile char *)va + (maddr & (PAGE_SIZE - 1));
}

/* Odd pages are the small stacks, the even ones below them guards. */
static void map_stacks(unsigned int cpu)
{
    uint64_t base = STACKS_BASE + (uint64_t)cpu * STACK_BLOCK_SIZE;

    for (unsigned int page = 1; page < STACK_BLOCK_SIZE / PAGE_SIZE; page++)
        if (page % 2 || page > 8)
            map(base + page * PAGE_SIZE,
                virt_to_mfn(boot_memory_alloc(1)) << PAGE_SHIFT,
                PTE_RW | PTE_NX, 1);
}

void paging_init(void)
{
    /* The boot tables reach 4 GiB; tables come from the lowest memory. */
    hv_l4 = boot_memory_alloc(1);
    for (uint64_t va = (uint64_t)text_start; va < (uint64_t)image_end;
         va += PAGE_SIZE)
        map(va, va - IMAGE_BASE, image_flags(va), 1);
    map_direct(boot_memory_top());
    make_frame_tables();
    for (unsigned int cpu = 0; cpu < acpi.nr_cpus; cpu++)
        map_stacks(cpu);
    map(FIXMAP_BASE, 0, 0, 1); /* makes the tables; entry set on use */
    /* Every slot of ours exists from now on: guests' L4s copy them. */
    for (unsigned int s = HV_SLOT_FIRST; s < HV_SLOT_END; s++)
        if (s != pt_index(PERDOMAIN_BASE, 4))
            descend(&hv_l4[s], 0);

    write_cr3(virt_to_mfn(hv_l4) << PAGE_SHIFT);
    boot_memory_for_each(alloc_add_range);
}

void pagetable_install_hv_slots(uint64_t *l4, struct domain *d)
{
    for (unsigned int s = HV_SLOT_FIRST; s < HV_SLOT_END; s++)
        l4[s] = hv_l4[s];
    l4[pt_index(PERDOMAIN_BASE, 4)] = virt_to_mfn(d->perdomain_l3)
                                          << PAGE_SHIFT |
                                      PTE_PRESENT | PTE_RW | PTE_ACCESSED;
}
