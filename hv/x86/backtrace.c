/*
 * Backtraces of the hypervisor itself: return addresses on the stack, named
 * by the symbol table that GRUB has loaded.
 */
#include "hv/x86/backtrace.h"

#include <stdbool.h>

#include "hv/console.h"
#include "hv/x86/layout.h"
#include "hv/x86/page.h"
#include "lib/format.h"
#include "lib/string.h"

#define SECTION_SYMTAB 2u
#define SYMBOL_FUNCTION 2u
#define SYMBOL_NO_TYPE  0u

struct section {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link, info;
    uint64_t align, entry_size;
};

struct symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

extern char text_start[], text_end[];
static const struct symbol *symbols;
static size_t nr_symbols, names_size;
static const char *names;

void backtrace_set_symbols(const uint8_t *headers, uint32_t count,
                           uint32_t entry_size,
                           void (*reserve)(uint64_t start, uint64_t end))
{
    struct section s, strings;

    for (uint32_t i = 0; i < count; i++) {
        memcpy(&s, headers + i * entry_size, sizeof(s));
        if (s.type != SECTION_SYMTAB || s.link >= count)
            continue;
        memcpy(&strings, headers + s.link * entry_size, sizeof(strings));
        symbols = (const struct symbol *)(directmap + s.address);
        nr_symbols = s.size / sizeof(*symbols);
        names = directmap + strings.address;
        names_size = strings.size;
        reserve(s.address, s.address + s.size);
        reserve(strings.address, strings.address + strings.size);
        return;
    }
}

static bool in_text(uint64_t address)
{
    return address >= (uint64_t)text_start && address < (uint64_t)text_end;
}

static const struct symbol *find(uint64_t address)
{
    const struct symbol *best = NULL;

    for (size_t i = 0; i < nr_symbols; i++) {
        const struct symbol *s = &symbols[i];
        uint8_t type = s->info & 15;

        if ((type != SYMBOL_FUNCTION && type != SYMBOL_NO_TYPE) ||
            s->value > address || !in_text(s->value) || s->name >= names_size)
            continue;
        if (!best || s->value > best->value)
            best = s;
    }
    return best;
}

void backtrace_symbol(uint64_t address, char *buf, size_t size)
{
    const struct symbol *s = in_text(address) ? find(address) : NULL;

    if (s)
        format_string(buf, size, "%s+%#lx", names + s->name,
                      address - s->value);
    else
        format_string(buf, size, "%#lx", address);
}

/* Is there a call before this address?  E8 with a relative target in the text,
 * or FF /2 in its two to four bytes. */
static bool is_return_address(uint64_t address)
{
    const uint8_t *after = (const uint8_t *)address;
    int32_t relative;

    if (!in_text(address) || !in_text(address - 7))
        return false;
    memcpy(&relative, after - 4, sizeof(relative));
    if (after[-5] == 0xe8 && in_text(address + (uint64_t)(int64_t)relative))
        return true;
    for (unsigned int n = 2; n <= 4; n++)
        if (after[-(int)n] == 0xff && (after[1 - (int)n] & 0x38) == 0x10)
            return true;
    return false;
}

static void print_call(uint64_t rip)
{
    char text[96];

    backtrace_symbol(rip, text, sizeof(text));
    printk("  %#018lx %s\n", rip, text);
}

/* The code keeps no frame pointers (they cost a hypercall a tenth): every word
 * on the stack that follows a call is shown, so one may be of a call that has
 * returned already. */
void backtrace_print(uint64_t rip, uint64_t rsp)
{
    uint64_t block = rsp & ~(uint64_t)(STACK_BLOCK_SIZE - 1);
    uint64_t page_end = (rsp & ~(uint64_t)(PAGE_SIZE - 1)) + PAGE_SIZE;
    uint64_t main_stack = block + 9 * PAGE_SIZE;
    uint64_t end = rsp >= main_stack ? block + STACK_BLOCK_SIZE : page_end;
    unsigned int depth = 0;

    print_call(rip);
    if (block < STACKS_BASE ||
        block >= STACKS_BASE + (uint64_t)MAX_CPUS * STACK_BLOCK_SIZE)
        return;
    for (uint64_t at = (rsp + 7) & ~7ul; at < end && depth < 24; at += 8)
        if (is_return_address(*(const uint64_t *)at)) {
            print_call(*(const uint64_t *)at);
            depth++;
        }
}
