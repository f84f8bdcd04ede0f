/*
 * A world for evtchn/: a few domains with shared pages that the test plays
 * the guests of, and the hooks.
 */
#ifndef TESTS_UNIT_EVTCHN_WORLD_H
#define TESTS_UNIT_EVTCHN_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evtchn/evtchn.h"
#include "hv/abi/belfry.h"
#include "lib/errno.h"

#define NR_DOMAINS 4u
#define NR_VCPUS   3u
#define DOM_ID(n)  ((uint16_t)(10 + (n))) /* so that no id is an index */

/* A shared page with a border, to see writes that leave the event words. */
struct guest_page {
    uint64_t before[64];
    struct shared_info shared __attribute__((aligned(4096)));
    uint64_t after[64];
};

struct test_domain {
    struct evtchn_domain e;
    struct evtchn_vcpu vcpu[NR_VCPUS], *vcpus[NR_VCPUS];
    struct guest_page *page;
    uint32_t wakes[NR_VCPUS], refs;
};

static struct test_domain world[NR_DOMAINS];
static unsigned int pages_allocated;
static int pages_left = -1; /* allocations that succeed; -1: all */
static const char *last_reason;
static uint32_t last_number;
static void (*on_wake)(struct evtchn_vcpu *v); /* besides being counted */

static inline struct evtchn_domain *dom(unsigned int n)
{
    return &world[n].e;
}

static inline struct shared_info *shared(unsigned int n)
{
    return &world[n].page->shared;
}

struct evtchn_domain *evtchn_hook_get(uint16_t domid)
{
    for (unsigned int i = 0; i < NR_DOMAINS; i++) {
        if (world[i].e.self.domid != domid)
            continue;
        atomic_add_return(&world[i].refs, 1);
        return &world[i].e;
    }
    return NULL;
}

void evtchn_hook_put(struct evtchn_domain *d)
{
    for (unsigned int i = 0; i < NR_DOMAINS; i++)
        if (&world[i].e == d)
            atomic_sub_return(&world[i].refs, 1);
}

void evtchn_hook_wake(struct evtchn_vcpu *v)
{
    for (unsigned int i = 0; i < NR_DOMAINS; i++)
        if (v->domain == &world[i].e)
            atomic_add_return(&world[i].wakes[v->id], 1);
    if (on_wake != NULL)
        on_wake(v);
}

void *evtchn_hook_alloc_page(void)
{
    void *page;

    if (pages_left == 0)
        return NULL;
    if (pages_left > 0)
        pages_left--;
    page = aligned_alloc(4096, 4096);
    memset(page, 0, 4096);
    atomic_add_return(&pages_allocated, 1);
    return page;
}

void evtchn_hook_free_page(void *page)
{
    atomic_sub_return(&pages_allocated, 1);
    free(page);
}

void evtchn_hook_reason(const char *text, uint32_t number)
{
    write_once(&last_reason, text);
    write_once(&last_number, number);
}

/* ---- The clock and the timers of limits: they go as the test says. ---- */

#define MAX_TIMERS 256u

static uint64_t world_time;
static unsigned int throttle_lines;

static spinlock_t timer_lock; /* guards: */
static struct {
    struct evtchn_limit *limit;
    uint64_t time;
} timers[MAX_TIMERS];
static unsigned int nr_timers, max_timers;

uint64_t evtchn_hook_now(void)
{
    return load_acquire(&world_time);
}

void evtchn_hook_throttled(struct evtchn_domain *d, uint32_t port,
                           struct evtchn_domain *by)
{
    (void)d, (void)port, (void)by;
    atomic_add_return(&throttle_lines, 1);
}

/* Timer lock held. */
static void timer_take_out(const struct evtchn_limit *limit)
{
    for (unsigned int i = 0; i < nr_timers; i++)
        if (timers[i].limit == limit)
            timers[i] = timers[--nr_timers];
}

bool evtchn_hook_timer_set(struct evtchn_limit *limit, uint64_t time)
{
    bool room;

    spin_lock(&timer_lock);
    timer_take_out(limit);
    room = nr_timers < max_timers;
    if (room) {
        timers[nr_timers].limit = limit;
        timers[nr_timers++].time = time;
    }
    spin_unlock(&timer_lock);
    return room;
}

void evtchn_hook_timer_cancel(struct evtchn_limit *limit)
{
    spin_lock(&timer_lock);
    timer_take_out(limit);
    spin_unlock(&timer_lock);
}

/* One whose time has come, taken out; or NULL. */
static inline struct evtchn_limit *timer_expired(void)
{
    struct evtchn_limit *limit = NULL;

    spin_lock(&timer_lock);
    for (unsigned int i = 0; i < nr_timers && limit == NULL; i++)
        if (timers[i].time <= evtchn_hook_now())
            limit = timers[i].limit;
    timer_take_out(limit);
    spin_unlock(&timer_lock);
    return limit;
}

/* So much later, and what was due by then has happened. */
static inline void pass(uint64_t ns)
{
    struct evtchn_limit *limit;

    atomic_add_return(&world_time, ns);
    while ((limit = timer_expired()) != NULL)
        evtchn_limit_due(limit);
}

