/*
 * Links: pages that two sides share, and a bell each way.
 *
 * A ring needs three things from outside: memory that both sides see, a way
 * to wake the other side, and a way to sleep until woken.  A link is these
 * three and nothing else, so that the code above it is the same between two
 * Linux processes, between two domains, and between a domain and a Linux
 * program in another one.  What differs is how a link is made:
 *
 *     link_process.h   two Linux processes, over a Unix socket
 *     link_xen.h       two domains of Belfry or Xen, each of them a guest of
 *                      ours or a Linux program with /dev/xen
 *
 * One side offers the link and says how large it is, the other accepts it.
 * Both calls return when the other side is there, with zeroed pages.  What
 * goes into the pages is the caller's: by custom the side that offered
 * initialises the ring, rings the bell, and the other attaches then.
 *
 * The bell has no count.  Rings that come before the other side looks are
 * one, and a waking without a reason is normal: after each waking, take until
 * the ring is empty, arm it, and wait again.  No ring is lost between the
 * look and the sleep: a bell that rang before link_wait ends it at once.
 *
 * The peer is hostile.  It may write any byte of the pages at any time, ring
 * without end, never answer, or die at any step.  It can neither make a call
 * block beyond its time-out nor take the pages away: when it is gone they
 * stay here until link_close.  Its end rings the bell a last time, so that
 * what it published before is looked at; from then on link_wait says -EPIPE.
 *
 * A link belongs to one thread at a time.  Errors are 0 or -Exxx.
 */
#ifndef LINKS_LINK_H
#define LINKS_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LINK_FOREVER (-1) /* a time-out */

struct link;

/* The shared memory: at the start of a page, as many bytes as were offered,
 * the same number on both sides. */
void *link_pages(const struct link *l);
size_t link_bytes(const struct link *l);

/* Wake the other side, now or in its next link_wait.  Never blocks.  0, or
 * -EPIPE after link_wait has met the peer's end. */
int link_bell(struct link *l);

/*
 * Sleep until the bell rings, @timeout_ms at most; 0 looks, LINK_FOREVER
 * has no end.
 *
 *   0           it rang (or something else woke us: a signal, say)
 *   -ETIMEDOUT  it did not
 *   -EPIPE      the peer has closed the link or is dead, and we were woken
 *               for that before; so will every later call say
 */
int link_wait(struct link *l, int timeout_ms);

/* A descriptor that becomes readable when link_wait has something to say,
 * for poll and its kin; then call link_wait(l, 0) until -ETIMEDOUT.  -ENOSYS
 * where there are no descriptors. */
int link_fd(const struct link *l);

/* The peer learns of it.  The pages are no longer there; NULL is ignored. */
void link_close(struct link *l);

#ifdef __cplusplus
}
#endif

#endif
