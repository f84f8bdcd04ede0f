/* Ours, one way: rings/spsc.h, and two of them where there are answers. */
#include "rings/spsc.h"
#include "tests/bench-rings/bench.h"

static struct side {
    _Alignas(LINE) struct spsc_producer out;
    _Alignas(LINE) struct spsc_consumer in;
    struct link *link; /* NULL: nobody sleeps */
} sides[2];

static void bell(const struct side *s)
{
    if (s->link)
        link_bell(s->link);
}

ANY_SIZE spsc_give(struct side *s, uint8_t *messages, unsigned int n,
                   size_t size)
{
    unsigned int i = 0;

    while (i < n && spsc_put(&s->out, messages + i * size, size) == 0)
        i++;
    if (spsc_publish(&s->out))
        bell(s);
    if (s->out.fault)
        die("spsc: the other side is at fault");
    return i;
}

ANY_SIZE spsc_receive(struct side *s, uint8_t *messages, unsigned int n,
                      size_t size)
{
    unsigned int i = 0;

    while (i < n && spsc_take(&s->in, messages + i * size, size) == 0)
        i++;
    if (spsc_release(&s->in))
        bell(s);
    if (s->in.fault)
        die("spsc: the other side is at fault");
    return i;
}

/* As if neither side could sleep: what ck_ring and rte_ring do. */
ANY_SIZE quiet_give(struct side *s, uint8_t *messages, unsigned int n,
                    size_t size)
{
    unsigned int i = 0;

    while (i < n && spsc_put(&s->out, messages + i * size, size) == 0)
        i++;
    spsc_publish_quiet(&s->out);
    if (s->out.fault)
        die("spsc: the other side is at fault");
    return i;
}

ANY_SIZE quiet_receive(struct side *s, uint8_t *messages, unsigned int n,
                       size_t size)
{
    unsigned int i = 0;

    while (i < n && spsc_take(&s->in, messages + i * size, size) == 0)
        i++;
    spsc_release_quiet(&s->in);
    if (s->in.fault)
        die("spsc: the other side is at fault");
    return i;
}

EACH_SIZE(spsc, give)
EACH_SIZE(spsc, receive)
EACH_SIZE(quiet, give)
EACH_SIZE(quiet, receive)

static void spsc_wait(void *side)
{
    struct side *s = side;

    if (!spsc_arm_take(&s->in) && link_wait(s->link, LINK_FOREVER) != 0)
        die("spsc: the other side has gone");
}

static void attach(const struct line *line, unsigned int i, size_t size)
{
    size_t bytes = line->bytes / 2;
    uint8_t *out = line->pages[i] + i * bytes;
    uint8_t *in = line->pages[i] + !i * bytes;

    if (spsc_attach_producer(&sides[i].out, out, bytes, size) != 0 ||
        spsc_attach_consumer(&sides[i].in, in, bytes, size) != 0)
        die("spsc: not attached");
    sides[i].link = line->links[i];
}

static void spsc_open(struct line *line, size_t size, enum waiting waiting)
{
    line_share(line, 2 * (sizeof(struct spsc_shared) + SLOTS * size),
               waiting == SLEEP);
    line->asker = &sides[0];
    line->server = &sides[1];
    attach(line, 0, size);
    attach(line, 1, size);
}

const struct peer peer_spsc = {
    .name = "spsc",
    .one_way = true,
    .countable = true,
    .open = spsc_open,
    .close = line_unshare,
    .wait = spsc_wait,
    .calls = CALLS_OF_TWO(spsc),
};

const struct peer peer_spsc_quiet = {
    .name = "spsc-quiet",
    .one_way = true,
    .countable = true,
    .polls_only = true,
    .open = spsc_open,
    .close = line_unshare,
    .calls = CALLS_OF_TWO(quiet),
};
