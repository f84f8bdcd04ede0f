/*
 * Backtraces of the hypervisor itself.  The chain of frame pointers is
 * followed only while it stays on this CPU's stacks.
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

static bool on_stack(uint64_t address)
{
    return address >= STACKS_BASE && address % 8 == 0 &&
           address < STACKS_BASE + (uint64_t)MAX_CPUS * STACK_BLOCK_SIZE - 16;
}

void backtrace_print(uint64_t rip, uint64_t rbp)
{
    char text[96];

    for (unsigned int depth = 0; depth < 24; depth++) {
        const uint64_t *frame = (const uint64_t *)rbp;

        backtrace_symbol(rip, text, sizeof(text));
        printk("  %#018lx %s\n", rip, text);
        if (!on_stack(rbp) || !in_text(frame[1]))
            return;
        rip = frame[1];
        /* Stacks grow down: an outer frame is above, or the chain is bad. */
        if (frame[0] <= rbp && frame[0] != 0)
            return;
        rbp = frame[0];
    }
}
