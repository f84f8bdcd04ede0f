/*
 * A domain under construction: what builder.c (decisions) and
 * build_memory.c (frames, contents, page tables) share.
 *
 * Nobody else knows the domain yet, so its frames are written through the
 * direct map without locks.
 */
#ifndef X86_BUILD_H
#define X86_BUILD_H

#include "hv/domain.h"
#include "hv/modules.h"
#include "lib/elf.h"
#include "lib/start_of_day.h"

struct build {
    const struct module *module;
    bool privileged;
    const struct domain_args *args; /* the module's */
    struct elf_image elf;
    struct start_of_day plan;
    struct domain *d;
    mfn_t root; /* L4 */

    uint64_t next_table, tables_end; /* frame numbers to make tables of */
    mfn_t last; /* what build_mfn() found last, 0: nothing yet */
    uint64_t last_pfn;

    char *text; /* what was wrong, for a person */
    size_t text_size;
};

/* The machine frame of the domain's frame @pfn, and of its page @va, which
 * must be one that the plan maps from plan.base on. */
mfn_t build_mfn(struct build *b, uint64_t pfn);
mfn_t build_mfn_at(struct build *b, uint64_t va);
/* That page as memory. */
void *build_page_at(struct build *b, uint64_t va);

/* All frames of the domain: 0 or -ENOMEM. */
int build_frames(struct build *b);
/* The lists of frames (p2m, M2P), image, ramdisk and hypercall page. */
void build_contents(struct build *b);
/* The first page tables, not yet validated: 0 or -ENOMEM. */
int build_tables(struct build *b);

/* A whole page: the stub of hypercall N stands at offset 32 N. */
void hypercall_page_fill(void *page);

#endif
