/*
 * Calls: a request and its answer over one shared page, with an ending that
 * says the truth.
 *
 * The caller writes a request, rings and sleeps; the server takes it, works,
 * answers and rings.  Notifications and shared pages are all there is below:
 * how a side rings and sleeps is its struct call_way, which on Belfry is one
 * hypercall that hands the CPU over (belfry_call) and on Xen a send and a poll.
 *
 * Every request bears a generation that is never used again on its page, and
 * an answer bears that of its request.  So an answer that comes too late is
 * known for what it is and dropped, and a server learns that nobody waits any
 * more for what it is about to say.
 *
 * How a call ends:
 *
 *   0            answered
 *   -EPIPE       the peer is dead or has left: struct call_ending says who, why
 *                and which generation, and whether it has been built anew
 *   -ETIMEDOUT   the deadline came; the ending says what the peer did meanwhile
 *   -ECANCELED   the server would not (call_refuse), and may have said why, or
 *                call_cancel
 *   -EDEADLK     the peer waits, perhaps through others, for this very caller
 *   -EPROTO      the peer wrote what no honest peer writes; this stays
 *   -ENOSPC      the answer is larger than the room for it; it is dropped
 *   -EINVAL      the request is larger than CALL_BYTES
 *
 * The peer is hostile: each word it writes is read once and checked, data is
 * copied once.
 *
 * Ordering (each release names the acquire it pairs with):
 *   R1 caller publishes asked       -> A1 server reads asked
 *   R2 server publishes answered    -> A2 caller reads answered
 *   R3 caller publishes withdrawn   -> A3 server reads withdrawn
 */
#ifndef RINGS_CALL_H
#define RINGS_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CALL_BYTES 1984u /* of a request, and of an answer */

/* The shared page.  [C] the caller writes, [S] the server writes. */
struct call_page {
    uint64_t asked;     /* [C] generation of the request that stands here */
    uint64_t withdrawn; /* [C] generation of the last that nobody waits for */
    uint64_t deadline; /* [C] of the request, 0: none; for the server to know */
    uint32_t size;     /* [C] of the request */
    uint8_t pad1[36];
    uint64_t taken;       /* [S] generation of the request taken last */
    uint64_t answered;    /* [S] generation of the answer that stands here */
    uint32_t answer_size; /* [S] */
    int32_t status;       /* [S] 0, or -ECANCELED */
    uint8_t pad2[40];
    uint8_t request[CALL_BYTES]; /* [C] */
    uint8_t answer[CALL_BYTES];  /* [S] */
};

/* How the peer is, as far as a side can find out (hv/abi/belfry.h, struct
 * belfry_port); all zero where nothing can be known, as on Xen. */
struct call_peer {
    uint32_t domain, state; /* BELFRY_PEER_* */
    uint64_t generation;
    uint32_t reason;    /* SHUTDOWN_* */
    uint32_t vector;    /* of a crash, 0xffffffff: none */
    uint64_t rip;       /* of a crash */
    uint32_t successor; /* the domain built anew since; generation 0: none */
    uint32_t vcpu_state;
    uint64_t successor_generation;
    uint64_t vcpu_since; /* time it came into that state */
    bool pending, masked, upcall_masked;
    uint32_t cpu_runs; /* the domain its CPU runs now, 0xffffffff: nobody */
};

/* What a time-out is laid to. */
enum call_evidence {
    CALL_UNKNOWN,    /* nothing could be found out */
    CALL_WORKING,    /* it has taken the request and not answered */
    CALL_NOT_TAKEN,  /* it has run since, and left the request where it is */
    CALL_NEVER_RAN,  /* it has slept all the time, though it was rung */
    CALL_MASKED,     /* the same, and it has masked the port */
    CALL_EVENTS_OFF, /* the same, and it has masked all upcalls */
    CALL_STARVED,    /* it would run, but its CPU runs somebody else */
    CALL_PAUSED,     /* it has been paused, or its vCPU is down */
};

struct call_ending {
    enum call_evidence evidence; /* of -ETIMEDOUT */
    uint32_t starved_by;         /* a domain's id; 0xffffffff: nobody's */
    struct call_peer peer;       /* of -ETIMEDOUT and -EPIPE */
};

/* What the evidence is called: "has not run since the request". */
const char *call_evidence_name(enum call_evidence evidence);

/* How a caller rings and sleeps; @bell is what was given to call_open. */
struct call_way {
    /* Ring the peer and sleep until it rings, or until @deadline (0: none), or
     * for no reason.  0; -EPIPE the peer is gone; -EDEADLK; others end the call
     * as they are. */
    int (*call)(void *bell, uint64_t deadline);
    void (*look)(void *bell, struct call_peer *peer);
    uint64_t (*now)(void); /* in nanoseconds, the clock of deadlines */
};

/* A caller's view.  Never in shared memory.  One call at a time. */
struct call_caller {
    struct call_page *page;
    const struct call_way *way;
    void *bell;
    uint64_t generation;
    bool faulty;          /* sticky */
    bool cancelled;       /* atomic */
    uint64_t calls;
};

/* @page is zeroed, or has been left by another caller: its generations go on
 * from there. */
void call_open(struct call_caller *c, struct call_page *page,
               const struct call_way *way, void *bell);

/*
 * One call.  *answer_size: IN room at @answer, OUT bytes there: of an answer, or
 * with -ECANCELED of the server's reason; else 0.  @deadline in
 * the way's time, 0: none.  @ending may be NULL.  Results: above.
 */
int call_make(struct call_caller *c, const void *request, size_t size,
              void *answer, size_t *answer_size, uint64_t deadline,
              struct call_ending *ending);

/* The call that is in progress, if any, ends with -ECANCELED when it wakes; by
 * an event handler or another vCPU, which then wakes it. */
void call_cancel(struct call_caller *c);

/* A server's view of one caller.  Never in shared memory. */
struct call_server {
    struct call_page *page;
    uint64_t taken;
    bool busy; /* with a request that has no answer yet */
    bool faulty;
};

void call_attach(struct call_server *s, struct call_page *page);
/* Take a request: *size IN room, OUT bytes.  0; -EAGAIN there is none; -ENOSPC
 * it is larger than the room (and stays busy: refuse it); -EPROTO. */
int call_take(struct call_server *s, void *request, size_t *size);
/* Does its caller still wait?  For work that takes long. */
bool call_is_wanted(const struct call_server *s);
/* Answer what was taken, or say that there will be no answer, and why: who has
 * died, for example, of whom the caller cannot know.  0, and the caller is to
 * be rung; -EINVAL no request is in work, or @size is above CALL_BYTES;
 * -ECANCELED the caller does not wait for it any more. */
int call_answer(struct call_server *s, const void *answer, size_t size);
int call_refuse(struct call_server *s, const void *why, size_t size);

#ifdef __cplusplus
}
#endif

#endif
