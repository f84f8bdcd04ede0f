/*
 * Memory and strings for freestanding programs.
 *
 * The copying functions are string instructions and not loops: a compiler
 * would recognise the loop and call the very function it is in, and an
 * emulator that counts instructions counts eight bytes as one.
 */
#include "lib/string.h"

#include <stdint.h>

#undef memcpy
#undef memset

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    void *to = dst;
    size_t words = n / 8, bytes = n % 8;

    __asm__ volatile("rep movsq; mov %3, %%rcx; rep movsb"
                     : "+D"(to), "+S"(src), "+c"(words)
                     : "r"(bytes)
                     : "memory");
    return dst;
}

/* The last byte first, for a destination inside the source. */
static void copy_backwards(char *to, const char *from, size_t n)
{
    to += n - 1;
    from += n - 1;
    __asm__ volatile("std; rep movsb; cld"
                     : "+D"(to), "+S"(from), "+c"(n)
                     :
                     : "memory", "cc");
}

void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return memcpy(dst, src, n);
    copy_backwards(dst, src, n);
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *to = dst;
    size_t words = n / 8, bytes = n % 8;
    uint64_t pattern = 0x0101010101010101ULL * (uint8_t)c;

    __asm__ volatile("rep stosq; mov %2, %%rcx; rep stosb"
                     : "+D"(to), "+c"(words)
                     : "r"(bytes), "a"(pattern)
                     : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const uint8_t *p = s; n > 0; n--, p++)
        if (*p == (uint8_t)c)
            return (void *)(uintptr_t)p;
    return NULL;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n] != '\0')
        n++;
    return n;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0')
            return (uint8_t)*a - (uint8_t)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    return memchr(s, c, strlen(s) + 1);
}

char *strrchr(const char *s, int c)
{
    for (size_t i = strlen(s) + 1; i > 0; i--)
        if (s[i - 1] == (char)c)
            return (char *)(uintptr_t)&s[i - 1];
    return NULL;
}
