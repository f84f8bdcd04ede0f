/*
 * The last bytes of a stream, in a buffer: the byte at position p, counted
 * from the beginning of the stream, stands at p modulo the buffer's size.
 */
#ifndef LIB_TAIL_H
#define LIB_TAIL_H

#include <stddef.h>
#include <stdint.h>

/* Copy to @to, at most @room bytes, what came from *position on up to @end, as
 * far as the @size bytes of @kept still have it; *position moves behind what
 * was copied.  Returns the number of bytes. */
size_t tail_read(const char *kept, size_t size, uint64_t end,
                 uint64_t *position, char *to, size_t room);

#endif
