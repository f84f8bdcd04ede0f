/*
 * A guest's side of a link (links/xen_side.h) over the runtime.
 *
 * Handlers only note what happened; whoever waits looks at the notes.
 */
#include "guests/lib/internal.h"

#include "links/link_xen.h"
#include "links/xen_side.h"

#define NS_PER_MS 1000000ll

struct xen_side {
    evtchn_port_t port; /* 0: none */
    bool rung, news;
    char *watched; /* path, or NULL */
    unsigned int nr_pages, nr_refs;
    void *own; /* pages granted to the peer, or NULL */
    grant_ref_t ref[LINK_XEN_PAGES_MAX];
    struct grant_mapping peers; /* address NULL: none */
};

static void port_rang(evtchn_port_t port, void *data)
{
    (void)port;
    ((struct xen_side *)data)->rung = true;
}

static void store_changed(const char *path, void *data)
{
    (void)path;
    ((struct xen_side *)data)->news = true;
}

int xen_side_open(struct xen_side **out)
{
    if (!store_available())
        return -ENODEV;
    *out = mem_alloc(sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

#define LAST_CALL 1000000000ull /* ns that a peer has to unmap */

/* Pages that the peer still maps must not be used for anything else: where
 * they cannot be revoked they are lost to us rather than used twice. */
static void take_pages_back(struct xen_side *s)
{
    bool mapped = false;

    for (unsigned int i = 0; i < s->nr_refs; i++)
        mapped |= grant_end(s->ref[i]) != 0 &&
                  grant_revoke(s->ref[i], clock_now() + LAST_CALL) != 0;
    if (!mapped)
        pages_free(s->own, s->nr_pages);
}

void xen_side_close(struct xen_side *s)
{
    if (s->watched)
        store_unwatch(s->watched, store_changed, s);
    mem_free(s->watched);
    if (s->port)
        event_close(s->port);
    if (s->own)
        take_pages_back(s);
    if (s->peers.address)
        grant_unmap(&s->peers);
    mem_free(s);
}

/* ---- The store. ---- */

int xen_side_read(struct xen_side *s, const char *path, char *value,
                  size_t size)
{
    int error;
    char *text = store_read(path, &error);

    (void)s;
    if (error)
        return error == -EACCES ? -ENOENT : error;
    if (string_copy(value, text, size) >= size)
        error = -E2BIG;
    mem_free(text);
    return error;
}

int xen_side_write(struct xen_side *s, const char *path, const char *value)
{
    (void)s;
    return store_write(path, "%s", value);
}

int xen_side_allow(struct xen_side *s, const char *path, unsigned int peer)
{
    char owner[8], reader[8];
    const char *perms[] = { owner, reader };

    (void)s;
    format_string(owner, sizeof(owner), "n%u", guest.domid);
    format_string(reader, sizeof(reader), "r%u", peer);
    return store_set_perms(path, perms, 2);
}

int xen_side_remove(struct xen_side *s, const char *path)
{
    (void)s;
    return store_rm(path);
}

int xen_side_watch(struct xen_side *s, const char *path)
{
    s->watched = string_dup(path);
    if (!s->watched)
        return -ENOMEM;
    return store_watch(path, store_changed, s);
}

/* ---- Pages. ---- */

int xen_side_share(struct xen_side *s, unsigned int peer, unsigned int n,
                   uint32_t *refs, void **pages)
{
    s->nr_pages = n;
    s->own = pages_alloc(n);
    if (!s->own)
        return -ENOMEM;
    for (unsigned int i = 0; i < n; i++) {
        int ref = grant_access((domid_t)peer, (uint8_t *)s->own + i * PAGE_SIZE,
                               false);

        if (ref < 0)
            return ref;
        s->ref[s->nr_refs++] = refs[i] = (grant_ref_t)ref;
    }
    *pages = s->own;
    return 0;
}

int xen_side_map(struct xen_side *s, unsigned int peer, unsigned int n,
                 const uint32_t *refs, void **pages)
{
    int error = grant_map((domid_t)peer, refs, n, false, &s->peers);

    *pages = s->peers.address;
    return error;
}

/* The control domain takes a dead domain's nodes out of the store. */
int xen_side_will(struct xen_side *s, size_t offset)
{
    (void)s, (void)offset;
    return 0;
}

/* ---- The port. ---- */

int xen_side_port_offer(struct xen_side *s, unsigned int peer, uint32_t *port)
{
    int error = event_alloc_unbound((domid_t)peer, &s->port);

    *port = s->port;
    return error ? error : event_handle(s->port, port_rang, s);
}

int xen_side_port_bind(struct xen_side *s, unsigned int peer, uint32_t port)
{
    int error = event_bind_interdomain((domid_t)peer, port, &s->port);

    return error ? error : event_handle(s->port, port_rang, s);
}

uint32_t xen_side_port(const struct xen_side *s)
{
    return s->port;
}

int xen_side_ring(struct xen_side *s)
{
    return event_send(s->port);
}

/* ---- Time. ---- */

static bool sleep_until(int64_t deadline)
{
    if (deadline >= 0)
        return event_wait_until((uint64_t)deadline);
    event_wait();
    return true;
}

int xen_side_wait(struct xen_side *s, int timeout_ms)
{
    int64_t deadline =
        timeout_ms < 0 ? -1 : (int64_t)clock_now() + timeout_ms * NS_PER_MS;

    event_poll();
    while (!s->rung && !s->news)
        if (!sleep_until(deadline))
            return -ETIMEDOUT;
    s->rung = false;
    return 0;
}

bool xen_side_news(struct xen_side *s)
{
    bool news = s->news;

    s->news = false;
    return news;
}

int xen_side_fd(const struct xen_side *s)
{
    (void)s;
    return -ENOSYS;
}

int64_t xen_side_now_ms(void)
{
    return (int64_t)clock_now() / NS_PER_MS;
}

uint64_t xen_side_unique(void)
{
    return rdtsc();
}

void *xen_side_alloc(size_t bytes)
{
    return mem_alloc(bytes);
}

void xen_side_free(void *p)
{
    mem_free(p);
}
