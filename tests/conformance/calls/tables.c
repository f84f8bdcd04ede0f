/*
 * Every operation on page tables, with every kind of argument.
 *
 * At random, t0 to t3 are tables of level 1 to 4 and entries lead from a
 * higher one to a lower one, writable: what is a linear page table for Xen
 * is so only by a read-only entry.  They stand in slot 0: when Xen finds a
 * wrong entry further on in a table below a table, it puts off taking back
 * what it had validated, and a later call sees that.
 */
#include "tests/conformance/calls/world.h"

#define NO_DONE 77u

/* ---- update_va_mapping ---- */

static uint64_t any_va_flags(void)
{
    return ANY("flags", { "invlpg", UVMF_INVLPG | UVMF_LOCAL },
               { "none", 0 }, { "tlb", UVMF_TLB_FLUSH | UVMF_LOCAL },
               { "invlpg-all", UVMF_INVLPG | UVMF_ALL },
               { "tlb-all", UVMF_TLB_FLUSH | UVMF_ALL }, { "3", 3 },
               { "multi-null", UVMF_INVLPG | UVMF_MULTI },
               { "multi-odd", UVMF_TLB_FLUSH | HV_ADDRESS });
}

static void note_windows(void)
{
    for (unsigned int i = 0; i < 2; i++)
        note_entry(*table_entry(world.window[i], 1));
}

static uint64_t any_entry_value(void)
{
    uint64_t frame = any_frame("frame");
    uint64_t bits = any_bits("bits");

    return bits ? frame << PAGE_SHIFT | bits : 0;
}

static void update_va_mapping(void)
{
    uint64_t va = any_window("va"), pte = any_entry_value();

    if (va >= (uint64_t)world.window[2] && va <= (uint64_t)world.window[3])
        va = (uint64_t)world.window[1];
    result(hypercall_update_va_mapping(
        (void *)va, pte, transcript.random ? any_va_flags() : UVMF_INVLPG));
    note_windows();
}

static void update_va_flags(void)
{
    result(hypercall_update_va_mapping(world.window[0],
                                       world.data_mfn[0] << PAGE_SHIFT | 7,
                                       any_va_flags()));
    note_windows();
}

static void update_va_other(void)
{
    domid_t domid = any_domid("dom");
    uint64_t va = any_window("va");

    result(hypercall_update_va_mapping_otherdomain(
        (void *)va, world.data_mfn[1] << PAGE_SHIFT | 7, UVMF_INVLPG, domid));
    note_windows();
}

/* ---- mmu_update ---- */

struct place {
    uint64_t maddr;
    unsigned int table; /* 1 to 4: an entry of t0 to t3; 0: elsewhere */
};

/* Where an entry is: in a table of the world, in the live table that maps
 * the windows, or where there is none. */
static struct place any_place(void)
{
    struct place p = { .table = choose(NR_TABLES + 1) };
    unsigned int slot;

    if (p.table > 1 && transcript.random) {
        line_add(" slot=0 of=t%u", p.table - 1);
        p.maddr = world.table_mfn[p.table - 1] << PAGE_SHIFT;
        return p;
    }
    if (p.table) {
        slot = (unsigned int)ANY("slot", { "0", 0 }, { "3", 3 },
                                 { "255", 255 }, { "256", 256 },
                                 { "272", 272 }, { "511", 511 });
        line_add(" of=t%u", p.table - 1);
        p.maddr = world.table_mfn[p.table - 1] << PAGE_SHIFT | slot * 8;
        return p;
    }
    p.maddr = ANY("entry", { "w0", world.window_pte[0] },
                  { "w1", world.window_pte[1] },
                  { "d0", world.data_mfn[0] << PAGE_SHIFT },
                  { "d1+4088", (world.data_mfn[1] << PAGE_SHIFT) + 4088 },
                  { "none", NO_FRAME << PAGE_SHIFT },
                  { "bit52", world.window_pte[0] | 1ull << 52 },
                  { "bit63", world.window_pte[0] | 1ull << 63 });
    if (p.maddr >> PAGE_SHIFT == world.data_mfn[0] ||
        p.maddr >> PAGE_SHIFT == world.data_mfn[1])
        p.table = 1; /* it may be copied into a table */
    return p;
}

static uint64_t any_value_for(struct place p)
{
    unsigned int below;

    if (!transcript.random || p.table == 0)
        return any_entry_value();
    below = choose(p.table);
    if (below == 0) {
        line_add(" to=d2");
        return world.data_mfn[2] << PAGE_SHIFT | any_bits("bits");
    }
    line_add(" to=t%u", below - 1);
    return world.table_mfn[below - 1] << PAGE_SHIFT |
           ANY("bits", { "table", 0x67 }, { "rw", 7 }, { "kernel", 3 },
               { "nx", PTE_NX | 7 }, { "0", 2 },
               { "bit52", 1ull << 52 | 7 });
}

