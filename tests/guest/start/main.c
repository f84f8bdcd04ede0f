/*
 * Defends: a domain starts in the state that Xen's ABI promises, whatever
 * its size, with a ramdisk or without, privileged or not.
 *
 * Each domain looks at itself and ends with the result; the first one is
 * the parent of the others.  Only what the runtime has left as the builder
 * made it can be looked at: not the stack, nor the protection of the image.
 */
#include "tests/guest/parent.h"

#define PTE_PRESENT 1ull
#define PTE_RW      2ull
#define PTE_USER    4ull
#define FRAME(pte)  (((pte)&0x000ffffffffff000ull) >> PAGE_SHIFT)
#define M2P         ((const uint64_t *)0xffff800000000000ull)
#define MIB         (1ull << 20)

static const struct start_info *si;
static uint64_t base; /* VIRT_BASE */
static const uint64_t *p2m;

/* A frame of ours that is mapped at its place from VIRT_BASE on. */
static const uint64_t *table_at(uint64_t mfn)
{
    return (const uint64_t *)(base + (M2P[mfn] << PAGE_SHIFT));
}

/* The L1 entry for @va in the tables at pt_base, 0 if there is none. */
static uint64_t entry_of(uint64_t va)
{
    const uint64_t *table = (const uint64_t *)si->pt_base;

    for (unsigned int shift = 39; shift > 12; shift -= 9) {
        uint64_t entry = table[va >> shift & 511];

        if (!(entry & PTE_PRESENT))
            return 0;
        table = table_at(FRAME(entry));
    }
    return table[va >> 12 & 511];
}

static void check_identity(void)
{
    /* Xen adds a 'p' for PAE, if an image for 64 bits has that note. */
    CHECK_EQ(strncmp(si->magic, "xen-3.0-x86_64", 14), 0);
    CHECK_EQ((si->flags & SIF_INITDOMAIN) != 0, guest.initial);
    CHECK_EQ((si->flags & SIF_PRIVILEGED) != 0, guest.initial);
    CHECK_EQ(si->shared_info % PAGE_SIZE, 0);
}

/* Both tables agree for every frame, so no frame is there twice. */
static void check_frames(void)
{
    unsigned int wrong = 0;

    for (uint64_t pfn = 0; pfn < si->nr_pages; pfn++)
        wrong += M2P[p2m[pfn]] != pfn;
    CHECK_EQ(wrong, 0);
}

/* From VIRT_BASE to an end on 4 MiB, at least 512 KiB behind the stack. */
static void check_mapping(void)
{
    uint64_t stack_end = si->pt_base + (si->nr_pt_frames + 1) * PAGE_SIZE;
    uint64_t end = (stack_end + 4 * MIB - 1) & ~(4 * MIB - 1);
    unsigned int wrong = 0;

    if (end - stack_end < MIB / 2)
        end += 4 * MIB;
    for (uint64_t va = base; va < end; va += PAGE_SIZE) {
        uint64_t entry = entry_of(va);

        /* The runtime has mapped other frames at some pages of its own. */
        if (va >= si->mfn_list)
            wrong += FRAME(entry) != p2m[(va - base) >> PAGE_SHIFT] ||
                     !(entry & PTE_USER);
    }
    CHECK_EQ(wrong, 0);
}

/* Read-only, each with a use as a table: as many as are said to be. */
static void check_tables(void)
{
    uint64_t va = si->pt_base;

    CHECK(si->nr_pt_frames >= 4);
    for (uint64_t i = 0; i < si->nr_pt_frames; i++, va += PAGE_SIZE)
        CHECK_EQ(entry_of(va) & (PTE_PRESENT | PTE_RW), PTE_PRESENT);
    CHECK(entry_of(va) & PTE_RW); /* the stack */
    CHECK(entry_of((uint64_t)si) & PTE_RW);
    CHECK(entry_of(si->mfn_list) & PTE_RW);
}

