/*
 * RAM before there is a frame table: a short sorted list of free ranges.
 * Ranges are whole pages; what is reserved splits them.
 */
#include "hv/x86/boot.h"

#include "hv/console.h"
#include "hv/x86/page.h"
#include "lib/string.h"

#define MAX_RANGES 128u
#define LOW_MEMORY 0x100000u /* below: BIOS data, AP start-up; never used */

struct range {
    uint64_t start, end;
};

static struct range ram[MAX_RANGES], available[MAX_RANGES];
static unsigned int nr_ram, nr_available;

static void insert(struct range *list, unsigned int *n, unsigned int at,
                   struct range r)
{
    if (*n == MAX_RANGES)
        panic("memory map has more than %u pieces", MAX_RANGES);
    memmove(&list[at + 1], &list[at], (*n - at) * sizeof(*list));
    list[at] = r;
    (*n)++;
}

void boot_memory_add(uint64_t start, uint64_t end)
{
    struct range r = { (start + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1),
                       end & ~(uint64_t)(PAGE_SIZE - 1) };

    if (r.start >= r.end)
        return;
    insert(ram, &nr_ram, nr_ram, r);
    if (r.end <= LOW_MEMORY)
        return;
    if (r.start < LOW_MEMORY)
        r.start = LOW_MEMORY;
    insert(available, &nr_available, nr_available, r);
}

void boot_memory_reserve(uint64_t start, uint64_t end)
{
    start &= ~(uint64_t)(PAGE_SIZE - 1);
    end = (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);

    for (unsigned int i = 0; i < nr_available; i++) {
        struct range *r = &available[i];
        struct range after = { end, r->end };

        if (r->end <= start || r->start >= end)
            continue;
        r->end = r->start < start ? start : r->start;
        if (after.start < after.end)
            insert(available, &nr_available, i + 1, after);
    }
}

void *boot_memory_alloc(size_t pages)
{
    uint64_t size = pages * PAGE_SIZE;

    for (unsigned int i = 0; i < nr_available; i++) {
        struct range *r = &available[i];

        if (r->end - r->start < size)
            continue;
        r->start += size;
        return memset(directmap + r->start - size, 0, size);
    }
    panic("no %lu KiB of memory in one piece for the hypervisor", size >> 10);
}

uint64_t boot_memory_top(void)
{
    uint64_t top = 0;

    for (unsigned int i = 0; i < nr_ram; i++)
        if (ram[i].end > top)
            top = ram[i].end;
    return top;
}

void boot_memory_for_each(void (*fn)(uint64_t start, uint64_t end))
{
    for (unsigned int i = 0; i < nr_available; i++)
        if (available[i].start < available[i].end)
            fn(available[i].start, available[i].end);
}

bool boot_memory_is_ram(uint64_t maddr)
{
    for (unsigned int i = 0; i < nr_ram; i++)
        if (maddr >= ram[i].start && maddr < ram[i].end)
            return true;
    return false;
}
