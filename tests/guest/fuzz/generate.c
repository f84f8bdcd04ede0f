/*
 * The generator of hypercalls.  Every choice comes from random_next(), so a
 * seed gives the same calls as long as the hypervisor gives the same answers
 * and, with several vCPUs, runs them in the same order.
 */
#include "tests/guest/fuzz/generate.h"
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#include <xen/callback.h>
#include <xen/physdev.h>
#include <xen/version.h>

#define NR_SCRATCH 16u
#define NR_WINDOW  8u
#define NR_SLOTS   16u /* calls of one multicall, each with room of its own */
#define SLOT_SIZE  512u
#define NR_KEPT    9u /* references: console, store, and what the parent sees us by */

static struct {
    struct fuzz_peers peers;
    char *slots;             /* FUZZ_VCPUS * NR_SLOTS * SLOT_SIZE: structures */
    char *scratch;           /* NR_SCRATCH pages that calls may ruin */
    uint64_t mfn[NR_SCRATCH];
    char *window;            /* NR_WINDOW pages to map at */
    uint64_t window_pte[NR_WINDOW]; /* machine addresses of their PTEs */
    struct grant_entry_v1 *grants;
    uint64_t max_mfn;
} pool;

static bool one_in(unsigned int n)
{
    return random_below(n) == 0;
}

#define PICK(array) ((array)[random_below(sizeof(array) / sizeof((array)[0]))])

/* ---- Values. ---- */
static uint64_t wild_number(void)
{
    static const uint64_t edges[] = { 0, 1, 2, 0x7f, 0xff, 0xfff, 0x1000,
                                      0xffff, 0x7fffffff, 0x80000000,
                                      0xffffffff, 0x100000000, 1ull << 40,
                                      1ull << 52, 1ull << 63, ~0ull };

    switch (random_below(3)) {
    case 0:
        return random_next();
    case 1:
        return PICK(edges) + random_below(3) - 1;
    default:
        return 1ull << random_below(64);
    }
}

static uint64_t wild_pointer(void)
{
    static const uint64_t edges[] = {
        0,
        8,
        0x0000700000000000,
        0x00007ffffffffff8,
        0x0000800000000000,
        0xffff7fffffffffff,
        0xffff800000000000,
        0xffff800000001000,
        0xffff820000000000,
        0xffff828000000000,
        0xffff828040000000,
        0xffff830000000000,
        0xffff87fffffffff8,
        0xffff880000000000,
        0xfffffffffffffff8,
    };

    return one_in(4) ? random_next() : PICK(edges);
}

static uint64_t scratch_pointer(void)
{
    return (uint64_t)pool.scratch + random_below(NR_SCRATCH * PAGE_SIZE);
}

static uint64_t any_pointer(void)
{
    return one_in(3) ? wild_pointer() : scratch_pointer() & ~7ull;
}

/* Mostly the place that holds the structure. */
static uint64_t pointer_to(const void *slot)
{
    return one_in(24) ? any_pointer() : (uint64_t)slot;
}

static uint64_t any_mfn(void)
{
    switch (random_below(16)) {
    case 0:
        return wild_number();
    case 1:
        return random_below(pool.max_mfn + 2);
    case 2:
        return pte_frame(pool.window_pte[0]);
    default:
        return pool.mfn[random_below(NR_SCRATCH)];
    }
}

static uint64_t any_pte(void)
{
    static const uint64_t bits[] = { 0, 5, 7, 7, 7, 0x27, 0x67, 0x65,
                                     PTE_NX | 7 };
    uint64_t pte = any_mfn() << PAGE_SHIFT | PICK(bits);

    if (one_in(6))
        pte ^= 1ull << random_below(64);
    return one_in(24) ? random_next() : pte;
}

