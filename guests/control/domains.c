/*
 * The life of domains.
 *
 * Invariant: what is served to a domain (console, store, wiring) is let go of
 * before the domain is destroyed, so that its pages come back; and others are
 * told that it is gone only after it is.
 */
#include "guests/control/domains.h"

#include "guests/control/batch.h"
#include "guests/control/hv.h"
#include "guests/control/log.h"
#include "guests/control/wire.h"

struct dom *doms[DOMAINS_MAX];
struct module modules[DOMAINS_MAX];
unsigned int nr_modules;
struct belfry_domain own_info;

static bool changed = true; /* the hypervisor told of something */

#define PAGES(type) ((sizeof(type) + PAGE_SIZE - 1) / PAGE_SIZE)

/* ---- Finding. ---- */

struct dom *dom_by_id(uint32_t id)
{
    for_each_dom (d)
        if (d->info.id == id)
            return d;
    return NULL;
}

struct dom *dom_by_name(const char *name)
{
    for_each_dom (d)
        if (strcmp(d->info.name, name) == 0)
            return d;
    return NULL;
}

const char *domain_name(uint32_t id, char *buf, size_t size)
{
    const struct dom *d = dom_by_id(id);
    const struct ended *e = ended_by_id(id, 0);

    if (id == guest.domid)
        string_copy(buf, own_info.name, size);
    else if (d)
        string_copy(buf, d->info.name, size);
    else if (e)
        string_copy(buf, e->info.name, size);
    else
        format_string(buf, size, "%u", id);
    return buf;
}

static struct module *module_by_name(const char *name)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].valid && strcmp(modules[i].args.name, name) == 0)
            return &modules[i];
    return NULL;
}

/* ---- Modules. ---- */

static void read_modules(void)
{
    static struct belfry_module line;
    struct args_error error;

    while (nr_modules < DOMAINS_MAX && hv_modules(nr_modules, &line, 1) == 1) {
        struct module *m = &modules[nr_modules++];

        line.line[sizeof(line.line) - 1] = 0;
        m->valid = domain_args_parse(line.line, &m->args, &error) == 0;
        if (!m->valid)
            memset(&m->args, 0, sizeof(m->args));
    }
}

/* ---- The end of a domain. ---- */

/* Wait longer the more often it has ended at once, so that a loop of crashes
 * leaves the machine to the others. */
static void plan_restart(const struct dom *d)
{
    struct module *m = d->module;
    uint64_t lived = d->info.ended - d->info.created;

    if (!m || d->info.reason == BELFRY_REASON_DESTROYED ||
        m->args.restart == RESTART_NEVER ||
        (m->args.restart == RESTART_ON_CRASH && !domain_crashed(&d->info)))
        return;
    m->quick_ends = lived > 10000000000ull ? 0 : m->quick_ends + 1;
    m->restart_at =
        clock_now() + (100000000ull << (m->quick_ends < 9 ? m->quick_ends : 9));
}

static void forget(struct dom *d)
{
    for (unsigned int i = 0; i < DOMAINS_MAX; i++)
        if (doms[i] == d)
            doms[i] = NULL;
    pages_free(d, PAGES(struct dom));
}

/* It has ended, or is to end: say so, let go of it, take everything back. */
static int finish(struct dom *d, char *text)
{
    char path[32];
    int err;

    d->info.state = BELFRY_STATE_DYING;
    if (!d->info.ended)
        d->info.ended = clock_now();
    domcon_close(&d->console);
    batch_note_line(d);
    log_line(d->info.name, "%s", ended_remember(d)->why);
    batch_count_end(d);
    wire_update();
    format_string(path, sizeof(path), "/local/domain/%u", d->info.id);
    store_remove(path);
    store_ring_close(&d->ring);
    err = hv_control(BELFRY_CONTROL_DESTROY, d->info.id, d->info.generation,
                     text);
    xs_fire_special(&store, "@releaseDomain");
    plan_restart(d);
    forget(d);
    return err == -ESRCH ? 0 : err;
}

