/* Every machine instruction that C has no word for. */
#ifndef X86_X86_H
#define X86_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/registers.h"

/* Xen's attributes: 0 WB, 1 WT, 2 UC-, 3 UC, 4 WC, 5 WP, 6 UC, 7 UC. */
#define PAT_XEN 0x0000050100070406ULL

struct descriptor_ptr {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(sub));
    return r;
}

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value),
                       "d"((uint32_t)(value >> 32))
                     : "memory");
}

#define X86_REGISTER(name)                                                     \
    static inline uint64_t read_##name(void)                                   \
    {                                                                          \
        uint64_t value;                                                        \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                 \
        return value;                                                          \
    }                                                                          \
    static inline void write_##name(uint64_t value)                            \
    {                                                                          \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");        \
    }
X86_REGISTER(cr0)
X86_REGISTER(cr2)
X86_REGISTER(cr3)
X86_REGISTER(cr4)
X86_REGISTER(dr0)
X86_REGISTER(dr1)
X86_REGISTER(dr2)
X86_REGISTER(dr3)
X86_REGISTER(dr6)
X86_REGISTER(dr7)

#define X86_SELECTOR(name)                                                     \
    static inline uint16_t read_##name(void)                                   \
    {                                                                          \
        uint16_t value;                                                        \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                 \
        return value;                                                          \
    }
X86_SELECTOR(ds)
X86_SELECTOR(es)
X86_SELECTOR(fs)
X86_SELECTOR(gs)

/* Only with CR4.FSGSBASE. */
#define X86_SEGMENT_BASE(name)                                                 \
    static inline uint64_t read_##name(void)                                   \
    {                                                                          \
        uint64_t value;                                                        \
        __asm__ volatile("rd" #name " %0" : "=r"(value));                      \
        return value;                                                          \
    }                                                                          \
    static inline void write_##name(uint64_t value)                            \
    {                                                                          \
        __asm__ volatile("wr" #name " %0" : : "r"(value));                     \
    }
X86_SEGMENT_BASE(fsbase)
X86_SEGMENT_BASE(gsbase)

/* Instructions without an operand, and with one in a register. */
#define X86_PLAIN(name, text)                                                  \
    static inline void name(void)                                              \
    {                                                                          \
        __asm__ volatile(text : : : "memory");                                 \
    }
X86_PLAIN(swapgs, "swapgs")
X86_PLAIN(clear_ts, "clts")
/* Sleep until an interrupt has been taken; interrupts are off again after. */
X86_PLAIN(idle_once, "sti; hlt; cli")
X86_PLAIN(halt, "cli; hlt")
/* Lift SMAP for accesses to guest memory, and put it back. */
X86_PLAIN(stac, "stac")
X86_PLAIN(clac, "clac")

#define X86_OPERAND(name, type, text)                                          \
    static inline void name(type operand)                                      \
    {                                                                          \
        __asm__ volatile(text : : "r"(operand) : "memory");                    \
    }
X86_OPERAND(load_gdt, const struct descriptor_ptr *, "lgdt (%0)")
X86_OPERAND(load_idt, const struct descriptor_ptr *, "lidt (%0)")
X86_OPERAND(load_ldt, uint16_t, "lldt %0")
X86_OPERAND(load_tr, uint16_t, "ltr %0")
X86_OPERAND(invlpg, uint64_t, "invlpg (%0)")

/* The base that SWAPGS would load. */
static inline uint64_t read_shadow_gsbase(void)
{
    uint64_t base;

    swapgs();
    base = read_gsbase();
    swapgs();
    return base;
}

static inline void write_shadow_gsbase(uint64_t base)
{
    swapgs();
    write_gsbase(base);
    swapgs();
}

static inline void xsetbv(uint64_t value)
{
    __asm__ volatile("xsetbv"
                     :
                     : "c"(0), "a"((uint32_t)value),
                       "d"((uint32_t)(value >> 32)));
}

static inline uint64_t read_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* LAR: the second half of the descriptor; 0 if there is none. */
static inline uint32_t load_access_rights(uint16_t selector)
{
    uint32_t rights = 0;

    __asm__ volatile("lar %1, %0" : "+r"(rights) : "r"((uint32_t)selector)
                     : "cc");
    return rights;
}

static inline void xsave(void *area)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(~0u), "d"(~0u)
                     : "memory");
}

static inline void xrstor(const void *area)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(~0u), "d"(~0u)
                     : "memory");
}

/* Bit @bit of memory that a guest writes, in one instruction. */
static inline bool test_bit_at(const uint64_t *words, uint64_t bit)
{
    bool set;

    __asm__ volatile("bt %2, %1" : "=@ccc"(set) : "m"(*words), "r"(bit));
    return set;
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* Store at a guest's address, which has been checked to be none of ours; go
 * to @fault if that cannot be done. */
#define GUEST_STORE(address, value, fault)                                     \
    __asm__ goto("1: movq %1, %0\n"                                            \
                 ".pushsection .ex_table, \"a\"\n"                             \
                 ".long 1b - ., %l2 - .\n"                                     \
                 ".popsection"                                                 \
                 :                                                             \
                 : "m"(*(address)), "er"((uint64_t)(value))                     \
                 : "memory"                                                    \
                 : fault)

/* Load 32 bits from there into @value. */
#define GUEST_LOAD_U32(value, address, fault)                                  \
    __asm__ goto("1: movl %1, %0\n"                                            \
                 ".pushsection .ex_table, \"a\"\n"                             \
                 ".long 1b - ., %l2 - .\n"                                     \
                 ".popsection"                                                 \
                 : "=r"(value)                                                 \
                 : "m"(*(address))                                             \
                 : "memory"                                                    \
                 : fault)

#endif
