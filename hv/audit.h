/*
 * The audit: recount everything from scratch and compare with what is
 * stored.  Other CPUs are parked meanwhile.
 *
 * Pass 1 walks all that can refer to a frame (page tables, pins, vCPU
 * registers, grant records, shared pages) and counts references and uses a
 * frame in a scratch table; pass 2 compares with the frame table.  Ports and
 * grants are recounted by their own modules.
 */
#ifndef HV_AUDIT_H
#define HV_AUDIT_H

#include "hv/abi/belfry.h"
#include "hv/x86/page.h"

/* What pass 1 finds of a frame; the boot code makes a table of max_mfn. */
struct audit_expected {
    uint32_t refs;
    uint32_t uses : 28, type : 3;
    uint32_t conflict : 1; /* uses as two types at once */
};
extern struct audit_expected *audit_scratch;

/* Fill in the OUT fields of *a; each difference is also logged. */
void audit_run(struct belfry_audit *a);

/* For all recounts: the domain's @object of this number is not as it should
 * be: "ping: port 3: its lock was left held". */
void audit_differs(const struct domain *d, const char *object, uint32_t number,
                   const char *what);

/* For modules that hold references: this frame should have one reference
 * more, and (type not PAGE_NONE) one use more as @type. */
void page_audit_expect(mfn_t mfn, uint64_t type);
/* pagetable.c: expect what all of @d's page tables and pins refer to;
 * returns how many tables were walked. */
uint64_t pagetable_audit(struct domain *d);

#endif
