/*
 * What a side says of its end of a ring before the two connect: one line of
 * text, in the store or in the shared memory itself.
 *
 *     blkif version=1 features=0x3 needs=0x1 request=112 response=16 slots=32
 *
 * Each side publishes its own, reads the peer's and compares.  A wire format
 * that changes gets another version; what is optional gets a feature's bit.
 */
#ifndef RINGS_DESCRIPTOR_H
#define RINGS_DESCRIPTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RING_PROTOCOL_SIZE   16u  /* with the terminator */
#define RING_DESCRIPTOR_SIZE 128u /* of the longest line, likewise */

struct ring_descriptor {
    char protocol[RING_PROTOCOL_SIZE]; /* letters, digits, '-' and '_' */
    uint32_t version;
    uint32_t features; /* bits of what this side can do */
    uint32_t needs;    /* of these, what it will not do without */
    uint32_t request_size, response_size;
    uint32_t slots; /* 0: as many as fit into what the frontend shares */
};

/* The line, into RING_DESCRIPTOR_SIZE bytes.  0, or -EINVAL: no such name. */
int ring_descriptor_format(char *line, const struct ring_descriptor *d);
/* 0, or -EPROTO: not such a line.  *d is then unspecified.  The peer's text
 * may be anything, as long as it is terminated. */
int ring_descriptor_parse(struct ring_descriptor *d, const char *line);

/*
 * Where nothing else carries text, the shared memory does: a place of
 * RING_DESCRIPTOR_SIZE bytes a side, zeroed, beside the ring.  write is for
 * once; 0, or -EINVAL as format.  read takes the peer's place out once; 0,
 * -EAGAIN when nothing was written yet, -EPROTO.
 */
int ring_descriptor_write(void *place, const struct ring_descriptor *d);
int ring_descriptor_read(struct ring_descriptor *d, const void *place);

/* NULL: the two can work together, with the features that both have.  Else
 * what is in the way, as the end of a sentence that begins with the peer. */
const char *ring_descriptor_differs(const struct ring_descriptor *own,
                                    const struct ring_descriptor *peer);

#ifdef __cplusplus
}
#endif

#endif
