/*
 * Grants: own pages for peers, peers' pages for us.
 *
 * The grant table is version 1: 512 entries a frame.  It starts with one
 * frame and grows when the references run out.  Entries below 8 belong to
 * the toolstack (console and store).  An entry's frame and domain are
 * written before its flags, which make it valid.
 */
#include "guests/lib/internal.h"

#define PER_FRAME  (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define MAX_FRAMES 32u
#define MAX_MAPS   32u /* of struct grant_mapping */

static struct grant_entry_v1 *table; /* MAX_FRAMES of address space */
static unsigned int nr_frames;
static uint64_t used[MAX_FRAMES * PER_FRAME / 64]; /* one bit a reference */

static int status_error(int status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return -ESRCH;
    case GNTST_bad_gntref:
        return -ENOENT;
    case GNTST_permission_denied:
        return -EACCES;
    case GNTST_eagain:
        return -EAGAIN;
    case GNTST_no_device_space:
    case GNTST_no_space:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

/* ---- Our table. ---- */

static int map_table_frame(unsigned int n, uint64_t mfn)
{
    return map_frame_at((char *)table + n * PAGE_SIZE, mfn, true);
}

static int grow_table(void)
{
    xen_pfn_t frames[MAX_FRAMES];
    struct gnttab_setup_table setup = { .dom = DOMID_SELF,
                                        .nr_frames = nr_frames + 1 };
    int error;

    if (nr_frames == MAX_FRAMES)
        return -ENOSPC;
    if (!table)
        table = window_alloc(MAX_FRAMES);
    if (!table)
        return -ENOMEM;
    set_xen_guest_handle(setup.frame_list, frames);
    error = (int)hypercall_grant_table_op(GNTTABOP_setup_table, &setup, 1);
    if (error || setup.status)
        return -ENOSPC;
    error = map_table_frame(nr_frames, frames[nr_frames]);
    if (!error)
        nr_frames++;
    return error;
}

/* An unused reference, or 0, which is never one of ours. */
static grant_ref_t find_unused(void)
{
    for (unsigned int w = 0; w < nr_frames * PER_FRAME / 64; w++) {
        uint64_t unused = ~used[w];

        if (w == 0)
            unused &= ~((1ull << GNTTAB_NR_RESERVED_ENTRIES) - 1);
        if (unused)
            return w * 64 + (unsigned int)__builtin_ctzll(unused);
    }
    return 0;
}

int grant_access(domid_t peer, void *page, bool readonly)
{
    grant_ref_t ref = find_unused();
    struct grant_entry_v1 *entry;

    if (!ref && grow_table())
        return -ENOSPC;
    if (!ref)
        ref = find_unused();
    used[ref / 64] |= 1ull << ref % 64;
    entry = &table[ref];
    entry->frame = (uint32_t)virt_to_mfn(page);
    entry->domid = peer;
    store_release(&entry->flags, (uint16_t)(GTF_permit_access |
                                            (readonly ? GTF_readonly : 0)));
    return (int)ref;
}

/* The hypervisor sets the in-use flags with a compare and swap, and so the
 * withdrawal is one: it succeeds on an entry that nobody uses. */
int grant_end(grant_ref_t ref)
{
    uint16_t flags;

    BUG_ON(ref >= nr_frames * PER_FRAME || !(used[ref / 64] >> ref % 64 & 1));
    flags = read_once(&table[ref].flags);
    do {
        if (flags & (GTF_reading | GTF_writing))
            return -EBUSY;
    } while (!atomic_cas(&table[ref].flags, &flags, (uint16_t)GTF_invalid));
    used[ref / 64] &= ~(1ull << ref % 64);
    return 0;
}

/* ---- Revocation: both sides have one event. ---- */

#define AT_ONCE 8u /* notices, revocations */

static evtchn_port_t grant_port; /* 0: not yet bound */
static grant_notice_fn *notice_fn;

/* What has ended shows in the table too: this only makes room. */
static void forget_ended(void)
{
    struct belfry_revocation ended[AT_ONCE];
    struct belfry_revoked op = { .size = sizeof(op),
                                 .version = BELFRY_ABI_VERSION,
                                 .item_size = sizeof(ended[0]),
                                 .revocations = ended };

    do
        op.count = AT_ONCE;
    while (!hypercall_belfry_op(BELFRYOP_revoked, &op) && op.count == AT_ONCE);
}

static void tell_notices(void)
{
    struct belfry_notice notices[AT_ONCE];
    struct belfry_notices op = { .size = sizeof(op),
                                 .version = BELFRY_ABI_VERSION,
                                 .item_size = sizeof(notices[0]),
                                 .notices = notices };

    do {
        op.count = AT_ONCE;
        if (hypercall_belfry_op(BELFRYOP_notices, &op))
            return;
        for (unsigned int i = 0; i < op.count; i++)
            notice_fn(&notices[i]);
    } while (op.next);
}

static void grant_rang(evtchn_port_t port, void *data)
{
    (void)port, (void)data;
    forget_ended();
    if (notice_fn)
        tell_notices();
}

static int listen(void)
{
    int error = 0;

    if (!guest.on_belfry)
        return -ENOSYS;
    if (!grant_port)
        error = event_bind_virq(VIRQ_BELFRY_GRANT, &grant_port);
    return error ? error : event_handle(grant_port, grant_rang, NULL);
}

int grant_revoke_begin(grant_ref_t ref, uint64_t deadline)
{
    struct belfry_revoke op = { .size = sizeof(op),
                                .version = BELFRY_ABI_VERSION,
                                .ref = ref,
                                .deadline = deadline };
    int error = listen();

    return error ? error : (int)hypercall_belfry_op(BELFRYOP_revoke, &op);
}

int grant_revoke(grant_ref_t ref, uint64_t deadline)
{
    int error = grant_revoke_begin(ref, deadline);

    while (!error && grant_end(ref))
        event_wait();
    return error;
}

int grant_on_notice(grant_notice_fn *fn)
{
    notice_fn = fn;
    return listen();
}

/* ---- Peers' pages. ---- */

/* What stands in for pages that were taken. */
static char lost_page[PAGE_SIZE] OWN_PAGE;

bool grant_fault(uint64_t va)
{
    const uint64_t *entry = pagetable_entry(va, false);

    if (!window_has(va) || !entry)
        return false;
    return (*entry & PTE_PRESENT) ||
           map_frame_at((void *)(va & ~(PAGE_SIZE - 1)),
                        virt_to_mfn(lost_page), true) == 0;
}

static uint64_t entry_at(const struct grant_mapping *m, unsigned int i)
{
    return *pagetable_entry((uint64_t)m->address + i * PAGE_SIZE, false);
}

bool grant_is_lost(const struct grant_mapping *m)
{
    for (unsigned int i = 0; i < m->n; i++)
        if (!(entry_at(m, i) & PTE_PRESENT) ||
            pte_frame(entry_at(m, i)) == virt_to_mfn(lost_page))
            return true;
    return false;
}

bool grant_has_handle(const struct grant_mapping *m, grant_handle_t handle)
{
    for (unsigned int i = 0; i < m->n; i++)
        if (m->handle[i] == handle)
            return true;
    return false;
}

/* Of a page that was taken the handle alone is left, and what stands there. */
static void unmap_pages(const struct grant_mapping *m)
{
    struct gnttab_unmap_grant_ref op[MAX_MAPS] = { 0 };

    for (unsigned int i = 0; i < m->n; i++) {
        op[i].host_addr = (uint64_t)m->address + i * PAGE_SIZE;
        op[i].handle = m->handle[i];
    }
    hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, op, m->n);
    for (unsigned int i = 0; i < m->n; i++)
        if (entry_at(m, i))
            page_set_entry((char *)m->address + i * PAGE_SIZE, 0);
}

