/*
 * `why`: from what is known of a channel to a judgement in a sentence.
 * Pure: the caller gathers, this decides.
 *
 * The rows of the decision table, first match wins.  Rows that need more than
 * the hypervisor's own state (4, 10 to 14) and row 15 are not judged here.
 *
 *    1 PEER-DEAD       a domain at one end has ended
 *    2 HANDSHAKE       a port is unbound, or the devices are not connected
 *    5 MASKED          rung, and the port is masked
 *    6 SELECTOR-LOST   rung, and the selector bit was cleared without a scan
 *    7 EVENTS-OFF      rung, and the vCPU has upcalls masked
 *    8 STARVED         rung, and the vCPU waits for a processor
 *    9 HYPERVISOR-BUG  rung, and the vCPU sleeps all the same
 *   17 PING-PONG       both ring all the time, and the ring does not move
 *   16 THROTTLED       rung faster than the port's limit
 *    3 IDLE            nothing is rung, and nothing known to be in flight
 *      BUSY            anything else, or less than 100 ms of it
 *
 * 16 and 17 show between two looks only.
 */
#ifndef CONTROL_VERDICT_H
#define CONTROL_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/belfry.h"

enum finding {
    FINDING_BUSY = 0,
    FINDING_PEER_DEAD = 1,
    FINDING_HANDSHAKE = 2,
    FINDING_IDLE = 3,
    FINDING_MASKED = 5,
    FINDING_SELECTOR_LOST = 6,
    FINDING_EVENTS_OFF = 7,
    FINDING_STARVED = 8,
    FINDING_HYPERVISOR_BUG = 9,
    FINDING_THROTTLED = 16,
    FINDING_PING_PONG = 17,
};

#define FINDING_PATIENCE 100000000ull /* ns: less is "busy" */
#define FINDING_STORM    1000u        /* rings a second, each way */

/* One end of a channel. */
struct channel_end {
    char domain[BELFRY_NAME_SIZE];
    bool gone;     /* the domain has ended: */
    bool well;     /* as it should, by itself */
    char why[224]; /* "crashed: page fault at ..." */
    uint64_t ended;
    char last_line[200];
    bool absent; /* the domain was never made */
    bool paused; /* the domain is */
    bool moved;  /* it took bells or ring slots between two looks */
    uint64_t rung, throttled; /* so often, between two looks */
    bool has_port;            /* port is what the hypervisor says of it: */
    struct belfry_channel port;
};

struct channel_state {
    char name[72];
    uint64_t now;
    uint64_t apart; /* ns between two looks; 0: this is the first */
    struct channel_end end[2];
    /* What a handshake still waits for, "" when it is over. */
    char handshake[160];
    bool in_flight_known; /* a ring is registered */
    uint32_t in_flight;   /* requests without a response, as the ring says */
    bool ring_moved;      /* between two looks */
    bool ring_empty;      /* known to hold nothing, both ways */
    char starved_by[BELFRY_NAME_SIZE]; /* who has the processor, "" unknown */
};

struct judgement {
    enum finding finding;
    bool bad;   /* somebody should do something */
    bool again; /* a second look would say more */
    char sentence[480];
    char evidence[4][224];
    unsigned int nr_evidence;
    char next[80];
};

const char *finding_name(enum finding f);
void channel_judge(const struct channel_state *s, struct judgement *j);

#endif