/* Not the bits that a hypervisor may set: Xen sets the accessed bit where an
 * entry leads to a table, Belfry the user bit also where the whole table is
 * then refused. */
#define TABLE_MARKS (PTE_ACCESSED | PTE_USER)

static void note_tables(void)
{
    for (unsigned int i = 0; i < NR_TABLES; i++) {
        note_entry(world.table[i][0] & ~TABLE_MARKS);
        note_entry(world.table[i][3] & ~TABLE_MARKS);
    }
}

static void mmu_update(void)
{
    struct mmu_update op;
    unsigned int done = NO_DONE;
    struct place p;
    uint64_t type;

    any_pointer();
    p = any_place();
    type = ANY("type", { "normal", 0 }, { "preserve", 2 },
               { "untranslated", 3 });
    op.ptr = p.maddr | type;
    op.val = any_value_for(p);
    result(hypercall_mmu_update(pass(&op, sizeof(op)), 1, &done, DOMID_SELF));
    line_add(" done=%u", done);
    note_windows();
    if (transcript.random)
        note_tables();
    mmuext_va(MMUEXT_TLB_FLUSH_LOCAL, 0);
}

/* The same in tables that are in use as such: t3 leads to t2, and so on. */
static void mmu_update_pinned(void)
{
    for (unsigned int i = 1; i < NR_TABLES; i++)
        BUG_ON(write_entry(&world.table[i][1],
                           world.table_mfn[i - 1] << PAGE_SHIFT | PTE_TABLE));
    BUG_ON(mmuext_mfn(MMUEXT_PIN_L4_TABLE, world.table_mfn[3]) != 0);
    mmu_update();
    note_tables();
}

