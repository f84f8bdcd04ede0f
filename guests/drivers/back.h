/*
 * The backend half of every driver: handshake, ring, event channel, several
 * frontends at once.
 *
 *     static int serve(struct back *b, const void *message)
 *     {
 *         const struct foo_request *request = message;
 *         struct foo_response response = { .id = request->id, ... };
 *
 *         return back_reply(b, &response);
 *     }
 *
 *     static const struct back_driver driver = {
 *         .protocol = &foo_protocol, .serve = serve,
 *     };
 *
 *     back_add_devices(&driver);       or back_add_channel(&driver, "foo")
 *     back_run();
 *
 * Frontends are not trusted.  What serve gets is a private copy.  A frontend
 * that forges an index, or sends what serve calls garbage, is disconnected:
 * its state here becomes Closed, the reason is printed once, it is not let
 * in again, and the others are served on.  One that dies, closes, or revokes
 * the page of its ring is cleaned up after.  serve is called for a bounded number of requests, then
 * it is another frontend's turn.
 */
#ifndef DRIVERS_BACK_H
#define DRIVERS_BACK_H

#include "guests/drivers/protocol.h"
#include "guests/drivers/xenbus.h"
#include "guests/lib/guest.h"

#include "rings/reqrsp.h"

struct back;

/* What a driver does; only serve is needed. */
struct back_driver {
    const struct protocol *protocol;
    /* The device exists: publish what a frontend must know beforehand.  0,
     * or -Exxx: the device stays Closed. */
    int (*probe)(struct back *b);
    /* The ring stands: publish the rest. */
    int (*connect)(struct back *b);
    /* One request.  0; or the frontend is disconnected (back_garbage). */
    int (*serve)(struct back *b, const void *request);
    /* The ring is gone, for whatever reason. */
    void (*disconnect)(struct back *b);
};

/* One frontend's device. */
struct back {
    const struct back_driver *driver;
    void *data;    /* the driver's own */
    char name[32]; /* for people: "xvda of domain 5", or the channel's */
    domid_t peer;
    bool connected;
    uint64_t served;          /* requests since it connected */
    unsigned int connections; /* ever */

    struct list node;
    bool rang;               /* there may be requests */
    bool moved;              /* the frontend's state may have changed */
    bool seen;               /* by the present scan of the store */
    bool banned;             /* broke the protocol */
    bool wanted_back;        /* the frontend revokes the ring's page */
    const char *garbage;     /* what serve said of a request */
    enum xenbus_state state; /* ours */
    char path[XENBUS_PATH_MAX], frontend[XENBUS_PATH_MAX]; /* "": channel */
    char watched[XENBUS_PATH_MAX];
    struct ring_back ring;
    evtchn_port_t port;
    struct grant_mapping mapping;
    struct channel channel;
    struct belfry_ring *stats;
};

/* Serve all devices that appear below backend/<protocol's device>. */
int back_add_devices(const struct back_driver *driver);
/* Serve the frontend at the other end of the named channel.  0 or -Exxx, and
 * has printed why. */
int back_add_channel(const struct back_driver *driver, const char *name);
/* Serve for ever. */
_Noreturn void back_run(void);
/* Or, in a program that does other things too: do what is due; true if
 * there is more, false if it may event_wait(). */
bool back_turn(void);

/* Answer a request, now or later.  0 or -Exxx. */
int back_reply(struct back *b, const void *response);
/* For serve to return: this request no honest frontend sends. */
int back_garbage(struct back *b, const char *reason);

/* The device's directory: publish a value, read what the toolstack set. */
__attribute__((format(printf, 3, 4))) int
back_publish(struct back *b, const char *key, const char *fmt, ...);
char *back_read(const struct back *b, const char *key);

#endif
