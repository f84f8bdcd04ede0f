/*
 * What may stand in a guest's page tables and descriptor pages.
 *
 * Every present entry of a validated table holds one reference to the frame
 * it names and, if it permits writing or names a table, one use of its type.
 * Tables refer only to tables of the level below, so uses form no cycles and
 * nothing here recurses deeper than the four levels.
 */
#include "hv/audit.h"
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/page.h"
#include "hv/x86/pte.h"

static unsigned int type_level(uint64_t type)
{
    return (unsigned int)(type >> 60); /* PAGE_L1 is 1, and so on */
}

static uint64_t level_type(unsigned int level)
{
    return (uint64_t)level << 60;
}

/* ---- One entry: what it refers to. ---- */

static int refused(int error, const char *reason)
{
    refuse_reason(reason);
    return error;
}

/* Take what a present L1 entry refers to. */
static int l1_get(const struct domain *d, uint64_t entry)
{
    if (entry & L1_FORBIDDEN)
        return refused(-EINVAL, "an L1 entry asks for a cache attribute");

    mfn_t mfn = pte_frame(entry);

    if (!mfn_is_ram(mfn))
        return refused(-EPERM, "an L1 entry maps what is not RAM");

    struct page *page = page_of(mfn);

    if (!page_get(page, d))
        return refused(-EBUSY, "an L1 entry maps a frame of somebody else");
    if (!(entry & PTE_RW) || page_get_type(page, PAGE_WRITABLE) == 0)
        return 0;

    page_put(page);
    return refused(-EBUSY, "a table or descriptor page may not be writable");
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

/* What the guest's L1 entry becomes: user-accessible, since its kernel runs
 * in ring 3, and never global, so that a reload of CR3 drops it. */
static inline uint64_t l1_adjust(uint64_t entry)
{
    return entry & PTE_PRESENT ? (entry & ~PTE_GLOBAL) | PTE_USER : entry;
}

/* Take what a present entry of level 2 to 4 refers to. */
static int upper_get(struct domain *d, unsigned int level, uint64_t entry)
{
    if (entry & UPPER_FORBIDDEN)
        return refused(-EINVAL, "an upper entry has a forbidden bit (PSE, "
                                "GLOBAL or a cache attribute)");

    struct page *page = page_get_mfn(pte_frame(entry), d);

    if (!page)
        return refused(-EINVAL, "an upper entry names a frame that is not "
                                "the domain's own");

    int rc = page_get_type(page, level_type(level - 1));

    if (rc)
        page_put(page);
    return rc;
}

static void upper_put(uint64_t entry)
{
    if (entry & PTE_PRESENT)
        page_put_and_type(page_of(pte_frame(entry)));
}

static uint64_t upper_adjust(uint64_t entry)
{
    return entry & PTE_PRESENT ? entry | PTE_USER : entry;
}

/* ---- Any level. ---- */

static int entry_get(struct domain *d, unsigned int level, uint64_t entry)
{
    if (!(entry & PTE_PRESENT))
        return 0;
    return level == 1 ? l1_get(d, entry) : upper_get(d, level, entry);
}

static void entry_put(struct domain *d, unsigned int level, uint64_t entry)
{
    if (level == 1)
        l1_put(d, entry);
    else
        upper_put(entry);
}

static uint64_t entry_adjust(unsigned int level, uint64_t entry)
{
    return level == 1 ? l1_adjust(entry) : upper_adjust(entry);
}

static bool slot_is_guests(unsigned int level, unsigned int slot)
{
    return level != 4 || !l4_slot_is_hv(slot);
}

/* ---- Whole tables. ---- */

/* Put what the entries below @end refer to. */
static void entries_put(struct domain *d, unsigned int level,
                        const uint64_t *table, unsigned int end)
{
    for (unsigned int i = 0; i < end; i++)
        if (slot_is_guests(level, i))
            entry_put(d, level, table[i]);
}

static int table_validate(struct page *page, unsigned int level)
{
    struct domain *d = page->owner;
    uint64_t *table = mfn_to_virt(mfn_of(page));

    for (unsigned int i = 0; i < PT_ENTRIES; i++) {
        if (!slot_is_guests(level, i))
            continue;

        int rc = entry_get(d, level, table[i]);

        if (rc) {
            entries_put(d, level, table, i);
            return rc;
        }
        table[i] = entry_adjust(level, table[i]);
    }

    if (level == 4)
        pagetable_install_hv_slots(table, d);
    return 0;
}

static int descriptors_validate(struct page *page)
{
    uint64_t *descriptor = mfn_to_virt(mfn_of(page));

    for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*descriptor); i++)
        if (!descriptor_adjust(&descriptor[i]))
            return refused(-EINVAL, "a descriptor is not allowed");

    return 0;
}

