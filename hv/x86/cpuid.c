/*
 * What a guest's kernel sees of CPUID: a list of what it may see, not of
 * what it may not.  Left out are the features that a PV guest cannot use
 * (large and global pages, APIC timers, MTRR, SMEP and SMAP, PCID, machine
 * checks), those whose state is not switched (AVX-512, protection keys,
 * TSC_AUX) and the 32-bit ways into the kernel.
 */
#include "hv/x86/cpu.h"
#include "hv/x86/emulate.h"

#include <xen/arch-x86/cpuid.h>

#define MAX_BASIC    0xdu
#define MAX_EXTENDED 0x80000008u

/* FPU DE TSC MSR PAE CX8 APIC CMOV PAT CLFLUSH MMX FXSR SSE SSE2 */
#define LEAF1_D 0x07898375u
/* SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AESNI XSAVE
 * OSXSAVE AVX F16C RDRAND; and always: there is a hypervisor */
#define LEAF1_C    0x7ed83203u
#define HYPERVISOR (1u << 31)
/* FSGSBASE BMI1 AVX2 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA */
#define LEAF7_B 0x218c0329u
/* GFNI VAES VPCLMULQDQ */
#define LEAF7_C 0x00000700u
/* LEAF1_D's, SYSCALL NX MMXEXT LM 3DNOWEXT 3DNOW */
#define EXTENDED_D (0xe0500800u | (LEAF1_D & 0x0183f3ffu))
/* LAHF ABM SSE4A MISALIGNSSE 3DNOWPREFETCH XOP FMA4 TBM */
#define EXTENDED_C 0x002109e1u
#define XSAVE_FORMS 7u /* XSAVEOPT XSAVEC XGETBV1 */
#define TSC_CONSTANT (1u << 8)
#define VIRTUAL_BITS 48u

/* From XEN_CPUID_FIRST_LEAF on: who it is, its version, and one hypercall page,
 * were there an MSR to ask for it. */
static const struct cpuid hypervisor_leaf[] = {
    { XEN_CPUID_FIRST_LEAF + 2, XEN_CPUID_SIGNATURE_EBX,
      XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX },
    { 4 << 16 | 17, 0, 0, 0 },
    { 1, 0x40000000, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0 },
};
#define NR_HYPERVISOR_LEAVES                                                   \
    (sizeof(hypervisor_leaf) / sizeof(hypervisor_leaf[0]))

static struct cpuid basic_leaf(const struct vcpu *v, uint32_t leaf,
                               uint32_t sub)
{
    struct cpuid c = cpuid(leaf, sub), none = { 0, 0, 0, 0 };

    switch (leaf) {
    case 0:
        c.a = c.a < MAX_BASIC ? c.a : MAX_BASIC;
        return c;
    case 1: /* each vCPU is a package of its own */
        c.b = (c.b & 0xff00) | v->id << 25;
        c.c = (c.c & LEAF1_C) | HYPERVISOR;
        c.d &= LEAF1_D;
        return c;
    case 2:
        return c;
    case 4:
        c.a &= 0x3fff; /* shared with nobody */
        return c;
    case 7:
        return sub ? none : (struct cpuid){ 0, c.b & LEAF7_B, c.c & LEAF7_C, 0 };
    case 13: /* x87, SSE and AVX, as XCR0 says */
        if (sub == 0)
            return (struct cpuid){ (uint32_t)read_xcr0(), c.b, c.b, 0 };
        if (sub == 1)
            return (struct cpuid){ c.a & XSAVE_FORMS, c.b, 0, 0 };
        return sub == 2 ? c : none;
    default:
        return none;
    }
}

static struct cpuid extended_leaf(uint32_t leaf)
{
    struct cpuid c = cpuid(leaf, 0), none = { 0, 0, 0, 0 };

    switch (leaf) {
    case 0x80000000:
        c.a = c.a < MAX_EXTENDED ? c.a : MAX_EXTENDED;
        return c;
    case 0x80000001:
        c.c &= EXTENDED_C;
        c.d &= EXTENDED_D;
        return c;
    case 0x80000002 ... 0x80000006: /* its name and its caches */
        return c;
    case 0x80000007:
        return (struct cpuid){ 0, 0, 0, c.d & TSC_CONSTANT };
    case 0x80000008: /* the widths of addresses */
        return (struct cpuid){ (c.a & 0xff) | VIRTUAL_BITS << 8, 0, 0, 0 };
    default:
        return none;
    }
}

struct cpuid guest_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t sub)
{
    if (leaf - XEN_CPUID_FIRST_LEAF < NR_HYPERVISOR_LEAVES)
        return hypervisor_leaf[leaf - XEN_CPUID_FIRST_LEAF];
    return leaf >= 0x80000000 ? extended_leaf(leaf) : basic_leaf(v, leaf, sub);
}
