/*
 * The store: its tree, and the rings over which domains reach it.
 *
 * Invariant: whatever a domain puts into its ring page, at most its own
 * connection ends.  A domain that does not read its replies is not listened
 * to; each turn does one request, so that none can starve the others.
 */
#ifndef CONTROL_STORE_RING_H
#define CONTROL_STORE_RING_H

#include "guests/control/store_ops.h"
#include "guests/lib/guest.h"
#include "rings/stream.h"

struct store_ring {
    bool open;
    const char *closed_why; /* by a protocol fault; NULL: not */
    bool dirty;             /* the domain rang: look again */
    domid_t id;
    evtchn_port_t port;
    struct grant_mapping page;
    struct stream requests, replies;
    struct xsd_sockmsg header;
    uint32_t got; /* bytes of the request so far, header included */
    struct xs_conn conn;
    char payload[XENSTORE_PAYLOAD_MAX];
};

extern struct xs store;

void store_start(void);

/* Serve a domain's store page.  0 or -Exxx, and then nothing is open. */
int store_ring_open(struct store_ring *r, domid_t id, evtchn_port_t remote);
void store_ring_close(struct store_ring *r);
/* Do a little; true: there is more to do. */
bool store_ring_work(struct store_ring *r);

/* The control domain's own changes. */
__attribute__((format(printf, 2, 3))) int store_set(const char *path,
                                                    const char *fmt, ...);
/* The value cut to size and terminated, "" if there is none. */
int store_get(const char *path, char *value, size_t size);
int store_remove(const char *path);
/* Create the node if it is missing, with this owner, readable by @reader
 * (DOMID_INVALID: nobody else). */
int store_make(const char *path, domid_t owner, domid_t reader);

#endif
