/*
 * The store's rings: bytes between a domain's page and its connection.
 *
 * Invariant: a request is copied out of the ring once, and what was copied is
 * what is checked and done.
 */
#include "guests/control/store_ring.h"

#include <xen/io/xs_wire.h>

#include "guests/control/log.h"

struct xs store;

void *tree_alloc(size_t size)
{
    return mem_alloc(size);
}

void tree_free(void *p)
{
    mem_free(p);
}

void store_start(void)
{
    if (xs_create(&store))
        panic("no memory for the store");
    if (store_make("/local", 0, DOMID_INVALID) ||
        store_make("/local/domain", 0, DOMID_INVALID))
        panic("no memory for the store's first nodes");
}

static void rang(evtchn_port_t port, void *data)
{
    struct store_ring *r = data;

    (void)port;
    r->dirty = true;
}

static void attach(struct store_ring *r)
{
    struct xenstore_domain_interface *page = r->page.address;

    stream_attach_consumer(&r->requests, (uint8_t *)page->req,
                           XENSTORE_RING_SIZE, &page->req_prod,
                           &page->req_cons);
    stream_attach_producer(&r->replies, (uint8_t *)page->rsp,
                           XENSTORE_RING_SIZE, &page->rsp_prod,
                           &page->rsp_cons);
}

int store_ring_open(struct store_ring *r, domid_t id, evtchn_port_t remote)
{
    grant_ref_t ref = 1; /* by convention, see <xen/grant_table.h> */
    int err = tree_domain_add(store.tree, id, false);

    memset(r, 0, offsetof(struct store_ring, conn));
    r->id = id;
    if (err)
        return err;
    xs_conn_open(&store, &r->conn, id);
    err = grant_map(id, &ref, 1, false, &r->page);
    if (err)
        goto err_conn;
    attach(r);
    err = event_bind_interdomain(id, remote, &r->port);
    if (err)
        goto err_map;
    err = event_handle(r->port, rang, r);
    if (err)
        goto err_port;
    r->open = r->dirty = true;
    return 0;

err_port:
    event_close(r->port);
err_map:
    grant_unmap(&r->page);
err_conn:
    xs_conn_close(&r->conn);
    return err;
}

/* Nothing is listened to any more; what the domain has in the tree stays
 * until the domain ends. */
static void disconnect(struct store_ring *r)
{
    r->open = false;
    event_close(r->port);
    grant_unmap(&r->page);
    xs_conn_close(&r->conn);
}

void store_ring_close(struct store_ring *r)
{
    if (r->open)
        disconnect(r);
    tree_domain_remove(store.tree, r->id);
}

static bool fault(struct store_ring *r, const char *why)
{
    log_line("control", "store of domain %u disconnected: %s", r->id, why);
    r->closed_why = why;
    disconnect(r);
    return false;
}

/* Bytes written, or -EPROTO. */
static int flush(struct store_ring *r)
{
    const uint8_t *bytes;
    uint32_t n;
    int total = 0;

    while ((n = xs_to_send(&r->conn, &bytes)) > 0) {
        int sent = stream_write(&r->replies, bytes, n);

        if (sent < 0)
            return sent;
        if (sent == 0)
            break;
        xs_sent(&r->conn, (uint32_t)sent);
        total += sent;
    }
    return total;
}

/* Read towards the end of header and payload.  1: a whole request is here;
 * 0: not yet; -EPROTO. */
static int fill(struct store_ring *r, int *taken)
{
    const uint32_t head = sizeof(r->header);
    int n = 0;

    if (r->got < head) {
        n = stream_read(&r->requests, (uint8_t *)&r->header + r->got,
                        head - r->got);
        if (n < 0)
            return n;
        r->got += (uint32_t)n;
        *taken += n;
        if (r->got < head)
            return 0;
    }
    if (r->header.len > XENSTORE_PAYLOAD_MAX || r->header.type > 0xff)
        return -EPROTO;
    if (r->got < head + r->header.len) {
        n = stream_read(&r->requests, r->payload + (r->got - head),
                        head + r->header.len - r->got);
        if (n < 0)
            return n;
        r->got += (uint32_t)n;
        *taken += n;
    }
    return r->got == head + r->header.len;
}

/* Take a request, if one is complete, and do it: 1 done, 0, -EPROTO. */
static int serve(struct store_ring *r, int *taken)
{
    int whole = xs_can_request(&r->conn) ? fill(r, taken) : 0;

    if (whole > 0) {
        xs_request(&r->conn, &r->header, r->payload);
        r->got = 0;
    }
    return whole;
}

bool store_ring_work(struct store_ring *r)
{
    int taken = 0, before, served, after;

    if (!r->open || (!r->dirty && list_empty(&r->conn.events)))
        return false;
    before = flush(r);
    served = before < 0 ? before : serve(r, &taken);
    after = served < 0 ? served : flush(r);
    if (after < 0)
        return fault(r, "impossible ring index or request");
    if (taken + before + after > 0)
        event_send(r->port);
    r->dirty = served > 0;
    return r->dirty;
}

/* ---- The control domain's own changes. ---- */

int store_set(const char *path, const char *fmt, ...)
{
    char value[TREE_PATH_MAX + 1];
    va_list args;
    int n;

    va_start(args, fmt);
    n = format_string_v(value, sizeof(value), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(value))
        return -E2BIG;
    return tree_write(store.tree, NULL, 0, path, value, (size_t)n);
}

int store_get(const char *path, char *value, size_t size)
{
    const void *bytes;
    size_t n;
    int err = tree_read(store.tree, NULL, 0, path, &bytes, &n);

    value[0] = 0;
    if (err)
        return err;
    n = n < size ? n : size - 1;
    memcpy(value, bytes, n);
    value[n] = 0;
    return 0;
}

int store_remove(const char *path)
{
    return tree_rm(store.tree, NULL, 0, path);
}

int store_make(const char *path, domid_t owner, domid_t reader)
{
    struct tree_perm perms[2] = { { .id = owner },
                                  { .id = reader, .access = TREE_READ } };
    int err = tree_mkdir(store.tree, NULL, 0, path);

    if (err)
        return err;
    return tree_set_perms(store.tree, NULL, 0, path, perms,
                          reader == DOMID_INVALID ? 1 : 2);
}
