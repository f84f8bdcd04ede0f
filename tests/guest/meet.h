/*
 * How the domains of a test find each other without a store: the child
 * grants one page to its parent, usually domain 0, and the parent looks through the
 * child's first references until it finds the page with the magic number.
 *
 * Every word of the page is written by one side only; [C] child, [P] parent.
 * The parent does not trust what the child writes for more than numbers.
 */
#ifndef TEST_MEET_H
#define TEST_MEET_H

#include "tests/guest/test.h"

#define MEET_MAGIC 0x7465656d79616c70ull
#define MEET_REFS  64u /* where the parent looks */
#define MEET_WORDS 40u

struct meet {
    uint64_t magic;                   /* [C] set last */
    volatile uint64_t go;             /* [P] 0 until the child may begin */
    volatile uint64_t in[MEET_WORDS]; /* [P] what the test wants to say */
    volatile uint64_t beats;          /* [C] grows while it makes progress */
    volatile uint64_t faults;         /* [C] checks that failed */
    volatile uint64_t out[MEET_WORDS]; /* [C] */
};

/* The child's: a page for its parent. */
static inline struct meet *meet_offer_to(domid_t parent)
{
    struct meet *m = page_alloc();

    BUG_ON(grant_access(parent, m, false) < 0);
    store_release(&m->magic, MEET_MAGIC);
    return m;
}

static inline struct meet *meet_offer(void)
{
    return meet_offer_to(0);
}

/* The child waits for the parent's word. */
static inline uint64_t meet_wait(struct meet *m)
{
    while (load_acquire(&m->go) == 0)
        sleep_ns(200000);
    return m->go;
}

/* The parent's: one look; true and *mapping if the page was found. */
static inline struct meet *meet_look(unsigned int id,
                                     struct grant_mapping *mapping)
{
    for (grant_ref_t ref = 8; ref < MEET_REFS; ref++) {
        struct meet *m;

        if (grant_map((domid_t)id, &ref, 1, false, mapping) != 0)
            continue;
        m = mapping->address;
        if (load_acquire(&m->magic) == MEET_MAGIC)
            return m;
        grant_unmap(mapping);
    }
    return NULL;
}

/* Until the child has come so far; NULL after twenty seconds, which is for
 * hosts that do other things too. */
static inline struct meet *meet_find(unsigned int id,
                                     struct grant_mapping *mapping)
{
    uint64_t deadline = clock_now() + 20000000000;

    for (;;) {
        struct meet *m = meet_look(id, mapping);

        if (m || clock_now() >= deadline)
            return m;
        sleep_ns(500000);
    }
}

static inline void meet_go(struct meet *m, uint64_t what)
{
    store_release(&m->go, what);
}

#endif
