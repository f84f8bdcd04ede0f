/*
 * belfry_op: what Belfry adds to Xen's ABI (hv/abi/belfry.h specifies it).
 *
 * Every operation works on a private copy of its argument.  What all have in
 * common is done once, from a table: size and version, who may call, the
 * size of items, the domain that is named, the way back.  Arrays are bounced
 * item by item.
 */
#include "hv/abi/belfry.h"

#include <stddef.h>

#include "hv/audit.h"
#include "hv/builder.h"
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/grant.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/machine.h"
#include "hv/modules.h"
#include "hv/refused.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CAPABILITIES                                                           \
    (BELFRY_CAP_COUNTERS | BELFRY_CAP_AUDIT | BELFRY_CAP_REFUSED |             \
     BELFRY_CAP_RINGS | BELFRY_CAP_MANAGE)

#define CHUNK 256u

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
};

/* ---- What several operations share. ---- */

static uint64_t frame_or_none(mfn_t frame)
{
    return frame == INVALID_MFN ? 0 : frame;
}

/* ns that a vCPU has run, up to now. */
static uint64_t vcpu_cpu_time(const struct vcpu *v)
{
    uint64_t stamps = v->sched.cpu_time;

    if (v->sched.state == BELFRY_VCPU_RUNNING)
        stamps += stamp_now() - v->sched.since;
    /* An interval is converted as the time that long after the origin. */
    return stamp_to_stime(time_scale.origin + stamps);
}

/* ---- Version, machine, modules. ---- */

static long op_version(struct domain *d, union arguments *u)
{
    struct belfry_version *a = &u->version;

    a->version = BELFRY_ABI_VERSION;
    a->capabilities = CAPABILITIES;
    a->reserved = 0;
    a->generation = d->generation;
    string_copy(a->name, d->name, sizeof(a->name));
    string_copy(a->text, "Belfry " BELFRY_VERSION, sizeof(a->text));
    return 0;
}

static uint32_t count_domains(void)
{
    struct domain *d;
    uint32_t n = 0;

    for (uint32_t id = 0; (d = domain_next((uint16_t)id)) != NULL; n++) {
        id = d->id + 1u;
        domain_put(d);
    }
    return n;
}

static long op_machine(struct domain *caller, union arguments *u)
{
    struct machine_totals totals = machine_totals();
    struct belfry_machine *a = &u->machine;

    (void)caller;
    a->nr_cpus = totals.nr_cpus;
    a->nr_domains = count_domains();
    a->total_pages = alloc_total_pages();
    a->free_pages = alloc_free_pages();
    a->cpu_khz = totals.cpu_khz;
    a->now = now();
    a->idle_time = totals.idle_time;
    a->context_switches = totals.context_switches;
    a->interrupts = totals.interrupts;
    a->hypercalls = totals.hypercalls;
    a->boot_tsc = boot_tsc;
    string_copy(a->run_args, run_args, sizeof(a->run_args));
    return 0;
}

static void describe_module(const struct module *m, struct belfry_module *out)
{
    memset(out, 0, sizeof(*out));
    string_copy(out->line, m->line, sizeof(out->line));
    out->image_size = m->size;
    out->ramdisk_size = m->ramdisk ? m->ramdisk->size : 0;
}