/* ---- The beginning of a domain. ---- */

struct directory {
    const char *name;
    bool writable; /* by the domain */
};

/* As Xen's toolstack lays a domain's directory out. */
static int make_directories(domid_t id)
{
    static const struct directory directories[] = {
        { "", false },
        { "/device", false },
        { "/backend", false },
        { "/chan", false },
        { "/control", false },
        { "/control/shutdown", true },
        { "/control/feature-poweroff", true },
        { "/control/feature-reboot", true },
        { "/control/feature-suspend", true },
        { "/control/sysrq", true },
        { "/data", true },
        { "/drivers", true },
        { "/attr", true },
        { "/error", true },
        { "/memory", false },
        { "/console", false },
        { "/store", false },
    };
    char path[64];

    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        bool own = directories[i].writable;
        int err;

        format_string(path, sizeof(path), "/local/domain/%u%s", id,
                      directories[i].name);
        err = store_make(path, own ? id : 0, own ? DOMID_INVALID : id);
        if (err)
            return err;
    }
    return 0;
}

static int publish(const struct dom *d)
{
    const struct belfry_domain *i = &d->info;
    int err = make_directories(i->id);
    char path[64];
    size_t n =
        (size_t)format_string(path, sizeof(path), "/local/domain/%u/", i->id);
    struct {
        const char *name;
        unsigned long long value;
    } numbers[] = { { "domid", i->id },
                    { "memory/target", i->max_pages * 4 },
                    { "memory/static-max", i->max_pages * 4 },
                    { "console/port", i->console_port },
                    { "console/limit", 1048576 },
                    { "store/port", i->store_port } };

    for (size_t k = 0; !err && k < sizeof(numbers) / sizeof(numbers[0]); k++) {
        format_string(path + n, sizeof(path) - n, "%s", numbers[k].name);
        err = store_set(path, "%llu", numbers[k].value);
    }
    format_string(path + n, sizeof(path) - n, "console/type");
    if (!err)
        err = store_set(path, "xenconsoled");
    format_string(path + n, sizeof(path) - n, "name");
    return err ? err : store_set(path, "%s", i->name);
}

static struct dom **free_place(void)
{
    for (unsigned int i = 0; i < DOMAINS_MAX; i++)
        if (!doms[i])
            return &doms[i];
    return NULL;
}

static void appear(const struct belfry_domain *info)
{
    struct dom **place = free_place();
    struct dom *d = place ? pages_alloc(PAGES(struct dom)) : NULL;
    int err;

    if (!d) {
        log_line("control", "no memory to serve %s", info->name);
        return;
    }
    *place = d;
    d->info = *info;
    d->module = module_by_name(info->name);
    d->seen = true;
    err = domcon_open(&d->console, info->id, d->info.name, info->console_port);
    if (err)
        log_line("control", "no console for %s: error %d", info->name, err);
    err = store_ring_open(&d->ring, info->id, info->store_port);
    if (!err)
        err = publish(d);
    if (err)
        log_line("control", "no store for %s: error %d", info->name, err);
    xs_fire_special(&store, "@introduceDomain");
}

/* All that are new and wired may run, unless their line says otherwise. */
static void start_new(void)
{
    char text[96];

    for_each_dom (d) {
        if (d->started || d->info.state != BELFRY_STATE_PAUSED)
            continue;
        d->started = true;
        if (d->module && d->module->args.paused)
            log_line("control", "%s is paused, as its line says", d->info.name);
        else
            hv_control(BELFRY_CONTROL_UNPAUSE, d->info.id, d->info.generation,
                       text);
    }
}

/* ---- Looking for changes. ---- */

static void see(const struct belfry_domain *info)
{
    struct dom *d = dom_by_id(info->id);

    if (info->id == guest.domid) {
        own_info = *info;
        return;
    }
    if (d && d->info.generation == info->generation) {
        d->info = *info;
        d->seen = true;
    } else if (d) {
        changed = true; /* first the old one's end, then look again */
    } else if (info->state != BELFRY_STATE_DYING) {
        appear(info);
    }
}

