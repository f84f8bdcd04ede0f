/*
 * Timers: a skew heap a CPU.
 *
 * No timer expires before the one that it hangs from.  Two heaps are merged
 * along their right branches, and at each step left and right change places,
 * so that no branch stays long: a merge costs a logarithm, taken over many.
 */
#include "hv/timer.h"

#include "hv/x86/cpu.h"

static void hang(struct timer **where, struct timer *t)
{
    *where = t;
    if (t)
        t->where = where;
}

/* Hang two heaps at one place. */
static void merge(struct timer **where, struct timer *a, struct timer *b)
{
    while (a && b) {
        struct timer *first = a->expires < b->expires ? a : b;

        hang(where, first);
        b = first == a ? b : a;
        a = first->right;
        hang(&first->right, first->left);
        where = &first->left;
    }
    hang(where, a ? a : b);
}

static void rearm(struct timer_queue *q)
{
    stime_t first = q->first ? q->first->expires : STIME_NEVER;

    /* An interrupt that comes too early does no harm: leave it armed. */
    if (first < q->armed) {
        q->armed = first;
        arch_timer_arm(first);
    }
}

void timer_init(struct timer *t, void (*function)(struct timer *))
{
    t->function = function;
    t->where = NULL;
}

/* Queue lock held. */
static void take_out(struct timer *t)
{
    merge(t->where, t->left, t->right);
    t->where = NULL;
}

/* Timer's lock held.  It may expire meanwhile, on its own CPU. */
static void cancel(struct timer *t)
{
    struct timer_queue *q;

    if (!read_once(&t->where))
        return;
    q = &cpus[t->cpu]->timers;
    spin_lock(&q->lock);
    if (t->where)
        take_out(t);
    spin_unlock(&q->lock);
}

/* Two CPUs may set the same timer, a vCPU's that moves and the function that
 * has just expired: without the lock it would stand in both their heaps. */
void timer_set(struct timer *t, stime_t expires)
{
    struct timer_queue *q = &this_cpu()->timers;

    spin_lock(&t->lock);
    cancel(t);
    spin_lock(&q->lock);
    t->expires = expires;
    t->cpu = this_cpu()->id;
    t->left = t->right = NULL;
    merge(&q->first, q->first, t);
    rearm(q);
    spin_unlock(&q->lock);
    spin_unlock(&t->lock);
}

/* The function may be running on the timer's CPU meanwhile: each looks at
 * what it finds, so that a late one does no harm. */
void timer_cancel(struct timer *t)
{
    spin_lock(&t->lock);
    cancel(t);
    spin_unlock(&t->lock);
}

/* The first that has expired, taken out; or NULL. */
static struct timer *next_expired(struct timer_queue *q)
{
    struct timer *t;

    spin_lock(&q->lock);
    t = q->first;
    if (t && t->expires <= now())
        take_out(t);
    else
        t = NULL;
    spin_unlock(&q->lock);
    return t;
}

void timer_run(void)
{
    struct timer_queue *q = &this_cpu()->timers;
    struct timer *t;

    q->armed = STIME_NEVER;
    while ((t = next_expired(q)))
        t->function(t);
    spin_lock(&q->lock);
    rearm(q);
    spin_unlock(&q->lock);
}
