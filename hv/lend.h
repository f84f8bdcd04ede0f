/*
 * Lending: a vCPU that waits in a call (belfry_call) gives the vCPU that
 * serves it its priority and its time.
 *
 * Who lends to whom is a forest: a vCPU waits for one other at most, any
 * number may wait for the same, and no one waits for itself through others.
 * A vCPU runs at the highest priority of those that lend to it, directly or
 * through others, or at its own.
 *
 * Time is charged to whoever is at the root of the chain of calls that the
 * running vCPU works for; where several wait for one, to the one whose
 * priority it has been lent.  A hand-off (handoff.c) has no part in that:
 * vCPUs with a budget call and are called the long way, and between others
 * the root stays the same.  A server on another CPU than its caller is charged
 * for when that CPU changes vCPUs, or when it answers; what it has used since
 * is nobody's if the caller gives up before.
 *
 * Lock: lend_lock of lend.c, which is outside of the run queues' and inside
 * of the ports'.  hv/x86/handoff.c changes one link without it, between two
 * vCPUs of its own CPU under the lock of that queue: the one that begins to
 * lend is running, and the other lends to nobody, so no ring can close there.
 */
#ifndef HV_LEND_H
#define HV_LEND_H

#include <stdint.h>

struct vcpu;

/* From now on @from, the current vCPU, waits for @to.  -EDEADLK: @to waits for
 * @from; -EPIPE: its domain has ended. */
int lend_begin(struct vcpu *from, struct vcpu *to);
/* It waits no more, if it did. */
void lend_end(struct vcpu *from);
/* Charge the time since this CPU last did so. */
void lend_settle(void);
/* The stamps that are left to whom @v, which runs here now, works for. */
#define LEND_NO_LIMIT UINT64_MAX
uint64_t lend_left(const struct vcpu *v);
/* The period of its budget has ended. */
void lend_refill(struct vcpu *v);
/* Its domain has ended, and it has left its CPU for good: it lends nothing,
 * and is lent nothing. */
void lend_forget(struct vcpu *v);

#endif
