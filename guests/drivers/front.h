/*
 * The frontend half of every driver: handshake, ring, event channel, ids.
 *
 *     struct front disk;
 *
 *     front_open_device(&disk, &protocol, "51712", "xvda");  or a channel
 *     front_put(&disk, &request, cookie);              as often as it fits
 *     front_submit(&disk);
 *     while (front_take(&disk, &response, &cookie) == -EAGAIN)
 *         front_wait(&disk);
 *     front_close(&disk);
 *
 * The backend is not trusted.  What front_take returns is a private copy
 * that answers an outstanding request.  A backend that answers anything
 * else, forges an index, or goes away breaks the device: the reason is
 * printed once, every call then returns the error, and front_cancel hands
 * back, one by one, the requests that will never be answered.
 */
#ifndef DRIVERS_FRONT_H
#define DRIVERS_FRONT_H

#include "guests/drivers/protocol.h"
#include "guests/drivers/xenbus.h"
#include "guests/lib/guest.h"

#include "rings/reqrsp.h"

#define FRONT_MAX_REQUESTS 256u

/* One request that can be outstanding. */
struct front_request {
    struct list node; /* of free or in_flight, the oldest first */
    uint64_t id;      /* 0: free; else never used before */
    uint64_t since;
    void *cookie;
};

struct front {
    const struct protocol *protocol;
    char name[32]; /* for people: "xvda", or the channel's */
    int error;     /* 0, or why there is no more I/O; sticky */
    domid_t peer;
    evtchn_port_t port;
    struct ring_front ring;

    /* On a device (path is "" on a channel). */
    char path[XENBUS_PATH_MAX], backend[XENBUS_PATH_MAX];
    char watched[XENBUS_PATH_MAX];
    bool backend_changed; /* its state may be another than we saw */
    void *page;
    int ring_ref;
    struct channel channel;

    struct list free, in_flight;
    struct front_request request[FRONT_MAX_REQUESTS];
    uint32_t serial;
    uint64_t now; /* about: read once a batch */
    struct belfry_ring *stats;
};

/*
 * Connect to the backend of the device in device/<protocol>/@node; people
 * know it by @name.  Waits up to 10 s for each step of the backend.  0,
 * -ENOENT no such device, -ETIMEDOUT, -ECONNREFUSED the backend closed,
 * -EPROTO it speaks another protocol, -ENOMEM.  When it fails, it has printed
 * why.
 */
int front_open_device(struct front *f, const struct protocol *p,
                      const char *node, const char *name);
/* The same over the named channel, whose page becomes the ring. */
int front_open_channel(struct front *f, const struct protocol *p,
                       const char *name);
/* Tell the backend, take back the page.  Outstanding requests are lost. */
void front_close(struct front *f);

/* What the backend published, as a number. */
uint64_t front_read_number(const struct front *f, const char *key,
                           uint64_t otherwise);

/* Requests that can be put now. */
unsigned int front_free(const struct front *f);
/* Give the request an id and put it in the ring; the backend sees it after
 * front_submit.  0, -ENOSPC, or the device's error. */
int front_put(struct front *f, void *request, void *cookie);
int front_submit(struct front *f);
/* One response and the cookie of its request.  0, -EAGAIN, or the error. */
int front_take(struct front *f, void *response, void **cookie);
/* Sleep until there may be a response.  0 or the error. */
int front_wait(struct front *f);
/* The driver found a response that makes no sense: -EPROTO from now on. */
int front_break(struct front *f, const char *reason);
/* After an error: the next request without an answer, or false. */
bool front_cancel(struct front *f, void **cookie);

#endif
