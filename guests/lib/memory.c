/*
 * Own pages: which are free, where they are, handing them out.
 *
 * Every own page is mapped at VIRT_BASE plus its pseudo-physical address.
 * The builder mapped the first of them; memory_init maps the rest.  One bit
 * a page says that it is free; the pages of the image, the ramdisk, the
 * builder's tables and our own page tables never become free.
 */
#include "guests/lib/internal.h"

static uint64_t nr_pages;  /* in that list */
static uint64_t *free_map; /* one bit a page, set: free */
static uint64_t nr_words;
static uint64_t nr_free;
static uint64_t hint; /* the word where the last search ended */

static void *pfn_to_virt(uint64_t pfn)
{
    return (void *)(VIRT_BASE + (pfn << PAGE_SHIFT));
}

static uint64_t virt_to_pfn(const void *va)
{
    uint64_t pfn = ((uint64_t)va - VIRT_BASE) >> PAGE_SHIFT;

    BUG_ON((uint64_t)va < VIRT_BASE || pfn >= guest.start->nr_pages);
    return pfn;
}

uint64_t pfn_to_mfn(uint64_t pfn)
{
    const unsigned long *list = (const unsigned long *)guest.start->mfn_list;

    return list[pfn];
}

uint64_t virt_to_mfn(const void *va)
{
    return pfn_to_mfn(virt_to_pfn(va));
}

bool is_own_memory(const void *va, size_t n)
{
    uint64_t begin = (uint64_t)va, end = begin + n;

    return begin >= VIRT_BASE && end >= begin &&
           end <= VIRT_BASE + (guest.start->nr_pages << PAGE_SHIFT);
}

int page_set_entry(const void *va, uint64_t pte)
{
    return (int)hypercall_update_va_mapping(va, pte, UVMF_INVLPG);
}

int map_frame_at(void *page, uint64_t mfn, bool writable)
{
    return page_set_entry(page,
                          mfn << PAGE_SHIFT | (writable ? PTE_DATA : PTE_READ));
}

/* ---- The free map. ---- */

static bool is_free(uint64_t pfn)
{
    return free_map[pfn / 64] >> pfn % 64 & 1;
}

static void set_free(uint64_t first, uint64_t n)
{
    for (uint64_t pfn = first; pfn < first + n; pfn++)
        free_map[pfn / 64] |= 1ull << pfn % 64;
    nr_free += n;
}

static void set_used(uint64_t first, uint64_t n)
{
    for (uint64_t pfn = first; pfn < first + n; pfn++)
        free_map[pfn / 64] &= ~(1ull << pfn % 64);
    nr_free -= n;
}

size_t pages_available(void)
{
    return nr_free;
}

void *page_try_alloc(void)
{
    for (uint64_t i = 0; i < nr_words; i++) {
        uint64_t w = (hint + i) % nr_words;

        if (free_map[w]) {
            uint64_t pfn = w * 64 + (uint64_t)__builtin_ctzll(free_map[w]);

            hint = w;
            set_used(pfn, 1);
            return memset(pfn_to_virt(pfn), 0, PAGE_SIZE);
        }
    }
    return NULL;
}

void *page_alloc(void)
{
    void *page = page_try_alloc();

    if (!page)
        panic("out of memory: %lu pages are too few", nr_pages);
    return page;
}

void page_free(void *page)
{
    pages_free(page, 1);
}

/* The first of n free pages in a row, or nr_pages. */
static uint64_t find_run(unsigned int n)
{
    uint64_t run = 0;

    for (uint64_t pfn = 0; pfn < nr_pages; pfn++) {
        run = is_free(pfn) ? run + 1 : 0;
        if (run == n)
            return pfn + 1 - n;
    }
    return nr_pages;
}

void *pages_alloc(unsigned int n)
{
    uint64_t first;

    if (n == 0 || n > nr_free)
        return NULL;
    if (n == 1)
        return page_try_alloc();
    first = find_run(n);
    if (first == nr_pages)
        return NULL;
    set_used(first, n);
    return memset(pfn_to_virt(first), 0, n * PAGE_SIZE);
}

void pages_free(void *pages, unsigned int n)
{
    uint64_t first = virt_to_pfn(pages);

    BUG_ON((uint64_t)pages % PAGE_SIZE || n > nr_pages - first);
    for (uint64_t pfn = first; pfn < first + n; pfn++)
        BUG_ON(is_free(pfn));
    set_free(first, n);
}

/* ---- Start. ---- */

/* The builder's tables come last, but for a stack that we have left. */
static uint64_t first_unused(void)
{
    return virt_to_pfn((void *)guest.start->pt_base) +
           guest.start->nr_pt_frames;
}

static uint64_t end_of_mapped(uint64_t pfn)
{
    while (pfn < nr_pages) {
        const uint64_t *entry =
            pagetable_entry((uint64_t)pfn_to_virt(pfn), false);

        if (!entry || !(*entry & PTE_PRESENT))
            break;
        pfn++;
    }
    return pfn;
}

void memory_init(void)
{
    uint64_t first, mapped, map_pages;

    nr_pages = guest.start->nr_pages;
    pagetable_init();

    /* The map itself takes the first unused pages. */
    first = first_unused();
    mapped = end_of_mapped(first);
    nr_words = (nr_pages + 63) / 64;
    map_pages = (nr_words * 8 + PAGE_SIZE - 1) >> PAGE_SHIFT;
    BUG_ON(mapped < first + map_pages);
    free_map = pfn_to_virt(first);
    memset(free_map, 0, map_pages << PAGE_SHIFT);
    first += map_pages;

    set_free(first, mapped - first);
    if (pagetable_map_own(mapped, nr_pages))
        panic("no memory to map memory");
    set_free(mapped, nr_pages - mapped);
}
