/*
 * Two byte streams with Xen's vchan layout (<xen/io/libxenvchan.h>), between
 * a server, which makes the pages, and a client.
 *
 * A bell is rung only for who asked for it, by a bit for "when you write" and
 * one for "when you read" in a byte that both sides change.  Ordering beside
 * the pairs of stream.h:
 *   S1 sleeper sets its bit, then reads the peer's index
 *   S2 who moved its index then takes the bit away, and rings if it was set
 *      (both are exchanges of the same byte: one sees the other)
 */
#ifndef RINGS_VCHAN_H
#define RINGS_VCHAN_H

#include "rings/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shared page.  [S] server writes, [C] client writes. */
struct vchan_page {
    struct {
        uint32_t cons, prod;
    } left, right; /* left: client to server; right: server to client */
    uint16_t left_order, right_order; /* [S] of the buffers' sizes */
    uint8_t cli_live;                 /* [C] 0 gone, 1 here; [S] 2 not yet */
    uint8_t srv_live;                 /* [S] 0 gone, 1 here */
    uint8_t cli_notify; /* what the client shall ring for: [S] sets */
    uint8_t srv_notify; /* what the server shall ring for: [C] sets */
    uint32_t grants[];  /* [S] of the left buffer's pages, then the right's */
};

/* A buffer of order 10 or 11 lies in the page; one of 12 or more has pages of
 * its own, at left or right below. */
#define VCHAN_MIN_ORDER 10u
#define VCHAN_MAX_ORDER 20u

struct vchan_area {
    void *page;
    void *left, *right;
    unsigned int left_order, right_order;
};

enum vchan_peer { VCHAN_PEER_GONE, VCHAN_PEER_HERE, VCHAN_PEER_NOT_YET };

struct vchan {
    struct vchan_page *page;
    struct stream from_peer, to_peer;
    uint8_t *we_ask, *we_are_asked; /* of the two notify bytes */
    uint8_t *own_live, *peer_live;
};

/* Server: initialises the page's header; the grants are the caller's to write.
 * 0, or -EINVAL: no such orders together, or the areas overlap. */
int vchan_create(struct vchan *v, const struct vchan_area *area);
/* Client: the orders that the server wrote, before the buffers are mapped.
 * 0, or -EPROTO: no server makes such. */
int vchan_orders(const void *page, unsigned int *left, unsigned int *right);
/* With the buffers of these orders.  0, or -EINVAL. */
int vchan_attach(struct vchan *v, const struct vchan_area *area);

/* Bytes moved, 0 to n; or -EPROTO.  *bell: ring it. */
int vchan_write(struct vchan *v, const void *bytes, uint32_t n, bool *bell);
int vchan_read(struct vchan *v, void *bytes, uint32_t n, bool *bell);

/* Before sleeping: ask for the bell.  True: there are bytes, or there is room,
 * after all; do not sleep.  False once a fault was reported. */
bool vchan_arm_read(struct vchan *v);
bool vchan_arm_write(struct vchan *v);

enum vchan_peer vchan_peer(const struct vchan *v);
/* Tell the peer that we are gone; ring the bell then. */
void vchan_close(struct vchan *v);

#ifdef __cplusplus
}
#endif

#endif
