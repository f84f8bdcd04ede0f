/*
 * printf's formatter.
 *
 * Nothing is written beyond the buffer, whatever the format and its
 * arguments; the length is counted on, so that callers can tell.
 */
#include "lib/format.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/string.h"

struct output {
    char *buf;
    size_t size, length;
    va_list args;
};

/* One conversion: %[flags][width][.precision][size]letter. */
struct conversion {
    bool left, zero, alternate, plus, space;
    unsigned int width;
    int precision; /* -1: not given */
    unsigned int bytes; /* size of the integer */
    char letter;
};

static void put(struct output *out, char c)
{
    if (out->length + 1 < out->size)
        out->buf[out->length] = c;
    out->length++;
}

static void put_times(struct output *out, char c, size_t n)
{
    for (; n > 0; n--)
        put(out, c);
}

static void put_bytes(struct output *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(out, s[i]);
}

static bool read_flag(struct conversion *c, char flag)
{
    switch (flag) {
    case '-':
        return c->left = true;
    case '0':
        return c->zero = true;
    case '#':
        return c->alternate = true;
    case '+':
        return c->plus = true;
    case ' ':
        return c->space = true;
    default:
        return false;
    }
}

/* Digits or '*'. Saturates well below INT_MAX. */
static int read_number(struct output *out, const char **fmt)
{
    int n = 0;

    if (**fmt == '*') {
        (*fmt)++;
        return va_arg(out->args, int);
    }
    for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++)
        if (n < 1000000)
            n = n * 10 + (**fmt - '0');
    return n;
}

static unsigned int read_size(const char **fmt)
{
    switch (**fmt) {
    case 'h':
        (*fmt)++;
        if (**fmt != 'h')
            return sizeof(short);
        (*fmt)++;
        return sizeof(char);
    case 'l':
        (*fmt)++;
        if (**fmt == 'l')
            (*fmt)++;
        return sizeof(long);
    case 'z':
    case 't':
    case 'j':
        (*fmt)++;
        return sizeof(long);
    default:
        return sizeof(int);
    }
}

/* @fmt stands behind the '%'; returns behind the letter. */
static const char *read_conversion(struct output *out, struct conversion *c,
                                   const char *fmt)
{
    int width;

    memset(c, 0, sizeof(*c));
    while (read_flag(c, *fmt))
        fmt++;
    width = read_number(out, &fmt);
    if (width < 0) {
        c->left = true;
        width = width == INT_MIN ? INT_MAX : -width;
    }
    c->width = (unsigned int)width;
    c->precision = -1;
    if (*fmt == '.') {
        fmt++;
        c->precision = read_number(out, &fmt);
    }
    c->bytes = read_size(&fmt);
    c->letter = *fmt;

    return *fmt == '\0' ? fmt : fmt + 1;
}

static uint64_t next_unsigned(struct output *out, unsigned int bytes)
{
    if (bytes == sizeof(long))
        return va_arg(out->args, unsigned long);
    /* Smaller types come as int; cut to what the caller named. */
    return va_arg(out->args, unsigned int) & (~0u >> (32 - 8 * bytes));
}

static int64_t next_signed(struct output *out, unsigned int bytes)
{
    int value;

    if (bytes == sizeof(long))
        return va_arg(out->args, long);
    value = va_arg(out->args, int);
    if (bytes == sizeof(char))
        return (signed char)value;
    return bytes == sizeof(short) ? (short)value : value;
}

/* Digits of @value, last first; returns how many (none for 0). */
static unsigned int digits_of(uint64_t value, unsigned int base, bool upper,
                              char *digits)
{
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned int n = 0;

    for (; value != 0; value /= base)
        digits[n++] = set[value % base];
    return n;
}

/* An integer without its sign; @prefix is the sign, or 0x. */
static void put_integer(struct output *out, const struct conversion *c,
                        uint64_t value, unsigned int base, const char *prefix)
{
    char digits[24]; /* 22 octal digits are the longest */
    unsigned int n = digits_of(value, base, c->letter == 'X', digits);
    size_t least = c->precision < 0 ? 1 : (size_t)c->precision;
    size_t zeros = n < least ? least - n : 0;
    size_t length;

    if (base == 8 && c->alternate && zeros == 0)
        zeros = 1;
    length = strlen(prefix) + zeros + n;
    if (c->zero && !c->left && c->precision < 0 && length < c->width) {
        zeros += c->width - length;
        length = c->width;
    }

    if (!c->left && length < c->width)
        put_times(out, ' ', c->width - length);
    put_bytes(out, prefix, strlen(prefix));
    put_times(out, '0', zeros);
    while (n > 0)
        put(out, digits[--n]);
    if (c->left && length < c->width)
        put_times(out, ' ', c->width - length);
}

static void put_signed(struct output *out, const struct conversion *c)
{
    int64_t value = next_signed(out, c->bytes);
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    const char *sign = value < 0 ? "-" : c->plus ? "+" : c->space ? " " : "";

    put_integer(out, c, magnitude, 10, sign);
}

static void put_hex(struct output *out, const struct conversion *c)
{
    uint64_t value = next_unsigned(out, c->bytes);
    const char *prefix = c->letter == 'X' ? "0X" : "0x";

    put_integer(out, c, value, 16, c->alternate && value != 0 ? prefix : "");
}

static void put_pointer(struct output *out, struct conversion *c)
{
    c->precision = 16;
    put_integer(out, c, (uintptr_t)va_arg(out->args, void *), 16, "0x");
}

static void put_text(struct output *out, const struct conversion *c,
                     const char *s, size_t n)
{
    if (!c->left && n < c->width)
        put_times(out, ' ', c->width - n);
    put_bytes(out, s, n);
    if (c->left && n < c->width)
        put_times(out, ' ', c->width - n);
}

static void put_string(struct output *out, const struct conversion *c)
{
    const char *s = va_arg(out->args, const char *);

    if (!s)
        s = "(null)";
    put_text(out, c, s,
             c->precision < 0 ? strlen(s) : strnlen(s, (size_t)c->precision));
}

static void put_conversion(struct output *out, struct conversion *c)
{
    char letter = c->letter;

    switch (letter) {
    case 'd':
    case 'i':
        put_signed(out, c);
        break;
    case 'u':
        put_integer(out, c, next_unsigned(out, c->bytes), 10, "");
        break;
    case 'o':
        put_integer(out, c, next_unsigned(out, c->bytes), 8, "");
        break;
    case 'x':
    case 'X':
        put_hex(out, c);
        break;
    case 'p':
        put_pointer(out, c);
        break;
    case 's':
        put_string(out, c);
        break;
    case 'c':
        letter = (char)va_arg(out->args, int);
        put_text(out, c, &letter, 1);
        break;
    case '\0':
        break;
    default: /* '%', and what we do not know stands for itself */
        put(out, letter);
    }
}

int format_string_v(char *buf, size_t size, const char *fmt, va_list args)
{
    struct output out = { .buf = buf, .size = size };
    struct conversion c;

    va_copy(out.args, args);
    while (*fmt != '\0') {
        if (*fmt != '%') {
            put(&out, *fmt++);
            continue;
        }
        fmt = read_conversion(&out, &c, fmt + 1);
        put_conversion(&out, &c);
    }
    va_end(out.args);
    if (size > 0)
        buf[out.length < size ? out.length : size - 1] = '\0';

    return out.length > INT_MAX ? INT_MAX : (int)out.length;
}

int format_string(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int length;

    va_start(args, fmt);
    length = format_string_v(buf, size, fmt, args);
    va_end(args);

    return length;
}
