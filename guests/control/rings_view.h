/*
 * What domains tell of their rings: the statistics pages that they have
 * registered, read without trusting a byte of them.
 */
#ifndef CONTROL_RINGS_VIEW_H
#define CONTROL_RINGS_VIEW_H

#include "guests/control/channels.h"

/* Read all pages again. */
void rings_gather(void);
/* What the domain says of the ring at its port, or NULL; texts are
 * terminated. */
const struct belfry_ring *ring_at(uint32_t id, uint32_t port);
/* What both ends of a channel say: side 0 the frontend, 1 the backend; id
 * says whose each is.  False: neither has registered one. */
bool rings_of(const struct channel_info *c, const struct belfry_ring *side[2],
              uint32_t id[2]);

#endif
