/*
 * Defends: belfry_op does what its header says (hv/abi/belfry.h), to the
 * error code, and a domain that could not be built costs nothing.
 *
 * The lines of grub.cfg after `second` are wrong on purpose: they are left
 * out or refused, each with a sentence, and all else goes on.
 */
#include "tests/guest/parent.h"

#include <xen/memory.h>

static struct child worker;

/* ---- The rules of size and version. ---- */

static void check_sizes(void)
{
    struct {
        struct belfry_machine a;
        uint64_t more;
    } big = { .a = BELFRY_ARG(belfry_machine) };
    struct belfry_machine *a = &big.a;
    struct belfry_version version = { .size = sizeof(version), .version = 99 };

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), 0);
    a->version = 2;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), -EPROTO);
    a->version = BELFRY_ABI_VERSION;
    a->size--;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), -EINVAL);
    a->size = sizeof(big);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), 0);
    CHECK_EQ(a->size, sizeof(big));
    big.more = 1ull << 63;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), -E2BIG);
    a->size = UINT32_MAX;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, a), -E2BIG);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_version, &version), 0);
    CHECK_EQ(version.version, BELFRY_ABI_VERSION);
    CHECK_EQ(version.generation, guest.generation);
    CHECK_EQ(strcmp(version.name, "manage"), 0);
}

static void check_addresses(void)
{
    static struct belfry_machine a = BELFRY_ARG(belfry_machine);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, NULL), -EFAULT);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, (void *)~0ul), -EFAULT);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine,
                                 (void *)0xffff830000000000), -EFAULT);
    /* Readable, but no place for a result. */
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine,
                                 (void *)guest.start->pt_base), -EPROTO);
    CHECK_EQ(hypercall_belfry_op(99, &a), -ENOSYS);
    CHECK_EQ(hypercall_belfry_op(UINT32_MAX, &a), -ENOSYS);
}

/* ---- Listings. ---- */

static void check_list(void)
{
    static struct belfry_domain all[4];
    struct belfry_list list = BELFRY_ARG(belfry_list, .count = 4,
                                         .domains = all,
                                         .item_size = sizeof(all[0]));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_list, &list), 0);
    if (!CHECK_EQ(list.count, 2))
        return;
    CHECK_EQ(strcmp(all[0].name, "manage"), 0);
    CHECK_EQ(all[0].state, BELFRY_STATE_RUNNING);
    CHECK_EQ(all[0].reason, BELFRY_REASON_NONE);
    CHECK_EQ(all[0].pages, 32 * 256);
    CHECK_EQ(all[0].priority, 24);
    CHECK(all[0].hypercalls > 0 && all[0].cpu_time > 0);
    CHECK_EQ(strcmp(all[1].name, "second"), 0);
    CHECK_EQ(all[1].state, BELFRY_STATE_PAUSED);
    CHECK_EQ(all[1].store_port, 1);
    CHECK_EQ(all[1].console_port, 2);

    list.first = all[1].id + 1u;
    list.count = 4;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_list, &list), 0);
    CHECK_EQ(list.count, 0);
    list.item_size--;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_list, &list), -EINVAL);
    list.item_size += 2;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_list, &list), -E2BIG);
    list = (struct belfry_list)BELFRY_ARG(belfry_list, .count = 1,
                                          .domains = NULL,
                                          .item_size = sizeof(all[0]));
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_list, &list), -EFAULT);
}

/* Wrong lines and ramdisks are no modules. */
static void check_modules(void)
{
    static struct belfry_module all[16];
    struct belfry_modules list = BELFRY_ARG(belfry_modules, .count = 16,
                                            .item_size = sizeof(all[0]),
                                            .modules = all);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_modules, &list), 0);
    CHECK_EQ(list.count, 7);
    CHECK_EQ(strncmp(all[1].line, "name=worker ", 12), 0);
    CHECK(all[1].image_size > PAGE_SIZE);
    CHECK_EQ(all[1].ramdisk_size, 0);
    list.first = 6;
    list.count = 16;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_modules, &list), 0);
    CHECK_EQ(list.count, 1);
    CHECK_EQ(strncmp(all[0].line, "name=broken ", 12), 0);
}

