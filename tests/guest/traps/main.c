/*
 * Defends: every exception of a guest reaches the handler that it
 * registered, with the right error code, address and frame, and the two
 * ways back (iretq and the iret hypercall) restore what the frame says and
 * no more (X2, X3).
 */
#include "lib/registers.h"
#include "tests/guest/fault.h"

#include <xen/callback.h>

#define NONCANONICAL 0x8000000000000000ull
#define UNMAPPED     0x0000700000000000ull

static void expect(unsigned int vector, uint64_t error, const char *what)
{
    if (!CHECK_EQ(fault_seen.vector, vector) ||
        !CHECK_EQ(fault_seen.error, error))
        printf("    (%s)\n", what);
    if (fault_seen.vector == FAULT_NONE)
        return;
    CHECK_EQ(fault_seen.cs & 3, 0); /* from the kernel */
    CHECK_EQ(fault_seen.rflags & (EFLAGS_IOPL | EFLAGS_NT | EFLAGS_VM), 0);
    /* IF is the event mask; the runtime keeps events off. */
    CHECK_EQ(fault_seen.rflags & EFLAGS_IF, 0);
}

static void arithmetic_and_opcodes(void)
{
    FAULT_TRY("xorl %%edx, %%edx; movl $1, %%eax; movl $0, %%ecx; divl %%ecx");
    expect(0, 0, "divide by zero");
    FAULT_TRY("int3");
    expect(3, 0, "int3");
    FAULT_TRY("int $4");
    expect(4, 0, "int 4");
    FAULT_TRY("ud2");
    expect(6, 0, "ud2");
    FAULT_TRY("int $0x80");
    expect(0x80, 0, "int 0x80");
}

/* A fault's rip is its instruction's, a trap's the one behind. */
static void rip_is_exact(void)
{
    extern char rip_fault[], rip_trap[];

    FAULT_TRY(".globl rip_fault\nrip_fault: ud2");
    CHECK_EQ(fault_seen.rip, rip_fault);
    FAULT_TRY("int3\n.globl rip_trap\nrip_trap: nop");
    CHECK_EQ(fault_seen.rip, rip_trap);
}

static void registers_are_kept(void)
{
    FAULT_TRY("movq $0x1111, %%rcx; movq $0x2222, %%r11; movq $0x3333, %%rdx;"
              "movq $0x4444, %%rax; ud2");
    CHECK_EQ(fault_seen.rcx, 0x1111);
    CHECK_EQ(fault_seen.r11, 0x2222);
    CHECK_EQ(fault_seen.rdx, 0x3333);
    CHECK_EQ(fault_seen.rax, 0x4444);
    CHECK_EQ(fault_seen.rsp, fault_resume[0].rsp);
}

static void protection(void)
{
    FAULT_TRY("movq (%[a]), %%rax", [a] "r"(NONCANONICAL));
    expect(13, 0, "non-canonical read");
    FAULT_TRY("movw $0x0008, %%ax; movw %%ax, %%ds"); /* no such descriptor */
    expect(13, 0x0008, "selector beyond the GDT");
    FAULT_TRY("movw $0x0fc, %%ax; movw %%ax, %%es"); /* table bit: LDT */
    expect(13, 0x00fc, "selector in no LDT");
    FAULT_TRY("lgdt (%%rsp)");
    expect(13, 0, "lgdt");
    FAULT_TRY("hlt");
    expect(13, 0, "hlt");
    FAULT_TRY("movq %%rax, %%cr8");
    expect(13, 0, "mov to cr8");
}

static uint64_t readonly_word = 5;

static void page_faults(void)
{
    volatile uint64_t *code = (uint64_t *)(uintptr_t)guest_main;
    volatile uint64_t *hole = (uint64_t *)0xffff820000000000ull;
    volatile uint64_t *m2p = (uint64_t *)HYPERVISOR_VIRT_START;
    void *page = page_alloc();
    uint64_t pte = virt_to_mfn(page) << PAGE_SHIFT;

    CHECK(fault_reading((void *)UNMAPPED));
    expect(14, 0, "read of nothing");
    CHECK_EQ(fault_seen_cr2, UNMAPPED);
    FAULT_TRY("movb $1, (%[a])", [a] "r"(UNMAPPED + 0x123));
    expect(14, 2, "write to nothing");
    CHECK_EQ(fault_seen_cr2, UNMAPPED + 0x123);
    CHECK(!fault_reading(code));
    CHECK(!fault_reading(m2p));
    CHECK(fault_writing(m2p));
    expect(14, 3, "write to the machine-to-physical table");
    CHECK(fault_reading(hole));
    CHECK_EQ(fault_seen.vector, 14);
    CHECK_EQ(fault_seen_cr2, hole);

    CHECK_EQ(hypercall_update_va_mapping(page, pte | 5, UVMF_INVLPG), 0);
    CHECK(!fault_reading(page));
    CHECK(fault_writing(page));
    expect(14, 3, "write to a read-only page");
    CHECK_EQ(fault_seen_cr2, page);
    CHECK_EQ(hypercall_update_va_mapping(page, 0, UVMF_INVLPG), 0);
    CHECK(fault_reading(page));
    expect(14, 0, "read of an unmapped page");
    CHECK_EQ(hypercall_update_va_mapping(page, pte | 7 | 1ull << 63,
                                         UVMF_INVLPG), 0);
    CHECK(!fault_writing(page));
    FAULT_TRY("call *%[a]", [a] "r"(page));
    expect(14, 0x11, "run a page that is not executable");
    CHECK_EQ(hypercall_update_va_mapping(page, pte | 7, UVMF_INVLPG), 0);
    page_free(page);
    CHECK_EQ(readonly_word, 5);
}

