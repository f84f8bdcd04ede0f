/*
 * Rings and streams against a peer that changes any byte at any time.
 *
 * MUTATIONS= how many changes (a part for each kind of victim), SEED= which.
 * The victim (victim.h) goes on, or ends in a fault with a name and is
 * attached again to the same wild page.  AddressSanitizer watches the page's
 * ends; a call that does not return is a test that ends in its time-out.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>

#include "tests/unit/victim.h"

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : otherwise;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Where the indices and the bits are; what is behind them is only read. */
#define HEADER 136u /* but for spsc, whose fields are a line apart */

static size_t header_word(const struct victim *v, uint64_t r)
{
    if (v->kind == PRODUCER || v->kind == CONSUMER)
        return r % 4 * 16;
    return r % (HEADER / 4);
}

/* Mostly steps of an index that an honest peer could make, or nearly so: one
 * that is far off ends the victim at once, and it learns nothing more. */
static void mutate(struct victim *v, uint64_t *random)
{
    uint64_t r = next_random(random);
    uint32_t *word = (uint32_t *)(void *)v->page + header_word(v, r >> 8);
    uint8_t *byte = v->page + (r >> 8) % v->bytes;

    if ((uint8_t *)(word + 1) > v->page + v->bytes || r % 16 == 0)
        __atomic_store_n(byte, (uint8_t)(r >> 40), __ATOMIC_RELAXED);
    else if (r % 16 == 1)
        __atomic_store_n(word, (uint32_t)(r >> 32), __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(word, (uint32_t)(r >> 40) % 4 - (r >> 60 == 0),
                           __ATOMIC_RELAXED);
}

/* ---- Counts. ---- */

static uint64_t calls; /* the peer reads it */
static uint64_t faults[RING_NOT_ATTACHED + 1];

static void call_once(struct victim *v, uint64_t *random)
{
    uint64_t r = next_random(random);

    victim_call(v, (unsigned int)(r >> 16) % VICTIM_CALLS,
                (uint32_t)(r >> 32) % 300);
    __atomic_store_n(&calls, calls + 1, __ATOMIC_RELAXED);
    for (int out = 0; out < 2; out++) {
        if (!v->broken[out])
            continue;
        faults[victim_fault(v, out)]++;
        victim_attach(v);
        return;
    }
}

static void report(const char *how, uint64_t mutations)
{
    printf("%s: %lu mutations, %lu calls", how, mutations, calls);
    for (unsigned int i = RING_SOUND + 1; i < RING_NOT_ATTACHED; i++) {
        printf(", %lu x \"%s\"", faults[i], ring_fault_name(i));
        ck_assert_uint_gt(faults[i], 0);
    }
    printf("\n");
}

static const struct {
    enum victim_kind kind;
    size_t slots, slot_size;
} victims[] = {
    { FRONT, 1, 8 },     { FRONT, 2, 12 },    { FRONT, 32, 112 },
    { BACK, 1, 1 },      { BACK, 4, 16 },     { BACK, 32, 64 },
    { PRODUCER, 2, 12 }, { CONSUMER, 2, 12 }, { PRODUCER, 32, 64 },
    { CONSUMER, 1, 1 },  { CONSOLE, 0, 1 },   { FLEX, 0, 1 },
    { VCHAN, 0, 1 },
};
#define NR (sizeof(victims) / sizeof(victims[0]))

/* ---- One after the other: the same again from the same seed. ---- */

START_TEST(a_change_before_every_call)
{
    uint64_t each = number("MUTATIONS", 100000000) / 20 / NR + 1;
    uint64_t random = number("SEED", 1) * 0x9e3779b97f4a7c15u | 1;

    for (unsigned int i = 0; i < NR; i++) {
        struct victim v;

        victim_start(&v, victims[i].kind, victims[i].slots,
                     victims[i].slot_size);
        for (uint64_t n = 0; n < each; n++) {
            mutate(&v, &random);
            call_once(&v, &random);
        }
        victim_end(&v);
    }
    report("in turn", each * NR);
}
END_TEST

/* ---- Both at once: between any two instructions. ---- */

static struct victim besieged;
static uint64_t to_come;
static bool over;

/* Changes that come while the victim waits for a processor are seen by
 * nobody: on a busy host, let it have this one. */
#define CHANGES_UNSEEN 0x10000u

static void let_it_call(uint64_t *last)
{
    uint64_t now = __atomic_load_n(&calls, __ATOMIC_RELAXED);

    if (now == *last)
        sched_yield();
    *last = now;
}

static void *besiege(void *seed)
{
    uint64_t random = *(uint64_t *)seed, last = UINT64_MAX;

    for (uint64_t n = 0; n < to_come; n++) {
        if (n % CHANGES_UNSEEN == 0)
            let_it_call(&last);
        mutate(&besieged, &random);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(changes_at_any_time)
{
    uint64_t random = number("SEED", 1) * 0xd1342543de82ef95u | 1;
    uint64_t other = ~random;

    to_come = number("MUTATIONS", 100000000) / NR + 1;
    for (unsigned int i = 0; i < NR; i++) {
        pthread_t peer;

        victim_start(&besieged, victims[i].kind, victims[i].slots,
                     victims[i].slot_size);
        over = false;
        pthread_create(&peer, NULL, besiege, &other);
        while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
            call_once(&besieged, &random);
        pthread_join(peer, NULL);
        victim_end(&besieged);
    }
    report("at any time", to_come * NR);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reqrsp_hostile");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, a_change_before_every_call);
    tcase_add_test(tests, changes_at_any_time);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