/* The machine address of an entry, of any level, or of anything. */
static uint64_t any_entry(void)
{
    uint64_t own = pool.mfn[random_below(NR_SCRATCH)] << PAGE_SHIFT;

    switch (random_below(8)) {
    case 0:
        return own | random_below(512) * 8;
    case 1:
        return own | random_below(PAGE_SIZE);
    case 2:
        return one_in(32) ? wild_number() : own;
    case 3:
        if (one_in(100)) /* the way to our own code hangs on these */
            return virt_to_maddr(table_entry(pool.window,
                                             2 + (unsigned int)random_below(
                                                     3)));
        return own | 8;
    default:
        return pool.window_pte[random_below(NR_WINDOW)];
    }
}

static uint64_t any_address(void)
{
    uint64_t window = (uint64_t)pool.window + random_below(NR_WINDOW) *
                                                  PAGE_SIZE;

    if (one_in(12))
        return wild_pointer();
    if (one_in(2000)) /* anywhere in our own memory: worth a life */
        return guest.start->pt_base - random_below(64) * PAGE_SIZE;
    return one_in(16) ? window + random_below(PAGE_SIZE) : window;
}

static uint32_t any_domid(void)
{
    const uint32_t ids[] = { DOMID_SELF, DOMID_SELF, guest.domid, guest.domid,
                             0, 0, pool.peers.witness, DOMID_IO, DOMID_XEN,
                             DOMID_COW, DOMID_INVALID, DOMID_IDLE };

    return one_in(16) ? (uint32_t)random_next() & 0xffff : PICK(ids);
}

/* A port, reference, handle, vCPU: small, or at an edge. */
static uint32_t any_index(void)
{
    static const uint32_t edges[] = { 31, 32, 63, 64, 127, 128, 511, 512,
                                      4094, 4095, 4096, 32767, 32768 };

    switch (random_below(8)) {
    case 0:
        return PICK(edges);
    case 1:
        return (uint32_t)wild_number();
    case 2:
        return (uint32_t)random_below(4096);
    default:
        return (uint32_t)random_below(24);
    }
}

static uint32_t any_count(void)
{
    if (one_in(400))
        return (uint32_t)wild_number();
    return one_in(8) ? (uint32_t)random_below(200) : (uint32_t)random_below(4);
}

static uint64_t any_time(void)
{
    if (one_in(4))
        return wild_number();
    return clock_now() + random_below(300000);
}

/* ---- Calls.  Each fills in the structure in @slot. ---- */
static void set(struct call *call, unsigned int nr, uint64_t a, uint64_t b,
                uint64_t c, uint64_t d)
{
    *call = (struct call){ .nr = nr, .arg = { a, b, c, d, 0 } };
}

/* Words like domids, ports, vCPUs, and some of everything. */
static void fill_small(void *slot, unsigned int bytes)
{
    uint32_t *words = slot;

    for (unsigned int i = 0; i < bytes / 4; i++)
        words[i] = one_in(3) ? any_domid() : any_index();
}

static void gen_event(struct call *call, void *slot)
{
    uint32_t *words = slot;

    fill_small(slot, 32);
    if (one_in(2)) /* two domids in one word, as alloc_unbound has */
        words[0] = any_domid() | any_domid() << 16;
    set(call, __HYPERVISOR_event_channel_op, random_below(15),
        pointer_to(slot), 0, 0);
}

static uint32_t any_ref(void)
{
    return one_in(3) ? PICK(pool.peers.refs) : any_index();
}

static void gen_map(struct call *call, void *slot)
{
    struct gnttab_map_grant_ref *op = slot;
    uint32_t n = 1 + (uint32_t)random_below(4);

    for (unsigned int i = 0; i < n; i++) {
        op[i].flags = one_in(4) ? (uint32_t)random_next()
                                : (uint32_t)random_below(8) | GNTMAP_host_map;
        if (one_in(8))
            op[i].flags |= GNTMAP_contains_pte;
        op[i].host_addr = op[i].flags & GNTMAP_contains_pte ? any_entry()
                                                           : any_address();
        op[i].ref = any_ref();
        op[i].dom = one_in(2) ? 0 : (domid_t)any_domid();
    }
    set(call, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref,
        pointer_to(slot), one_in(16) ? any_count() : n, 0);
}

