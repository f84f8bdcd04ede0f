/*
 * Answers every message of a link with the same message, until the other side
 * ends the link.  link=NAME on the command line; the channel of that name in
 * grub.cfg says whose link it is.  The other side may be a guest or a program
 * in a Linux domain.
 *
 * after=N ends the domain after N messages, in the middle of things.
 */
#include "guests/lib/guest.h"

#include "links/link_xen.h"
#include "rings/reqrsp.h"

#define PATIENCE 300000 /* ms */

struct message {
    uint64_t words[8];
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

static int serve(struct link *l)
{
    struct ring_back ring;
    int error = ring_back_attach(&ring, link_pages(l), link_bytes(l),
                                 sizeof(struct message));

    while (!error) {
        answer_all(&ring);
        if (ring_back_publish(&ring))
            link_bell(l);
        if (ring.fault)
            return ring.fault;
        if (!ring_back_arm(&ring))
            error = link_wait(l, LINK_FOREVER);
    }
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
    error = serve(l);
    printf("link %s: %lu messages answered, then error %d\n", name, answered,
           error);
    link_close(l);
    return error == -EPIPE ? 0 : 1;
}
