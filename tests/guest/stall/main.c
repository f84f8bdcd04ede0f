/*
 * Defends: no operation holds the CPU for long, however much a domain has:
 * long batches and lists, and the creation and destruction of a domain with
 * all ports, grants, page tables and memory it can have (E6, G7, G15, M8, D1).
 *
 * A watcher of the highest priority sleeps for a moment at a time and notes
 * how much longer than that it was away.  Where the clock counts
 * instructions that is exact, and a nanosecond is an instruction.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

#define NAP      50000ul
#define LONGEST  2000000ul /* instructions: below 1 ms on real machines */
#define NR_MAPS  4000u
#define NR_L1    256u /* of the tree of tables */

enum { OUT_WORST };
enum { IN_RESET };
enum { OUT_READY };

/* ---- The watcher. ---- */
_Noreturn static void watcher_main(void)
{
    struct meet *m = meet_offer();
    uint64_t reset = 0;

    meet_wait(m);
    for (;;) {
        uint64_t start = clock_now(), away;

        if (reset != m->in[IN_RESET]) {
            m->out[OUT_WORST] = 0;
            reset = m->in[IN_RESET];
        }
        sleep_ns(NAP);
        away = clock_now() - start;
        if (away > m->out[OUT_WORST])
            m->out[OUT_WORST] = away;
        m->beats++;
    }
}

/* ---- The victim: has as much as it can. ---- */
static void open_all_ports(struct meet *m)
{
    evtchn_port_t a, b;
    uint64_t n = 0;

    while (event_alloc_unbound(DOMID_SELF, &a) == 0 &&
           event_bind_interdomain(DOMID_SELF, a, &b) == 0)
        n += 2;
    m->faults += n < 4000;
}

/* One page granted to ourselves, mapped again and again over one window of
 * addresses: each mapping keeps its record. */
static void map_many(struct meet *m)
{
    void *page = page_alloc();
    int ref = grant_access(guest.domid, page, false);
    struct gnttab_map_grant_ref op = { .dom = guest.domid,
                                       .ref = (grant_ref_t)ref,
                                       .flags = GNTMAP_host_map |
                                                GNTMAP_readonly };
    uint64_t n = 0;

    for (; n < NR_MAPS; n++) {
        void *window = page_try_alloc();

        if (!window)
            break;
        op.host_addr = (uint64_t)window;
        if (hypercall_grant_table_op(GNTTABOP_map_grant_ref, &op, 1) != 0 ||
            op.status != 0)
            break;
    }
    m->faults += n < NR_MAPS;
}

/* Long lists of harmless things. */
static void long_lists(struct meet *m)
{
    const unsigned int n = 16384;
    struct multicall_entry *calls = pages_alloc(n * sizeof(*calls) /
                                                PAGE_SIZE);
    struct gnttab_copy *copies = pages_alloc(n * sizeof(*copies) / PAGE_SIZE);
    unsigned int wrong = 0;

    BUG_ON(!calls || !copies);
    for (unsigned int i = 0; i < n; i++) {
        calls[i].op = __HYPERVISOR_xen_version;
        calls[i].result = 1;
        copies[i].source.domid = DOMID_INVALID;
        copies[i].flags = GNTCOPY_source_gref;
        copies[i].len = 8;
        copies[i].status = 77;
    }
    m->faults += hypercall_multicall(calls, n) != 0;
    m->faults += hypercall_grant_table_op(GNTTABOP_copy, copies, n) != 0;
    for (unsigned int i = 0; i < n; i++)
        wrong += copies[i].status >= 0 || calls[i].result < 0x40000;
    m->faults += wrong; /* each item has its result (G7) */
}

/* A tree that maps 512 MiB, all of it one page; each upper table is shared
 * by as many entries as there can be.  [0] to [NR_L1 - 1] are the L1s. */
static uint64_t *tree[NR_L1 + 3];

static void make_tree(struct meet *m)
{
    uint64_t page = virt_to_mfn(page_alloc()) << PAGE_SHIFT;

    for (unsigned int t = 0; t < NR_L1 + 3; t++) {
        tree[t] = page_alloc();
        for (unsigned int i = 0; i < 512; i++)
            if (t < NR_L1)
                tree[t][i] = page | PTE_PRESENT;
            else if (t == NR_L1)
                tree[t][i] = virt_to_maddr(tree[i % NR_L1]) | PTE_TABLE;
            else
                tree[t][i] = virt_to_maddr(tree[t - 1]) | PTE_TABLE;
    }
    for (unsigned int t = 0; t < NR_L1 + 3; t++)
        m->faults += page_protect(tree[t], virt_to_mfn(tree[t]),
                                  PAGE_READ) != 0;
}

