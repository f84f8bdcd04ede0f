/* Messages one way: see spsc.h for the contract and the pairs. */
#include "rings/spsc.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "rings/reqrsp.h"

#define CACHE_LINE 64u

_Static_assert(offsetof(struct spsc_shared, cons) == CACHE_LINE, "a line each");
_Static_assert(offsetof(struct spsc_shared, prod_event) == 2 * CACHE_LINE,
               "a line each");
_Static_assert(offsetof(struct spsc_shared, cons_event) == 3 * CACHE_LINE,
               "a line each");
_Static_assert(sizeof(struct spsc_shared) == 4 * CACHE_LINE, "a line each");

/* As a request/response ring whose header is so much larger. */
uint32_t spsc_slots(size_t bytes, size_t slot_size)
{
    size_t more = sizeof(struct spsc_shared) - sizeof(struct ring_shared);

    return bytes < more ? 0 : ring_slots(bytes - more, slot_size);
}

/* Slots, or 0: this is no place for a queue. */
static uint32_t slots_at(const void *memory, size_t bytes, size_t slot_size)
{
    if ((uintptr_t)memory % CACHE_LINE || slot_size > UINT32_MAX)
        return 0;
    return spsc_slots(bytes, slot_size);
}

/*
 * Publish @new, and learn whether the peer fell asleep at an index that was
 * moved on from.  The store pairs with the peer's look at the index (R1 with
 * A1, R2 with A2); store and load together are S2.
 */
static bool publish(uint32_t *index, uint32_t *event, uint32_t new,
                    uint32_t old)
{
    store_seq_cst(index, new);
    return load_seq_cst(event) - old < new - old;
}

/* S1.  Where the peer's index has moved already, looking is enough. */
static bool arm(uint32_t *event, uint32_t *index, uint32_t seen)
{
    if (read_once(index) != seen)
        return true;
    store_seq_cst(event, seen);
    return load_seq_cst(index) != seen;
}

/* ---- The producer. ---- */

/* Until it looks at the peer's index for the first time, the queue may be
 * full for all that it knows. */
int spsc_attach_producer(struct spsc_producer *p, void *memory, size_t bytes,
                         size_t slot_size)
{
    uint32_t nr_slots = slots_at(memory, bytes, slot_size);

    *p = (struct spsc_producer){ .fault = RING_NOT_ATTACHED };
    if (nr_slots == 0)
        return -EINVAL;
    *p = (struct spsc_producer){
        .shared = memory,
        .slot_size = (uint32_t)slot_size,
        .nr_slots = nr_slots,
        .mask = nr_slots - 1,
    };
    p->prod = p->published = p->rung = p->limit = read_once(&p->shared->prod);
    return 0;
}

/* The peer's index, as the limit remembers it. */
static uint32_t seen_cons(const struct spsc_producer *p)
{
    return p->limit - p->nr_slots;
}

static int producer_fault(struct spsc_producer *p)
{
    p->limit = p->prod;
    p->fault = RING_FORGED_CONS;
    return -EPROTO;
}

/* An honest consumer gives back only what was published, and once. */
int spsc_look_put(struct spsc_producer *p, size_t size)
{
    uint32_t given_back;

    if (p->fault)
        return -EPROTO;
    if (size > p->slot_size)
        return -EINVAL;

    given_back = load_acquire(&p->shared->cons) - seen_cons(p); /* A2 */
    if (given_back == 0)
        return -ENOSPC;
    if (given_back > p->published - seen_cons(p))
        return producer_fault(p);
    p->limit += given_back;
    return 0;
}

bool spsc_publish(struct spsc_producer *p)
{
    uint32_t old = p->rung;

    if (p->fault || p->prod == old)
        return false;
    p->published = p->rung = p->prod;
    return publish(&p->shared->prod, &p->shared->prod_event, p->prod,
                   old); /* R1, S2 */
}

void spsc_publish_quiet(struct spsc_producer *p)
{
    if (p->fault || p->prod == p->published)
        return;
    p->published = p->prod;
    store_release(&p->shared->prod, p->prod); /* R1 */
}

bool spsc_arm_put(struct spsc_producer *p)
{
    if (p->fault)
        return false;
    if (p->prod != p->limit || p->prod != p->rung)
        return true;
    return arm(&p->shared->cons_event, &p->shared->cons, seen_cons(p));
}

/* ---- The consumer. ---- */

int spsc_attach_consumer(struct spsc_consumer *c, void *memory, size_t bytes,
                         size_t slot_size)
{
    uint32_t nr_slots = slots_at(memory, bytes, slot_size);

    *c = (struct spsc_consumer){ .fault = RING_NOT_ATTACHED };
    if (nr_slots == 0)
        return -EINVAL;
    *c = (struct spsc_consumer){
        .shared = memory,
        .slot_size = (uint32_t)slot_size,
        .nr_slots = nr_slots,
        .mask = nr_slots - 1,
    };
    c->cons = c->released = c->rung = c->limit = read_once(&c->shared->cons);
    return 0;
}

static int consumer_fault(struct spsc_consumer *c)
{
    c->limit = c->cons;
    c->fault = RING_FORGED_PROD;
    return -EPROTO;
}

/* An honest producer writes only to slots that were given back. */
int spsc_look_take(struct spsc_consumer *c, size_t size)
{
    uint32_t ready;

    if (c->fault)
        return -EPROTO;
    if (size > c->slot_size)
        return -EINVAL;

    ready = load_acquire(&c->shared->prod) - c->cons; /* A1 */
    if (ready == 0)
        return -EAGAIN;
    if (ready > c->nr_slots - (c->cons - c->released))
        return consumer_fault(c);
    c->limit = c->cons + ready;
    return 0;
}

bool spsc_release(struct spsc_consumer *c)
{
    uint32_t old = c->rung;

    if (c->fault || c->cons == old)
        return false;
    c->released = c->rung = c->cons;
    return publish(&c->shared->cons, &c->shared->cons_event, c->cons,
                   old); /* R2, S2 */
}

void spsc_release_quiet(struct spsc_consumer *c)
{
    if (c->fault || c->cons == c->released)
        return;
    c->released = c->cons;
    store_release(&c->shared->cons, c->cons); /* R2 */
}

bool spsc_arm_take(struct spsc_consumer *c)
{
    if (c->fault)
        return false;
    if (c->cons != c->limit || c->cons != c->rung)
        return true;
    return arm(&c->shared->prod_event, &c->shared->prod, c->cons);
}
