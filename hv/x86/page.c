/*
 * The frame table: ownership, references and types of machine frames.
 *
 * A frame is free exactly when its count is 0, and a frame with a use as one
 * type is never used as another.  Types other than PAGE_WRITABLE are taken
 * and put with the owner's pt_lock held; only the step from "no use" is
 * contended, with writable mappings, and that is one compare-and-swap.
 */
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/refused.h"
#include "hv/x86/page.h"

/* Rare paths, kept out of the short functions that every mapping calls. */
#define NOINLINE __attribute__((noinline))

/* ---- The owner's list: circular; frames with neither their owner's own
 * reference nor a hold stand behind all others, so that relinquishing only
 * looks at the head.  domain.lock held. ---- */

static void list_insert(struct domain *d, struct page *page, bool at_head)
{
    uint32_t mfn = (uint32_t)mfn_of(page);

    if (!d->page_list) {
        page->next = page->prev = mfn;
        d->page_list = mfn;
        return;
    }

    struct page *head = page_of(d->page_list);

    page->next = d->page_list;
    page->prev = head->prev;
    page_of(head->prev)->next = mfn;
    head->prev = mfn;
    if (at_head)
        d->page_list = mfn;
}

static void list_unlink(struct domain *d, struct page *page)
{
    uint32_t mfn = (uint32_t)mfn_of(page);

    if (page->next == mfn) {
        d->page_list = 0;
    } else {
        page_of(page->prev)->next = page->next;
        page_of(page->next)->prev = page->prev;
        if (d->page_list == mfn)
            d->page_list = page->next;
    }
    page->next = page->prev = 0;
}

static bool is_kept(const struct page *page)
{
    return (read_once(&page->count) & PAGE_ALLOCATED) ||
           (read_once(&page->type) & PAGE_HOLDS);
}

/* Put the frame where it belongs after PAGE_ALLOCATED or a hold changed.  The
 * caller holds a reference. */
static void list_settle(struct domain *d, struct page *page)
{
    spin_lock(&d->lock);
    list_unlink(d, page);
    list_insert(d, page, is_kept(page));
    spin_unlock(&d->lock);
}

/* ---- References. ---- */

/* The domain has one frame less; true if it was the last. */
static bool domain_page_drop(struct domain *d, struct page *page)
{
    spin_lock(&d->lock);
    list_unlink(d, page);
    uint64_t left = d->nr_pages - 1;

    write_once(&d->nr_pages, left);
    spin_unlock(&d->lock);
    return left == 0;
}

/* The count is 0: nobody else can find the frame any more.  What the
 * hypervisor shared has no owner by now. */
void page_last_put(struct page *page)
{
    struct domain *d = page->owner;
    bool last = false;

    BUG_ON(read_once(&page->type) & PAGE_TYPE_COUNT_MASK);
    if (d) {
        tlb_flush_domain(d);
        m2p[mfn_of(page)] = M2P_INVALID;
        last = domain_page_drop(d, page);
    }
    write_once(&page->owner, NULL);
    write_once(&page->type, PAGE_NONE);
    write_once(&page->count, PAGE_RAM);
    alloc_put(page);

    if (last)
        domain_put(d);
}

/* Drop the reference that PAGE_ALLOCATED stands for, once. */
static bool allocation_put(struct page *page)
{
    uint64_t x = read_once(&page->count);

    do {
        if (!(x & PAGE_ALLOCATED))
            return false;
    } while (!atomic_cas(&page->count, &x, x & ~PAGE_ALLOCATED));

    page_put(page);
    return true;
}

void page_free(struct page *page)
{
    BUG_ON(!allocation_put(page));
}

/* ---- Types. ---- */

/* The frame had no uses: it has one as @type now, which keeps others out. */
static NOINLINE int type_begin(struct page *page, uint64_t old, uint64_t type)
{
    if (old != type && old != PAGE_NONE && page->owner)
        tlb_flush_domain(page->owner);
    if (type != PAGE_SEGDESC || descriptors_adjust(page))
        return 0;

    store_release(&page->type, PAGE_NONE);
    return -EINVAL;
}

