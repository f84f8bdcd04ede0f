/*
 * Setting up and resetting what the calls work on, and choosing from it.
 */
#include "tests/conformance/calls/world.h"

#include "tests/guest/fault.h"

struct world world = { .reserve_mfn = { NO_FRAME, NO_FRAME, NO_FRAME,
                                        NO_FRAME } };

static char *argument;  /* a page for argument structures, before the hole */
static char *read_only; /* the same page, read-only */
static char *passed;    /* where the guest itself can reach what it passed */

#define ARGUMENT_OFFSET 256u

/* ---- Once. ---- */

static void map_grant_table(void)
{
    xen_pfn_t frame = 0;
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };

    set_xen_guest_handle(setup.frame_list, &frame);
    BUG_ON(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1) != 0);
    world.grants = page_alloc();
    world.grants_mfn = frame;
    BUG_ON(map_frame_at(world.grants, frame, true) != 0);
}

static void make_argument_pages(void)
{
    argument = pages_alloc(3);
    BUG_ON(!argument);
    world.hole = argument + PAGE_SIZE;
    read_only = argument + 2 * PAGE_SIZE;
    BUG_ON(page_protect(world.hole, 0, 0) != 0);
    BUG_ON(page_protect(read_only, virt_to_mfn(argument), PAGE_READ) != 0);
}

/* Room below the maximum, so that a reservation can grow: for each slot, and
 * for one frame that comes and goes. */
static void make_room(void)
{
    for (unsigned int i = 0; i < NR_RESERVE + 1; i++) {
        void *page = page_alloc();
        xen_pfn_t mfn = virt_to_mfn(page);
        struct xen_memory_reservation r = { .nr_extents = 1,
                                            .domid = DOMID_SELF };

        set_xen_guest_handle(r.extent_start, &mfn);
        BUG_ON(page_protect(page, 0, 0) != 0);
        BUG_ON(hypercall_memory_op(XENMEM_decrease_reservation, &r) != 1);
    }
}

void world_init(void)
{
    char *windows = pages_alloc(NR_WINDOWS);

    BUG_ON(!windows);
    for (unsigned int i = 0; i < NR_DATA; i++) {
        world.data[i] = page_alloc();
        world.data_mfn[i] = virt_to_mfn(world.data[i]);
        world.table[i] = page_alloc();
        world.table_mfn[i] = virt_to_mfn(world.table[i]);
    }
    for (unsigned int i = 0; i < NR_WINDOWS; i++) {
        world.window[i] = windows + i * PAGE_SIZE;
        world.window_mfn[i] = virt_to_mfn(world.window[i]);
        world.window_pte[i] =
            virt_to_maddr(table_entry(world.window[i], 1));
    }
    world.l1_mfn = world.window_pte[0] >> PAGE_SHIFT;
    world.l4_mfn = virt_to_mfn((void *)guest.start->pt_base);
    world.code = (uint64_t)fault_stubs;
    map_grant_table();
    make_argument_pages();
    make_room();
    BUG_ON(event_alloc_unbound(DOMID_SELF, &world.first_port) != 0);
    event_close(world.first_port);
}

/* ---- Each time. ---- */

static void reset_handles(void)
{
    for (unsigned int i = 0; i < NR_HANDLES; i++) {
        drop_handle(i);
        world.handle[i] = (struct handle){ .handle = ~0u };
    }
}

static void close_port(evtchn_port_t port)
{
    if (port && event_close(port) == 0)
        bit_test_and_clear((uint64_t *)guest.shared->evtchn_pending, port);
}

static evtchn_port_t open_port(domid_t remote)
{
    evtchn_port_t port;

    BUG_ON(event_alloc_unbound(remote, &port) != 0);
    return port;
}

static void reset_ports(void)
{
    evtchn_port_t *p = world.port;
    struct evtchn_bind_virq virq = { .virq = VIRQ_DEBUG };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };

    for (unsigned int i = 0; i < NR_PORTS; i++) {
        close_port(p[i]);
        p[i] = 0;
    }
    p[0] = open_port(DOMID_SELF);
    p[1] = open_port(DOMID_SELF);
    BUG_ON(event_bind_interdomain(DOMID_SELF, p[1], &p[2]) != 0);
    BUG_ON(hypercall_event_channel_op(EVTCHNOP_bind_virq, &virq) != 0);
    p[3] = virq.port;
    BUG_ON(hypercall_event_channel_op(EVTCHNOP_bind_ipi, &ipi) != 0);
    p[4] = ipi.port;
    p[6] = open_port(NOBODY);
    p[5] = open_port(DOMID_SELF);
    close_port(p[5]);
    for (unsigned int i = 0; i < NR_PORTS; i++)
        if (p[i]) {
            bit_test_and_clear((uint64_t *)guest.shared->evtchn_pending, p[i]);
            bit_test_and_set((uint64_t *)guest.shared->evtchn_mask, p[i]);
        }
}

