/*
 * Byte streams with free-running indices, the layout of Xen's console and
 * store rings: one buffer, a producer and a consumer index, a direction.
 * What stands where in shared pages is the caller's; vchan.h and flex.h know
 * two layouts of Xen's.
 *
 * Either side may be hostile: indices of the peer are checked at each use,
 * and an impossible distance is a sticky fault, never "empty" or "full".
 *
 * Ordering: R1 producer publishes prod -> A1 consumer reads prod;
 *           R2 consumer publishes cons -> A2 producer reads cons.
 */
#ifndef RINGS_STREAM_H
#define RINGS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rings/fault.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One direction, as one side sees it. */
struct stream {
    uint8_t *data;         /* size bytes, shared */
    uint32_t size;         /* power of two */
    uint32_t *prod, *cons; /* shared indices */
    uint32_t own;          /* private copy of the index this side writes */
    enum ring_fault fault; /* sticky */
};

#define STREAM_MAX_SIZE 0x40000000u

/*
 * Attach to a direction at the indices it has now (a peer may have written
 * before we came; an earlier self may have been here).  0; -EINVAL when size
 * is no power of two up to STREAM_MAX_SIZE, or an index lies in the buffer or
 * at an odd address: then every call returns -EPROTO.
 */
int stream_attach_producer(struct stream *s, uint8_t *data, uint32_t size,
                           uint32_t *prod, uint32_t *cons);
int stream_attach_consumer(struct stream *s, uint8_t *data, uint32_t size,
                           uint32_t *prod, uint32_t *cons);

/* Bytes written or read, 0 to n; or -EPROTO. */
int stream_write(struct stream *s, const void *bytes, uint32_t n);
int stream_read(struct stream *s, void *bytes, uint32_t n);
/* Bytes that can be read or written now, or -EPROTO.  They only look: it is
 * the next read or write that makes an impossible index a sticky fault. */
int stream_readable(const struct stream *s);
int stream_writable(const struct stream *s);

#ifdef __cplusplus
}
#endif

#endif
