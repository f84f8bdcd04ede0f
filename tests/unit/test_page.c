/*
 * The frame table and page-table validation, on trees in an arena of RAM.
 *
 * The property behind all of it: no guest can ever write a frame that some
 * CPU uses as a page table or descriptor page, or reach one that is not its
 * own; and what was taken is given back, to the last count.
 */
#include <check.h>

#include "tests/unit/machine.h"

#include "hv/x86/descriptor.h"
#include "hv/x86/mmu_grant.h"

#include <xen/grant_table.h>

/* ---- What a flush saw. ---- */

static struct {
    unsigned int count;
    struct domain *domain;
    const uint64_t *slot; /* an entry whose value at each flush is kept */
    uint64_t entry;
    mfn_t watch; /* a frame whose state at each flush is kept */
    uint64_t watch_type, watch_refs;
    char watch_byte;
} flushed;

void tlb_flush_domain(struct domain *d)
{
    flushed.count++;
    flushed.domain = d;
    if (flushed.slot)
        flushed.entry = *flushed.slot;
    if (!flushed.watch)
        return;
    flushed.watch_type = page_of(flushed.watch)->type;
    flushed.watch_refs = refs_of(flushed.watch);
    flushed.watch_byte = arena[flushed.watch][0];
}

void tlb_flush_domain_page(struct domain *d, uint64_t va)
{
    (void)va;
    tlb_flush_domain(d);
}

/* ---- A recount that shares nothing with the code under test: from the
 * roots the test knows of, down the trees. ---- */

static uint64_t want_refs[MACHINE_FRAMES], want_uses[MACHINE_FRAMES];
static uint64_t want_type[MACHINE_FRAMES];
/* References and uses that the test itself holds. */
static uint64_t held_refs[MACHINE_FRAMES], held_uses[MACHINE_FRAMES];
static uint64_t held_type[MACHINE_FRAMES];

/* Entries from the first on that hold what they name: all, or as many as
 * were come to. */
static unsigned int taken_of(mfn_t mfn)
{
    return (unsigned int)(frames[mfn].type >> 47 & 1023);
}

static void want_use(mfn_t mfn, uint64_t type);

static void want_entry(uint64_t e, unsigned int level)
{
    mfn_t mfn = (e & 0x000ffffffffff000) >> 12;

    if (!(e & 1))
        return;
    want_refs[mfn]++;
    if (level > 1)
        want_use(mfn, level_as_type(level - 1));
    else if (e & 2)
        want_use(mfn, PAGE_WRITABLE);
}

static void want_use(mfn_t mfn, uint64_t type)
{
    unsigned int level = (unsigned int)(type >> 60);

    if (want_uses[mfn] && want_type[mfn] != type)
        ck_abort_msg("frame %lu is used as two types", mfn);
    want_type[mfn] = type;
    if (want_uses[mfn]++ || level > 4)
        return;
    for (unsigned int i = 0; i < taken_of(mfn); i++)
        if (level != 4 || i < 256 || i >= 272)
            want_entry(table_of(mfn)[i], level);
}

static void want_roots(void)
{
    for (mfn_t m = 0; m < MACHINE_FRAMES; m++) {
        want_refs[m] += held_refs[m];
        for (uint64_t i = 0; i < held_uses[m]; i++)
            want_use(m, held_type[m]);
        if (frames[m].count & PAGE_ALLOCATED)
            want_refs[m]++;
        if (frames[m].count & PAGE_SHARED)
            want_use(m, PAGE_WRITABLE);
        for (uint64_t hold = PAGE_PINNED; hold >= PAGE_LOOSE; hold >>= 1)
            if (frames[m].type & hold) {
                want_refs[m]++;
                want_use(m, type_of(m));
            }
    }
}

/* Check's assertions write to a file each: one a recount is enough. */
static void compare_frame(mfn_t m)
{
    if (refs_of(m) != want_refs[m])
        ck_abort_msg("frame %lu: %lu references, should be %lu", m,
                     refs_of(m), want_refs[m]);
    if (uses_of(m) != want_uses[m])
        ck_abort_msg("frame %lu: %lu uses, should be %lu", m, uses_of(m),
                     want_uses[m]);
    if (want_uses[m] && type_of(m) != want_type[m])
        ck_abort_msg("frame %lu: type %lx, should be %lx", m, type_of(m),
                     want_type[m]);
    if (!want_uses[m] && taken_of(m))
        ck_abort_msg("frame %lu: no table, and holds what it names", m);
}

static void recount(void)
{
    uint64_t free = 0;

    memset(want_refs, 0, sizeof(want_refs));
    memset(want_uses, 0, sizeof(want_uses));
    memset(want_type, 0, sizeof(want_type));
    want_roots();
    for (mfn_t m = 0; m < MACHINE_FRAMES; m++) {
        compare_frame(m);
        free += m >= FIRST_RAM && !refs_of(m);
    }
    ck_assert_uint_eq(free, alloc_free_pages());
    ck_assert_uint_eq(free, alloc_audit());
}

/* What the code's own audit expects, counted the same way. */
static uint64_t audit_refs[MACHINE_FRAMES], audit_uses[MACHINE_FRAMES];

void page_audit_expect(mfn_t mfn, uint64_t type)
{
    audit_refs[mfn]++;
    if (type != PAGE_NONE)
        audit_uses[mfn]++;
}

/* ---- Building. ---- */

static mfn_t frame_new(struct domain *d)
{
    struct page *page = domain_page_alloc(d);

    ck_assert_ptr_nonnull(page);
    return mfn_of(page);
}

/* One call, which may ask for more. */
static int pin_step(struct domain *d, mfn_t mfn, unsigned int level)
{
    spin_lock(&d->pt_lock);
    int rc = pagetable_pin(d, mfn, level);

    spin_unlock(&d->pt_lock);
    return rc;
}

static int unpin_step(struct domain *d, mfn_t mfn)
{
    spin_lock(&d->pt_lock);
    int rc = pagetable_unpin(d, mfn);

    spin_unlock(&d->pt_lock);
    return rc;
}

static int settle_step(struct domain *d)
{
    spin_lock(&d->pt_lock);
    int rc = pagetable_settle(d);

    spin_unlock(&d->pt_lock);
    return rc;
}

/* As often as it takes, as a hypercall does it. */
static int pin(struct domain *d, mfn_t mfn, unsigned int level)
{
    int rc;

    while ((rc = pin_step(d, mfn, level)) == -ERESTART)
        ;
    while (settle_step(d))
        ;
    return rc;
}

static int unpin(struct domain *d, mfn_t mfn)
{
    int rc;

    while ((rc = unpin_step(d, mfn)) == -ERESTART)
        ;
    while (settle_step(d))
        ;
    return rc;
}

static int set(struct vcpu *v, mfn_t table, unsigned int index, uint64_t e)
{
    spin_lock(&v->domain->pt_lock);
    int rc = pagetable_set(v, page_of(table), index, e, false);

    spin_unlock(&v->domain->pt_lock);
    return rc;
}

static int use(struct domain *d, mfn_t mfn, uint64_t type)
{
    spin_lock(&d->pt_lock);
    int rc = type > PAGE_L4
                 ? page_get_and_type(mfn, d, type)
                 : pagetable_get(d, mfn, (unsigned int)(type >> 60));

    spin_unlock(&d->pt_lock);
    return rc;
}

static void unuse(struct domain *d, mfn_t mfn)
{
    spin_lock(&d->pt_lock);
    if (type_of(mfn) > PAGE_L4)
        page_put_and_type(page_of(mfn));
    else
        pagetable_put(page_of(mfn));
    spin_unlock(&d->pt_lock);
}

static void release(struct domain *d, mfn_t mfn)
{
    ck_assert(page_get(page_of(mfn), d));
    ck_assert(domain_page_release(d, page_of(mfn)));
    page_put(page_of(mfn));
}

static void relinquish(struct domain *d)
{
    d->state = DOMAIN_DYING;
    while (!domain_pages_relinquish(d))
        ;
}

/* The tables of a small kernel: it maps data writable, and its tables. */
#define DATA      4u
#define TREE_VA   0x123456000ULL /* of data[0] */
#define TREE_L1   pt_index(TREE_VA, 1)

struct tree {
    mfn_t table[5]; /* by level */
    mfn_t data[DATA];
};

static void link_tables(const struct tree *t)
{
    for (unsigned int l = 2; l <= 4; l++)
        table_of(t->table[l])[pt_index(TREE_VA, l)] =
            entry(t->table[l - 1], PTE_RW | PTE_USER);
}

static struct tree tree_new(struct domain *d)
{
    struct tree t;

    for (unsigned int l = 1; l <= 4; l++)
        t.table[l] = frame_new(d);
    link_tables(&t);

    uint64_t *l1 = table_of(t.table[1]);

