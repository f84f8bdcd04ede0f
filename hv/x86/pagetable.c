/*
 * What may stand in a guest's page tables and descriptor pages.
 *
 * A table is validated from its first entry up and taken apart from its last
 * entry down.  At any moment its first "taken" entries each hold a reference
 * to the frame they name and, if they permit writing or name a table, a use
 * of its type; all of these but the last lead to validated tables.  So either
 * direction may stop after any entry, and go on in either direction, with all
 * counts exact.  A table that stopped has a use that is nobody's: it is
 * loose, until whoever wants it next has finished it, or it is in pieces.
 *
 * Tables refer only to tables of the level below, so uses form no cycles and
 * nothing here recurses deeper than the four levels.
 */
#include "hv/audit.h"
#include "hv/domain.h"
#include "hv/refused.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/page.h"
#include "hv/x86/pte.h"

/* 512 present entries, or eight empty tables. */
int pagetable_step = 4096;
#define COST_EMPTY   1
#define COST_PRESENT 8

static uint64_t level_type(unsigned int level)
{
    return (uint64_t)level << 60; /* PAGE_L1 is 1, and so on */
}

static unsigned int type_level(const struct page *page)
{
    return (unsigned int)((read_once(&page->type) & PAGE_TYPE_MASK) >> 60);
}

/* ---- One entry: what it refers to. ---- */

/* Take what an L1 entry refers to. */
static int l1_get(const struct domain *d, uint64_t entry)
{
    if (!(entry & PTE_PRESENT))
        return 0;
    if (entry & L1_FORBIDDEN)
        return refuse(-EINVAL, "an L1 entry asks for a cache attribute");

    mfn_t mfn = pte_frame(entry);

    if (!mfn_is_ram(mfn))
        return refuse(-EPERM, "an L1 entry maps what is not RAM");

    struct page *page = page_of(mfn);

    if (!page_get(page, d))
        return refuse(-EBUSY, "an L1 entry maps a frame of somebody else");
    if (!(entry & PTE_RW) || page_get_writable(page) == 0)
        return 0;

    page_put(page);
    return refuse(-EBUSY, "a table or descriptor page may not be writable");
}

static void l1_put(struct domain *d, uint64_t entry)
{
    if (!(entry & PTE_PRESENT))
        return;

    struct page *page = page_of(pte_frame(entry));

    /* The owner's later flush does not reach our CPUs. */
    if (page->owner != d)
        tlb_flush_domain(d);
    if (entry & PTE_RW)
        page_put_type(page);
    page_put(page);
}

static int upper_check(uint64_t entry)
{
    if ((entry & PTE_PRESENT) && (entry & UPPER_FORBIDDEN))
        return refuse(-EINVAL, "an upper entry has a forbidden bit (PSE, "
                               "GLOBAL or a cache attribute)");
    return 0;
}

/* What the guest's entry becomes: user-accessible, since its kernel runs in
 * ring 3, and never global, so that a reload of CR3 drops it. */
static inline uint64_t entry_adjust(uint64_t entry)
{
    return entry & PTE_PRESENT ? (entry & ~PTE_GLOBAL) | PTE_USER : entry;
}

static bool slot_is_guests(unsigned int level, unsigned int slot)
{
    return level != 4 || slot < HV_SLOT_FIRST || slot >= HV_SLOT_END;
}

/* ---- Whole tables, in steps. ---- */

static uint64_t *slot_of(const struct page *page, unsigned int i)
{
    return (uint64_t *)mfn_to_virt(mfn_of(page)) + i;
}

/* Entry @i, but for the hypervisor's, which hold nothing. */
static uint64_t guest_entry(const struct page *page, unsigned int i)
{
    return slot_is_guests(type_level(page), i) ? *slot_of(page, i) : 0;
}

static unsigned int taken(const struct page *page)
{
    return (read_once(&page->type) & PAGE_TAKEN_MASK) >> PAGE_TAKEN_SHIFT;
}

