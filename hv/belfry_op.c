/*
 * belfry_op: what Belfry adds to Xen's ABI (hv/abi/belfry.h specifies it).
 *
 * Every operation works on a private copy of its argument.  What all have in
 * common is done once, from a table: size and version, who may call, the
 * domain that is named, lists item by item, the way back.
 */
#include "hv/abi/belfry.h"

#include "hv/audit.h"
#include "hv/builder.h"
#include "hv/console.h"
#include "hv/grant.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/machine.h"
#include "hv/refused.h"
#include "hv/vcpu_op.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "lib/string.h"

#define CAPABILITIES                                                           \
    (BELFRY_CAP_COUNTERS | BELFRY_CAP_AUDIT | BELFRY_CAP_REFUSED |             \
     BELFRY_CAP_RINGS | BELFRY_CAP_MANAGE | BELFRY_CAP_CALLS |                 \
     BELFRY_CAP_NOTICE | BELFRY_CAP_CREDITS | BELFRY_CAP_REVOKE |              \
     BELFRY_CAP_INJECT)

union arguments {
    struct {
        uint32_t size, version;
    } header;
    struct belfry_version version;
    struct belfry_list list;
    struct belfry_create create;
    struct belfry_control control;
    struct belfry_peek peek;
    struct belfry_audit audit;
    struct belfry_channels channels;
    struct belfry_grants grants;
    struct belfry_refused refused;
    struct belfry_log log;
    struct belfry_serial serial;
    struct belfry_register_rings register_rings;
    struct belfry_modules modules;
    struct belfry_machine machine;
    struct belfry_vcpus vcpus;
    struct belfry_port port;
    struct belfry_inject inject;
    struct belfry_revoke revoke;
    struct belfry_revoked revoked;
    struct belfry_notices notices;
};

union item {
    struct belfry_domain domain;
    struct belfry_channel channel;
    struct belfry_grant grant;
    struct belfry_refusal refusal;
    struct belfry_module module;
    struct belfry_vcpu vcpu;
    struct belfry_revocation revocation;
    struct belfry_notice notice;
};

/* A call in progress. */
struct call {
    struct domain *domain; /* whom it is about */
    union arguments arg;
    union item item; /* of a list: all zero before next_*() fills it in */
    uint32_t next;   /* of a list: the lowest id, port, ... to look at */
};

/* ---- Version, machine, modules. ---- */

static long op_version(struct call *c)
{
    struct belfry_version *a = &c->arg.version;

    a->version = BELFRY_ABI_VERSION;
    a->capabilities = CAPABILITIES;
    a->reserved = 0;
    a->generation = c->domain->generation;
    string_copy(a->name, c->domain->name, sizeof(a->name));
    string_copy(a->text, "Belfry " BELFRY_VERSION, sizeof(a->text));
    return 0;
}

static long op_machine(struct call *c)
{
    machine_totals(&c->arg.machine);
    return 0;
}

/* Domains' lines are counted, without those that are wrong or ramdisks'. */
static bool next_module(struct call *c)
{
    struct belfry_module *out = &c->item.module;
    const struct module *m = modules, *end = modules + nr_modules;

    for (uint32_t n = c->next; m < end; m++)
        if (m->kind == MODULE_DOMAIN && n-- == 0)
            break;
    if (m == end)
        return false;
    string_copy(out->line, m->line, sizeof(out->line));
    out->image_size = m->size;
    out->ramdisk_size = m->ramdisk ? m->ramdisk->size : 0;
    return true;
}

/* ---- Domains. ---- */

static uint8_t domain_state(const struct domain *d)
{
    if (d->state == DOMAIN_DYING)
        return BELFRY_STATE_DYING;
    if (d->state == DOMAIN_SHUTDOWN)
        return BELFRY_STATE_SHUTDOWN;
    return d->pauses > 0 ? BELFRY_STATE_PAUSED : BELFRY_STATE_RUNNING;
}

