/*
 * The broker: one running QEMU, its console, and many clients.
 *
 * QEMU's second serial port serves one peer and hangs a second one, so the
 * broker is that peer and gives everyone else a socket.  A client's request
 * is a line of docs/protocol.md; the broker puts an id of its own in its
 * place, has one request under way at a time, and gives up on one after 10
 * seconds.  Neither a client that does not read nor a machine that does not
 * answer holds up anybody else.
 *
 * Requests to the broker itself: `broker.status`, `broker.stop`, and
 * `broker.raw HEX`, which sends these bytes as they are.
 */
#ifndef TOOLS_BROKER_H
#define TOOLS_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "tools/firstlines.h"

struct broker_setup {
    const char *name;  /* of the run */
    const char *image; /* for people */
    char **argv;       /* QEMU's */
    int com2, com2_of_qemu; /* the two ends of the second serial port */
    int listener;           /* where clients connect */
    int console;            /* QEMU's first serial port is written there */
    bool console_is_log;    /* a file that is kept from growing for ever */
    bool forward_input;     /* standard input is typed at the machine */
    int ready; /* told once the control domain answers, or -1 */
    double start_timeout;   /* for that answer */
    double timeout;         /* for all, 0: none */
};

/* What is written to `ready`: one byte, a status. */

struct broker_outcome {
    int wstatus;      /* QEMU's end */
    bool timed_out;
    bool user_quit;   /* Ctrl-A x, or belfry stop */
    int signal;       /* that ended us, 0: none */
    struct first_lines first_lines;
};

/* Start QEMU and serve until it has ended.  False, after a complaint: it
 * could not be started. */
bool broker_run(const struct broker_setup *setup,
                struct broker_outcome *outcome);

#endif
