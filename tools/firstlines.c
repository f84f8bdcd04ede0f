/*
 * When each domain first spoke.
 */
#include "tools/firstlines.h"

#include <stdio.h>
#include <string.h>

/* What stands before a colon and is no domain. */
static const char *const others[] = { "belfry", "hypervisor", "verdict",
                                      NULL };

static void note_name(struct first_lines *lines, const char *name,
                      size_t length, uint64_t ns)
{
    if (length == 0 || length >= sizeof(lines->domain[0].name) ||
        lines->nr == FIRST_LINES_MOST)
        return;
    for (size_t i = 0; others[i]; i++) {
        if (strlen(others[i]) == length && !memcmp(others[i], name, length))
            return;
    }
    for (size_t i = 0; i < lines->nr; i++) {
        if (strlen(lines->domain[i].name) == length &&
            !memcmp(lines->domain[i].name, name, length))
            return;
    }
    memcpy(lines->domain[lines->nr].name, name, length);
    lines->domain[lines->nr].name[length] = '\0';
    lines->domain[lines->nr++].ns = ns;
}

static void end_line(struct first_lines *lines, uint64_t ns)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const char *line = lines->line;
    size_t length;

    lines->line[lines->length] = '\0';
    lines->length = 0;
    /* Firmware and GRUB have nothing to say about domains. */
    lines->booted |= strstr(line, "] Belfry ") != NULL;
    if (!lines->booted)
        return;
    length = strspn(line, letters);
    if (!strncmp(line + length + strspn(line + length, " "), ": ", 2))
        note_name(lines, line, length, ns);
}

void first_lines_feed(struct first_lines *lines, const char *data,
                      size_t length, uint64_t ns)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n' || data[i] == '\r')
            end_line(lines, ns);
        else if (lines->length < sizeof(lines->line) - 1)
            lines->line[lines->length++] = data[i];
    }
}

void first_lines_report(const struct first_lines *lines)
{
    if (lines->nr == 0)
        return;
    fprintf(stderr, "up: %zu domain%s in %.2f s (", lines->nr,
            lines->nr == 1 ? "" : "s",
            (double)lines->domain[lines->nr - 1].ns / 1e9);
    for (size_t i = 0; i < lines->nr; i++)
        fprintf(stderr, "%s%s %.2f", i ? ", " : "", lines->domain[i].name,
                (double)lines->domain[i].ns / 1e9);
    fputs(")\n", stderr);
}
