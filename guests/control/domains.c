/*
 * The life of domains.
 *
 * Invariant: what is served to a domain (console, store, wiring) is let go of
 * before the domain is destroyed, so that its pages come back; and others are
 * told that it is gone only after it is.
 */
#include "guests/control/domains.h"

#include "guests/control/hv.h"
#include "guests/control/log.h"
#include "guests/control/wire.h"

struct dom *doms[DOMAINS_MAX];
struct module modules[DOMAINS_MAX];
unsigned int nr_modules;
struct belfry_domain own_info;

static struct ended ended[ENDED_MAX];
static unsigned int nr_ended; /* ever */

static bool batch_mode, changed = true, up_reported;
static unsigned int ended_well, crashed, not_built;
static bool bad_verdict;
static struct belfry_machine machine; /* as at start */

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

const struct ended *ended_at(unsigned int i)
{
    unsigned int oldest = nr_ended > ENDED_MAX ? nr_ended - ENDED_MAX : 0;

    return oldest + i < nr_ended ? &ended[(oldest + i) % ENDED_MAX] : NULL;
}

const struct ended *ended_by_name(const char *name)
{
    const struct ended *e, *latest = NULL;

    for (unsigned int i = 0; (e = ended_at(i)) != NULL; i++)
        if (strcmp(e->info.name, name) == 0)
            latest = e;
    return latest;
}

