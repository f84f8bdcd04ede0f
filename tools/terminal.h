/*
 * The user's terminal.
 */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>

/* Pass every key on as it is, if standard input is a terminal.  keep_output:
 * newlines of what is printed still return the carriage. */
void terminal_make_raw(bool keep_output);
void terminal_restore(void);

/* May standard output be coloured? */
bool terminal_has_colour(void);

#endif
