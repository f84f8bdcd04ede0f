/*
 * A connection to the store by /dev/xen/xenbus (<xen/io/xs_wire.h>).
 *
 * One request is under way at a time; watch events that come meanwhile are
 * noted as news, whatever they say.
 */
#ifndef LINKS_LINUX_STORE_H
#define LINKS_LINUX_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store {
    int fd;
    uint32_t last; /* request */
    bool news;
};

/* 0, -ENODEV, or as open gave it. */
int store_open(struct store *s);
void store_close(struct store *s);

/* A request of @n texts, each sent with its terminator but the last when
 * @bare.  The answer's text in @answer with a terminator, NULL: nobody wants
 * it.  0, the store's error, -E2BIG. */
int store_ask(struct store *s, uint32_t type, const char *const *texts,
              unsigned int n, bool bare, char *answer, size_t size);

/* Read the watch events that have come, without waiting. */
int store_drain(struct store *s);

#endif
