/*
 * A calls B, and to answer B calls C: what the parent and the three of them
 * say to each other (tests/guest/meet.h).
 */
#ifndef CHAINS_H
#define CHAINS_H

#include "guests/lib/call.h"
#include "tests/guest/meet.h"

enum role { A, B, C, ROLES };

#define ROUNDS   3u
#define NO_POINT UINT64_MAX

/* A link's page and port. */
struct chain_link {
    uint64_t ref, port;
};

/* What a role is told, in meet.in. */
struct chain_orders {
    uint64_t caller, server; /* ids */
    struct chain_link up;    /* to its caller: who is called binds and maps */
    uint64_t stop_at;        /* sleep at this point of rings/call.c */
    uint64_t patience;       /* ns that a call may take, 0: any time */
    uint64_t refuses;        /* B would not answer when it has no answer of C */
};

/* How a peer was when a role looked. */
struct chain_sight {
    uint64_t state, generation; /* BELFRY_PEER_* */
};

/* What a role says, in meet.out. */
struct chain_report {
    uint64_t stage;         /* that it has come to */
    struct chain_link down; /* to its server */
    uint64_t bell;          /* A's: the parent rings it to begin */
    uint64_t answered;      /* calls, in full */
    uint64_t error;         /* of the call that had no answer; 0: none */
    uint64_t evidence;
    struct chain_sight server;       /* at that call, or at the end */
    struct chain_sight caller;       /* at the end */
    struct chain_sight told;         /* A: what B's answer says of C */
    uint64_t points;                 /* passed */
    uint64_t stopped;                /* it has slept at stop_at */
    uint64_t closed_up, closed_down; /* it has left the link, or is about to */
    uint64_t stuck;                  /* grants that could not be withdrawn */
    uint64_t done;                   /* it knows all that it can know */
};

enum { STAGE_OFFERED = 1, STAGE_BOUND, STAGE_READY };

_Static_assert(sizeof(struct chain_orders) <= MEET_WORDS * 8, "meet.in");
_Static_assert(sizeof(struct chain_report) <= MEET_WORDS * 8, "meet.out");

static inline volatile struct chain_orders *chain_orders(struct meet *m)
{
    return (volatile struct chain_orders *)m->in;
}

static inline volatile struct chain_report *chain_report(struct meet *m)
{
    return (volatile struct chain_report *)m->out;
}

/* A point of rings/call.c. */
void chain_point(const char *name);

/* One of the three; chain.c. */
_Noreturn void chain_main(enum role role);

#endif
