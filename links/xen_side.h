/*
 * What link_xen.c needs from the domain that it runs in: the store, grants,
 * one port, and sleep.  links/linux/xen_side.c implements it over /dev/xen,
 * guests/lib/link.c over the guest runtime.
 *
 * Paths without a leading / are in the domain's own part of the store.
 * Errors are 0 or -Exxx.
 */
#ifndef LINKS_XEN_SIDE_H
#define LINKS_XEN_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xen_side;

int xen_side_open(struct xen_side **out);
/* Lets go of all that was asked of the side. */
void xen_side_close(struct xen_side *s);

/* ---- The store. ---- */
/* The value with a terminator; -ENOENT also where we may not look, -E2BIG. */
int xen_side_read(struct xen_side *s, const char *path, char *value,
                  size_t size);
int xen_side_write(struct xen_side *s, const char *path, const char *value);
/* Nobody but us and @peer may read it. */
int xen_side_allow(struct xen_side *s, const char *path, unsigned int peer);
int xen_side_remove(struct xen_side *s, const char *path);
/* One path a side: a change of it is news. */
int xen_side_watch(struct xen_side *s, const char *path);

/* ---- Pages, one set a side. ---- */
int xen_side_share(struct xen_side *s, unsigned int peer, unsigned int n,
                   uint32_t *refs, void **pages);
int xen_side_map(struct xen_side *s, unsigned int peer, unsigned int n,
                 const uint32_t *refs, void **pages);
/* Whatever ends us: the byte at this offset of the pages becomes 0 and the
 * port rings.  After the port was opened.  A domain that ends as a whole
 * need do nothing here: its node in the store goes. */
int xen_side_will(struct xen_side *s, size_t offset);

/* ---- The port, one a side. ---- */
int xen_side_port_offer(struct xen_side *s, unsigned int peer, uint32_t *port);
int xen_side_port_bind(struct xen_side *s, unsigned int peer, uint32_t port);
uint32_t xen_side_port(const struct xen_side *s); /* 0: none */
int xen_side_ring(struct xen_side *s);

/* ---- Time. ---- */
/* Until the port rings or there is news that nobody has asked for: 0, or
 * -ETIMEDOUT. */
int xen_side_wait(struct xen_side *s, int timeout_ms);
/* Was there news since the last call?  Ask before looking, so that what comes
 * while we look ends the next wait. */
bool xen_side_news(struct xen_side *s);
int xen_side_fd(const struct xen_side *s); /* or -ENOSYS */
int64_t xen_side_now_ms(void);
uint64_t xen_side_unique(void); /* a number nobody has had */

void *xen_side_alloc(size_t bytes); /* zeroed, or NULL */
void xen_side_free(void *p);

#endif