static NOINLINE int type_refused(void)
{
    return refuse(-EINVAL, "the frame is in use as something else");
}

int page_get_type(struct page *page, uint64_t type)
{
    uint64_t x = read_once(&page->type), next;

    do {
        uint64_t n = x & PAGE_TYPE_COUNT_MASK;

        if (n == PAGE_TYPE_COUNT_MASK ||
            (n != 0 && (x & PAGE_TYPE_MASK) != type))
            return type_refused();
        next = n ? x + 1 : type | 1;
    } while (!atomic_cas(&page->type, &x, next));

    /* Used as this before, or writable again: nothing to be done. */
    if ((x & PAGE_TYPE_COUNT_MASK) || (x == PAGE_WRITABLE && x == type))
        return 0;

    return type_begin(page, x, type);
}

int page_get_and_type(mfn_t mfn, const struct domain *d, uint64_t type)
{
    struct page *page = page_get_mfn(mfn, d);

    if (!page)
        return -EINVAL;

    int rc = page_get_type(page, type);

    if (rc)
        page_put(page);
    return rc;
}

void page_put_and_type(struct page *page)
{
    page_put_type(page);
    page_put(page);
}

void page_set_hold(struct page *page, uint64_t hold, bool on)
{
    if (on)
        __atomic_fetch_or(&page->type, hold, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&page->type, ~hold, __ATOMIC_SEQ_CST);

    if (!(read_once(&page->count) & PAGE_ALLOCATED))
        list_settle(page->owner, page);
}

/* ---- Frames of a domain. ---- */

/* Count the frame in, if the domain may have one more. */
static bool domain_page_add(struct domain *d, struct page *page)
{
    spin_lock(&d->lock);
    bool fits = d->state != DOMAIN_DYING && d->nr_pages < d->max_pages;

    if (fits) {
        if (d->nr_pages == 0)
            (void)atomic_add_return(&d->refs, 1);
        write_once(&d->nr_pages, d->nr_pages + 1);
        list_insert(d, page, true);
        store_release(&page->owner, d);
    }
    spin_unlock(&d->lock);

    return fits;
}

struct page *domain_page_alloc(struct domain *d)
{
    struct page *page = page_alloc();

    if (page && !domain_page_add(d, page)) {
        page_free(page);
        return NULL;
    }
    return page;
}

bool domain_page_release(struct domain *d, struct page *page)
{
    if (read_once(&page->count) & PAGE_SHARED)
        return false;
    if (!allocation_put(page))
        return false;

    list_settle(d, page);
    return true;
}

void page_share(struct page *page, struct domain *d)
{
    __atomic_fetch_or(&page->count, PAGE_SHARED, __ATOMIC_SEQ_CST);
    write_once(&page->type, PAGE_WRITABLE | 1);
    store_release(&page->owner, d);
}

void page_unshare(struct page *page)
{
    struct domain *d = page->owner;

    store_release(&page->owner, NULL);
    __atomic_fetch_and(&page->count, ~PAGE_SHARED, __ATOMIC_SEQ_CST);
    page_put_type(page);
    tlb_flush_domain(d);
    m2p[mfn_of(page)] = M2P_INVALID;
}

/* The next frame that its owner or a hold still keeps, with a reference. */
static struct page *kept_page_get(struct domain *d)
{
    spin_lock(&d->lock);
    struct page *page = d->page_list ? page_of(d->page_list) : NULL;

    if (page && !(is_kept(page) && page_hold(page)))
        page = NULL;
    spin_unlock(&d->lock);

    return page;
}

bool domain_pages_relinquish(struct domain *d)
{
    for (unsigned int budget = 128; budget; budget--) {
        struct page *page = kept_page_get(d);

        if (!page)
            return true;

        spin_lock(&d->pt_lock);
        bool table = pagetable_relinquish(page);

        (void)domain_page_release(d, page);
        page_put(page);
        spin_unlock(&d->pt_lock);
        if (table)
            return false;
    }

    return false;
}
