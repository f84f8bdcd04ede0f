/*
 * One end of a ring or a stream whose peer owns every byte of the shared
 * page.  victim_call makes one call and holds its result against an account
 * of its own: no more is taken than can be there, no more is put than there
 * is room for, and a fault has a name and stays.  Anything else ends the
 * program.
 *
 * The page is from the heap and exactly as large as it says, so that a
 * sanitizer sees an access outside it.
 */
#ifndef TESTS_UNIT_VICTIM_H
#define TESTS_UNIT_VICTIM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"
#include "rings/flex.h"
#include "rings/reqrsp.h"
#include "rings/spsc.h"
#include "rings/vchan.h"

enum victim_kind { FRONT, BACK, PRODUCER, CONSUMER, CONSOLE, FLEX, VCHAN };

#define VICTIM_PAGE  4096u
#define VICTIM_CALLS 5u /* ways to call one */

struct victim {
    enum victim_kind kind;
    uint8_t *page;
    size_t bytes, slot_size;
    union {
        struct ring_front front;
        struct ring_back back;
        struct spsc_producer producer;
        struct spsc_consumer consumer;
        struct stream stream[2]; /* in and out */
        struct flex flex;
        struct vchan vchan;
    };
    uint32_t put, published, taken; /* since it was attached; a consumer has
                                       given back what is published */
    bool broken[2];                 /* what is read, what is written */
};

#define victim_must(cond)                                                      \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                           \
        }                                                                      \
    } while (0)

static inline void victim_attach_bytes(struct victim *v)
{
    struct vchan_area area = { .page = v->page,
                               .left_order = 10,
                               .right_order = 11 };
    uint32_t *index = (uint32_t *)(void *)v->page;

    switch (v->kind) {
    case CONSOLE:
        stream_attach_consumer(&v->stream[0], v->page + 1024, 1024, index,
                               index + 1);
        stream_attach_producer(&v->stream[1], v->page + 2048, 2048, index + 2,
                               index + 3);
        break;
    case FLEX:
        flex_front_attach(&v->flex, v->page, v->page + VICTIM_PAGE, 0);
        break;
    default:
        vchan_attach(&v->vchan, &area);
    }
}

/* The page stays as the peer has left it. */
static inline void victim_attach(struct victim *v)
{
    uint32_t index;

    v->put = v->published = v->taken = 0;
    v->broken[0] = v->broken[1] = false;
    switch (v->kind) {
    case FRONT:
        memcpy(&index, v->page, sizeof(index));
        ring_front_attach(&v->front, v->page, v->bytes, v->slot_size, index);
        break;
    case BACK:
        ring_back_attach(&v->back, v->page, v->bytes, v->slot_size);
        break;
    case PRODUCER:
        spsc_attach_producer(&v->producer, v->page, v->bytes, v->slot_size);
        break;
    case CONSUMER:
        spsc_attach_consumer(&v->consumer, v->page, v->bytes, v->slot_size);
        break;
    default:
        victim_attach_bytes(v);
    }
}

static inline size_t victim_bytes(enum victim_kind kind, size_t slots,
                                  size_t slot_size)
{
    switch (kind) {
    case FRONT:
    case BACK:
        return sizeof(struct ring_shared) + slots * slot_size;
    case PRODUCER:
    case CONSUMER:
        return sizeof(struct spsc_shared) + slots * slot_size;
    case FLEX:
        return 2 * VICTIM_PAGE;
    default:
        return VICTIM_PAGE;
    }
}

static inline void victim_start(struct victim *v, enum victim_kind kind,
                                size_t slots, size_t slot_size)
{
    v->kind = kind;
    v->slot_size = slot_size;
    v->bytes = victim_bytes(kind, slots, slot_size);
    victim_must(posix_memalign((void **)&v->page, 64, v->bytes) == 0);
    memset(v->page, 0, v->bytes);
    victim_attach(v);
}

static inline void victim_end(struct victim *v)
{
    free(v->page);
}

/* What this kind of victim says is wrong, if anything. */
static inline enum ring_fault victim_fault(const struct victim *v, bool out)
{
    switch (v->kind) {
    case FRONT:
        return v->front.fault;
    case BACK:
        return v->back.fault;
    case PRODUCER:
        return v->producer.fault;
    case CONSUMER:
        return v->consumer.fault;
    case CONSOLE:
        return v->stream[out].fault;
    case FLEX:
        return out ? v->flex.to_peer.fault : v->flex.from_peer.fault;
    default:
        return out ? v->vchan.to_peer.fault : v->vchan.from_peer.fault;
    }
}

/* A fault is returned if, and as long as, the victim knows one. */
static inline void victim_check(struct victim *v, bool out, int result)
{
    enum ring_fault fault = victim_fault(v, out);

    victim_must(!v->broken[out] || result == -EPROTO);
    victim_must((result == -EPROTO) == (fault != RING_SOUND));
    victim_must(fault != RING_NOT_ATTACHED);
    victim_must(*ring_fault_name(fault));
    v->broken[out] = fault != RING_SOUND;
}