/* The virtual CR0.TS: #NM once, cleared on the way. */
static void fpu_not_available(void)
{
    CHECK_EQ(hypercall_fpu_taskswitch(true), 0);
    FAULT_TRY("fninit");
    expect(7, 0, "fpu with TS set");
    FAULT_TRY("fninit");
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
    CHECK_EQ(hypercall_fpu_taskswitch(true), 0);
    CHECK_EQ(hypercall_fpu_taskswitch(false), 0);
    FAULT_TRY("fninit; pxor %%xmm0, %%xmm0");
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
}

static void single_step(void)
{
    extern char stepped[];

    FAULT_TRY("pushfq; orq $0x100, (%%rsp); popfq; nop\n"
              ".globl stepped\nstepped: nop; nop");
    expect(1, 0, "single step");
    CHECK_EQ(fault_seen.rip, stepped);
    CHECK_EQ(hypercall_get_debugreg(6) & 0x4000, 0x4000);
    CHECK_EQ(hypercall_set_debugreg(6, 0), 0);
}

/* A breakpoint on data, and the addresses that none may watch (X4). */
static void X4_debug_registers(void)
{
    static volatile uint64_t watched;

    CHECK_EQ(hypercall_set_debugreg(0, (unsigned long)&watched), 0);
    CHECK_EQ(hypercall_get_debugreg(0), &watched);
    CHECK_EQ(hypercall_set_debugreg(7, 0xd0002), 0); /* write, 8... 4 bytes */
    FAULT_TRY("movl $1, (%[a])", [a] "r"(&watched));
    CHECK_EQ(fault_seen.vector, 1);
    CHECK_EQ(hypercall_set_debugreg(7, 0), 0);
    CHECK(hypercall_set_debugreg(0, HYPERVISOR_VIRT_START) < 0);
    CHECK(hypercall_set_debugreg(1, HYPERVISOR_VIRT_START + 0x1000) < 0);
    CHECK(hypercall_set_debugreg(2, NONCANONICAL) < 0);
    CHECK(hypercall_set_debugreg(8, 0) < 0);
    CHECK(hypercall_set_debugreg(16, ~0ul) < 0);
    CHECK_EQ(hypercall_set_debugreg(0, 0), 0);
    CHECK_EQ(hypercall_set_debugreg(6, 0), 0);
}

/* ---- The iret hypercall. ---- */

/* Go behind this function's syscall with @flags, and read them back. */
static uint64_t iret_with_flags(uint64_t flags, uint64_t vgcf)
{
    uint64_t after;

    __asm__ volatile("movq %%rsp, %%rdx\n\t"
                     "pushq $0xe02b\n\t"
                     "pushq %%rdx\n\t"
                     "pushq %[flags]\n\t"
                     "pushq $0xe030\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq %[vgcf]\n\t"
                     "pushq $0x1234\n\t" /* rcx */
                     "pushq $0x5678\n\t" /* r11 */
                     "pushq $0x9abc\n\t" /* rax */
                     "movl $23, %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:\tpushfq\n\t"
                     "popq %[after]\n\t"
                     "pushq $2\n\t"
                     "popfq"
                     : [after] "=&r"(after)
                     : [flags] "r"(flags), [vgcf] "r"(vgcf)
                     : "rax", "rcx", "rdx", "r11", "memory", "cc");
    return after;
}

/* As the runtime has it but for a moment of each sleep. */
static void events_off(void)
{
    guest.shared->vcpu_info[0].evtchn_upcall_mask = 1;
}