static void gen_unmap(struct call *call, void *slot)
{
    struct gnttab_unmap_grant_ref *op = slot;
    uint32_t n = 1 + (uint32_t)random_below(4);

    for (unsigned int i = 0; i < n; i++) {
        op[i].host_addr = one_in(8) ? any_entry() : any_address();
        op[i].dev_bus_addr = one_in(3) ? any_mfn() << PAGE_SHIFT : 0;
        op[i].handle = any_index();
    }
    set(call, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref,
        pointer_to(slot), n, 0);
}

static void gen_copy(struct call *call, void *slot)
{
    struct gnttab_copy *op = slot;
    uint32_t n = 1 + (uint32_t)random_below(8);

    for (unsigned int i = 0; i < n; i++) {
        op[i].flags = (uint16_t)random_below(one_in(8) ? 65536 : 4);
        op[i].len = (uint16_t)(one_in(4) ? wild_number() : random_below(512));
        op[i].source.offset = (uint16_t)random_below(one_in(4) ? 8192 : 2048);
        op[i].dest.offset = (uint16_t)random_below(one_in(4) ? 8192 : 2048);
        op[i].source.domid = (domid_t)any_domid();
        op[i].dest.domid = (domid_t)any_domid();
        op[i].source.u.gmfn = op[i].flags & 1 ? any_ref() : any_mfn();
        op[i].dest.u.gmfn = op[i].flags & 2 ? any_ref() : any_mfn();
    }
    set(call, __HYPERVISOR_grant_table_op, GNTTABOP_copy, pointer_to(slot),
        one_in(32) ? any_count() : n, 0);
}

static void gen_grant_other(struct call *call, void *slot)
{
    uint64_t *words = slot;
    unsigned int cmd = (unsigned int)random_below(14);

    fill_small(slot, 64);
    if (cmd == GNTTABOP_unmap_and_replace) {
        words[0] = any_address();
        words[1] = any_address();
    }
    if (cmd == GNTTABOP_setup_table) {
        struct gnttab_setup_table *op = slot;

        op->nr_frames = one_in(4) ? any_index() : 1;
        op->dom = (domid_t)(one_in(2) ? DOMID_SELF : any_domid());
        set_xen_guest_handle(op->frame_list, (void *)any_pointer());
    }
    set(call, __HYPERVISOR_grant_table_op, cmd, pointer_to(slot),
        one_in(16) ? any_count() : 1, 0);
}

static void gen_mmu_update(struct call *call, void *slot)
{
    struct mmu_update *op = slot;
    uint32_t n = 1 + (uint32_t)random_below(8);

    for (unsigned int i = 0; i < n; i++) {
        op[i].ptr = (any_entry() & ~7ull) | (one_in(4) ? random_below(8) : 0);
        if ((op[i].ptr & 7) == MMU_MACHPHYS_UPDATE)
            op[i].ptr = any_mfn() << PAGE_SHIFT | MMU_MACHPHYS_UPDATE;
        op[i].val = any_pte();
    }
    set(call, __HYPERVISOR_mmu_update, pointer_to(slot),
        one_in(32) ? any_count() : n, one_in(2) ? 0 : any_pointer(),
        one_in(4) ? any_domid() | any_domid() << 16 : DOMID_SELF);
}

