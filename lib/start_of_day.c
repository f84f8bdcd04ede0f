/* The arithmetic of start_of_day.h; no memory is touched here. */
#include "lib/start_of_day.h"

#include "lib/errno.h"
#include "lib/string.h"

#define DEFAULT_MEM (16ULL << 20)
#define PAGE_SHIFT  12
#define PAGE_SIZE   4096ULL
#define HV_END      0xffff880000000000ULL /* of what is never a guest's */
#define MIB_4       0x400000ULL
#define SLACK       0x80000ULL /* behind the stack */
#define LOWER_END   (1ULL << 47)
#define L1_SHIFT    12 /* an entry of a table of this level maps 1 << shift */
#define TABLE_SHIFT 9

static uint64_t pages(uint64_t bytes)
{
    return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static uint64_t page_up(uint64_t address)
{
    return (address + PAGE_SIZE - 1) & -PAGE_SIZE;
}

uint64_t start_of_day_pages(uint64_t mem, uint64_t ramdisk_size)
{
    return mem ? mem >> PAGE_SHIFT : pages(DEFAULT_MEM + ramdisk_size);
}

/* Page tables below L4 that mapping [start, end) takes. */
static uint64_t tables_below_l4(uint64_t start, uint64_t end)
{
    uint64_t n = 0;

    for (unsigned int level = 1; level <= 3; level++) {
        unsigned int shift = L1_SHIFT + TABLE_SHIFT * level;

        n += ((end - 1) >> shift) - (start >> shift) + 1;
    }
    return n;
}

/* The end of what is mapped, if the stack is the page at @stack; 0 if that
 * is beyond the last address. */
static uint64_t end_for_stack(uint64_t stack)
{
    uint64_t end = (stack + PAGE_SIZE + MIB_4 - 1) & -MIB_4;

    if (end - (stack + PAGE_SIZE) < SLACK)
        end += MIB_4;
    return end;
}

/* May a guest have [start, end)?  The top 4 MiB are left alone, so that no
 * sum here can wrap. */
static bool is_guest_range(uint64_t start, uint64_t end)
{
    if (start >= end)
        return false;
    return end <= LOWER_END || (start >= HV_END && end <= -MIB_4);
}

/* Mapping the tables takes tables: the first number that is enough. */
static bool place_tables(struct start_of_day *s)
{
    for (s->nr_tables = 4;; s->nr_tables++) {
        s->stack = s->tables + s->nr_tables * PAGE_SIZE;
        s->end = end_for_stack(s->stack);
        if (!is_guest_range(s->base, s->end))
            return false;
        if (1 + tables_below_l4(s->base, s->end) <= s->nr_tables)
            return true;
    }
}

static uint64_t take(uint64_t *at, uint64_t size)
{
    uint64_t start = *at;

    *at = page_up(start + size);
    return start;
}

/* What is mapped from base on, in the order of Xen's ABI. */
static bool place_mapped(struct start_of_day *s, const struct elf_image *elf,
                         uint64_t ramdisk_size, bool rings)
{
    uint64_t at = page_up(elf->high);

    if (ramdisk_size > 0 && !elf->mod_start_pfn)
        s->ramdisk = take(&at, ramdisk_size);
    if (!elf->init_p2m)
        s->p2m = take(&at, s->p2m_pages * PAGE_SIZE);
    s->start_info = take(&at, PAGE_SIZE);
    if (rings) {
        s->store = take(&at, PAGE_SIZE);
        s->console = take(&at, PAGE_SIZE);
    }
    s->tables = at;

    return is_guest_range(s->base, at) && place_tables(s);
}

static uint64_t pfn_of(const struct start_of_day *s, uint64_t va)
{
    return (va - s->base) >> PAGE_SHIFT;
}

/* What has frames behind those that are mapped from base on. */
static bool place_unmapped(struct start_of_day *s, const struct elf_image *elf,
                           uint64_t ramdisk_size)
{
    uint64_t p2m_end = elf->init_p2m + s->p2m_pages * PAGE_SIZE;

    s->used = pfn_of(s, s->end);
    s->ramdisk_pfn = s->ramdisk ? pfn_of(s, s->ramdisk) : s->used;
    if (!s->ramdisk)
        s->used += pages(ramdisk_size);
    if (!elf->init_p2m) {
        s->p2m_pfn = pfn_of(s, s->p2m);
        return true;
    }
    s->p2m = elf->init_p2m;
    if (!is_guest_range(s->p2m, p2m_end) ||
        (s->p2m < s->end && p2m_end > s->base))
        return false;
    /* Some of these tables may turn out to be shared with the others. */
    s->p2m_tables = tables_below_l4(s->p2m, p2m_end);
    s->p2m_table_pfn = s->used;
    s->p2m_pfn = s->p2m_table_pfn + s->p2m_tables;
    s->used = s->p2m_pfn + s->p2m_pages;
    return true;
}

int start_of_day_plan(struct start_of_day *s, const struct elf_image *elf,
                      uint64_t nr_pages, uint64_t ramdisk_size, bool rings,
                      const char **why)
{
    memset(s, 0, sizeof(*s));
    s->nr_pages = nr_pages;
    s->base = elf->virt_base;
    s->p2m_pages = pages(nr_pages * sizeof(uint64_t));

    if (!place_mapped(s, elf, ramdisk_size, rings)) {
        *why = "the image and what follows it reach where no guest may be";
        return -EINVAL;
    }
    if (!place_unmapped(s, elf, ramdisk_size)) {
        *why = "INIT_P2M lies on the image or where no guest may be";
        return -EINVAL;
    }
    return s->used > nr_pages ? -ENOMEM : 0;
}
