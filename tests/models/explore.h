/*
 * Exhaustive exploration of two threads that share a page.
 *
 * Each thread runs the shipping code of rings/, a call at a time.  A state is
 * what stands in memory, in the store buffers and in the threads' private
 * structures; inside a call it is how the call began and what its accesses
 * have returned so far, so that a call is taken up again by running it from
 * its beginning.  Every access is a point where the other thread, or a store
 * that waits in a buffer, may go first.
 *
 *   memory.c            the hooks, and the three memory models
 *   search.c            all states, depth first; the trace to a wrong one
 *   honest.c, hostile.c, vchan.c, spsc.c
 *                       what the threads do, and what must hold
 *   main.c              the list of what is explored
 */
#ifndef TESTS_MODELS_EXPLORE_H
#define TESTS_MODELS_EXPLORE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "rings/reqrsp.h"
#include "rings/spsc.h"
#include "rings/vchan.h"

#define HEADER     64u            /* a header as it is kept, with no gaps */
#define PAGE_BYTES (HEADER + 32u) /* of the shared page: and four slots */
#define MAX_LOG    16u /* accesses of one call; more is an endless loop */
#define MAX_STORES 8u  /* in a thread's store buffer; a full one waits */
#define NOBODY     2u

enum memory { MEMORY_SC, MEMORY_TSO, MEMORY_PSO };

enum status { RUNNING, DONE, REPORTED, DEAD };

struct waiting_store {
    uint32_t at, value;
    uint8_t size;
    bool fence; /* no store before it may follow it */
};

/* What a model's thread knows. */
struct client {
    union {
        struct ring_front front;
        struct ring_back back;
        struct vchan vchan;
        struct spsc_producer producer;
        struct spsc_consumer consumer;
    };
    uint32_t phase;
    uint32_t sent, received, published;
    bool peer_gone, idle, broken;
};

struct thread {
    uint8_t status, bell, nr_log, nr_stores;
    uint32_t log[MAX_LOG]; /* what the accesses of this call returned */
    struct waiting_store store[MAX_STORES];
    struct client client; /* as this call found it */
};

struct state {
    uint8_t mem[PAGE_BYTES];
    bool gone; /* one thread has died */
    struct thread thread[2];
};

struct model {
    const char *name;
    /* Make the clients on the page, before the exploration. */
    void (*start)(struct client client[2], uint8_t *page);
    /* At most one call into the library, then what comes next.  NULL: there
     * is no such thread. */
    void (*step[2])(struct client *c);
    /* Nobody can move: what is wrong about it, or NULL. */
    const char *(*stuck)(const struct state *s);
    /* A hostile peer: value number i of those it may have left at @at, and
     * how many there are.  NULL: memory holds what was stored. */
    uint32_t (*forge)(const struct client *c, uint32_t at, unsigned int i);
    unsigned int nr_forged;
    uint32_t unit; /* bytes that one access of a copy moves */
    /* Bytes before the slots, a multiple of HEADER: where it is more than
     * one, as many times further apart are its fields. */
    uint32_t header;
    const char *field[4]; /* its words' names, for the trace */
    /* Where the clients keep counts for people, which decide nothing: they
     * are no state.  0: nowhere. */
    size_t counts[2];
};

struct config {
    const struct model *model;
    enum memory memory;
    uint32_t slots, slot_size, messages;
    unsigned int dies; /* the thread that may die at any step, or NOBODY */
};

extern struct config config;
extern uint8_t *shared_page; /* only the hooks get at it */

/* ---- For the models, in a step. ---- */

/* A number below n: every one of them is tried.  Once a step, at its end. */
unsigned int choose(unsigned int n);
/* The exploration ends with the trace. */
_Noreturn void wrong(const char *why);
void ring_bell(void);
/* Sleep until the bell was rung; the bell also tells that the peer died. */
void wait_bell(bool *peer_gone);
void end(enum status how);

/* What the hooks saw of the present call. */
struct call {
    uint32_t index;      /* the last index it read */
    unsigned int reads;  /* of indices */
    unsigned int writes; /* of anything */
    uint32_t slot_bytes; /* bytes of slots that it read, a bit each */
};
extern struct call call;

/* ---- Between memory.c and search.c. ---- */

/* What one thread does next. */
struct turn {
    struct state *s;
    struct client *client; /* a copy, kept if the call ends in this turn */
    unsigned int who, replayed, choice, nr_choices;
    bool acted;   /* it has made its one access */
    bool visible; /* it did something else that the other can see */
    const char *what, *wrong;
    uint32_t at, value; /* for the trace */
    jmp_buf leave;
};
extern struct turn turn;

enum left { LEFT_PAUSED = 1, LEFT_BLOCKED, LEFT_WRONG };

bool can_drain(const struct thread *t, unsigned int i);
void drain(struct thread *t, unsigned int i, uint8_t *mem);
/* What the model's start has left in the page. */
void copy_page(uint8_t *mem);

/* All states from the model's start.  True: every property held.  Prints a
 * line, or the trace to what is wrong. */
bool explore(const char *label);

#endif
