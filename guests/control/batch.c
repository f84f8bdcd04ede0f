/*
 * A run as a whole: when all domains have spoken for the first time, and, in
 * batch mode, when all work is done.
 *
 * Invariant: every domain that ended was counted once, before it was
 * forgotten.
 */
#include "guests/control/batch.h"

#include "guests/control/hv.h"
#include "guests/control/log.h"
#include "guests/control/wire.h"

static bool batch_mode, up_reported;
static unsigned int ended_well, crashed, not_built;
static bool bad_verdict;
static struct belfry_machine machine; /* as at start */

/* ---- All have spoken. ---- */

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

void batch_note_line(struct dom *d)
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

/* ---- All have ended. ---- */

bool domain_crashed(const struct belfry_domain *i)
{
    return i->reason == SHUTDOWN_crash || i->reason == SHUTDOWN_watchdog;
}

void batch_count_end(const struct dom *d)
{
    if (domain_crashed(&d->info))
        crashed++;
    else
        ended_well++;
    bad_verdict |= d->console.bad_verdict;
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

void batch_check(void)
{
    unsigned int services;

    if (!batch_mode || work_left(&services))
        return;
    for_each_dom (d) {
        domcon_work(&d->console);
        bad_verdict |= d->console.bad_verdict;
    }
    if (!up_reported)
        report_up();
    log_line("control",
             "%u domains, %u ended well, %u service%s, %u crashed%s%s; "
             "stopping",
             ended_well + services + crashed, ended_well, services,
             services == 1 ? "" : "s", crashed,
             not_built ? ", some not built" : "",
             bad_verdict ? ", a test failed" : "");
    guest_exit(crashed || bad_verdict || not_built);
}

/* ---- From outside. ---- */

void batch_count_unbuilt(void)
{
    not_built++;
}

void batch_report(void)
{
    if (!up_reported && all_have_spoken())
        report_up();
}

void batch_start(bool batch)
{
    batch_mode = batch;
    hv_machine(&machine);
}
