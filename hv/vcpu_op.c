/*
 * vcpu_op and set_timer_op: bringing vCPUs up, their timers, their clock.
 */
#include "hv/vcpu_op.h"

#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/context.h"
#include "hv/x86/cpu.h"

#include <xen/vcpu.h>

#define DEFAULT_PERIOD  10000000u /* ns */
#define SHORTEST_PERIOD 1000000u

static void single_expired(struct timer *t)
{
    struct vcpu *v = container_of(t, struct vcpu, single);

    evtchn_send_virq(&v->evtchn, VIRQ_TIMER);
}

static void periodic_expired(struct timer *t)
{
    struct vcpu *v = container_of(t, struct vcpu, periodic);
    stime_t period = read_once(&v->period), next = t->expires + period;

    if (!period || !read_once(&v->timers_on))
        return;
    evtchn_send_virq(&v->evtchn, VIRQ_TIMER);
    /* Ticks that were missed are not made up for. */
    timer_set(t, next > now() ? next : now() + period);
}

/* It may have been woken since: then this time-out is nobody's.  Calls do not
 * cancel it, so it may be an earlier one's. */
static void poll_expired(struct timer *t)
{
    struct vcpu *v = container_of(t, struct vcpu, poll);
    stime_t deadline = read_once(&v->deadline);

    if (!deadline || !read_once(&v->timers_on))
        return;
    if (deadline > now())
        timer_set(t, deadline);
    else if (evtchn_poll_end(&v->evtchn) ||
             read_once(&v->sched.state) == BELFRY_VCPU_SERVING)
        sched_wake(v);
}

void vcpu_timers_init(struct vcpu *v)
{
    timer_init(&v->single, single_expired);
    timer_init(&v->periodic, periodic_expired);
    timer_init(&v->poll, poll_expired);
    v->period = DEFAULT_PERIOD;
}

void vcpu_timers_stop(struct vcpu *v)
{
    write_once(&v->timers_on, false);
    timer_cancel(&v->single);
    timer_cancel(&v->periodic);
    timer_cancel(&v->poll);
    evtchn_poll_end(&v->evtchn);
}

/* One rate and one origin for ever: the guest's clock equals now(). */
static void update_time(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->evtchn.info->time;
    uint32_t version = read_once(&t->version) & ~1u;

    write_once(&t->version, version + 1);
    t->tsc_timestamp = time_scale.origin;
    t->system_time = 0;
    t->tsc_to_system_mul = time_scale.mul;
    t->tsc_shift = time_scale.shift;
    store_release(&t->version, version + 2);
}

void vcpu_start(struct vcpu *v)
{
    update_time(v);
    write_once(&v->timers_on, true);
    if (v->period)
        timer_set(&v->periodic, now() + v->period);
    sched_online(v);
}

/* A guest takes 0 for "no timer"; the past for "now"; more than about three
 * centuries for a mistake, on which Xen fires soon. */
long do_set_timer_op(struct vcpu *v, uint64_t timeout)
{
    if (timeout == 0)
        timer_cancel(&v->single);
    else if ((int64_t)timeout < 0 ||
             (timeout > now() && timeout - now() > 1ull << 50))
        timer_set(&v->single, now() + 100000000);
    else
        timer_set(&v->single, timeout);
    return 0;
}

static long set_periodic(struct vcpu *v, const void *arg)
{
    struct vcpu_set_periodic_timer set;

    if (guest_copy_from(&set, arg, sizeof(set)))
        return -EFAULT;
    if (set.period_ns < SHORTEST_PERIOD || set.period_ns > INT64_MAX / 2)
        return -EINVAL;
    v->period = set.period_ns;
    timer_set(&v->periodic, now() + v->period);
    return 0;
}

static long set_singleshot(struct vcpu *v, const void *arg)
{
    struct vcpu_set_singleshot_timer set;

    if (guest_copy_from(&set, arg, sizeof(set)))
        return -EFAULT;
    timer_set(&v->single, set.timeout_abs_ns);
    return 0;
}

/* The domain's other vCPUs may try the same at the same time. */
static long initialise(struct vcpu *v, const void *arg)
{
    uint8_t setup = VCPU_NEW;
    long rc;

    if (!atomic_cas(&v->setup, &setup, VCPU_BEING_INITIALISED))
        return refuse(-EEXIST, "the vCPU has been initialised before");
    rc = arch_vcpu_set_context(v, arg);
    store_release(&v->setup, rc ? VCPU_NEW : VCPU_INITIALISED);
    if (rc == -ERESTART)
        return hypercall_restart(current_vcpu());
    return rc;
}

static bool is_up(const struct vcpu *v)
{
    return read_once(&v->sched.state) != BELFRY_VCPU_OFFLINE;
}

static long up(struct vcpu *v)
{
    if (load_acquire(&v->setup) != VCPU_INITIALISED)
        return refuse(-EINVAL, "the vCPU has not been initialised");
    if (!is_up(v))
        vcpu_start(v);
    return 0;
}

