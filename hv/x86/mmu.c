/*
 * The hypercalls that change a guest's page tables.
 *
 * A batch is done item by item, each complete or refused; pt_lock is held
 * for one item at a time.  Between items the call may stop and go on later:
 * then its arguments are moved behind what is done, as Xen does, with
 * MMU_UPDATE_PREEMPTED in the count.
 */
#include "hv/guest_copy.h"
#include "hv/hypercall.h"
#include "hv/refused.h"
#include "hv/x86/cpu.h"
#include "hv/x86/descriptor.h"
#include "hv/x86/pte.h"
#include "lib/string.h"

/* Bit 31 of a batch's count: it goes on, *done is to be added to. */
#define MMU_UPDATE_PREEMPTED 0x80000000u

/* ---- Whose frames: always the caller's own. ---- */

/* @domid as Xen takes it for "the owner of the frames": 0 for DOMID_SELF.
 * Xen refuses one's own number; nobody maps others' frames but by grants. */
static int foreign_check(uint16_t domid, const struct vcpu *v)
{
    if (domid == DOMID_SELF)
        return 0;
    if (domid == DOMID_IO || domid == DOMID_XEN)
        return -EPERM;

    struct domain *other =
        domid == v->domain->id ? NULL : domain_get(domid);

    refuse_reason("frames of other domains are mapped by grants only");
    if (!other)
        return -ESRCH;
    domain_put(other);
    return -EPERM;
}

/* ---- Batches. ---- */

struct batch {
    void *items;
    size_t item_size;
    uint32_t count;
    void *done;
    uint32_t shown; /* which word of an item tells what was refused */
};

/* Do one item that was copied in: 0 or -Exxx. */
typedef int batch_function(struct vcpu *v, const void *item);

/* Go on later with item @i.  With none left there is only a table that must
 * be taken apart before the guest sees the result, which waits in place of
 * the list. */
static long batch_later(struct vcpu *v, const struct batch *b, uint32_t i,
                        int rc)
{
    struct cpu_user_regs *regs = current_regs();
    bool more = rc == -ERESTART;

    regs->rdi = more ? (uint64_t)b->items + i * b->item_size : (uint64_t)rc;
    regs->rsi = (more ? b->count - i : 0) | MMU_UPDATE_PREEMPTED;
    return hypercall_restart(v);
}

static int settle(struct domain *d)
{
    if (!read_once(&d->falling))
        return 0;

    spin_lock(&d->pt_lock);
    int rc = pagetable_settle(d);

    spin_unlock(&d->pt_lock);
    return rc;
}

/* What earlier items or calls gave up comes first, so that each item finds
 * the frames of theirs free. */
static int batch_item(struct vcpu *v, const struct batch *b, uint32_t i,
                      batch_function *function)
{
    uint64_t item[4];
    int rc;

    if (settle(v->domain) || (i && hypercall_preempt_check(1)))
        return -ERESTART;
    if (guest_copy_from_offset(item, b->items, i, b->item_size))
        return -EFAULT;
    rc = function(v, item);
    if (rc)
        refuse_argument(item[b->shown]);
    return rc;
}

/* @refused: an error of the call as a whole, after that of its pointer.  *done
 * is added to where the batch began in an earlier piece. */
static long batch_run(struct vcpu *v, struct batch *b, batch_function *function,
                      int refused)
{
    uint32_t done = 0, i = 0;
    int rc = 0;

    if ((b->count & MMU_UPDATE_PREEMPTED) && b->done)
        (void)guest_copy_from(&done, b->done, sizeof(done));
    if (b->count == MMU_UPDATE_PREEMPTED)
        rc = (int)(uint64_t)b->items;
    else if (!guest_range_ok(b->items, (b->count & ~MMU_UPDATE_PREEMPTED) *
                                           b->item_size))
        return -EFAULT;
    b->count &= ~MMU_UPDATE_PREEMPTED;
    if (refused)
        return refused;

    while (i < b->count && !(rc = batch_item(v, b, i, function)))
        i++;

    done += i;
    if (b->done)
        (void)guest_copy_to(b->done, &done, sizeof(done));
    return rc == -ERESTART || settle(v->domain) ? batch_later(v, b, i, rc) : rc;
}

