/*
 * Revocation: what was granted is the granter's alone by the deadline, with
 * every count even, whatever the mapper has done with its entries, its tables
 * or itself.
 */
#include "grant_world.h"

#include <check.h>

#define REF      9u
#define DEADLINE 5000u /* ns from the beginning of the world */
#define BOTH     (GNTMAP_host_map | GNTMAP_device_map)

static struct gnttab_map_grant_ref m; /* domain 2's mapping of domain 1's REF */

static void begin(void)
{
    world_begin();
    permit(1, REF, 2, 0, 0);
    m = map(2, 0, GNTMAP_host_map, 1, REF);
    ck_assert_int_eq(m.status, GNTST_okay);
}

static void end(void)
{
    ck_assert_uint_eq(world_audit(), 0);
    pagetable_step = 4096;
    world_end();
}

static uint32_t revoke(uint32_t ref, uint64_t ns)
{
    uint32_t state = 77;

    ck_assert_int_eq(grant_revoke(dom(1), ref, world_time + ns, &state), 0);
    return state;
}

/* What has ended, and how; nothing: BELFRY_REVOKE_PENDING. */
static uint32_t how_ended(uint32_t ref)
{
    struct belfry_revocation r = { .state = BELFRY_REVOKE_PENDING };

    if (!grant_revoked(dom(1), &r))
        return BELFRY_REVOKE_PENDING;
    ck_assert_uint_eq(r.ref, ref);
    ck_assert_uint_eq(r.peer, 2);
    ck_assert_uint_eq(r.peer_generation, dom(2)->generation);
    ck_assert_uint_eq(r.ended, world_time);
    return r.state;
}

/* The first notice of domain 2, by its handle; a handle of ~0: none. */
static struct belfry_notice first_notice(void)
{
    struct belfry_notice n = { .handle = ~0u };
    uint32_t handle = 0;

    do
        if (grant_notice(dom(2), &handle, &n))
            break;
    while (handle != 0);
    return n;
}

static void is_ours(uint32_t ref)
{
    ck_assert_uint_eq(flags_of(1, ref), 0);
    ck_assert_uint_eq(grant_active(dom(1)->grants, ref)->uses, 0);
    ck_assert_uint_eq(world_audit(), 0);
}

START_TEST(what_nobody_uses_is_withdrawn_at_once)
{
    permit(1, 10, 2, GTF_readonly, 1);
    ck_assert_uint_eq(revoke(10, DEADLINE), BELFRY_REVOKE_UNUSED);
    ck_assert_uint_eq(flags_of(1, 10) & GTF_type_mask, GTF_invalid);
    ck_assert_int_eq(map(2, 1, GNTMAP_host_map, 1, 10).status,
                     GNTST_general_error);
    ck_assert_uint_eq(pass(2 * DEADLINE), 0);
    ck_assert_uint_eq(how_ended(10), BELFRY_REVOKE_PENDING);
    ck_assert_uint_eq(rings[1] + rings[2], 0);
}
END_TEST

START_TEST(who_unmaps_in_time_has_released_it)
{
    struct belfry_notice n;

    ck_assert_uint_eq(revoke(REF, DEADLINE), BELFRY_REVOKE_PENDING);
    ck_assert_uint_eq(rings[2], 1);
    ck_assert_uint_eq(rings[1], 0);
    n = first_notice();
    ck_assert_uint_eq(n.handle, m.handle);
    ck_assert_uint_eq(n.ref, REF);
    ck_assert_uint_eq(n.granter, 1);
    ck_assert_uint_eq(n.granter_generation, dom(1)->generation);
    ck_assert_uint_eq(n.state, BELFRY_REVOKE_PENDING);
    ck_assert_uint_eq(n.deadline, world_time + DEADLINE);
    pass(DEADLINE - 1);
    ck_assert(in_use(1, REF));
    ck_assert_int_eq(unmap(2, VA(0), 0, m.handle), GNTST_okay);
    is_ours(REF);
    ck_assert_uint_eq(rings[1], 1);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_RELEASED);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_PENDING);
    ck_assert_uint_eq(first_notice().handle, ~0u);
}
END_TEST

static struct domain *flushed;

static void note_flush(struct domain *d)
{
    flushed = d;
}

