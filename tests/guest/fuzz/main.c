/*
 * Defends: no sequence of hypercalls of an unprivileged domain harms the
 * hypervisor or another domain (D7, and every row that a fuzzer can reach).
 *
 * `fuzzer` makes random calls from a seed.  `witness` runs beside it at the
 * same priority: it keeps a pattern in its memory and counts.  The parent
 * watches both, gives the fuzzer a new life with the next seed whenever it
 * has killed itself, and at the end wants a clean audit, every page back and
 * a witness that was served throughout.
 */
#include "tests/guest/fuzz/generate.h"
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

enum { IN_SEED, IN_CALLS, IN_WITNESS, IN_REF0, IN_REF1 };
enum { OUT_NR, OUT_ARG0, OUT_ARG1, OUT_ARG2, OUT_ARG3, OUT_OK };

#define MS         1000000ull
#define CANARIES   64u
#define PATTERN    0xc0ffee0ddecafbadull
#define AUDIT_EACH 16u /* lives */

/* ---- The fuzzing domain. ---- */
_Noreturn static void fuzzer_main(void)
{
    struct meet *m = meet_offer();
    struct fuzz_peers peers;
    uint64_t calls;

    meet_wait(m);
    peers.witness = (domid_t)m->in[IN_WITNESS];
    peers.refs[0] = (grant_ref_t)m->in[IN_REF0];
    peers.refs[1] = (grant_ref_t)m->in[IN_REF1];
    calls = m->in[IN_CALLS];
    random_seed(m->in[IN_SEED]);
    fuzz_set_up(&peers);
    for (uint64_t i = 0; i < calls; i++) {
        struct call c;

        if (i % 8 == 0)
            fuzz_stir();
        fuzz_generate(&c);
        m->out[OUT_NR] = c.nr;
        for (unsigned int j = 0; j < 4; j++)
            m->out[OUT_ARG0 + j] = c.arg[j];
        m->out[OUT_OK] += hypercall(c.nr, c.arg[0], c.arg[1], c.arg[2],
                                    c.arg[3], c.arg[4]) >= 0;
        m->beats = i + 1;
    }
    for (;;) /* whatever its state is by now: it is told to end from outside */
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

/* ---- The witness. ---- */
static uint64_t *canary[CANARIES];

static bool canaries_live(void)
{
    for (unsigned int i = 0; i < CANARIES; i++)
        for (unsigned int j = 0; j < PAGE_SIZE / 8; j++)
            if (canary[i][j] != (PATTERN ^ (i * 512 + j)))
                return false;
    return true;
}

static void plant_canaries(void)
{
    for (unsigned int i = 0; i < CANARIES; i++) {
        canary[i] = page_alloc();
        for (unsigned int j = 0; j < PAGE_SIZE / 8; j++)
            canary[i][j] = PATTERN ^ (i * 512 + j);
    }
}

_Noreturn static void witness_main(void)
{
    struct meet *m = meet_offer();

    plant_canaries();
    meet_wait(m);
    for (;;) {
        sleep_ns(2 * MS);
        m->faults += !canaries_live();
        m->beats++;
    }
}

/* ---- The parent. ---- */
static struct child witness, fuzzer;
static struct meet *witness_meet;
static struct grant_mapping witness_map;
static uint64_t lives, stuck, accepted;
static void *offered[2];

static void find_witness(void)
{
    struct belfry_domain info;

    if (!CHECK(domain_find("witness", &info)))
        test_end("fuzz");
    child_attach(&witness, "witness", info.id, info.generation);
    CHECK_EQ(domain_control(info.id, 0, BELFRY_CONTROL_UNPAUSE), 0);
    witness_meet = meet_find(info.id, &witness_map);
    if (!CHECK(witness_meet))
        test_end("fuzz");
    meet_go(witness_meet, 1);
}

static void tell(struct meet *m, uint64_t seed, uint64_t calls, int refs[2])
{
    for (unsigned int i = 0; i < 2; i++) {
        refs[i] = grant_access((domid_t)fuzzer.id, offered[i], i);
        m->in[IN_REF0 + i] = (uint64_t)refs[i];
    }
    m->in[IN_SEED] = seed;
    m->in[IN_CALLS] = calls;
    m->in[IN_WITNESS] = witness.id;
    meet_go(m, 1);
}

/* Watch it until it has made its calls, or died, or hangs. */
static void watch(struct meet *m, uint64_t calls, struct belfry_domain *info)
{
    uint64_t beats = 0, moved = clock_now(), served = witness_meet->beats;

    while (m->beats < calls) {
        sleep_ns(2 * MS);
        child_drain(&fuzzer);
        if (domain_info(fuzzer.id, info) &&
            info->state == BELFRY_STATE_SHUTDOWN)
            return;
        if (m->beats != beats) {
            beats = m->beats;
            moved = clock_now();
        }
        if (clock_now() - moved > 1000 * MS) {
            stuck++; /* blocked by its own doing */
            CHECK(witness_meet->beats > served);
            return;
        }
    }
}

static void report_end(const struct meet *m, const struct belfry_domain *info,
                       uint64_t seed)
{
    if (info->state != BELFRY_STATE_SHUTDOWN)
        return;
    printf("life %lu, seed %lu: %lu calls, then %s (last: %lu(0x%lx, 0x%lx, "
           "0x%lx, 0x%lx))\n",
           lives, seed, m->beats,
           info->crash_text[0] ? info->crash_text : "ended itself",
           m->out[OUT_NR],
           m->out[OUT_ARG0], m->out[OUT_ARG1], m->out[OUT_ARG2],
           m->out[OUT_ARG3]);
}

/* One life of the fuzzing domain; how many calls it made. */
static uint64_t one_life(uint64_t seed, uint64_t calls)
{
    static struct belfry_domain info;
    struct grant_mapping mapping;
    struct meet *m;
    uint64_t made;
    int refs[2];

    if (!child_start(&fuzzer, "fuzzer"))
        return 0;
    m = meet_find(fuzzer.id, &mapping);
    if (!CHECK(m))
        test_end("fuzz");
    lives++;
    tell(m, seed, calls, refs);
    watch(m, calls, &info);
    report_end(m, &info, seed);
    made = m->beats;
    accepted += m->out[OUT_OK];
    grant_unmap(&mapping);
    child_destroy(&fuzzer);
    for (unsigned int i = 0; i < 2; i++)
        CHECK_EQ(grant_end((grant_ref_t)refs[i]), 0);
    return made > calls ? calls : made;
}

static void run(uint64_t seed, uint64_t calls)
{
    uint64_t made = 0, before, served = witness_meet->beats;
    const uint64_t start = clock_now();

    one_life(seed, 1000);
    before = machine_free_pages();
    while (made < calls && test_failures == 0) {
        made += one_life(seed + lives, calls - made);
        if (!CHECK_EQ(machine_free_pages(), before))
            printf("    (seed %lu)\n", seed + lives - 1);
        if (lives % AUDIT_EACH == 0)
            check_audit("between lives");
        if (!CHECK(lives < 1000 + calls / 100)) /* it dies too young */
            break;
    }
    CHECK(made >= calls);
    CHECK_EQ(witness_meet->faults, 0);
    /* Two of one priority: the witness wakes every 2 ms and waits at most a
     * turn of 10 ms; a quarter of the fair number is far above no service. */
    served = witness_meet->beats - served;
    CHECK(served > (clock_now() - start) / (48 * MS));
    printf("%lu calls, %lu accepted, seed %lu, %lu lives, %lu stuck; the "
           "witness counted %lu\n", made, accepted, seed, lives, stuck, served);
}

int guest_main(void)
{
    if (!guest.initial && strcmp(guest.name, "witness") == 0)
        witness_main();
    if (!guest.initial)
        fuzzer_main();
    test_needs_belfry("fuzz");
    offered[0] = page_alloc();
    offered[1] = page_alloc();
    find_witness();
    run(cmdline_number("seed", 1), cmdline_number("calls", 200000));
    test_end("fuzz");
}
