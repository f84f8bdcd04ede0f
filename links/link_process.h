/*
 * Links between two Linux processes.
 *
 * The pages are a memfd, sealed so that neither side can shrink it under the
 * other; the bells are eventfds.  Both are passed over a Unix stream socket,
 * which the link keeps: when it hangs up, the peer is gone.
 *
 * Each side keeps the eventfd that it rings to itself and lends the other an
 * epoll descriptor that watches it.  With the eventfd in hand, a hostile peer
 * could fill its counter and take the non-blocking flag away (it belongs to
 * the open file, which both would share), and our next ring would block.
 */
#ifndef LINKS_LINK_PROCESS_H
#define LINKS_LINK_PROCESS_H

#include "links/link.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * By name: one process serves the path of a socket, one other connects to
 * it, whichever comes first.  The path exists until they have met; what an
 * earlier process left there is replaced, so one server a path.
 *
 *   -EINVAL     bytes is 0 or above 1 GiB, or the path is too long
 *   -ETIMEDOUT  nobody came, or it came and did not answer
 *   -EPIPE      it came and went away again
 *   -EPROTO     what came is no link of ours
 *   others      as the kernel gave them, -EMFILE for one
 */
int link_process_serve(const char *path, size_t bytes, int timeout_ms,
                       struct link **out);
int link_process_connect(const char *path, int timeout_ms, struct link **out);

/*
 * The same over a connected Unix stream socket of one's own, such as one end
 * of a socketpair across fork (each process must close the other's end, or
 * it will not see the other die).  The link takes the socket over; on failure
 * it is still the caller's.
 */
int link_process_offer(int socket, size_t bytes, int timeout_ms,
                       struct link **out);
int link_process_accept(int socket, int timeout_ms, struct link **out);

#ifdef __cplusplus
}
#endif

#endif
