/*
 * Domains: creation, life, end.
 *
 * All domains stand in one list in order of id; domain_list_lock guards it.
 * Those that are published stand in domain_by_id as well, which is read with
 * no lock.  A domain leaves both after its last reference was dropped.
 */
#include "hv/domain.h"

#include "hv/console.h"
#include "hv/grant.h"
#include "hv/lend.h"
#include "hv/machine.h"
#include "hv/modules.h"
#include "hv/vcpu_op.h"
#include "hv/x86/cpu.h"
#include "hv/x86/smp.h"
#include "lib/format.h"
#include "lib/string.h"

#define DESTROY_BUDGET 256u /* ports or mappings a step */

_Static_assert(sizeof(struct domain) <= PAGE_SIZE, "one page");
_Static_assert(sizeof(struct vcpu) <= PAGE_SIZE, "one page");

struct domain *initial_domain;
struct domain *domain_by_id[DOMID_FIRST_RESERVED];

static spinlock_t domain_list_lock; /* guards the list and the two below */
static struct list domain_list = { &domain_list, &domain_list };
static uint64_t last_generation;
static uint16_t next_id;

static struct domain *from_link(struct list *link)
{
    return container_of(link, struct domain, link);
}

/* List lock held.  The first domain with an id not below @id, or NULL. */
static struct domain *find_from(uint16_t id)
{
    list_for_each (link, &domain_list)
        if (from_link(link)->id >= id)
            return from_link(link);
    return NULL;
}

/* List lock held: a reference, unless only the builder knows the domain. */
static bool get_ref(struct domain *d)
{
    return load_acquire(&d->state) != DOMAIN_BUILDING && domain_hold(d);
}

struct domain *domain_next(uint16_t id)
{
    struct domain *d;

    spin_lock(&domain_list_lock);
    while ((d = find_from(id)) && !get_ref(d))
        id = (uint16_t)(d->id + 1);
    spin_unlock(&domain_list_lock);
    return d;
}

struct domain *domain_after(struct domain *d)
{
    uint16_t id = d->id;

    domain_put(d);
    return domain_next((uint16_t)(id + 1));
}

struct domain *domain_get(uint16_t id)
{
    struct domain *d = domain_find(id);

    return d && domain_hold(d) ? d : NULL;
}

struct domain *domain_get_generation(uint16_t id, uint64_t generation)
{
    struct domain *d = domain_get(id);

    if (d && generation && d->generation != generation) {
        domain_put(d);
        return NULL;
    }
    return d;
}

bool domain_name_is_taken(const char *name)
{
    bool taken = false;

    spin_lock(&domain_list_lock);
    list_for_each (link, &domain_list) {
        const struct domain *d = from_link(link);

        taken |= d->state != DOMAIN_DYING && !strcmp(d->name, name);
    }
    spin_unlock(&domain_list_lock);
    return taken;
}

static void domain_free(struct domain *d)
{
    evtchn_domain_destroy(&d->evtchn, UINT32_MAX);
    evtchn_domain_free(&d->evtchn);
    grant_domain_destroy(d);
    for (unsigned int i = 0; i < d->nr_vcpus && d->vcpu[i]; i++) {
        /* A timer that was expiring while they were stopped may be set. */
        vcpu_timers_stop(d->vcpu[i]);
        timer_cancel(&d->vcpu[i]->sched.refill);
        arch_vcpu_free(d->vcpu[i]);
        free_page_memory(d->vcpu[i]);
    }
    arch_domain_free(d);
    if (d->shared) {
        page_unshare(page_of(virt_to_mfn(d->shared)));
        free_page_memory(d->shared);
    }
    free_page_memory(d->refusals);
    free_page_memory(d);
}

/* The last reference may go with any lock held, and another CPU may be using
 * what it found in domain_by_id: the domain's memory is freed later, by this
 * CPU when it holds nothing, after all others have left the hypervisor. */
void domain_put(struct domain *d)
{
    struct cpu *c = this_cpu();

    if (atomic_sub_return(&d->refs, 1))
        return;
    d->next_dead = c->dead_domains;
    c->dead_domains = d;
    c->need_resched = 1;
}

/* From now on nobody finds it. */
static void forget(struct domain *d)
{
    spin_lock(&domain_list_lock);
    list_remove(&d->link);
    if (domain_by_id[d->id] == d)
        write_once(&domain_by_id[d->id], NULL);
    spin_unlock(&domain_list_lock);
}

void domain_reap(void)
{
    struct cpu *c = this_cpu();
    struct domain *dead = c->dead_domains, *d;

    c->dead_domains = NULL;
    for (d = dead; d; d = d->next_dead)
        forget(d);
    smp_park_others();
    smp_release_others();
    while ((d = dead)) {
        dead = d->next_dead;
        domain_free(d);
    }
}

/* List lock held.  Ids go round, so that a stale one stays wrong for long. */
static bool take_id(struct domain *d)
{
    for (uint32_t tries = 0; tries < DOMID_FIRST_RESERVED; tries++) {
        uint16_t id = next_id;
        const struct domain *other = find_from(id);

        next_id = (uint16_t)((next_id + 1) % DOMID_FIRST_RESERVED);
        if (other && other->id == id)
            continue;
        d->id = id;
        return true;
    }
    return false;
}

