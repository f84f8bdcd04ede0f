/*
 * Calls between guests (rings/call.h has the contract): over a page and a
 * channel that both sides have, for example by channel_open().
 *
 * On Belfry a call whose server waits on this CPU is handed over; elsewhere,
 * and on Xen, it is a send and a wait.  Either way the caller's other events
 * wait until it ends; a server's handlers run between its requests.
 */
#ifndef GUEST_CALL_H
#define GUEST_CALL_H

#include "guests/lib/guest.h"
#include "rings/call.h"

/* ---- The caller. ---- */
struct call_client {
    struct call_caller caller;
    evtchn_port_t port;
};

/* @port is bound to the server's, notifies vCPU 0, and gets no handler.  On
 * Belfry its peer's end becomes an event.  0, or as event_mask. */
int call_client_open(struct call_client *c, void *page, evtchn_port_t port);
/* As call_make(), by clock_now(). */
int call_client_call(struct call_client *c, const void *request, size_t size,
                     void *answer, size_t *answer_size, uint64_t deadline,
                     struct call_ending *ending);

/* Of any end of a channel: what is known of the other (all zero on Xen). */
void call_look(evtchn_port_t port, struct call_peer *peer);

/* ---- The server. ---- */

/* Work on a request; the answer goes to @answer, CALL_BYTES large.  Its size,
 * or CALL_REFUSED(n): there will be none, and the n bytes there say why. */
#define CALL_REFUSED(n) (-1L - (long)(n))
typedef long call_fn(void *data, const void *request, size_t size,
                     void *answer);

struct call_service {
    struct call_server server;
    evtchn_port_t port;
    call_fn *fn;
    void *data;
    bool rang;            /* its bell, and nobody has looked why */
    bool gone;            /* its caller has left, or broke the protocol */
    uint64_t served;      /* answers given */
    uint64_t unwanted;    /* of requests nobody waited for any more */
    struct call_peer end; /* of a caller that is gone */
};

/* One channel of a server. */
int call_service_open(struct call_service *s, void *page, evtchn_port_t port,
                      call_fn *fn, void *data);

/*
 * Serve @n channels: take what has been asked, answer, sleep, until a caller
 * is gone (-EPIPE: look at `gone` of each, and leave it out next time), or
 * clock_now() reaches @deadline (0: none; -ETIMEDOUT), or an event handler has
 * called call_serve_stop() (0).
 */
int call_serve(struct call_service *const *services, unsigned int n,
               uint64_t deadline);
void call_serve_stop(void);

#endif
