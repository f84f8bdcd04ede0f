/*
 * Makes hypercalls whose results two hypervisors must agree on: every
 * combination of arguments in turn, or a million at random.
 *
 *   transcript                 every combination, one line each
 *   random=N seed=S            N blocks of 1000 calls, a hash each
 *   random=N seed=S first=B    from block B on; with `show` its lines
 *   only=evtchn                calls whose names begin so
 */
#include "tests/conformance/calls/world.h"

#define BLOCK_CALLS 1000u

static const struct call_kind *const files[] = { event_calls, grant_calls,
                                                 table_calls, memory_calls,
                                                 machine_calls };
#define NR_FILES (sizeof(files) / sizeof(files[0]))

static char only[32];

static void make_call(const struct call_kind *kind)
{
    line_begin(kind->name);
    transcript.plain = false;
    kind->call();
    line_end();
}

/* ---- Every combination. ---- */

static void all_of(const struct call_kind *kind)
{
    do {
        world_reset();
        make_call(kind);
    } while (choose_next());
}

static void make_all(void)
{
    transcript.show = true;
    for (unsigned int i = 0; i < NR_FILES; i++)
        for (const struct call_kind *k = files[i]; k->name; k++)
            if (strncmp(k->name, only, strlen(only)) == 0)
                all_of(k);
}

/* ---- At random. ---- */

/* The kind whose share of all weights the number falls into, or NULL and
 * their sum. */
static const struct call_kind *kind_at(unsigned int at, unsigned int *sum)
{
    *sum = 0;
    for (unsigned int i = 0; i < NR_FILES; i++)
        for (const struct call_kind *k = files[i]; k->name; k++) {
            if (strncmp(k->name, only, strlen(only)) != 0)
                continue;
            *sum += k->weight;
            if (at < *sum)
                return k;
        }
    return NULL;
}

static void make_block(uint64_t block, uint64_t seed, unsigned int weights)
{
    unsigned int ignored;

    random_seed(seed << 32 | block);
    world_reset();
    transcript.hash = HASH_START;
    for (unsigned int i = 0; i < BLOCK_CALLS; i++)
        make_call(kind_at((unsigned int)random_below(weights), &ignored));
    printf("| block %lu 0x%016lx\n", block, transcript.hash);
}

static void make_random(uint64_t first, uint64_t blocks)
{
    uint64_t seed = cmdline_number("seed", 1);
    unsigned int weights;

    kind_at(~0u, &weights);
    BUG_ON(weights == 0);
    transcript.random = true;
    for (uint64_t i = 0; i < blocks; i++)
        make_block(first + i, seed, weights);
}

int guest_main(void)
{
    uint64_t blocks = cmdline_number("random", 0);
    char word[8];

    cmdline_get("only", only, sizeof(only));
    transcript.show = cmdline_get("show", word, sizeof(word));
    world_traps();
    world_init();
    if (blocks)
        make_random(cmdline_number("first", 0), blocks);
    else
        make_all();
    transcript.random = false;
    world_reset();
    check_audit("at the end");
    printf("| end %lu lines\n", transcript.lines);
    verdict(test_failures ? VERDICT_FAIL : VERDICT_PASS, "calls");
}
