/*
 * Xen's macros (<xen/io/ring.h>), as a careful driver uses them: the peer's
 * index is read once a batch and checked, slots are copied out, and whoever
 * publishes asks whether a bell is wanted.
 */
#include <string.h>
#include <xenctrl.h>
#include <xen/io/ring.h>

#include "tests/bench-rings/bench.h"

/* Types of one size; the macros need them by name. */
#define TYPES(size)                                                            \
    struct message_##size {                                                    \
        uint64_t word[(size) / 8];                                             \
    };                                                                         \
    DEFINE_RING_TYPES(ring_##size, struct message_##size, struct message_##size)
TYPES(16);
TYPES(64);
TYPES(256);

static _Alignas(LINE) struct front {
    union {
        ring_16_front_ring_t ring_16;
        ring_64_front_ring_t ring_64;
        ring_256_front_ring_t ring_256;
    };
    struct link *link; /* NULL: nobody sleeps */
} front;
static _Alignas(LINE) struct back {
    union {
        ring_16_back_ring_t ring_16;
        ring_64_back_ring_t ring_64;
        ring_256_back_ring_t ring_256;
    };
    struct link *link;
} back;

static void bell(struct link *link)
{
    if (link)
        link_bell(link);
}

#define RING_H(size)                                                           \
    static unsigned int batch_ring_h_ask_##size(void *side, void *messages,    \
                                                unsigned int n)                \
    {                                                                          \
        ring_##size##_front_ring_t *r = &((struct front *)side)->ring_##size;  \
        const struct message_##size *m = messages;                             \
        unsigned int i;                                                        \
        int notify;                                                            \
                                                                               \
        for (i = 0; i < n && !RING_FULL(r); i++)                               \
            *RING_GET_REQUEST(r, r->req_prod_pvt++) = m[i];                    \
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(r, notify);                        \
        if (notify)                                                            \
            bell(((struct front *)side)->link);                                \
        return i;                                                              \
    }                                                                          \
                                                                               \
    static unsigned int batch_ring_h_serve_##size(void *side, void *messages,  \
                                                  unsigned int n)              \
    {                                                                          \
        ring_##size##_back_ring_t *r = &((struct back *)side)->ring_##size;    \
        struct message_##size *m = messages;                                   \
        RING_IDX prod = read_index(&r->sring->req_prod);                       \
        unsigned int i;                                                        \
                                                                               \
        if (RING_REQUEST_PROD_OVERFLOW(r, prod))                               \
            die("ring.h: too many requests");                                  \
        xen_rmb();                                                             \
        for (i = 0; i < n && r->req_cons != prod; i++, r->req_cons++)          \
            RING_COPY_REQUEST(r, r->req_cons, &m[i]);                          \
        return i;                                                              \
    }                                                                          \
                                                                               \
    static unsigned int batch_ring_h_answer_##size(void *side, void *messages, \
                                                   unsigned int n)             \
    {                                                                          \
        ring_##size##_back_ring_t *r = &((struct back *)side)->ring_##size;    \
        const struct message_##size *m = messages;                             \
        int notify;                                                            \
                                                                               \
        for (unsigned int i = 0; i < n; i++)                                   \
            *RING_GET_RESPONSE(r, r->rsp_prod_pvt++) = m[i];                   \
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(r, notify);                       \
        if (notify)                                                            \
            bell(((struct back *)side)->link);                                 \
        return n;                                                              \
    }                                                                          \
                                                                               \
    static unsigned int batch_ring_h_collect_##size(                           \
        void *side, void *messages, unsigned int n)                            \
    {                                                                          \
        ring_##size##_front_ring_t *r = &((struct front *)side)->ring_##size;  \
        struct message_##size *m = messages;                                   \
        RING_IDX prod = read_index(&r->sring->rsp_prod);                       \
        unsigned int i;                                                        \
                                                                               \
        if (RING_RESPONSE_PROD_OVERFLOW(r, prod))                              \
            die("ring.h: too many responses");                                 \
        xen_rmb();                                                             \
        for (i = 0; i < n && r->rsp_cons != prod; i++, r->rsp_cons++)          \
            RING_COPY_RESPONSE(r, r->rsp_cons, &m[i]);                         \
        return i;                                                              \
    }                                                                          \
                                                                               \
    static bool final_check_##size(void *side)                                 \
    {                                                                          \
        int more;                                                              \
                                                                               \
        if (side == &front)                                                    \
            RING_FINAL_CHECK_FOR_RESPONSES(&front.ring_##size, more);          \
        else                                                                   \
            RING_FINAL_CHECK_FOR_REQUESTS(&back.ring_##size, more);            \
        return more != 0;                                                      \
    }                                                                          \
                                                                               \
    static void attach_##size(const struct line *line)                         \
    {                                                                          \
        XEN_FRONT_RING_INIT(&front.ring_##size,                                \
                            (ring_##size##_sring_t *)line->pages[0],           \
                            line->bytes);                                      \
        BACK_RING_INIT(&back.ring_##size,                                      \
                       (ring_##size##_sring_t *)line->pages[1], line->bytes);  \
    }

static RING_IDX read_index(const volatile RING_IDX *index)
{
    return *index;
}

RING_H(16)
RING_H(64)
RING_H(256)

static size_t size_open;

static void ring_h_wait(void *side)
{
    bool more = size_open == 16   ? final_check_16(side)
                : size_open == 64 ? final_check_64(side)
                                  : final_check_256(side);

    if (!more &&
        link_wait(side == &front ? front.link : back.link, LINK_FOREVER) != 0)
        die("ring.h: the other side has gone");
}

static void ring_h_open(struct line *line, size_t size, enum waiting waiting)
{
    line_share(line, offsetof(ring_16_sring_t, ring) + SLOTS * size,
               waiting == SLEEP);
    line->asker = &front;
    line->server = &back;
    front.link = line->links[0];
    back.link = line->links[1];
    size_open = size;
    if (size == 16)
        attach_16(line);
    else if (size == 64)
        attach_64(line);
    else
        attach_256(line);
}

const struct peer peer_ring_h = {
    .name = "ring.h",
    .countable = true,
    .open = ring_h_open,
    .close = line_unshare,
    .wait = ring_h_wait,
    .calls = CALLS_OF_FOUR(ring_h),
};
