/*
 * Defends: between two domains, events and grants reach the one that was
 * named and no other, and end when either side ends (G6, G10, G12, G13, D4).
 *
 * The parent talks with a friend over a channel and a granted page; a
 * stranger tries the same ports and references and must be refused.
 */
#include "tests/guest/fault.h"
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

/* Words of the meeting page. */
enum { IN_PORT, IN_REF, IN_REF_RO, IN_FRIEND };
enum { OUT_DONE };
enum { GO_FRIEND = 1, GO_STRANGER, GO_END };

#define ROUNDS 2000u

/* ---- The friend: answers each ring, with the grants of the parent. ---- */
static void friend_side(struct meet *m)
{
    evtchn_port_t port;
    struct grant_mapping map;
    grant_ref_t ref = (grant_ref_t)m->in[IN_REF];
    volatile uint64_t *shared;

    m->faults += event_bind_interdomain(0, (evtchn_port_t)m->in[IN_PORT],
                                        &port) != 0;
    m->faults += grant_map(0, &ref, 1, false, &map) != 0;
    if (m->faults)
        return;
    event_unmask(port);
    shared = map.address;
    for (unsigned int i = 0; i < ROUNDS; i++) {
        do
            event_wait_for(port);
        while (shared[0] != i + 1); /* the bell of the binding */
        shared[1] = shared[0] * 3;
        event_send(port);
        m->beats++;
    }
    grant_unmap(&map);
    /* Read-only is read-only. */
    ref = (grant_ref_t)m->in[IN_REF_RO];
    m->faults += grant_map(0, &ref, 1, false, &map) == 0;
    m->faults += grant_map(0, &ref, 1, true, &map) != 0;
    m->faults += *(volatile uint64_t *)map.address != 0x600d;
    m->faults += !fault_writing(map.address);
    m->out[OUT_DONE] = 1;
    while (m->go != GO_END)
        sleep_ns(1000000);
    /* It ends with the mapping and the channel still there. */
}

/* ---- The stranger: none of that is for it. ---- */
static void try_ports(struct meet *m, domid_t dom)
{
    evtchn_port_t bound;

    for (evtchn_port_t p = 0; p < 64; p++)
        m->faults += event_bind_interdomain(dom, p, &bound) != -EINVAL;
}

static void try_grants(struct meet *m, domid_t dom)
{
    struct grant_mapping map;
    uint64_t word = 0;

    for (grant_ref_t r = 0; r < 600; r++) {
        m->faults += grant_map(dom, &r, 1, true, &map) == 0;
        m->faults += grant_copy_from(dom, r, 0, &word, 8) == 0;
        m->faults += grant_copy_to(dom, r, 0, &word, 8) == 0;
        m->beats++;
    }
}

/* Another's table, another's ports. */
static void try_in_its_name(struct meet *m, domid_t dom)
{
    struct gnttab_setup_table setup = { .dom = dom, .nr_frames = 1 };
    struct gnttab_query_size size = { .dom = dom };
    struct evtchn_alloc_unbound alloc = { .dom = dom,
                                          .remote_dom = DOMID_SELF };
    struct evtchn_status status = { .dom = dom, .port = 1 };
    xen_pfn_t frame;

    set_xen_guest_handle(setup.frame_list, &frame);
    hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    m->faults += setup.status == 0;
    hypercall_grant_table_op(GNTTABOP_query_size, &size, 1);
    m->faults += size.status == 0;
    m->faults += hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &alloc) ==
                 0;
    m->faults += hypercall_event_channel_op(EVTCHNOP_status, &status) == 0;
}

static void stranger_side(struct meet *m)
{
    const domid_t doms[2] = { 0, (domid_t)m->in[IN_FRIEND] };

    for (unsigned int i = 0; i < 2; i++) {
        try_ports(m, doms[i]);
        try_grants(m, doms[i]);
        try_in_its_name(m, doms[i]);
    }
    for (unsigned int cmd = BELFRYOP_list; cmd <= BELFRYOP_vcpus; cmd++)
        if (cmd != BELFRYOP_audit && cmd != BELFRYOP_register_rings)
            m->faults += hypercall_belfry_op(cmd, m) != -EPERM;
    m->out[OUT_DONE] = 1;
}

static int child_main(void)
{
    struct meet *m;

    fault_install();
    m = meet_offer();
    if (meet_wait(m) == GO_STRANGER)
        stranger_side(m);
    else
        friend_side(m);
    return 0;
}

