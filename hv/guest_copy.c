/* The parts of guest_copy.h that need no machine instruction of their own;
 * the copies are in x86/entry.asm. */
#include "hv/guest_copy.h"

#include "lib/errno.h"

#define CHUNK 256u

/* The address of an element, false if it would wrap. */
static bool element(uint64_t array, uint64_t index, size_t size,
                    uint64_t *address)
{
    uint64_t offset;

    return !__builtin_mul_overflow(index, (uint64_t)size, &offset) &&
           !__builtin_add_overflow(array, offset, address);
}

int guest_copy_from_offset(void *dst, const void *guest_array, uint64_t index,
                           size_t size)
{
    uint64_t address;

    if (!element((uint64_t)guest_array, index, size, &address))
        return -EFAULT;
    return guest_copy_from(dst, (const void *)address, size);
}

int guest_copy_to_offset(void *guest_array, uint64_t index, const void *src,
                         size_t size)
{
    uint64_t address;

    if (!element((uint64_t)guest_array, index, size, &address))
        return -EFAULT;
    return guest_copy_to((void *)address, src, size);
}

int guest_give(char *guest_dst, uint32_t *size, guest_source *source,
               void *from)
{
    uint32_t room = *size;
    char chunk[CHUNK];

    for (*size = 0; *size < room;) {
        uint32_t wanted = room - *size < CHUNK ? room - *size : CHUNK;
        uint32_t n = (uint32_t)source(from, chunk, wanted);

        if (guest_copy_to(guest_dst + *size, chunk, n))
            return -EFAULT;
        *size += n;
        if (n < wanted)
            break;
    }
    return 0;
}

int guest_take(const char *guest_src, uint32_t *size, guest_sink *sink)
{
    uint32_t length = *size;
    char chunk[CHUNK];

    for (*size = 0; *size < length;) {
        uint32_t there = length - *size < CHUNK ? length - *size : CHUNK, n;

        if (guest_copy_from(chunk, guest_src + *size, there))
            return -EFAULT;
        n = (uint32_t)sink(chunk, there);
        *size += n;
        if (n < there)
            break;
    }
    return 0;
}
