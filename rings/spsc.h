/*
 * Messages one way: one producer, one consumer, slots of one size.
 *
 * The layout is ours, for two ends that both use this file: each field stands
 * on a cache line of its own, written by one side, and zeroed memory is an
 * empty queue.  Where Xen's layout or an answer is wanted, see reqrsp.h.
 *
 * The peer is hostile, as in reqrsp.h: a slot is copied out once, one's own
 * index is never read back, an impossible one is a sticky fault.
 *
 * Either side may sleep, the consumer for messages and the producer for room,
 * and says in its event the index at which it fell asleep: the peer rings
 * when it moves on from there.
 *
 * Ordering (each release names the acquire it pairs with):
 *   R1 producer publishes prod        -> A1 consumer reads prod
 *   R2 consumer gives slots back, cons -> A2 producer reads cons
 *   S1 sleeper writes its event, then reads the peer's index
 *   S2 who moved its index then reads the peer's event
 *      (store-buffering pair: sequentially consistent on both sides)
 */
#ifndef RINGS_SPSC_H
#define RINGS_SPSC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/fault.h"
#include "rings/shared_copy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shared memory.  [P] producer writes, [C] consumer writes. */
struct spsc_shared {
    uint32_t prod; /* [P] messages published */
    uint8_t pad1[60];
    uint32_t cons; /* [C] slots given back */
    uint8_t pad2[60];
    uint32_t prod_event; /* [C] ring when prod moves on from here */
    uint8_t pad3[60];
    uint32_t cons_event; /* [P] ring when cons moves on from here */
    uint8_t pad4[60];
    uint8_t slots[]; /* [P] */
};

/* One side's private view.  Never in shared memory.  A call may go on until
 * its index meets the limit; a fault draws the limit in. */
struct spsc_producer {
    struct spsc_shared *shared;
    uint32_t slot_size, nr_slots, mask; /* nr_slots - 1 */
    uint32_t prod, published, rung;     /* quietly published: rung is behind */
    uint32_t limit;        /* put up to here: cons as last seen, + nr_slots */
    enum ring_fault fault; /* sticky */
};

struct spsc_consumer {
    struct spsc_shared *shared;
    uint32_t slot_size, nr_slots, mask;
    uint32_t cons, released, rung;
    uint32_t limit; /* take up to here: prod as last seen */
    enum ring_fault fault;
};

/* Slots of @slot_size bytes that a queue in @bytes has: a power of two. */
uint32_t spsc_slots(size_t bytes, size_t slot_size);

/*
 * Attach at the index that the memory has: 0 when it is new, and else where
 * an earlier self has stopped, with what it had published or given back.  0,
 * or -EINVAL when not even one slot fits or @memory does not begin a cache
 * line: then every call returns -EPROTO.
 */
int spsc_attach_producer(struct spsc_producer *p, void *memory, size_t bytes,
                         size_t slot_size);
int spsc_attach_consumer(struct spsc_consumer *c, void *memory, size_t bytes,
                         size_t slot_size);

/* Write one message (not yet visible).  0, -ENOSPC full, -EPROTO; -EINVAL
 * when it is larger than a slot. */
static inline int spsc_put(struct spsc_producer *p, const void *message,
                           size_t size);
/* Make all put messages visible.  True: ring the bell. */
bool spsc_publish(struct spsc_producer *p);
/* The same for a consumer that polls: without the barrier that it takes to
 * learn whether it sleeps.  If it may, spsc_publish has to follow. */
void spsc_publish_quiet(struct spsc_producer *p);
/* Take one message.  0, -EAGAIN none, -EPROTO, -EINVAL. */
static inline int spsc_take(struct spsc_consumer *c, void *message,
                            size_t size);
/* Give the slots of all taken messages back.  True: ring the bell. */
bool spsc_release(struct spsc_consumer *c);
/* The same for a producer that polls; else spsc_release has to follow. */
void spsc_release_quiet(struct spsc_consumer *c);

/*
 * Before sleeping until there is room, or a message.  True: there is after
 * all, or something that was put or taken has still to be published or
 * released, and not quietly; do not sleep.  False once a fault was reported.
 */
bool spsc_arm_put(struct spsc_producer *p);
bool spsc_arm_take(struct spsc_consumer *c);

/* The two calls made once a message: see reqrsp.h.  What follows a limit that
 * is met, 0: there is more. */
int spsc_look_put(struct spsc_producer *p, size_t size);
int spsc_look_take(struct spsc_consumer *c, size_t size);

static inline uint8_t *spsc_slot(struct spsc_shared *shared, uint32_t index,
                                 uint32_t mask, uint32_t slot_size)
{
    return shared->slots + (size_t)(index & mask) * slot_size;
}

static inline int spsc_put(struct spsc_producer *p, const void *message,
                           size_t size)
{
    if (__builtin_expect(p->prod == p->limit || size > p->slot_size, 0)) {
        int error = spsc_look_put(p, size);

        if (error)
            return error;
    }

    shared_copy(spsc_slot(p->shared, p->prod, p->mask, p->slot_size), message,
                size);
    p->prod++;
    return 0;
}

static inline int spsc_take(struct spsc_consumer *c, void *message, size_t size)
{
    if (__builtin_expect(c->cons == c->limit || size > c->slot_size, 0)) {
        int error = spsc_look_take(c, size);

        if (error)
            return error;
    }

    shared_copy(message, spsc_slot(c->shared, c->cons, c->mask, c->slot_size),
                size);
    c->cons++;
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif
