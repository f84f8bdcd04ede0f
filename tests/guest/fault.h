/*
 * Exceptions as results: run an instruction and see what it raised.
 *
 * FAULT_TRY runs a piece of assembly.  If it raises an exception, the
 * handler keeps the whole frame in fault_seen and goes on behind the piece;
 * an exception outside of FAULT_TRY panics.  Every vector has the same
 * handler, so an exception delivered at the wrong vector is seen as such.
 * Several vCPUs may try at once, but what the last exception was, fault_seen,
 * is then of no use.
 *
 * The return from the handler is by iretq in ring 3, or by the iret
 * hypercall when the command line has the word iret (emulators cannot execute
 * iretq in ring 3 while SMAP is on), and always by hypercall to user mode.
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "tests/guest/test.h"

#define FAULT_NONE 0xffffffffu

/* As the stubs below push it, over the frame of the ABI. */
struct fault_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r10, r9, r8, rax, rdx, rsi, rdi;
    uint64_t r11, rcx; /* the ABI's, moved below the vector */
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* The last exception; vector FAULT_NONE: none since fault_clear(). */
static struct fault_frame fault_seen;
static uint64_t fault_seen_cr2;
static unsigned int fault_count;
/* Called for each exception in place of going on behind the piece; it may
 * change the frame.  Used by tests of user mode. */
static void (*fault_hook)(struct fault_frame *frame);

/* Where each vCPU goes on; rip 0: nowhere. */
struct fault_resume {
    uint64_t rip, rsp;
} fault_resume[32] __attribute__((used));
uint32_t fault_by_hypercall __attribute__((used));
void fault_handle(struct fault_frame *frame);
extern char fault_stubs[];

#define FAULT_STUB_SIZE 32

/* r11 and rcx come first on the stack (the ABI's order: rcx lowest). */
__asm__(".pushsection .text\n"
        ".balign 32\n"
        "fault_stubs:\n"
        "vector = 0\n"
        ".rept 256\n"
        "    .balign 32, 0x90\n"
        "    popq %rcx\n"
        "    popq %r11\n"
        "    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17\n"
        "    .else\n"
        "    pushq $0\n"
        "    .endif\n"
        "    pushq $vector\n"
        "    jmp fault_common\n"
        "    vector = vector + 1\n"
        ".endr\n"
        "fault_common:\n"
        "    cld\n"
        "    pushq %rcx\n"
        "    pushq %r11\n"
        "    pushq %rdi\n"
        "    pushq %rsi\n"
        "    pushq %rdx\n"
        "    pushq %rax\n"
        "    pushq %r8\n"
        "    pushq %r9\n"
        "    pushq %r10\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, %rdi\n"
        "    movq %rsp, %rbx\n"
        "    andq $-16, %rsp\n"
        "    call fault_handle\n"
        "    movq %rbx, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    popq %r10\n"
        "    popq %r9\n"
        "    popq %r8\n"
        "    popq %rax\n"
        "    popq %rdx\n"
        "    popq %rsi\n"
        "    popq %rdi\n"
        "    popq %r11\n"
        "    popq %rcx\n"
        "    addq $16, %rsp\n" /* vector and error */
        "    testb $3, 8(%rsp)\n"
        "    jnz 1f\n"
        "    cmpl $0, fault_by_hypercall(%rip)\n"
        "    jne 1f\n"
        "    orb $3, 8(%rsp)\n"
        "    iretq\n"
        "1:  pushq $0\n" /* struct iret_context: flags, rcx, r11, rax */
        "    pushq %rcx\n"
        "    pushq %r11\n"
        "    pushq %rax\n"
        "    movl $23, %eax\n" /* __HYPERVISOR_iret */
        "    syscall\n"
        "    ud2\n"
        ".popsection\n");

void fault_handle(struct fault_frame *frame)
{
    struct fault_resume *resume = &fault_resume[vcpu_id()];

    fault_seen = *frame;
    fault_seen_cr2 = trap_cr2();
    fault_count++;
    if (fault_hook) {
        fault_hook(frame);
        return;
    }
    if (resume->rip == 0)
        panic("vector %lu error 0x%lx at 0x%lx, cr2 0x%lx", frame->vector,
              frame->error, frame->rip, fault_seen_cr2);
    frame->rip = resume->rip;
    frame->rsp = resume->rsp;
    frame->rflags &= ~(uint64_t)0x100; /* no more single steps */
    resume->rip = 0;
}

/* Take over all vectors; software interrupts from @vector_of_int on are
 * open to ring 3, as exceptions that an instruction raises always are. */
static inline void fault_install(void)
{
    static struct trap_info traps[257];
    char word[8];

    fault_by_hypercall = cmdline_get("iret", word, sizeof(word));
    for (unsigned int i = 0; i < 256; i++) {
        traps[i].vector = (uint8_t)i;
        traps[i].flags = i == 3 || i == 4 || i >= 0x80 ? 3 : 0;
        traps[i].cs = FLAT_KERNEL_CS;
        traps[i].address = (unsigned long)fault_stubs + i * FAULT_STUB_SIZE;
    }
    BUG_ON(hypercall_set_trap_table(traps) != 0);
    fault_seen.vector = FAULT_NONE;
}

static inline void fault_clear(void)
{
    memset(&fault_seen, 0, sizeof(fault_seen));
    fault_seen.vector = FAULT_NONE;
    fault_seen_cr2 = 0;
}

/* Run @code; operands follow as in extended asm, named ones only.  rax is
 * the scratch register of the preamble. */
#define FAULT_TRY(code, ...)                                                   \
    do {                                                                       \
        fault_clear();                                                         \
        __asm__ volatile("leaq 771f(%%rip), %%rax\n\t"                         \
                         "movq %%rax, (%[resume])\n\t"                         \
                         "movq %%rsp, 8(%[resume])\n\t" code "\n"              \
                         "771:\tmovq $0, (%[resume])"                          \
                         : /* none */                                          \
                         : [resume] "r"(&fault_resume[vcpu_id()]),             \
                           ##__VA_ARGS__                                       \
                         : "rax", "rcx", "rdx", "r11", "memory", "cc");        \
    } while (0)

/* The same for a load and a store of a quadword. */
static inline bool fault_reading(const volatile void *address)
{
    FAULT_TRY("movq (%[a]), %%rax", [a] "r"(address));
    return fault_seen.vector != FAULT_NONE;
}

static inline bool fault_writing(volatile void *address)
{
    FAULT_TRY("movq (%[a]), %%rax\n\tmovq %%rax, (%[a])", [a] "r"(address));
    return fault_seen.vector != FAULT_NONE;
}

#endif
