/*
 * The injector (inject.h).
 *
 * belfry_call and belfry_serve are not counted: most of them are handed over
 * (hv/x86/handoff.c) past any table, and counting the others would make the
 * number of a step depend on who was on which CPU.  Their steps are the points
 * of rings/call.c.
 */
#include "hv/inject.h"

#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/x86/cpu.h"

/* False: it was the last, and the domain is no more.  Of one that has ended
 * already nothing is counted, so that each step counted can be the last. */
static bool step(struct domain *d)
{
    uint64_t n;

    if (read_once(&d->state) != DOMAIN_RUNNING)
        return false;
    n = atomic_add_return(&d->inject.steps, 1) - 1;
    if (n < read_once(&d->inject.kill_at))
        return true;
    domain_crash(d, "killed by the injector before step %lu", n);
    return false;
}

static long run(struct vcpu *v, uint64_t number, uint64_t a1, uint64_t a2,
                uint64_t a3, uint64_t a4, uint64_t a5)
{
    struct cpu *c = this_cpu();
    long result;

    c->restarted = false;
    result = hypercall_table[number](v, a1, a2, a3, a4, a5);
    v->step_open = c->restarted;
    return result;
}

/* A call that is executed in several goes enters once and returns once. */
static long injected(struct vcpu *v, uint64_t a1, uint64_t a2, uint64_t a3,
                     uint64_t a4, uint64_t a5)
{
    uint64_t number = v->regs.rax;
    long result;

    if (!v->step_open && !step(v->domain))
        return 0;
    if (number == __HYPERVISOR_belfry_op && (uint32_t)a1 == BELFRYOP_step)
        return 0;
    result = run(v, number, a1, a2, a3, a4, a5);
    if (!v->step_open)
        step(v->domain);
    return result;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* all rows, then some */

static hypercall_fn *const injected_table[NR_HYPERCALLS] = {
    [0 ... NR_HYPERCALLS - 1] = injected,
    [__HYPERVISOR_belfry_call] = (hypercall_fn *)(uintptr_t)do_belfry_call,
    [__HYPERVISOR_belfry_serve] = (hypercall_fn *)(uintptr_t)do_belfry_serve,
};

#pragma GCC diagnostic pop

uint64_t inject_arm(struct domain *d, uint64_t kill_at)
{
    uint64_t steps = read_once(&d->inject.steps);

    write_once(&d->inject.kill_at, BELFRY_INJECT_NEVER);
    write_once(&d->inject.steps, 0);
    write_once(&d->inject.kill_at, kill_at);
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        write_once(&d->vcpu[i]->calls, injected_table);
    return steps;
}