static long op_modules(struct domain *caller, union arguments *u)
{
    struct belfry_modules *a = &u->modules;
    uint32_t room = a->count, index = 0;
    struct belfry_module item;

    (void)caller;
    a->count = 0;
    for (unsigned int i = 0; i < nr_modules && a->count < room; i++) {
        if (modules[i].kind != MODULE_DOMAIN || index++ < a->first)
            continue;
        describe_module(&modules[i], &item);
        if (guest_copy_to_offset(a->modules, a->count, &item, sizeof(item)))
            return -EFAULT;
        a->count++;
    }
    return 0;
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

static void describe_crash(const struct domain *d, struct belfry_domain *out)
{
    out->crash_vector = d->crash_vector;
    out->crash_error = d->crash_error;
    out->crash_rip = d->crash_rip;
    out->crash_cr2 = d->crash_cr2;
    string_copy(out->crash_text, d->crash_text, sizeof(out->crash_text));
    if (d->crash_rip)
        domain_symbol(d, d->crash_rip, out->crash_symbol,
                      sizeof(out->crash_symbol));
}

static void describe_domain(struct domain *d, struct belfry_domain *out)
{
    memset(out, 0, sizeof(*out));
    out->id = d->id;
    out->state = domain_state(d);
    out->reason = out->state >= BELFRY_STATE_SHUTDOWN ? d->reason :
                                                        BELFRY_REASON_NONE;
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
    out->rings_frame = frame_or_none(d->rings_frame);
    describe_crash(d, out);
}

static long op_list(struct domain *caller, union arguments *u)
{
    struct belfry_list *a = &u->list;
    uint32_t room = a->count, id = a->first;
    struct belfry_domain item;
    struct domain *d;

    (void)caller;
    for (a->count = 0; a->count < room && id < DOMID_FIRST_RESERVED;
         a->count++) {
        d = domain_next((uint16_t)id);
        if (!d)
            break;
        describe_domain(d, &item);
        id = d->id + 1u;
        domain_put(d);
        if (guest_copy_to_offset(a->domains, a->count, &item, sizeof(item)))
            return -EFAULT;
    }
    return 0;
}

static long op_create(struct domain *caller, union arguments *u)
{
    struct belfry_create *a = &u->create;
    const struct module *m;
    struct domain *d;
    int rc;

    (void)caller;
    if (a->name[BELFRY_NAME_SIZE - 1] != '\0')
        return refuse(-EINVAL, "the name is not terminated");
    m = module_find(a->name);
    if (!m) {
        string_copy(a->text, "no module has this name", sizeof(a->text));
        return -ENOENT;
    }
    rc = builder_create(m, false, &d, a->text, sizeof(a->text));
    if (rc)
        return rc;
    a->id = d->id;
    a->generation = d->generation;
    domain_put(d);
    return 0;
}

/* Started again after -ERESTART, it finds the same domain still dying and
 * goes on; only when nothing is left of it is the new one built. */
static long restart(struct domain *d, struct belfry_control *a)
{
    struct domain *fresh;
    int rc = domain_destroy(d);

    if (rc == -ERESTART)
        return hypercall_restart(current_vcpu());
    if (rc)
        return rc;
    rc = builder_create(d->module, false, &fresh, a->text, sizeof(a->text));
    if (rc)
        return rc;
    a->id = fresh->id;
    a->generation = fresh->generation;
    domain_put(fresh);
    return 0;
}

static long op_control(struct domain *d, union arguments *u)
{
    struct belfry_control *a = &u->control;
    int rc;

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
        rc = domain_destroy(d);
        return rc == -ERESTART ? hypercall_restart(current_vcpu()) : rc;
    case BELFRY_CONTROL_RESTART:
        return restart(d, a);
    default:
        return refuse(-EINVAL, "unknown action");
    }
}

static long op_peek(struct domain *d, union arguments *u)
{
    const struct belfry_peek *a = &u->peek;
    const char *bytes = mfn_to_virt(a->frame);
    struct page *page;
    int rc;

    if (a->reserved != 0)
        return refuse(-EINVAL, "a reserved field is not zero");
    if (a->offset > PAGE_SIZE || a->length > PAGE_SIZE - a->offset)
        return refuse(-EINVAL, "offset and length go beyond the frame");
    page = page_get_mfn(a->frame, d);
    if (!page)
        return refuse(-EPERM, "the frame is not the domain's");
    rc = guest_copy_to(a->buffer, bytes + a->offset, a->length);
    page_put(page);
    return rc;
}

static long op_audit(struct domain *caller, union arguments *u)
{
    (void)caller;
    audit_run(&u->audit);
    return 0;
}

/* The hypervisor keeps one reference on the frame that is registered; a
 * domain that is being taken apart registers nothing more. */
