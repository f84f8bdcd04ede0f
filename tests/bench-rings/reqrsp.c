/* Ours, requests and responses: rings/reqrsp.h. */
#include "rings/reqrsp.h"
#include "tests/bench-rings/bench.h"

static _Alignas(LINE) struct front {
    struct ring_front ring;
    struct link *link; /* NULL: nobody sleeps */
} front;
static _Alignas(LINE) struct back {
    struct ring_back ring;
    struct link *link;
} back;

static void bell(struct link *link)
{
    if (link)
        link_bell(link);
}

static void check(enum ring_fault fault)
{
    if (fault)
        die("reqrsp: the other side is at fault");
}

ANY_SIZE reqrsp_ask(struct front *f, uint8_t *messages, unsigned int n,
                    size_t size)
{
    unsigned int i = 0;

    while (i < n && ring_front_put(&f->ring, messages + i * size, size) == 0)
        i++;
    if (ring_front_publish(&f->ring))
        bell(f->link);
    check(f->ring.fault);
    return i;
}

ANY_SIZE reqrsp_serve(struct back *b, uint8_t *messages, unsigned int n,
                      size_t size)
{
    unsigned int i = 0;

    while (i < n && ring_back_take(&b->ring, messages + i * size, size) == 0)
        i++;
    check(b->ring.fault);
    return i;
}

ANY_SIZE reqrsp_answer(struct back *b, uint8_t *messages, unsigned int n,
                       size_t size)
{
    unsigned int i = 0;

    while (i < n && ring_back_put(&b->ring, messages + i * size, size) == 0)
        i++;
    if (ring_back_publish(&b->ring))
        bell(b->link);
    check(b->ring.fault);
    return i;
}

ANY_SIZE reqrsp_collect(struct front *f, uint8_t *messages, unsigned int n,
                        size_t size)
{
    unsigned int i = 0;

    while (i < n && ring_front_take(&f->ring, messages + i * size, size) == 0)
        i++;
    check(f->ring.fault);
    return i;
}

EACH_SIZE(reqrsp, ask)
EACH_SIZE(reqrsp, serve)
EACH_SIZE(reqrsp, answer)
EACH_SIZE(reqrsp, collect)

static void reqrsp_wait(void *side)
{
    bool more = side == &front ? ring_front_arm(&front.ring)
                               : ring_back_arm(&back.ring);

    if (!more &&
        link_wait(side == &front ? front.link : back.link, LINK_FOREVER) != 0)
        die("reqrsp: the other side has gone");
}

static void reqrsp_open(struct line *line, size_t size, enum waiting waiting)
{
    line_share(line, sizeof(struct ring_shared) + SLOTS * size,
               waiting == SLEEP);
    line->asker = &front;
    line->server = &back;
    front.link = line->links[0];
    back.link = line->links[1];
    if (ring_front_create(&front.ring, line->pages[0], line->bytes, size) ||
        ring_back_attach(&back.ring, line->pages[1], line->bytes, size))
        die("reqrsp: not attached");
}

const struct peer peer_reqrsp = {
    .name = "reqrsp",
    .countable = true,
    .open = reqrsp_open,
    .close = line_unshare,
    .wait = reqrsp_wait,
    .calls = CALLS_OF_FOUR(reqrsp),
};
