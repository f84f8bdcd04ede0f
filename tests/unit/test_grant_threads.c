/*
 * Grants between threads: mappers and a granter on CPUs of their own.  What
 * is mapped or copied was permitted at that moment, what is revoked is not
 * touched, and every count comes out even.
 */
/* The hypervisor has one of its own, which is not called here. */
#define sched_yield hv_sched_yield
#include "grant_world.h"
#undef sched_yield

#include <check.h>
#include <pthread.h>
#include <sched.h>

#define BOTH (GNTMAP_host_map | GNTMAP_device_map)

static bool stop;
static const char *wrong;

static void run(void *(*a)(void *), void *(*b)(void *))
{
    pthread_t other;

    stop = false;
    wrong = NULL;
    pthread_create(&other, NULL, b, NULL);
    a(NULL);
    pthread_join(other, NULL);
    ck_assert_msg(wrong == NULL, "%s", wrong);
    ck_assert_uint_eq(world_audit(), 0);
}

static uint32_t arrived;

static void meet(uint32_t turn)
{
    uint32_t spins = 0;

    atomic_add_return(&arrived, 1);
    while (load_acquire(&arrived) < 2 * turn)
        if (++spins % 4096 == 0)
            sched_yield();
}

/* ---- G4: one handle, two vCPUs. ---- */

#define ROUNDS 20000u

static struct gnttab_map_grant_ref mapping;
static int16_t result[2];

/* Even rounds: both unmap all of it.  Odd: each its half. */
static int16_t unmap_share(unsigned int who, uint32_t round)
{
    bool half = round % 2;

    return unmap(2, half && who != 0 ? 0 : VA(0),
                 half && who == 0 ? 0 : mapping.dev_bus_addr, mapping.handle);
}

static void *unmap_second(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        meet(2 * i + 1);
        result[1] = unmap_share(1, i);
        meet(2 * i + 2);
    }
    return NULL;
}

static void check_round(uint32_t round)
{
    int successes = (result[0] == GNTST_okay) + (result[1] == GNTST_okay);

    if (successes != (round % 2 ? 2 : 1))
        write_once(&wrong, "a handle was not unmapped exactly once");
    if (in_use(1, 9) || pte_of(2, 0) != 0)
        write_once(&wrong, "something is left of the mapping");
}

static void *map_and_unmap_first(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        mapping = map(2, 0, BOTH, 1, 9);
        meet(2 * i + 1);
        result[0] = unmap_share(0, i);
        meet(2 * i + 2);
        check_round(i);
    }
    return NULL;
}

START_TEST(G4_one_handle_is_unmapped_once)
{
    permit(1, 9, 2, 0, 0);
    arrived = 0;
    run(map_and_unmap_first, unmap_second);
}
END_TEST

/* ---- G5: records of mappings are nobody's twice. ---- */

static uint8_t held[MAPTRACK_MAX_PAGES * MAPTRACK_PER_PAGE];

/* Between maps by others, so that an entry's flags are taken back in turn. */
static void copy_in(uint32_t gref)
{
    struct gnttab_copy op = { .len = 64, .flags = GNTCOPY_source_gref };

    op.source.domid = DOM_ID(1);
    op.source.u.ref = gref;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = world[2].own[0];
    grant_op(2, GNTTABOP_copy, &op, 1);
    if (op.status != GNTST_okay)
        write_once(&wrong, "a copy failed");
}

static void map_some_and_unmap(unsigned int who)
{
    struct gnttab_map_grant_ref op[8];

    copy_in(9 + who);
    for (unsigned int i = 0; i < 8; i++) {
        op[i] = map(2, 8 * who + i, GNTMAP_host_map, 1, 9 + i % 2);
        if (op[i].status != GNTST_okay ||
            atomic_xchg(&held[op[i].handle], 1) != 0)
            write_once(&wrong, "a handle was given out twice");
    }
    for (unsigned int i = 0; i < 8; i++) {
        atomic_xchg(&held[op[i].handle], 0);
        if (unmap(2, VA(8 * who + i), 0, op[i].handle) != GNTST_okay)
            write_once(&wrong, "a mapping was lost");
    }
}

static void *mapper(void *who)
{
    for (uint32_t i = 0; i < ROUNDS / 4; i++)
        map_some_and_unmap(who != NULL);
    return NULL;
}

