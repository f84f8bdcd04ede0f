/*
 * Defends: an LDT is used by the CPU only while it holds descriptors that
 * were checked in pages that nobody can write (M5, M20), and is let go of
 * when the guest names another.
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#define DATA_FLAT    0x00cff3000000ffffull /* DPL 3, limit 4 GiB */
#define DATA_SMALL   0x0040f30000000fffull /* DPL 3, limit 4 KiB */
#define TSS_FREE     0x0000e90000000067ull /* no guest may have one */
#define PER_PAGE     512u
#define SELECTOR(n)  ((uint16_t)((n) << 3 | 7))

static uint64_t *ldt; /* two pages */

static long set_ldt(const void *base, unsigned int entries)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT };

    op.arg1.linear_addr = (unsigned long)base;
    op.arg2.nr_ents = entries;
    return hypercall_mmuext_op(&op, 1, NULL, DOMID_SELF);
}

static long protect(unsigned int page, uint64_t bits)
{
    void *va = ldt + page * PER_PAGE;

    return page_protect(va, virt_to_mfn(va), bits);
}

/* Load the selector: the vector raised, FAULT_NONE if it loaded. */
static uint32_t load(uint16_t selector)
{
    FAULT_TRY("movw %w[s], %%es", [s] "r"(selector));
    return (uint32_t)fault_seen.vector;
}

static void unload(void)
{
    __asm__ volatile("movw %w0, %%es" : : "r"(0));
}

/* The limit that the CPU finds in the descriptor. */
static uint64_t limit_of(uint16_t selector)
{
    uint64_t limit = 0;

    __asm__ volatile("lsl %1, %0"
                     : "+r"(limit)
                     : "r"((uint64_t)selector)
                     : "cc");
    return limit;
}

static void no_table_at_all(void)
{
    CHECK_EQ(load(SELECTOR(1)), 13);
    CHECK_EQ(set_ldt(NULL, 0), 0);
    CHECK_EQ(load(SELECTOR(0)), 13);
}

static void M20_bad_arguments(void)
{
    CHECK_EQ(set_ldt((char *)ldt + 8, 8), -EINVAL);
    CHECK_EQ(set_ldt((void *)HYPERVISOR_VIRT_START, 8), -EINVAL);
    CHECK_EQ(set_ldt(ldt, 8193), -EINVAL);
    CHECK_EQ(set_ldt((void *)0x8000000000000000, 8), -EINVAL);
    CHECK_EQ(load(SELECTOR(1)), 13);
}

/* Named while it can still be written: its use is the guest's page fault. */
static void writable_table(void)
{
    ldt[1] = DATA_FLAT;
    CHECK_EQ(set_ldt(ldt, 2 * PER_PAGE), 0);
    CHECK_EQ(load(SELECTOR(1)), 14);
    if (guest.on_belfry)
        CHECK_EQ(fault_seen_cr2, &ldt[1]);
    CHECK_EQ(protect(0, PAGE_READ), 0);
    CHECK_EQ(load(SELECTOR(1)), FAULT_NONE);
    CHECK_EQ(limit_of(SELECTOR(1)), 0xffffffff);
}

/* In use: not writable, but through the hypervisor, which checks. */
static void table_in_use(void)
{
    uint64_t maddr = virt_to_maddr(ldt);

    CHECK(protect(0, PAGE_WRITE) < 0);
    CHECK_EQ(hypercall_update_descriptor(maddr + 16, DATA_SMALL), 0);
    CHECK_EQ(load(SELECTOR(2)), FAULT_NONE);
    CHECK_EQ(limit_of(SELECTOR(2)), 0xfff);
    CHECK(hypercall_update_descriptor(maddr + 24, TSS_FREE) < 0);
    CHECK_EQ(ldt[3], 0);
    CHECK(mmuext_mfn(MMUEXT_PIN_L1_TABLE, virt_to_mfn(ldt)) < 0);
    check_audit("with an LDT in use");
}

/* Each page is looked at when it is first used. */
static void second_page(void)
{
    uint64_t *page = ldt + PER_PAGE;

    page[0] = DATA_FLAT;
    page[7] = TSS_FREE;
    CHECK_EQ(protect(1, PAGE_READ), 0);
    CHECK_EQ(load(SELECTOR(PER_PAGE)), 14);
    CHECK_EQ(protect(1, PAGE_WRITE), 0);
    page[7] = 0;
    CHECK_EQ(protect(1, PAGE_READ), 0);
    CHECK_EQ(load(SELECTOR(PER_PAGE)), FAULT_NONE);
    CHECK_EQ(load(SELECTOR(2 * PER_PAGE)), 13); /* M20: behind the limit */
}

static void M20_shorter_table(void)
{
    CHECK_EQ(set_ldt(ldt, 2), 0);
    CHECK_EQ(load(SELECTOR(1)), FAULT_NONE);
    CHECK_EQ(load(SELECTOR(2)), 13);
    /* Its second page is no part of it any more. */
    CHECK_EQ(protect(1, PAGE_WRITE), 0);
}

/* Another table of pages: the LDT is an address in the new ones. */
static void reloaded_tables(void)
{
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_BASEPTR,
                        virt_to_mfn((void *)guest.start->pt_base)),
             0);
    CHECK_EQ(load(SELECTOR(1)), FAULT_NONE);
    sleep_ns(1000000);
    CHECK_EQ(load(SELECTOR(1)), FAULT_NONE);
}

static void let_go(void)
{
    unload();
    CHECK_EQ(set_ldt(NULL, 0), 0);
    CHECK_EQ(load(SELECTOR(1)), 13);
    CHECK_EQ(protect(0, PAGE_WRITE), 0);
    ldt[1] = 0;
}

int guest_main(void)
{
    fault_install();
    ldt = pages_alloc(2);
    no_table_at_all();
    M20_bad_arguments();
    writable_table();
    table_in_use();
    second_page();
    M20_shorter_table();
    reloaded_tables();
    let_go();
    test_end("ldt");
}
