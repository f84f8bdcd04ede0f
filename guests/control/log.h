/*
 * The log: the last lines of the hypervisor and of all domains, with time and
 * source.  Memory is bounded; a line has a sequence number, from 1.
 */
#ifndef CONTROL_LOG_H
#define CONTROL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINES 1024u
#define LOG_TEXT  216u

struct log_entry {
    uint64_t sequence, time;
    char source[32];
    char text[LOG_TEXT];
};

/* Keep a line, and print "source: text" on COM1. */
__attribute__((format(printf, 2, 3))) void log_line(const char *source,
                                                    const char *fmt, ...);
/* The same of text that is safe to print already (text_escape). */
void log_text(const char *source, const char *text);
/* The oldest line with a sequence above @after, or NULL. */
const struct log_entry *log_after(uint64_t after);
/* The sequence number of the newest line. */
uint64_t log_last(void);

/* The hypervisor's lines: begin to follow them, and take what has come.
 * True: there may be more. */
void log_start(void);
bool log_work(void);

#endif
