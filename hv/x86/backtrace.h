/* Backtraces of the hypervisor itself, with the symbols GRUB loaded. */
#ifndef X86_BACKTRACE_H
#define X86_BACKTRACE_H

#include <stddef.h>
#include <stdint.h>

/* The section headers as GRUB passed them; calls reserve(start, end) for the
 * machine addresses of the tables it keeps. */
void backtrace_set_symbols(const uint8_t *headers, uint32_t count,
                           uint32_t entry_size,
                           void (*reserve)(uint64_t start, uint64_t end));
/* "name+0x1c" of an address in the hypervisor, or its number. */
void backtrace_symbol(uint64_t address, char *buf, size_t size);
/* Print the calls that led to @rip with the stack at @rsp. */
void backtrace_print(uint64_t rip, uint64_t rsp);

#endif
