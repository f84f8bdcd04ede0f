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

static struct range available[MAX_RANGES];
static unsigned int nr_available;
static uint64_t top;

static void insert(unsigned int at, struct range r)
{
    if (nr_available == MAX_RANGES)
        panic("memory map has more than %u pieces", MAX_RANGES);
    memmove(&available[at + 1], &available[at],
            (nr_available - at) * sizeof(r));
    available[at] = r;
    nr_available++;
}

void boot_memory_add(uint64_t start, uint64_t end)
{
    struct range r = { (start + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1),
                       end & ~(uint64_t)(PAGE_SIZE - 1) };

    if (r.start < LOW_MEMORY)
        r.start = LOW_MEMORY;
    if (r.start >= r.end)
        return;
    insert(nr_available, r);
    if (r.end > top)
        top = r.end;
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
            insert(i + 1, after);
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
    return top;
}

void boot_memory_for_each(void (*fn)(uint64_t first, uint64_t end))
{
    for (unsigned int i = 0; i < nr_available; i++)
        fn(available[i].start >> PAGE_SHIFT, available[i].end >> PAGE_SHIFT);
}
