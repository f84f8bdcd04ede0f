/*
 * The scheduler.
 *
 * The running vCPU of a CPU is in no list; runnable ones are in the list of
 * their priority.  A turn (slice) is timed only while an equal waits, so
 * that a system of vCPUs that sleep and wake never touches the timer.
 */
#include "hv/sched.h"

#include "hv/lend.h"
#include "hv/machine.h"
#include "hv/x86/cpu.h"
#include "hv/x86/smp.h"

#define OUT_OF_LINE __attribute__((noinline))

bool sched_has_budgets;

/* CPUs that run nobody, and look into their queues when they are kicked. */
static uint64_t idle_cpus;

static void slice_ended(struct timer *t)
{
    struct cpu *c = cpus[t->cpu];

    c->queue.rotate = true;
    c->need_resched = 1;
}

static void period_ended(struct timer *t)
{
    lend_refill(container_of(t, struct vcpu, sched.refill));
}

static void begin_idle(const struct cpu *c)
{
    __atomic_fetch_or(&idle_cpus, c->bit, __ATOMIC_SEQ_CST);
}

static void end_idle(const struct cpu *c)
{
    __atomic_fetch_and(&idle_cpus, ~c->bit, __ATOMIC_SEQ_CST);
}

void sched_init_cpu(struct cpu *c)
{
    struct sched_queue *q = &c->queue;

    for (unsigned int i = 0; i < SCHED_PRIORITIES; i++)
        list_init(&q->list[i]);
    timer_init(&q->slice, slice_ended);
    begin_idle(c); /* until boot is over */
}

static unsigned int pick_cpu(uint64_t affinity, unsigned int hint)
{
    for (unsigned int i = 0; i < nr_cpus; i++) {
        unsigned int cpu = (hint + i) % nr_cpus;

        if (affinity >> cpu & 1)
            return cpu;
    }
    return hint % nr_cpus;
}

void sched_init_vcpu(struct vcpu *v, unsigned int priority, uint64_t affinity)
{
    struct sched_vcpu *s = &v->sched;

    s->priority = s->effective = (uint8_t)priority;
    s->affinity = affinity;
    s->pause_count = 1;
    s->state = BELFRY_VCPU_OFFLINE;
    s->cpu = pick_cpu(affinity, v->domain->id + v->id);
    s->since = stamp_now();
    timer_init(&s->refill, period_ended);
}

static uint64_t us_to_stamps(unsigned int us)
{
    return us * time_scale.khz / 1000;
}

void sched_limit_vcpu(struct vcpu *v, unsigned int budget, unsigned int period)
{
    budget_init(&v->sched.budget, us_to_stamps(budget), us_to_stamps(period),
                stamp_now());
    write_once(&sched_has_budgets, true);
}

/* It may move until we have the lock. */
struct sched_queue *sched_lock_queue_of(const struct vcpu *v)
{
    for (;;) {
        uint32_t cpu = read_once(&v->sched.cpu);
        struct sched_queue *q = &cpus[cpu]->queue;

        spin_lock(&q->lock);
        if (cpu == read_once(&v->sched.cpu))
            return q;
        spin_unlock(&q->lock);
    }
}

/* Its queue's lock is held.  One that is woken before it has left its CPU has
 * run until now. */
static void set_state_at(struct vcpu *v, uint8_t state, uint64_t stamp)
{
    if (v->sched.on_cpu)
        v->sched.cpu_time += stamp - v->sched.since;
    v->sched.state = state;
    v->sched.since = stamp;
}

static void set_state(struct vcpu *v, uint8_t state)
{
    set_state_at(v, state, stamp_now());
}

/* Queue lock held. */
static void enqueue(struct sched_queue *q, struct vcpu *v, bool at_head)
{
    unsigned int p = v->sched.effective;

    if (at_head)
        list_add_head(&v->sched.node, &q->list[p]);
    else
        list_add_tail(&v->sched.node, &q->list[p]);
    q->occupied |= 1u << p;
}

/* Queue lock held.  Out of the list of priority @p. */
static inline void dequeue(struct sched_queue *q, struct vcpu *v,
                           unsigned int p)
{
    struct list *node = &v->sched.node;

    node->prev->next = node->next;
    node->next->prev = node->prev;
    if (list_empty(&q->list[p]))
        q->occupied &= ~(1u << p);
}

/* The vCPU's queue lock is held.  If its CPU is busy and another that it may
 * use is idle, move it there: lock of that one held instead, on return.  Only
 * a vCPU whose state has been saved whole can go. */
