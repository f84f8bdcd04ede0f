/* Has the numbers below a million squared by another process. */
#include <belfry/link_process.h>
#include <belfry/reqrsp.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct link *l;
    struct ring_front ring;
    uint64_t asked = 0, got = 0, wrong = 0, square, count = 1000000;

    if (argc != 2 || link_process_connect(argv[1], 5000, &l) != 0 ||
        ring_front_create(&ring, link_pages(l), link_bytes(l), 8) != 0)
        return 1;
    do {
        while (asked < count && ring_front_put(&ring, &asked, 8) == 0)
            asked++;
        if (ring_front_publish(&ring))
            link_bell(l);
        for (; ring_front_take(&ring, &square, 8) == 0; got++)
            wrong += square != got * got;
    } while (got < asked ? ring_front_arm(&ring) || link_wait(l, 5000) == 0
                         : got < count);
    printf("ask: %d squares, %d of them wrong\n", (int)got, (int)wrong);
    return wrong != 0 || got != count;
}
