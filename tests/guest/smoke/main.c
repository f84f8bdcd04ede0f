/*
 * Defends: a domain starts in the state that Xen's ABI promises.
 */
#include "tests/guest/test.h"

static const uint64_t *const m2p = (const uint64_t *)HYPERVISOR_VIRT_START;

static void start_info_is_complete(void)
{
    const struct start_info *si = guest.start;

    CHECK(memcmp(si->magic, "xen-3.0", 7) == 0);
    CHECK(si->nr_pages >= 512);
    CHECK(si->shared_info != 0 && (si->shared_info & (PAGE_SIZE - 1)) == 0);
    CHECK(si->pt_base != 0 && (si->pt_base & (PAGE_SIZE - 1)) == 0);
    CHECK(si->nr_pt_frames >= 4);
    CHECK(si->mfn_list != 0);
    CHECK_EQ(!!(si->flags & SIF_PRIVILEGED), guest.initial);
    CHECK_EQ(!!(si->flags & SIF_INITDOMAIN), guest.initial);
    if (!guest.initial)
        CHECK(si->console.domU.mfn != 0 && si->console.domU.evtchn != 0);
}

/* The list of frames and the hypervisor's table are each other's inverse. */
static void frames_agree(void)
{
    const uint64_t *list = (const uint64_t *)guest.start->mfn_list;
    unsigned long wrong = 0;

    for (uint64_t pfn = 0; pfn < guest.start->nr_pages; pfn++)
        wrong += m2p[list[pfn]] != pfn;
    CHECK_EQ(wrong, 0);
}

static void shared_info_is_fresh(void)
{
    unsigned int ports = 0;

    for (unsigned int i = 0; i < 64; i++)
        ports += guest.shared->evtchn_pending[i] != 0;
    CHECK(ports <= 1); /* console and store may ring early */
    CHECK(guest.shared->vcpu_info[0].time.tsc_to_system_mul != 0);
    CHECK(guest.shared->wc_sec > 1600000000);
}

static void clock_is_monotone(void)
{
    uint64_t last = clock_now(), first = last;

    for (unsigned int i = 0; i < 200000; i++) {
        uint64_t t = clock_now();

        if (t < last) {
            CHECK(t >= last);
            break;
        }
        last = t;
    }
    CHECK(last > first);
}

static void version_is_xens(void)
{
    long version = hypercall_xen_version(0 /* XENVER_version */, NULL);

    CHECK(version >= 0x40000 && version < 0x50000);
}

static void unknown_calls_are_refused(void)
{
    static const unsigned int numbers[] = { 11, 47, 56, 63, 64, 1000 };

    for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        CHECK_EQ(hypercall(numbers[i], 1, 2, 3, 4, 5), -ENOSYS);
    CHECK_EQ(hypercall(~0ul, 1, 2, 3, 4, 5), -ENOSYS);
    CHECK_EQ(hypercall(1ul << 32, 1, 2, 3, 4, 5), -ENOSYS);
}

int guest_main(void)
{
    printf("hello from domain %u\n", guest.domid);
    start_info_is_complete();
    frames_agree();
    shared_info_is_fresh();
    clock_is_monotone();
    version_is_xens();
    unknown_calls_are_refused();
    test_end("smoke");
}
