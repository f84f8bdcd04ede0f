/*
 * The backend half of every driver: see back.h.
 *
 * Handlers and watches only note that something has changed; all work is
 * done from back_turn, so that no frontend's doings interrupt another's.
 * A device leaves the list only there, when its directory is gone.
 */
#include "guests/drivers/back.h"

#include "guests/drivers/ring_stats.h"

#define BUDGET 64u /* requests of one frontend in a row */
#define BUSES  4u
#define TOLD   8u /* connections of one device that are spoken of */

/* A driver that takes devices from the store. */
struct bus {
    const struct back_driver *driver;
    char path[32]; /* "backend/vbd" */
    bool changed;
};

static struct bus buses[BUSES];
static unsigned int nr_buses;
static struct list devices = { &devices, &devices };

/* ---- Requests and responses. ---- */

int back_reply(struct back *b, const void *response)
{
    return ring_back_put(&b->ring, response,
                         b->driver->protocol->response_size);
}

int back_garbage(struct back *b, const char *reason)
{
    b->garbage = reason;
    return -EPROTO;
}

static void flush(struct back *b)
{
    if (ring_back_publish(&b->ring))
        event_send(b->port);
}

static void show(const struct back *b)
{
    ring_stats_back(b->stats, &b->ring, 0);
}

static void set_state(struct back *b, enum xenbus_state state)
{
    b->state = state;
    if (*b->path)
        xenbus_state_write(b->path, state);
}

/* A frontend that comes and goes all day does not fill the log. */
static bool is_told(const struct back *b)
{
    return b->connections <= TOLD;
}

static void disconnect(struct back *b)
{
    if (!b->connected)
        return;
    b->connected = false;
    if (!b->banned && is_told(b))
        printf("%s: closed after %lu requests\n", b->name, b->served);
    ring_stats_remove(b->stats);
    b->stats = NULL;
    if (*b->path) {
        event_close(b->port);
        grant_unmap(&b->mapping);
    } else {
        channel_close(&b->channel);
    }
    if (b->driver->disconnect)
        b->driver->disconnect(b);
}

/* It had its chance: said once, and not let in again. */
static void ban(struct back *b, const char *reason)
{
    printf("%s: disconnected after %lu requests: %s\n", b->name, b->served,
           reason);
    b->banned = true;
    disconnect(b);
    set_state(b, XenbusStateClosed);
}

static const struct grant_mapping *mapping_of(const struct back *b)
{
    return *b->path ? &b->mapping : &b->channel.mapping;
}

/* One request.  0, -EAGAIN none, else the frontend is banned. */
static int serve_one(struct back *b)
{
    static _Alignas(8) uint8_t request[PROTOCOL_MESSAGE_MAX];
    int error =
        ring_back_take(&b->ring, request, b->driver->protocol->request_size);

    if (error == -EAGAIN)
        return error;
    if (error) {
        ban(b, grant_is_lost(mapping_of(b))
                   ? "its frontend took the ring away"
                   : "its frontend forged the ring's index");
        return error;
    }
    b->garbage = "its frontend sent garbage";
    error = b->driver->serve(b, request);
    b->served++;
    if (error)
        ban(b, b->garbage);
    return error;
}

static void serve_some(struct back *b)
{
    unsigned int n = 0;

    b->rang = false;
    while (n < BUDGET && serve_one(b) == 0)
        n++;
    if (!b->connected)
        return;
    flush(b);
    b->rang = n == BUDGET || ring_back_arm(&b->ring);
    show(b);
}

/* ---- A frontend that wants its page back. ---- */

static void page_is_wanted(const struct belfry_notice *notice)
{
    list_for_each (node, &devices) {
        struct back *b = container_of(node, struct back, node);

        if (b->connected && grant_has_handle(mapping_of(b), notice->handle))
            b->wanted_back = true;
    }
}

/* It gets it at once; it may connect again by a handshake. */
static void give_back(struct back *b)
{
    b->wanted_back = false;
    printf("%s: its frontend takes the ring back\n", b->name);
    disconnect(b);
    set_state(b, XenbusStateClosed);
}