static void gen_mmuext(struct call *call, void *slot)
{
    struct mmuext_op *op = slot;
    uint32_t n = 1 + (uint32_t)random_below(4);

    for (unsigned int i = 0; i < n; i++) {
        op[i].cmd = (unsigned int)random_below(one_in(8) ? 64 : 22);
        if (op[i].cmd == MMUEXT_NEW_BASEPTR && !one_in(500))
            op[i].cmd = MMUEXT_NEW_USER_BASEPTR;
        op[i].arg1.mfn = one_in(2) ? any_mfn() : any_address();
        op[i].arg2.src_mfn = one_in(2) ? any_mfn() : any_index();
    }
    set(call, __HYPERVISOR_mmuext_op, pointer_to(slot),
        one_in(32) ? any_count() : n, one_in(2) ? 0 : any_pointer(),
        one_in(4) ? any_domid() : DOMID_SELF);
}

static void gen_update_va(struct call *call, void *slot)
{
    (void)slot;
    set(call,
        one_in(8) ? __HYPERVISOR_update_va_mapping_otherdomain
                  : __HYPERVISOR_update_va_mapping,
        any_address(), any_pte(),
        one_in(4) ? any_pointer() | random_below(8) : random_below(3),
        any_domid());
}

static void gen_memory(struct call *call, void *slot)
{
    static const unsigned int usual[] = { XENMEM_decrease_reservation,
                                          XENMEM_populate_physmap,
                                          XENMEM_populate_physmap,
                                          XENMEM_increase_reservation };
    struct xen_memory_reservation *op = slot;
    uint64_t *frames = (uint64_t *)slot + 16;

    if (one_in(3)) {
        fill_small(slot, 64);
        set(call, __HYPERVISOR_memory_op, random_below(30), pointer_to(slot),
            0, 0);
        return;
    }
    for (unsigned int i = 0; i < 8; i++)
        frames[i] = one_in(2) ? any_mfn()
                              : random_below(guest.start->nr_pages + 4);
    set_xen_guest_handle(op->extent_start, (void *)pointer_to(frames));
    op->nr_extents = one_in(64) ? wild_number() : 1 + random_below(8);
    op->extent_order = one_in(8) ? any_index() : 0;
    op->mem_flags = one_in(4) ? (unsigned int)random_next() : 0;
    op->domid = (domid_t)(one_in(4) ? any_domid() : DOMID_SELF);
    set(call, __HYPERVISOR_memory_op, PICK(usual), pointer_to(slot), 0, 0);
}

static void gen_sched(struct call *call, void *slot)
{
    struct sched_poll *op = slot;
    uint32_t *ports = (uint32_t *)slot + 16;
    static const unsigned int cmds[] = { SCHEDOP_yield, SCHEDOP_poll,
                                         SCHEDOP_poll, SCHEDOP_poll,
                                         SCHEDOP_remote_shutdown, 7, 8, 99 };

    for (unsigned int i = 0; i < 16; i++)
        ports[i] = any_index();
    set_xen_guest_handle(op->ports, (void *)pointer_to(ports));
    op->nr_ports = one_in(8) ? any_count() : (uint32_t)random_below(4);
    op->timeout = 1 + clock_now() + random_below(20000);
    set(call, __HYPERVISOR_sched_op, PICK(cmds), pointer_to(slot), 0, 0);
    if (call->arg[0] == SCHEDOP_poll)
        call->arg[1] = (uint64_t)slot; /* a wild time-out may be for ever */
    if (call->arg[0] == SCHEDOP_remote_shutdown)
        *(uint32_t *)slot = 0; /* the parent: not ours to end */
}

static void gen_vcpu(struct call *call, void *slot)
{
    uint64_t *words = slot;
    uint32_t vcpu = one_in(4) ? any_index() : (uint32_t)random_below(2);
    uint32_t cmd = (uint32_t)random_below(15);

    if (cmd == VCPUOP_down && one_in(2)) /* up is what ends a down */
        cmd = VCPUOP_up;
    if (cmd == VCPUOP_down && vcpu == vcpu_id() && !one_in(20))
        cmd = VCPUOP_is_up;
    fill_small(slot, 64);
    words[0] = one_in(2) ? any_time() : any_mfn();
    if (cmd == VCPUOP_register_runstate_memory_area ||
        cmd == VCPUOP_register_vcpu_time_memory_area)
        words[0] = any_pointer();
    set(call, __HYPERVISOR_vcpu_op, cmd, vcpu, pointer_to(slot), 0);
}

