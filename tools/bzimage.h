/*
 * Linux kernels as distributions ship them: a bzImage, whose payload is the
 * ELF image that a hypervisor loads.
 */
#ifndef TOOLS_BZIMAGE_H
#define TOOLS_BZIMAGE_H

#include <stdbool.h>
#include <stdint.h>

bool bzimage_is_one(const uint8_t *bytes, uint64_t size);

/* Unpack the kernel into a new file, whose name begins with @prefix and is
 * the caller's to free; NULL with a sentence's end in *why. */
char *bzimage_unpack(const uint8_t *bytes, uint64_t size, const char *prefix,
                     uint64_t *kernel_size, const char **why);

#endif
