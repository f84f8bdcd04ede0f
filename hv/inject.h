/*
 * The injector: ends a domain at an exact step of its life (BELFRYOP_inject in
 * hv/abi/belfry.h says what a step is).
 *
 * It replaces the table of hypercalls of a domain's vCPUs by one whose rows
 * count; so all other domains pay nothing.
 */
#ifndef HV_INJECT_H
#define HV_INJECT_H

#include <stdint.h>

struct domain;

/* What it keeps of a domain.  Both atomic. */
struct inject {
    uint64_t steps, kill_at;
};

/* Count anew, and end the domain before step @kill_at.  Returns the steps
 * counted so far. */
uint64_t inject_arm(struct domain *d, uint64_t kill_at);

#endif
