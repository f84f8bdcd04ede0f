/*
 * A CPU: its stacks, its descriptor tables, and what it runs.
 *
 * struct cpu stands at the very top of the CPU's stack block (layout.h), so
 * that it is found from rsp.  GS is never the hypervisor's.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

#include "hv/domain.h"
#include "hv/x86/x86.h"

/* Selectors of the hypervisor's own GDT page (Xen's ABI fixes the FLAT_*
 * ones of guests: 0xe023, 0xe02b, 0xe033). */
#define HV_GDT_FIRST 0xe000
#define HV_CS        0xe008
#define HV_SS        0xe010
#define GUEST_CS32   0xe023
#define GUEST_SS     0xe02b
#define GUEST_CS     0xe033
#define HV_TSS       0xe040 /* 16 bytes a CPU */
#define HV_LDT       0xe300 /* 16 bytes a CPU */

/* entry_vector of registers saved by SYSCALL: may return by SYSRET. */
#define TRAP_SYSCALL 0x100

struct tss {
    uint32_t reserved0;
    uint64_t rsp0, rsp1, rsp2;
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));

/* Why a call is being refused (refused.c). */
struct reason {
    const struct vcpu *of; /* whose call, the how manieth of its own */
    uint64_t call;
    const char *text;
    uint64_t argument;
    bool has_argument;
};

struct cpu {
    struct vcpu *current; /* NULL while idle */
    uint32_t id, apic_id;
    uint64_t bit;              /* 1 << id */
    uint32_t need_resched;     /* look for another vCPU on the way out */
    uint64_t guest_rsp;        /* entry.asm's, for a few instructions */
    uint32_t raised;           /* virqs that the initial domain is to get */
    uint32_t steps;            /* hypercall_preempt_check()'s */
    uint32_t gdt_vcpu;         /* whose slot GDTR points at; ~0: the image's */
    struct descriptor_ptr gdt; /* what GDTR was loaded from */
    uint64_t cr3;
    struct domain *tables_of;          /* whose tables CR3 has; NULL: ours */
    uint64_t flush_wanted, flush_done; /* a bit an asking CPU (smp.c) */
    uint64_t parked_round;             /* at rest since this round (smp.c) */
    struct domain *dead_domains;       /* to be freed on the way out */
    struct sched_queue queue;
    struct timer_queue timers;
    struct tss tss __attribute__((aligned(16)));
    uint64_t interrupts;
    uint64_t hypercalls; /* of vCPUs that are no more */
    struct reason reason;
    bool restarted; /* the call in progress starts again: no result */
    uint32_t expected_vector, expected_error; /* the last fault fixed up */
} __attribute__((aligned(16)));

/* A constant block address from any of this CPU's stacks. */
static inline struct cpu *this_cpu(void)
{
    uint64_t sp;

    __asm__("mov $%c1, %0\n\tand %%rsp, %0"
            : "=r"(sp)
            : "i"(-(int64_t)STACK_BLOCK_SIZE));
    return (struct cpu *)(sp + STACK_BLOCK_SIZE - sizeof(struct cpu));
}

static inline struct vcpu *current_vcpu(void)
{
    return this_cpu()->current;
}

/* The registers of the guest that this CPU runs. */
static inline struct cpu_user_regs *current_regs(void)
{
    return &current_vcpu()->regs;
}

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

/* Bring up this CPU: tables, control registers, FPU, SYSCALL. */
void cpu_init(unsigned int id);
extern bool cpu_has_smap;

/* entry.asm: false if the selector cannot be loaded (null is, instead). */
bool load_selector_ds(uint16_t selector);
bool load_selector_es(uint16_t selector);
bool load_selector_fs(uint16_t selector);
bool load_selector_gs(uint16_t selector);

/* Leave boot for good: run guests.  entry.asm. */
_Noreturn void cpu_start_guests(void);

/* Save what this CPU holds of @prev; load what it is to hold of @next. */
void cpu_switch_from(struct vcpu *prev);
void cpu_switch_to(struct cpu *c, struct vcpu *next);
/* No guest's tables any more. */
void cpu_switch_to_nobody(struct cpu *c);
/* The current vCPU's tables or mode have changed: reload CR3. */
void vcpu_load_tables(struct vcpu *v);
/* Between the kernel's and the user's tables and GS. */
void vcpu_toggle_mode(struct vcpu *v);

/* Load the LDT of the vCPU, which is current. */
void cpu_load_ldt(struct vcpu *v);
/* Load its debug registers. */
void cpu_load_debug_registers(const struct vcpu *v);
/* FPU state as after FNINIT, in the vCPU's save area. */
void cpu_fpu_init_area(void *area);

#endif
