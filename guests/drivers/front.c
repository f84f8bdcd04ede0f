/*
 * The frontend half of every driver: see front.h.
 *
 * The store's watch and the port's handler only note that something has
 * changed; all work is done in the calls of the driver.
 */
#include "guests/drivers/front.h"

#include "guests/drivers/ring_stats.h"
#include "guests/drivers/shared_page.h"

#define NS_PER_SECOND 1000000000ull
#define PATIENCE      (10 * NS_PER_SECOND)

/* ---- Errors. ---- */

static int front_fail(struct front *f, int error, const char *reason)
{
    if (f->error)
        return f->error;
    printf("%s: no more I/O: %s\n", f->name, reason);
    f->error = error;
    if (*f->path)
        xenbus_state_write(f->path, XenbusStateClosing);
    return error;
}

int front_break(struct front *f, const char *reason)
{
    return front_fail(f, -EPROTO, reason);
}

/* ---- Requests and their ids. ---- */

static void requests_init(struct front *f)
{
    list_init(&f->free);
    list_init(&f->in_flight);
    for (uint32_t i = 0; i < f->ring.nr_slots && i < FRONT_MAX_REQUESTS; i++)
        list_add_tail(&f->request[i].node, &f->free);
}

/* The id names the place in the table, and with its serial number this use
 * of it: an answer that comes twice, or late, is recognised. */
static struct front_request *request_begin(struct front *f, void *cookie)
{
    struct front_request *r =
        container_of(f->free.next, struct front_request, node);

    if (list_empty(&f->in_flight))
        f->now = clock_now();
    list_remove(&r->node);
    list_add_tail(&r->node, &f->in_flight);
    r->id = (uint64_t)++f->serial << 32 | (uint32_t)(r - f->request);
    r->since = f->now;
    r->cookie = cookie;
    return r;
}

static void *request_end(struct front *f, struct front_request *r)
{
    list_remove(&r->node);
    list_add_head(&r->node, &f->free);
    r->id = 0;
    return r->cookie;
}

static struct front_request *request_find(struct front *f, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (id == 0 || index >= FRONT_MAX_REQUESTS || f->request[index].id != id)
        return NULL;
    return &f->request[index];
}

static void show(const struct front *f)
{
    uint64_t oldest = 0;

    if (!list_empty(&f->in_flight))
        oldest =
            container_of(f->in_flight.next, struct front_request, node)->since;
    ring_stats_front(f->stats, &f->ring, oldest);
}

unsigned int front_free(const struct front *f)
{
    return f->error || list_empty(&f->free) ? 0 : ring_front_free(&f->ring);
}

int front_put(struct front *f, void *request, void *cookie)
{
    struct front_request *r;

    if (f->error)
        return f->error;
    if (front_free(f) == 0)
        return -ENOSPC;
    r = request_begin(f, cookie);
    memcpy((char *)request + f->protocol->request_id, &r->id, sizeof(r->id));
    return ring_front_put(&f->ring, request, f->protocol->request_size);
}

int front_submit(struct front *f)
{
    if (f->error)
        return f->error;
    if (ring_front_publish(&f->ring))
        event_send(f->port);
    f->now = clock_now();
    show(f);
    return 0;
}

int front_take(struct front *f, void *response, void **cookie)
{
    struct front_request *r;
    uint64_t id;
    int error;

    if (f->error)
        return f->error;
    error = ring_front_take(&f->ring, response, f->protocol->response_size);
    if (error == -EAGAIN)
        return error;
    if (error)
        return front_break(f, "its backend forged the ring's index");

    memcpy(&id, (char *)response + f->protocol->response_id, sizeof(id));
    r = request_find(f, id);
    if (!r)
        return front_break(f, "its backend answered what nobody asked");
    *cookie = request_end(f, r);
    return 0;
}

bool front_cancel(struct front *f, void **cookie)
{
    if (!f->error || list_empty(&f->in_flight))
        return false;
    *cookie = request_end(
        f, container_of(f->in_flight.next, struct front_request, node));
    return true;
}

/* The backend's state has changed while we are connected. */
static void look_at_backend(struct front *f)
{
    enum xenbus_state state;

    f->backend_changed = false;
    state = xenbus_state_read(f->backend);
    if (state != XenbusStateConnected)
        front_fail(f, -EPIPE,
                   state == XenbusStateUnknown ? "its backend is gone"
                                               : "its backend has closed");
}

