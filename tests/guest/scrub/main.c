/*
 * Defends: memory that one domain leaves behind holds nothing of it when
 * another gets it (D5, G18), and peek shows the pages of its domain alone.
 *
 * A child fills all its memory with a mark and ends.  The next child is
 * looked through from outside before it has run.
 */
#include "tests/guest/parent.h"

#define MARK 0x5ca1ab1e0ddba11full

static int child_main(void)
{
    uint64_t *page;

    while ((page = page_try_alloc()))
        for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
            page[i] = MARK;
    return 0;
}

static long peek(unsigned int id, uint64_t frame, void *buffer)
{
    struct belfry_peek op = BELFRY_ARG(belfry_peek, .id = id, .frame = frame,
                                       .length = PAGE_SIZE, .buffer = buffer);

    return hypercall_belfry_op(BELFRYOP_peek, &op);
}

struct seen {
    unsigned long frames, marked, not_zero;
};

static void look_at(const uint64_t *page, struct seen *seen)
{
    bool zero = true, marked = false;

    for (unsigned int i = 0; i < PAGE_SIZE / 8; i++) {
        zero &= page[i] == 0;
        marked |= page[i] == MARK;
    }
    seen->frames++;
    seen->not_zero += !zero;
    seen->marked += marked;
}

static struct seen look_through(unsigned int id)
{
    uint64_t last = (uint64_t)hypercall_memory_op(XENMEM_maximum_ram_page,
                                                  NULL);
    uint64_t *page = page_alloc();
    struct seen seen = { 0 };

    for (uint64_t mfn = 0; mfn <= last; mfn++) {
        long error = peek(id, mfn, page);

        if (error == 0)
            look_at(page, &seen);
        else if (!CHECK_EQ(error, -EPERM))
            break;
    }
    page_free(page);
    return seen;
}

int guest_main(void)
{
    struct belfry_domain info;
    struct child dirty, fresh;
    struct seen seen;

    if (!guest.initial)
        return child_main();
    test_needs_belfry("scrub");
    if (!child_start(&dirty, "dirty") ||
        !CHECK(child_wait(&dirty, 10000000000, &info)))
        test_end("scrub");
    CHECK_EQ(info.reason, SHUTDOWN_poweroff);
    seen = look_through(dirty.id);
    printf("dirty: %lu frames, %lu marked\n", seen.frames, seen.marked);
    CHECK(seen.marked > 15000); /* the search finds what is there */
    child_destroy(&dirty);

    if (!child_create(&fresh, "fresh"))
        test_end("scrub");
    CHECK(domain_info(fresh.id, &info));
    seen = look_through(fresh.id);
    printf("fresh: %lu frames, %lu not zero\n", seen.frames, seen.not_zero);
    CHECK(seen.frames >= info.pages);
    CHECK_EQ(seen.marked, 0);
    CHECK(seen.not_zero < 250); /* image, tables, list of frames */
    child_destroy(&fresh);
    test_end("scrub");
}