/* ---- Connecting. ---- */

static void frontend_rang(evtchn_port_t port, void *data)
{
    struct back *b = data;

    (void)port;
    b->rang = true;
}

static void frontend_moved(const char *path, void *data)
{
    struct back *b = data;

    (void)path;
    b->moved = true;
}

static bool speaks_our_abi(const struct back *b)
{
    char *abi = xenbus_read(b->frontend, "protocol");
    bool ours = !abi || !strcmp(abi, "x86_64-abi");

    mem_free(abi);
    return ours;
}

static int map_ring(struct back *b)
{
    uint64_t ref = xenbus_read_number(b->frontend, "ring-ref", UINT64_MAX);
    grant_ref_t refs[1] = { (grant_ref_t)ref };

    if (ref > UINT32_MAX)
        return -EINVAL;
    return grant_map(b->peer, refs, 1, false, &b->mapping);
}

static int bind_port(struct back *b)
{
    uint64_t port = xenbus_read_number(b->frontend, "event-channel", 0);
    int error;

    if (port == 0 || port > UINT32_MAX)
        return -EINVAL;
    error = event_bind_interdomain(b->peer, (evtchn_port_t)port, &b->port);
    if (error)
        return error;
    error = event_handle(b->port, frontend_rang, b);
    if (error)
        event_close(b->port);
    return error;
}

/* Requests may have come before we did: the first look is ours. */
static int begin_service(struct back *b, void *page, const char *shown)
{
    const struct protocol *p = b->driver->protocol;
    int error =
        ring_back_attach(&b->ring, page, PAGE_SIZE, protocol_slot_size(p));

    if (error)
        return error;
    b->stats = ring_stats_add(p, shown, BELFRY_RING_BACK, b->port, 0);
    b->connected = true;
    b->rang = true;
    b->wanted_back = false;
    b->served = 0;
    if (++b->connections <= TOLD)
        printf("%s: connected%s\n", b->name,
               b->connections == TOLD ? "; the next times are not told" : "");
    return b->driver->connect ? b->driver->connect(b) : 0;
}

/* What the frontend published is its own affair until here. */
static int connect_device(struct back *b)
{
    char *shown;
    int error;

    if (!speaks_our_abi(b))
        return -EOPNOTSUPP;
    error = map_ring(b);
    if (error)
        return error;
    error = bind_port(b);
    if (error) {
        grant_unmap(&b->mapping);
        return error;
    }
    shown = back_read(b, "dev");
    error = begin_service(b, b->mapping.address, shown ? shown : "");
    mem_free(shown);
    return error;
}

static void try_to_connect(struct back *b)
{
    const char *differs = protocol_differs(b->driver->protocol, b->frontend);
    char reason[96];
    int error;

    if (differs) {
        format_string(reason, sizeof(reason), "its frontend %s", differs);
        ban(b, reason);
        return;
    }
    error = connect_device(b);
    if (!error) {
        set_state(b, XenbusStateConnected);
        return;
    }
    format_string(reason, sizeof(reason),
                  error == -EOPNOTSUPP
                      ? "its frontend speaks another ABI"
                      : "its frontend's ring cannot be reached: error %d",
                  error);
    ban(b, reason);
}

/* ---- A channel: it stands when the control domain has made it. ---- */

static int connect_channel(struct back *b)
{
    int error = channel_open(b->name, &b->channel);

    if (error)
        return error;
    b->peer = b->channel.peer;
    b->port = b->channel.port;
    error = event_handle(b->port, frontend_rang, b);
    if (!error)
        error = begin_service(b, b->channel.page, b->name);
    if (error && b->connected)
        disconnect(b);
    else if (error)
        channel_close(&b->channel);
    return error;
}

/* The frontend of a channel ends, and perhaps lives again, as another
 * domain: what is published for us then names that one. */