static void list_all(void)
{
    static struct belfry_domain list[8];
    uint32_t next = 0;
    int n;

    for_each_dom (d)
        d->seen = false;
    while ((n = hv_list(next, list, 8)) > 0) {
        for (int i = 0; i < n; i++)
            see(&list[i]);
        next = list[n - 1].id + 1u;
    }
}

/* Those that ended by themselves; and those that were destroyed behind our
 * back. */
static void finish_ended(void)
{
    char text[96];

    for_each_dom (d) {
        if (d->seen && d->info.state <= BELFRY_STATE_PAUSED)
            continue;
        if (!d->seen || d->info.reason == BELFRY_REASON_NONE)
            d->info.reason = BELFRY_REASON_DESTROYED;
        finish(d, text);
    }
}

void domains_look(void)
{
    changed = false;
    list_all();
    finish_ended();
    wire_update();
    start_new();
    if (!changed)
        batch_check();
}

static void restart_due(void)
{
    uint64_t generation;
    char text[96];
    uint32_t id;
    int err;

    for (unsigned int i = 0; i < nr_modules; i++) {
        struct module *m = &modules[i];

        if (!m->restart_at || clock_now() < m->restart_at)
            continue;
        m->restart_at = 0;
        err = domain_make(m->args.name, &id, &generation, text);
        if (err == -EEXIST) /* a peer still maps a page of the old one */
            m->restart_at = clock_now() + 1000000000;
        else if (err)
            log_line("control", "%s could not be restarted: %s (error %d)",
                     m->args.name, text, err);
        else
            log_line("control", "%s restarted", m->args.name);
    }
}

void domains_check(void)
{
    if (changed)
        domains_look();
    restart_due();
}

int domain_end(struct dom *d, char *text)
{
    int err;

    d->info.reason = BELFRY_REASON_DESTROYED;
    err = finish(d, text);
    domains_look();
    return err;
}

int domain_make(const char *name, uint32_t *id, uint64_t *generation,
                char *text)
{
    int err = hv_create(name, id, generation, text);

    if (!err)
        domains_look();
    return err;
}

/* ---- The parts of the main loop. ---- */

bool domains_work(void)
{
    bool more = false;

    for_each_dom (d) {
        more |= domcon_work(&d->console);
        more |= store_ring_work(&d->ring);
        batch_note_line(d);
    }
    batch_report();
    return more;
}

uint64_t domains_deadline(void)
{
    uint64_t first = 0;

    for_each_dom (d) {
        uint64_t t = domcon_deadline(&d->console);

        if (t && (!first || t < first))
            first = t;
    }
    for (unsigned int i = 0; i < nr_modules; i++) {
        uint64_t t = modules[i].restart_at;

        if (t && (!first || t < first))
            first = t;
    }
    return first;
}

static void on_change(evtchn_port_t port, void *data)
{
    (void)port;
    (void)data;
    changed = true;
}

static void check_built(void)
{
    for (unsigned int i = 0; i < nr_modules; i++) {
        const struct module *m = &modules[i];

        if (m->valid &&
            (!m->args.autostart || strcmp(m->args.name, own_info.name) == 0 ||
             dom_by_name(m->args.name)))
            continue;
        batch_count_unbuilt();
        log_line("control", "%s was not built: see the hypervisor's lines",
                 m->valid ? m->args.name : "a module");
    }
}

static unsigned int count_served(void)
{
    unsigned int count = 0;

    for_each_dom (d)
        count++;
    return count;
}

void domains_start(bool batch)
{
    evtchn_port_t port;

    batch_start(batch);
    read_modules();
    if (event_bind_virq(VIRQ_DOM_EXC, &port) == 0)
        event_handle(port, on_change, NULL);
    changed = false;
    list_all();
    check_built();
    log_line("control", "serving %u domains", count_served());
    domains_look();
}
