/*
 * A spin lock.  Works between CPUs of the hypervisor (interrupts are off
 * there, so no holder is ever preempted) and between threads of a host test.
 *
 * Zero-initialised memory is an unlocked lock.
 */
#ifndef LIB_SPINLOCK_H
#define LIB_SPINLOCK_H

#include "lib/atomic.h"

typedef struct spinlock {
    uint8_t held;
} spinlock_t;

/* Between two looks at a lock that is held: the hypervisor answers other
 * CPUs' requests here (hv/x86/smp.c), a host test merely pauses. */
void spin_relax(void);

static inline bool spin_trylock(spinlock_t *lock)
{
    return !__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE);
}

/* Take a lock that somebody holds: out of line (spinlock.c), so that who
 * finds it free pays for no register that a loop would need. */
void spin_lock_wait(spinlock_t *lock);

static inline void spin_lock(spinlock_t *lock)
{
    if (__builtin_expect(!spin_trylock(lock), 0))
        spin_lock_wait(lock);
}

static inline void spin_unlock(spinlock_t *lock)
{
    store_release(&lock->held, 0);
}

static inline bool spin_is_locked(const spinlock_t *lock)
{
    return read_once(&lock->held);
}

#endif
