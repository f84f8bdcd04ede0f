/*
 * memory_op: reservations and questions.
 */
#include "tests/conformance/calls/world.h"

#include <xen/memory.h>

static long memory_op(unsigned int cmd, void *arg, size_t size)
{
    long rc = hypercall_memory_op(cmd, pass(arg, size));

    fetch(arg, size);
    result(rc);
    return rc;
}

/* A frame that came: a slot remembers it; no slot another time of it. */
static void keep_frame(unsigned int slot, uint64_t mfn)
{
    for (unsigned int i = 0; i < NR_RESERVE; i++)
        if (world.reserve_mfn[i] == mfn)
            world.reserve_mfn[i] = NO_FRAME;
    world.reserve_mfn[slot] = mfn;
    world.reserve_live[slot] = true;
    line_add(" in=r%u m2p=0x%lx", slot, m2p_table[mfn]);
}

static unsigned int any_order(void)
{
    return (unsigned int)ANY("order", { "0", 0 }, { "max", ~0u },
                             { "64", 64 }, { "!1", 1 }, { "!9", 9 },
                             { "!10", 10 });
}

static unsigned int any_memory_flags(void)
{
    return (unsigned int)ANY("flags", { "0", 0 }, { "bits64", 64 },
                             { "bits12", 12 }, { "bits1", 1 },
                             { "vnode", XENMEMF_vnode },
                             { "node", XENMEMF_node(0) },
                             { "!bits20", 20 }, { "!pod", 1u << 16 });
}

/* Frames only into a slot that is free; a list that works only for one. */
static void grow(unsigned int cmd)
{
    unsigned int slot = choose_at_random(NR_RESERVE);
    uint64_t frame[2] = { 7, 7 };
    struct xen_memory_reservation r = { .nr_extents = 1 };
    long rc;

    any_pointer();
    if (world.reserve_live[slot]) {
        result(0);
        return;
    }
    r.domid = any_domid("dom");
    r.extent_order = any_order();
    r.mem_flags = any_memory_flags();
    r.nr_extents = ANY("n", { "1", 1 }, { "0", 0 }, { "big", 1ull << 40 });
    set_xen_guest_handle(r.extent_start, frame);
    rc = memory_op(cmd, &r, sizeof(r));
    if (rc == 1 && r.extent_order == 0 && frame[0] != 7)
        keep_frame(slot, frame[0]);
}

static void populate(void)
{
    grow(XENMEM_populate_physmap);
}

static void increase(void)
{
    grow(XENMEM_increase_reservation);
}

static void decrease(void)
{
    unsigned int slot = choose_at_random(NR_RESERVE);
    struct xen_memory_reservation r = { .nr_extents = 1 };
    xen_pfn_t frame;
    long rc;

    any_pointer();
    line_add(" r%u", slot);
    frame = ANY("frame", { "slot", world.reserve_mfn[slot] },
                { "none", NO_FRAME }, { "huge", ~0ull });
    r.domid = any_domid("dom");
    r.nr_extents = ANY("n", { "1", 1 }, { "0", 0 }, { "big", 1ull << 40 });
    r.extent_order = (unsigned int)ANY("order", { "0", 0 }, { "64", 64 },
                                       { "max", ~0u });
    set_xen_guest_handle(r.extent_start, &frame);
    rc = memory_op(XENMEM_decrease_reservation, &r, sizeof(r));
    if (rc == 1 && frame == world.reserve_mfn[slot])
        world.reserve_live[slot] = false;
}

/* All of it in one line: there, gone, gone again. */
static void come_and_go(void)
{
    uint64_t frame = 7;
    struct xen_memory_reservation r = { .nr_extents = 1,
                                        .domid = DOMID_SELF };
    long rc;

    set_xen_guest_handle(r.extent_start, &frame);
    rc = hypercall_memory_op(choose(2) ? XENMEM_populate_physmap
                                       : XENMEM_increase_reservation, &r);
    line_add(": %ld", rc);
    line_add(" m2p=0x%lx", m2p_table[frame]);
    for (unsigned int i = 0; i < 2; i++)
        line_add(" %ld", hypercall_memory_op(XENMEM_decrease_reservation, &r));
}

