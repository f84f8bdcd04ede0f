/*
 * The switchboard: many clients, one serial line to the control domain.
 *
 * One request is under way at a time.  It goes out with an id of ours and
 * its reply comes back with the client's.  What comes from the machine is
 * untrusted: a reply is parsed before it is passed on, and what is no JSON
 * becomes an error document.
 */
#ifndef TOOLS_SWITCHBOARD_H
#define TOOLS_SWITCHBOARD_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/broker.h"
#include "tools/buffer.h"

#define MAX_CLIENTS 64

struct client_line {
    int fd; /* -1: free */
    struct buffer in, out;
    bool finished; /* it sends no more */
};

/* The request under way. */
struct exchange {
    bool active;
    bool raw;        /* the next line is the reply, whatever it is */
    int client;      /* -1: the broker's own, or the client has left */
    char id[24];     /* the client's */
    char own_id[24]; /* ours */
    int64_t deadline;
};

struct switchboard {
    const struct broker_setup *setup;
    pid_t qemu;
    int64_t started;
    int com2;  /* -1: closed */
    int ready; /* who waits for the first answer, or -1 */
    int64_t start_timeout_at, next_hello;
    bool stop_asked;   /* a client wants the machine to end */
    bool start_failed; /* the first answer did not come in time */
    struct buffer to_com2, from_com2;
    struct exchange exchange;
    unsigned int counter, turn;
    struct client_line clients[MAX_CLIENTS];
};

/* Its entries of the poll set. */
enum { SWITCHBOARD_COM2, SWITCHBOARD_LISTENER, SWITCHBOARD_CLIENTS };
#define SWITCHBOARD_SLOTS (SWITCHBOARD_CLIENTS + MAX_CLIENTS)

void switchboard_open(struct switchboard *s, const struct broker_setup *setup,
                      pid_t qemu, int64_t started);
void switchboard_fill(const struct switchboard *s, struct pollfd *set);
void switchboard_serve(struct switchboard *s, const struct pollfd *set);
/* Do what is due; then when something will be. */
void switchboard_check_times(struct switchboard *s, int64_t t);
int64_t switchboard_next_time(const struct switchboard *s);
/* The machine is gone: whoever waits is told, as far as they listen. */
void switchboard_close(struct switchboard *s);

#endif