    for (unsigned int i = 0; i < DATA; i++) {
        t.data[i] = frame_new(d);
        l1[TREE_L1 + i] = entry(t.data[i], PTE_RW);
    }
    for (unsigned int l = 1; l <= 4; l++)
        l1[TREE_L1 + DATA + l] = entry(t.table[l], 0);

    return t;
}

static struct tree tree_pinned(struct domain *d)
{
    struct tree t = tree_new(d);

    ck_assert_int_eq(pin(d, t.table[4], 4), 0);
    d->vcpu[0]->arch.kernel_table = t.table[4];
    return t;
}

/* ---- Allocation. ---- */

/* G18, D5: neither boot rubbish nor another owner's data is handed out. */
START_TEST(allocated_memory_is_zero)
{
    static const char zeros[PAGE_SIZE];
    mfn_t first = frame_new(&dom_a);

    ck_assert_mem_eq(arena[first], zeros, PAGE_SIZE);
    memset(arena[first], 0x55, PAGE_SIZE);
    release(&dom_a, first);
    ck_assert_mem_eq(arena[first], zeros, PAGE_SIZE);

    for (unsigned int i = 0; alloc_free_pages(); i++)
        ck_assert_mem_eq(arena[frame_new(&dom_b)], zeros, PAGE_SIZE);
    ck_assert_ptr_null(domain_page_alloc(&dom_b));
    recount();
}
END_TEST

START_TEST(only_ram_is_ram)
{
    ck_assert(mfn_is_ram(FIRST_RAM));
    ck_assert(mfn_is_ram(MACHINE_FRAMES - 1));
    ck_assert(!mfn_is_ram(0));
    ck_assert(!mfn_is_ram(DEVICE_FRAME));
    ck_assert(!mfn_is_ram(MACHINE_FRAMES));
    ck_assert(!mfn_is_ram((1ULL << 40) - 1));
    ck_assert(!mfn_is_ram(~(mfn_t)0));
}
END_TEST

/* M13: never a page above the cap, and none for the dying. */
START_TEST(reservation_is_capped)
{
    dom_a.max_pages = 3;
    for (int i = 0; i < 3; i++)
        frame_new(&dom_a);
    uint64_t free = alloc_free_pages();

    ck_assert_ptr_null(domain_page_alloc(&dom_a));
    ck_assert_uint_eq(dom_a.nr_pages, 3);
    dom_a.max_pages = 4;
    dom_a.state = DOMAIN_DYING;
    ck_assert_ptr_null(domain_page_alloc(&dom_a));
    ck_assert_uint_eq(alloc_free_pages(), free);
    recount();
}
END_TEST

/* The builder finds a new domain's frames by their place in its list. */
START_TEST(new_frame_is_first_of_the_list)
{
    mfn_t third = frame_new(&dom_a), second = frame_new(&dom_a),
          first = frame_new(&dom_a);

    ck_assert_uint_eq(dom_a.page_list, first);
    ck_assert_uint_eq(page_of(first)->next, second);
    ck_assert_uint_eq(page_of(second)->next, third);
    ck_assert_uint_eq(page_of(third)->next, first);
}
END_TEST

/* ---- References. ---- */

START_TEST(reference_needs_the_owner)
{
    mfn_t mine = frame_new(&dom_a);
    struct page *hv = page_alloc();

    ck_assert(page_get(page_of(mine), &dom_a));
    page_put(page_of(mine));
    ck_assert(!page_get(page_of(mine), &dom_b));
    ck_assert(!page_get(hv, &dom_a));
    ck_assert_ptr_null(page_get_mfn(DEVICE_FRAME, &dom_a));
    ck_assert_ptr_null(page_get_mfn(~(mfn_t)0, &dom_a));
    release(&dom_a, mine);
    ck_assert(!page_get(page_of(mine), &dom_a));
    page_free(hv);
    recount();
}
END_TEST

/* M10: a page given up while in use stays what it is until the last use. */
START_TEST(M10_released_frame_lives_while_referenced)
{
    mfn_t mfn = frame_new(&dom_a);
    uint64_t free = alloc_free_pages();

    ck_assert(page_get(page_of(mfn), &dom_a));
    arena[mfn][0] = 7;
    m2p[mfn] = 42;
    release(&dom_a, mfn);
    ck_assert(!domain_page_release(&dom_a, page_of(mfn)));
    ck_assert_uint_eq(alloc_free_pages(), free);
    ck_assert_int_eq(arena[mfn][0], 7);

    flushed.watch = mfn;
    page_put(page_of(mfn));
    ck_assert_uint_eq(alloc_free_pages(), free + 1);
    ck_assert_ptr_eq(flushed.domain, &dom_a);
    ck_assert_msg(flushed.watch_byte == 7, "flushed after it was reused");
    ck_assert_uint_eq(m2p[mfn], M2P_INVALID);
    recount();
}
END_TEST

START_TEST(counts_do_not_overflow)
{
    mfn_t mfn = frame_new(&dom_a);
    struct page *page = page_of(mfn);
    uint64_t count = page->count;

    page->count |= PAGE_COUNT_MASK;
    ck_assert(!page_get(page, &dom_a));
    page->count = count;
    page->type = PAGE_WRITABLE | PAGE_TYPE_COUNT_MASK;
    ck_assert_int_ne(page_get_type(page, PAGE_WRITABLE), 0);
}
END_TEST

/* ---- Types. ---- */

static const uint64_t all_types[] = { PAGE_L1, PAGE_L2,      PAGE_L3,
                                      PAGE_L4, PAGE_SEGDESC, PAGE_WRITABLE };
#define NR_TYPES (sizeof(all_types) / sizeof(all_types[0]))

static void check_pair(uint64_t first, uint64_t second)
{
    mfn_t mfn = frame_new(&dom_a);

    ck_assert_int_eq(use(&dom_a, mfn, first), 0);
    int rc = use(&dom_a, mfn, second);

    ck_assert_int_eq(rc, first == second ? 0 : -EINVAL);
    if (!rc)
        unuse(&dom_a, mfn);
    unuse(&dom_a, mfn);
    ck_assert_int_eq(use(&dom_a, mfn, second), 0);
    unuse(&dom_a, mfn);
}

/* Every pair: together only if the same; one after the other always. */
START_TEST(types_exclude_each_other)
{
    for (unsigned int i = 0; i < NR_TYPES; i++)
        check_pair(all_types[_i], all_types[i]);
    recount();
}
END_TEST

static void check_flush(uint64_t first, uint64_t second)
{
    mfn_t mfn = frame_new(&dom_a);

    memset(&flushed, 0, sizeof(flushed));
    ck_assert_int_eq(use(&dom_a, mfn, first), 0);
    ck_assert_uint_eq(flushed.count, 0);
    unuse(&dom_a, mfn);

    flushed.watch = mfn;
    ck_assert_int_eq(use(&dom_a, mfn, second), 0);
    ck_assert_uint_eq(flushed.count, first != second);
    if (first != second) {
        ck_assert_ptr_eq(flushed.domain, &dom_a);
        ck_assert_uint_eq(flushed.watch_type, second | 1);
    }
}

/* M6, M22: the flush stands between the new type and the look at the
 * contents; a frame that was never anything needs none. */
START_TEST(M6_type_change_flushes_once_locked)
{
    for (unsigned int i = 0; i < NR_TYPES; i++)
        check_flush(all_types[_i], all_types[i]);
}
END_TEST

/* ---- Whole trees. ---- */

START_TEST(good_tree_is_counted_exactly)
{
    struct tree t = tree_pinned(&dom_a);

    for (unsigned int l = 1; l <= 4; l++) {
        ck_assert_uint_eq(type_of(t.table[l]), level_as_type(l));
        ck_assert(page_of(t.table[l])->type & PAGE_VALIDATED);
        ck_assert_uint_eq(refs_of(t.table[l]), 3);
    }
    ck_assert_uint_eq(type_of(t.data[0]), PAGE_WRITABLE);
    recount();

    ck_assert_int_eq(unpin(&dom_a, t.table[4]), 0);
    for (unsigned int l = 1; l <= 4; l++)
        ck_assert_uint_eq(uses_of(t.table[l]), 0);
    ck_assert_uint_eq(refs_of(t.data[0]), 1);
    recount();
}
END_TEST

START_TEST(audit_expects_what_is_counted)
{
    struct tree t = tree_pinned(&dom_a);

    ck_assert_int_eq(pin(&dom_a, t.table[2], 2), 0);
    ck_assert_uint_eq(pagetable_audit(&dom_a), 4);
    for (mfn_t m = 0; m < MACHINE_FRAMES; m++) {
        uint64_t own = frames[m].count & PAGE_ALLOCATED ? 1 : 0;

        ck_assert_uint_eq(refs_of(m), audit_refs[m] + own);
        ck_assert_uint_eq(uses_of(m), audit_uses[m]);
    }
    ck_assert_uint_eq(pagetable_audit(&dom_b), 0);
}
END_TEST

