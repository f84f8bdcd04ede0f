/*
 * A guest's descriptor tables, and the per-domain area that shows them to
 * the CPU: L4 slot 260 holds for each vCPU 16 pages of GDT (14 of the
 * guest's, then the hypervisor's own from selector 0xe000 on) and 16 of LDT.
 *
 * GDT frames are mapped when the guest sets them.  LDT pages are mapped when
 * the CPU first faults on one, as the guest may not have mapped its own side
 * yet when it names the table.
 */
#ifndef X86_DESCRIPTOR_H
#define X86_DESCRIPTOR_H

#include "hv/x86/page.h"

struct vcpu;

#define VCPU_PAGES  32u /* of the per-domain area: GDT, then LDT */
#define HV_GDT_PAGE 14u /* the hypervisor's among them */

static inline uint64_t vcpu_gdt_address(unsigned int vcpu)
{
    return PERDOMAIN_BASE + ((uint64_t)vcpu << PERDOMAIN_VCPU_SHIFT);
}

static inline uint64_t vcpu_ldt_address(unsigned int vcpu)
{
    return vcpu_gdt_address(vcpu) + 16 * PAGE_SIZE;
}

/* arch_vcpu_init()'s part: make the vCPU's entries in the per-domain area,
 * with an empty GDT: 0 or -ENOMEM. */
int descriptor_vcpu_init(struct vcpu *v);

/* The CPU faulted at @address.  If it is in the LDT of @v, and the guest maps
 * that page of its LDT with valid descriptors, map it: true, try again. */
bool descriptor_map_ldt(struct vcpu *v, uint64_t address);
/* If @address is in the LDT of @v as the CPU sees it: the guest's address of
 * the same byte, for the fault that it gets; else @address. */
uint64_t descriptor_guest_address(const struct vcpu *v, uint64_t address);
/* Forget the LDT pages mapped so far, and flush.  pt_lock held. */
void descriptor_unmap_ldt(struct vcpu *v);
/* MMUEXT_SET_LDT, for the current vCPU: 0 or -EINVAL.  Takes pt_lock. */
int descriptor_set_ldt(struct vcpu *v, uint64_t base, uint32_t entries);
/* Replace the GDT by these frames: 0 or -EINVAL.  Takes pt_lock. */
int descriptor_set_gdt(struct vcpu *v, const mfn_t *frames, uint32_t entries);

/* May this descriptor stand in a guest's table?  Privilege levels are
 * adjusted as Xen does. */
bool descriptor_adjust(uint64_t *descriptor);

#endif
