/*
 * Named channels: the guest's side of chan=NAME:PEER.
 *
 * The control domain has made a page and, in the first domain's table, a
 * port, and has published both below chan/NAME; `state` comes last.
 */
#include "guests/lib/internal.h"

#define NS_PER_SECOND 1000000000ull
#define PATIENCE      (30 * NS_PER_SECOND)

static uint64_t read_key(const char *name, const char *key, uint64_t otherwise)
{
    char path[64];

    format_string(path, sizeof(path), "chan/%s/%s", name, key);
    return store_read_number(path, otherwise);
}

static int wait_until_ready(const char *name)
{
    char path[64], *state;
    int error;

    format_string(path, sizeof(path), "chan/%s/state", name);
    state = store_wait(path, PATIENCE, &error);
    if (state && strcmp(state, "ready"))
        error = -EPROTO;
    mem_free(state);
    return error;
}

static bool is_first(const char *name)
{
    char path[64], *role;
    bool first;

    format_string(path, sizeof(path), "chan/%s/role", name);
    role = store_read(path, NULL);
    first = role && !strcmp(role, "first");
    mem_free(role);
    return first;
}

/* The second side binds to the first one's port. */
static int take_port(const char *name, struct channel *c)
{
    evtchn_port_t published = (evtchn_port_t)read_key(name, "port", 0);
    int error;

    if (!published)
        return -EPROTO;
    c->port = published;
    if (!c->first) {
        error = event_bind_interdomain(c->peer, published, &c->port);
        if (error)
            return error;
    }
    return event_unmask(c->port);
}

static int map_page(const char *name, struct channel *c)
{
    domid_t owner = (domid_t)read_key(name, "page-owner", DOMID_INVALID);
    grant_ref_t ref = (grant_ref_t)read_key(name, "page-ref", 0);
    int error = grant_map(owner, &ref, 1, false, &c->mapping);

    c->page = c->mapping.address;
    return error;
}

int channel_open(const char *name, struct channel *c)
{
    int error;

    *c = (struct channel){ 0 };
    error = wait_until_ready(name);
    if (error)
        return error;
    c->first = is_first(name);
    c->peer = (domid_t)read_key(name, "peer", DOMID_INVALID);
    error = map_page(name, c);
    if (error)
        return error;
    error = take_port(name, c);
    if (error)
        grant_unmap(&c->mapping);
    return error;
}

int channel_send(struct channel *c)
{
    return event_send(c->port);
}

void channel_wait(struct channel *c)
{
    event_wait_for(c->port);
}

void channel_close(struct channel *c)
{
    event_close(c->port);
    grant_unmap(&c->mapping);
    *c = (struct channel){ 0 };
}
