/* Local APIC (xAPIC mode) and I/O APIC. */
#ifndef X86_APIC_H
#define X86_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define VECTOR_SERIAL   0x30 /* both UARTs */
#define VECTOR_TIMER    0xf0
#define VECTOR_KICK     0xf1 /* look at the run queue */
#define VECTOR_SERVE    0xf2 /* answer requests (smp.h) */
#define VECTOR_SPURIOUS 0xff

/* Map both, route the UARTs' interrupts to the boot CPU. */
void apic_init(void);
/* This CPU's local APIC. */
void apic_init_cpu(void);
void apic_eoi(void);
/* Does an interrupt wait for this CPU to take it? */
bool apic_interrupt_waits(void);
/* To another CPU: a vector, or one of the two steps of starting it, the second
 * with the number of a page below 1 MiB. */
#define APIC_INIT    0x4500u
#define APIC_STARTUP 0x4600u
void apic_send(uint32_t apic_id, uint32_t command);

/* One-shot timer: an interrupt after so many ticks (0: stop it). */
void apic_timer_set(uint32_t ticks);
uint32_t apic_timer_left(void);

#endif
