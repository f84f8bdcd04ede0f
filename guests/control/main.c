/*
 * The control domain: consoles, the store, devices, life and death of
 * domains, a shell on COM1 and a server on COM2.
 *
 * Single-threaded.  Event handlers only note that there is something to do;
 * the loop here does it, a bounded piece for each in turn, so that nobody
 * who rings without end can keep the others waiting.
 */
#include "guests/control/domains.h"
#include "guests/control/hv.h"
#include "guests/control/log.h"
#include "guests/control/server.h"
#include "guests/control/shell.h"
#include "guests/lib/guest.h"

/* Is that word among the run's options (mode=batch, mode=detached)? */
static bool run_has(const char *word)
{
    static struct belfry_machine machine;
    const char *p = machine.run_args;

    if (hv_machine(&machine))
        return false;
    while (*p) {
        size_t n = 0;

        while (p[n] && p[n] != ' ' && p[n] != ',')
            n++;
        if (n == strlen(word) && strncmp(p, word, n) == 0)
            return true;
        p += n + (p[n] != 0);
    }
    return false;
}

/* Sleep until there is something to do. */
static void wait(bool more)
{
    uint64_t deadline = domains_deadline();

    if (more)
        event_poll();
    else if (deadline)
        event_wait_until(deadline);
    else
        event_wait();
}

int guest_main(void)
{
    bool batch, more;

    if (!guest.on_belfry || !guest.initial) {
        printf("control: runs only as the initial domain, on Belfry\n");
        return 1;
    }
    batch = run_has("mode=batch");
    store_start();
    log_start();
    server_start();
    domains_start(batch);
    if (!batch && !run_has("mode=detached"))
        shell_start();
    for (;;) {
        more = log_work();
        more |= domains_work();
        more |= server_work();
        more |= shell_work();
        domains_check();
        wait(more);
    }
}