static void describe_domain(struct domain *d, struct belfry_domain *out)
{
    out->id = d->id;
    out->state = domain_state(d);
    out->reason =
        out->state >= BELFRY_STATE_SHUTDOWN ? d->reason : BELFRY_REASON_NONE;
    out->nr_vcpus = d->nr_vcpus;
    out->generation = d->generation;
    string_copy(out->name, d->name, sizeof(out->name));
    out->pages = d->nr_pages;
    out->max_pages = d->max_pages;
    out->created = d->created;
    out->ended = d->ended;
    for (unsigned int i = 0; i < d->nr_vcpus; i++) {
        out->cpu_time += vcpu_cpu_time(d->vcpu[i]);
        out->hypercalls += d->vcpu[i]->hypercalls;
    }
    out->refused = d->refused;
    evtchn_totals(&d->evtchn, &out->events_sent, &out->events_received);
    out->page_faults_injected = d->page_faults;
    out->priority = d->module->args.priority;
    out->console_port = d->console_port;
    out->store_port = d->store_port;
    out->grants_active = grant_mapped_by_peers(d);
    out->rings_frame = d->rings_frame;
    out->crash_vector = d->crash_vector;
    out->crash_error = d->crash_error;
    out->crash_rip = d->crash_rip;
    out->crash_cr2 = d->crash_cr2;
    string_copy(out->crash_text, d->crash_text, sizeof(out->crash_text));
    if (d->crash_rip)
        domain_symbol(d, d->crash_rip, out->crash_symbol,
                      sizeof(out->crash_symbol));
}

static bool next_domain(struct call *c)
{
    struct domain *d =
        c->next < DOMID_FIRST_RESERVED ? domain_next((uint16_t)c->next) : NULL;

    if (!d)
        return false;
    describe_domain(d, &c->item.domain);
    c->next = d->id;
    domain_put(d);
    return true;
}

static int create(const struct module *m, uint32_t *id, uint64_t *generation,
                  char *text, size_t text_size)
{
    struct domain *d;
    int rc = builder_create(m, false, &d, text, text_size);

    if (rc)
        return rc;
    *id = d->id;
    *generation = d->generation;
    domain_put(d);
    return 0;
}

static long op_create(struct call *c)
{
    struct belfry_create *a = &c->arg.create;
    const struct module *m;

    if (a->name[BELFRY_NAME_SIZE - 1] != '\0')
        return refuse(-EINVAL, "the name is not terminated");
    m = module_find(a->name);
    if (!m) {
        string_copy(a->text, "no module has this name", sizeof(a->text));
        return -ENOENT;
    }
    return create(m, &a->id, &a->generation, a->text, sizeof(a->text));
}

static long destroy(struct domain *d)
{
    int rc = domain_destroy(d);

    return rc == -ERESTART ? hypercall_restart(current_vcpu()) : rc;
}

/* Started again while the old domain is still dying, it finds that and goes
 * on; only when nothing is left of it is the new one built. */
static long restart(struct domain *d, struct belfry_control *a)
{
    long rc = destroy(d);

    return rc ? rc
              : create(d->module, &a->id, &a->generation, a->text,
                       sizeof(a->text));
}

static long pin(struct domain *d, uint64_t affinity)
{
    if (!(affinity & cpus_mask()))
        return refuse(-EINVAL, "the machine has none of these CPUs");
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        sched_set_affinity(d->vcpu[i], affinity);
    return 0;
}

static long op_control(struct call *c)
{
    struct belfry_control *a = &c->arg.control;
    struct domain *d = c->domain;

    a->text[0] = '\0';
    if (d == initial_domain)
        return refuse(-EINVAL, "the initial domain cannot be controlled");
    switch (a->action) {
    case BELFRY_CONTROL_PAUSE:
        domain_pause(d);
        return 0;
    case BELFRY_CONTROL_UNPAUSE:
        if (!domain_unpause(d))
            return refuse(-EINVAL, "the domain is not paused");
        return 0;
    case BELFRY_CONTROL_DESTROY:
        return destroy(d);
    case BELFRY_CONTROL_RESTART:
        return restart(d, a);
    case BELFRY_CONTROL_PIN:
        return pin(d, a->cpus);
    default:
        return refuse(-EINVAL, "unknown action");
    }
}

static long op_peek(struct call *c)
{
    const struct belfry_peek *a = &c->arg.peek;
    const char *bytes = mfn_to_virt(a->frame);
    struct page *page;
    int rc;

    if (a->reserved != 0)
        return refuse(-EINVAL, "a reserved field is not zero");
    if (a->offset > PAGE_SIZE || a->length > PAGE_SIZE - a->offset)
        return refuse(-EINVAL, "offset and length go beyond the frame");
    page = page_get_mfn(a->frame, c->domain);
    if (!page)
        return refuse(-EPERM, "the frame is not the domain's");
    rc = guest_copy_to(a->buffer, bytes + a->offset, a->length);
    page_put(page);
    return rc;
}

static long op_audit(struct call *c)
{
    audit_run(&c->arg.audit);
    return 0;
}

/* The hypervisor keeps one reference on the frame that is registered; a
 * domain that is being taken apart registers nothing more. */
