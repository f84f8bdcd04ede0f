/* Exceptions of guests: bounced to the handlers they registered. */
#ifndef X86_TRAPS_H
#define X86_TRAPS_H

#include "hv/domain.h"

#define TRAP_PAGE_FAULT 14

/* Enter a handler of the current guest as an exception would: its frame on
 * the guest kernel's stack.  Crashes the domain if that cannot be written.
 * @error: pushed if not negative. */
void guest_enter(struct vcpu *v, const struct guest_entry *entry,
                 int64_t error);
/* Deliver an exception to the handler the guest registered, or crash it. */
void guest_trap(struct vcpu *v, unsigned int vector, int64_t error);

/* From entry.asm. */
void exit_work(void);
void trap_from_guest(struct cpu_user_regs *regs);
void trap_from_hv(struct cpu_user_regs *regs);
void trap_on_ist(struct cpu_user_regs *regs);
void bad_guest_frame(void);
void syscall_from_user(struct cpu_user_regs *regs);

#endif