/* ---- mmu_update. ---- */

/* A frame that is in no use as a table: the guest could write it itself. */
static int write_plain(struct page *page, unsigned int index, uint64_t value)
{
    int rc = page_get_type(page, PAGE_WRITABLE);

    if (rc)
        return rc;
    write_once((uint64_t *)mfn_to_virt(mfn_of(page)) + index, value);
    page_put_type(page);
    return 0;
}

static int update_entry(struct vcpu *v, struct page *page, unsigned int index,
                        uint64_t value, bool preserve_ad)
{
    spin_lock(&v->domain->pt_lock);
    int rc = pagetable_level(page)
                 ? pagetable_set(v, page, index, value, preserve_ad)
                 : write_plain(page, index, value);

    spin_unlock(&v->domain->pt_lock);
    return rc;
}

static int mmu_update_one(struct vcpu *v, const void *item)
{
    const struct mmu_update *u = item;
    unsigned int index = u->ptr % PAGE_SIZE / sizeof(u->val);
    uint64_t command = u->ptr % sizeof(u->val);
    int rc = 0;

    if (command > MMU_PT_UPDATE_NO_TRANSLATE)
        return -ENOSYS;

    struct page *page = page_get_mfn(u->ptr >> PAGE_SHIFT, v->domain);

    if (!page)
        return -EINVAL;
    if (command == MMU_MACHPHYS_UPDATE)
        write_once(&m2p[mfn_of(page)], u->val);
    else
        rc = update_entry(v, page, index, u->val,
                          command == MMU_PT_UPDATE_PRESERVE_AD);
    page_put(page);
    return rc;
}

long do_mmu_update(struct vcpu *v, void *ureqs, uint32_t count, void *done,
                   uint32_t foreign)
{
    struct batch b = { ureqs, sizeof(struct mmu_update), count, done, 0 };
    uint32_t table_owner = foreign >> 16; /* 0: self; else the id + 1 */
    int rc = 0;

    if (table_owner && table_owner - 1 != v->domain->id)
        rc = foreign_check((uint16_t)(table_owner - 1), v);
    if (!rc)
        rc = foreign_check((uint16_t)foreign, v);

    return batch_run(v, &b, mmu_update_one, rc);
}

/* ---- Flushes that the guest asks for. ---- */

/* One page at @va, or (@page false) all of the TLB; of an address that is
 * never the guest's nothing is kept. */
static int flush(struct vcpu *v, bool all_cpus, bool page, uint64_t va)
{
    if (page && !guest_address_ok(va))
        return 0;
    if (!all_cpus && page)
        invlpg(va);
    else if (!all_cpus)
        write_cr3(read_cr3());
    else if (page)
        tlb_flush_domain_page(v->domain, va);
    else
        tlb_flush_domain(v->domain);
    return 0;
}

/* If the guest's bitmap of vCPUs names any; -EFAULT if it is not there. */
static int flush_some(struct vcpu *v, bool page, uint64_t va,
                      const void *bitmap)
{
    uint64_t mask;

    if (guest_copy_from(&mask, bitmap, sizeof(mask)))
        return -EFAULT;

    _Static_assert(MAX_VCPUS <= 64, "one word is the whole bitmap");
    mask &= (2ULL << (v->domain->nr_vcpus - 1)) - 1;
    return mask ? flush(v, true, page, va) : 0;
}

/* ---- update_va_mapping. ---- */

static int flush_by_flags(struct vcpu *v, uint64_t va, uint64_t flags)
{
    bool page = (flags & UVMF_FLUSHTYPE_MASK) == UVMF_INVLPG;
    uint64_t whom = flags & ~UVMF_FLUSHTYPE_MASK;

    if (!page && (flags & UVMF_FLUSHTYPE_MASK) != UVMF_TLB_FLUSH)
        return 0;
    if (whom == UVMF_LOCAL || whom == UVMF_ALL)
        return flush(v, whom == UVMF_ALL, page, va);
    return flush_some(v, page, va, (const void *)whom);
}

long do_update_va_mapping(struct vcpu *v, uint64_t va, uint64_t pte,
                          uint64_t flags)
{
    int rc = pagetable_set_va(v, va, pte);

    if (rc)
        return rc;
    if (flags == (UVMF_INVLPG | UVMF_LOCAL)) {
        invlpg(va);
        return 0;
    }
    return flush_by_flags(v, va, flags);
}

