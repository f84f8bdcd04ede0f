/*
 * Lending: a vCPU that waits in a call (belfry_call) gives the vCPU that
 * serves it its priority and its time.
 *
 * Who lends to whom is a forest: a vCPU waits for one other at most, any
 * number may wait for the same, and no one waits for itself through others.
 * A vCPU runs at the highest priority of those that lend to it, directly or
 * through others, or at its own.
 *
 * Lock: lend_lock of lend.c, which is outside of the run queues' and inside
 * of the ports'.  hv/x86/handoff.c changes one link without it, between two
 * vCPUs of its own CPU under the lock of that queue: the one that begins to
 * lend is running, and the other lends to nobody, so no ring can close there.
 */
#ifndef HV_LEND_H
#define HV_LEND_H

struct vcpu;

/* From now on @from, the current vCPU, waits for @to.  -EDEADLK: @to waits for
 * @from; -EPIPE: its domain has ended. */
int lend_begin(struct vcpu *from, struct vcpu *to);
/* It waits no more, if it did. */
void lend_end(struct vcpu *from);
/* Its domain has ended, and it has left its CPU for good: it lends nothing,
 * and is lent nothing. */
void lend_forget(struct vcpu *v);

#endif
