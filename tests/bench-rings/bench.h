/*
 * What a queue must be able to do to be measured.
 *
 * A line joins two sides, each a thread with a CPU of its own: the asker and
 * the server.  Messages are private arrays on both sides: a queue copies them
 * in and copies them out, whatever else it does.  All calls move as many
 * messages as they can, up to the number given, and say how many; on a line
 * that polls none of them blocks.
 *
 * A peer is one row of the tables.  Its calls are made once a batch, through
 * a pointer, which costs all peers the same; the size of a message is known
 * when compiling, as it is for whoever uses such a queue.
 */
#ifndef BENCH_RINGS_BENCH_H
#define BENCH_RINGS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/link.h"

#define SLOTS       256u /* of every ring */
#define BATCH_MAX   32u
#define MESSAGE_MAX 256u
#define LINE        128u /* two cache lines: processors fetch them in pairs */

enum { SIZE_16, SIZE_64, SIZE_256, NR_SIZES };

/* What a side does that has nothing to receive. */
enum waiting { POLL, SLEEP };

/*
 * A peer writes each call once, for any size, and has a function a size.
 * Callgrind counts what happens in functions whose name begins with batch_.
 */
#define ANY_SIZE static inline __attribute__((always_inline)) unsigned int
#define ONE_SIZE(peer, call, size)                                             \
    static unsigned int batch_##peer##_##call##_##size(                        \
        void *side, void *messages, unsigned int n)                            \
    {                                                                          \
        return peer##_##call(side, messages, n, size);                         \
    }
#define EACH_SIZE(peer, call)                                                  \
    ONE_SIZE(peer, call, 16)                                                   \
    ONE_SIZE(peer, call, 64)                                                   \
    ONE_SIZE(peer, call, 256)

/* The functions of a queue that goes one way; of one with four calls. */
#define CALLS_OF_TWO(peer)                                                     \
    {                                                                          \
        CALLS(peer, 16, give, receive, give, receive),                         \
            CALLS(peer, 64, give, receive, give, receive),                     \
            CALLS(peer, 256, give, receive, give, receive)                     \
    }
#define CALLS_OF_FOUR(peer)                                                    \
    {                                                                          \
        CALLS(peer, 16, ask, serve, answer, collect),                          \
            CALLS(peer, 64, ask, serve, answer, collect),                      \
            CALLS(peer, 256, ask, serve, answer, collect)                      \
    }
#define CALLS(peer, size, ask, serve, answer, collect)                         \
    {                                                                          \
        batch_##peer##_##ask##_##size, batch_##peer##_##serve##_##size,        \
            batch_##peer##_##answer##_##size,                                  \
            batch_##peer##_##collect##_##size                                  \
    }

typedef unsigned int batch_fn(void *side, void *messages, unsigned int n);

struct peer_calls {
    batch_fn *ask, *serve;      /* the asker's, the server's */
    batch_fn *answer, *collect; /* the server's, the asker's */
};

struct line {
    void *asker, *server;  /* private views, the peer's */
    uint8_t *pages[2];     /* shared, as the asker and the server see them */
    size_t bytes;          /* of them */
    struct link *links[2]; /* NULL unless the line sleeps on a link */
};

struct peer {
    const char *name;
    bool one_way; /* is measured as a queue that goes one way */
    bool polls_only;
    bool countable; /* works without the kernel: so are its instructions */
    /* One line a peer is open at a time. */
    void (*open)(struct line *line, size_t size, enum waiting waiting);
    void (*close)(struct line *line);
    /* Sleep until there may be something to receive.  NULL: a line that
     * sleeps does so in its calls. */
    void (*wait)(void *side);
    struct peer_calls calls[NR_SIZES];
};

extern const struct peer peer_spsc, peer_spsc_quiet, peer_reqrsp, peer_ring_h,
    peer_ck_ring, peer_rte_ring, peer_pipe, peer_socketpair;

/* Zeroed pages that two processes could share; with a link, whose two ends
 * map them, if its bells are wanted. */
void line_share(struct line *line, size_t bytes, bool with_link);
void line_unshare(struct line *line);

/* An eventfd, for queues that have no bell of their own. */
int bell_new(void);
void bell_ring(int fd);
void bell_wait(int fd);

/* The run is void: say why and end. */
_Noreturn void die(const char *what);

#endif
