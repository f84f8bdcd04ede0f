/*
 * The guest runtime against a hypervisor: what every other guest builds on.
 *
 * Runs as the initial domain, on Belfry and on Xen alike, and so compares the
 * two.  Each part is named after what it defends.
 */
#include "tests/guest/test.h"

#define MS 1000000ull

/* ---- Memory. ---- */

static void pages_come_back(void)
{
    size_t before = pages_available();
    uint64_t *a = page_alloc(), *b = page_alloc(), *run = pages_alloc(5);

    CHECK(a != b && a[0] == 0 && b[511] == 0);
    CHECK(run && pages_available() == before - 7);
    memset(run, 0xff, 5 * PAGE_SIZE);
    pages_free(run, 5);
    page_free(a);
    page_free(b);
    CHECK(pages_available() == before);
    run = pages_alloc(5);
    CHECK(run[0] == 0 && run[5 * 512 - 1] == 0);
    pages_free(run, 5);
    CHECK(!pages_alloc((unsigned int)before + 1));
}

/* Every page that the builder gave can be taken, written and read. */
static void all_memory_is_usable(void)
{
    size_t count = 0, before = pages_available();
    uint64_t *last = NULL, *page;

    while ((page = page_try_alloc()) != NULL) {
        page[0] = (uint64_t)last;
        page[511] = (uint64_t)page;
        last = page;
        count++;
    }
    CHECK(count == before);
    while (last) {
        page = last;
        CHECK(page[511] == (uint64_t)page);
        last = (uint64_t *)page[0];
        page_free(page);
    }
    CHECK(pages_available() == before);
}

static size_t object_size(unsigned int i)
{
    return 1 + i * 13 % 3000;
}

static bool all_bytes_are(const char *p, size_t n, char value)
{
    while (n > 0 && p[n - 1] == value)
        n--;
    return n == 0;
}

static void small_objects_come_back(void)
{
    static char *object[500];
    size_t before = pages_available();

    for (unsigned int round = 0; round < 2; round++) {
        for (unsigned int i = round; i < 500; i += 1 + round) {
            object[i] = mem_alloc(object_size(i));
            CHECK((uint64_t)object[i] % 16 == 0);
            CHECK(all_bytes_are(object[i], object_size(i), 0));
            memset(object[i], (int)i, object_size(i));
        }
        /* The second round goes into the holes that this leaves. */
        for (unsigned int i = 1; i < 500 && round == 0; i += 2)
            mem_free(object[i]);
    }
    for (unsigned int i = 0; i < 500; i++) {
        CHECK(all_bytes_are(object[i], object_size(i), (char)i));
        mem_free(object[i]);
    }
    CHECK(pages_available() == before);
}

/* ---- Traps. ---- */

static uint64_t resume_at;
static unsigned int faults;

static bool skip_fault(struct trap_regs *regs)
{
    faults++;
    regs->rip = resume_at;
    return true;
}

/* Does a write to @address fault?  Then it has not happened. */
static bool write_faults(void *address)
{
    unsigned int before = faults;

    trap_catch(14, skip_fault);
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, %0\n\t"
                     "movb $0, (%1)\n"
                     "1:"
                     : "=m"(resume_at)
                     : "r"(address)
                     : "rax", "memory");
    trap_catch(14, NULL);
    return faults != before && trap_cr2() == (uint64_t)address;
}

static bool count_trap(struct trap_regs *regs)
{
    faults += regs->vector == 3;
    return true;
}

static void traps_can_be_caught(void)
{
    uint64_t kept = 0x1234567887654321;
    unsigned int before = faults;

    trap_catch(3, count_trap);
    __asm__ volatile("movq %0, %%rcx\n\tmovq %0, %%r11\n\tint3\n\t"
                     "movq %%rcx, %0\n\txorq %%r11, %0"
                     : "+r"(kept)
                     :
                     : "rcx", "r11", "cc");
    trap_catch(3, NULL);
    CHECK(faults == before + 1 && kept == 0);
}

static void text_and_guard_are_protected(void)
{
    extern char stack_guard[], text_end[];
    char local;

    CHECK(write_faults((void *)(uintptr_t)guest_main));
    CHECK(write_faults(text_end)); /* constants */
    CHECK(write_faults(stack_guard));
    CHECK(write_faults(stack_guard + PAGE_SIZE - 1));
    CHECK(write_faults(NULL));
    CHECK(!write_faults(&local));
}

