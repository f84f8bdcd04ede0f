/*
 * A Linux program that holds one end of a link whose other end is a guest:
 *
 *     link NAME COUNT [die|last]
 *
 * Sends COUNT messages to the guest `mirror` over the channel NAME of
 * grub.cfg and checks what comes back; before that, each side checks what the
 * other says of the ring, in the last places of the pages.  With `die` it then
 * kills itself, with `last` it goes on until the guest has gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "links/link_xen.h"
#include "rings/descriptor.h"
#include "rings/reqrsp.h"

#define PATIENCE 60000 /* ms */
#define BYTES    4032u /* with the link's own, one page */

struct message {
    uint64_t words[8];
};

static void fill(struct message *m, uint64_t id)
{
    for (uint64_t i = 0; i < 8; i++)
        m->words[i] = id * (2 * i + 1);
}

static void put_all(struct ring_front *ring, uint64_t *sent, uint64_t count)
{
    struct message m;

    for (; *sent < count; ++*sent) {
        fill(&m, *sent);
        if (ring_front_put(ring, &m, sizeof(m)))
            return;
    }
}

/* False when one is not as it was sent. */
static bool take_all(struct ring_front *ring, uint64_t *received)
{
    struct message m, wanted;

    for (; ring_front_take(ring, &m, sizeof(m)) == 0; ++*received) {
        fill(&wanted, *received);
        if (memcmp(&m, &wanted, sizeof(m)) != 0)
            return false;
    }
    return ring->fault == 0;
}

/* 0 when all came back; else what link_wait said, or -EBADMSG. */
static int exchange(struct link *l, struct ring_front *ring, uint64_t count)
{
    uint64_t sent = 0, received = 0;
    int error = 0;

    while (!error) {
        put_all(ring, &sent, count);
        if (ring_front_publish(ring))
            link_bell(l);
        if (!take_all(ring, &received))
            return -EBADMSG;
        if (received == count)
            return 0;
        if (sent > received && !ring_front_arm(ring))
            error = link_wait(l, PATIENCE);
    }
    return error;
}

/* As guests/mirror has it. */
static const struct ring_descriptor own = {
    .protocol = "mirror",
    .version = 1,
    .request_size = sizeof(struct message),
    .response_size = sizeof(struct message),
};

static char *place(const struct link *l, unsigned int from_end)
{
    return (char *)link_pages(l) + link_bytes(l) -
           from_end * RING_DESCRIPTOR_SIZE;
}

/* Make the ring, and agree with the other side on it. */
static int meet(struct link *l, struct ring_front *ring)
{
    struct ring_descriptor peer;
    const char *why;
    int error = ring_front_create(ring, link_pages(l),
                                  link_bytes(l) - 2 * RING_DESCRIPTOR_SIZE,
                                  sizeof(struct message));

    if (error)
        return error;
    ring_descriptor_write(place(l, 2), &own);
    link_bell(l);
    while ((error = ring_descriptor_read(&peer, place(l, 1))) == -EAGAIN) {
        error = link_wait(l, PATIENCE);
        if (error)
            return error;
    }
    why = error ? NULL : ring_descriptor_differs(&own, &peer);
    if (why)
        printf("the other side %s\n", why);
    return why ? -EPROTO : error;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *name, const char *what, int error)
{
    printf("link %s: %s: %s\n", name, what, strerror(-error));
    return 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 2 ? argv[1] : "", *end = argc > 3 ? argv[3] : "";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    struct ring_front ring;
    struct link *l;
    double since;
    int error = link_xen_open(name, BYTES, PATIENCE, &l);

    if (error)
        return fail(name, "cannot be opened", error);
    error = meet(l, &ring);
    if (error)
        return fail(name, "has no ring", error);
    since = now();
    if (strcmp(end, "last") == 0)
        return fail(name, "the guest ended", exchange(l, &ring, UINT64_MAX)) !=
               1;
    error = exchange(l, &ring, count);
    if (error)
        return fail(name, "the exchange ended", error);
    printf("link %s: %llu messages of %zu bytes there and back, each right, "
           "%.1f s\n",
           name, (unsigned long long)count, sizeof(struct message),
           now() - since);
    fflush(stdout);
    if (strcmp(end, "die") == 0)
        raise(SIGKILL);
    link_close(l);
    return 0;
}
