/* Bits of page-table entries, and which of them a guest may set. */
#ifndef X86_PTE_H
#define X86_PTE_H

#include <stdint.h>

#include "hv/x86/layout.h"

#define PTE_PRESENT    (1ULL << 0)
#define PTE_RW         (1ULL << 1)
#define PTE_USER       (1ULL << 2)
#define PTE_PWT        (1ULL << 3)
#define PTE_PCD        (1ULL << 4)
#define PTE_ACCESSED   (1ULL << 5)
#define PTE_DIRTY      (1ULL << 6)
#define PTE_PSE        (1ULL << 7) /* in an L1 entry: PAT */
#define PTE_GLOBAL     (1ULL << 8)
#define PTE_AVAIL      (7ULL << 9)
#define PTE_AVAIL_HIGH (0x7ffULL << 52)
#define PTE_NX         (1ULL << 63)

#define PTE_ADDRESS 0x000ffffffffff000ULL
#define PT_ENTRIES     512u

/* Cache attributes other than write-back are refused on RAM: memory and
 * caches could then disagree about what was validated. */
#define PTE_CACHE_BITS (PTE_PWT | PTE_PCD | PTE_PSE)

/* The guest's GLOBAL is ignored in an L1 entry (no entry of a guest is ever
 * global), and means nothing the ABI allows above. */
#define L1_FORBIDDEN    PTE_CACHE_BITS
#define UPPER_FORBIDDEN (PTE_CACHE_BITS | PTE_GLOBAL)

/* An L1 entry may change in these alone without changing what it refers to
 * or permits.  A list of what is harmless, not of what is not (XSA-182). */
#define L1_HARMLESS                                                            \
    (PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL | PTE_AVAIL |            \
     PTE_AVAIL_HIGH | PTE_NX)

static inline uint64_t pte_frame(uint64_t pte)
{
    return (pte & PTE_ADDRESS) >> PAGE_SHIFT;
}

static inline unsigned int pt_index(uint64_t va, unsigned int level)
{
    return va >> (PAGE_SHIFT + 9 * (level - 1)) & (PT_ENTRIES - 1);
}

/* L4 slots that Xen's ABI keeps for the hypervisor. */
#define HV_SLOT_FIRST 256u
#define HV_SLOT_END   272u

static inline int l4_slot_is_hv(unsigned int slot)
{
    return slot >= HV_SLOT_FIRST && slot < HV_SLOT_END;
}

#endif
