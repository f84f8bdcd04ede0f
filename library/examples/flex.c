#include <belfry/flex.h>
#include <stdio.h>

/* What the frontend grants: a page of indices, and data pages. */
static _Alignas(4096) char page[4096], data[2 * 4096];

static int serve(void)
{
    struct flex back;
    char text[64];
    int n, order = flex_order(page); /* the peer's word: how much to map */

    if (order < 0 || (size_t)4096 << order > sizeof(data) ||
        flex_back_attach(&back, page, data, (unsigned int)order) != 0)
        return 1;
    n = stream_read(&back.from_peer, text, sizeof(text));
    if (n < 0)
        return 1; /* -EPROTO */
    return stream_write(&back.to_peer, text, (uint32_t)n) != n;
}

int main(void)
{
    struct flex front, again;
    char text[64];

    if (flex_front_create(&front, page, data, 1) != 0)
        return 1;
    stream_write(&front.to_peer, "an echo", 8);
    if (serve() != 0)
        return 1;
    /* Somebody else may go on in the frontend's place. */
    if (flex_front_attach(&again, page, data, 1) != 0 ||
        stream_read(&again.from_peer, text, sizeof(text)) != 8)
        return 1;
    return puts(text) < 0;
}
