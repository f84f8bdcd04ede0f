/*
 * Verbs about domains and the machine.
 *
 * Invariant: fields are those of docs/protocol.md, in its order.
 */
#include "guests/control/verbs.h"

#include "guests/control/hv.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "lib/vcpu_state.h"

#define LAST_LINES 6u /* of a domain that has crashed */

static int run_hello(struct call *c)
{
    static const char *const words[] = { "counters", "audit",   "refused",
                                         "rings",    "manage",  "calls",
                                         "notice",   "credits", "revoke",
                                         "inject" };
    struct belfry_version v;
    struct emit *e = c->emit;
    int err = hv_version(&v);

    if (err)
        return call_refused(c, err, "version", "");
    emit_object(e, "data");
    emit_number(e, "version", 1);
    emit_string(e, "hypervisor", v.text);
    emit_array(e, "capabilities");
    for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (v.capabilities >> i & 1)
            emit_string(e, NULL, words[i]);
    emit_array_end(e);
    emit_number(e, "generation", v.generation);
    emit_object_end(e);
    return 0;
}

static int run_machine(struct call *c)
{
    struct belfry_machine m;
    struct emit *e = c->emit;
    int err = hv_machine(&m);

    if (err)
        return call_refused(c, err, "machine", "");
    emit_object(e, "data");
    emit_number(e, "cpus", m.nr_cpus);
    emit_number(e, "domains", m.nr_domains);
    emit_number(e, "total_pages", m.total_pages);
    emit_number(e, "free_pages", m.free_pages);
    emit_number(e, "cpu_khz", m.cpu_khz);
    emit_number(e, "idle_time", m.idle_time);
    emit_number(e, "context_switches", m.context_switches);
    emit_number(e, "interrupts", m.interrupts);
    emit_number(e, "hypercalls", m.hypercalls);
    emit_object_end(e);
    return 0;
}

/* ---- list ---- */

static const char *reason_name(uint8_t reason)
{
    static const char *const names[] = { "poweroff", "reboot", "suspend",
                                         "crash", "watchdog" };

    if (reason < 5)
        return names[reason];
    return reason == BELFRY_REASON_DESTROYED ? "destroyed" : "none";
}

/* A domain all of whose vCPUs sleep is blocked. */
static const char *state_name(const struct belfry_domain *d)
{
    static const char *const names[] = { "running", "paused", "shutdown",
                                         "dying" };
    static struct belfry_vcpu vcpus[32];
    int n;

    if (d->state != BELFRY_STATE_RUNNING)
        return names[d->state & 3];
    n = hv_vcpus(d->id, d->generation, vcpus, 32);
    for (int i = 0; i < n; i++)
        if (vcpus[i].state == BELFRY_VCPU_RUNNING ||
            vcpus[i].state == BELFRY_VCPU_RUNNABLE)
            return "running";
    return "blocked";
}

static void emit_crash(struct emit *e, const struct belfry_domain *d)
{
    if (d->reason != SHUTDOWN_crash) {
        emit_null(e, "crash");
        return;
    }
    emit_object(e, "crash");
    emit_known(e, "vector", d->crash_vector != ~0u, d->crash_vector);
    emit_number(e, "error", d->crash_error);
    emit_address(e, "rip", d->crash_rip);
    emit_address(e, "cr2", d->crash_cr2);
    emit_string(e, "symbol", d->crash_symbol);
    emit_string(e, "text", d->crash_text);
    emit_object_end(e);
}

/* What one that has crashed said last; nothing of others. */
static void emit_last_lines(struct emit *e, const struct ended *g)
{
    unsigned int nr = 0, n = 0;
    char line[DOMCON_LINE];
    uint32_t at = 0;

    emit_array(e, "last_lines");
    if (g && (g->info.reason == SHUTDOWN_crash ||
              g->info.reason == SHUTDOWN_watchdog)) {
        while (ended_line(g, &at, line, sizeof(line)))
            nr++;
        for (at = 0; ended_line(g, &at, line, sizeof(line)); n++)
            if (n + LAST_LINES >= nr)
                emit_string(e, NULL, line);
    }
    emit_array_end(e);
}

