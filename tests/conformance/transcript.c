/*
 * The odometer and the line; see transcript.h.
 */
#include "tests/conformance/transcript.h"

#define MAX_DEPTH 24u

struct transcript transcript = { .hash = HASH_START };

static struct {
    unsigned int digit[MAX_DEPTH], limit[MAX_DEPTH];
    unsigned int depth, at;
} wheel;

static char line[320];
static size_t length;

/* ---- Choosing. ---- */

unsigned int choose(unsigned int n)
{
    if (transcript.random)
        return (unsigned int)random_below(n);
    if (transcript.plain)
        return 0;
    BUG_ON(wheel.at == MAX_DEPTH);
    if (wheel.at == wheel.depth) {
        wheel.digit[wheel.depth] = 0;
        wheel.limit[wheel.depth++] = n;
    }
    BUG_ON(wheel.limit[wheel.at] != n);
    return wheel.digit[wheel.at++];
}

unsigned int choose_at_random(unsigned int n)
{
    return transcript.random ? choose(n) : 0;
}

bool choose_next(void)
{
    wheel.at = 0;
    while (wheel.depth > 0) {
        unsigned int last = wheel.depth - 1;

        if (++wheel.digit[last] < wheel.limit[last])
            return true;
        wheel.depth--;
    }
    return false;
}

uint64_t any_of(const char *label, const struct value *list, unsigned int n)
{
    const struct value *v;

    while (transcript.random && list[n - 1].name[0] == '!')
        n--;
    v = &list[choose(n)];
    line_add(" %s=%s", label, v->name[0] == '!' ? v->name + 1 : v->name);
    return v->value;
}

/* ---- The line. ---- */

void line_begin(const char *name)
{
    length = 0;
    line_add("%s", name);
}

void line_add(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    length += (size_t)format_string_v(line + length, sizeof(line) - length,
                                      fmt, args);
    va_end(args);
    BUG_ON(length >= sizeof(line));
}

void line_end(void)
{
    transcript.lines++;
    for (size_t i = 0; i < length; i++)
        transcript.hash = (transcript.hash ^ (uint8_t)line[i]) *
                          0x100000001b3ull;
    if (transcript.show)
        printf("| %s\n", line);
}

void result(long rc)
{
    line_add(": %ld", rc);
}
