/*
 * A Linux program that holds one end of a link whose other end is a guest:
 *
 *     link NAME COUNT [die|last]
 *
 * Sends COUNT messages to the guest `mirror` over the channel NAME of
 * grub.cfg and checks what comes back.  With `die` it then kills itself, with
 * `last` it goes on until the guest has gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "links/link_xen.h"
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
    error = ring_front_create(&ring, link_pages(l), link_bytes(l),
                              sizeof(struct message));
    if (error)
        return fail(name, "holds no ring", error);
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
