/*
 * EVTCHNOP_send: the call that must be shortest, so its argument is read by
 * one instruction here and not by guest_copy.h's functions.
 */
#include "hv/hypercall.h"
#include "hv/x86/cpu.h"

static __attribute__((noinline)) long send_lifting_smap(struct vcpu *v,
                                                        evtchn_port_t *arg)
{
    evtchn_port_t port;

    stac();
    GUEST_LOAD_U32(port, arg, fault);
    clac();
    return evtchn_send(&v->domain->evtchn, port);

fault:
    clac();
    return -EFAULT;
}

static inline long send(struct vcpu *v, evtchn_port_t *arg)
{
    evtchn_port_t port;

    if ((uint64_t)arg >= HV_START && (uint64_t)arg < HV_END)
        return -EFAULT;
    if (cpu_has_smap)
        return send_lifting_smap(v, arg);
    GUEST_LOAD_U32(port, arg, fault);
    return evtchn_send(&v->domain->evtchn, port);

fault:
    return -EFAULT;
}

long do_event_channel_op(struct vcpu *v, uint32_t cmd, void *arg)
{
    if (__builtin_expect(cmd != EVTCHNOP_send, 0))
        return event_channel_op(v, cmd, arg);
    return send(v, arg);
}
