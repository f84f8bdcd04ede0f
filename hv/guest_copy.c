/* The parts of guest_copy.h that need no machine instruction of their own;
 * the copies are in x86/entry.asm. */
#include "hv/guest_copy.h"

#include "hv/x86/layout.h"
#include "lib/errno.h"

bool guest_range_ok(const void *addr, size_t size)
{
    uint64_t start = (uint64_t)addr, end = start + size;

    if (end < start)
        return false;
    return end <= HV_START || start >= HV_END;
}

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
