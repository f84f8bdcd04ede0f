/*
 * A bell between two threads: one bit, like an event channel.
 *
 * It is made of relaxed atomics and a raw futex call, so that neither the
 * memory model nor a sanitizer sees an ordering in it: what is ordered is
 * ordered by the code under test.
 */
#ifndef TESTS_UNIT_BELL_H
#define TESTS_UNIT_BELL_H

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct bell {
    uint32_t pending;
};

static inline void bell_ring(struct bell *b)
{
    __atomic_store_n(&b->pending, 1, __ATOMIC_RELAXED);
    syscall(SYS_futex, &b->pending, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleep until it was rung.  False: not within the time, a lost wake-up. */
static inline bool bell_wait(struct bell *b)
{
    const struct timespec timeout = { .tv_sec = 20 };

    while (!__atomic_exchange_n(&b->pending, 0, __ATOMIC_RELAXED))
        if (syscall(SYS_futex, &b->pending, FUTEX_WAIT, 0, &timeout, NULL, 0) &&
            errno == ETIMEDOUT)
            return false;
    return true;
}

#endif