/* @g: it has ended, else NULL. */
static void emit_domain(struct emit *e, const struct belfry_domain *d,
                        const char *state, const char *why,
                        const char *last_line, const struct ended *g)
{
    emit_object(e, NULL);
    emit_number(e, "id", d->id);
    emit_string(e, "name", d->name);
    emit_string(e, "state", state);
    emit_string(e, "why", why);
    emit_string(e, "reason", reason_name(d->reason));
    emit_number(e, "vcpus", d->nr_vcpus);
    emit_number(e, "pages", d->pages);
    emit_number(e, "max_pages", d->max_pages);
    emit_number(e, "cpu_time", d->cpu_time);
    emit_number(e, "hypercalls", d->hypercalls);
    emit_number(e, "refused", d->refused);
    emit_number(e, "generation", d->generation);
    emit_number(e, "created", d->created);
    emit_number(e, "ended", d->ended);
    emit_number(e, "priority", d->priority);
    emit_crash(e, d);
    emit_string(e, "last_line", last_line);
    emit_last_lines(e, g);
    emit_object_end(e);
}

static const char *why_now(const struct dom *d)
{
    if (d->console.closed_why)
        return "its console was disconnected: impossible ring index";
    if (d->ring.closed_why)
        return "its store was disconnected: impossible ring index or request";
    return "";
}

static int run_list(struct call *c)
{
    const struct ended *g;

    emit_array(c->emit, "data");
    emit_domain(c->emit, &own_info, "running", "", "", NULL);
    for_each_dom (d)
        emit_domain(c->emit, &d->info, state_name(&d->info), why_now(d),
                    d->console.last_line, NULL);
    for (unsigned int i = 0; (g = ended_at(i)) != NULL; i++)
        emit_domain(c->emit, &g->info, "gone", g->why, g->last_line, g);
    emit_array_end(c->emit);
    return 0;
}

static const struct column list_columns[] = {
    { "ID", "id", 0 },
    { "NAME", "name", 0 },
    { "STATE", "state", 0 },
    { "VCPUS", "vcpus", 0 },
    { "MEM", "pages", STYLE_PAGES },
    { "CPU", "cpu_time", STYLE_TIME },
    { "HYPERCALLS", "hypercalls", 0 },
    { "REFUSED", "refused", 0 },
    { "GEN", "generation", 0 },
    { "WHY", "why", 0 },
    { NULL, NULL, 0 },
};

/* ---- vcpus ---- */

/* "0,2-3": as cpus= of grub.cfg has it. */
static void emit_cpus(struct emit *e, uint64_t cpus)
{
    char text[128] = "";
    size_t used = 0;

    for (unsigned int first = 0, last; first < 64; first = last + 1) {
        for (last = first; last < 64 && cpus >> last & 1; last++)
            ;
        if (last == first)
            continue;
        used += (size_t)format_string(text + used, sizeof(text) - used, "%s%u",
                                      used ? "," : "", first);
        if (last - first > 1)
            used += (size_t)format_string(text + used, sizeof(text) - used,
                                          "-%u", last - 1);
    }
    emit_string(e, "cpus", text);
}

static void emit_vcpu(struct emit *e, const struct belfry_domain *d,
                      const struct belfry_vcpu *v)
{
    emit_object(e, NULL);
    emit_string(e, "domain", d->name);
    emit_number(e, "vcpu", v->vcpu);
    emit_number(e, "cpu", v->cpu);
    emit_cpus(e, v->cpus);
    emit_string(e, "state", vcpu_state_name(v->state));
    emit_number(e, "since", v->since);
    emit_bool(e, "upcall_pending", v->upcall_pending);
    emit_bool(e, "upcall_masked", v->upcall_masked);
    emit_number(e, "priority", v->priority);
    emit_number(e, "lent_priority", v->lent_priority);
    emit_number(e, "budget", v->budget);
    emit_number(e, "budget_left", v->budget_left);
    emit_number(e, "period", v->period);
    emit_address(e, "rip", v->rip);
    emit_string(e, "symbol", v->symbol);
    emit_number(e, "cpu_time", v->cpu_time);
    emit_object_end(e);
}

