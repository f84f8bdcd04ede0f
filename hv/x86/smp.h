/*
 * Several CPUs: starting them, and asking them to do something now.
 *
 * Requests reach a CPU by an IPI when it runs a guest or idles; when it is in
 * the hypervisor, with interrupts off, it answers from whatever loop it spins
 * in (spin_relax), so two CPUs that wait for each other both go on.
 */
#ifndef X86_SMP_H
#define X86_SMP_H

#include "lib/atomic.h"

/* Start all other CPUs that ACPI names; returns when they run. */
void smp_start(void);
/* Main program of a CPU that has just been started, on its own stack. */
void smp_cpu_main(void);

/* Answer requests of other CPUs, if there are any. */
void smp_serve(void);

/* Keep all other CPUs out of the hypervisor and out of guests, from park to
 * release.  The caller holds no lock. */
void smp_park_others(void);
void smp_release_others(void);
/* On the way out to a guest: wait here while somebody has parked us. */
extern uint32_t smp_parker; /* 1 + who has parked the others; 0: nobody */
void smp_park(void);
static inline void smp_park_here(void)
{
    if (read_once(&smp_parker))
        smp_park();
}

#endif
