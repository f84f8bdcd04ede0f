/*
 * Listings: rows of JSON shown as columns for people, or as they are.
 */
#ifndef TOOLS_TABLE_H
#define TOOLS_TABLE_H

#include <jansson.h>

#include "tools/belfry.h"

enum cell {
    CELL_TEXT,
    CELL_NUMBER,
    CELL_TIME,  /* ns as a duration; 0 is "-" */
    CELL_PAGES, /* of 4 KiB, as a size */
    CELL_BYTES,
    CELL_HEX,
};

#define CELL_SIZE 256

struct listing;

struct column {
    const char *title;
    const char *key; /* of the row's value: for the cell and for sorting */
    enum cell cell;
    /* Instead of the value itself; NULL: none.  Returns a number to sort by
     * (the cell's text decides between equal ones). */
    double (*make)(const struct listing *listing, const json_t *row, char *buf,
                   size_t size);
};

struct listing {
    const char *schema;            /* where the reply does not say */
    const struct column *columns;  /* a row without a title is the last */
    const char *name_key;          /* what -q prints; NULL: the first column */
    /* Fill in data (an array) and time.  Complains when it fails. */
    enum status (*gather)(void *context, struct listing *listing);
    /* A line under the table, or nothing. */
    void (*summary)(const struct listing *listing);
    void *context;

    json_t *data;
    json_t *reply;      /* data is part of it, or NULL */
    json_t *last_data;  /* of the last round of --watch */
    int64_t time, last_time; /* ns since the system's boot */
};

/* Gather and show, once or with --watch for ever. */
enum status listing_show(struct listing *listing,
                         const struct options *options);

/* Values of untrusted rows: 0, "" and false for what is not there. */
int64_t row_number(const json_t *row, const char *key);
const char *row_text(const json_t *row, const char *key);
bool row_true(const json_t *row, const char *key);

/* A reply's schema, version, time and data on standard output. */
void print_reply(const json_t *reply);

#endif