static void gen_timer(struct call *call, void *slot)
{
    (void)slot;
    set(call, __HYPERVISOR_set_timer_op, any_time(), 0, 0, 0);
}

static void gen_tables(struct call *call, void *slot)
{
    struct trap_info *traps = slot;
    uint64_t *frames = (uint64_t *)slot + 32;

    memset(slot, 0, 128);
    for (unsigned int i = 0; i < 4; i++) {
        traps[i].vector = (uint8_t)random_next();
        traps[i].flags = (uint8_t)random_next();
        traps[i].cs = (uint16_t)(one_in(2) ? FLAT_KERNEL_CS : random_next());
        traps[i].address = one_in(2) ? wild_pointer() : scratch_pointer();
    }
    for (unsigned int i = 0; i < 16; i++)
        frames[i] = any_mfn();
    switch (random_below(4)) {
    case 0:
        set(call, __HYPERVISOR_set_trap_table, pointer_to(slot), 0, 0, 0);
        break;
    case 1:
        set(call, __HYPERVISOR_set_gdt, pointer_to(frames),
            one_in(4) ? wild_number() : random_below(8192), 0, 0);
        break;
    case 2:
        set(call, __HYPERVISOR_update_descriptor, any_entry(), random_next(),
            0, 0);
        break;
    default:
        set(call, __HYPERVISOR_stack_switch,
            one_in(2) ? FLAT_KERNEL_SS : wild_number(), any_pointer(), 0, 0);
    }
}

static void gen_registers(struct call *call, void *slot)
{
    struct callback_register *op = slot;
    uint64_t dr7 = one_in(50) ? random_next() : 0x400;
    uint64_t reg = random_below(one_in(8) ? 64 : 8);

    switch (random_below(6)) {
    case 0:
        set(call, __HYPERVISOR_set_debugreg, reg,
            reg == 7 ? dr7 : (one_in(2) ? any_address() : wild_number()), 0,
            0);
        break;
    case 1:
        set(call, __HYPERVISOR_get_debugreg, reg, 0, 0, 0);
        break;
    case 2:
        set(call, __HYPERVISOR_set_segment_base, random_below(5),
            one_in(2) ? any_pointer() : wild_number(), 0, 0);
        break;
    case 3:
        set(call, __HYPERVISOR_fpu_taskswitch, wild_number(), 0, 0, 0);
        break;
    case 4:
        set(call, __HYPERVISOR_vm_assist, random_below(3), any_index(), 0, 0);
        break;
    default:
        op->type = (uint16_t)random_below(8);
        op->flags = (uint16_t)random_next();
        op->address = wild_pointer() | 1ull << 63; /* refused */
        if (op->type != CALLBACKTYPE_event || one_in(100))
            op->address = any_pointer();
        set(call, __HYPERVISOR_callback_op, random_below(3), pointer_to(slot),
            0, 0);
    }
}

static void gen_version(struct call *call, void *slot)
{
    fill_small(slot, 16);
    set(call, __HYPERVISOR_xen_version, random_below(14),
        one_in(2) ? any_pointer() : pointer_to(slot), 0, 0);
}

static void gen_physdev(struct call *call, void *slot)
{
    fill_small(slot, 32);
    set(call, __HYPERVISOR_physdev_op, random_below(32), pointer_to(slot), 0,
        0);
}

static void gen_console(struct call *call, void *slot)
{
    set(call, __HYPERVISOR_console_io, random_below(4), any_count(),
        pointer_to(slot), 0);
}