/* Shared subtrees are validated once and counted by each parent. */
START_TEST(shared_subtree_is_counted_by_each_parent)
{
    struct tree t = tree_new(&dom_a);
    uint64_t *l4 = table_of(t.table[4]);

    for (unsigned int i = 0; i < 512; i++)
        l4[i] = entry(t.table[3], PTE_RW);
    ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
    ck_assert_uint_eq(uses_of(t.table[3]), 512 - 16);
    ck_assert_uint_eq(uses_of(t.table[2]), 1);
    recount();
    ck_assert_int_eq(unpin(&dom_a, t.table[4]), 0);
    recount();
}
END_TEST

START_TEST(hypervisor_slots_are_overwritten)
{
    struct tree t = tree_new(&dom_a);
    uint64_t *l4 = table_of(t.table[4]);

    /* Neither checked nor counted: gone before any CPU sees them. */
    for (unsigned int i = HV_SLOT_FIRST; i < HV_SLOT_END; i++)
        l4[i] = entry(DEVICE_FRAME, PTE_RW | PTE_PSE);
    ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
    for (unsigned int i = HV_SLOT_FIRST; i < HV_SLOT_END; i++)
        ck_assert_uint_eq(l4[i], HV_SLOT_MARK | i << 4);
    recount();

    for (unsigned int i = 255; i <= 272; i++) {
        bool guests = i == 255 || i == 272;
        uint64_t before = l4[i];

        ck_assert_int_eq(set(&vcpu_a, t.table[4], i, entry(t.table[3], 0)),
                         guests ? 0 : -EINVAL);
        ck_assert_int_eq(set(&vcpu_a, t.table[4], i, 0), guests ? 0 : -EINVAL);
        if (!guests)
            ck_assert_uint_eq(l4[i], before);
    }
    recount();
}
END_TEST

/* The guest's kernel runs in ring 3; and a global entry would outlive the
 * flushes that types rely on. */
START_TEST(entries_become_user_and_never_global)
{
    struct tree t = tree_new(&dom_a);

    for (unsigned int l = 2; l <= 4; l++)
        table_of(t.table[l])[pt_index(TREE_VA, l)] &= ~PTE_USER;
    table_of(t.table[1])[TREE_L1] |= PTE_GLOBAL;
    ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
    for (unsigned int l = 1; l <= 4; l++) {
        uint64_t e = table_of(t.table[l])[pt_index(TREE_VA, l)];

        ck_assert(e & PTE_USER);
        ck_assert(!(e & PTE_GLOBAL));
    }

    uint64_t e = entry(t.data[0], PTE_RW | PTE_GLOBAL);

    ck_assert_int_eq(set(&vcpu_a, t.table[1], TREE_L1, e), 0);
    e = table_of(t.table[1])[TREE_L1];
    ck_assert_uint_eq(e, entry(t.data[0], PTE_RW | PTE_USER));
    ck_assert_int_eq(set(&vcpu_a, t.table[1], 9, 0x1234567890 & ~1ULL), 0);
    ck_assert_uint_eq(table_of(t.table[1])[9], 0x1234567890 & ~1ULL);
}
END_TEST

/* ---- Forged entries: refused by validation and by update alike. ---- */

enum { OWN_DATA, OWN_L1, OWN_SAME, OWN_TOP, FOREIGN, HYPERVISORS, FREE_FRAME,
       DEVICE, BEYOND, FAR_BEYOND };

struct forgery {
    const char *name;
    unsigned int level;
    int frame;
    uint64_t flags;
    int error;
};

static const struct forgery forgeries[] = {
    { "L1 write-through", 1, OWN_DATA, PTE_PWT, -EINVAL },
    { "L1 uncached", 1, OWN_DATA, PTE_PCD, -EINVAL },
    { "L1 PAT", 1, OWN_DATA, PTE_PSE, -EINVAL },
    { "L1 writable L1", 1, OWN_L1, PTE_RW, -EBUSY },
    { "L1 writable L4", 1, OWN_TOP, PTE_RW, -EBUSY },
    { "L1 foreign", 1, FOREIGN, 0, -EBUSY },
    { "L1 foreign writable", 1, FOREIGN, PTE_RW, -EBUSY },
    { "L1 the hypervisor's", 1, HYPERVISORS, 0, -EBUSY },
    { "L1 free", 1, FREE_FRAME, 0, -EBUSY },
    { "L1 device", 1, DEVICE, PTE_RW, -EPERM },
    { "L1 beyond", 1, BEYOND, 0, -EPERM },
    { "L1 far beyond", 1, FAR_BEYOND, PTE_RW, -EPERM },
    { "L2 PSE", 2, OWN_L1, PTE_PSE, -EINVAL },
    { "L2 PSE writable data", 2, OWN_DATA, PTE_PSE | PTE_RW, -EINVAL },
    { "L2 global", 2, OWN_L1, PTE_GLOBAL, -EINVAL },
    { "L2 uncached", 2, OWN_L1, PTE_PCD, -EINVAL },
    { "L2 write-through", 2, OWN_L1, PTE_PWT, -EINVAL },
    { "L2 linear", 2, OWN_SAME, 0, -EINVAL },
    { "L2 to L4", 2, OWN_TOP, 0, -EINVAL },
    { "L2 writable data", 2, OWN_DATA, 0, -EINVAL },
    { "L2 foreign", 2, FOREIGN, PTE_RW, -EINVAL },
    { "L2 the hypervisor's", 2, HYPERVISORS, 0, -EINVAL },
    { "L2 free", 2, FREE_FRAME, 0, -EINVAL },
    { "L2 device", 2, DEVICE, 0, -EINVAL },
    { "L2 beyond", 2, BEYOND, 0, -EINVAL },
    { "L2 far beyond", 2, FAR_BEYOND, 0, -EINVAL },
    { "L3 PSE", 3, OWN_DATA, PTE_PSE | PTE_RW, -EINVAL },
    { "L3 global", 3, OWN_L1, PTE_GLOBAL, -EINVAL },
    { "L3 skips a level", 3, OWN_L1, PTE_RW, -EINVAL },
    { "L3 linear", 3, OWN_SAME, PTE_RW, -EINVAL },
    { "L3 foreign", 3, FOREIGN, 0, -EINVAL },
    { "L4 PSE", 4, OWN_DATA, PTE_PSE, -EINVAL },
    { "L4 linear", 4, OWN_SAME, 0, -EINVAL },
    { "L4 linear writable", 4, OWN_SAME, PTE_RW, -EINVAL },
    { "L4 skips two levels", 4, OWN_L1, 0, -EINVAL },
    { "L4 device", 4, DEVICE, 0, -EINVAL },
    { "L4 far beyond", 4, FAR_BEYOND, 0, -EINVAL },
};
#define NR_FORGERIES (sizeof(forgeries) / sizeof(forgeries[0]))

static mfn_t forged_frame(const struct forgery *f, const struct tree *t)
{
    switch (f->frame) {
    case OWN_DATA:
        return t->data[1];
    case OWN_L1:
        return t->table[1];
    case OWN_SAME:
        return t->table[f->level];
    case OWN_TOP:
        return t->table[4];
    case FOREIGN:
        return frame_new(&dom_b);
    case HYPERVISORS:
        return mfn_of(page_alloc());
    case FREE_FRAME:
        return MACHINE_FRAMES - 1 - !refs_of(MACHINE_FRAMES - 1);
    case DEVICE:
        return DEVICE_FRAME;
    case BEYOND:
        return MACHINE_FRAMES;
    default:
        return (1ULL << 40) - 1;
    }
}

/* A frame that is free now, whatever order they are handed out in. */
static mfn_t free_frame(void)
{
    for (mfn_t m = FIRST_RAM; m < MACHINE_FRAMES; m++)
        if (!refs_of(m))
            return m;
    ck_abort_msg("no frame is free");
}

static uint64_t forged_entry(const struct forgery *f, const struct tree *t)
{
    mfn_t mfn = f->frame == FREE_FRAME ? free_frame() : forged_frame(f, t);

    return entry(mfn, f->flags);
}

/* Free slots: L1, and one that upper levels do not use. */
#define FORGED_SLOT 511u

START_TEST(forged_entry_fails_validation)
{
    const struct forgery *f = &forgeries[_i];
    struct tree t = tree_new(&dom_a);

    table_of(t.table[f->level])[FORGED_SLOT] = forged_entry(f, &t);
    ck_assert_msg(pin(&dom_a, t.table[4], 4) == f->error, "%s", f->name);
    for (unsigned int l = 1; l <= 4; l++)
        ck_assert_uint_eq(uses_of(t.table[l]), 0);
    recount();

    /* Nothing stands in the way of a clean second attempt. */
    table_of(t.table[f->level])[FORGED_SLOT] = 0;
    ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
    recount();
}
END_TEST

