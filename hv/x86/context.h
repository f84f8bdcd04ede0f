/* A vCPU's state as guests hand it over (VCPUOP_initialise and the like). */
#ifndef X86_CONTEXT_H
#define X86_CONTEXT_H

#include "hv/domain.h"
#include "hv/x86/x86.h"

/* Set a vCPU that has never run from a guest's vcpu_guest_context: 0,
 * -EFAULT, or -EINVAL if a table, frame or address in it cannot be. */
long arch_vcpu_set_context(struct vcpu *v, const void *guest_context);

/* Move the vCPU's vcpu_info to a frame of the guest's own: 0 or -EINVAL. */
long arch_vcpu_register_info(struct vcpu *v, uint64_t mfn, uint32_t offset);

/* What a guest's flags may hold, whatever it asks for: interrupts on, no I/O
 * privilege, no nested task, no virtual 8086 mode. */
static inline uint64_t guest_rflags(uint64_t flags)
{
    flags &= 0x3fffff & ~(uint64_t)(EFLAGS_IOPL | EFLAGS_VM | EFLAGS_NT |
                                    EFLAGS_VIF | EFLAGS_VIP);
    return flags | EFLAGS_IF | EFLAGS_MBS;
}

#endif
