/*
 * Request/response rings with Xen's layout (<xen/io/ring.h>), as functions.
 *
 * One shared page (or several, contiguous): a 64-byte header, then a power
 * of two of slots.  The frontend writes requests, the backend writes each
 * response into a slot whose request it has taken.  Indices run free.
 *
 * The peer is hostile.  A slot is copied out once and the copy is what the
 * caller gets; an index this side owns is never read back; an impossible
 * index is a sticky fault: from then on every call returns -EPROTO.
 *
 * Ordering (each release names the acquire it pairs with):
 *   R1 front publishes req_prod       -> A1 back reads req_prod
 *   R2 back publishes rsp_prod        -> A2 front reads rsp_prod
 *   S1 sleeper writes its event index, then reads the producer index
 *   S2 producer publishes its index, then reads the event index
 *      (store-buffering pair: sequentially consistent on both sides)
 *
 * A slot is reused only after its response was taken, so the front's
 * requests need no acquire of their own: A2 orders them.
 *
 * The peer's index is read only when what was last seen of it is used up:
 * a batch costs one read of the line that the peer writes.
 */
#ifndef RINGS_REQRSP_H
#define RINGS_REQRSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/fault.h"
#include "rings/shared_copy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shared header.  [F] frontend writes, [B] backend writes. */
struct ring_shared {
    uint32_t req_prod;  /* [F] requests published */
    uint32_t req_event; /* [B] wake me when req_prod passes this */
    uint32_t rsp_prod;  /* [B] responses published */
    uint32_t rsp_event; /* [F] wake me when rsp_prod passes this */
    uint8_t pad[48];
    uint8_t slots[]; /* [F] and [B] in turn */
};

/* What either side counts; shown by the control tool. */
struct ring_stats {
    uint32_t notified, suppressed, full, prod_at_notify;
};

/* One side's private view.  Never in shared memory.  A call may go on until
 * its index meets the limit; a fault draws both limits in. */
struct ring_front {
    struct ring_shared *shared;
    uint32_t slot_size, nr_slots, mask; /* nr_slots - 1 */
    uint32_t req_prod, req_published, rsp_cons;
    uint32_t req_limit;    /* put up to here: rsp_cons + nr_slots */
    uint32_t rsp_limit;    /* take up to here: rsp_prod as last seen */
    enum ring_fault fault; /* sticky */
    struct ring_stats stats;
};

struct ring_back {
    struct ring_shared *shared;
    uint32_t slot_size, nr_slots, mask;
    uint32_t req_cons, rsp_prod, rsp_published;
    uint32_t req_limit; /* take up to here: req_prod as last seen */
    uint32_t rsp_limit; /* put up to here: req_cons */
    enum ring_fault fault;
    struct ring_stats stats;
};

/* Slots of @slot_size bytes that a ring of @bytes holds: a power of two. */
uint32_t ring_slots(size_t bytes, size_t slot_size);

/*
 * Frontend.  slot_size is the larger of request and response, as Xen's
 * union; a size larger than that is -EINVAL in each call.  create zeroes and
 * initialises the shared page; 0, or -EINVAL when not even one slot fits, or
 * the page is no place for 32-bit indices.  A ring that was refused is as good
 * as broken: every call returns -EPROTO.
 */
int ring_front_create(struct ring_front *r, void *page, size_t bytes,
                      size_t slot_size);
/*
 * Take over a ring that another frontend has used, when everything up to
 * @index is answered and taken, and nothing is behind it.  The page is left
 * as it is; a backend that is still attached goes on at the same index.
 */
int ring_front_attach(struct ring_front *r, void *page, size_t bytes,
                      size_t slot_size, uint32_t index);
/* Requests that can be put before the ring is full. */
uint32_t ring_front_free(const struct ring_front *r);
/* Write one request (not yet visible).  0, -ENOSPC full, -EPROTO. */
static inline int ring_front_put(struct ring_front *r, const void *req,
                                 size_t size);