START_TEST(who_does_not_loses_it)
{
    struct belfry_notice n;
    uint64_t count = page_of(world[1].own[0])->count;

    flushed = NULL;
    on_flush = note_flush;
    revoke(REF, DEADLINE);
    pass(DEADLINE);
    is_ours(REF);
    ck_assert_uint_eq(pte_of(2, 0), 0);
    ck_assert_ptr_eq(flushed, dom(2));
    ck_assert_uint_eq(page_of(world[1].own[0])->count, count - 1);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_TAKEN);
    ck_assert_uint_eq(rings[2], 2);
    n = first_notice();
    ck_assert_uint_eq(n.handle, m.handle);
    ck_assert_uint_eq(n.state, BELFRY_REVOKE_TAKEN);
    ck_assert_uint_eq(n.ref, REF);
    ck_assert_uint_eq(n.granter, 1);
    ck_assert_uint_eq(n.granter_generation, dom(1)->generation);
}
END_TEST

/* Else an unmap of the old mapping would take a new one down. */
START_TEST(its_handle_is_nobody_elses_until_it_is_unmapped)
{
    struct gnttab_map_grant_ref next;

    revoke(REF, 0);
    pass(0);
    permit(1, 10, 2, 0, 1);
    next = map(2, 0, GNTMAP_host_map, 1, 10);
    ck_assert_int_eq(next.status, GNTST_okay);
    ck_assert_uint_ne(next.handle, m.handle);
    ck_assert_int_eq(unmap(2, VA(0), 0, m.handle), GNTST_okay);
    ck_assert(in_use(1, 10));
    ck_assert_int_eq(unmap(2, VA(0), 0, m.handle), GNTST_bad_handle);
    next = map(2, 1, GNTMAP_host_map, 1, 10);
    ck_assert_uint_eq(next.handle, m.handle);
}
END_TEST

START_TEST(while_it_is_pending_nothing_begins)
{
    struct gnttab_copy copy = { .len = 8, .flags = GNTCOPY_source_gref };

    revoke(REF, DEADLINE);
    permit(1, REF, 2, 0, 0); /* the guest writes what it likes */
    ck_assert_int_eq(map(2, 1, GNTMAP_host_map, 1, REF).status,
                     GNTST_general_error);
    copy.source.domid = DOM_ID(1);
    copy.source.u.ref = REF;
    copy.dest.domid = DOMID_SELF;
    copy.dest.u.gmfn = world[2].own[0];
    grant_op(2, GNTTABOP_copy, &copy, 1);
    ck_assert_int_eq(copy.status, GNTST_general_error);
    pass(DEADLINE);
    ck_assert_int_eq(map(2, 1, GNTMAP_host_map, 1, REF).status, GNTST_okay);
}
END_TEST

/* What the peer was promised it gets, and nobody rings it to tire it. */
START_TEST(the_deadline_can_be_put_off)
{
    revoke(REF, DEADLINE);
    revoke(REF, 3 * DEADLINE);
    revoke(REF, 0);
    ck_assert_uint_eq(rings[2], 1);
    pass(2 * DEADLINE);
    ck_assert(in_use(1, REF));
    pass(DEADLINE);
    is_ours(REF);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_TAKEN);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_PENDING);
}
END_TEST

START_TEST(all_kinds_of_mappings_go)
{
    uint32_t kinds[] = { GNTMAP_device_map, BOTH, BOTH | GNTMAP_readonly,
                         GNTMAP_host_map | GNTMAP_readonly };

    for (unsigned int i = 0; i < 4; i++)
        ck_assert_int_eq(map(2, 1 + i, kinds[i], 1, REF).status, GNTST_okay);
    ck_assert_int_eq(map_full(2,
                              (world[2].l1 << PAGE_SHIFT) + 7 * 8,
                              GNTMAP_host_map | GNTMAP_contains_pte, DOM_ID(1),
                              REF)
                         .status,
                     GNTST_okay);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    for (unsigned int i = 0; i < 8; i++)
        ck_assert_uint_eq(pte_of(2, i), 0);
    ck_assert_uint_eq(page_of(world[1].own[0])->count & PAGE_COUNT_MASK, 1);
}
END_TEST

/* The reference went when the guest emptied the entry: it is not dropped
 * twice, and what stands there now is left alone. */
START_TEST(an_entry_that_was_overwritten_is_not_touched)
{
    uint64_t own = world[2].own[3] << PAGE_SHIFT | PTE_P | PTE_W;

    ck_assert_int_eq(pagetable_set_va(&world[2].v, VA(0), own), 0);
    own = pte_of(2, 0);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    ck_assert_uint_eq(pte_of(2, 0), own);
    ck_assert_uint_eq(how_ended(REF), BELFRY_REVOKE_TAKEN);
}
END_TEST

START_TEST(another_grant_of_the_same_frame_stays)
{
    permit(1, 10, 2, 0, 0);
    ck_assert_int_eq(map(2, 1, GNTMAP_host_map, 1, 10).status, GNTST_okay);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    ck_assert(in_use(1, 10));
    ck_assert_uint_eq(pte_of(2, 1) << 1 >> (PAGE_SHIFT + 1), world[1].own[0]);
}
END_TEST

static uint64_t taken_of(mfn_t table)
{
    return (page_of(table)->type & PAGE_TAKEN_MASK) >> PAGE_TAKEN_SHIFT;
}

/* A table that is half taken apart holds its first entries still, and may be
 * completed again: an entry that was left there would be mapped again. */
START_TEST(a_mapping_in_a_table_that_falls_apart_is_taken)
{
    mfn_t l4 = world[2].v.arch.kernel_table;

    pagetable_step = 1;
    spin_lock(&dom(2)->pt_lock);
    ck_assert_int_eq(pagetable_unpin(dom(2), l4), 0);
    while (taken_of(world[2].l1) > 100)
        (void)pagetable_settle(dom(2));
    spin_unlock(&dom(2)->pt_lock);
    ck_assert_uint_gt(taken_of(world[2].l1), 1);
    ck_assert_uint_eq(pagetable_level(page_of(world[2].l1)), 0);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    ck_assert_uint_eq(pte_of(2, 0), 0);
    pagetable_step = 1 << 20;
    spin_lock(&dom(2)->pt_lock);
    ck_assert_int_eq(pagetable_pin(dom(2), l4, 4), 0);
    spin_unlock(&dom(2)->pt_lock);
    ck_assert_uint_eq(pte_of(2, 0), 0);
}
END_TEST

/* Its frame is data now, with the entry's bits left in it. */
START_TEST(what_is_no_table_any_more_is_not_touched)
{
    uint64_t left;

    spin_lock(&dom(2)->pt_lock);
    ck_assert_int_eq(pagetable_unpin(dom(2), world[2].v.arch.kernel_table), 0);
    while (pagetable_settle(dom(2)) != 0)
        ;
    spin_unlock(&dom(2)->pt_lock);
    left = pte_of(2, 0);
    ck_assert_uint_ne(left, 0);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    ck_assert_uint_eq(pte_of(2, 0), left);
    spin_lock(&dom(2)->pt_lock);
    l1_of(dom(2))[0] = 0;
    ck_assert_int_eq(pagetable_pin(dom(2), world[2].v.arch.kernel_table, 4), 0);
    spin_unlock(&dom(2)->pt_lock);
}
END_TEST

START_TEST(an_entry_of_a_grant_cannot_be_moved)
{
    struct gnttab_unmap_and_replace op = { .host_addr = VA(1),
                                           .new_addr = VA(0),
                                           .status = 77 };

    op.handle = map(2, 1, GNTMAP_host_map, 1, REF).handle;
    grant_op(2, GNTTABOP_unmap_and_replace, &op, 1);
    ck_assert_int_eq(op.status, GNTST_general_error);
    revoke(REF, 0);
    pass(0);
    is_ours(REF);
    ck_assert_uint_eq(pte_of(2, 0) | pte_of(2, 1), 0);
}
END_TEST

