/*
 * Answers every message of a link with the same message, until the other side
 * ends the link.  link=NAME on the command line; the channel of that name in
 * grub.cfg says whose link it is.  The other side may be a guest or a program
 * in a Linux domain.
 *
 * after=N ends the domain after N messages, in the middle of things.
 *
 * The pages hold the ring, and behind it what each side says of it.
 */
#include "guests/drivers/ring_stats.h"
#include "guests/lib/guest.h"

#include "links/link_xen.h"
#include "rings/descriptor.h"
#include "rings/reqrsp.h"

#define PATIENCE 300000 /* ms */

struct message {
    uint64_t words[8];
};

static const struct protocol mirror = {
    .name = "mirror",
    .version = 1,
    .request_size = sizeof(struct message),
    .response_size = sizeof(struct message),
};

static uint64_t answered, after;

static void answer_all(struct ring_back *ring)
{
    struct message m;

    while (ring_back_take(ring, &m, sizeof(m)) == 0) {
        ring_back_put(ring, &m, sizeof(m));
        if (++answered == after)
            guest_exit(0);
    }
}

/* The last places of the pages: the frontend's, then ours. */
static char *place(const struct link *l, unsigned int from_end)
{
    return (char *)link_pages(l) + link_bytes(l) -
           from_end * RING_DESCRIPTOR_SIZE;
}

static void describe(struct ring_descriptor *d)
{
    *d = (struct ring_descriptor){ .version = mirror.version,
                                   .request_size = mirror.request_size,
                                   .response_size = mirror.response_size };
    string_copy(d->protocol, mirror.name, sizeof(d->protocol));
}

/* The frontend writes its line when it has made the ring. */
static int read_peer(struct link *l, struct ring_descriptor *peer)
{
    int error;

    while ((error = ring_descriptor_read(peer, place(l, 2))) == -EAGAIN) {
        error = link_wait(l, PATIENCE);
        if (error)
            break;
    }
    return error;
}

static int meet(struct link *l)
{
    struct ring_descriptor own, peer;
    const char *why;
    int error;

    describe(&own);
    ring_descriptor_write(place(l, 1), &own);
    link_bell(l);
    error = read_peer(l, &peer);
    if (error)
        return error;
    why = ring_descriptor_differs(&own, &peer);
    if (why)
        printf("the other side %s\n", why);
    return why ? -EPROTO : 0;
}

static int serve_ring(struct link *l, struct ring_back *ring,
                      struct belfry_ring *stats)
{
    int error = 0;

    while (!error) {
        answer_all(ring);
        if (ring_back_publish(ring))
            link_bell(l);
        ring_stats_back(stats, ring, 0);
        if (ring->fault)
            return -EPROTO;
        if (!ring_back_arm(ring))
            error = link_wait(l, LINK_FOREVER);
    }
    return error;
}

static int serve(struct link *l, const char *name)
{
    struct belfry_ring *stats;
    struct ring_back ring;
    int error = meet(l);

    if (!error)
        error = ring_back_attach(&ring, link_pages(l),
                                 link_bytes(l) - 2 * RING_DESCRIPTOR_SIZE,
                                 sizeof(struct message));
    if (error)
        return error;
    stats =
        ring_stats_add(&mirror, name, BELFRY_RING_BACK, link_xen_port(l), 0);
    error = serve_ring(l, &ring, stats);
    ring_stats_remove(stats);
    return error;
}

int guest_main(void)
{
    char name[48];
    struct link *l;
    int error;

    if (!cmdline_get("link", name, sizeof(name)))
        return 1;
    after = cmdline_number("after", 0);
    error = link_xen_open(name, 4096, PATIENCE, &l);
    if (error) {
        printf("no link %s: error %d\n", name, error);
        return 1;
    }
    printf("link %s: %zu bytes shared\n", name, link_bytes(l));
    error = serve(l, name);
    printf("link %s: %lu messages answered, then error %d\n", name, answered,
           error);
    link_close(l);
    return error == -EPIPE ? 0 : 1;
}
