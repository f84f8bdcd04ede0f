#include <belfry/stream.h>
#include <stdio.h>

static struct {
    uint32_t prod, cons;
    uint8_t data[16];
} shared;

int main(void)
{
    struct stream out, in;
    char text[16];
    int n;

    if (stream_attach_producer(&out, shared.data, 16, &shared.prod,
                               &shared.cons) != 0 ||
        stream_attach_consumer(&in, shared.data, 16, &shared.prod,
                               &shared.cons) != 0)
        return 1;
    n = stream_write(&out, "more than there is room for", 27);
    printf("%d bytes written, room for %d\n", n, stream_writable(&out));
    printf("%d bytes to read\n", stream_readable(&in));
    n = stream_read(&in, text, sizeof(text));
    if (n < 0)
        return 1; /* -EPROTO: do not believe the peer again */
    printf("'%.*s'\n", n, text);
    return n != 16;
}
