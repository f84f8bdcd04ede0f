/*
 * The frame table under threads: what one CPU finds out about a frame must
 * still hold when it acts on it.
 */
#include <check.h>

/* The C library has a function of the name of one of ours. */
#define sched_yield host_sched_yield
#include <pthread.h>
#undef sched_yield

#include "tests/unit/machine.h"

#define ROUNDS 200000
#define ENOUGH 2000

void tlb_flush_domain(struct domain *d)
{
    (void)d;
}

void tlb_flush_domain_page(struct domain *d, uint64_t va)
{
    (void)d;
    (void)va;
}

void page_audit_expect(mfn_t mfn, uint64_t type)
{
    (void)mfn;
    (void)type;
}

static pthread_barrier_t gate;

struct job {
    void *(*function)(void *);
};

static void *begin(void *arg)
{
    struct job *job = arg;

    pthread_barrier_wait(&gate);
    return job->function(NULL);
}

static void run_both(void *(*one)(void *), void *(*other)(void *))
{
    struct job jobs[] = { { one }, { other } };
    pthread_t a, b;

    ck_assert_int_eq(pthread_barrier_init(&gate, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&a, NULL, begin, &jobs[0]), 0);
    ck_assert_int_eq(pthread_create(&b, NULL, begin, &jobs[1]), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

/* ---- M6: a frame that one CPU pins while another makes it writable. ---- */

static struct page *contended;
static int writers, tables, overlaps, pins, writes, finished;

static void *pin_and_unpin(void *arg)
{
    /* Until both have had it often, however unfairly they are scheduled. */
    while (pins < ENOUGH || read_once(&writes) < ENOUGH) {
        spin_lock(&dom_a.pt_lock);
        if (pagetable_pin(&dom_a, mfn_of(contended), 1) == 0) {
            store_seq_cst(&tables, 1);
            overlaps += load_seq_cst(&writers);
            pins++;
            store_seq_cst(&tables, 0);
            (void)pagetable_unpin(&dom_a, mfn_of(contended));
        }
        spin_unlock(&dom_a.pt_lock);
    }
    store_release(&finished, 1);
    return arg;
}

/* A writable mapping: it may be a peer's, so no pt_lock of the owner. */
static void *map_and_unmap(void *arg)
{
    int seen = 0;

    while (!load_acquire(&finished)) {
        if (page_get_and_type(mfn_of(contended), &dom_a, PAGE_WRITABLE))
            continue;
        store_seq_cst(&writers, 1);
        seen += load_seq_cst(&tables);
        write_once(&writes, writes + 1);
        store_seq_cst(&writers, 0);
        page_put_and_type(contended);
    }
    ck_assert_int_eq(seen, 0);
    return arg;
}

START_TEST(M6_never_table_and_writable_at_once)
{
    contended = domain_page_alloc(&dom_a);
    run_both(pin_and_unpin, map_and_unmap);
    ck_assert_int_eq(overlaps, 0);
    ck_assert_uint_eq(contended->type & PAGE_TYPE_COUNT_MASK, 0);
    ck_assert_uint_eq(contended->count & PAGE_COUNT_MASK, 1);
}
END_TEST

/* ---- M13 and references: a domain that takes and gives back frames while a
 * peer tries to hold on to them. ---- */

static mfn_t published;
static int held;

static void give_back(struct domain *d, struct page *page)
{
    if (!page || !page_get(page, d))
        return;
    (void)domain_page_release(d, page);
    page_put(page);
}

/* The frame published is given up when the next one is. */
static void *alloc_and_release(void *arg)
{
    struct page *last = NULL;

    for (int i = 0; i < ROUNDS / 4; i++) {
        struct page *page = domain_page_alloc(&dom_a);

        store_release(&published, mfn_of(page));
        give_back(&dom_a, last);
        last = page;
    }
    give_back(&dom_a, last);
    store_release(&finished, 1);
    return arg;
}

static void *hold_and_check(void *arg)
{
    while (!load_acquire(&finished)) {
        mfn_t mfn = load_acquire(&published);
        struct page *page = mfn ? page_get_mfn(mfn, &dom_a) : NULL;

        if (mfn && page_get_mfn(mfn, &dom_b))
            ck_abort_msg("a frame of somebody else was had");
        if (!page)
            continue;
        held++;
        if (read_once(&page->owner) != &dom_a)
            ck_abort_msg("a frame changed hands under a reference");
        page_put(page);
    }
    return arg;
}

static void *alloc_to_the_cap(void *arg)
{
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct page *page = domain_page_alloc(&dom_b);

        if (read_once(&dom_b.nr_pages) > dom_b.max_pages)
            ck_abort_msg("above the cap");
        give_back(&dom_b, page);
    }
    return arg;
}

START_TEST(reference_keeps_the_owner)
{
    uint64_t free = alloc_free_pages();

    run_both(alloc_and_release, hold_and_check);
    ck_assert_int_gt(held, 0);
    ck_assert_uint_eq(alloc_free_pages(), free);
    ck_assert_uint_eq(alloc_audit(), free);
    ck_assert_uint_eq(dom_a.nr_pages, 0);
    ck_assert_uint_eq(dom_a.refs, 1);
}
END_TEST

START_TEST(M13_cap_holds_with_two_at_it)
{
    dom_b.max_pages = 1;
    run_both(alloc_to_the_cap, alloc_to_the_cap);
    ck_assert_uint_eq(dom_b.nr_pages, 0);
    ck_assert_uint_eq(dom_b.refs, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page_threads");
    TCase *c = tcase_create("races");
    SRunner *runner = srunner_create(suite);

    machine_boot();
    srunner_set_fork_status(runner, CK_FORK);
    tcase_set_timeout(c, 120);
    tcase_add_test(c, M6_never_table_and_writable_at_once);
    tcase_add_test(c, reference_keeps_the_owner);
    tcase_add_test(c, M13_cap_holds_with_two_at_it);
    suite_add_tcase(suite, c);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
