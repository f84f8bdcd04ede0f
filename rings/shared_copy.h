/*
 * Copies between private and shared memory.
 *
 * Each shared byte is read or written exactly once, by an access that the
 * compiler may neither repeat nor leave out: what a caller checks in its
 * copy is what it uses, whatever the peer does to the page meanwhile.
 */
#ifndef RINGS_SHARED_COPY_H
#define RINGS_SHARED_COPY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A word at any address: slots of odd protocols are not 8-byte aligned. */
typedef uint64_t __attribute__((may_alias, aligned(1))) shared_word;

#define SHARED_WORD sizeof(shared_word)

/* What one move carries: two words where there are registers for it, which
 * kernels leave alone. */
#ifdef __SSE2__
typedef uint64_t __attribute__((vector_size(16), may_alias, aligned(1)))
shared_unit;
#else
typedef shared_word shared_unit;
#endif

#define SHARED_UNIT sizeof(shared_unit)

/* Sizes up to here, if known when compiling, become a row of moves. */
#define SHARED_COPY_INLINE (16u * SHARED_UNIT)

/* Any size.  Either side may be the shared one; the ranges do not overlap. */
void shared_copy_any(void *to, const void *from, size_t n);

static inline __attribute__((always_inline)) void
shared_copy_inline(uint8_t *to, const uint8_t *from, size_t n)
{
#pragma GCC unroll 16
    for (size_t i = 0; i < n / SHARED_UNIT; i++)
        ((volatile shared_unit *)to)[i] =
            ((const volatile shared_unit *)from)[i];
#pragma GCC unroll 2
    for (size_t i = n / SHARED_UNIT * (SHARED_UNIT / SHARED_WORD);
         i < n / SHARED_WORD; i++)
        ((volatile shared_word *)to)[i] =
            ((const volatile shared_word *)from)[i];
#pragma GCC unroll 7
    for (size_t i = n - n % SHARED_WORD; i < n; i++)
        ((volatile uint8_t *)to)[i] = ((const volatile uint8_t *)from)[i];
}

static inline __attribute__((always_inline)) void
shared_copy(void *to, const void *from, size_t n)
{
    if (__builtin_constant_p(n) && n <= SHARED_COPY_INLINE)
        shared_copy_inline((uint8_t *)to, (const uint8_t *)from, n);
    else
        shared_copy_any(to, from, n);
}

#ifdef __cplusplus
}
#endif

#endif
