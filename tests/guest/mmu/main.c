/*
 * Defends: no entry that a guest writes into a page table gives it more
 * than its own memory, and no frame is a table and writable at once (M1,
 * M2, M9 to M12, M14, M16, M18, M21).
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

static uint64_t max_mfn; /* of the machine, from the hypervisor */

static void learn_size(void)
{
    long last = hypercall_memory_op(XENMEM_maximum_ram_page, NULL);

    if (CHECK(last > 0))
        max_mfn = (uint64_t)last + 1;
}

/* An own page that nothing else refers to, and its frame. */
struct frame {
    uint64_t *page;
    uint64_t mfn;
};

static struct frame new_frame(void)
{
    struct frame f = { .page = page_alloc() };

    f.mfn = virt_to_mfn(f.page);
    return f;
}

static void make_readonly(struct frame f)
{
    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_READ), 0);
}

static void give_up(struct frame f)
{
    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_WRITE), 0);
    page_free(f.page);
}

/* A page becomes a table only while it is not writable, and stays so. */
static void writable_or_table(void)
{
    struct frame f = new_frame(), window = new_frame();

    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), -EINVAL);
    make_readonly(f);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), -EINVAL); /* twice */
    CHECK(mmuext_mfn(MMUEXT_PIN_L2_TABLE, f.mfn) < 0);
    CHECK(page_protect(f.page, f.mfn, PAGE_WRITE) < 0);
    CHECK(page_protect(window.page, f.mfn, PAGE_WRITE) < 0);
    CHECK_EQ(page_protect(window.page, f.mfn, PAGE_READ), 0);
    CHECK_EQ(window.page[0], 0);
    CHECK_EQ(page_protect(window.page, window.mfn, PAGE_WRITE), 0);
    CHECK_EQ(write_entry(&f.page[5], window.mfn << PAGE_SHIFT | PAGE_WRITE),
             0);
    CHECK_EQ(pte_frame(f.page[5]), window.mfn);
    CHECK(write_entry(&f.page[6], f.mfn << PAGE_SHIFT | PAGE_WRITE) < 0);
    CHECK_EQ(f.page[6], 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, f.mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, f.mfn), -EINVAL);
    give_up(f);
    give_up(window);
}

/* A tree of four levels of our own; each level must be what it is. */
static void a_whole_tree(void)
{
    struct frame t[4], leaf = new_frame();

    for (unsigned int i = 0; i < 4; i++)
        t[i] = new_frame();
    t[0].page[1] = leaf.mfn << PAGE_SHIFT | PAGE_WRITE;
    for (unsigned int i = 1; i < 4; i++)
        t[i].page[3] = t[i - 1].mfn << PAGE_SHIFT | PTE_TABLE;
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L4_TABLE, t[3].mfn), -EINVAL);
    for (unsigned int i = 0; i < 4; i++)
        make_readonly(t[i]);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L4_TABLE, t[3].mfn), 0);
    CHECK(mmuext_mfn(MMUEXT_PIN_L3_TABLE, t[3].mfn) < 0);
    check_audit("with a tree pinned");
    for (unsigned int i = 0; i < 4; i++)
        CHECK(page_protect(t[i].page, t[i].mfn, PAGE_WRITE) < 0);
    CHECK(mmuext_mfn(MMUEXT_PIN_L2_TABLE, t[2].mfn) < 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L3_TABLE, t[2].mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, t[2].mfn), 0);
    /* Use it as the user's tables, and take it away again. */
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, t[3].mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    /* The slots of the hypervisor are its own. */
    for (unsigned int slot = 256; slot < 272; slot++)
        CHECK(write_entry(&t[3].page[slot],
                          t[2].mfn << PAGE_SHIFT | PTE_TABLE) < 0);
    CHECK_EQ(write_entry(&t[3].page[272], t[2].mfn << PAGE_SHIFT | PTE_TABLE),
             0);
    CHECK_EQ(write_entry(&t[3].page[272], 0), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, t[3].mfn), 0);
    for (unsigned int i = 0; i < 4; i++)
        give_up(t[i]);
    give_up(leaf);
}

/* A tree whose last entry is bad is refused, and nothing of it is kept. */
static void M8_a_bad_last_entry(void)
{
    struct frame l1 = new_frame(), l2 = new_frame();

    l2.page[0] = l1.mfn << PAGE_SHIFT | PTE_TABLE;
    l2.page[511] = l2.mfn << PAGE_SHIFT | PTE_TABLE | PTE_PSE;
    make_readonly(l1);
    make_readonly(l2);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L2_TABLE, l2.mfn), -EINVAL);
    give_up(l1); /* both can be written again */
    give_up(l2);
}

/* M1, M18: bits that no entry may have, in every level, alone and with the
 * others changing. */