long do_update_va_mapping_otherdomain(struct vcpu *v, uint64_t va, uint64_t pte,
                                      uint64_t flags, uint16_t domid)
{
    int rc = foreign_check(domid, v);

    return rc ? rc : do_update_va_mapping(v, va, pte, flags);
}

/* ---- mmuext_op. ---- */

static int pin(struct domain *d, mfn_t mfn, unsigned int level)
{
    spin_lock(&d->pt_lock);
    int rc = level ? pagetable_pin(d, mfn, level) : pagetable_unpin(d, mfn);

    spin_unlock(&d->pt_lock);
    return rc;
}

/* Change the kernel's or the user's L4; the user's may be none.  Hypercalls
 * come from the guest's kernel, so only that one is loaded now.  The old
 * table is put when no CPU walks it any more, and with it the pages of the
 * LDT, which the guest gave as an address in its tables. */
int mmu_set_base(struct vcpu *v, mfn_t *base, mfn_t mfn)
{
    bool kernel = base == &v->arch.kernel_table;
    struct domain *d = v->domain;
    mfn_t old = *base;

    if (old == mfn) {
        if (kernel)
            vcpu_load_tables(v);
        return 0;
    }

    spin_lock(&d->pt_lock);
    int rc = mfn || kernel ? pagetable_get(d, mfn, 4) : pagetable_settle(d);

    if (!rc) {
        *base = mfn;
        if (kernel) {
            vcpu_load_tables(v);
            descriptor_unmap_ldt(v);
        }
        if (old)
            pagetable_put(page_of(old));
    }
    spin_unlock(&d->pt_lock);

    return rc;
}

static int clear_page(struct domain *d, mfn_t mfn)
{
    if (page_get_and_type(mfn, d, PAGE_WRITABLE))
        return -EINVAL;
    memset(mfn_to_virt(mfn), 0, PAGE_SIZE);
    page_put_and_type(page_of(mfn));
    return 0;
}

static int copy_page(struct domain *d, mfn_t to, mfn_t from)
{
    struct page *source = page_get_mfn(from, d);
    int rc = source ? page_get_and_type(to, d, PAGE_WRITABLE) : -EINVAL;

    if (!rc) {
        memmove(mfn_to_virt(to), mfn_to_virt(from), PAGE_SIZE);
        page_put_and_type(page_of(to));
    }
    if (source)
        page_put(source);
    return rc;
}

static int mmuext_one(struct vcpu *v, const void *item)
{
    const struct mmuext_op *op = item;
    uint64_t va = op->arg1.linear_addr;
    mfn_t mfn = op->arg1.mfn;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin(v->domain, mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        return pin(v->domain, mfn, 0);
    case MMUEXT_NEW_BASEPTR:
        return mmu_set_base(v, &v->arch.kernel_table, mfn);
    case MMUEXT_NEW_USER_BASEPTR:
        return mmu_set_base(v, &v->arch.user_table, mfn);
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        return flush(v, false, op->cmd == MMUEXT_INVLPG_LOCAL, va);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
        return flush_some(v, op->cmd == MMUEXT_INVLPG_MULTI, va,
                          op->arg2.vcpumask.p)
                   ? refuse(-EINVAL, "the bitmap of vCPUs is not readable")
                   : 0;
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return flush(v, true, op->cmd == MMUEXT_INVLPG_ALL, va);
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL: /* write-back: memory and caches agree */
        return v->domain->privileged ? 0 : -EACCES;
    case MMUEXT_SET_LDT:
        return descriptor_set_ldt(v, va, op->arg2.nr_ents);
    case MMUEXT_CLEAR_PAGE:
        return clear_page(v->domain, mfn);
    case MMUEXT_COPY_PAGE:
        return copy_page(v->domain, mfn, op->arg2.src_mfn);
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}

long do_mmuext_op(struct vcpu *v, void *ops, uint32_t count, void *done,
                  uint32_t foreign)
{
    struct batch b = { ops, sizeof(struct mmuext_op), count, done, 1 };

    return batch_run(v, &b, mmuext_one, foreign_check((uint16_t)foreign, v));
}
