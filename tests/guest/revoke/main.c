/*
 * Defends: whoever grants a page gets it back by the deadline it sets,
 * whatever the domain that maps it does or has become; and who maps is told,
 * in time and by name, keeps its balance, and never sees what the page holds
 * afterwards (G21, G22, G23, G24).
 *
 * The mapper is a child that maps the parent's page and then behaves as it is
 * told.  The parent has the larger priority, but sleeps while it waits.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

#define MS       1000000ull
#define PATIENCE (20 * MS)   /* what the mapper gets */
#define SLACK    (2000 * MS) /* what a busy host may add */
#define LOOK     (500 * MS)  /* for what is looked at before a deadline */
#define OLD      0x1111111111111111ull
#define NEW      0x2222222222222222ull
#define MANY     200u

/* What the mapper is told to be, in go. */
enum { OBEDIENT = 1, STUBBORN, NAKED, DEAD, HOARDER, HIDER };
/* in[]: */
enum { IN_REF, IN_STOP };
/* out[]: */
enum {
    OUT_MAPPED, /* 1, then 2 at its end */
    OUT_HANDLE,
    OUT_ADDRESS,
    OUT_NOTICES, /* of such as are pending */
    OUT_NOTICED_HANDLE,
    OUT_NOTICED_REF,
    OUT_NOTICED_GRANTER,
    OUT_NOTICED_GENERATION,
    OUT_NOTICED_DEADLINE,
    OUT_TAKEN, /* notices of such as were taken */
    OUT_FAULTS,
    OUT_FAULT_ADDRESS,
    OUT_SEEN_NEW, /* reads that saw what they must not */
    OUT_LOST,
    OUT_FIRST_UNMAP,
    OUT_SECOND_UNMAP,
};

/* ---- The mapper. ---- */

static struct meet *meet;
static struct grant_mapping mapping;

static void noticed(const struct belfry_notice *n)
{
    if (n->state == BELFRY_REVOKE_TAKEN) {
        meet->out[OUT_TAKEN]++;
        return;
    }
    meet->out[OUT_NOTICES]++;
    meet->out[OUT_NOTICED_HANDLE] = n->handle;
    meet->out[OUT_NOTICED_REF] = n->ref;
    meet->out[OUT_NOTICED_GRANTER] = n->granter;
    meet->out[OUT_NOTICED_GENERATION] = n->granter_generation;
    meet->out[OUT_NOTICED_DEADLINE] = n->deadline;
}

static int unmap(uint64_t host, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref op = { .host_addr = host, .handle = handle,
                                         .status = 77 };

    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1), 0);
    return op.status;
}

static void report_mapped(void)
{
    meet->out[OUT_HANDLE] = mapping.handle[0];
    meet->out[OUT_ADDRESS] = (uint64_t)mapping.address;
    store_release(&meet->out[OUT_MAPPED], 1);
}

static void map_it(void)
{
    grant_ref_t ref = (grant_ref_t)meet->in[IN_REF];

    CHECK_EQ(grant_map(0, &ref, 1, false, &mapping), 0);
    report_mapped();
}

static void obey(void)
{
    while (meet->out[OUT_NOTICES] == 0)
        event_wait();
    grant_unmap(&mapping);
}

/* Reads until it is told to stop, and only then looks what has rung. */
static void read_on(void)
{
    const volatile uint64_t *word = mapping.address;

    while (!meet->in[IN_STOP]) {
        meet->out[OUT_SEEN_NEW] += *word == NEW;
        meet->beats++;
    }
    meet->out[OUT_LOST] = grant_is_lost(&mapping);
    event_poll();
    grant_unmap(&mapping);
}

/* The runtime's help refused: the fault as the ABI has it. */
static bool caught(struct trap_regs *regs)
{
    meet->out[OUT_FAULTS]++;
    meet->out[OUT_FAULT_ADDRESS] = trap_cr2();
    regs->rip += 3; /* the load below */
    return true;
}

static void fault_on(void)
{
    trap_catch(14, caught);
    while (!meet->in[IN_STOP]) {
        uint64_t value = 0;

        __asm__ volatile("movq (%1), %0" : "=a"(value) : "b"(mapping.address));
        meet->out[OUT_SEEN_NEW] += value == NEW;
        meet->beats++;
    }
    trap_catch(14, NULL);
    event_poll();
    meet->out[OUT_FIRST_UNMAP] =
        (uint64_t)unmap((uint64_t)mapping.address, mapping.handle[0]);
    meet->out[OUT_SECOND_UNMAP] =
        (uint64_t)unmap((uint64_t)mapping.address, mapping.handle[0]);
}