static void follow_channel(struct back *b)
{
    char path[XENBUS_PATH_MAX];
    uint64_t peer;

    b->moved = false;
    format_string(path, sizeof(path), "chan/%s/peer", b->name);
    peer = store_read_number(path, DOMID_INVALID);
    if (peer == b->peer)
        return;
    disconnect(b);
    b->banned = false;
    b->peer = DOMID_INVALID;
    if (peer != DOMID_INVALID && connect_channel(b))
        printf("%s: cannot be served again\n", b->name);
}

/* ---- The handshake of a device. ---- */

static void follow_device(struct back *b)
{
    b->moved = false;
    if (b->banned)
        return;
    switch (xenbus_state_read(b->frontend)) {
    case XenbusStateInitialising:
        if (b->state == XenbusStateClosed)
            set_state(b, XenbusStateInitWait);
        break;
    case XenbusStateInitialised:
    case XenbusStateConnected:
        if (b->state == XenbusStateInitWait)
            try_to_connect(b);
        break;
    case XenbusStateClosing:
        disconnect(b);
        if (b->state != XenbusStateClosing)
            set_state(b, XenbusStateClosing);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        disconnect(b);
        if (b->state != XenbusStateClosed)
            set_state(b, XenbusStateClosed);
        break;
    default:
        break;
    }
}

/* ---- Devices come and go with their directories. ---- */

static void name_device(struct back *b, const char *node)
{
    char *dev = back_read(b, "dev");

    format_string(b->name, sizeof(b->name), "%s of domain %u", dev ? dev : node,
                  b->peer);
    mem_free(dev);
}

/* False while the toolstack has not written all of the directory. */
static bool find_frontend(struct back *b)
{
    char *frontend = back_read(b, "frontend");
    size_t n = frontend
                   ? string_copy(b->frontend, frontend, sizeof(b->frontend))
                   : sizeof(b->frontend);
    bool complete = xenbus_state_read(b->path) != XenbusStateUnknown;

    mem_free(frontend);
    b->peer =
        (domid_t)xenbus_read_number(b->path, "frontend-id", DOMID_INVALID);
    return complete && b->peer != DOMID_INVALID &&
           n + sizeof("/state") <= sizeof(b->frontend);
}

static void begin_device(struct back *b)
{
    int error = b->driver->probe ? b->driver->probe(b) : 0;

    if (!error)
        error = protocol_publish(b->driver->protocol, b->path);
    if (!error) {
        format_string(b->watched, sizeof(b->watched), "%s/state", b->frontend);
        error = store_watch(b->watched, frontend_moved, b);
    }
    if (error) {
        printf("%s: cannot be served: error %d\n", b->name, error);
        b->banned = true;
    }
    set_state(b, error ? XenbusStateClosed : XenbusStateInitWait);
}

static void add_device(const struct back_driver *driver, const char *path,
                       const char *node)
{
    struct back *b = mem_alloc(sizeof(*b));

    if (!b) {
        printf("%s: no memory to serve it\n", path);
        return;
    }
    b->driver = driver;
    b->seen = true;
    string_copy(b->path, path, sizeof(b->path));
    if (!find_frontend(b)) {
        mem_free(b);
        return;
    }
    name_device(b, node);
    list_add_tail(&b->node, &devices);
    begin_device(b);
}

static void remove_device(struct back *b)
{
    disconnect(b);
    if (*b->watched)
        store_unwatch(b->watched, frontend_moved, b);
    list_remove(&b->node);
    mem_free(b);
}

static struct back *find_device(const char *path)
{
    list_for_each (node, &devices) {
        struct back *b = container_of(node, struct back, node);

        if (!strcmp(b->path, path))
            return b;
    }
    return NULL;
}

/* One frontend's directory: a device a name. */
static void scan_frontend(struct bus *bus, const char *dir)
{
    char path[XENBUS_PATH_MAX];
    unsigned int count;
    char *nodes = store_directory(dir, &count, NULL);

    for (const char *node = nodes; count > 0; node += strlen(node) + 1) {
        struct back *b;

        count--;
        format_string(path, sizeof(path), "%s/%s", dir, node);
        b = find_device(path);
        if (b)
            b->seen = true;
        else
            add_device(bus->driver, path, node);
    }
    mem_free(nodes);
}