int front_wait(struct front *f)
{
    while (!f->error && !ring_front_arm(&f->ring)) {
        show(f);
        if (f->backend_changed)
            look_at_backend(f);
        else
            event_wait();
    }
    return f->error;
}

/* ---- Connecting. ---- */

/* Its ring ends the sleep in front_wait, which then looks. */
static void backend_rang(evtchn_port_t port, void *data)
{
    (void)port, (void)data;
}

static void backend_moved(const char *path, void *data)
{
    struct front *f = data;

    (void)path;
    f->backend_changed = true;
}

/* Is a backend in @state as far as we need it?  One that leaves may skip a
 * step, and one whose domain is gone has left. */
static bool has_reached(enum xenbus_state state, enum xenbus_state wanted)
{
    if (wanted >= XenbusStateClosing)
        return state >= wanted || state == XenbusStateUnknown;
    return state == wanted;
}

static bool has_refused(enum xenbus_state state, enum xenbus_state wanted)
{
    return wanted == XenbusStateConnected && state >= XenbusStateClosing;
}

static int wait_for_backend(struct front *f, enum xenbus_state wanted)
{
    uint64_t deadline = clock_now() + PATIENCE;
    enum xenbus_state state;

    for (;;) {
        f->backend_changed = false;
        state = xenbus_state_read(f->backend);
        if (has_reached(state, wanted))
            return 0;
        if (has_refused(state, wanted)) {
            printf("%s: its backend, domain %u, refuses\n", f->name, f->peer);
            return -ECONNREFUSED;
        }
        while (!f->backend_changed)
            if (!event_wait_until(deadline))
                goto late;
    }
late:
    printf("%s: its backend, domain %u, is %s after 10 s, not %s\n", f->name,
           f->peer, xenbus_state_name(state), xenbus_state_name(wanted));
    return -ETIMEDOUT;
}

/* The toolstack may still be writing when we start: the state is its last
 * word in our directory. */
static int find_backend(struct front *f)
{
    char path[XENBUS_PATH_MAX + 8], *text;
    size_t n;

    format_string(path, sizeof(path), "%s/state", f->path);
    mem_free(store_wait(path, PATIENCE, NULL));

    text = xenbus_read(f->path, "backend");
    n = text ? string_copy(f->backend, text, sizeof(f->backend))
             : sizeof(f->backend);
    mem_free(text);
    f->peer = (domid_t)xenbus_read_number(f->path, "backend-id", DOMID_INVALID);
    if (n + sizeof("/state") <= sizeof(f->backend) && f->peer != DOMID_INVALID)
        return 0;
    printf("%s: this domain has no such device\n", f->name);
    return -ENOENT;
}

static int make_ring(struct front *f)
{
    f->page = page_try_alloc();
    if (!f->page)
        return -ENOMEM;
    f->ring_ref = grant_access(f->peer, f->page, false);
    if (f->ring_ref < 0)
        return f->ring_ref;
    return ring_front_create(&f->ring, f->page, PAGE_SIZE,
                             protocol_slot_size(f->protocol));
}

static int make_port(struct front *f)
{
    int error = event_alloc_unbound(f->peer, &f->port);

    return error ? error : event_handle(f->port, backend_rang, f);
}

static int check_protocol(const struct front *f)
{
    const char *why = protocol_differs(f->protocol, f->backend);

    if (!why)
        return 0;
    printf("%s: its backend, domain %u, %s\n", f->name, f->peer, why);
    return -EPROTO;
}

/* What the backend needs; the state goes last. */
static int publish_ring(struct front *f)
{
    int error = xenbus_write(f->path, "ring-ref", "%d", f->ring_ref);

    if (!error)
        error = xenbus_write(f->path, "event-channel", "%u", f->port);
    if (!error)
        error = xenbus_write(f->path, "protocol", "x86_64-abi");
    if (!error)
        error = protocol_publish(f->protocol, f->path);
    if (!error)
        error = xenbus_state_write(f->path, XenbusStateInitialised);
    return error;
}

/* Not before the backend has done with the last time: until then its state
 * is of that time, and may bind us to the ring that we had then. */