static long op_register_rings(struct domain *d, union arguments *u)
{
    mfn_t frame = u->register_rings.frame, drop = frame;

    if (frame != 0 && !page_get_mfn(frame, d))
        return refuse(-EINVAL, "the frame is not the caller's");
    spin_lock(&d->lock);
    if (d->state == DOMAIN_RUNNING) {
        drop = frame_or_none(d->rings_frame);
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
    c->vcpu_rip = vcpu_rip(v);
    domain_symbol(d, c->vcpu_rip, c->vcpu_symbol, sizeof(c->vcpu_symbol));
}

static long op_channels(struct domain *d, union arguments *u)
{
    struct belfry_channels *a = &u->channels;
    uint32_t room = a->count, port = a->first;
    struct belfry_channel item;

    for (a->count = 0; a->count < room; a->count++, port++) {
        memset(&item, 0, sizeof(item));
        if (!evtchn_info(&d->evtchn, &port, &item))
            break;
        describe_channel(d, &item);
        if (guest_copy_to_offset(a->channels, a->count, &item, sizeof(item)))
            return -EFAULT;
    }
    return 0;
}

static long op_grants(struct domain *d, union arguments *u)
{
    struct belfry_grants *a = &u->grants;
    uint32_t room = a->count, ref = a->first;
    struct belfry_grant item;

    a->nr_frames = d->grants->nr_frames;
    a->max_frames = GRANT_MAX_FRAMES;
    a->maptrack = d->grants->maptrack_used;
    a->max_maptrack =
        MAPTRACK_MAX_PAGES * (PAGE_SIZE / sizeof(struct maptrack));
    for (a->count = 0; a->count < room; a->count++, ref++) {
        memset(&item, 0, sizeof(item));
        if (!grant_info(d, &ref, &item))
            break;
        if (guest_copy_to_offset(a->grants, a->count, &item, sizeof(item)))
            return -EFAULT;
    }
    return 0;
}

static void describe_vcpu(const struct vcpu *v, struct belfry_vcpu *out)
{
    const struct vcpu_info *info = v->evtchn.info;

    memset(out, 0, sizeof(*out));
    out->vcpu = v->id;
    out->cpu = v->sched.cpu;
    out->state = v->sched.state;
    out->upcall_pending = read_once(&info->evtchn_upcall_pending) != 0;
    out->upcall_masked = read_once(&info->evtchn_upcall_mask) != 0;
    out->priority = v->sched.priority;
    out->lent_priority = v->sched.lent_priority;
    out->since = stamp_to_stime(v->sched.since);
    out->cpu_time = vcpu_cpu_time(v);
    out->rip = vcpu_rip(v);
    domain_symbol(v->domain, out->rip, out->symbol, sizeof(out->symbol));
}

static long op_vcpus(struct domain *d, union arguments *u)
{
    struct belfry_vcpus *a = &u->vcpus;
    uint32_t room = a->count < d->nr_vcpus ? a->count : d->nr_vcpus;
    struct belfry_vcpu item;

    for (a->count = 0; a->count < room; a->count++) {
        describe_vcpu(d->vcpu[a->count], &item);
        if (guest_copy_to_offset(a->vcpus, a->count, &item, sizeof(item)))
            return -EFAULT;
    }
    return 0;
}

/* ---- Refusals, log, serial line. ---- */

static long op_refused(struct domain *caller, union arguments *u)
{
    struct belfry_refused *a = &u->refused;
    uint32_t room = a->count;
    struct belfry_refusal item;

    (void)caller;
    for (a->count = 0; a->count < room; a->count++) {
        if (!refused_next(a->after, &item))
            break;
        a->after = item.sequence;
        if (guest_copy_to_offset(a->refusals, a->count, &item, sizeof(item)))
            return -EFAULT;
    }
    return 0;
}

static uint32_t at_most(uint32_t n, uint32_t limit)
{
    return n < limit ? n : limit;
}

static long op_log(struct domain *caller, union arguments *u)
{
    struct belfry_log *a = &u->log;
    uint32_t room = a->length;
    char chunk[CHUNK];
    size_t n;

    (void)caller;
    for (a->length = 0; a->length < room; a->length += (uint32_t)n) {
        n = log_read(&a->position, chunk, at_most(room - a->length, CHUNK));
        if (n == 0)
            break;
        if (guest_copy_to(a->buffer + a->length, chunk, n))
            return -EFAULT;
    }
    return 0;
}

static long serial_write(struct belfry_serial *a)
{
    uint32_t length = a->write_length;
    char chunk[CHUNK];

    a->write_length = 0;
    while (a->write_length < length) {
        uint32_t n = at_most(length - a->write_length, CHUNK), taken;

        if (guest_copy_from(chunk, a->write_buffer + a->write_length, n))
            return -EFAULT;
        taken = (uint32_t)serial_com2_write(chunk, n);
        a->write_length += taken;
        if (taken < n)
            break;
    }
    return 0;
}

static long serial_read(struct belfry_serial *a)
{
    uint32_t length = a->read_length;
    char chunk[CHUNK];
    size_t n;

    for (a->read_length = 0; a->read_length < length;
         a->read_length += (uint32_t)n) {
        n = serial_com2_read(chunk, at_most(length - a->read_length, CHUNK));
        if (n == 0)
            break;
        if (guest_copy_to(a->read_buffer + a->read_length, chunk, n))
            return -EFAULT;
    }
    return 0;
}

static long op_serial(struct domain *caller, union arguments *u)
{
    long rc = serial_write(&u->serial);

    (void)caller;
    if (!rc)
        rc = serial_read(&u->serial);
    u->serial.lost = serial_com2_lost();
    return rc;
}

/* ---- The call. ---- */

#define ANYONE      1u /* may call it; else the initial domain alone */
#define ANY_VERSION 2u /* the version is not checked */

static const struct op {
    long (*act)(struct domain *d, union arguments *u);
    uint32_t size, flags;
    uint32_t item_size, item_size_at; /* 0: it has no items */
    uint32_t id_at, generation_at;    /* 0: it is about the caller */
} ops[] = {
/* The flags, then designated members. */
#define OP(name, ...)                                                          \
    [BELFRYOP_##name] = { .act = op_##name,                                    \
                          .size = sizeof(struct belfry_##name),                \
                          .flags = __VA_ARGS__ }
#define ITEMS(name, item)                                                      \
    .item_size = sizeof(struct item),                                          \
    .item_size_at = offsetof(struct belfry_##name, item_size)
#define DOMAIN(name)                                                           \
    .id_at = offsetof(struct belfry_##name, id),                               \
    .generation_at = offsetof(struct belfry_##name, generation)
    OP(version, ANYONE | ANY_VERSION),
    OP(list, 0, ITEMS(list, belfry_domain)),
    OP(create, 0),
    OP(control, 0, DOMAIN(control)),
    OP(peek, 0, DOMAIN(peek)),
    OP(audit, ANYONE),
    OP(channels, 0, ITEMS(channels, belfry_channel), DOMAIN(channels)),
    OP(grants, 0, ITEMS(grants, belfry_grant), DOMAIN(grants)),
    OP(refused, 0, ITEMS(refused, belfry_refusal)),
    OP(log, 0),
    OP(serial, 0),
    OP(register_rings, ANYONE),
    OP(modules, 0, ITEMS(modules, belfry_module)),
    OP(machine, 0),
    OP(vcpus, 0, ITEMS(vcpus, belfry_vcpu), DOMAIN(vcpus)),
#undef OP
#undef ITEMS
#undef DOMAIN
};
#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

static uint32_t field32(const union arguments *u, uint32_t at)
{
    uint32_t value;

    memcpy(&value, (const char *)u + at, sizeof(value));
    return value;
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

/* Size and version first, then the whole; nothing is read twice but those
 * two, which keep the values that were checked. */
static long take_arguments(const struct op *op, const void *arg,
                           union arguments *u)
{
    uint32_t size, version, item_size;
    long rc;

    if (guest_copy_from(u, arg, sizeof(u->header)))
        return -EFAULT;
    size = u->header.size;
    version = u->header.version;
    if (version != BELFRY_ABI_VERSION && !(op->flags & ANY_VERSION))
        return refuse(-EPROTO, "the structure is of another version");
    if (size < op->size)
        return refuse(-EINVAL, "the structure is too small");
    rc = check_rest(arg, op->size, size);
    if (rc)
        return refuse((int)rc, "the structure has unknown fields that are set");
    if (guest_copy_from(u, arg, op->size))
        return -EFAULT;
    u->header.size = size;
    u->header.version = version;

    item_size = op->item_size ? field32(u, op->item_size_at) : 0;
    if (item_size != op->item_size)
        return refuse(item_size < op->item_size ? -EINVAL : -E2BIG,
                      "item_size is of another version of belfry.h");
    return 0;
}

/* The domain that the operation is about, with a reference; else NULL. */
static struct domain *take_domain(const struct op *op, struct vcpu *v,
                                  const union arguments *u)
{
    uint64_t generation;
    uint32_t id;

    if (!op->id_at)
        return domain_get(v->domain->id);
    id = field32(u, op->id_at);
    memcpy(&generation, (const char *)u + op->generation_at,
           sizeof(generation));
    if (id >= DOMID_FIRST_RESERVED)
        return NULL;
    return domain_get_generation((uint16_t)id, generation);
}

long do_belfry_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    const struct op *op;
    union arguments u;
    struct domain *d;
    long rc;

    if (cmd >= NR_OPS)
        return refuse(-ENOSYS, "no such operation");
    op = &ops[cmd];
    if (!(op->flags & ANYONE) && v->domain != initial_domain)
        return refuse(-EPERM, "only the initial domain may do this");
    rc = take_arguments(op, arg, &u);
    /* Written back before anything happens: an argument that cannot take
     * the result is refused while there is nothing to undo. */
    if (!rc)
        rc = guest_copy_to(arg, &u, op->size);
    if (rc)
        return rc;
    d = take_domain(op, v, &u);
    if (!d)
        return refuse(-ESRCH, "no such domain, or not of this generation");

    rc = op->act(d, &u);
    domain_put(d);
    if (guest_copy_to(arg, &u, op->size))
        return -EFAULT;
    return rc;
}
