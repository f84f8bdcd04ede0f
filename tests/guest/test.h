/*
 * What every test guest shares: checks that report and go on, a seeded
 * random generator, and the end of a test: the audit, then the verdict.
 *
 * A check that fails prints where and what, and the test goes on, so that
 * one run shows everything that is wrong.  Only the first TEST_REPORTS are
 * printed.  The names of expectations are the rows of docs/security.md
 * where there is one (E1, G8, M14 ...).
 *
 * Functions here are static inline, because a test takes what it needs.
 */
#ifndef TEST_H
#define TEST_H

#include "guests/lib/guest.h"

#define TEST_REPORTS 40u

/* Weak: one of each, however many files of a test include this. */
__attribute__((weak)) unsigned int test_checks, test_failures;

static inline bool test_report(bool good, const char *file, int line,
                               const char *text)
{
    test_checks++;
    if (good)
        return true;
    if (test_failures++ < TEST_REPORTS)
        printf("%s:%d: not so: %s\n", file, line, text);
    return false;
}

/* It must hold.  The value tells whether it did. */
#define CHECK(cond) test_report((cond), __FILE__, __LINE__, #cond)

static inline bool test_report_equal(long got, long want, const char *file,
                                     int line, const char *text)
{
    test_checks++;
    if (got == want)
        return true;
    if (test_failures++ < TEST_REPORTS)
        printf("%s:%d: %s is %ld (0x%lx), should be %ld\n", file, line, text,
               got, (unsigned long)got, want);
    return false;
}

/* The two must be the same number. */
#define CHECK_EQ(got, want)                                                    \
    test_report_equal((long)(got), (long)(want), __FILE__, __LINE__, #got)

/* ---- Random numbers: the same for the same seed, on any machine.  Each vCPU
 * has a seed of its own. ---- */
__attribute__((weak)) uint64_t test_random_state[32];

static inline void random_seed(uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull;

    test_random_state[vcpu_id()] = state ? state : 1;
}

/* xorshift64* */
static inline uint64_t random_next(void)
{
    uint64_t *state = &test_random_state[vcpu_id()];
    uint64_t x = *state ? *state : 88172645463325252ull;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* 0 to n - 1. */
static inline uint64_t random_below(uint64_t n)
{
    return random_next() % n;
}

/* ---- The audit.  On Xen there is none, and nothing is said of it. ---- */
static inline void check_audit(const char *when)
{
    struct belfry_audit audit = { .size = sizeof(audit),
                                  .version = BELFRY_ABI_VERSION };

    if (!guest.on_belfry)
        return;
    if (!CHECK_EQ(hypercall_belfry_op(BELFRYOP_audit, &audit), 0))
        return;
    CHECK(audit.frames > 0);
    if (!CHECK_EQ(audit.differences, 0))
        printf("audit %s: %s\n", when, audit.first);
}

/* The end of every test.  Zero checks made is a broken test, not a pass. */
_Noreturn static inline void test_end(const char *name)
{
    check_audit("at the end");
    printf("%s: %u checks, %u failed, on %s\n", name, test_checks,
           test_failures, guest.on_belfry ? "Belfry" : "Xen");
    if (test_checks == 0)
        verdict(VERDICT_BROKEN, name);
    verdict(test_failures == 0 ? VERDICT_PASS : VERDICT_FAIL, name);
}

/* For what needs Belfry: domains without a toolstack, belfry_op. */
static inline void test_needs_belfry(const char *name)
{
    if (!guest.on_belfry)
        verdict(VERDICT_SKIP, name);
}

#endif
