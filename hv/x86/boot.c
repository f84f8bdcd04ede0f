/*
 * The first C: read what GRUB left (multiboot2), claim memory, and go over
 * to the final address space and CPU 0's own stack.
 */
#include "hv/x86/boot.h"

#include "hv/console.h"
#include "hv/machine.h"
#include "hv/modules.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "lib/string.h"

/* Multiboot2 (the specification's section 3.6): tags, 8-byte aligned. */
enum {
    TAG_END = 0,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_RSDP_V1 = 14,
    TAG_RSDP_V2 = 15,
};

struct tag {
    uint32_t type, size;
};

struct tag_module {
    struct tag tag;
    uint32_t start, end;
    char line[];
};

struct tag_memory_map {
    struct tag tag;
    uint32_t entry_size, entry_version; /* and the entries */
};

struct memory_map_entry {
    uint64_t start, length;
    uint32_t type, reserved;
};
#define MEMORY_RAM 1u

void boot_main(uint32_t info);
_Noreturn void switch_stack(uint64_t rsp, void (*fn)(void));
extern char image_end[];

static const struct tag *first_tag, *tags_end;

/* The first tag of the type, or the next one behind @t; NULL at the end. */
static const void *find_tag(uint32_t type, const struct tag *t)
{
    do
        t = t ? (const struct tag *)((const char *)t + ((t->size + 7) & ~7u)) :
                first_tag;
    while (t < tags_end && t->type != type && t->type != TAG_END);
    return t < tags_end && t->type == type ? t : NULL;
}

static void read_memory_map(void)
{
    const struct tag_memory_map *map = find_tag(TAG_MEMORY_MAP, NULL);
    struct memory_map_entry e;

    if (!map)
        panic("GRUB passed no memory map");
    for (uint32_t o = sizeof(*map); o + sizeof(e) <= map->tag.size;
         o += map->entry_size) {
        memcpy(&e, (const char *)map + o, sizeof(e));
        if (e.type == MEMORY_RAM)
            boot_memory_add(e.start, e.start + e.length);
    }
}

/* The lines stay where they are: the information structure is reserved. */
static void read_modules(void)
{
    const struct tag_module *m = find_tag(TAG_MODULE, NULL);

    for (; m; m = find_tag(TAG_MODULE, &m->tag)) {
        boot_memory_reserve(m->start, m->end);
        modules_add(m->line, m->start, m->end - m->start);
    }
}

void boot_main(uint32_t info)
{
    const struct tag *rsdp;

    boot_tsc = stamp_now();
    directmap = (char *)DIRECTMAP_BASE;
    serial_init();
    printk("Belfry %s\n", BELFRY_VERSION);

    first_tag = (const struct tag *)(directmap + info + 8);
    tags_end = (const struct tag *)(directmap + info +
                                    *(const uint32_t *)(directmap + info));
    read_memory_map();
    boot_memory_reserve(0x200000, (uint64_t)image_end - IMAGE_BASE);
    boot_memory_reserve(info, (uint64_t)((const char *)tags_end - directmap));
    read_modules();
    rsdp = find_tag(TAG_RSDP_V2, NULL);
    if (!rsdp)
        rsdp = find_tag(TAG_RSDP_V1, NULL);
    acpi_init(rsdp ? rsdp + 1 : NULL);

    paging_init();
    switch_stack((uint64_t)(STACKS_BASE + STACK_BLOCK_SIZE -
                            sizeof(struct cpu)),
                 hv_main);
}