static void M1_M18_forbidden_bits(void)
{
    struct frame f = new_frame();

    for (unsigned int level = 2; level <= 4; level++) {
        uint64_t *entry = table_entry(f.page, level);
        uint64_t before = *entry;

        CHECK_EQ(write_entry(entry, before | PTE_PSE), -EINVAL);
        CHECK_EQ(write_entry(entry, (before | PTE_PSE) & ~PTE_RW), -EINVAL);
        CHECK_EQ(write_entry(entry, (before ^ PTE_USER) | PTE_PSE), -EINVAL);
        CHECK_EQ(*entry & ~(PTE_ACCESSED | PTE_DIRTY),
                 before & ~(PTE_ACCESSED | PTE_DIRTY));
    }
    if (guest.on_belfry) {
        uint64_t pte = f.mfn << PAGE_SHIFT | PAGE_WRITE;

        CHECK(hypercall_update_va_mapping(f.page, pte | PTE_PCD, 0) < 0);
        CHECK(hypercall_update_va_mapping(f.page, pte | PTE_PWT, 0) < 0);
        CHECK(hypercall_update_va_mapping(f.page, pte | PTE_PSE, 0) < 0);
    }
    CHECK(!fault_writing(f.page));
    give_up(f);
}

/* M2, M9: a table that leads to a table of its own level. */
static void M2_M9_no_linear_tables(void)
{
    uint64_t *l4 = (uint64_t *)guest.start->pt_base;
    uint64_t self =
        virt_to_mfn(l4) << PAGE_SHIFT | PTE_PRESENT | PTE_USER | PTE_ACCESSED;
    struct frame a = new_frame(), b = new_frame();

    CHECK(write_entry(&l4[300], self | PTE_RW) < 0);
    make_readonly(a);
    make_readonly(b);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L2_TABLE, a.mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L2_TABLE, b.mfn), 0);
    CHECK(write_entry(&a.page[0], b.mfn << PAGE_SHIFT | PTE_TABLE) < 0);
    if (guest.on_belfry) {
        CHECK_EQ(write_entry(&l4[300], self), -EINVAL);
        CHECK_EQ(l4[300], 0);
        CHECK(write_entry(&a.page[0],
                          b.mfn << PAGE_SHIFT | PTE_PRESENT | PTE_USER) < 0);
    }
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, a.mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, b.mfn), 0);
    give_up(a);
    give_up(b);
}

/* M14: numbers that are no frame of ours, wherever a frame is named. */
static void M14_frames_out_of_range(void)
{
    const uint64_t bad[] = { max_mfn,      max_mfn + 1,       1ull << 40,
                             (1ull << 40) - 1, (1ull << 52) - 1, ~0ull };
    struct frame f = new_frame();

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unsigned long frame = bad[i];
        struct mmu_update req = { .ptr = bad[i] << PAGE_SHIFT, .val = 0 };

        for (unsigned int cmd = MMUEXT_PIN_L1_TABLE;
             cmd <= MMUEXT_NEW_BASEPTR; cmd++)
            CHECK(mmuext_mfn(cmd, bad[i]) < 0);
        CHECK(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, bad[i]) < 0);
        CHECK(mmuext_mfn(MMUEXT_CLEAR_PAGE, bad[i]) < 0);
        if (guest.on_belfry) /* Xen gives device memory to its dom0 */
            CHECK(page_protect(f.page, bad[i], PAGE_READ) < 0);
        CHECK(hypercall_set_gdt(&frame, 512) < 0);
        CHECK(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF) < 0);
        req.ptr |= MMU_MACHPHYS_UPDATE;
        CHECK(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF) < 0);
        CHECK(hypercall_update_descriptor(bad[i] << PAGE_SHIFT, 0) < 0);
    }
    give_up(f);
}

/* M21: every frame of the machine, for reading and for writing. */
static void M14_M21_map_everything(void)
{
    struct frame f = new_frame();
    unsigned int read_foreign = 0, write_foreign = 0, own = 0;

    if (!guest.on_belfry)
        return; /* Xen gives device memory to its dom0 */
    for (uint64_t mfn = 0; mfn < max_mfn + 64; mfn++) {
        bool mine = mfn_is_own(mfn, max_mfn);

        if (page_protect(f.page, mfn, PAGE_READ) == 0)
            *(mine ? &own : &read_foreign) += 1;
        if (!mine)
            write_foreign += page_protect(f.page, mfn, PAGE_WRITE) == 0;
    }
    printf("%u own frames, %u others readable, %u writable\n", own,
           read_foreign, write_foreign);
    CHECK_EQ(own, guest.start->nr_pages);
    /* Not in the list, and ours: shared_info and our grant table; for
     * reading also the machine-to-physical table. */
    CHECK(write_foreign >= 1 && write_foreign <= 1 + 64);
    CHECK(read_foreign <= write_foreign + (max_mfn * 8 >> PAGE_SHIFT) + 1);
    give_up(f);
}

