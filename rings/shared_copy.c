/*
 * The copy for sizes that are not known when compiling.
 *
 * As in the header: each byte once.
 */
#include "rings/shared_copy.h"

/* Four words at a time: the loop itself then costs little. */
#define BLOCK 4

static void copy_block(shared_word *to, const shared_word *from)
{
    const volatile shared_word *f = from;
    volatile shared_word *t = to;
    uint64_t a = f[0], b = f[1], c = f[2], d = f[3];

    t[0] = a;
    t[1] = b;
    t[2] = c;
    t[3] = d;
}

void shared_copy_any(void *to, const void *from, size_t n)
{
    const shared_word *f = from;
    shared_word *t = to;

    for (; n >= BLOCK * SHARED_WORD; n -= BLOCK * SHARED_WORD) {
        copy_block(t, f);
        t += BLOCK;
        f += BLOCK;
    }
    for (; n >= SHARED_WORD; n -= SHARED_WORD)
        *(volatile shared_word *)t++ = *(const volatile shared_word *)f++;
    for (size_t i = 0; i < n; i++)
        ((volatile uint8_t *)t)[i] = ((const volatile uint8_t *)f)[i];
}