START_TEST(forged_entry_fails_update)
{
    const struct forgery *f = &forgeries[_i];
    struct tree t = tree_pinned(&dom_a);
    mfn_t table = t.table[f->level];
    uint64_t forged = forged_entry(f, &t);

    ck_assert_msg(set(&vcpu_a, table, FORGED_SLOT, forged) == f->error, "%s",
                  f->name);
    ck_assert_uint_eq(table_of(table)[FORGED_SLOT], 0);
    /* Also in place of a good entry, which then stays. */
    unsigned int index = pt_index(TREE_VA, f->level);
    uint64_t good = table_of(table)[index];

    ck_assert_int_eq(set(&vcpu_a, table, index, forged), f->error);
    ck_assert_uint_eq(table_of(table)[index], good);
    recount();
}
END_TEST

/* M1, M2: flip any one bit of any kind of entry. Whatever the answer, no
 * table becomes writable and no count drifts. */
START_TEST(M1_no_single_bit_opens_a_table)
{
    unsigned int level = (unsigned int)_i;
    struct tree t = tree_pinned(&dom_a);
    unsigned int index = level == 1 ? TREE_L1 + DATA + 1
                                    : pt_index(TREE_VA, level);
    uint64_t e = table_of(t.table[level])[index];

    for (unsigned int n = 0; n < 64; n++) {
        uint64_t bit = 1ULL << n;
        int rc = set(&vcpu_a, t.table[level], index, e ^ bit);

        if (bit & (PTE_PWT | PTE_PCD | PTE_PSE))
            ck_assert_msg(rc == -EINVAL, "bit %u: %d", n, rc);
        if (level == 1 && bit == PTE_RW)
            ck_assert_msg(rc == -EBUSY, "bit %u: %d", n, rc);
        recount();
        ck_assert_int_eq(set(&vcpu_a, t.table[level], index, e), 0);
        ck_assert_uint_eq(table_of(t.table[level])[index], e);
    }
    recount();
}
END_TEST

/* The fast path is for what neither refers nor permits otherwise. */
START_TEST(similar_update_keeps_counts)
{
    struct tree t = tree_pinned(&dom_a);
    uint64_t e = entry(t.data[0], PTE_RW | PTE_NX | PTE_DIRTY | PTE_AVAIL);

    ck_assert_int_eq(set(&vcpu_a, t.table[1], TREE_L1, e), 0);
    ck_assert_uint_eq(table_of(t.table[1])[TREE_L1], e | PTE_USER);
    recount();
    ck_assert_int_eq(set(&vcpu_a, t.table[1], TREE_L1, e & ~PTE_RW), 0);
    ck_assert_uint_eq(uses_of(t.data[0]), 0);
    recount();
    ck_assert_int_eq(set(&vcpu_a, t.table[1], TREE_L1, 0), 0);
    ck_assert_uint_eq(refs_of(t.data[0]), 1);
    recount();
}
END_TEST

START_TEST(accessed_and_dirty_can_be_kept)
{
    struct tree t = tree_pinned(&dom_a);
    uint64_t *slot = &table_of(t.table[1])[TREE_L1];

    *slot |= PTE_ACCESSED | PTE_DIRTY;
    spin_lock(&dom_a.pt_lock);
    ck_assert_int_eq(pagetable_set(&vcpu_a, page_of(t.table[1]), TREE_L1,
                                   entry(t.data[1], 0), true),
                     0);
    spin_unlock(&dom_a.pt_lock);
    ck_assert_uint_eq(*slot, entry(t.data[1], PTE_USER | PTE_ACCESSED |
                                                  PTE_DIRTY));
    ck_assert_int_eq(set(&vcpu_a, t.table[1], TREE_L1, entry(t.data[1], 0)), 0);
    ck_assert_uint_eq(*slot, entry(t.data[1], PTE_USER));
    recount();
}
END_TEST

/* The last entry being bad gives back what 511 good ones took. */
START_TEST(bad_last_entry_undoes_all)
{
    mfn_t l1 = frame_new(&dom_a), data = frame_new(&dom_a);

    for (unsigned int i = 0; i < 512; i++)
        table_of(l1)[i] = entry(data, PTE_RW);
    table_of(l1)[511] = entry(DEVICE_FRAME, 0);
    ck_assert_int_eq(pin(&dom_a, l1, 1), -EPERM);
    ck_assert_uint_eq(refs_of(data), 1);
    ck_assert_uint_eq(uses_of(data), 0);
    recount();
}
END_TEST

/* M5: a former type is worth nothing after the frame changed hands. */
START_TEST(M5_type_does_not_survive_a_change_of_owner)
{
    mfn_t mfn = frame_new(&dom_a);

    ck_assert_int_eq(pin(&dom_a, mfn, 1), 0);
    ck_assert_int_eq(unpin(&dom_a, mfn), 0);
    release(&dom_a, mfn);
    while (frame_new(&dom_b) != mfn)
        ;
    table_of(mfn)[0] = entry(DEVICE_FRAME, PTE_RW);
    ck_assert_int_eq(pin(&dom_b, mfn, 1), -EPERM);
    recount();
}
END_TEST

/* ---- Pins. ---- */

START_TEST(pin_is_one_and_only_ones_own)
{
    mfn_t l1 = frame_new(&dom_a);

    ck_assert_int_eq(unpin(&dom_a, l1), -EINVAL);
    ck_assert_int_eq(pin(&dom_b, l1, 1), -EINVAL);
    ck_assert_int_eq(pin(&dom_a, l1, 1), 0);
    ck_assert_int_eq(pin(&dom_a, l1, 1), -EINVAL);
    ck_assert_int_eq(pin(&dom_a, l1, 2), -EINVAL);
    recount();
    ck_assert_int_eq(unpin(&dom_b, l1), -EINVAL);
    ck_assert_int_eq(unpin(&dom_a, l1), 0);
    ck_assert_int_eq(unpin(&dom_a, l1), -EINVAL);
    recount();
}
END_TEST

/* M25: a base that is loaded stays a table, unpinned and given up or not. */
START_TEST(M25_loaded_base_survives_unpin_and_release)
{
    struct tree t = tree_pinned(&dom_a);

    ck_assert_int_eq(use(&dom_a, t.table[4], PAGE_L4), 0);
    held_refs[t.table[4]] = held_uses[t.table[4]] = 1;
    held_type[t.table[4]] = PAGE_L4;
    ck_assert_int_eq(unpin(&dom_a, t.table[4]), 0);
    for (unsigned int l = 1; l <= 4; l++)
        release(&dom_a, t.table[l]);
    recount();
    ck_assert_uint_eq(type_of(t.table[1]), PAGE_L1);
    ck_assert_uint_eq(uses_of(t.table[1]), 1);
}
END_TEST

/* ---- M8: long operations stop after any entry, and are gone on with, given
 * up, or overtaken. ---- */

static void end_all(const struct tree *t)
{
    (void)t;
    pagetable_step = 4096;
    relinquish(&dom_a);
    recount();
    ck_assert_uint_eq(dom_a.nr_pages, 0);
    dom_a.state = DOMAIN_RUNNING;
}

static void go_on(const struct tree *t)
{
    ck_assert_int_eq(pin(&dom_a, t->table[4], 4), 0);
    recount();
    ck_assert_int_eq(unpin(&dom_a, t->table[4]), 0);
    ck_assert_uint_eq(uses_of(t->table[4]), 0);
}

/* What somebody else does meanwhile: take a part of the tree for himself. */
static void share_a_part(const struct tree *t)
{
    ck_assert_int_eq(pin(&dom_a, t->table[2], 2), 0);
    recount();
    go_on(t);
    recount();
    ck_assert_int_eq(unpin(&dom_a, t->table[2]), 0);
}

/* A table that is not finished has no entry that could be changed, is no
 * base, and is no guest's to write. */
static void misuse(const struct tree *t)
{
    for (unsigned int l = 1; l <= 4; l++) {
        mfn_t mfn = t->table[l];

        if (!uses_of(mfn))
            continue;
        if (!pagetable_level(page_of(mfn)))
            ck_assert_int_eq(use(&dom_a, mfn, PAGE_SEGDESC), -EINVAL);
        ck_assert_int_eq(use(&dom_a, mfn, PAGE_WRITABLE), -EINVAL);
    }
    if (uses_of(t->table[4]) && !dom_a.falling)
        ck_assert_int_eq(pin(&dom_a, t->table[4], 3), -EINVAL);
    ck_assert_int_eq(pin(&dom_b, t->table[4], 4), -EINVAL);
    recount();
}

/* The guest gives up its frames, and never comes back. */
static void forget(const struct tree *t)
{
    for (unsigned int l = 1; l <= 4; l++)
        release(&dom_a, t->table[l]);
}

static void (*const meanwhile[])(const struct tree *t) = {
    go_on, share_a_part, misuse, forget, end_all,
};
#define NR_MEANWHILE (sizeof(meanwhile) / sizeof(meanwhile[0]))

/* Each way stops at other moments of the 2,032 or so that there are. */
#define STRIDE 23u

