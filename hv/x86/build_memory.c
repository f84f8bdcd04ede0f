/*
 * Memory of a domain under construction (build.h): frames, contents, and
 * page tables, which are written here and validated by the caller.
 */
#include "hv/x86/build.h"

#include "hv/x86/pte.h"
#include "lib/string.h"

#define PER_PAGE   (PAGE_SIZE / sizeof(uint64_t))
#define TABLE_BITS (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define READ_ONLY  (TABLE_BITS & ~PTE_RW)

/* ---- Frames. ---- */

/* The domain's own list has its frames in order.  What is built is built in
 * order too, as a rule, so the next frame is near the last one. */
mfn_t build_mfn(struct build *b, uint64_t pfn)
{
    if (!b->last || pfn < b->last_pfn) {
        b->last = b->d->page_list;
        b->last_pfn = 0;
    }
    for (; b->last_pfn < pfn; b->last_pfn++)
        b->last = page_of(b->last)->next;
    return b->last;
}

mfn_t build_mfn_at(struct build *b, uint64_t va)
{
    return build_mfn(b, (va - b->plan.base) >> PAGE_SHIFT);
}

void *build_page_at(struct build *b, uint64_t va)
{
    return mfn_to_virt(build_mfn_at(b, va));
}

int build_frames(struct build *b)
{
    for (uint64_t n = b->plan.nr_pages; n > 0; n--)
        if (!domain_page_alloc(b->d))
            return -ENOMEM;
    return 0;
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

/* The guest's list of its frames, and the machine's of whose they are. */
static void write_p2m(struct build *b)
{
    mfn_t mfn = b->d->page_list;
    uint64_t *list = NULL;

    for (uint64_t pfn = 0; pfn < b->plan.nr_pages; pfn++) {
        if (pfn % PER_PAGE == 0)
            list = mfn_to_virt(build_mfn(b, b->plan.p2m_pfn + pfn / PER_PAGE));
        list[pfn % PER_PAGE] = mfn;
        m2p[mfn] = pfn;
        mfn = page_of(mfn)->next;
    }
}

void build_contents(struct build *b)
{
    const struct module *ramdisk = b->module->ramdisk;

    write_p2m(b);
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