/* A store does, with no compare-and-swap: it has a use as a table, and pt_lock
 * is held. */
static void set_taken(struct page *page, unsigned int n)
{
    uint64_t type = read_once(&page->type) & ~PAGE_TAKEN_MASK;

    write_once(&page->type, type | (uint64_t)n << PAGE_TAKEN_SHIFT);
}

static int cost(uint64_t entry)
{
    return entry & PTE_PRESENT ? COST_PRESENT : COST_EMPTY;
}

static bool has(const struct page *page, uint64_t flag)
{
    return read_once(&page->type) & flag;
}

/* Is there a single use of it? */
static bool is_last_use(const struct page *page)
{
    return (read_once(&page->type) & PAGE_TYPE_COUNT_MASK) == 1;
}

static int table_build(struct page *page, int *budget);
static int table_clear(struct page *page, int *budget);

/* The next entry takes what it names.  A table below need not be validated
 * yet, so this alone is no leave to walk there. */
static int entry_take(struct page *page, unsigned int i, int *budget)
{
    uint64_t entry = guest_entry(page, i);
    unsigned int level = type_level(page);
    int rc = level == 1 ? l1_get(page->owner, entry) : upper_check(entry);

    if (!rc && level > 1 && (entry & PTE_PRESENT))
        rc = page_get_and_type(pte_frame(entry), page->owner,
                               level_type(level - 1));
    if (rc)
        return rc;

    if (entry & PTE_PRESENT)
        *slot_of(page, i) = entry_adjust(entry);
    set_taken(page, i + 1);
    *budget -= cost(entry);
    return 0;
}

/* See to it that the table below the entry taken last is validated. */
static int entry_finish(const struct page *page, unsigned int i, int *budget)
{
    uint64_t entry = guest_entry(page, i);

    if (type_level(page) == 1 || !(entry & PTE_PRESENT))
        return 0;
    return table_build(page_of(pte_frame(entry)), budget);
}

static int table_build(struct page *page, int *budget)
{
    if (has(page, PAGE_VALIDATED))
        return 0;
    for (unsigned int n = taken(page);; n++) {
        int rc = n ? entry_finish(page, n - 1, budget) : 0;

        if (!rc && n == PT_ENTRIES)
            break;
        if (!rc)
            rc = *budget > 0 ? entry_take(page, n, budget) : -ERESTART;
        if (rc)
            return rc;
    }

    if (type_level(page) == 4)
        pagetable_install_hv_slots(slot_of(page, 0), page->owner);
    store_release(&page->type, read_once(&page->type) | PAGE_VALIDATED);
    return 0;
}

/* A use as a table goes, and a reference; before the last use, what its
 * entries hold, while the type still keeps other uses out. */
static int table_put(struct page *page, int *budget)
{
    int rc = is_last_use(page) ? table_clear(page, budget) : 0;

    if (!rc)
        page_put_and_type(page);
    return rc;
}

static int entry_drop(struct page *page, unsigned int i, int *budget)
{
    uint64_t entry = guest_entry(page, i);
    int rc = 0;

    if (type_level(page) == 1)
        l1_put(page->owner, entry);
    else if (entry & PTE_PRESENT)
        rc = table_put(page_of(pte_frame(entry)), budget);
    if (rc)
        return rc;

    set_taken(page, i);
    *budget -= cost(entry);
    return 0;
}

static int table_clear(struct page *page, int *budget)
{
    int rc = 0;

    write_once(&page->type, read_once(&page->type) & ~PAGE_VALIDATED);
    page->owner->walk.l4 = 0;
    for (unsigned int n = taken(page); n && !rc; n--)
        rc = *budget > 0 ? entry_drop(page, n - 1, budget) : -ERESTART;
    return rc;
}

/* ---- Uses of tables. ---- */

