/*
 * Wiring: what the vbd=, vif= and chan= keys of the module lines ask for is
 * made as soon as both domains live, and unmade when one of them is gone.
 *
 * A device is two directories in the store, as Xen's toolstack writes them;
 * a channel is a port of the first domain that the peer may bind, and a page
 * of the control domain granted to both.
 */
#ifndef CONTROL_WIRE_H
#define CONTROL_WIRE_H

#include "guests/control/domains.h"

#define WIRE_NAME 72u

/* One device key, and how far it is. */
struct wire {
    const struct module *module; /* whose line has the key */
    const struct args_device *device;
    char name[WIRE_NAME];    /* of the channel: "reader.xvda", "ping" */
    const struct dom *front; /* NULL: does not live */
    const struct dom *back;
    uint32_t port;                        /* of front, 0: not yet known */
    unsigned int front_state, back_state; /* Xenbus states, 0: none */
};

/* Make and unmake what has to be. */
void wire_update(void);
/* Is the domain named by another one's device key? */
bool wire_is_service(const char *name);

/* The i-th key of all lines: false when there are no more. */
bool wire_at(unsigned int i, struct wire *out);
bool wire_by_name(const char *name, struct wire *out);
/* The key whose channel has this port at its front. */
bool wire_by_port(uint32_t id, uint32_t port, struct wire *out);
const char *wire_state_name(unsigned int state);

#endif
