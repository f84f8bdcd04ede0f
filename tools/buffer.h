/*
 * Bytes between two descriptors, read and written as these allow.
 */
#ifndef TOOLS_BUFFER_H
#define TOOLS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;
    size_t length, capacity;
};

void buffer_add(struct buffer *buffer, const char *data, size_t length);
/* One read.  Bytes, 0 at the end, -1 nothing now, -2 an error. */
int buffer_read(struct buffer *buffer, int fd);
/* One write of at most @most bytes.  False: nobody will read it any more. */
bool buffer_write(struct buffer *buffer, int fd, size_t most);
/* The first line without its newline, to be freed; NULL: none is complete. */
char *buffer_take_line(struct buffer *buffer);
void buffer_drop(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);

#endif
