/*
 * Defends: a domain that is created, runs and is destroyed leaves nothing
 * behind, at whatever moment it goes: free pages, domains, grants, ports and
 * mapping records are to the last one as before (D3, D4).
 *
 * `mortal` is created again and again.  It opens channels to the parent and
 * to `steady`, grants pages to both, maps and copies theirs, pins page tables
 * and sleeps, over and over, until it is destroyed at a random moment: in
 * its first instructions, or in the midst of all this, also while the parent
 * still maps a page of it.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

/* Words of the meeting pages: of mortal's, and of steady's. */
enum { IN_STEADY, IN_SEED, IN_PARENT_REF, IN_STEADY_REF };
enum { IN_MORTAL };
enum { OUT_FOR, OUT_REF };

#define NOBODY ~0ull

/* ---- Steady: lives through it all. ---- */

/* Grants its page to whom the parent names, and takes the grant back when
 * that one is gone.  ~0: nobody. */
_Noreturn static void steady_main(void)
{
    struct meet *m = meet_offer();
    uint64_t *page = page_alloc();
    int ref = -1;

    m->out[OUT_FOR] = NOBODY;
    for (;;) {
        uint64_t who = load_acquire(&m->in[IN_MORTAL]);

        if (m->go && who != m->out[OUT_FOR]) {
            if (ref >= 0 && grant_end((grant_ref_t)ref) != 0)
                m->faults++;
            ref = who == NOBODY ? -1 : grant_access((domid_t)who, page, false);
            m->out[OUT_REF] = (uint64_t)ref;
            store_release(&m->out[OUT_FOR], who);
        }
        sleep_ns(200000);
        m->beats++;
    }
}

/* ---- Mortal. ---- */
static void busy_channel(domid_t with)
{
    evtchn_port_t port;

    if (event_alloc_unbound(with, &port) == 0 && random_below(4) > 0)
        event_close(port);
}

static void busy_grant(domid_t to)
{
    void *page = page_try_alloc();
    int ref;

    if (!page)
        return;
    ref = grant_access(to, page, random_below(2));
    if (ref >= 0 && random_below(4) > 0 && grant_end((grant_ref_t)ref) == 0)
        page_free(page);
}

static void busy_map(domid_t from, grant_ref_t ref)
{
    struct grant_mapping map;

    if (grant_map(from, &ref, 1, false, &map) != 0)
        return;
    *(volatile uint64_t *)map.address = random_next();
    if (random_below(8) > 0)
        grant_unmap(&map);
}

static void busy_table(void)
{
    uint64_t *page = page_try_alloc();

    if (!page)
        return;
    page_protect(page, virt_to_mfn(page), PAGE_READ);
    mmuext_mfn(MMUEXT_PIN_L1_TABLE, virt_to_mfn(page));
    if (random_below(8) == 0)
        return;
    mmuext_mfn(MMUEXT_UNPIN_TABLE, virt_to_mfn(page));
    page_protect(page, virt_to_mfn(page), PAGE_WRITE);
    page_free(page);
}

static void busy_copy(domid_t from, grant_ref_t ref)
{
    uint64_t words[8];

    grant_copy_from(from, ref, 0, words, sizeof(words));
    grant_copy_to(from, ref, 64, words, sizeof(words));
}

static void busy_step(const struct meet *m)
{
    bool parent = random_below(2);
    domid_t peer = parent ? 0 : (domid_t)m->in[IN_STEADY];
    grant_ref_t ref = (grant_ref_t)m->in[parent ? IN_PARENT_REF
                                                : IN_STEADY_REF];

    switch (random_below(6)) {
    case 0:
        busy_channel(peer);
        break;
    case 1:
        busy_grant(peer);
        break;
    case 2:
        busy_map(peer, ref);
        break;
    case 3:
        busy_table();
        break;
    case 4:
        busy_copy(peer, ref);
        break;
    default:
        if (random_below(8) == 0)
            sleep_ns(random_below(200000));
    }
}

_Noreturn static void mortal_main(void)
{
    struct meet *m = meet_offer();

    meet_wait(m);
    random_seed(m->in[IN_SEED]);
    for (;;) {
        busy_step(m);
        m->beats++;
    }
}

/* ---- The parent. ---- */

/* All that must be as it was. */
struct tally {
    uint64_t free_pages, domains;
    uint64_t grants[2], ports[2], maptrack[2], pages[2];
};

static struct child steady, mortal;
static struct meet *steady_meet;
static struct grant_mapping steady_map;
static void *offered; /* our page for the child's mappings */

static uint64_t count_ports(unsigned int id)
{
    static struct belfry_channel channel[128];
    struct belfry_channels list = BELFRY_ARG(belfry_channels, .id = id,
                                             .item_size = sizeof(channel[0]),
                                             .channels = channel);
    uint64_t n = 0;

    do {
        list.count = 128;
        if (!CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &list), 0))
            return n;
        n += list.count;
        if (list.count > 0)
            list.first = channel[list.count - 1].port + 1;
    } while (list.count == 128);
    return n;
}

