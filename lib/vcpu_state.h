/* What the states of a vCPU (BELFRY_VCPU_*) are called. */
#ifndef LIB_VCPU_STATE_H
#define LIB_VCPU_STATE_H

#include <stdint.h>

/* "running", "serving"; "unknown" for a number that is none. */
const char *vcpu_state_name(uint32_t state);

#endif
