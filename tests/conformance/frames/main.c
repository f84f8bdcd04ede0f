/*
 * Enters and leaves the guest in every way, by frames of the iret hypercall
 * and by instructions that fault, in its kernel and in its user mode, and
 * says what the exception's frame shows.
 *
 * Each piece of code ends in an instruction that raises an exception, so the
 * frame of that one shows the state in which the code ran.
 */
#include "tests/conformance/transcript.h"
#include "tests/guest/user.h"

static char *stack;   /* of kernel code */
static bool in_user;  /* where the code of this call runs */
static bool masked;   /* evtchn_upcall_mask when it came back */
static uint64_t from; /* its first instruction */
static uint64_t rsp;  /* as it began */

static struct vcpu_info *vcpu(void)
{
    return &guest.shared->vcpu_info[0];
}

/* Whatever was raised, in either mode: back into user_enter. */
static void back(struct fault_frame *frame)
{
    masked = vcpu()->evtchn_upcall_mask;
    vcpu()->evtchn_upcall_mask = 1;
    frame->rip = (uint64_t)user_resume;
    frame->cs = FLAT_KERNEL_CS & ~3u;
    frame->ss = FLAT_KERNEL_SS;
    frame->rsp = user_resume_rsp;
    frame->rflags = 2;
}

/* ---- Running code. ---- */

static void any_mode(void)
{
    in_user = choose(2);
    line_add(in_user ? " user" : " kernel");
    from = in_user ? USER_CODE : (uint64_t)code;
    rsp = in_user ? USER_STACK + PAGE_SIZE - 16
                  : (uint64_t)stack + PAGE_SIZE - 64;
}

static struct iret_context plain_frame(void)
{
    return (struct iret_context){ .rax = 0x7a7a, .r11 = 0x1111,
                                  .rcx = 0x2222, .rip = from,
                                  .cs = in_user ? FLAT_USER_CS
                                                : FLAT_KERNEL_CS & ~3u,
                                  .rflags = 2, .rsp = rsp,
                                  .ss = in_user ? FLAT_USER_SS
                                                : FLAT_KERNEL_SS };
}

static void note_address(const char *label, uint64_t value)
{
    if (value - from < PAGE_SIZE)
        line_add(" %s=code+%lu", label, (unsigned long)(value - from));
    else if (rsp - value + 256 < 512)
        line_add(" %s=stack%+ld", label, (long)(value - rsp));
    else
        line_add(" %s=0x%lx", label, (unsigned long)value);
}

static void enter(const struct iret_context *frame)
{
    vcpu()->evtchn_upcall_pending = 0;
    fault_clear();
    user_enter(frame);
    line_add(": %lu error=0x%lx", (unsigned long)fault_seen.vector,
             (unsigned long)fault_seen.error);
    note_address("rip", fault_seen.rip);
    note_address("rsp", fault_seen.rsp);
    line_add(" cs=0x%lx ss=0x%lx flags=0x%lx", fault_seen.cs & 0xffff,
             fault_seen.ss, fault_seen.rflags);
    if (fault_seen.vector == 14)
        note_address("cr2", fault_seen_cr2);
    line_add(" masked=%d", masked);
    hypercall_set_debugreg(6, 0);
}

static void put_code(const uint8_t *text, const uint8_t *end)
{
    memset(code, 0xcc, 256);
    memcpy(code, text, (size_t)(end - text));
}

/* ---- Frames. ---- */

USER(ud2, "ud2");

static void iret_flags(void)
{
    struct iret_context frame;
    unsigned int bit;

    any_mode();
    put_code(user_ud2, user_ud2_end);
    frame = plain_frame();
    bit = choose(26);
    if (bit < 24) {
        line_add(" bit=%u", bit);
        frame.rflags = 1ull << bit;
    } else {
        frame.rflags = ANY("rflags", { "bit63", 1ull << 63 | 2 },
                           { "bit32", 1ull << 32 | 2 });
    }
    frame.flags = ANY("frame", { "0", 0 }, { "in_syscall", VGCF_in_syscall },
                      { "bit0", 1 }, { "others", ~0x101ull });
    enter(&frame);
    line_add(" rax=0x%lx rcx=0x%lx r11=0x%lx", fault_seen.rax,
             fault_seen.rcx == from ? 0xc0de : fault_seen.rcx, fault_seen.r11);
}

