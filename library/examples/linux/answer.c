/* Serves a link and answers each number with its square, till the end. */
#include <belfry/link_process.h>
#include <belfry/reqrsp.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct link *l;
    struct ring_back ring;
    uint64_t n, answered = 0;

    if (argc != 2 || link_process_serve(argv[1], 4096, 5000, &l) != 0 ||
        ring_back_attach(&ring, link_pages(l), link_bytes(l), sizeof(n)) != 0)
        return 1;
    do {
        for (; ring_back_take(&ring, &n, sizeof(n)) == 0; answered++) {
            n *= n;
            ring_back_put(&ring, &n, sizeof(n));
        }
        if (ring_back_publish(&ring))
            link_bell(l);
    } while (ring_back_arm(&ring) || link_wait(l, LINK_FOREVER) == 0);
    printf("answer: %d numbers squared, the peer has gone\n", (int)answered);
    return ring.fault != 0;
}
