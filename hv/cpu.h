/* What common code needs of the CPU it runs on; hv/x86/cpu.h has the rest. */
#ifndef HV_CPU_H
#define HV_CPU_H

#include <stdint.h>

struct cpu;
struct vcpu;

#include "hv/x86/layout.h"

extern unsigned int nr_cpus;
extern struct cpu *cpus[MAX_CPUS];

/* A bit a CPU that runs. */
static inline uint64_t cpus_mask(void)
{
    return ~0ULL >> (64 - nr_cpus);
}

/* Another CPU has something to look at (a kick for its run queue). */
void arch_cpu_kick(unsigned int cpu);
/* Wait for an interrupt with interrupts on; off again on return. */
void arch_idle(void);

#endif