static void check_order(void)
{
    uint64_t list_end = si->mfn_list + si->nr_pages * 8;

    list_end = (list_end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    if (si->mod_len)
        CHECK_EQ(si->mfn_list, (si->mod_start + si->mod_len + PAGE_SIZE - 1) &
                                   ~(PAGE_SIZE - 1));
    CHECK_EQ((uint64_t)si, list_end);
    CHECK_EQ(si->pt_base, list_end + (guest.initial ? 1 : 3) * PAGE_SIZE);
}

/* The rings' pages follow start_info: the store's, then the console's. */
static void check_rings(void)
{
    uint64_t pfn = ((uint64_t)si - base) >> PAGE_SHIFT;

    if (guest.initial) {
        CHECK_EQ(si->store_mfn | si->store_evtchn, 0);
        if (guest.on_belfry) /* Xen has a screen to describe there */
            CHECK_EQ(si->console.domU.mfn | si->console.domU.evtchn, 0);
        return;
    }
    CHECK_EQ(si->store_mfn, p2m[pfn + 1]);
    CHECK_EQ(si->console.domU.mfn, p2m[pfn + 2]);
    CHECK_EQ(si->store_evtchn, 1);
    CHECK_EQ(si->console.domU.evtchn, 2);
}

/* The ramdisk is this very image. */
static void check_ramdisk(void)
{
    const char *disk = guest.ramdisk;

    if (!CHECK(guest.ramdisk_size > PAGE_SIZE))
        return;
    CHECK_EQ(memcmp(disk, "\177ELF", 4), 0);
    CHECK_EQ((uint64_t)disk % PAGE_SIZE, 0);
    /* Beyond its end to the page's end there is nothing of anybody's. */
    for (size_t i = guest.ramdisk_size; i % PAGE_SIZE != 0; i++)
        CHECK_EQ(disk[i], 0);
}

/* mov eax, N; syscall; ret stand where the ABI says. */
static void check_hypercall_page(void)
{
    const uint8_t *page = (const uint8_t *)hypercall_page;
    const uint8_t *stub = page + 29 * 32;

    CHECK_EQ(stub[3], 0xb8);
    CHECK_EQ(stub[4], 29);
    CHECK_EQ(stub[8], 0x0f);
    CHECK_EQ(stub[9], 0x05);
    CHECK_EQ(stub[13], 0xc3);
    CHECK_EQ(page[23 * 32 + 5], 23);
}

static void check_vcpus(unsigned int expected)
{
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_is_up, 0, NULL), 1);
    for (unsigned int i = 1; i < expected; i++)
        CHECK_EQ(hypercall_vcpu_op(VCPUOP_is_up, i, NULL), 0);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_is_up, expected, NULL), -ENOENT);
}

static void check_self(void)
{
    si = guest.start;
    p2m = (const uint64_t *)si->mfn_list;
    base = (uint64_t)p2m - (M2P[virt_to_mfn(p2m)] << PAGE_SHIFT);

    check_identity();
    check_frames();
    check_mapping();
    check_tables();
    check_order();
    check_rings();
    check_hypercall_page();
}

static int child_main(void)
{
    bool odd = strcmp(guest.name, "odd") == 0;

    check_self();
    CHECK_EQ(strcmp(guest.cmdline, odd ? "three" : ""), 0);
    CHECK_EQ(si->nr_pages, odd ? 18500 / 4 : 16 * MIB / PAGE_SIZE);
    CHECK_EQ(guest.ramdisk != NULL, odd);
    if (odd)
        check_ramdisk();
    check_vcpus(odd ? 3 : 1);
    printf("%u checks, %u failed\n", test_checks, test_failures);
    return test_failures != 0;
}

static void run_child(const char *name)
{
    struct belfry_domain info;
    struct child child;

    if (!child_start(&child, name))
        return;
    if (CHECK(child_wait(&child, 5000000000, &info)))
        CHECK_EQ(info.reason, SHUTDOWN_poweroff);
    child_destroy(&child);
}

int guest_main(void)
{
    uint64_t free_pages;

    if (!guest.initial)
        return child_main();
    check_self();
    if (!guest.on_belfry) /* all that holds on Xen, too */
        test_end("start");
    CHECK_EQ(strcmp(guest.cmdline, "first 'of two'"), 0);
    CHECK_EQ(si->nr_pages, 48 * MIB / PAGE_SIZE);
    check_ramdisk();
    check_vcpus(1);

    run_child("plain"); /* what grows once in the parent, grows here */
    free_pages = machine_free_pages();
    run_child("odd");
    run_child("plain");
    CHECK_EQ(machine_free_pages(), free_pages);
    test_end("start");
}
