/*
 * relacy [ROUNDS]: the rings under the memory model of C11 itself, where a
 * load may also find an old value and nothing is ordered that no pair orders.
 * Each round is one random schedule, with random choices of what each load
 * finds; a slot that is read without an order after its writing is a race,
 * and who is never woken a livelock.
 *
 * The bell is relaxed: it orders nothing.
 */
#include <relacy/relacy.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "rings/reqrsp.h"
#include "rings/spsc.h"

#define MESSAGES  6u
#define MAX_SLOTS 2u
#define SLOT_SIZE 4u

/* Four indices, one word or one cache line apart, then slots of a word. */
alignas(64) static uint32_t page[64 + MAX_SLOTS];
static uint32_t nr_slots, gap, header; /* in words */

/* What of a run is shared: Relacy wants it in the suite, made anew for each. */
struct shared {
    rl::atomic<unsigned> index[4];
    rl::var<unsigned> slot[MAX_SLOTS];
    rl::atomic<unsigned> bell[2];
};
static shared *now;

static rl::memory_order order_of(enum order order)
{
    static const rl::memory_order orders[] = { rl::mo_relaxed, rl::mo_acquire,
                                               rl::mo_release, rl::mo_seq_cst };

    return orders[order];
}

static rl::atomic<unsigned> &index_at(const void *p)
{
    return now->index[((const uint32_t *)p - page) / gap];
}

extern "C" uint32_t hook_load(const void *p, uint32_t, enum order order)
{
    return now ? index_at(p).load(order_of(order), $) : *(const uint32_t *)p;
}

extern "C" void hook_store(void *p, uint32_t, uint32_t value, enum order order)
{
    if (now)
        index_at(p).store(value, order_of(order), $);
    else
        *(uint32_t *)p = value;
}

extern "C" uint32_t hook_change(uint8_t *, uint8_t, uint8_t)
{
    return 0; /* vchan's, which are explored only */
}

static bool is_shared(const void *p)
{
    return (uintptr_t)p - (uintptr_t)page < sizeof(page);
}

extern "C" void hook_copy(void *to, const void *from, size_t)
{
    if (is_shared(to))
        now->slot[(uint32_t *)to - page - header]($) = *(const uint32_t *)from;
    else
        *(uint32_t *)to = now->slot[(const uint32_t *)from - page - header]($);
}

/* ---- Front and back, as two threads. ---- */

static void bell_ring(unsigned who)
{
    now->bell[who].store(1, rl::mo_relaxed, $);
}

static void bell_wait(unsigned who)
{
    while (!now->bell[who].exchange(0, rl::mo_relaxed, $))
        rl::yield(1, $);
}

static void run_front(ring_front *f)
{
    uint32_t sent = 0, received = 0, word;

    while (received < MESSAGES) {
        for (unsigned batch = 1 + rl::rand(nr_slots);
             batch > 0 && sent < MESSAGES; batch--) {
            word = 100 + sent;
            if (ring_front_put(f, &word, SLOT_SIZE) != 0)
                break;
            sent++;
        }
        if (ring_front_publish(f))
            bell_ring(1);
        while (ring_front_take(f, &word, SLOT_SIZE) == 0)
            RL_ASSERT(word == 200 + received++);
        RL_ASSERT(!f->fault);
        if (received < MESSAGES &&
            (ring_front_free(f) == 0 || sent == MESSAGES) && !ring_front_arm(f))
            bell_wait(0);
    }
}

static void run_back(ring_back *b)
{
    uint32_t taken = 0, word;

    while (taken < MESSAGES) {
        while (ring_back_take(b, &word, SLOT_SIZE) == 0) {
            RL_ASSERT(word == 100 + taken);
            word = 200 + taken++;
            RL_ASSERT(ring_back_put(b, &word, SLOT_SIZE) == 0);
            if (rl::rand(2))
                break;
        }
        RL_ASSERT(!b->fault);
        if (ring_back_publish(b))
            bell_ring(0);
        if (taken < MESSAGES && !ring_back_arm(b))
            bell_wait(1);
    }
}

/* ---- Producer and consumer, likewise. ---- */

static void run_producer(spsc_producer *p)
{
    uint32_t sent = 0, word;
    int error = 0;

    while (sent < MESSAGES) {
        for (unsigned batch = 1 + rl::rand(nr_slots);
             batch > 0 && sent < MESSAGES; batch--) {
            word = 100 + sent;
            error = spsc_put(p, &word, SLOT_SIZE);
            if (error)
                break;
            sent++;
        }
        RL_ASSERT(!p->fault);
        if (!error && sent < MESSAGES && rl::rand(2))
            spsc_publish_quiet(p);
        else if (spsc_publish(p))
            bell_ring(1);
        if (error && !spsc_arm_put(p))
            bell_wait(0);
    }
}

static void run_consumer(spsc_consumer *c)
{
    uint32_t taken = 0, word;
    int error = 0;

    while (taken < MESSAGES) {
        while ((error = spsc_take(c, &word, SLOT_SIZE)) == 0) {
            RL_ASSERT(word == 100 + taken);
            taken++;
            if (rl::rand(2))
                break;
        }
        RL_ASSERT(!c->fault);
        if (!error && taken < MESSAGES && rl::rand(2))
            spsc_release_quiet(c);
        else if (spsc_release(c))
            bell_ring(0);
        if (taken < MESSAGES && error && !spsc_arm_take(c))
            bell_wait(1);
    }
}

/* ---- Each round anew. ---- */

static void begin(shared *s)
{
    now = s;
    for (unsigned i = 0; i < 4; i++)
        s->index[i].store(page[i * gap], rl::mo_relaxed, $);
    for (unsigned i = 0; i < 2; i++)
        s->bell[i].store(0, rl::mo_relaxed, $);
}

struct rings : rl::test_suite<rings, 2> {
    shared s;
    ring_front front;
    ring_back back;

    void before()
    {
        now = nullptr;
        gap = 1;
        header = sizeof(ring_shared) / 4;
        ring_front_create(&front, page, 64 + nr_slots * SLOT_SIZE, SLOT_SIZE);
        ring_back_attach(&back, page, 64 + nr_slots * SLOT_SIZE, SLOT_SIZE);
        begin(&s);
    }

    void thread(unsigned who)
    {
        if (who == 0)
            run_front(&front);
        else
            run_back(&back);
    }
};

struct queue : rl::test_suite<queue, 2> {
    shared s;
    spsc_producer producer;
    spsc_consumer consumer;

    void before()
    {
        now = nullptr;
        gap = 16;
        header = sizeof(spsc_shared) / 4;
        memset(page, 0, sizeof(page));
        spsc_attach_producer(&producer, page, 256 + nr_slots * SLOT_SIZE,
                             SLOT_SIZE);
        spsc_attach_consumer(&consumer, page, 256 + nr_slots * SLOT_SIZE,
                             SLOT_SIZE);
        begin(&s);
    }

    void thread(unsigned who)
    {
        if (who == 0)
            run_producer(&producer);
        else
            run_consumer(&consumer);
    }
};

int main(int argc, char **argv)
{
    rl::test_params params;

    params.iteration_count = argc > 1 ? strtoul(argv[1], nullptr, 0) : 300000;
    params.execution_depth_limit = 3000;
    for (nr_slots = 1; nr_slots <= MAX_SLOTS; nr_slots++)
        if (!rl::simulate<rings>(params) || !rl::simulate<queue>(params))
            return 1;
    return 0;
}