static inline void victim_call_front(struct victim *v, unsigned int call)
{
    uint8_t *message = malloc(v->slot_size);
    struct ring_front *r = &v->front;
    int error;

    memset(message, 1, v->slot_size);
    switch (call) {
    case 0:
        error = ring_front_put(r, message, v->slot_size);
        v->put += error == 0;
        victim_must(v->put - v->taken <= r->nr_slots);
        victim_check(v, false, error);
        break;
    case 1:
        ring_front_publish(r);
        v->published = v->put;
        break;
    case 2:
        victim_must(!ring_front_arm(r) || !v->broken[0]);
        break;
    default:
        error = ring_front_take(r, message, v->slot_size);
        v->taken += error == 0;
        victim_must(v->taken <= v->published);
        victim_check(v, false, error);
    }
    free(message);
}

static inline void victim_call_back(struct victim *v, unsigned int call)
{
    uint8_t *message = malloc(v->slot_size);
    struct ring_back *r = &v->back;
    int error;

    memset(message, 1, v->slot_size);
    switch (call) {
    case 0:
        error = ring_back_put(r, message, v->slot_size);
        v->put += error == 0;
        victim_must(v->put <= v->taken);
        victim_check(v, false, error);
        break;
    case 1:
        ring_back_publish(r);
        v->published = v->put;
        break;
    case 2:
        victim_must(!ring_back_arm(r) || !v->broken[0]);
        break;
    default:
        error = ring_back_take(r, message, v->slot_size);
        v->taken += error == 0;
        victim_must(v->taken - v->published <= r->nr_slots);
        victim_check(v, false, error);
    }
    free(message);
}

/* What was given back is at most what was published. */
static inline void victim_call_producer(struct victim *v, unsigned int call)
{
    uint8_t *message = malloc(v->slot_size);
    struct spsc_producer *p = &v->producer;
    int error;

    memset(message, 1, v->slot_size);
    switch (call) {
    case 0:
        spsc_publish(p);
        v->published = v->put;
        break;
    case 1:
        victim_must(!spsc_arm_put(p) || !v->broken[0]);
        break;
    default:
        error = spsc_put(p, message, v->slot_size);
        v->put += error == 0;
        victim_must(v->put - v->published <= p->nr_slots);
        victim_check(v, false, error);
    }
    free(message);
}

static inline void victim_call_consumer(struct victim *v, unsigned int call)
{
    uint8_t *message = malloc(v->slot_size);
    struct spsc_consumer *c = &v->consumer;
    int error;

    switch (call) {
    case 0:
        spsc_release(c);
        v->published = v->taken;
        break;
    case 1:
        victim_must(!spsc_arm_take(c) || !v->broken[0]);
        break;
    default:
        error = spsc_take(c, message, v->slot_size);
        v->taken += error == 0;
        victim_must(v->taken - v->published <= c->nr_slots);
        victim_check(v, false, error);
    }
    free(message);
}

static inline int victim_read(struct victim *v, uint8_t *bytes, uint32_t n)
{
    bool bell;

    if (v->kind == CONSOLE)
        return stream_read(&v->stream[0], bytes, n);
    if (v->kind == FLEX)
        return stream_read(&v->flex.from_peer, bytes, n);
    return vchan_read(&v->vchan, bytes, n, &bell);
}

static inline int victim_write(struct victim *v, const uint8_t *bytes,
                               uint32_t n)
{
    bool bell;

    if (v->kind == CONSOLE)
        return stream_write(&v->stream[1], bytes, n);
    if (v->kind == FLEX)
        return stream_write(&v->flex.to_peer, bytes, n);
    return vchan_write(&v->vchan, bytes, n, &bell);
}

static inline void victim_call_bytes(struct victim *v, unsigned int call,
                                     uint32_t n)
{
    uint8_t *bytes = malloc(n + 1);
    int done;

    memset(bytes, 1, n + 1);
    switch (call) {
    case 0:
        done = victim_write(v, bytes, n);
        victim_must(done == -EPROTO || (done >= 0 && (uint32_t)done <= n));
        victim_check(v, true, done);
        break;
    case 1:
        victim_must(v->kind != VCHAN || !vchan_arm_write(&v->vchan) ||
                    !v->broken[1]);
        break;
    case 2:
        victim_must(v->kind != VCHAN || !vchan_arm_read(&v->vchan) ||
                    !v->broken[0]);
        break;
    default:
        done = victim_read(v, bytes, n);
        victim_must(done == -EPROTO || (done >= 0 && (uint32_t)done <= n));
        victim_check(v, false, done);
    }
    victim_must(bytes[n] == 1);
    free(bytes);
}

/* One call, number @call of VICTIM_CALLS; @n: of how many bytes, where that
 * can be chosen. */
static inline void victim_call(struct victim *v, unsigned int call, uint32_t n)
{
    if (v->kind == FRONT)
        victim_call_front(v, call);
    else if (v->kind == BACK)
        victim_call_back(v, call);
    else if (v->kind == PRODUCER)
        victim_call_producer(v, call);
    else if (v->kind == CONSUMER)
        victim_call_consumer(v, call);
    else
        victim_call_bytes(v, call, n);
}

#endif