/* Take over what a batch did: the pages before the first that failed stay
 * in *m, later ones are taken back at once.  Returns that one's error. */
static int take_mapped(struct grant_mapping *m,
                       const struct gnttab_map_grant_ref *op, unsigned int n)
{
    struct gnttab_unmap_grant_ref undo = { 0 };
    int error = 0;

    for (unsigned int i = 0; i < n; i++) {
        if (op[i].status && !error)
            error = status_error(op[i].status);
        if (op[i].status)
            continue;
        if (!error) {
            m->handle[m->n++] = op[i].handle;
            continue;
        }
        undo.host_addr = op[i].host_addr;
        undo.handle = op[i].handle;
        hypercall_grant_table_op(GNTTABOP_unmap_grant_ref, &undo, 1);
    }
    return error;
}

int grant_map(domid_t peer, const grant_ref_t *refs, unsigned int n,
              bool readonly, struct grant_mapping *out)
{
    struct gnttab_map_grant_ref op[MAX_MAPS] = { 0 };
    int error;

    if (n == 0 || n > MAX_MAPS)
        return -EINVAL;
    *out = (struct grant_mapping){ .address = window_alloc(n) };
    if (!out->address)
        return -ENOSPC;
    for (unsigned int i = 0; i < n; i++) {
        op[i].host_addr = (uint64_t)out->address + i * PAGE_SIZE;
        op[i].flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
        op[i].ref = refs[i];
        op[i].dom = peer;
        op[i].status = GNTST_general_error;
    }
    error = (int)hypercall_grant_table_op(GNTTABOP_map_grant_ref, op, n);
    if (!error)
        error = take_mapped(out, op, n);
    if (!error)
        return 0;
    unmap_pages(out);
    window_free(out->address, n);
    *out = (struct grant_mapping){ 0 };
    return error;
}

