/*
 * All access to guest memory goes through here.
 *
 * Addresses are virtual addresses of the current guest.  They may be
 * anything: outside the guest's part of the address space, not mapped, read
 * only, changing while we look.  A failed copy leaves no trace but the bytes
 * that went before it.  SMAP is lifted for the copy alone.
 */
#ifndef HV_GUEST_COPY_H
#define HV_GUEST_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/x86/layout.h"

/* May [addr, addr + size) be a guest's at all?  (No wrap, no hole.) */
static inline bool guest_range_ok(const void *addr, size_t size)
{
    uint64_t start = (uint64_t)addr, end = start + size;

    if (start >= HV_END)
        return end >= start;
    return start < 1ULL << 47 && end <= 1ULL << 47 && end >= start;
}

/* 0 or -EFAULT. */
int guest_copy_from(void *dst, const void *guest_src, size_t size);
int guest_copy_to(void *guest_dst, const void *src, size_t size);
/* The same for @n times eight bytes. */
int guest_copy_from8(void *dst, const void *guest_src, size_t n);
int guest_copy_to8(void *guest_dst, const void *src, size_t n);

/* Element @index of an array of the guest's: 0 or -EFAULT, also when the
 * address would wrap.  @size is the element's. */
int guest_copy_from_offset(void *dst, const void *guest_array, uint64_t index,
                           size_t size);
int guest_copy_to_offset(void *guest_array, uint64_t index, const void *src,
                         size_t size);

/* Bytes to and from a guest's buffer by way of a small one.  *size: at most
 * so many; how many it were.  Ends early when a source or sink takes or gives
 * fewer than it could.  0 or -EFAULT. */
typedef size_t guest_source(void *from, char *buf, size_t size);
typedef size_t guest_sink(const char *buf, size_t size);
int guest_give(char *guest_dst, uint32_t *size, guest_source *source,
               void *from);
int guest_take(const char *guest_src, uint32_t *size, guest_sink *sink);

#endif