/* With the last one goes the domain, which nobody could ever wake again. */
static long down(struct vcpu *v)
{
    struct domain *d = v->domain;
    bool last = true;

    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        if (d->vcpu[i] != v && is_up(d->vcpu[i]))
            last = false;
    if (last) {
        domain_shutdown(d, SHUTDOWN_poweroff);
    } else {
        vcpu_timers_stop(v);
        sched_offline(v);
    }
    return 0;
}

uint64_t vcpu_cpu_time(const struct vcpu *v)
{
    uint64_t stamps = v->sched.cpu_time;

    if (read_once(&v->sched.state) == BELFRY_VCPU_RUNNING)
        stamps += stamp_now() - v->sched.since;
    return stamps_to_ns(stamps);
}

static long send_nmi(struct vcpu *v)
{
    write_once(&v->arch.nmi_pending, true);
    if (v == current_vcpu())
        this_cpu()->need_resched = 1; /* the way out looks for it */
    else
        sched_wake(v);
    return 0;
}

static long get_runstate(const struct vcpu *v, void *arg)
{
    static const int state[] = { RUNSTATE_running, RUNSTATE_runnable,
                                 RUNSTATE_offline, RUNSTATE_offline,
                                 RUNSTATE_blocked, RUNSTATE_blocked,
                                 RUNSTATE_blocked };
    uint64_t ran = vcpu_cpu_time(v);
    struct vcpu_runstate_info info = {
        .state = state[v->sched.state],
        .state_entry_time = stamp_to_stime(v->sched.since),
        .time = { [RUNSTATE_running] = ran,
                  [RUNSTATE_blocked] = now() - v->domain->created - ran },
    };

    return guest_copy_to(arg, &info, sizeof(info));
}

/* The area is in the kernel's tables, the vCPU may be in user mode. */
void vcpu_runstate_write(struct vcpu *v)
{
    bool toggle = !v->arch.kernel_mode;

    if (toggle)
        vcpu_toggle_mode(v);
    (void)get_runstate(v, (void *)v->arch.runstate_area);
    if (toggle)
        vcpu_toggle_mode(v);
}

/* Written at once, and from then on whenever the vCPU comes or goes. */
static long register_runstate(struct vcpu *v, const void *arg)
{
    struct vcpu_register_runstate_memory_area area;

    if (guest_copy_from(&area, arg, sizeof(area)))
        return -EFAULT;
    if (!guest_range_ok(area.addr.v, sizeof(struct vcpu_runstate_info)))
        return -EFAULT;
    v->arch.runstate_area = (uint64_t)area.addr.v;
    v->arch.runstate = area.addr.v != NULL;
    if (area.addr.v)
        (void)get_runstate(v, area.addr.v);
    return 0;
}

/* The guest's clock never changes, so a copy of it is as good. */
static long register_time(const struct vcpu *v, const void *arg)
{
    struct vcpu_register_time_memory_area area;

    if (guest_copy_from(&area, arg, sizeof(area)))
        return -EFAULT;
    if (!guest_range_ok(area.addr.v, sizeof(struct vcpu_time_info)))
        return -EFAULT;
    (void)guest_copy_to(area.addr.v, &v->evtchn.info->time,
                        sizeof(struct vcpu_time_info));
    return 0;
}

static long register_info(struct vcpu *v, const void *arg)
{
    struct vcpu_register_vcpu_info reg;
    long rc;

    if (guest_copy_from(&reg, arg, sizeof(reg)))
        return -EFAULT;
    rc = arch_vcpu_register_info(v, reg.mfn, reg.offset);
    if (!rc)
        update_time(v);
    return rc;
}

/* What only the vCPU itself may ask for. */
static long own_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    switch (cmd) {
    case VCPUOP_set_periodic_timer:
        return set_periodic(v, arg);
    case VCPUOP_stop_periodic_timer:
        v->period = 0;
        timer_cancel(&v->periodic);
        return 0;
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(v, arg);
    case VCPUOP_stop_singleshot_timer:
        timer_cancel(&v->single);
        return 0;
    default:
        return -ENOSYS;
    }
}

long do_vcpu_op(struct vcpu *v, uint32_t cmd, uint32_t id, void *arg)
{
    struct vcpu *target;

    if (id >= v->domain->nr_vcpus)
        return -ENOENT;
    target = v->domain->vcpu[id];
    switch (cmd) {
    case VCPUOP_initialise:
        return initialise(target, arg);
    case VCPUOP_up:
        return up(target);
    case VCPUOP_down:
        return down(target);
    case VCPUOP_is_up:
        return is_up(target);
    case VCPUOP_get_runstate_info:
        return get_runstate(target, arg);
    case VCPUOP_send_nmi:
        return send_nmi(target);
    case VCPUOP_register_vcpu_info:
        return register_info(target, arg);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(target, arg);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time(target, arg);
    default:
        return target == v ? own_op(v, cmd, arg) : -EINVAL;
    }
}