/* The page many times, every other one by the entry's machine address. */
static void hoard(void)
{
    static struct gnttab_map_grant_ref op[MANY];
    uint64_t *pages = pages_alloc(MANY);
    unsigned int there = 0;

    for (unsigned int i = 0; i < MANY; i++) {
        char *page = (char *)pages + i * PAGE_SIZE;
        bool by_entry = i % 2;

        op[i] = (struct gnttab_map_grant_ref){
            .host_addr = by_entry ? virt_to_maddr(table_entry(page, 1))
                                  : (uint64_t)page,
            .flags = GNTMAP_host_map | (by_entry ? GNTMAP_contains_pte : 0) |
                     (i % 3 ? 0 : GNTMAP_device_map),
            .ref = (grant_ref_t)meet->in[IN_REF],
        };
    }
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_map_grant_ref, op, MANY), 0);
    for (unsigned int i = 0; i < MANY; i++)
        CHECK_EQ(op[i].status, 0);
    store_release(&meet->out[OUT_MAPPED], 1);
    while (!meet->in[IN_STOP])
        sleep_ns(MS);
    for (unsigned int i = 0; i < MANY; i++)
        there += *table_entry((char *)pages + i * PAGE_SIZE, 1) != 0;
    CHECK_EQ(there, 0);
    for (unsigned int i = 0; i < MANY; i++)
        CHECK_EQ(unmap(op[i].host_addr, op[i].handle), 0);
}

/* unmap_and_replace moves entries: not those that a record leads to. */
static void hide(void)
{
    grant_ref_t ref = (grant_ref_t)meet->in[IN_REF];
    struct gnttab_unmap_and_replace op = { .status = 77 };
    struct grant_mapping other;

    CHECK_EQ(grant_map(0, &ref, 1, false, &other), 0);
    op.host_addr = (uint64_t)other.address;
    op.handle = other.handle[0];
    op.new_addr = (uint64_t)mapping.address;
    CHECK_EQ(hypercall_grant_table_op(GNTTABOP_unmap_and_replace, &op, 1), 0);
    CHECK_EQ(op.status, GNTST_general_error);
    /* Its own entry it may overwrite, as on Xen; the record remains. */
    CHECK_EQ(hypercall_update_va_mapping(other.address, 0, UVMF_INVLPG), 0);
    read_on();
}

_Noreturn static void child_main(void)
{
    uint64_t what;

    meet = meet_offer();
    what = meet_wait(meet);
    CHECK_EQ(grant_on_notice(noticed), 0);
    if (what != HOARDER)
        map_it();
    switch (what) {
    case OBEDIENT:
        obey();
        break;
    case STUBBORN:
        read_on();
        break;
    case NAKED:
        fault_on();
        break;
    case DEAD:
        guest_exit(1);
    case HOARDER:
        hoard();
        break;
    default:
        hide();
        break;
    }
    meet->faults = test_failures;
    store_release(&meet->out[OUT_MAPPED], 2);
    for (;;)
        event_wait();
}

/* ---- The parent. ---- */

static uint64_t *page;
static struct child child;
static struct grant_mapping meeting;

static bool wait_for(uint64_t mapped)
{
    uint64_t deadline = clock_now() + 10000 * MS;

    while (load_acquire(&meet->out[OUT_MAPPED]) < mapped &&
           clock_now() < deadline)
        sleep_ns(MS / 2);
    return CHECK(meet->out[OUT_MAPPED] >= mapped);
}

/* A mapper that is what @what says, and has mapped; the reference. */
static grant_ref_t begin(uint64_t what)
{
    int ref;

    meet = NULL;
    if (!child_start(&child, "mapper"))
        return 0;
    meet = meet_find(child.id, &meeting);
    ref = grant_access((domid_t)child.id, page, false);
    if (!CHECK(meet) || !CHECK(ref > 0))
        return 0;
    page[0] = OLD;
    meet->in[IN_REF] = (uint64_t)ref;
    meet_go(meet, what);
    if (wait_for(1))
        CHECK_EQ(grant_end((grant_ref_t)ref), -EBUSY);
    return (grant_ref_t)ref;
}

static void end(void)
{
    if (meet)
        grant_unmap(&meeting);
    child_destroy(&child);
    check_audit("after an end");
}

static void stop_mapper(void)
{
    meet->in[IN_STOP] = 1;
    wait_for(2);
    CHECK_EQ(meet->faults, 0);
}

