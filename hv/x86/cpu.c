/*
 * A CPU: bring-up, and what changes when another vCPU is put on it.
 */
#include "hv/x86/cpu.h"

#include "hv/console.h"
#include "hv/vcpu_op.h"
#include "hv/x86/apic.h"
#include "hv/x86/boot.h"
#include "hv/x86/switch.h"
#include "lib/string.h"

#define TRAP_STUB_SIZE 16
#define GATE_PRESENT   0x8e /* interrupt gate, DPL 0 */
#define GATE_GUEST     0xee /* the guest may INT: #BP and #OF */
#define STUB_SIZE      32

struct gate {
    uint16_t low, selector;
    uint8_t ist, type;
    uint16_t middle;
    uint32_t high, reserved;
};

extern char trap_stubs[], syscall_stubs[];

bool cpu_has_smap;
unsigned int nr_cpus;
struct cpu *cpus[MAX_CPUS];
#define GDT_SLOT(selector) (((selector)-HV_GDT_FIRST) / 8)
uint64_t hv_gdt[512] __attribute__((aligned(PAGE_SIZE))) = {
    [GDT_SLOT(HV_CS)] = 0x00af9b000000ffff,
    [GDT_SLOT(HV_SS)] = 0x00cf93000000ffff,
    [GDT_SLOT(GUEST_CS32)] = 0x00cffb000000ffff,
    [GDT_SLOT(GUEST_SS)] = 0x00cff3000000ffff,
    [GDT_SLOT(GUEST_CS)] = 0x00affb000000ffff,
};
static struct gate idt[256] __attribute__((aligned(16)));

void load_hv_selectors(void);

