/*
 * Tables for the shell.
 *
 * Invariant: memory is bounded; a table that outgrows it is printed in parts,
 * each with widths of its own.
 */
#include "guests/control/table.h"

#include "guests/control/screen.h"
#include "guests/control/text.h"
#include "lib/format.h"
#include "lib/list.h"
#include "lib/string.h"

static const char *cell_text(const struct table *t, unsigned int row,
                             unsigned int column)
{
    uint32_t at = t->cell[row][column];

    return at ? t->text + at : "-";
}

static size_t column_width(const struct table *t, unsigned int column)
{
    size_t width = strlen(t->columns[column].head);

    for (unsigned int row = 0; row < t->nr_rows; row++) {
        size_t n = strlen(cell_text(t, row, column));

        width = n > width ? n : width;
    }
    return width;
}

/* One line: the headings (row < 0) or a row. */
static void print_row(const struct table *t, const size_t *width, int row)
{
    char line[1024];
    size_t used = 0;

    for (unsigned int c = 0; c < t->nr_columns; c++) {
        const char *text =
            row < 0 ? t->columns[c].head : cell_text(t, (unsigned int)row, c);
        bool more = c + 1 < t->nr_columns;
        int n = format_string(line + used, sizeof(line) - used, "%-*s",
                              more ? (int)width[c] + 2 : 0, text);

        used += (size_t)n;
        if (used >= sizeof(line) - 2)
            break;
    }
    used = used < sizeof(line) - 2 ? used : sizeof(line) - 2;
    line[used++] = '\n';
    screen_write(line, used);
}

static void flush(struct table *t)
{
    size_t width[TABLE_COLUMNS];

    for (unsigned int c = 0; c < t->nr_columns; c++)
        width[c] = column_width(t, c);
    if (!t->head_shown)
        print_row(t, width, -1);
    t->head_shown = true;
    for (unsigned int row = 0; row < t->nr_rows; row++)
        print_row(t, width, (int)row);
    t->nr_rows = 0;
    t->used = 1;
}

void table_finish(struct table *t)
{
    if (t->columns)
        flush(t);
}

/* ---- The path of the value that is being given. ---- */

static void path_push(struct table *t, const char *key)
{
    size_t room = sizeof(t->path) - t->path_length;
    int n;

    if (!key)
        key = "";
    if (t->depth > 0 && t->level[t->depth - 1].array)
        n = format_string(t->path + t->path_length, room, ".%u",
                          t->level[t->depth - 1].next++);
    else
        n = format_string(t->path + t->path_length, room, ".%s", key);
    t->path_length += (size_t)n < room ? (size_t)n : room - 1;
}

static void path_cut(struct table *t, size_t length)
{
    t->path_length = length;
    t->path[length] = 0;
}

static void begin_row(struct table *t)
{
    if (t->nr_rows == TABLE_ROWS || t->used > TABLE_TEXT - 4096)
        flush(t);
    memset(t->cell[t->nr_rows], 0, sizeof(t->cell[0]));
    t->row_depth = t->depth;
    path_cut(t, 0);
}

static void table_open(struct emit *e, const char *key, bool array)
{
    struct table *t = container_of(e, struct table, emit);
    size_t outside = t->path_length;
    bool in_array = t->depth > 0 && t->level[t->depth - 1].array;

    if (t->depth == TABLE_DEPTH)
        return;
    if (t->depth > 0)
        path_push(t, key);
    t->level[t->depth].array = array;
    t->level[t->depth].next = 0;
    t->level[t->depth].path = outside;
    t->depth++;
    if (t->columns && t->row_depth == 0 && !array && in_array)
        begin_row(t);
}

static void table_close(struct emit *e, bool array)
{
    struct table *t = container_of(e, struct table, emit);

    (void)array;
    if (t->depth == t->row_depth) {
        t->row_depth = 0;
        t->nr_rows++;
    }
    t->depth--;
    path_cut(t, t->level[t->depth].path);
}

static uint64_t number_of(const char *text)
{
    uint64_t value = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

static void render(char *to, size_t size, char style, enum emit_kind kind,
                   const char *text, size_t n)
{
    if (kind == EMIT_NULL || (kind == EMIT_STRING && n == 0))
        string_copy(to, "-", size);
    else if (style == STYLE_TIME)
        text_duration(to, size, number_of(text));
    else if (style == STYLE_PAGES)
        format_string(to, size, "%llu.%llu MiB",
                      (unsigned long long)number_of(text) / 256,
                      (unsigned long long)(number_of(text) % 256) * 10 / 256);
    else if (style == STYLE_BIT)
        string_copy(to, text[0] == 't' ? "1" : "0", size);
    else
        text_escape(to, size, text, n);
}

static void keep_cell(struct table *t, unsigned int column, enum emit_kind kind,
                      const char *text, size_t n)
{
    char *to = t->text + t->used;
    size_t room = TABLE_TEXT - t->used < 200 ? TABLE_TEXT - t->used : 200;

    if (room < 8)
        return;
    render(to, room, t->columns[column].style, kind, text, n);
    t->cell[t->nr_rows][column] = (uint32_t)t->used;
    t->used += strlen(to) + 1;
}

static void table_value(struct emit *e, const char *key, enum emit_kind kind,
                        const char *text, size_t n)
{
    struct table *t = container_of(e, struct table, emit);
    size_t outside = t->path_length;
    char shown[1100];

    if (!t->columns) {
        render(shown, sizeof(shown), STYLE_TEXT, kind, text, n);
        if (key)
            path_push(t, key);
        screen_format("%s%s%s\n", t->path_length ? t->path + 1 : "",
                      t->path_length ? ": " : "", shown);
        path_cut(t, outside);
        return;
    }
    path_push(t, key);
    for (unsigned int c = 0; t->row_depth && c < t->nr_columns; c++)
        if (strcmp(t->columns[c].path, t->path + 1) == 0)
            keep_cell(t, c, kind, text, n);
    path_cut(t, outside);
}

void table_init(struct table *t, const struct column *columns)
{
    static const struct emit_ops ops = { table_open, table_close, table_value };

    memset(t, 0, offsetof(struct table, cell));
    t->emit.ops = &ops;
    t->columns = columns;
    t->used = 1; /* 0 means no text */
    while (columns && columns[t->nr_columns].head)
        t->nr_columns++;
}
