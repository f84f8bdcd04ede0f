/*
 * Hypercalls that set how the guest's vCPU is entered and left: trap table,
 * callbacks, kernel stack, iret, segment bases, debug registers.
 */
#include "hv/hypercall.h"

#include <xen/callback.h>
#include <xen/physdev.h>

#include "hv/guest_copy.h"
#include "hv/refused.h"
#include "hv/x86/context.h"
#include "hv/x86/cpu.h"
#include "hv/x86/traps.h"
#include "lib/string.h"

#define DR7_FIXED    0x400u
#define DR7_RESERVED 0xd800u /* must be zero; bit 13 is general detect */
#define DR7_GD       0x2000u
#define DR6_FIXED    0xffff0ff0u
#define DR6_BITS     0xe00fu

/* Entries are taken one by one until one with address 0, as Xen does. */
long do_set_trap_table(struct vcpu *v, void *traps)
{
    struct trap_info t;

    if (!traps) {
        memset(v->arch.trap, 0, 256 * sizeof(*v->arch.trap));
        return 0;
    }
    for (unsigned int i = 0; i < 257; i++) {
        if (guest_copy_from_offset(&t, traps, i, sizeof(t)))
            return -EFAULT;
        if (!t.address)
            return 0;
        if (!guest_address_ok(t.address))
            return refuse(-EINVAL,
                          "a trap handler's address is not the guest's");
        v->arch.trap[t.vector] = t;
    }
    return 0;
}

static void set_entry(struct guest_entry *e, uint64_t address, bool mask)
{
    if (guest_address_ok(address))
        *e = (struct guest_entry){ address, mask };
}

/* The old form of CALLBACKOP_register: it tells nothing of what it refuses. */
long do_set_callbacks(struct vcpu *v, uint64_t event, uint64_t failsafe,
                      uint64_t syscall)
{
    set_entry(&v->arch.event_callback, event, true);
    set_entry(&v->arch.failsafe_callback, failsafe, false);
    set_entry(&v->arch.syscall_callback, syscall, false);
    return 0;
}

/* Those that never come share a place: a selector that cannot be loaded is
 * null, and 32-bit code has no way in (docs/security.md, X10). */
static struct guest_entry *callback_of(struct arch_vcpu *a, uint16_t type)
{
    switch (type) {
    case CALLBACKTYPE_event:
        return &a->event_callback;
    case CALLBACKTYPE_syscall:
        return &a->syscall_callback;
    case CALLBACKTYPE_nmi:
        return &a->nmi_callback;
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall32:
    case CALLBACKTYPE_sysenter:
        return &a->failsafe_callback;
    default:
        return NULL;
    }
}

static long callback_register(struct vcpu *v, const void *arg)
{
    struct callback_register reg;
    struct guest_entry *entry;

    if (guest_copy_from(&reg, arg, sizeof(reg)))
        return -EFAULT;
    if (!guest_address_ok(reg.address))
        return refuse(-EINVAL, "the callback's address is not the guest's");
    entry = callback_of(&v->arch, reg.type);
    if (!entry)
        return -ENOSYS;
    entry->address = reg.address;
    entry->mask_events = (reg.flags & CALLBACKF_mask_events) ||
                         reg.type == CALLBACKTYPE_event ||
                         reg.type == CALLBACKTYPE_nmi;
    return 0;
}

static long callback_unregister(struct vcpu *v, const void *arg)
{
    struct callback_unregister reg;

    if (guest_copy_from(&reg, arg, sizeof(reg)))
        return -EFAULT;
    if (reg.type != CALLBACKTYPE_nmi)
        return callback_of(&v->arch, reg.type) ? -EINVAL : -ENOSYS;
    v->arch.nmi_callback.address = 0;
    return 0;
}

long do_callback_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    if (cmd == CALLBACKOP_register)
        return callback_register(v, arg);
    return cmd == CALLBACKOP_unregister ? callback_unregister(v, arg) : -ENOSYS;
}

long do_stack_switch(struct vcpu *v, uint64_t ss, uint64_t sp)
{
    (void)ss; /* it is always the flat one */
    v->arch.kernel_sp = sp;
    return 0;
}

long do_fpu_taskswitch(struct vcpu *v, int set)
{
    v->arch.ts = set != 0;
    if (set)
        write_cr0(read_cr0() | CR0_TS);
    else
        clear_ts();
    return 0;
}

/*
 * Return to where the frame on the guest kernel's stack says (Xen's struct
 * iret_context), without trusting any of it: ring 3 always, interrupts on,
 * and a selector or address that cannot be fails at the IRETQ instruction,
 * where the guest gets the fault (entry.asm).
 */
