/*
 * The guest's view of its own page tables: walk them, name their entries.
 *
 * Every table lies in the guest's own memory, which is mapped linearly from
 * the address that pfn 0 has, so a machine frame leads to an address through
 * the hypervisor's machine-to-physical table.
 */
#ifndef TEST_TABLES_H
#define TEST_TABLES_H

#include "lib/pte.h"
#include "tests/guest/test.h"

#define PTE_TABLE (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED)

static const volatile uint64_t *const m2p_table =
    (const uint64_t *)HYPERVISOR_VIRT_START;

static inline void *own_mfn_to_virt(uint64_t mfn)
{
    uint64_t base_mfn = virt_to_mfn((void *)guest.start->pt_base);
    uint64_t base = guest.start->pt_base -
                    (m2p_table[base_mfn] << PAGE_SHIFT);

    return (void *)(base + (m2p_table[mfn] << PAGE_SHIFT));
}

/* Is it a frame that the builder or populate gave us? */
static inline bool mfn_is_own(uint64_t mfn, uint64_t max_mfn)
{
    const uint64_t *list = (const uint64_t *)guest.start->mfn_list;
    uint64_t pfn;

    if (mfn >= max_mfn)
        return false;
    pfn = m2p_table[mfn];
    return pfn < guest.start->nr_pages && list[pfn] == mfn;
}

/* The entry of @level that leads to @va, or NULL. */
static inline uint64_t *table_entry(const void *address, unsigned int level)
{
    uint64_t va = (uint64_t)address;
    uint64_t *table = (uint64_t *)guest.start->pt_base;

    for (unsigned int at = 4; at > level; at--) {
        uint64_t entry = table[pt_index(va, at)];

        if (!(entry & PTE_PRESENT))
            return NULL;
        table = own_mfn_to_virt(pte_frame(entry));
    }
    return &table[pt_index(va, level)];
}

/* The machine address of a word of own memory. */
static inline uint64_t virt_to_maddr(const void *va)
{
    return virt_to_mfn(va) << PAGE_SHIFT | ((uint64_t)va & (PAGE_SIZE - 1));
}

/* Write one entry through mmu_update: 0 or -Exxx. */
static inline long write_entry(const uint64_t *entry, uint64_t value)
{
    struct mmu_update req = { .ptr = virt_to_maddr(entry), .val = value };

    return hypercall_mmu_update(&req, 1, NULL, DOMID_SELF);
}

static inline long mmuext_mfn(unsigned int cmd, uint64_t mfn)
{
    struct mmuext_op op = { .cmd = cmd };

    op.arg1.mfn = mfn;
    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static inline long mmuext_va(unsigned int cmd, uint64_t va)
{
    struct mmuext_op op = { .cmd = cmd };

    op.arg1.linear_addr = va;
    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

/* Map an own page again with these rights (0: not present). */
static inline long page_protect(const void *page, uint64_t mfn, uint64_t bits)
{
    uint64_t pte = bits ? mfn << PAGE_SHIFT | bits : 0;

    return hypercall_update_va_mapping(page, pte, UVMF_INVLPG);
}

#define PAGE_READ  (PTE_PRESENT | PTE_USER)
#define PAGE_WRITE (PTE_PRESENT | PTE_USER | PTE_RW)

#endif
