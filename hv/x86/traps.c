/*
 * Exceptions and interrupts.
 *
 * A guest's exception is bounced: the frame goes on the guest kernel's stack
 * as Xen lays it out (rcx, r11, [error code,] rip, cs with the saved upcall
 * mask, rflags with IF as that mask's opposite, rsp, ss), and the guest goes
 * on in its handler.  The hypervisor's own is looked up in the table of
 * expected faults, or is the end.
 */
#include "hv/x86/traps.h"

#include "hv/console.h"
#include "hv/guest_copy.h"
#include "hv/machine.h"
#include "hv/x86/apic.h"
#include "hv/x86/cpu.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/emulate.h"
#include "hv/x86/serial.h"
#include "hv/x86/smp.h"
#include "lib/exception.h"

#define PAGE_FAULT_USER 4u /* error code */
#define EXCEPTIONS_WITH_CODE 0x60227d00u
/* Specialised for the event upcall, which is worth it. */
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define FRAME_MAX 64u /* bytes, with an error code */
#define BOUNCED_AWAY                                                           \
    (EFLAGS_TF | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT | EFLAGS_AC | EFLAGS_IOPL)

/*
 * Write the frame that ends at @sp; returns where it begins, or 0.  A kernel's
 * cs shows RPL 0; Xen keeps the upcall mask in bits 32-39 of it.
 */
static ALWAYS_INLINE uint64_t push_frame(const struct cpu_user_regs *r,
                                         bool from_user, uint8_t mask,
                                         uint64_t sp, int64_t error)
{
    uint64_t *frame = (uint64_t *)sp - (error >= 0 ? 8 : 7);
    uint64_t *at = (uint64_t *)sp - 5;

    if (cpu_has_smap)
        stac();
    GUEST_STORE(&at[4], r->ss, fault);
    GUEST_STORE(&at[3], r->rsp, fault);
    GUEST_STORE(&at[2],
                (r->rflags & ~(uint64_t)(EFLAGS_IF | EFLAGS_IOPL)) |
                    (mask ? 0 : EFLAGS_IF),
                fault);
    GUEST_STORE(&at[1],
                (from_user ? r->cs : r->cs & ~3u) | (uint64_t)mask << 32,
                fault);
    GUEST_STORE(&at[0], r->rip, fault);
    if (error >= 0)
        GUEST_STORE(&frame[2], error, fault);
    GUEST_STORE(&frame[1], r->r11, fault);
    GUEST_STORE(&frame[0], r->rcx, fault);
    if (cpu_has_smap)
        clac();
    return (uint64_t)frame;

fault:
    if (cpu_has_smap)
        clac();
    return 0;
}

static ALWAYS_INLINE void enter(struct vcpu *v, const struct guest_entry *entry,
                                bool from_user, uint8_t mask, int64_t error)
{
    struct cpu_user_regs *r = &v->regs;
    uint64_t sp = (from_user ? v->arch.kernel_sp : r->rsp) & ~15ul;
    uint64_t frame = 0;

    /* Neither end in the hypervisor's range; it is larger than a frame. */
    if ((sp - 1 < HV_START || sp - 1 >= HV_END) &&
        (sp - FRAME_MAX < HV_START || sp - FRAME_MAX >= HV_END))
        frame = push_frame(r, from_user, mask, sp, error);
    if (!frame) {
        domain_crash(v->domain, "no room for a frame on the stack at %#lx", sp);
        return;
    }
    if (entry->mask_events)
        write_once(&v->evtchn.info->evtchn_upcall_mask, 1);
    r->rip = entry->address;
    r->rsp = frame;
    r->rflags = (r->rflags & ~(uint64_t)BOUNCED_AWAY) | EFLAGS_IF;
    if (r->entry_vector == TRAP_SYSCALL)
        return; /* cs and ss are already what they are to be */
    r->cs = GUEST_CS;
    r->ss = GUEST_SS;
    r->entry_vector = TRAP_SYSCALL; /* rcx and r11 are in the frame */
}

