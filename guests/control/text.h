/* Text from guests, made safe for a terminal or a JSON string.  Pure. */
#ifndef CONTROL_TEXT_H
#define CONTROL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Length of the valid UTF-8 sequence of a printable character at @p: 1 to 4,
 * or 0 (a control character, or no UTF-8). */
unsigned int utf8_printable(const char *p, size_t n);

/* Copy with control characters and invalid bytes as \xNN, tabs as spaces; cut
 * so that it fits with the terminator.  Returns the length. */
size_t text_escape(char *to, size_t size, const char *from, size_t n);

/* A duration for people: "0 ns", "12.3 us", "4.5 ms", "1.20 s", "3 min". */
void text_duration(char *to, size_t size, uint64_t ns);

#endif
