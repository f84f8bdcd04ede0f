/*
 * Defends: a return to a frame that the CPU refuses (a selector that names
 * nothing) is the guest's own fault, reported at the frame that it wanted,
 * with all registers as they were; and nobody else is hurt (X2).
 */
#include "tests/guest/fault.h"

#define KERNEL_CS  0xe030u
#define KERNEL_SS  0xe02bu
#define PROTECTION 13

static uint64_t other_stack[512] __attribute__((aligned(16)));
static uint64_t wanted_cs, wanted_ss, wanted_rip, registers[6];

/* The iret hypercall to the wanted cs and ss, on another stack; the handler
 * comes back here.  rbx, rbp, r12 to r15 before and after; inline, so that they
 * are the caller's. */
static inline __attribute__((always_inline)) void return_to(uint64_t cs,
                                                            uint64_t ss)
{
    wanted_cs = cs;
    wanted_ss = ss;
    FAULT_TRY("leaq 1f(%%rip), %%rax\n\tmovq %%rax, %[rip]\n\t"
              "pushq %[ss]\n\tpushq %[sp]\n\tpushq $2\n\tpushq %[cs]\n\t"
              "pushq %%rax\n\tpushq $0\n\tpushq $0x1234\n\tpushq $0x5678\n\t"
              "pushq $0x9abc\n\tmovl $23, %%eax\n\tsyscall\n\tud2\n"
              "1:\tmovq fault_resume+8(%%rip), %%rsp",
              [ss] "m"(wanted_ss), [cs] "m"(wanted_cs), [rip] "m"(wanted_rip),
              [sp] "r"(other_stack + 512));
}

/* The handler must not return to the same frame again. */
static void mend(struct fault_frame *frame)
{
    frame->cs = KERNEL_CS;
    frame->ss = KERNEL_SS;
    frame->rip = fault_resume[0].rip;
    frame->rsp = fault_resume[0].rsp;
}

#define REGISTERS_TO(place)                                                    \
    __asm__ volatile("movq %%rbx, %0\n\tmovq %%rbp, 8+%0\n\t"                  \
                     "movq %%r12, 16+%0\n\tmovq %%r13, 24+%0\n\t"              \
                     "movq %%r14, 32+%0\n\tmovq %%r15, 40+%0"                  \
                     : "=m"(place))

static void refused(uint64_t cs, uint64_t ss, uint64_t error)
{
    return_to(cs, ss);
    if (!CHECK_EQ(fault_seen.vector, PROTECTION) ||
        !CHECK_EQ(fault_seen.error, error))
        printf("  cs 0x%lx ss 0x%lx\n", cs, ss);
    CHECK_EQ(fault_seen.rip, wanted_rip);
    CHECK_EQ((uint32_t)fault_seen.cs, cs);
    CHECK_EQ(fault_seen.ss, ss | 3);
    CHECK_EQ(fault_seen.rsp, other_stack + 512);
    CHECK_EQ(fault_seen.rcx, 0x1234);
    CHECK_EQ(fault_seen.r11, 0x5678);
    CHECK_EQ(fault_seen.rax, 0x9abc);
}

/* What the compiler keeps in registers has come through. */
static void kept_registers(void)
{
    static uint64_t before[6];

    REGISTERS_TO(before);
    return_to(0x1230, KERNEL_SS);
    REGISTERS_TO(registers);
    CHECK(!memcmp(before, registers, sizeof(before)));
    CHECK_EQ(fault_seen.rbx, before[0]);
    CHECK_EQ(fault_seen.rbp, before[1]);
    CHECK_EQ(fault_seen.r15, before[5]);
}

int guest_main(void)
{
    static const uint16_t bad[] = { 0x1230, 0x8, 0xf008, 0x1234, 0xfff8 };

    fault_install();
    fault_hook = mend;
    return_to(KERNEL_CS, KERNEL_SS);
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
    for (unsigned int round = 0; round < 100; round++) {
        for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
            refused(bad[i], KERNEL_SS, bad[i]);
            refused(KERNEL_CS, bad[i], bad[i]);
        }
        refused(0, KERNEL_SS, 0);
        refused(KERNEL_SS & ~3u, KERNEL_SS, KERNEL_SS & ~3u); /* data */
    }
    kept_registers();
    return_to(KERNEL_CS, KERNEL_SS);
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
    test_end("badreturn");
}
