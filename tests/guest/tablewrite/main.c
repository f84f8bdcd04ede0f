/*
 * Defends: what a kernel writes to its own L1 tables, where it maps them
 * read-only, is done as mmu_update would do it, with the instruction's other
 * results; and what mmu_update would refuse is a page fault that changes
 * nothing (M12, M14).
 *
 * Each instruction runs twice: on ordinary memory, which shows what it
 * should do, and on the table.
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#define PAGE_FAULT       14
#define WRITE_PROTECTED  (PTE_PRESENT | PTE_RW) /* error code */
/* Bits of an entry that are the guest's; Xen uses some of the others. */
#define OWN_BITS                                                               \
    (PTE_ADDRESS | PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define FLAGS     0x8c5u /* OF SF ZF PF CF; AF is undefined after AND */

static uint64_t *table;   /* an L1 table, mapped read-only */
static uint64_t scratch[2];
static uint64_t read_only, writable; /* entries that map a page */
static uint64_t in[3], after[3];     /* rcx rdx rax; flags rax rdx */

#define RUN(address, value, old, instruction)                                  \
    do {                                                                       \
        in[0] = (uint64_t)(address);                                           \
        in[1] = (value);                                                       \
        in[2] = (old);                                                         \
        FAULT_TRY("movq %[in], %%rcx\n\tmovq 8+%[in], %%rdx\n\t"               \
                  "movq 16+%[in], %%rax\n\tpushq $2\n\tpopfq\n\t" instruction  \
                  "\n\tpushfq\n\tpopq %[after]\n\tmovq %%rax, 8+%[after]\n\t"  \
                  "movq %%rdx, 16+%[after]",                                   \
                  [in] "m"(in), [after] "m"(after));                           \
    } while (0)

static uint64_t as_stored(uint64_t entry)
{
    return (entry & PTE_PRESENT ? entry | PTE_USER : entry) & OWN_BITS;
}

static void set(uint64_t entry)
{
    CHECK_EQ(write_entry(&table[0], entry), 0);
}

/* The instruction on both, from the same beginning. */
#define BOTH(start, value, old, instruction)                                   \
    do {                                                                       \
        uint64_t want[3];                                                      \
                                                                               \
        set(start);                                                            \
        scratch[0] = table[0];                                                 \
        RUN(scratch, value, old, instruction);                                 \
        memcpy(want, after, sizeof(want));                                     \
        RUN(table, value, old, instruction);                                   \
        if (!CHECK_EQ(fault_seen.vector, FAULT_NONE) ||                        \
            !CHECK_EQ(table[0] & OWN_BITS, as_stored(scratch[0])) ||           \
            !CHECK_EQ(after[0] & FLAGS, want[0] & FLAGS) ||                    \
            !CHECK_EQ(after[1], want[1]) || !CHECK_EQ(after[2], want[2]))      \
            printf("  by %s from 0x%lx\n", instruction, (uint64_t)(start));    \
    } while (0)

static void prepare(void)
{
    uint64_t mfn = virt_to_mfn(page_alloc());

    table = page_alloc();
    read_only = mfn << PAGE_SHIFT | PAGE_READ;
    writable = mfn << PAGE_SHIFT | PAGE_WRITE;
    CHECK_EQ(page_protect(table, virt_to_mfn(table), PAGE_READ), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, virt_to_mfn(table)), 0);
}

/* With or without VMASST_TYPE_writable_pagetables, as on Xen. */
static void assistance_or_not(void)
{
    static const unsigned int command[] = { VMASST_CMD_disable,
                                            VMASST_CMD_enable };

    for (unsigned int i = 0; i < 2; i++) {
        set(0);
        CHECK_EQ(hypercall_vm_assist(command[i],
                                     VMASST_TYPE_writable_pagetables), 0);
        RUN(table, read_only, 0, "movq %%rdx, (%%rcx)");
        CHECK_EQ(fault_seen.vector, FAULT_NONE);
        CHECK_EQ(table[0] & OWN_BITS, read_only);
    }
}

