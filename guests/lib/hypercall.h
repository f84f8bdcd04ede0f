/*
 * The hypercalls, one inline function each, named after Xen's numbers.
 *
 * A hypercall is a call into the page that the hypervisor fills in at start
 * (the HYPERCALL_PAGE note): 32 bytes a number.  The number goes in rax, the
 * arguments in rdi, rsi, rdx, r10 and r8, the result comes in rax; rcx and
 * r11 are lost.  Results below zero are -Exxx.
 *
 * hypercall() takes the number as data and executes `syscall` itself, so
 * that a fuzzer reaches numbers which have no place in the page.
 */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/sched.h>

#include "hv/abi/belfry.h"

extern char hypercall_page[4096];

/* Any number, any arguments. */
static inline long hypercall(unsigned long nr, unsigned long a1,
                             unsigned long a2, unsigned long a3,
                             unsigned long a4, unsigned long a5)
{
    register unsigned long r10 __asm__("r10") = a4;
    register unsigned long r8 __asm__("r8") = a5;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10),
                       "+r"(r8)
                     : "0"(nr)
                     : "rcx", "r11", "memory");
    return result;
}

/* One call through the page.  nr is a constant; an argument left out is not
 * loaded at all, which is why this is a macro and not a function. */
#define HYPERCALL_CALL "call hypercall_page + %c[nr] * 32"

#define HYPERCALL1(number, arg1)                                               \
    ({                                                                         \
        unsigned long hc1_ = (unsigned long)(arg1);                            \
        long hc_result_;                                                       \
                                                                               \
        __asm__ volatile(HYPERCALL_CALL                                        \
                         : "=a"(hc_result_), "+D"(hc1_)                        \
                         : [nr] "i"(number)                                    \
                         : "rcx", "r11", "memory");                            \
        hc_result_;                                                            \
    })

#define HYPERCALL2(number, arg1, arg2)                                         \
    ({                                                                         \
        unsigned long hc1_ = (unsigned long)(arg1);                            \
        unsigned long hc2_ = (unsigned long)(arg2);                            \
        long hc_result_;                                                       \
                                                                               \
        __asm__ volatile(HYPERCALL_CALL                                        \
                         : "=a"(hc_result_), "+D"(hc1_), "+S"(hc2_)            \
                         : [nr] "i"(number)                                    \
                         : "rcx", "r11", "memory");                            \
        hc_result_;                                                            \
    })

#define HYPERCALL3(number, arg1, arg2, arg3)                                   \
    ({                                                                         \
        unsigned long hc1_ = (unsigned long)(arg1);                            \
        unsigned long hc2_ = (unsigned long)(arg2);                            \
        unsigned long hc3_ = (unsigned long)(arg3);                            \
        long hc_result_;                                                       \
                                                                               \
        __asm__ volatile(HYPERCALL_CALL                                        \
                         : "=a"(hc_result_), "+D"(hc1_), "+S"(hc2_),           \
                           "+d"(hc3_)                                          \
                         : [nr] "i"(number)                                    \
                         : "rcx", "r11", "memory");                            \
        hc_result_;                                                            \
    })

#define HYPERCALL4(number, arg1, arg2, arg3, arg4)                             \
    ({                                                                         \
        unsigned long hc1_ = (unsigned long)(arg1);                            \
        unsigned long hc2_ = (unsigned long)(arg2);                            \
        unsigned long hc3_ = (unsigned long)(arg3);                            \
        register unsigned long hc4_ __asm__("r10") = (unsigned long)(arg4);    \
        long hc_result_;                                                       \
                                                                               \
        __asm__ volatile(HYPERCALL_CALL                                        \
                         : "=a"(hc_result_), "+D"(hc1_), "+S"(hc2_),           \
                           "+d"(hc3_), "+r"(hc4_)                              \
                         : [nr] "i"(number)                                    \
                         : "rcx", "r11", "memory");                            \
        hc_result_;                                                            \
    })

/* ---- Events, grants, scheduling. ---- */
static inline long hypercall_event_channel_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_event_channel_op, cmd, arg);
}

static inline long hypercall_grant_table_op(unsigned int cmd, void *items,
                                            unsigned int count)
{
    return HYPERCALL3(__HYPERVISOR_grant_table_op, cmd, items, count);
}

static inline long hypercall_sched_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_sched_op, cmd, arg);
}

/*
 * SCHEDOP_block clears the upcall mask of the vCPU; set it again.  Between
 * the two, and nowhere else, an upcall can land: entry.asm relies on rcx, r11
 * and the flags being free there.
 */
static inline void hypercall_block(uint8_t *upcall_mask)
{
    unsigned long cmd = SCHEDOP_block, result;

    __asm__ volatile(HYPERCALL_CALL "\n\tmovb $1, %[mask]"
                     : "=&a"(result), "+D"(cmd), [mask] "=m"(*upcall_mask)
                     : [nr] "i"(__HYPERVISOR_sched_op)
                     : "rcx", "r11", "cc", "memory");
}

static inline long hypercall_vcpu_op(unsigned int cmd, unsigned int vcpu,
                                     void *arg)
{
    return HYPERCALL3(__HYPERVISOR_vcpu_op, cmd, vcpu, arg);
}