static long op_register_rings(struct call *c)
{
    mfn_t frame = c->arg.register_rings.frame, drop = frame;
    struct domain *d = c->domain;

    if (frame != 0 && !page_get_mfn(frame, d))
        return refuse(-EINVAL, "the frame is not the caller's");
    spin_lock(&d->lock);
    if (d->state == DOMAIN_RUNNING) {
        drop = d->rings_frame;
        d->rings_frame = frame;
    }
    spin_unlock(&d->lock);
    if (drop)
        page_put(page_of(drop));
    return 0;
}

/* ---- Channels, grants, vCPUs of one domain. ---- */

/* What the event channels' module cannot know: the vCPU behind the port. */
static void describe_channel(const struct domain *d, struct belfry_channel *c)
{
    const struct vcpu *v = c->vcpu < d->nr_vcpus ? d->vcpu[c->vcpu] : NULL;

    c->last_sent = stamp_to_stime(c->last_sent);
    c->last_delivered = stamp_to_stime(c->last_delivered);
    c->pending_since = stamp_to_stime(c->pending_since);
    if (!v)
        return;
    c->vcpu_state = v->sched.state;
    c->vcpu_state_since = stamp_to_stime(v->sched.since);
    c->vcpu_rip = v->regs.rip;
    domain_symbol(d, c->vcpu_rip, c->vcpu_symbol, sizeof(c->vcpu_symbol));
}

static bool next_channel(struct call *c)
{
    if (!evtchn_info(&c->domain->evtchn, &c->next, &c->item.channel))
        return false;
    describe_channel(c->domain, &c->item.channel);
    return true;
}

static long op_grants(struct call *c)
{
    const struct grant_table *table = c->domain->grants;
    struct belfry_grants *a = &c->arg.grants;

    a->nr_frames = table->nr_frames;
    a->max_frames = GRANT_MAX_FRAMES;
    a->maptrack = table->maptrack_used;
    a->max_maptrack =
        MAPTRACK_MAX_PAGES * (PAGE_SIZE / sizeof(struct maptrack));
    return 0;
}

static bool next_grant(struct call *c)
{
    struct belfry_grant *out = &c->item.grant;

    if (!grant_info(c->domain, &c->next, out))
        return false;
    out->since = stamp_to_stime(out->since);
    return true;
}

static long op_revoke(struct call *c)
{
    struct belfry_revoke *a = &c->arg.revoke;

    return grant_revoke(c->domain, a->ref, a->deadline, &a->state);
}

static bool next_revocation(struct call *c)
{
    return grant_revoked(c->domain, &c->item.revocation);
}

static bool next_notice(struct call *c)
{
    return grant_notice(c->domain, &c->arg.notices.next, &c->item.notice);
}

static bool next_vcpu(struct call *c)
{
    struct belfry_vcpu *out = &c->item.vcpu;
    const struct vcpu_info *info;
    const struct vcpu *v;

    if (c->next >= c->domain->nr_vcpus)
        return false;
    v = c->domain->vcpu[c->next];
    info = v->evtchn.info;
    out->vcpu = v->id;
    out->cpu = v->sched.cpu;
    out->state = v->sched.state;
    out->upcall_pending = read_once(&info->evtchn_upcall_pending) != 0;
    out->upcall_masked = read_once(&info->evtchn_upcall_mask) != 0;
    out->priority = v->sched.priority;
    if (v->sched.effective > v->sched.priority)
        out->lent_priority = v->sched.effective;
    out->since = stamp_to_stime(v->sched.since);
    out->cpu_time = vcpu_cpu_time(v);
    out->rip = v->regs.rip;
    domain_symbol(v->domain, out->rip, out->symbol, sizeof(out->symbol));
    out->cpus = v->sched.affinity & cpus_mask();
    out->budget = stamps_to_ns(v->sched.budget.length);
    out->period = stamps_to_ns(v->sched.budget.period);
    if (v->sched.budget.length)
        out->budget_left =
            stamps_to_ns(budget_left(&v->sched.budget, stamp_now()));
    return true;
}

/* ---- A port of the caller's, and its peer. ---- */

/* The domain of this origin that lives; @after its generation. */
static void find_successor(struct belfry_port *a, uint16_t origin)
{
    for (struct domain *d = domain_next(0); d; d = domain_after(d)) {
        const struct evtchn_end *self = &d->evtchn.self;

        if (self->origin != origin || self->state != BELFRY_PEER_ALIVE)
            continue;
        a->successor = self->domid;
        a->successor_generation = self->generation;
    }
}

