/*
 * How a verb gives its result: as values with keys, in objects and arrays.
 *
 * A verb is written once; the back end makes JSON of it for the tool (json.h)
 * or a table for the shell (table.h).  Inside an array the key is NULL.
 */
#ifndef CONTROL_EMIT_H
#define CONTROL_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum emit_kind { EMIT_STRING, EMIT_NUMBER, EMIT_BOOL, EMIT_NULL };

struct emit;

struct emit_ops {
    void (*open)(struct emit *e, const char *key, bool array);
    void (*close)(struct emit *e, bool array);
    void (*value)(struct emit *e, const char *key, enum emit_kind kind,
                  const char *text, size_t length);
};

struct emit {
    const struct emit_ops *ops;
};

void emit_object(struct emit *e, const char *key);
void emit_object_end(struct emit *e);
void emit_array(struct emit *e, const char *key);
void emit_array_end(struct emit *e);
void emit_string(struct emit *e, const char *key, const char *text);
void emit_bytes(struct emit *e, const char *key, const char *text, size_t n);
void emit_number(struct emit *e, const char *key, uint64_t value);
void emit_bool(struct emit *e, const char *key, bool value);
void emit_null(struct emit *e, const char *key);
__attribute__((format(printf, 3, 4))) void
emit_format(struct emit *e, const char *key, const char *fmt, ...);
/* "0xffffffff81000000": a JSON number of that size is no reader's friend. */
void emit_address(struct emit *e, const char *key, uint64_t address);
/* The number, or null if it is not known. */
void emit_known(struct emit *e, const char *key, bool known, uint64_t value);

#endif