static void check_log(void)
{
    static char text[8192];
    struct belfry_log log = BELFRY_ARG(belfry_log, .length = sizeof(text) - 1,
                                       .buffer = text);
    uint64_t end;

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_log, &log), 0);
    CHECK(log.length > 100);
    CHECK_EQ(log.position, log.length); /* nothing was overwritten yet */
    CHECK_EQ(text[0], '[');
    end = log.position;
    log.length = sizeof(text);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_log, &log), 0);
    CHECK_EQ(log.length, 0);
    CHECK_EQ(log.position, end);
}

/* ---- Domains that cannot be built. ---- */

static void check_cannot_create(const char *name, long error,
                                const char *beginning)
{
    struct belfry_create create = BELFRY_ARG(belfry_create);
    uint64_t free_pages = machine_free_pages();

    string_copy(create.name, name, sizeof(create.name));
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_create, &create), error);
    if (!CHECK_EQ(strncmp(create.text, beginning, strlen(beginning)), 0))
        printf("    %s: '%s'\n", name, create.text);
    CHECK_EQ(machine_free_pages(), free_pages);
}

static void check_refusals_to_create(void)
{
    struct belfry_create create = BELFRY_ARG(belfry_create);

    check_cannot_create("nobody", -ENOENT, "no module has this name");
    check_cannot_create("wrong", -ENOENT, "no module has this name");
    check_cannot_create("second", -EEXIST, "a domain of the name 'second'");
    check_cannot_create("huge", -ENOMEM, "wants 67108864 KiB of memory, ");
    check_cannot_create("tiny", -ENOMEM, "has 256 KiB of memory, ");
    check_cannot_create("nowhere", -EINVAL, "cpus= names none of this");
    check_cannot_create("broken", -ENOEXEC, "the ELF image has no Xen notes");
    memset(create.name, 'x', sizeof(create.name));
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_create, &create), -EINVAL);
}

/* ---- A domain's life. ---- */