/* Pairs of flags: what one does may hang on another. */
static void iret_two_flags(void)
{
    struct iret_context frame;

    any_mode();
    put_code(user_ud2, user_ud2_end);
    frame = plain_frame();
    frame.rflags = 2;
    for (unsigned int i = 0; i < 2; i++)
        frame.rflags |= ANY("flag", { "if", 1 << 9 }, { "tf", 1 << 8 },
                            { "df", 1 << 10 }, { "iopl", 3 << 12 },
                            { "nt", 1 << 14 }, { "rf", 1 << 16 },
                            { "ac", 1 << 18 }, { "id", 1 << 21 });
    enter(&frame);
}

static void iret_addresses(void)
{
    struct iret_context frame;

    any_mode();
    put_code(user_ud2, user_ud2_end);
    frame = plain_frame();
    if (choose(2))
        frame.rip = ANY("rip", { "hole", 0x0000700000000000 },
                        { "null", 0 }, { "hypervisor", 0xffff830000000000 },
                        { "m2p", HYPERVISOR_VIRT_START });
    else
        frame.rsp = ANY("rsp", { "odd", rsp + 1 }, { "even", rsp + 8 });
    enter(&frame);
}

static void iret_selectors(void)
{
    struct iret_context frame;

    any_mode();
    put_code(user_ud2, user_ud2_end);
    frame = plain_frame();
    frame.ss = ANY("ss", { "kernel", FLAT_KERNEL_SS },
                   { "data-rpl0", FLAT_KERNEL_SS & ~3u }, { "null", 0 });
    enter(&frame);
}

/* ---- Instructions. ---- */

