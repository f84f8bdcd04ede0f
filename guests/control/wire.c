/*
 * Wiring of devices and named channels.
 *
 * Invariant: a link says which two domains, by generation, it was made for;
 * a page that a domain may still map is never used for anything else.
 */
#include "guests/control/wire.h"

#include "guests/control/log.h"

struct link {
    uint64_t front, back; /* generations, 0: not made */
    domid_t front_id, back_id;
    /* Of a channel only: */
    evtchn_port_t port; /* the front's */
    void *page;
    int ref[2];
};

static struct link links[DOMAINS_MAX][ARGS_MAX_DEVICES];

/* Pages of channels that ended while a domain still mapped them. */
struct leftover {
    void *page;
    int ref[2]; /* -1: withdrawn */
};
static struct leftover leftovers[64];

#define PATH 160u

/* ---- Names and paths. ---- */

/* Xen's number of a block device, 0: not a name we know.  xvda, xvdb2. */
static unsigned int device_number(const char *name)
{
    unsigned int partition = 0;

    if (strncmp(name, "xvd", 3) != 0 || name[3] < 'a' || name[3] > 'p')
        return 0;
    if (name[4] && (name[4] < '1' || name[4] > '9' || name[5]))
        return 0;
    if (name[4])
        partition = (unsigned int)(name[4] - '0');
    return 202u << 8 | 16u * (unsigned int)(name[3] - 'a') | partition;
}

/* Which of the line's network devices this is. */
static unsigned int vif_index(const struct module *m,
                              const struct args_device *d)
{
    unsigned int index = 0;

    for (const struct args_device *p = m->args.device; p < d; p++)
        index += p->kind == DEVICE_VIF;
    return index;
}

static unsigned int number_of(const struct module *m,
                              const struct args_device *d)
{
    return d->kind == DEVICE_VBD ? device_number(d->name) : vif_index(m, d);
}

static const char *kind_name(const struct args_device *d)
{
    return d->kind == DEVICE_VBD ? "vbd" : "vif";
}

static void front_path(char *to, const struct module *m,
                       const struct args_device *d, domid_t front)
{
    if (d->kind == DEVICE_CHAN)
        format_string(to, PATH, "/local/domain/%u/chan/%s", front, d->name);
    else
        format_string(to, PATH, "/local/domain/%u/device/%s/%u", front,
                      kind_name(d), number_of(m, d));
}

static void back_path(char *to, const struct module *m,
                      const struct args_device *d, domid_t front, domid_t back)
{
    if (d->kind == DEVICE_CHAN)
        format_string(to, PATH, "/local/domain/%u/chan/%s", back, d->name);
    else
        format_string(to, PATH, "/local/domain/%u/backend/%s/%u/%u", back,
                      kind_name(d), front, number_of(m, d));
}

/* The directory to remove from the backend: all of a frontend that is gone. */
static void back_path_to_remove(char *to, const struct module *m,
                                const struct args_device *d,
                                const struct link *l)
{
    const struct dom *f = dom_by_id(l->front_id);

    if (d->kind == DEVICE_CHAN || (f && f->info.generation == l->front &&
                                   f->info.state <= BELFRY_STATE_PAUSED))
        back_path(to, m, d, l->front_id, l->back_id);
    else
        format_string(to, PATH, "/local/domain/%u/backend/%s/%u", l->back_id,
                      kind_name(d), l->front_id);
}

/* ---- The store entries of one side. ---- */

/* Write one value of a directory; the first failure stays in *err. */
__attribute__((format(printf, 4, 5))) static void
set(int *err, const char *dir, const char *name, const char *fmt, ...)
{
    char path[PATH + 32], value[PATH];
    va_list args;

    if (*err)
        return;
    va_start(args, fmt);
    format_string_v(value, sizeof(value), fmt, args);
    va_end(args);
    format_string(path, sizeof(path), "%s/%s", dir, name);
    *err = store_set(path, "%s", value);
}

static int write_vbd(const struct link *l, const struct args_device *d,
                     const char *front, const char *back)
{
    int err = 0;

    set(&err, front, "backend", "%s", back);
    set(&err, front, "backend-id", "%u", l->back_id);
    set(&err, front, "virtual-device", "%u", device_number(d->name));
    set(&err, front, "device-type", "disk");
    set(&err, front, "state", "1");
    set(&err, back, "frontend", "%s", front);
    set(&err, back, "frontend-id", "%u", l->front_id);
    set(&err, back, "online", "1");
    set(&err, back, "dev", "%s", d->name);
    set(&err, back, "mode", "w");
    set(&err, back, "bootable", "1");
    set(&err, back, "state", "1");
    return err;
}

