/*
 * When each domain first spoke, seen from outside.
 *
 * The control domain prints a domain's line as "NAME: text".  Time counts
 * from the start of QEMU, firmware and GRUB included: it is what a person
 * waits.
 */
#ifndef TOOLS_FIRSTLINES_H
#define TOOLS_FIRSTLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIRST_LINES_MOST 64

struct first_lines {
    char line[48]; /* the start of the line that is arriving */
    size_t length;
    bool booted; /* the hypervisor has said its name */
    struct {
        char name[32];
        uint64_t ns;
    } domain[FIRST_LINES_MOST];
    size_t nr;
};

/* Bytes of COM1 that arrived ns after QEMU's start. */
void first_lines_feed(struct first_lines *lines, const char *data,
                      size_t length, uint64_t ns);
/* "up: 5 domains in 1.23 s" on stderr, if there is something to say. */
void first_lines_report(const struct first_lines *lines);

#endif
