/*
 * Links between domains: see link_xen.h for what stands in the store and in
 * the pages.
 *
 * The peer's node is read into a private copy and parsed from there; of the
 * pages nothing is believed but the byte by which the peer says its own end.
 */
#include "links/link_xen.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "lib/string.h"
#include "links/kind.h"
#include "links/xen_side.h"

#define PAGE      4096u
#define NAME_MAX_ 40u
#define PATH_SIZE 96u
#define NODE_SIZE 512u
#define VERSION   1u

enum { OFFERER, ACCEPTER };

/* The end of the last page. */
struct tail {
    uint64_t id;
    uint8_t live[2]; /* each side its own */
    uint8_t pad[LINK_XEN_TAIL - 10];
};
_Static_assert(sizeof(struct tail) == LINK_XEN_TAIL, "as link_xen.h says");

/* What an offer's node says. */
struct offer {
    uint64_t id, bytes;
    uint32_t port;
    unsigned int n;
    uint32_t ref[LINK_XEN_PAGES_MAX];
};

struct xen {
    struct link link;
    struct xen_side *side;
    struct tail *tail;
    int me, peer; /* OFFERER or ACCEPTER */
    char own_path[PATH_SIZE], peer_path[PATH_SIZE];
    char peer_node[NODE_SIZE]; /* while the peer lives, this stands there */
    bool gone;
};

static struct xen *xen_of(struct link *l)
{
    return (struct xen *)l;
}

/* ---- Time. ---- */

static int64_t deadline_of(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : xen_side_now_ms() + timeout_ms;
}

static int time_left(int64_t deadline)
{
    int64_t left = deadline - xen_side_now_ms();

    if (deadline < 0)
        return LINK_FOREVER;
    return left > 0 ? (int)left : 0;
}

/* ---- The node of an offer. ---- */

/* The number at *text, which is moved behind it and one space. */
static bool take_number(const char **text, uint64_t max, uint64_t *out)
{
    const char *p = *text;
    uint64_t n = 0;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');

        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (*p == ' ')
        p++;
    else if (*p)
        return false;
    *text = p;
    *out = n;
    return n <= max;
}

static unsigned int pages_for(uint64_t bytes)
{
    return (unsigned int)((bytes + LINK_XEN_TAIL + PAGE - 1) / PAGE);
}

/* The same page twice would be a link that overlaps itself. */
static bool is_new_ref(const struct offer *o, uint32_t ref)
{
    for (unsigned int i = 0; i < o->n; i++)
        if (o->ref[i] == ref)
            return false;
    return true;
}

static int parse_offer(const char *text, struct offer *o)
{
    uint64_t version, port, ref;

    o->n = 0;
    if (!take_number(&text, UINT32_MAX, &version) || version != VERSION ||
        !take_number(&text, UINT64_MAX, &o->id) ||
        !take_number(&text, LINK_XEN_BYTES_MAX, &o->bytes) || o->bytes == 0 ||
        !take_number(&text, UINT32_MAX, &port))
        return -EPROTO;
    o->port = (uint32_t)port;
    for (; *text; o->n++) {
        if (o->n == LINK_XEN_PAGES_MAX ||
            !take_number(&text, UINT32_MAX, &ref) ||
            !is_new_ref(o, (uint32_t)ref))
            return -EPROTO;
        o->ref[o->n] = (uint32_t)ref;
    }
    return o->n == pages_for(o->bytes) ? 0 : -EPROTO;
}

static void print_offer(const struct offer *o, char *text)
{
    int n = format_string(text, NODE_SIZE, "%u %llu %llu %u", VERSION,
                          (unsigned long long)o->id,
                          (unsigned long long)o->bytes, o->port);

    for (unsigned int i = 0; i < o->n; i++)
        n += format_string(text + n, NODE_SIZE - (size_t)n, " %u", o->ref[i]);
}

/* What the peer writes when it has accepted. */
static void print_answer(uint64_t id, char *text)
{
    format_string(text, NODE_SIZE, "%u %llu", VERSION, (unsigned long long)id);
}

/* Empty at first: the text must not be there before it may be read. */
static int publish(struct xen *x, unsigned int peer, const char *text)
{
    int error = xen_side_write(x->side, x->own_path, "");

    if (!error)
        error = xen_side_allow(x->side, x->own_path, peer);
    return error ? error : xen_side_write(x->side, x->own_path, text);
}

/* ---- The life of a link. ---- */

static int xen_bell(struct link *l)
{
    struct xen *x = xen_of(l);

    return x->gone ? -EPIPE : xen_side_ring(x->side);
}

