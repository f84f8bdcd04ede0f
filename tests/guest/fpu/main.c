/*
 * Defends: x87, SSE and AVX registers belong to the domain that loaded
 * them, across every switch; a new domain finds none of another's (X12).
 *
 * Two children of one priority load all registers with a pattern of their
 * own, give way to each other or spin until pre-empted, and compare.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define ROUNDS 3000u

struct registers {
    uint8_t ymm[16][32];
    uint64_t x87[8];
    uint16_t control;
    uint16_t pad;
    uint32_t mxcsr;
} __attribute__((aligned(32)));

static bool has_avx;

static void find_avx(void)
{
    uint32_t a = 1, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (!(c >> 27 & 1) || !(c >> 28 & 1))
        return; /* no xgetbv, or no AVX */
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    has_avx = (a & 6) == 6;
}

#define FOR_ALL(X)                                                             \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)  \
    X(14) X(15)
#define AVX_IN(n)  "vmovups " #n "*32(%0), %%ymm" #n "\n\t"
#define AVX_OUT(n) "vmovups %%ymm" #n ", " #n "*32(%0)\n\t"
#define SSE_IN(n)  "movups " #n "*32(%0), %%xmm" #n "\n\t"
#define SSE_OUT(n) "movups %%xmm" #n ", " #n "*32(%0)\n\t"

static void load(const struct registers *r)
{
    if (has_avx)
        __asm__ volatile(FOR_ALL(AVX_IN) : : "r"(r->ymm) : "memory");
    else
        __asm__ volatile(FOR_ALL(SSE_IN) : : "r"(r->ymm) : "memory");
    __asm__ volatile("fninit\n\t"
                     "fildq 56(%0)\n\tfildq 48(%0)\n\tfildq 40(%0)\n\t"
                     "fildq 32(%0)\n\tfildq 24(%0)\n\tfildq 16(%0)\n\t"
                     "fildq 8(%0)\n\tfildq (%0)\n\t"
                     "fldcw %1\n\tldmxcsr %2"
                     :
                     : "r"(r->x87), "m"(r->control), "m"(r->mxcsr)
                     : "memory");
}

/* Empties the x87 stack. */
static void store(struct registers *r)
{
    memset(r, 0, sizeof(*r));
    if (has_avx)
        __asm__ volatile(FOR_ALL(AVX_OUT) : : "r"(r->ymm) : "memory");
    else
        __asm__ volatile(FOR_ALL(SSE_OUT) : : "r"(r->ymm) : "memory");
    __asm__ volatile("fnstcw %1\n\tstmxcsr %2\n\t"
                     "fistpq (%0)\n\tfistpq 8(%0)\n\tfistpq 16(%0)\n\t"
                     "fistpq 24(%0)\n\tfistpq 32(%0)\n\tfistpq 40(%0)\n\t"
                     "fistpq 48(%0)\n\tfistpq 56(%0)"
                     :
                     : "r"(r->x87), "m"(r->control), "m"(r->mxcsr)
                     : "memory");
}

static void fill(struct registers *r)
{
    memset(r, 0, sizeof(*r));
    for (unsigned int i = 0; i < 16; i++)
        for (unsigned int j = 0; j < (has_avx ? 32u : 16u); j++)
            r->ymm[i][j] = (uint8_t)random_next();
    for (unsigned int i = 0; i < 8; i++)
        r->x87[i] = random_next() >> 2;
    r->control = (uint16_t)(0x033f | (random_below(4) << 10) |
                            0x0040); /* all masked, 64-bit mantissa */
    r->mxcsr = 0x1f80 | (uint32_t)random_below(4) << 13;
}

/* What a domain finds before it has loaded anything. */
static void initial_state(struct meet *m)
{
    static struct registers r;
    uint16_t status;
    unsigned int dirt = 0;

    if (has_avx)
        __asm__ volatile(FOR_ALL(AVX_OUT) : : "r"(r.ymm) : "memory");
    else
        __asm__ volatile(FOR_ALL(SSE_OUT) : : "r"(r.ymm) : "memory");
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1\n\tfnstsw %2"
                     : "=m"(r.control), "=m"(r.mxcsr), "=m"(status));
    for (unsigned int i = 0; i < sizeof(r.ymm); i++)
        dirt += r.ymm[i / 32][i % 32] != 0;
    m->out[0] = dirt;
    m->out[1] = r.control;
    m->out[2] = r.mxcsr;
    m->out[3] = status;
    m->out[6] = 1;
}

static int child_main(void)
{
    static struct registers want, got;
    struct meet *m;

    find_avx();
    m = meet_offer();
    initial_state(m);
    random_seed(cmdline_number("pattern", 1));
    meet_wait(m);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        fill(&want);
        load(&want);
        if (round % 16 == 0)
            for (uint64_t until = rdtsc() + 3000000; rdtsc() < until;)
                ;
        else
            hypercall_sched_op(SCHEDOP_yield, NULL);
        store(&got);
        if (memcmp(&want, &got, sizeof(want)) != 0)
            m->faults++;
        m->beats++;
    }
    m->out[4] = has_avx;
    m->out[5] = 1; /* done */
    return 0;
}

static void judge(struct child *c, struct meet *m)
{
    CHECK_EQ(m->beats, ROUNDS);
    CHECK_EQ(m->faults, 0);
    CHECK_EQ(m->out[5], 1);
    printf("%s: %lu rounds, %lu wrong, %s\n", c->name, m->beats, m->faults,
           m->out[4] ? "AVX" : "SSE");
}

int guest_main(void)
{
    static struct grant_mapping mapping[2];
    struct child child[2];
    struct meet *m[2];
    struct belfry_domain info;

    if (!guest.initial)
        return child_main();
    test_needs_belfry("fpu");
    for (unsigned int i = 0; i < 2; i++) {
        if (!child_start(&child[i], i ? "two" : "one") ||
            !CHECK(m[i] = meet_find(child[i].id, &mapping[i])))
            test_end("fpu");
        while (m[i]->out[6] == 0)
            sleep_ns(1000000);
        CHECK_EQ(m[i]->out[0], 0);
        CHECK_EQ(m[i]->out[1], 0x37f);
        CHECK_EQ(m[i]->out[2], 0x1f80);
        CHECK_EQ(m[i]->out[3], 0);
    }
    meet_go(m[0], 1);
    meet_go(m[1], 1);
    for (unsigned int i = 0; i < 2; i++) {
        CHECK(child_wait(&child[i], 30000000000, &info));
        CHECK_EQ(info.reason, SHUTDOWN_poweroff);
        judge(&child[i], m[i]);
        grant_unmap(&mapping[i]);
        child_destroy(&child[i]);
    }
    test_end("fpu");
}
