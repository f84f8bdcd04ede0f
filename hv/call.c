/*
 * belfry_call and belfry_serve (hv/abi/belfry.h), where hv/x86/handoff.c
 * cannot do it in a few instructions: the other vCPU is busy, or on another
 * CPU, or gone.  A call is a send and a poll of the same port, with lending; a
 * serve is the end of lending, a send and a block.
 */
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/lend.h"
#include "hv/x86/cpu.h"
#include "lib/errno.h"

static struct vcpu *vcpu_of(struct evtchn_vcpu *v)
{
    return container_of(v, struct vcpu, evtchn);
}

/* The timer may be set for an earlier time, and is then set anew when it
 * expires: a call that ends in time costs no timer. */
static void wait_until(struct vcpu *v, uint64_t deadline)
{
    v->deadline = deadline;
    if (deadline && (!timer_is_set(&v->poll) || v->poll.expires > deadline))
        timer_set(&v->poll, deadline);
}

static bool is_past(uint64_t deadline)
{
    return deadline && deadline <= now();
}

/* The vCPU counts as polling before the ring, so that an answer that comes
 * before it sleeps is not lost. */
static long ring_and_wait(struct vcpu *v, uint32_t port, uint64_t deadline)
{
    struct evtchn_domain *e = &v->domain->evtchn;
    long rc;

    evtchn_poll_begin(&v->evtchn, port);
    rc = evtchn_send(e, port);
    if (rc || evtchn_is_pending(e, port) || evtchn_upcall_due(&v->evtchn) ||
        is_past(deadline)) {
        evtchn_poll_end(&v->evtchn);
        lend_end(v);
        return rc;
    }
    wait_until(v, deadline);
    sched_block_polling(BELFRY_VCPU_CALLING);
    return 0;
}

long do_belfry_call(struct vcpu *v, uint32_t port, uint64_t deadline)
{
    struct evtchn_domain *e = &v->domain->evtchn;
    struct evtchn_vcpu *peer;
    int rc = evtchn_peer_vcpu(e, port, &peer);

    if (!rc)
        rc = lend_begin(v, vcpu_of(peer));
    if (rc)
        return rc;
    evtchn_take_back(e, port);
    return ring_and_wait(v, port, deadline);
}

/* Whoever waits for us on that channel gets back what it has lent, and is
 * rung. */
static long answer(struct vcpu *v, uint32_t port)
{
    struct evtchn_domain *e = &v->domain->evtchn;
    struct evtchn_vcpu *peer;
    int rc = evtchn_peer_vcpu(e, port, &peer);

    if (rc)
        return rc;
    if (read_once(&vcpu_of(peer)->sched.lends_to) == v)
        lend_end(vcpu_of(peer));
    return evtchn_send(e, port);
}

long do_belfry_serve(struct vcpu *v, uint32_t port, uint64_t deadline)
{
    long rc = port ? answer(v, port) : 0;

    if (rc || is_past(deadline) ||
        read_once(&v->evtchn.info->evtchn_upcall_pending))
        return rc;
    wait_until(v, deadline);
    sched_block_serving();
    return 0;
}