/* Random entries: an accepted one maps what is ours, with sane bits. */
static void M15_random_entries(void)
{
    const uint64_t *list = (const uint64_t *)guest.start->mfn_list;
    struct frame f = new_frame();
    uint64_t *entry = table_entry(f.page, 1);
    unsigned int accepted = 0, wrong = 0;

    for (unsigned int i = 0; i < 20000 && guest.on_belfry; i++) {
        uint64_t value = random_next();

        if (i & 1) /* half of them nearly right */
            value = list[random_below(guest.start->nr_pages)] << PAGE_SHIFT |
                    (PAGE_WRITE ^ (1ull << random_below(64)));
        if (write_entry(entry, value) != 0)
            continue;
        accepted++;
        if (*entry & PTE_PRESENT)
            wrong += !mfn_is_own(pte_frame(*entry), max_mfn) ||
                     (*entry & (PTE_PSE | PTE_PCD | PTE_PWT)) != 0;
    }
    CHECK(accepted > 100 || !guest.on_belfry);
    CHECK_EQ(wrong, 0);
    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_WRITE), 0);
    give_up(f);
}

/* M16: addresses that are no place for a mapping. */
static void M16_odd_addresses(void)
{
    static const uint64_t bad[] = { 0x8000000000000000, 0x0000800000000000,
                                    0xffff7fffffffffff, HYPERVISOR_VIRT_START,
                                    0xffff87fffffff000, 0x0000700000000000 };
    static const uint64_t flush[] = { 0, UVMF_INVLPG, UVMF_TLB_FLUSH,
                                      UVMF_INVLPG | UVMF_ALL,
                                      UVMF_TLB_FLUSH | UVMF_ALL };
    struct frame f = new_frame();

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (unsigned int j = 0; j < sizeof(flush) / sizeof(flush[0]); j++) {
            CHECK(hypercall_update_va_mapping((void *)bad[i],
                                              f.mfn << PAGE_SHIFT | PAGE_READ,
                                              flush[j]) < 0);
            mmuext_va(MMUEXT_INVLPG_LOCAL, bad[i]);
            mmuext_va(MMUEXT_INVLPG_ALL, bad[i]);
        }
    for (unsigned int j = 0; j < sizeof(flush) / sizeof(flush[0]); j++)
        CHECK_EQ(hypercall_update_va_mapping(f.page,
                                             f.mfn << PAGE_SHIFT | PAGE_WRITE,
                                             flush[j]), 0);
    CHECK(hypercall_update_va_mapping_otherdomain(
              f.page, f.mfn << PAGE_SHIFT | PAGE_WRITE, 0, 1234) < 0);
    CHECK_EQ(mmuext_va(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    CHECK_EQ(mmuext_va(MMUEXT_TLB_FLUSH_ALL, 0), 0);
    CHECK(mmuext_va(99, 0) < 0);
    CHECK(mmuext_va(MMUEXT_SET_LDT, 0x8000000000000000) <= 0);
    give_up(f);
}

/* The calls count what they have done, and stop at the first error. */
static void batches(void)
{
    struct frame f = new_frame();
    uint64_t *entry = table_entry(f.page, 1);
    struct mmu_update req[4];
    unsigned int done = 99;

    for (unsigned int i = 0; i < 4; i++) {
        req[i].ptr = virt_to_maddr(entry);
        req[i].val = *entry;
    }
    req[2].ptr = virt_to_maddr(table_entry(f.page, 2));
    req[2].val = *table_entry(f.page, 2) | PTE_PSE;
    CHECK(hypercall_mmu_update(req, 4, &done, DOMID_SELF) < 0);
    CHECK_EQ(done, 2);
    CHECK_EQ(hypercall_mmu_update(req, 2, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 2);
    CHECK_EQ(hypercall_mmu_update(req, 0, &done, DOMID_SELF), 0);
    req[0].ptr |= 4; /* no such command */
    CHECK(hypercall_mmu_update(req, 1, NULL, DOMID_SELF) < 0);
    CHECK(hypercall_mmu_update(req, 1, NULL, 1234) < 0);
    give_up(f);
}

/* The machine-to-physical table is changed for own frames alone. */
static void M17_machine_to_phys(void)
{
    struct frame f = new_frame();
    uint64_t before = m2p_table[f.mfn];
    struct mmu_update req = { .ptr = f.mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE,
                              .val = 12345 };

    CHECK_EQ(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF), 0);
    CHECK_EQ(m2p_table[f.mfn], 12345);
    req.val = before;
    CHECK_EQ(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF), 0);
    req.ptr = MMU_MACHPHYS_UPDATE; /* frame 0 is not ours */
    CHECK(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF) < 0);
    give_up(f);
}