/* @calls of pinning: 0 when it is done by then. */
static int pin_some(const struct tree *t, unsigned int calls)
{
    int rc = -ERESTART;

    while (calls-- && rc == -ERESTART)
        rc = pin_step(&dom_a, t->table[4], 4);
    return rc;
}

START_TEST(M8_pin_stops_anywhere)
{
    unsigned int calls = (unsigned int)_i;
    int rc;

    for (;; calls += STRIDE) {
        struct tree t = tree_new(&dom_a);

        pagetable_step = 1;
        rc = pin_some(&t, calls);
        recount();
        if (rc) {
            ck_assert_int_eq(unpin_step(&dom_a, t.table[4]), -EINVAL);
            pagetable_step = 400;
            meanwhile[_i](&t);
            recount();
        }
        end_all(&t);
        if (!rc)
            break;
    }
    ck_assert_uint_gt(calls, 3 * 512 + 496);
}
END_TEST

START_TEST(M8_unpin_stops_anywhere)
{
    unsigned int calls = (unsigned int)_i;

    for (bool stopped = true; stopped; calls += STRIDE) {
        struct tree t = tree_new(&dom_a);

        pagetable_step = 4096;
        ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
        pagetable_step = 1;
        ck_assert_int_eq(unpin_step(&dom_a, t.table[4]), 0);
        for (unsigned int i = 0; i < calls; i++)
            (void)settle_step(&dom_a);
        recount();
        stopped = dom_a.falling != NULL;
        pagetable_step = 400;
        meanwhile[_i](&t);
        recount();
        end_all(&t);
    }
    ck_assert_uint_gt(calls, 3 * 512 + 496);
}
END_TEST

/* Every single step of a pin, and of its end. */
START_TEST(every_step_is_counted)
{
    struct tree t = tree_new(&dom_a);
    unsigned int steps = 0;

    pagetable_step = 1;
    for (; pin_step(&dom_a, t.table[4], 4); steps++)
        recount();
    ck_assert_int_eq(unpin_step(&dom_a, t.table[4]), 0);
    for (; settle_step(&dom_a); steps++)
        recount();
    ck_assert_uint_gt(steps, 2 * (3 * 512 + 496));
}
END_TEST

/* A tree is found to be bad when most of it is done: the error is told once,
 * and all is taken back, however often that stops. */
START_TEST(M8_bad_tree_is_undone_in_steps)
{
    struct tree t = tree_new(&dom_a);
    unsigned int steps = 0;
    int rc;

    pagetable_step = 1;
    table_of(t.table[_i])[511] = entry(DEVICE_FRAME, PTE_PSE);
    while ((rc = pin_step(&dom_a, t.table[4], 4)) == -ERESTART)
        ;
    ck_assert_int_eq(rc, -EINVAL);
    for (; settle_step(&dom_a); steps++)
        if (steps % STRIDE == 0)
            recount();
    ck_assert_uint_ge(steps, 496);
    recount();
    for (unsigned int l = 1; l <= 4; l++)
        ck_assert_uint_eq(uses_of(t.table[l]), 0);
}
END_TEST

/* An entry of a live table that is to lead to an unfinished one does not,
 * until it is finished. */
START_TEST(update_waits_for_the_table_below)
{
    struct tree t = tree_pinned(&dom_a), u = tree_new(&dom_a);
    uint64_t e = entry(u.table[3], PTE_RW | PTE_USER);
    unsigned int steps = 0;

    pagetable_step = 100;
    for (; set(&vcpu_a, t.table[4], 7, e) == -ERESTART; steps++) {
        ck_assert_uint_eq(table_of(t.table[4])[7], 0);
        recount();
    }
    ck_assert_uint_gt(steps, 10);
    ck_assert_uint_eq(table_of(t.table[4])[7], e);
    recount();

    /* And what it led to is gone only when it is in pieces, for which the next
     * that gives up a table has to wait. */
    ck_assert_int_eq(set(&vcpu_a, t.table[4], 7, 0), 0);
    for (steps = 0; set(&vcpu_a, t.table[4], 8, 0) == -ERESTART; steps++) {
        recount();
        ck_assert_int_eq(use(&dom_a, u.table[3], PAGE_WRITABLE), -EINVAL);
    }
    ck_assert_uint_gt(steps, 10);
    ck_assert_int_eq(use(&dom_a, u.table[3], PAGE_WRITABLE), 0);
    unuse(&dom_a, u.table[3]);
    recount();
}
END_TEST

/* ---- The end of a domain. ---- */

START_TEST(relinquish_returns_every_page)
{
    uint64_t free = alloc_free_pages();
    struct tree t = tree_pinned(&dom_a);
    mfn_t spare = frame_new(&dom_a), second = frame_new(&dom_a);

    tree_pinned(&dom_a);
    /* Pinned and given up, given up and pinned, given up while mapped. */
    ck_assert_int_eq(pin(&dom_a, spare, 1), 0);
    release(&dom_a, spare);
    ck_assert(page_get(page_of(second), &dom_a));
    release(&dom_a, second);
    ck_assert_int_eq(pin(&dom_a, second, 3), 0);
    page_put(page_of(second));
    release(&dom_a, t.data[0]);
    recount();

    relinquish(&dom_a);
    ck_assert_uint_eq(alloc_free_pages(), free);
    ck_assert_uint_eq(dom_a.nr_pages, 0);
    ck_assert_uint_eq(dom_a.page_list, 0);
    ck_assert_uint_eq(puts_of_a, 1);
    ck_assert_uint_eq(dom_a.refs, 1);
    recount();
}
END_TEST

/* The frames of a domain keep it, all together once, from the first on. */
START_TEST(frames_keep_their_domain)
{
    mfn_t first = frame_new(&dom_a), second;

    ck_assert_uint_eq(dom_a.refs, 2);
    second = frame_new(&dom_a);
    ck_assert_uint_eq(dom_a.refs, 2);
    release(&dom_a, first);
    ck_assert_uint_eq(puts_of_a, 0);
    release(&dom_a, second);
    ck_assert_uint_eq(puts_of_a, 1);
    ck_assert_uint_eq(dom_a.refs, 1);
}
END_TEST

/* D1: neither is its length that of the trees. */
START_TEST(M8_relinquish_stops_anywhere)
{
    struct tree t = tree_pinned(&dom_a);
    unsigned int calls = 0;

    pin(&dom_a, t.table[1], 1);
    ck_assert_int_eq(use(&dom_a, t.table[4], PAGE_L4), 0);
    pagetable_leave(page_of(t.table[4])); /* as the end of a vCPU does it */
    pagetable_step = 1;
    dom_a.state = DOMAIN_DYING;
    for (; !domain_pages_relinquish(&dom_a); calls++)
        if (calls % STRIDE == 0)
            recount();
    recount();
    ck_assert_uint_gt(calls, 3 * 512 + 496);
    ck_assert_uint_eq(dom_a.nr_pages, 0);
}
END_TEST

START_TEST(relinquish_is_bounded_a_call)
{
    for (int i = 0; i < 2000; i++)
        frame_new(&dom_a);
    dom_a.state = DOMAIN_DYING;

    unsigned int calls = 1;

    while (!domain_pages_relinquish(&dom_a))
        calls++;
    ck_assert_uint_ge(calls, 4);
    ck_assert_uint_eq(dom_a.nr_pages, 0);
}
END_TEST

/* Map a frame of @owner in the tables of @v, as a grant does. */
static void map_foreign(struct vcpu *v, mfn_t l1, unsigned int index,
                        struct domain *owner, mfn_t mfn)
{
    ck_assert_int_eq(page_get_and_type(mfn, owner, PAGE_WRITABLE), 0);
    spin_lock(&v->domain->pt_lock);
    pagetable_replace(v->domain, &table_of(l1)[index],
                      entry(mfn, PTE_RW | PTE_USER));
    spin_unlock(&v->domain->pt_lock);
}

/* D4: a frame that a live peer maps waits for it, and only that frame. */
START_TEST(peer_keeps_a_zombie_frame)
{
    struct tree t = tree_pinned(&dom_b);
    uint64_t free = alloc_free_pages();
    mfn_t granted = frame_new(&dom_a);

    frame_new(&dom_a);
    map_foreign(&vcpu_b, t.table[1], 0, &dom_a, granted);
    recount();
    relinquish(&dom_a);
    ck_assert_uint_eq(alloc_free_pages(), free - 1);
    ck_assert_uint_eq(dom_a.nr_pages, 1);
    ck_assert_uint_eq(puts_of_a, 0);
    recount();

    flushed.count = 0;
    flushed.watch = granted;
    ck_assert_int_eq(set(&vcpu_b, t.table[1], 0, 0), 0);
    ck_assert_uint_eq(alloc_free_pages(), free);
    ck_assert_uint_eq(puts_of_a, 1);
    recount();
}
END_TEST

