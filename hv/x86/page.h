/*
 * The frame table: who owns each machine frame, what it is used as, and how
 * many references and uses there are.  Changed by compare-and-swap.
 *
 * count: PAGE_ALLOCATED is the owner's own reference (counted as one);
 * every PTE, pin, grant mapping and registration adds one.  At 0 the frame
 * is scrubbed and freed, after a TLB flush of its owner's CPUs.
 *
 * type: what the frame is used as, with a count of such uses.  A frame with
 * a use as PAGE_WRITABLE is never a page table or a descriptor page at the
 * same time.  The type may change only while its count is 0; becoming a page
 * table or a descriptor page validates the contents (pagetable.c), after a
 * TLB flush if the old type was writable (M6, M22 in docs/security.md).
 *
 * Rules: take the reference before the type, drop the type before the
 * reference.  The page-table lock of the owner (domain.pt_lock) guards the
 * contents of page tables and all changes between page-table types.
 */
#ifndef X86_PAGE_H
#define X86_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/x86/layout.h"
#include "lib/errno.h"

struct domain;
struct vcpu;

typedef uint64_t mfn_t;
#define INVALID_MFN (~(mfn_t)0)

/* count */
#define PAGE_ALLOCATED  (1ULL << 63)
#define PAGE_COUNT_MASK ((1ULL << 32) - 1)

/* type */
#define PAGE_NONE       (0ULL << 60)
#define PAGE_L1         (1ULL << 60)
#define PAGE_L2         (2ULL << 60)
#define PAGE_L3         (3ULL << 60)
#define PAGE_L4         (4ULL << 60)
#define PAGE_SEGDESC    (5ULL << 60)
#define PAGE_WRITABLE   (7ULL << 60)
#define PAGE_TYPE_MASK  (7ULL << 60)
#define PAGE_PINNED     (1ULL << 59) /* one use of the type is a pin */
#define PAGE_VALIDATED  (1ULL << 58) /* contents checked for the type */
#define PAGE_TYPE_COUNT_MASK ((1ULL << 32) - 1)

struct page {
    uint64_t count;
    uint64_t type;
    struct domain *owner; /* NULL: free, or the hypervisor's */
    uint32_t next, prev;  /* frame numbers: the owner's list or the free list */
};
_Static_assert(sizeof(struct page) == 32, "one frame-table entry");

extern struct page *frame_table; /* indexed by machine frame number */
extern mfn_t max_mfn;            /* entries in frame_table */
extern uint64_t *m2p;            /* max_mfn entries, our writable view */
extern char *directmap;          /* machine address 0, our view; const after
                                    boot.  Host tests point it at an arena */

#define M2P_INVALID (~0ULL)

static inline void *mfn_to_virt(mfn_t mfn)
{
    return directmap + (mfn << PAGE_SHIFT);
}

static inline mfn_t virt_to_mfn(const void *va)
{
    return (mfn_t)((const char *)va - directmap) >> PAGE_SHIFT;
}

static inline struct page *page_of(mfn_t mfn)
{
    return &frame_table[mfn];
}

static inline mfn_t mfn_of(const struct page *page)
{
    return (mfn_t)(page - frame_table);
}

/* RAM that the allocator manages or managed at boot: it may be in page_of(). */
bool mfn_is_ram(mfn_t mfn);

/* ---- alloc.c: free frames, one list, single frames only. ---- */

/* At boot: give frames [first, end) to the allocator. */
void alloc_add_range(mfn_t first, mfn_t end);
/* A zeroed frame owned by the hypervisor, or NULL. */
struct page *page_alloc(void);
/* The same as memory: page_alloc()'s address in the direct map, or NULL. */
void *alloc_page_memory(void);
/* Scrub and free a frame of the hypervisor's. */
void page_free(struct page *page);
void free_page_memory(void *va);
uint64_t alloc_free_pages(void);
uint64_t alloc_total_pages(void);

/* ---- page.c: ownership, references, types. ---- */

