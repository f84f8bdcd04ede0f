/*
 * Privileged instructions of guest kernels.
 *
 * What Xen refuses to its PV guests is refused here: unknown MSRs, other
 * values of CR0 than TS, CR8, HLT (SCHEDOP_block is for that) and INVD stay
 * #GP.  Two differences, on purpose: writes of CR4 change nothing, as every
 * guest has what it may have; and XCR0 is fixed, as no guest needs less.
 */
#include "hv/x86/emulate.h"

#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/x86/cpu.h"
#include "hv/x86/insn.h"
#include "hv/x86/traps.h"
#include "lib/string.h"

#define TRAP_DEBUG 1
#define DR6_SINGLE_STEP 0xffff4ff0u

#define CR4_SEEN_BY_GUESTS                                                     \
    (CR4_PAE | CR4_DE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT |                \
     CR4_FSGSBASE | CR4_OSXSAVE)
#define EFER_SEEN_BY_GUESTS (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

void emulate_done(struct vcpu *v, struct cpu_user_regs *r, unsigned int length)
{
    bool single_step = r->rflags & EFLAGS_TF;

    r->rip += length;
    r->rflags &= ~(uint64_t)EFLAGS_RF;
    if (single_step) {
        v->arch.debugreg[6] = DR6_SINGLE_STEP;
        guest_trap(v, TRAP_DEBUG, -1);
    }
}

/* ---- Control and debug registers. ---- */

static uint64_t read_control(struct vcpu *v, unsigned int which)
{
    switch (which) {
    case 0:
        return (read_cr0() & ~CR0_TS) | (v->arch.ts ? CR0_TS : 0);
    case 2:
        return v->evtchn.info->arch.cr2;
    case 3:
        return v->arch.kernel_table << PAGE_SHIFT;
    default:
        return read_cr4() & CR4_SEEN_BY_GUESTS;
    }
}

/* -ERESTART: the instruction has not been executed yet. */
static int write_control(struct vcpu *v, unsigned int which, uint64_t value)
{
    switch (which) {
    case 0:
        if ((value ^ read_cr0()) & ~CR0_TS)
            return -EINVAL;
        return (int)do_fpu_taskswitch(v, (value & CR0_TS) != 0);
    case 2:
        write_once(&v->evtchn.info->arch.cr2, value);
        return 0;
    case 3:
        return mmu_set_base(v, &v->arch.kernel_table, value >> PAGE_SHIFT);
    default:
        return 0;
    }
}

static bool control_register(struct vcpu *v, struct cpu_user_regs *r,
                             struct insn *i, bool write)
{
    int rc;

    if (!insn_registers(i) || i->reg == 1 || i->reg > 4)
        return false;
    if (!write) {
        insn_set(i, r, i->rm, 8, read_control(v, i->reg));
        return true;
    }
    rc = write_control(v, i->reg, insn_get(i, r, i->rm, 8));
    if (rc == -ERESTART)
        i->length = 0;
    return rc == 0 || rc == -ERESTART;
}

static bool debug_register(struct vcpu *v, struct cpu_user_regs *r,
                           struct insn *i, bool write)
{
    if (!insn_registers(i) || i->reg > 7)
        return false;
    if (i->reg == 4 || i->reg == 5)
        i->reg += 2; /* as without CR4.DE */
    if (write)
        return !do_set_debugreg(v, i->reg, insn_get(i, r, i->rm, 8));
    insn_set(i, r, i->rm, 8, (uint64_t)do_get_debugreg(v, i->reg));
    return true;
}

/* ---- Model-specific registers. ---- */

static bool read_guest_msr(const struct vcpu *v, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_FS_BASE:
        *value = read_fsbase();
        return true;
    case MSR_GS_BASE:
        *value = read_gsbase();
        return true;
    case MSR_SHADOW_GS_BASE:
        *value = read_shadow_gsbase();
        return true;
    case MSR_TSC:
        *value = stamp_now();
        return true;
    case MSR_EFER:
        *value = read_msr(MSR_EFER) & EFER_SEEN_BY_GUESTS;
        return true;
    case MSR_APIC_BASE: /* enabled, and the boot processor's */
        *value = 0xfee00800u | (v->id == 0 ? 0x100 : 0);
        return true;
    case MSR_PAT:
        *value = PAT_XEN;
        return true;
    case MSR_UCODE_REV:
    case MSR_PLATFORM_INFO:
    case MSR_MISC_ENABLES:
        *value = 0;
        return true;
    default:
        return false;
    }
}

