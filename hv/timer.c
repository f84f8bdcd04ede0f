/*
 * Timers: a binary heap a CPU, ordered by expiry.
 *
 * Slots are numbered from 1; the parent of slot n is n / 2.
 */
#include "hv/timer.h"

#include "hv/console.h"
#include "hv/x86/cpu.h"

static struct timer **slot_of(struct timer_queue *q, uint32_t n)
{
    return &q->page[n / TIMERS_PER_PAGE][n % TIMERS_PER_PAGE];
}

static void place(struct timer_queue *q, uint32_t n, struct timer *t)
{
    *slot_of(q, n) = t;
    t->slot = n;
}

/* Move t, which belongs at slot n or nearer the root, to its place. */
static void sift_up(struct timer_queue *q, uint32_t n, struct timer *t)
{
    while (n > 1 && (*slot_of(q, n / 2))->expires > t->expires) {
        place(q, n, *slot_of(q, n / 2));
        n /= 2;
    }
    place(q, n, t);
}

static void sift_down(struct timer_queue *q, uint32_t n, struct timer *t)
{
    while (2 * n <= q->count) {
        uint32_t child = 2 * n;

        if (child < q->count &&
            (*slot_of(q, child + 1))->expires < (*slot_of(q, child))->expires)
            child++;
        if ((*slot_of(q, child))->expires >= t->expires)
            break;
        place(q, n, *slot_of(q, child));
        n = child;
    }
    place(q, n, t);
}

static void rearm(struct timer_queue *q)
{
    stime_t first = q->count ? (*slot_of(q, 1))->expires : STIME_NEVER;

    /* An interrupt that comes too early does no harm: leave it armed. */
    if (first < q->armed) {
        q->armed = first;
        arch_timer_arm(first);
    }
}

/* Room for one more; false if memory or the limit is reached. */
static bool make_room(struct timer_queue *q)
{
    uint32_t page = (q->count + 1) / TIMERS_PER_PAGE;

    if (page >= sizeof(q->page) / sizeof(q->page[0]))
        return false;
    if (!q->page[page])
        q->page[page] = alloc_page_memory();
    return q->page[page] != NULL;
}

void timer_init_cpu(struct timer_queue *q)
{
    q->armed = STIME_NEVER;
    if (!make_room(q))
        panic("no memory for a CPU's timers");
}

void timer_init(struct timer *t, void (*function)(struct timer *))
{
    t->function = function;
    t->slot = 0;
}

/* Queue lock held. */
static void take_out(struct timer_queue *q, struct timer *t)
{
    uint32_t n = t->slot;
    struct timer *last = *slot_of(q, q->count--);

    t->slot = 0;
    if (last == t)
        return;
    if (n > 1 && (*slot_of(q, n / 2))->expires > last->expires)
        sift_up(q, n, last);
    else
        sift_down(q, n, last);
}

/* Timer's lock held.  It may expire meanwhile, on its own CPU. */
static void cancel(struct timer *t)
{
    struct timer_queue *q;

    if (!read_once(&t->slot))
        return;
    q = &cpus[t->cpu]->timers;
    spin_lock(&q->lock);
    if (t->slot)
        take_out(q, t);
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
    if (make_room(q)) {
        t->expires = expires;
        t->cpu = this_cpu()->id;
        sift_up(q, ++q->count, t);
        rearm(q);
    }
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
    struct timer *t = NULL;

    spin_lock(&q->lock);
    if (q->count && (*slot_of(q, 1))->expires <= now()) {
        t = *slot_of(q, 1);
        take_out(q, t);
    }
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