static void check_pauses(void)
{
    struct belfry_domain info;

    CHECK(domain_info(worker.id, &info));
    CHECK_EQ(info.state, BELFRY_STATE_PAUSED);
    CHECK_EQ(info.hypercalls, 0);
    CHECK_EQ(domain_control(worker.id, worker.generation,
                            BELFRY_CONTROL_PAUSE), 0);
    CHECK_EQ(domain_control(worker.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK(domain_info(worker.id, &info));
    CHECK_EQ(info.state, BELFRY_STATE_PAUSED); /* they nest */
    CHECK_EQ(domain_control(worker.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    CHECK_EQ(domain_control(worker.id, 0, BELFRY_CONTROL_UNPAUSE), -EINVAL);
    for (unsigned int i = 0; i < 1000 && worker.console->out_prod == 0; i++)
        sleep_ns(1000000);
    CHECK(worker.console->out_prod > 0);
    CHECK(domain_info(worker.id, &info));
    CHECK(info.hypercalls > 0);
}

static void check_control_errors(void)
{
    CHECK_EQ(domain_control(guest.domid, 0, BELFRY_CONTROL_PAUSE), -EINVAL);
    CHECK_EQ(domain_control(guest.domid, 0, BELFRY_CONTROL_DESTROY), -EINVAL);
    CHECK_EQ(domain_control(worker.id, 0, 4), -EINVAL);
    CHECK_EQ(domain_control(worker.id, worker.generation + 1,
                            BELFRY_CONTROL_PAUSE), -ESRCH);
    CHECK_EQ(domain_control(4711, 0, BELFRY_CONTROL_PAUSE), -ESRCH);
    CHECK_EQ(domain_control(DOMID_SELF, 0, BELFRY_CONTROL_PAUSE), -ESRCH);
    CHECK_EQ(domain_control(0x10000 + worker.id, 0, BELFRY_CONTROL_PAUSE),
             -ESRCH);
}

/* Returns when the worker sleeps: what it does after its first line. */
static void check_vcpus(void)
{
    struct belfry_vcpu v = { .state = BELFRY_VCPU_RUNNABLE };
    struct belfry_vcpus list = BELFRY_ARG(belfry_vcpus, .id = worker.id,
                                          .count = 5, .vcpus = &v,
                                          .item_size = sizeof(v));

    for (int i = 0; i < 1000 && v.state == BELFRY_VCPU_RUNNABLE; i++) {
        sleep_ns(1000000);
        CHECK_EQ(hypercall_belfry_op(BELFRYOP_vcpus, &list), 0);
        CHECK_EQ(list.count, 1);
        list.count = 5;
    }
    CHECK_EQ(v.state, BELFRY_VCPU_BLOCKED);
    CHECK_EQ(v.priority, 8);
    CHECK(v.rip != 0 && v.cpu_time > 0 && v.since > 0);
    CHECK_EQ(strncmp(v.symbol, "hypercall", 9), 0);
}

static void check_channels(void)
{
    static struct belfry_channel c[8];
    struct belfry_channels list = BELFRY_ARG(belfry_channels, .id = worker.id,
                                             .count = 8, .channels = c,
                                             .item_size = sizeof(c[0]));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &list), 0);
    if (!CHECK(list.count >= 2))
        return;
    CHECK_EQ(c[0].port, 1);
    CHECK_EQ(c[0].state, BELFRY_PORT_UNBOUND); /* nobody serves a store */
    CHECK_EQ(c[0].remote_id, guest.domid);
    CHECK_EQ(c[1].port, 2);
    CHECK_EQ(c[1].state, BELFRY_PORT_INTERDOMAIN);
    CHECK_EQ(c[1].remote_id, guest.domid);
    CHECK_EQ(c[1].remote_port, worker.port);
    CHECK_EQ(c[1].remote_generation, guest.generation);
    CHECK_EQ(c[1].vcpu_state, BELFRY_VCPU_BLOCKED);
}

/* The console's page: as a grant, and by peek. */
static void check_console_page(void)
{
    static struct belfry_grant g[4];
    static uint8_t bytes[64];
    struct belfry_grants list = BELFRY_ARG(belfry_grants, .id = worker.id,
                                           .count = 4, .grants = g,
                                           .item_size = sizeof(g[0]));
    struct belfry_peek peek = BELFRY_ARG(belfry_peek, .id = worker.id,
                                         .offset = 1024, .length = 64,
                                         .buffer = bytes);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_grants, &list), 0);
    if (!CHECK(list.count >= 2))
        return;
    CHECK_EQ(g[0].ref, 0);
    CHECK_EQ(g[0].peer, guest.domid);
    CHECK_EQ(g[0].maps_rw, 1);
    CHECK(g[0].since > 0 && g[0].since < clock_now());
    CHECK_EQ(g[1].ref, 1);
    CHECK_EQ(g[1].maps_rw, 0);

    peek.frame = g[0].frame;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), 0);
    CHECK_EQ(memcmp(bytes, worker.console->out, 64), 0);
    peek.offset = 4096 - 63;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), -EINVAL);
    peek.offset = UINT32_MAX;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), -EINVAL);
    peek.offset = 0;
    peek.frame = virt_to_mfn(bytes); /* ours */
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), -EPERM);
    peek.frame = ~0ull >> 12;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), -EPERM);
}

/* The worker's own try at what only the initial domain may do. */
static void check_refusals(void)
{
    struct belfry_refusal r;
    struct belfry_refused list = BELFRY_ARG(belfry_refused, .count = 1,
                                            .refusals = &r,
                                            .item_size = sizeof(r));
    uint64_t last = 0;

    for (;; list.count = 1) {
        CHECK_EQ(hypercall_belfry_op(BELFRYOP_refused, &list), 0);
        if (!CHECK_EQ(list.count, 1)) /* it must be there */
            return;
        CHECK(r.sequence > last);
        last = r.sequence;
        if (r.generation == worker.generation && r.error == -EPERM)
            break;
    }
    CHECK_EQ(r.id, worker.id);
    CHECK_EQ(strncmp(r.call, "belfry_op", 9), 0);
    CHECK_EQ(strcmp(r.reason, "only the initial domain may do this"), 0);
    CHECK(r.time > 0 && r.rip != 0);
    CHECK_EQ(strncmp(r.symbol, "hypercall", 9), 0);
}

/* A call that goes well although part of it was refused leaves no reason
 * behind for the next one. */
static void check_old_reason(void)
{
    struct belfry_refusal r = { .sequence = 0 };
    struct belfry_refused list = BELFRY_ARG(belfry_refused, .count = 1,
                                            .refusals = &r,
                                            .item_size = sizeof(r));
    xen_pfn_t nobodys = ~0ull >> 12;
    struct xen_memory_reservation release = {
        .extent_start = { &nobodys }, .nr_extents = 1, .domid = DOMID_SELF,
    };

    CHECK_EQ(hypercall_memory_op(XENMEM_decrease_reservation, &release), 0);
    CHECK_EQ(hypercall_sched_op(999, NULL), -ENOSYS);
    for (; hypercall_belfry_op(BELFRYOP_refused, &list) == 0 && list.count;
         list.count = 1)
        ;
    CHECK_EQ(r.generation, guest.generation);
    CHECK_EQ(strcmp(r.call, "sched_op"), 0);
    CHECK_EQ(strcmp(r.reason, ""), 0);
}