static void the_notice_names_the_grant(grant_ref_t ref, uint64_t deadline)
{
    CHECK(meet->out[OUT_NOTICES] > 0);
    CHECK_EQ(meet->out[OUT_NOTICED_HANDLE], meet->out[OUT_HANDLE]);
    CHECK_EQ(meet->out[OUT_NOTICED_REF], ref);
    CHECK_EQ(meet->out[OUT_NOTICED_GRANTER], guest.domid);
    CHECK_EQ(meet->out[OUT_NOTICED_GENERATION], guest.generation);
    CHECK_EQ(meet->out[OUT_NOTICED_DEADLINE], deadline);
}

/* Long before the deadline. */
static void an_obedient_mapper_gives_it_back(void)
{
    uint64_t deadline = clock_now() + 3600000 * MS;
    grant_ref_t ref = begin(OBEDIENT);

    CHECK_EQ(grant_revoke(ref, deadline), 0);
    wait_for(2);
    the_notice_names_the_grant(ref, deadline);
    CHECK_EQ(meet->out[OUT_TAKEN], 0);
    end();
}

static void in_time(uint64_t began)
{
    uint64_t took = clock_now() - began;

    CHECK(took >= PATIENCE);
    CHECK(took < PATIENCE + SLACK);
}

/* The page is the parent's alone: what it writes now the mapper never sees. */
static void page_is_ours(void)
{
    uint64_t beats = meet->beats;

    page[0] = NEW;
    sleep_ns(10 * MS);
    CHECK_EQ(page[0], NEW);
    CHECK(meet->beats > beats);
    CHECK_EQ(meet->out[OUT_SEEN_NEW], 0);
}

static void a_stubborn_mapper_loses_it(void)
{
    grant_ref_t ref = begin(STUBBORN);
    uint64_t began = clock_now();

    CHECK_EQ(grant_revoke(ref, began + PATIENCE), 0);
    in_time(began);
    page_is_ours();
    stop_mapper();
    CHECK_EQ(meet->out[OUT_LOST], 1);
    CHECK_EQ(meet->out[OUT_NOTICES], 0); /* it never looked */
    CHECK_EQ(meet->out[OUT_TAKEN], 1);
    end();
}

static void its_access_is_a_page_fault(void)
{
    grant_ref_t ref = begin(NAKED);
    uint64_t began = clock_now();

    CHECK_EQ(grant_revoke(ref, began + PATIENCE), 0);
    in_time(began);
    page_is_ours();
    stop_mapper();
    CHECK(meet->out[OUT_FAULTS] > 0);
    CHECK_EQ(meet->out[OUT_FAULT_ADDRESS], meet->out[OUT_ADDRESS]);
    CHECK_EQ(meet->out[OUT_TAKEN], 1);
    CHECK_EQ(meet->out[OUT_FIRST_UNMAP], GNTST_okay);
    CHECK_EQ(meet->out[OUT_SECOND_UNMAP], GNTST_bad_handle);
    end();
}

/* Its deadline is now, whatever was said. */
static void a_dead_mapper_pins_nothing(void)
{
    grant_ref_t ref = begin(DEAD);
    struct belfry_domain info;

    if (CHECK(child_wait(&child, 5000 * MS, &info)))
        CHECK_EQ(info.reason, SHUTDOWN_crash);
    CHECK_EQ(grant_end(ref), -EBUSY);

    uint64_t began = clock_now();

    CHECK_EQ(grant_revoke(ref, began + 3600000 * MS), 0);
    CHECK(clock_now() - began < SLACK);
    end();
}

static void many_mappings_go_too(void)
{
    grant_ref_t ref = begin(HOARDER);
    uint64_t began = clock_now();

    CHECK_EQ(grant_revoke(ref, began + PATIENCE), 0);
    CHECK(clock_now() - began >= PATIENCE);
    stop_mapper();
    end();
}

static void a_mapping_cannot_be_hidden(void)
{
    grant_ref_t ref = begin(HIDER);
    uint64_t began = clock_now();

    sleep_ns(5 * MS); /* it plays its tricks */
    CHECK_EQ(grant_revoke(ref, began + PATIENCE), 0);
    page_is_ours();
    stop_mapper();
    CHECK_EQ(meet->out[OUT_LOST], 1);
    end();
}

/* ---- What is refused, by a domain that grants to itself. ---- */

static long revoke(uint32_t ref, uint64_t deadline, uint32_t *state)
{
    struct belfry_revoke op = BELFRY_ARG(belfry_revoke, .ref = ref,
                                         .state = 77, .deadline = deadline);
    long rc = hypercall_belfry_op(BELFRYOP_revoke, &op);

    *state = op.state;
    return rc;
}

