/*
 * The frame table: who owns each machine frame, what it is used as, and how
 * many references and uses there are.  Changed by compare-and-swap.
 *
 * count: PAGE_ALLOCATED is the owner's own reference (counted as one);
 * every PTE, pin, grant mapping and registration adds one.  At 0 the frame
 * is scrubbed and freed, after a TLB flush of its owner's CPUs.  A domain
 * that maps somebody else's frame is flushed before its reference is dropped,
 * so the owner's flush is enough.
 *
 * type: what the frame is used as, with a count of such uses.  A frame with
 * a use as PAGE_WRITABLE is never a page table or a descriptor page at the
 * same time.  The type may change only while its count is 0, and each change
 * is followed by a TLB flush of the owner (M6, M22 in docs/security.md): a
 * stale writable translation could change a table after its validation, and
 * a stale paging-structure entry could walk a former table that the guest
 * now writes.  The flush comes when the new type is already in place, which
 * keeps other uses out, and before the contents are looked at.
 *
 * Rules: take the reference before the type, drop the type before the
 * reference.  The page-table lock of the owner (domain.pt_lock) guards the
 * contents of page tables and all changes between page-table types.
 */
#ifndef X86_PAGE_H
#define X86_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/x86/layout.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/pte.h"

struct domain;
struct vcpu;

typedef uint64_t mfn_t;

/* Why a call is being refused (hv/refused.h); text is static. */
void refuse_reason(const char *text);

/* count */
#define PAGE_ALLOCATED  (1ULL << 63)
#define PAGE_RAM        (1ULL << 62) /* the allocator's, since boot */
#define PAGE_UNSCRUBBED (1ULL << 61) /* free, never handed out since boot */
#define PAGE_SHARED     (1ULL << 60) /* the hypervisor's, see page_share() */
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
#define PAGE_LOOSE      (1ULL << 58) /* one use is nobody's: pagetable.c */
#define PAGE_HOLDS      (PAGE_PINNED | PAGE_LOOSE)
#define PAGE_VALIDATED  (1ULL << 57) /* a page table, complete */
#define PAGE_TAKEN_SHIFT 47          /* entries that hold what they name */
#define PAGE_TAKEN_MASK (1023ULL << PAGE_TAKEN_SHIFT)
#define PAGE_TYPE_COUNT_MASK ((1ULL << 32) - 1)