/* The owner's flush does not reach the mapper's CPUs: they are flushed
 * when the entry is gone, while the reference still stands. */
START_TEST(foreign_mapping_is_flushed_before_it_is_put)
{
    struct tree t = tree_pinned(&dom_b);
    mfn_t granted = frame_new(&dom_a);

    map_foreign(&vcpu_b, t.table[1], 0, &dom_a, granted);
    flushed.watch = granted;
    flushed.slot = &table_of(t.table[1])[0];
    ck_assert_int_eq(set(&vcpu_b, t.table[1], 0, 0), 0);
    ck_assert_uint_eq(flushed.entry, 0);
    ck_assert_ptr_eq(flushed.domain, &dom_b);
    ck_assert_uint_eq(flushed.watch_refs, 2);
    ck_assert_uint_eq(flushed.watch_type, PAGE_WRITABLE | 1);
}
END_TEST

/* ---- Pages the hypervisor shares. ---- */

START_TEST(shared_page_is_mappable_and_no_table)
{
    uint64_t free = alloc_free_pages();
    struct tree t = tree_pinned(&dom_a);
    struct page *shared = page_alloc();
    mfn_t mfn = mfn_of(shared);

    page_share(shared, &dom_a);
    ck_assert_int_eq(set(&vcpu_a, t.table[1], 0, entry(mfn, PTE_RW)), 0);
    ck_assert_int_eq(pin(&dom_a, mfn, 1), -EINVAL);
    ck_assert_int_eq(use(&dom_a, mfn, PAGE_SEGDESC), -EINVAL);
    ck_assert(page_get(shared, &dom_a));
    ck_assert(!domain_page_release(&dom_a, shared));
    page_put(shared);
    recount();

    relinquish(&dom_a);
    page_unshare(shared);
    recount();
    page_free(shared);
    ck_assert_uint_eq(alloc_free_pages(), free);
    recount();
}
END_TEST

START_TEST(unshared_page_waits_for_a_peer)
{
    struct tree t = tree_pinned(&dom_b);
    uint64_t free = alloc_free_pages();
    struct page *shared = page_alloc();

    page_share(shared, &dom_a);
    map_foreign(&vcpu_b, t.table[1], 0, &dom_a, mfn_of(shared));
    page_unshare(shared);
    page_free(shared);
    ck_assert_uint_eq(alloc_free_pages(), free - 1);
    recount();
    ck_assert_int_eq(set(&vcpu_b, t.table[1], 0, 0), 0);
    ck_assert_uint_eq(alloc_free_pages(), free);
    recount();
}
END_TEST

/* ---- The entries of grant mappings. ---- */

#define GRANT_VA  (TREE_VA + 16 * PAGE_SIZE) /* nothing is mapped there */
#define OTHER_VA  (TREE_VA + 17 * PAGE_SIZE)

static bool entry_put(struct vcpu *mapper, uint64_t addr, bool contains_pte,
                      uint64_t pte, uint64_t *maddr)
{
    return mmu_grant_map(mapper, mapper->domain, addr, contains_pte, pte,
                         maddr);
}

/* As mmu_grant_unmap(), for an entry of @mfn. */
static bool entry_take(struct vcpu *mapper, uint64_t addr, bool contains_pte,
                       mfn_t mfn, bool writable, uint64_t new_addr)
{
    return mmu_grant_unmap(mapper, mapper->domain, addr, contains_pte,
                           entry(mfn, writable ? PTE_RW : 0), new_addr);
}

/* @mapper maps a frame of the other domain; its machine address. */
static uint64_t grant_map(struct vcpu *mapper, struct domain *owner, mfn_t mfn,
                          uint64_t va, bool writable)
{
    uint64_t maddr = 0, rw = writable ? PTE_RW : 0;

    if (writable)
        ck_assert_int_eq(use(owner, mfn, PAGE_WRITABLE), 0);
    else
        ck_assert(page_get(page_of(mfn), owner));
    ck_assert(entry_put(mapper, va, false, entry(mfn, rw), &maddr));
    return maddr;
}

/* What the grant code does when its entry is out. */
static void grant_put(mfn_t mfn, bool writable)
{
    if (writable)
        page_put_type(page_of(mfn));
    page_put(page_of(mfn));
}

START_TEST(grant_entry_comes_and_goes)
{
    struct tree t = tree_pinned(&dom_b);
    mfn_t mfn = frame_new(&dom_a);
    uint64_t *slot = &table_of(t.table[1])[pt_index(GRANT_VA, 1)];
    uint64_t maddr = grant_map(&vcpu_b, &dom_a, mfn, GRANT_VA, _i);

    ck_assert_uint_eq(*slot, entry(mfn, _i ? PTE_RW : 0));
    ck_assert_ptr_eq(directmap + maddr, slot);
    recount();
    ck_assert(entry_take(&vcpu_b, GRANT_VA, false, mfn, _i, 0));
    ck_assert_uint_eq(*slot, 0);
    grant_put(mfn, _i);
    recount();

    /* The same by the entry's machine address. */
    ck_assert(page_get(page_of(mfn), &dom_a));
    ck_assert(entry_put(&vcpu_b, maddr, true, entry(mfn, 0), &maddr));
    ck_assert_ptr_eq(directmap + maddr, slot);
    ck_assert(entry_take(&vcpu_b, maddr, true, mfn, false, 0));
    grant_put(mfn, false);
    recount();
}
END_TEST

/* A mapping over an own page puts that page. */
START_TEST(grant_entry_replaces_what_was_there)
{
    struct tree t = tree_pinned(&dom_b);
    mfn_t mfn = frame_new(&dom_a);

    grant_map(&vcpu_b, &dom_a, mfn, TREE_VA, true);
    ck_assert_uint_eq(refs_of(t.data[0]), 1);
    recount();
}
END_TEST

/* G2: only the very entry of the grant is taken out. */
START_TEST(grant_unmap_compares_the_entry)
{
    struct tree t = tree_pinned(&dom_b);
    mfn_t mfn = frame_new(&dom_a), other = frame_new(&dom_a);
    uint64_t maddr = grant_map(&vcpu_b, &dom_a, mfn, GRANT_VA, true);
    const struct {
        uint64_t addr;
        bool contains_pte;
        mfn_t mfn;
        bool writable;
        uint64_t new_addr;
    } wrong[] = {
        { GRANT_VA, false, mfn, false, 0 },
        { GRANT_VA, false, other, true, 0 },
        { OTHER_VA, false, mfn, true, 0 }, /* not present */
        { TREE_VA, false, mfn, true, 0 },  /* an own page */
        { HV_START, false, mfn, true, 0 },
        { maddr + 1, true, mfn, true, 0 },
        { maddr + 8, true, mfn, true, 0 },
        { (uint64_t)DEVICE_FRAME << PAGE_SHIFT, true, mfn, true, 0 },
        { (uint64_t)MACHINE_FRAMES << PAGE_SHIFT, true, mfn, true, 0 },
        { UINT64_MAX & ~7ULL, true, mfn, true, 0 },
        { GRANT_VA, false, mfn, true, GRANT_VA }, /* onto itself */
        { GRANT_VA, false, mfn, true, HV_START },
        { maddr, true, mfn, true, TREE_VA },
    };

    for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_msg(!entry_take(&vcpu_b, wrong[i].addr, wrong[i].contains_pte,
                                  wrong[i].mfn, wrong[i].writable,
                                  wrong[i].new_addr),
                      "case %u", i);
        ck_assert_uint_eq(*(uint64_t *)(directmap + maddr),
                          entry(mfn, PTE_RW));
        recount();
    }
    ck_assert_uint_eq(table_of(t.table[1])[TREE_L1],
                      entry(t.data[0], PTE_RW | PTE_USER));
}
END_TEST

START_TEST(grant_entry_needs_an_own_l1)
{
    struct tree mine = tree_pinned(&dom_b), others = tree_pinned(&dom_a);
    mfn_t plain = frame_new(&dom_b);
    const uint64_t bad[] = {
        others.table[1] << PAGE_SHIFT, plain << PAGE_SHIFT,
        mine.table[2] << PAGE_SHIFT,   mine.table[4] << PAGE_SHIFT,
        mine.data[0] << PAGE_SHIFT,    (mine.table[1] << PAGE_SHIFT) + 4,
    };
    uint64_t maddr, e = entry(mine.data[1], 0);

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert(!entry_put(&vcpu_b, bad[i], true, e, &maddr));
    ck_assert(!entry_put(&vcpu_b, HV_START, false, e, &maddr));
    ck_assert(!entry_put(&vcpu_b, 0, false, e, &maddr));
    recount();
}
END_TEST