static int run_vcpus(struct call *c)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);
    static struct belfry_vcpu vcpus[32];
    struct belfry_domain only;
    int code = c->argc ? call_domain(c, c->argv[0], &only) : 0;

    if (code)
        return code;
    emit_array(c->emit, "data");
    for (unsigned int i = 0; i < n; i++) {
        int count;

        if (c->argc && all[i]->generation != only.generation)
            continue;
        count = hv_vcpus(all[i]->id, all[i]->generation, vcpus, 32);
        for (int k = 0; k < count; k++)
            emit_vcpu(c->emit, all[i], &vcpus[k]);
    }
    emit_array_end(c->emit);
    return 0;
}

static const struct column vcpu_columns[] = {
    { "DOM", "domain", 0 },
    { "VCPU", "vcpu", 0 },
    { "PCPU", "cpu", 0 },
    { "CPUS", "cpus", 0 },
    { "STATE", "state", 0 },
    { "MASKED", "upcall_masked", STYLE_BIT },
    { "PENDING", "upcall_pending", STYLE_BIT },
    { "PRIORITY", "priority", 0 },
    { "CPU", "cpu_time", STYLE_TIME },
    { "SYMBOL", "symbol", 0 },
    { NULL, NULL, 0 },
};

/* ---- Life and death. ---- */

static void emit_made(struct call *c, uint32_t id, const char *name,
                      uint64_t generation)
{
    emit_object(c->emit, "data");
    emit_number(c->emit, "id", id);
    emit_string(c->emit, "name", name);
    emit_number(c->emit, "generation", generation);
    emit_object_end(c->emit);
}

static void emit_module_names(struct emit *e)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].valid)
            emit_string(e, NULL, modules[i].args.name);
}

static int make(struct call *c, const char *name)
{
    uint64_t generation;
    char text[96];
    uint32_t id;
    int err = domain_make(name, &id, &generation, text);

    if (err == -ENOENT)
        c->have = emit_module_names;
    if (err)
        return call_refused(c, err, name, text);
    emit_made(c, id, name, generation);
    return 0;
}

static int run_create(struct call *c)
{
    if (strlen(c->argv[0]) >= BELFRY_NAME_SIZE) {
        c->have = emit_module_names;
        return call_fail(c, CODE_NOT_FOUND, "module %s: not found", c->argv[0]);
    }
    return make(c, c->argv[0]);
}

/* Also of one that is gone: it is made again. */
static int run_restart(struct call *c)
{
    char name[BELFRY_NAME_SIZE], text[96];
    struct dom *d;
    int code, err;

    if (!dom_by_name(c->argv[0]) && ended_by_name(c->argv[0]))
        return make(c, c->argv[0]);
    code = call_other(c, c->argv[0], &d);
    if (code)
        return code;
    string_copy(name, d->info.name, sizeof(name));
    err = domain_end(d, text);
    return err ? call_refused(c, err, name, text) : make(c, name);
}

static int run_destroy(struct call *c)
{
    char name[BELFRY_NAME_SIZE], text[96];
    struct dom *d;
    int err, code = call_other(c, c->argv[0], &d);
    uint32_t id;

    if (code)
        return code;
    string_copy(name, d->info.name, sizeof(name));
    id = d->info.id;
    err = domain_end(d, text);
    if (err)
        return call_refused(c, err, name, text);
    emit_object(c->emit, "data");
    emit_number(c->emit, "id", id);
    emit_string(c->emit, "name", name);
    emit_object_end(c->emit);
    return 0;
}

static int control(struct call *c, uint32_t action)
{
    char text[96];
    struct dom *d;
    int err, code = call_other(c, c->argv[0], &d);

    if (code)
        return code;
    err = hv_control(action, d->info.id, d->info.generation, text);
    if (err)
        return call_refused(c, err, d->info.name, text);
    d->started = true;
    emit_object(c->emit, "data");
    emit_number(c->emit, "id", d->info.id);
    emit_string(c->emit, "name", d->info.name);
    emit_object_end(c->emit);
    return 0;
}

static int run_pause(struct call *c)
{
    return control(c, BELFRY_CONTROL_PAUSE);
}

