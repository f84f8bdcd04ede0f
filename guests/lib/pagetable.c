/*
 * The guest's own page tables: looking entries up, adding tables.
 *
 * The builder's tables are kept and extended.  A page becomes a table in
 * this order, as validation demands: fill it, make every mapping of it
 * read-only, name it in its parent.  From then on entries change through
 * hypercalls only.
 */
#include "guests/lib/internal.h"

/* Address space for frames of others, with the same L3 as VIRT_BASE. */
#define WINDOW_BASE  0x4000000000ul
#define WINDOW_PAGES 4096u

static uint64_t *root; /* the L4 */
static uint64_t window_used[WINDOW_PAGES / 64];

static uint64_t *table_of(uint64_t entry)
{
    uint64_t pfn = machine_to_phys_mapping[pte_frame(entry)];

    return (uint64_t *)(VIRT_BASE + (pfn << PAGE_SHIFT));
}

static int write_entry(uint64_t *entry, uint64_t value)
{
    uint64_t machine =
        virt_to_mfn(entry) << PAGE_SHIFT | ((uint64_t)entry & (PAGE_SIZE - 1));
    struct mmu_update update = { .ptr = machine | MMU_NORMAL_PT_UPDATE,
                                 .val = value };

    return (int)hypercall_mmu_update(&update, 1, NULL, DOMID_SELF);
}

/* Make a filled page the table that @parent names.  0 or -Exxx, and then it
 * is an ordinary page again. */
static int hook_table(uint64_t *parent, void *table)
{
    uint64_t frame = virt_to_mfn(table) << PAGE_SHIFT;
    int error = page_set_entry(table, frame | PTE_READ);

    if (!error)
        error = write_entry(parent, frame | PTE_TABLE);
    if (error)
        BUG_ON(page_set_entry(table, frame | PTE_DATA));
    return error;
}

static int add_empty_table(uint64_t *parent)
{
    void *table = page_try_alloc();
    int error;

    if (!table)
        return -ENOMEM;
    error = hook_table(parent, table);
    if (error)
        page_free(table);
    return error;
}

/* The entry of @va in its table of @level, or NULL. */
static uint64_t *walk(uint64_t va, unsigned int level, bool create)
{
    uint64_t *table = root;

    for (unsigned int l = 4;; l--) {
        uint64_t *entry = &table[pt_index(va, l)];

        if (l == level)
            return entry;
        if (!(*entry & PTE_PRESENT)) {
            if (!create || add_empty_table(entry))
                return NULL;
        }
        table = table_of(*entry);
    }
}

const uint64_t *pagetable_entry(uint64_t va, bool create)
{
    return walk(va, 1, create);
}

void pagetable_init(void)
{
    root = (uint64_t *)guest.start->pt_base;
}

/* ---- The rest of the memory that the builder gave. ---- */

static uint64_t own_entry(uint64_t pfn)
{
    return pfn_to_mfn(pfn) << PAGE_SHIFT | PTE_DATA;
}

static uint64_t own_address(uint64_t pfn)
{
    return VIRT_BASE + (pfn << PAGE_SHIFT);
}

/* A whole new table at once: one validation for 512 pages. */
static int map_with_new_table(uint64_t *parent, uint64_t first, uint64_t end)
{
    uint64_t *table = page_try_alloc();
    int error;

    if (!table)
        return -ENOMEM;
    for (uint64_t pfn = first; pfn < end; pfn++)
        table[pfn % PT_ENTRIES] = own_entry(pfn);
    error = hook_table(parent, table);
    if (error)
        page_free(table);
    return error;
}

static int map_in_old_table(uint64_t *table, uint64_t first, uint64_t end)
{
    for (uint64_t pfn = first; pfn < end; pfn++) {
        uint64_t *entry = &table[pfn % PT_ENTRIES];

        if (!(*entry & PTE_PRESENT)) {
            int error = write_entry(entry, own_entry(pfn));

            if (error)
                return error;
        }
    }
    return 0;
}

int pagetable_map_own(uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t next = (first | (PT_ENTRIES - 1)) + 1;
        uint64_t *parent = walk(own_address(first), 2, true);
        int error;

        if (!parent)
            return -ENOMEM;
        if (next > end)
            next = end;
        if (*parent & PTE_PRESENT)
            error = map_in_old_table(table_of(*parent), first, next);
        else
            error = map_with_new_table(parent, first, next);
        if (error)
            return error;
        first = next;
    }
    return 0;
}

/* ---- The window. ---- */

static bool window_is_used(unsigned int page)
{
    return window_used[page / 64] >> page % 64 & 1;
}

static void window_set(unsigned int first, unsigned int n, bool used)
{
    for (unsigned int page = first; page < first + n; page++) {
        uint64_t bit = 1ull << page % 64;

        if (used)
            window_used[page / 64] |= bit;
        else
            window_used[page / 64] &= ~bit;
    }
}

/* The first of n unused pages in a row, or WINDOW_PAGES. */
static unsigned int window_find(unsigned int n)
{
    unsigned int run = 0;

    for (unsigned int page = 0; page < WINDOW_PAGES; page++) {
        run = window_is_used(page) ? 0 : run + 1;
        if (run == n)
            return page + 1 - n;
    }
    return WINDOW_PAGES;
}

void *window_alloc(unsigned int n)
{
    unsigned int first = n ? window_find(n) : WINDOW_PAGES;
    char *address = (char *)WINDOW_BASE + first * PAGE_SIZE;

    if (first == WINDOW_PAGES)
        return NULL;
    for (unsigned int i = 0; i < n; i++)
        if (!pagetable_entry((uint64_t)address + i * PAGE_SIZE, true))
            return NULL;
    window_set(first, n, true);
    return address;
}

void window_free(void *address, unsigned int n)
{
    uint64_t first = ((uint64_t)address - WINDOW_BASE) >> PAGE_SHIFT;

    BUG_ON(first >= WINDOW_PAGES || n > WINDOW_PAGES - first);
    window_set((unsigned int)first, n, false);
}

bool window_has(uint64_t va)
{
    uint64_t page = (va - WINDOW_BASE) >> PAGE_SHIFT;

    return page < WINDOW_PAGES && window_is_used((unsigned int)page);
}
