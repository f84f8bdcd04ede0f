/*
 * Writes of a guest's kernel to its own L1 tables, which it may only map
 * read-only: each becomes an update that is validated as mmu_update's are.
 *
 * The entry is exchanged by compare-and-swap, so the accessed and dirty bits
 * that a CPU sets meanwhile are in what the guest gets back.
 */
#include "hv/x86/emulate.h"

#include "hv/guest_copy.h"
#include "hv/refused.h"
#include "hv/x86/insn.h"
#include "hv/x86/pte.h"
#include "hv/x86/x86.h"

#define FAULT_PRESENT 1u
#define FAULT_WRITE   2u

/* Those that arithmetic sets. */
#define FLAGS                                                                  \
    (EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF)

enum kind { MOV, XCHG, CMPXCHG, OR, AND, BTS, BTR };

struct table_write {
    enum kind kind;
    unsigned int size;
    uint64_t operand; /* what is stored, combined with, or the bit's number */
    uint64_t address;
};

/* ---- Which instruction. ---- */

/* Forms with a register: 88/89 MOV and so on, 8 or more bits by bit 0. */
static bool decode_register(struct insn *i, const struct cpu_user_regs *r,
                            struct table_write *w, enum kind kind)
{
    w->kind = kind;
    w->size = i->opcode & 1 ? i->size : 1;
    if (!insn_modrm(i, r, 0))
        return false;
    w->operand = insn_get(i, r, i->reg, w->size);
    return true;
}

static bool decode_immediate(struct insn *i, const struct cpu_user_regs *r,
                             struct table_write *w)
{
    unsigned int bytes;

    w->size = i->opcode & 1 ? i->size : 1;
    bytes = i->opcode == 0x83 ? 1 : w->size > 4 ? 4 : w->size;
    if (!insn_modrm(i, r, bytes))
        return false;
    if (i->opcode == 0xc6 || i->opcode == 0xc7)
        w->kind = MOV;
    else
        w->kind = (i->reg & 7) == 1 ? OR : AND;
    if ((i->reg & 7) != (w->kind == MOV ? 0 : w->kind == OR ? 1 : 4))
        return false;
    return insn_immediate(i, bytes, &w->operand);
}

/* The number of the bit is taken within the operand... */
static bool decode_bit_immediate(struct insn *i, const struct cpu_user_regs *r,
                                 struct table_write *w)
{
    w->size = i->size;
    if (!insn_modrm(i, r, 1) || !insn_immediate(i, 1, &w->operand))
        return false;
    w->operand &= 8 * w->size - 1;
    w->kind = (i->reg & 7) == 5 ? BTS : BTR;
    return (i->reg & 7) == 5 || (i->reg & 7) == 6;
}

/* ... but in a register it is signed, and reaches beyond. */
static bool decode_bit_register(struct insn *i, const struct cpu_user_regs *r,
                                struct table_write *w)
{
    unsigned int bits = 8 * i->size;
    int64_t bit;

    w->kind = i->opcode == 0x0fab ? BTS : BTR;
    w->size = i->size;
    if (!insn_modrm(i, r, 0))
        return false;
    bit = (int64_t)(insn_get(i, r, i->reg, w->size) << (64 - bits)) >>
          (64 - bits);
    w->operand = (uint64_t)bit & (bits - 1);
    i->address += (uint64_t)((bit >> 3) & -(int64_t)w->size);
    return true;
}

static bool decode(struct insn *i, const struct cpu_user_regs *r,
                   struct table_write *w)
{
    switch (i->opcode) {
    case 0x88 ... 0x89:
        return !i->lock && decode_register(i, r, w, MOV);
    case 0x86 ... 0x87:
        return decode_register(i, r, w, XCHG);
    case 0x0fb0 ... 0x0fb1:
        return decode_register(i, r, w, CMPXCHG);
    case 0x08 ... 0x09:
        return decode_register(i, r, w, OR);
    case 0x20 ... 0x21:
        return decode_register(i, r, w, AND);
    case 0xc6 ... 0xc7:
        return !i->lock && decode_immediate(i, r, w);
    case 0x80 ... 0x81:
    case 0x83:
        return decode_immediate(i, r, w);
    case 0x0fba:
        return decode_bit_immediate(i, r, w);
    case 0x0fab:
    case 0x0fb3:
        return decode_bit_register(i, r, w);
    default:
        return false;
    }
}

/* ---- What it does to the operand, and to the flags. ---- */

