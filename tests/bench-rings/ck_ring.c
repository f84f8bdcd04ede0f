/*
 * Concurrency Kit's ring for one producer and one consumer, in its form that
 * holds messages by value.  Two of them where there are answers.  It has no
 * way to say that nobody sleeps: where a side does, every batch rings.
 */
#include <ck_ring.h>
#include <unistd.h>

#include "tests/bench-rings/bench.h"

#define TYPE(size)                                                             \
    struct message_##size {                                                    \
        uint64_t word[(size) / 8];                                             \
    };                                                                         \
    CK_RING_PROTOTYPE(of_##size, message_##size)
TYPE(16)
TYPE(64)
TYPE(256)

/* In the shared pages: indices, then slots. */
struct shared {
    _Alignas(LINE) ck_ring_t ring;
    _Alignas(LINE) uint8_t slots[];
};

static struct side {
    _Alignas(LINE) struct shared *out;
    struct shared *in;
    int rings, hears; /* eventfds; -1: nobody sleeps */
} sides[2];

#define CK(size)                                                               \
    static unsigned int batch_ck_give_##size(void *side, void *messages,       \
                                             unsigned int n)                   \
    {                                                                          \
        struct side *s = side;                                                 \
        struct message_##size *slots = (void *)s->out->slots, *m = messages;   \
        unsigned int i;                                                        \
                                                                               \
        for (i = 0; i < n; i++)                                                \
            if (!CK_RING_ENQUEUE_SPSC(of_##size, &s->out->ring, slots, &m[i])) \
                break;                                                         \
        if (s->rings >= 0)                                                     \
            bell_ring(s->rings);                                               \
        return i;                                                              \
    }                                                                          \
                                                                               \
    static unsigned int batch_ck_receive_##size(void *side, void *messages,    \
                                                unsigned int n)                \
    {                                                                          \
        struct side *s = side;                                                 \
        struct message_##size *slots = (void *)s->in->slots, *m = messages;    \
        unsigned int i;                                                        \
                                                                               \
        for (i = 0; i < n; i++)                                                \
            if (!CK_RING_DEQUEUE_SPSC(of_##size, &s->in->ring, slots, &m[i]))  \
                break;                                                         \
        return i;                                                              \
    }

CK(16)
CK(64)
CK(256)

static void ck_wait(void *side)
{
    bell_wait(((struct side *)side)->hears);
}

static void ck_open(struct line *line, size_t size, enum waiting waiting)
{
    size_t bytes = sizeof(struct shared) + SLOTS * size;

    line_share(line, 2 * bytes, false);
    line->asker = &sides[0];
    line->server = &sides[1];
    for (unsigned int i = 0; i < 2; i++) {
        struct side *s = &sides[i], *peer = &sides[!i];

        s->out = peer->in = (void *)(line->pages[0] + i * bytes);
        s->rings = peer->hears = waiting == SLEEP ? bell_new() : -1;
        ck_ring_init(&s->out->ring, SLOTS);
    }
}

static void ck_close(struct line *line)
{
    for (unsigned int i = 0; i < 2; i++)
        if (sides[i].rings >= 0)
            close(sides[i].rings);
    line_unshare(line);
}

const struct peer peer_ck_ring = {
    .name = "ck_ring",
    .one_way = true,
    .countable = true,
    .open = ck_open,
    .close = ck_close,
    .wait = ck_wait,
    .calls = CALLS_OF_TWO(ck),
};
