/*
 * A machine for host tests of the frame table: an arena of RAM, domains, and
 * the hooks of hv/x86/page.h.  Included once, by the test itself.
 */
#ifndef TESTS_UNIT_MACHINE_H
#define TESTS_UNIT_MACHINE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/audit.h"
#include "hv/console.h"
#include "hv/domain.h"
#include "hv/x86/page.h"
#include "hv/x86/pte.h"

#define MACHINE_FRAMES 4096u
/* Frames that are no RAM, and RAM that is the hypervisor's since boot. */
#define DEVICE_FRAME   200u
#define FIRST_RAM      256u
#define HV_SLOT_MARK   0xdead000000000000ULL /* not present: never followed */

static char arena[MACHINE_FRAMES][PAGE_SIZE] __attribute__((aligned(4096)));
static struct page frames[MACHINE_FRAMES];
static uint64_t m2p_words[MACHINE_FRAMES];

char *directmap = arena[0];
struct page *frame_table = frames;
mfn_t max_mfn = MACHINE_FRAMES;
uint64_t *m2p = m2p_words;

static struct domain dom_a, dom_b;
static struct vcpu vcpu_a, vcpu_b;
static unsigned int puts_of_a, puts_of_b;

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void refuse_reason(const char *text)
{
    (void)text;
}

void pagetable_install_hv_slots(uint64_t *l4, struct domain *d)
{
    (void)d;
    for (unsigned int i = HV_SLOT_FIRST; i < HV_SLOT_END; i++)
        l4[i] = HV_SLOT_MARK | i << 4;
}

void domain_put(struct domain *d)
{
    (void)atomic_add_return(d == &dom_a ? &puts_of_a : &puts_of_b, 1);
    (void)atomic_sub_return(&d->refs, 1);
}

static void machine_domain(struct domain *d, struct vcpu *v, uint16_t id)
{
    memset(d, 0, sizeof(*d));
    memset(v, 0, sizeof(*v));
    d->id = id;
    d->state = DOMAIN_RUNNING;
    d->refs = 1;
    d->max_pages = MACHINE_FRAMES;
    d->nr_vcpus = 1;
    d->vcpu[0] = v;
    v->domain = d;
    v->arch.kernel_mode = true;
}

/* Memory is full of rubbish at boot. */
static inline void machine_boot(void)
{
    memset(arena, 0xa5, sizeof(arena));
    alloc_add_range(FIRST_RAM, MACHINE_FRAMES);
    machine_domain(&dom_a, &vcpu_a, 1);
    machine_domain(&dom_b, &vcpu_b, 2);
}

static inline uint64_t *table_of(mfn_t mfn)
{
    return mfn_to_virt(mfn);
}

static inline uint64_t refs_of(mfn_t mfn)
{
    return page_of(mfn)->count & PAGE_COUNT_MASK;
}

static inline uint64_t uses_of(mfn_t mfn)
{
    return page_of(mfn)->type & PAGE_TYPE_COUNT_MASK;
}

static inline uint64_t type_of(mfn_t mfn)
{
    return page_of(mfn)->type & PAGE_TYPE_MASK;
}

static inline uint64_t level_as_type(unsigned int level)
{
    return (uint64_t)level << 60;
}

static inline uint64_t entry(mfn_t mfn, uint64_t flags)
{
    return mfn << PAGE_SHIFT | PTE_PRESENT | flags;
}

#endif
