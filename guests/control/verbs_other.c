/*
 * Verbs about lines and the store.
 *
 * Invariant: fields are those of docs/protocol.md.
 */
#include "guests/control/log.h"
#include "guests/control/verbs.h"
#include "lib/errno.h"

/* ---- log ---- */

#define LINES_MAX 100u

static int run_log(struct call *c)
{
    const struct log_entry *l;
    uint64_t after = 0;
    struct emit *e = c->emit;

    if (c->argc && !parse_u64(c->argv[0], &after))
        return call_fail(c, CODE_USAGE, "log: %s is not a number", c->argv[0]);
    emit_object(e, "data");
    emit_array(e, "lines");
    for (unsigned int n = 0; n < LINES_MAX && (l = log_after(after)); n++) {
        emit_object(e, NULL);
        emit_number(e, "sequence", l->sequence);
        emit_number(e, "time", l->time);
        emit_string(e, "source", l->source);
        emit_string(e, "text", l->text);
        emit_object_end(e);
        after = l->sequence;
    }
    emit_array_end(e);
    emit_number(e, "next", after);
    emit_object_end(e);
    return 0;
}

static const struct column log_columns[] = {
    { "TIME", "time", STYLE_TIME },
    { "SOURCE", "source", 0 },
    { "TEXT", "text", 0 },
    { NULL, NULL, 0 },
};

/* ---- console ---- */

static int emit_console(struct call *c, uint64_t position, const char *text,
                        size_t n)
{
    emit_object(c->emit, "data");
    emit_number(c->emit, "position", position);
    emit_bytes(c->emit, "text", text, n);
    emit_object_end(c->emit);
    return 0;
}

/* What is kept of a domain that is gone. */
static int console_of_ended(struct call *c, const struct ended *e,
                            uint64_t position)
{
    bool read = position >= e->tail_length;

    return emit_console(c, e->tail_length, e->tail, read ? 0 : e->tail_length);
}

static int run_console(struct call *c)
{
    static char text[DOMCON_KEPT];
    uint64_t position = 0;
    struct dom *d;
    size_t n;
    int code;

    if (c->argc > 1 && !parse_u64(c->argv[1], &position))
        return call_fail(c, CODE_USAGE, "console: %s is not a number",
                         c->argv[1]);
    if (!dom_by_name(c->argv[0]) && ended_by_name(c->argv[0]))
        return console_of_ended(c, ended_by_name(c->argv[0]), position);
    code = call_other(c, c->argv[0], &d);
    if (code)
        return code;
    n = c->argc > 2 ? strlen(c->argv[2]) : 0;
    if (n > 0 && domcon_type(&d->console, c->argv[2], n) < n)
        return call_fail(c, CODE_FAILED,
                         "console %s: it does not read what is typed",
                         c->argv[0]);
    n = domcon_read(&d->console, &position, text, sizeof(text));
    return emit_console(c, position, text, n);
}

/* ---- store ---- */

static int store_failed(struct call *c, int err)
{
    return call_fail(c, err == -ENOENT ? CODE_NOT_FOUND : CODE_FAILED,
                     "store %s %s: %s", c->argv[0], c->argv[1],
                     err == -ENOENT ? "not found" : errno_name(err));
}

static int emit_empty(struct call *c)
{
    emit_object(c->emit, "data");
    emit_object_end(c->emit);
    return 0;
}

static int store_ls(struct call *c, const char *path)
{
    static char names[64 * 1024];
    size_t filled, total;
    uint64_t generation;
    int err = tree_list(store.tree, NULL, 0, path, 0, names, sizeof(names),
                        &filled, &total, &generation);

    if (err)
        return store_failed(c, err);
    emit_array(c->emit, "data");
    for (const char *p = names; p < names + filled; p += strlen(p) + 1)
        emit_string(c->emit, NULL, p);
    emit_array_end(c->emit);
    return 0;
}

static int store_read_value(struct call *c, const char *path)
{
    const void *value;
    size_t n;
    int err = tree_read(store.tree, NULL, 0, path, &value, &n);

    if (err)
        return store_failed(c, err);
    emit_object(c->emit, "data");
    emit_bytes(c->emit, "value", value, n);
    emit_object_end(c->emit);
    return 0;
}

static int run_store(struct call *c)
{
    const char *action = c->argv[0], *path = c->argv[1];
    int err;

    if (strcmp(action, "ls") == 0 && c->argc == 2)
        return store_ls(c, path);
    if (strcmp(action, "read") == 0 && c->argc == 2)
        return store_read_value(c, path);
    if (strcmp(action, "write") == 0 && c->argc == 3)
        err = tree_write(store.tree, NULL, 0, path, c->argv[2],
                         strlen(c->argv[2]));
    else if (strcmp(action, "rm") == 0 && c->argc == 2)
        err = store_remove(path);
    else
        return call_fail(c, CODE_USAGE,
                         "usage: store ls|read|rm PATH, store write PATH "
                         "VALUE");
    return err ? store_failed(c, err) : emit_empty(c);
}

const struct verb other_verbs[] = {
    { "log", "[AFTER]", "lines of the hypervisor and all domains", "belfry.log",
      0, 1, run_log, log_columns },
    { "console", "DOM [POSITION [INPUT]]", "what a domain printed",
      "belfry.console", 1, 3, run_console, NULL },
    { "store", "ls|read|write|rm PATH [VALUE]", "the store", "belfry.store", 2,
      3, run_store, NULL },
    { 0 },
};
