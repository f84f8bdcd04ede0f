/*
 * Small things that every file of the tool needs: complaints, allocation,
 * sizes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"
#include "tools/text.h"

void complain(const char *fmt, ...)
{
    va_list args;

    fflush(stdout);
    fputs("belfry: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static void out_of_memory(void)
{
    complain("out of memory");
    exit(STATUS_FAILED);
}

void *allocate(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (!p)
        out_of_memory();

    return p;
}

void *reallocate(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);

    if (!p)
        out_of_memory();

    return p;
}

char *text_of(const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        out_of_memory();
    va_end(args);

    return text;
}

bool parse_size(const char *text, uint64_t *bytes)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned int shift = 20;

    if (end == text || *text == '-')
        return false;
    if (*end && strchr("kK", *end))
        shift = 10;
    else if (*end && strchr("gG", *end))
        shift = 30;
    else if (*end && !strchr("mM", *end))
        return false;
    if (*end && end[1])
        return false;
    if (n > UINT64_MAX >> shift)
        return false;
    *bytes = n << shift;

    return true;
}

void text_duration(char *buf, size_t size, uint64_t ns)
{
    if (ns < 1000)
        snprintf(buf, size, "%uns", (unsigned int)ns);
    else if (ns < 1000000)
        snprintf(buf, size, "%.1fus", (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(buf, size, "%.1fms", (double)ns / 1e6);
    else if (ns < 100 * 1000000000ull)
        snprintf(buf, size, "%.1fs", (double)ns / 1e9);
    else if (ns < 3600 * 1000000000ull)
        snprintf(buf, size, "%um%02us", (unsigned int)(ns / 60000000000ull),
                 (unsigned int)(ns / 1000000000ull % 60));
    else
        snprintf(buf, size, "%uh%02um",
                 (unsigned int)(ns / 3600000000000ull),
                 (unsigned int)(ns / 60000000000ull % 60));
}

void text_bytes(char *buf, size_t size, uint64_t bytes)
{
    static const char units[] = "KMGT";
    unsigned int unit = 0;

    if (bytes < 1024) {
        snprintf(buf, size, "%uB", (unsigned int)bytes);
        return;
    }
    while (bytes >= 1024 * 1024 && unit < sizeof(units) - 2) {
        bytes /= 1024;
        unit++;
    }
    if (bytes % 1024 == 0 || bytes >= 100 * 1024)
        snprintf(buf, size, "%u%c", (unsigned int)(bytes / 1024), units[unit]);
    else
        snprintf(buf, size, "%.1f%c", (double)bytes / 1024, units[unit]);
}

void text_clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
        if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = '?'; /* U+0080 to U+009F */
    }
}
