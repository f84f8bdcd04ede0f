/* The emitter's JSON back end: one document on one line, in a buffer.  Pure. */
#ifndef CONTROL_JSON_H
#define CONTROL_JSON_H

#include "guests/control/emit.h"

struct json {
    struct emit emit;
    char *buf;
    size_t size, used;
    bool comma; /* the next value needs one before it */
    bool full;  /* it did not fit: the document is worthless */
};

void json_init(struct json *j, char *buf, size_t size);

#endif
