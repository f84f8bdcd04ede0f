/*
 * A Linux domain's side of a link, over the devices of /dev/xen: see
 * xen_side.h.
 *
 * What the process holds here the kernel takes back when it dies, and then
 * does what xen_side_will asked for.
 */
#include "links/xen_side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>
#include <xen/io/xs_wire.h>

#include "links/linux/deadline.h"
#include "links/linux/store.h"

#define PAGE 4096u

struct xen_side {
    struct store store;
    int evtchn;    /* /dev/xen/evtchn */
    int grants;    /* /dev/xen/gntalloc or gntdev, -1: no pages yet */
    int events;    /* epoll: the port and the store */
    uint32_t port; /* 0: none */
    bool shared;   /* the pages are ours: gntalloc */
    void *pages;
    size_t bytes;
    uint64_t offset; /* of the pages in their file */
};

static int open_device(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
    return fd;
}

static int listen_to(const struct xen_side *s, int fd)
{
    struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(s->events, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int open_all(struct xen_side *s)
{
    int error = store_open(&s->store);

    if (error)
        return error;
    s->evtchn = open_device("/dev/xen/evtchn");
    if (s->evtchn < 0)
        return s->evtchn;
    if (fcntl(s->evtchn, F_SETFL, O_NONBLOCK))
        return -errno;
    s->events = epoll_create1(EPOLL_CLOEXEC);
    if (s->events < 0)
        return -errno;
    error = listen_to(s, s->evtchn);
    return error ? error : listen_to(s, s->store.fd);
}

int xen_side_open(struct xen_side **out)
{
    struct xen_side *s = calloc(1, sizeof(*s));
    int error;

    if (!s)
        return -ENOMEM;
    s->store.fd = s->evtchn = s->grants = s->events = -1;
    error = open_all(s);
    if (error)
        xen_side_close(s);
    else
        *out = s;
    return error;
}

/* Pages before the port: giving them up rings it. */
void xen_side_close(struct xen_side *s)
{
    const int fds[] = { s->grants, s->evtchn, s->events };

    if (s->pages)
        munmap(s->pages, s->bytes);
    for (unsigned int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    store_close(&s->store);
    free(s);
}

/* ---- The store. ---- */

/* Xenstore hides what is not there from those who may not look. */
int xen_side_read(struct xen_side *s, const char *path, char *value,
                  size_t size)
{
    int error = store_ask(&s->store, XS_READ, &path, 1, false, value, size);

    return error == -EACCES ? -ENOENT : error;
}

int xen_side_write(struct xen_side *s, const char *path, const char *value)
{
    const char *const texts[] = { path, value };

    return store_ask(&s->store, XS_WRITE, texts, 2, true, NULL, 0);
}

/* Whose node it is, is kept: the first permission names the owner. */
static int read_owner(struct xen_side *s, const char *path, unsigned int *id)
{
    char perms[XENSTORE_PAYLOAD_MAX + 1];
    int error = store_ask(&s->store, XS_GET_PERMS, &path, 1, false, perms,
                          sizeof(perms));

    if (error)
        return error;
    return sscanf(perms + 1, "%u", id) == 1 ? 0 : -EPROTO;
}

int xen_side_allow(struct xen_side *s, const char *path, unsigned int peer)
{
    char owner[16], reader[16];
    const char *const texts[] = { path, owner, reader };
    unsigned int id;
    int error = read_owner(s, path, &id);

    if (error)
        return error;
    snprintf(owner, sizeof(owner), "n%u", id);
    snprintf(reader, sizeof(reader), "r%u", peer);
    return store_ask(&s->store, XS_SET_PERMS, texts, 3, false, NULL, 0);
}

int xen_side_remove(struct xen_side *s, const char *path)
{
    return store_ask(&s->store, XS_RM, &path, 1, false, NULL, 0);
}

int xen_side_watch(struct xen_side *s, const char *path)
{
    const char *const texts[] = { path, "link" };

    return store_ask(&s->store, XS_WATCH, texts, 2, false, NULL, 0);
}

/* ---- Pages. ---- */

static int map_file(struct xen_side *s, unsigned int n, void **pages)
{
    void *p = mmap(NULL, (size_t)n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                   s->grants, (off_t)s->offset);

    if (p == MAP_FAILED)
        return -errno;
    *pages = s->pages = p;
    s->bytes = (size_t)n * PAGE;
    return 0;
}

int xen_side_share(struct xen_side *s, unsigned int peer, unsigned int n,
                   uint32_t *refs, void **pages)
{
    struct ioctl_gntalloc_alloc_gref *a;
    int error = 0;

    s->shared = true;
    s->grants = open_device("/dev/xen/gntalloc");
    if (s->grants < 0)
        return s->grants;
    a = calloc(1, sizeof(*a) + n * sizeof(a->gref_ids[0]));
    if (!a)
        return -ENOMEM;
    a->domid = (uint16_t)peer;
    a->flags = GNTALLOC_FLAG_WRITABLE;
    a->count = n;
    if (ioctl(s->grants, IOCTL_GNTALLOC_ALLOC_GREF, a))
        error = -errno;
    for (unsigned int i = 0; i < n && !error; i++)
        refs[i] = a->gref_ids[i];
    s->offset = a->index;
    free(a);
    return error ? error : map_file(s, n, pages);
}

int xen_side_map(struct xen_side *s, unsigned int peer, unsigned int n,
                 const uint32_t *refs, void **pages)
{
    struct ioctl_gntdev_map_grant_ref *m;
    int error = 0;

    s->grants = open_device("/dev/xen/gntdev");
    if (s->grants < 0)
        return s->grants;
    m = calloc(1, sizeof(*m) + n * sizeof(m->refs[0]));
    if (!m)
        return -ENOMEM;
    m->count = n;
    for (unsigned int i = 0; i < n; i++)
        m->refs[i] = (struct ioctl_gntdev_grant_ref){ peer, refs[i] };
    if (ioctl(s->grants, IOCTL_GNTDEV_MAP_GRANT_REF, m))
        error = -errno;
    s->offset = m->index;
    free(m);
    return error ? error : map_file(s, n, pages);
}

int xen_side_will(struct xen_side *s, size_t offset)
{
    uint32_t action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT;
    struct ioctl_gntalloc_unmap_notify ours = { s->offset + offset, action,
                                                s->port };
    struct ioctl_gntdev_unmap_notify theirs = { s->offset + offset, action,
                                                s->port };
    int failed = s->shared
                     ? ioctl(s->grants, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &ours)
                     : ioctl(s->grants, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &theirs);

    return failed ? -errno : 0;
}

/* ---- The port. ---- */

/* What these calls return is the port. */
static int take_port(struct xen_side *s, int port)
{
    if (port < 0)
        return -errno;
    s->port = (uint32_t)port;
    return 0;
}

int xen_side_port_offer(struct xen_side *s, unsigned int peer, uint32_t *port)
{
    struct ioctl_evtchn_bind_unbound_port b = { peer };
    int error =
        take_port(s, ioctl(s->evtchn, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &b));

    *port = s->port;
    return error;
}

int xen_side_port_bind(struct xen_side *s, unsigned int peer, uint32_t port)
{
    struct ioctl_evtchn_bind_interdomain b = { peer, port };

    return take_port(s, ioctl(s->evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN, &b));
}

uint32_t xen_side_port(const struct xen_side *s)
{
    return s->port;
}

int xen_side_ring(struct xen_side *s)
{
    struct ioctl_evtchn_notify n = { s->port };

    return ioctl(s->evtchn, IOCTL_EVTCHN_NOTIFY, &n) ? -errno : 0;
}

/* ---- Time. ---- */

/* A port that rang is masked until it is written back. */
static int take_rings(const struct xen_side *s)
{
    uint32_t ports[16];
    ssize_t n = read(s->evtchn, ports, sizeof(ports));

    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return write(s->evtchn, ports, (size_t)n) == n ? 0 : -EIO;
}

/* News may have come with an answer of the store: then nothing is readable. */
int xen_side_wait(struct xen_side *s, int timeout_ms)
{
    bool news = s->store.news;
    struct epoll_event e[2];
    int n = epoll_wait(s->events, e, 2, news ? 0 : timeout_ms), error = 0;

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return news ? 0 : -ETIMEDOUT;
    for (int i = 0; i < n && !error; i++)
        error =
            e[i].data.fd == s->evtchn ? take_rings(s) : store_drain(&s->store);
    return error;
}

bool xen_side_news(struct xen_side *s)
{
    bool news = s->store.news;

    s->store.news = false;
    return news;
}

int xen_side_fd(const struct xen_side *s)
{
    return s->events;
}

int64_t xen_side_now_ms(void)
{
    return deadline_now();
}

uint64_t xen_side_unique(void)
{
    uint64_t n;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n))
        n = (uint64_t)deadline_now() << 20 | (uint64_t)getpid();
    return n;
}

void *xen_side_alloc(size_t bytes)
{
    return calloc(1, bytes);
}

void xen_side_free(void *p)
{
    free(p);
}
