/*
 * Defends: no pointer that a guest can pass makes the hypervisor read or
 * write what the guest itself could not (M3, X8): every pointer argument of
 * every call, with addresses in the hypervisor's hole, not canonical, not
 * mapped, read-only, and crossing from good into bad, is -EFAULT.
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#include <xen/callback.h>
#include <xen/physdev.h>
#include <xen/version.h>

/* How a call takes its pointer: a, b, c: which argument it is. */
struct pointer_call {
    const char *name;
    unsigned int nr;
    uint64_t arg[4];      /* the others */
    unsigned int pointer; /* index of the pointer */
    unsigned int size;    /* bytes it reads or writes at least */
    bool writes;          /* writes there, whatever it holds */
};

#define CALL(nr_, pointer_, size_, writes_, ...)                               \
    {                                                                          \
        .name = #nr_, .nr = __HYPERVISOR_##nr_, .pointer = (pointer_),         \
        .size = (size_), .writes = (writes_), .arg = { __VA_ARGS__ }           \
    }

static const struct pointer_call calls[] = {
    CALL(set_trap_table, 0, 16, false, 0),
    CALL(mmu_update, 0, 16, false, 0, 1, 0, DOMID_SELF),
    CALL(set_gdt, 0, 8, false, 0, 512),
    CALL(memory_op, 1, 2, false, XENMEM_current_reservation),
    CALL(memory_op, 1, 16, true, XENMEM_memory_map),
    CALL(memory_op, 1, 16, true, XENMEM_machphys_mapping),
    CALL(multicall, 0, 64, false, 0, 1),
    CALL(xen_version, 1, 16, true, XENVER_extraversion),
    CALL(xen_version, 1, 1024, true, XENVER_commandline),
    CALL(xen_version, 1, 8, true, XENVER_platform_parameters),
    CALL(xen_version, 1, 8, true, XENVER_get_features),
    CALL(vcpu_op, 2, 16, false, VCPUOP_register_vcpu_info, 0),
    CALL(vcpu_op, 2, 8, false, VCPUOP_set_periodic_timer, 0),
    CALL(vcpu_op, 2, 16, false, VCPUOP_set_singleshot_timer, 0),
    CALL(vcpu_op, 2, 40, true, VCPUOP_get_runstate_info, 0),
    CALL(mmuext_op, 0, 24, false, 0, 1, 0, DOMID_SELF),
    CALL(sched_op, 1, 16, false, SCHEDOP_poll),
    CALL(callback_op, 1, 16, false, CALLBACKOP_register),
    CALL(event_channel_op, 1, 8, false, EVTCHNOP_alloc_unbound),
    CALL(event_channel_op, 1, 12, false, EVTCHNOP_bind_interdomain),
    CALL(event_channel_op, 1, 12, false, EVTCHNOP_bind_virq),
    CALL(event_channel_op, 1, 8, false, EVTCHNOP_bind_ipi),
    CALL(event_channel_op, 1, 4, false, EVTCHNOP_close),
    CALL(event_channel_op, 1, 4, false, EVTCHNOP_send),
    CALL(event_channel_op, 1, 24, false, EVTCHNOP_status),
    CALL(event_channel_op, 1, 8, false, EVTCHNOP_bind_vcpu),
    CALL(event_channel_op, 1, 4, false, EVTCHNOP_unmask),
    CALL(grant_table_op, 1, 32, false, GNTTABOP_map_grant_ref, 0, 1),
    CALL(grant_table_op, 1, 24, false, GNTTABOP_unmap_grant_ref, 0, 1),
    CALL(grant_table_op, 1, 24, false, GNTTABOP_setup_table, 0, 1),
    CALL(grant_table_op, 1, 16, false, GNTTABOP_query_size, 0, 1),
    CALL(grant_table_op, 1, 8, false, GNTTABOP_get_version, 0, 1),
    CALL(grant_table_op, 1, 40, false, GNTTABOP_copy, 0, 1),
    CALL(grant_table_op, 1, 24, false, GNTTABOP_unmap_and_replace, 0, 1),
    CALL(physdev_op, 1, 4, false, PHYSDEVOP_set_iopl),
};