static bool sign(uint64_t value, unsigned int size)
{
    return value >> (8 * size - 1) & 1;
}

static uint64_t result_flags(uint64_t value, unsigned int size)
{
    return (__builtin_parity((uint8_t)value) ? 0 : EFLAGS_PF) |
           (value & insn_mask(size) ? 0 : EFLAGS_ZF) |
           (sign(value, size) ? EFLAGS_SF : 0);
}

/* As CMP sets them. */
static uint64_t compare_flags(uint64_t a, uint64_t b, unsigned int size)
{
    uint64_t difference = a - b;

    return result_flags(difference, size) | (a < b ? EFLAGS_CF : 0) |
           ((a ^ b ^ difference) & 0x10 ? EFLAGS_AF : 0) |
           (sign((a ^ b) & (a ^ difference), size) ? EFLAGS_OF : 0);
}

/* What the operand becomes that was @old, and the flags. */
static uint64_t operate(const struct table_write *w, uint64_t old,
                        uint64_t accumulator, uint64_t *flags)
{
    uint64_t new = w->operand, bit = 1ull << w->operand % 64;
    uint64_t changed = FLAGS, set;

    switch (w->kind) {
    case MOV:
    case XCHG:
        return new;
    case CMPXCHG:
        set = compare_flags(accumulator, old, w->size);
        new = accumulator == old ? new : old;
        break;
    case OR:
    case AND:
        new = w->kind == OR ? old | new : old & new;
        set = result_flags(new, w->size);
        break;
    default:
        changed = EFLAGS_CF;
        set = old & bit ? EFLAGS_CF : 0;
        new = w->kind == BTS ? old | bit : old & ~bit;
    }
    *flags = (*flags & ~changed) | set;
    return new;
}

/* ---- The entry. ---- */

/* The validated L1 table of the guest's that @va maps read-only, or NULL.
 * pt_lock held. */
static struct page *table_at(struct vcpu *v, uint64_t va)
{
    struct page *table;
    uint64_t *slot = pagetable_walk(v, va);
    uint64_t entry = slot ? read_once(slot) : 0;

    if (!(entry & PTE_PRESENT) || (entry & PTE_RW))
        return NULL;
    table = page_of(pte_frame(entry));
    if (read_once(&table->owner) != v->domain || pagetable_level(table) != 1)
        return NULL;
    return table;
}

/* 0, or what the update was refused with. */
static int apply(struct vcpu *v, struct cpu_user_regs *r, const struct insn *i,
                 const struct table_write *w, struct page *table)
{
    unsigned int shift = (unsigned int)(w->address % 8) * 8;
    unsigned int index = (unsigned int)(w->address % PAGE_SIZE / 8);
    uint64_t mask = insn_mask(w->size), accumulator = r->rax & mask;
    uint64_t entry, old, new, flags;
    int rc;

    do {
        flags = r->rflags;
        entry = pagetable_entry(table, index);
        old = entry >> shift & mask;
        new = operate(w, old, accumulator, &flags) & mask;
        rc = pagetable_exchange(v, table, index, entry,
                                (entry & ~(mask << shift)) | new << shift);
    } while (rc == -EAGAIN); /* twice at most: the accessed, the dirty bit */
    if (rc)
        return rc;
    r->rflags = flags;
    if (w->kind == XCHG)
        insn_set(i, r, i->reg, w->size, old);
    else if (w->kind == CMPXCHG && accumulator != old)
        insn_set(i, r, 0, w->size, old);
    return 0;
}

bool emulate_table_write(struct vcpu *v, struct cpu_user_regs *r,
                         uint64_t address)
{
    struct table_write w = { .address = address };
    struct page *table;
    struct insn i;
    int rc = 0;

    if ((r->error_code & ~PTE_USER) != (FAULT_PRESENT | FAULT_WRITE) ||
        !v->arch.kernel_mode || !insn_from_64bit_code(r) ||
        !insn_start(&i, r) || i.repeated || !decode(&i, r, &w) || !i.memory ||
        i.address != address || address % w.size)
        return false;

    spin_lock(&v->domain->pt_lock);
    table = table_at(v, address);
    if (table)
        rc = apply(v, r, &i, &w, table);
    spin_unlock(&v->domain->pt_lock);

    if (rc)
        refused_record(v, "write to a page table", address, rc);
    if (!table || rc)
        return false;
    emulate_done(v, r, i.length);
    return true;
}
