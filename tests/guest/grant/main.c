/*
 * Defends: grants give exactly what the entry says, for as long as it is in
 * use, and every error is an error of that item alone (G1, G2, G3, G8, G9,
 * G11, G12, G13, G16).  Here the domain grants to itself, which Xen's ABI
 * allows; grant-peer does the same between two domains.
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#define NOBODY    1234
#define FIRST_REF 400u /* the runtime's own are lower */

static struct grant_entry_v1 *table;

/* Our table's first page, mapped by ourselves, to forge entries in. */
static void map_table(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };

    set_xen_guest_handle(setup.frame_list, &frame);
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
    CHECK_EQ(setup.status, GNTST_okay);
    table = page_alloc();
    BUG_ON(map_frame_at(table, frame, true) != 0);
}

static void entry_set(grant_ref_t ref, domid_t domid, uint64_t frame,
                      uint16_t flags)
{
    table[ref].domid = domid;
    table[ref].frame = (uint32_t)frame;
    store_release(&table[ref].flags, flags);
}

static void entry_clear(grant_ref_t ref)
{
    write_once(&table[ref].flags, 0);
}

/* One map: its status, and *handle. */
static int map(domid_t dom, grant_ref_t ref, uint64_t where, uint32_t flags,
               grant_handle_t *handle)
{
    struct gnttab_map_grant_ref op = { .dom = dom, .ref = ref,
                                       .host_addr = where, .flags = flags,
                                       .status = 77 };

    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_map_grant_ref, &op, 1), 0);
    CHECK(op.status <= 0); /* G13 */
    if (handle)
        *handle = op.handle;
    if (op.status == 0 && !(flags & GNTMAP_contains_pte))
        mmuext_va(MMUEXT_INVLPG_LOCAL, where); /* it was mapped before */
    return op.status;
}

static int unmap(grant_handle_t handle, uint64_t where)
{
    struct gnttab_unmap_grant_ref op = { .handle = handle, .host_addr = where,
                                         .status = 77 };

    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1), 0);
    CHECK(op.status <= 0);
    return op.status;
}

/* A page of ours, granted, and an address to map grants at. */
static struct {
    uint64_t *page, *window;
    uint64_t mfn, window_mfn;
    grant_ref_t ref;
} g;

static void give_back_window(void)
{
    CHECK_EQ(page_protect(g.window, g.window_mfn, PAGE_WRITE), 0);
}

static void set_up(void)
{
    g.page = page_alloc();
    g.mfn = virt_to_mfn(g.page);
    g.window = page_alloc();
    g.window_mfn = virt_to_mfn(g.window);
    g.ref = FIRST_REF;
    for (unsigned int i = 0; i < 512; i++)
        g.page[i] = i * 0x0101010101010101ull;
}

static void map_and_unmap(void)
{
    uint64_t where = (uint64_t)g.window;
    grant_handle_t handle;

    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, where, GNTMAP_host_map, &handle), 0);
    CHECK_EQ(table[g.ref].flags,
             GTF_permit_access | GTF_reading | GTF_writing);
    CHECK_EQ(g.window[7], 7 * 0x0101010101010101ull);
    g.window[7] = 99;
    CHECK_EQ(g.page[7], 99);
    CHECK_EQ(unmap(handle, where), 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access);
    CHECK(fault_reading(g.window));
    CHECK_EQ(unmap(handle, where), GNTST_bad_handle);
    CHECK_EQ(unmap(~0u, where), GNTST_bad_handle);
    give_back_window();

    CHECK_EQ(map(guest.domid, g.ref, where, GNTMAP_host_map | GNTMAP_readonly,
                 &handle), 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access | GTF_reading);
    CHECK_EQ(g.window[7], 99);
    CHECK(fault_writing(g.window));
    CHECK_EQ(fault_seen.error, 3);
    CHECK_EQ(unmap(handle, where + PAGE_SIZE), GNTST_general_error);
    CHECK_EQ(unmap(handle, where), 0);
    give_back_window();
    entry_clear(g.ref);
}