static void check_restart(void)
{
    struct belfry_control control = BELFRY_ARG(
        belfry_control, .action = BELFRY_CONTROL_RESTART, .id = worker.id,
        .generation = worker.generation);
    struct belfry_domain info;

    child_detach(&worker);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_control, &control), 0);
    CHECK(control.generation > worker.generation);
    CHECK(control.id != worker.id);
    CHECK(!domain_info(worker.id, &info));
    CHECK(domain_info(control.id, &info));
    CHECK_EQ(strcmp(info.name, "worker"), 0);
    CHECK_EQ(info.state, BELFRY_STATE_PAUSED);
    worker.id = control.id;
    worker.generation = control.generation;
}

/* Destroyed while we map its console: a zombie until we let go. */
static void check_zombie(void)
{
    struct belfry_domain info;

    child_attach(&worker, "worker", worker.id, worker.generation);
    CHECK_EQ(domain_control(worker.id, 0, BELFRY_CONTROL_DESTROY), 0);
    CHECK(domain_info(worker.id, &info));
    CHECK_EQ(info.state, BELFRY_STATE_DYING);
    CHECK_EQ(info.reason, BELFRY_REASON_DESTROYED);
    CHECK_EQ(domain_control(worker.id, 0, BELFRY_CONTROL_DESTROY), 0);
    child_detach(&worker);
    CHECK(!domain_info(worker.id, &info));
}

static void one_life(void)
{
    if (!child_create(&worker, "worker"))
        return;
    check_pauses();
    check_control_errors();
    check_vcpus();
    check_channels();
    check_console_page();
    check_refusals();
    check_old_reason();
    check_restart();
    check_zombie();
}

/* ---- For itself. ---- */

static void check_register_rings(void)
{
    struct belfry_register_rings rings = BELFRY_ARG(belfry_register_rings);
    void *page = page_alloc();
    struct belfry_domain info;

    rings.frame = virt_to_mfn(page);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_register_rings, &rings), 0);
    CHECK(domain_info(guest.domid, &info));
    CHECK_EQ(info.rings_frame, rings.frame);
    check_audit("with registered rings");
    rings.frame = 1; /* below 1 MiB, never a guest's */
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_register_rings, &rings), -EINVAL);
    rings.frame = ~0ull;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_register_rings, &rings), -EINVAL);
    rings.frame = 0;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_register_rings, &rings), 0);
    CHECK(domain_info(guest.domid, &info));
    CHECK_EQ(info.rings_frame, 0);
    page_free(page);
}

static void check_serial(void)
{
    char in[8];
    struct belfry_serial serial = BELFRY_ARG(belfry_serial,
                                             .write_buffer = "hello\n",
                                             .write_length = 6,
                                             .read_buffer = in,
                                             .read_length = sizeof(in));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_serial, &serial), 0);
    CHECK_EQ(serial.write_length, 6);
    CHECK_EQ(serial.read_length, 0);
    serial.write_buffer = NULL;
    serial.write_length = 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_serial, &serial), -EFAULT);
}

_Noreturn static void worker_main(void)
{
    struct belfry_machine machine = BELFRY_ARG(belfry_machine);
    struct belfry_version version = BELFRY_ARG(belfry_version);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_machine, &machine), -EPERM);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_version, &version), 0);
    printf("at work\n");
    for (;;)
        sleep_ns(1000000000);
}

int guest_main(void)
{
    uint64_t free_pages;

    test_needs_belfry("manage");
    if (!guest.initial)
        worker_main();
    check_sizes();
    check_addresses();
    check_list();
    check_modules();
    check_log();
    check_refusals_to_create();
    check_register_rings();
    check_serial();
    one_life(); /* what grows once, grows here */
    free_pages = machine_free_pages();
    for (unsigned int i = 0; i < 3; i++)
        one_life();
    CHECK_EQ(machine_free_pages(), free_pages);
    test_end("manage");
}
