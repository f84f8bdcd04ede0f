#include "lib/tail.h"

size_t tail_read(const char *kept, size_t size, uint64_t end,
                 uint64_t *position, char *to, size_t room)
{
    uint64_t at = *position < end ? *position : end;
    size_t n = 0;

    if (end - at > size)
        at = end - size;
    while (n < room && at < end)
        to[n++] = kept[at++ % size];
    *position = at;
    return n;
}