#define SNIPPETS(X)                                                            \
    X(nothing, "ud2")                                                          \
    X(int3, "int3")                                                            \
    X(icebp, ".byte 0xf1; ud2")                                                \
    X(int80, "int $0x80")                                                      \
    X(int4, "int $4")                                                          \
    X(div, "xorl %ecx, %ecx; divl %ecx")                                       \
    X(ud0, ".byte 0x0f, 0xff, 0xc0")                                           \
    X(cli, "cli; ud2")                                                         \
    X(sti, "sti; ud2")                                                         \
    X(popf, "pushq $0x244602; popfq; ud2")                                     \
    X(popf_iopl, "pushq $0x3202; popfq; ud2")                                  \
    X(read_null, "xorl %eax, %eax; movq (%rax), %rax")                         \
    X(write_null, "xorl %eax, %eax; movq %rax, (%rax)")                        \
    X(read_hv, "movabsq $0xffff830000000000, %rax; movq (%rax), %rax")         \
    X(write_m2p, "movabsq $0xffff800000000000, %rax; movq %rax, (%rax)")       \
    X(read_odd, "movabsq $0x800000000000, %rax; movq (%rax), %rax")            \
    X(write_odd, "movabsq $0x800000000000, %rax; movq %rax, (%rax)")           \
    X(stack_odd, "movabsq $0x800000000000, %rcx; movq %rsp, %rdx; "            \
                 "movq %rcx, %rbp; movq (%rbp), %rax")                         \
    X(jump_null, "xorl %eax, %eax; jmp *%rax")                                 \
    X(jump_hv, "movabsq $0xffff830000000000, %rax; jmp *%rax")                 \
    X(jump_odd, "movabsq $0x800000000000, %rax; jmp *%rax")                    \
    X(cr0, "movq %cr0, %rax; ud2")                                             \
    X(cr2, "movq %cr2, %rax; ud2")                                             \
    X(cr3, "movq %cr3, %rax; ud2")                                             \
    X(cr4, "movq %cr4, %rax; ud2")                                             \
    X(cr8, "movq %cr8, %rax; ud2")                                             \
    X(dr7, "movq %dr7, %rax; ud2")                                             \
    X(dr0, "movq %dr0, %rax; ud2")                                             \
    X(rdmsr_efer, "movl $0xc0000080, %ecx; rdmsr; ud2")                        \
    X(rdmsr_none, "movl $0x12345678, %ecx; rdmsr; ud2")                        \
    X(clts, "clts; ud2")                                                       \
    X(invlpg, "invlpg (%rsp); ud2")                                            \
    X(lgdt, "lgdt (%rsp)")                                                     \
    X(lidt, "lidt (%rsp)")                                                     \
    X(lldt, "xorl %eax, %eax; lldt %ax")                                       \
    X(ltr, "xorl %eax, %eax; ltr %ax")                                         \
    X(lmsw, "xorl %eax, %eax; lmsw %ax")                                       \
    X(rdtsc, "rdtsc; ud2")                                                     \
    X(cpuid, "xorl %eax, %eax; cpuid; ud2")                                    \
    X(forced_cpuid, ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; cpuid; ud2")          \
    X(forced_none, ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e; nop")                  \
    X(swapgs, "swapgs")                                                        \
    X(sysretq, "sysretq")                                                      \
    X(invd, "invd")                                                            \
    X(monitor, "monitor")                                                      \
    X(vmcall, "vmcall")                                                        \
    X(clac, "clac")                                                            \
    X(rdfsbase, "rdfsbase %rax; ud2")                                          \
    X(wrgsbase, "xorl %eax, %eax; wrgsbase %rax; ud2")                         \
    X(mov_ss_bad, "movl $0x1234, %eax; movl %eax, %ds")                        \
    X(mov_fs_null, "xorl %eax, %eax; movl %eax, %fs; ud2")                     \
    X(mov_ss_null, "xorl %eax, %eax; movl %eax, %ss")                          \
    X(lock, "lock; nop")                                                       \
    X(int_privileged, "movl $1, %eax; xsetbv")                                 \
    X(in, "inb $0x71, %al; ud2")                                               \
    X(hlt, "hlt; ud2")

#define DEFINE(name, text) USER(name, text);
#define LIST(name, text) { #name, user_##name, user_##name##_end },

SNIPPETS(DEFINE)

static const struct snippet {
    const char *name;
    const uint8_t *text, *end;
} snippets[] = { SNIPPETS(LIST) };

static void run(void)
{
    const struct snippet *s =
        &snippets[choose(sizeof(snippets) / sizeof(snippets[0]))];
    struct iret_context frame;

    line_add(" %s", s->name);
    any_mode();
    put_code(s->text, s->end);
    frame = plain_frame();
    frame.rflags |= choose(2) ? 1 << 8 : 0;
    line_add(frame.rflags & 1 << 8 ? " stepped" : "");
    enter(&frame);
}

/* ---- All of it. ---- */

static const struct {
    const char *name;
    void (*call)(void);
} kinds[] = {
    { "iret.flags", iret_flags },       { "iret.two", iret_two_flags },
    { "iret.addresses", iret_addresses }, { "iret.selectors", iret_selectors },
    { "run", run },
};

int guest_main(void)
{
    fault_install();
    user_set_up();
    fault_hook = back;
    stack = page_alloc();
    CHECK_EQ(page_protect(code, virt_to_mfn(code), PAGE_WRITE), 0);
    transcript.show = true;
    for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        do {
            line_begin(kinds[i].name);
            kinds[i].call();
            line_end();
        } while (choose_next());
    check_audit("at the end");
    verdict(test_failures ? VERDICT_FAIL : VERDICT_PASS, "frames");
}
