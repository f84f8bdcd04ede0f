#include <belfry/reqrsp.h>
#include <stdio.h>

int main(void)
{
    printf("a page has %u slots of 64 bytes\n", ring_slots(4096, 64));
    printf("a page has %u slots of 112 bytes\n", ring_slots(4096, 112));
    return ring_slots(100, 64) != 0; /* 36 bytes are too few for one */
}