static unsigned int ended(struct belfry_revocation *last)
{
    static struct belfry_revocation all[BELFRY_REVOCATIONS];
    struct belfry_revoked op =
        BELFRY_ARG(belfry_revoked, .count = BELFRY_REVOCATIONS,
                   .item_size = sizeof(all[0]), .revocations = all);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_revoked, &op), 0);
    if (op.count)
        *last = all[op.count - 1];
    return op.count;
}

static void nobody_needs_to_wait_for_nobody(void)
{
    struct belfry_revocation last;
    int ref = grant_access(guest.domid, page, false);
    struct grant_mapping m;
    uint32_t state;

    CHECK_EQ(revoke((uint32_t)ref, 0, &state), 0);
    CHECK_EQ(state, BELFRY_REVOKE_UNUSED);
    CHECK_EQ(grant_map(guest.domid, (grant_ref_t *)&ref, 1, false, &m), -EIO);
    CHECK_EQ(ended(&last), 0);
    CHECK_EQ(grant_end((grant_ref_t)ref), 0);
    CHECK_EQ(revoke(512 * 64, 0, &state), -EINVAL);
}

/* While it is pending nothing new begins, and the deadline stands. */
static void a_pending_one_lets_nothing_begin(void)
{
    int ref = grant_access(guest.domid, page, false);
    struct grant_mapping m, second;
    struct belfry_revocation last;
    uint64_t word;
    uint32_t state;

    CHECK_EQ(grant_map(guest.domid, (grant_ref_t *)&ref, 1, false, &m), 0);
    CHECK_EQ(revoke((uint32_t)ref, clock_now() + LOOK, &state), 0);
    CHECK_EQ(state, BELFRY_REVOKE_PENDING);
    CHECK_EQ(revoke((uint32_t)ref, 0, &state), 0);
    CHECK_EQ(grant_map(guest.domid, (grant_ref_t *)&ref, 1, false, &second),
             -EIO);
    CHECK_EQ(grant_copy_from(guest.domid, (grant_ref_t)ref, 0, &word, 8), -EIO);
    CHECK_EQ(*(uint64_t *)m.address, page[0]);
    CHECK_EQ(ended(&last), 0);
    check_audit("while a revocation is pending");
    sleep_ns(LOOK + 5 * MS);
    CHECK(grant_is_lost(&m));
    CHECK_EQ(ended(&last), 1);
    CHECK_EQ(last.state, BELFRY_REVOKE_TAKEN);
    CHECK_EQ(last.ref, ref);
    CHECK_EQ(last.peer, guest.domid);
    CHECK_EQ(last.peer_generation, guest.generation);
    CHECK_EQ(ended(&last), 0);
    grant_unmap(&m);
    CHECK_EQ(grant_end((grant_ref_t)ref), 0);
}

static void so_many_and_no_more(void)
{
    static grant_ref_t refs[BELFRY_REVOCATIONS + 1];
    static struct grant_mapping m[BELFRY_REVOCATIONS + 1];
    struct belfry_revocation last;
    uint32_t state;

    for (unsigned int i = 0; i <= BELFRY_REVOCATIONS; i++) {
        refs[i] = (grant_ref_t)grant_access(guest.domid, page, false);
        CHECK_EQ(grant_map(guest.domid, &refs[i], 1, false, &m[i]), 0);
        CHECK_EQ(revoke(refs[i], clock_now() + 3600000 * MS, &state),
                 i < BELFRY_REVOCATIONS ? 0 : -ENOSPC);
    }
    for (unsigned int i = 0; i <= BELFRY_REVOCATIONS; i++) {
        grant_unmap(&m[i]);
        CHECK_EQ(grant_end(refs[i]), 0);
    }
    CHECK_EQ(ended(&last), BELFRY_REVOCATIONS);
    CHECK_EQ(last.state, BELFRY_REVOKE_RELEASED);
}

int guest_main(void)
{
    if (!guest.initial)
        child_main();
    test_needs_belfry("revoke");
    page = page_alloc();
    child_rehearse("mapper");
    nobody_needs_to_wait_for_nobody();
    a_pending_one_lets_nothing_begin();
    so_many_and_no_more();

    uint64_t before = machine_free_pages();

    an_obedient_mapper_gives_it_back();
    a_stubborn_mapper_loses_it();
    its_access_is_a_page_fault();
    a_dead_mapper_pins_nothing();
    many_mappings_go_too();
    a_mapping_cannot_be_hidden();
    CHECK_EQ(machine_free_pages(), before);
    test_end("revoke");
}
