/* Bits of x86-64's registers, and numbers of model-specific ones. */
#ifndef LIB_REGISTERS_H
#define LIB_REGISTERS_H

#define CR0_MP (1ULL << 1)
#define CR0_TS (1ULL << 3)
#define CR0_NE (1ULL << 5)
#define CR0_WP (1ULL << 16)

#define CR4_DE         (1ULL << 3)
#define CR4_PAE        (1ULL << 5)
#define CR4_MCE        (1ULL << 6)
#define CR4_OSFXSR     (1ULL << 9)
#define CR4_OSXMMEXCPT (1ULL << 10)
#define CR4_FSGSBASE   (1ULL << 16)
#define CR4_OSXSAVE    (1ULL << 18)
#define CR4_SMEP       (1ULL << 20)
#define CR4_SMAP       (1ULL << 21)

#define EFLAGS_CF   (1ULL << 0)
#define EFLAGS_MBS  (1ULL << 1) /* always one */
#define EFLAGS_PF   (1ULL << 2)
#define EFLAGS_AF   (1ULL << 4)
#define EFLAGS_ZF   (1ULL << 6)
#define EFLAGS_SF   (1ULL << 7)
#define EFLAGS_TF   (1ULL << 8)
#define EFLAGS_IF   (1ULL << 9)
#define EFLAGS_DF   (1ULL << 10)
#define EFLAGS_OF   (1ULL << 11)
#define EFLAGS_IOPL (3ULL << 12)
#define EFLAGS_NT   (1ULL << 14)
#define EFLAGS_RF   (1ULL << 16)
#define EFLAGS_VM   (1ULL << 17)
#define EFLAGS_AC   (1ULL << 18)
#define EFLAGS_VIF  (1ULL << 19)
#define EFLAGS_VIP  (1ULL << 20)
#define EFLAGS_ID   (1ULL << 21)

#define MSR_TSC            0x10u
#define MSR_APIC_BASE      0x1bu
#define MSR_UCODE_REV      0x8bu
#define MSR_PLATFORM_INFO  0xceu
#define MSR_MISC_ENABLES   0x140u /* of features */
#define MSR_SYSENTER_CS    0x174u
#define MSR_PAT            0x277u
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SYSCALL_MASK   0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_SHADOW_GS_BASE 0xc0000102u

#define EFER_SCE (1ULL << 0)
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define EFER_NX  (1ULL << 11)

#endif
