/*
 * The audit: every frame's owner, references and uses, counted again from
 * whatever can refer to one, beside the frame table.
 *
 * The scratch table says for each frame how many references and uses are
 * expected, and as what type, on which all those uses must agree.
 */
#include "hv/audit.h"

#include "hv/console.h"
#include "hv/domain.h"
#include "hv/grant.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/pte.h"
#include "hv/x86/smp.h"
#include "lib/format.h"
#include "lib/string.h"

#define MAX_LINES  20u          /* differences that the log gets */

static struct belfry_audit *audit;

__attribute__((format(printf, 1, 2))) static void difference(const char *fmt,
                                                             ...)
{
    char line[sizeof(audit->first)];
    va_list args;

    va_start(args, fmt);
    format_string_v(line, sizeof(line), fmt, args);
    va_end(args);

    if (audit->differences++ == 0)
        string_copy(audit->first, line, sizeof(audit->first));
    if (audit->differences <= MAX_LINES)
        printk("audit: %s\n", line);
}

void audit_differs(const struct domain *d, const char *object, uint32_t number,
                   const char *what)
{
    difference("%s: %s %u: %s", d->name, object, number, what);
}

static unsigned int type_number(uint64_t type)
{
    return (unsigned int)((type & PAGE_TYPE_MASK) >> 60);
}

void page_audit_expect(mfn_t mfn, uint64_t type)
{
    if (!mfn_is_ram(mfn)) {
        difference("something refers to frame %#lx, which is not RAM", mfn);
        return;
    }

    struct audit_expected *e = &audit_scratch[mfn];

    e->refs++;
    if (type == PAGE_NONE)
        return;
    e->conflict |= e->uses && e->type != type_number(type);
    e->type = type_number(type) & 7;
    e->uses++;
}

/* ---- Pass 1: what refers to frames. ---- */

static void expect_if_any(mfn_t mfn, uint64_t type)
{
    if (mfn)
        page_audit_expect(mfn, type);
}

static void expect_vcpu(const struct vcpu *v)
{
    const struct arch_vcpu *a = &v->arch;

    expect_if_any(a->kernel_table, PAGE_L4);
    expect_if_any(a->user_table, PAGE_L4);
    expect_if_any(a->info_frame, PAGE_WRITABLE);
    for (unsigned int i = 0; i < VCPU_PAGES; i++)
        if (i != HV_GDT_PAGE && (a->perdomain_l1[i] & PTE_RW))
            page_audit_expect(pte_frame(a->perdomain_l1[i]), PAGE_SEGDESC);
}

static void expect_domain(struct domain *d)
{
    audit->page_tables += pagetable_audit(d);
    for (unsigned int i = 0; i < d->nr_vcpus; i++)
        expect_vcpu(d->vcpu[i]);
    expect_if_any(d->rings_frame, PAGE_NONE);
    audit->grants += grant_audit(d);
    audit->ports += evtchn_audit(&d->evtchn);
}

/* ---- Pass 2: what the frame table says. ---- */

/* The references that need no finding: the owner's own, and the use that the
 * hypervisor makes of a page it shares. */
static void expect_own(mfn_t mfn)
{
    uint64_t count = page_of(mfn)->count;

    if (count & PAGE_ALLOCATED)
        audit_scratch[mfn].refs++;
    if (!(count & PAGE_SHARED))
        return;

    /* That use is covered by the reference just counted. */
    page_audit_expect(mfn, PAGE_WRITABLE);
    audit_scratch[mfn].refs--;
}

static void compare_frame(mfn_t mfn)
{
    const struct audit_expected *e = &audit_scratch[mfn];
    const struct page *page = page_of(mfn);
    uint64_t refs = page->count & PAGE_COUNT_MASK;
    uint64_t uses = page->type & PAGE_TYPE_COUNT_MASK;
    unsigned int type = type_number(page->type);

    if (refs != e->refs)
        difference("frame %#lx has %lu references, found %u", mfn, refs,
                   e->refs);
    if (uses != e->uses)
        difference("frame %#lx has %lu uses, found %u", mfn, uses, e->uses);
    if (e->conflict || (e->uses && e->type != type))
        difference("frame %#lx is used as type %u, stored is %u", mfn, e->type,
                   type);
    if (!refs && page->owner)
        difference("frame %#lx is free and has an owner", mfn);
}

static uint64_t compare_frames(void)
{
    uint64_t free = 0;

    for (mfn_t mfn = 0; mfn < max_mfn; mfn++) {
        if (!mfn_is_ram(mfn))
            continue;
        expect_own(mfn);
        compare_frame(mfn);
        audit->frames++;
        if (!(page_of(mfn)->count & PAGE_COUNT_MASK))
            free++;
    }

    return free;
}

static void compare_domain(struct domain *d)
{
    uint64_t frames = 0;

    for (mfn_t mfn = 0; mfn < max_mfn; mfn++)
        if (page_of(mfn)->owner == d && !(page_of(mfn)->count & PAGE_SHARED))
            frames++;
    if (frames != d->nr_pages)
        difference("%s owns %lu frames, stored is %lu", d->name, frames,
                   d->nr_pages);
}

void audit_run(struct belfry_audit *a)
{
    audit = a;
    a->frames = a->page_tables = a->grants = a->ports = a->differences = 0;
    memset(a->first, 0, sizeof(a->first));
    memset(audit_scratch, 0, max_mfn * sizeof(*audit_scratch));

    smp_park_others();
    for (struct domain *d = domain_next(0); d; d = domain_after(d))
        expect_domain(d);
    uint64_t free = compare_frames();

    for (struct domain *d = domain_next(0); d; d = domain_after(d))
        compare_domain(d);
    if (free != alloc_free_pages() || free != alloc_audit())
        difference("%lu frames are free, stored is %lu, listed are %lu", free,
                   alloc_free_pages(), alloc_audit());
    smp_release_others();
}
