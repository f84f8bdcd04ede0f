/*
 * The hand-off of a call (belfry_call, belfry_serve): from the vCPU that rings
 * straight to the one that has been waiting for it, on the same CPU.
 *
 * No run queue is touched and no pending bit set: the ring is the return
 * value of the other's hypercall.  The caller's turn goes on meanwhile, in
 * the other vCPU.  Whenever something is not as it usually is, nothing is
 * changed here and the call is made the long way (hv/call.c), to the same end.
 *
 * Both locks that are taken are tried only: the sender's port's, which keeps
 * the peer from going away, and this CPU's queue's, which keeps both vCPUs in
 * the state they are in.
 */
#include "evtchn/handoff.h"
#include "hv/x86/switch.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)

/* From entry.asm, which has saved the registers of the vCPU: the vCPU to go on
 * with, or NULL. */
struct vcpu *handoff_call(struct vcpu *v, uint32_t port, uint64_t deadline);
struct vcpu *handoff_serve(struct vcpu *v, uint32_t port, uint64_t deadline);

/* The two ends of a ring, and who is there. */
struct ends {
    struct evtchn *own, *peer;
    const struct evtchn_domain *domain; /* the peer's */
    struct vcpu *vcpu;                  /* that it notifies */
};

/* Take both locks; false if that cannot be done at once. */
static ALWAYS_INLINE bool lock(struct cpu *c, struct vcpu *v, uint32_t port,
                               struct ends *e)
{
    e->own = evtchn_try_lock_bound(&v->domain->evtchn, port);
    if (UNLIKELY(!e->own))
        return false;
    e->peer = e->own->u.remote.port;
    e->domain = e->own->u.remote.domain;
    e->vcpu = container_of(e->domain->vcpu[read_once(&e->peer->vcpu)],
                           struct vcpu, evtchn);
    if (UNLIKELY(!spin_trylock(&c->queue.lock))) {
        spin_unlock(&e->own->lock);
        return false;
    }
    return true;
}

static ALWAYS_INLINE void unlock(struct cpu *c, const struct ends *e)
{
    spin_unlock(&c->queue.lock);
    spin_unlock(&e->own->lock);
}

/* Does it wait in this state, on this CPU, and may run? */
static ALWAYS_INLINE bool waits(const struct vcpu *w, uint8_t state,
                                const struct cpu *c)
{
    return w->sched.state == state && w->sched.may_run_on == c->id;
}

/* The deadline of whom is going to sleep: false if its timer had to be set.
 * One that expires earlier looks at this and is then set anew.  Without one
 * an older timer may wake it, for nothing. */
static ALWAYS_INLINE bool set_deadline(struct vcpu *v, uint64_t deadline)
{
    if (!UNLIKELY(deadline))
        return true;
    if (!timer_is_set(&v->poll) || v->poll.expires > deadline)
        return false;
    v->deadline = deadline;
    return true;
}

/* Has neither anything that few guests have?  @v is current. */
static ALWAYS_INLINE bool are_plain(const struct vcpu *v, const struct vcpu *w)
{
    return !(v->arch.rare | w->arch.rare | w->arch.selectors) &&
           !(read_ds() | read_es() | read_fs() | read_gs());
}

/* Both are plain, in kernel mode, and of two domains. */
static ALWAYS_INLINE void switch_vcpus(struct cpu *c, struct vcpu *v,
                                       struct vcpu *w)
{
    save_bases(&v->arch);
    xsave(v->arch.xsave);
    xrstor(w->arch.xsave);
    switch_domains(c, v->domain, w->domain, w->arch.kernel_table << PAGE_SHIFT);
    if (c->gdt_vcpu != w->id)
        load_vcpu_gdt(c, w->id);
    load_bases(&w->arch);
}

/* @v goes to sleep, and the other vCPU runs.  Unlocks. */
static ALWAYS_INLINE struct vcpu *hand_over(struct cpu *c, struct vcpu *v,
                                            uint8_t state, const struct ends *e,
                                            uint64_t result)
{
    struct vcpu *w = e->vcpu;
    uint64_t stamp = stamp_now();

    w->regs.rax = result;
    evtchn_count_handoff(e->own, e->peer, stamp);
    v->sched.cpu_time += stamp - v->sched.since; /* since it came here */
    v->sched.since = stamp;
    v->sched.state = state;
    w->sched.since = stamp;
    w->sched.state = BELFRY_VCPU_RUNNING;
    w->sched.on_cpu = true;
    c->current = w;
    c->queue.switches++;
    unlock(c, e);
    switch_vcpus(c, v, w);
    store_release(&v->sched.on_cpu, false); /* saved: it may move */
    return w;
}

/* An upcall that is due keeps @v awake: whoever raised it before we had the
 * queue's lock has left it to us. */
static ALWAYS_INLINE bool can_call(const struct cpu *c, const struct vcpu *v,
                                   const struct ends *e)
{
    return waits(e->vcpu, BELFRY_VCPU_SERVING, c) &&
           !evtchn_upcall_due(&v->evtchn) && !e->vcpu->sched.lenders &&
           !test_bit_at(e->domain->shared->evtchn_mask, e->peer->port) &&
           are_plain(v, e->vcpu) && v->domain != e->vcpu->domain;
}

struct vcpu *handoff_call(struct vcpu *v, uint32_t port, uint64_t deadline)
{
    struct cpu *c = this_cpu();
    struct vcpu *w;
    struct ends e;

    if (UNLIKELY(!lock(c, v, port, &e)))
        return NULL;
    w = e.vcpu;
    if (UNLIKELY(!can_call(c, v, &e) || !set_deadline(v, deadline))) {
        unlock(c, &e);
        return NULL;
    }
    evtchn_poll_begin_quick(&v->evtchn, port);
    v->sched.lends_to = w;
    w->sched.lenders = v; /* the only one: next_lender is NULL */
    if (v->sched.effective > w->sched.effective)
        w->sched.effective = v->sched.effective;
    return hand_over(c, v, BELFRY_VCPU_CALLING, &e, e.peer->port);
}

/* Nobody else waits for @v, no one of a priority between runs first, and @v
 * has nothing else to look at. */
static ALWAYS_INLINE bool can_answer(const struct cpu *c, const struct vcpu *v,
                                     const struct ends *e)
{
    const struct vcpu *w = e->vcpu;

    return waits(w, BELFRY_VCPU_CALLING, c) &&
           w->evtchn.poll_port == e->peer->port && v->sched.lenders == w &&
           !w->sched.next_lender &&
           !read_once(&v->evtchn.info->evtchn_upcall_pending) &&
           !(c->queue.occupied >> w->sched.effective >> 1) && are_plain(v, w);
}

struct vcpu *handoff_serve(struct vcpu *v, uint32_t port, uint64_t deadline)
{
    struct cpu *c = this_cpu();
    struct ends e;

    if (UNLIKELY(!lock(c, v, port, &e)))
        return NULL;
    if (UNLIKELY(!can_answer(c, v, &e) || !set_deadline(v, deadline) ||
                 !evtchn_poll_end_quick(&e.vcpu->evtchn))) {
        unlock(c, &e);
        return NULL;
    }
    e.vcpu->sched.lends_to = NULL;
    v->sched.lenders = NULL;
    v->sched.effective = v->sched.priority;
    return hand_over(c, v, BELFRY_VCPU_SERVING, &e, 1);
}
