/*
 * DPDK's ring for one producer and one consumer, with elements as large as a
 * message, in memory of our own.  Two of them where there are answers.  It
 * has no bell: where a side sleeps, every batch rings.
 */
#include <unistd.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "tests/bench-rings/bench.h"

static struct side {
    _Alignas(LINE) struct rte_ring *out, *in;
    int rings, hears; /* eventfds; -1: nobody sleeps */
} sides[2];

ANY_SIZE rte_give(struct side *s, void *messages, unsigned int n,
                  unsigned int size)
{
    unsigned int done =
        rte_ring_sp_enqueue_burst_elem(s->out, messages, size, n, NULL);

    if (s->rings >= 0)
        bell_ring(s->rings);
    return done;
}

ANY_SIZE rte_receive(struct side *s, void *messages, unsigned int n,
                     unsigned int size)
{
    return rte_ring_sc_dequeue_burst_elem(s->in, messages, size, n, NULL);
}

EACH_SIZE(rte, give)
EACH_SIZE(rte, receive)

static void rte_wait(void *side)
{
    bell_wait(((struct side *)side)->hears);
}

static void rte_open(struct line *line, size_t size, enum waiting waiting)
{
    size_t bytes = (size_t)rte_ring_get_memsize_elem((unsigned int)size, SLOTS);

    line_share(line, 2 * bytes, false);
    line->asker = &sides[0];
    line->server = &sides[1];
    for (unsigned int i = 0; i < 2; i++) {
        struct side *s = &sides[i], *peer = &sides[!i];

        s->out = peer->in = (void *)(line->pages[0] + i * bytes);
        s->rings = peer->hears = waiting == SLEEP ? bell_new() : -1;
        if (rte_ring_init(s->out, "bench", SLOTS,
                          RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
            die("rte_ring: not made");
    }
}

static void rte_close(struct line *line)
{
    for (unsigned int i = 0; i < 2; i++)
        if (sides[i].rings >= 0)
            close(sides[i].rings);
    line_unshare(line);
}

const struct peer peer_rte_ring = {
    .name = "rte_ring",
    .one_way = true,
    .countable = true,
    .open = rte_open,
    .close = rte_close,
    .wait = rte_wait,
    .calls = CALLS_OF_TWO(rte),
};