const struct ended *ended_by_id(uint32_t id, uint64_t generation)
{
    const struct ended *e, *latest = NULL;

    for (unsigned int i = 0; (e = ended_at(i)) != NULL; i++)
        if (e->info.id == id &&
            (generation == 0 || e->info.generation == generation))
            latest = e;
    return latest;
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

static const char *vector_name(uint32_t vector)
{
    static const char *const names[] = {
        "divide error", "debug exception", "NMI", "breakpoint", "overflow",
        "bound range exceeded", "invalid opcode", "device not available",
        "double fault", "exception 9", "invalid TSS", "segment not present",
        "stack fault", "general protection", "page fault",
        "exception 15", "x87 error", "alignment check", "machine check",
        "SIMD error"
    };

    return vector < sizeof(names) / sizeof(names[0]) ? names[vector]
                                                     : "exception";
}

/* "crashed: page fault at 0x8 in handle_request+0x1c (reason)" */
static void describe_crash(const struct belfry_domain *i, char *to,
                           size_t size)
{
    const char *what = vector_name(i->crash_vector);
    char at[32] = "", where[80] = "", text[104] = "";

    if (i->crash_vector == 14)
        format_string(at, sizeof(at), " at 0x%llx",
                      (unsigned long long)i->crash_cr2);
    if (i->crash_symbol[0])
        format_string(where, sizeof(where), " in %s", i->crash_symbol);
    else if (i->crash_rip)
        format_string(where, sizeof(where), " at rip 0x%llx",
                      (unsigned long long)i->crash_rip);
    /* The hypervisor's sentence, where it says more than the vector does. */
    if (strncmp(i->crash_text, what, strlen(what)) != 0)
        format_string(text, sizeof(text), " (%s)", i->crash_text);
    if (i->crash_vector != ~0u)
        format_string(to, size, "crashed: %s%s%s%s", what, at, where,
                      i->crash_text[0] ? text : "");
    else if (i->crash_text[0])
        format_string(to, size, "crashed: %s%s", i->crash_text, where);
    else
        string_copy(to, "failed: it shut itself down with reason crash", size);
}

static void describe_end(const struct belfry_domain *i, char *to, size_t size)
{
    switch (i->reason) {
    case SHUTDOWN_poweroff:
        string_copy(to, "ended: poweroff", size);
        return;
    case SHUTDOWN_reboot:
        string_copy(to, "ended: reboot", size);
        return;
    case SHUTDOWN_suspend:
        string_copy(to, "ended: suspend", size);
        return;
    case SHUTDOWN_watchdog:
        string_copy(to, "crashed: its watchdog ran out", size);
        return;
    case BELFRY_REASON_DESTROYED:
        string_copy(to, "destroyed", size);
        return;
    case SHUTDOWN_crash:
        describe_crash(i, to, size);
        return;
    }
    format_string(to, size, "ended: reason %u", i->reason);
}

static void remember(const struct dom *d)
{
    struct ended *e = &ended[nr_ended++ % ENDED_MAX];
    uint64_t from = d->console.position > ENDED_TAIL
                        ? d->console.position - ENDED_TAIL
                        : 0;

    e->info = d->info;
    describe_end(&d->info, e->why, sizeof(e->why));
    string_copy(e->last_line, d->console.last_line, sizeof(e->last_line));
    e->tail_length =
        (uint32_t)domcon_read(&d->console, &from, e->tail, ENDED_TAIL);
    log_line(d->info.name, "%s", e->why);
}

static bool is_crash(const struct belfry_domain *i)
{
    return i->reason == SHUTDOWN_crash || i->reason == SHUTDOWN_watchdog;
}

static void count_end(const struct dom *d)
{
    if (is_crash(&d->info))
        crashed++;
    else
        ended_well++;
    bad_verdict |= d->console.bad_verdict;
}

/* Wait longer the more often it has ended at once, so that a loop of crashes
 * leaves the machine to the others. */
static void plan_restart(const struct dom *d)
{
    struct module *m = d->module;
    uint64_t lived = d->info.ended - d->info.created;

    if (!m || d->info.reason == BELFRY_REASON_DESTROYED ||
        m->args.restart == RESTART_NEVER ||
        (m->args.restart == RESTART_ON_CRASH && !is_crash(&d->info)))
        return;
    m->quick_ends = lived > 10000000000ull ? 0 : m->quick_ends + 1;
    m->restart_at = clock_now() +
                    (100000000ull
                     << (m->quick_ends < 9 ? m->quick_ends : 9));
}

static void forget(struct dom *d)
{
    for (unsigned int i = 0; i < DOMAINS_MAX; i++)
        if (doms[i] == d)
            doms[i] = NULL;
    pages_free(d, PAGES(struct dom));
}

static void note_first_line(struct dom *d);

/* It has ended, or is to end: say so, let go of it, take everything back. */
static int finish(struct dom *d, char *text)
{
    char path[32];
    int err;

    d->info.state = BELFRY_STATE_DYING;
    if (!d->info.ended)
        d->info.ended = clock_now();
    domcon_close(&d->console);
    note_first_line(d);
    remember(d);
    count_end(d);
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
        { "", false },        { "/device", false },
        { "/backend", false }, { "/chan", false },
        { "/control", false }, { "/control/shutdown", true },
        { "/control/feature-poweroff", true },
        { "/control/feature-reboot", true },
        { "/control/feature-suspend", true },
        { "/control/sysrq", true },
        { "/data", true },     { "/drivers", true },
        { "/attr", true },     { "/error", true },
        { "/memory", false },  { "/console", false },
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
    size_t n = (size_t)format_string(path, sizeof(path), "/local/domain/%u/",
                                     i->id);
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
    err = domcon_open(&d->console, info->id, d->info.name,
                      info->console_port);
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
            log_line("control", "%s is paused, as its line says",
                     d->info.name);
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

static void check_batch(void);

void domains_look(void)
{
    changed = false;
    list_all();
    finish_ended();
    wire_update();
    start_new();
    check_batch();
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

/* ---- All have spoken; all have ended. ---- */

static uint64_t since_boot(uint64_t time)
{
    /* The first C line of the hypervisor ran a little before time 0. */
    uint64_t tsc = rdtsc() - machine.boot_tsc;
    uint64_t boot_to_now =
        machine.cpu_khz ? tsc / machine.cpu_khz * 1000000 : clock_now();

    return boot_to_now - (clock_now() - time);
}

static bool waits_for_operator(const struct dom *d)
{
    return d->module && d->module->args.paused &&
           d->info.state == BELFRY_STATE_PAUSED;
}

/* Who has spoken for the first time, in that order. */
static struct {
    char name[BELFRY_NAME_SIZE];
    uint64_t time; /* since the hypervisor's first line */
} spoke[DOMAINS_MAX];
static unsigned int nr_spoke;

static void note_first_line(struct dom *d)
{
    if (!d->console.first_line || d->noted)
        return;
    d->noted = true;
    if (up_reported || nr_spoke == DOMAINS_MAX)
        return;
    string_copy(spoke[nr_spoke].name, d->info.name, BELFRY_NAME_SIZE);
    spoke[nr_spoke++].time = since_boot(d->console.first_line);
}

static void report_up(void)
{
    char list[200] = "";
    size_t used = 0;
    uint64_t last = 0;

    up_reported = true;
    for (unsigned int i = 0; i < nr_spoke; i++) {
        uint64_t t = spoke[i].time;

        last = t > last ? t : last;
        if (used < sizeof(list) - 48)
            used += (size_t)format_string(
                list + used, sizeof(list) - used, "%s%s %llu.%02llu",
                i ? ", " : "", spoke[i].name,
                (unsigned long long)t / 1000000000,
                (unsigned long long)t / 10000000 % 100);
    }
    if (nr_spoke > 0)
        log_line("control",
                 "up: %u domains in %llu.%02llu s after the hypervisor's "
                 "first line (%s)",
                 nr_spoke + 1, (unsigned long long)last / 1000000000,
                 (unsigned long long)last / 10000000 % 100, list);
}

static bool all_have_spoken(void)
{
    for_each_dom (d)
        if (!d->console.first_line && !waits_for_operator(d))
            return false;
    return true;
}

/* Does the machine have to go on for this domain? */
static bool is_service(const struct dom *d)
{
    return wire_is_service(d->info.name) ||
           (d->module && d->module->args.restart == RESTART_ALWAYS);
}

static bool restart_planned(void)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].restart_at)
            return true;
    return false;
}

