/*
 * The scheduler: fixed priorities 0 to 31, larger first; round-robin inside
 * one, 10 ms a turn; a queue a CPU.
 *
 * A vCPU that blocks or is pre-empted is switched away from on the way out
 * of the hypervisor (sched_switch, called by entry.asm when this CPU's
 * need_resched is set), never inside a call: there is one stack a CPU.
 *
 * A vCPU with a budget (hv/budget.h) that has used it up runs at priority 0,
 * or at what it has been lent, until its period ends.  Time is charged when
 * a CPU changes vCPUs and when a call begins or ends on it (lend.h says to
 * whom).  Where no domain has a budget that is one test a switch.
 *
 * Lock: the queue lock of a CPU is innermost.  It guards the vCPU's
 * sched.state, sched.since, sched.budget and queue links.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/budget.h"
#include "hv/timer.h"
#include "lib/list.h"
#include "lib/spinlock.h"

#define SCHED_PRIORITIES 32u
#define SCHED_SLICE      10000000u /* ns */

struct cpu;
struct vcpu;

/* What the scheduler keeps of a vCPU. */
struct sched_vcpu {
    uint8_t state; /* BELFRY_VCPU_* */
    uint8_t priority;
    uint8_t effective; /* that, or a larger one that it has been lent */
    bool on_cpu;       /* its registers are in a CPU, not yet in struct vcpu */
    union {
        struct {
            uint32_t cpu; /* where it is queued or runs; changes under that
                             lock */
            uint32_t pause_count; /* atomic; 0: may run */
        };
        uint64_t may_run_on; /* both: on this CPU, and not paused */
    };
    uint64_t affinity;
    struct list node;  /* run queue */
    uint64_t since;    /* stamp of the last change of state */
    uint64_t cpu_time; /* stamp units, up to the last switch */
    /* Lending (lend.h).  lends_to is changed under the lock of that one's
     * queue, the other two under the lock of the vCPU's own. */
    struct vcpu *lends_to;
    struct vcpu *lenders, *next_lender;
    struct budget budget;
    struct timer refill; /* set while the budget is exhausted */
};

/* A CPU's queue; part of struct cpu. */
struct sched_queue {
    spinlock_t lock;
    uint32_t occupied; /* a bit a priority */
    struct list list[SCHED_PRIORITIES];
    struct timer slice; /* set while an equal of the running vCPU waits, or
                           that one has a budget */
    uint64_t settled;   /* stamp: until then all has been charged */
    bool rotate;        /* the running vCPU's turn is over */
    uint64_t idle_time; /* stamp units */
    uint64_t switches;
};

void sched_init_cpu(struct cpu *c);
/* A new vCPU: offline, paused by one pause count. */
void sched_init_vcpu(struct vcpu *v, unsigned int priority, uint64_t affinity);

/* It has so many microseconds in each period; before it runs. */
void sched_limit_vcpu(struct vcpu *v, unsigned int budget, unsigned int period);
/* Has any vCPU ever been limited? */
extern bool sched_has_budgets;
/* Take it from the budget of @v.  True: that is exhausted now, and whatever
 * @v lends is to be looked at anew. */
bool sched_charge(struct vcpu *v, uint64_t ran, uint64_t stamp);
/* Its period has ended, or counts as ended. */
void sched_refill(struct vcpu *v);

/* An upcall has become pending: make a blocked vCPU runnable, have one that
 * runs on another CPU look. */
void sched_wake(struct vcpu *v);
/* The current vCPU blocks, unless an upcall is due (then it goes on). */
void sched_block(void);
/* The same for a vCPU that polls ports (evtchn_poll_begin), into a state of
 * sleep: it also goes on if its poll has ended meanwhile. */
void sched_block_polling(uint8_t state);
/* The same in belfry_serve: it goes on if an upcall is pending, even masked. */
void sched_block_serving(void);
/* Any vCPU: one that was offline may run, one that was not may no more.  If
 * it runs, it leaves its CPU when that has heard of it. */
void sched_online(struct vcpu *v);
void sched_offline(struct vcpu *v);
/* The current vCPU goes behind its equals. */
void sched_yield(void);

void sched_pause(struct vcpu *v);
void sched_unpause(struct vcpu *v);
/* A vCPU that is paused, and not the current one, has left its CPU.  This CPU
 * may come to rest meanwhile (smp.h), so the caller holds no lock. */
void sched_wait_off_cpu(const struct vcpu *v);

/* Lock the queue that a vCPU is in, or would be, and return it. */
struct sched_queue *sched_lock_queue_of(const struct vcpu *v);
/* Its lenders have changed: run it at the highest of their priorities, or its
 * own.  False if that is what it did before. */
bool sched_relend(struct vcpu *v);

/* Where a vCPU may run, from now on: on return it runs nowhere else.  @affinity
 * has a CPU of this machine; not for the current vCPU. */
void sched_set_affinity(struct vcpu *v, uint64_t affinity);

/* Pick and install the next vCPU of this CPU; idles until there is one.
 * From the exit path only. */
void sched_switch(void);

#endif
