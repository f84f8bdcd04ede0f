/*
 * Defends: a guest's own user mode is a mode of its own.  Everything that
 * enters the guest's kernel from it (exceptions, system calls, software
 * interrupts, events) comes on the kernel's stack, in the kernel's tables,
 * with a frame that says so; and user mode itself can do nothing that the
 * kernel has not given it (X2, X9, X11, M20).
 */
#include "tests/guest/user.h"

USER(ud2, "nop; ud2");
USER(int3, "int3");
USER(read, "movabsq $0x40000000, %rax; movq (%rax), %rax");
USER(write, "movabsq $0x10000003008, %rax; movq %rax, (%rax)");
USER(jump, "movabsq $0x10000001000, %rax; jmp *%rax");
USER(syscall, "movl $0x11, %eax; syscall; nop");
USER(open_int, "int $0x80");
USER(closed_int, "int $0x50");
USER(spin, "1: pause; jmp 1b");
USER(cli, "cli");
USER(hlt, "hlt");
USER(rdmsr, "movl $0xc0000082, %ecx; rdmsr");
USER(cr3, "movq %cr3, %rax");
USER(in, "inb $0x71, %al");
USER(invlpg, "invlpg (%rax)");
USER(gs, "movq %gs:0, %rax; ud2");
USER(popf, "pushq $0x244602; popfq; ud2"); /* ID, AC, NT, DF */
USER(step, "nop; nop; ud2");

#define RUN(name) user_run(user_##name, user_##name##_end, 2, 0)

static void expect(unsigned int vector, uint64_t error, uint64_t offset,
                   const char *what)
{
    bool good = CHECK_EQ(fault_seen.vector, vector);

    good = CHECK_EQ(fault_seen.error, error) && good;
    good = CHECK_EQ(fault_seen.rip, USER_CODE + offset) && good;
    good = CHECK_EQ(fault_seen.cs & 3, 3) && good;
    good = CHECK(frame_at >= (uint64_t)kernel_stack &&
                 frame_at < (uint64_t)kernel_stack + PAGE_SIZE) && good;
    if (!good)
        printf("    (%s)\n", what);
}

/* ---- The tests. ---- */
static void exceptions(void)
{
    RUN(ud2);
    expect(6, 0, 1, "ud2");
    CHECK_EQ(fault_seen.rsp, USER_STACK + PAGE_SIZE - 16);
    CHECK_EQ(fault_seen.rax, 0x7a7a);
    CHECK_EQ(fault_seen.rcx, 0x2222);
    CHECK_EQ(fault_seen.r11, 0x1111);
    RUN(int3);
    expect(3, 0, 1, "int3");
    RUN(read); /* the kernel's memory is not in the user's tables */
    expect(14, 4, 10, "read of the kernel");
    CHECK_EQ(fault_seen_cr2, 0x40000000);
    RUN(write);
    expect(14, 7, 10, "write to a read-only page");
    CHECK_EQ(fault_seen_cr2, USER_RO + 8);
    RUN(jump);
    CHECK_EQ(fault_seen.vector, 14);
    CHECK_EQ(fault_seen.error, 0x15);
    CHECK_EQ(fault_seen.rip, USER_DATA);
}

/* A system call is the kernel's, never a hypercall. */
static void system_calls(void)
{
    for (unsigned int i = 0; i < 2; i++) {
        user_run(user_syscall, user_syscall_end, 2, i ? VGCF_in_syscall : 0);
        expect(BY_SYSCALL, 0, 7, "syscall");
        CHECK_EQ(fault_seen.rax, 0x11);
        CHECK_EQ(fault_seen.rdi, 0x51ed);
        CHECK_EQ(fault_seen.rsp, USER_STACK + PAGE_SIZE - 16);
    }
}

static void X9_software_interrupts(void)
{
    RUN(open_int);
    expect(0x80, 0, 2, "int 0x80");
    if (!guest.on_belfry)
        return; /* Xen believes the emulator's error code, which is wrong */
    RUN(closed_int);
    CHECK_EQ(fault_seen.vector, 13);
    CHECK_EQ(fault_seen.rip, USER_CODE);
}