static int run_unpause(struct call *c)
{
    return control(c, BELFRY_CONTROL_UNPAUSE);
}

static int run_pin(struct call *c)
{
    uint64_t cpus;
    struct dom *d;
    int err, code = call_other(c, c->argv[0], &d);

    if (code)
        return code;
    if (!args_parse_cpus(c->argv[1], &cpus))
        return call_fail(c, CODE_USAGE,
                         "%s: want CPUs from 0 to 63, as in 0,2-3", c->argv[1]);
    err = hv_pin(d->info.id, d->info.generation, cpus);
    if (err)
        return call_refused(c, err, d->info.name,
                            "this machine has none of these CPUs");
    emit_object(c->emit, "data");
    emit_number(c->emit, "id", d->info.id);
    emit_string(c->emit, "name", d->info.name);
    emit_object_end(c->emit);
    return 0;
}

static int run_modules(struct call *c)
{
    static struct belfry_module m;
    struct domain_args args;
    struct args_error error;

    emit_array(c->emit, "data");
    for (uint32_t i = 0; hv_modules(i, &m, 1) == 1; i++) {
        m.line[sizeof(m.line) - 1] = 0;
        emit_object(c->emit, NULL);
        emit_string(c->emit, "name",
                    domain_args_parse(m.line, &args, &error) ? "" : args.name);
        emit_string(c->emit, "line", m.line);
        emit_number(c->emit, "image_size", m.image_size);
        emit_number(c->emit, "ramdisk_size", m.ramdisk_size);
        emit_object_end(c->emit);
    }
    emit_array_end(c->emit);
    return 0;
}

static const struct column module_columns[] = {
    { "NAME", "name", 0 },
    { "IMAGE", "image_size", 0 },
    { "RAMDISK", "ramdisk_size", 0 },
    { "LINE", "line", 0 },
    { NULL, NULL, 0 },
};

static int run_audit(struct call *c)
{
    struct belfry_audit a;
    int err = hv_audit(&a);

    if (err)
        return call_refused(c, err, "audit", "");
    emit_object(c->emit, "data");
    emit_number(c->emit, "frames", a.frames);
    emit_number(c->emit, "page_tables", a.page_tables);
    emit_number(c->emit, "grants", a.grants);
    emit_number(c->emit, "ports", a.ports);
    emit_number(c->emit, "differences", a.differences);
    emit_string(c->emit, "first", a.first);
    emit_object_end(c->emit);
    return 0;
}

static int run_shutdown(struct call *c)
{
    c->stop = true;
    emit_object(c->emit, "data");
    emit_object_end(c->emit);
    return 0;
}

const struct verb domain_verbs[] = {
    { "hello", "", "versions and capabilities", "belfry.hello", 0, 0, run_hello,
      NULL },
    { "machine", "", "processors, memory, totals", "belfry.machine", 0, 0,
      run_machine, NULL },
    { "list", "", "domains, also those that are gone", "belfry.list", 0, 0,
      run_list, list_columns },
    { "vcpus", "[DOM]", "virtual processors", "belfry.vcpus", 0, 1, run_vcpus,
      vcpu_columns },
    { "create", "NAME", "make a domain from its module", "belfry.create", 1, 1,
      run_create, NULL },
    { "restart", "DOM", "destroy it and make it again", "belfry.restart", 1, 1,
      run_restart, NULL },
    { "destroy", "DOM", "end it at once", "belfry.destroy", 1, 1, run_destroy,
      NULL },
    { "pause", "DOM", "stop scheduling it", "belfry.pause", 1, 1, run_pause,
      NULL },
    { "unpause", "DOM", "let it run (again)", "belfry.unpause", 1, 1,
      run_unpause, NULL },
    { "pin", "DOM CPUS", "let it run on these CPUs alone", "belfry.pin", 2, 2,
      run_pin, NULL },
    { "modules", "", "what domains can be made from", "belfry.modules", 0, 0,
      run_modules, module_columns },
    { "audit", "", "recount every frame, grant and port", "belfry.audit", 0, 0,
      run_audit, NULL },
    { "shutdown", "", "stop the machine", "belfry.shutdown", 0, 0, run_shutdown,
      NULL },
    { 0 },
};