static struct sched_queue *move(struct sched_queue *q, struct vcpu *v)
{
    uint64_t idle = read_once(&idle_cpus) & v->sched.affinity;

    if (!idle || idle >> v->sched.cpu & 1 || load_acquire(&v->sched.on_cpu))
        return q;
    write_once(&v->sched.cpu, (uint32_t)__builtin_ctzll(idle));
    spin_unlock(&q->lock);
    return sched_lock_queue_of(v);
}

/* Somebody has been queued behind an equal that runs: time its turn. */
static OUT_OF_LINE void begin_slice(struct cpu *c)
{
    if (c == this_cpu()) {
        timer_set(&c->queue.slice, now() + SCHED_SLICE);
        return;
    }
    c->need_resched = 1; /* it will, when it has looked */
    arch_cpu_kick(c->id);
}

static OUT_OF_LINE void preempt(struct cpu *c)
{
    c->need_resched = 1;
    if (c != this_cpu())
        arch_cpu_kick(c->id);
}

/* Queue it, unlock, and have somebody give way to it if he must. */
static inline void queue_up(struct sched_queue *q, struct vcpu *v)
{
    struct cpu *c = container_of(q, struct cpu, queue);
    const struct vcpu *running = c->current;

    set_state(v, BELFRY_VCPU_RUNNABLE);
    enqueue(q, v, false);
    spin_unlock(&q->lock);
    if (!running || v->sched.effective > running->sched.effective)
        preempt(c);
    else if (v->sched.effective == running->sched.effective &&
             !timer_is_set(&q->slice))
        begin_slice(c);
}

/* BLOCKED stands for all states of sleep. */
static bool is_in(const struct vcpu *v, uint8_t state)
{
    return v->sched.state == state ||
           (state == BELFRY_VCPU_BLOCKED && v->sched.state > state);
}

/* make_runnable() where there is a choice of CPUs, or somebody else is at
 * it, or it is in another state. */
static OUT_OF_LINE void make_runnable_rare(struct vcpu *v, uint8_t from)
{
    struct sched_queue *q;

    if (from == BELFRY_VCPU_BLOCKED && read_once(&v->sched.lends_to))
        lend_end(v); /* its wait is over, and whoever it waited for gives way */
    q = sched_lock_queue_of(v);
    /* Moving lets go of the lock: whatever counts is looked at after it. */
    if (is_in(v, from))
        q = move(q, v);
    if (is_in(v, from) && !read_once(&v->sched.pause_count)) {
        queue_up(q, v);
        return;
    }
    if (is_in(v, from))
        set_state(v, BELFRY_VCPU_PAUSED);
    else if (v->sched.state == BELFRY_VCPU_RUNNING)
        arch_cpu_kick(v->sched.cpu); /* to see its new upcall */
    spin_unlock(&q->lock);
}

/* If it is in state @from. */
static inline void make_runnable(struct vcpu *v, uint8_t from)
{
    uint32_t cpu = read_once(&v->sched.cpu);
    struct sched_queue *q = &cpus[cpu]->queue;

    if (!spin_trylock(&q->lock)) {
        make_runnable_rare(v, from);
    } else if (cpu != read_once(&v->sched.cpu) || v->sched.state != from ||
               read_once(&v->sched.pause_count) ||
               read_once(&idle_cpus) & v->sched.affinity) {
        spin_unlock(&q->lock);
        make_runnable_rare(v, from);
    } else {
        queue_up(q, v);
    }
}

void sched_wake(struct vcpu *v)
{
    /* It will look on its way out. */
    if (v == current_vcpu() && v->sched.state == BELFRY_VCPU_RUNNING)
        return;
    make_runnable(v, BELFRY_VCPU_BLOCKED);
}

void sched_online(struct vcpu *v)
{
    make_runnable(v, BELFRY_VCPU_OFFLINE);
}

/* The current vCPU goes to sleep, unless another has put it down meanwhile
 * (and perhaps up again: then it is in the queue).  A full barrier: whoever
 * has reason to wake it finds the state, or we find the reason. */
static inline void leave_cpu(struct vcpu *v, uint8_t state)
{
    uint8_t running = BELFRY_VCPU_RUNNING;

    atomic_cas(&v->sched.state, &running, state);
    this_cpu()->need_resched = 1;
}