struct page {
    uint64_t count;
    uint64_t type;
    struct domain *owner; /* NULL: free, or the hypervisor's */
    uint32_t next, prev;  /* frame numbers: the owner's list (circular) or
                             the free list (next alone, 0 at the end) */
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

/* At boot: give frames [first, end) to the allocator.  Frame 0 is left out:
 * it stands for "none". */
void alloc_add_range(mfn_t first, mfn_t end);
/* A zeroed frame owned by the hypervisor, or NULL. */
struct page *page_alloc(void);
/* The same as memory: page_alloc()'s address in the direct map, or NULL. */
void *alloc_page_memory(void);
/* Scrub and free a frame of the hypervisor's.  If a peer still holds a
 * reference (it was shared, and granted on), the last one frees it. */
void page_free(struct page *page);
/* The same for memory; nothing if @va is NULL. */
void free_page_memory(void *va);
uint64_t alloc_free_pages(void);
uint64_t alloc_total_pages(void);
/* Frames on the free list, counted; nothing else may run meanwhile. */
uint64_t alloc_audit(void);
/* page.c's: the frame has no references and no owner any more. */
void alloc_put(struct page *page);

/* ---- page.c: ownership, references, types. ---- */

/* Allocate a zeroed frame and give it to the domain (reference: its own); it
 * is the first of the domain's list then.  NULL if none is free or the domain is at max_pages or dying.  A domain
 * with frames (nr_pages not 0) has one reference for them all: the last
 * frame drops it by domain_put(), wherever that frame is freed. */
struct page *domain_page_alloc(struct domain *d);
/* Give a frame of the hypervisor's to the domain without counting it in
 * tot_pages (shared_info, grant frames): owner set, type WRITABLE with one
 * use, so that it is never a page table.  page_unshare() takes it back. */
void page_share(struct page *page, struct domain *d);
void page_unshare(struct page *page);
/* Drop the owner's own reference; false if it had been dropped before, or
 * the frame is shared by the hypervisor.  The caller holds a reference. */
bool domain_page_release(struct domain *d, struct page *page);

/* Take a reference if the frame is in use. */
static inline bool page_hold(struct page *page)
{
    uint64_t x = read_once(&page->count);

    do
        if ((uint32_t)(x + 1) <= 1) /* as many as can be counted, or none */
            return false;
    while (!atomic_cas(&page->count, &x, x + 1));

    return true;
}

/* page_put() of the last reference. */
void page_last_put(struct page *page);
static inline void page_put(struct page *page)
{
    if ((atomic_sub_return(&page->count, 1) & PAGE_COUNT_MASK) == 0)
        page_last_put(page);
}

/* Take a reference if the frame is in use and owned by @d. */
static inline bool page_get(struct page *page, const struct domain *d)
{
    /* Reference first: without one the owner could change under us. */
    if (!page_hold(page))
        return false;
    if (__builtin_expect(read_once(&page->owner) == d, 1))
        return true;

    page_put(page);
    return false;
}

/* The same for a number that may be anything (what is no RAM has no count);
 * NULL, and a reason is given, if it is not such a frame's. */
static inline struct page *page_get_mfn(mfn_t mfn, const struct domain *d)
{
    if (mfn < max_mfn && page_get(page_of(mfn), d))
        return page_of(mfn);

    refuse_reason("the frame is not the domain's own");
    return NULL;
}

/*
 * Add a use as @type.  The caller holds a reference.  0, or -EINVAL: the
 * frame has uses as something else, or is to be a descriptor page and holds
 * what may not stand there.  For all types but PAGE_WRITABLE the owner's
 * pt_lock is held, also to put them.  Page tables: pagetable_get().
 */
int page_get_type(struct page *page, uint64_t type);
static inline void page_put_type(struct page *page)
{
    (void)atomic_sub_return(&page->type, 1);
}

/* page_get_type() as PAGE_WRITABLE, short for a frame that is or was last. */
static inline int page_get_writable(struct page *page)
{
    uint64_t x = read_once(&page->type);

    if (x - PAGE_WRITABLE < PAGE_TYPE_COUNT_MASK &&
        atomic_cas(&page->type, &x, x + 1))
        return 0;
    return page_get_type(page, PAGE_WRITABLE);
}

/* page_get_mfn and page_get_type together; undone together on failure. */
int page_get_and_type(mfn_t mfn, const struct domain *d, uint64_t type);
void page_put_and_type(struct page *page);

/* pagetable.c's: the caller's use and reference become a hold (PAGE_PINNED or
 * PAGE_LOOSE) that the frame has not, or a hold becomes the caller's. */
void page_set_hold(struct page *page, uint64_t hold, bool on);

/* ---- pagetable.c: what may stand in a page table.  pt_lock is held for all
 * of it, but where a function takes it itself. ---- */

/*
 * A use of a frame as table of @level (1 to 4), with a reference: it and all
 * below it are validated.  0, or why not: -EINVAL, -EBUSY, -EPERM; -ERESTART
 * asks for the same again later, and what has been done is kept.
 */
int pagetable_get(struct domain *d, mfn_t mfn, unsigned int level);
/* What is no longer in use is taken apart, as far as there is time. */
void pagetable_put(struct page *page);
/* The same, but it stays whole: it will be asked for again, or the domain is
 * ending. */
void pagetable_leave(struct page *page);
/* Go on with what pagetable_put() could not finish: 0 or -ERESTART. */
int pagetable_settle(struct domain *d);
/* How much is done at a time; host tests want less. */
extern int pagetable_step;

/* A use that stays until it is unpinned.  As pagetable_get; -EINVAL also if
 * it is pinned already, or for unpin: if it is not. */
int pagetable_pin(struct domain *d, mfn_t mfn, unsigned int level);
int pagetable_unpin(struct domain *d, mfn_t mfn);

/* page.c's, for a dying domain: a step of letting go of a pinned or loose
 * table; false if it is neither. */
bool pagetable_relinquish(struct page *page);
/* page.c's: may these all be descriptors?  They are adjusted as Xen does. */
bool descriptors_adjust(struct page *page);

/* The level of a validated page table; 0 for any other frame. */
static inline unsigned int pagetable_level(const struct page *page)
{
    uint64_t type = read_once(&page->type);

    return type & PAGE_VALIDATED ? (unsigned int)(type >> 60) : 0;
}

/* Is it an L1 table, validated or not, whose entry @index holds what it
 * names? */
bool pagetable_holds(const struct page *page, unsigned int index);

/*
 * Write one entry of a validated page table on behalf of @v: get what the new
 * value refers to, store, put what the old one referred to.  @preserve_ad
 * keeps the accessed and dirty bits (MMU_PT_UPDATE_PRESERVE_AD).  0, or Xen's
 * errors: -EINVAL the entry may not look so; -EPERM it maps what is not RAM;
 * -EBUSY the frame is not the domain's, or it may not be writable now;
 * -ERESTART as pagetable_get().
 */
int pagetable_set(struct vcpu *v, struct page *table, unsigned int index,
                  uint64_t entry, bool preserve_ad);

/* One entry of a validated table, as it is now. */
uint64_t pagetable_entry(const struct page *table, unsigned int index);

/* As pagetable_set for an L1 entry, if it still is @old; else -EAGAIN. */
int pagetable_exchange(struct vcpu *v, struct page *table, unsigned int index,
                       uint64_t old, uint64_t entry);

/* update_va_mapping: the L1 entry of @va in the kernel's tables, as by
 * pagetable_set; -EINVAL if there is none.  Takes pt_lock. */
int pagetable_set_va(struct vcpu *v, uint64_t va, uint64_t entry);

/* Store an L1 entry whose references the caller has taken already (a grant
 * mapping), and put what the old one referred to. */
void pagetable_replace(struct domain *d, uint64_t *slot, uint64_t entry);

/* Can the guest's own tables ever map it, and a handler be there?  Canonical,
 * and not in the hole. */
static inline bool guest_address_ok(uint64_t address)
{
    return address >> 47 == 0 || address >= HV_END;
}

/* The L1 entry that maps @va in the current kernel or user tables of @v,
 * seen through the direct map; NULL if an upper level is not present, or @va
 * is not a guest's. */
uint64_t *pagetable_walk(const struct vcpu *v, uint64_t va);
/* The same from a given L4. */
uint64_t *pagetable_walk_from(mfn_t l4, uint64_t va);

/* A domain's walk that was done last: the L1 table of the addresses @region
 * (shifted by L1_SHIFT) under @l4, or @l4 is 0.  pagetable.c forgets it when
 * an entry above L1 changes or a table ends. */
struct pagetable_walk {
    mfn_t l4;
    uint64_t region;
    uint64_t *l1;
};
#define L1_SHIFT (PAGE_SHIFT + 9)

/* pagetable_walk_from(), which *last may spare. */
uint64_t *pagetable_walk_anew(struct pagetable_walk *last, mfn_t l4,
                              uint64_t va);
static inline uint64_t *pagetable_walk_again(struct pagetable_walk *last,
                                             mfn_t l4, uint64_t va)
{
    uint64_t *slot = last->l1 + pt_index(va, 1);

    if (__builtin_expect(last->region != va >> L1_SHIFT || last->l4 != l4, 0))
        return pagetable_walk_anew(last, l4, va);
    if (slot == NULL)
        __builtin_unreachable(); /* which spares the callers' question */
    return slot;
}

/* Take every type and reference that a dying domain's page tables hold
 * apart, and release its frames.  Returns true when done.  Before it,
 * arch_vcpu_release() has let go of all vCPUs.  Frames that peers still map
 * stay in nr_pages until they are put. */
bool domain_pages_relinquish(struct domain *d);

/* The current vCPU's kernel or user tables (@base) are those under @mfn from
 * now on: as pagetable_get().  Takes pt_lock. */
int mmu_set_base(struct vcpu *v, mfn_t *base, mfn_t mfn);

/* ---- hooks of this module: the machine, or a host test. ---- */

/* No CPU keeps a stale translation made by the tables of @d. */
void tlb_flush_domain(struct domain *d);
/* The same for one page. */
void tlb_flush_domain_page(struct domain *d, uint64_t va);
/* Fill slots 256-271 of a guest L4 that has just been validated. */
void pagetable_install_hv_slots(uint64_t *l4, struct domain *d);

#endif
