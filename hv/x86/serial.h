/*
 * The two 16550 UARTs.  COM1 is the machine's console; COM2 a byte stream
 * for the initial domain.
 *
 * Output to COM1 waits for the line (a person or a log reads it).  Output to
 * COM2 goes through a buffer and the transmit interrupt, so that a client
 * that does not read stops nobody.
 */
#ifndef X86_SERIAL_H
#define X86_SERIAL_H

#include <stddef.h>
#include <stdint.h>

/* Early: polled output only. */
void serial_init(void);
/* Interrupts are routed: begin to receive. */
void serial_start(void);
/* The interrupt of either. */
void serial_interrupt(void);

/* COM1. */
void serial_com1_write(const char *text, size_t n);
size_t serial_com1_read(char *buf, size_t n);

/* COM2: bytes taken or given, 0 to n. */
size_t serial_com2_write(const void *buf, size_t n);
size_t serial_com2_read(void *buf, size_t n);
uint32_t serial_com2_lost(void);

#endif
