/*
 * The table of hypercalls, and the small ones that belong to no module.
 *
 * entry.asm calls the rows with the vCPU and the five argument registers,
 * and comes back here only when a call was refused.
 */
#include "hv/hypercall.h"

#include <xen/features.h>
#include <xen/version.h>

#include "hv/console.h"
#include "hv/guest_copy.h"
#include "hv/refused.h"
#include "hv/x86/apic.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "lib/hypercall_name.h"
#include "lib/string.h"

#define PREEMPT_LOOK   32u /* steps for one look at the interrupts */

long hypercall_refused(long error);
long hypercall_unknown(void);

long hypercall_unknown(void)
{
    refuse_argument(current_regs()->rax);
    return refuse(-ENOSYS, "there is no hypercall of this number");
}

static long not_permitted(void)
{
    return refuse(-EPERM, "no domain manages others by this call");
}

/* The calls there are: do_NAME() is the row of number __HYPERVISOR_NAME. */
#define HYPERCALLS(X)                                                          \
    X(set_trap_table) X(mmu_update) X(set_gdt) X(stack_switch)                 \
    X(set_callbacks) X(fpu_taskswitch) X(set_debugreg) X(get_debugreg)         \
    X(update_descriptor) X(memory_op) X(multicall) X(update_va_mapping)        \
    X(set_timer_op) X(xen_version) X(console_io) X(grant_table_op)             \
    X(vm_assist) X(update_va_mapping_otherdomain) X(iret) X(vcpu_op)           \
    X(set_segment_base) X(mmuext_op) X(sched_op) X(callback_op)                \
    X(event_channel_op) X(physdev_op) X(belfry_call) X(belfry_serve)           \
    X(belfry_op)

/* Rows take fewer arguments than they are called with: the registers beyond
 * them are simply not looked at. */