static void gen_belfry(struct call *call, void *slot)
{
    uint32_t *words = slot;
    uint32_t cmd = (uint32_t)random_below(17);

    if (cmd == BELFRYOP_audit && !one_in(500))
        cmd = BELFRYOP_register_rings;
    fill_small(slot, 256);
    words[0] = one_in(4) ? (uint32_t)wild_number()
                         : (uint32_t)random_below(64) * 8;
    words[1] = one_in(8) ? (uint32_t)wild_number() : BELFRY_ABI_VERSION;
    if (cmd == BELFRYOP_register_rings) {
        words[0] = sizeof(struct belfry_register_rings);
        ((uint64_t *)slot)[1] = any_mfn();
    }
    set(call, __HYPERVISOR_belfry_op, cmd, pointer_to(slot), 0, 0);
}

/* What any domain may do with its own ports and grants, in the right form. */
static void gen_belfry_own(struct call *call, void *slot)
{
    const uint32_t room = (uint32_t)random_below(8);
    void *items = (void *)pointer_to((char *)slot + 128);
    uint32_t cmd = (uint32_t)random_below(5);

    memset(slot, 0, SLOT_SIZE);
    switch (cmd) {
    case 0:
        cmd = BELFRYOP_port;
        *(struct belfry_port *)slot = (struct belfry_port){
            sizeof(struct belfry_port), BELFRY_ABI_VERSION,
            .port = any_index(), .set = (uint32_t)random_below(4),
            .options = (uint32_t)random_below(one_in(16) ? 8 : 2),
            .credits = (uint32_t)random_below(4),
            .interval = one_in(4) ? wild_number() : random_below(100000)
        };
        break;
    case 1:
        cmd = BELFRYOP_revoked;
        *(struct belfry_revoked *)slot = (struct belfry_revoked){
            sizeof(struct belfry_revoked), BELFRY_ABI_VERSION, .count = room,
            .item_size = sizeof(struct belfry_revocation), .revocations = items
        };
        break;
    case 2:
        cmd = BELFRYOP_notices;
        *(struct belfry_notices *)slot = (struct belfry_notices){
            sizeof(struct belfry_notices), BELFRY_ABI_VERSION,
            .next = one_in(2) ? 0 : any_index(), .count = room,
            .item_size = sizeof(struct belfry_notice), .notices = items
        };
        break;
    default:
        cmd = BELFRYOP_revoke;
        *(struct belfry_revoke *)slot = (struct belfry_revoke){
            sizeof(struct belfry_revoke), BELFRY_ABI_VERSION,
            .ref = any_ref(), .deadline = one_in(3) ? wild_number() : any_time()
        };
        break;
    }
    if (cmd == BELFRYOP_revoke && ((struct belfry_revoke *)slot)->ref < NR_KEPT)
        ((struct belfry_revoke *)slot)->ref += NR_KEPT;
    set(call, __HYPERVISOR_belfry_op, cmd, pointer_to(slot), 0, 0);
}

/* A wild deadline may be for ever. */
static void gen_call(struct call *call, void *slot)
{
    (void)slot;
    set(call, one_in(2) ? __HYPERVISOR_belfry_call : __HYPERVISOR_belfry_serve,
        any_index(), 1 + clock_now() + random_below(20000), 0, 0);
}

static void gen_anything(struct call *call, void *slot)
{
    uint64_t nr = one_in(3) ? wild_number() : random_below(64);

    (void)slot;
    if (nr == __HYPERVISOR_sched_op || nr == __HYPERVISOR_iret ||
        nr == __HYPERVISOR_vcpu_op || nr == __HYPERVISOR_set_callbacks ||
        nr == __HYPERVISOR_belfry_call || nr == __HYPERVISOR_belfry_serve)
        nr = 60;
    set(call, 0, any_pointer(), any_count(), any_pointer(), any_domid());
    call->nr = nr;
}

typedef void generator(struct call *call, void *slot);