static void *second_mapper(void *unused)
{
    (void)unused;
    return mapper(&stop);
}

START_TEST(G5_handles_are_unique_and_none_is_lost)
{
    permit(1, 9, 2, 0, 0);
    permit(1, 10, 2, 0, 1);
    run(mapper, second_mapper);
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
    ck_assert_uint_eq(dom(2)->grants->maptrack_limit, MAPTRACK_PER_PAGE);
    ck_assert(!in_use(1, 9) && !in_use(1, 10));
}
END_TEST

/* ---- G19: what was revoked is the granter's alone. ---- */

static uint64_t *word_of(unsigned int n, unsigned int i)
{
    return mfn_to_virt(world[n].own[i]);
}

/* As a guest ends access: only if nobody uses the entry, in one step. */
static bool end_access(uint32_t gref)
{
    uint16_t *flags = &entry(1, gref)->v1.flags;
    uint16_t idle = GTF_permit_access;

    return atomic_cas(flags, &idle, (uint16_t)0);
}

static void *write_by_grant(void *unused)
{
    struct gnttab_copy op = { .len = 8, .flags = GNTCOPY_dest_gref };

    (void)unused;
    op.source.domid = DOMID_SELF;
    op.source.u.gmfn = world[2].own[0];
    op.dest.domid = DOM_ID(1);
    op.dest.u.ref = 9;
    while (!read_once(&stop)) {
        struct gnttab_map_grant_ref m;

        grant_op(2, GNTTABOP_copy, &op, 1);
        m = map(2, 0, GNTMAP_host_map, 1, 9);
        if (m.status == GNTST_okay) {
            write_once(word_of(1, 0), 1);
            unmap(2, VA(0), 0, m.handle);
        }
    }
    return NULL;
}

static void *revoke_and_use(void *unused)
{
    uint64_t *word = word_of(1, 0);
    unsigned int revoked = 0;

    (void)unused;
    for (uint64_t i = 2; revoked < ROUNDS && !wrong; i++) {
        if (!end_access(9)) {
            sched_yield();
            continue;
        }
        revoked++;
        write_once(word, i);
        for (unsigned int look = 0; look < 3000; look++)
            if (read_once(word) != i)
                write_once(&wrong, "a revoked page was written");
        permit(1, 9, 2, 0, 0);
    }
    write_once(&stop, true);
    return NULL;
}

START_TEST(G19_a_revoked_page_is_not_written)
{
    permit(1, 9, 2, 0, 0);
    run(revoke_and_use, write_by_grant);
}
END_TEST

/* ---- G10, G17: an entry that never stays the same. ---- */

/* Frame 0 is for domain 2, frame 1 for domain 3; each is published as the
 * header says, with the flags last. */
static void *flip(void *unused)
{
    struct grant_entry_v1 *e = &entry(1, 9)->v1;

    (void)unused;
    for (uint32_t i = 0; !read_once(&stop); i++) {
        uint16_t permit_flags =
            GTF_permit_access | (i % 8 < 4 ? GTF_readonly : 0);

        store_release(&e->flags, 0);
        store_release(&e->domid, DOM_ID(2 + i % 2));
        store_release(&e->frame, (uint32_t)world[1].own[i % 2]);
        store_release(&e->flags, permit_flags);
        for (unsigned int n = 0; n < i % 64; n++)
            atomic_xchg(&e->flags, permit_flags ^ (n % 2 ? 0 : GTF_PWT));
    }
    return NULL;
}

static void *copy_what_flips(void *unused)
{
    struct gnttab_copy op = { .len = 8, .flags = GNTCOPY_source_gref };
    unsigned int successes = 0, refused = 0;

    (void)unused;
    op.source.domid = DOM_ID(1);
    op.source.u.ref = 9;
    op.dest.domid = DOMID_SELF;
    op.dest.u.gmfn = world[2].own[0];
    while (successes < ROUNDS || refused < ROUNDS / 100) {
        struct gnttab_map_grant_ref m;

        grant_op(2, GNTTABOP_copy, &op, 1);
        if (op.status != GNTST_okay)
            refused++;
        else if (++successes && *word_of(2, 0) != 7)
            write_once(&wrong, "a frame for another domain was copied");
        m = map(2, 0, GNTMAP_host_map | GNTMAP_readonly, 1, 9);
        if (m.status != GNTST_okay)
            continue;
        if (m.dev_bus_addr >> PAGE_SHIFT != world[1].own[0])
            write_once(&wrong, "a frame for another domain was mapped");
        unmap(2, VA(0), 0, m.handle);
    }
    write_once(&stop, true);
    return NULL;
}

