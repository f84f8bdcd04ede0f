/*
 * A client that writes and a server that reads over a vchan, in chunks of
 * every size, on a buffer so small that each waits for the other: each byte
 * must arrive once and in order, and nobody may sleep for ever.
 */
#include "tests/models/models.h"

#include "lib/errno.h"

#define FIRST_INDEX (UINT32_MAX - 1)
#define MAX_CHUNK   2u

enum { MOVE, RING, ARM, SLEEP };

static uint8_t byte_at(uint32_t i)
{
    return (uint8_t)(0x10 + i);
}

/* As vchan_create and vchan_attach, but a buffer of 2 or 4 bytes. */
static void start(struct client client[2], uint8_t *page)
{
    struct vchan_page *shared = (struct vchan_page *)page;
    struct vchan *c = &client[0].vchan, *s = &client[1].vchan;
    uint8_t *data = page + HEADER;

    *shared = (struct vchan_page){ .left = { FIRST_INDEX, FIRST_INDEX } };
    *c = (struct vchan){ .page = shared,
                         .we_ask = &shared->srv_notify,
                         .we_are_asked = &shared->cli_notify };
    *s = (struct vchan){ .page = shared,
                         .we_ask = &shared->cli_notify,
                         .we_are_asked = &shared->srv_notify };
    stream_attach_producer(&c->to_peer, data, config.slots, &shared->left.prod,
                           &shared->left.cons);
    stream_attach_consumer(&s->from_peer, data, config.slots,
                           &shared->left.prod, &shared->left.cons);
}

/* c->sent: bytes moved; c->received: those of the next chunk, less one. */
static void moved(struct client *c, int done, bool bell)
{
    if (done < 0)
        wrong("a fault where there is none");
    c->sent += (uint32_t)done;
    if (bell)
        c->phase = RING;
    else if (c->sent == config.messages)
        end(DONE);
    else if (done > 0)
        c->received = choose(MAX_CHUNK);
    else if (c->peer_gone)
        end(REPORTED);
    else
        c->phase = ARM;
}

static uint32_t chunk(const struct client *c)
{
    uint32_t left = config.messages - c->sent, n = c->received + 1;

    return n < left ? n : left;
}

static void write_some(struct client *c)
{
    uint8_t bytes[MAX_CHUNK];
    bool bell;
    int done;

    for (uint32_t i = 0; i < MAX_CHUNK; i++)
        bytes[i] = byte_at(c->sent + i);
    done = vchan_write(&c->vchan, bytes, chunk(c), &bell);
    moved(c, done, bell);
}

static void read_some(struct client *c)
{
    uint8_t bytes[MAX_CHUNK];
    bool bell;
    int done = vchan_read(&c->vchan, bytes, chunk(c), &bell);

    for (int i = 0; i < done; i++)
        if (bytes[i] != byte_at(c->sent + (uint32_t)i))
            wrong("the server got what is not the next byte");
    moved(c, done, bell);
}

static void rest(struct client *c)
{
    switch (c->phase) {
    case RING:
        ring_bell();
        c->phase = MOVE;
        if (c->sent == config.messages)
            end(DONE);
        break;
    case SLEEP:
        wait_bell(&c->peer_gone);
        c->phase = MOVE;
    }
}

static void client_step(struct client *c)
{
    if (c->phase == MOVE)
        write_some(c);
    else if (c->phase == ARM)
        c->phase = vchan_arm_write(&c->vchan) ? MOVE : SLEEP;
    else
        rest(c);
}

static void server_step(struct client *c)
{
    if (c->phase == MOVE)
        read_some(c);
    else if (c->phase == ARM)
        c->phase = vchan_arm_read(&c->vchan) ? MOVE : SLEEP;
    else
        rest(c);
}

static const char *stuck(const struct state *s)
{
    if (s->thread[0].status == RUNNING)
        return "the client sleeps for ever";
    return s->thread[1].status == RUNNING ? "the server sleeps for ever" : NULL;
}

const struct model vchan_bytes = {
    .name = "vchan",
    .start = start,
    .step = { client_step, server_step },
    .stuck = stuck,
    .unit = 1,
    .header = HEADER,
    .field = { "left.cons", "left.prod", "right.cons", "right.prod" },
};