static generator *const generators[] = {
    gen_event,      gen_event,     gen_event,   gen_event,   gen_map,
    gen_map,        gen_unmap,     gen_copy,    gen_copy,    gen_grant_other,
    gen_mmu_update, gen_mmu_update, gen_mmu_update, gen_mmuext, gen_mmuext,
    gen_update_va,  gen_update_va, gen_memory,  gen_sched,   gen_vcpu,
    gen_timer,      gen_tables,    gen_registers, gen_version, gen_physdev,
    gen_console,    gen_belfry,    gen_belfry_own, gen_call, gen_anything,
};

static void *slot_at(unsigned int i)
{
    return pool.slots + (vcpu_id() * NR_SLOTS + i) * SLOT_SIZE;
}

/* The last slot holds the list itself. */
static void gen_multicall(struct call *call)
{
    struct multicall_entry *list = slot_at(NR_SLOTS - 2);
    uint32_t n = 1 + (uint32_t)random_below(8);

    for (unsigned int i = 0; i < n; i++) {
        struct call inner;

        PICK(generators)(&inner, slot_at(i));
        list[i].op = inner.nr;
        for (unsigned int j = 0; j < 5; j++)
            list[i].args[j] = inner.arg[j];
    }
    set(call, __HYPERVISOR_multicall, pointer_to(list),
        one_in(64) ? any_count() : n, 0, 0);
}

void fuzz_generate(struct call *call)
{
    if (one_in(24))
        gen_multicall(call);
    else
        PICK(generators)(call, slot_at(0));
}

/* Through whatever a call has mapped there.  The calls may have lost our
 * handler of page faults. */
static void write_to_window(void)
{
    char *page = pool.window + random_below(NR_WINDOW) * PAGE_SIZE;
    const struct trap_info trap[2] = {
        { .vector = 14,
          .cs = FLAT_KERNEL_CS,
          .address = (uint64_t)fault_stubs + 14 * FAULT_STUB_SIZE },
    };

    hypercall_set_trap_table(trap);
    fault_writing(page + random_below(PAGE_SIZE / 8) * 8);
    FAULT_TRY("movq %[v], (%[a])", [a] "r"(page), [v] "r"(random_next()));
}

void fuzz_stir(void)
{
    struct grant_entry_v1 *entry = &pool.grants[random_below(24)];

    write_to_window();

    write_once(&entry->domid, (domid_t)any_domid());
    write_once(&entry->frame, (uint32_t)any_mfn());
    write_once(&entry->flags, (uint16_t)(one_in(8) ? random_next()
                                                   : 1 + random_below(8)));
}

static void map_own_table(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };

    set_xen_guest_handle(setup.frame_list, &frame);
    BUG_ON(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1) != 0);
    pool.grants = page_alloc();
    BUG_ON(map_frame_at(pool.grants, frame, true) != 0);
}

void fuzz_begin_vcpu(void)
{
    fault_install();
}

void fuzz_set_up(const struct fuzz_peers *peers)
{
    pool.peers = *peers;
    pool.max_mfn = (uint64_t)hypercall_memory_op(XENMEM_maximum_ram_page,
                                                 NULL);
    pool.slots = pages_alloc(FUZZ_VCPUS * NR_SLOTS * SLOT_SIZE / PAGE_SIZE);
    pool.scratch = pages_alloc(NR_SCRATCH);
    pool.window = pages_alloc(NR_WINDOW);
    BUG_ON(!pool.slots || !pool.scratch || !pool.window);
    for (unsigned int i = 0; i < NR_SCRATCH; i++)
        pool.mfn[i] = virt_to_mfn(pool.scratch + i * PAGE_SIZE);
    for (unsigned int i = 0; i < NR_WINDOW; i++)
        pool.window_pte[i] = virt_to_maddr(
            table_entry(pool.window + i * PAGE_SIZE, 1));
    /* Half of the scratch pages can be page tables. */
    for (unsigned int i = 0; i < NR_SCRATCH; i += 2)
        BUG_ON(page_protect(pool.scratch + i * PAGE_SIZE, pool.mfn[i],
                            PAGE_READ) != 0);
    map_own_table();
}