static bool node_stands(struct xen *x)
{
    char now[NODE_SIZE];

    return xen_side_read(x->side, x->peer_path, now, sizeof(now)) == 0 &&
           strcmp(now, x->peer_node) == 0;
}

static bool peer_has_ended(struct xen *x)
{
    if (read_once(&x->tail->live[x->peer]) == 0)
        return true;
    return xen_side_news(x->side) && !node_stands(x);
}

static int xen_wait(struct link *l, int timeout_ms)
{
    struct xen *x = xen_of(l);
    int error;

    if (x->gone)
        return -EPIPE;
    error = xen_side_wait(x->side, timeout_ms);
    if (!error)
        x->gone = peer_has_ended(x);
    return error;
}

static int xen_fd(const struct link *l)
{
    return xen_side_fd(((const struct xen *)l)->side);
}

/* The node goes first: nobody shall accept what is being taken down. */
static void xen_close(struct link *l)
{
    struct xen *x = xen_of(l);

    xen_side_remove(x->side, x->own_path);
    if (x->tail) {
        write_once(&x->tail->live[x->me], 0);
        xen_side_ring(x->side);
    }
    xen_side_close(x->side);
    xen_side_free(x);
}

uint32_t link_xen_port(const struct link *l)
{
    return xen_side_port(((const struct xen *)l)->side);
}

static const struct link_kind xen_kind = {
    .bell = xen_bell, .wait = xen_wait, .fd = xen_fd, .close = xen_close
};

static bool is_name(const char *name)
{
    size_t n = 0;

    for (; name[n]; n++) {
        char c = name[n];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '-' || c == '_';

        if (!good || n == NAME_MAX_)
            return false;
    }
    return n > 0;
}

static int create(unsigned int peer, const char *name, int me, struct xen **out)
{
    struct xen *x;
    int error;

    if (!is_name(name))
        return -EINVAL;
    x = xen_side_alloc(sizeof(*x));
    if (!x)
        return -ENOMEM;
    x->link.kind = &xen_kind;
    x->me = me;
    x->peer = !me;
    format_string(x->own_path, PATH_SIZE, "data/link/%s", name);
    format_string(x->peer_path, PATH_SIZE, "/local/domain/%u/data/link/%s",
                  peer, name);
    error = xen_side_open(&x->side);
    if (error)
        xen_side_free(x);
    else
        *out = x;
    return error;
}

static void take_pages(struct xen *x, void *pages, const struct offer *o)
{
    x->link.pages = pages;
    x->link.bytes = (size_t)o->bytes;
    x->tail = (struct tail *)((uint8_t *)pages + o->n * PAGE - LINK_XEN_TAIL);
}

/* I am here, and the byte will say when I no longer am. */
static int come_alive(struct xen *x)
{
    write_once(&x->tail->live[x->me], 1);
    return xen_side_will(
        x->side, (size_t)(&x->tail->live[x->me] - (uint8_t *)x->link.pages));
}

static int done(struct xen *x, int error, struct link **out)
{
    if (error)
        xen_close(&x->link);
    else
        *out = &x->link;
    return error;
}

/* ---- To offer. ---- */

static int wait_for_answer(struct xen *x, uint64_t id, int64_t deadline)
{
    int error = xen_side_watch(x->side, x->peer_path);

    print_answer(id, x->peer_node);
    while (!error) {
        xen_side_news(x->side);
        if (read_once(&x->tail->live[ACCEPTER]) && node_stands(x))
            return 0;
        error = xen_side_wait(x->side, time_left(deadline));
    }
    return error;
}

static int make_offer(struct xen *x, unsigned int peer, struct offer *o)
{
    char text[NODE_SIZE];
    void *pages;
    int error = xen_side_share(x->side, peer, o->n, o->ref, &pages);

    if (error)
        return error;
    take_pages(x, pages, o);
    write_once(&x->tail->id, o->id);
    error = xen_side_port_offer(x->side, peer, &o->port);
    if (!error)
        error = come_alive(x);
    if (error)
        return error;
    print_offer(o, text);
    return publish(x, peer, text);
}

int link_xen_offer(unsigned int peer, const char *name, size_t bytes,
                   int timeout_ms, struct link **out)
{
    int64_t deadline = deadline_of(timeout_ms);
    struct offer o = { .id = xen_side_unique(), .bytes = bytes };
    struct xen *x;
    int error;

    if (bytes == 0 || bytes > LINK_XEN_BYTES_MAX)
        return -EINVAL;
    o.n = pages_for(bytes);
    error = create(peer, name, OFFERER, &x);
    if (error)
        return error;
    error = make_offer(x, peer, &o);
    if (!error)
        error = wait_for_answer(x, o.id, deadline);
    return done(x, error, out);
}

