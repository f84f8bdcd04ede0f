/*
 * Hypercalls: one function a row, called with private copies of nothing but
 * registers.  Guest pointers are `void *` and go through guest_copy.h.
 *
 * A function returns what the guest gets in rax: 0 or more, or -Exxx.  To be
 * started again later it calls hypercall_restart() and returns its result.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define NR_HYPERCALLS 56 /* numbers from here on are -ENOSYS */

typedef long hypercall_fn(struct vcpu *v, uint64_t a1, uint64_t a2,
                          uint64_t a3, uint64_t a4, uint64_t a5);

/* A row a number. */
extern hypercall_fn *const hypercall_table[NR_HYPERCALLS];

long do_set_trap_table(struct vcpu *v, void *traps);
long do_mmu_update(struct vcpu *v, void *ureqs, uint32_t count, void *done,
                   uint32_t foreign);
long do_set_gdt(struct vcpu *v, void *frames, uint32_t entries);
long do_stack_switch(struct vcpu *v, uint64_t ss, uint64_t sp);
long do_set_callbacks(struct vcpu *v, uint64_t event, uint64_t failsafe,
                      uint64_t syscall);
long do_fpu_taskswitch(struct vcpu *v, int set);
long do_set_debugreg(struct vcpu *v, int reg, uint64_t value);
long do_get_debugreg(struct vcpu *v, int reg);
long do_update_descriptor(struct vcpu *v, uint64_t maddr, uint64_t desc);
long do_memory_op(struct vcpu *v, uint32_t cmd, void *arg);
long do_multicall(struct vcpu *v, void *calls, uint32_t count);
long do_update_va_mapping(struct vcpu *v, uint64_t va, uint64_t pte,
                          uint64_t flags);
long do_set_timer_op(struct vcpu *v, uint64_t timeout);
long do_xen_version(struct vcpu *v, uint32_t cmd, void *arg);
long do_console_io(struct vcpu *v, uint32_t cmd, uint32_t count, void *buf);
long do_grant_table_op(struct vcpu *v, uint32_t cmd, void *arg, uint32_t count);
long do_vm_assist(struct vcpu *v, uint32_t cmd, uint32_t type);
long do_update_va_mapping_otherdomain(struct vcpu *v, uint64_t va, uint64_t pte,
                                      uint64_t flags, uint16_t domid);
long do_iret(struct vcpu *v);
long do_vcpu_op(struct vcpu *v, uint32_t cmd, uint32_t vcpu, void *arg);
long do_set_segment_base(struct vcpu *v, uint32_t which, uint64_t base);
long do_mmuext_op(struct vcpu *v, void *ops, uint32_t count, void *done,
                  uint32_t foreign);
long do_sched_op(struct vcpu *v, uint32_t cmd, void *arg);
long do_callback_op(struct vcpu *v, uint32_t cmd, void *arg);
long do_event_channel_op(struct vcpu *v, uint32_t cmd, void *arg);
/* The same for every command but EVTCHNOP_send. */
long event_channel_op(struct vcpu *v, uint32_t cmd, void *arg);
long do_physdev_op(struct vcpu *v, uint32_t cmd, void *arg);
long do_belfry_op(struct vcpu *v, uint32_t cmd, void *arg);
/* If they cannot be handed over (hv/x86/handoff.c); hv/call.c. */
long do_belfry_call(struct vcpu *v, uint32_t port, uint64_t deadline);
long do_belfry_serve(struct vcpu *v, uint32_t port, uint64_t deadline);
/* "belfry_op/list"; NULL if there is no such command. */
const char *belfry_op_name(uint32_t cmd);

/* The current call is to be executed again when the vCPU next runs, with the
 * arguments now in its registers.  Returns the value to return. */
long hypercall_restart(struct vcpu *v);

/* Is there something more urgent than going on (interrupts, a higher
 * vCPU)?  Long operations ask every few steps; @steps: since they last did. */
bool hypercall_preempt_check(unsigned int steps);

#endif
