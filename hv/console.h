/*
 * The hypervisor's own voice: COM1, and a log in memory that the control
 * domain reads (BELFRYOP_log).
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line for people.  Goes to the log with a time in front; to COM1 unless
 * the initial domain shows the log (VIRQ_BELFRY_LOG). */
__attribute__((format(printf, 1, 2))) void printk(const char *fmt, ...);

/* As printk, at most a few lines a second for each domain @domid: for lines
 * that a guest can cause. */
__attribute__((format(printf, 2, 3))) void printk_guest(uint16_t domid,
                                                        const char *fmt, ...);

/* From now on lines go to COM1 whoever shows the log, and no lock of the
 * console holds them up: this machine will not go on. */
void console_begin_panic(void);

/* Report and stop the machine with a failing status. */
__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt,
                                                           ...);

#define BUG_ON(cond)                                                           \
    do {                                                                       \
        if (__builtin_expect(!!(cond), 0))                                     \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #cond);              \
    } while (0)

/*
 * keys.c: single-key dumps on COM1, for a system whose control domain hangs:
 * three Ctrl-] switch to them, q switches back.  A byte from COM1; true: it was
 * ours.
 */
bool keys_input(uint8_t byte);

/* Copy the log from *position on; returns bytes, advances *position. */
size_t log_read(void *position, char *buf, size_t size);

#endif
