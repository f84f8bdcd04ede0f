/*
 * Byte streams: see stream.h for the contract and the pairs.
 *
 * The index a side writes is kept in `own` and never read back; the peer's is
 * read once a call, and a distance of more than the buffer is a fault.
 */
#include "rings/stream.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "rings/shared_copy.h"

static void attach(struct stream *s, uint8_t *data, uint32_t size,
                   uint32_t *prod, uint32_t *cons, uint32_t own)
{
    *s = (struct stream){
        .data = data, .size = size, .prod = prod, .cons = cons, .own = own
    };
}

void stream_attach_producer(struct stream *s, uint8_t *data, uint32_t size,
                            uint32_t *prod, uint32_t *cons)
{
    attach(s, data, size, prod, cons, read_once(prod));
}

void stream_attach_consumer(struct stream *s, uint8_t *data, uint32_t size,
                            uint32_t *prod, uint32_t *cons)
{
    attach(s, data, size, prod, cons, read_once(cons));
}

int stream_readable(const struct stream *s)
{
    uint32_t ready = load_acquire(s->prod) - s->own; /* A1 */

    return ready > s->size ? -EPROTO : (int)ready;
}

int stream_writable(const struct stream *s)
{
    uint32_t used = s->own - load_acquire(s->cons); /* A2 */

    return used > s->size ? -EPROTO : (int)(s->size - used);
}

/* Bytes from @own to the end of the buffer, at most n. */
static uint32_t before_wrap(const struct stream *s, uint32_t n)
{
    uint32_t to_end = s->size - (s->own & (s->size - 1));

    return n < to_end ? n : to_end;
}

int stream_write(struct stream *s, const void *bytes, uint32_t n)
{
    const uint8_t *from = bytes;
    int room = stream_writable(s);
    uint32_t first;

    if (room < 0)
        return room;
    if (n > (uint32_t)room)
        n = (uint32_t)room;

    first = before_wrap(s, n);
    shared_copy(s->data + (s->own & (s->size - 1)), from, first);
    shared_copy(s->data, from + first, n - first);
    s->own += n;
    store_release(s->prod, s->own); /* R1 */
    return (int)n;
}

int stream_read(struct stream *s, void *bytes, uint32_t n)
{
    uint8_t *to = bytes;
    int ready = stream_readable(s);
    uint32_t first;

    if (ready < 0)
        return ready;
    if (n > (uint32_t)ready)
        n = (uint32_t)ready;

    first = before_wrap(s, n);
    shared_copy(to, s->data + (s->own & (s->size - 1)), first);
    shared_copy(to + first, s->data, n - first);
    s->own += n;
    store_release(s->cons, s->own); /* R2 */
    return (int)n;
}
