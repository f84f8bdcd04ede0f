/*
 * Grant tables: the statuses of Xen 4.17, references that come out even
 * whatever fails, and the rows G of the security catalogue that a host can
 * show.  After every test the world is destroyed and every frame must be
 * back.
 */
#include <check.h>

#include "grant_world.h"

#define HOST GNTMAP_host_map
#define DEV  GNTMAP_device_map
#define RO   GNTMAP_readonly
#define CPTE GNTMAP_contains_pte

static uint64_t refs_of(mfn_t mfn)
{
    return page_of(mfn)->count & PAGE_COUNT_MASK;
}

static uint64_t uses_of(mfn_t mfn)
{
    return page_of(mfn)->type & PAGE_TYPE_COUNT_MASK;
}

/* ---- The table. ---- */

static struct gnttab_setup_table setup(unsigned int n, uint16_t domid,
                                       uint32_t nr, xen_pfn_t *list)
{
    struct gnttab_setup_table op = {
        .dom = domid, .nr_frames = nr, .status = 77, .frame_list = { list }
    };

    if (grant_op(n, GNTTABOP_setup_table, &op, 1) != 0)
        op.status = 99;
    return op;
}

static struct gnttab_query_size query(unsigned int n, uint16_t domid)
{
    struct gnttab_query_size op = { .dom = domid, .status = 77 };

    ck_assert_int_eq(grant_op(n, GNTTABOP_query_size, &op, 1), 0);
    return op;
}

START_TEST(G18_a_table_grows_by_zeroed_pages)
{
    static const char zeros[PAGE_SIZE];
    xen_pfn_t list[GRANT_MAX_FRAMES] = { 0 };

    ck_assert_int_eq(query(1, DOMID_SELF).nr_frames, 1);
    ck_assert_int_eq(query(1, DOMID_SELF).max_nr_frames, GRANT_MAX_FRAMES);
    ck_assert_int_eq(setup(1, DOMID_SELF, 3, list).status, GNTST_okay);
    ck_assert_int_eq(query(1, DOMID_SELF).nr_frames, 3);
    ck_assert_uint_eq(list[3], 0);
    ck_assert_int_eq(setup(1, DOM_ID(1), 64, list).status, GNTST_okay);
    for (unsigned int i = 0; i < GRANT_MAX_FRAMES; i++) {
        const char *page = mfn_to_virt(list[i]);

        ck_assert_ptr_eq(page, dom(1)->grants->shared[i]);
        ck_assert_mem_eq(page, zeros, PAGE_SIZE);
        ck_assert(page_of(list[i])->count & PAGE_SHARED);
    }
    /* Asking for less shrinks nothing. */
    ck_assert_int_eq(setup(1, DOMID_SELF, 1, list).status, GNTST_okay);
    ck_assert_int_eq(query(1, DOMID_SELF).nr_frames, 64);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(setup_and_query_errors)
{
    struct gnttab_setup_table op = { .dom = DOMID_SELF };
    xen_pfn_t list[65];

    ck_assert_int_eq(setup(1, DOMID_SELF, 65, list).status,
                     GNTST_general_error);
    ck_assert_int_eq(setup(1, DOM_ID(2), 1, list).status,
                     GNTST_permission_denied);
    ck_assert_int_eq(setup(1, 999, 1, list).status, GNTST_bad_domain);
    ck_assert_int_eq(setup(0, DOM_ID(2), 2, list).status, GNTST_okay);
    ck_assert_ptr_eq(mfn_to_virt(list[1]), dom(2)->grants->shared[1]);
    ck_assert_int_eq(setup(1, DOMID_SELF, 1, FAULTS).status,
                     GNTST_bad_virt_addr);
    ck_assert_int_eq(grant_op(1, GNTTABOP_setup_table, &op, 2), -EINVAL);
    ck_assert_int_eq(grant_op(1, GNTTABOP_setup_table, FAULTS, 1), -EFAULT);
    ck_assert_int_eq(grant_op(1, GNTTABOP_query_size, &op, 0), -EINVAL);
    ck_assert_int_eq(grant_op(1, GNTTABOP_query_size, FAULTS, 1), -EFAULT);
    ck_assert_int_eq(query(1, DOM_ID(2)).status, GNTST_permission_denied);
    ck_assert_int_eq(query(0, DOM_ID(2)).nr_frames, 2);
    ck_assert_int_eq(query(0, DOMID_XEN).status, GNTST_bad_domain);
}
END_TEST

/* Take frames until only @n are free; a list of them by their own words. */
static mfn_t hoard(uint64_t n)
{
    mfn_t list = 0;

    while (alloc_free_pages() > n) {
        mfn_t mfn = mfn_of(page_alloc());

        *(mfn_t *)mfn_to_virt(mfn) = list;
        list = mfn;
    }
    return list;
}

static void unhoard(mfn_t list)
{
    while (list != 0) {
        mfn_t next = *(mfn_t *)mfn_to_virt(list);

        page_free(page_of(list));
        list = next;
    }
}

START_TEST(G14_growth_fails_at_each_allocation)
{
    const uint32_t per_frame = 1 + ACTIVE_PER_FRAME;
    xen_pfn_t list[8];

    for (uint32_t left = 0; left < 3 * per_frame; left++) {
        mfn_t kept = hoard(left);

        ck_assert_int_eq(setup(1, DOMID_SELF, 4, list).status,
                         GNTST_general_error);
        ck_assert_uint_eq(alloc_free_pages(), left);
        ck_assert_uint_eq(query(1, DOMID_SELF).nr_frames, 1);
        ck_assert_uint_eq(world_audit(), kept ? 0 : ~0u);
        unhoard(kept);
    }
    ck_assert_int_eq(setup(1, DOMID_SELF, 4, list).status, GNTST_okay);
}
END_TEST

START_TEST(G14_a_domain_without_memory_has_no_table)
{
    for (uint32_t left = 0; left < 2 + ACTIVE_PER_FRAME; left++) {
        struct domain d = { .id = 3 };
        mfn_t kept = hoard(left);

        ck_assert_int_eq(grant_domain_init(&d), -ENOMEM);
        ck_assert_ptr_null(d.grants);
        ck_assert_uint_eq(alloc_free_pages(), left);
        grant_domain_destroy(&d);
        ck_assert(grant_release_mappings(&d, 1));
        unhoard(kept);
    }
}
END_TEST

START_TEST(G9_G16_what_is_not_built)
{
    static const unsigned int refused[] = { GNTTABOP_dump_table,
                                            GNTTABOP_transfer,
                                            GNTTABOP_get_status_frames,
                                            GNTTABOP_cache_flush,
                                            13,
                                            14,
                                            4095 };
    struct gnttab_set_version set = { .version = 2 };
    struct gnttab_get_version get = { .dom = DOMID_SELF, .version = 77 };
    char buffer[64] = { 0 };

    for (unsigned int i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        ck_assert_int_eq(grant_op(1, refused[i], buffer, 1), -ENOSYS);
    /* Above 12 bits stands where a restarted call goes on: Xen's own. */
    ck_assert_int_eq(grant_op(1, 4096, buffer, 1), -EINVAL);
    ck_assert_int_eq(grant_op(1, GNTTABOP_copy, buffer, 1u << 31), -EINVAL);
    ck_assert_int_eq(grant_op(1, GNTTABOP_set_version, &set, 1), -ENOSYS);
    ck_assert_uint_eq(set.version, 1);
    set.version = 3;
    ck_assert_int_eq(grant_op(1, GNTTABOP_set_version, &set, 1), -EINVAL);
    ck_assert_uint_eq(set.version, 1);
    ck_assert_int_eq(grant_op(1, GNTTABOP_set_version, &set, 1), 0);
    ck_assert_int_eq(grant_op(1, GNTTABOP_set_version, FAULTS, 1), -EFAULT);
    ck_assert_int_eq(grant_op(1, GNTTABOP_get_version, &get, 1), 0);
    ck_assert_uint_eq(get.version, 1);
    get.dom = DOM_ID(2);
    ck_assert_int_eq(grant_op(1, GNTTABOP_get_version, &get, 1), -EPERM);
    ck_assert_int_eq(grant_op(0, GNTTABOP_get_version, &get, 1), 0);
    get.dom = 999;
    ck_assert_int_eq(grant_op(0, GNTTABOP_get_version, &get, 1), -ESRCH);
}
END_TEST

/* ---- map and unmap ---- */

START_TEST(a_mapping_and_its_end)
{
    mfn_t frame = world[1].own[3];
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 3);
    op = map(2, 5, HOST, 1, 9);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(op.dev_bus_addr, frame << PAGE_SHIFT);
    ck_assert_uint_eq(pte_of(2, 5), (frame << PAGE_SHIFT) | 1ul << 63 | 0x67);
    ck_assert_uint_eq(flags_of(1, 9),
                      GTF_permit_access | GTF_reading | GTF_writing);
    ck_assert_uint_eq(refs_of(frame), 2);
    ck_assert_uint_eq(uses_of(frame), 1);
    ck_assert_uint_eq(grant_mapped_by_peers(dom(1)), 1);
    ck_assert_uint_eq(world_audit(), 0);

    ck_assert_int_eq(unmap(2, VA(5), 0, op.handle), GNTST_okay);
    ck_assert_uint_eq(pte_of(2, 5), 0);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access);
    ck_assert_uint_eq(refs_of(frame), 1);
    ck_assert_uint_eq(uses_of(frame), 0);
    ck_assert_uint_eq(grant_mapped_by_peers(dom(1)), 0);
    ck_assert_int_eq(unmap(2, VA(5), 0, op.handle), GNTST_bad_handle);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_read_only_mapping_takes_no_use)
{
    mfn_t frame = world[1].own[0];
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, GTF_readonly, 0);
    op = map(2, 5, HOST | RO, 1, 9);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(pte_of(2, 5) & PTE_W, 0);
    ck_assert_uint_eq(uses_of(frame), 0);
    ck_assert_uint_eq(flags_of(1, 9),
                      GTF_permit_access | GTF_readonly | GTF_reading);
    ck_assert_int_eq(unmap(2, VA(5), 0, op.handle), GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_readonly);
}
END_TEST

