/*
 * Defends: no sequence of hypercalls of unprivileged domains, and no two at
 * one time, harms the hypervisor or another domain (D7, and every row that a
 * fuzzer can reach).
 *
 * Two domains make random calls from a seed, on all of their vCPUs.  `witness`
 * runs beside them at the same priority: it keeps a pattern in its memory and
 * counts.  The parent watches all, gives a fuzzer a new life with the next seed
 * whenever it has killed itself, and wants every page back and a clean audit
 * after each round, and a witness that was served throughout.
 */
#include "tests/guest/fuzz/generate.h"
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

enum { IN_SEED, IN_CALLS, IN_WITNESS, IN_REF0, IN_REF1 };

/* Each vCPU's part of the words that the child writes. */
enum {
    OUT_NR,
    OUT_ARG0,
    OUT_ARG1,
    OUT_ARG2,
    OUT_ARG3,
    OUT_OK,
    OUT_CALLS,
    OUT_WORDS
};

#define MS       1000000ull
#define CANARIES 64u
#define PATTERN  0xc0ffee0ddecafbadull
#define FUZZERS  2u
#define ROUND    20000u /* calls */

/* ---- A fuzzing domain. ---- */
static struct meet *fuzzer_meet;

/* On each vCPU, until they have made the calls between them. */
static void make_calls(void *data)
{
    struct meet *m = fuzzer_meet;
    volatile uint64_t *out = &m->out[vcpu_id() * OUT_WORDS];

    (void)data;
    random_seed(m->in[IN_SEED] + ((uint64_t)vcpu_id() << 32));
    fuzz_begin_vcpu();
    while (atomic_add_return(&m->beats, 1) <= m->in[IN_CALLS]) {
        struct call c;

        if (out[OUT_CALLS]++ % 8 == 0)
            fuzz_stir();
        fuzz_generate(&c);
        out[OUT_NR] = c.nr;
        for (unsigned int j = 0; j < 4; j++)
            out[OUT_ARG0 + j] = c.arg[j];
        out[OUT_OK] += hypercall(c.nr, c.arg[0], c.arg[1], c.arg[2], c.arg[3],
                                 c.arg[4]) >= 0;
    }
    for (;;) /* whatever its state is by now: it is told to end from outside */
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

_Noreturn static void fuzzer_main(void)
{
    struct meet *m = meet_offer();
    unsigned int nr_vcpus = vcpu_count();
    struct fuzz_peers peers;

    BUG_ON(nr_vcpus > FUZZ_VCPUS);
    meet_wait(m);
    peers.witness = (domid_t)m->in[IN_WITNESS];
    peers.refs[0] = (grant_ref_t)m->in[IN_REF0];
    peers.refs[1] = (grant_ref_t)m->in[IN_REF1];
    fuzzer_meet = m;
    fuzz_set_up(&peers);
    for (unsigned int id = 1; id < nr_vcpus; id++)
        BUG_ON(vcpu_start(id, make_calls, NULL));
    make_calls(NULL);
    guest_exit(0);
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

/* One fuzzer and its present life; made and accepted are of all its lives. */
struct fuzzer {
    struct child child; /* console NULL: it has no life now */
    char name[BELFRY_NAME_SIZE];
    struct meet *m;
    struct grant_mapping mapping;
    void *offered[2];
    grant_ref_t refs[2];
    uint64_t seed, calls;  /* of this life */
    uint64_t left;         /* to be made in this round */
    uint64_t beats, moved; /* its last sign of life, and when */
    uint64_t made[FUZZ_VCPUS], accepted;
};

static struct fuzzer fuzzers[FUZZERS];
static struct child witness;
static struct meet *witness_meet;
static struct grant_mapping witness_map;
static uint64_t next_seed, lives, stuck;

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

static void begin_life(struct fuzzer *f)
{
    if (!child_start(&f->child, f->name) ||
        !CHECK(f->m = meet_find(f->child.id, &f->mapping)))
        test_end("fuzz");
    lives++;
    f->seed = next_seed++;
    f->calls = f->left;
    f->beats = 0;
    f->moved = clock_now();
    for (unsigned int i = 0; i < 2; i++) {
        f->refs[i] =
            (grant_ref_t)grant_access((domid_t)f->child.id, f->offered[i], i);
        f->m->in[IN_REF0 + i] = f->refs[i];
    }
    f->m->in[IN_SEED] = f->seed;
    f->m->in[IN_CALLS] = f->calls;
    f->m->in[IN_WITNESS] = witness.id;
    meet_go(f->m, 1);
}

static void report_death(const struct fuzzer *f,
                         const struct belfry_domain *info)
{
    printf("life %lu, seed %lu: %lu calls, then %s\n", lives, f->seed,
           f->m->beats,
           info->crash_text[0] ? info->crash_text : "ended itself");
    for (unsigned int id = 0; id < FUZZ_VCPUS; id++) {
        const volatile uint64_t *out = &f->m->out[id * OUT_WORDS];

        if (out[OUT_CALLS])
            printf("    vCPU %u last: %lu(0x%lx, 0x%lx, 0x%lx, 0x%lx)\n", id,
                   out[OUT_NR], out[OUT_ARG0], out[OUT_ARG1], out[OUT_ARG2],
                   out[OUT_ARG3]);
    }
}

/* It has made its calls, has killed itself, or has not called for a second:
 * blocked by its own doing. */
static bool life_is_over(struct fuzzer *f)
{
    struct belfry_domain info;

    child_drain(&f->child);
    if (domain_info(f->child.id, &info) &&
        info.state == BELFRY_STATE_SHUTDOWN) {
        report_death(f, &info);
        return true;
    }
    if (f->m->beats >= f->calls)
        return true;
    if (f->m->beats != f->beats) {
        f->beats = f->m->beats;
        f->moved = clock_now();
    }
    if (clock_now() - f->moved < 1000 * MS)
        return false;
    stuck++;
    return true;
}

static void end_life(struct fuzzer *f)
{
    uint64_t made = 0;

    for (unsigned int id = 0; id < FUZZ_VCPUS; id++) {
        const volatile uint64_t *out = &f->m->out[id * OUT_WORDS];

        made += out[OUT_CALLS];
        f->made[id] += out[OUT_CALLS];
        f->accepted += out[OUT_OK];
    }
    f->left -= made < f->left ? made : f->left;
    grant_unmap(&f->mapping);
    child_destroy(&f->child);
    for (unsigned int i = 0; i < 2; i++)
        CHECK_EQ(grant_end(f->refs[i]), 0);
}

/* Both at once, life after life, until each has made that many calls. */
static void round(uint64_t calls)
{
    unsigned int alive = FUZZERS;

    for (unsigned int i = 0; i < FUZZERS; i++) {
        fuzzers[i].left = calls;
        begin_life(&fuzzers[i]);
    }
    while (alive > 0) {
        sleep_ns(2 * MS);
        for (unsigned int i = 0; i < FUZZERS; i++) {
            struct fuzzer *f = &fuzzers[i];

            if (!f->child.console || !life_is_over(f))
                continue;
            end_life(f);
            if (f->left > 0)
                begin_life(f);
            else
                alive--;
        }
    }
}

static void set_up_fuzzers(void)
{
    for (unsigned int i = 0; i < FUZZERS; i++) {
        struct fuzzer *f = &fuzzers[i];

        format_string(f->name, sizeof(f->name), "fuzzer%u", i);
        f->offered[0] = page_alloc();
        f->offered[1] = page_alloc();
        child_rehearse(f->name);
    }
}

static uint64_t print_figures(uint64_t seed, uint64_t served)
{
    uint64_t made = 0, accepted = 0;

    for (unsigned int i = 0; i < FUZZERS; i++) {
        for (unsigned int id = 0; id < FUZZ_VCPUS; id++) {
            if (fuzzers[i].made[id])
                printf("%s, vCPU %u: %lu calls\n", fuzzers[i].name, id,
                       fuzzers[i].made[id]);
            made += fuzzers[i].made[id];
        }
        accepted += fuzzers[i].accepted;
    }
    printf("%lu calls, %lu accepted, seed %lu, %lu lives, %lu stuck; the "
           "witness counted %lu\n",
           made, accepted, seed, lives, stuck, served);
    return made;
}

static void run(uint64_t seed, uint64_t calls)
{
    uint64_t done = 0, before, served = witness_meet->beats;
    const uint64_t start = clock_now();

    next_seed = seed;
    round(1000);
    before = machine_free_pages();
    while (done < calls && test_failures == 0) {
        round(ROUND / FUZZERS);
        done += ROUND;
        if (!CHECK_EQ(machine_free_pages(), before))
            printf("    (before seed %lu)\n", next_seed);
        check_audit("between rounds");
        CHECK(lives < 1000 + calls / 100); /* they die too young */
    }
    CHECK_EQ(witness_meet->faults, 0);
    /* Five vCPUs of one priority on one CPU: it wakes every 2 ms and waits at
     * most four turns of 10 ms; a quarter of that is far above no service. */
    served = witness_meet->beats - served;
    CHECK(served > (clock_now() - start) / (168 * MS));
    CHECK(print_figures(seed, served) >= calls);
}

int guest_main(void)
{
    if (!guest.initial && strcmp(guest.name, "witness") == 0)
        witness_main();
    if (!guest.initial)
        fuzzer_main();
    test_needs_belfry("fuzz");
    find_witness();
    set_up_fuzzers();
    run(cmdline_number("seed", 1), cmdline_number("calls", 200000));
    test_end("fuzz");
}
