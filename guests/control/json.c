/*
 * JSON: the writer.
 *
 * Invariant: what is in the buffer is always ASCII or valid UTF-8 without
 * control characters, so a reply is always one line.
 */
#include "guests/control/json.h"

#include "guests/control/text.h"
#include "lib/format.h"
#include "lib/list.h"
#include "lib/string.h"

static void put(struct json *j, const char *text, size_t n)
{
    if (j->size - j->used < n) {
        j->full = true;
        return;
    }
    memcpy(j->buf + j->used, text, n);
    j->used += n;
}

static void put_quoted(struct json *j, const char *text, size_t n)
{
    char code[8];

    put(j, "\"", 1);
    for (size_t i = 0; i < n;) {
        unsigned int length = utf8_printable(text + i, n - i);

        if (text[i] == '"' || text[i] == '\\') {
            put(j, "\\", 1);
            put(j, text + i, 1);
        } else if (length > 0) {
            put(j, text + i, length);
            i += length - 1;
        } else {
            format_string(code, sizeof(code), "\\u00%02x", (uint8_t)text[i]);
            put(j, code, 6);
        }
        i++;
    }
    put(j, "\"", 1);
}

static void begin_value(struct json *j, const char *key)
{
    if (j->comma)
        put(j, ",", 1);
    j->comma = true;
    if (!key)
        return;
    put_quoted(j, key, strlen(key));
    put(j, ":", 1);
}

static void json_open(struct emit *e, const char *key, bool array)
{
    struct json *j = container_of(e, struct json, emit);

    begin_value(j, key);
    put(j, array ? "[" : "{", 1);
    j->comma = false;
}

static void json_close(struct emit *e, bool array)
{
    struct json *j = container_of(e, struct json, emit);

    put(j, array ? "]" : "}", 1);
    j->comma = true;
}

static void json_value(struct emit *e, const char *key, enum emit_kind kind,
                       const char *text, size_t n)
{
    struct json *j = container_of(e, struct json, emit);

    begin_value(j, key);
    if (kind == EMIT_STRING)
        put_quoted(j, text, n);
    else
        put(j, text, n);
}

void json_init(struct json *j, char *buf, size_t size)
{
    static const struct emit_ops ops = { json_open, json_close, json_value };

    *j = (struct json){ .emit = { &ops }, .buf = buf, .size = size };
}