START_TEST(map_statuses_are_those_of_xen)
{
    static const struct {
        uint16_t entry_flags, peer;
        uint32_t flags, ref;
        uint16_t dom;
        int16_t status;
    } rows[] = {
        { GTF_permit_access, 2, 0, 9, 1, GNTST_bad_gntref },
        { GTF_permit_access, 2, RO | CPTE, 9, 1, GNTST_bad_gntref },
        { GTF_permit_access, 2, HOST, 9, 999, GNTST_bad_domain },
        { GTF_permit_access, 2, HOST, 9, DOMID_SELF, GNTST_bad_domain },
        { GTF_permit_access, 2, HOST, 9, DOMID_IO, GNTST_bad_domain },
        { GTF_permit_access, 2, HOST, 9, DOMID_XEN, GNTST_bad_domain },
        { GTF_permit_access, 2, HOST, 9, DOMID_INVALID, GNTST_bad_domain },
        { GTF_permit_access, 2, HOST, 512, 1, GNTST_bad_gntref },
        { GTF_permit_access, 2, HOST, 1u << 31, 1, GNTST_bad_gntref },
        { GTF_permit_access, 2, HOST, ~0u, 1, GNTST_bad_gntref },
        { GTF_permit_access, 2, HOST, 10, 1, GNTST_general_error },
        { GTF_permit_access, 3, HOST, 9, 1, GNTST_general_error },
        { GTF_permit_access, DOMID_SELF, HOST, 9, 1, GNTST_general_error },
        { GTF_accept_transfer, 2, HOST, 9, 1, GNTST_general_error },
        { GTF_transitive, 2, HOST, 9, 1, GNTST_general_error },
        { GTF_permit_access | GTF_sub_page, 2, HOST, 9, 1,
          GNTST_general_error },
        { GTF_permit_access | GTF_readonly, 2, HOST, 9, 1,
          GNTST_general_error },
        { GTF_permit_access | GTF_readonly, 2, DEV, 9, 1, GNTST_general_error },
    };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        permit(1, 9, rows[i].peer, 0, 0);
        entry(1, 9)->v1.flags = rows[i].entry_flags;
        refusals = 0;
        last_reason = NULL;
        ck_assert_int_eq(
            map_full(2, VA(0), rows[i].flags, rows[i].dom, rows[i].ref).status,
            rows[i].status);
        ck_assert_uint_eq(flags_of(1, 9), rows[i].entry_flags);
        ck_assert_uint_eq(refusals, 1);
        ck_assert_ptr_nonnull(last_reason);
        ck_assert_int_eq(last_error, rows[i].status);
        ck_assert_str_eq(last_call, "grant_table_op/map");
        ck_assert_uint_eq(world_audit(), 0);
    }
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
}
END_TEST

