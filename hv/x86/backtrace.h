/* Backtraces of the hypervisor itself. */
#ifndef X86_BACKTRACE_H
#define X86_BACKTRACE_H

#include <stdint.h>

/* Print the calls that led to @rip with the stack at @rsp. */
void backtrace_print(uint64_t rip, uint64_t rsp);

#endif
