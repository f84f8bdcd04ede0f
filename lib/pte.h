/* Entries of the processor's page tables, level 1 to 4. */
#ifndef LIB_PTE_H
#define LIB_PTE_H

#include <stdint.h>

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
#define PTE_ADDRESS    0x000ffffffffff000ULL

#define PT_ENTRIES 512u

static inline uint64_t pte_frame(uint64_t pte)
{
    return (pte & PTE_ADDRESS) >> 12;
}

/* Which entry of a table of @level leads to @va. */
static inline unsigned int pt_index(uint64_t va, unsigned int level)
{
    return va >> (3 + 9 * level) & (PT_ENTRIES - 1);
}

#endif
