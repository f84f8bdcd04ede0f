/*
 * The last refused hypercalls of each domain, in a page that it has for them.
 *
 * No domain can push out another's records by being refused often.
 */
#include "hv/refused.h"

#include "hv/console.h"
#include "hv/x86/cpu.h"
#include "lib/format.h"
#include "lib/string.h"

/* Of each domain so many are also lines in the log; the rest is only kept. */
#define PRINTED 4u

/* A refusal as kept: texts stay where they are, the symbol is found by the
 * reader. */
struct record {
    uint64_t time, sequence;
    int64_t error;
    const char *call, *reason;
    uint64_t argument, rip;
};

struct refusals {
    uint64_t count; /* ever written */
    struct record record[BELFRY_REFUSED_KEPT];
    char sentence[96];
};
_Static_assert(sizeof(struct refusals) <= PAGE_SIZE, "one page");

static spinlock_t lock; /* guards all records */
static uint64_t last_sequence;

/* What has been said about the call in progress, and only that. */
static struct reason *reason_now(void)
{
    const struct vcpu *v = current_vcpu();
    uint64_t call = v ? v->hypercalls : 0;
    struct reason *reason = &this_cpu()->reason;

    if (reason->of != v || reason->call != call)
        *reason = (struct reason){ .of = v, .call = call };
    return reason;
}

void refuse_reason(const char *text)
{
    reason_now()->text = text;
}

void refuse_sentence(const char *fmt, ...)
{
    struct refusals *kept = current_vcpu()->domain->refusals;
    va_list args;

    va_start(args, fmt);
    format_string_v(kept->sentence, sizeof(kept->sentence), fmt, args);
    va_end(args);
    refuse_reason(kept->sentence);
}

void refuse_argument(uint64_t argument)
{
    reason_now()->argument = argument;
    reason_now()->has_argument = true;
}

void refused_record(struct vcpu *v, const char *call, uint64_t argument,
                    long error)
{
    struct reason *reason = reason_now();
    struct domain *d = v->domain;
    struct record r = {
        .time = now(),
        .error = error,
        .call = call,
        .reason = reason->text ? reason->text : "",
        .argument = reason->has_argument ? reason->argument : argument,
        .rip = v->regs.rip,
    };
    struct refusals *kept = d->refusals;
    bool print;

    reason->text = NULL;
    reason->has_argument = false;
    atomic_add_return(&d->refused, 1);

    spin_lock(&lock);
    r.sequence = ++last_sequence;
    kept->record[kept->count % BELFRY_REFUSED_KEPT] = r;
    print = kept->count++ < PRINTED;
    spin_unlock(&lock);

    if (print)
        printk_guest(d->id, "%s: %s(%#lx) refused: %ld %s\n", d->name, call,
                     r.argument, error, r.reason);
}

static void describe(const struct domain *d, const struct record *r,
                     struct belfry_refusal *out)
{
    out->time = r->time;
    out->sequence = r->sequence;
    out->id = d->id;
    out->error = (int32_t)r->error;
    out->generation = d->generation;
    out->argument = r->argument;
    out->rip = r->rip;
    string_copy(out->call, r->call, sizeof(out->call));
    string_copy(out->reason, r->reason, sizeof(out->reason));
}

/* Put the oldest record of @d in *out if it is newer than @after, and older
 * than what *out has already (sequence 0: nothing). */
static void find_next(const struct domain *d, uint64_t after,
                      struct belfry_refusal *out)
{
    spin_lock(&lock);
    for (unsigned int i = 0; i < BELFRY_REFUSED_KEPT; i++) {
        const struct record *r = &d->refusals->record[i];

        if (r->sequence > after &&
            (!out->sequence || r->sequence < out->sequence))
            describe(d, r, out);
    }
    spin_unlock(&lock);
}

bool refused_next(uint64_t after, struct belfry_refusal *r)
{
    struct domain *d;

    memset(r, 0, sizeof(*r));
    for (d = domain_next(0); d; d = domain_after(d))
        find_next(d, after, r);
    d = r->sequence ? domain_get_generation((uint16_t)r->id, r->generation) :
                      NULL;
    if (d) {
        domain_symbol(d, r->rip, r->symbol, sizeof(r->symbol));
        domain_put(d);
    }
    return r->sequence != 0;
}
