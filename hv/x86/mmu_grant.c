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
