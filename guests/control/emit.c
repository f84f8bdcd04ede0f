/*
 * The emitter's front: turns values into text for the back ends.
 *
 * Invariant: what is opened is closed by the verb that opened it.
 */
#include "guests/control/emit.h"

#include "lib/format.h"
#include "lib/string.h"

void emit_object(struct emit *e, const char *key)
{
    e->ops->open(e, key, false);
}

void emit_object_end(struct emit *e)
{
    e->ops->close(e, false);
}

void emit_array(struct emit *e, const char *key)
{
    e->ops->open(e, key, true);
}

void emit_array_end(struct emit *e)
{
    e->ops->close(e, true);
}

void emit_bytes(struct emit *e, const char *key, const char *text, size_t n)
{
    e->ops->value(e, key, EMIT_STRING, text, n);
}

void emit_string(struct emit *e, const char *key, const char *text)
{
    emit_bytes(e, key, text, strlen(text));
}

void emit_number(struct emit *e, const char *key, uint64_t value)
{
    char text[24];
    int n =
        format_string(text, sizeof(text), "%llu", (unsigned long long)value);

    e->ops->value(e, key, EMIT_NUMBER, text, (size_t)n);
}

void emit_address(struct emit *e, const char *key, uint64_t address)
{
    emit_format(e, key, "0x%llx", (unsigned long long)address);
}

void emit_bool(struct emit *e, const char *key, bool value)
{
    e->ops->value(e, key, EMIT_BOOL, value ? "true" : "false", value ? 4 : 5);
}

void emit_null(struct emit *e, const char *key)
{
    e->ops->value(e, key, EMIT_NULL, "null", 4);
}

void emit_format(struct emit *e, const char *key, const char *fmt, ...)
{
    char text[320];
    va_list args;

    va_start(args, fmt);
    format_string_v(text, sizeof(text), fmt, args);
    va_end(args);
    emit_string(e, key, text);
}

void emit_known(struct emit *e, const char *key, bool known, uint64_t value)
{
    if (known)
        emit_number(e, key, value);
    else
        emit_null(e, key);
}