START_TEST(G10_G17_an_entry_that_flips)
{
    *word_of(1, 0) = 7;
    *word_of(1, 1) = 8;
    run(copy_what_flips, flip);
}
END_TEST

/* ---- G20: both ways at once. ---- */

static void copy_across(unsigned int self, unsigned int from, unsigned int to)
{
    struct gnttab_copy op = { .len = 64,
                              .flags =
                                  GNTCOPY_source_gref | GNTCOPY_dest_gref };

    op.source.domid = DOM_ID(from);
    op.source.u.ref = 9;
    op.dest.domid = DOM_ID(to);
    op.dest.u.ref = 10;
    for (uint32_t i = 0; i < 20 * ROUNDS; i++) {
        grant_op(self, GNTTABOP_copy, &op, 1);
        if (op.status != GNTST_okay)
            write_once(&wrong, "a copy failed");
    }
}

static void *copy_one_way(void *unused)
{
    (void)unused;
    copy_across(0, 1, 2);
    return NULL;
}

static void *copy_other_way(void *unused)
{
    (void)unused;
    copy_across(0, 2, 1);
    return NULL;
}

START_TEST(G20_copies_both_ways_do_not_wait_for_each_other)
{
    for (unsigned int n = 1; n < 3; n++) {
        permit(n, 9, 0, GTF_readonly, 0);
        permit(n, 10, 0, 0, 1);
    }
    run(copy_one_way, copy_other_way);
}
END_TEST

/* ---- A revocation, against a mapper that maps and unmaps all the time. ---- */

#define REVOCATIONS 4000u

static void *map_and_unmap_on(void *unused)
{
    (void)unused;
    while (!read_once(&stop)) {
        struct gnttab_map_grant_ref m = map(2, 0, BOTH, 1, 9);
        struct belfry_notice n;
        uint32_t handle = 0;

        (void)grant_notice(dom(2), &handle, &n);
        /* Of one that was taken the handle alone is unmapped. */
        if (m.status == GNTST_okay &&
            unmap(2, VA(0), m.dev_bus_addr, m.handle) != GNTST_okay)
            write_once(&wrong, "a mapping cannot be unmapped");
    }
    return NULL;
}

/* Half of them with time for the mapper, who unmaps by itself. */
static void *revoke_by_deadline(void *unused)
{
    struct belfry_revocation r;
    uint32_t state;

    (void)unused;
    for (unsigned int i = 0; i < REVOCATIONS && !wrong; i++) {
        permit(1, 9, 2, 0, 0);
        for (unsigned int n = i % 7; n > 0; n--)
            sched_yield();
        if (grant_revoke(dom(1), 9, i % 2 ? 0 : now() + 1000000, &state) != 0)
            write_once(&wrong, "a revocation was refused");
        while (in_use(1, 9)) {
            pass(1000);
            sched_yield();
        }
        while (grant_revoked(dom(1), &r))
            ;
    }
    write_once(&stop, true);
    return NULL;
}

START_TEST(a_revocation_ends_whatever_the_mapper_does_meanwhile)
{
    run(revoke_by_deadline, map_and_unmap_on);
    ck_assert(!in_use(1, 9));
    ck_assert_uint_eq(pte_of(2, 0), 0);
    ck_assert_uint_eq(dom(2)->grants->maptrack_used, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grant_threads");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, world_begin, world_end);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, G4_one_handle_is_unmapped_once);
    tcase_add_test(tests, G5_handles_are_unique_and_none_is_lost);
    tcase_add_test(tests, G10_G17_an_entry_that_flips);
    tcase_add_test(tests, G19_a_revoked_page_is_not_written);
    tcase_add_test(tests, G20_copies_both_ways_do_not_wait_for_each_other);
    tcase_add_test(tests,
                   a_revocation_ends_whatever_the_mapper_does_meanwhile);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
