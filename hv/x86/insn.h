/*
 * A decoder for the few instructions that are emulated for guests.
 *
 * Hostile bytes: they are copied in once, and only the copy is looked at.
 * 64-bit code only; whoever calls asks insn_from_64bit_code() first.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

#define INSN_MAX 15u

struct insn {
    uint8_t bytes[INSN_MAX];
    uint8_t count, length; /* how many there are; how many were taken */
    bool lock, repeated;
    uint8_t rex, segment; /* segment: 0x64 FS, 0x65 GS, 0 none */
    uint8_t size;         /* of the operands by the prefixes: 2, 4 or 8 */
    uint16_t opcode;      /* 0x0fXX if it has two bytes */
    bool memory;          /* the r/m operand is, and here: */
    uint64_t address;
    uint8_t reg, rm; /* register numbers, 0 to 15 */
};

/* Does the frame's code segment hold 64-bit code, in the GDT? */
bool insn_from_64bit_code(const struct cpu_user_regs *r);
/* Copy the bytes at rip and take prefixes and opcode. */
bool insn_start(struct insn *i, const struct cpu_user_regs *r);
/* Take ModRM and what follows it; @immediate bytes come behind that. */
bool insn_modrm(struct insn *i, const struct cpu_user_regs *r,
                unsigned int immediate);
/* Take ModRM, whose r/m is a register whatever the rest says (CRn, DRn). */
bool insn_registers(struct insn *i);
/* Take an immediate of 1, 2 or 4 bytes, sign-extended. */
bool insn_immediate(struct insn *i, unsigned int size, uint64_t *value);

/* A general register, by number; of @size bytes: 1, 2, 4 or 8. */
uint64_t insn_get(const struct insn *i, const struct cpu_user_regs *r,
                  unsigned int number, unsigned int size);
void insn_set(const struct insn *i, struct cpu_user_regs *r,
              unsigned int number, unsigned int size, uint64_t value);

static inline uint64_t insn_mask(unsigned int size)
{
    return ~0ull >> (64 - 8 * size);
}

#endif
