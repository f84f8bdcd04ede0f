/*
 * Traps, panics and backtraces.
 *
 * A trap that the program has not asked for (trap_catch) ends the domain
 * with reason crash, after a report.  The report trusts nothing: a frame
 * pointer is followed only inside the stack and only upward.
 */
#include "guests/lib/internal.h"
#include "lib/exception.h"
#include "lib/symbols.h"

#define BREAKPOINT  3
#define PAGE_FAULT  14
#define WAS_PRESENT 1u /* in its error: it was no page that was missing */

static trap_fn *trap_handlers[20];

static void print_address(uint64_t address)
{
    char name[96] = "";

    if (address >= (uint64_t)image_begin && address < (uint64_t)text_end)
        symbol_format(name, sizeof(name), symbols_begin, symbols_end, address);
    printf("  %#lx %s\n", address, name);
}

static bool on_stack(uint64_t address)
{
    uint64_t bottom, top;

    vcpu_stack(&bottom, &top);
    return address % 8 == 0 && address >= bottom && address <= top - 16;
}

void backtrace_print(uint64_t rip, uint64_t rbp)
{
    print_address(rip);
    while (on_stack(rbp)) {
        const uint64_t *frame = (const uint64_t *)rbp;

        print_address(frame[1]);
        if (frame[0] <= rbp)
            break;
        rbp = frame[0];
    }
}

/* ---- The end of a program that cannot go on. ---- */

/* A panic while reporting one ends without further words. */
static void begin_report(void)
{
    static bool reporting;

    if (reporting)
        domain_shutdown(SHUTDOWN_crash);
    reporting = true;
    console_break_lock();
}

static _Noreturn void end_report(void)
{
    console_drain();
    domain_shutdown(SHUTDOWN_crash);
}

void panic(const char *fmt, ...)
{
    const uint64_t *frame = __builtin_frame_address(0);
    char text[256];
    va_list args;

    begin_report();
    va_start(args, fmt);
    format_string_v(text, sizeof(text), fmt, args);
    va_end(args);
    printf("panic: %s\n", text);
    backtrace_print(frame[1], frame[0]);
    end_report();
}

/* The failsafe callback comes as a vector behind the exceptions'. */
static const char *trap_name(uint64_t vector)
{
    return vector < 20 ? exception_name((uint32_t)vector)
                       : "segment register not loaded";
}

static void print_registers(const struct trap_regs *r)
{
    printf("  rip %016lx rsp %016lx rflags %lx\n", r->rip, r->rsp, r->rflags);
    printf("  rax %016lx rbx %016lx rcx %016lx\n", r->rax, r->rbx, r->rcx);
    printf("  rdx %016lx rsi %016lx rdi %016lx\n", r->rdx, r->rsi, r->rdi);
    printf("  rbp %016lx r8  %016lx r9  %016lx\n", r->rbp, r->r8, r->r9);
    printf("  r10 %016lx r11 %016lx r12 %016lx\n", r->r10, r->r11, r->r12);
    printf("  r13 %016lx r14 %016lx r15 %016lx\n", r->r13, r->r14, r->r15);
}

/* Faults begin their instruction again: #DE, #BR, #UD, #NM, #TS to #PF, #MF,
 * #AC, #XM. */
#define FAULTS 0xb7ce1u

/* Without handlers the same fault comes again and is the hypervisor's, which
 * ends the domain and can tell vector, address and place from then on. */
static void leave_to_hypervisor(const struct trap_regs *regs)
{
    console_drain();
    if (!guest.on_belfry || regs->vector >= 20 ||
        !(FAULTS >> regs->vector & 1) || hypercall_set_trap_table(NULL))
        domain_shutdown(SHUTDOWN_crash);
}

/* Returns only to meet the fault again. */
static void report_trap(const struct trap_regs *regs)
{
    begin_report();
    printf("trap %lu (%s), error %#lx, cr2 %#lx\n", regs->vector,
           trap_name(regs->vector), regs->error, trap_cr2());
    print_registers(regs);
    backtrace_print(regs->rip, regs->rbp);
    leave_to_hypervisor(regs);
}

/* From entry.asm.  Returning goes on where regs say. */
void trap_taken(struct trap_regs *regs);
void trap_taken(struct trap_regs *regs)
{
    trap_fn *fn = regs->vector < 20 ? trap_handlers[regs->vector] : NULL;

    if (fn && fn(regs))
        return;
    if (regs->vector == PAGE_FAULT && !(regs->error & WAS_PRESENT) &&
        grant_fault(trap_cr2()))
        return;
    report_trap(regs);
}

uint64_t trap_cr2(void)
{
    return guest.shared->vcpu_info[vcpu_id()].arch.cr2;
}

void trap_catch(unsigned int vector, trap_fn *fn)
{
    BUG_ON(vector >= 20 || !trap_entries[vector]);
    trap_handlers[vector] = fn;
}

void trap_init(void)
{
    /* One entry a vector, and the one of zeroes that ends the table. */
    struct trap_info table[21] = { 0 };
    unsigned int n = 0;

    for (unsigned int vector = 0; vector < 20; vector++) {
        if (!trap_entries[vector])
            continue;
        table[n].vector = (uint8_t)vector;
        table[n].cs = FLAT_KERNEL_CS;
        table[n].address = (unsigned long)trap_entries[vector];
        TI_SET_IF(&table[n], 1); /* upcalls stay out of trap handlers */
        if (vector == BREAKPOINT)
            TI_SET_DPL(&table[n], 3);
        n++;
    }
    hypercall_set_trap_table(table);
    hypercall_set_callbacks(upcall_entry, failsafe_entry, NULL);
}