static void map_errors(void)
{
    uint64_t where = (uint64_t)g.window;
    const uint32_t host = GNTMAP_host_map;

    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access | GTF_readonly);
    CHECK_EQ(map(guest.domid, g.ref, where, host, NULL), GNTST_general_error);
    CHECK_EQ(map(NOBODY, g.ref, where, host, NULL), GNTST_bad_domain);
    CHECK_EQ(map(guest.domid, 1u << 20, where, host, NULL), GNTST_bad_gntref);
    CHECK_EQ(map(guest.domid, ~0u, where, host, NULL), GNTST_bad_gntref);
    CHECK_EQ(map(guest.domid, g.ref, where, 0, NULL), GNTST_bad_gntref);
    entry_set(g.ref, guest.domid, g.mfn, 0);
    CHECK_EQ(map(guest.domid, g.ref, where, host, NULL), GNTST_general_error);
    entry_set(g.ref, NOBODY, g.mfn, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, where, host, NULL), GNTST_general_error);
    entry_set(g.ref, guest.domid, 0xffffffff, GTF_permit_access);
    CHECK(map(guest.domid, g.ref, where, host, NULL) < 0);
    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    CHECK(map(guest.domid, g.ref, 0, host, NULL) < 0);
    CHECK(map(guest.domid, g.ref, 0x700000000000, host, NULL) < 0);
    CHECK(map(guest.domid, g.ref, HYPERVISOR_VIRT_START, host, NULL) < 0);
    CHECK(map(guest.domid, g.ref, 1ull << 63, host, NULL) < 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access); /* undone */
    CHECK_EQ(g.window[0], 0);                        /* the window is whole */
    entry_clear(g.ref);
}

/* G12: domains that have no table.  G11: references that are none. */
static void G12_odd_targets(void)
{
    static const domid_t doms[] = { DOMID_IO, DOMID_XEN, DOMID_COW,
                                    DOMID_INVALID, DOMID_IDLE, NOBODY };
    static const grant_ref_t refs[] = { 0, 511, 512, 32767, 32768, 1u << 31,
                                        ~0u };

    for (unsigned int i = 0; i < sizeof(doms) / sizeof(doms[0]); i++)
        for (unsigned int j = 0; j < sizeof(refs) / sizeof(refs[0]); j++)
            CHECK(map(doms[i], refs[j], (uint64_t)g.window, GNTMAP_host_map,
                      NULL) < 0);
    for (unsigned int j = 2; j < sizeof(refs) / sizeof(refs[0]); j++)
        CHECK(map(guest.domid, refs[j], (uint64_t)g.window, GNTMAP_host_map,
                  NULL) < 0);
}

/* The frame cannot become a page table while a writable mapping lives, and
 * a page table cannot be granted writable. */
static void mapped_is_not_a_table(void)
{
    uint64_t where = (uint64_t)g.window;
    grant_handle_t handle;

    memset(g.page, 0, PAGE_SIZE);
    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, where, GNTMAP_host_map, &handle), 0);
    CHECK_EQ(page_protect(g.page, g.mfn, PAGE_READ), 0);
    CHECK(mmuext_mfn(MMUEXT_PIN_L1_TABLE, g.mfn) < 0);
    CHECK_EQ(unmap(handle, where), 0);
    give_back_window();
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, g.mfn), 0);
    CHECK(map(guest.domid, g.ref, where, GNTMAP_host_map, NULL) < 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, where, GNTMAP_host_map | GNTMAP_readonly,
                 &handle), 0);
    CHECK_EQ(unmap(handle, where), 0);
    give_back_window();
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, g.mfn), 0);
    CHECK_EQ(page_protect(g.page, g.mfn, PAGE_WRITE), 0);
    entry_clear(g.ref);
}

