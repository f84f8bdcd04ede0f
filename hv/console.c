/*
 * The hypervisor's own voice.
 *
 * Lines go to a ring in memory, always, with the time in front; and to COM1
 * unless the initial domain listens to VIRQ_BELFRY_LOG and so shows them
 * itself; panics always.
 */
#include "hv/console.h"

#include "hv/machine.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "lib/format.h"
#include "lib/string.h"
#include "lib/tail.h"

#define LOG_SIZE    65536u
#define GUEST_LINES 10u /* a second, over all guests */

static spinlock_t log_lock; /* guards the log and its position */
static char log_text[LOG_SIZE];
static uint64_t log_end; /* bytes ever written */
static bool at_line_start = true, panicking;

/* To people, unless the initial domain listens to show it itself, and to the
 * log; CR before LF for terminals. */
static void put_text(const char *text)
{
    for (const char *p = text; *p; p++)
        log_text[log_end++ % LOG_SIZE] = *p;
    if (initial_domain && !panicking &&
        initial_domain->evtchn.global_virq_port[VIRQ_BELFRY_LOG])
        return;
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            serial_com1_write("\r", 1);
        serial_com1_write(p, 1);
    }
}

static void print(const char *fmt, va_list args)
{
    stime_t t = time_scale.mul ? now() : 0;
    char text[256], time[32];
    size_t n;

    format_string(time, sizeof(time), "[%4lu.%06lu] ", t / 1000000000,
                  t / 1000 % 1000000);
    format_string_v(text, sizeof(text), fmt, args);
    n = strlen(text);
    spin_lock(&log_lock);
    if (at_line_start)
        put_text(time);
    put_text(text);
    at_line_start = n && text[n - 1] == '\n';
    spin_unlock(&log_lock);
}

void printk(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    print(fmt, args);
    va_end(args);
    machine_tell(VIRQ_BELFRY_LOG);
}

/* A guest may cause so many lines a second, then one that says how many were
 * left out. */
void printk_guest(uint16_t domid, const char *fmt, ...)
{
    static stime_t second;
    static uint32_t lines, left_out;
    va_list args;

    if (now() - second > 1000000000) {
        if (left_out)
            printk("%u lines about guests left out\n", left_out);
        second = now();
        lines = left_out = 0;
    }
    if (lines++ >= GUEST_LINES) {
        left_out++;
        return;
    }
    printk("d%u: ", domid);
    va_start(args, fmt);
    print(fmt, args);
    va_end(args);
    machine_tell(VIRQ_BELFRY_LOG);
}

void console_begin_panic(void)
{
    log_lock.held = 0; /* whoever holds it will not go on */
    panicking = true;
}

void panic(const char *fmt, ...)
{
    va_list args;

    console_begin_panic();
    printk("\nPANIC on CPU %u: ", nr_cpus ? this_cpu()->id : 0);
    va_start(args, fmt);
    print(fmt, args);
    va_end(args);
    printk("\n");
    machine_panic((uint64_t)__builtin_return_address(0), (uint64_t)&args);
}

size_t log_read(void *position, char *buf, size_t size)
{
    size_t n;

    spin_lock(&log_lock);
    n = tail_read(log_text, LOG_SIZE, log_end, position, buf, size);
    spin_unlock(&log_lock);
    return n;
}