/* ---- Events. ---- */

/* A channel from this domain to itself. */
struct loop {
    evtchn_port_t from, to;
    unsigned int rang;
    struct loop *waits_for; /* by its handler */
    bool again;             /* its handler rings it again */
};

static void loop_open(struct loop *l)
{
    *l = (struct loop){ 0 };
    BUG_ON(event_alloc_unbound(DOMID_SELF, &l->to));
    BUG_ON(event_bind_interdomain(DOMID_SELF, l->to, &l->from));
}

static void loop_close(struct loop *l)
{
    CHECK(event_close(l->from) == 0);
    CHECK(event_close(l->to) == 0);
}

static void loop_rang(evtchn_port_t port, void *data)
{
    struct loop *l = data;

    CHECK(port == l->to);
    l->rang++;
    if (l->waits_for)
        event_wait_for(l->waits_for->to);
    if (l->again)
        event_send(l->from);
}

static void rings_reach_handlers(void)
{
    struct loop l;

    loop_open(&l);
    CHECK(event_handle(l.to, loop_rang, &l) == 0);
    while (event_poll())
        ;
    l.rang = 0;
    CHECK(event_send(l.from) == 0 && l.rang == 0);
    CHECK(event_poll() && l.rang == 1);
    CHECK(!event_poll() && l.rang == 1);
    for (unsigned int i = 0; i < 5000; i++) {
        event_send(l.from);
        event_wait();
    }
    CHECK(l.rang == 5001);
    loop_close(&l);
    CHECK(event_send(l.from) == -EINVAL);
}

static void rings_without_handler_are_kept(void)
{
    struct loop l;

    loop_open(&l);
    CHECK(event_unmask(l.to) == 0);
    event_take(l.to);
    CHECK(!event_take(l.to));
    event_send(l.from);
    event_send(l.from);
    CHECK(event_take(l.to) && !event_take(l.to));
    event_send(l.from);
    CHECK(event_poll());
    CHECK(event_take(l.to));
    event_send(l.from);
    event_wait_for(l.to);
    CHECK(!event_take(l.to));
    loop_close(&l);
}

static void masked_rings_come_later(void)
{
    struct loop l;

    loop_open(&l);
    event_handle(l.to, loop_rang, &l);
    event_poll();
    l.rang = 0;
    event_mask(l.to);
    event_send(l.from);
    CHECK(!event_poll() && l.rang == 0);
    event_unmask(l.to);
    CHECK(event_poll() && l.rang == 1);
    loop_close(&l);
}

/* The ring that the handler waits for was taken from the hypervisor in the
 * same turn as its own. */
static void handlers_may_wait(void)
{
    struct loop a, b;

    loop_open(&a);
    loop_open(&b);
    event_handle(a.to, loop_rang, &a);
    event_unmask(b.to);
    event_poll();
    event_take(b.to);
    a.rang = 0;
    a.waits_for = &b;
    event_send(a.from);
    event_send(b.from);
    CHECK(event_poll() && a.rang == 1);
    CHECK(!event_take(b.to));
    loop_close(&a);
    loop_close(&b);
}

static void a_storm_keeps_nobody_waiting(void)
{
    struct loop storm, calm;

    loop_open(&storm);
    loop_open(&calm);
    event_handle(storm.to, loop_rang, &storm);
    event_handle(calm.to, loop_rang, &calm);
    event_poll();
    storm.rang = calm.rang = 0;
    storm.again = true;
    event_send(storm.from);
    event_send(calm.from);
    CHECK(event_poll() && storm.rang == 1 && calm.rang == 1);
    loop_close(&storm);
    loop_close(&calm);
}

/* However slow this machine is: the second ring does not come before the
 * second credit. */
