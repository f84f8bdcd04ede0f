/*
 * Text from guests, made safe.
 *
 * Invariant: no byte below 0x20, no 0x7f, no C1 control and nothing that is
 * not UTF-8 leaves text_escape().
 */
#include "guests/control/text.h"

#include "lib/format.h"
#include "lib/string.h"

static unsigned int sequence_length(uint8_t first)
{
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    if (first >= 0xf0 && first <= 0xf4)
        return 4;
    return 0;
}

unsigned int utf8_printable(const char *p, size_t n)
{
    static const uint32_t smallest[] = { 0, 0, 0xa0, 0x800, 0x10000 };
    uint8_t first = (uint8_t)p[0];
    unsigned int length = sequence_length(first);
    uint32_t code;

    if (first >= 0x20 && first < 0x7f)
        return 1;
    if (length == 0 || length > n)
        return 0;
    code = first & (0x7fu >> length);
    for (unsigned int i = 1; i < length; i++) {
        if (((uint8_t)p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((uint8_t)p[i] & 0x3f);
    }
    if (code < smallest[length] || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

size_t text_escape(char *to, size_t size, const char *from, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n;) {
        unsigned int length = utf8_printable(from + i, n - i);

        if (used + 5 > size)
            break;
        if (length > 0) {
            memcpy(to + used, from + i, length);
            used += length;
            i += length;
        } else if (from[i] == '\t') {
            to[used++] = ' ';
            i++;
        } else {
            used += (size_t)format_string(to + used, 5, "\\x%02x",
                                          (uint8_t)from[i++]);
        }
    }
    to[used] = 0;
    return used;
}

void text_duration(char *to, size_t size, uint64_t ns)
{
    unsigned long long v = ns;

    if (v < 1000)
        format_string(to, size, "%llu ns", v);
    else if (v < 1000000)
        format_string(to, size, "%llu.%llu us", v / 1000, v / 100 % 10);
    else if (v < 1000000000)
        format_string(to, size, "%llu.%llu ms", v / 1000000, v / 100000 % 10);
    else if (v < 600000000000ull)
        format_string(to, size, "%llu.%02llu s", v / 1000000000,
                      v / 10000000 % 100);
    else
        format_string(to, size, "%llu min", v / 60000000000ull);
}
