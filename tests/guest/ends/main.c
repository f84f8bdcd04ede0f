/*
 * Defends: however a guest ends, it ends alone, with the right reason, and
 * all it had comes back (X1, X8, X9, X10, X19, D7).
 *
 * The first domain creates one child after the other; a child's command
 * line says how it is to die.  Between two deaths the audit must be clean
 * and the free pages as many as before.
 */
#include "tests/guest/parent.h"
#include "tests/guest/tables.h"

#define UNMAPPED     0x0000700000000000ull
#define NONCANONICAL 0x8000000000000000ull

/* From here on no exception reaches the program. */
static void forget_handlers(void)
{
    BUG_ON(hypercall_set_trap_table(NULL) != 0);
}

/* ---- The deaths. ---- */
static void end_with(unsigned int reason)
{
    struct sched_shutdown op = { .reason = reason };

    hypercall_sched_op(SCHEDOP_shutdown, &op);
}

static void kind_poweroff(void)
{
    end_with(SHUTDOWN_poweroff);
}

static void kind_reboot(void)
{
    end_with(SHUTDOWN_reboot);
}

static void kind_suspend(void)
{
    end_with(SHUTDOWN_suspend);
}

static void kind_crash(void)
{
    end_with(SHUTDOWN_crash);
}

static void kind_panic(void)
{
    panic("as asked");
}

static void kind_ud2(void)
{
    forget_handlers();
    __asm__ volatile("ud2");
}

static void kind_null(void)
{
    forget_handlers();
    __asm__ volatile("movl $1, 0x18");
}

static void kind_hole(void)
{
    forget_handlers();
    __asm__ volatile("movq (%0), %%rax" : : "r"(0xffff830000001000) : "rax");
}

static void kind_m2p(void)
{
    forget_handlers();
    __asm__ volatile("movq $0, (%0)" : : "r"(HYPERVISOR_VIRT_START)
                     : "memory");
}

static void kind_text(void)
{
    forget_handlers();
    __asm__ volatile("movb $0xcc, (%0)" : : "r"(kind_poweroff) : "memory");
}

__attribute__((noinline)) static unsigned long deeper(unsigned long n)
{
    volatile char room[256];

    room[n & 255] = (char)n;
    if (n == ~0ul)
        return 0;
    return deeper(n + 1) + (unsigned long)room[(n + 1) & 255];
}

static void kind_overrun(void)
{
    forget_handlers();
    printf("%lu\n", deeper(0));
}

static void kind_jump(void)
{
    __asm__ volatile("jmp *%0" : : "r"(UNMAPPED + 0xabc));
}

/* The handler's frame has no place to go to. */
static void die_on_stack(uint64_t stack)
{
    __asm__ volatile("movq %0, %%rsp; ud2" : : "r"(stack));
}

static void kind_stack(void)
{
    die_on_stack(NONCANONICAL);
}

static void kind_stack_hole(void)
{
    die_on_stack(0xffff830000010000);
}

static void kind_stack_ro(void)
{
    die_on_stack(((uint64_t)kind_poweroff & ~(PAGE_SIZE - 1)) + PAGE_SIZE);
}

/* An upcall to nowhere, taken at the end of a block. */
static void kind_callback(void)
{
    BUG_ON(hypercall_set_callbacks((void *)(UNMAPPED + 8), NULL, NULL) != 0);
    forget_handlers();
    sleep_ns(1000000);
}

/* A handler whose first instruction faults. */
static void kind_handler(void)
{
    static struct trap_info traps[] = {
        { .vector = 6, .cs = FLAT_KERNEL_CS, .address = UNMAPPED },
        { .vector = 14, .cs = FLAT_KERNEL_CS, .address = UNMAPPED },
        { .address = 0 },
    };

    BUG_ON(hypercall_set_trap_table(traps) != 0);
    __asm__ volatile("ud2");
}

/* ---- The iret hypercall with frames that lead nowhere. ---- */
static struct iret_context iret_frame(void)
{
    return (struct iret_context){ .rip = (uint64_t)kind_poweroff,
                                  .cs = FLAT_KERNEL_CS & ~3,
                                  .rflags = 0x202,
                                  .rsp = (uint64_t)page_alloc() + PAGE_SIZE - 8,
                                  .ss = FLAT_KERNEL_SS };
}

static void do_iret(const void *frame)
{
    __asm__ volatile("movq %0, %%rsp; movl $23, %%eax; syscall; ud2"
                     :
                     : "r"(frame)
                     : "memory");
}