static void a_limit_delays_and_loses_nothing(void)
{
    const uint64_t interval = 20000000;
    uint64_t begun = clock_now();
    struct loop l;

    loop_open(&l);
    CHECK(event_unmask(l.to) == 0);
    event_take(l.to);
    if (!guest.on_belfry) {
        CHECK(event_limit(l.to, 1, interval) == -ENOSYS);
        loop_close(&l);
        return;
    }
    CHECK(event_limit(l.to, 1, interval) == 0);
    event_send(l.from);
    CHECK(event_take(l.to));
    for (unsigned int i = 0; i < 10; i++)
        event_send(l.from);
    if (!event_take(l.to))
        event_wait_for(l.to);
    CHECK(clock_now() - begun >= interval);
    CHECK(event_limit(l.to, 1, 0) == -EINVAL);
    CHECK(event_limit(l.to, 0, 0) == 0);
    event_take(l.to);
    event_send(l.from);
    CHECK(event_take(l.to));
    loop_close(&l);
    CHECK(event_limit(l.to, 1, interval) == -EINVAL);
}

static void the_end_of_a_peer_rings(void)
{
    struct loop l;

    loop_open(&l);
    CHECK(event_unmask(l.from) == 0);
    event_take(l.from);
    CHECK(event_notice(l.from) == (guest.on_belfry ? 0 : -ENOSYS));
    CHECK(event_close(l.to) == 0);
    CHECK(event_take(l.from) == guest.on_belfry);
    CHECK(event_send(l.from) == (guest.on_belfry ? -EPIPE : 0));
    CHECK(event_close(l.from) == 0);
}

static void ipis_arrive(void)
{
    evtchn_port_t port;

    CHECK(event_bind_ipi(&port) == 0);
    CHECK(event_unmask(port) == 0);
    CHECK(!event_take(port));
    CHECK(event_send(port) == 0);
    event_wait_for(port);
    CHECK(event_close(port) == 0);
}

/* ---- Time. ---- */

static void the_clock_goes_on(void)
{
    uint64_t last = clock_now(), seconds;
    uint32_t nanoseconds;

    for (unsigned int i = 0; i < 100000; i++) {
        uint64_t now = clock_now();

        if (now < last) {
            CHECK(!"clock_now goes back");
            break;
        }
        last = now;
    }
    clock_wall(&seconds, &nanoseconds);
    CHECK(seconds > 1577836800); /* 2020 */
    CHECK(nanoseconds < 1000000000);
}

static void sleep_lasts_as_long(void)
{
    uint64_t begin = clock_now(), took;

    sleep_ns(20 * MS);
    took = clock_now() - begin;
    CHECK(took >= 20 * MS && took < 500 * MS);
    CHECK(!event_wait_until(clock_now() + MS));
    CHECK(!event_wait_until(clock_now()));
    CHECK(!event_wait_until(0));
}

/* Deadlines that pass just before, while and after the vCPU goes to sleep:
 * one lost wake-up and this never ends. */
static void no_wakeup_is_lost(void)
{
    for (unsigned int i = 0; i < 1000; i++)
        CHECK(!event_wait_until(clock_now() + i % 50 * 1000));
}

static void a_ring_ends_a_sleep(void)
{
    struct loop l;

    loop_open(&l);
    event_handle(l.to, loop_rang, &l);
    event_poll();
    event_send(l.from);
    CHECK(event_wait_until(clock_now() + 10000 * MS));
    loop_close(&l);
}

/* ---- Grants. ---- */

static void a_grant_shows_the_page(void)
{
    char *page = page_alloc();
    struct grant_mapping m;
    grant_ref_t ref = (grant_ref_t)grant_access(guest.domid, page, false);

    CHECK(ref >= 8);
    CHECK(grant_map(guest.domid, &ref, 1, false, &m) == 0);
    string_copy(m.address, "through the grant", 32);
    CHECK(!strcmp(page, "through the grant"));
    CHECK(grant_end(ref) == -EBUSY);
    grant_unmap(&m);
    CHECK(grant_end(ref) == 0);
    CHECK(grant_map(guest.domid, &ref, 1, false, &m) != 0);
    page_free(page);
}

static void a_readonly_grant_is_readonly(void)
{
    char *page = page_alloc();
    struct grant_mapping m;
    grant_ref_t ref = (grant_ref_t)grant_access(guest.domid, page, true);

    CHECK(grant_map(guest.domid, &ref, 1, false, &m) == -EACCES || !m.address);
    CHECK(grant_map(guest.domid, &ref, 1, true, &m) == 0);
    page[7] = 'x';
    CHECK(((char *)m.address)[7] == 'x');
    CHECK(write_faults((char *)m.address + 7) && page[7] == 'x');
    grant_unmap(&m);
    CHECK(grant_end(ref) == 0);
    page_free(page);
}

