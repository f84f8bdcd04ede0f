#include <belfry/descriptor.h>
#include <errno.h>
#include <stdio.h>

#define FLUSH 1u /* features of this protocol */
#define TRIM  2u

static char place[2][RING_DESCRIPTOR_SIZE]; /* in shared memory */

int main(void)
{
    const struct ring_descriptor own = {
        .protocol = "disk",
        .version = 2,
        .features = FLUSH | TRIM,
        .needs = FLUSH,
        .request_size = 32,
        .response_size = 16,
    };
    char line[RING_DESCRIPTOR_SIZE];
    struct ring_descriptor peer;
    const char *why;

    if (ring_descriptor_format(line, &own) != 0)
        return 1;
    puts(line); /* into the store, say */
    if (ring_descriptor_write(place[0], &own) != 0 ||
        ring_descriptor_read(&peer, place[1]) != -EAGAIN)
        return 1; /* the peer has not come yet */
    if (ring_descriptor_parse(&peer, "disk version=2 features=0x2 needs=0x0 "
                                     "request=32 response=16 slots=32") != 0)
        return 1;
    why = ring_descriptor_differs(&own, &peer);
    if (why)
        printf("no connection: the peer %s\n", why);
    return why == NULL;
}
