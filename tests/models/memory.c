/*
 * Shared memory as the explored threads see it.
 *
 * SC: a store is in memory at once.  TSO: stores wait in a queue of their
 * thread and leave it in order; the thread sees its own.  PSO: a queue for
 * each address; a release store lets none behind it go first.  A
 * sequentially consistent store leaves only when all before it have, and the
 * thread waits for it, as xchg does.
 */
#include "tests/models/explore.h"

#include <string.h>

struct turn turn;
struct call call;
uint8_t *shared_page;

static struct thread *me(void)
{
    return &turn.s->thread[turn.who];
}

/* Where in a state's memory. */
static uint32_t offset_of(const void *p)
{
    uint32_t at = (uint32_t)((const uint8_t *)p - shared_page);
    uint32_t header = config.model->header, gap = header / HEADER;

    if (at >= header + config.slots * config.slot_size)
        wrong("an access outside the ring");
    if (at >= header)
        return at - header + HEADER;
    if (at % (4 * gap) >= 4 && gap > 1)
        wrong("an access between the fields");
    return at / gap;
}

void copy_page(uint8_t *mem)
{
    uint32_t header = config.model->header, gap = header / HEADER;

    for (uint32_t i = 0; i < HEADER; i++)
        mem[i] = shared_page[i / 4 * 4 * gap + i % 4];
    memcpy(mem + HEADER, shared_page + header, PAGE_BYTES - HEADER);
}

/* Before the exploration the page is memory like any other. */
static bool starting(void)
{
    return !turn.s;
}

/*
 * True: this access was made in an earlier turn, and *result is what it
 * returned.  False: it is this turn's to make; a second one is for later.
 */
static bool replayed(uint32_t *result)
{
    if (turn.replayed < me()->nr_log) {
        *result = me()->log[turn.replayed++];
        return true;
    }
    if (turn.acted)
        longjmp(turn.leave, LEFT_PAUSED);
    if (me()->nr_log == MAX_LOG)
        wrong("a call that does not end");
    return false;
}

static void made(const char *what, uint32_t at, uint32_t value, uint32_t result)
{
    turn.what = what;
    turn.at = at;
    turn.value = value;
    turn.acted = true;
    me()->log[me()->nr_log++] = result;
    turn.replayed = me()->nr_log;
}

static uint32_t value_seen(uint32_t at, uint32_t size)
{
    uint32_t value = 0;

    for (unsigned int i = me()->nr_stores; i-- > 0;)
        if (me()->store[i].at == at)
            return me()->store[i].value;
    memcpy(&value, turn.s->mem + at, size);
    return value;
}

static uint32_t load(const void *p, uint32_t size)
{
    uint32_t at = offset_of(p), value;

    if (replayed(&value))
        return value;
    if (config.model->forge)
        value = config.model->forge(turn.client, at,
                                    choose(config.model->nr_forged));
    else
        value = value_seen(at, size);
    made("reads", at, value, value);
    return value;
}

static void store(void *p, uint32_t value, uint32_t size, enum order order)
{
    bool waits = config.memory != MEMORY_SC && order != ORDER_SEQ_CST;
    uint32_t at = offset_of(p), ignored;

    call.writes++;
    if (replayed(&ignored))
        return;
    if (me()->nr_stores > (waits ? MAX_STORES - 1 : 0))
        longjmp(turn.leave, LEFT_BLOCKED);
    if (waits)
        me()->store[me()->nr_stores++] = (struct waiting_store){
            .at = at,
            .value = value,
            .size = (uint8_t)size,
            .fence = order == ORDER_RELEASE,
        };
    else
        memcpy(turn.s->mem + at, &value, size);
    made(waits ? "has in its buffer" : "writes", at, value, 0);
}

/* In none of the three models does a load go before an earlier load. */
uint32_t hook_load(const void *p, uint32_t size, enum order order)
{
    uint32_t value = 0;

    (void)order;
    if (starting()) {
        memcpy(&value, p, size);
        return value;
    }
    call.reads++;
    return call.index = load(p, size);
}

void hook_store(void *p, uint32_t size, uint32_t value, enum order order)
{
    if (starting())
        memcpy(p, &value, size);
    else
        store(p, value, size, order);
}

uint32_t hook_change(uint8_t *p, uint8_t keep, uint8_t set)
{
    uint32_t at = offset_of(p), old;
    uint8_t *byte = turn.s->mem + at;

    call.writes++;
    if (replayed(&old))
        return old;
    if (me()->nr_stores > 0)
        longjmp(turn.leave, LEFT_BLOCKED);
    old = *byte;
    *byte = (uint8_t)((old & keep) | set);
    made("changes", at, *byte, old);
    return old;
}

/* A byte that is read twice may be another the second time. */
static void check_once(const uint8_t *p, uint32_t n)
{
    uint32_t bytes = ((1u << n) - 1) << (offset_of(p) - HEADER);

    if (call.slot_bytes & bytes)
        wrong("a slot is read twice");
    call.slot_bytes |= bytes;
}

static void copy_out(uint8_t *to, const uint8_t *from)
{
    uint32_t value;

    check_once(from, config.model->unit);
    value = load(from, config.model->unit);
    memcpy(to, &value, config.model->unit);
}

static void copy_in(uint8_t *to, const uint8_t *from)
{
    uint32_t value = 0;

    memcpy(&value, from, config.model->unit);
    store(to, value, config.model->unit, ORDER_RELAXED);
}

void hook_copy(void *to, const void *from, size_t n)
{
    bool in = (uintptr_t)to - (uintptr_t)shared_page < 4096;

    for (size_t i = 0; i < n; i += config.model->unit)
        (in ? copy_in : copy_out)((uint8_t *)to + i, (const uint8_t *)from + i);
}

bool can_drain(const struct thread *t, unsigned int i)
{
    if (config.memory == MEMORY_TSO)
        return i == 0;
    for (unsigned int j = 0; j < i; j++)
        if (t->store[j].at == t->store[i].at || t->store[j + 1].fence)
            return false;
    return true;
}

void drain(struct thread *t, unsigned int i, uint8_t *mem)
{
    struct waiting_store *s = &t->store[i];

    memcpy(mem + s->at, &s->value, s->size);
    t->nr_stores--;
    memmove(s, s + 1, (t->nr_stores - i) * sizeof(*s));
    memset(&t->store[t->nr_stores], 0, sizeof(*s));
}