int pagetable_validate(struct page *page, uint64_t type)
{
    if (type == PAGE_SEGDESC)
        return descriptors_validate(page);
    return table_validate(page, type_level(type));
}

void pagetable_devalidate(struct page *page, uint64_t type)
{
    if (type != PAGE_SEGDESC)
        entries_put(page->owner, type_level(type),
                    mfn_to_virt(mfn_of(page)), PT_ENTRIES);
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
static __attribute__((noinline)) int
entry_replace(struct domain *d, unsigned int level, uint64_t *slot,
              uint64_t entry, bool preserve_ad)
{
    uint64_t old = read_once(slot);
    int rc = entry_get(d, level, entry);

    if (rc)
        return rc;
    entry_store(slot, entry_adjust(level, entry), preserve_ad);
    entry_put(d, level, old);

    return 0;
}

static inline int l1_set(struct domain *d, uint64_t *slot, uint64_t entry,
                         bool preserve_ad)
{
    if (!l1_is_similar(read_once(slot), entry))
        return entry_replace(d, 1, slot, entry, preserve_ad);

    entry_store(slot, l1_adjust(entry), preserve_ad);
    return 0;
}

int pagetable_set(struct vcpu *v, struct page *table, unsigned int level,
                  unsigned int index, uint64_t entry, bool preserve_ad)
{
    uint64_t *slot = (uint64_t *)mfn_to_virt(mfn_of(table)) + index;

    if (level == 1)
        return l1_set(v->domain, slot, entry, preserve_ad);
    if (!slot_is_guests(level, index))
        return refused(-EINVAL, "L4 slots 256 to 271 are the hypervisor's");

    return entry_replace(v->domain, level, slot, entry, preserve_ad);
}

uint64_t pagetable_entry(const struct page *table, unsigned int index)
{
    return read_once((uint64_t *)mfn_to_virt(mfn_of(table)) + index);
}

int pagetable_exchange(struct vcpu *v, struct page *table, unsigned int index,
                       uint64_t old, uint64_t entry)
{
    uint64_t *slot = (uint64_t *)mfn_to_virt(mfn_of(table)) + index;
    struct domain *d = v->domain;
    uint64_t expected = old;
    int rc = entry_get(d, 1, entry);

    if (rc)
        return rc;
    if (!atomic_cas(slot, &expected, l1_adjust(entry))) {
        entry_put(d, 1, entry);
        return -EAGAIN;
    }
    entry_put(d, 1, old);
    return 0;
}

void pagetable_replace(struct domain *d, uint64_t *slot, uint64_t entry)
{
    uint64_t old = read_once(slot);

    entry_store(slot, entry, false);
    l1_put(d, old);
}

/* The entry of @va in a table of this level. */
static inline uint64_t *entry_of(mfn_t table, uint64_t va, unsigned int level)
{
    return (uint64_t *)mfn_to_virt(table) + pt_index(va, level);
}

/* The L1 entry of @va under this L4, or NULL.  Upper entries of validated
 * tables lead to validated tables, so being present is all that is asked. */
static inline uint64_t *walk(mfn_t l4, uint64_t va)
{
    if (!guest_va_ok(va))
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

uint64_t *pagetable_walk_from(mfn_t l4, uint64_t va, struct page **table)
{
    uint64_t *slot = walk(l4, va);

    if (slot)
        *table = page_of(virt_to_mfn(slot));
    return slot;
}

uint64_t *pagetable_walk(struct vcpu *v, uint64_t va, struct page **table)
{
    mfn_t l4 = v->arch.kernel_mode ? v->arch.kernel_table : v->arch.user_table;

    return l4 ? pagetable_walk_from(l4, va, table) : NULL;
}

int pagetable_set_va(struct vcpu *v, uint64_t va, uint64_t entry)
{
    struct domain *d = v->domain;
    int rc = -EINVAL;

    spin_lock(&d->pt_lock);
    uint64_t *slot = walk(v->arch.kernel_table, va);

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

static void expect_table(mfn_t mfn, unsigned int level)
{
    const uint64_t *table = mfn_to_virt(mfn);

    for (unsigned int i = 0; i < PT_ENTRIES; i++)
        if (slot_is_guests(level, i))
            expect_entry(level, table[i]);
}

uint64_t pagetable_audit(struct domain *d)
{
    uint64_t tables = 0;

    for (mfn_t mfn = 0; mfn < max_mfn; mfn++) {
        uint64_t type = page_of(mfn)->type;
        unsigned int level = type_level(type & PAGE_TYPE_MASK);

        if (page_of(mfn)->owner != d)
            continue;
        if (type & PAGE_PINNED)
            page_audit_expect(mfn, type & PAGE_TYPE_MASK);
        if ((type & PAGE_VALIDATED) && level >= 1 && level <= 4) {
            expect_table(mfn, level);
            tables++;
        }
    }

    return tables;
}
