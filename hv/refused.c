/*
 * The last refused hypercalls of each domain.
 *
 * Storage is fixed: a ring a domain, found by generation.  If more domains
 * are refused things than there are rings, the one that was refused nothing
 * for the longest time loses its ring, so none can push out another's
 * records by being refused often.
 */
#include "hv/refused.h"

#include "hv/console.h"
#include "hv/domain.h"
#include "hv/x86/cpu.h"
#include "lib/string.h"

#define NR_RINGS 64u
/* Of each domain so many are also lines in the log; the rest is only kept. */
#define PRINTED 4u

/* A refusal as kept: texts are static, the symbol is found by the reader. */
struct record {
    uint64_t time, sequence;
    int64_t error;
    const char *call, *reason;
    uint64_t argument, rip;
};

struct ring {
    uint64_t generation; /* 0: free */
    uint16_t id;
    uint64_t count; /* ever written */
    struct record record[BELFRY_REFUSED_KEPT];
};

static spinlock_t lock; /* guards all of these */
static struct ring rings[NR_RINGS];
static uint64_t last_sequence;

void refuse_reason(const char *text)
{
    this_cpu()->reason = text;
}

void refuse_argument(uint64_t argument)
{
    this_cpu()->reason_argument = argument;
    this_cpu()->reason_has_argument = true;
}

static uint64_t ring_newest(const struct ring *ring)
{
    if (ring->count == 0)
        return 0;
    return ring->record[(ring->count - 1) % BELFRY_REFUSED_KEPT].sequence;
}

/* The domain's ring, else a free one, else the one longest without news. */
static struct ring *ring_of(const struct domain *d)
{
    struct ring *oldest = &rings[0];

    for (unsigned int i = 0; i < NR_RINGS; i++) {
        /* Generations are small numbers in a row: the first look hits. */
        struct ring *ring = &rings[(d->generation + i) % NR_RINGS];

        if (ring->generation == d->generation)
            return ring;
        if (ring_newest(ring) < ring_newest(oldest))
            oldest = ring;
    }
    memset(oldest, 0, sizeof(*oldest));
    oldest->generation = d->generation;
    oldest->id = d->id;

    return oldest;
}

void refused_record(struct vcpu *v, const char *call, uint64_t argument,
                    long error)
{
    struct cpu *cpu = this_cpu();
    struct domain *d = v->domain;
    struct record r = {
        .time = now(),
        .error = error,
        .call = call,
        .reason = cpu->reason ? cpu->reason : "",
        .argument = cpu->reason_has_argument ? cpu->reason_argument : argument,
        .rip = vcpu_rip(v),
    };
    struct ring *ring;
    bool print;

    cpu->reason = NULL;
    cpu->reason_has_argument = false;
    atomic_add_return(&d->refused, 1);

    spin_lock(&lock);
    ring = ring_of(d);
    r.sequence = ++last_sequence;
    ring->record[ring->count % BELFRY_REFUSED_KEPT] = r;
    print = ring->count++ < PRINTED;
    spin_unlock(&lock);

    if (print)
        printk_guest(d->id, "%s: %s(%#lx) refused: %ld %s\n", d->name, call,
                     r.argument, error, r.reason);
}

/* The record of @ring with the lowest sequence above @after, or NULL. */
static const struct record *ring_next(const struct ring *ring, uint64_t after)
{
    uint64_t first = ring->count > BELFRY_REFUSED_KEPT ?
                         ring->count - BELFRY_REFUSED_KEPT :
                         0;

    for (uint64_t i = first; i < ring->count; i++) {
        const struct record *r = &ring->record[i % BELFRY_REFUSED_KEPT];

        if (r->sequence > after)
            return r;
    }
    return NULL;
}

static void describe(struct belfry_refusal *out, const struct ring *ring,
                     const struct record *r)
{
    memset(out, 0, sizeof(*out));
    out->time = r->time;
    out->sequence = r->sequence;
    out->id = ring->id;
    out->error = (int32_t)r->error;
    out->generation = ring->generation;
    out->argument = r->argument;
    out->rip = r->rip;
    string_copy(out->call, r->call, sizeof(out->call));
    string_copy(out->reason, r->reason, sizeof(out->reason));
}

static bool find_next(uint64_t after, struct belfry_refusal *out)
{
    const struct record *best = NULL;
    const struct ring *of = NULL;

    spin_lock(&lock);
    for (unsigned int i = 0; i < NR_RINGS; i++) {
        const struct record *r = ring_next(&rings[i], after);

        if (r && (!best || r->sequence < best->sequence)) {
            best = r;
            of = &rings[i];
        }
    }
    if (best)
        describe(out, of, best);
    spin_unlock(&lock);

    return best != NULL;
}

bool refused_next(uint64_t after, struct belfry_refusal *r)
{
    struct domain *d;

    if (!find_next(after, r))
        return false;
    d = domain_get_generation((uint16_t)r->id, r->generation);
    if (d) {
        domain_symbol(d, r->rip, r->symbol, sizeof(r->symbol));
        domain_put(d);
    }
    return true;
}

void refused_forget(uint64_t generation)
{
    spin_lock(&lock);
    for (unsigned int i = 0; i < NR_RINGS; i++)
        if (rings[i].generation == generation)
            memset(&rings[i], 0, sizeof(rings[i]));
    spin_unlock(&lock);
}