static void privileged_instructions(void)
{
    RUN(cli);
    expect(13, 0, 0, "cli");
    RUN(hlt);
    expect(13, 0, 0, "hlt");
    RUN(rdmsr);
    expect(13, 0, 5, "rdmsr");
    RUN(cr3);
    expect(13, 0, 0, "mov from cr3");
    RUN(in);
    expect(13, 0, 0, "inb");
    RUN(invlpg);
    expect(13, 0, 0, "invlpg");
}

/* An event in user mode arrives on the kernel's stack too. */
static void events(void)
{
    struct vcpu_info *vcpu = &guest.shared->vcpu_info[0];
    struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER };
    struct evtchn_unmask port;

    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_bind_virq, &virq), 0);
    port.port = virq.port;
    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_unmask, &port), 0);
    for (unsigned int i = 0; i < 20; i++) {
        vcpu->evtchn_upcall_pending = 0;
        vcpu->evtchn_pending_sel = 0;
        guest.shared->evtchn_pending[virq.port / 64] = 0;
        CHECK_EQ(hypercall_set_timer_op(clock_now() + 300000), 0);
        user_run(user_spin, user_spin_end, 2 | EFLAGS_IF, 0);
        CHECK_EQ(fault_seen.vector, BY_EVENT);
        CHECK_EQ(fault_seen.cs & 3, 3);
        CHECK(fault_seen.rip >= USER_CODE && fault_seen.rip < USER_CODE + 8);
        CHECK(vcpu->evtchn_upcall_mask);
        CHECK(fault_seen.rflags & EFLAGS_IF);
    }
}

/* Two bases of GS, changed with the mode. */
static void segment_bases(void)
{
    static uint64_t kernel_cell = 0x4e4e;
    uint64_t value;

    CHECK_EQ(hypercall_set_segment_base(SEGBASE_GS_KERNEL,
                                        (unsigned long)&kernel_cell), 0);
    CHECK_EQ(hypercall_set_segment_base(SEGBASE_GS_USER, USER_CODE), 0);
    for (unsigned int i = 0; i < 10; i++) {
        RUN(gs);
        CHECK_EQ(fault_seen.vector, 6);
        CHECK_EQ(fault_seen.rax, *(uint64_t *)code);
        __asm__ volatile("movq %%gs:0, %0" : "=r"(value));
        CHECK_EQ(value, 0x4e4e);
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
}

/* X2: flags of user mode reach neither the kernel nor the hypervisor. */
static void X2_flags(void)
{
    uint64_t here;

    RUN(popf);
    CHECK_EQ(fault_seen.vector, 6);
    CHECK_EQ(fault_seen.rflags & (EFLAGS_DF | EFLAGS_ID),
             EFLAGS_DF | EFLAGS_ID);
    __asm__ volatile("pushfq; popq %0" : "=r"(here));
    CHECK_EQ(here & (EFLAGS_NT | EFLAGS_TF), 0);
    CHECK(hypercall_xen_version(0, NULL) > 0);
}

/* X11: single steps are the user's; the kernel is not stepped. */
static void X11_single_step(void)
{
    user_run(user_step, user_step_end, 2 | EFLAGS_TF, 0);
    expect(1, 0, 1, "single step");
    user_run(user_step + 1, user_step_end, 2 | EFLAGS_TF, 0);
    expect(1, 0, 1, "single step");
    CHECK_EQ(hypercall_set_debugreg(6, 0), 0);
}

/* Its tables are in use: they stay what they are. */
static void tables_in_use(void)
{
    const uint64_t mfn = virt_to_mfn(user_l4);

    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, mfn), 0);
    CHECK(page_protect(user_l4, mfn, PAGE_WRITE) < 0);
    check_audit("with user tables that are not pinned");
    RUN(ud2);
    expect(6, 0, 1, "ud2 in unpinned tables");
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    CHECK_EQ(page_protect(user_l4, mfn, PAGE_WRITE), 0);
}

int guest_main(void)
{
    fault_install();
    user_set_up();
    exceptions();
    system_calls();
    X9_software_interrupts();
    privileged_instructions();
    segment_bases();
    X2_flags();
    X11_single_step();
    events();
    tables_in_use();
    test_end("user");
}
