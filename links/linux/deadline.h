/*
 * One time-out for several waits in a row.
 */
#ifndef LINKS_LINUX_DEADLINE_H
#define LINKS_LINUX_DEADLINE_H

#include <stdint.h>
#include <time.h>

struct deadline {
    int64_t ms; /* on the monotonic clock; negative: none */
};

static inline int64_t deadline_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline struct deadline deadline_in(int timeout_ms)
{
    struct deadline d = { .ms = -1 };

    if (timeout_ms >= 0)
        d.ms = deadline_now() + timeout_ms;
    return d;
}

/* As poll takes it: milliseconds, 0 when it is over, -1 without an end. */
static inline int deadline_left(const struct deadline *d)
{
    int64_t left = d->ms - deadline_now();

    if (d->ms < 0)
        return -1;
    return left > 0 ? (int)left : 0;
}

#endif
