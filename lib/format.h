/*
 * printf's formatter, for the hypervisor and the guests.
 *
 * %d %i %u %x %X %o %c %s %p %%, flags - 0 # + space, width and precision
 * (also *), lengths hh h l ll z t j.  No floating point.  %p prints 0x and
 * sixteen digits.
 */
#ifndef LIB_FORMAT_H
#define LIB_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* As C's vsnprintf: writes at most size bytes with the terminator, returns
 * the length the whole text would have. */
int format_string_v(char *buf, size_t size, const char *fmt, va_list args);

__attribute__((format(printf, 3, 4))) int
format_string(char *buf, size_t size, const char *fmt, ...);

#endif