/* G1: two halves of one mapping, given up one after the other. */
static void device_and_host(void)
{
    struct gnttab_unmap_grant_ref op = { 0 };
    uint64_t where = (uint64_t)g.window;
    grant_handle_t handle;

    memset(g.page, 0, PAGE_SIZE);
    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    if (!CHECK_EQ(map(guest.domid, g.ref, where,
                      GNTMAP_host_map | GNTMAP_device_map, &handle), 0))
        return;
    CHECK_EQ(page_protect(g.page, g.mfn, PAGE_READ), 0);
    CHECK_EQ(unmap(handle, where), 0); /* the host half */
    CHECK(table[g.ref].flags & GTF_writing);
    CHECK(mmuext_mfn(MMUEXT_PIN_L1_TABLE, g.mfn) < 0);
    op.handle = handle;
    op.dev_bus_addr = g.mfn << PAGE_SHIFT;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1), 0);
    CHECK_EQ(op.status, 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access);
    give_back_window();
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, g.mfn), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, g.mfn), 0);
    CHECK_EQ(page_protect(g.page, g.mfn, PAGE_WRITE), 0);
    entry_clear(g.ref);
}

/* G2: a read-only PTE of our own in place of the grant's writable one does
 * not give up the writable use. */
static void replaced_entry(void)
{
    uint64_t where = (uint64_t)g.window;
    grant_handle_t handle;

    memset(g.page, 0, PAGE_SIZE);
    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, where, GNTMAP_host_map, &handle), 0);
    CHECK_EQ(page_protect(g.window, g.mfn, PAGE_READ), 0);
    CHECK_EQ(unmap(handle, where), GNTST_general_error);
    CHECK(table[g.ref].flags & GTF_writing);
    CHECK_EQ(page_protect(g.window, g.mfn, PAGE_WRITE), 0);
    CHECK_EQ(unmap(handle, where), 0);
    give_back_window();
    entry_clear(g.ref);
}

/* G3: the PTE named by its machine address, which must be aligned. */
static void by_entry(void)
{
    uint64_t *entry = table_entry(g.window, 1);
    uint64_t maddr = virt_to_maddr(entry), before = *entry, next = entry[1];
    const uint32_t flags = GNTMAP_host_map | GNTMAP_contains_pte;
    grant_handle_t handle;

    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    for (unsigned int i = 1; i < 8; i++)
        CHECK(map(guest.domid, g.ref, maddr + i, flags, NULL) < 0);
    CHECK(map(guest.domid, g.ref, g.mfn << PAGE_SHIFT, flags, NULL) < 0);
    CHECK(map(guest.domid, g.ref, ~7ull, flags, NULL) < 0);
    CHECK_EQ(entry[0], before);
    CHECK_EQ(entry[1], next);
    g.page[3] = 333;
    CHECK_EQ(map(guest.domid, g.ref, maddr, flags, &handle), 0);
    mmuext_va(MMUEXT_INVLPG_LOCAL, (uint64_t)g.window);
    CHECK_EQ(g.window[3], 333);
    CHECK_EQ(entry[1], next);
    CHECK_EQ(unmap(handle, maddr), 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access);
    give_back_window();
    entry_clear(g.ref);
}

static void replace(void)
{
    struct gnttab_unmap_and_replace op = { 0 };
    uint64_t *other = page_alloc();
    uint64_t other_mfn = virt_to_mfn(other);
    grant_handle_t handle;

    other[0] = 4711;
    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    CHECK_EQ(map(guest.domid, g.ref, (uint64_t)g.window, GNTMAP_host_map,
                 &handle), 0);
    op.host_addr = (uint64_t)g.window;
    op.new_addr = (uint64_t)other;
    op.handle = handle;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_and_replace, &op, 1), 0);
    CHECK_EQ(op.status, 0);
    CHECK_EQ(g.window[0], 4711); /* other's frame has moved here */
    CHECK(fault_reading(other));
    CHECK_EQ(page_protect(other, other_mfn, PAGE_WRITE), 0);
    give_back_window();
    page_free(other);
    entry_clear(g.ref);
}