/* As kernels change whole entries. */
static void whole_entries(uint64_t start)
{
    BOTH(start, writable, 0, "movq %%rdx, (%%rcx)");
    BOTH(start, 0, 0, "movq %%rdx, (%%rcx)");
    BOTH(start, 0, 0, "movq $0, (%%rcx)");
    BOTH(start, writable, 0, "xchgq %%rdx, (%%rcx)");
    BOTH(start, 0, 0, "xchgq %%rdx, (%%rcx)");
    BOTH(start, writable, table[0], "lock cmpxchgq %%rdx, (%%rcx)");
    BOTH(start, read_only, writable, "lock cmpxchgq %%rdx, (%%rcx)");
    BOTH(start, 0, 0, "lock cmpxchgq %%rdx, (%%rcx)");
    BOTH(start, 0, ~0ull, "cmpxchgq %%rdx, (%%rcx)");
    BOTH(start, 0, 1ull << 63, "cmpxchgq %%rdx, (%%rcx)");
    BOTH(start, ~0ull, 0, "lock andq %%rdx, (%%rcx)");
    BOTH(start, ~PTE_RW, 0, "lock andq %%rdx, (%%rcx)");
    BOTH(start, 0, 0, "lock andq %%rdx, (%%rcx)");
    BOTH(start, PTE_ACCESSED | PTE_DIRTY, 0, "lock orq %%rdx, (%%rcx)");
}

static void single_bits(uint64_t start)
{
    BOTH(start, 0, 0, "lock btrq $1, (%%rcx)");
    BOTH(start, 0, 0, "lock btsq $5, (%%rcx)");
    BOTH(start, 0, 0, "lock btrl $6, (%%rcx)");
    BOTH(start, 6, 0, "lock btsq %%rdx, (%%rcx)");
    BOTH(start, 1, 0, "lock btrw %%dx, (%%rcx)");
    if (guest.on_belfry) /* Xen takes it for the next word's bit 6 */
        BOTH(start, 0, 0, "btsq $64+6, (%%rcx)");
    BOTH(start, 64 + 5, 0, "btsq %%rdx, -8(%%rcx)");
    BOTH(start, (uint64_t)-32 + 6, 0, "btrl %%edx, 4(%%rcx)");
}

static void parts(uint64_t start)
{
    BOTH(start, 0, 0, "lock andb $~2, (%%rcx)");
    BOTH(start, 0, 0, "lock orb $0x60, (%%rcx)");
    BOTH(start, 0x60, 0, "orb %%dl, (%%rcx)");
    BOTH(start, 0, 0, "andl $~0x40, (%%rcx)");
    BOTH(start, 0, 0, "andw $0xffdf, (%%rcx)");
    BOTH(start, 0, 0, "orq $0x20, (%%rcx)");
    BOTH(start, 0, 0, "movb $0, (%%rcx)");
    BOTH(start, 0, 0, "movb %%dh, (%%rcx)");
    BOTH(start, 0x1122334455660000, 0, "movw %%dx, (%%rcx)");
    BOTH(start, 0x1122334400000000, 0, "xchgl %%edx, (%%rcx)");
    BOTH(start, 0, 0x112600, "xchgb %%ah, (%%rcx)");
    BOTH(start, 0, start, "cmpxchgl %%edx, (%%rcx)");
    BOTH(start, 0, 0x3322, "cmpxchgb %%dl, (%%rcx)");
    BOTH(start, 0, 1, "movq %%rdx, -8(%%rcx,%%rax,8)");
    BOTH(start, 0, 0, "movl %%edx, 4(%%rcx)");
}

static void every_instruction(uint64_t start)
{
    whole_entries(start);
    single_bits(start);
    parts(start);
}