/* Allocate a zeroed frame and give it to the domain (reference: its own).
 * NULL if none is free or the domain is at max_pages or dying. */
struct page *domain_page_alloc(struct domain *d);
/* Give a frame of the hypervisor's to the domain without counting it in
 * tot_pages (shared_info, grant frames): owner set, type WRITABLE with one
 * use, so that it is never a page table.  page_unshare() takes it back. */
void page_share(struct page *page, struct domain *d);
void page_unshare(struct page *page);
/* Drop the owner's own reference; false if it had been dropped before. */
bool domain_page_release(struct domain *d, struct page *page);

/* Take a reference if the frame is allocated and owned by @d. */
bool page_get(struct page *page, const struct domain *d);
void page_put(struct page *page);

/*
 * Add a use as @type.  The caller holds a reference.  0; -EINVAL the frame
 * has uses as something else or its contents are not valid; -ERESTART asks
 * for the hypercall to be started again, the progress is kept.
 * For page-table types the owner's pt_lock is held.
 */
int page_get_type(struct page *page, uint64_t type);
void page_put_type(struct page *page);

/* page_get and page_get_type together; undone together on failure. */
int page_get_and_type(struct page *page, struct domain *d, uint64_t type);
void page_put_and_type(struct page *page);

/* ---- pagetable.c: what may stand in a page table. ---- */

/* Contents of a frame that becomes a page table or a descriptor page.
 * Called by page.c only, with pt_lock held. */
int pagetable_validate(struct page *page, uint64_t type);
void pagetable_devalidate(struct page *page, uint64_t type);

/*
 * Write one entry of a validated page table of level @level (1 to 4) on
 * behalf of @v: get what the new value refers to, store, put what the old
 * one referred to.  pt_lock held.  @preserve_ad keeps the accessed and dirty
 * bits (MMU_PT_UPDATE_PRESERVE_AD).  0 or -EINVAL.
 */
int pagetable_set(struct vcpu *v, struct page *table, unsigned int level,
                  unsigned int index, uint64_t entry, bool preserve_ad);

/* The L1 entry that maps @va in the current kernel or user tables of @v,
 * seen through the direct map, with its table in *@table; NULL if an upper
 * level is not present.  pt_lock held. */
uint64_t *pagetable_walk(struct vcpu *v, uint64_t va, struct page **table);

/* Take every type and reference that a dying domain's page tables hold
 * apart, and release its frames.  Returns true when done. */
bool domain_pages_relinquish(struct domain *d);

/*
 * Grant mappings (hv/grant.c).  The PTE's reference is the grant's: the
 * caller has taken reference (and type WRITABLE, if writable) of the frame,
 * and an explicit unmap gives them back to the caller; if the guest
 * overwrites the PTE itself, the PTE's put drops them.  Return GNTST_*.
 *
 * @addr: a virtual address of the current guest, or with contains_pte the
 * machine address of the PTE.  *@pte_maddr: where the PTE stands.
 */
int16_t mmu_grant_map(struct vcpu *v, uint64_t addr, bool contains_pte,
                      uint64_t pte, uint64_t *pte_maddr);
/* The PTE must map @mfn with the RW bit equal to @writable, else
 * GNTST_general_error and nothing changes.  @new_addr: 0, or the virtual
 * address whose PTE moves here (unmap_and_replace). */
int16_t mmu_grant_unmap(struct vcpu *v, uint64_t addr, bool contains_pte,
                        mfn_t mfn, bool writable, uint64_t new_addr);

/* ---- hooks of this module: the machine, or a host test. ---- */

/* No CPU keeps a stale translation made by the tables of @d. */
void tlb_flush_domain(struct domain *d);
/* The same for one page. */
void tlb_flush_domain_page(struct domain *d, uint64_t va);
/* Fill slots 256-271 of a guest L4 that has just been validated. */
void pagetable_install_hv_slots(uint64_t *l4, struct domain *d);
/* Why a call is being refused (hv/refused.h); text is static. */
void refuse_reason(const char *text);

#endif
