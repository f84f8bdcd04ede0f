/* What the grant tables need of the rest. */
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

void grant_hook_ring(struct domain *d)
{
    evtchn_send_global_virq(&d->evtchn, VIRQ_BELFRY_GRANT);
}