void pagetable_leave(struct page *page)
{
    if (has(page, PAGE_LOOSE))
        page_put_and_type(page);
    else
        page_set_hold(page, PAGE_LOOSE, true);
}

/* What was nobody's goes: the caller has a use of its own, or nothing is left
 * in the table. */
static void end_loose(struct page *page)
{
    if (!has(page, PAGE_LOOSE))
        return;
    page_set_hold(page, PAGE_LOOSE, false);
    page_put_and_type(page);
}

int pagetable_settle(struct domain *d)
{
    struct page *page = d->falling;
    int budget = pagetable_step;

    if (!page)
        return 0;
    if (table_clear(page, &budget))
        return -ERESTART;

    d->falling = NULL;
    end_loose(page);
    return 0;
}

void pagetable_put(struct page *page)
{
    struct domain *d = page->owner;

    if (!is_last_use(page)) {
        page_put_and_type(page);
        return;
    }
    pagetable_leave(page);
    d->falling = page;
    (void)pagetable_settle(d);
}

int pagetable_get(struct domain *d, mfn_t mfn, unsigned int level)
{
    int budget = pagetable_step, rc = pagetable_settle(d);

    if (!rc)
        rc = page_get_and_type(mfn, d, level_type(level));
    if (rc)
        return rc;

    struct page *page = page_of(mfn);

    rc = table_build(page, &budget);
    if (rc == -ERESTART) {
        pagetable_leave(page);
        return rc;
    }
    end_loose(page);
    if (rc)
        pagetable_put(page);
    return rc;
}

int pagetable_pin(struct domain *d, mfn_t mfn, unsigned int level)
{
    int rc = pagetable_get(d, mfn, level);

    if (rc)
        return rc;
    if (has(page_of(mfn), PAGE_PINNED)) {
        pagetable_put(page_of(mfn));
        return refuse(-EINVAL, "the table is pinned already");
    }

    page_set_hold(page_of(mfn), PAGE_PINNED, true);
    return 0;
}

int pagetable_unpin(struct domain *d, mfn_t mfn)
{
    struct page *page = page_get_mfn(mfn, d);

    if (!page)
        return -EINVAL;

    int rc = pagetable_settle(d);

    if (!rc && !has(page, PAGE_PINNED))
        rc = refuse(-EINVAL, "the frame is not pinned");
    if (!rc) {
        page_set_hold(page, PAGE_PINNED, false);
        pagetable_put(page);
    }
    page_put(page);
    return rc;
}

bool pagetable_relinquish(struct page *page)
{
    if (has(page, PAGE_PINNED)) {
        (void)pagetable_unpin(page->owner, mfn_of(page));
        return true;
    }
    if (!has(page, PAGE_LOOSE))
        return false;

    page->owner->falling = page;
    (void)pagetable_settle(page->owner);
    return true;
}

bool pagetable_holds(const struct page *page, unsigned int index)
{
    return type_level(page) == 1 && index < taken(page);
}

/* ---- Updates. ---- */

/* Store the entry.  The hardware may set accessed and dirty in the old one
 * at any moment; nothing else changes it, since we hold pt_lock. */
static inline void entry_store(uint64_t *slot, uint64_t entry, bool preserve_ad)
{
    uint64_t old = read_once(slot);

    if (!preserve_ad) {
        write_once(slot, entry);
        return;
    }
    while (!atomic_cas(slot, &old,
                       entry | (old & (PTE_ACCESSED | PTE_DIRTY))))
        ;
}

/* Same frame and same permissions, and allowed to stand there as it is. */
static inline bool l1_is_similar(uint64_t old, uint64_t entry)
{
    return (old & entry & PTE_PRESENT) && !((old ^ entry) & ~L1_HARMLESS);
}

