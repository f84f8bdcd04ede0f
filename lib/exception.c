#include "lib/exception.h"

static const char *const names[NR_EXCEPTIONS] = {
    "divide error",
    "debug exception",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved exception",
    "x87 error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualisation exception",
    "control protection",
    [28] = "hypervisor injection",
    "VMM communication",
    "security exception",
};

const char *exception_name(uint32_t vector)
{
    if (vector >= NR_EXCEPTIONS)
        return "interrupt";
    return names[vector] ? names[vector] : "reserved exception";
}