/* ---- memory_op. ---- */
static long reserve(unsigned int cmd, uint64_t *frames, unsigned long n,
                    unsigned int order, unsigned int flags)
{
    struct xen_memory_reservation op = { .nr_extents = n,
                                         .extent_order = order,
                                         .mem_flags = flags,
                                         .domid = DOMID_SELF };

    set_xen_guest_handle(op.extent_start, frames);
    return hypercall_memory_op(cmd, &op);
}

/* M10: a pinned table is kept, or (Xen) given away whole: no use as a table
 * remains that the audit would miss. */
static void M10_pinned_is_kept(void)
{
    struct frame f = new_frame();
    uint64_t mfn = f.mfn;

    make_readonly(f);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), 0);
    if (reserve(XENMEM_decrease_reservation, &mfn, 1, 0, 0) == 1) {
        mmuext_mfn(MMUEXT_UNPIN_TABLE, f.mfn);
        return; /* the page is lost to us */
    }
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), -EINVAL); /* it is */
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, f.mfn), 0);
    give_up(f);
}

/* A page given back, and another in its place: it holds only zeros. */
static void balloon(void)
{
    domid_t self = DOMID_SELF;
    struct frame f = new_frame();
    uint64_t pfn = m2p_table[f.mfn], mfn = f.mfn;
    long pages = hypercall_memory_op(XENMEM_current_reservation, &self);
    unsigned int dirt = 0;

    CHECK(pages > 0);
    memset(f.page, 0xa5, PAGE_SIZE);
    CHECK_EQ(page_protect(f.page, 0, 0), 0);
    CHECK_EQ(reserve(XENMEM_decrease_reservation, &mfn, 1, 0, 0), 1);
    CHECK_EQ(hypercall_memory_op(XENMEM_current_reservation, &self),
             pages - 1);
    CHECK(page_protect(f.page, f.mfn, PAGE_READ) < 0 || !guest.on_belfry);
    mfn = pfn;
    CHECK_EQ(reserve(XENMEM_populate_physmap, &mfn, 1, 0, 0), 1);
    CHECK_EQ(m2p_table[mfn], pfn);
    f.mfn = mfn;
    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_WRITE), 0);
    for (unsigned int i = 0; i < 512; i++)
        dirt += f.page[i] != 0;
    CHECK(dirt == 0 || !guest.on_belfry);
    CHECK_EQ(hypercall_memory_op(XENMEM_current_reservation, &self), pages);
}

/* M11, M12, M13: orders, flags and amounts without bounds. */
static void M11_M12_reservation_limits(void)
{
    static uint64_t frames[64];
    domid_t self = DOMID_SELF;
    long most = hypercall_memory_op(XENMEM_maximum_reservation, &self);

    for (unsigned int order = 10; order < 64; order++) {
        frames[0] = 0;
        CHECK(reserve(XENMEM_populate_physmap, frames, 1, order, 0) <= 0 ||
              !guest.on_belfry);
        frames[0] = 0;
        if (order > 20)
            CHECK(reserve(XENMEM_decrease_reservation, frames, 1, order, 0) <=
                  0);
    }
    CHECK(reserve(XENMEM_decrease_reservation, frames, ~0ul, 0, 0) <= 0);
    frames[0] = max_mfn + 5;
    CHECK_EQ(reserve(XENMEM_decrease_reservation, frames, 1, 0, 0), 0);
    for (unsigned int i = 0; i < 2000; i++) {
        frames[0] = ~0ull >> 12; /* a pfn that no table can hold */
        CHECK(reserve(XENMEM_populate_physmap, frames, 1, 0,
                      (unsigned int)random_next()) <= 0 || !guest.on_belfry);
    }
    CHECK(hypercall_memory_op(XENMEM_current_reservation, &self) <= most ||
          most < 0 || !guest.on_belfry);
    CHECK(hypercall_memory_op(XENMEM_exchange, frames) < 0 ||
          !guest.on_belfry);
    CHECK(hypercall_memory_op(60, frames) < 0);
}

int guest_main(void)
{
    random_seed(cmdline_number("seed", 1));
    fault_install();
    learn_size();
    writable_or_table();
    check_audit("after pin and unpin");
    a_whole_tree();
    check_audit("after a tree");
    M8_a_bad_last_entry();
    check_audit("after a tree with a bad entry");
    M1_M18_forbidden_bits();
    M2_M9_no_linear_tables();
    M14_frames_out_of_range();
    check_audit("after frames out of range");
    M14_M21_map_everything();
    check_audit("after mapping everything");
    M15_random_entries();
    check_audit("after random entries");
    M16_odd_addresses();
    batches();
    M17_machine_to_phys();
    M10_pinned_is_kept();
    balloon();
    check_audit("after ballooning");
    M11_M12_reservation_limits();
    test_end("mmu");
}