/* ---- To accept. ---- */

static int take_offer(struct xen *x, unsigned int peer, const struct offer *o)
{
    char text[NODE_SIZE];
    void *pages;
    int error = xen_side_map(x->side, peer, o->n, o->ref, &pages);

    if (error)
        return error;
    take_pages(x, pages, o);
    if (read_once(&x->tail->id) != o->id || !read_once(&x->tail->live[OFFERER]))
        return -ENOENT;
    error = xen_side_port_bind(x->side, peer, o->port);
    if (error)
        return error;
    print_answer(o->id, text);
    error = publish(x, peer, text);
    if (!error)
        error = come_alive(x);
    return error ? error : xen_side_ring(x->side);
}

/* A node that stands there: an offer, or -ENOENT. */
static int look_for_offer(struct xen *x, struct offer *o)
{
    int error;

    xen_side_news(x->side);
    error = xen_side_read(x->side, x->peer_path, x->peer_node, NODE_SIZE);
    if (error || x->peer_node[0] == 0)
        return error ? error : -ENOENT;
    return parse_offer(x->peer_node, o);
}

/* The next offer that is not as @last, which it then becomes. */
static int accept_next(unsigned int peer, const char *name, int64_t deadline,
                       char *last, struct link **out)
{
    struct offer o;
    struct xen *x;
    int error = create(peer, name, ACCEPTER, &x);

    if (error)
        return error;
    error = xen_side_watch(x->side, x->peer_path);
    while (!error && ((error = look_for_offer(x, &o)) == -ENOENT ||
                      strcmp(x->peer_node, last) == 0))
        error = xen_side_wait(x->side, time_left(deadline));
    string_copy(last, x->peer_node, NODE_SIZE);
    if (!error)
        error = take_offer(x, peer, &o);
    return done(x, error, out);
}

/* What cannot be taken may be the offer of a program that died, whose node
 * still stands there: wait for the next one. */
int link_xen_accept(unsigned int peer, const char *name, int timeout_ms,
                    struct link **out)
{
    int64_t deadline = deadline_of(timeout_ms);
    char last[NODE_SIZE] = "";
    int error = -ETIMEDOUT, before;

    do {
        before = error;
        error = accept_next(peer, name, deadline, last, out);
    } while (error && error != -ETIMEDOUT && error != -EPROTO && last[0]);
    return error == -ETIMEDOUT ? before : error;
}

/* ---- Introduced by the control domain. ---- */

static int wait_for_channel(struct xen_side *s, const char *dir,
                            int64_t deadline)
{
    char path[PATH_SIZE], value[16];
    int error;

    format_string(path, sizeof(path), "%s/state", dir);
    error = xen_side_watch(s, path);
    while (!error) {
        xen_side_news(s);
        error = xen_side_read(s, path, value, sizeof(value));
        if (!error && strcmp(value, "ready") == 0)
            return 0;
        if (!error || error == -ENOENT)
            error = xen_side_wait(s, time_left(deadline));
    }
    return error;
}

/* Who the peer is, and whether we are to offer. */
static int read_channel(struct xen_side *s, const char *dir, unsigned int *peer,
                        bool *first)
{
    char path[PATH_SIZE], value[16];
    const char *text = value;
    uint64_t number;
    int error;

    format_string(path, sizeof(path), "%s/role", dir);
    error = xen_side_read(s, path, value, sizeof(value));
    if (error)
        return error;
    *first = strcmp(value, "first") == 0;
    format_string(path, sizeof(path), "%s/peer", dir);
    error = xen_side_read(s, path, value, sizeof(value));
    if (error)
        return error;
    if (!take_number(&text, UINT16_MAX, &number) || *text)
        return -EPROTO;
    *peer = (unsigned int)number;
    return 0;
}

int link_xen_open(const char *name, size_t bytes, int timeout_ms,
                  struct link **out)
{
    int64_t deadline = deadline_of(timeout_ms);
    struct xen_side *s;
    char dir[PATH_SIZE / 2 + 8];
    unsigned int peer;
    bool first;
    int error;

    if (!is_name(name))
        return -EINVAL;
    error = xen_side_open(&s);
    if (error)
        return error;
    format_string(dir, sizeof(dir), "chan/%s", name);
    error = wait_for_channel(s, dir, deadline);
    if (!error)
        error = read_channel(s, dir, &peer, &first);
    xen_side_close(s);
    if (error)
        return error;
    if (first)
        return link_xen_offer(peer, name, bytes, time_left(deadline), out);
    return link_xen_accept(peer, name, time_left(deadline), out);
}