void guest_enter(struct vcpu *v, const struct guest_entry *entry,
                 int64_t error)
{
    bool from_user = !v->arch.kernel_mode;

    if (from_user)
        vcpu_toggle_mode(v);
    enter(v, entry, from_user,
          read_once(&v->evtchn.info->evtchn_upcall_mask), error);
}

/* The way events come: for a kernel it is worth its own few instructions. */
static inline void deliver_upcall(struct vcpu *v)
{
    if (!v->arch.event_callback.address)
        return; /* the guest polls: Xen's rule */
    if (v->arch.kernel_mode)
        enter(v, &v->arch.event_callback, false, 0, -1);
    else
        guest_enter(v, &v->arch.event_callback, -1);
}

void guest_trap(struct vcpu *v, unsigned int vector, int64_t error)
{
    const struct trap_info *t = &v->arch.trap[vector];
    struct guest_entry entry = { t->address, t->flags & 4 };

    if (!t->address) {
        domain_crash_trap(v, vector, error < 0 ? 0 : (uint32_t)error,
                          vector == TRAP_PAGE_FAULT ? read_cr2() : 0,
                          exception_name(vector));
        return;
    }
    guest_enter(v, &entry, error);
}

/* As the CPU raised it; @error counts for those that have a code. */
static void guest_fault(struct vcpu *v, unsigned int vector, uint32_t error)
{
    guest_trap(v, vector,
               EXCEPTIONS_WITH_CODE >> vector & 1 ? (int64_t)error : -1);
}

static void guest_page_fault(struct vcpu *v, struct cpu_user_regs *r)
{
    uint64_t address = read_cr2();

    if (descriptor_map_ldt(v, address) || emulate_table_write(v, r, address))
        return;
    v->domain->page_faults++;
    write_once(&v->evtchn.info->arch.cr2, descriptor_guest_address(v, address));
    /* A guest kernel must not see that it runs in ring 3. */
    if (v->arch.kernel_mode)
        r->error_code &= ~PAGE_FAULT_USER;
    guest_trap(v, TRAP_PAGE_FAULT, r->error_code);
}

/* #GP of an INT n: the error code names the gate (n << 3 | 2; QEMU's TCG
 * computes n << 4 | 2, so look at the instruction).  The guest may have
 * registered a handler for the vector that its ring may call. */
static bool guest_software_interrupt(struct vcpu *v, struct cpu_user_regs *r)
{
    uint8_t insn[2];
    const struct trap_info *t;
    unsigned int privilege = v->arch.kernel_mode ? 1 : 3;

    if ((r->error_code & 7) != 2 ||
        guest_copy_from(insn, (const void *)r->rip, sizeof(insn)) ||
        insn[0] != 0xcd)
        return false;
    t = &v->arch.trap[insn[1]];
    if (!t->address || (t->flags & 3u) < privilege)
        return false;
    r->rip += 2;
    guest_trap(v, insn[1], -1);
    return true;
}

static void guest_exception(struct vcpu *v, struct cpu_user_regs *r)
{
    switch (r->entry_vector) {
    case 1:
        v->arch.debugreg[6] = read_dr6();
        write_dr6(0xffff0ff0);
        break;
    case 6:
        if (emulate_forced_cpuid(v, r))
            return;
        break;
    case 7: /* whoever gets it finds CR0.TS clear, as on Xen */
        clear_ts();
        v->arch.ts = false;
        break;
    case 13:
        if (guest_software_interrupt(v, r) || emulate_privileged(v, r))
            return;
        break;
    case TRAP_PAGE_FAULT:
        guest_page_fault(v, r);
        return;
    default:
        break;
    }
    guest_fault(v, r->entry_vector, r->error_code);
}

static void interrupt(unsigned int vector)
{
    this_cpu()->interrupts++;
    if (vector == VECTOR_SPURIOUS)
        return; /* and none to be ended */
    apic_eoi();
    switch (vector) {
    case VECTOR_TIMER:
        timer_run();
        break;
    case VECTOR_SERIAL:
        serial_interrupt();
        break;
    case VECTOR_KICK:
        this_cpu()->need_resched = 1;
        break;
    case VECTOR_SERVE:
        smp_serve();
        break;
    default:
        printk("interrupt %#x that nobody asked for\n", vector);
    }
}