/* Raise VIRQ_TIMER when system time reaches @deadline; 0 cancels. */
static inline long hypercall_set_timer_op(uint64_t deadline)
{
    return HYPERCALL1(__HYPERVISOR_set_timer_op, deadline);
}

/* ---- Memory. ---- */
static inline long hypercall_memory_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_memory_op, cmd, arg);
}

static inline long hypercall_mmu_update(struct mmu_update *requests,
                                        unsigned int count,
                                        unsigned int *done, domid_t domid)
{
    return HYPERCALL4(__HYPERVISOR_mmu_update, requests, count, done, domid);
}

static inline long hypercall_mmuext_op(struct mmuext_op *ops,
                                       unsigned int count, unsigned int *done,
                                       domid_t domid)
{
    return HYPERCALL4(__HYPERVISOR_mmuext_op, ops, count, done, domid);
}

static inline long hypercall_update_va_mapping(const volatile void *va,
                                               uint64_t pte,
                                               unsigned long flags)
{
    return HYPERCALL3(__HYPERVISOR_update_va_mapping, va, pte, flags);
}

static inline long
hypercall_update_va_mapping_otherdomain(const volatile void *va, uint64_t pte,
                                        unsigned long flags, domid_t domid)
{
    return HYPERCALL4(__HYPERVISOR_update_va_mapping_otherdomain, va, pte,
                      flags, domid);
}

static inline long hypercall_vm_assist(unsigned int cmd, unsigned int type)
{
    return HYPERCALL2(__HYPERVISOR_vm_assist, cmd, type);
}

/* ---- The virtual CPU. ---- */
static inline long hypercall_set_trap_table(const struct trap_info *traps)
{
    return HYPERCALL1(__HYPERVISOR_set_trap_table, traps);
}

static inline long hypercall_set_callbacks(const void *event,
                                           const void *failsafe,
                                           const void *syscall)
{
    return HYPERCALL3(__HYPERVISOR_set_callbacks, event, failsafe, syscall);
}

static inline long hypercall_callback_op(unsigned int cmd, const void *arg)
{
    return HYPERCALL2(__HYPERVISOR_callback_op, cmd, arg);
}

/* The stack that a switch from user mode to kernel mode begins with. */
static inline long hypercall_stack_switch(unsigned long ss, const void *top)
{
    return HYPERCALL2(__HYPERVISOR_stack_switch, ss, top);
}

static inline long hypercall_set_gdt(const unsigned long *frames,
                                     unsigned int entries)
{
    return HYPERCALL2(__HYPERVISOR_set_gdt, frames, entries);
}

static inline long hypercall_update_descriptor(uint64_t machine_address,
                                               uint64_t descriptor)
{
    return HYPERCALL2(__HYPERVISOR_update_descriptor, machine_address,
                      descriptor);
}

static inline long hypercall_set_segment_base(unsigned int which,
                                              unsigned long base)
{
    return HYPERCALL2(__HYPERVISOR_set_segment_base, which, base);
}

static inline long hypercall_fpu_taskswitch(bool set)
{
    return HYPERCALL1(__HYPERVISOR_fpu_taskswitch, set);
}

static inline long hypercall_set_debugreg(unsigned int which,
                                          unsigned long value)
{
    return HYPERCALL2(__HYPERVISOR_set_debugreg, which, value);
}

static inline long hypercall_get_debugreg(unsigned int which)
{
    return HYPERCALL1(__HYPERVISOR_get_debugreg, which);
}

/* ---- The rest. ---- */
static inline long hypercall_console_io(unsigned int cmd, unsigned int count,
                                        void *text)
{
    return HYPERCALL3(__HYPERVISOR_console_io, cmd, count, text);
}

static inline long hypercall_xen_version(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_xen_version, cmd, arg);
}

static inline long hypercall_multicall(struct multicall_entry *calls,
                                       unsigned int count)
{
    return HYPERCALL2(__HYPERVISOR_multicall, calls, count);
}

static inline long hypercall_physdev_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_physdev_op, cmd, arg);
}

/* Belfry only; Xen answers -ENOSYS. */
static inline long hypercall_belfry_op(unsigned int cmd, void *arg)
{
    return HYPERCALL2(__HYPERVISOR_belfry_op, cmd, arg);
}

/* A named point of a program under test; without an injector it is nothing. */
static inline void hypercall_belfry_step(uint64_t point)
{
    HYPERCALL2(__HYPERVISOR_belfry_op, BELFRYOP_step, point);
}

/* The two that are to be short go straight to the hypervisor. */
#define HYPERCALL2_DIRECT(number, arg1, arg2)                                  \
    ({                                                                         \
        long hcd_result_ = (number);                                           \
        unsigned long hcd1_ = (arg1), hcd2_ = (arg2);                          \
                                                                               \
        __asm__ volatile("syscall"                                             \
                         : "+a"(hcd_result_), "+D"(hcd1_), "+S"(hcd2_)         \
                         :                                                     \
                         : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");  \
        hcd_result_;                                                           \
    })

static inline long hypercall_belfry_call(uint32_t port, uint64_t deadline)
{
    return HYPERCALL2_DIRECT(__HYPERVISOR_belfry_call, port, deadline);
}

static inline long hypercall_belfry_serve(uint32_t port, uint64_t deadline)
{
    return HYPERCALL2_DIRECT(__HYPERVISOR_belfry_serve, port, deadline);
}

#endif