/* A 16-byte system descriptor (TSS or LDT). */
static void set_system(uint16_t selector, uint64_t base, uint32_t limit,
                       uint64_t type)
{
    uint64_t *d = &hv_gdt[GDT_SLOT(selector)];

    d[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 |
           (uint64_t)(limit & 0xf0000) << 32 | (base >> 24 & 0xff) << 56;
    d[1] = base >> 32;
}

/* What may come at any instruction (rows X5 and X6) comes on a stack of its
 * own, with a guard below it: these vectors, in the order of layout.h. */
static const uint8_t own_stack[] = { 8, 18, 2, 1 };

static void init_idt(void)
{
    for (unsigned int v = 0; v < 256; v++) {
        uint64_t stub = (uint64_t)trap_stubs + v * TRAP_STUB_SIZE;

        idt[v].low = (uint16_t)stub;
        idt[v].middle = (uint16_t)(stub >> 16);
        idt[v].high = (uint32_t)(stub >> 32);
        idt[v].selector = HV_CS;
        idt[v].type = v == 3 || v == 4 ? GATE_GUEST : GATE_PRESENT;
    }
    for (uint8_t i = 0; i < sizeof(own_stack); i++)
        idt[own_stack[i]].ist = i + 1;
}

/* Stacks grow down from the end of their page (layout.h). */
static void init_tss(struct cpu *c, uint64_t block)
{
    c->tss.rsp0 = (uint64_t)c;
    for (unsigned int i = 0; i < sizeof(own_stack); i++)
        c->tss.ist[i] = block + 2 * (i + 1) * PAGE_SIZE;
    c->tss.io_map = sizeof(struct tss);
    set_system((uint16_t)(HV_TSS + 16 * c->id), (uint64_t)&c->tss,
               sizeof(struct tss) - 1, 0x89);
}

/* The table at our own alias, where no domain's area is mapped. */
static void load_image_gdt(struct cpu *c)
{
    c->gdt = (struct descriptor_ptr){ 0xffff, (uint64_t)hv_gdt - HV_GDT_FIRST };
    load_gdt(&c->gdt);
    c->gdt_vcpu = ~0u;
}

static void init_control_registers(void)
{
    struct cpuid leaf1 = cpuid(1, 0), leaf7 = cpuid(7, 0);
    uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE | CR4_MCE |
                   CR4_OSXSAVE | CR4_FSGSBASE;

    if (!(leaf1.c & 1u << 26) || !(leaf7.b & 1u << 0))
        panic("this processor lacks XSAVE or FSGSBASE (it is older than 2012)");
    cpu_has_smap = leaf7.b & 1u << 20;
    if (leaf7.b & 1u << 7)
        cr4 |= CR4_SMEP;
    if (cpu_has_smap)
        cr4 |= CR4_SMAP;
    write_cr4(cr4);
    write_cr0((read_cr0() | CR0_WP | CR0_MP | CR0_NE) & ~CR0_TS);
    write_msr(MSR_PAT, PAT_XEN);
}

/* x87, SSE and AVX: what a guest of this ABI can expect everywhere. */
static void init_fpu(void)
{
    xsetbv(cpuid(13, 0).a & 7);
    if (cpuid(13, 0).b > PAGE_SIZE)
        panic("FPU state of %u bytes does not fit in a page", cpuid(13, 0).b);
}

static void init_syscall(unsigned int id)
{
    uint64_t stub = (uint64_t)syscall_stubs + id * STUB_SIZE;

    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
    write_msr(MSR_STAR, (uint64_t)GUEST_CS32 << 48 | (uint64_t)HV_CS << 32);
    write_msr(MSR_LSTAR, stub);
    /* 32-bit code comes in by the same stub, and goes on as 64-bit code. */
    write_msr(MSR_CSTAR, stub);
    write_msr(MSR_SYSCALL_MASK, EFLAGS_TF | EFLAGS_IF | EFLAGS_DF |
                                    EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF |
                                    EFLAGS_AC);
    write_msr(MSR_SYSENTER_CS, 0);
}

void cpu_init(unsigned int id)
{
    uint64_t block = STACKS_BASE + (uint64_t)id * STACK_BLOCK_SIZE;
    struct cpu *c = (struct cpu *)(block + STACK_BLOCK_SIZE) - 1;
    struct descriptor_ptr p = { sizeof(idt) - 1, (uint64_t)idt };

    memset(c, 0, sizeof(*c));
    c->id = id;
    c->bit = 1ull << id;
    c->apic_id = acpi.apic_id[id];
    c->cr3 = read_cr3();
    cpus[id] = c;
    if (id == 0)
        init_idt();
    init_tss(c, block);
    load_image_gdt(c);
    load_hv_selectors();
    load_idt(&p);
    load_tr((uint16_t)(HV_TSS + 16 * id));
    load_ldt(0);
    load_selector_ds(0);
    load_selector_es(0);
    init_control_registers();
    init_fpu();
    init_syscall(id);
    c->timers.armed = STIME_NEVER;
    sched_init_cpu(c);
    store_release(&nr_cpus, nr_cpus + 1); /* whoever sees it, sees us */
}

void arch_cpu_kick(unsigned int cpu)
{
    if (cpu != this_cpu()->id)
        apic_send(cpus[cpu]->apic_id, VECTOR_KICK);
}

void arch_idle(void)
{
    idle_once();
}

void cpu_fpu_init_area(void *area)
{
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;

    memset(area, 0, PAGE_SIZE);
    memcpy(area, &control, sizeof(control));
    memcpy((char *)area + 24, &mxcsr, sizeof(mxcsr));
}

/* One that can no longer be loaded becomes null, as on a real CPU whose
 * tables changed. */
void cpu_load_selectors(struct arch_vcpu *a)
{
    load_selector_ds(a->ds);
    load_selector_es(a->es);
    load_selector_fs(a->fs);
    load_selector_gs(a->gs);
    a->selectors = 0; /* unless some are found when it leaves */
}

void cpu_save_selectors(struct arch_vcpu *a)
{
    a->ds = read_ds();
    a->es = read_es();
    a->fs = read_fs();
    a->gs = read_gs();
    load_selector_ds(0);
    load_selector_es(0);
    load_selector_fs(0);
    load_selector_gs(0);
}

void cpu_load_ldt(struct vcpu *v)
{
    struct cpu *c = this_cpu();
    uint16_t selector = (uint16_t)(HV_LDT + 16 * c->id);

    if (!v->arch.ldt_entries) {
        load_ldt(0);
        return;
    }
    set_system(selector, vcpu_ldt_address(v->id), v->arch.ldt_entries * 8 - 1,
               0x82);
    load_ldt(selector);
}

void cpu_load_debug_registers(const struct vcpu *v)
{
    write_dr0(v->arch.debugreg[0]);
    write_dr1(v->arch.debugreg[1]);
    write_dr2(v->arch.debugreg[2]);
    write_dr3(v->arch.debugreg[3]);
    write_dr6(v->arch.debugreg[6]);
    write_dr7(v->arch.debugreg[7]);
}

void cpu_save_rare(struct vcpu *v)
{
    if (v->arch.runstate)
        vcpu_runstate_write(v);
    if (v->arch.ts)
        clear_ts();
    if (v->arch.breakpoints)
        write_dr7(0x400);
    if (v->arch.ldt_entries)
        load_ldt(0);
}

void cpu_load_rare(struct vcpu *v)
{
    if (v->arch.ldt_entries)
        cpu_load_ldt(v);
    if (v->arch.breakpoints)
        cpu_load_debug_registers(v);
    if (v->arch.runstate)
        vcpu_runstate_write(v);
    if (v->arch.ts)
        write_cr0(read_cr0() | CR0_TS);
}

void cpu_switch_from(struct vcpu *prev)
{
    switch_from(prev);
}

void cpu_switch_to(struct cpu *c, struct vcpu *next)
{
    switch_to(c, next);
}

void cpu_switch_to_nobody(struct cpu *c)
{
    load_image_gdt(c);
    switch_tables(c, NULL, virt_to_mfn(hv_l4) << PAGE_SHIFT);
}

void vcpu_load_tables(struct vcpu *v)
{
    struct cpu *c = this_cpu();

    if (c->current != v)
        return;
    c->cr3 = vcpu_cr3(v);
    write_cr3(c->cr3);
}

void vcpu_toggle_mode(struct vcpu *v)
{
    v->arch.kernel_mode = !v->arch.kernel_mode;
    swapgs();
    load_cr3(this_cpu(), vcpu_cr3(v));
}
