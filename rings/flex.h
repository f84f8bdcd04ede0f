/*
 * Two byte streams with Xen's flex layout (DEFINE_XEN_FLEX_RING_AND_INTF in
 * <xen/io/ring.h>): a page of indices, and 2^order data pages, whose first
 * half the backend writes ("in") and whose second half the frontend ("out").
 *
 * The layout has no way to say that a bell is not needed: ring it after every
 * stream_write and stream_read that moved something.
 */
#ifndef RINGS_FLEX_H
#define RINGS_FLEX_H

#include "rings/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Shared page.  [F] frontend writes, [B] backend writes. */
struct flex_page {
    uint32_t in_cons; /* [F] */
    uint32_t in_prod; /* [B] */
    uint8_t pad1[56];
    uint32_t out_cons; /* [B] */
    uint32_t out_prod; /* [F] */
    uint8_t pad2[56];
    uint32_t ring_order; /* [F] of the data pages */
    uint32_t ref[];      /* [F] their grants */
};

#define FLEX_MAX_ORDER 9u /* whose grants the page holds */

/* What this side reads and what it writes; for stream_read, stream_write. */
struct flex {
    struct stream from_peer, to_peer;
};

/* Frontend: indices 0, and the order; the grants are the caller's to write.
 * 0, or -EINVAL: no such order, or page and data overlap. */
int flex_front_create(struct flex *f, void *page, void *data,
                      unsigned int order);
/* Go on where an earlier frontend stopped; the order must be the page's. */
int flex_front_attach(struct flex *f, void *page, void *data,
                      unsigned int order);

/* Backend: the order that the frontend wrote, before the data pages are
 * mapped; -EPROTO: no such order. */
int flex_order(const void *page);
/* With the data pages of that order.  0, or -EINVAL. */
int flex_back_attach(struct flex *f, void *page, void *data,
                     unsigned int order);

#ifdef __cplusplus
}
#endif

#endif