void grant_unmap(struct grant_mapping *m)
{
    if (!m->address)
        return;
    unmap_pages(m);
    window_free(m->address, m->n);
    *m = (struct grant_mapping){ 0 };
}

/* ---- Copies. ---- */

/* The two sides of a copy, of which one is a reference. */
struct copy {
    domid_t peer;
    grant_ref_t ref;
    unsigned int offset; /* in the granted page */
    uint64_t own;        /* address */
    bool to_peer;
};

static struct gnttab_copy copy_item(const struct copy *c, size_t n)
{
    struct gnttab_copy op = { .len = (uint16_t)n };
    struct gnttab_copy_ptr theirs = { .u.ref = c->ref,
                                      .domid = c->peer,
                                      .offset = (uint16_t)c->offset };
    struct gnttab_copy_ptr ours = {
        .u.gmfn = virt_to_mfn((const void *)c->own),
        .domid = DOMID_SELF,
        .offset = (uint16_t)(c->own % PAGE_SIZE),
    };

    op.source = c->to_peer ? ours : theirs;
    op.dest = c->to_peer ? theirs : ours;
    op.flags = c->to_peer ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
    return op;
}

/* Own memory is contiguous only to the end of a page. */
static int copy_range(struct copy c, size_t n)
{
    if (c.offset > PAGE_SIZE || n > PAGE_SIZE - c.offset ||
        !is_own_memory((const void *)c.own, n))
        return -EINVAL;
    while (n > 0) {
        size_t part = PAGE_SIZE - c.own % PAGE_SIZE;
        struct gnttab_copy op = copy_item(&c, part < n ? part : n);
        int error = (int)hypercall_grant_table_op(GNTTABOP_copy, &op, 1);

        if (error || op.status)
            return error ? error : status_error(op.status);
        c.own += op.len;
        c.offset += op.len;
        n -= op.len;
    }
    return 0;
}

int grant_copy_from(domid_t peer, grant_ref_t ref, unsigned int offset,
                    void *to, size_t n)
{
    return copy_range((struct copy){ peer, ref, offset, (uint64_t)to, false },
                      n);
}

int grant_copy_to(domid_t peer, grant_ref_t ref, unsigned int offset,
                  const void *from, size_t n)
{
    return copy_range((struct copy){ peer, ref, offset, (uint64_t)from, true },
                      n);
}
