/*
 * The decoder of insn.h.  Every byte is taken by next(), which ends with the
 * bytes there are.
 */
#include "hv/x86/insn.h"

#include "hv/guest_copy.h"
#include "hv/x86/cpu.h"
#include "lib/string.h"

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u
#define LAR_LONG (1u << 21)

/* A selector of the LDT is taken for 32-bit code: its page may be gone. */
bool insn_from_64bit_code(const struct cpu_user_regs *r)
{
    if (r->cs == GUEST_CS)
        return true;
    return !(r->cs & 4) && (load_access_rights(r->cs) & LAR_LONG);
}

/* What lies on the next page may not be there, and not be needed. */
static void fetch(struct insn *i, uint64_t rip)
{
    size_t first = PAGE_SIZE - rip % PAGE_SIZE;

    if (first > INSN_MAX)
        first = INSN_MAX;
    if (guest_copy_from(i->bytes, (const void *)rip, first))
        return;
    i->count = (uint8_t)first;
    if (first < INSN_MAX &&
        !guest_copy_from(i->bytes + first, (const void *)(rip + first),
                         INSN_MAX - first))
        i->count = INSN_MAX;
}

static bool next(struct insn *i, uint8_t *byte)
{
    if (i->length >= i->count)
        return false;
    *byte = i->bytes[i->length++];
    return true;
}

/* Note a prefix; false if the byte is none.  A change of the address size
 * (0x67) is not among them. */
static bool prefix(struct insn *i, uint8_t byte)
{
    if (byte == 0x66)
        i->size = 2;
    else if (byte == 0xf0)
        i->lock = true;
    else if (byte == 0xf2 || byte == 0xf3)
        i->repeated = true;
    else if (byte == 0x64 || byte == 0x65)
        i->segment = byte;
    else /* ES, CS, SS, DS: they say nothing in 64-bit code */
        return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e;
    return true;
}

bool insn_start(struct insn *i, const struct cpu_user_regs *r)
{
    uint8_t byte;

    memset(i, 0, sizeof(*i));
    i->size = 4;
    fetch(i, r->rip);
    do
        if (!next(i, &byte))
            return false;
    while (prefix(i, byte));

    if ((byte & 0xf0) == 0x40) {
        i->rex = byte;
        if (byte & REX_W)
            i->size = 8;
        if (!next(i, &byte))
            return false;
    }
    i->opcode = byte;
    if (byte == 0x0f) {
        if (!next(i, &byte))
            return false;
        i->opcode = (uint16_t)(0x0f00 | byte);
    }
    return true;
}

bool insn_immediate(struct insn *i, unsigned int size, uint64_t *value)
{
    uint64_t x = 0;
    uint8_t byte;

    for (unsigned int n = 0; n < size; n++) {
        if (!next(i, &byte))
            return false;
        x |= (uint64_t)byte << (8 * n);
    }
    *value = size < 8 && x >> (8 * size - 1) ? x | ~insn_mask(size) : x;
    return true;
}

/* ---- Registers. ---- */

static uint64_t *slot(const struct cpu_user_regs *r, unsigned int number)
{
#define AT(name) offsetof(struct cpu_user_regs, name)
    static const uint8_t offset[16] = {
        AT(rax), AT(rcx), AT(rdx), AT(rbx), AT(rsp), AT(rbp), AT(rsi), AT(rdi),
        AT(r8),  AT(r9),  AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
    };
#undef AT
    return (uint64_t *)((uint64_t)r + offset[number & 15]);
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH and BH. */
static unsigned int shift_of(const struct insn *i, unsigned int *number,
                             unsigned int size)
{
    if (size > 1 || i->rex || *number < 4 || *number > 7)
        return 0;
    *number -= 4;
    return 8;
}

uint64_t insn_get(const struct insn *i, const struct cpu_user_regs *r,
                  unsigned int number, unsigned int size)
{
    unsigned int shift = shift_of(i, &number, size);

    return *slot(r, number) >> shift & insn_mask(size);
}

void insn_set(const struct insn *i, struct cpu_user_regs *r,
              unsigned int number, unsigned int size, uint64_t value)
{
    unsigned int shift = shift_of(i, &number, size);
    uint64_t mask = size == 4 ? ~0ull : insn_mask(size) << shift;
    uint64_t *reg = slot(r, number);

    *reg = (*reg & ~mask) | ((value & insn_mask(size)) << shift);
}

/* ---- Memory operands. ---- */

static bool scaled_index(struct insn *i, const struct cpu_user_regs *r,
                         unsigned int mod, bool *no_base)
{
    uint8_t sib;

    if (!next(i, &sib))
        return false;

    unsigned int index = (sib >> 3 & 7) | (i->rex & REX_X ? 8 : 0);

    if (index != 4)
        i->address += *slot(r, index) << (sib >> 6);
    *no_base = mod == 0 && (sib & 7) == 5;
    if (!*no_base)
        i->address += *slot(r, (sib & 7) | (i->rex & REX_B ? 8 : 0));
    return true;
}

static bool memory_operand(struct insn *i, const struct cpu_user_regs *r,
                           unsigned int mod, unsigned int immediate)
{
    bool no_base = false, rip_relative = mod == 0 && (i->rm & 7) == 5;
    uint64_t displacement = 0;

    i->memory = true;
    if (i->segment)
        i->address = i->segment == 0x64 ? read_fsbase() : read_gsbase();
    if ((i->rm & 7) == 4) {
        if (!scaled_index(i, r, mod, &no_base))
            return false;
    } else if (!rip_relative) {
        i->address += *slot(r, i->rm);
    }
    if (mod == 1 && !insn_immediate(i, 1, &displacement))
        return false;
    if ((mod == 2 || no_base || rip_relative) &&
        !insn_immediate(i, 4, &displacement))
        return false;
    i->address += displacement;
    if (rip_relative)
        i->address += r->rip + i->length + immediate;
    return true;
}

/* The two upper bits of ModRM are not among what this notes. */
bool insn_registers(struct insn *i)
{
    uint8_t byte;

    if (!next(i, &byte))
        return false;
    i->reg = (byte >> 3 & 7) | (i->rex & REX_R ? 8 : 0);
    i->rm = (byte & 7) | (i->rex & REX_B ? 8 : 0);
    return true;
}

bool insn_modrm(struct insn *i, const struct cpu_user_regs *r,
                unsigned int immediate)
{
    unsigned int mod;

    if (!insn_registers(i))
        return false;
    mod = i->bytes[i->length - 1] >> 6;
    return mod == 3 || memory_operand(i, r, mod, immediate);
}