/* ---- Copy. ---- */
static struct gnttab_copy copy_op(uint16_t length)
{
    struct gnttab_copy op = { .len = length, .status = 77 };

    op.source.domid = guest.domid;
    op.source.u.ref = g.ref;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = g.window_mfn;
    op.flags = GNTCOPY_source_gref;
    return op;
}

static int copy(struct gnttab_copy *op)
{
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_copy, op, 1), 0);
    CHECK(op->status <= 0);
    return op->status;
}

static void copying(void)
{
    struct gnttab_copy op;

    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access | GTF_readonly);
    for (unsigned int i = 0; i < 512; i++)
        g.page[i] = i + 1;
    memset(g.window, 0, PAGE_SIZE);
    op = copy_op(64);
    op.source.offset = 8;
    op.dest.offset = 4000;
    CHECK_EQ(copy(&op), 0);
    CHECK(memcmp((char *)g.window + 4000, (char *)g.page + 8, 64) == 0);
    CHECK_EQ(((char *)g.window)[3999], 0);
    CHECK_EQ(((char *)g.window)[4064], 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access | GTF_readonly);
    op = copy_op(4096);
    CHECK_EQ(copy(&op), 0);
    CHECK(memcmp(g.window, g.page, PAGE_SIZE) == 0);

    op = copy_op(1);
    op.source.offset = 4096;
    CHECK_EQ(copy(&op), GNTST_bad_copy_arg);
    op = copy_op(65);
    op.dest.offset = 4096 - 64;
    CHECK_EQ(copy(&op), GNTST_bad_copy_arg);
    op = copy_op(65535);
    CHECK_EQ(copy(&op), GNTST_bad_copy_arg);
    op = copy_op(8);
    op.source.u.ref = ~0u;
    CHECK_EQ(copy(&op), GNTST_bad_gntref);
    op = copy_op(8);
    op.source.domid = NOBODY;
    CHECK_EQ(copy(&op), GNTST_bad_domain);
    op = copy_op(8);
    op.source.domid = NOBODY; /* another domain's frame, without a grant */
    op.source.u.gmfn = g.mfn;
    op.flags = 0;
    CHECK(copy(&op) < 0);
    op = copy_op(8);
    op.dest.u.gmfn = ~0ull >> 12;
    CHECK(copy(&op) < 0);
    op = copy_op(8); /* into a read-only grant */
    op.dest.domid = guest.domid;
    op.dest.u.ref = g.ref;
    op.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
    CHECK_EQ(copy(&op), GNTST_general_error);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access | GTF_readonly);
    op = copy_op(8); /* into a page table of our own */
    op.dest.u.gmfn = virt_to_mfn(table_entry(g.page, 1));
    CHECK(copy(&op) < 0);

    /* G8: no length, nothing looked at, or an error; no access. */
    op = copy_op(0);
    op.source.u.ref = ~0u;
    op.dest.u.gmfn = ~0ull;
    copy(&op);
    entry_clear(g.ref);
    op = copy_op(8);
    CHECK_EQ(copy(&op), GNTST_general_error);
}