/* Calls that only Belfry has. */
#define BELFRY_CALL(op)                                                        \
    CALL(belfry_op, 1, sizeof(struct belfry_##op), true, BELFRYOP_##op)

static const struct pointer_call belfry_calls[] = {
    BELFRY_CALL(version),
    BELFRY_CALL(list),
    BELFRY_CALL(create),
    BELFRY_CALL(control),
    BELFRY_CALL(peek),
    BELFRY_CALL(audit),
    BELFRY_CALL(channels),
    BELFRY_CALL(grants),
    BELFRY_CALL(refused),
    BELFRY_CALL(log),
    BELFRY_CALL(serial),
    BELFRY_CALL(register_rings),
    BELFRY_CALL(modules),
    BELFRY_CALL(machine),
    BELFRY_CALL(vcpus),
    BELFRY_CALL(port),
    BELFRY_CALL(inject),
    BELFRY_CALL(revoke),
    BELFRY_CALL(revoked),
    BELFRY_CALL(notices),
};

static long call_with(const struct pointer_call *c, uint64_t pointer)
{
    uint64_t arg[4];

    memcpy(arg, c->arg, sizeof(arg));
    arg[c->pointer] = pointer;
    return hypercall(c->nr, arg[0], arg[1], arg[2], arg[3], 0);
}

static void must_fault(const struct pointer_call *c, uint64_t pointer,
                       const char *kind)
{
    long result = call_with(c, pointer);

    if (!CHECK_EQ(result, -EFAULT))
        printf("    %s %lu, %s at 0x%lx\n", c->name, c->arg[0], kind, pointer);
}

static char *gap; /* two pages: the first ours, the second not mapped */
static char *readonly; /* a page of zeros */

static void make_gap(void)
{
    readonly = page_alloc();
    CHECK_EQ(page_protect(readonly, virt_to_mfn(readonly), PAGE_READ), 0);
    gap = pages_alloc(2);
    BUG_ON(!gap);
    CHECK_EQ(hypercall_update_va_mapping(gap + PAGE_SIZE, 0, UVMF_INVLPG), 0);
}

/* What all structures of belfry_op begin with. */
static void right_header(char *at, uint32_t size)
{
    const uint32_t header[2] = { size, BELFRY_ABI_VERSION };

    memcpy(at, header, sizeof(header));
}

static void bad_addresses(const struct pointer_call *c)
{
    static const uint64_t bad[] = {
        0x0000700000000000, 0x0000800000000000 - 8, 0x0000800000000000,
        0x8000000000000000, 0xffff7fffffffffff,     0xffff7ffffffffff8,
        0xffff828000000000, 0xffff830000000000,     0xffff87fffffffff8,
        0xffffffffffffffff, 0xfffffffffffffff8,
    };

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        must_fault(c, bad[i], "bad address");
    /* From our page into nothing, at every place that crosses. */
    for (unsigned int k = 1; k < c->size && k < 64; k++) {
        char *at = gap + PAGE_SIZE - k;

        if (c->nr == __HYPERVISOR_belfry_op && k >= 8)
            right_header(at, c->size);
        must_fault(c, (uint64_t)at, "crossing");
    }
    must_fault(c, (uint64_t)gap + PAGE_SIZE, "unmapped");
}

/* What it writes, it writes as the guest could. */
static void readonly_addresses(const struct pointer_call *c)
{
    if (!c->writes)
        return;
    must_fault(c, HYPERVISOR_VIRT_START, "machine-to-physical table");
    must_fault(c, (uint64_t)readonly, "read-only page");
}

static void M3_all_of(const struct pointer_call *list, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        bad_addresses(&list[i]);
        if (list[i].nr != __HYPERVISOR_belfry_op)
            readonly_addresses(&list[i]);
    }
}

/* The pointers that stand inside structures. */
static void inner_pointers(uint64_t bad)
{
    struct xen_memory_reservation res = { .nr_extents = 1,
                                          .domid = DOMID_SELF };
    struct gnttab_setup_table setup = { .dom = DOMID_SELF, .nr_frames = 1 };
    struct sched_poll poll = { .nr_ports = 1, .timeout = 1 };
    struct mmuext_op flush = { .cmd = MMUEXT_TLB_FLUSH_MULTI };
    struct xen_memory_map map = { .nr_entries = 128 };
    unsigned int *done = (void *)bad;
    struct mmu_update none = { 0 };
    uint64_t pte = virt_to_mfn(gap) << PAGE_SHIFT | PAGE_WRITE;

    /* How many were done before the fault: none. */
    CHECK_EQ(hypercall_memory_op(XENMEM_decrease_reservation, (void *)bad), 0);
    CHECK_EQ(hypercall_memory_op(XENMEM_populate_physmap, (void *)bad), 0);
    set_xen_guest_handle(res.extent_start, (void *)bad);
    CHECK(hypercall_memory_op(XENMEM_decrease_reservation, &res) <= 0);
    CHECK(hypercall_memory_op(XENMEM_populate_physmap, &res) <= 0);
    set_xen_guest_handle(setup.frame_list, (void *)bad);
    CHECK(hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1) < 0 ||
          setup.status < 0);
    set_xen_guest_handle(poll.ports, (void *)bad);
    CHECK_EQ(hypercall_sched_op(SCHEDOP_poll, &poll), -EFAULT);
    set_xen_guest_handle(map.buffer, (void *)bad);
    CHECK(hypercall_memory_op(XENMEM_memory_map, &map) < 0);
    set_xen_guest_handle(flush.arg2.vcpumask, (void *)bad);
    CHECK(hypercall_mmuext_op(&flush, 1, NULL, DOMID_SELF) < 0);
    CHECK(hypercall_mmu_update(&none, 0, done, DOMID_SELF) <= 0);
    CHECK(hypercall_update_va_mapping(gap, pte, UVMF_INVLPG | bad) <= 0);
}