/* unmap_and_replace: the other address's entry moves, with what it holds. */
START_TEST(grant_entry_is_replaced_by_another)
{
    struct tree t = tree_pinned(&dom_b);
    mfn_t mfn = frame_new(&dom_a);
    uint64_t *l1 = table_of(t.table[1]);

    grant_map(&vcpu_b, &dom_a, mfn, GRANT_VA, true);
    ck_assert(entry_take(&vcpu_b, GRANT_VA, false, mfn, true, TREE_VA));
    grant_put(mfn, true);
    ck_assert_uint_eq(l1[pt_index(GRANT_VA, 1)],
                      entry(t.data[0], PTE_RW | PTE_USER));
    ck_assert_uint_eq(l1[TREE_L1], 0);
    recount();
}
END_TEST

/* ---- Walking. ---- */

START_TEST(walk_finds_only_the_guests_own)
{
    struct tree t = tree_pinned(&dom_a);

    for (unsigned int i = 0; i < DATA; i++)
        ck_assert_ptr_eq(pagetable_walk(&vcpu_a, TREE_VA + i * PAGE_SIZE + 5),
                         &table_of(t.table[1])[TREE_L1 + i]);

    const uint64_t bad[] = {
        0,          TREE_VA + (1ULL << 21), TREE_VA + (1ULL << 30),
        HV_START,   TREE_VA + (1ULL << 39), TREE_VA | 1ULL << 47,
        HV_END - 1, DIRECTMAP_BASE,         TREE_VA | 0xffff000000000000,
        HV_END,     TREE_VA | 1ULL << 63,   UINT64_MAX
    };

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_ptr_null(pagetable_walk(&vcpu_a, bad[i]));
        ck_assert_int_eq(pagetable_set_va(&vcpu_a, bad[i], 0), -EINVAL);
    }

    /* An update is always to the kernel's tables. */
    vcpu_a.arch.kernel_mode = false;
    ck_assert_ptr_null(pagetable_walk(&vcpu_a, TREE_VA));
    ck_assert_int_eq(pagetable_set_va(&vcpu_a, TREE_VA, 0), 0);
    ck_assert_uint_eq(table_of(t.table[1])[TREE_L1], 0);
    ck_assert_int_eq(pagetable_set_va(&vcpu_a, TREE_VA,
                                      entry(t.table[2], PTE_RW)),
                     -EBUSY);
    ck_assert(!spin_is_locked(&dom_a.pt_lock));
    recount();
}
END_TEST

/* What the walk that remembers says is what a walk says. */
static void check_walk(struct domain *d, mfn_t l4)
{
    uint64_t *slot = pagetable_walk_again(&d->walk, l4, TREE_VA);

    ck_assert_ptr_eq(slot, pagetable_walk_from(l4, TREE_VA));
    ck_assert_ptr_eq(pagetable_walk_again(&d->walk, l4, TREE_VA), slot);
}

/* M7: an entry of any level changes, and the way to L1 with it. */
START_TEST(a_walk_is_forgotten_when_its_way_changes)
{
    struct tree t = tree_pinned(&dom_a), other = tree_new(&dom_a);
    unsigned int level = (unsigned int)_i;
    mfn_t below = other.table[level - 1];

    ck_assert_int_eq(pin(&dom_a, below, level - 1), 0);
    check_walk(&dom_a, t.table[4]);
    ck_assert_int_eq(set(&vcpu_a, t.table[level], pt_index(TREE_VA, level),
                         entry(below, PTE_RW)),
                     0);
    check_walk(&dom_a, t.table[4]);
    ck_assert_ptr_eq(pagetable_walk_from(t.table[4], TREE_VA),
                     &table_of(other.table[1])[TREE_L1]);
    ck_assert_int_eq(set(&vcpu_a, t.table[level], pt_index(TREE_VA, level), 0),
                     0);
    check_walk(&dom_a, t.table[4]);
    recount();
}
END_TEST

/* The frames of a tree that is no more serve again, linked otherwise. */
START_TEST(a_walk_is_forgotten_when_its_tables_end)
{
    struct tree t = tree_pinned(&dom_a);

    check_walk(&dom_a, t.table[4]);
    ck_assert_int_eq(unpin(&dom_a, t.table[4]), 0);
    table_of(t.table[2])[pt_index(TREE_VA, 2)] = 0;
    ck_assert_int_eq(pin(&dom_a, t.table[4], 4), 0);
    check_walk(&dom_a, t.table[4]);
    ck_assert_ptr_null(pagetable_walk_from(t.table[4], TREE_VA));
    recount();
}
END_TEST

START_TEST(a_walk_is_remembered_for_its_own_root)
{
    struct tree one = tree_pinned(&dom_a), two = tree_pinned(&dom_a);

    for (unsigned int i = 0; i < 3; i++) {
        check_walk(&dom_a, one.table[4]);
        check_walk(&dom_a, two.table[4]);
    }
    ck_assert_ptr_null(pagetable_walk_again(&dom_a.walk, two.table[4],
                                            TREE_VA | 1ULL << 47));
    recount();
}
END_TEST

/* ---- Descriptors. ---- */

#define DPL(n)     ((uint64_t)(n) << 45)
#define P_BIT      (1ULL << 47)
#define CODE64     0x00af9a000000ffffULL
#define DATA_FLAT  0x00cf92000000ffffULL
#define SYSTEM(t)  (P_BIT | (uint64_t)(t) << 40)
#define GATE(sel)  (SYSTEM(0xc) | (uint64_t)(sel) << 16 | 0x1234)

static const struct {
    uint64_t in, out; /* out 0: refused */
} descriptors[] = {
    { CODE64, CODE64 | DPL(3) },
    { DATA_FLAT, DATA_FLAT | DPL(3) },
    { DATA_FLAT | DPL(1), DATA_FLAT | DPL(3) },
    { SYSTEM(9) & ~P_BIT, SYSTEM(9) & ~P_BIT }, /* not present: harmless */
    { SYSTEM(0), SYSTEM(0) },
    { SYSTEM(2), 0 },                        /* LDT */
    { SYSTEM(5), 0 },                        /* task gate */
    { SYSTEM(9), 0 },                        /* TSS */
    { SYSTEM(11) | DPL(3), 0 },              /* busy TSS */
    { SYSTEM(14), 0 },                       /* interrupt gate */
    { SYSTEM(15), 0 },                       /* trap gate */
    { GATE(0x33) | DPL(3), GATE(0x33) },     /* DPL kept in the selector */
    { GATE(0x30) | DPL(2), GATE(0x32) },
    { GATE(0xe033) | DPL(3), GATE(0xe033) }, /* the flat kernel code */
    { GATE(0xe030), 0 },
    { GATE(0xe008), 0 },                     /* the hypervisor's code */
    { GATE(0xdff8) | DPL(3), GATE(0xdffb) },
    { GATE(0xfff7), GATE(0xfff4) },          /* anything in the LDT */
    { GATE(0x33) | 1ULL << 32, 0 },          /* reserved bits */
};

START_TEST(descriptor_is_adjusted_or_refused)
{
    uint64_t d = descriptors[_i].in;

    ck_assert_int_eq(descriptor_adjust(&d), descriptors[_i].out != 0);
    if (descriptors[_i].out)
        ck_assert_uint_eq(d, descriptors[_i].out);
}
END_TEST

START_TEST(descriptor_page_is_validated_and_read_only)
{
    struct tree t = tree_pinned(&dom_a);
    mfn_t gdt = frame_new(&dom_a);

    table_of(gdt)[511] = SYSTEM(9);
    ck_assert_int_eq(use(&dom_a, gdt, PAGE_SEGDESC), -EINVAL);
    table_of(gdt)[511] = CODE64;
    ck_assert_int_eq(set(&vcpu_a, t.table[1], 0, entry(gdt, PTE_RW)), 0);
    ck_assert_int_eq(use(&dom_a, gdt, PAGE_SEGDESC), -EINVAL);
    ck_assert_int_eq(set(&vcpu_a, t.table[1], 0, entry(gdt, 0)), 0);
    ck_assert_int_eq(use(&dom_a, gdt, PAGE_SEGDESC), 0);
    ck_assert_uint_eq(table_of(gdt)[511], CODE64 | DPL(3));
    ck_assert_int_eq(set(&vcpu_a, t.table[1], 0, entry(gdt, PTE_RW)), -EBUSY);
    unuse(&dom_a, gdt);
    recount();
}
END_TEST

/* ---- Anything, in any order. ---- */

#define POOL 24u /* few frames, so that they meet in every role */

static uint64_t seed;

static unsigned int pick(unsigned int n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned int)(seed >> 33) % n;
}

struct player {
    struct domain *d;
    struct vcpu *v;
    mfn_t pool[POOL]; /* 0: none */
};

static mfn_t any_frame(const struct player *p, const struct player *other)
{
    switch (pick(16)) {
    case 0:
        return other->pool[pick(POOL)];
    case 1:
        return pick(MACHINE_FRAMES + 8);
    default:
        return p->pool[pick(POOL)];
    }
}