/* It is in the list, though nobody gets it before it is complete. */
static bool insert(struct domain *d)
{
    bool ok;

    spin_lock(&domain_list_lock);
    ok = take_id(d);
    if (ok) {
        struct domain *next = find_from(d->id);

        d->generation = ++last_generation;
        d->evtchn.self = (struct evtchn_end){
            .domid = d->id,
            .origin = module_number(d->module),
            .state = BELFRY_PEER_ALIVE,
            .vector = 0xff,
            .generation = d->generation,
        };
        list_add_tail(&d->link, next ? &next->link : &domain_list);
    }
    spin_unlock(&domain_list_lock);
    return ok;
}

static int create_shared(struct domain *d)
{
    struct page *page = page_alloc();

    if (!page)
        return -ENOMEM;
    page_share(page, d);
    d->shared = mfn_to_virt(mfn_of(page));
    /* The date never jumps here, so version 2 is the only one ever. */
    d->shared->wc_sec = (uint32_t)wall_clock_base;
    d->shared->wc_sec_hi = (uint32_t)(wall_clock_base >> 32);
    d->shared->wc_version = 2;
    return 0;
}

static int create_vcpu(struct domain *d, unsigned int id)
{
    const struct domain_args *args = &d->module->args;
    struct vcpu *v = alloc_page_memory();

    if (!v)
        return -ENOMEM;
    d->vcpu[id] = v;
    d->evtchn_vcpu[id] = &v->evtchn;
    v->domain = d;
    v->id = id;
    v->calls = hypercall_table;
    v->evtchn.domain = &d->evtchn;
    v->evtchn.id = id;
    v->evtchn.info = &d->shared->vcpu_info[id];
    /* As on Xen: a vCPU starts with its upcalls masked. */
    v->evtchn.info->evtchn_upcall_mask = 1;
    vcpu_timers_init(v);
    sched_init_vcpu(v, args->priority, args->cpus);
    if (args->budget) {
        sched_limit_vcpu(v, args->budget, args->period);
        v->arch.budgeted = true;
    }
    return arch_vcpu_init(v);
}

static int populate(struct domain *d)
{
    int rc = create_shared(d);

    if (rc)
        return rc;
    d->refusals = alloc_page_memory();
    if (!d->refusals)
        return -ENOMEM;
    d->evtchn.privileged = d->privileged;
    d->evtchn.shared = d->shared;
    d->evtchn.nr_vcpus = d->nr_vcpus;
    d->evtchn.vcpu = d->evtchn_vcpu;
    rc = evtchn_domain_init(&d->evtchn);
    if (!rc)
        rc = grant_domain_init(d);
    if (!rc)
        rc = arch_domain_init(d);
    for (unsigned int i = 0; i < d->nr_vcpus && !rc; i++)
        rc = create_vcpu(d, i);
    return rc;
}

struct domain *domain_create(const struct module *m, bool privileged)
{
    struct domain *d = alloc_page_memory();

    if (!d)
        return NULL;
    string_copy(d->name, m->args.name, sizeof(d->name));
    d->refs = 1;
    d->module = m;
    d->nr_vcpus = m->args.vcpus;
    d->privileged = privileged;
    d->state = DOMAIN_BUILDING;
    d->pauses = 1;
    d->crash_vector = VECTOR_NONE;
    d->created = now();
    list_init(&d->link);
    if (!insert(d) || populate(d)) {
        domain_put(d);
        return NULL;
    }
    return d;
}

/* Whoever was bound to an earlier domain made from the same module. */
static void tell_successors(const struct domain *d)
{
    for (struct domain *other = domain_next(0); other;
         other = domain_after(other))
        evtchn_tell_successor(&other->evtchn, d->evtchn.self.origin);
}

void domain_publish(struct domain *d)
{
    /* Complete before it is found. */
    store_release(&d->state, DOMAIN_RUNNING);
    store_release(&domain_by_id[d->id], d);
    machine_tell(VIRQ_DOM_EXC);
    tell_successors(d);
}

void domain_pause(struct domain *d)
{
    atomic_add_return(&d->pauses, 1);
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        sched_pause(d->vcpu[i]);
}

bool domain_unpause(struct domain *d)
{
    uint32_t pauses = read_once(&d->pauses);

    do
        if (!pauses)
            return false;
    while (!atomic_cas(&d->pauses, &pauses, pauses - 1));
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        sched_unpause(d->vcpu[i]);
    return true;
}

static void wait_off_cpus(const struct domain *d)
{
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        if (d->vcpu[i] != current_vcpu())
            sched_wait_off_cpu(d->vcpu[i]);
}

/* None runs any more, or waits for another, or is waited for. */
static void stop_vcpus(struct domain *d)
{
    for (unsigned int i = 0; i < d->nr_vcpus; i++) {
        sched_pause(d->vcpu[i]);
        vcpu_timers_stop(d->vcpu[i]);
    }
    wait_off_cpus(d);
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        lend_forget(d->vcpu[i]);
}

