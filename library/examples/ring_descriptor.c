#include <belfry/descriptor.h>
#include <stdio.h>

#define FLUSH 1u /* features of this protocol */
#define TRIM  2u

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
    char line[RING_DESCRIPTOR_SIZE]; /* for the peer to read */
    struct ring_descriptor peer;
    const char *why;

    if (ring_descriptor_format(line, &own) != 0)
        return 1;
    puts(line);
    if (ring_descriptor_parse(&peer, "disk version=2 features=0x2 needs=0x0 "
                                     "request=32 response=16 slots=32") != 0)
        return 1;
    why = ring_descriptor_differs(&own, &peer);
    if (why)
        printf("no connection: the peer %s\n", why);
    return why == NULL;
}
