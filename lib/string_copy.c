/*
 * string_copy, in a file of its own because host programs link it too: all
 * else of lib/string.h they have from the C library.
 */
#include "lib/string.h"

size_t string_copy(char *dst, const char *src, size_t size)
{
    size_t length = strlen(src);

    if (size > 0) {
        size_t n = length < size ? length : size - 1;

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return length;
}