static void describe_peer_vcpu(struct belfry_port *a, const struct vcpu *v)
{
    const struct vcpu_info *info = v->evtchn.info;
    const struct vcpu *running = read_once(&cpus[v->sched.cpu]->current);

    a->peer_vcpu_state = v->sched.state;
    a->peer_vcpu_since = stamp_to_stime(v->sched.since);
    a->upcall_pending = read_once(&info->evtchn_upcall_pending) != 0;
    a->upcall_masked = read_once(&info->evtchn_upcall_mask) != 0;
    a->cpu_runs = running ? running->domain->id : ~0u;
}

static long op_port(struct call *c)
{
    struct belfry_port *a = &c->arg.port;
    struct evtchn_vcpu *peer;
    uint16_t origin;
    int rc;

    memset(&a->throttled, 0,
           sizeof(*a) - offsetof(struct belfry_port, throttled));
    rc = evtchn_port_op(&c->domain->evtchn, a, &origin, &peer);
    if (rc)
        return rc;
    if (peer)
        describe_peer_vcpu(a, container_of(peer, struct vcpu, evtchn));
    if (a->peer_state > BELFRY_PEER_ALIVE)
        find_successor(a, origin);
    return 0;
}

static long op_inject(struct call *c)
{
    struct belfry_inject *a = &c->arg.inject;

    if (a->reserved != 0)
        return refuse(-EINVAL, "a reserved field is not zero");
    if (c->domain == initial_domain)
        return refuse(-EINVAL, "the initial domain cannot be killed");
    a->steps = inject_arm(c->domain, a->kill_at);
    return 0;
}

/* ---- Refusals, log, serial line. ---- */

static bool next_refusal(struct call *c)
{
    if (!refused_next(c->arg.refused.after, &c->item.refusal))
        return false;
    c->arg.refused.after = c->item.refusal.sequence;
    return true;
}

static long op_log(struct call *c)
{
    struct belfry_log *a = &c->arg.log;

    return guest_give(a->buffer, &a->length, log_read, &a->position);
}

static long op_serial(struct call *c)
{
    struct belfry_serial *a = &c->arg.serial;
    int rc = guest_take(a->write_buffer, &a->write_length, serial_com2_write);

    a->lost = serial_com2_lost();
    return rc ? rc
              : guest_give(a->read_buffer, &a->read_length, serial_read,
                           &serial_com2);
}

/* ---- The call. ---- */

#define ANYONE      1u /* may call it; else the initial domain alone */
#define ANY_VERSION 2u /* the version is not checked */

