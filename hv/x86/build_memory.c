/*
 * Memory of a domain under construction (build.h): frames, contents, and
 * page tables, which are written here and validated by the caller.
 */
#include "hv/x86/build.h"

#include "hv/x86/hypercall_page.h"
#include "hv/x86/pte.h"
#include "lib/string.h"

#define PER_PAGE   (PAGE_SIZE / sizeof(uint64_t))
#define TABLE_BITS (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define READ_ONLY  (TABLE_BITS & ~PTE_RW)

/* ---- Frames. ---- */

static uint64_t *list_page(const struct build *b, uint64_t index)
{
    return b->list[index / PER_PAGE][index % PER_PAGE];
}

mfn_t build_mfn(const struct build *b, uint64_t pfn)
{
    return list_page(b, pfn / PER_PAGE)[pfn % PER_PAGE];
}

mfn_t build_mfn_at(const struct build *b, uint64_t va)
{
    return build_mfn(b, (va - b->plan.base) >> PAGE_SHIFT);
}

void *build_page_at(const struct build *b, uint64_t va)
{
    return mfn_to_virt(build_mfn_at(b, va));
}

static void set_frame(struct build *b, uint64_t pfn, mfn_t mfn)
{
    list_page(b, pfn / PER_PAGE)[pfn % PER_PAGE] = mfn;
    m2p[mfn] = pfn;
}

static int add_list_page(struct build *b, uint64_t index)
{
    uint64_t ***part = &b->list[index / PER_PAGE];
    struct page *page;

    if (!*part)
        *part = alloc_page_memory();
    page = *part ? domain_page_alloc(b->d) : NULL;
    if (!page)
        return -ENOMEM;
    (*part)[index % PER_PAGE] = mfn_to_virt(mfn_of(page));
    return 0;
}

/* The list's own frames come first: the others are written into them. */
static int alloc_list(struct build *b)
{
    const struct start_of_day *plan = &b->plan;

    b->list = alloc_page_memory();
    if (!b->list)
        return -ENOMEM;
    for (uint64_t i = 0; i < plan->p2m_pages; i++)
        if (add_list_page(b, i))
            return -ENOMEM;
    for (uint64_t i = 0; i < plan->p2m_pages; i++)
        set_frame(b, plan->p2m_pfn + i, virt_to_mfn(list_page(b, i)));
    return 0;
}

int build_frames(struct build *b)
{
    const struct start_of_day *plan = &b->plan;
    struct page *page;

    if (alloc_list(b))
        return -ENOMEM;
    for (uint64_t pfn = 0; pfn < plan->nr_pages; pfn++) {
        if (pfn - plan->p2m_pfn < plan->p2m_pages)
            continue;
        page = domain_page_alloc(b->d);
        if (!page)
            return -ENOMEM;
        set_frame(b, pfn, mfn_of(page));
    }
    return 0;
}

void build_forget(struct build *b)
{
    if (!b->list)
        return;
    for (unsigned int i = 0; i < PER_PAGE && b->list[i]; i++)
        free_page_memory(b->list[i]);
    free_page_memory(b->list);
}

/* ---- Contents. ---- */

/* Copy to consecutive frames, from byte @offset of frame @pfn on. */
static void copy_in(struct build *b, uint64_t pfn, uint64_t offset,
                    const uint8_t *data, uint64_t size)
{
    while (size > 0) {
        uint64_t n = PAGE_SIZE - offset < size ? PAGE_SIZE - offset : size;

        memcpy((char *)mfn_to_virt(build_mfn(b, pfn)) + offset, data, n);
        data += n;
        size -= n;
        pfn++;
        offset = 0;
    }
}

/* Frames come zeroed, so what a segment has beyond the file is done. */
static void copy_image(struct build *b)
{
    uint64_t dest, file_size, mem_size;
    const uint8_t *data;

    for (unsigned int i = 0;
         elf_segment(&b->elf, i, &data, &dest, &file_size, &mem_size); i++)
        copy_in(b, (dest - b->plan.base) >> PAGE_SHIFT, dest % PAGE_SIZE, data,
                file_size);
}

void build_contents(struct build *b)
{
    const struct module *ramdisk = b->module->ramdisk;

    copy_image(b);
    if (ramdisk)
        copy_in(b, b->plan.ramdisk_pfn, 0, ramdisk->image, ramdisk->size);
    if (b->elf.hypercall_page)
        hypercall_page_fill(build_page_at(b, b->elf.hypercall_page));
}

/* ---- Page tables. ---- */

/* The L1 entry for @va, with the tables above it made as needed; NULL if
 * the frames for tables have run out. */
static uint64_t *l1_entry(struct build *b, uint64_t va)
{
    uint64_t *table = mfn_to_virt(b->root);

    for (unsigned int level = 4; level > 1; level--) {
        uint64_t *entry = &table[pt_index(va, level)];

        if (*entry == 0) {
            if (b->next_table == b->tables_end)
                return NULL;
            *entry = build_mfn(b, b->next_table++) << PAGE_SHIFT | TABLE_BITS;
        }
        table = mfn_to_virt(pte_frame(*entry));
    }
    return &table[pt_index(va, 1)];
}

static int map(struct build *b, uint64_t va, uint64_t pfn, uint64_t count,
               uint64_t bits)
{
    for (; count > 0; count--, pfn++, va += PAGE_SIZE) {
        uint64_t *entry = l1_entry(b, va);

        if (!entry)
            return -ENOMEM;
        *entry = build_mfn(b, pfn) << PAGE_SHIFT | bits;
    }
    return 0;
}

static int map_p2m(struct build *b)
{
    const struct start_of_day *plan = &b->plan;

    if (plan->p2m_tables == 0)
        return 0;
    b->next_table = plan->p2m_table_pfn;
    b->tables_end = plan->p2m_table_pfn + plan->p2m_tables;
    return map(b, plan->p2m, plan->p2m_pfn, plan->p2m_pages, TABLE_BITS);
}

int build_tables(struct build *b)
{
    const struct start_of_day *plan = &b->plan;
    uint64_t first = (plan->tables - plan->base) >> PAGE_SHIFT;
    int rc;

    b->root = build_mfn(b, first);
    b->next_table = first + 1;
    b->tables_end = first + plan->nr_tables;
    rc = map(b, plan->base, 0, (plan->end - plan->base) >> PAGE_SHIFT,
             TABLE_BITS);
    if (!rc)
        rc = map(b, plan->tables, first, plan->nr_tables, READ_ONLY);
    return rc ? rc : map_p2m(b);
}
