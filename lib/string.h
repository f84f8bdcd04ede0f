/*
 * The part of <string.h> that freestanding code uses; lib/string.c is linked
 * into the hypervisor and the guests, host programs use the C library's.
 */
#ifndef LIB_STRING_H
#define LIB_STRING_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* Short copies of constant size become a few moves. */
#define memcpy(dst, src, n) __builtin_memcpy(dst, src, n)
#define memset(dst, c, n)   __builtin_memset(dst, c, n)
#endif

/* Copy at most size - 1 bytes and always terminate.  Returns strlen(src):
 * a result of size or more means that the copy was cut. */
size_t string_copy(char *dst, const char *src, size_t size);

#endif
