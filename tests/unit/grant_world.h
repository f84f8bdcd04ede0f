/*
 * A world for hv/grant*.c: domains with frames of an arena (real page.c and
 * alloc.c), one L1 table each in place of page tables, and a "guest memory"
 * that is the test's own, but for addresses below a page, which fault.
 */
#ifndef TESTS_UNIT_GRANT_WORLD_H
#define TESTS_UNIT_GRANT_WORLD_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/audit.h"
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/grant_entry.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/page.h"

#define NR_FRAMES  3072u
#define FIRST_RAM  16u
#define NR_DOMAINS 4u
#define DOM_ID(n)  ((uint16_t)(n))
#define NR_OWN     16u /* frames a domain has for itself */

#define PTE_P  1ul
#define PTE_W  2ul
#define VA(i)  (0x400000ul + (i)*PAGE_SIZE)
#define FAULTS ((void *)8) /* an address that cannot be accessed */

static char arena[NR_FRAMES][PAGE_SIZE] __attribute__((aligned(4096)));
static struct page frames[NR_FRAMES];
static uint64_t m2p_words[NR_FRAMES];

char *directmap = arena[0];
struct page *frame_table = frames;
mfn_t max_mfn = NR_FRAMES;
uint64_t *m2p = m2p_words;
struct domain *domain_by_id[DOMID_FIRST_RESERVED];

struct test_domain {
    struct domain d;
    struct vcpu v;
    mfn_t own[NR_OWN];
    mfn_t l1; /* of the addresses VA(0) to VA(511); 0: taken apart */
    bool gone;
};

static struct test_domain world[NR_DOMAINS];
static uint64_t baseline; /* free frames when the world began */

