/*
 * Request/response rings: see reqrsp.h for the contract and the pairs.
 *
 * Each side keeps its own indices in its private structure and only ever
 * writes them to the page.  The peer's index is read once a look and must
 * lie where an honest peer could have put it.
 */
#include "rings/reqrsp.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MAX_SLOTS 0x40000000u

_Static_assert(sizeof(struct ring_shared) == 64, "Xen's header");

uint32_t ring_slots(size_t bytes, size_t slot_size)
{
    uint32_t slots = 1;
    size_t room;

    if (bytes < sizeof(struct ring_shared) || slot_size == 0)
        return 0;
    room = (bytes - sizeof(struct ring_shared)) / slot_size;
    if (room == 0)
        return 0;

    while (slots <= room / 2 && slots < MAX_SLOTS)
        slots *= 2;
    return slots;
}

/* Did moving from @old to @new pass @event?  Right across a wrap. */
static bool passed(uint32_t event, uint32_t new, uint32_t old)
{
    return new - event < new - old;
}

static bool count_bell(struct ring_stats *stats, bool ring, uint32_t prod)
{
    if (!ring) {
        stats->suppressed++;
        return false;
    }
    stats->notified++;
    stats->prod_at_notify = prod;
    return true;
}

/*
 * Publish @new and learn whether the sleeper asked for a bell in between.
 * The store pairs with the peer's look at the index (R1 with A1, R2 with
 * A2); store and load together are S2.
 */
static bool publish(uint32_t *prod, uint32_t *event, uint32_t new, uint32_t old,
                    struct ring_stats *stats)
{
    store_seq_cst(prod, new);
    return count_bell(stats, passed(load_seq_cst(event), new, old), new);
}

/* S1.  Where there is work already, looking is enough. */
static bool arm(uint32_t *event, uint32_t *prod, uint32_t cons)
{
    if (read_once(prod) != cons)
        return true;
    store_seq_cst(event, cons + 1);
    return load_seq_cst(prod) != cons;
}

/* Slots, or 0: this is no place for a ring. */
static uint32_t slots_at(const void *page, size_t bytes, size_t slot_size)
{
    if ((uintptr_t)page % sizeof(uint32_t) || slot_size > UINT32_MAX)
        return 0;
    return ring_slots(bytes, slot_size);
}

int ring_front_attach(struct ring_front *r, void *page, size_t bytes,
                      size_t slot_size, uint32_t index)
{
    uint32_t nr_slots = slots_at(page, bytes, slot_size);

    *r = (struct ring_front){ .fault = RING_NOT_ATTACHED };
    if (nr_slots == 0)
        return -EINVAL;
    *r = (struct ring_front){
        .shared = page,
        .slot_size = (uint32_t)slot_size,
        .nr_slots = nr_slots,
        .mask = nr_slots - 1,
        .req_prod = index,
        .req_published = index,
        .rsp_cons = index,
        .req_limit = index + nr_slots,
        .rsp_limit = index,
    };
    return 0;
}

int ring_front_create(struct ring_front *r, void *page, size_t bytes,
                      size_t slot_size)
{
    int error = ring_front_attach(r, page, bytes, slot_size, 0);

    if (error)
        return error;
    memset(page, 0, bytes);
    write_once(&r->shared->req_event, 1);
    write_once(&r->shared->rsp_event, 1);
    return 0;
}

uint32_t ring_front_free(const struct ring_front *r)
{
    return r->req_limit - r->req_prod;
}

/* No call finds anything to do any more, and none but those that found a limit
 * need ask for the fault. */
static int front_fault(struct ring_front *r)
{
    r->req_limit = r->req_published = r->req_prod;
    r->rsp_limit = r->rsp_cons;
    r->fault = RING_FORGED_RESPONSES;
    return -EPROTO;
}

int ring_front_put_refused(struct ring_front *r, size_t size)
{
    if (r->fault)
        return -EPROTO;
    if (size > r->slot_size)
        return -EINVAL;
    r->stats.full++;
    return -ENOSPC;
}