static void list_pointers(void)
{
    struct xen_memory_reservation r = { .nr_extents = 1,
                                        .domid = DOMID_SELF };
    unsigned int cmd = choose(2) ? XENMEM_decrease_reservation
                                 : XENMEM_populate_physmap;

    line_add(cmd == XENMEM_populate_physmap ? " populate" : " decrease");
    set_xen_guest_handle(r.extent_start, (xen_pfn_t *)odd_pointer("list"));
    if (r.extent_start.p && can_write(r.extent_start.p))
        *r.extent_start.p = NO_FRAME;
    result(hypercall_memory_op(cmd, &r));
    if (cmd == XENMEM_populate_physmap && r.extent_start.p &&
        can_write(r.extent_start.p) && *r.extent_start.p != NO_FRAME)
        line_add(" gone=%ld",
                 hypercall_memory_op(XENMEM_decrease_reservation, &r));
}

static void totals(void)
{
    domid_t domid;
    unsigned int cmd;
    long rc;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "current", XENMEM_current_reservation },
                            { "maximum", XENMEM_maximum_reservation },
                            { "gpfn", XENMEM_maximum_gpfn });
    domid = any_domid("dom");
    rc = hypercall_memory_op(cmd, pass(&domid, sizeof(domid)));
    result(rc > 0 ? 1 : rc);
}

static void machine_to_physical(void)
{
    struct xen_machphys_mapping map = { .v_start = 0 };

    any_pointer();
    if (memory_op(XENMEM_machphys_mapping, &map, sizeof(map)) == 0)
        line_add(" 0x%lx 0x%lx", map.v_start, map.v_end);
}

static void machine_frames(void)
{
    static xen_pfn_t list[4];
    struct xen_machphys_mfn_list op = { .nr_extents = 77 };

    any_pointer();
    op.max_extents = (unsigned int)ANY("max", { "1", 1 }, { "0", 0 });
    set_xen_guest_handle(op.extent_start, list);
    memory_op(XENMEM_machphys_mfn_list, &op, sizeof(op));
    line_add(" n=%u", op.nr_extents);
}

static void others(void)
{
    uint64_t nothing[16] = { 0 };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "15", 15 }, { "63", 63 },
                            { "physmap", XENMEM_add_to_physmap },
                            { "unphysmap", XENMEM_remove_from_physmap },
                            { "30", 30 }, { "40", 40 }, { "1", 1 << 6 | 2 },
                            { "!exchange", XENMEM_exchange },
                            { "!map", XENMEM_memory_map },
                            { "!set_map", XENMEM_set_memory_map },
                            { "!machine_map", XENMEM_machine_memory_map },
                            { "!pod", 16 }, { "!get_pod", 17 },
                            { "!paging", 20 }, { "!access", 21 },
                            { "!sharing", 22 }, { "!batch", 23 },
                            { "!claim", 24 }, { "!vnuma", 26 },
                            { "!reserved", 27 }, { "!acquire", 28 });
    memory_op(cmd, nothing, sizeof(nothing));
}

const struct call_kind memory_calls[] = {
    { "memory.populate", populate, 2 },
    { "memory.increase", increase, 1 },
    { "memory.decrease", decrease, 3 },
    { "memory.come_and_go", come_and_go, 1 },
    { "memory.list", list_pointers, 0 },
    { "memory.total", totals, 2 },
    { "memory.machphys_mapping", machine_to_physical, 1 },
    { "memory.machphys_mfn_list", machine_frames, 1 },
    { "memory.other", others, 0 },
    { NULL, NULL, 0 }
};