/* Make all put requests visible.  True: ring the bell. */
bool ring_front_publish(struct ring_front *r);
/* Take one response.  0, -EAGAIN none, -EPROTO. */
static inline int ring_front_take(struct ring_front *r, void *rsp, size_t size);
/* Before sleeping: arm for the next response.  True: there is one after all,
 * do not sleep.  False once a fault was reported: nothing will come. */
bool ring_front_arm(struct ring_front *r);

/*
 * Backend: the mirror image.  attach takes a ring that a frontend made, at
 * the response index that an earlier backend published; attach_at at an index
 * that both sides know.  0, or -EINVAL.
 *
 * Requests that an earlier backend had taken are served again, but a response
 * that it wrote and did not publish stands where its request stood.  So after
 * a backend's death the frontend has to make the ring anew and put again what
 * was in flight; attach alone is for one that left in order.
 */
int ring_back_attach(struct ring_back *r, void *page, size_t bytes,
                     size_t slot_size);
int ring_back_attach_at(struct ring_back *r, void *page, size_t bytes,
                        size_t slot_size, uint32_t index);
static inline int ring_back_take(struct ring_back *r, void *req, size_t size);
/* Write one response (not yet visible).  0, -ENOSPC: more responses than
 * requests taken, the caller's bug; -EPROTO. */
static inline int ring_back_put(struct ring_back *r, const void *rsp,
                                size_t size);
bool ring_back_publish(struct ring_back *r);
bool ring_back_arm(struct ring_back *r);

/*
 * The four calls made once a message, in the header because a size known
 * when compiling turns the copy into a row of moves: a call is then some 25
 * instructions for 64 bytes instead of 60.  What follows a limit that is
 * met is in reqrsp.c.
 */
int ring_front_put_refused(struct ring_front *r, size_t size);
int ring_front_look(struct ring_front *r, size_t size);
int ring_back_look(struct ring_back *r, size_t size);
int ring_back_put_refused(const struct ring_back *r, size_t size);

static inline uint8_t *ring_slot(struct ring_shared *shared, uint32_t index,
                                 uint32_t mask, uint32_t slot_size)
{
    return shared->slots + (size_t)(index & mask) * slot_size;
}

static inline int ring_front_put(struct ring_front *r, const void *req,
                                 size_t size)
{
    if (__builtin_expect(r->req_prod == r->req_limit || size > r->slot_size, 0))
        return ring_front_put_refused(r, size);

    shared_copy(ring_slot(r->shared, r->req_prod, r->mask, r->slot_size), req,
                size);
    r->req_prod++;
    return 0;
}

static inline int ring_front_take(struct ring_front *r, void *rsp, size_t size)
{
    if (r->rsp_cons == r->rsp_limit || size > r->slot_size) {
        int error = ring_front_look(r, size);

        if (error)
            return error;
    }

    shared_copy(rsp, ring_slot(r->shared, r->rsp_cons, r->mask, r->slot_size),
                size);
    r->rsp_cons++;
    r->req_limit++;
    return 0;
}

static inline int ring_back_take(struct ring_back *r, void *req, size_t size)
{
    if (r->req_cons == r->req_limit || size > r->slot_size) {
        int error = ring_back_look(r, size);

        if (error)
            return error;
    }

    shared_copy(req, ring_slot(r->shared, r->req_cons, r->mask, r->slot_size),
                size);
    r->req_cons++;
    r->rsp_limit++;
    return 0;
}

static inline int ring_back_put(struct ring_back *r, const void *rsp,
                                size_t size)
{
    if (__builtin_expect(r->rsp_prod == r->rsp_limit || size > r->slot_size, 0))
        return ring_back_put_refused(r, size);

    shared_copy(ring_slot(r->shared, r->rsp_prod, r->mask, r->slot_size), rsp,
                size);
    r->rsp_prod++;
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif
