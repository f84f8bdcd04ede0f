/*
 * Listings.
 *
 * Widths come from the cells, so nothing is cut off; text of guests is
 * cleaned before it reaches a terminal.
 */
#include "tools/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "tools/terminal.h"
#include "tools/text.h"

#define MAX_COLUMNS 16

struct table_row {
    const json_t *row;
    char *cell[MAX_COLUMNS];
    double number; /* of the column to sort by */
};

struct table {
    const struct listing *listing;
    size_t nr_columns, nr_rows;
    struct table_row *rows;
    int width[MAX_COLUMNS];
};

/* ---- Values. ------------------------------------------------------------- */

int64_t row_number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

const char *row_text(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "";
}

bool row_true(const json_t *row, const char *key)
{
    return json_is_true(json_object_get(row, key));
}

static void format_integer(enum cell cell, int64_t value, char *buf,
                           size_t size)
{
    uint64_t positive = value > 0 ? (uint64_t)value : 0;

    if (cell == CELL_TIME && positive == 0)
        snprintf(buf, size, "-");
    else if (cell == CELL_TIME)
        text_duration(buf, size, positive);
    else if (cell == CELL_PAGES)
        text_bytes(buf, size, positive << 12);
    else if (cell == CELL_BYTES)
        text_bytes(buf, size, positive);
    else if (cell == CELL_HEX)
        snprintf(buf, size, "%#llx", (unsigned long long)value);
    else
        snprintf(buf, size, "%lld", (long long)value);
}

static double format_value(const struct column *column, const json_t *value,
                           char *buf, size_t size)
{
    if (json_is_string(value)) {
        snprintf(buf, size, "%s", json_string_value(value));
        return 0;
    }
    if (json_is_boolean(value)) {
        snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
        return json_is_true(value);
    }
    if (!json_is_integer(value)) {
        snprintf(buf, size, "-");
        return -1;
    }
    format_integer(column->cell, json_integer_value(value), buf, size);

    return (double)json_integer_value(value);
}

static double fill_cell(const struct table *table, const struct column *column,
                        const json_t *row, char **cell)
{
    char buf[CELL_SIZE] = "";
    double number;

    if (column->make)
        number = column->make(table->listing, row, buf, sizeof(buf));
    else
        number = format_value(column, json_object_get(row, column->key), buf,
                              sizeof(buf));
    text_clean(buf);
    *cell = text_of("%s", *buf ? buf : "-");

    return number;
}

/* ---- The table. ---------------------------------------------------------- */

/* Signs, not bytes: names may be UTF-8. */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;

    return width;
}

static bool is_right_aligned(const struct column *column)
{
    return column->cell != CELL_TEXT;
}

static void build(struct table *table, const struct listing *listing,
                  int sort_column)
{
    const json_t *row;
    size_t index;

    table->listing = listing;
    while (listing->columns[table->nr_columns].title)
        table->nr_columns++;
    table->rows = allocate((json_array_size(listing->data) + 1) *
                           sizeof(*table->rows));
    for (size_t c = 0; c < table->nr_columns; c++)
        table->width[c] = width_of(listing->columns[c].title);
    json_array_foreach(listing->data, index, row) {
        struct table_row *out = &table->rows[table->nr_rows++];

        out->row = row;
        for (size_t c = 0; c < table->nr_columns; c++) {
            double number = fill_cell(table, &listing->columns[c], row,
                                      &out->cell[c]);

            if ((int)c == sort_column)
                out->number = number;
            if (width_of(out->cell[c]) > table->width[c])
                table->width[c] = width_of(out->cell[c]);
        }
    }
}

static void discard(struct table *table)
{
    for (size_t r = 0; r < table->nr_rows; r++) {
        for (size_t c = 0; c < table->nr_columns; c++)
            free(table->rows[r].cell[c]);
    }
    free(table->rows);
}

struct sort_order {
    int column;
    bool descending;
};

static int compare_rows(const void *a, const void *b, void *context)
{
    const struct sort_order *order = context;
    const struct table_row *x = a, *y = b;
    int rc = (x->number > y->number) - (x->number < y->number);

    if (rc == 0)
        rc = strcasecmp(x->cell[order->column], y->cell[order->column]);

    return order->descending ? -rc : rc;
}

/* The column that --sort names ("SENT", "-sent", "p/m"), -1 for none. */
static int find_column(const struct listing *listing, const char *name)
{
    if (!name)
        return -1;
    name += *name == '-';
    for (int i = 0; listing->columns[i].title; i++) {
        const char *title = listing->columns[i].title;
        size_t length = strcspn(title, "(");

        if (!strcasecmp(title, name) ||
            (strlen(name) == length && !strncasecmp(title, name, length)))
            return i;
    }

    return -2;
}

static void complain_no_column(const struct listing *listing, const char *name)
{
    char *have = text_of("%s", "");

    for (int i = 0; listing->columns[i].title; i++) {
        char *longer = text_of("%s%s%s", have, i ? ", " : "",
                               listing->columns[i].title);

        free(have);
        have = longer;
    }
    complain("no column '%s' (have: %s)", name + (*name == '-'), have);
    free(have);
}

