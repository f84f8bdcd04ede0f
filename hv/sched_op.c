/* sched_op: yield, block, poll, shutdown. */
#include "hv/domain.h"
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/sched.h"
#include "hv/vcpu_op.h"
#include "hv/x86/cpu.h"

#define POLL_MAX_PORTS 128u

/* Is one of the ports pending?  1, 0, or -Exxx.  *only: the port, if there is
 * just one. */
static int look_at_ports(struct vcpu *v, const struct sched_poll *poll,
                         uint32_t *only)
{
    struct evtchn_domain *e = &v->domain->evtchn;
    evtchn_port_t port = 0;

    for (uint32_t i = 0; i < poll->nr_ports; i++) {
        if (guest_copy_from_offset(&port, poll->ports.p, i, sizeof(port)))
            return -EFAULT;
        if (evtchn_poll_check(e, port)) {
            refuse_argument(port);
            return -EINVAL;
        }
        if (evtchn_is_pending(e, port))
            return 1;
    }
    *only = poll->nr_ports == 1 ? port : 0;
    return 0;
}

/*
 * Sleep until one of the ports is pending, masked or not, or an upcall is
 * due, or the time is over.  The vCPU counts as polling before the ports are
 * looked at, so whoever rings one after the look wakes it.
 */
static long poll(struct vcpu *v, const void *arg)
{
    struct sched_poll poll;
    uint32_t only = 0;
    int rc;

    if (guest_copy_from(&poll, arg, sizeof(poll)))
        return -EFAULT;
    if (poll.nr_ports > POLL_MAX_PORTS)
        return -EINVAL;
    timer_cancel(&v->poll);
    v->deadline = poll.timeout;
    evtchn_poll_begin(&v->evtchn, 0);
    rc = look_at_ports(v, &poll, &only);
    if (rc || evtchn_upcall_due(&v->evtchn)) {
        evtchn_poll_end(&v->evtchn);
        return rc < 0 ? rc : 0;
    }
    /* Not a second begin: a wake since the first must stay found. */
    write_once(&v->evtchn.poll_port, only);
    if (poll.timeout)
        timer_set(&v->poll, poll.timeout);
    sched_block_polling(BELFRY_VCPU_BLOCKED);
    return 0;
}

static long shut_down(struct vcpu *v, const void *arg)
{
    struct sched_shutdown s;

    if (guest_copy_from(&s, arg, sizeof(s)))
        return -EFAULT;
    if (s.reason > SHUTDOWN_MAX) {
        refuse_reason("an unknown reason to shut down");
        return -EINVAL;
    }
    domain_shutdown(v->domain, (uint8_t)s.reason);
    return 0;
}

static __attribute__((noinline)) long rare_op(struct vcpu *v, uint32_t cmd,
                                              void *arg)
{
    switch (cmd) {
    case SCHEDOP_yield:
        sched_yield();
        return 0;
    case SCHEDOP_poll:
        return poll(v, arg);
    case SCHEDOP_shutdown:
        return shut_down(v, arg);
    default:
        return -ENOSYS;
    }
}

long do_sched_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    if (cmd != SCHEDOP_block)
        return rare_op(v, cmd, arg);
    write_once(&v->evtchn.info->evtchn_upcall_mask, 0);
    sched_block();
    return 0;
}
