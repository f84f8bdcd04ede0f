/*
 * event_channel_op, and what evtchn/ needs of the hypervisor.
 *
 * The argument is copied in once, the copy is worked on, and copied out; if
 * that fails, what the call had opened is closed again.
 */
#include "evtchn/evtchn.h"

#include "hv/audit.h"
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"

/* ---- Hooks of evtchn/. ---- */

struct evtchn_domain *evtchn_hook_get(uint16_t domid)
{
    struct domain *d = domain_get(domid);

    return d == NULL ? NULL : &d->evtchn;
}

void evtchn_hook_put(struct evtchn_domain *d)
{
    domain_put(container_of(d, struct domain, evtchn));
}

void evtchn_hook_wake(struct evtchn_vcpu *v)
{
    sched_wake(container_of(v, struct vcpu, evtchn));
}

uint64_t evtchn_hook_now(void)
{
    return now();
}

static struct timer *timer_of(struct evtchn_limit *limit)
{
    _Static_assert(sizeof(struct timer) <= sizeof(limit->timer), "it fits");
    return (struct timer *)limit->timer;
}

static void limit_expired(struct timer *t)
{
    evtchn_limit_due(container_of(t, struct evtchn_limit, timer));
}

/* Nobody else can have changed it since, and it cannot have expired: it is
 * this CPU's. */
bool evtchn_hook_timer_set(struct evtchn_limit *limit, uint64_t time)
{
    struct timer *t = timer_of(limit);

    t->function = limit_expired;
    timer_set(t, time);
    return timer_is_set(t);
}

void evtchn_hook_timer_cancel(struct evtchn_limit *limit)
{
    timer_cancel(timer_of(limit));
}

void evtchn_hook_throttled(struct evtchn_domain *d, uint32_t port,
                           struct evtchn_domain *by)
{
    const struct domain *owner = container_of(d, struct domain, evtchn);
    const struct domain *sender = container_of(by, struct domain, evtchn);

    printk_guest(sender->id, "%s rings port %u of %s faster than its limit\n",
                 sender->name, port, owner->name);
}

void *evtchn_hook_alloc_page(void)
{
    return alloc_page_memory();
}

void evtchn_hook_free_page(void *page)
{
    free_page_memory(page);
}

void evtchn_hook_reason(const char *text, uint32_t number)
{
    refuse_reason(text);
    refuse_argument(number);
}

void evtchn_hook_differs(struct evtchn_domain *d, uint32_t port,
                         const char *what)
{
    audit_differs(container_of(d, struct domain, evtchn), "port", port, what);
}

/* ---- The hypercall. ---- */

union argument {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_close close;
    struct evtchn_status status;
    struct evtchn_unmask unmask;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
    struct evtchn_reset reset;
};

/* FIFO channels are not built.  What is wrong by itself is refused as Xen
 * does; a right request gets the error of a hypervisor without them, at
 * which guests go on with the 2-level ABI. */
static int init_control(struct domain *d, const struct evtchn_init_control *op)
{
    const uint32_t last = PAGE_SIZE - sizeof(evtchn_fifo_control_block_t);
    struct page *page;

    if (op->vcpu >= d->nr_vcpus)
        return -ENOENT;
    if (op->offset > last || op->offset % 8 != 0)
        return -EINVAL;
    page = page_get_mfn(op->control_gfn, d);
    if (page == NULL)
        return -EINVAL;
    page_put(page);
    refuse_reason("FIFO event channels are not offered");
    return -ENOSYS;
}

static int set_priority(struct evtchn_domain *d, uint32_t port)
{
    refuse_reason("2-level event channels have no priority");
    return evtchn_lookup(d, port) == NULL ? -EINVAL : -ENOSYS;
}

/* Every call but send: hv/x86/send.c. */
static int call(struct domain *d, uint32_t cmd, union argument *a)
{
    struct evtchn_domain *e = &d->evtchn;

    switch (cmd) {
    case EVTCHNOP_alloc_unbound:
        return evtchn_alloc_unbound(e, &a->alloc_unbound);
    case EVTCHNOP_bind_interdomain:
        return evtchn_bind_interdomain(e, &a->bind_interdomain);
    case EVTCHNOP_bind_virq:
        return evtchn_bind_virq(e, &a->bind_virq);
    case EVTCHNOP_bind_pirq:
        refuse_reason("no domain has physical interrupts");
        return -EINVAL;
    case EVTCHNOP_bind_ipi:
        return evtchn_bind_ipi(e, &a->bind_ipi);
    case EVTCHNOP_bind_vcpu:
        return evtchn_bind_vcpu(e, a->bind_vcpu.port, a->bind_vcpu.vcpu);
    case EVTCHNOP_close:
        return evtchn_close(e, a->close.port);
    case EVTCHNOP_status:
        return evtchn_status(e, &a->status);
    case EVTCHNOP_unmask:
        return evtchn_unmask(e, a->unmask.port);
    case EVTCHNOP_init_control:
        return init_control(d, &a->init_control);
    case EVTCHNOP_set_priority:
        return set_priority(e, a->set_priority.port);
    default:
        refuse_reason("neither FIFO event channels nor reset are offered");
        return -EOPNOTSUPP;
    }
}

#define OUT(name, field)                                                       \
    [EVTCHNOP_##name] = { sizeof(struct evtchn_##name),                        \
                          offsetof(struct evtchn_##name, field) }
#define IN(name) [EVTCHNOP_##name] = { sizeof(struct evtchn_##name), 0 }

/* What each call reads (0: there is no such call), and from which field on
 * it writes (0: nothing). */
static const struct op {
    uint8_t size, out;
} ops[] = {
    OUT(alloc_unbound, port),
    OUT(bind_interdomain, local_port),
    OUT(bind_virq, port),
    IN(bind_pirq),
    OUT(bind_ipi, port),
    IN(bind_vcpu),
    IN(close),
    OUT(status, status),
    IN(unmask),
    IN(init_control),
    IN(expand_array),
    IN(set_priority),
    IN(reset),
};
#define NR_OPS (sizeof(ops) / sizeof(ops[0]))

/* The guest cannot be told of the port it got: take it back. */
static void undo(struct vcpu *v, uint32_t cmd, const union argument *arg)
{
    struct evtchn_domain *d = &v->domain->evtchn;

    if (cmd == EVTCHNOP_bind_interdomain)
        evtchn_close(d, arg->bind_interdomain.local_port);
    else if (cmd == EVTCHNOP_bind_virq)
        evtchn_close(d, arg->bind_virq.port);
    else if (cmd == EVTCHNOP_bind_ipi)
        evtchn_close(d, arg->bind_ipi.port);
    else if (cmd == EVTCHNOP_alloc_unbound)
        evtchn_undo_alloc(d, &arg->alloc_unbound);
}

long event_channel_op(struct vcpu *v, uint32_t cmd, void *guest)
{
    const struct op *op;
    union argument arg;
    int rc;

    if (cmd >= NR_OPS || ops[cmd].size == 0)
        return -ENOSYS;
    op = &ops[cmd];
    if (guest_copy_from(&arg, guest, op->size) != 0)
        return -EFAULT;
    rc = call(v->domain, cmd, &arg);
    if (rc == 0 && op->out != 0 &&
        guest_copy_to((char *)guest + op->out, (char *)&arg + op->out,
                      op->size - op->out) != 0) {
        undo(v, cmd, &arg);
        rc = -EFAULT;
    }
    return rc;
}
