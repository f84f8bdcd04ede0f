/*
 * The page on which this domain shows its rings to the control tool
 * (struct belfry_rings).  Where there is no Belfry below, or no room on the
 * page, the functions do nothing: a ring works the same unseen.
 */
#ifndef DRIVERS_RING_STATS_H
#define DRIVERS_RING_STATS_H

#include <stdint.h>

#include "guests/drivers/protocol.h"
#include "hv/abi/belfry.h"
#include "rings/reqrsp.h"

/* A slot of the page for one ring, or NULL.  @frame: the ring's machine
 * frame, 0 on the side that does not own it. */
struct belfry_ring *ring_stats_add(const struct protocol *p, const char *name,
                                   uint32_t side, uint32_t port,
                                   uint64_t frame);
void ring_stats_remove(struct belfry_ring *stats);

/* Copy what the ring counts; once a batch is enough.  @oldest: when the
 * oldest request in flight was made, 0: none. */
void ring_stats_front(struct belfry_ring *stats, const struct ring_front *r,
                      uint64_t oldest);
void ring_stats_back(struct belfry_ring *stats, const struct ring_back *r,
                     uint64_t oldest);

#endif