/* Is there work left: a domain that is no service, or, if there are only
 * services, any domain at all? */
static bool work_left(unsigned int *services)
{
    bool left = false, only_services = true;

    *services = 0;
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].valid && modules[i].args.autostart &&
            strcmp(modules[i].args.name, own_info.name) != 0 &&
            !wire_is_service(modules[i].args.name))
            only_services = false;
    for_each_dom (d) {
        if (is_service(d))
            (*services)++;
        else if (!waits_for_operator(d))
            left = true;
    }
    return left || restart_planned() || (only_services && *services);
}

static void check_batch(void)
{
    unsigned int services;

    if (!batch_mode || changed || work_left(&services))
        return;
    for_each_dom (d) {
        domcon_work(&d->console);
        bad_verdict |= d->console.bad_verdict;
    }
    if (!up_reported)
        report_up();
    log_line("control",
             "%u domains, %u ended well, %u services, %u crashed%s%s; "
             "stopping",
             ended_well + services + crashed, ended_well, services, crashed,
             not_built ? ", some not built" : "",
             bad_verdict ? ", a test failed" : "");
    guest_exit(crashed || bad_verdict || not_built);
}

/* ---- The parts of the main loop. ---- */

bool domains_work(void)
{
    bool more = false;

    for_each_dom (d) {
        more |= domcon_work(&d->console);
        more |= store_ring_work(&d->ring);
        note_first_line(d);
    }
    if (!up_reported && all_have_spoken())
        report_up();
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

        if (m->valid && (!m->args.autostart ||
                         strcmp(m->args.name, own_info.name) == 0 ||
                         dom_by_name(m->args.name)))
            continue;
        not_built++;
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

    batch_mode = batch;
    hv_machine(&machine);
    read_modules();
    if (event_bind_virq(VIRQ_DOM_EXC, &port) == 0)
        event_handle(port, on_change, NULL);
    changed = false;
    list_all();
    check_built();
    log_line("control", "serving %u domains", count_served());
    domains_look();
}