void sched_block(void)
{
    struct vcpu *v = current_vcpu();

    if (evtchn_upcall_due(&v->evtchn))
        return;
    leave_cpu(v, BELFRY_VCPU_BLOCKED);
    if (evtchn_upcall_due(&v->evtchn))
        sched_wake(v);
}

void sched_block_serving(void)
{
    struct vcpu *v = current_vcpu();

    leave_cpu(v, BELFRY_VCPU_SERVING);
    if (read_once(&v->evtchn.info->evtchn_upcall_pending))
        sched_wake(v);
}

void sched_block_polling(uint8_t state)
{
    struct vcpu *v = current_vcpu();

    leave_cpu(v, state);
    if (evtchn_upcall_due(&v->evtchn) || !read_once(&v->evtchn.polling))
        sched_wake(v);
}

void sched_yield(void)
{
    struct cpu *c = this_cpu();

    c->queue.rotate = true;
    c->need_resched = 1;
}

void sched_pause(struct vcpu *v)
{
    struct sched_queue *q = sched_lock_queue_of(v);

    atomic_add_return(&v->sched.pause_count, 1);
    if (v->sched.state == BELFRY_VCPU_RUNNABLE) {
        dequeue(q, v, v->sched.effective);
        set_state(v, BELFRY_VCPU_PAUSED);
    } else if (v->sched.state == BELFRY_VCPU_RUNNING) {
        cpus[v->sched.cpu]->need_resched = 1;
        arch_cpu_kick(v->sched.cpu);
    }
    spin_unlock(&q->lock);
}

void sched_unpause(struct vcpu *v)
{
    if (atomic_sub_return(&v->sched.pause_count, 1) == 0)
        make_runnable(v, BELFRY_VCPU_PAUSED);
}

static uint8_t highest_priority(const struct vcpu *v)
{
    uint8_t most = v->sched.budget.exhausted ? 0 : v->sched.priority;

    for (const struct vcpu *l = v->sched.lenders; l; l = l->sched.next_lender)
        if (l->sched.effective > most)
            most = l->sched.effective;
    return most;
}

/* Queue lock held: let it run at that priority from now on. */
static void set_effective(struct sched_queue *q, struct vcpu *v, uint8_t to)
{
    uint8_t from = v->sched.effective;
    struct cpu *c = container_of(q, struct cpu, queue);

    v->sched.effective = to;
    if (v->sched.state == BELFRY_VCPU_RUNNABLE) {
        dequeue(q, v, from);
        enqueue(q, v, false);
    }
    if (v->sched.state <= BELFRY_VCPU_RUNNABLE)
        preempt(c); /* who is the first now? */
}

bool sched_relend(struct vcpu *v)
{
    struct sched_queue *q = sched_lock_queue_of(v);
    uint8_t highest = highest_priority(v);
    bool changed = highest != v->sched.effective;

    if (changed)
        set_effective(q, v, highest);
    spin_unlock(&q->lock);
    return changed;
}

bool sched_charge(struct vcpu *v, uint64_t ran, uint64_t stamp)
{
    struct sched_queue *q = sched_lock_queue_of(v);
    bool exhausted = budget_charge(&v->sched.budget, ran, stamp);

    if (exhausted)
        timer_set(&v->sched.refill, stamp_to_stime(v->sched.budget.end));
    spin_unlock(&q->lock);
    return exhausted;
}

void sched_refill(struct vcpu *v)
{
    struct sched_queue *q = sched_lock_queue_of(v);

    budget_refill(&v->sched.budget, stamp_now());
    spin_unlock(&q->lock);
}

void sched_wait_off_cpu(const struct vcpu *v)
{
    while (load_acquire(&v->sched.on_cpu)) {
        smp_park_here(); /* it may be the one that waits for us to rest */
        spin_relax();
    }
}

/* While it is paused and its state saved it may be given to any CPU: it is in
 * no queue, and nobody else moves it. */
void sched_set_affinity(struct vcpu *v, uint64_t affinity)
{
    struct sched_queue *q;

    sched_pause(v);
    sched_wait_off_cpu(v);
    q = sched_lock_queue_of(v);
    v->sched.affinity = affinity;
    store_release(&v->sched.cpu, pick_cpu(affinity, v->sched.cpu));
    spin_unlock(&q->lock);
    sched_unpause(v);
}

/* One that runs on another CPU leaves it soon; until then it may be brought
 * up again, and is then in that CPU's queue like any other. */