static void print_cell(const struct table *table, size_t c, const char *text)
{
    bool last = c + 1 == table->nr_columns;
    int pad = table->width[c] - width_of(text);

    if (c)
        fputs("  ", stdout);
    if (is_right_aligned(&table->listing->columns[c]))
        printf("%*s%s", pad, "", text);
    else
        printf("%s%*s", text, last ? 0 : pad, "");
}

/* Words that something is wrong with. */
static bool is_alarming(const char *text)
{
    static const char *const words[] = {
        "crash", "dying", "PEER-DEAD", "HANDSHAKE", "MASKED", "SELECTOR-LOST",
        "EVENTS-OFF", "STARVED", "HYPERVISOR-BUG", "THROTTLED", "PING-PONG",
        "fault", NULL
    };

    for (size_t i = 0; words[i]; i++) {
        if (!strncmp(text, words[i], strlen(words[i])))
            return true;
    }

    return false;
}

static void print_table(const struct table *table, bool header)
{
    bool colour = terminal_has_colour();

    if (header) {
        fputs(colour ? "\033[1m" : "", stdout);
        for (size_t c = 0; c < table->nr_columns; c++)
            print_cell(table, c, table->listing->columns[c].title);
        puts(colour ? "\033[0m" : "");
    }
    for (size_t r = 0; r < table->nr_rows; r++) {
        for (size_t c = 0; c < table->nr_columns; c++) {
            bool red = colour && is_alarming(table->rows[r].cell[c]);

            fputs(red ? "\033[31m" : "", stdout);
            print_cell(table, c, table->rows[r].cell[c]);
            fputs(red ? "\033[0m" : "", stdout);
        }
        putchar('\n');
    }
}

static void print_names(const struct table *table)
{
    const char *key = table->listing->name_key;

    for (size_t r = 0; r < table->nr_rows; r++) {
        char *name = text_of("%s", key ? row_text(table->rows[r].row, key)
                                       : table->rows[r].cell[0]);

        text_clean(name);
        puts(name);
        free(name);
    }
}

/* ---- JSON. --------------------------------------------------------------- */

void print_reply(const json_t *reply)
{
    json_t *document = json_object();
    const char *const keys[] = { "schema", "version", "time", "data" };

    for (size_t i = 0; i < 4; i++) {
        json_t *value = json_object_get(reply, keys[i]);

        if (value)
            json_object_set(document, keys[i], value);
    }
    json_dumpf(document, stdout, isatty(1) ? JSON_INDENT(2) : JSON_COMPACT);
    putchar('\n');
    json_decref(document);
}

static void print_listing_json(const struct listing *listing)
{
    json_t *document;

    if (listing->reply) {
        print_reply(listing->reply);
        return;
    }
    document = json_pack("{s:s, s:i, s:O}", "schema", listing->schema,
                         "version", 1, "data", listing->data);
    print_reply(document);
    json_decref(document);
}

/* ---- Showing. ------------------------------------------------------------ */

static void show(const struct listing *listing, const struct options *options,
                 int sort_column)
{
    struct table table = { 0 };
    struct sort_order order = {
        sort_column, options->sort && *options->sort == '-'
    };

    if (options->json) {
        print_listing_json(listing);
        return;
    }
    build(&table, listing, sort_column);
    if (sort_column >= 0)
        qsort_r(table.rows, table.nr_rows, sizeof(*table.rows), compare_rows,
                &order);
    if (options->quiet) {
        print_names(&table);
    } else {
        print_table(&table, !options->no_header);
        if (listing->summary)
            listing->summary(listing);
    }
    discard(&table);
}

static void release(struct listing *listing)
{
    if (listing->reply)
        json_decref(listing->reply);
    else
        json_decref(listing->data);
    listing->reply = listing->data = NULL;
}

static enum status show_once(struct listing *listing,
                             const struct options *options, int sort_column)
{
    enum status status = listing->gather(listing->context, listing);

    if (status)
        return status;
    if (!json_is_array(listing->data)) {
        complain("the reply is broken: its data is no array");
        status = STATUS_FAILED;
    } else {
        if (options->watch > 0 && isatty(1) && !options->json)
            fputs("\033[H\033[J", stdout);
        show(listing, options, sort_column);
        fflush(stdout);
    }
    json_decref(listing->last_data);
    listing->last_data = json_incref(listing->data);
    listing->last_time = listing->time;
    release(listing);

    return status;
}

enum status listing_show(struct listing *listing,
                         const struct options *options)
{
    const int sort_column = find_column(listing, options->sort);
    const struct timespec pause = {
        .tv_sec = (time_t)options->watch,
        .tv_nsec = (long)((options->watch - (double)(time_t)options->watch) *
                          1e9),
    };
    enum status status;

    if (sort_column == -2) {
        complain_no_column(listing, options->sort);
        return STATUS_USAGE;
    }
    while ((status = show_once(listing, options, sort_column)) == STATUS_FINE &&
           options->watch > 0 && !ferror(stdout))
        nanosleep(&pause, NULL);
    json_decref(listing->last_data);

    return status;
}
