/*
 * Time for the event loop: nanoseconds that only go forward.
 */
#ifndef TOOLS_CLOCK_H
#define TOOLS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SECOND 1000000000ll
#define NEVER  INT64_MAX

static inline int64_t clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return t.tv_sec * SECOND + t.tv_nsec;
}

static inline int64_t clock_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When that many seconds have passed; 0 is never. */
static inline int64_t clock_in(double seconds)
{
    return seconds > 0 ? clock_now() + (int64_t)(seconds * (double)SECOND)
                       : NEVER;
}

#endif
