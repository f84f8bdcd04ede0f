/*
 * Defends: who waits for a domain's vCPUs to leave their CPUs, because the
 * domain ends, gives way to one of them that waits for all other CPUs to come
 * to rest (the audit does): else both would wait for ever.
 *
 * Each child has one vCPU that audits without end, and another that crashes,
 * or lives until the child is destroyed.
 */
#include "tests/guest/parent.h"

#define LIVES 60u

static void audit_without_end(void *data)
{
    (void)data;
    for (;;) {
        static struct belfry_audit audit;

        audit = (struct belfry_audit)BELFRY_ARG(belfry_audit);
        hypercall_belfry_op(BELFRYOP_audit, &audit);
    }
}

_Noreturn static void child_main(void)
{
    uint64_t end = clock_now() + 3000000;

    BUG_ON(vcpu_start(1, audit_without_end, NULL) != 0);
    while (clock_now() < end)
        ;
    if (strcmp(guest.name, "crash") == 0)
        guest_exit(1);
    for (;;)
        sleep_ns(100000);
}

static void crash_while_another_audits(void)
{
    struct belfry_domain info;
    struct child c;

    if (!child_start(&c, "crash"))
        return;
    CHECK(child_wait(&c, 5000000000ull, &info));
    child_destroy(&c);
}

static void destroy_while_one_audits(unsigned int after_us)
{
    struct child c;

    if (!child_start(&c, "stay"))
        return;
    sleep_ns(4000000 + after_us * 1000);
    child_destroy(&c);
}

int guest_main(void)
{
    if (!guest.initial)
        child_main();
    for (unsigned int i = 0; i < LIVES; i++) {
        crash_while_another_audits();
        destroy_while_one_audits(i * 37 % 1000);
    }
    test_end("parking");
}