/* Every item of a batch gets a status of its own. */
static void batches(void)
{
    static struct gnttab_copy ops[200];
    static struct gnttab_map_grant_ref maps[3];
    struct gnttab_unmap_grant_ref un[2] = { { 0 } };
    void *second = page_alloc();
    uint64_t second_mfn = virt_to_mfn(second);

    entry_set(g.ref, guest.domid, g.mfn, GTF_permit_access);
    for (unsigned int i = 0; i < 200; i++) {
        ops[i] = copy_op(16);
        if (i % 3 == 1)
            ops[i].source.u.ref = ~0u;
    }
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_copy, ops, 200), 0);
    for (unsigned int i = 0; i < 200; i++)
        CHECK_EQ(ops[i].status, i % 3 == 1 ? GNTST_bad_gntref : 0);

    for (unsigned int i = 0; i < 3; i++) {
        maps[i].dom = guest.domid;
        maps[i].ref = i == 1 ? ~0u : g.ref;
        maps[i].flags = GNTMAP_host_map;
        maps[i].host_addr = i == 2 ? (uint64_t)second : (uint64_t)g.window;
        maps[i].status = 77;
    }
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_map_grant_ref, maps, 3), 0);
    CHECK_EQ(maps[0].status, 0);
    CHECK_EQ(maps[1].status, GNTST_bad_gntref);
    CHECK_EQ(maps[2].status, 0);
    CHECK(maps[0].handle != maps[2].handle);
    un[0].host_addr = maps[0].host_addr;
    un[0].handle = maps[0].handle;
    un[1].host_addr = maps[2].host_addr;
    un[1].handle = maps[2].handle;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, un, 2), 0);
    CHECK_EQ(un[0].status, 0);
    CHECK_EQ(un[1].status, 0);
    CHECK_EQ(table[g.ref].flags, GTF_permit_access);
    give_back_window();
    CHECK_EQ(page_protect(second, second_mfn, PAGE_WRITE), 0);
    entry_clear(g.ref);
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_copy, (void *)0x700000000000, 1),
             -EFAULT);
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_copy, ops, 0), 0);
    CHECK(hypercall_grant_table_op(99, ops, 1) < 0);
}

/* The whole table can be had, and not more. */
static void growing(void)
{
    static xen_pfn_t frames[128];
    struct gnttab_query_size size = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup = { .dom = DOMID_SELF };
    uint32_t most;

    set_xen_guest_handle(setup.frame_list, frames);
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_query_size, &size, 1), 0);
    CHECK_EQ(size.status, 0);
    CHECK(size.nr_frames >= 1 && size.max_nr_frames >= size.nr_frames);
    most = size.max_nr_frames;
    setup.nr_frames = most + 1;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
    CHECK(setup.status < 0);
    setup.nr_frames = ~0u;
    hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    CHECK(setup.status < 0);
    setup.nr_frames = most > 128 ? 128 : most;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1), 0);
    CHECK_EQ(setup.status, 0);
    CHECK(frames[0] != frames[setup.nr_frames - 1]);
    setup.dom = NOBODY;
    hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    CHECK(setup.status < 0);
}

/* G9, G16: what is left out answers so. */
static void left_out(void)
{
    struct gnttab_set_version version = { .version = 2 };
    struct gnttab_get_version got = { .dom = DOMID_SELF };
    struct gnttab_transfer transfer = { .mfn = g.mfn, .domid = guest.domid };
    struct gnttab_get_status_frames frames = { .nr_frames = 1,
                                               .dom = DOMID_SELF };

    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_get_version, &got, 1), 0);
    CHECK_EQ(got.version, 1);
    if (!guest.on_belfry)
        return;
    CHECK(hypercall_grant_table_op(GNTTABOP_set_version, &version, 1) < 0);
    CHECK(hypercall_grant_table_op(GNTTABOP_get_status_frames, &frames, 1) <
              0 || frames.status < 0);
    CHECK(hypercall_grant_table_op(GNTTABOP_transfer, &transfer, 1) < 0);
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_get_version, &got, 1), 0);
    CHECK_EQ(got.version, 1);
    entry_set(g.ref, guest.domid, g.mfn, 3 /* GTF_transitive */);
    CHECK(map(guest.domid, g.ref, (uint64_t)g.window, GNTMAP_host_map, NULL) <
          0);
    entry_clear(g.ref);
}

int guest_main(void)
{
    fault_install();
    set_up();
    G12_odd_targets(); /* the first time before there is a table (G11) */
    map_table();
    G12_odd_targets();
    map_and_unmap();
    check_audit("after map and unmap");
    map_errors();
    mapped_is_not_a_table();
    check_audit("after types");
    device_and_host();
    replaced_entry();
    by_entry();
    replace();
    check_audit("after the other ways to map");
    copying();
    batches();
    left_out();
    growing();
    test_end("grant");
}
