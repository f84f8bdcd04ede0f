/*
 * Backtraces of the hypervisor itself: return addresses on the stack, named
 * by the list of functions in the image.
 */
#include "hv/console.h"
#include "hv/machine.h"
#include "hv/x86/layout.h"
#include "lib/string.h"
#include "lib/symbols.h"

extern char text_start[], text_end[];
extern const char symbols_begin[], symbols_end[];

static bool in_text(uint64_t address)
{
    return address >= (uint64_t)text_start && address < (uint64_t)text_end;
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
    char name[96] = "";

    if (in_text(rip))
        symbol_format(name, sizeof(name), symbols_begin, symbols_end, rip);
    printk("  %#018lx %s\n", rip, name);
}

/* The code keeps no frame pointers (they cost a hypercall a tenth): every word
 * on the stack that follows a call is shown, so one may be of a call that has
 * returned already. */
static void print_calls(uint64_t rip, uint64_t rsp)
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

void machine_panic(uint64_t rip, uint64_t rsp)
{
    print_calls(rip, rsp);
    machine_stop(VERDICT_CODE_PANIC, false);
}
