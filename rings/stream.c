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

static bool is_size(uint32_t size)
{
    return size != 0 && size <= STREAM_MAX_SIZE && (size & (size - 1)) == 0;
}

/* Could an index stand here, beside that buffer? */
static bool is_index(const uint32_t *index, const uint8_t *data, uint32_t size)
{
    uintptr_t at = (uintptr_t)index, buffer = (uintptr_t)data;

    return at % sizeof(*index) == 0 &&
           (at + sizeof(*index) <= buffer || at >= buffer + size);
}

static int attach(struct stream *s, uint8_t *data, uint32_t size,
                  uint32_t *prod, uint32_t *cons, const uint32_t *own)
{
    *s = (struct stream){ .fault = RING_NOT_ATTACHED };
    if (!is_size(size) || !is_index(prod, data, size) ||
        !is_index(cons, data, size) || prod == cons)
        return -EINVAL;
    *s = (struct stream){ .data = data,
                          .size = size,
                          .prod = prod,
                          .cons = cons,
                          .own = read_once(own) };
    return 0;
}

int stream_attach_producer(struct stream *s, uint8_t *data, uint32_t size,
                           uint32_t *prod, uint32_t *cons)
{
    return attach(s, data, size, prod, cons, prod);
}

int stream_attach_consumer(struct stream *s, uint8_t *data, uint32_t size,
                           uint32_t *prod, uint32_t *cons)
{
    return attach(s, data, size, prod, cons, cons);
}

int stream_readable(const struct stream *s)
{
    uint32_t ready;

    if (s->fault)
        return -EPROTO;
    ready = load_acquire(s->prod) - s->own; /* A1 */
    return ready > s->size ? -EPROTO : (int)ready;
}

int stream_writable(const struct stream *s)
{
    uint32_t used;

    if (s->fault)
        return -EPROTO;
    used = s->own - load_acquire(s->cons); /* A2 */
    return used > s->size ? -EPROTO : (int)(s->size - used);
}

/* The first fault is the one that is told. */
static int broken(struct stream *s, enum ring_fault fault)
{
    if (!s->fault)
        s->fault = fault;
    return -EPROTO;
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
        return broken(s, RING_FORGED_CONS);
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
        return broken(s, RING_FORGED_PROD);
    if (n > (uint32_t)ready)
        n = (uint32_t)ready;

    first = before_wrap(s, n);
    shared_copy(to, s->data + (s->own & (s->size - 1)), first);
    shared_copy(to + first, s->data, n - first);
    s->own += n;
    store_release(s->cons, s->own); /* R2 */
    return (int)n;
}
