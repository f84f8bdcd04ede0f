/*
 * A producer and a consumer on a one-way queue so small that each waits for
 * the other: each message must arrive once, in order and as it was written,
 * and nobody may sleep for ever.
 *
 * How many messages make a batch, on either side, is free, and so is whether
 * a side says so quietly while it goes on.
 */
#include "tests/models/models.h"

#include "lib/errno.h"

#include <string.h>

#define FIRST_INDEX (UINT32_MAX - 1)

enum { MOVE, PUBLISH, RING, ARM, SLEEP };

static void fill(uint32_t word[2], uint32_t i)
{
    word[0] = 0x100 + i;
    word[1] = ~word[0];
}

static size_t bytes(void)
{
    return sizeof(struct spsc_shared) + config.slots * config.slot_size;
}

static void start_producer(struct client *c, uint8_t *page)
{
    spsc_attach_producer(&c->producer, page, bytes(), config.slot_size);
}

static void start_consumer(struct client *c, uint8_t *page)
{
    spsc_attach_consumer(&c->consumer, page, bytes(), config.slot_size);
}

/* As in zeroed memory, but at indices that will wrap. */
static void start(struct client client[2], uint8_t *page)
{
    struct spsc_shared *shared = (struct spsc_shared *)page;

    memset(page, 0, bytes());
    shared->prod = shared->cons = FIRST_INDEX;
    shared->prod_event = shared->cons_event = FIRST_INDEX;
    start_producer(&client[0], page);
    start_consumer(&client[1], page);
}

/* ---- Both: c->sent messages were put or taken. ---- */

static void moved(struct client *c, int error)
{
    c->phase = PUBLISH;
    c->idle = error != 0;
    if (error == 0) {
        c->sent++;
        if (c->sent < config.messages && choose(2) == 0)
            c->phase = MOVE;
    } else if (error != -ENOSPC && error != -EAGAIN) {
        wrong("a fault where there is none");
    }
}

static void look_further(struct client *c)
{
    if (c->sent == config.messages)
        end(DONE);
    else if (!c->idle)
        c->phase = MOVE;
    else if (c->peer_gone)
        end(REPORTED);
    else
        c->phase = ARM;
}

/* Who will look at its peer again before it sleeps may be quiet now.  Twice
 * in a run is enough: each choice more doubles the states. */
static bool quietly(const struct client *c)
{
    return !c->idle && c->sent < config.messages && c->sent % 3 == 1 &&
           choose(2) == 1;
}

static void published(struct client *c, bool bell)
{
    if (bell)
        c->phase = RING;
    else
        look_further(c);
}

static void rest(struct client *c)
{
    switch (c->phase) {
    case RING:
        ring_bell();
        look_further(c);
        break;
    case SLEEP:
        wait_bell(&c->peer_gone);
        c->phase = MOVE;
    }
}

static void producer_step(struct client *c)
{
    struct spsc_producer *p = &c->producer;
    uint32_t word[2];

    if (c->phase == MOVE) {
        fill(word, c->sent);
        moved(c, spsc_put(p, word, config.slot_size));
    } else if (c->phase == PUBLISH && quietly(c)) {
        spsc_publish_quiet(p);
        c->phase = MOVE;
    } else if (c->phase == PUBLISH) {
        published(c, spsc_publish(p));
    } else if (c->phase == ARM) {
        c->phase = spsc_arm_put(p) ? MOVE : SLEEP;
    } else {
        rest(c);
    }
}

static void take(struct client *c)
{
    uint32_t word[2] = { 0 }, expected[2];
    int error = spsc_take(&c->consumer, word, config.slot_size);

    fill(expected, c->sent);
    if (error == 0 && memcmp(word, expected, config.slot_size) != 0)
        wrong("the consumer got what is not the next message");
    moved(c, error);
}

static void consumer_step(struct client *c)
{
    if (c->phase == MOVE) {
        take(c);
    } else if (c->phase == PUBLISH && quietly(c)) {
        spsc_release_quiet(&c->consumer);
        c->phase = MOVE;
    } else if (c->phase == PUBLISH) {
        published(c, spsc_release(&c->consumer));
    } else if (c->phase == ARM) {
        c->phase = spsc_arm_take(&c->consumer) ? MOVE : SLEEP;
    } else {
        rest(c);
    }
}

static const char *stuck(const struct state *s)
{
    if (s->thread[0].status == RUNNING)
        return "the producer sleeps for ever";
    return s->thread[1].status == RUNNING ? "the consumer sleeps for ever"
                                          : NULL;
}

const struct model spsc = {
    .name = "spsc",
    .start = start,
    .step = { producer_step, consumer_step },
    .stuck = stuck,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct spsc_shared),
    .field = { "prod", "cons", "prod_event", "cons_event" },
};
