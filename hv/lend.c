/*
 * Lending: what is not done in a few instructions (x86/handoff.c).
 */
#include "hv/lend.h"

#include "hv/domain.h"
#include "hv/refused.h"
#include "hv/x86/cpu.h"
#include "lib/errno.h"
#include "lib/format.h"

static spinlock_t lend_lock; /* guards the shape of the forest */

/* Lock held: the priority that @v passes on, and those behind it, may have
 * changed. */
static void pass_on(struct vcpu *v)
{
    while (v && sched_relend(v))
        v = v->sched.lends_to;
}

/* Lock held: whose time is it that @v uses?  Links above a vCPU of this CPU
 * are changed under the lock alone: a hand-off elsewhere is between one that
 * runs and one that serves there, and neither waits in a call. */
static struct vcpu *payer_of(const struct vcpu *v)
{
    while (v->sched.lenders) {
        const struct vcpu *most = v->sched.lenders, *l = most;

        while ((l = l->sched.next_lender))
            if (l->sched.effective > most->sched.effective)
                most = l;
        v = most;
    }
    return (struct vcpu *)(uintptr_t)v;
}

static bool may_be_limited(const struct vcpu *v)
{
    return v->sched.budget.length || v->sched.lenders;
}

/* Lock held. */
static void settle(void)
{
    struct cpu *c = this_cpu();
    uint64_t stamp = stamp_now(), ran = stamp - c->queue.settled;
    struct vcpu *payer;

    c->queue.settled = stamp;
    if (!c->current || !may_be_limited(c->current))
        return;
    payer = payer_of(c->current);
    if (payer->sched.budget.length && sched_charge(payer, ran, stamp))
        pass_on(payer);
}

void lend_settle(void)
{
    struct cpu *c = this_cpu();

    if (!c->current || !may_be_limited(c->current))
        return; /* whoever is next begins anew */
    spin_lock(&lend_lock);
    settle();
    spin_unlock(&lend_lock);
}

uint64_t lend_left(const struct vcpu *v)
{
    uint64_t left = LEND_NO_LIMIT;
    const struct vcpu *payer;

    if (!may_be_limited(v))
        return left;
    spin_lock(&lend_lock);
    payer = payer_of(v);
    if (payer->sched.budget.length && !payer->sched.budget.exhausted)
        left = budget_left(&payer->sched.budget, stamp_now());
    spin_unlock(&lend_lock);
    return left;
}

void lend_refill(struct vcpu *v)
{
    spin_lock(&lend_lock);
    sched_refill(v);
    pass_on(v);
    spin_unlock(&lend_lock);
}

/* Lock held: would the ring close?  Says who is in it. */
static int check_ring(const struct vcpu *from, const struct vcpu *to)
{
    char names[64] = "";
    size_t used = 0;

    for (const struct vcpu *v = to; v; v = v->sched.lends_to) {
        if (v == from) {
            refuse_sentence("%s waits for %s%s: a deadlock", from->domain->name,
                            names, from->domain->name);
            return -EDEADLK;
        }
        if (used < sizeof(names))
            used +=
                (size_t)format_string(names + used, sizeof(names) - used,
                                      "%s, which waits for ", v->domain->name);
    }
    return 0;
}

/* Lock held.  The queue's lock is that of @to's, which hand-offs need to
 * change the same. */
static void link(struct vcpu *from, struct vcpu *to)
{
    struct sched_queue *q = sched_lock_queue_of(to);

    from->sched.lends_to = to;
    from->sched.next_lender = to->sched.lenders;
    to->sched.lenders = from;
    spin_unlock(&q->lock);
}

static void unlink(struct vcpu *from, struct vcpu *to)
{
    struct sched_queue *q = sched_lock_queue_of(to);
    struct vcpu **at = &to->sched.lenders;

    while (*at && *at != from)
        at = &(*at)->sched.next_lender;
    if (*at)
        *at = from->sched.next_lender;
    from->sched.next_lender = NULL;
    from->sched.lends_to = NULL;
    spin_unlock(&q->lock);
}

int lend_begin(struct vcpu *from, struct vcpu *to)
{
    int rc;

    spin_lock(&lend_lock);
    if (read_once(&sched_has_budgets))
        settle();
    /* Once its domain has ended nobody would make this forgotten again. */
    if (read_once(&to->domain->state) != DOMAIN_RUNNING)
        rc = refuse(-EPIPE, "the peer is gone");
    else
        rc = check_ring(from, to);
    if (!rc) {
        link(from, to);
        pass_on(to);
    }
    spin_unlock(&lend_lock);
    return rc;
}

/* Lock held. */
static void end(struct vcpu *from)
{
    struct vcpu *to = from->sched.lends_to;

    if (!to)
        return;
    if (read_once(&sched_has_budgets))
        settle();
    unlink(from, to);
    pass_on(to);
}

void lend_end(struct vcpu *from)
{
    spin_lock(&lend_lock);
    end(from);
    spin_unlock(&lend_lock);
}

void lend_forget(struct vcpu *v)
{
    spin_lock(&lend_lock);
    end(v);
    while (v->sched.lenders)
        end(v->sched.lenders);
    spin_unlock(&lend_lock);
}
