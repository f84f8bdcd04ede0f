/*
 * A vCPU's machine state: made with the vCPU, and set from a guest's
 * vcpu_guest_context when it brings another of its vCPUs up.
 */
#include "hv/x86/context.h"

#include "hv/guest_copy.h"
#include "hv/refused.h"
#include "hv/x86/cpu.h"
#include "hv/x86/descriptor.h"
#include "lib/string.h"

int arch_vcpu_init(struct vcpu *v)
{
    struct arch_vcpu *a = &v->arch;

    a->kernel_mode = true;
    a->debugreg[6] = 0xffff0ff0;
    a->debugreg[7] = 0x400;
    a->trap = alloc_page_memory();
    a->xsave = alloc_page_memory();
    if (!a->trap || !a->xsave)
        return -ENOMEM;
    cpu_fpu_init_area(a->xsave);
    return descriptor_vcpu_init(v);
}

void arch_vcpu_free(struct vcpu *v)
{
    free_page_memory(v->arch.trap);
    free_page_memory(v->arch.xsave);
    free_page_memory(v->arch.perdomain_l1);
}

static bool entries_ok(const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < 256; i++)
        if (!guest_address_ok(c->trap_ctxt[i].address))
            return false;
    return guest_address_ok(c->event_callback_eip) &&
           guest_address_ok(c->failsafe_callback_eip) &&
           guest_address_ok(c->syscall_callback_eip) &&
           guest_address_ok(c->fs_base) &&
           guest_address_ok(c->gs_base_kernel) &&
           guest_address_ok(c->gs_base_user);
}

static void set_entries_and_registers(struct vcpu *v,
                                      const struct vcpu_guest_context *c)
{
    struct arch_vcpu *a = &v->arch;

    memcpy(a->trap, c->trap_ctxt, sizeof(c->trap_ctxt));
    a->event_callback = (struct guest_entry){ c->event_callback_eip, true };
    a->syscall_callback = (struct guest_entry){
        c->syscall_callback_eip, c->flags & VGCF_syscall_disables_events
    };
    v->regs = c->user_regs;
    v->regs.rflags = guest_rflags(c->user_regs.rflags);
    a->iopl = c->user_regs.rflags >> 12 & 3;
    v->regs.cs |= 3;
    v->regs.ss |= 3;
    v->regs.entry_vector = 0;
    a->ds = c->user_regs.ds;
    a->es = c->user_regs.es;
    a->fs = c->user_regs.fs;
    a->gs = c->user_regs.gs;
    a->fs_base = c->fs_base;
    a->gs_base = c->gs_base_kernel;
    a->gs_base_other = c->gs_base_user;
    a->kernel_sp = c->kernel_sp;
}

/* The guest's tables: machine address in ctrlreg[3], and, with bit 0 as a
 * mark, the user's in ctrlreg[1]. */
static int set_tables(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct domain *d = v->domain;
    mfn_t kernel = c->ctrlreg[3] >> PAGE_SHIFT;
    mfn_t user = c->ctrlreg[1] & 1 ? c->ctrlreg[1] >> PAGE_SHIFT : 0;

    spin_lock(&d->pt_lock);
    int rc = pagetable_get(d, kernel, 4);

    if (!rc && user) {
        rc = pagetable_get(d, user, 4);
        if (rc == -ERESTART)
            pagetable_leave(page_of(kernel));
        else if (rc)
            pagetable_put(page_of(kernel));
    }
    spin_unlock(&d->pt_lock);
    if (rc)
        return refuse(rc, "the context's page tables are not valid");
    v->arch.kernel_table = kernel;
    v->arch.user_table = user;
    return 0;
}

/* The copy takes 5 KiB of this CPU's 28 KiB stack. */
long arch_vcpu_set_context(struct vcpu *v, const void *guest_context)
{
    struct vcpu_guest_context c;
    int rc = 0;

    if (guest_copy_from(&c, guest_context, sizeof(c)))
        return -EFAULT;
    if (!entries_ok(&c))
        return refuse(-EINVAL, "a handler's address is not the guest's");
    if (c.gdt_ents)
        rc = descriptor_set_gdt(v, c.gdt_frames, (uint32_t)c.gdt_ents);
    if (!rc)
        rc = set_tables(v, &c);
    if (rc)
        return rc;
    set_entries_and_registers(v, &c);
    return 0;
}

long arch_vcpu_register_info(struct vcpu *v, uint64_t mfn, uint32_t offset)
{
    struct vcpu_info *info;
    mfn_t none = 0;

    if (offset > PAGE_SIZE - sizeof(*info) ||
        offset % _Alignof(struct vcpu_info))
        return -ENXIO;
    if (v != current_vcpu() && v->sched.state != BELFRY_VCPU_OFFLINE)
        return -EINVAL;
    if (page_get_and_type(mfn, v->domain, PAGE_WRITABLE))
        return -EINVAL;
    if (!atomic_cas(&v->arch.info_frame, &none, mfn)) { /* it has one already */
        page_put_and_type(page_of(mfn));
        return -EINVAL;
    }
    info = (struct vcpu_info *)((char *)mfn_to_virt(mfn) + offset);
    *info = *v->evtchn.info;
    write_once(&v->evtchn.info, info);
    /* Whatever was pending is to be looked at again in the new place. */
    write_once(&info->evtchn_pending_sel, ~0ul);
    write_once(&info->evtchn_upcall_pending, 1);
    return 0;
}