/* Taken apart, and made again; once its very last table is bad, which leaves
 * nothing behind.  It stays for the end of the domain. */
static void large_tree(struct meet *m)
{
    make_tree(m);

    uint64_t *last = tree[NR_L1 - 1], good = last[511];
    uint64_t mfn = virt_to_mfn(last), top = virt_to_mfn(tree[NR_L1 + 2]);

    m->faults += mmuext_mfn(MMUEXT_PIN_L4_TABLE, top) != 0;
    m->faults += mmuext_mfn(MMUEXT_UNPIN_TABLE, top) != 0;
    m->faults += page_protect(last, mfn, PAGE_WRITE) != 0;
    last[511] |= PTE_PCD;
    m->faults += page_protect(last, mfn, PAGE_READ) != 0;
    m->faults += mmuext_mfn(MMUEXT_PIN_L4_TABLE, top) != -EINVAL;
    m->faults += page_protect(last, mfn, PAGE_WRITE) != 0;
    last[511] = good;
    m->faults += page_protect(last, mfn, PAGE_READ) != 0;
    m->faults += mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, top) != 0;
    m->faults += mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, 0) != 0;
    m->faults += mmuext_mfn(MMUEXT_PIN_L4_TABLE, top) != 0;
}

static const struct step {
    const char *name;
    void (*run)(struct meet *m);
} steps[] = {
    { "long lists", long_lists },
    { "a large tree", large_tree },
    { "all ports", open_all_ports },
    { "many mappings", map_many },
};

#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

_Noreturn static void victim_main(void)
{
    struct meet *m = meet_offer();

    meet_wait(m);
    for (unsigned int i = 0; i < NR_STEPS; i++) {
        steps[i].run(m);
        m->out[OUT_READY] = i + 1;
        while (m->go <= i + 1)
            sleep_ns(100000);
    }
    for (;;)
        sleep_ns(1000000);
}

/* ---- The parent. ---- */
static struct child watcher, victim;
static struct meet *wm, *vm;
static struct grant_mapping wmap, vmap;

static void find_watcher(void)
{
    struct belfry_domain info;

    if (!CHECK(domain_find("watcher", &info)))
        test_end("stall");
    child_attach(&watcher, "watcher", info.id, info.generation);
    CHECK_EQ(domain_control(info.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    wm = meet_find(info.id, &wmap);
    if (!CHECK(wm))
        test_end("stall");
    meet_go(wm, 1);
}

static void start_measuring(void)
{
    wm->in[IN_RESET]++;
    sleep_ns(3 * NAP);
}

static void judge(const char *what)
{
    sleep_ns(3 * NAP);
    printf("%s: away for %lu ns at the most\n", what,
           wm->out[OUT_WORST] - NAP);
    CHECK(wm->out[OUT_WORST] - NAP < LONGEST);
    CHECK(wm->beats > 0);
}

static void build_it(void)
{
    start_measuring();
    if (!child_start(&victim, "victim"))
        test_end("stall");
    judge("create");
    vm = meet_find(victim.id, &vmap);
    if (!CHECK(vm))
        test_end("stall");
}

static void one_step(unsigned int i)
{
    start_measuring();
    meet_go(vm, i + 1);
    for (unsigned int wait = 0; wait < 20000 && vm->out[OUT_READY] <= i;
         wait++)
        sleep_ns(1000000);
    CHECK_EQ(vm->out[OUT_READY], i + 1);
    CHECK_EQ(vm->faults, 0);
    judge(steps[i].name);
}

int guest_main(void)
{
    if (!guest.initial && strcmp(guest.name, "watcher") == 0)
        watcher_main();
    if (!guest.initial)
        victim_main();
    test_needs_belfry("stall");
    find_watcher();
    build_it();
    for (unsigned int i = 0; i < NR_STEPS; i++)
        one_step(i);
    grant_unmap(&vmap);
    start_measuring();
    child_destroy(&victim);
    judge("destroy");
    test_end("stall");
}