void trap_from_guest(struct cpu_user_regs *regs)
{
    if (regs->entry_vector >= NR_EXCEPTIONS)
        interrupt(regs->entry_vector);
    else
        guest_exception(current_vcpu(), regs);
}

/* Faults that we expect at certain instructions, and where to go on. */
struct ex_table_entry {
    int32_t fault, fixup; /* relative to themselves */
};
extern const struct ex_table_entry ex_table_start[], ex_table_end[];

static bool fix_up(struct cpu_user_regs *regs)
{
    for (const struct ex_table_entry *e = ex_table_start; e < ex_table_end;
         e++) {
        if ((uint64_t)&e->fault + (uint64_t)(int64_t)e->fault != regs->rip)
            continue;
        this_cpu()->expected_vector = regs->entry_vector;
        this_cpu()->expected_error = regs->error_code;
        regs->rip = (uint64_t)&e->fixup + (uint64_t)(int64_t)e->fixup;
        return true;
    }
    return false;
}

static void die(struct cpu_user_regs *r)
{
    const struct vcpu *v = current_vcpu();

    console_begin_panic();
    printk("%s (vector %u, error %#x) in the hypervisor, CPU %u, running %s\n",
           exception_name(r->entry_vector), r->entry_vector, r->error_code,
           this_cpu()->id, v ? v->domain->name : "nobody");
    printk("rip %#018lx rsp %#018lx rflags %#lx cr2 %#018lx\n", r->rip, r->rsp,
           r->rflags, read_cr2());
    printk("rax %#018lx rbx %#018lx rcx %#018lx rdx %#018lx\n", r->rax, r->rbx,
           r->rcx, r->rdx);
    printk("rsi %#018lx rdi %#018lx rbp %#018lx r8  %#018lx\n", r->rsi, r->rdi,
           r->rbp, r->r8);
    machine_panic(r->rip, r->rsp);
}

void trap_from_hv(struct cpu_user_regs *regs)
{
    struct vcpu *v = current_vcpu();

    if (regs->entry_vector >= NR_EXCEPTIONS) {
        interrupt(regs->entry_vector);
        return;
    }
    /* Loading a guest's selector may be the first look at its LDT. */
    if (regs->entry_vector == TRAP_PAGE_FAULT && v &&
        descriptor_map_ldt(v, read_cr2()))
        return;
    if (!fix_up(regs))
        die(regs);
}

void trap_on_ist(struct cpu_user_regs *regs)
{
    if (regs->entry_vector != 2)
        die(regs);
    printk("NMI on CPU %u at %#lx\n", this_cpu()->id, regs->rip);
}

/* IRETQ refused what the guest wanted to return to: its kernel gets the
 * fault, as if that had happened where it wanted to go. */
void bad_guest_frame(void)
{
    const struct cpu *c = this_cpu();

    guest_fault(c->current, c->expected_vector, c->expected_error);
}

/* SYSCALL in user mode goes to the guest kernel. */
void syscall_from_user(struct cpu_user_regs *regs)
{
    struct vcpu *v = current_vcpu();

    regs->rcx = regs->rip; /* as SYSCALL left them: the frame has them */
    regs->r11 = regs->rflags;
    if (!v->arch.syscall_callback.address) {
        domain_crash(v->domain, "SYSCALL in user mode without a handler");
        return;
    }
    guest_enter(v, &v->arch.syscall_callback, -1);
}

static void deliver_nmi(struct vcpu *v)
{
    if (v->arch.nmi_masked || !v->arch.nmi_callback.address)
        return;
    write_once(&v->arch.nmi_pending, false);
    v->arch.nmi_masked = true;
    guest_enter(v, &v->arch.nmi_callback, -1);
}

void exit_work(void)
{
    struct cpu *c = this_cpu();
    struct vcpu *v;

    if (c->need_resched) {
        smp_park_here();
        sched_switch();
    }
    v = c->current;
    if (read_once(&v->arch.nmi_pending))
        deliver_nmi(v);
    if (evtchn_upcall_due(&v->evtchn))
        deliver_upcall(v);
}
