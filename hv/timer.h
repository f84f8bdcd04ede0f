/*
 * Timers: a function to be called at a system time, on the CPU that set it.
 *
 * A CPU's timers are a binary heap in its struct cpu; the local APIC is
 * programmed for the earliest.  All functions run with interrupts off; a
 * timer belongs to the CPU in timer.cpu from set to expiry or cancel.
 */
#ifndef HV_TIMER_H
#define HV_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spinlock.h"

typedef uint64_t stime_t; /* nanoseconds of system time, since boot */
#define STIME_NEVER UINT64_MAX

struct timer {
    stime_t expires;
    void (*function)(struct timer *);
    spinlock_t lock; /* one at a time sets or cancels; before the queue's */
    uint32_t slot; /* in the heap, from 1; 0: not set */
    uint32_t cpu;
};

#define TIMERS_PER_PAGE 512u

/* A CPU's timers, a binary heap; part of struct cpu.  Entries are pointers
 * in pages that are added as it grows. */
struct timer_queue {
    spinlock_t lock; /* guards the heap and the timers in it */
    uint32_t count;
    struct timer **page[16];
    stime_t armed; /* what the local APIC is set to; STIME_NEVER: nothing */
};

/* Nanoseconds since boot, monotonic on each CPU. */
stime_t now(void);
/* The raw counter behind now(), and its conversion (0 stays 0). */
static inline uint64_t stamp_now(void)
{
    return __builtin_ia32_rdtsc();
}
stime_t stamp_to_stime(uint64_t stamp);

/* An empty queue, with room for the first timers. */
void timer_init_cpu(struct timer_queue *q);
void timer_init(struct timer *t, void (*function)(struct timer *));
/* Set or move.  A time that is past fires at once, by the interrupt.  A
 * timer beyond the 8,192nd of a CPU is not set: vCPUs are limited so that
 * this cannot happen. */
void timer_set(struct timer *t, stime_t expires);
void timer_cancel(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->slot != 0;
}

/* Set the clock's origin and rate; CPU 0, once. */
void time_init(void);
/* Conversion for guests' vcpu_time_info: ns = (tsc - origin) scaled. */
struct time_scale {
    uint64_t origin; /* TSC at system time 0 */
    uint32_t mul;
    int8_t shift;
    uint64_t khz;
};
extern struct time_scale time_scale;
/* A difference of stamps is converted as the time that long after 0. */
static inline stime_t stamps_to_ns(uint64_t stamps)
{
    return stamp_to_stime(time_scale.origin + stamps);
}
/* Seconds since 1970 at system time 0. */
extern uint64_t wall_clock_base;

/* Program this CPU's timer interrupt; STIME_NEVER stops it. */
void arch_timer_arm(stime_t expires);

/* Run what has expired on this CPU; from the timer interrupt. */
void timer_run(void);

#endif
