/*
 * Timers: a function to be called at a system time, on the CPU that set it.
 *
 * A CPU's timers are a heap that hangs from its struct cpu; the local APIC is
 * programmed for the earliest.  All functions run with interrupts off; a
 * timer belongs to the CPU in timer.cpu from set to expiry or cancel.
 */
#ifndef HV_TIMER_H
#define HV_TIMER_H

#include "lib/spinlock.h"

typedef uint64_t stime_t; /* nanoseconds of system time, since boot */
#define STIME_NEVER UINT64_MAX

struct timer {
    stime_t expires;
    void (*function)(struct timer *);
    spinlock_t lock; /* one at a time sets or cancels; before the queue's */
    uint32_t cpu;
    struct timer **where; /* what points at it; NULL: it is not set */
    struct timer *left, *right;
};

/* A CPU's timers; part of struct cpu. */
struct timer_queue {
    spinlock_t lock; /* guards the heap and the timers in it */
    struct timer *first;
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

void timer_init(struct timer *t, void (*function)(struct timer *));
/* Set or move.  A time that is past fires at once, by the interrupt. */
void timer_set(struct timer *t, stime_t expires);
void timer_cancel(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->where;
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

/* Program this CPU's timer interrupt. */
void arch_timer_arm(stime_t expires);

/* Run what has expired on this CPU; from the timer interrupt. */
void timer_run(void);

#endif
