/* The list is the linker's, so its form is not questioned. */
#include "lib/symbols.h"

#include "lib/format.h"
#include "lib/string.h"

#define DIGITS  16
#define NAME_AT 19 /* behind the address and the kind of symbol */

static uint64_t line_address(const char *line)
{
    uint64_t address = 0;

    for (unsigned int i = 0; i < DIGITS; i++) {
        char c = line[i];

        address = address << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return address;
}

static const char *line_end(const char *line, const char *end)
{
    return memchr(line, '\n', (size_t)(end - line));
}

void symbol_format(char *buf, size_t size, const char *lines, const char *end,
                   uint64_t address)
{
    const char *found = NULL;

    buf[0] = '\0';
    for (const char *line = lines; line < end && line_address(line) <= address;
         line = line_end(line, end) + 1)
        found = line;
    if (found)
        format_string(buf, size, "%.*s+%#lx",
                      (int)(line_end(found, end) - found) - NAME_AT,
                      found + NAME_AT, address - line_address(found));
}