static void set_grant(unsigned int i, domid_t domid, uint64_t mfn,
                      uint16_t flags)
{
    struct grant_entry_v1 *e = &world.grants[FIRST_REF + i];

    store_release(&e->flags, 0);
    e->domid = domid;
    e->frame = (uint32_t)mfn;
    store_release(&e->flags, flags);
}

static void reset_grants(void)
{
    domid_t own = guest.domid;

    set_grant(0, own, world.data_mfn[0], GTF_permit_access);
    set_grant(1, own, world.data_mfn[1], GTF_permit_access | GTF_readonly);
    set_grant(2, own, world.data_mfn[0], GTF_invalid);
    set_grant(3, NOBODY, world.data_mfn[0], GTF_permit_access);
    set_grant(4, own, world.table_mfn[0], GTF_permit_access);
    set_grant(5, own, NO_FRAME, GTF_permit_access);
    set_grant(6, own, world.data_mfn[0], GTF_accept_transfer);
    set_grant(7, own, world.data_mfn[2], GTF_permit_access);
}

/* Windows first: they may be what keeps a table a table.  What a call could
 * do to a frame ends here: tables twice, for those others lead to. */
static void reset_frames(void)
{
    mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, 0);
    mmuext_va(MMUEXT_SET_LDT, 0);
    for (unsigned int i = 0; i < NR_WINDOWS; i++)
        BUG_ON(page_protect(world.window[i], 0, 0) != 0);
    for (unsigned int i = 0; i < NR_TABLES; i++)
        mmuext_mfn(MMUEXT_UNPIN_TABLE, world.table_mfn[i]);
    for (unsigned int i = 0; i < NR_WINDOWS; i++)
        mmuext_mfn(MMUEXT_UNPIN_TABLE, world.window_mfn[i]);
    for (unsigned int i = 0; i < NR_TABLES; i++) {
        BUG_ON(page_protect(world.table[i], world.table_mfn[i],
                            PAGE_WRITE) != 0);
        memset(world.table[i], 0, PAGE_SIZE);
        BUG_ON(page_protect(world.table[i], world.table_mfn[i],
                            PAGE_READ) != 0);
        for (unsigned int j = 0; j < 512; j++)
            world.data[i][j] = /* even: as entries, not present */
                (i + 1) * 0x20002u * j;
    }
    for (unsigned int i = 0; i < NR_WINDOWS; i++) {
        BUG_ON(page_protect(world.window[i], world.window_mfn[i],
                            PAGE_WRITE) != 0);
        memset(world.window[i], 0, PAGE_SIZE);
    }
}

static void reset_reserve(void)
{
    for (unsigned int i = 0; i < NR_RESERVE; i++) {
        xen_pfn_t mfn = world.reserve_mfn[i];
        struct xen_memory_reservation r = { .nr_extents = 1,
                                            .domid = DOMID_SELF };

        set_xen_guest_handle(r.extent_start, &mfn);
        if (world.reserve_live[i])
            BUG_ON(hypercall_memory_op(XENMEM_decrease_reservation, &r) != 1);
        world.reserve_mfn[i] = NO_FRAME;
        world.reserve_live[i] = false;
    }
}

static void reset_machine(void)
{
    hypercall_set_gdt(NULL, 0);
    hypercall_set_debugreg(7, 0);
    for (unsigned int i = 0; i < 4; i++)
        hypercall_set_debugreg(i, 0);
    hypercall_fpu_taskswitch(false);
    hypercall_set_segment_base(SEGBASE_FS, 0);
    hypercall_set_timer_op(0);
    for (unsigned int i = 0; i < 6; i++)
        hypercall_vm_assist(VMASST_CMD_disable, i);
    fault_install();
}

void world_reset(void)
{
    reset_machine();
    reset_handles();
    reset_frames();
    reset_ports();
    reset_grants();
    reset_reserve();
}

void world_traps(void)
{
    fault_install();
}

bool can_read(const void *p)
{
    return !fault_reading(p);
}

bool can_write(void *p)
{
    return !fault_writing(p);
}

/* ---- Choosers. ---- */

domid_t any_domid(const char *label)
{
    return (domid_t)ANY(label, { "self", DOMID_SELF }, { "own", guest.domid },
                        { "nobody", NOBODY }, { "bit15", 0x8000 },
                        { "invalid", DOMID_INVALID }, { "cow", DOMID_COW },
                        { "max", 0xffff }, { "!io", DOMID_IO },
                        { "!xen", DOMID_XEN }, { "!idle", DOMID_IDLE });
}

uint32_t any_vcpu(const char *label)
{
    return (uint32_t)ANY(label, { "0", 0 }, { "1", 1 }, { "32", 32 },
                         { "8192", 8192 }, { "max", ~0u });
}

evtchn_port_t any_port(const char *label)
{
    const evtchn_port_t *p = world.port;

    return (evtchn_port_t)ANY(label, { "p1", p[1] }, { "p0", p[0] },
                              { "p2", p[2] }, { "p3", p[3] }, { "p4", p[4] },
                              { "p5", p[5] }, { "p6", p[6] }, { "p7", p[7] },
                              { "p8", p[8] }, { "p9", p[9] },
                              { "4090", 4090 }, { "4096", 4096 },
                              { "bit31", 1u << 31 }, { "max", ~0u });
}

uint32_t any_ref(const char *label)
{
    return (uint32_t)ANY(label, { "g0", FIRST_REF }, { "g1", FIRST_REF + 1 },
                         { "g2", FIRST_REF + 2 }, { "g3", FIRST_REF + 3 },
                         { "g4", FIRST_REF + 4 }, { "g5", FIRST_REF + 5 },
                         { "g6", FIRST_REF + 6 }, { "g7", FIRST_REF + 7 },
                         { "bit20", 1u << 20 }, { "max", ~0u });
}

struct handle *any_handle(const char *label)
{
    static struct handle none = { .handle = ~0u };
    unsigned int i = choose(NR_HANDLES + 1);

    if (i == NR_HANDLES)
        line_add(" %s=max", label);
    else
        line_add(" %s=h%u", label, i);
    none.live = false;
    return i == NR_HANDLES ? &none : &world.handle[i];
}

uint64_t any_window(const char *label)
{
    return ANY(label, { "w0", (uint64_t)world.window[0] },
               { "w1", (uint64_t)world.window[1] },
               { "w2", (uint64_t)world.window[2] },
               { "w3", (uint64_t)world.window[3] },
               { "w0+8", (uint64_t)world.window[0] + 8 },
               { "far", FAR_AWAY }, { "hypervisor", HV_ADDRESS },
               { "bit47", 1ull << 47 }, { "bit63", 1ull << 63 });
}

uint64_t any_frame(const char *label)
{
    return ANY(label, { "d0", world.data_mfn[0] }, { "d1", world.data_mfn[1] },
               { "t0", world.table_mfn[0] }, { "t1", world.table_mfn[1] },
               { "t2", world.table_mfn[2] }, { "t3", world.table_mfn[3] },
               { "l1", world.l1_mfn }, { "l4", world.l4_mfn },
               { "info", guest.start->shared_info >> PAGE_SHIFT },
               { "grants", world.grants_mfn }, { "!zero", 0 },
               { "!none", NO_FRAME });
}

uint64_t any_target(const char *label)
{
    return ANY(label, { "d0", world.data_mfn[0] }, { "d1", world.data_mfn[1] },
               { "t0", world.table_mfn[0] }, { "t1", world.table_mfn[1] },
               { "w0", world.window_mfn[0] }, { "none", NO_FRAME },
               { "!l1", world.l1_mfn }, { "!l4", world.l4_mfn });
}

uint64_t any_bits(const char *label)
{
    return ANY(label, { "rw", 7 }, { "ro", 5 }, { "0", 0 },
               { "rw-nx", PTE_NX | 7 }, { "kernel", 3 },
               { "rw-a-d", 0x67 }, { "avail", 0xe07 },
               { "global", 0x107 }, { "bit52", 1ull << 52 | 7 },
               { "bit58", 1ull << 58 | 7 }, { "bit62", 1ull << 62 | 7 },
               { "!pat", 0x87 }, { "!uncached", 0x1f });
}

/* ---- Pointers. ---- */

enum pointer {
    POINTER_GOOD,
    POINTER_NULL,
    POINTER_HOLE,
    POINTER_END, /* the last byte is in the hole */
    POINTER_BIT47,
    POINTER_HYPERVISOR,
    POINTER_M2P,
    POINTER_HIGH,
    POINTER_READ_ONLY,
    NR_POINTERS
};

static const char *const pointer_name[NR_POINTERS] = {
    "good", "null", "hole", "end", "bit47",
    "hypervisor", "m2p", "high", "read-only"
};
static enum pointer pointer;

static void choose_pointer(unsigned int n)
{
    if (transcript.random && random_below(8))
        pointer = POINTER_GOOD;
    else
        pointer = choose(n);
    if (pointer != POINTER_GOOD)
        line_add(" at=%s", pointer_name[pointer]);
    transcript.plain = pointer != POINTER_GOOD;
}