static void scan(struct bus *bus)
{
    char dir[XENBUS_PATH_MAX];
    unsigned int count;
    char *domains = store_directory(bus->path, &count, NULL);

    for (const char *domain = domains; count > 0;
         domain += strlen(domain) + 1) {
        count--;
        format_string(dir, sizeof(dir), "%s/%s", bus->path, domain);
        scan_frontend(bus, dir);
    }
    mem_free(domains);
}

static void scan_all(void)
{
    list_for_each (node, &devices) {
        container_of(node, struct back, node)->seen = false;
    }
    for (unsigned int i = 0; i < nr_buses; i++) {
        buses[i].changed = false;
        scan(&buses[i]);
    }
    list_for_each_safe (node, &devices) {
        struct back *b = container_of(node, struct back, node);

        if (*b->path && !b->seen)
            remove_device(b);
    }
}

static void bus_changed(const char *path, void *data)
{
    struct bus *bus = data;

    (void)path;
    bus->changed = true;
}

/* ---- For the program. ---- */

static bool fits(const struct protocol *p)
{
    size_t size = protocol_slot_size(p);

    return size <= PROTOCOL_MESSAGE_MAX && ring_slots(PAGE_SIZE, size) > 0;
}

int back_add_devices(const struct back_driver *driver)
{
    struct bus *bus = &buses[nr_buses];

    if (nr_buses == BUSES || !fits(driver->protocol))
        return -EINVAL;
    bus->driver = driver;
    format_string(bus->path, sizeof(bus->path), "backend/%s",
                  driver->protocol->device);
    nr_buses++;
    (void)grant_on_notice(page_is_wanted); /* on Xen there are none */
    return store_watch(bus->path, bus_changed, bus);
}

int back_add_channel(const struct back_driver *driver, const char *name)
{
    struct back *b = fits(driver->protocol) ? mem_alloc(sizeof(*b)) : NULL;
    int error;

    if (!b)
        return -ENOMEM;
    b->driver = driver;
    string_copy(b->name, name, sizeof(b->name));
    format_string(b->watched, sizeof(b->watched), "chan/%s/state", name);
    error = connect_channel(b);
    if (!error)
        error = store_watch(b->watched, frontend_moved, b);
    if (error) {
        disconnect(b);
        printf("%s: cannot serve this channel: error %d\n", name, error);
        mem_free(b);
        return error;
    }
    list_add_tail(&b->node, &devices);
    (void)grant_on_notice(page_is_wanted);
    return 0;
}

static bool bus_has_changed(void)
{
    for (unsigned int i = 0; i < nr_buses; i++)
        if (buses[i].changed)
            return true;
    return false;
}

bool back_turn(void)
{
    bool more = false;

    if (bus_has_changed())
        scan_all();
    list_for_each (node, &devices) {
        struct back *b = container_of(node, struct back, node);

        if (b->connected && b->wanted_back)
            give_back(b);
        if (b->moved && *b->path)
            follow_device(b);
        else if (b->moved)
            follow_channel(b);
        if (b->connected && b->rang)
            serve_some(b);
        more |= b->moved || (b->connected && b->rang);
    }
    return more;
}

_Noreturn void back_run(void)
{
    for (;;) {
        if (back_turn())
            event_poll();
        else
            event_wait();
    }
}

int back_publish(struct back *b, const char *key, const char *fmt, ...)
{
    char value[XENBUS_PATH_MAX];
    va_list args;

    va_start(args, fmt);
    format_string_v(value, sizeof(value), fmt, args);
    va_end(args);
    return *b->path ? xenbus_write(b->path, key, "%s", value) : 0;
}

char *back_read(const struct back *b, const char *key)
{
    return *b->path ? xenbus_read(b->path, key) : NULL;
}
