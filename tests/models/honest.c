/*
 * A front and a back that keep to the contract of reqrsp.h, on a ring whose
 * indices wrap: each request must reach the back once, in order and as it was
 * written, and so must its response the front; nobody may sleep for ever.
 *
 * How many messages make a batch, and when who looks, is free: every way is
 * tried.  The bell orders nothing.  If one of them dies, the other takes what
 * there is, and must come to report it.
 */
#include "tests/models/models.h"

#include "lib/errno.h"

#include <string.h>

#define FIRST_INDEX (UINT32_MAX - 1)

enum { PUT, PUBLISH, RING, TAKE, ANSWER, ARM, SLEEP };
enum kind { REQUEST = 0x100, RESPONSE = 0x200 };

/* What message number @i says; no two words are alike. */
static void fill(uint32_t word[2], enum kind kind, uint32_t i)
{
    word[0] = kind + i;
    word[1] = ~word[0];
}

static void check(const uint32_t word[2], enum kind kind, uint32_t i)
{
    uint32_t expected[2];

    fill(expected, kind, i);
    if (memcmp(word, expected, config.slot_size) != 0)
        wrong(kind == REQUEST ? "the back got what is not the next request"
                              : "the front got what is not the next response");
}

static void start(struct client client[2], uint8_t *page)
{
    size_t bytes = sizeof(struct ring_shared) + config.slots * config.slot_size;
    struct ring_shared *shared = (struct ring_shared *)page;

    ring_front_create(&client[0].front, page, bytes, config.slot_size);
    shared->req_prod = shared->rsp_prod = FIRST_INDEX;
    shared->req_event = shared->rsp_event = FIRST_INDEX + 1;
    ring_front_attach(&client[0].front, page, bytes, config.slot_size,
                      FIRST_INDEX);
    ring_back_attach(&client[1].back, page, bytes, config.slot_size);
    client[1].phase = TAKE;
}

/* ---- The front. ---- */

static void front_put(struct client *c)
{
    uint32_t word[2];

    c->phase = PUBLISH;
    if (c->sent == config.messages)
        return;
    fill(word, REQUEST, c->sent);
    switch (ring_front_put(&c->front, word, config.slot_size)) {
    case 0:
        c->sent++;
        c->phase = choose(2) ? PUT : PUBLISH;
        break;
    case -ENOSPC:
        if (c->sent - c->received != config.slots)
            wrong("the front finds no room where there is some");
        break;
    default:
        wrong("the front sees a fault");
    }
}

static void front_take(struct client *c)
{
    uint32_t word[2] = { 0 };
    int error = ring_front_take(&c->front, word, config.slot_size);

    if (error == 0) {
        check(word, RESPONSE, c->received++);
        c->phase = choose(2) ? TAKE : PUT;
    } else if (error != -EAGAIN) {
        wrong("the front sees a fault");
    } else if (c->received == config.messages) {
        end(DONE);
    } else if (c->peer_gone) {
        end(REPORTED);
    } else {
        bool room = c->sent - c->received < config.slots;

        c->phase = c->sent < config.messages && room ? PUT : ARM;
    }
}

static void front_step(struct client *c)
{
    switch (c->phase) {
    case PUT:
        front_put(c);
        break;
    case PUBLISH:
        c->phase = ring_front_publish(&c->front) ? RING : TAKE;
        break;
    case RING:
        ring_bell();
        c->phase = TAKE;
        break;
    case TAKE:
        front_take(c);
        break;
    case ARM:
        c->phase = ring_front_arm(&c->front) ? TAKE : SLEEP;
        break;
    case SLEEP:
        wait_bell(&c->peer_gone);
        c->phase = TAKE;
    }
}

/* ---- The back: it may take several before it answers. ---- */

static void back_next(struct client *c)
{
    static const uint32_t next[] = { PUBLISH, TAKE, ANSWER };

    c->phase = next[choose(c->received > c->sent ? 3 : 2)];
}

static void back_take(struct client *c)
{
    uint32_t word[2] = { 0 };
    int error = ring_back_take(&c->back, word, config.slot_size);

    c->idle = error == -EAGAIN;
    if (error == 0) {
        check(word, REQUEST, c->received++);
        back_next(c);
    } else if (error != -EAGAIN) {
        wrong("the back sees a fault");
    } else if (c->received > c->sent) {
        c->phase = ANSWER;
    } else {
        c->phase = PUBLISH;
    }
}

static void back_answer(struct client *c)
{
    uint32_t word[2];

    fill(word, RESPONSE, c->sent);
    if (ring_back_put(&c->back, word, config.slot_size) != 0)
        wrong("the back finds no room for a response");
    c->sent++;
    back_next(c);
}

static void back_rest(struct client *c)
{
    if (!c->idle || c->received > c->sent)
        c->phase = TAKE;
    else if (c->peer_gone)
        end(REPORTED);
    else
        c->phase = ARM;
}

static void back_step(struct client *c)
{
    switch (c->phase) {
    case TAKE:
        back_take(c);
        break;
    case ANSWER:
        back_answer(c);
        break;
    case PUBLISH:
        if (ring_back_publish(&c->back))
            c->phase = RING;
        else
            back_rest(c);
        break;
    case RING:
        ring_bell();
        back_rest(c);
        break;
    case ARM:
        c->phase = ring_back_arm(&c->back) ? TAKE : SLEEP;
        break;
    case SLEEP:
        wait_bell(&c->peer_gone);
        c->phase = TAKE;
    }
}

/* ---- When nobody can move. ---- */

static const char *stuck(const struct state *s)
{
    const struct thread *front = &s->thread[0], *back = &s->thread[1];

    if (front->status == RUNNING)
        return back->status == DEAD ? "the front never learns of the death"
                                    : "the front sleeps for ever";
    if (back->status == RUNNING && s->gone)
        return "the back never learns of the death";
    if (back->status == DEAD || s->gone)
        return NULL;
    if (front->client.received != config.messages ||
        back->client.received != config.messages)
        return "a message is lost";
    return NULL;
}

const struct model honest = {
    .name = "reqrsp",
    .start = start,
    .step = { front_step, back_step },
    .stuck = stuck,
    .unit = sizeof(uint32_t),
    .header = sizeof(struct ring_shared),
    .field = { "req_prod", "req_event", "rsp_prod", "rsp_event" },
    .counts = { offsetof(struct client, front.stats),
                offsetof(struct client, back.stats) },
};