static void world_begin(void)
{
    memset(world, 0, sizeof(world));
    pages_left = -1;
    max_timers = MAX_TIMERS;
    world_time = 1000000;
    throttle_lines = 0;
    for (unsigned int i = 0; i < NR_DOMAINS; i++) {
        struct test_domain *d = &world[i];

        d->page = aligned_alloc(4096, sizeof(*d->page));
        memset(d->page, 0, sizeof(*d->page));
        d->e.self = (struct evtchn_end){ .domid = DOM_ID(i),
                                         .origin = (uint16_t)(1 + i),
                                         .state = BELFRY_PEER_ALIVE,
                                         .vector = 0xff,
                                         .generation = 100 + i };
        d->e.privileged = i == 0;
        d->e.shared = &d->page->shared;
        d->e.nr_vcpus = NR_VCPUS;
        d->e.vcpu = d->vcpus;
        for (unsigned int v = 0; v < NR_VCPUS; v++) {
            d->vcpus[v] = &d->vcpu[v];
            d->vcpu[v].domain = &d->e;
            d->vcpu[v].id = v;
            d->vcpu[v].info = &d->page->shared.vcpu_info[v];
        }
        if (evtchn_domain_init(&d->e) != 0)
            abort();
    }
}

static unsigned int differences;

void evtchn_hook_differs(struct evtchn_domain *d, uint32_t port,
                         const char *what)
{
    printf("domain %u, port %u: %s\n", d->self.domid, port, what);
    differences++;
}

/* Differences that the audit finds in all domains. */
static unsigned int world_audit(void)
{
    differences = 0;
    for (unsigned int i = 0; i < NR_DOMAINS; i++)
        (void)evtchn_audit(dom(i));
    return differences;
}

static void world_end(void)
{
    for (unsigned int i = 0; i < NR_DOMAINS; i++)
        while (!evtchn_domain_destroy(dom(i), 100))
            ;
    for (unsigned int i = 0; i < NR_DOMAINS; i++) {
        evtchn_domain_free(dom(i));
        if (world[i].refs != 0)
            abort();
        free(world[i].page);
    }
    if (pages_allocated != 0 || nr_timers != 0)
        abort();
}

/* ---- Short forms of the calls; ports, or a negative error. ---- */

static inline int alloc_port(unsigned int n, unsigned int remote)
{
    struct evtchn_alloc_unbound op = { .dom = DOMID_SELF,
                                       .remote_dom = DOM_ID(remote) };
    int rc = evtchn_alloc_unbound(dom(n), &op);

    return rc != 0 ? rc : (int)op.port;
}

static inline int bind_port(unsigned int n, unsigned int remote, int port)
{
    struct evtchn_bind_interdomain op = { .remote_dom = DOM_ID(remote),
                                          .remote_port = (uint32_t)port };
    int rc = evtchn_bind_interdomain(dom(n), &op);

    return rc != 0 ? rc : (int)op.local_port;
}

static inline int bind_virq(unsigned int n, uint32_t virq, uint32_t vcpu)
{
    struct evtchn_bind_virq op = { .virq = virq, .vcpu = vcpu };
    int rc = evtchn_bind_virq(dom(n), &op);

    return rc != 0 ? rc : (int)op.port;
}

static inline int bind_ipi(unsigned int n, uint32_t vcpu)
{
    struct evtchn_bind_ipi op = { .vcpu = vcpu };
    int rc = evtchn_bind_ipi(dom(n), &op);

    return rc != 0 ? rc : (int)op.port;
}

static inline int send(unsigned int n, int port)
{
    return (int)evtchn_send(dom(n), (uint32_t)port);
}

static inline int close_port(unsigned int n, int port)
{
    return evtchn_close(dom(n), (uint32_t)port);
}

/* ---- What the guest does with its bits. ---- */

static inline bool is_pending(unsigned int n, int port)
{
    return bit_test(shared(n)->evtchn_pending, (unsigned int)port);
}

static inline void mask(unsigned int n, int port)
{
    bit_test_and_set(shared(n)->evtchn_mask, (unsigned int)port);
}

static inline void take(unsigned int n, int port)
{
    bit_test_and_clear(shared(n)->evtchn_pending, (unsigned int)port);
}

/* Did an upcall become due for the vCPU since the last look?  Takes it. */
static inline bool upcall(unsigned int n, unsigned int vcpu)
{
    return atomic_xchg(&shared(n)->vcpu_info[vcpu].evtchn_upcall_pending, 0);
}

static inline uint64_t selector(unsigned int n, unsigned int vcpu)
{
    return atomic_xchg(&shared(n)->vcpu_info[vcpu].evtchn_pending_sel, 0);
}

/* Look at all there is and leave nothing pending, as a guest's handler. */
static inline void handle_all(unsigned int n)
{
    for (unsigned int v = 0; v < NR_VCPUS; v++) {
        upcall(n, v);
        selector(n, v);
    }
    for (unsigned int i = 0; i < 64; i++)
        atomic_xchg(&shared(n)->evtchn_pending[i], 0);
}

#endif
