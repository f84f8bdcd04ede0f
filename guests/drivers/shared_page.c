/*
 * Taking back granted pages: see shared_page.h.
 *
 * A page is in kept as long as its grant stands; the list's nodes are our
 * own memory, since the peer may still write to the page.
 */
#include "guests/drivers/shared_page.h"

#include "guests/lib/guest.h"

struct kept {
    struct list node;
    void *page;
    grant_ref_t ref;
};

#define LAST_CALL 1000000000ull /* ns that a peer has */

static struct list kept = { &kept, &kept };

static void retry(void)
{
    list_for_each_safe(node, &kept) {
        struct kept *k = container_of(node, struct kept, node);

        if (grant_end(k->ref))
            continue;
        page_free(k->page);
        list_remove(&k->node);
        mem_free(k);
    }
}

bool shared_page_free(void *page, grant_ref_t ref)
{
    struct kept *k;

    retry();
    if (grant_end(ref) == 0) {
        page_free(page);
        return true;
    }
    (void)grant_revoke_begin(ref, clock_now() + LAST_CALL);
    k = mem_alloc(sizeof(*k));
    if (k) { /* without a note of it, the page is lost but safe */
        k->page = page;
        k->ref = ref;
        list_add_tail(&k->node, &kept);
    }
    return false;
}
