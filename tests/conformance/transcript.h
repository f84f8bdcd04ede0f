/*
 * Calls whose arguments have names, and the transcript of what they gave.
 *
 * A call is a function that takes each of its arguments from a chooser and
 * ends in result().  The choosers write the name of what they chose into the
 * line, so two hypervisors with other frames and ports print the same line.
 * Chosen is either every combination in turn (an odometer), or at random
 * from a seed.  At random, only a hash of each block of lines is printed,
 * unless a block is asked for in full.
 *
 * Lines of the transcript begin with "| ": nothing else on a console does.
 */
#ifndef CONFORMANCE_TRANSCRIPT_H
#define CONFORMANCE_TRANSCRIPT_H

#include "tests/guest/test.h"

struct value {
    const char *name; /* "!name": not at random, since the results differ */
    uint64_t value;
};

extern struct transcript {
    bool random; /* choose at random, and print hashes */
    bool show;   /* print lines */
    bool plain;  /* the rest of this call has the first of each choice */
    unsigned long lines;
    uint64_t hash; /* of the lines since it was last set to HASH_START */
} transcript;

#define HASH_START 0xcbf29ce484222325ull

/* 0 to n - 1. */
unsigned int choose(unsigned int n);
/* The same at random; 0 when all combinations are made. */
unsigned int choose_at_random(unsigned int n);
/* The odometer's next combination; false after the last. */
bool choose_next(void);

/* One of a list, noted as label=name; names with ! come last in it. */
uint64_t any_of(const char *label, const struct value *list, unsigned int n);
#define ANY(label, ...)                                                        \
    any_of(label, (const struct value[]){ __VA_ARGS__ },                       \
           sizeof((const struct value[]){ __VA_ARGS__ }) /                     \
               sizeof(struct value))

/* Parts of the line: what was called, and what it gave.  line_end() has the
 * line counted, and printed or hashed. */
void line_begin(const char *name);
__attribute__((format(printf, 1, 2))) void line_add(const char *fmt, ...);
void line_end(void);
/* A whole call's end: ": result". */
void result(long rc);

#endif