bool ring_front_publish(struct ring_front *r)
{
    uint32_t old = r->req_published;

    if (r->req_prod == old)
        return false;
    r->req_published = r->req_prod;
    return publish(&r->shared->req_prod, &r->shared->req_event, r->req_prod,
                   old, &r->stats); /* R1, S2 */
}

/* An honest backend answers only what was published. */
int ring_front_look(struct ring_front *r, size_t size)
{
    uint32_t ready;

    if (r->fault)
        return -EPROTO;
    if (size > r->slot_size)
        return -EINVAL;

    ready = load_acquire(&r->shared->rsp_prod) - r->rsp_cons; /* A2 */
    if (ready == 0)
        return -EAGAIN;
    if (ready > r->req_published - r->rsp_cons)
        return front_fault(r);
    r->rsp_limit = r->rsp_cons + ready;
    return 0;
}

bool ring_front_arm(struct ring_front *r)
{
    if (r->fault)
        return false;
    return arm(&r->shared->rsp_event, &r->shared->rsp_prod, r->rsp_cons);
}

int ring_back_attach_at(struct ring_back *r, void *page, size_t bytes,
                        size_t slot_size, uint32_t index)
{
    uint32_t nr_slots = slots_at(page, bytes, slot_size);

    *r = (struct ring_back){ .fault = RING_NOT_ATTACHED };
    if (nr_slots == 0)
        return -EINVAL;
    *r = (struct ring_back){
        .shared = page,
        .slot_size = (uint32_t)slot_size,
        .nr_slots = nr_slots,
        .mask = nr_slots - 1,
        .req_cons = index,
        .rsp_prod = index,
        .rsp_published = index,
        .req_limit = index,
        .rsp_limit = index,
    };
    return 0;
}

/* Any index is a good start, since indices run free.  It is read once: from
 * now on it is ours. */
int ring_back_attach(struct ring_back *r, void *page, size_t bytes,
                     size_t slot_size)
{
    int error = ring_back_attach_at(r, page, bytes, slot_size, 0);
    uint32_t index;

    if (error)
        return error;
    index = read_once(&r->shared->rsp_prod);
    return ring_back_attach_at(r, page, bytes, slot_size, index);
}

static int back_fault(struct ring_back *r)
{
    r->req_limit = r->req_cons;
    r->rsp_limit = r->rsp_published = r->rsp_prod;
    r->fault = RING_FORGED_REQUESTS;
    return -EPROTO;
}

/* Requests that an honest frontend can have put beyond those taken: it keeps
 * a slot until its response was published and taken. */
static uint32_t back_ready_max(const struct ring_back *r)
{
    return r->nr_slots - (r->req_cons - r->rsp_published);
}

int ring_back_look(struct ring_back *r, size_t size)
{
    uint32_t ready;

    if (r->fault)
        return -EPROTO;
    if (size > r->slot_size)
        return -EINVAL;

    ready = load_acquire(&r->shared->req_prod) - r->req_cons; /* A1 */
    if (ready == 0)
        return -EAGAIN;
    if (ready > back_ready_max(r))
        return back_fault(r);
    r->req_limit = r->req_cons + ready;
    return 0;
}

int ring_back_put_refused(const struct ring_back *r, size_t size)
{
    if (r->fault)
        return -EPROTO;
    return size > r->slot_size ? -EINVAL : -ENOSPC;
}

bool ring_back_publish(struct ring_back *r)
{
    uint32_t old = r->rsp_published;

    if (r->rsp_prod == old)
        return false;
    r->rsp_published = r->rsp_prod;
    return publish(&r->shared->rsp_prod, &r->shared->rsp_event, r->rsp_prod,
                   old, &r->stats); /* R2, S2 */
}

bool ring_back_arm(struct ring_back *r)
{
    if (r->fault)
        return false;
    return arm(&r->shared->req_event, &r->shared->req_prod, r->req_cons);
}