/* Frames that the granter does not own, or that are no frames. */
START_TEST(a_grant_of_what_is_not_ones_own_is_refused)
{
    const uint32_t bad[] = {
        0,         FIRST_RAM - 1, (uint32_t)world[3].own[0],
        NR_FRAMES, ~0u,           (uint32_t)virt_to_mfn(dom(1)->grants)
    };

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        permit(1, 9, 2, 0, 0);
        entry(1, 9)->v1.frame = bad[i];
        ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_bad_page);
        ck_assert_int_eq(map(2, 0, HOST | RO, 1, 9).status, GNTST_bad_page);
        ck_assert(!in_use(1, 9));
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_page_table_cannot_be_mapped_writable)
{
    struct page *page = page_of(world[1].own[0]);

    permit(1, 9, 2, 0, 0);
    page->type = PAGE_L1 | 1;
    ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_general_error);
    ck_assert_int_eq(map(2, 0, DEV, 1, 9).status, GNTST_general_error);
    ck_assert(!in_use(1, 9));
    ck_assert_int_eq(map(2, 0, HOST | RO, 1, 9).status, GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    /* Nor may a reader become a writer. */
    ck_assert_int_eq(map(2, 1, HOST, 1, 9).status, GNTST_general_error);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    page->type = PAGE_NONE;
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(no_mapping_where_no_pte_can_be)
{
    permit(1, 9, 2, 0, 0);
    ck_assert_int_eq(map_full(2, 0x1000, HOST, 1, 9).status,
                     GNTST_general_error);
    ck_assert_int_eq(map_full(2, 0x1000, HOST | DEV, 1, 9).status,
                     GNTST_general_error);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G3_a_misaligned_pte_address_splices_nothing)
{
    uint64_t l1 = world[2].l1 << PAGE_SHIFT, before[512];
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    memcpy(before, mfn_to_virt(world[2].l1), sizeof(before));
    for (uint64_t i = 1; i < 8; i++)
        ck_assert_int_lt(map_full(2, l1 + 80 + i, HOST | CPTE, 1, 9).status, 0);
    ck_assert_mem_eq(before, mfn_to_virt(world[2].l1), sizeof(before));
    op = map_full(2, l1 + 80, HOST | CPTE, 1, 9);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_ne(pte_of(2, 10), 0);
    ck_assert_int_eq(unmap(2, VA(10), 0, op.handle), GNTST_general_error);
    ck_assert_int_eq(unmap(2, l1 + 81, 0, op.handle), GNTST_general_error);
    ck_assert_int_eq(unmap(2, l1 + 80, 0, op.handle), GNTST_okay);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(available_bits_are_the_guests)
{
    permit(1, 9, 2, 0, 0);
    ck_assert_int_eq(
        map(2, 0, HOST | GNTMAP_application_map | 0xffff0000u, 1, 9).status,
        GNTST_okay);
    ck_assert_uint_eq(pte_of(2, 0) & 0xfff, 0xe67);
}
END_TEST

START_TEST(many_mappings_of_one_grant)
{
    struct gnttab_map_grant_ref ro, rw, again;

    permit(1, 9, 2, 0, 0);
    ro = map(2, 0, HOST | RO, 1, 9);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    rw = map(2, 1, HOST, 1, 9);
    ck_assert_uint_eq(flags_of(1, 9),
                      GTF_permit_access | GTF_reading | GTF_writing);
    again = map(2, 2, HOST, 1, 9);
    ck_assert_int_eq(again.status, GNTST_okay);
    ck_assert_uint_ne(ro.handle, rw.handle);
    ck_assert_uint_eq(refs_of(world[1].own[0]), 4);
    ck_assert_uint_eq(grant_mapped_by_peers(dom(1)), 1);
    /* In use by domain 2, so not for 3, whatever the entry says now. */
    permit(1, 9, 3, GTF_reading | GTF_writing, 0);
    ck_assert_int_eq(map(3, 0, HOST, 1, 9).status, GNTST_general_error);
    /* And what is in use is what is mapped, not what is written there. */
    entry(1, 9)->v1.frame = (uint32_t)world[1].own[7];
    ck_assert_uint_eq(map(2, 3, HOST, 1, 9).dev_bus_addr,
                      world[1].own[0] << PAGE_SHIFT);
    ck_assert_int_eq(unmap(2, VA(1), 0, rw.handle), GNTST_okay);
    ck_assert_int_eq(unmap(2, VA(2), 0, again.handle), GNTST_okay);
    ck_assert(flags_of(1, 9) & GTF_writing);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(flags_follow_the_last_writer_and_the_last_reader)
{
    struct gnttab_map_grant_ref ro, rw;

    permit(1, 9, 2, 0, 0);
    rw = map(2, 1, HOST, 1, 9);
    ro = map(2, 0, HOST | RO, 1, 9);
    ck_assert_int_eq(unmap(2, VA(1), 0, rw.handle), GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    ck_assert_int_eq(unmap(2, VA(0), 0, ro.handle), GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access);
}
END_TEST

START_TEST(a_domain_may_map_its_own_grant)
{
    struct gnttab_map_grant_ref op;

    permit(1, 9, 1, 0, 0);
    op = map(1, 0, HOST | DEV, 1, 9);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G1_host_and_device_maps_end_one_by_one)
{
    mfn_t frame = world[1].own[0];
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    for (unsigned int order = 0; order < 3; order++) {
        op = map(2, 0, HOST | DEV, 1, 9);
        ck_assert_uint_eq(refs_of(frame), 3);
        ck_assert_uint_eq(uses_of(frame), 2);
        ck_assert_uint_eq(world_audit(), 0);
        if (order == 0)
            ck_assert_int_eq(unmap(2, VA(0), 0, op.handle), GNTST_okay);
        if (order == 1)
            ck_assert_int_eq(unmap(2, 0, op.dev_bus_addr, op.handle),
                             GNTST_okay);
        if (order != 2) {
            ck_assert(flags_of(1, 9) & GTF_writing);
            ck_assert_uint_eq(refs_of(frame), 2);
            ck_assert_uint_eq(uses_of(frame), 1);
            ck_assert_uint_eq(world_audit(), 0);
        }
        ck_assert_int_eq(unmap(2, VA(0), op.dev_bus_addr, op.handle),
                         GNTST_okay);
        ck_assert(!in_use(1, 9));
        ck_assert_uint_eq(refs_of(frame), 1);
        ck_assert_uint_eq(uses_of(frame), 0);
        ck_assert_int_eq(unmap(2, 0, op.dev_bus_addr, op.handle),
                         GNTST_bad_handle);
        ck_assert_uint_eq(world_audit(), 0);
    }
}
END_TEST

START_TEST(a_device_map_alone_touches_no_page_table)
{
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    op = map_full(2, 0xdead, DEV | RO, 1, 9);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(refs_of(world[1].own[0]), 2);
    ck_assert_uint_eq(uses_of(world[1].own[0]), 0);
    ck_assert_int_eq(unmap(2, 0, op.dev_bus_addr + 1, op.handle),
                     GNTST_bad_dev_addr);
    ck_assert_uint_eq(world_audit(), 0);
    ck_assert_int_eq(unmap(2, 0, op.dev_bus_addr, op.handle), GNTST_okay);
}
END_TEST

START_TEST(G2_a_pte_that_the_guest_replaced_is_not_unmapped)
{
    mfn_t frame = world[1].own[0];
    struct gnttab_map_grant_ref w, r;

    permit(1, 9, 2, 0, 0);
    w = map(2, 0, HOST, 1, 9);
    r = map(2, 1, HOST | RO, 1, 9);
    /* The writable PTE becomes a copy of the read-only one: its own
     * reference is dropped, and the copy takes one. */
    ck_assert(page_get(page_of(frame), dom(1)));
    store(&l1_of(dom(2))[0], pte_of(2, 1));
    ck_assert_uint_eq(uses_of(frame), 0);
    ck_assert_int_eq(unmap(2, VA(0), 0, w.handle), GNTST_general_error);
    ck_assert_uint_eq(refs_of(frame), 3);
    ck_assert_uint_eq(uses_of(frame), 0);
    ck_assert_uint_eq(world_audit(), 0);
    ck_assert_int_eq(unmap(2, VA(1), 0, r.handle), GNTST_okay);
    ck_assert(in_use(1, 9));
}
END_TEST

START_TEST(a_pte_that_the_guest_cleared_is_not_put_twice)
{
    mfn_t frame = world[1].own[0];
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    op = map(2, 0, HOST, 1, 9);
    store(&l1_of(dom(2))[0], 0);
    ck_assert_uint_eq(refs_of(frame), 1);
    for (unsigned int i = 0; i < 3; i++)
        ck_assert_int_eq(unmap(2, VA(0), 0, op.handle), GNTST_general_error);
    ck_assert_uint_eq(refs_of(frame), 1);
    ck_assert_uint_eq(world_audit(), 0);
    destroy(2);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* The frame of an active grant may have gone to somebody else by then. */
START_TEST(an_active_frame_that_was_given_up_is_not_mapped_again)
{
    struct page *page = page_of(world[1].own[0]);

    permit(1, 9, 2, 0, 0);
    ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_okay);
    store(&l1_of(dom(2))[0], 0);
    ck_assert(page_get(page, dom(1)));
    ck_assert(domain_page_release(dom(1), page));
    page_put(page);
    ck_assert_int_eq(map(2, 1, HOST, 1, 9).status, GNTST_general_error);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(unmap_statuses_are_those_of_xen)
{
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    ck_assert_int_eq(unmap(2, VA(0), 0, 0), GNTST_bad_handle);
    op = map(2, 0, HOST, 1, 9);
    ck_assert_int_eq(unmap(2, VA(0), 0, op.handle + 1), GNTST_bad_handle);
    ck_assert_int_eq(unmap(2, VA(0), 0, MAPTRACK_PER_PAGE), GNTST_bad_handle);
    ck_assert_int_eq(unmap(2, VA(0), 0, ~0u), GNTST_bad_handle);
    ck_assert_int_eq(unmap(1, VA(0), 0, op.handle), GNTST_bad_handle);
    ck_assert_int_eq(unmap(2, VA(1), 0, op.handle), GNTST_general_error);
    /* A bus address is looked at only if the mapping has one. */
    ck_assert_int_eq(unmap(2, VA(0), 4096, op.handle), GNTST_okay);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G15_a_partial_unmap_a_million_times)
{
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    op = map(2, 0, HOST | DEV, 1, 9);
    for (unsigned int i = 0; i < 1000000; i++)
        ck_assert_int_eq(unmap(2, 0, 0, op.handle), GNTST_okay);
    ck_assert_int_eq(unmap(2, VA(0), 0, op.handle), GNTST_okay);
    for (unsigned int i = 0; i < 1000; i++)
        ck_assert_int_eq(unmap(2, VA(0), 0, op.handle), GNTST_okay);
    ck_assert_uint_eq(refs_of(world[1].own[0]), 2);
    ck_assert(in_use(1, 9));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

static struct gnttab_unmap_and_replace replace(unsigned int n, uint64_t host,
                                               uint64_t new, uint32_t handle)
{
    struct gnttab_unmap_and_replace op = {
        .host_addr = host, .new_addr = new, .handle = handle, .status = 77
    };

    ck_assert_int_eq(grant_op(n, GNTTABOP_unmap_and_replace, &op, 1), 0);
    return op;
}

START_TEST(unmap_and_replace_moves_a_pte)
{
    uint64_t l1 = world[2].l1 << PAGE_SHIFT, own;
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    ck_assert(page_get(page_of(world[2].own[0]), dom(2)));
    own = world[2].own[0] << PAGE_SHIFT | PTE_P;
    l1_of(dom(2))[7] = own;
    op = map(2, 0, HOST, 1, 9);
    ck_assert_int_eq(replace(2, VA(0), 0x1000, op.handle).status,
                     GNTST_general_error);
    ck_assert_int_eq(replace(2, VA(0), VA(7), op.handle).status, GNTST_okay);
    ck_assert_uint_eq(pte_of(2, 0), own);
    ck_assert_uint_eq(pte_of(2, 7), 0);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(world_audit(), 0);
    op = map_full(2, l1 + 80, HOST | CPTE, 1, 9);
    ck_assert_int_eq(replace(2, l1 + 80, VA(0), op.handle).status,
                     GNTST_general_error);
    ck_assert_int_eq(replace(2, l1 + 80, 0, op.handle).status, GNTST_okay);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_mapping_whose_handle_cannot_be_told_is_undone)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = VA(0), .flags = HOST | DEV, .ref = 9, .dom = DOM_ID(1)
    };

    permit(1, 9, 2, 0, 0);
    copies_out_left = 0;
    ck_assert_int_eq(grant_op(2, GNTTABOP_map_grant_ref, &op, 1), -EFAULT);
    copies_out_left = -1;
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(pte_of(2, 0), 0);
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    ck_assert_uint_eq(world_audit(), 0);
    ck_assert_int_eq(grant_op(2, GNTTABOP_map_grant_ref, FAULTS, 1), -EFAULT);
    ck_assert_int_eq(grant_op(2, GNTTABOP_map_grant_ref, (void *)-64, 3),
                     -EFAULT);
}
END_TEST

START_TEST(handles_run_out_and_come_back)
{
    const uint32_t limit = MAPTRACK_MAX_PAGES * MAPTRACK_PER_PAGE;
    struct gnttab_map_grant_ref op = { .handle = 0 };

    permit(1, 9, 2, 0, 0);
    for (unsigned int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < limit; i++)
            ck_assert_int_eq(map(2, 0, DEV | RO, 1, 9).status, GNTST_okay);
        ck_assert_int_eq(map(2, 0, DEV | RO, 1, 9).status, GNTST_no_space);
        ck_assert_uint_eq(dom(2)->grants->maptrack_used, limit);
        ck_assert_uint_eq(world_audit(), 0);
        op.dev_bus_addr = world[1].own[0] << PAGE_SHIFT;
        for (uint32_t i = 0; i < limit; i++)
            ck_assert_int_eq(unmap(2, 0, op.dev_bus_addr, i), GNTST_okay);
        ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
        ck_assert(!in_use(1, 9));
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(E9_no_memory_for_a_record)
{
    permit(1, 9, 2, 0, 0);
    for (uint64_t left = 0; left < 2; left++) {
        mfn_t kept = hoard(left);

        ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_no_space);
        ck_assert(!in_use(1, 9));
        ck_assert_uint_eq(world_audit(), 0);
        unhoard(kept);
    }
    ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_okay);
}
END_TEST

/* 32 maps of one entry, from VA(0) on, and their handles. */
static struct gnttab_map_grant_ref many[40];
static struct gnttab_unmap_grant_ref ends[40];

static long map_many(unsigned int n)
{
    permit(1, 9, 2, 0, 0);
    for (uint32_t i = 0; i < n; i++)
        many[i] = (struct gnttab_map_grant_ref){ .host_addr = VA(i),
                                                 .flags = HOST,
                                                 .ref = 9,
                                                 .dom = DOM_ID(1),
                                                 .status = 77 };
    return grant_op(2, GNTTABOP_map_grant_ref, many, n);
}

static long unmap_many(unsigned int n)
{
    for (uint32_t i = 0; i < n; i++)
        ends[i] = (struct gnttab_unmap_grant_ref){ .host_addr = VA(i),
                                                   .handle = many[i].handle,
                                                   .status = 77 };
    return grant_op(2, GNTTABOP_unmap_grant_ref, ends, n);
}

/* What a TLB may hold is still in use when it is flushed. */
static void look_at_flush(struct domain *d)
{
    ck_assert_ptr_eq(d, dom(2));
    ck_assert(in_use(1, 9));
    ck_assert_uint_eq(refs_of(world[1].own[0]), 33);
    for (unsigned int i = 0; i < 32; i++)
        ck_assert_uint_eq(pte_of(2, i), 0);
}

START_TEST(a_batch_is_flushed_once_before_anything_is_given_back)
{
    ck_assert_int_eq(map_many(32), 0);
    flushes = 0;
    on_flush = look_at_flush;
    ck_assert_int_eq(unmap_many(32), 0);
    on_flush = NULL;
    ck_assert_uint_eq(flushes, 1);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(refs_of(world[1].own[0]), 1);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* A handle twice in one batch: all of it, and each half by itself. */
START_TEST(one_batch_may_name_a_mapping_twice)
{
    struct gnttab_unmap_grant_ref op[3] = { 0 };
    struct gnttab_map_grant_ref m;

    permit(1, 9, 2, 0, 0);
    for (unsigned int order = 0; order < 3; order++) {
        m = map(2, 0, HOST | DEV, 1, 9);
        for (unsigned int i = 0; i < 3; i++) {
            op[i].handle = m.handle;
            op[i].host_addr = i == order ? VA(0) : 0;
            op[i].dev_bus_addr = i == (order + 1) % 3 ? m.dev_bus_addr : 0;
        }
        ck_assert_int_eq(grant_op(2, GNTTABOP_unmap_grant_ref, op, 3), 0);
        /* The third names nothing, and may come when all is gone. */
        ck_assert_int_eq(op[order].status, GNTST_okay);
        ck_assert_int_eq(op[(order + 1) % 3].status, GNTST_okay);
        ck_assert_int_eq(op[2].status,
                         order == 0 ? GNTST_bad_handle : GNTST_okay);
        ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
        ck_assert_uint_eq(world_audit(), 0);
    }
    m = map(2, 0, HOST, 1, 9);
    op[0].host_addr = op[1].host_addr = VA(0);
    op[0].handle = op[1].handle = m.handle;
    ck_assert_int_eq(grant_op(2, GNTTABOP_unmap_grant_ref, op, 2), 0);
    ck_assert_int_eq(op[0].status, GNTST_okay);
    ck_assert_int_eq(op[1].status, GNTST_bad_handle);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_batch_is_done_as_far_as_its_items_are_there)
{
    for (unsigned int n = 0; n < 40; n++) {
        absent = (char *)&many[n] + 5;
        ck_assert_int_eq(map_many(40), -EFAULT);
        for (unsigned int i = 0; i < 40; i++)
            ck_assert_int_eq(many[i].status, i < n ? GNTST_okay : 77);
        ck_assert_uint_eq(dom(2)->grants->maptrack_used, n);
        absent = NULL;
        ck_assert_int_eq(unmap_many(n), 0);
        ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(mappings_whose_handles_cannot_be_told_are_undone)
{
    copies_out_left = 0;
    ck_assert_int_eq(map_many(20), -EFAULT);
    copies_out_left = -1;
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_batch_stops_nowhere_on_a_bad_item)
{
    struct gnttab_map_grant_ref op[32];
    struct gnttab_unmap_grant_ref un[32];

    for (uint32_t i = 0; i < 32; i++) {
        permit(1, 20 + i, i % 3 == 1 ? 3 : 2, 0, i % NR_OWN);
        op[i] = (struct gnttab_map_grant_ref){ .host_addr = VA(i),
                                               .flags = HOST,
                                               .ref = 20 + i,
                                               .dom = DOM_ID(1),
                                               .status = 77 };
    }
    preempt_period = 3;
    ck_assert_int_eq(grant_op(2, GNTTABOP_map_grant_ref, op, 32), 0);
    for (uint32_t i = 0; i < 32; i++) {
        ck_assert_int_eq(op[i].status,
                         i % 3 == 1 ? GNTST_general_error : GNTST_okay);
        un[i] = (struct gnttab_unmap_grant_ref){ .host_addr = VA(i),
                                                 .handle = op[i].handle,
                                                 .status = 77 };
        if (op[i].status != GNTST_okay)
            un[i].handle = ~0u;
    }
    ck_assert_uint_eq(world_audit(), 0);
    ck_assert_int_eq(grant_op(2, GNTTABOP_unmap_grant_ref, un, 32), 0);
    for (uint32_t i = 0; i < 32; i++)
        ck_assert_int_eq(un[i].status,
                         i % 3 == 1 ? GNTST_bad_handle : GNTST_okay);
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

/* ---- copy ---- */

static struct gnttab_copy_ptr by_ref(unsigned int n, uint32_t gref,
                                     uint16_t offset)
{
    struct gnttab_copy_ptr p = { .domid = DOM_ID(n), .offset = offset };

    p.u.ref = gref;
    return p;
}

static struct gnttab_copy_ptr by_frame(mfn_t mfn, uint16_t offset)
{
    struct gnttab_copy_ptr p = { .domid = DOMID_SELF, .offset = offset };

    p.u.gmfn = mfn;
    return p;
}

#define SRC GNTCOPY_source_gref
#define DST GNTCOPY_dest_gref

static int16_t copy(unsigned int n, struct gnttab_copy_ptr from,
                    struct gnttab_copy_ptr to, uint16_t len, uint16_t flags)
{
    struct gnttab_copy op = {
        .source = from, .dest = to, .len = len, .flags = flags, .status = 77
    };

    return grant_op(n, GNTTABOP_copy, &op, 1) != 0 ? 99 : op.status;
}

static char *bytes_of(unsigned int n, unsigned int i)
{
    return mfn_to_virt(world[n].own[i]);
}

START_TEST(copies_between_grants_and_own_frames)
{
    strcpy(bytes_of(1, 0) + 100, "from one");
    strcpy(bytes_of(2, 0) + 200, "from two");
    permit(1, 9, 2, GTF_readonly, 0);
    permit(1, 10, 2, 0, 1);
    permit(3, 11, 2, 0, 0);
    ck_assert_int_eq(
        copy(2, by_ref(1, 9, 100), by_frame(world[2].own[1], 300), 9, SRC),
        GNTST_okay);
    ck_assert_str_eq(bytes_of(2, 1) + 300, "from one");
    ck_assert_int_eq(
        copy(2, by_frame(world[2].own[0], 200), by_ref(1, 10, 4087), 9, DST),
        GNTST_okay);
    ck_assert_str_eq(bytes_of(1, 1) + 4087, "from two");
    ck_assert_int_eq(
        copy(2, by_ref(1, 9, 0), by_ref(3, 11, 0), 4096, SRC | DST),
        GNTST_okay);
    ck_assert_mem_eq(bytes_of(3, 0), bytes_of(1, 0), 4096);
    ck_assert_int_eq(copy(2, by_ref(1, 9, 100), by_ref(1, 10, 0), 9, SRC | DST),
                     GNTST_okay);
    ck_assert_str_eq(bytes_of(1, 1), "from one");
    ck_assert_int_eq(copy(2, by_ref(1, 10, 0), by_ref(1, 10, 4), 9, SRC | DST),
                     GNTST_okay);
    ck_assert_str_eq(bytes_of(1, 1) + 4, "from one");
    ck_assert_int_eq(copy(2, by_frame(world[2].own[0], 0),
                          by_frame(world[2].own[2], 0), 4096, 0),
                     GNTST_okay);
    ck_assert_mem_eq(bytes_of(2, 2), bytes_of(2, 0), 4096);
    ck_assert(!in_use(1, 9) && !in_use(1, 10) && !in_use(3, 11));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(self_is_a_domain_also_for_grants)
{
    struct gnttab_copy_ptr p = by_ref(0, 9, 0);

    p.domid = DOMID_SELF;
    permit(2, 9, 2, 0, 0);
    strcpy(bytes_of(2, 0), "own");
    ck_assert_int_eq(copy(2, p, by_frame(world[2].own[1], 0), 4, SRC),
                     GNTST_okay);
    ck_assert_str_eq(bytes_of(2, 1), "own");
}
END_TEST

START_TEST(copy_statuses_are_those_of_xen)
{
    struct gnttab_copy_ptr own = by_frame(world[2].own[0], 0), other;

    permit(1, 9, 2, GTF_readonly, 0);
    permit(1, 10, 3, 0, 1);
    permit(1, 11, 2, 0, 1);
    entry(1, 11)->v1.frame = (uint32_t)world[3].own[0];
    permit(1, 12, 2, 0, 2);
    other = by_frame(world[1].own[0], 0);
    /* Frames of others only by grants, be it by their owner's number. */
    ck_assert_int_eq(copy(2, other, own, 8, 0), GNTST_bad_page);
    other.domid = DOM_ID(1);
    ck_assert_int_eq(copy(2, other, own, 8, 0), GNTST_permission_denied);
    ck_assert_int_eq(copy(2, own, other, 8, 0), GNTST_permission_denied);
    other = by_ref(1, 9, 0);
    other.domid = 999;
    ck_assert_int_eq(copy(2, other, own, 8, SRC), GNTST_bad_domain);
    ck_assert_int_eq(copy(2, own, other, 8, DST), GNTST_bad_domain);
    ck_assert_int_eq(copy(2, by_ref(1, 512, 0), own, 8, SRC), GNTST_bad_gntref);
    ck_assert_int_eq(copy(2, by_ref(1, ~0u, 0), own, 8, SRC), GNTST_bad_gntref);
    ck_assert_int_eq(copy(2, own, by_ref(1, 9, 0), 8, DST),
                     GNTST_general_error);
    ck_assert_int_eq(copy(2, by_ref(1, 10, 0), own, 8, SRC),
                     GNTST_general_error);
    ck_assert_int_eq(copy(2, by_ref(1, 11, 0), own, 8, SRC), GNTST_bad_page);
    ck_assert_int_eq(copy(2, by_ref(1, 12, 0), by_frame(~0ul, 0), 8, SRC),
                     GNTST_bad_page);
    ck_assert_int_eq(copy(2, by_ref(1, 12, 0), by_frame(NR_FRAMES, 0), 8, SRC),
                     GNTST_bad_page);
    ck_assert_int_eq(copy(2, by_ref(1, 12, 4090), own, 8, SRC),
                     GNTST_bad_copy_arg);
    ck_assert_int_eq(copy(2, own, by_ref(1, 12, 1), 4096, DST),
                     GNTST_bad_copy_arg);
    ck_assert_int_eq(copy(2, own, by_ref(1, 12, 0xffff), 0xffff, DST),
                     GNTST_bad_copy_arg);
    ck_assert(!in_use(1, 9) && !in_use(1, 10) && !in_use(1, 11) &&
              !in_use(1, 12));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(a_copy_writes_no_page_table)
{
    struct page *page = page_of(world[2].own[0]);

    permit(2, 9, 3, 0, 0);
    page->type = PAGE_L1 | 1;
    ck_assert_int_eq(copy(2, by_frame(world[2].own[1], 0),
                          by_frame(world[2].own[0], 0), 8, 0),
                     GNTST_general_error);
    ck_assert_int_eq(
        copy(3, by_frame(world[3].own[1], 0), by_ref(2, 9, 0), 8, DST),
        GNTST_general_error);
    ck_assert_int_eq(copy(2, by_frame(world[2].own[0], 0),
                          by_frame(world[2].own[1], 0), 8, 0),
                     GNTST_okay);
    ck_assert(!in_use(2, 9));
    page->type = PAGE_NONE;
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G6_a_copy_leaves_the_flags_of_a_mapping)
{
    struct gnttab_copy_ptr own = by_frame(world[2].own[0], 0);
    struct gnttab_map_grant_ref op;

    permit(1, 9, 2, 0, 0);
    op = map(2, 0, HOST | RO, 1, 9);
    ck_assert_int_eq(copy(2, own, by_ref(1, 9, 0), 8, DST), GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    ck_assert_int_eq(copy(2, by_ref(1, 9, 0), own, 8, SRC), GNTST_okay);
    ck_assert_uint_eq(flags_of(1, 9), GTF_permit_access | GTF_reading);
    unmap(2, VA(0), 0, op.handle);
    op = map(2, 0, HOST, 1, 9);
    ck_assert_int_eq(copy(2, own, by_ref(1, 9, 0), 8, DST), GNTST_okay);
    ck_assert_int_eq(copy(2, by_ref(1, 9, 4095), own, 8, SRC),
                     GNTST_bad_copy_arg);
    ck_assert_uint_eq(flags_of(1, 9),
                      GTF_permit_access | GTF_reading | GTF_writing);
    unmap(2, VA(0), 0, op.handle);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G7_every_status_of_an_interrupted_copy_is_written)
{
    static struct gnttab_copy op[300];

    permit(1, 9, 2, GTF_readonly, 0);
    permit(1, 10, 2, 0, 0);
    entry(1, 10)->v1.flags = GTF_transitive;
    for (unsigned int period = 1; period < 40; period++) {
        for (unsigned int i = 0; i < 300; i++) {
            op[i].source = by_ref(1, i % 5 == 4 ? 10 : 9, 0);
            op[i].dest = by_frame(world[2].own[i % NR_OWN], 0);
            op[i].len = 16;
            op[i].flags = SRC;
            op[i].status = 77;
        }
        preempt_period = period;
        preempt_asked = 0;
        /* Each time it is interrupted it has done at least one. */
        ck_assert_int_eq(grant_op(2, GNTTABOP_copy, op, 300), 0);
        for (unsigned int i = 0; i < 300; i++)
            ck_assert_int_eq(op[i].status,
                             i % 5 == 4 ? GNTST_general_error : GNTST_okay);
    }
    ck_assert_uint_eq(dom(1)->refs, 2);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G8_a_copy_of_nothing_touches_nothing)
{
    struct gnttab_copy_ptr garbage = { .domid = 0xbeef, .offset = 0xffff };

    garbage.u.gmfn = ~0ul;
    for (uint16_t flags = 0; flags < 4; flags++)
        ck_assert_int_eq(copy(2, garbage, garbage, 0, flags), GNTST_bad_domain);
    garbage.domid = DOMID_SELF;
    ck_assert_int_lt(copy(2, garbage, garbage, 0, 0), 0);
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(G11_any_reference_before_and_after_setup)
{
    static const uint32_t refs[] = {
        0, 1, 511, 512, 32767, 32768, 1u << 31, ~0u
    };
    xen_pfn_t list[GRANT_MAX_FRAMES];

    for (unsigned int round = 0; round < 2; round++) {
        for (unsigned int i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
            struct gnttab_swap_grant_ref swap = { refs[i], 3, 77 };
            bool inside = refs[i] < (round ? 32768 : 512);
            int16_t expected = inside ? GNTST_general_error : GNTST_bad_gntref;

            ck_assert_int_eq(map(2, 0, HOST, 1, refs[i]).status, expected);
            ck_assert_int_eq(copy(2, by_ref(1, refs[i], 0),
                                  by_frame(world[2].own[0], 0), 8, SRC),
                             expected);
            ck_assert_int_eq(grant_op(1, GNTTABOP_swap_grant_ref, &swap, 1), 0);
            ck_assert_int_eq(swap.status,
                             inside ? GNTST_okay : GNTST_bad_gntref);
        }
        ck_assert_int_eq(setup(1, DOMID_SELF, 64, list).status, GNTST_okay);
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(swap_exchanges_what_is_not_in_use)
{
    struct gnttab_swap_grant_ref op = { 9, 10, 77 };
    uint64_t nine, ten;

    permit(1, 9, 2, 0, 0);
    permit(1, 10, 3, GTF_readonly, 1);
    nine = entry(1, 9)->raw;
    ten = entry(1, 10)->raw;
    ck_assert_int_eq(grant_op(1, GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_okay);
    ck_assert_uint_eq(entry(1, 9)->raw, ten);
    ck_assert_uint_eq(entry(1, 10)->raw, nine);
    ck_assert_int_eq(map(2, 0, HOST, 1, 10).status, GNTST_okay);
    ck_assert_int_eq(grant_op(1, GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_eagain);
    op.ref_a = 10;
    ck_assert_int_eq(grant_op(1, GNTTABOP_swap_grant_ref, &op, 1), 0);
    ck_assert_int_eq(op.status, GNTST_okay); /* with itself */
}
END_TEST

/* ---- Death. ---- */

START_TEST(D2_a_granter_that_dies_stays_until_it_is_unmapped)
{
    struct gnttab_map_grant_ref host, dev;

    permit(1, 9, 2, 0, 0);
    permit(1, 10, 2, 0, 1);
    host = map(2, 0, HOST, 1, 9);
    dev = map(2, 0, DEV, 1, 10);
    strcpy(bytes_of(1, 0), "still there");
    destroy(1);
    ck_assert(!world[1].gone);
    ck_assert_uint_eq(grant_mapped_by_peers(dom(1)), 2);
    ck_assert_str_eq(bytes_of(1, 0), "still there");
    ck_assert_uint_eq(world_audit(), 0);
    /* D2: nothing new is to be had of it. */
    ck_assert_int_eq(map(2, 3, HOST, 1, 9).status, GNTST_bad_domain);
    ck_assert_int_eq(
        copy(2, by_ref(1, 9, 0), by_frame(world[2].own[0], 0), 8, SRC),
        GNTST_bad_domain);
    ck_assert_int_eq(unmap(2, VA(0), 0, host.handle), GNTST_okay);
    ck_assert(!world[1].gone);
    ck_assert_int_eq(unmap(2, 0, dev.dev_bus_addr, dev.handle), GNTST_okay);
    ck_assert(world[1].gone);
    ck_assert_int_eq(map(2, 3, HOST, 1, 9).status, GNTST_bad_domain);
}
END_TEST

START_TEST(D4_two_that_map_each_other_die_in_any_order)
{
    for (unsigned int order = 0; order < 2; order++) {
        permit(1, 9, 2, 0, 0);
        permit(2, 9, 1, 0, 0);
        ck_assert_int_eq(map(2, 0, HOST | DEV, 1, 9).status, GNTST_okay);
        ck_assert_int_eq(map(1, 0, HOST | RO, 2, 9).status, GNTST_okay);
        destroy(order ? 1 : 2);
        destroy(order ? 2 : 1);
        ck_assert(world[1].gone && world[2].gone);
        ck_assert_uint_eq(world_audit(), 0);
        world_end();
        world_begin();
    }
}
END_TEST

START_TEST(G15_a_mapper_dies_with_many_mappings_in_steps)
{
    unsigned int steps = 1;

    permit(1, 9, 2, 0, 0);
    permit(1, 10, 2, 0, 1);
    for (unsigned int i = 0; i < 30000; i++)
        ck_assert_int_eq(map(2, 0, i % 2 ? DEV : DEV | RO, 1, 9 + i % 2).status,
                         GNTST_okay);
    ck_assert_int_eq(map(2, 0, HOST | DEV, 1, 9).status, GNTST_okay);
    dom(2)->state = DOMAIN_DYING;
    store(&l1_of(dom(2))[0], 0);
    while (!grant_release_mappings(dom(2), 100)) {
        steps++;
        if (steps % 64 == 0)
            ck_assert_uint_eq(world_audit(), 0);
    }
    ck_assert_uint_ge(steps, 300);
    ck_assert(!in_use(1, 9) && !in_use(1, 10));
    ck_assert_uint_eq(refs_of(world[1].own[0]), 1);
    ck_assert_uint_eq(uses_of(world[1].own[1]), 0);
    ck_assert_uint_eq(world_audit(), 0);
    destroy(2);
    ck_assert(world[2].gone);
}
END_TEST

/* ---- Builder, control tool, audit. ---- */

START_TEST(the_builder_can_grant_for_a_domain)
{
    ck_assert_int_eq(grant_set_entry(dom(1), 512, DOM_ID(0), world[1].own[0]),
                     -EINVAL);
    ck_assert_int_eq(grant_set_entry(dom(1), 0, DOM_ID(2), world[1].own[0]), 0);
    ck_assert_int_eq(map(2, 0, HOST, 1, 0).status, GNTST_okay);
}
END_TEST

/* Its frames are going: nobody gets hold of one now. */
START_TEST(nothing_of_a_dying_domain_is_mapped)
{
    permit(1, 9, 2, 0, 0);
    dom(1)->state = DOMAIN_DYING;
    ck_assert_int_eq(map(2, 0, GNTMAP_host_map, 1, 9).status, GNTST_bad_domain);
    ck_assert(!in_use(1, 9));
    dom(1)->state = DOMAIN_RUNNING;
    ck_assert_int_eq(map(2, 0, GNTMAP_host_map, 1, 9).status, GNTST_okay);
}
END_TEST

START_TEST(info_shows_what_is_permitted_or_mapped)
{
    struct belfry_grant g;
    uint32_t gref = 0;

    permit(1, 9, 2, 0, 0);
    permit(1, 300, 3, GTF_readonly, 1);
    ck_assert_int_eq(map(2, 0, HOST, 1, 9).status, GNTST_okay);
    ck_assert_int_eq(map(2, 1, HOST | DEV | RO, 1, 9).status, GNTST_okay);
    entry(1, 9)->raw = 0; /* the granter hides it: in vain */
    ck_assert(grant_info(dom(1), &gref, &g));
    ck_assert_uint_eq(gref, 9);
    ck_assert_uint_eq(g.peer, DOM_ID(2));
    ck_assert_uint_eq(g.frame, world[1].own[0]);
    ck_assert_uint_eq(g.maps_rw, 1);
    ck_assert_uint_eq(g.maps_ro, 2);
    ck_assert_uint_ne(g.since, 0);
    gref++;
    ck_assert(grant_info(dom(1), &gref, &g));
    ck_assert_uint_eq(g.ref, 300);
    ck_assert_uint_eq(g.peer, DOM_ID(3));
    ck_assert_uint_eq(g.flags, GTF_permit_access | GTF_readonly);
    ck_assert_uint_eq(g.since, 0);
    gref++;
    ck_assert(!grant_info(dom(1), &gref, &g));
    gref = ~0u;
    ck_assert(!grant_info(dom(1), &gref, &g));
}
END_TEST

START_TEST(the_audit_finds_what_is_wrong)
{
    struct grant_table *gt = dom(1)->grants, *mapper = dom(2)->grants;
    struct grant_active *act = grant_active(gt, 9);
    struct maptrack *m;

    permit(1, 9, 2, 0, 0);
    ck_assert_int_eq(map(2, 0, HOST | DEV, 1, 9).status, GNTST_okay);
    m = maptrack_at(mapper, 0);
    ck_assert_uint_eq(world_audit(), 0);
#define FINDS(lvalue, wrong)                                                   \
    do {                                                                       \
        __typeof__(lvalue) right = (lvalue);                                   \
        (lvalue) = (wrong);                                                    \
        ck_assert_msg(world_audit() != 0, "%s = %s", #lvalue, #wrong);         \
        (lvalue) = right;                                                      \
        ck_assert_uint_eq(world_audit(), 0);                                   \
    } while (0)
    FINDS(act->maps_rw, 0);
    FINDS(act->maps_rw, 2);
    FINDS(act->devices_rw, 0);
    FINDS(act->maps_ro, 1);
    FINDS(act->frame, 5);
    FINDS(act->peer, 3);
    FINDS(grant_active(gt, 10)->devices_ro, 1);
    FINDS(m->flags, 0);
    FINDS(m->flags, HOST);
    FINDS(m->flags, HOST | DEV | RO);
    FINDS(m->ref, 10);
    FINDS(m->ref, 512);
    FINDS(m->granter, dom(3));
    FINDS(gt->nr_active, 2);
    FINDS(gt->lock.held, 1);
    FINDS(mapper->maptrack_used, 2);
    FINDS(mapper->maptrack_free, NULL);
    FINDS(m->handle, 7);
    FINDS(page_of(world[1].own[0])->count, PAGE_ALLOCATED | PAGE_RAM | 2);
    FINDS(page_of(world[1].own[0])->type, PAGE_WRITABLE | 1);
#undef FINDS
}
END_TEST

/* ---- G13: anything at all. ---- */

static uint32_t seed;

static uint32_t any(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 12) % n;
}

/* A value that is mostly right, and else at some limit. */
static uint32_t some(uint32_t n)
{
    static const uint32_t odd[] = { 0, 511, 512, 1u << 31, ~0u, 0x7ff0 };

    return any(8) != 0 ? any(n) : odd[any(sizeof(odd) / sizeof(odd[0]))];
}

static struct gnttab_copy_ptr some_ptr(unsigned int n, bool grant)
{
    struct gnttab_copy_ptr p = { .domid = (uint16_t)(grant ? some(NR_DOMAINS)
                                                           : DOMID_SELF),
                                 .offset = (uint16_t)some(4096) };

    p.u.gmfn = grant    ? some(16)
               : any(8) ? world[n].own[any(NR_OWN)]
                        : some(NR_FRAMES);
    return p;
}

static int16_t random_op(unsigned int n)
{
    struct gnttab_copy c = { .len = (uint16_t)some(4096),
                             .flags = (uint16_t)any(4) };

    switch (any(8)) {
    case 0:
        permit(n, any(16), any(NR_DOMAINS),
               any(4) ? 0 : (uint16_t)some(1u << 9), any(NR_OWN));
        return 0;
    case 1:
    case 2:
    case 3:
        return map_full(n, any(16) ? VA(any(32)) : some(1u << 20),
                        some(1u << 5), (uint16_t)some(NR_DOMAINS), some(16))
            .status;
    case 4:
    case 5:
    case 6:
        return unmap(
            n, any(4) ? VA(any(32)) : 0,
            any(3) ? 0 : world[any(NR_DOMAINS)].own[any(NR_OWN)] << PAGE_SHIFT,
            some(128));
    default:
        c.source = some_ptr(n, c.flags & SRC);
        c.dest = some_ptr(n, c.flags & DST);
        if (grant_op(n, GNTTABOP_copy, &c, 1) != 0)
            return 99;
        return c.status;
    }
}

START_TEST(G13_only_zero_or_a_listed_status)
{
    unsigned int counts[16] = { 0 };

    seed = 7;
    for (unsigned int i = 0; i < 400000; i++) {
        int16_t status = random_op(any(NR_DOMAINS));

        ck_assert_int_le(status, GNTST_okay);
        ck_assert_int_ge(status, GNTST_no_space);
        counts[-status]++;
        if (i % 4096 == 0)
            ck_assert_uint_eq(world_audit(), 0);
    }
    ck_assert_uint_eq(world_audit(), 0);
    /* The walk did get somewhere. */
    ck_assert_uint_gt(counts[-GNTST_okay], 20000);
    ck_assert_uint_gt(counts[-GNTST_general_error], 10000);
    ck_assert_uint_gt(counts[-GNTST_bad_handle], 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grant");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, world_begin, world_end);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, G18_a_table_grows_by_zeroed_pages);
    tcase_add_test(tests, setup_and_query_errors);
    tcase_add_test(tests, G14_growth_fails_at_each_allocation);
    tcase_add_test(tests, G14_a_domain_without_memory_has_no_table);
    tcase_add_test(tests, G9_G16_what_is_not_built);
    tcase_add_test(tests, a_mapping_and_its_end);
    tcase_add_test(tests, a_read_only_mapping_takes_no_use);
    tcase_add_test(tests, map_statuses_are_those_of_xen);
    tcase_add_test(tests, a_grant_of_what_is_not_ones_own_is_refused);
    tcase_add_test(tests, a_page_table_cannot_be_mapped_writable);
    tcase_add_test(tests, no_mapping_where_no_pte_can_be);
    tcase_add_test(tests, G3_a_misaligned_pte_address_splices_nothing);
    tcase_add_test(tests, available_bits_are_the_guests);
    tcase_add_test(tests, many_mappings_of_one_grant);
    tcase_add_test(tests, flags_follow_the_last_writer_and_the_last_reader);
    tcase_add_test(tests, a_domain_may_map_its_own_grant);
    tcase_add_test(tests, G1_host_and_device_maps_end_one_by_one);
    tcase_add_test(tests, a_device_map_alone_touches_no_page_table);
    tcase_add_test(tests, G2_a_pte_that_the_guest_replaced_is_not_unmapped);
    tcase_add_test(tests, a_pte_that_the_guest_cleared_is_not_put_twice);
    tcase_add_test(tests,
                   an_active_frame_that_was_given_up_is_not_mapped_again);
    tcase_add_test(tests, unmap_statuses_are_those_of_xen);
    tcase_add_test(tests, G15_a_partial_unmap_a_million_times);
    tcase_add_test(tests, unmap_and_replace_moves_a_pte);
    tcase_add_test(tests, a_mapping_whose_handle_cannot_be_told_is_undone);
    tcase_add_test(tests, handles_run_out_and_come_back);
    tcase_add_test(tests, E9_no_memory_for_a_record);
    tcase_add_test(tests, a_batch_is_flushed_once_before_anything_is_given_back);
    tcase_add_test(tests, one_batch_may_name_a_mapping_twice);
    tcase_add_test(tests, a_batch_is_done_as_far_as_its_items_are_there);
    tcase_add_test(tests, mappings_whose_handles_cannot_be_told_are_undone);
    tcase_add_test(tests, a_batch_stops_nowhere_on_a_bad_item);
    tcase_add_test(tests, copies_between_grants_and_own_frames);
    tcase_add_test(tests, self_is_a_domain_also_for_grants);
    tcase_add_test(tests, copy_statuses_are_those_of_xen);
    tcase_add_test(tests, a_copy_writes_no_page_table);
    tcase_add_test(tests, G6_a_copy_leaves_the_flags_of_a_mapping);
    tcase_add_test(tests, G7_every_status_of_an_interrupted_copy_is_written);
    tcase_add_test(tests, G8_a_copy_of_nothing_touches_nothing);
    tcase_add_test(tests, G11_any_reference_before_and_after_setup);
    tcase_add_test(tests, swap_exchanges_what_is_not_in_use);
    tcase_add_test(tests, D2_a_granter_that_dies_stays_until_it_is_unmapped);
    tcase_add_test(tests, D4_two_that_map_each_other_die_in_any_order);
    tcase_add_test(tests, G15_a_mapper_dies_with_many_mappings_in_steps);
    tcase_add_test(tests, the_builder_can_grant_for_a_domain);
    tcase_add_test(tests, nothing_of_a_dying_domain_is_mapped);
    tcase_add_test(tests, info_shows_what_is_permitted_or_mapped);
    tcase_add_test(tests, the_audit_finds_what_is_wrong);
    tcase_add_test(tests, G13_only_zero_or_a_listed_status);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