static const struct op {
    const char *text; /* what it is called */
    uint32_t size, flags;
    long (*act)(struct call *c);
    bool (*next)(struct call *c); /* of a list: false at its end */
    uint32_t item_size;
    /* Where these are in the argument; 0: there is none. */
    uint32_t item_size_at, array_at, count_at, first_at;
    uint32_t id_at, generation_at; /* none: it is about the caller */
} ops[] = {
#define OP(name, ...)                                                          \
    [BELFRYOP_##name] = { .text = "belfry_op/" #name,                          \
                          .size = sizeof(struct belfry_##name), __VA_ARGS__ }
#define AT(name, field) offsetof(struct belfry_##name, field)
#define LIST(name, kind, array)                                                \
    .next = next_##kind, .item_size = sizeof(((union item *)NULL)->kind),      \
    .item_size_at = AT(name, item_size), .count_at = AT(name, count),          \
    .array_at = AT(name, array)
#define FIRST(name) .first_at = AT(name, first)
#define DOMAIN(name)                                                           \
    .id_at = AT(name, id), .generation_at = AT(name, generation)
    OP(version, .act = op_version, .flags = ANYONE | ANY_VERSION),
    OP(list, LIST(list, domain, domains), FIRST(list)),
    OP(create, .act = op_create),
    OP(control, .act = op_control, DOMAIN(control)),
    OP(peek, .act = op_peek, DOMAIN(peek)),
    OP(audit, .act = op_audit, .flags = ANYONE),
    OP(channels, LIST(channels, channel, channels), FIRST(channels),
       DOMAIN(channels)),
    OP(grants, .act = op_grants, LIST(grants, grant, grants), FIRST(grants),
       DOMAIN(grants)),
    OP(refused, LIST(refused, refusal, refusals)),
    OP(log, .act = op_log),
    OP(serial, .act = op_serial),
    OP(register_rings, .act = op_register_rings, .flags = ANYONE),
    OP(modules, LIST(modules, module, modules), FIRST(modules)),
    OP(machine, .act = op_machine),
    OP(vcpus, LIST(vcpus, vcpu, vcpus), DOMAIN(vcpus)),
    OP(port, .act = op_port, .flags = ANYONE),
    OP(inject, .act = op_inject, DOMAIN(inject)),
    OP(revoke, .act = op_revoke, .flags = ANYONE),
    OP(revoked, LIST(revoked, revocation, revocations), .flags = ANYONE),
    OP(notices, LIST(notices, notice, notices), .flags = ANYONE),
#undef OP
#undef AT
#undef LIST
#undef FIRST
#undef DOMAIN
};
#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

const char *belfry_op_name(uint32_t cmd)
{
    return cmd < NR_OPS ? ops[cmd].text : NULL;
}

static void *field(union arguments *u, uint32_t at)
{
    return (char *)u + at;
}

/* What a newer caller's structure has beyond ours must be zero. */
static long check_rest(const void *arg, uint32_t own_size, uint32_t size)
{
    uint8_t byte;

    if (size > PAGE_SIZE)
        return -E2BIG;
    for (uint32_t i = own_size; i < size; i++) {
        if (guest_copy_from_offset(&byte, arg, i, 1))
            return -EFAULT;
        if (byte != 0)
            return -E2BIG;
    }
    return 0;
}

static long take_arguments(const struct op *op, const void *arg,
                           union arguments *u)
{
    uint32_t item_size = 0;
    long rc;

    if (guest_copy_from(u, arg, op->size))
        return -EFAULT;
    if (u->header.version != BELFRY_ABI_VERSION && !(op->flags & ANY_VERSION))
        return refuse(-EPROTO, "the structure is of another version");
    if (u->header.size < op->size)
        return refuse(-EINVAL, "the structure is too small");
    rc = check_rest(arg, op->size, u->header.size);
    if (rc)
        return refuse((int)rc, "the structure has unknown fields that are set");
    if (op->item_size)
        memcpy(&item_size, field(u, op->item_size_at), sizeof(item_size));
    if (item_size != op->item_size)
        return refuse(item_size < op->item_size ? -EINVAL : -E2BIG,
                      "item_size is of another version of belfry.h");
    return 0;
}

/* The domain that the operation is about, with a reference; else NULL. */
static struct domain *take_domain(const struct op *op, struct vcpu *v,
                                  union arguments *u)
{
    uint64_t generation;
    uint32_t id;

    if (!op->id_at)
        return domain_get(v->domain->id);
    memcpy(&id, field(u, op->id_at), sizeof(id));
    memcpy(&generation, field(u, op->generation_at), sizeof(generation));
    if (id >= DOMID_FIRST_RESERVED)
        return NULL;
    return domain_get_generation((uint16_t)id, generation);
}

static long give_list(const struct op *op, struct call *c)
{
    uint32_t *count = field(&c->arg, op->count_at), room = *count;
    void *array;

    memcpy(&array, field(&c->arg, op->array_at), sizeof(array));
    if (op->first_at)
        memcpy(&c->next, field(&c->arg, op->first_at), sizeof(c->next));
    for (*count = 0; *count < room; ++*count, c->next++) {
        memset(&c->item, 0, sizeof(c->item));
        if (!op->next(c))
            break;
        if (guest_copy_to_offset(array, *count, &c->item, op->item_size))
            return -EFAULT;
    }
    return 0;
}

long do_belfry_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    const struct op *op;
    struct call c;
    long rc;

    if (cmd == BELFRYOP_step)
        return 0; /* has no argument; who counts it is the injector */
    if (cmd >= NR_OPS || !ops[cmd].size)
        return refuse(-ENOSYS, "no such operation");
    op = &ops[cmd];
    if (!(op->flags & ANYONE) && v->domain != initial_domain)
        return refuse(-EPERM, "only the initial domain may do this");
    rc = take_arguments(op, arg, &c.arg);
    /* Written back before anything happens: an argument that cannot take
     * the result is refused while there is nothing to undo. */
    if (!rc)
        rc = guest_copy_to(arg, &c.arg, op->size);
    if (rc)
        return rc;
    c.domain = take_domain(op, v, &c.arg);
    if (!c.domain)
        return refuse(-ESRCH, "no such domain, or not of this generation");

    c.next = 0;
    if (op->act)
        rc = op->act(&c);
    if (op->next)
        rc = give_list(op, &c);
    domain_put(c.domain);
    if (guest_copy_to(arg, &c.arg, op->size))
        return -EFAULT;
    return rc;
}