static void count_domain(unsigned int i, unsigned int id, struct tally *t)
{
    static struct belfry_grant grant[1];
    struct belfry_domain info;
    struct belfry_grants list = BELFRY_ARG(belfry_grants, .id = id,
                                           .count = 1,
                                           .item_size = sizeof(grant[0]),
                                           .grants = grant);

    if (!CHECK(domain_info(id, &info)))
        return;
    t->grants[i] = info.grants_active;
    t->pages[i] = info.pages;
    t->ports[i] = count_ports(id);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_grants, &list), 0);
    t->maptrack[i] = list.maptrack;
}

static struct tally take_tally(void)
{
    static struct belfry_machine machine;
    struct tally t;

    memset(&t, 0, sizeof(t));
    machine_info(&machine);
    t.free_pages = machine.free_pages;
    t.domains = machine.nr_domains;
    count_domain(0, 0, &t);
    count_domain(1, steady.id, &t);
    return t;
}

static bool compare(const struct tally *a, const struct tally *b,
                    uint64_t cycle)
{
    unsigned int failed = test_failures;

    CHECK_EQ(b->free_pages, a->free_pages);
    CHECK_EQ(b->domains, a->domains);
    for (unsigned int i = 0; i < 2; i++) {
        CHECK_EQ(b->grants[i], a->grants[i]);
        CHECK_EQ(b->ports[i], a->ports[i]);
        CHECK_EQ(b->maptrack[i], a->maptrack[i]);
        CHECK_EQ(b->pages[i], a->pages[i]);
    }
    if (test_failures != failed)
        printf("    (cycle %lu)\n", cycle);
    return test_failures == failed;
}

/* Steady's grant is for this one now; its reference. */
static uint64_t steady_serves(uint64_t who)
{
    uint64_t deadline = clock_now() + 2000000000;

    store_release(&steady_meet->in[IN_MORTAL], who);
    while (load_acquire(&steady_meet->out[OUT_FOR]) != who)
        if (!CHECK(clock_now() < deadline))
            break;
        else
            sleep_ns(100000);
    return steady_meet->out[OUT_REF];
}

/* Let it come as far as the page where we meet, and tell it to begin.  Our
 * page is granted to it under *ref. */
static struct meet *let_it_work(struct grant_mapping *mapping, int *ref)
{
    struct meet *m = meet_find(mortal.id, mapping);

    if (!CHECK(m))
        return NULL;
    *ref = grant_access((domid_t)mortal.id, offered, false);
    m->in[IN_STEADY] = steady.id;
    m->in[IN_SEED] = random_next();
    m->in[IN_PARENT_REF] = (uint64_t)*ref;
    m->in[IN_STEADY_REF] = steady_serves(mortal.id);
    meet_go(m, 1);
    return m;
}

static void one_cycle(uint64_t cycle, uint64_t *beats)
{
    struct grant_mapping mapping;
    struct meet *m = NULL;
    int ref = -1;
    bool late = random_below(4) == 0;

    if (!child_start(&mortal, "mortal"))
        return;
    if (random_below(8) > 0)
        m = let_it_work(&mapping, &ref);
    sleep_ns(random_below(m ? 3000000 : 300000));
    if (m) {
        *beats += m->beats;
        if (!late)
            grant_unmap(&mapping);
    }
    child_destroy(&mortal);
    if (m && late) /* until now it was a zombie */
        grant_unmap(&mapping);
    steady_serves(NOBODY);
    if (ref >= 0 && !CHECK_EQ(grant_end((grant_ref_t)ref), 0))
        printf("    (cycle %lu)\n", cycle);
}

static void find_steady(void)
{
    struct belfry_domain info;

    if (!CHECK(domain_find("steady", &info)))
        test_end("cycles");
    child_attach(&steady, "steady", info.id, info.generation);
    CHECK_EQ(domain_control(info.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    steady_meet = meet_find(info.id, &steady_map);
    if (!CHECK(steady_meet))
        test_end("cycles");
    steady_meet->in[IN_MORTAL] = NOBODY;
    meet_go(steady_meet, 1);
}

static void run(uint64_t seed, uint64_t cycles)
{
    struct tally before, after;
    uint64_t beats = 0, steady_before = steady_meet->beats;

    random_seed(seed);
    one_cycle(0, &beats); /* what grows once, grows here */
    before = take_tally();
    for (uint64_t i = 1; i <= cycles; i++) {
        one_cycle(i, &beats);
        after = take_tally();
        if (!compare(&before, &after, i))
            break;
        if (i % 64 == 0)
            check_audit("between cycles");
        if (i % 250 == 0)
            printf("cycle %lu: %lu free pages\n", i, after.free_pages);
    }
    CHECK(beats > cycles);
    CHECK_EQ(steady_meet->faults, 0);
    CHECK(steady_meet->beats > steady_before);
    printf("%lu cycles, seed %lu, %lu steps of the mortal\n", cycles, seed,
           beats);
}

int guest_main(void)
{
    if (!guest.initial && strcmp(guest.name, "steady") == 0)
        steady_main();
    if (!guest.initial)
        mortal_main();
    test_needs_belfry("cycles");
    offered = page_alloc();
    find_steady();
    run(cmdline_number("seed", 1), cmdline_number("cycles", 200));
    test_end("cycles");
}
