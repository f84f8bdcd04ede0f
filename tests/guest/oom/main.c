/*
 * Defends: when memory runs out at any step of the creation of a domain, or
 * of what it asks for while it runs, that is an error; all comes back, and
 * nothing is half done (D6, E9, G14).
 *
 * Domains that never run take what the machine has.  The parent gives its
 * own pages back one by one, and tries to create `victim` with each number of
 * free pages until that is enough; then the victim asks for ports, grant
 * table frames and mapping records, again with each small number of pages.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define GIVEN    3000u /* pages that the parent can do without */
#define SMALLEST 1200u /* what h4 takes, and a little more */
#define HUNGERS  24u   /* numbers of free pages that the victim runs with */
#define SECOND   1000000000ull

enum { OUT_PORTS, OUT_FRAMES, OUT_MAPS };

/* ---- The victim. ---- */

static uint64_t open_ports(void)
{
    struct evtchn_alloc_unbound op;
    uint64_t n = 0;

    for (;; n++) {
        op = (struct evtchn_alloc_unbound){ .dom = DOMID_SELF,
                                            .remote_dom = 0 };
        if (hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &op) != 0)
            return n;
    }
}

/* Frames of the grant table, one more at a time. */
static uint64_t grow_table(void)
{
    static uint64_t frames[64];
    struct gnttab_setup_table op;

    for (unsigned int n = 1; n <= 64; n++) {
        op = (struct gnttab_setup_table){ .dom = DOMID_SELF, .nr_frames = n };
        set_xen_guest_handle(op.frame_list, frames);
        if (hypercall_grant_table_op(GNTTABOP_setup_table, &op, 1) != 0 ||
            op.status != GNTST_okay)
            return n - 1;
    }
    return 64;
}

/* One page of our own, as often as there are records; nowhere (device maps
 * touch no page table). */
static uint64_t map_often(void)
{
    int ref = grant_access(guest.domid, page_alloc(), false);
    struct gnttab_map_grant_ref op;

    for (uint64_t n = 0;; n++) {
        op = (struct gnttab_map_grant_ref){
            .flags = GNTMAP_device_map, .ref = (grant_ref_t)ref,
            .dom = guest.domid
        };
        if (hypercall_grant_table_op(GNTTABOP_map_grant_ref, &op, 1) != 0 ||
            op.status != GNTST_okay)
            return n;
    }
}

_Noreturn static void child_main(void)
{
    static uint64_t (*const ask[])(void) = { open_ports, grow_table,
                                             map_often };
    struct meet *m = meet_offer();

    meet_wait(m);
    for (unsigned int i = 0; i < 3; i++) {
        unsigned int which = (unsigned int)(m->in[0] + i) % 3;

        m->out[which] = ask[which]();
    }
    store_release(&m->beats, 1);
    for (;;)
        sleep_ns(SECOND);
}

/* ---- The parent. ---- */

static uint64_t given[GIVEN];
static unsigned int nr_given;

static long reserve(unsigned int cmd, uint64_t *frames, unsigned int n)
{
    struct xen_memory_reservation op = { .nr_extents = n,
                                         .domid = DOMID_SELF };

    set_xen_guest_handle(op.extent_start, frames);
    return hypercall_memory_op(cmd, &op);
}

/* Leave the machine one page more. */
static void give_one(void)
{
    void *page = page_alloc();
    xen_pfn_t mfn = virt_to_mfn(page);

    BUG_ON(nr_given == GIVEN);
    given[nr_given] = ((uint64_t)page - guest.start->pt_base) >> PAGE_SHIFT;
    CHECK_EQ(hypercall_update_va_mapping(page, 0, UVMF_INVLPG), 0);
    CHECK_EQ(reserve(XENMEM_decrease_reservation, &mfn, 1), 1);
    nr_given++;
}

/* Take back what there is, up to all that was given. */
static void take_back(void)
{
    static uint64_t frames[GIVEN];

    memcpy(frames, given, sizeof(frames));
    nr_given -= (unsigned int)reserve(XENMEM_populate_physmap, frames,
                                      nr_given);
}

static void fill_the_machine(void)
{
    static const char *const names[] = { "h256", "h128", "h64", "h32",
                                         "h16",  "h8",   "h4" };
    struct belfry_create op;

    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        op = (struct belfry_create)BELFRY_ARG(belfry_create);
        string_copy(op.name, names[i], sizeof(op.name));
        hypercall_belfry_op(BELFRYOP_create, &op); /* as far as it goes */
    }
}

/* False: there was not enough, and nothing is different. */
static bool try_to_create(struct belfry_create *op)
{
    uint64_t before = machine_free_pages();
    long rc;

    *op = (struct belfry_create)BELFRY_ARG(belfry_create);
    string_copy(op->name, "victim", sizeof(op->name));
    rc = hypercall_belfry_op(BELFRYOP_create, op);
    if (rc == 0)
        return true;
    CHECK_EQ(rc, -ENOMEM);
    CHECK(op->text[0] != 0);
    CHECK_EQ(machine_free_pages(), before);
    return false;
}

static void create_with_each_number(struct belfry_create *op)
{
    unsigned int tries = 0;

    while (!try_to_create(op)) {
        give_one();
        if (++tries % 256 == 0)
            check_audit("while memory is short");
    }
    printf("the victim takes %u pages\n", tries);
    CHECK(tries > 700);
}

/* The victim's life with @hunger pages left in the machine. */
static void run_hungry(struct belfry_create *op, unsigned int hunger)
{
    uint64_t deadline = clock_now() + 20 * SECOND;
    struct grant_mapping mapping;
    struct meet *m;

    CHECK_EQ(domain_control(op->id, op->generation, BELFRY_CONTROL_UNPAUSE),
             0);
    m = meet_find(op->id, &mapping);
    if (!CHECK(m))
        return;
    while (machine_free_pages() > hunger && nr_given > 0) {
        unsigned int left = nr_given;

        take_back();
        if (nr_given == left)
            break;
    }
    while (machine_free_pages() < hunger)
        give_one();
    m->in[0] = hunger; /* which of the three it asks for first */
    meet_go(m, 1);
    while (m->beats == 0 && clock_now() < deadline)
        sleep_ns(1000000);
    CHECK_EQ(m->beats, 1);
    if (hunger > HUNGERS - 4)
        printf("with %u pages: %lu ports, %lu frames, %lu mappings\n", hunger,
               m->out[OUT_PORTS], m->out[OUT_FRAMES], m->out[OUT_MAPS]);
    check_audit("with a hungry domain");
    grant_unmap(&mapping);
    CHECK_EQ(domain_control(op->id, op->generation, BELFRY_CONTROL_DESTROY),
             0);
}

int guest_main(void)
{
    struct belfry_create op;

    if (!guest.initial)
        child_main();
    test_needs_belfry("oom");
    child_rehearse("victim");
    for (unsigned int i = 0; i < SMALLEST; i++)
        give_one();
    fill_the_machine();
    take_back(); /* what was too little for the smallest */
    CHECK_EQ(machine_free_pages(), 0);
    create_with_each_number(&op);
    for (unsigned int hunger = 0; hunger < HUNGERS; hunger++) {
        run_hungry(&op, hunger);
        while (!try_to_create(&op))
            give_one();
    }
    CHECK_EQ(domain_control(op.id, op.generation, BELFRY_CONTROL_DESTROY), 0);
    test_end("oom");
}
