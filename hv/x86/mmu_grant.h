/*
 * The page-table entries of grant mappings: put in place, checked, taken out.
 *
 * The entry's reference is the grant's: the caller has taken the reference
 * (and the use as writable) of the frame, and an unmap gives them back to the
 * caller; if the guest overwrites the entry itself, that puts them.  An entry
 * is the grant's own only as long as the guest leaves it alone, so it is
 * compared with what the grant says before anything is undone.
 *
 * @v is the current vCPU, and @d its domain, whose pt_lock is held.
 */
#ifndef X86_MMU_GRANT_H
#define X86_MMU_GRANT_H

#include "hv/domain.h"
#include "hv/refused.h"
#include "hv/x86/page.h"
#include "hv/x86/pte.h"

#include <xen/grant_table.h>

/* The entry of a grant mapping with these GNTMAP_*; NX as on Xen. */
static inline uint64_t grant_pte(uint64_t frame, uint32_t flags)
{
    uint64_t avail = flags >> (_GNTMAP_guest_avail0 - 9) & PTE_AVAIL;
    uint64_t readonly = flags >> 1 & PTE_RW;

    _Static_assert(GNTMAP_readonly >> 1 == PTE_RW, "a shift, and no branch");
    return (frame << PAGE_SHIFT | avail | PTE_NX | PTE_DIRTY | PTE_ACCESSED |
            PTE_USER | PTE_PRESENT | PTE_RW) ^ readonly;
}

/* An entry and a grant's are the same mapping if these are. */
#define GRANT_LOOK (PTE_ADDRESS | PTE_RW | PTE_PRESENT)

/* The entry at this machine address, if it is in an L1 table of @d's. */
uint64_t *grant_slot_at(const struct domain *d, uint64_t maddr);

/* The L1 entry that @addr names: a virtual address of the current guest, or
 * the machine address of an entry.  NULL if it is none of the guest's. */
static inline uint64_t *grant_slot(struct vcpu *v, struct domain *d,
                                   uint64_t addr, bool contains_pte)
{
    if (contains_pte)
        return grant_slot_at(d, addr);
    return pagetable_walk_again(&d->walk, v->arch.kernel_table, addr);
}

/* False: there is no such entry.  *@pte_maddr: where it stands. */
static inline bool mmu_grant_map(struct vcpu *v, struct domain *d,
                                 uint64_t addr, bool contains_pte, uint64_t pte,
                                 uint64_t *pte_maddr)
{
    uint64_t *slot = grant_slot(v, d, addr, contains_pte);

    if (__builtin_expect(slot == NULL, 0))
        return refuse(false, "the address has no L1 entry of the guest's");
    *pte_maddr = (uint64_t)((char *)slot - directmap);
    if (__builtin_expect(read_once(slot) & PTE_PRESENT, 0))
        pagetable_replace(d, slot, pte);
    else
        write_once(slot, pte);
    return true;
}

/* The entry of another mapping stays where its record says. */
static inline bool grant_is_foreign(const struct domain *d, uint64_t entry)
{
    return (entry & PTE_PRESENT) &&
           read_once(&page_of(pte_frame(entry))->owner) != d;
}

/* A revocation's: empty the entry at @pte_maddr if it is still the one that a
 * mapping of @pte made; false if not.  @d is any domain, with its pt_lock; the
 * rest is as in mmu_grant_unmap(). */
bool mmu_grant_take(const struct domain *d, uint64_t pte_maddr, uint64_t pte);

/* False, and nothing changes, unless the entry maps the frame of @pte, to
 * write or not as that does.  @new_addr: 0, or the virtual address whose entry
 * moves here.  The caller flushes the TLB before it gives anything back. */
static inline bool mmu_grant_unmap(struct vcpu *v, struct domain *d,
                                   uint64_t addr, bool contains_pte,
                                   uint64_t pte, uint64_t new_addr)
{
    uint64_t *slot = grant_slot(v, d, addr, contains_pte);
    uint64_t *from = new_addr ? grant_slot(v, d, new_addr, false) : NULL;

    if (slot == NULL || ((read_once(slot) ^ pte) & GRANT_LOOK) != 0 ||
        (new_addr && (contains_pte || from == NULL || from == slot)))
        return refuse(false, "no entry at this address maps the grant");
    if (new_addr && grant_is_foreign(d, read_once(from)))
        return refuse(false, "the entry to move is a grant's itself");
    write_once(slot, from ? atomic_xchg(from, 0) : 0);
    return true;
}

#endif
