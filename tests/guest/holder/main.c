/*
 * Defends: whatever a domain holds its frames by, all of them come back when
 * it is destroyed (M10, M21, D3).  The child holds one of each kind at once,
 * says so, and waits for its end.
 */
#include "tests/guest/fault.h"
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

#define DATA_FLAT 0x00cff3000000ffffull
#define ENDS      4u

enum { OUT_READY };

/* ---- The child. ---- */

static uint64_t *readonly_page(void)
{
    uint64_t *page = page_alloc();

    CHECK_EQ(page_protect(page, virt_to_mfn(page), PAGE_READ), 0);
    return page;
}

static void give_up(const void *page)
{
    xen_pfn_t mfn = virt_to_mfn(page);
    struct xen_memory_reservation r = { .nr_extents = 1,
                                        .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, &mfn);
    CHECK_EQ(hypercall_memory_op(XENMEM_decrease_reservation, &r), 1);
}

static void hold_descriptors(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT };
    uint64_t *ldt = page_alloc();
    unsigned long gdt = virt_to_mfn(readonly_page());

    CHECK_EQ(hypercall_set_gdt(&gdt, 512), 0);
    ldt[1] = DATA_FLAT;
    CHECK_EQ(page_protect(ldt, virt_to_mfn(ldt), PAGE_READ), 0);
    op.arg1.linear_addr = (unsigned long)ldt;
    op.arg2.nr_ents = 2;
    CHECK_EQ(hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF), 0);
    FAULT_TRY("movw $0x0f, %%ax; movw %%ax, %%es");
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
}

/* Tables that are pinned, and given up; below them a page that only its
 * entry keeps. */
static void hold_tables(void)
{
    uint64_t *table[5];

    for (unsigned int level = 1; level <= 4; level++) {
        table[level] = page_alloc();
        if (level > 1)
            table[level][level] =
                virt_to_mfn(table[level - 1]) << PAGE_SHIFT | PTE_TABLE;
    }
    uint64_t *data = page_alloc();

    table[1][9] = virt_to_mfn(data) << PAGE_SHIFT | PAGE_WRITE;
    for (unsigned int level = 1; level <= 4; level++) {
        uint64_t mfn = virt_to_mfn(table[level]);

        CHECK_EQ(page_protect(table[level], mfn, PAGE_READ), 0);
        CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE + level - 1, mfn), 0);
    }
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, virt_to_mfn(table[4])), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, virt_to_mfn(table[4])), 0);
    for (unsigned int level = 1; level <= 4; level++)
        give_up(table[level]);
    give_up(data);
}

/* Pages that the hypervisor writes or remembers. */
static void hold_registrations(void)
{
    struct vcpu_register_vcpu_info info = { .mfn =
                                                virt_to_mfn(page_alloc()) };
    struct belfry_register_rings rings =
        BELFRY_ARG(belfry_register_rings, .frame = virt_to_mfn(page_alloc()));

    CHECK_EQ(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 1, &info), 0);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_register_rings, &rings), 0);
}

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();

    fault_install();
    meet_wait(m);
    hold_descriptors();
    hold_tables();
    hold_registrations();
    m->faults = test_failures;
    store_release(&m->out[OUT_READY], 1);
    for (;;)
        sleep_ns(1000000);
}

/* ---- The parent. ---- */

static void one_end(void)
{
    struct grant_mapping mapping;
    uint64_t deadline = clock_now() + 2000000000;
    struct child c;

    if (!child_start(&c, "holder"))
        return;
    struct meet *m = meet_find(c.id, &mapping);

    if (CHECK(m)) {
        meet_go(m, 1);
        while (!load_acquire(&m->out[OUT_READY]) && clock_now() < deadline)
            sleep_ns(500000);
        CHECK(m->out[OUT_READY]);
        CHECK_EQ(m->faults, 0);
        check_audit("with one of each kind held");
        grant_unmap(&mapping);
    }
    child_destroy(&c);
}

int guest_main(void)
{
    if (!guest.initial)
        child_main();
    test_needs_belfry("holder");
    child_rehearse("holder");
    one_end();

    uint64_t before = machine_free_pages();

    for (unsigned int i = 0; i < ENDS; i++) {
        one_end();
        CHECK_EQ(machine_free_pages(), before);
        check_audit("after an end");
    }
    test_end("holder");
}
