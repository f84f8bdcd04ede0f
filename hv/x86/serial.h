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
/* The interrupt of either; and once when it is routed: they begin to receive. */
void serial_interrupt(void);

/* The whole text, always. */
size_t serial_com1_write(const char *text, size_t n);
/* Bytes taken, 0 to n. */
size_t serial_com2_write(const char *text, size_t n);

/* What has been received by one of these two, up to n bytes. */
extern struct uart serial_com1, serial_com2;
size_t serial_read(void *uart, char *buf, size_t n);
uint32_t serial_com2_lost(void);

#endif
