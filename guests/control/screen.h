/*
 * COM1: everything that people see goes through here, so that what domains
 * print does not destroy the line that is being typed.
 */
#ifndef CONTROL_SCREEN_H
#define CONTROL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Text of any kind; the line being typed is taken away and put back. */
void screen_write(const char *text, size_t n);
__attribute__((format(printf, 1, 2))) void screen_format(const char *fmt, ...);

/* Show this after all that is printed: the prompt with what was typed; NULL
 * or "": nothing.  cursor is the column the cursor stands at. */
void screen_set_line(const char *line, size_t cursor);

/* Print nothing: somebody else has the screen. */
void screen_mute(bool mute);

#endif
