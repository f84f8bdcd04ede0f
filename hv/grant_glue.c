/* What grant.c needs of the machine: the registers a call goes on with. */
#include "hv/grant.h"

#include "hv/hypercall.h"
#include "hv/x86/cpu.h"

long grant_hook_continue(struct vcpu *v, void *arg, unsigned int count)
{
    struct cpu_user_regs *regs = current_regs();

    regs->rsi = (uint64_t)arg;
    regs->rdx = count;

    return hypercall_restart(v);
}
