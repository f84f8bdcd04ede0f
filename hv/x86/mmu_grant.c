/* The entries of grant mappings that are named by their machine address. */
#include "hv/x86/mmu_grant.h"

uint64_t *grant_slot_at(const struct domain *d, uint64_t maddr)
{
    mfn_t mfn = maddr >> PAGE_SHIFT;

    if (maddr % sizeof(uint64_t) || !mfn_is_ram(mfn) ||
        read_once(&page_of(mfn)->owner) != d ||
        pagetable_level(page_of(mfn)) != 1)
        return NULL;

    return (uint64_t *)(directmap + maddr);
}

/* Also in a table that is half taken apart, since it may be completed again. */
bool mmu_grant_take(const struct domain *d, uint64_t pte_maddr, uint64_t pte)
{
    struct page *table = page_of(pte_maddr >> PAGE_SHIFT);
    uint64_t *slot = (uint64_t *)(directmap + pte_maddr);
    bool taken;

    if (!page_get(table, d))
        return false;
    taken = pagetable_holds(table, pte_maddr % PAGE_SIZE / sizeof(*slot)) &&
            ((read_once(slot) ^ pte) & GRANT_LOOK) == 0;
    if (taken)
        (void)atomic_xchg(slot, 0);
    page_put(table);
    return taken;
}