/* ---- The parent. ---- */
static struct child friend, stranger;
static struct meet *fm, *sm;
static struct grant_mapping fmap, smap;
static uint64_t *shared, *readonly;
static grant_ref_t ref, ref_ro;
static evtchn_port_t port;

static void start(struct child *c, const char *name, struct meet **m,
                  struct grant_mapping *mapping)
{
    if (!child_start(c, name) || !CHECK(*m = meet_find(c->id, mapping)))
        test_end("pair");
}

static void set_up(void)
{
    int r;

    start(&friend, "friend", &fm, &fmap);
    start(&stranger, "stranger", &sm, &smap);
    shared = page_alloc();
    readonly = page_alloc();
    readonly[0] = 0x600d;
    CHECK_EQ(event_alloc_unbound((domid_t)friend.id, &port), 0);
    event_unmask(port);
    CHECK((r = grant_access((domid_t)friend.id, shared, false)) >= 0);
    ref = (grant_ref_t)r;
    CHECK((r = grant_access((domid_t)friend.id, readonly, true)) >= 0);
    ref_ro = (grant_ref_t)r;
    fm->in[IN_PORT] = port;
    fm->in[IN_REF] = ref;
    fm->in[IN_REF_RO] = ref_ro;
}

/* While the friend works, the stranger knocks at every door. */
static void run_stranger(void)
{
    uint64_t deadline = clock_now() + 10000000000;

    sm->in[IN_FRIEND] = friend.id;
    meet_go(sm, GO_STRANGER);
    while (!sm->out[OUT_DONE] && clock_now() < deadline)
        sleep_ns(1000000);
    CHECK_EQ(sm->out[OUT_DONE], 1);
    CHECK_EQ(sm->faults, 0);
    CHECK_EQ(sm->beats, 1200);
}

static void ring_and_answer(void)
{
    unsigned int wrong = 0;

    meet_go(fm, GO_FRIEND);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        shared[0] = i + 1;
        event_send(port);
        do
            event_wait_for(port);
        while (shared[1] != (i + 1) * 3ull && fm->faults == 0);
        wrong += shared[1] != (i + 1) * 3ull;
    }
    CHECK_EQ(wrong, 0);
    for (unsigned int i = 0; i < 2000 && !fm->out[OUT_DONE]; i++)
        sleep_ns(1000000);
    CHECK_EQ(fm->faults, 0);
    CHECK_EQ(fm->beats, ROUNDS);
    CHECK_EQ(fm->out[OUT_DONE], 1);
}

/* What a live peer maps cannot be withdrawn; what a dead one mapped can. */
static void friend_dies(void)
{
    struct belfry_domain info;
    struct evtchn_status st = { .dom = DOMID_SELF, .port = port };

    CHECK_EQ(grant_end(ref), 0);
    CHECK_EQ(grant_end(ref_ro), -EBUSY);
    meet_go(fm, GO_END);
    CHECK(child_wait(&friend, 5000000000, &info));
    CHECK_EQ(info.reason, SHUTDOWN_poweroff);
    grant_unmap(&fmap);
    child_destroy(&friend);
    CHECK(!domain_info(friend.id, &info));
    CHECK_EQ(grant_end(ref_ro), 0);
    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_status, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_unbound);
    CHECK_EQ(event_send(port), 0); /* to nobody */
    CHECK_EQ(event_close(port), 0);
    check_audit("after the friend's death");
}

/* A domain that we map a page of is listed until we let go (D4). */
static void mapped_zombie(void)
{
    struct belfry_domain info;
    uint64_t free_before;

    child_detach(&stranger);
    CHECK_EQ(domain_control(stranger.id, stranger.generation,
                            BELFRY_CONTROL_DESTROY), 0);
    if (CHECK(domain_info(stranger.id, &info)))
        CHECK_EQ(info.state, BELFRY_STATE_DYING);
    CHECK_EQ(sm->magic, MEET_MAGIC); /* our mapping is good to the end */
    check_audit("with a zombie");
    free_before = machine_free_pages();
    grant_unmap(&smap);
    CHECK(machine_free_pages() > free_before);
    CHECK(!domain_info(stranger.id, &info));
}

int guest_main(void)
{
    if (!guest.initial)
        return child_main();
    test_needs_belfry("pair");
    set_up();
    run_stranger();
    ring_and_answer();
    friend_dies();
    mapped_zombie();
    test_end("pair");
}