static inline struct domain *dom(unsigned int n)
{
    return &world[n].d;
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

/* ---- Refusals. ---- */

static const char *last_reason, *last_call;
static long last_error;
static unsigned int refusals;

void refuse_reason(const char *text)
{
    write_once(&last_reason, text);
}

void refused_record(struct vcpu *v, const char *call, uint64_t argument,
                    long error)
{
    (void)v;
    (void)argument;
    write_once(&last_call, call);
    write_once(&last_error, error);
    atomic_add_return(&refusals, 1);
}

/* ---- Domains. ---- */

static struct domain *ref(struct domain *d)
{
    atomic_add_return(&d->refs, 1);
    return d;
}

struct domain *domain_next(uint16_t id)
{
    for (; id < NR_DOMAINS; id++)
        if (!world[id].gone)
            return ref(dom(id));
    return NULL;
}

struct domain *domain_after(struct domain *d)
{
    uint16_t id = d->id;

    domain_put(d);
    return domain_next((uint16_t)(id + 1));
}

void domain_put(struct domain *d)
{
    if (atomic_sub_return(&d->refs, 1) != 0)
        return;
    grant_domain_destroy(d);
    world[d->id].gone = true;
    domain_by_id[d->id] = NULL;
}

/* ---- The machine. ---- */

static unsigned int flushes;
static void (*on_flush)(struct domain *d);

void tlb_flush_domain(struct domain *d)
{
    atomic_add_return(&flushes, 1);
    if (on_flush != NULL)
        on_flush(d);
}

void pagetable_install_hv_slots(uint64_t *l4, struct domain *d)
{
    (void)l4;
    (void)d;
}

static uint64_t *l1_of(struct domain *d)
{
    return mfn_to_virt(world[d->id].l1);
}

/* Store a PTE, with what the old one referred to dropped. */
static inline void store(uint64_t *slot, uint64_t pte)
{
    uint64_t old = *slot;
    struct page *page = page_of(old << 1 >> (PAGE_SHIFT + 1));

    *slot = pte;
    if (!(old & PTE_P))
        return;
    if (old & PTE_W)
        page_put_type(page);
    page_put(page);
}

/* ---- Time, and what rings. ---- */

static uint64_t world_time;
static unsigned int rings[NR_DOMAINS]; /* VIRQ_BELFRY_GRANT */

void grant_hook_ring(struct domain *d)
{
    atomic_add_return(&rings[d->id], 1);
}

stime_t now(void)
{
    return load_acquire(&world_time);
}

/* Those of the tables are the only ones. */
void timer_init(struct timer *t, void (*function)(struct timer *))
{
    t->function = function;
    t->where = NULL;
}

void timer_set(struct timer *t, stime_t expires)
{
    spin_lock(&t->lock);
    t->expires = expires;
    t->where = &t->left;
    spin_unlock(&t->lock);
}

void timer_cancel(struct timer *t)
{
    spin_lock(&t->lock);
    t->where = NULL;
    spin_unlock(&t->lock);
}

static bool timer_expires(struct timer *t)
{
    bool due;

    spin_lock(&t->lock);
    due = t->where != NULL && t->expires <= now();
    if (due)
        t->where = NULL;
    spin_unlock(&t->lock);
    return due;
}

/* What is due in the table of domain @n happens; returns how often. */
static inline unsigned int expire(unsigned int n)
{
    unsigned int times = 0;

    while (!world[n].gone && timer_expires(&dom(n)->grants->revoke_timer)) {
        struct timer *t = &dom(n)->grants->revoke_timer;

        t->function(t);
        times++;
    }
    return times;
}

static inline unsigned int pass(uint64_t ns)
{
    unsigned int times = 0;

    atomic_add_return(&world_time, ns);
    for (unsigned int n = 0; n < NR_DOMAINS; n++)
        times += expire(n);
    return times;
}

/* ---- Guest memory, and being interrupted. ---- */

static int copies_out_left = -1;    /* that succeed; -1: all */
static unsigned int preempt_period; /* 0: never */
static unsigned int preempt_asked;
static __thread void *continue_arg;
static __thread unsigned int continue_count;

static const char *absent; /* a byte that nobody can read */

int guest_copy_from(void *dst, const void *src, size_t size)
{
    const char *from = src;

    if ((uintptr_t)src < PAGE_SIZE || (absent >= from && absent < from + size))
        return -EFAULT;
    memcpy(dst, src, size);
    return 0;
}

int guest_copy_from8(void *dst, const void *src, size_t n)
{
    return guest_copy_from(dst, src, 8 * n);
}

int guest_copy_to(void *dst, const void *src, size_t size)
{
    if ((uintptr_t)dst < PAGE_SIZE || copies_out_left == 0)
        return -EFAULT;
    if (copies_out_left > 0)
        copies_out_left--;
    memcpy(dst, src, size);
    return 0;
}

int guest_copy_to8(void *dst, const void *src, size_t n)
{
    return guest_copy_to(dst, src, 8 * n);
}

int guest_copy_to_offset(void *array, uint64_t index, const void *src,
                         size_t size)
{
    return guest_copy_to((char *)array + index * size, src, size);
}

bool hypercall_preempt_check(unsigned int steps)
{
    (void)steps;
    return preempt_period != 0 && ++preempt_asked % preempt_period == 0;
}

long grant_hook_continue(struct vcpu *v, void *arg, unsigned int count)
{
    (void)v;
    continue_arg = arg;
    continue_count = count;
    return 0;
}

/* The hypercall as a guest sees it: restarted until it is done. */
static inline long grant_op(unsigned int n, unsigned int cmd, void *arg,
                            unsigned int count)
{
    long rc;

    do {
        continue_count = 0;
        rc = do_grant_table_op(&world[n].v, cmd, arg, count);
        arg = continue_arg;
        count = continue_count;
    } while (rc == 0 && count != 0);
    return rc;
}

/* ---- Frames counted again. ---- */

static uint32_t expected_refs[NR_FRAMES], expected_uses[NR_FRAMES];

void page_audit_expect(mfn_t mfn, uint64_t type)
{
    expected_refs[mfn]++;
    if (type != PAGE_NONE)
        expected_uses[mfn]++;
}

static unsigned int audit_frames(void)
{
    unsigned int wrong = 0;

    for (mfn_t i = FIRST_RAM; i < NR_FRAMES; i++) {
        const struct page *page = page_of(i);
        uint32_t refs = (uint32_t)(page->count & PAGE_COUNT_MASK);
        uint32_t uses = (uint32_t)(page->type & PAGE_TYPE_COUNT_MASK);

        if (page->count & PAGE_ALLOCATED)
            expected_refs[i]++;
        if (page->count & PAGE_SHARED)
            expected_uses[i]++;
        wrong += refs != expected_refs[i] || uses != expected_uses[i];
    }
    return wrong;
}

static unsigned int differences;

void audit_differs(const struct domain *d, const char *object, uint32_t number,
                   const char *what)
{
    (void)d, (void)object, (void)number, (void)what;
    differences++;
}

/* Differences in grant tables, records of mappings, and frames. */
static unsigned int world_audit(void)
{
    differences = 0;
    memset(expected_refs, 0, sizeof(expected_refs));
    memset(expected_uses, 0, sizeof(expected_uses));
    for (unsigned int n = 0; n < NR_DOMAINS; n++) {
        if (world[n].gone)
            continue;
        (void)grant_audit(dom(n));
        (void)pagetable_audit(dom(n));
    }
    return differences + audit_frames();
}

/* ---- Begin and end. ---- */

/* Its page tables: one of each level. */
static void make_tables(struct test_domain *t)
{
    struct domain *d = &t->d;
    mfn_t table = t->l1 = mfn_of(domain_page_alloc(d));

    for (unsigned int level = 2; level <= 4; level++) {
        mfn_t above = mfn_of(domain_page_alloc(d));

        ((uint64_t *)mfn_to_virt(above))[pt_index(VA(0), level)] =
            table << PAGE_SHIFT | PTE_P | PTE_W;
        table = above;
    }
    if (pagetable_pin(d, table, 4) != 0)
        abort();
    t->v.arch.kernel_table = table;
    t->v.arch.kernel_mode = true;
}

static void make_domain(unsigned int n)
{
    struct domain *d = dom(n);

    d->id = DOM_ID(n);
    d->generation = 100 + n;
    d->privileged = n == 0;
    d->state = DOMAIN_RUNNING;
    d->refs = 1;
    d->max_pages = NR_FRAMES;
    d->nr_vcpus = 1;
    d->vcpu[0] = &world[n].v;
    world[n].v.domain = d;
    domain_by_id[n] = d;
    if (grant_domain_init(d) != 0)
        abort();
    for (unsigned int i = 0; i < NR_OWN; i++)
        world[n].own[i] = mfn_of(domain_page_alloc(d));
    make_tables(&world[n]);
}

static void world_begin(void)
{
    /* Memory is full of rubbish at boot (G18). */
    memset(arena, 0xa5, sizeof(arena));
    memset(world, 0, sizeof(world));
    memset(rings, 0, sizeof(rings));
    world_time = 1000000;
    alloc_add_range(FIRST_RAM, NR_FRAMES);
    baseline = alloc_free_pages();
    copies_out_left = -1;
    absent = NULL;
    preempt_period = 0;
    on_flush = NULL;
    for (unsigned int n = 0; n < NR_DOMAINS; n++)
        make_domain(n);
}

/* As domain_destroy() does it. */
static void destroy(unsigned int n)
{
    struct domain *d = dom(n);

    d->state = DOMAIN_DYING;
    world[n].l1 = 0;
    while (!domain_pages_relinquish(d))
        ;
    while (!grant_release_mappings(d, 100))
        ;
    domain_put(d);
}

static void world_end(void)
{
    for (unsigned int n = 0; n < NR_DOMAINS; n++)
        if (dom(n)->state != DOMAIN_DYING)
            destroy(n);
    for (unsigned int n = 0; n < NR_DOMAINS; n++)
        if (!world[n].gone)
            panic("domain %u has %u references left", n, dom(n)->refs);
    if (alloc_free_pages() != baseline)
        panic("%lu frames are lost", baseline - alloc_free_pages());
}

/* ---- What guests do. ---- */

static inline union grant_entry *entry(unsigned int n, uint32_t ref)
{
    return grant_shared(dom(n)->grants, ref);
}

/* Domain @n permits @peer, with these extra flags, its own frame @i. */
static inline void permit(unsigned int n, uint32_t gref, unsigned int peer,
                          uint16_t flags, unsigned int i)
{
    union grant_entry e = { .v1 = { .flags = GTF_permit_access | flags,
                                    .domid = DOM_ID(peer),
                                    .frame = (uint32_t)world[n].own[i] } };

    store_release(&entry(n, gref)->raw, e.raw);
}

static inline uint16_t flags_of(unsigned int n, uint32_t gref)
{
    return read_once(&entry(n, gref)->v1.flags);
}

static inline bool in_use(unsigned int n, uint32_t gref)
{
    return flags_of(n, gref) & (GTF_reading | GTF_writing);
}

static inline uint64_t pte_of(unsigned int n, unsigned int i)
{
    return l1_of(dom(n))[i];
}

static inline struct gnttab_map_grant_ref
map_full(unsigned int n, uint64_t addr, uint32_t flags, uint16_t domid,
         uint32_t gref)
{
    struct gnttab_map_grant_ref op = { .host_addr = addr,
                                       .flags = flags,
                                       .ref = gref,
                                       .dom = domid,
                                       .status = 77 };

    if (grant_op(n, GNTTABOP_map_grant_ref, &op, 1) != 0)
        op.status = 99;
    return op;
}

/* The status of mapping @gref of @of at VA(@i). */
static inline struct gnttab_map_grant_ref map(unsigned int n, unsigned int i,
                                              uint32_t flags, unsigned int of,
                                              uint32_t gref)
{
    return map_full(n, VA(i), flags, DOM_ID(of), gref);
}

static inline int16_t unmap(unsigned int n, uint64_t host, uint64_t dev,
                            uint32_t handle)
{
    struct gnttab_unmap_grant_ref op = {
        .host_addr = host, .dev_bus_addr = dev, .handle = handle, .status = 77
    };

    return grant_op(n, GNTTABOP_unmap_grant_ref, &op, 1) != 0 ? 99 : op.status;
}

#endif