/* Index and count that carry a good base out of its page: base + 2^32
 * items; and a call inside a multicall whose list runs into nothing. */
static void M3_huge_counts(void)
{
    struct multicall_entry *list =
        (void *)(gap + PAGE_SIZE - 2 * sizeof(*list));
    const uint64_t good = (uint64_t)gap;

    memset(list, 0, 2 * sizeof(*list));
    list[0].op = __HYPERVISOR_xen_version;
    list[1].op = __HYPERVISOR_xen_version;
    CHECK_EQ(hypercall(__HYPERVISOR_multicall, (uint64_t)list, 2, 0, 0, 0), 0);
    CHECK((int64_t)list[1].result > 0);
    CHECK_EQ(hypercall(__HYPERVISOR_multicall, (uint64_t)list, 3, 0, 0, 0),
             -EFAULT);
    CHECK_EQ(hypercall(__HYPERVISOR_multicall, (uint64_t)list, ~0u, 0, 0, 0),
             -EFAULT);
    memset(gap, 0, PAGE_SIZE);
    CHECK(hypercall(__HYPERVISOR_mmu_update, good, 0x7fffffff, 0, DOMID_SELF,
                    0) < 0);
    memset(gap, 0xff, PAGE_SIZE);
    CHECK(hypercall(__HYPERVISOR_mmuext_op, good, 0x7fffffff, 0, DOMID_SELF,
                    0) < 0);
    CHECK(hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy, good, ~0u, 0,
                    0) < 0);
    CHECK(hypercall(__HYPERVISOR_set_gdt, good, 100000, 0, 0, 0) < 0);
}

/* M4, and nesting: a list of calls in a list of calls. */
static void nested_multicall(void)
{
    struct multicall_entry inner = { .op = __HYPERVISOR_xen_version };
    struct multicall_entry outer = { .op = __HYPERVISOR_multicall };

    outer.args[0] = (unsigned long)&inner;
    outer.args[1] = 1;
    CHECK_EQ(hypercall_multicall(&outer, 1), 0);
    CHECK((int64_t)outer.result < 0 || !guest.on_belfry);
    outer.op = 63; /* no such call */
    CHECK_EQ(hypercall_multicall(&outer, 1), 0);
    CHECK_EQ(outer.result, -ENOSYS);
}

int guest_main(void)
{
    static const uint64_t bad[] = { 0x8000000000000000, 0xffff830000000000,
                                    0x0000700000000000, 0xfffffffffffffff8 };

    fault_install();
    make_gap();
    M3_all_of(calls, sizeof(calls) / sizeof(calls[0]));
    if (guest.on_belfry)
        M3_all_of(belfry_calls, sizeof(belfry_calls) / sizeof(belfry_calls[0]));
    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        inner_pointers(bad[i]);
    M3_huge_counts();
    nested_multicall();
    test_end("pointers");
}