/* Get what the new entry refers to, store it, put what the old one did. */
static __attribute__((noinline)) int l1_replace(struct domain *d,
                                                uint64_t *slot, uint64_t entry,
                                                bool preserve_ad)
{
    uint64_t old = read_once(slot);
    int rc = l1_get(d, entry);

    if (rc)
        return rc;
    entry_store(slot, entry_adjust(entry), preserve_ad);
    l1_put(d, old);

    return 0;
}

static inline int l1_set(struct domain *d, uint64_t *slot, uint64_t entry,
                         bool preserve_ad)
{
    if (!l1_is_similar(read_once(slot), entry))
        return l1_replace(d, slot, entry, preserve_ad);

    entry_store(slot, entry_adjust(entry), preserve_ad);
    return 0;
}

static int upper_set(struct domain *d, unsigned int level, uint64_t *slot,
                     uint64_t entry, bool preserve_ad)
{
    uint64_t old = read_once(slot);
    int rc = upper_check(entry);

    if (!rc)
        rc = entry & PTE_PRESENT
                 ? pagetable_get(d, pte_frame(entry), level - 1)
                 : pagetable_settle(d);
    if (rc)
        return rc;
    entry_store(slot, entry_adjust(entry), preserve_ad);
    d->walk.l4 = 0;
    if (old & PTE_PRESENT)
        pagetable_put(page_of(pte_frame(old)));

    return 0;
}

int pagetable_set(struct vcpu *v, struct page *table, unsigned int index,
                  uint64_t entry, bool preserve_ad)
{
    uint64_t *slot = slot_of(table, index);
    unsigned int level = type_level(table);

    if (level == 1)
        return l1_set(v->domain, slot, entry, preserve_ad);
    if (!slot_is_guests(level, index))
        return refuse(-EINVAL, "L4 slots 256 to 271 are the hypervisor's");

    return upper_set(v->domain, level, slot, entry, preserve_ad);
}

uint64_t pagetable_entry(const struct page *table, unsigned int index)
{
    return read_once(slot_of(table, index));
}

int pagetable_exchange(struct vcpu *v, struct page *table, unsigned int index,
                       uint64_t old, uint64_t entry)
{
    struct domain *d = v->domain;
    uint64_t expected = old;
    int rc = l1_get(d, entry);

    if (rc)
        return rc;
    if (!atomic_cas(slot_of(table, index), &expected, entry_adjust(entry))) {
        l1_put(d, entry);
        return -EAGAIN;
    }
    l1_put(d, old);
    return 0;
}

void pagetable_replace(struct domain *d, uint64_t *slot, uint64_t entry)
{
    uint64_t old = read_once(slot);

    write_once(slot, entry);
    l1_put(d, old);
}

/* The entry of @va in a table of this level. */
static inline uint64_t *entry_of(mfn_t table, uint64_t va, unsigned int level)
{
    return (uint64_t *)mfn_to_virt(table) + pt_index(va, level);
}

/* Upper entries of validated tables lead to validated tables, so being
 * present is all that is asked. */
uint64_t *pagetable_walk_from(mfn_t l4, uint64_t va)
{
    if (!guest_address_ok(va))
        return NULL;

    uint64_t l4e = *entry_of(l4, va, 4);

    if (!(l4e & PTE_PRESENT))
        return NULL;

    uint64_t l3e = *entry_of(pte_frame(l4e), va, 3);

    if (!(l3e & PTE_PRESENT))
        return NULL;

    uint64_t l2e = *entry_of(pte_frame(l3e), va, 2);

    return l2e & PTE_PRESENT ? entry_of(pte_frame(l2e), va, 1) : NULL;
}

uint64_t *pagetable_walk(const struct vcpu *v, uint64_t va)
{
    mfn_t l4 = v->arch.kernel_mode ? v->arch.kernel_table : v->arch.user_table;

    return l4 ? pagetable_walk_from(l4, va) : NULL;
}

