/* What the assembler must know of C's structures and constants. */

#include "hv/hypercall.h"
#include "hv/x86/cpu.h"

#define DEFINE(name, value)                                                    \
    __asm__ volatile("@define " #name " %0" : : "i"((long)(value)))

void asm_offsets(void);

void asm_offsets(void)
{
    DEFINE(IMAGE_BASE, IMAGE_BASE);
    DEFINE(BOOT_SLOT_IMAGE, IMAGE_BASE >> 39 & 511);
    DEFINE(BOOT_SLOT_DIRECTMAP, DIRECTMAP_BASE >> 39 & 511);
    DEFINE(MAX_CPUS, MAX_CPUS);
    DEFINE(AP_TRAMPOLINE, AP_TRAMPOLINE);
    DEFINE(STACK_BLOCK_SIZE, STACK_BLOCK_SIZE);
    DEFINE(HV_CS, HV_CS);
    DEFINE(HV_SS, HV_SS);
    DEFINE(GUEST_CS, GUEST_CS);
    DEFINE(GUEST_SS, GUEST_SS);
    DEFINE(TRAP_SYSCALL, TRAP_SYSCALL);
    DEFINE(NR_HYPERCALLS, NR_HYPERCALLS);
    DEFINE(HYPERCALL_CALL, __HYPERVISOR_belfry_call);
    DEFINE(HYPERCALL_SERVE, __HYPERVISOR_belfry_serve);

    DEFINE(REGS_R15, offsetof(struct cpu_user_regs, r15));
    DEFINE(REGS_R14, offsetof(struct cpu_user_regs, r14));
    DEFINE(REGS_R13, offsetof(struct cpu_user_regs, r13));
    DEFINE(REGS_R12, offsetof(struct cpu_user_regs, r12));
    DEFINE(REGS_RBP, offsetof(struct cpu_user_regs, rbp));
    DEFINE(REGS_RBX, offsetof(struct cpu_user_regs, rbx));
    DEFINE(REGS_R11, offsetof(struct cpu_user_regs, r11));
    DEFINE(REGS_R10, offsetof(struct cpu_user_regs, r10));
    DEFINE(REGS_R9, offsetof(struct cpu_user_regs, r9));
    DEFINE(REGS_R8, offsetof(struct cpu_user_regs, r8));
    DEFINE(REGS_RAX, offsetof(struct cpu_user_regs, rax));
    DEFINE(REGS_RCX, offsetof(struct cpu_user_regs, rcx));
    DEFINE(REGS_RDX, offsetof(struct cpu_user_regs, rdx));
    DEFINE(REGS_RSI, offsetof(struct cpu_user_regs, rsi));
    DEFINE(REGS_RDI, offsetof(struct cpu_user_regs, rdi));
    DEFINE(REGS_VECTOR, offsetof(struct cpu_user_regs, entry_vector));
    DEFINE(REGS_RIP, offsetof(struct cpu_user_regs, rip));
    DEFINE(REGS_CS, offsetof(struct cpu_user_regs, cs));
    DEFINE(REGS_RFLAGS, offsetof(struct cpu_user_regs, rflags));
    DEFINE(REGS_RSP, offsetof(struct cpu_user_regs, rsp));
    DEFINE(REGS_SS, offsetof(struct cpu_user_regs, ss));
    DEFINE(REGS_ES, offsetof(struct cpu_user_regs, es));

    DEFINE(CPU_SIZE, sizeof(struct cpu));
    DEFINE(CPU_CURRENT, offsetof(struct cpu, current));
    DEFINE(CPU_GUEST_RSP, offsetof(struct cpu, guest_rsp));
    DEFINE(CPU_NEED_RESCHED, offsetof(struct cpu, need_resched));

    _Static_assert(offsetof(struct vcpu, regs) == 0, "entry.asm");
    DEFINE(VCPU_KERNEL_MODE, offsetof(struct vcpu, arch.kernel_mode));
    DEFINE(VCPU_CALLS, offsetof(struct vcpu, calls));
    DEFINE(VCPU_HYPERCALLS, offsetof(struct vcpu, hypercalls));
    DEFINE(VCPU_INFO, offsetof(struct vcpu, evtchn.info));
}
