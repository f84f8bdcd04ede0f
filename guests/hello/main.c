/* The smallest guest: says who it is, and ends. */
#include "guests/lib/guest.h"

int guest_main(void)
{
    printf("hello from domain %u%s%s, %zu pages free\n", guest.domid,
           *guest.name ? " " : "", guest.name, pages_available());
    return 0;
}
