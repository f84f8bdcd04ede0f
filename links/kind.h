/*
 * What every kind of link has, and what it must be able to do.  The structure
 * of a kind begins with its struct link.
 */
#ifndef LINKS_KIND_H
#define LINKS_KIND_H

#include "links/link.h"

/* As the calls of link.h; close frees the structure as well. */
struct link_kind {
    int (*bell)(struct link *l);
    int (*wait)(struct link *l, int timeout_ms);
    int (*fd)(const struct link *l);
    void (*close)(struct link *l);
};

struct link {
    const struct link_kind *kind;
    void *pages;
    size_t bytes;
};

#endif