static void kind_iret_stack(void)
{
    do_iret((void *)UNMAPPED);
}

static void kind_iret_rip(void)
{
    struct iret_context frame = iret_frame();

    forget_handlers();
    frame.rip = NONCANONICAL;
    do_iret(&frame);
}

static void kind_iret_rsp(void)
{
    struct iret_context frame = iret_frame();

    frame.rip = (uint64_t)&kind_ud2;
    frame.rsp = NONCANONICAL;
    do_iret(&frame);
}

/* The hypervisor's own code segment: the RPL is forced, so it is a code
 * segment of ring 0 under RPL 3, and the return faults. */
static void kind_iret_cs(void)
{
    struct iret_context frame = iret_frame();

    forget_handlers();
    frame.cs = 0xe008;
    do_iret(&frame);
}

static void kind_iret_null(void)
{
    struct iret_context frame = iret_frame();

    forget_handlers();
    frame.cs = 0;
    do_iret(&frame);
}

/* To user mode, without tables for it. */
static void kind_iret_user(void)
{
    struct iret_context frame = iret_frame();

    frame.cs = FLAT_USER_CS;
    do_iret(&frame);
}

static void kind_iret_cross(void)
{
    char *two = pages_alloc(2);

    BUG_ON(hypercall_update_va_mapping(two + PAGE_SIZE, 0, UVMF_INVLPG) != 0);
    do_iret(two + PAGE_SIZE - 24);
}

/* X1: syscall as the last instruction before the hole: the address behind
 * it is not canonical. */
static void kind_edge(void)
{
    const uint64_t edge = 0x00007ffffffff000;
    uint64_t *l4 = (uint64_t *)guest.start->pt_base;
    uint64_t next = 0;
    uint8_t *code = page_alloc();

    code[4094] = 0x0f;
    code[4095] = 0x05;
    next = virt_to_mfn(code) << PAGE_SHIFT | PTE_PRESENT | PTE_USER;
    for (unsigned int level = 1; level <= 3; level++) {
        uint64_t *table = page_alloc();

        table[511] = next;
        next = virt_to_mfn(table) << PAGE_SHIFT | PTE_TABLE;
        BUG_ON(page_protect(table, virt_to_mfn(table), PAGE_READ) != 0);
    }
    BUG_ON(write_entry(&l4[255], next) != 0);
    __asm__ volatile("movl $17, %%eax; xorl %%edi, %%edi; jmp *%0"
                     :
                     : "r"(edge + 4094)
                     : "rax", "rdi", "memory");
}

/* X9: software interrupts before there are handlers. */
static void kind_intr(void)
{
    forget_handlers();
    __asm__ volatile("int $0x80");
}

/* X10: a system call out of a 32-bit code segment. */
static void kind_compat(void)
{
    static uint8_t code[] __attribute__((aligned(4096))) = {
        0xb8, 17, 0, 0, 0, /* mov $17, %eax */
        0x0f, 0x05,        /* syscall */
        0x0f, 0x34,        /* sysenter */
        0xcd, 0x82,        /* int $0x82 */
        0x0f, 0x0b,        /* ud2 */
    };
    struct {
        uint32_t offset;
        uint16_t cs;
    } __attribute__((packed)) target = { (uint32_t)(uintptr_t)code,
                                         FLAT_USER_CS32 };

    BUG_ON(page_protect(code, virt_to_mfn(code), PAGE_READ) != 0);
    __asm__ volatile("ljmpl *%0" : : "m"(target) : "memory");
}

/* X7: registers that belong to the machine. */
static void kind_msr(void)
{
    forget_handlers();
    __asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(0xdeadbeef));
}

static void kind_port(void)
{
    forget_handlers();
    __asm__ volatile("outb %%al, %%dx" : : "a"(0xfe), "d"(0x64));
}

/* The last way to its own code is cut. */
static void kind_no_tables(void)
{
    write_entry((uint64_t *)guest.start->pt_base +
                    pt_index((uint64_t)kind_no_tables, 4),
                0);
    mmuext_va(MMUEXT_TLB_FLUSH_LOCAL, 0);
    *(volatile int *)kind_no_tables;
}

#define ANY 0xffffffffu /* a vector that does not matter, or none */

