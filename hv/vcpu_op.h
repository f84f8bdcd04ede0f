/* A vCPU's timers and the calls that set them (vcpu_op.c). */
#ifndef HV_VCPU_OP_H
#define HV_VCPU_OP_H

#include <stdint.h>

struct vcpu;

void vcpu_timers_init(struct vcpu *v);
void vcpu_timers_stop(struct vcpu *v);
/* It is initialised: it has the time and may run.  Xen starts each vCPU with
 * a periodic timer of 10 ms. */
void vcpu_start(struct vcpu *v);
/* The vCPU's runstate to where the guest wants it; its tables are loaded. */
void vcpu_runstate_write(struct vcpu *v);
/* Nanoseconds that it has run, up to now. */
uint64_t vcpu_cpu_time(const struct vcpu *v);

#endif
