/*
 * The emitter's back end for people: rows under headings, or "key: value".
 *
 * With columns, each object in an array is a row and a column picks one value
 * of it by its path ("ends.0.port"); without, every value is a line.
 */
#ifndef CONTROL_TABLE_H
#define CONTROL_TABLE_H

#include "guests/control/emit.h"

/* A column's style. */
#define STYLE_TEXT  0
#define STYLE_TIME  't' /* nanoseconds as a duration */
#define STYLE_PAGES 'p' /* pages as MiB */
#define STYLE_BIT   'b' /* truth as 1 or 0 */

struct column {
    const char *head, *path;
    char style;
};

#define TABLE_COLUMNS 16u
#define TABLE_ROWS    256u
#define TABLE_TEXT    (32u * 1024u)
#define TABLE_DEPTH   8u

struct table {
    struct emit emit;
    const struct column *columns; /* ended by one without a head; or NULL */
    unsigned int nr_columns, nr_rows;
    unsigned int depth, row_depth;
    bool head_shown;
    struct {
        bool array;
        unsigned int next; /* index of the next element */
        size_t path;       /* length of path[] outside of it */
    } level[TABLE_DEPTH];
    char path[128];
    size_t path_length;
    size_t used;
    uint32_t cell[TABLE_ROWS][TABLE_COLUMNS]; /* where in text, 0: nothing */
    char text[TABLE_TEXT];
};

void table_init(struct table *t, const struct column *columns);
/* Print what has been gathered. */
void table_finish(struct table *t);

#endif