#define ROW(name)                                                              \
    [__HYPERVISOR_##name] = (hypercall_fn *)(uintptr_t)(do_##name),
#define REFUSED(name, fn)                                                      \
    [__HYPERVISOR_##name] = (hypercall_fn *)(uintptr_t)(fn),

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* all rows, then some */

hypercall_fn *const hypercall_table[NR_HYPERCALLS] = {
    [0 ... NR_HYPERCALLS - 1] = (hypercall_fn *)(uintptr_t)hypercall_unknown,
    HYPERCALLS(ROW)
    REFUSED(platform_op, not_permitted)
    REFUSED(sysctl, not_permitted)
    REFUSED(domctl, not_permitted)
};

#pragma GCC diagnostic pop

/* A large negative result that is no error number is a value (debug
 * registers, the rax of iret). */
static bool is_error(long result)
{
    return result < 0 && result > -4096;
}

long hypercall_refused(long error)
{
    const struct cpu_user_regs *r = current_regs();
    uint32_t operation = (uint32_t)r->rdi;
    const char *name = r->rax == __HYPERVISOR_belfry_op ?
                           belfry_op_name(operation) :
                           hypercall_operation_name(r->rax, operation);

    if (is_error(error) && r->rax != __HYPERVISOR_iret)
        refused_record(current_vcpu(), name ? name : hypercall_name(r->rax),
                       name ? r->rsi : r->rdi, error);
    return error;
}

long hypercall_restart(struct vcpu *v)
{
    struct cpu_user_regs *r = current_regs();

    (void)v;
    this_cpu()->restarted = true;
    r->rip -= 2; /* SYSCALL is two bytes */
    return (long)r->rax;
}

/* Interrupts are off in here, so what they would ask for shows only in the
 * interrupt controller, which is slow to look at. */
bool hypercall_preempt_check(unsigned int steps)
{
    struct cpu *c = this_cpu();

    if (c->need_resched)
        return true;
    c->steps += steps;
    if (c->steps < PREEMPT_LOOK)
        return false;
    c->steps = 0;
    return apic_interrupt_waits();
}

/* ---- multicall ---- */

/* One of the calls, with its own arguments where a restart would change
 * them.  True: it wants to go on later. */
static bool call_one(struct vcpu *v, struct multicall_entry *m)
{
    struct cpu_user_regs *r = current_regs();
    struct cpu_user_regs saved = *r;
    uint64_t *const argument[] = { &r->rdi, &r->rsi, &r->rdx, &r->r10, &r->r8 };
    struct cpu *c = this_cpu();
    bool again;

    if (m->op >= NR_HYPERCALLS || m->op == __HYPERVISOR_multicall) {
        m->result = (xen_ulong_t)(m->op == __HYPERVISOR_multicall ? -EINVAL
                                                                  : -ENOSYS);
        return false;
    }
    r->rax = m->op;
    for (unsigned int i = 0; i < 5; i++)
        *argument[i] = m->args[i];
    c->restarted = false;
    m->result = (xen_ulong_t)hypercall_table[m->op](
        v, m->args[0], m->args[1], m->args[2], m->args[3], m->args[4]);
    again = c->restarted;
    c->restarted = false;
    if (again) {
        for (unsigned int i = 0; i < 5; i++)
            m->args[i] = *argument[i];
    } else if (is_error((long)m->result))
        hypercall_refused((long)m->result);
    if (m->op == __HYPERVISOR_iret)
        return false; /* the frame is the new one (row M4) */
    *r = saved;
    return again;
}

static long multicall_later(struct vcpu *v, void *calls, uint32_t done,
                            uint32_t count)
{
    struct cpu_user_regs *r = current_regs();

    r->rdi = (uint64_t)calls + (uint64_t)done * sizeof(struct multicall_entry);
    r->rsi = count - done;
    return hypercall_restart(v);
}

long do_multicall(struct vcpu *v, void *calls, uint32_t count)
{
    bool was_kernel = v->arch.kernel_mode;
    struct multicall_entry m;

    if (!guest_range_ok(calls, (size_t)count * sizeof(m)))
        return -EFAULT;
    for (uint32_t i = 0; i < count; i++) {
        bool again;

        if (i && hypercall_preempt_check(1))
            return multicall_later(v, calls, i, count);
        if (guest_copy_from_offset(&m, calls, i, sizeof(m)))
            return -EFAULT;
        again = call_one(v, &m);
        /* Has it changed where the guest goes on?  Then the rest of the list
         * is not for whoever comes there. */
        if (v->arch.kernel_mode != was_kernel ||
            v->domain->state != DOMAIN_RUNNING || m.op == __HYPERVISOR_iret)
            return 0;
        if (guest_copy_to_offset(calls, i, &m, sizeof(m)))
            return -EFAULT;
        if (again)
            return multicall_later(v, calls, i, count);
    }
    return 0;
}

/* ---- xen_version ---- */

static long give_text(void *arg, const char *text, size_t size)
{
    char buf[1024] = "";

    string_copy(buf, text, sizeof(buf));
    return guest_copy_to(arg, buf, size);
}

static long give_features(struct vcpu *v, void *arg)
{
    struct xen_feature_info info;

    if (guest_copy_from(&info, arg, sizeof(info)))
        return -EFAULT;
    if (info.submap_idx)
        return -EINVAL;
    info.submap = 1u << XENFEAT_mmu_pt_update_preserve_ad |
                  1u << XENFEAT_highmem_assist |
                  1u << XENFEAT_gnttab_map_avail_bits |
                  1u << XENFEAT_memory_op_vnode_supported |
                  1u << XENFEAT_direct_mapped;
    if (v->domain->vm_assist >> VMASST_TYPE_pae_extended_cr3 & 1)
        info.submap |= 1u << XENFEAT_pae_pgdir_above_4gb;
    if (v->domain->privileged)
        info.submap |= 1u << XENFEAT_dom0;
    return guest_copy_to(arg, &info, sizeof(info));
}

static __attribute__((noinline)) long version_details(struct vcpu *v,
                                                      uint32_t cmd, void *arg)
{
    static const struct xen_compile_info compile_info = {
        .compiler = "gcc " __VERSION__, .compile_by = "belfry"
    };
    static const xen_platform_parameters_t platform = { HV_START };
    static const xen_domain_handle_t handle = { 0 };

    switch (cmd) {
    case XENVER_extraversion:
        return give_text(arg, ".belfry-" BELFRY_VERSION,
                         sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return guest_copy_to(arg, &compile_info, sizeof(compile_info));
    case XENVER_capabilities:
        return give_text(arg, "xen-3.0-x86_64", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return give_text(arg, "", sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return guest_copy_to(arg, &platform, sizeof(platform));
    case XENVER_get_features:
        return give_features(v, arg);
    case XENVER_pagesize:
        return arg ? -EINVAL : PAGE_SIZE;
    case XENVER_guest_handle:
        return guest_copy_to(arg, handle, sizeof(handle));
    case XENVER_commandline:
        return give_text(arg, "", sizeof(xen_commandline_t));
    default:
        return -ENOSYS;
    }
}

/* The version is also the null call that guests measure by. */
long do_xen_version(struct vcpu *v, uint32_t cmd, void *arg)
{
    if (cmd == XENVER_version)
        return 4 << 16 | 17; /* the Xen whose ABI this is */
    return version_details(v, cmd, arg);
}

/* ---- vm_assist, console_io ---- */

#define ASSISTS                                                                \
    (1ul << VMASST_TYPE_4gb_segments | 1ul << VMASST_TYPE_4gb_segments_notify | \
     1ul << VMASST_TYPE_pae_extended_cr3 |                                     \
     1ul << VMASST_TYPE_writable_pagetables |                                  \
     1ul << VMASST_TYPE_architectural_iopl)

long do_vm_assist(struct vcpu *v, uint32_t cmd, uint32_t type)
{
    if (type >= 64 || !(ASSISTS >> type & 1))
        return refuse(-EINVAL, "no such assistance");
    if (cmd == VMASST_CMD_enable)
        v->domain->vm_assist |= 1ull << type;
    else if (cmd == VMASST_CMD_disable)
        v->domain->vm_assist &= ~(1ull << type);
    else
        return -ENOSYS;
    return 0;
}

long do_console_io(struct vcpu *v, uint32_t cmd, uint32_t count, void *buf)
{
    int rc;

    if (!v->domain->privileged)
        return refuse(-EPERM,
                      "only the initial domain has the machine's console");
    if (count > INT32_MAX && cmd <= CONSOLEIO_read)
        return -E2BIG;
    if (cmd == CONSOLEIO_write)
        return guest_take(buf, &count, serial_com1_write);
    if (cmd != CONSOLEIO_read)
        return -ENOSYS;
    rc = guest_give(buf, &count, serial_read, &serial_com1);
    return rc ? rc : (long)count;
}
