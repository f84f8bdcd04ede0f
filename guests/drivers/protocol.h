/*
 * What the two halves of a driver agree on, in one structure that both
 * include.
 *
 * Requests and responses are fixed structures; each holds a 64-bit id at a
 * fixed place, which the framework fills in and checks: a response must
 * name a request that is outstanding, by its very id.
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
};

/* Xen's union of the two, which is what a slot holds. */
static inline size_t protocol_slot_size(const struct protocol *p)
{
    return p->request_size > p->response_size ? p->request_size
                                              : p->response_size;
}

#endif
