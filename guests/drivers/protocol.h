/*
 * What the two halves of a driver agree on, in one structure that both
 * include.
 *
 * Requests and responses are fixed structures; each holds a 64-bit id at a
 * fixed place, which the framework fills in and checks: a response must
 * name a request that is outstanding, by its very id.
 *
 * On a device each half publishes this as one line (rings/descriptor.h) in its
 * directory of the store, and refuses a peer whose line differs in more than
 * features that nobody needs.  A peer without such a line is taken as it is:
 * those of other systems have none.
 */
#ifndef DRIVERS_PROTOCOL_H
#define DRIVERS_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_MESSAGE_MAX 256u /* bytes of a request or a response */

struct protocol {
    const char *name;   /* as `belfry rings` shows it; at most 15 letters */
    const char *device; /* its directory in the store: device/NAME and
                           backend/NAME; NULL: on channels only */
    uint16_t request_size, response_size;
    uint16_t request_id, response_id; /* where the 64-bit id lies */
    uint32_t version;                 /* another one is another wire format */
    uint32_t features, needs; /* bits; needs: those it cannot do without */
};

/* Xen's union of the two, which is what a slot holds. */
static inline size_t protocol_slot_size(const struct protocol *p)
{
    return p->request_size > p->response_size ? p->request_size
                                              : p->response_size;
}

/* Our line, into the device's directory @dir.  0 or -Exxx. */
int protocol_publish(const struct protocol *p, const char *dir);
/* NULL: the peer, whose directory that is, speaks this protocol, or does not
 * say.  Else what is wrong with it, as the end of a sentence. */
const char *protocol_differs(const struct protocol *p, const char *dir);

#endif