uint64_t *pagetable_walk_anew(struct pagetable_walk *last, mfn_t l4,
                              uint64_t va)
{
    uint64_t *slot = pagetable_walk_from(l4, va);

    if (slot)
        *last = (struct pagetable_walk){ l4, va >> L1_SHIFT,
                                         slot - pt_index(va, 1) };
    return slot;
}

int pagetable_set_va(struct vcpu *v, uint64_t va, uint64_t entry)
{
    struct domain *d = v->domain;
    int rc = -EINVAL;

    spin_lock(&d->pt_lock);
    uint64_t *slot = pagetable_walk_again(&d->walk, v->arch.kernel_table, va);

    if (slot)
        rc = l1_set(d, slot, entry, false);
    spin_unlock(&d->pt_lock);

    if (!slot)
        refuse_reason("no L1 table is mapped at this address");
    return rc;
}

/* ---- Descriptors: the part of a GDT or LDT entry that Xen's ABI allows. -- */

#define DESC_PRESENT  (1ULL << 47)
#define DESC_DPL      (3ULL << 45)
#define DESC_CODEDATA (1ULL << 44)
#define DESC_TYPE     (15ULL << 40)
#define DESC_CALLGATE (12ULL << 40)

/* A call gate may lead to the guest's own segments or the flat kernel code. */
static bool gate_target_ok(uint16_t selector)
{
    return (selector & 4) || selector == FLAT_KERNEL_CS ||
           (selector >> 3) < FIRST_RESERVED_GDT_ENTRY;
}

/* Its DPL becomes 0, so that using it is #GP: only 32-bit guests get gates
 * emulated.  The DPL asked for is kept in the selector, as Xen does. */
static bool gate_adjust(uint64_t *descriptor)
{
    uint64_t x = *descriptor;
    uint64_t dpl = (x & DESC_DPL) >> 45;

    if (!gate_target_ok((uint16_t)(x >> 16)) || (x >> 32 & 0xff))
        return false;

    *descriptor = (x & ~DESC_DPL & ~(3ULL << 16)) | dpl << 16;
    return true;
}

bool descriptor_adjust(uint64_t *descriptor)
{
    uint64_t x = *descriptor;

    if (!(x & DESC_PRESENT))
        return true;
    if (x & DESC_CODEDATA) {
        /* Ring 3 is where a guest's kernel runs. */
        *descriptor = x | DESC_DPL;
        return true;
    }
    if (!(x & DESC_TYPE)) /* the second half of a gate */
        return true;
    if ((x & DESC_TYPE) != DESC_CALLGATE)
        return false;

    return gate_adjust(descriptor);
}

bool descriptors_adjust(struct page *page)
{
    uint64_t *descriptor = mfn_to_virt(mfn_of(page));

    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*descriptor); i++)
        if (!descriptor_adjust(&descriptor[i]))
            return refuse(false, "a descriptor is not allowed");
    return true;
}

/* ---- The audit. ---- */

static void expect_entry(unsigned int level, uint64_t entry)
{
    uint64_t type = level > 1 ? level_type(level - 1) : PAGE_WRITABLE;

    if (!(entry & PTE_PRESENT))
        return;
    if (level == 1 && !(entry & PTE_RW))
        type = PAGE_NONE;
    page_audit_expect(pte_frame(entry), type);
}

static void expect_table(const struct page *page)
{
    for (unsigned int i = 0; i < taken(page); i++)
        expect_entry(type_level(page), guest_entry(page, i));
}

uint64_t pagetable_audit(struct domain *d)
{
    uint64_t tables = 0;

    for (mfn_t mfn = 0; mfn < max_mfn; mfn++) {
        const struct page *page = page_of(mfn);
        uint64_t type = page->type & PAGE_TYPE_MASK;

        if (page->owner != d)
            continue;
        if (has(page, PAGE_PINNED))
            page_audit_expect(mfn, type);
        if (has(page, PAGE_LOOSE))
            page_audit_expect(mfn, type);
        expect_table(page);
        tables += taken(page) != 0;
    }

    return tables;
}
