/*
 * Links between two domains of Belfry or Xen.
 *
 * The same calls on both sides of the wall: in a guest of ours they go to the
 * guest runtime, in a Linux domain to /dev/xen/gntalloc, gntdev, evtchn and
 * xenbus (the modules xen-gntalloc, xen-gntdev and xen-evtchn must be loaded).
 *
 * The two meet in the store.  Who offers grants the pages, opens a port, and
 * writes to its own node data/link/NAME, which only the peer may read,
 *
 *     1 ID BYTES PORT REF...
 *
 * (decimal numbers; the ID is drawn for this offer).  Who accepts maps the
 * pages, binds the port, and writes `1 ID` to its own data/link/NAME.  Each
 * watches the other's node: the store removes it with its domain.  The last
 * 64 bytes of the last page are the link's: the ID again, by which an old
 * offer is told from a new one, and a byte a side that its end clears.  In a
 * Linux domain the kernel clears that byte and rings when the process dies.
 */
#ifndef LINKS_LINK_XEN_H
#define LINKS_LINK_XEN_H

#include "links/link.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LINK_XEN_PAGES_MAX 32u
#define LINK_XEN_TAIL      64u
/* The most that one link has. */
#define LINK_XEN_BYTES_MAX (LINK_XEN_PAGES_MAX * 4096u - LINK_XEN_TAIL)

/*
 * @peer is the number of the other side's domain, @name the same on both.
 *
 *   -EINVAL     bytes is 0 or above LINK_XEN_BYTES_MAX, or the name is none:
 *               letters, digits, - and _, 40 at most
 *   -ENODEV     no store, or a device of /dev/xen is not there
 *   -ETIMEDOUT  the peer did not come
 *   -EPROTO     what the peer wrote is no offer
 *   others      as the hypervisor or the kernel gave them, to accept only
 *               when no better offer came in time
 */
int link_xen_offer(unsigned int peer, const char *name, size_t bytes,
                   int timeout_ms, struct link **out);
int link_xen_accept(unsigned int peer, const char *name, int timeout_ms,
                    struct link **out);

/* On Belfry: chan=NAME:PEER in grub.cfg introduces the two, so neither needs
 * the other's number.  The domain whose line has the chan= key offers, with
 * @bytes; the other accepts what comes. */
int link_xen_open(const char *name, size_t bytes, int timeout_ms,
                  struct link **out);

/* This domain's port of the link, by which a control tool knows it. */
uint32_t link_xen_port(const struct link *l);

#ifdef __cplusplus
}
#endif

#endif
