/*
 * Names of a program's functions, from the list that a second link puts into
 * the program itself: the lines of nm, sorted by address.
 */
#ifndef LIB_SYMBOLS_H
#define LIB_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* "guest_start+0x1c" of @address by the list [lines, end), each line like
 * "0000000040001000 T guest_start"; "" if all of them lie behind it. */
void symbol_format(char *buf, size_t size, const char *lines, const char *end,
                   uint64_t address);

#endif
