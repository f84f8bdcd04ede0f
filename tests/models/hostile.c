/*
 * One side alone, and a page of which every byte is the peer's: a load finds
 * any of the values that could matter, whatever was stored.  The caller makes
 * any call at any time.
 *
 * After every call this page's own account of the contract is compared with
 * what the library said: an impossible index is -EPROTO, from then on always;
 * no other value is; and the page is touched no more after a fault.
 */
#include "tests/models/models.h"

#include "lib/errno.h"

#include <string.h>

enum { PICK, PUT, PUBLISH, TAKE, ARM };

static void start_front(struct client client[2], uint8_t *page)
{
    size_t bytes = sizeof(struct ring_shared) + config.slots * config.slot_size;

    ring_front_create(&client[0].front, page, bytes, config.slot_size);
}

static void start_back(struct client client[2], uint8_t *page)
{
    size_t bytes = sizeof(struct ring_shared) + config.slots * config.slot_size;

    memset(page, 0, PAGE_BYTES);
    ring_back_attach(&client[1].back, page, bytes, config.slot_size);
}

static size_t queue_bytes(void)
{
    return sizeof(struct spsc_shared) + config.slots * config.slot_size;
}

/* Before its first look a producer takes the queue for full. */
static void start_producer(struct client client[2], uint8_t *page)
{
    memset(page, 0, queue_bytes());
    spsc_attach_producer(&client[0].producer, page, queue_bytes(),
                         config.slot_size);
    client[0].received = -config.slots;
}

static void start_consumer(struct client client[2], uint8_t *page)
{
    memset(page, 0, queue_bytes());
    spsc_attach_consumer(&client[1].consumer, page, queue_bytes(),
                         config.slot_size);
}

/* All distances up to two past the ring, backwards too, and far ones. */
static uint32_t forge_near(uint32_t mine, uint32_t at, unsigned int i)
{
    static const uint32_t far[] = { 0x7fffffff, 0x80000000, 0x80000001 };

    if (at >= sizeof(struct ring_shared))
        return i;
    return i < 3 ? mine + far[i] : mine + i - 3 - 6;
}

static uint32_t forge_front(const struct client *c, uint32_t at, unsigned int i)
{
    return forge_near(c->received, at, i);
}

#define NR_FORGED (3 + 6 + 6 + 2)

/* ---- What must be so after a call. ---- */

static void must(bool so, const char *why)
{
    if (!so)
        wrong(why);
}

static void untouched(void)
{
    must(call.reads + call.writes + call.slot_bytes == 0,
         "the page is touched after a fault");
}

/*
 * One more message was asked for, of at most @most that an honest peer can
 * have sent.  A call that reads no index goes by what was read before:
 * c->published counts what is still good of that.
 */
static void took(struct client *c, int error, uint32_t most)
{
    if (c->broken) {
        must(error == -EPROTO, "a fault that does not stay");
        untouched();
        return;
    }
    must(call.reads <= 1, "an index is read twice");
    must(call.reads == 1 || error == 0, "it did not look, yet there is none");
    if (call.reads == 1) {
        uint32_t ready = call.index - c->received;

        c->broken = ready > most;
        must(!c->broken || error == -EPROTO, "an impossible index is believed");
        must(ready != 0 || error == -EAGAIN, "nothing there, yet no -EAGAIN");
    }
    if (c->broken)
        return;
    must(error == 0 || error == -EAGAIN, "a fault where there is none");
    must(error != 0 || most > 0, "more is taken than can be there");
    c->received += error == 0;
}

static void was_put(struct client *c, int error, bool room)
{
    if (c->broken) {
        must(error == -EPROTO, "a fault that does not stay");
        untouched();
        return;
    }
    must(call.reads == 0, "an index is read by a put");
    must(error == (room ? 0 : -ENOSPC), "room is not where it is");
    c->sent += error == 0;
}

static void was_published(struct client *c)
{
    if (c->broken)
        untouched();
    else
        c->published = c->sent;
}

static void armed(const struct client *c, bool more)
{
    if (!c->broken)
        return;
    must(!more, "somebody polls a broken ring for ever");
    untouched();
}

static void pick(struct client *c)
{
    c->phase = PUT + choose(4);
}

/* ---- The front: sent, published and received since the beginning. ---- */

static void front_step(struct client *c)
{
    uint32_t word[2] = { 0 };
    struct ring_front *f = &c->front;
    uint32_t phase = c->phase;

    c->phase = PICK;
    switch (phase) {
    case PICK:
        pick(c);
        break;
    case PUT:
        if (c->sent < config.messages)
            was_put(c, ring_front_put(f, word, config.slot_size),
                    c->sent - c->received < config.slots);
        break;
    case PUBLISH:
        ring_front_publish(f);
        was_published(c);
        break;
    case TAKE:
        took(c, ring_front_take(f, word, config.slot_size),
             c->published - c->received);
        break;
    case ARM:
        armed(c, ring_front_arm(f));
    }
}