/* IF is forced on, IOPL, NT and VM off, whatever the frame says. */
static void X3_iret_flags(void)
{
    static const uint64_t bits[] = { EFLAGS_IF, EFLAGS_DF, EFLAGS_IOPL,
                                     EFLAGS_NT, EFLAGS_RF, EFLAGS_VM,
                                     EFLAGS_AC, EFLAGS_ID, 1 };

    for (unsigned int set = 0; set < 512; set++) {
        uint64_t flags = 0, after;

        for (unsigned int i = 0; i < 9; i++)
            if (set >> i & 1)
                flags |= bits[i];
        after = iret_with_flags(flags, set & 1 ? VGCF_in_syscall : 0);
        events_off();
        CHECK_EQ(after & (EFLAGS_IOPL | EFLAGS_VM), 0);
        CHECK(after & EFLAGS_IF);
        CHECK_EQ(after & (EFLAGS_DF | EFLAGS_AC | EFLAGS_ID | 1),
                 flags & (EFLAGS_DF | EFLAGS_AC | EFLAGS_ID | 1));
    }
    for (unsigned int i = 0; i < 2000; i++) {
        uint64_t after = iret_with_flags(random_next() & ~EFLAGS_TF, 0);

        events_off();
        CHECK_EQ(after & (EFLAGS_IOPL | EFLAGS_VM | EFLAGS_IF), EFLAGS_IF);
    }
}

/* IF of the frame is the event mask after iret. */
static void iret_event_mask(void)
{
    iret_with_flags(2, 0);
    CHECK_EQ(guest.shared->vcpu_info[0].evtchn_upcall_mask, 1);
    iret_with_flags(2 | EFLAGS_IF, 0);
    CHECK_EQ(guest.shared->vcpu_info[0].evtchn_upcall_mask, 0);
    events_off();
}

static void iret_registers(void)
{
    uint64_t rax, rcx, r11;

    __asm__ volatile("movq %%rsp, %%rdx\n\t"
                     "pushq $0xe02b\n\t"
                     "pushq %%rdx\n\t"
                     "pushq $2\n\t"
                     "pushq $0xe030\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq $0\n\t"
                     "pushq $0x1234\n\t"
                     "pushq $0x5678\n\t"
                     "pushq $0x1abc\n\t"
                     "movl $23, %%eax\n\t"
                     "syscall\n\t"
                     "ud2\n"
                     "1:\tmovq %%r11, %[r11]"
                     : "=&a"(rax), "=&c"(rcx), [r11] "=&r"(r11)
                     :
                     : "rdx", "r11", "memory", "cc");
    CHECK_EQ(rax, 0x1abc);
    CHECK_EQ(rcx, 0x1234);
    CHECK_EQ(r11, 0x5678);
}

/* Both ways back from a handler. */
static void both_ways_back(void)
{
    uint32_t before = fault_by_hypercall;

    for (unsigned int i = 0; i < 1000; i++) {
        if (!before)
            fault_by_hypercall = i & 1;
        FAULT_TRY("ud2");
        if (!CHECK_EQ(fault_seen.vector, 6))
            break;
    }
    fault_by_hypercall = before;
}

/* ---- Tables of the guest. ---- */

/* Handlers can be replaced one by one, and be named by no bad address. */
static void set_trap_table(void)
{
    struct trap_info traps[2] = { { .vector = 6, .cs = FLAT_KERNEL_CS } };

    traps[0].address = (unsigned long)fault_stubs + 33 * FAULT_STUB_SIZE;
    CHECK_EQ(hypercall_set_trap_table(traps), 0);
    FAULT_TRY("ud2");
    CHECK_EQ(fault_seen.vector, 33);
    FAULT_TRY("int3"); /* the others stand */
    CHECK_EQ(fault_seen.vector, 3);
    traps[0].address = NONCANONICAL;
    CHECK_EQ(hypercall_set_trap_table(traps), -EINVAL);
    CHECK_EQ(hypercall_set_trap_table((void *)NONCANONICAL), -EFAULT);
    CHECK_EQ(hypercall_set_trap_table((void *)UNMAPPED), -EFAULT);
    fault_install();
    FAULT_TRY("ud2");
    CHECK_EQ(fault_seen.vector, 6);
}

static void callbacks_are_checked(void)
{
    struct callback_register cb = { .type = CALLBACKTYPE_event,
                                    .address = NONCANONICAL };

    CHECK_EQ(hypercall_callback_op(CALLBACKOP_register, &cb), -EINVAL);
    cb.type = CALLBACKTYPE_failsafe;
    CHECK_EQ(hypercall_callback_op(CALLBACKOP_register, &cb), -EINVAL);
    cb.type = 99;
    cb.address = (unsigned long)fault_stubs;
    CHECK_EQ(hypercall_callback_op(CALLBACKOP_register, &cb), -ENOSYS);
    CHECK_EQ(hypercall_callback_op(99, &cb), -ENOSYS);
    CHECK_EQ(hypercall_callback_op(CALLBACKOP_register, (void *)UNMAPPED),
             -EFAULT);
    /* Xen's answer is 0; what it refuses keeps its old value. */
    CHECK(hypercall_set_callbacks((void *)NONCANONICAL, (void *)NONCANONICAL,
                                  (void *)NONCANONICAL) <= 0);
    hypercall_set_timer_op(1);
    sleep_ns(1000000); /* the event callback still stands */
}