static int write_vif(const struct link *l, const struct module *m,
                     const struct args_device *d, const char *front,
                     const char *back)
{
    unsigned int module = (unsigned int)(m - modules), index = vif_index(m, d);
    char mac[20];
    int err = 0;

    format_string(mac, sizeof(mac), "00:16:3e:00:%02x:%02x", module, index);
    set(&err, front, "backend", "%s", back);
    set(&err, front, "backend-id", "%u", l->back_id);
    set(&err, front, "handle", "%u", index);
    set(&err, front, "mac", "%s", mac);
    set(&err, front, "state", "1");
    set(&err, back, "frontend", "%s", front);
    set(&err, back, "frontend-id", "%u", l->front_id);
    set(&err, back, "online", "1");
    set(&err, back, "handle", "%u", index);
    set(&err, back, "mac", "%s", mac);
    set(&err, back, "state", "1");
    return err;
}

/* ---- Channels. ---- */

static void retry_leftovers(void)
{
    for (struct leftover *o = leftovers; o < leftovers + 64; o++) {
        if (!o->page)
            continue;
        for (int side = 0; side < 2; side++)
            if (o->ref[side] >= 0 && grant_end((grant_ref_t)o->ref[side]) == 0)
                o->ref[side] = -1;
        if (o->ref[0] >= 0 || o->ref[1] >= 0)
            continue;
        page_free(o->page);
        o->page = NULL;
    }
}

/* Withdraw the page; if a domain still maps it, try again later.  Without a
 * place to remember it the page is lost rather than used twice. */
static void give_page_back(struct link *l)
{
    if (!l->page)
        return;
    for (struct leftover *o = leftovers; o < leftovers + 64; o++) {
        if (o->page)
            continue;
        *o = (struct leftover){ l->page, { l->ref[0], l->ref[1] } };
        break;
    }
    l->page = NULL;
    retry_leftovers();
}

static int open_port(struct link *l)
{
    struct evtchn_alloc_unbound a = { .dom = l->front_id,
                                      .remote_dom = l->back_id };
    int err = (int)hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &a);

    l->port = a.port;
    return err;
}

static int grant_to_both(struct link *l)
{
    l->ref[0] = l->ref[1] = -1;
    l->page = page_try_alloc();
    if (!l->page)
        return -ENOMEM;
    l->ref[0] = grant_access(l->front_id, l->page, false);
    l->ref[1] = grant_access(l->back_id, l->page, false);
    return l->ref[0] < 0 || l->ref[1] < 0 ? -ENOSPC : 0;
}

static int write_side(const struct link *l, const char *dir, int side)
{
    int err = 0;

    set(&err, dir, "peer", "%u", side ? l->front_id : l->back_id);
    set(&err, dir, "role", side ? "second" : "first");
    set(&err, dir, "port", "%u", l->port);
    set(&err, dir, "page-owner", "%u", guest.domid);
    set(&err, dir, "page-ref", "%d", l->ref[side]);
    set(&err, dir, "state", "ready");
    return err;
}

static int make_channel(struct link *l, const char *front, const char *back)
{
    int err = grant_to_both(l);

    if (!err)
        err = open_port(l);
    if (!err)
        err = write_side(l, front, 0);
    if (!err)
        err = write_side(l, back, 1);
    return err;
}

/* ---- Making and unmaking. ---- */

static void unmake(struct link *l, const struct module *m,
                   const struct args_device *d)
{
    char front[PATH], back[PATH];

    front_path(front, m, d, l->front_id);
    back_path_to_remove(back, m, d, l);
    if (dom_by_id(l->front_id))
        store_remove(front);
    if (dom_by_id(l->back_id))
        store_remove(back);
    give_page_back(l);
    memset(l, 0, sizeof(*l));
}