/* However many mappings the peer has, the timer does a part at a time. */
START_TEST(it_is_done_in_parts)
{
    const unsigned int many = 3000;
    struct belfry_notice n;
    unsigned int times, parts = 0;
    uint32_t handle = 0;

    ck_assert_int_eq(unmap(2, VA(0), 0, m.handle), GNTST_okay);
    permit(1, 10, 2, 0, 1);
    for (unsigned int i = 0; i < many; i++)
        ck_assert_int_eq(map(2, 0, GNTMAP_device_map, 1, i < 2990 ? 10 : REF)
                             .status,
                         GNTST_okay);
    revoke(REF, 0);
    times = pass(0);
    ck_assert_uint_ge(times, 3);
    is_ours(REF);
    do {
        parts += !grant_notice(dom(2), &handle, &n);
    } while (handle != 0);
    ck_assert_uint_ge(parts, 3);
}
END_TEST

START_TEST(of_many_mappings_few_are_taken_in_a_row)
{
    for (unsigned int i = 1; i < 500; i++)
        ck_assert_int_eq(map(2, i, GNTMAP_host_map, 1, REF).status, GNTST_okay);
    flushes = 0;
    revoke(REF, 0);
    ck_assert_uint_ge(pass(0), 500 / 32);
    ck_assert_uint_eq(flushes, 500);
    is_ours(REF);
}
END_TEST

/* While the page of the first that ends is being freed, the granter's other
 * vCPU asks for it and begins one against another peer in its place. */
static void reuse_place(struct domain *d)
{
    struct belfry_revocation r;

    if (d != dom(1) || !grant_revoked(dom(1), &r))
        return;
    ck_assert_uint_eq(r.ref, REF);
    ck_assert_uint_eq(revoke(10, DEADLINE), BELFRY_REVOKE_PENDING);
}

START_TEST(an_ended_one_is_not_looked_at_again)
{
    const struct revocation *r;

    permit(1, 10, 3, 0, 1);
    ck_assert_int_eq(map(3, 0, GNTMAP_host_map, 1, 10).status, GNTST_okay);
    ck_assert(domain_page_release(dom(1), page_of(world[1].own[0])));
    on_flush = reuse_place;
    revoke(REF, 0);
    on_flush = NULL;
    r = &dom(1)->grants->revocations[0];
    ck_assert_uint_eq(r->ref, 10);
    ck_assert_uint_eq(r->peer, 3);
    ck_assert_uint_eq(r->handle, 0);
    pass(DEADLINE);
    is_ours(10);
    ck_assert_uint_eq(pte_of(3, 0), 0);
}
END_TEST

/* ---- Ends. ---- */

START_TEST(a_dead_mapper_has_no_time)
{
    dom(2)->state = DOMAIN_SHUTDOWN;
    revoke(REF, 1000 * DEADLINE);
    pass(0);
    is_ours(REF);
    dom(2)->state = DOMAIN_RUNNING;
}
END_TEST

START_TEST(a_mapper_that_has_died_has_no_time_left)
{
    revoke(REF, 1000 * DEADLINE);
    dom(2)->state = DOMAIN_SHUTDOWN;
    revoke(REF, 1000 * DEADLINE);
    pass(0);
    is_ours(REF);
    dom(2)->state = DOMAIN_RUNNING;
}
END_TEST

START_TEST(a_mapper_that_is_destroyed_has_released_it)
{
    uint64_t generation = dom(2)->generation;
    struct belfry_revocation r;

    revoke(REF, DEADLINE);
    destroy(2);
    is_ours(REF);
    ck_assert(grant_revoked(dom(1), &r));
    ck_assert_uint_eq(r.state, BELFRY_REVOKE_RELEASED);
    ck_assert_uint_eq(r.peer_generation, generation);
    ck_assert_uint_eq(pass(DEADLINE), 1); /* finds nothing to do */
}
END_TEST

/* A domain that is gone but for a page that is mapped: the deadline ends it. */
START_TEST(a_granter_that_is_destroyed_goes_at_its_deadline)
{
    revoke(REF, DEADLINE);
    destroy(1);
    ck_assert(!world[1].gone);
    pass(DEADLINE);
    ck_assert(world[1].gone);
    ck_assert_uint_eq(pte_of(2, 0), 0);
    ck_assert_uint_eq(first_notice().granter, 1);
    ck_assert_int_eq(unmap(2, VA(0), 0, m.handle), GNTST_okay);
}
END_TEST