/* What is refused is a fault, and nothing has happened. */
#define REFUSED(address, value, instruction)                                   \
    do {                                                                       \
        uint64_t word = *(volatile uint64_t *)(address);                       \
                                                                               \
        RUN(address, value, word, instruction);                                \
        if (!CHECK_EQ(fault_seen.vector, PAGE_FAULT) ||                        \
            !CHECK_EQ(fault_seen.error, WRITE_PROTECTED) ||                    \
            !CHECK_EQ(fault_seen_cr2 & ~7ull, address) ||                      \
            !CHECK_EQ(*(volatile uint64_t *)(address), word))                  \
            printf("  by %s of 0x%lx\n", instruction, (uint64_t)(value));      \
    } while (0)

static void entries_that_may_not_be(void)
{
    uint64_t own_table = virt_to_mfn(table) << PAGE_SHIFT | PAGE_WRITE;
    uint64_t root = virt_to_mfn((void *)guest.start->pt_base) << PAGE_SHIFT |
                    PAGE_WRITE;

    set(read_only);
    REFUSED(table, own_table, "movq %%rdx, (%%rcx)");
    REFUSED(table, own_table, "xchgq %%rdx, (%%rcx)");
    REFUSED(table, own_table, "lock cmpxchgq %%rdx, (%%rcx)");
    REFUSED(table, root, "movq %%rdx, (%%rcx)");
    REFUSED(table, root, "xchgq %%rdx, (%%rcx)");
    set(own_table & ~PTE_RW);
    REFUSED(table, 1, "lock btsq %%rdx, (%%rcx)");
    REFUSED(table, PTE_RW, "lock orb %%dl, (%%rcx)");
    set(0);
}

static void places_that_may_not_be(void)
{
    uint64_t *page = page_alloc();
    uint64_t mfn = virt_to_mfn(page);
    uint64_t *upper = table_entry(page, 2);

    CHECK_EQ(page_protect(page, mfn, PAGE_READ), 0);
    REFUSED(page, 1, "movq %%rdx, (%%rcx)"); /* no table */
    REFUSED(upper, 0, "movq %%rdx, (%%rcx)"); /* of level 2 */
    REFUSED(upper, PTE_ACCESSED, "lock orq %%rdx, (%%rcx)");
    set(read_only);
    REFUSED(table, 0, "movq %%rdx, 4(%%rcx)"); /* two entries */
    CHECK_EQ(table[1], 0);
    CHECK_EQ(page_protect(page, mfn, PAGE_WRITE), 0);
    page_free(page);
}

/* The page that an entry named is free to be a table itself, and no longer
 * when it is named again. */
static void references_follow(void)
{
    uint64_t *page = page_alloc();
    uint64_t mfn = virt_to_mfn(page), entry = mfn << PAGE_SHIFT | PAGE_WRITE;

    set(0);
    RUN(table, entry, 0, "xchgq %%rdx, (%%rcx)");
    CHECK_EQ(page_protect(page, mfn, PAGE_READ), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, mfn), -EINVAL);
    RUN(table, 0, 0, "lock btrq $1, (%%rcx)");
    CHECK_EQ(after[0] & 1, 1);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, mfn), 0);
    REFUSED(table, 1, "lock btsq %%rdx, (%%rcx)");
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, mfn), 0);
    RUN(table, 0, 0, "lock btsq $1, (%%rcx)");
    CHECK_EQ(after[0] & 1, 0);
    RUN(table, 0, 0, "xchgq %%rdx, (%%rcx)");
    CHECK_EQ(after[2] & OWN_BITS, entry);
    CHECK_EQ(page_protect(page, mfn, PAGE_WRITE), 0);
    page_free(page);
}

int guest_main(void)
{
    fault_install();
    prepare();
    assistance_or_not();
    every_instruction(0);
    every_instruction(read_only);
    every_instruction(writable);
    entries_that_may_not_be();
    places_that_may_not_be();
    references_follow();
    set(0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, virt_to_mfn(table)), 0);
    CHECK_EQ(page_protect(table, virt_to_mfn(table), PAGE_WRITE), 0);
    test_end("tablewrite");
}