void sched_offline(struct vcpu *v)
{
    struct sched_queue *q = sched_lock_queue_of(v);

    if (v->sched.state == BELFRY_VCPU_RUNNING) {
        cpus[v->sched.cpu]->need_resched = 1;
        arch_cpu_kick(v->sched.cpu);
        v->sched.state = BELFRY_VCPU_OFFLINE; /* since: when it has left */
    } else {
        if (v->sched.state == BELFRY_VCPU_RUNNABLE)
            dequeue(q, v, v->sched.effective);
        set_state(v, BELFRY_VCPU_OFFLINE);
    }
    spin_unlock(&q->lock);
}

/* Queue lock held: where does the vCPU that was running go? */
static OUT_OF_LINE void put_back(struct sched_queue *q, struct vcpu *prev)
{
    if (read_once(&prev->sched.pause_count)) {
        prev->sched.state = BELFRY_VCPU_PAUSED;
    } else {
        prev->sched.state = BELFRY_VCPU_RUNNABLE;
        enqueue(q, prev, !q->rotate);
    }
}

/* Queue lock held: the first of the highest priority, or NULL. */
static inline struct vcpu *take_next(struct sched_queue *q, uint64_t stamp)
{
    unsigned int p;
    struct vcpu *v;

    if (!q->occupied)
        return NULL;
    p = 31u - (unsigned int)__builtin_clz(q->occupied);
    v = container_of(q->list[p].next, struct vcpu, sched.node);
    dequeue(q, v, p);
    set_state_at(v, BELFRY_VCPU_RUNNING, stamp);
    v->sched.on_cpu = true; /* before whoever waits for it can look */
    if (q->occupied >> p & 1 && !timer_is_set(&q->slice))
        timer_set(&q->slice, now() + SCHED_SLICE);
    return v;
}

static inline struct vcpu *pick(struct cpu *c, struct vcpu *prev,
                                uint64_t stamp)
{
    struct vcpu *next;

    spin_lock(&c->queue.lock);
    if (prev) {
        set_state_at(prev, prev->sched.state, stamp);
        if (prev->sched.state == BELFRY_VCPU_RUNNING)
            put_back(&c->queue, prev);
    }
    c->queue.rotate = false;
    next = take_next(&c->queue, stamp);
    spin_unlock(&c->queue.lock);
    return next;
}

/* Nobody wants this CPU: sleep until somebody does. */
static struct vcpu *idle(struct cpu *c)
{
    uint64_t start = stamp_now(), stamp = start;
    struct vcpu *next;

    cpu_switch_to_nobody(c);
    begin_idle(c);
    while (!(next = pick(c, NULL, stamp))) {
        c->need_resched = 0;
        arch_idle();
        smp_park_here();
        machine_tell_initial_domain();
        stamp = stamp_now();
    }
    end_idle(c);
    c->need_resched = 0;
    c->queue.idle_time += stamp - start;
    return next;
}

/* What had to wait until this CPU holds no lock. */
static void do_chores(struct cpu *c)
{
    if (c->dead_domains)
        domain_reap();
    machine_tell_initial_domain();
}

/* @next runs: have it looked at when its turn or its payer's budget ends,
 * whichever is first. */
static OUT_OF_LINE void begin_charging(struct cpu *c, const struct vcpu *next)
{
    struct timer *slice = &c->queue.slice;
    uint64_t left = lend_left(next);
    stime_t end;

    c->queue.settled = stamp_now();
    if (left == LEND_NO_LIMIT)
        return;
    end = stamps_to_ns(left);
    end = now() + (end < SCHED_SLICE ? end : SCHED_SLICE);
    if (!timer_is_set(slice) || slice->expires > end)
        timer_set(slice, end);
}

void sched_switch(void)
{
    struct cpu *c = this_cpu();
    struct vcpu *prev = c->current, *next;
    uint64_t stamp = stamp_now();

    if (read_once(&sched_has_budgets))
        lend_settle();
    c->need_resched = 0;
    if (c->dead_domains || c->raised)
        do_chores(c);
    next = pick(c, prev, stamp);
    if (next == prev && next) {
        if (read_once(&sched_has_budgets))
            begin_charging(c, next);
        return;
    }
    if (prev) {
        cpu_switch_from(prev);
        c->current = NULL;
        store_release(&prev->sched.on_cpu, false); /* saved: it may move */
    } else {
        end_idle(c); /* boot is over */
    }
    if (!next)
        next = idle(c);
    c->current = next;
    c->queue.switches++;
    if (read_once(&sched_has_budgets))
        begin_charging(c, next);
    cpu_switch_to(c, next);
}