long do_iret(struct vcpu *v)
{
    struct cpu_user_regs *r = current_regs();
    struct iret_context f;

    if (guest_copy_from(&f, (const void *)r->rsp, sizeof(f))) {
        domain_crash(v->domain, "iret: no frame on the stack at %#lx", r->rsp);
        return 0;
    }
    if (v->arch.nmi_masked) {
        v->arch.nmi_masked = false;
        this_cpu()->need_resched |= v->arch.nmi_pending; /* look again */
    }
    if ((f.cs & 3) == 3) {
        if (!v->arch.user_table) {
            domain_crash(v->domain, "iret to user mode without user tables");
            return 0;
        }
        vcpu_toggle_mode(v);
    }
    r->rip = f.rip;
    r->cs = (uint16_t)(f.cs | 3);
    r->rflags = guest_rflags(f.rflags);
    r->rsp = f.rsp;
    r->ss = (uint16_t)(f.ss | 3);
    r->entry_vector = 0;
    if (!(f.flags & VGCF_in_syscall)) {
        r->r11 = f.r11;
        r->rcx = f.rcx;
    } else {
        r->r11 = (f.rflags & ~(uint64_t)(EFLAGS_IOPL | EFLAGS_VM)) | EFLAGS_IF;
        r->rcx = f.rip;
    }
    write_once(&v->evtchn.info->evtchn_upcall_mask, !(f.rflags & EFLAGS_IF));
    return (long)f.rax;
}

long do_set_segment_base(struct vcpu *v, uint32_t which, uint64_t base)
{
    (void)v;
    if (which != SEGBASE_GS_USER_SEL && !guest_address_ok(base))
        return refuse(-EINVAL, "the base is not a guest's address");
    switch (which) {
    case SEGBASE_FS:
        write_fsbase(base);
        return 0;
    case SEGBASE_GS_USER:
        write_shadow_gsbase(base);
        return 0;
    case SEGBASE_GS_KERNEL:
        write_gsbase(base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        /* In user mode's place, so that the base that the descriptor gives is
         * the user's.  One that cannot be loaded becomes the null selector. */
        swapgs();
        load_selector_gs((uint16_t)(base | 3));
        swapgs();
        return 0;
    default:
        return -EINVAL;
    }
}

/* Is any enabled breakpoint an I/O one (R/W bits 10)? */
static bool has_io_breakpoint(uint64_t dr7)
{
    for (unsigned int i = 0; i < 4; i++)
        if ((dr7 >> (2 * i) & 3) && (dr7 >> (16 + 4 * i) & 3) == 2)
            return true;
    return false;
}

long do_set_debugreg(struct vcpu *v, int reg, uint64_t value)
{
    switch (reg) {
    case 0 ... 3:
        if (!guest_address_ok(value))
            return refuse(-EPERM, "a breakpoint outside the guest's addresses");
        break;
    case 6:
        if (value >> 32)
            return -EINVAL;
        value = (value & DR6_BITS) | DR6_FIXED;
        break;
    case 7:
        if (value >> 32)
            return -EINVAL;
        if ((value & DR7_GD) || has_io_breakpoint(value))
            return -EPERM;
        value = (value & ~(uint64_t)DR7_RESERVED) | DR7_FIXED;
        break;
    default:
        return -ENODEV;
    }
    v->arch.debugreg[reg] = value;
    v->arch.breakpoints = v->arch.debugreg[7] & 0xff;
    cpu_load_debug_registers(v);
    return 0;
}

long do_get_debugreg(struct vcpu *v, int reg)
{
    bool exists = (reg >= 0 && reg <= 3) || reg == 6 || reg == 7;

    return exists ? (long)v->arch.debugreg[reg] : -ENODEV;
}

static long set_iopl(struct vcpu *v, const void *arg)
{
    struct physdev_set_iopl iopl;

    if (guest_copy_from(&iopl, arg, sizeof(iopl)))
        return -EFAULT;
    if (iopl.iopl > 3)
        return -EINVAL;
    v->arch.iopl = iopl.iopl;
    return 0;
}

/* Which ports the guest's own user mode may use; looked at when it does. */
static long set_io_bitmap(struct vcpu *v, const void *arg)
{
    struct physdev_set_iobitmap map;

    if (guest_copy_from(&map, arg, sizeof(map)))
        return -EFAULT;
    if (map.nr_ports > 65536 ||
        !guest_range_ok(map.bitmap.p, (map.nr_ports + 7) / 8))
        return -EINVAL;
    v->arch.io_bitmap = (uint64_t)map.bitmap.p;
    v->arch.io_ports = map.nr_ports;
    return 0;
}

/* A domain without devices of the machine: only its I/O privilege. */
long do_physdev_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    if (cmd == PHYSDEVOP_set_iopl)
        return set_iopl(v, arg);
    if (cmd == PHYSDEVOP_set_iobitmap)
        return set_io_bitmap(v, arg);
    return v->domain->privileged ? -ENOSYS : -EPERM;
}
