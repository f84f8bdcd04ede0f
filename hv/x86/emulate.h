/*
 * Instructions that a guest's kernel executes as if it had ring 0.
 *
 * Each returns true if the instruction was carried out, and rip is behind
 * it; false leaves everything as it was, and the guest gets its exception.
 */
#ifndef X86_EMULATE_H
#define X86_EMULATE_H

#include "hv/domain.h"

/* On #GP with error code 0: control and debug registers, MSRs, CLTS, WBINVD,
 * XSETBV, CLI and STI, IN and OUT, by Xen's rules. */
bool emulate_privileged(struct vcpu *v, struct cpu_user_regs *r);
/* On #UD: UD2A, "xen", CPUID. */
bool emulate_forced_cpuid(struct vcpu *v, struct cpu_user_regs *r);
/* On #PF: the kernel writes to one of its own L1 tables, which it maps
 * read-only.  As on Xen, VMASST_TYPE_writable_pagetables need not be on. */
bool emulate_table_write(struct vcpu *v, struct cpu_user_regs *r,
                         uint64_t address);

/* What the guest's kernel sees of CPUID (cpuid.c). */
struct cpuid guest_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t sub);

/* Go on behind the instruction; a single step ends with it. */
void emulate_done(struct vcpu *v, struct cpu_user_regs *r, unsigned int length);

#endif