static uint64_t any_entry(const struct player *p, const struct player *other)
{
    uint64_t e = any_frame(p, other) << PAGE_SHIFT;

    e |= pick(8) ? PTE_PRESENT : 0;
    e |= pick(2) ? PTE_RW : 0;
    e |= pick(16) ? 0 : 1ULL << pick(12);
    e |= pick(4) ? 0 : PTE_NX | PTE_AVAIL;
    return e;
}

/* What mmu_update does: by what the frame is now. */
static void play_write(struct player *p, const struct player *other)
{
    mfn_t mfn = p->pool[pick(POOL)];
    unsigned int index = pick(4) ? pick(4) : pick(512);
    uint64_t e = any_entry(p, other);
    struct page *page = page_get_mfn(mfn, p->d);

    if (!page)
        return;
    spin_lock(&p->d->pt_lock);
    if (pagetable_level(page))
        (void)pagetable_set(p->v, page, index, e, pick(2));
    else if (page_get_type(page, PAGE_WRITABLE) == 0) {
        table_of(mfn)[index] = e;
        page_put_type(page);
    }
    spin_unlock(&p->d->pt_lock);
    page_put(page);
}

static void play_memory(struct player *p)
{
    mfn_t *slot = &p->pool[pick(POOL)];

    if (!*slot || !page_get(page_of(*slot), p->d)) {
        struct page *page = domain_page_alloc(p->d);

        *slot = page ? mfn_of(page) : 0;
        return;
    }
    if (pick(8) == 0)
        (void)domain_page_release(p->d, page_of(*slot));
    page_put(page_of(*slot));
}

static void play_base(struct player *p)
{
    mfn_t *base = &p->v->arch.kernel_table, next = p->pool[pick(POOL)];

    if (!next || use(p->d, next, PAGE_L4))
        return;
    held_type[next] = PAGE_L4;
    held_refs[next]++;
    held_uses[next]++;
    if (*base) {
        held_refs[*base]--;
        held_uses[*base]--;
        unuse(p->d, *base);
    }
    *base = next;
}

static void play_pin(struct player *p)
{
    mfn_t mfn = p->pool[pick(POOL)];

    if (!mfn)
        return;
    if (pick(3) == 0)
        (void)unpin_step(p->d, mfn);
    else
        (void)pin_step(p->d, mfn, pick(4) + 1);
}

/* A grant of the other's frame, mapped if the target is an L1. */
static void play_grant(struct player *p, const struct player *other)
{
    mfn_t l1 = p->pool[pick(POOL)], mfn = other->pool[pick(POOL)];

    if (!l1 || !mfn || page_of(l1)->owner != p->d ||
        pagetable_level(page_of(l1)) != 1 ||
        page_get_and_type(mfn, other->d, PAGE_WRITABLE))
        return;
    spin_lock(&p->d->pt_lock);
    pagetable_replace(p->d, &table_of(l1)[pick(4)],
                      entry(mfn, PTE_RW | PTE_USER));
    spin_unlock(&p->d->pt_lock);
}

static void play(struct player *p, const struct player *other)
{
    switch (pick(10)) {
    case 0:
        play_memory(p);
        break;
    case 1:
    case 2:
        play_pin(p);
        break;
    case 3:
        play_base(p);
        break;
    case 4:
        play_grant(p, other);
        break;
    default:
        play_write(p, other);
    }
}

static void end_of(struct player *p)
{
    mfn_t base = p->v->arch.kernel_table;

    if (base) {
        held_refs[base]--;
        held_uses[base]--;
        unuse(p->d, base);
    }
    relinquish(p->d);
}

START_TEST(random_play_keeps_every_count)
{
    struct player a = { .d = &dom_a, .v = &vcpu_a };
    struct player b = { .d = &dom_b, .v = &vcpu_b };
    uint64_t free = alloc_free_pages();

    seed = (uint64_t)_i + 1;
    /* Half of them with calls that stop in the middle, and go on or not. */
    if (_i & 1)
        pagetable_step = 300 * _i;
    for (unsigned int step = 0; step < 20000; step++) {
        play(&a, &b);
        play(&b, &a);
        if (step % 250 == 0)
            recount();
    }
    end_of(&a);
    recount();
    end_of(&b);
    recount();
    ck_assert_uint_eq(alloc_free_pages(), free);
    ck_assert_uint_eq(dom_a.nr_pages + dom_b.nr_pages, 0);
    ck_assert_uint_eq(dom_a.refs, 1);
    ck_assert_uint_eq(dom_b.refs, 1);
}
END_TEST

static TCase *memory_cases(void)
{
    TCase *c = tcase_create("frames");

    tcase_add_test(c, allocated_memory_is_zero);
    tcase_add_test(c, only_ram_is_ram);
    tcase_add_test(c, reservation_is_capped);
    tcase_add_test(c, new_frame_is_first_of_the_list);
    tcase_add_test(c, reference_needs_the_owner);
    tcase_add_test(c, M10_released_frame_lives_while_referenced);
    tcase_add_test(c, counts_do_not_overflow);
    tcase_add_loop_test(c, types_exclude_each_other, 0, NR_TYPES);
    tcase_add_loop_test(c, M6_type_change_flushes_once_locked, 0, NR_TYPES);
    tcase_add_test(c, M5_type_does_not_survive_a_change_of_owner);
    tcase_add_test(c, shared_page_is_mappable_and_no_table);
    tcase_add_test(c, unshared_page_waits_for_a_peer);
    tcase_add_test(c, relinquish_returns_every_page);
    tcase_add_test(c, frames_keep_their_domain);
    tcase_add_test(c, relinquish_is_bounded_a_call);
    tcase_add_test(c, M8_relinquish_stops_anywhere);
    tcase_add_test(c, peer_keeps_a_zombie_frame);
    tcase_add_test(c, foreign_mapping_is_flushed_before_it_is_put);
    return c;
}

static TCase *table_cases(void)
{
    TCase *c = tcase_create("tables");

    tcase_add_test(c, good_tree_is_counted_exactly);
    tcase_add_test(c, audit_expects_what_is_counted);
    tcase_add_test(c, shared_subtree_is_counted_by_each_parent);
    tcase_add_test(c, hypervisor_slots_are_overwritten);
    tcase_add_test(c, entries_become_user_and_never_global);
    tcase_add_loop_test(c, forged_entry_fails_validation, 0, NR_FORGERIES);
    tcase_add_loop_test(c, forged_entry_fails_update, 0, NR_FORGERIES);
    tcase_add_loop_test(c, M1_no_single_bit_opens_a_table, 1, 5);
    tcase_add_test(c, similar_update_keeps_counts);
    tcase_add_test(c, accessed_and_dirty_can_be_kept);
    tcase_add_test(c, bad_last_entry_undoes_all);
    tcase_add_test(c, pin_is_one_and_only_ones_own);
    tcase_add_test(c, M25_loaded_base_survives_unpin_and_release);
    tcase_add_test(c, walk_finds_only_the_guests_own);
    tcase_add_loop_test(c, a_walk_is_forgotten_when_its_way_changes, 2, 5);
    tcase_add_test(c, a_walk_is_forgotten_when_its_tables_end);
    tcase_add_test(c, a_walk_is_remembered_for_its_own_root);
    tcase_add_loop_test(c, descriptor_is_adjusted_or_refused, 0,
                        sizeof(descriptors) / sizeof(descriptors[0]));
    tcase_add_test(c, descriptor_page_is_validated_and_read_only);
    return c;
}

static TCase *step_cases(void)
{
    TCase *c = tcase_create("steps");

    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, M8_pin_stops_anywhere, 0, NR_MEANWHILE);
    tcase_add_loop_test(c, M8_unpin_stops_anywhere, 0, NR_MEANWHILE);
    tcase_add_test(c, every_step_is_counted);
    tcase_add_loop_test(c, M8_bad_tree_is_undone_in_steps, 1, 5);
    tcase_add_test(c, update_waits_for_the_table_below);
    return c;
}

static TCase *grant_cases(void)
{
    TCase *c = tcase_create("grants");

    tcase_add_loop_test(c, grant_entry_comes_and_goes, 0, 2);
    tcase_add_test(c, grant_entry_replaces_what_was_there);
    tcase_add_test(c, grant_unmap_compares_the_entry);
    tcase_add_test(c, grant_entry_needs_an_own_l1);
    tcase_add_test(c, grant_entry_is_replaced_by_another);
    return c;
}

static TCase *random_cases(void)
{
    TCase *c = tcase_create("random");

    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, random_play_keeps_every_count, 0, 8);
    return c;
}

int main(void)
{
    Suite *suite = suite_create("page");

    suite_add_tcase(suite, memory_cases());
    suite_add_tcase(suite, table_cases());
    suite_add_tcase(suite, step_cases());
    suite_add_tcase(suite, grant_cases());
    suite_add_tcase(suite, random_cases());

    SRunner *runner = srunner_create(suite);

    /* Each test is a process, with a machine that has just booted. */
    machine_boot();
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
