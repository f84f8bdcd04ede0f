/*
 * The calls of link.h: each goes to the kind of the link.
 */
#include "links/kind.h"

void *link_pages(const struct link *l)
{
    return l->pages;
}

size_t link_bytes(const struct link *l)
{
    return l->bytes;
}

int link_bell(struct link *l)
{
    return l->kind->bell(l);
}

int link_wait(struct link *l, int timeout_ms)
{
    return l->kind->wait(l, timeout_ms);
}

int link_fd(const struct link *l)
{
    return l->kind->fd(l);
}

void link_close(struct link *l)
{
    if (l)
        l->kind->close(l);
}
