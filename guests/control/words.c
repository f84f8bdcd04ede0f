/*
 * Splitting a request into words.
 *
 * Invariant: the text written is never longer than the text read, so it can
 * be done in place.
 */
#include "guests/control/words.h"

#include "guests/control/text.h"
#include "lib/errno.h"
#include "lib/string.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The character that an escape at @p (behind the backslash) stands for; a NUL
 * would end the word early and is none. */
static int unescape(const char *p, char *out)
{
    int high, low;

    if (*p == '"' || *p == '\\') {
        *out = *p;
        return 1;
    }
    if (*p != 'x' || (high = hex_digit(p[1])) < 0 ||
        (low = hex_digit(p[2])) < 0 || (high | low) == 0)
        return -EINVAL;
    *out = (char)(high << 4 | low);
    return 3;
}

/* Moves *from behind the closing quote, *to behind what was written. */
static int take_quoted(char **from, char **to)
{
    char *p = *from;

    while (*p != '"') {
        int n = *p == '\\' ? unescape(p + 1, *to) : 0;

        if (n < 0 || *p == 0)
            return -EINVAL;
        if (n > 0) {
            (*to)++;
            p += n + 1;
            continue;
        }
        n = (int)utf8_printable(p, strnlen(p, 4));
        if (n == 0)
            return -EINVAL;
        memmove(*to, p, (size_t)n);
        *to += n;
        p += n;
    }
    *from = p + 1;
    return 0;
}

static int take_plain(char **from, char **to)
{
    char *p = *from;

    while (*p && *p != ' ') {
        if (*p < 0x21 || *p > 0x7e || *p == '"')
            return -EINVAL;
        *(*to)++ = *p++;
    }
    *from = p;
    return 0;
}

int words_split(char *line, const char **words, unsigned int max)
{
    char *from = line, *to = line;
    unsigned int count = 0;

    for (;;) {
        int err;

        while (*from == ' ')
            from++;
        if (*from == 0)
            return (int)count;
        if (count == max)
            return -E2BIG;
        words[count++] = to;
        if (*from == '"') {
            from++;
            err = take_quoted(&from, &to);
        } else {
            err = take_plain(&from, &to);
        }
        if (err || (*from && *from != ' '))
            return -EINVAL;
        if (*from)
            from++;
        *to++ = 0;
    }
}
