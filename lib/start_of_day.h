/*
 * Where everything lies in a PV64 domain when its first vCPU starts: pure
 * arithmetic, from the image's addresses to one list of virtual addresses.
 *
 * From VIRT_BASE on, one frame a page: the image, the ramdisk, the list of
 * frames (p2m), start_info, the store's and the console's page, the page
 * tables, the stack; all of it ends on 4 MiB with at least 512 KiB to spare.
 * A ramdisk that need not be mapped and a p2m list that has a place of its
 * own (INIT_P2M) have the frames behind that.
 *
 * The hypervisor builds by it, and the host tool checks by it beforehand that
 * a domain fits in its memory.
 */
#ifndef LIB_START_OF_DAY_H
#define LIB_START_OF_DAY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/elf.h"

struct start_of_day {
    uint64_t nr_pages; /* of the whole domain */
    uint64_t base, end; /* virtual: what the first page tables map */

    uint64_t ramdisk;  /* virtual, 0: not mapped */
    uint64_t p2m;      /* virtual, of the list of frames */
    uint64_t start_info;
    uint64_t store, console; /* 0: none */
    uint64_t tables, nr_tables;
    uint64_t stack;

    uint64_t ramdisk_pfn;
    uint64_t p2m_pfn, p2m_pages;         /* of the list */
    uint64_t p2m_table_pfn, p2m_tables;  /* page tables for INIT_P2M alone */
    uint64_t used;                       /* frames below this one are taken */
};

/* Pages of a domain whose line gives it @mem bytes (0: no mem=, then it gets
 * its ramdisk of so many bytes on top of 16 MiB). */
uint64_t start_of_day_pages(uint64_t mem, uint64_t ramdisk_size);

/*
 * Lay out a domain of @nr_pages with a ramdisk of @ramdisk_size bytes.
 * @rings: it gets a store and a console page.  0; -ENOMEM it does not fit
 * (*used says how many pages it takes); -EINVAL an address lies where it
 * cannot, with a sentence in *why.
 */
int start_of_day_plan(struct start_of_day *s, const struct elf_image *elf,
                      uint64_t nr_pages, uint64_t ramdisk_size, bool rings,
                      const char **why);

#endif