START_TEST(a_place_is_free_when_it_was_asked_for)
{
    struct belfry_revocation r;
    uint32_t state;

    for (uint32_t i = 0; i <= BELFRY_REVOCATIONS; i++) {
        permit(1, 100 + i, 2, 0, 1);
        ck_assert_int_eq(map(2, 1 + i, GNTMAP_host_map, 1, 100 + i).status,
                         GNTST_okay);
    }
    for (uint32_t i = 0; i < BELFRY_REVOCATIONS; i++)
        revoke(100 + i, 0);
    ck_assert_int_eq(grant_revoke(dom(1), 100 + BELFRY_REVOCATIONS, 0, &state),
                     -ENOSPC);
    ck_assert_uint_ne(flags_of(1, 100 + BELFRY_REVOCATIONS) & GTF_type_mask,
                      GTF_invalid);
    pass(0);
    ck_assert_int_eq(grant_revoke(dom(1), 100 + BELFRY_REVOCATIONS, 0, &state),
                     -ENOSPC);
    ck_assert(grant_revoked(dom(1), &r));
    ck_assert_int_eq(grant_revoke(dom(1), 100 + BELFRY_REVOCATIONS, 0, &state),
                     0);
    ck_assert_int_eq(grant_revoke(dom(1), GRANT_PER_FRAME, 0, &state), -EINVAL);
    pass(0);
}
END_TEST

START_TEST(without_memory_it_is_as_before)
{
    struct page *first = NULL, *page;
    uint32_t state;

    while ((page = page_alloc()) != NULL) {
        page->next = first ? (uint32_t)mfn_of(first) : 0;
        first = page;
    }
    ck_assert_int_eq(grant_revoke(dom(1), REF, 0, &state), -ENOMEM);
    ck_assert_uint_eq(flags_of(1, REF) & GTF_type_mask, GTF_permit_access);
    while ((page = first) != NULL) {
        first = page->next ? page_of(page->next) : NULL;
        page_free(page);
    }
}
END_TEST

START_TEST(the_audit_finds_a_wrong_one)
{
    struct grant_active *act = grant_active(dom(1)->grants, REF);

    act->revocation = 3;
    ck_assert_uint_eq(world_audit(), 1);
    act->revocation = 0;
    revoke(REF, DEADLINE);
    ck_assert_uint_eq(world_audit(), 0);
    dom(1)->grants->revocations[0].ref++;
    ck_assert_uint_eq(world_audit(), 1);
    dom(1)->grants->revocations[0].ref--;
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("all");
    Suite *suite = suite_create("grant_revoke");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_nobody_uses_is_withdrawn_at_once);
    tcase_add_test(tests, who_unmaps_in_time_has_released_it);
    tcase_add_test(tests, who_does_not_loses_it);
    tcase_add_test(tests, its_handle_is_nobody_elses_until_it_is_unmapped);
    tcase_add_test(tests, while_it_is_pending_nothing_begins);
    tcase_add_test(tests, the_deadline_can_be_put_off);
    tcase_add_test(tests, a_mapper_that_has_died_has_no_time_left);
    tcase_add_test(tests, all_kinds_of_mappings_go);
    tcase_add_test(tests, an_entry_that_was_overwritten_is_not_touched);
    tcase_add_test(tests, another_grant_of_the_same_frame_stays);
    tcase_add_test(tests, a_mapping_in_a_table_that_falls_apart_is_taken);
    tcase_add_test(tests, what_is_no_table_any_more_is_not_touched);
    tcase_add_test(tests, an_entry_of_a_grant_cannot_be_moved);
    tcase_add_test(tests, it_is_done_in_parts);
    tcase_add_test(tests, of_many_mappings_few_are_taken_in_a_row);
    tcase_add_test(tests, an_ended_one_is_not_looked_at_again);
    tcase_add_test(tests, a_dead_mapper_has_no_time);
    tcase_add_test(tests, a_mapper_that_is_destroyed_has_released_it);
    tcase_add_test(tests, a_granter_that_is_destroyed_goes_at_its_deadline);
    tcase_add_test(tests, a_place_is_free_when_it_was_asked_for);
    tcase_add_test(tests, without_memory_it_is_as_before);
    tcase_add_test(tests, the_audit_finds_a_wrong_one);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
