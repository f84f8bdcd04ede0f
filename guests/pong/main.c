/* Answers every ring of ping, until the word in the shared page is set. */
#include "guests/lib/guest.h"

int guest_main(void)
{
    struct channel bell;

    if (channel_open("bell", &bell))
        return 1;
    printf("answering domain %u\n", bell.peer);
    channel_send(&bell); /* we are there */
    while (channel_wait(&bell), !read_once((uint32_t *)bell.page))
        channel_send(&bell);
    printf("domain %u has had enough\n", bell.peer);
    channel_send(&bell);
    return 0;
}
