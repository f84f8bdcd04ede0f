/* Which bits a guest may set in page-table entries, and which slots. */
#ifndef X86_PTE_H
#define X86_PTE_H

#include "lib/pte.h"

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

/* L4 slots that Xen's ABI keeps for the hypervisor. */
#define HV_SLOT_FIRST 256u
#define HV_SLOT_END   272u

#endif