/* ---- The back: a slot is its frontend's again once it was answered. ---- */

static void back_step(struct client *c)
{
    uint32_t word[2] = { 0 };
    struct ring_back *b = &c->back;
    uint32_t phase = c->phase;

    c->phase = PICK;
    switch (phase) {
    case PICK:
        pick(c);
        break;
    case PUT:
        was_put(c, ring_back_put(b, word, config.slot_size),
                c->sent < c->received);
        break;
    case PUBLISH:
        ring_back_publish(b);
        was_published(c);
        break;
    case TAKE:
        if (c->received < config.messages)
            took(c, ring_back_take(b, word, config.slot_size),
                 config.slots - (c->received - c->published));
        break;
    case ARM:
        armed(c, ring_back_arm(b));
    }
}

/* ---- A queue's consumer: as the back, whose answers are slots. ---- */

static void consumer_step(struct client *c)
{
    uint32_t word[2] = { 0 };
    struct spsc_consumer *q = &c->consumer;
    uint32_t phase = c->phase;

    c->phase = PICK;
    switch (phase) {
    case PICK:
        pick(c);
        break;
    case PUBLISH:
        c->sent = c->received;
        spsc_release(q);
        was_published(c);
        break;
    case TAKE:
        if (c->received < config.messages)
            took(c, spsc_take(q, word, config.slot_size),
                 config.slots - (c->received - c->published));
        break;
    case ARM:
        armed(c, spsc_arm_take(q));
    }
}

/* ---- Its producer: c->received slots are known to be given back. ---- */

/* A put that finds no room where it last looked must look again. */
static void was_put_or_looked(struct client *c, int error)
{
    uint32_t more;

    if (c->broken || c->sent - c->received < config.slots) {
        was_put(c, error, true);
        return;
    }
    must(call.reads == 1, "it did not look once, yet knows of no room");
    more = call.index - c->received;
    c->broken = more > c->published - c->received;
    if (c->broken) {
        must(error == -EPROTO, "an impossible index is believed");
        return;
    }
    must(error == (more ? 0 : -ENOSPC), "room is not where it is");
    c->received += more;
    c->sent += error == 0;
}

static void producer_step(struct client *c)
{
    uint32_t word[2] = { 0 };
    struct spsc_producer *q = &c->producer;
    uint32_t phase = c->phase;

    c->phase = PICK;
    switch (phase) {
    case PICK:
        pick(c);
        break;
    case PUBLISH:
        spsc_publish(q);
        was_published(c);
        break;
    case PUT:
        if (c->sent < config.messages)
            was_put_or_looked(c, spsc_put(q, word, config.slot_size));
        break;
    case ARM:
        armed(c, spsc_arm_put(q));
    }
}

static const char *stuck(const struct state *s)
{
    (void)s;
    return "a call that does not return";
}

const struct model hostile_back = {
    .name = "reqrsp hostile back",
    .start = start_front,
    .step = { front_step },
    .stuck = stuck,
    .forge = forge_front,
    .nr_forged = NR_FORGED,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct ring_shared),
    .field = { "req_prod", "req_event", "rsp_prod", "rsp_event" },
    .counts = { offsetof(struct client, front.stats),
                offsetof(struct client, back.stats) },
};

const struct model hostile_front = {
    .name = "reqrsp hostile front",
    .start = start_back,
    .step = { NULL, back_step },
    .stuck = stuck,
    .forge = forge_front,
    .nr_forged = NR_FORGED,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct ring_shared),
    .field = { "req_prod", "req_event", "rsp_prod", "rsp_event" },
    .counts = { offsetof(struct client, front.stats),
                offsetof(struct client, back.stats) },
};

const struct model hostile_consumer = {
    .name = "spsc hostile consumer",
    .start = start_producer,
    .step = { producer_step },
    .stuck = stuck,
    .forge = forge_front,
    .nr_forged = NR_FORGED,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct spsc_shared),
    .field = { "prod", "cons", "prod_event", "cons_event" },
};

const struct model hostile_producer = {
    .name = "spsc hostile producer",
    .start = start_consumer,
    .step = { NULL, consumer_step },
    .stuck = stuck,
    .forge = forge_front,
    .nr_forged = NR_FORGED,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct spsc_shared),
    .field = { "prod", "cons", "prod_event", "cons_event" },
};
