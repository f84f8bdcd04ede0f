/*
 * Free frames: one list of single frames.
 *
 * A frame on the list has no references and no owner, and holds zeros,
 * unless PAGE_UNSCRUBBED says that nobody has cleared it since boot.  Frames
 * are scrubbed when they come back, so no secret waits in free memory.
 */
#include "hv/x86/page.h"
#include "lib/spinlock.h"
#include "lib/string.h"

static spinlock_t alloc_lock; /* guards the three below and the links */
static uint32_t free_list;
static uint64_t free_pages, total_pages;

bool mfn_is_ram(mfn_t mfn)
{
    return mfn < max_mfn && (read_once(&page_of(mfn)->count) & PAGE_RAM);
}

static void free_list_push(struct page *page)
{
    page->next = free_list;
    free_list = (uint32_t)mfn_of(page);
    free_pages++;
}

void alloc_add_range(mfn_t first, mfn_t end)
{
    spin_lock(&alloc_lock);
    for (mfn_t mfn = first ? first : 1; mfn < end && mfn < max_mfn; mfn++) {
        struct page *page = page_of(mfn);

        *page = (struct page){ .count = PAGE_RAM | PAGE_UNSCRUBBED };
        m2p[mfn] = M2P_INVALID;
        free_list_push(page);
        total_pages++;
    }
    spin_unlock(&alloc_lock);
}

struct page *page_alloc(void)
{
    struct page *page = NULL;

    spin_lock(&alloc_lock);
    if (free_list) {
        page = page_of(free_list);
        free_list = page->next;
        free_pages--;
    }
    spin_unlock(&alloc_lock);
    if (!page)
        return NULL;

    if (read_once(&page->count) & PAGE_UNSCRUBBED)
        memset(mfn_to_virt(mfn_of(page)), 0, PAGE_SIZE);
    page->next = page->prev = 0;
    /* Published last: from here on others may try to take references. */
    store_release(&page->count, PAGE_RAM | PAGE_ALLOCATED | 1);

    return page;
}

void alloc_put(struct page *page)
{
    memset(mfn_to_virt(mfn_of(page)), 0, PAGE_SIZE);
    spin_lock(&alloc_lock);
    free_list_push(page);
    spin_unlock(&alloc_lock);
}

void *alloc_page_memory(void)
{
    struct page *page = page_alloc();

    return page ? mfn_to_virt(mfn_of(page)) : NULL;
}

void free_page_memory(void *va)
{
    if (va)
        page_free(page_of(virt_to_mfn(va)));
}

uint64_t alloc_free_pages(void)
{
    return read_once(&free_pages);
}

uint64_t alloc_total_pages(void)
{
    return read_once(&total_pages);
}

uint64_t alloc_audit(void)
{
    uint64_t seen = 0;

    for (uint32_t mfn = free_list; mfn && seen <= total_pages;
         mfn = page_of(mfn)->next)
        seen++;

    return seen;
}