static void mmu_update_types(void)
{
    struct mmu_update op = { .val = world.data_mfn[0] << PAGE_SHIFT | 7 };
    unsigned int done = NO_DONE;

    any_pointer();
    op.ptr = any_place().maddr |
             ANY("type", { "4", 4 }, { "5", 5 }, { "6", 6 }, { "7", 7 });
    result(hypercall_mmu_update(pass(&op, sizeof(op)), 1, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

/* The machine-to-physical table: only of frames no walk of ours needs. */
static void m2p_update(void)
{
    struct mmu_update op;
    unsigned int done = NO_DONE;
    uint64_t frame;

    any_pointer();
    frame = ANY("frame", { "d0", world.data_mfn[0] },
                { "t0", world.table_mfn[0] }, { "d1", world.data_mfn[1] },
                { "none", NO_FRAME });
    op.ptr = frame << PAGE_SHIFT | MMU_MACHPHYS_UPDATE;
    op.val = ANY("pfn", { "7", 7 }, { "0", 0 }, { "max", ~0ull },
                 { "55", 0x5555555555555555 });
    result(hypercall_mmu_update(pass(&op, sizeof(op)), 1, &done, DOMID_SELF));
    line_add(" done=%u m2p=0x%lx", done, m2p_table[world.data_mfn[0]]);
}

/* Batches: the count, where the number done goes, whose frames. */
static void mmu_update_batch(void)
{
    struct mmu_update op[3] = {
        { world.window_pte[0], world.data_mfn[0] << PAGE_SHIFT | 7 },
        { world.window_pte[1], 0 },
        { world.window_pte[1], world.data_mfn[1] << PAGE_SHIFT | 5 }
    };
    unsigned int count, domid;
    void *done;

    any_pointer();
    op[1].ptr = choose(2) ? 7 : op[1].ptr;
    count = (unsigned int)ANY("count", { "3", 3 }, { "0", 0 }, { "1", 1 },
                              { "restarted", 1u << 31 | 3 });
    done = odd_pointer("done");
    domid = any_domid("dom");
    domid |= (unsigned int)ANY("tables-of", { "0", 0 },
                               { "own", (guest.domid + 1u) << 16 },
                               { "nobody", (NOBODY + 1) << 16 },
                               { "max", 0xffff0000u });
    if (done && can_read(done))
        can_write(done);
    result(hypercall(__HYPERVISOR_mmu_update, (uint64_t)pass(op, sizeof(op)),
                     count, (uint64_t)done, domid, 0));
    note_windows();
}

/* ---- mmuext_op ---- */

static long mmuext(struct mmuext_op *op, unsigned int *done, domid_t domid)
{
    *done = NO_DONE;
    return hypercall_mmuext_op(pass(op, sizeof(*op)), 1, done, domid);
}

/* At random each table has its level, so that no type depends on a lap. */
static uint64_t any_table(const char *label, unsigned int level)
{
    uint64_t mfn;

    if (transcript.random && random_below(4)) {
        line_add(" %s=t%u", label, level - 1);
        return world.table_mfn[level - 1];
    }
    if (transcript.random)
        return ANY(label, { "d0", world.data_mfn[0] }, { "l1", world.l1_mfn },
                   { "l4", world.l4_mfn }, { "none", NO_FRAME });
    mfn = any_frame(label);
    return mfn;
}

static void pin(void)
{
    struct mmuext_op op;
    unsigned int level = choose(4) + 1, done;

    any_pointer();
    line_add(" level=%u", level);
    op.cmd = MMUEXT_PIN_L1_TABLE + level - 1;
    op.arg1.mfn = any_table("frame", level);
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

static void unpin(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_UNPIN_TABLE };
    unsigned int done;

    any_pointer();
    op.arg1.mfn = any_table("frame", choose(4) + 1);
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

/* The base of the tables we run on: what must be refused, and itself. */
static void new_base(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_NEW_BASEPTR };
    unsigned int done;

    any_pointer();
    op.arg1.mfn = ANY("frame", { "l4", world.l4_mfn },
                      { "d0", world.data_mfn[0] }, { "l1", world.l1_mfn },
                      { "!zero", 0 }, { "none", NO_FRAME });
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

static void new_user_base(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_NEW_USER_BASEPTR };
    unsigned int done;

    any_pointer();
    op.arg1.mfn = transcript.random ? any_table("frame", 4)
                                    : any_frame("frame");
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

static void set_ldt(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT };
    unsigned int done;

    any_pointer();
    op.arg1.linear_addr = any_window("at");
    op.arg2.nr_ents = (unsigned int)ANY("entries", { "1", 1 }, { "0", 0 },
                                        { "8192", 8192 }, { "8193", 8193 },
                                        { "max", ~0u });
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

static void flush(void)
{
    struct mmuext_op op;
    unsigned int done;

    any_pointer();
    op.cmd = (unsigned int)ANY("cmd", { "tlb", MMUEXT_TLB_FLUSH_LOCAL },
                               { "page", MMUEXT_INVLPG_LOCAL },
                               { "tlb-multi", MMUEXT_TLB_FLUSH_MULTI },
                               { "page-multi", MMUEXT_INVLPG_MULTI },
                               { "tlb-all", MMUEXT_TLB_FLUSH_ALL },
                               { "page-all", MMUEXT_INVLPG_ALL },
                               { "cache", MMUEXT_FLUSH_CACHE },
                               { "cache-all", MMUEXT_FLUSH_CACHE_GLOBAL });
    op.arg1.linear_addr = any_window("at");
    op.arg2.vcpumask.p = NULL;
    set_xen_guest_handle(op.arg2.vcpumask, odd_pointer("mask"));
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
}

static void clear_or_copy(void)
{
    struct mmuext_op op;
    unsigned int done;

    any_pointer();
    op.cmd = choose(2) ? MMUEXT_COPY_PAGE : MMUEXT_CLEAR_PAGE;
    line_add(op.cmd == MMUEXT_COPY_PAGE ? " copy" : " clear");
    op.arg1.mfn = any_target("to");
    op.arg2.src_mfn = any_target("from");
    result(mmuext(&op, &done, DOMID_SELF));
    line_add(" done=%u", done);
    if (op.arg2.src_mfn != world.l1_mfn && op.arg2.src_mfn != world.l4_mfn) {
        note_entry(world.data[0][9]);
        note_entry(world.data[1][9]);
    }
    memset(world.data[0], 2, PAGE_SIZE);
    memset(world.data[1], 4, PAGE_SIZE);
}

static void other(void)
{
    struct mmuext_op op = { .arg1.mfn = 0 };
    unsigned int done;
    domid_t domid;

    any_pointer();
    op.cmd = (unsigned int)ANY("cmd", { "tlb", MMUEXT_TLB_FLUSH_LOCAL },
                               { "14", 14 }, { "19", MMUEXT_MARK_SUPER },
                               { "20", MMUEXT_UNMARK_SUPER }, { "21", 21 },
                               { "99", 99 }, { "max", ~0u });
    domid = any_domid("dom");
    result(mmuext(&op, &done, domid));
    line_add(" done=%u", done);
}

const struct call_kind table_calls[] = {
    { "update_va_mapping", update_va_mapping, 8 },
    { "update_va_mapping.flags", update_va_flags, 0 },
    { "update_va_otherdomain", update_va_other, 1 },
    { "mmu_update", mmu_update, 12 },
    { "mmu_update.pinned", mmu_update_pinned, 0 },
    { "mmu_update.types", mmu_update_types, 0 },
    { "mmu_update.m2p", m2p_update, 1 },
    { "mmu_update.batch", mmu_update_batch, 0 },
    { "mmuext.pin", pin, 6 },
    { "mmuext.unpin", unpin, 4 },
    { "mmuext.new_base", new_base, 1 },
    { "mmuext.new_user_base", new_user_base, 2 },
    { "mmuext.set_ldt", set_ldt, 1 },
    { "mmuext.flush", flush, 2 },
    { "mmuext.page", clear_or_copy, 2 },
    { "mmuext.other", other, 1 },
    { NULL, NULL, 0 }
};