/* The peers of its channels learn why. */
static void tell_peers(struct domain *d)
{
    struct evtchn_end *self = &d->evtchn.self;
    bool crashed = d->reason == SHUTDOWN_crash;

    self->reason = d->reason;
    if (crashed) {
        self->vector = (uint8_t)d->crash_vector;
        self->rip = d->crash_rip;
    }
    store_release(&self->state, d->reason == BELFRY_REASON_DESTROYED
                                    ? BELFRY_PEER_DESTROYED
                                : crashed ? BELFRY_PEER_CRASHED
                                          : BELFRY_PEER_SHUTDOWN);
    evtchn_domain_ended(&d->evtchn);
}

/* Only the first end counts: true if this is it. */
static bool end(struct domain *d, enum domain_state state, uint8_t reason)
{
    bool first;

    spin_lock(&d->lock);
    first = d->state == DOMAIN_RUNNING;
    if (first) {
        d->reason = reason;
        d->ended = now();
    }
    if (first || state == DOMAIN_DYING)
        d->state = state;
    spin_unlock(&d->lock);
    return first;
}

void domain_shutdown(struct domain *d, uint8_t reason)
{
    bool reboot = reason == SHUTDOWN_reboot;
    bool well = reboot || reason == SHUTDOWN_poweroff;

    if (!end(d, DOMAIN_SHUTDOWN, reason))
        return;
    /* The machine ends with the initial domain, and with its verdict. */
    if (d == initial_domain) {
        printk("the initial domain has ended: reason %u\n", reason);
        machine_stop(well ? VERDICT_CODE_PASS : VERDICT_CODE_FAIL, reboot);
    }
    stop_vcpus(d);
    tell_peers(d);
    machine_tell(VIRQ_DOM_EXC);
}

static void report_crash(const struct domain *d)
{
    char symbol[64];

    if (d == initial_domain)
        console_begin_panic(); /* who showed our lines is no more */
    domain_symbol(d, d->crash_rip, symbol, sizeof(symbol));
    printk_guest(d->id, "%s crashed at rip %#lx %s: %s\n", d->name,
                 d->crash_rip, symbol, d->crash_text);
}

/* Only the first crash counts, and only while it runs. */
static bool begin_crash(struct domain *d)
{
    return d->state == DOMAIN_RUNNING && d->crash_text[0] == '\0';
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    const struct vcpu *v = current_vcpu();
    va_list args;

    if (!begin_crash(d))
        return;
    va_start(args, fmt);
    format_string_v(d->crash_text, sizeof(d->crash_text), fmt, args);
    va_end(args);
    d->crash_rip = v && v->domain == d ? v->regs.rip : 0;
    report_crash(d);
    domain_shutdown(d, SHUTDOWN_crash);
}

void domain_crash_trap(struct vcpu *v, uint32_t vector, uint32_t error,
                       uint64_t cr2, const char *text)
{
    struct domain *d = v->domain;

    if (!begin_crash(d))
        return;
    d->crash_vector = vector;
    d->crash_error = error;
    d->crash_cr2 = cr2;
    if (vector == 14)
        domain_crash(d, "%s (vector 14, error %#x) at address %#lx", text,
                     error, cr2);
    else
        domain_crash(d, "%s (vector %u, error %#x)", text, vector, error);
}

/* Once: from here on it gets nothing new and loses what it has. */
static void begin_dying(struct domain *d)
{
    if (end(d, DOMAIN_DYING, BELFRY_REASON_DESTROYED)) {
        stop_vcpus(d);
        tell_peers(d);
    }
    wait_off_cpus(d); /* it may have crashed just now */
    spin_lock(&d->evtchn.lock);
    d->evtchn.dying = true;
    spin_unlock(&d->evtchn.lock);
    /* Who claimed a grant before has counted it now. */
    spin_lock(&d->grants->lock);
    spin_unlock(&d->grants->lock);
}

static void release_frames(struct domain *d)
{
    for (unsigned int i = 0; i < d->nr_vcpus; i++) {
        sched_offline(d->vcpu[i]);
        arch_vcpu_release(d->vcpu[i]);
    }
    if (d->rings_frame) {
        page_put(page_of(d->rings_frame));
        d->rings_frame = 0;
    }
}

int domain_destroy(struct domain *d)
{
    if (d->destroyed)
        return 0;
    if (d->state != DOMAIN_DYING)
        begin_dying(d);
    if (!evtchn_domain_destroy(&d->evtchn, DESTROY_BUDGET))
        return -ERESTART;
    release_frames(d);
    if (!domain_pages_relinquish(d))
        return -ERESTART;
    /* After the page tables: a granter is told that its frame is in use for
     * as long as something maps it. */
    if (!grant_release_mappings(d, DESTROY_BUDGET))
        return -ERESTART;
    d->destroyed = true;
    machine_tell(VIRQ_DOM_EXC);
    domain_put(d); /* its own: the list's */
    return 0;
}