static int begin_again(struct front *f)
{
    int error;

    if (xenbus_state_read(f->path) == XenbusStateInitialising)
        return 0;
    error = wait_for_backend(f, XenbusStateClosed);
    return error ? error : xenbus_state_write(f->path, XenbusStateInitialising);
}

static int connect_device(struct front *f)
{
    int error;

    format_string(f->watched, sizeof(f->watched), "%s/state", f->backend);
    error = store_watch(f->watched, backend_moved, f);
    if (!error)
        error = begin_again(f);
    if (!error)
        error = wait_for_backend(f, XenbusStateInitWait);
    if (!error)
        error = check_protocol(f);
    if (!error)
        error = make_ring(f);
    if (!error)
        error = make_port(f);
    if (!error)
        error = publish_ring(f);
    if (!error)
        error = wait_for_backend(f, XenbusStateConnected);
    if (!error)
        error = xenbus_state_write(f->path, XenbusStateConnected);
    return error;
}

static void front_init(struct front *f, const struct protocol *p)
{
    memset(f, 0, sizeof(*f));
    f->protocol = p;
    f->ring_ref = -1;
    list_init(&f->free);
    list_init(&f->in_flight);
}

static int fail_to_open(struct front *f, int error)
{
    if (error != -ETIMEDOUT && error != -ECONNREFUSED && error != -EPROTO)
        printf("%s: cannot connect: error %d\n", f->name, error);
    front_close(f);
    return error;
}

int front_open_device(struct front *f, const struct protocol *p,
                      const char *node, const char *name)
{
    int error;

    front_init(f, p);
    string_copy(f->name, name, sizeof(f->name));
    format_string(f->path, sizeof(f->path), "device/%s/%s", p->device, node);
    error = find_backend(f);
    if (error)
        return error;
    error = connect_device(f);
    if (error)
        return fail_to_open(f, error);
    requests_init(f);
    f->stats = ring_stats_add(p, name, BELFRY_RING_FRONT, f->port,
                              virt_to_mfn(f->page));
    return 0;
}

int front_open_channel(struct front *f, const struct protocol *p,
                       const char *name)
{
    int error;

    front_init(f, p);
    string_copy(f->name, name, sizeof(f->name));
    error = channel_open(name, &f->channel);
    if (error) {
        printf("%s: this domain has no such channel\n", name);
        return error;
    }
    f->peer = f->channel.peer;
    f->port = f->channel.port;
    error = ring_front_create(&f->ring, f->channel.page, PAGE_SIZE,
                              protocol_slot_size(p));
    if (!error)
        error = event_handle(f->port, backend_rang, f);
    if (error)
        return fail_to_open(f, error);
    requests_init(f);
    f->stats = ring_stats_add(p, name, BELFRY_RING_FRONT, f->port, 0);
    return 0;
}

/* ---- Closing. ---- */

/* Closing, until the backend has let go; then Closed.  One that does not
 * answer is not waited for again. */
static void leave_device(struct front *f)
{
    enum xenbus_state state = xenbus_state_read(f->backend);

    xenbus_state_write(f->path, XenbusStateClosing);
    if (state == XenbusStateConnected)
        wait_for_backend(f, XenbusStateClosing);
    xenbus_state_write(f->path, XenbusStateClosed);
    if (state != XenbusStateUnknown)
        wait_for_backend(f, XenbusStateClosed);
    store_unwatch(f->watched, backend_moved, f);
}

static void free_ring(struct front *f)
{
    if (f->port)
        event_close(f->port);
    if (f->ring_ref >= 0)
        shared_page_free(f->page, (grant_ref_t)f->ring_ref);
    else if (f->page)
        page_free(f->page);
}

void front_close(struct front *f)
{
    ring_stats_remove(f->stats);
    if (*f->path) {
        leave_device(f);
        free_ring(f);
    } else if (f->channel.page) {
        channel_close(&f->channel);
    }
    memset(f, 0, sizeof(*f));
    f->error = -EPIPE;
    list_init(&f->free);
    list_init(&f->in_flight);
}

uint64_t front_read_number(const struct front *f, const char *key,
                           uint64_t otherwise)
{
    return xenbus_read_number(f->backend, key, otherwise);
}