static bool write_guest_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_FS_BASE:
        return !do_set_segment_base(v, SEGBASE_FS, value);
    case MSR_GS_BASE:
        return !do_set_segment_base(v, SEGBASE_GS_KERNEL, value);
    case MSR_SHADOW_GS_BASE:
        return !do_set_segment_base(v, SEGBASE_GS_USER, value);
    case MSR_UCODE_REV: /* 0 is written before it is read */
        return value == 0;
    default:
        return false;
    }
}

static bool msr_access(struct vcpu *v, struct cpu_user_regs *r, bool write)
{
    uint32_t msr = (uint32_t)r->rcx;
    uint64_t value;

    if (write)
        return write_guest_msr(v, msr, (uint32_t)r->rax | r->rdx << 32);
    if (!read_guest_msr(v, msr, &value))
        return false;
    r->rax = (uint32_t)value;
    r->rdx = value >> 32;
    return true;
}

/* XSETBV is 0f 01 d1. */
static bool extended_control(struct cpu_user_regs *r, struct insn *i)
{
    uint64_t modrm;

    return insn_immediate(i, 1, &modrm) && (uint8_t)modrm == 0xd1 &&
           (uint32_t)r->rcx == 0 &&
           ((uint32_t)r->rax | r->rdx << 32) == read_xcr0();
}

/* ---- Ports: there are none, to those who may ask. ---- */

static bool level_allows(const struct vcpu *v)
{
    bool from_0 = v->domain->vm_assist >> VMASST_TYPE_architectural_iopl & 1;

    return v->arch.iopl >= (!v->arch.kernel_mode ? 3u : from_0 ? 0u : 1u);
}

/* The guest's bitmap: a bit a port, set where it is refused. */
static bool bitmap_allows(const struct vcpu *v, uint32_t port, uint32_t size)
{
    uint16_t bits;

    if (port + size > v->arch.io_ports ||
        guest_copy_from(&bits, (const void *)(v->arch.io_bitmap + port / 8),
                        sizeof(bits)))
        return false;
    return !(bits >> port % 8 & ((1u << size) - 1));
}

static bool port_access(struct vcpu *v, struct cpu_user_regs *r, struct insn *i)
{
    unsigned int size = !(i->opcode & 1) ? 1 : i->size == 2 ? 2 : 4;
    uint64_t port = r->rdx;

    if (!(i->opcode & 8) && !insn_immediate(i, 1, &port))
        return false;
    port &= i->opcode & 8 ? 0xffff : 0xff;
    if (!level_allows(v) && !bitmap_allows(v, (uint32_t)port, size))
        return false;
    if (!(i->opcode & 2)) /* IN */
        insn_set(i, r, 0, size, ~0ull);
    return true;
}

/* ---- All of them. ---- */

static bool execute(struct vcpu *v, struct cpu_user_regs *r, struct insn *i)
{
    switch (i->opcode) {
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef:
        return port_access(v, r, i);
    case 0xfa: /* CLI, STI: virtual interrupts are masked otherwise */
    case 0xfb:
        return level_allows(v);
    default:
        break;
    }
    if (!v->arch.kernel_mode)
        return false;
    switch (i->opcode) {
    case 0x0f01:
        return extended_control(r, i);
    case 0x0f06: /* CLTS */
        return !do_fpu_taskswitch(v, 0);
    case 0x0f09: /* WBINVD: all memory is write-back */
        return true;
    case 0x0f20:
    case 0x0f22:
        return control_register(v, r, i, i->opcode & 2);
    case 0x0f21:
    case 0x0f23:
        return debug_register(v, r, i, i->opcode & 2);
    case 0x0f30:
    case 0x0f32:
        return msr_access(v, r, i->opcode == 0x0f30);
    default:
        return false;
    }
}

bool emulate_privileged(struct vcpu *v, struct cpu_user_regs *r)
{
    struct insn i;

    if (r->error_code || !insn_from_64bit_code(r) || !insn_start(&i, r) ||
        i.lock || i.repeated)
        return false;
    if (!execute(v, r, &i)) {
        refuse_reason(NULL); /* no call is being refused */
        return false;
    }
    emulate_done(v, r, i.length);
    return true;
}

bool emulate_forced_cpuid(struct vcpu *v, struct cpu_user_regs *r)
{
    static const uint8_t forced[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
    uint8_t bytes[sizeof(forced)];
    struct cpuid c;

    if (guest_copy_from(bytes, (const void *)r->rip, sizeof(bytes)) ||
        memcmp(bytes, forced, sizeof(forced)) != 0)
        return false;
    c = guest_cpuid(v, (uint32_t)r->rax, (uint32_t)r->rcx);
    r->rax = c.a;
    r->rbx = c.b;
    r->rcx = c.c;
    r->rdx = c.d;
    emulate_done(v, r, sizeof(forced));
    return true;
}