/* A call gate, an available TSS, a code segment of DPL 0: refused, or made
 * harmless (Xen keeps call gates for its own emulation, with DPL 0). */
static void bad_descriptors(uint64_t maddr, const uint64_t *table)
{
    const uint64_t slot = maddr + 32;

    CHECK(hypercall_update_descriptor(slot, 0x0000ec000008ffffull) < 0 ||
          (table[4] >> 45 & 3) == 0);
    CHECK_EQ(hypercall_update_descriptor(slot, 0), 0);
    CHECK(hypercall_update_descriptor(slot, 0x0000e9000008ffffull) < 0);
    CHECK(hypercall_update_descriptor(slot, 0x00af9b000000ffffull) < 0 ||
          (table[4] >> 45 & 3) != 0);
    CHECK_EQ(hypercall_update_descriptor(slot, 0), 0);
    CHECK_EQ(table[4], 0);
}

/* A GDT of one's own: a descriptor that is not present raises #NP with its
 * selector; system descriptors and privileged ones are refused. */
static void own_gdt(void)
{
    uint64_t *table = page_alloc();
    unsigned long frame = virt_to_mfn(table);
    uint64_t maddr = frame << PAGE_SHIFT;

    table[1] = 0x00cff3000000ffffull; /* data, DPL 3, present */
    table[2] = 0x00cf73000000ffffull; /* the same, not present */
    CHECK_EQ(hypercall_set_gdt(&frame, 16), -EINVAL); /* mapped writable */
    CHECK_EQ(hypercall_update_va_mapping(table, maddr | 5, UVMF_INVLPG), 0);
    CHECK_EQ(hypercall_set_gdt(&frame, 512 * 15), -EINVAL);
    CHECK_EQ(hypercall_set_gdt(&frame, 16), 0);
    FAULT_TRY("movw $0x0b, %%ax; movw %%ax, %%es");
    CHECK_EQ(fault_seen.vector, FAULT_NONE);
    FAULT_TRY("movw $0x13, %%ax; movw %%ax, %%es");
    expect(11, 0x10, "segment not present");
    CHECK(hypercall_update_va_mapping(table, maddr | 7, UVMF_INVLPG) < 0);
    CHECK_EQ(hypercall_update_descriptor(maddr + 24, 0x00affb000000ffffull), 0);
    CHECK_EQ(table[3], 0x00affb000000ffffull);
    bad_descriptors(maddr, table);
    CHECK_EQ(hypercall_update_descriptor(maddr + 33, 0), -EINVAL);
    __asm__ volatile("movw %w0, %%es" : : "r"(0));
    CHECK_EQ(hypercall_set_gdt(NULL, 0), 0);
    CHECK_EQ(hypercall_update_va_mapping(table, maddr | 7, UVMF_INVLPG), 0);
    table[1] = 0;
    page_free(table);
}

/* Software interrupts through gates that the guest keeps for itself. */
static void software_interrupts(void)
{
    if (!guest.on_belfry)
        return; /* the emulator's error code is not Xen's */
    FAULT_TRY("int $0x90"); /* open to ring 3 in the table */
    expect(0x90, 0, "int 0x90");
    FAULT_TRY("int $0x55"); /* not open */
    CHECK_EQ(fault_seen.vector, 13);
}

/* Segment bases, and that a switch in the guest does not lose them. */
static void segment_bases(void)
{
    static uint64_t cell[2] = { 0x1111, 0x2222 };
    uint64_t value;

    CHECK_EQ(hypercall_set_segment_base(SEGBASE_FS, (unsigned long)cell), 0);
    hypercall_sched_op(SCHEDOP_yield, NULL);
    __asm__ volatile("movq %%fs:8, %0" : "=r"(value));
    CHECK_EQ(value, 0x2222);
    CHECK_EQ(hypercall_set_segment_base(SEGBASE_FS, NONCANONICAL), -EINVAL);
    CHECK_EQ(hypercall_set_segment_base(SEGBASE_GS_USER, NONCANONICAL),
             -EINVAL);
    CHECK_EQ(hypercall_set_segment_base(99, 0), -EINVAL);
}

int guest_main(void)
{
    random_seed(cmdline_number("seed", 1));
    fault_install();
    arithmetic_and_opcodes();
    rip_is_exact();
    registers_are_kept();
    protection();
    page_faults();
    fpu_not_available();
    single_step();
    X4_debug_registers();
    X3_iret_flags();
    iret_event_mask();
    iret_registers();
    both_ways_back();
    set_trap_table();
    callbacks_are_checked();
    own_gdt();
    software_interrupts();
    segment_bases();
    test_end("traps");
}
