/*
 * Measures the round trip of an event: rings pong and waits for the answer.
 *
 * rounds=N on the command line; chan=bell:pong on its line of grub.cfg.  The
 * shared page holds one word, which tells pong that it is over.
 */
#include "guests/lib/guest.h"

int guest_main(void)
{
    uint64_t rounds = cmdline_number("rounds", 10000), ns, ticks;
    struct channel bell;

    if (channel_open("bell", &bell))
        return 1;
    channel_wait(&bell);
    printf("domain %u is there, ringing %lu times\n", bell.peer, rounds);
    ns = clock_now();
    ticks = rdtsc();
    for (uint64_t i = 0; i < rounds; i++) {
        channel_send(&bell);
        channel_wait(&bell);
    }
    ticks = rdtsc() - ticks;
    ns = clock_now() - ns;
    write_once((uint32_t *)bell.page, 1);
    channel_send(&bell);
    channel_wait(&bell);
    printf("%lu rounds, %lu ns and %lu TSC ticks a round trip\n", rounds,
           ns / rounds, ticks / rounds);
    return 0;
}
