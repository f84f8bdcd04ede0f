/*
 * Another vCPU on this CPU: what the CPU holds of the one is saved, and what
 * it is to hold of the other loaded.
 *
 * Inline, for the two that do it: the scheduler's switch (cpu.c) and the
 * hand-off of a call.  Whatever few guests have is out of line (cpu.c), and
 * costs the others one look at arch_vcpu.rare.
 */
#ifndef X86_SWITCH_H
#define X86_SWITCH_H

#include "hv/x86/cpu.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/x86.h"

/* cpu.c */
void cpu_save_selectors(struct arch_vcpu *a);
void cpu_load_selectors(struct arch_vcpu *a);
void cpu_save_rare(struct vcpu *v);
void cpu_load_rare(struct vcpu *v);

static inline void load_cr3(struct cpu *c, uint64_t cr3)
{
    if (c->cr3 == cr3)
        return;
    c->cr3 = cr3;
    write_cr3(cr3);
}

static inline uint64_t vcpu_cr3(const struct vcpu *v)
{
    return (v->arch.kernel_mode ? v->arch.kernel_table : v->arch.user_table)
           << PAGE_SHIFT;
}

/*
 * Selectors and bases as they are now: the guest may have changed them
 * itself.  Until a vCPU's are loaded again the CPU's selectors are null, and
 * which GS base is the active one does not matter.
 */
static inline void save_bases(struct arch_vcpu *a)
{
    a->fs_base = read_fsbase();
    a->gs_base = read_gsbase();
    swapgs();
    a->gs_base_other = read_gsbase();
}

static inline void load_bases(const struct arch_vcpu *a)
{
    write_fsbase(a->fs_base);
    write_gsbase(a->gs_base_other);
    swapgs();
    write_gsbase(a->gs_base);
}

static inline void save_segments(struct arch_vcpu *a)
{
    save_bases(a);
    if (read_ds() | read_es() | read_fs() | read_gs())
        cpu_save_selectors(a);
}

static inline void load_segments(struct arch_vcpu *a)
{
    if (a->selectors)
        cpu_load_selectors(a);
    load_bases(a);
}

/* The tables of another domain.  A CPU counts among a domain's before its
 * tables are loaded, and until others are: a shootdown in between flushes
 * once too often, never too little. */
static inline void switch_domains(struct cpu *c, struct domain *prev,
                                  struct domain *next, uint64_t cr3)
{
    __atomic_fetch_xor(&next->cpu_mask, c->bit, __ATOMIC_SEQ_CST);
    c->cr3 = cr3;
    write_cr3(cr3);
    __atomic_fetch_xor(&prev->cpu_mask, c->bit, __ATOMIC_SEQ_CST);
    c->tables_of = next;
}

/* The same, from or to the hypervisor's own tables too (NULL). */
static inline void switch_tables(struct cpu *c, struct domain *next,
                                 uint64_t cr3)
{
    static struct domain nobody;
    struct domain *prev = c->tables_of;

    if (prev == next)
        load_cr3(c, cr3);
    else
        switch_domains(c, prev ? prev : &nobody, next ? next : &nobody, cr3);
    c->tables_of = next;
}

/* The table of a vCPU, in its domain's area, with its slot. */
static inline void load_vcpu_gdt(struct cpu *c, uint32_t vcpu)
{
    c->gdt = (struct descriptor_ptr){ 0xffff, vcpu_gdt_address(vcpu) };
    load_gdt(&c->gdt);
    c->gdt_vcpu = vcpu;
}

static inline void switch_from(struct vcpu *prev)
{
    if (prev->arch.rare)
        cpu_save_rare(prev);
    save_segments(&prev->arch);
    xsave(prev->arch.xsave);
}

/* Selectors last: they may be of the LDT. */
static inline void switch_to(struct cpu *c, struct vcpu *next)
{
    switch_tables(c, next->domain, vcpu_cr3(next));
    if (c->gdt_vcpu != next->id)
        load_vcpu_gdt(c, next->id);
    xrstor(next->arch.xsave); /* only we write the area */
    if (next->arch.rare)
        cpu_load_rare(next);
    load_segments(&next->arch);
}

#endif
