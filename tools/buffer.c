/*
 * Bytes between two descriptors.
 */
#include "tools/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/belfry.h"

#define CHUNK 65536

static void make_room(struct buffer *buffer, size_t length)
{
    size_t need = buffer->length + length;

    if (need <= buffer->capacity)
        return;
    buffer->capacity = need > 2 * buffer->capacity ? need
                                                   : 2 * buffer->capacity;
    buffer->data = reallocate(buffer->data, buffer->capacity);
}

void buffer_add(struct buffer *buffer, const char *data, size_t length)
{
    make_room(buffer, length);
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

int buffer_read(struct buffer *buffer, int fd)
{
    ssize_t n;

    make_room(buffer, CHUNK);
    n = read(fd, buffer->data + buffer->length, CHUNK);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : -2;
    buffer->length += (size_t)n;

    return (int)n;
}

bool buffer_write(struct buffer *buffer, int fd, size_t most)
{
    size_t length = buffer->length < most ? buffer->length : most;
    ssize_t n = write(fd, buffer->data, length);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    buffer_drop(buffer, (size_t)n);

    return true;
}

void buffer_drop(struct buffer *buffer, size_t length)
{
    buffer->length -= length;
    if (buffer->length)
        memmove(buffer->data, buffer->data + length, buffer->length);
}

char *buffer_take_line(struct buffer *buffer)
{
    char *end = buffer->length
                    ? memchr(buffer->data, '\n', buffer->length) : NULL;
    size_t length;
    char *line;

    if (!end)
        return NULL;
    length = (size_t)(end - buffer->data);
    line = allocate(length + 1);
    memcpy(line, buffer->data, length);
    buffer_drop(buffer, length + 1);

    return line;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){ 0 };
}