static const struct kind {
    const char *name;
    void (*die)(void);
    unsigned int reason;
    unsigned int vector; /* what the hypervisor saw */
} kinds[] = {
    { "poweroff", kind_poweroff, SHUTDOWN_poweroff, ANY },
    { "reboot", kind_reboot, SHUTDOWN_reboot, ANY },
    { "suspend", kind_suspend, SHUTDOWN_suspend, ANY },
    { "crash", kind_crash, SHUTDOWN_crash, ANY },
    { "panic", kind_panic, SHUTDOWN_crash, ANY },
    { "ud2", kind_ud2, SHUTDOWN_crash, 6 },
    { "null", kind_null, SHUTDOWN_crash, 14 },
    { "hole", kind_hole, SHUTDOWN_crash, 14 },
    { "m2p", kind_m2p, SHUTDOWN_crash, 14 },
    { "text", kind_text, SHUTDOWN_crash, 14 },
    { "overrun", kind_overrun, SHUTDOWN_crash, 14 },
    { "jump", kind_jump, SHUTDOWN_crash, ANY },
    { "stack", kind_stack, SHUTDOWN_crash, ANY },
    { "stack-hole", kind_stack_hole, SHUTDOWN_crash, ANY },
    { "stack-ro", kind_stack_ro, SHUTDOWN_crash, ANY },
    { "callback", kind_callback, SHUTDOWN_crash, 14 },
    { "handler", kind_handler, SHUTDOWN_crash, ANY },
    { "iret-stack", kind_iret_stack, SHUTDOWN_crash, ANY },
    { "iret-rip", kind_iret_rip, SHUTDOWN_crash, ANY },
    { "iret-rsp", kind_iret_rsp, SHUTDOWN_crash, ANY },
    { "iret-cs", kind_iret_cs, SHUTDOWN_crash, ANY },
    { "iret-null", kind_iret_null, SHUTDOWN_crash, ANY },
    { "iret-user", kind_iret_user, SHUTDOWN_crash, ANY },
    { "iret-cross", kind_iret_cross, SHUTDOWN_crash, ANY },
    { "edge", kind_edge, SHUTDOWN_crash, ANY },
    { "intr", kind_intr, SHUTDOWN_crash, ANY },
    { "compat", kind_compat, SHUTDOWN_crash, ANY },
    { "msr", kind_msr, SHUTDOWN_crash, 13 },
    { "port", kind_port, SHUTDOWN_crash, 13 },
    { "no-tables", kind_no_tables, SHUTDOWN_crash, ANY },
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

_Noreturn static void child_main(void)
{
    char name[32] = "";

    cmdline_get("kind", name, sizeof(name));
    for (unsigned int i = 0; i < NR_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0)
            kinds[i].die();
    printf("still alive\n");
    for (;;)
        sleep_ns(1000000000);
}

/* The report names the instruction that was the end. */
static void report_is_right(const struct kind *k,
                            const struct belfry_domain *info)
{
    CHECK_EQ(info->reason, k->reason);
    CHECK(info->ended != 0 && info->ended <= clock_now());
    if (k->vector == ANY)
        return;
    CHECK_EQ(info->crash_vector, k->vector);
    CHECK(info->crash_rip != 0);
    CHECK(info->crash_text[0] != 0);
    CHECK(info->crash_symbol[0] != 0 || info->crash_rip >= UNMAPPED);
    if (strcmp(k->name, "null") == 0)
        CHECK_EQ(info->crash_cr2, 0x18);
    printf("%s: vector %u at 0x%lx (%s): %s\n", k->name, info->crash_vector,
           info->crash_rip, info->crash_symbol, info->crash_text);
}

static void one_death(const struct kind *k)
{
    static struct belfry_domain info;
    uint64_t before = machine_free_pages();
    unsigned int failed = test_failures;
    struct child c;

    if (!child_start(&c, k->name))
        return;
    if (CHECK(child_wait(&c, 5000000000, &info)))
        report_is_right(k, &info);
    child_destroy(&c);
    CHECK(!domain_info(c.id, &info));
    CHECK_EQ(machine_free_pages(), before);
    check_audit(k->name);
    if (test_failures != failed)
        printf("    (%s)\n", k->name);
}

int guest_main(void)
{
    if (!guest.initial)
        child_main();
    test_needs_belfry("ends");
    sleep_ns(1000000);
    child_rehearse(kinds[0].name);
    for (unsigned int i = 0; i < NR_KINDS; i++)
        one_death(&kinds[i]);
    test_end("ends");
}