static void make(struct link *l, const struct module *m,
                 const struct args_device *d, const struct dom *f,
                 const struct dom *b)
{
    char front[PATH], back[PATH];
    int err;

    l->front = f->info.generation;
    l->back = b->info.generation;
    l->front_id = f->info.id;
    l->back_id = b->info.id;
    front_path(front, m, d, l->front_id);
    back_path(back, m, d, l->front_id, l->back_id);
    err = store_make(front, l->front_id, l->back_id);
    if (!err)
        err = store_make(back, l->back_id, l->front_id);
    if (!err && d->kind == DEVICE_VBD)
        err = write_vbd(l, d, front, back);
    if (!err && d->kind == DEVICE_VIF)
        err = write_vif(l, m, d, front, back);
    if (!err && d->kind == DEVICE_CHAN)
        err = make_channel(l, front, back);
    if (err)
        log_line("control", "%s of %s could not be wired to %s: error %d",
                 d->name[0] ? d->name : "vif", f->info.name, b->info.name, err);
}

static bool is_alive(const struct dom *d)
{
    return d && d->info.state <= BELFRY_STATE_PAUSED;
}

static void update(struct link *l, const struct module *m,
                   const struct args_device *d)
{
    const struct dom *f = dom_by_name(m->args.name);
    const struct dom *b = dom_by_name(d->peer);
    bool both = is_alive(f) && is_alive(b) && f != b;

    if (l->front && (!both || l->front != f->info.generation ||
                     l->back != b->info.generation))
        unmake(l, m, d);
    if (!l->front && both && (d->kind != DEVICE_VBD || device_number(d->name)))
        make(l, m, d, f, b);
}

void wire_update(void)
{
    retry_leftovers();
    for (unsigned int i = 0; i < nr_modules; i++)
        for (unsigned int k = 0; k < modules[i].args.nr_devices; k++)
            update(&links[i][k], &modules[i], &modules[i].args.device[k]);
}

bool wire_is_service(const char *name)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        for (unsigned int k = 0; k < modules[i].args.nr_devices; k++)
            if (strcmp(modules[i].args.device[k].peer, name) == 0)
                return true;
    return false;
}

/* ---- Looking. ---- */

static unsigned int read_number(const char *dir, const char *name)
{
    char path[PATH + 32], value[16];
    unsigned int number = 0;

    format_string(path, sizeof(path), "%s/%s", dir, name);
    store_get(path, value, sizeof(value));
    for (const char *p = value; *p >= '0' && *p <= '9' && number < 1u << 24;
         p++)
        number = number * 10 + (unsigned int)(*p - '0');
    return number;
}

static void name_wire(struct wire *w)
{
    const struct args_device *d = w->device;

    if (d->kind == DEVICE_CHAN)
        string_copy(w->name, d->name, sizeof(w->name));
    else if (d->kind == DEVICE_VBD)
        format_string(w->name, sizeof(w->name), "%s.%s", w->module->args.name,
                      d->name);
    else
        format_string(w->name, sizeof(w->name), "%s.vif%u",
                      w->module->args.name, vif_index(w->module, d));
}

static void describe(struct wire *w, const struct link *l)
{
    char front[PATH], back[PATH];

    name_wire(w);
    w->front = dom_by_name(w->module->args.name);
    w->back = dom_by_name(w->device->peer);
    w->port = 0;
    w->front_state = w->back_state = 0;
    if (!l->front)
        return;
    if (w->device->kind == DEVICE_CHAN) {
        w->port = l->port;
        return;
    }
    front_path(front, w->module, w->device, l->front_id);
    back_path(back, w->module, w->device, l->front_id, l->back_id);
    w->port = read_number(front, "event-channel");
    w->front_state = read_number(front, "state");
    w->back_state = read_number(back, "state");
}

bool wire_at(unsigned int i, struct wire *out)
{
    for (unsigned int m = 0; m < nr_modules; m++) {
        unsigned int n = modules[m].args.nr_devices;

        if (i < n) {
            out->module = &modules[m];
            out->device = &modules[m].args.device[i];
            describe(out, &links[m][i]);
            return true;
        }
        i -= n;
    }
    return false;
}

bool wire_by_name(const char *name, struct wire *out)
{
    for (unsigned int i = 0; wire_at(i, out); i++)
        if (strcmp(out->name, name) == 0)
            return true;
    return false;
}

bool wire_by_port(uint32_t id, uint32_t port, struct wire *out)
{
    for (unsigned int i = 0; wire_at(i, out); i++)
        if (out->front && out->front->info.id == id && out->port == port &&
            port)
            return true;
    return false;
}

const char *wire_state_name(unsigned int state)
{
    static const char *const names[] = {
        "nothing", "Initialising", "InitWait",      "Initialised", "Connected",
        "Closing", "Closed",       "Reconfiguring", "Reconfigured"
    };

    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
