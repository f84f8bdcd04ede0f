/* The machine as a whole: start, stop, totals. */
#ifndef HV_MACHINE_H
#define HV_MACHINE_H

#include <stdbool.h>

#include "hv/abi/belfry.h"

/* What QEMU's debug exit is told: the status becomes 2v + 1. */
#define VERDICT_CODE_PASS  0x10
#define VERDICT_CODE_FAIL  0x11
#define VERDICT_CODE_PANIC 0x12

/* BELFRYOP_machine: fill in the OUT fields. */
void machine_totals(struct belfry_machine *m);

/* TSC when the first line of C ran. */
extern uint64_t boot_tsc;
/* Text of -fw_cfg opt/belfry/args: options of this run, "" if none. */
extern char run_args[256];

/* The initial domain is to get this global virq.  Raised on the way out or
 * from idle, never from the middle of an operation that may hold locks. */
void machine_tell(uint32_t virq);
/* Raise what has been noted.  By the scheduler, with no lock. */
void machine_tell_initial_domain(void);

/* Main program of CPU 0, on its own stack. */
void hv_main(void);

/* Stop with a verdict (VERDICT_CODE_*); never returns.  @reboot: reset
 * instead, where there is no debug exit. */
_Noreturn void machine_stop(int code, bool reboot);

/* The end of a panic: print the calls that led to @rip with the stack at @rsp,
 * and stop with a failing status. */
_Noreturn void machine_panic(uint64_t rip, uint64_t rsp);

#endif