void any_pointer(void)
{
    choose_pointer(NR_POINTERS);
}

void any_pointer_but_read_only(void)
{
    choose_pointer(POINTER_READ_ONLY);
}

static void *pointer_value(enum pointer kind, size_t size)
{
    switch (kind) {
    case POINTER_GOOD:
        return argument + ARGUMENT_OFFSET;
    case POINTER_NULL:
        return NULL;
    case POINTER_HOLE:
        return world.hole;
    case POINTER_READ_ONLY:
        return read_only + ARGUMENT_OFFSET;
    case POINTER_END:
        return world.hole - size + 1;
    case POINTER_BIT47:
        return (void *)(1ull << 47);
    case POINTER_HYPERVISOR:
        return (void *)HV_ADDRESS;
    case POINTER_M2P:
        return (void *)HYPERVISOR_VIRT_START;
    default:
        return (void *)0xffff900000000000;
    }
}

void *pass(const void *arg, size_t size)
{
    char *at = pointer_value(pointer, size);

    passed = pointer == POINTER_GOOD || pointer == POINTER_READ_ONLY ?
                 argument + ARGUMENT_OFFSET : NULL;
    if (passed)
        memcpy(passed, arg, size);
    else if (pointer == POINTER_END)
        memcpy(at, arg, size - 1);
    return at;
}

void fetch(void *arg, size_t size)
{
    if (passed)
        memcpy(arg, passed, size);
}

void *odd_pointer(const char *label)
{
    enum pointer kind = choose(NR_POINTERS);

    line_add(" %s=%s", label, pointer_name[kind]);
    if (kind == POINTER_GOOD || kind == POINTER_READ_ONLY)
        return (char *)pointer_value(kind, 8) + 2048;
    return pointer_value(kind, 8);
}

/* ---- Slots. ---- */

void keep_port(evtchn_port_t port)
{
    unsigned int slot = transcript.random ? choose(NR_PORTS) : 7;

    close_port(world.port[slot]);
    world.port[slot] = port;
    bit_test_and_set((uint64_t *)guest.shared->evtchn_mask, port);
    line_add(" port=+%u in=p%u", port - world.first_port, slot);
}

void drop_handle(unsigned int slot)
{
    struct handle *h = &world.handle[slot];
    struct gnttab_unmap_grant_ref op = { .handle = h->handle,
                                         .host_addr = h->where,
                                         .dev_bus_addr = h->bus };

    if (!h->live)
        return;
    h->live = false;
    BUG_ON(hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &op, 1) != 0);
    if (op.status != GNTST_okay)
        panic("a mapping at 0x%lx cannot be unmapped: %d", h->where,
              op.status);
}

/* A handle may come again that a slot remembers: forget it there. */
void keep_handle(unsigned int slot, const struct handle *new)
{
    for (unsigned int i = 0; i < NR_HANDLES; i++)
        if (world.handle[i].handle == new->handle)
            world.handle[i].handle = ~0u;
    world.handle[slot] = *new;
}

/* ---- Notes. ---- */

static bool note_one(const char *kind, const uint64_t *mfns, unsigned int n,
                     uint64_t mfn)
{
    for (unsigned int i = 0; i < n; i++)
        if (mfns[i] == mfn) {
            line_add(" %s%u", kind, i);
            return true;
        }
    return false;
}

/* Xen marks in an entry what it changed of it: all pages of a PV guest are
 * user pages, and those of its kernel not global. */
#define XEN_MARKS (1ull << 52 | 1ull << 8)

void note_entry(uint64_t entry)
{
    uint64_t mfn = pte_frame(entry);

    if (entry == 0)
        line_add(" empty");
    else if (!note_one("d", world.data_mfn, NR_DATA, mfn) &&
             !note_one("t", world.table_mfn, NR_TABLES, mfn) &&
             !note_one("w", world.window_mfn, NR_WINDOWS, mfn))
        line_add(" other");
    if (entry)
        line_add("/0x%lx", (unsigned long)(entry & ~(PTE_ADDRESS | XEN_MARKS)));
}

static bool is_virq(evtchn_port_t port)
{
    struct evtchn_status st = { .dom = DOMID_SELF, .port = port };

    return hypercall_event_channel_op(EVTCHNOP_status, &st) == 0 &&
           st.status == EVTCHNSTAT_virq;
}

/* Those of VIRQs come on their own. */
void note_pending(void)
{
    line_add(" pending=");
    for (unsigned int i = 0; i < NR_PORTS; i++) {
        evtchn_port_t port = world.port[i];

        if (!port)
            continue;
        if (is_virq(port))
            line_add("v");
        else
            line_add("%d", bit_test((uint64_t *)guest.shared->evtchn_pending,
                                    port));
    }
}