static void a_failed_batch_leaves_nothing_mapped(void)
{
    grant_ref_t refs[4];
    char *pages = pages_alloc(4);
    struct grant_mapping m;

    for (unsigned int i = 0; i < 4; i++)
        refs[i] = (grant_ref_t)grant_access(guest.domid, pages + i * PAGE_SIZE,
                                            false);
    CHECK(grant_end(refs[2]) == 0);
    CHECK(grant_map(guest.domid, refs, 4, false, &m) != 0 && !m.address);
    CHECK(grant_end(refs[0]) == 0);
    CHECK(grant_end(refs[1]) == 0);
    CHECK(grant_end(refs[3]) == 0);
    pages_free(pages, 4);
}

/* More references than a frame of the table holds. */
static void the_grant_table_grows(void)
{
    static int refs[600];
    char *page = page_alloc();
    struct grant_mapping m;
    grant_ref_t last;

    for (unsigned int i = 0; i < 600; i++) {
        refs[i] = grant_access(guest.domid, page, false);
        CHECK(refs[i] >= 8);
    }
    last = (grant_ref_t)refs[599];
    CHECK(last >= 512);
    CHECK(grant_map(guest.domid, &last, 1, false, &m) == 0);
    grant_unmap(&m);
    for (unsigned int i = 0; i < 600; i++)
        CHECK(grant_end((grant_ref_t)refs[i]) == 0);
    page_free(page);
}

static void grants_can_be_copied(void)
{
    char *page = page_alloc(), *own = pages_alloc(2);
    char *across = own + PAGE_SIZE - 10;
    grant_ref_t ref = (grant_ref_t)grant_access(guest.domid, page, false);

    string_copy(across, "twenty bytes of text", 32);
    CHECK(grant_copy_to(guest.domid, ref, 100, across, 21) == 0);
    CHECK(!strcmp(page + 100, "twenty bytes of text"));
    memset(own, 0, 2 * PAGE_SIZE);
    CHECK(grant_copy_from(guest.domid, ref, 100, across, 21) == 0);
    CHECK(!strcmp(across, "twenty bytes of text"));
    CHECK(grant_copy_from(guest.domid, ref, 4090, own, 7) == -EINVAL);
    CHECK(grant_end(ref) == 0);
    CHECK(grant_copy_from(guest.domid, ref, 0, own, 8) != 0);
    page_free(page);
    pages_free(own, 2);
}

/* ---- The rest. ---- */

static void numbers_are_read(void)
{
    uint64_t n;

    CHECK(number_parse("0", &n) && n == 0);
    CHECK(number_parse("18446744073709551615", &n) && n == UINT64_MAX);
    CHECK(number_parse("0xfF", &n) && n == 255);
    CHECK(!number_parse("18446744073709551616", &n));
    CHECK(!number_parse("", &n));
    CHECK(!number_parse("0x", &n));
    CHECK(!number_parse("12a", &n));
}

static void without_a_store_calls_say_so(void)
{
    int error = 0;

    if (store_available())
        return;
    CHECK(!store_read("name", &error) && error == -ENOSYS);
    CHECK(store_write("name", "x") == -ENOSYS);
}

int guest_main(void)
{
    pages_come_back();
    all_memory_is_usable();
    small_objects_come_back();
    traps_can_be_caught();
    text_and_guard_are_protected();
    rings_reach_handlers();
    rings_without_handler_are_kept();
    masked_rings_come_later();
    handlers_may_wait();
    a_storm_keeps_nobody_waiting();
    a_limit_delays_and_loses_nothing();
    the_end_of_a_peer_rings();
    ipis_arrive();
    the_clock_goes_on();
    sleep_lasts_as_long();
    no_wakeup_is_lost();
    a_ring_ends_a_sleep();
    a_grant_shows_the_page();
    a_readonly_grant_is_readonly();
    a_failed_batch_leaves_nothing_mapped();
    the_grant_table_grows();
    grants_can_be_copied();
    numbers_are_read();
    without_a_store_calls_say_so();
    printf("a line longer than the formatter's first buffer: %0300d\n", 7);
    test_end("runtime");
}
