/*
 * The page-table entries of grant mappings: put in place, checked, taken out.
 *
 * An entry is the grant's own only as long as the guest leaves it alone, so
 * it is compared with what the grant says before anything is undone.
 */
#include "hv/domain.h"
#include "hv/x86/page.h"
#include "hv/x86/pte.h"

#include <xen/grant_table.h>

/* The L1 entry that @addr names, by machine or virtual address; NULL if it is
 * none of the guest's.  pt_lock held, which keeps its table what it is. */
static uint64_t *grant_slot(struct vcpu *v, uint64_t addr, bool contains_pte)
{
    mfn_t mfn = addr >> PAGE_SHIFT;

    if (!contains_pte)
        return pagetable_walk(v, addr);
    if (addr % sizeof(uint64_t) || !mfn_is_ram(mfn) ||
        read_once(&page_of(mfn)->owner) != v->domain ||
        pagetable_level(page_of(mfn)) != 1)
        return NULL;

    return (uint64_t *)((char *)mfn_to_virt(mfn) + addr % PAGE_SIZE);
}

int16_t mmu_grant_map(struct vcpu *v, uint64_t addr, bool contains_pte,
                      uint64_t pte, uint64_t *pte_maddr)
{
    struct domain *d = v->domain;

    spin_lock(&d->pt_lock);
    uint64_t *slot = grant_slot(v, addr, contains_pte);

    if (slot) {
        *pte_maddr = (uint64_t)((char *)slot - directmap);
        pagetable_replace(d, slot, pte | PTE_USER);
    }
    spin_unlock(&d->pt_lock);

    if (!slot)
        refuse_reason("the address has no L1 entry of the guest's");
    return slot ? GNTST_okay : GNTST_general_error;
}

static bool maps(uint64_t pte, mfn_t mfn, bool writable)
{
    return (pte & PTE_PRESENT) && pte_frame(pte) == mfn &&
           !(pte & PTE_RW) == !writable;
}

/* Check all, then change. */
static int grant_unmap(struct vcpu *v, uint64_t addr, bool contains_pte,
                       mfn_t mfn, bool writable, uint64_t new_addr)
{
    uint64_t *slot = grant_slot(v, addr, contains_pte);
    uint64_t *from = new_addr ? pagetable_walk(v, new_addr) : NULL;

    if (!slot || !maps(read_once(slot), mfn, writable))
        return GNTST_general_error;
    if (new_addr && (contains_pte || !from || from == slot))
        return GNTST_general_error;

    write_once(slot, from ? atomic_xchg(from, 0) : 0);
    /* All of it: the table may be mapped at other addresses as well. */
    tlb_flush_domain(v->domain);
    return GNTST_okay;
}

int16_t mmu_grant_unmap(struct vcpu *v, uint64_t addr, bool contains_pte,
                        mfn_t mfn, bool writable, uint64_t new_addr)
{
    spin_lock(&v->domain->pt_lock);
    int rc = grant_unmap(v, addr, contains_pte, mfn, writable, new_addr);

    spin_unlock(&v->domain->pt_lock);
    if (rc)
        refuse_reason("the entry at this address does not map the grant");
    return (int16_t)rc;
}
