/*
 * The store's protocol (<xen/io/xs_wire.h>): a request in, a reply and watch
 * events out.  Pure logic: the rings that carry the bytes are store_ring's.
 *
 * A connection is a domain's.  It has room for one reply, and the next
 * request is not looked at before that has been sent; its queue of events is
 * bounded, and an event that is still waiting is not queued again.
 */
#ifndef CONTROL_STORE_OPS_H
#define CONTROL_STORE_OPS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#include "guests/control/store_tree.h"
#include "lib/list.h"

#define XS_MESSAGE_MAX (sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)
#define XS_WATCHES_MAX 128u          /* of one unprivileged domain */
#define XS_EVENTS_MAX  (64u * 1024u) /* bytes that wait for one domain */
#define XS_TOKEN_MAX   512u

struct xs {
    struct tree *tree;
    struct list connections;
    uint64_t events_dropped; /* for domains that do not read them */
    /* The connection whose transactions failed most often: until it has
     * tried again, other domains' transactions fail.  NULL: none. */
    struct xs_conn *favoured;
    uint32_t held_back; /* commits that failed for its sake */
};

struct xs_conn {
    struct list link;
    struct xs *xs;
    uint16_t id;
    struct list watches, transactions, events;
    uint32_t nr_watches, next_transaction, event_bytes;
    uint32_t conflicts;  /* commits in a row that met one */
    uint32_t event_sent; /* of the first event */
    uint32_t reply_length, reply_sent;
    bool in_reply; /* the reply has begun to be sent */
    uint8_t reply[XS_MESSAGE_MAX];
};

/* An empty store that knows domain 0.  0 or -ENOMEM. */
int xs_create(struct xs *xs);
/* Forget everything (for tests). */
void xs_destroy(struct xs *xs);

/* A domain's connection.  The domain must be known to the tree. */
void xs_conn_open(struct xs *xs, struct xs_conn *c, uint16_t id);
/* Its watches, transactions and messages are gone. */
void xs_conn_close(struct xs_conn *c);

/* Do one request of header->len <= XENSTORE_PAYLOAD_MAX bytes.  The reply of
 * the one before must have been sent. */
void xs_request(struct xs_conn *c, const struct xsd_sockmsg *header,
                char *payload);
static inline bool xs_can_request(const struct xs_conn *c)
{
    return c->reply_length == 0;
}
/* Bytes to send: the start of the next message that waits, 0: none.  xs_sent
 * says how many of them went. */
uint32_t xs_to_send(struct xs_conn *c, const uint8_t **bytes);
void xs_sent(struct xs_conn *c, uint32_t n);

/* Tell watchers of a special name: "@releaseDomain", "@introduceDomain". */
void xs_fire_special(struct xs *xs, const char *name);

/* Permissions as text, "r3": false if it is none. */
bool xs_perm_parse(const char *text, struct tree_perm *perm);
char xs_perm_letter(unsigned int access);

#endif
