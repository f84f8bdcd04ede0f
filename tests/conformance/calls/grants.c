/*
 * Every operation on grants, with every kind of argument.
 */
#include "tests/conformance/calls/world.h"

static long grant_op(unsigned int cmd, void *arg, size_t size,
                     unsigned int count)
{
    long rc = hypercall_grant_table_op(cmd, pass(arg, size), count);

    fetch(arg, size);
    result(rc);
    return rc;
}

/* The flags of use that the hypervisor sets, of all entries. */
static void note_use(void)
{
    line_add(" use=");
    for (unsigned int i = 0; i < NR_REFS; i++)
        line_add("%x", read_once(&world.grants[FIRST_REF + i].flags) >> 3 & 3);
}

static void note_window(unsigned int slot)
{
    note_entry(*table_entry(world.window[slot], 1));
}

/* ---- map ---- */

static uint32_t any_map_flags(void)
{
    const uint32_t h = GNTMAP_host_map, d = GNTMAP_device_map,
                   r = GNTMAP_readonly, p = GNTMAP_contains_pte;

    return (uint32_t)ANY("flags", { "host", h }, { "host-ro", h | r },
                         { "device", d }, { "device-ro", d | r },
                         { "both", h | d }, { "both-ro", h | d | r },
                         { "pte", h | p }, { "pte-ro", h | p | r },
                         { "none", 0 }, { "ro", r },
                         { "avail", h | 7u << 16 },
                         { "application", h | GNTMAP_application_map },
                         { "bits", h | 0x8040 });
}

/* Where the mapping of slot i goes, or somewhere it cannot. */
static uint64_t any_map_place(uint32_t flags, unsigned int slot)
{
    char *window = world.window[GRANT_WINDOW + slot];
    uint64_t pte = world.window_pte[GRANT_WINDOW + slot];
    bool by_pte = flags & GNTMAP_contains_pte;

    return ANY("where", { "slot", by_pte ? pte : (uint64_t)window },
               { "other-way", by_pte ? (uint64_t)window : pte },
               { "slot+1", (by_pte ? pte : (uint64_t)window) + 1 },
               { "zero", 0 }, { "far", FAR_AWAY },
               { "hypervisor", HV_ADDRESS }, { "bit47", 1ull << 47 },
               { "bit63", 1ull << 63 },
               { "data", world.data_mfn[3] << PAGE_SHIFT | 8 },
               { "!table", world.table_mfn[0] << PAGE_SHIFT | 8 });
}

/* DOMID_SELF is nobody here: Xen wants a granter by its number. */
static domid_t any_granter(void)
{
    return (domid_t)ANY("dom", { "own", guest.domid }, { "self", DOMID_SELF },
                        { "nobody", NOBODY }, { "invalid", DOMID_INVALID },
                        { "xen", DOMID_XEN }, { "max", 0xffff });
}

static void remember(unsigned int slot, const struct gnttab_map_grant_ref *op)
{
    struct handle new = { .handle = op->handle, .live = true };

    if (op->flags & GNTMAP_host_map)
        new.where = op->host_addr;
    if (op->flags & GNTMAP_device_map)
        new.bus = op->dev_bus_addr;
    keep_handle(slot, &new);
}

/* Not with an argument that cannot be written: nobody could unmap it. */
static void map(void)
{
    struct gnttab_map_grant_ref op = { .status = 77 };
    unsigned int slot = choose_at_random(NR_HANDLES);

    any_pointer_but_read_only();
    line_add(" slot=%u", slot);
    drop_handle(slot);
    op.flags = any_map_flags();
    op.dom = any_granter();
    op.ref = any_ref("ref");
    op.host_addr = any_map_place(op.flags, slot);
    if (grant_op(GNTTABOP_map_grant_ref, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (op.status == GNTST_okay) {
        remember(slot, &op);
        line_add(" bus=");
        note_entry(op.dev_bus_addr);
    }
    mmuext_va(MMUEXT_INVLPG_LOCAL, (uint64_t)world.window[GRANT_WINDOW + slot]);
    note_window(GRANT_WINDOW + slot);
    note_use();
}

/* ---- unmap ---- */

static uint64_t any_unmap_place(const struct handle *h)
{
    return ANY("where", { "right", h->where }, { "zero", 0 },
               { "right+8", h->where + 8 },
               { "w0", (uint64_t)world.window[0] }, { "far", FAR_AWAY },
               { "hypervisor", HV_ADDRESS });
}

/* A part that is gone; with the last of them the slot is stale. */
static void note_unmapped(struct handle *h, uint64_t where, uint64_t bus)
{
    if (where)
        h->where = 0;
    if (bus)
        h->bus = 0;
    if (!h->where && !h->bus)
        h->live = false;
}

static void unmap_parts(struct handle *h, uint64_t where, uint64_t bus)
{
    struct gnttab_unmap_grant_ref op = { .handle = h->handle,
                                         .host_addr = where,
                                         .dev_bus_addr = bus,
                                         .status = 77 };

    if (grant_op(GNTTABOP_unmap_grant_ref, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (op.status == GNTST_okay)
        note_unmapped(h, where, bus);
    note_use();
}

static void unmap(void)
{
    struct handle *h;
    uint64_t where;

    any_pointer_but_read_only();
    h = any_handle("handle");
    where = any_unmap_place(h);
    unmap_parts(h, where, ANY("bus", { "right", h->bus }, { "zero", 0 },
                              { "wrong", world.data_mfn[3] << PAGE_SHIFT }));
}

/* Something to unmap, first. */
static void map_then_unmap(void)
{
    struct gnttab_map_grant_ref op = { .dom = guest.domid, .ref = FIRST_REF };

    op.flags = (uint32_t)ANY("mapped", { "host", GNTMAP_host_map },
                             { "both", GNTMAP_host_map | GNTMAP_device_map },
                             { "device", GNTMAP_device_map },
                             { "pte", GNTMAP_host_map | GNTMAP_contains_pte });
    op.host_addr = op.flags & GNTMAP_contains_pte
                       ? world.window_pte[GRANT_WINDOW]
                       : (uint64_t)world.window[GRANT_WINDOW];
    drop_handle(0);
    BUG_ON(hypercall_grant_table_op(GNTTABOP_map_grant_ref, &op, 1) != 0);
    BUG_ON(op.status != 0);
    remember(0, &op);
    mmuext_va(MMUEXT_INVLPG_LOCAL, (uint64_t)world.window[GRANT_WINDOW]);
    unmap();
    unmap_parts(&world.handle[0], world.handle[0].where,
                world.handle[0].bus);
}

/* Xen takes the new place's entry away even if it then finds fault with the
 * old place; so at random that one is right. */
static void unmap_and_replace(void)
{
    struct gnttab_unmap_and_replace op = { .status = 77 };
    struct handle *h;

    any_pointer_but_read_only();
    h = any_handle("handle");
    op.handle = h->handle;
    op.host_addr = transcript.random ? h->where : any_unmap_place(h);
    op.new_addr = any_window("new");
    if (grant_op(GNTTABOP_unmap_and_replace, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (op.status == GNTST_okay)
        note_unmapped(h, op.host_addr, 0);
    note_use();
    for (unsigned int i = 0; i < 2; i++)
        note_window(i);
}

/* ---- copy ---- */

/* One end: a reference, or a frame; true: a reference. */
static bool any_end(const char *label, struct gnttab_copy_ptr *ptr)
{
    bool is_ref = choose(2) == 0;

    if (is_ref)
        ptr->u.ref = any_ref(label);
    else
        ptr->u.gmfn = any_target(label);
    return is_ref;
}

/* What is in it are machine frames, which are nobody's but the run's. */
static bool is_live_table(const struct gnttab_copy *op)
{
    return op->source.u.gmfn == world.l1_mfn ||
           op->source.u.gmfn == world.l4_mfn;
}

static void copy_end(const char *label, unsigned int which)
{
    struct gnttab_copy op = { .status = 77, .len = 8 };
    struct gnttab_copy_ptr *end = which ? &op.dest : &op.source;
    struct gnttab_copy_ptr *rest = which ? &op.source : &op.dest;

    any_pointer();
    rest->domid = DOMID_SELF;
    rest->u.gmfn = world.data_mfn[3];
    if (any_end(label, end))
        op.flags = which ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
    end->domid = any_domid("dom");
    end->offset = (uint16_t)ANY("offset", { "64", 64 }, { "4088", 4088 },
                                { "4089", 4089 }, { "max", 0xffff });
    if (grant_op(GNTTABOP_copy, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (!is_live_table(&op)) {
        note_entry(world.data[3][0]);
        note_entry(world.data[0][8]);
    }
    note_use();
}

static void copy_from(void)
{
    copy_end("source", 0);
}

static void copy_to(void)
{
    copy_end("dest", 1);
}

/* Both ends, and lengths. */
static void copy(void)
{
    struct gnttab_copy op = { .status = 77 };

    any_pointer();
    if (any_end("source", &op.source))
        op.flags = GNTCOPY_source_gref;
    if (any_end("dest", &op.dest))
        op.flags |= GNTCOPY_dest_gref;
    op.source.domid = op.dest.domid = DOMID_SELF;
    op.len = (uint16_t)ANY("len", { "16", 16 }, { "0", 0 }, { "4096", 4096 },
                           { "4097", 4097 }, { "max", 0xffff });
    if (grant_op(GNTTABOP_copy, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (!is_live_table(&op))
        note_entry(world.data[0][1]);
    note_use();
}

/* ---- The table. ---- */

static void swap(void)
{
    struct gnttab_swap_grant_ref op = { .status = 77 };

    any_pointer();
    op.ref_a = any_ref("a");
    op.ref_b = any_ref("b");
    if (grant_op(GNTTABOP_swap_grant_ref, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    note_use();
}

static void setup_table(void)
{
    struct gnttab_setup_table op = { .status = 77 };

    any_pointer();
    op.dom = any_domid("dom");
    op.nr_frames = (uint32_t)ANY("frames", { "1", 1 }, { "0", 0 },
                                 { "2", 2 }, { "65", 65 }, { "max", ~0u });
    set_xen_guest_handle(op.frame_list, (xen_pfn_t *)odd_pointer("list"));
    if (grant_op(GNTTABOP_setup_table, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
}

static void query_size(void)
{
    struct gnttab_query_size op = { .status = 77 };

    any_pointer();
    op.dom = any_domid("dom");
    if (grant_op(GNTTABOP_query_size, &op, sizeof(op), 1) == 0)
        line_add(" status=%d", op.status);
    if (op.status == 0)
        line_add(" max=%u", op.max_nr_frames);
}

static void get_version(void)
{
    struct gnttab_get_version op = { .version = 77 };

    any_pointer();
    op.dom = any_domid("dom");
    grant_op(GNTTABOP_get_version, &op, sizeof(op), 1);
    line_add(" version=%u", op.version);
}

static void set_version(void)
{
    struct gnttab_set_version op;

    any_pointer();
    op.version = (uint32_t)ANY("version", { "1", 1 }, { "0", 0 }, { "3", 3 },
                               { "max", ~0u });
    grant_op(GNTTABOP_set_version, &op, sizeof(op), 1);
    line_add(" version=%u", op.version);
}

/* The others, and counts that no batch has. */
static void other(void)
{
    uint64_t nothing[8] = { 0 };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "dump", 3 }, { "13", 13 }, { "99", 99 },
                            { "max", ~0u }, { "!transfer", 4 },
                            { "!status_frames", 9 }, { "!cache_flush", 12 });
    grant_op(cmd, nothing, sizeof(nothing),
             (unsigned int)ANY("count", { "1", 1 }, { "0", 0 },
                               { "bit31", 1u << 31 }, { "max", ~0u }));
}

static void count(void)
{
    uint64_t nothing[8] = { 0 };
    unsigned int cmd = (unsigned int)ANY("cmd", { "map", 0 }, { "unmap", 1 },
                                         { "setup", 2 }, { "copy", 5 },
                                         { "query", 6 }, { "replace", 7 },
                                         { "set_version", 8 },
                                         { "get_version", 10 },
                                         { "swap", 11 });

    any_pointer();
    grant_op(cmd, nothing, sizeof(nothing),
             (unsigned int)ANY("count", { "0", 0 }, { "bit31", 1u << 31 },
                               { "max", ~0u }));
}

/* A guest writes its own entries as it likes. */
static void write_entry_flags(void)
{
    uint16_t *flags;
    unsigned int i = choose(NR_REFS);

    flags = &world.grants[FIRST_REF + i].flags;
    if (!(read_once(flags) & (GTF_reading | GTF_writing)))
        write_once(flags,
                   (uint16_t)ANY("flags", { "permit", GTF_permit_access },
                                 { "ro", GTF_permit_access | GTF_readonly },
                                 { "invalid", 0 },
                                 { "sub", GTF_permit_access | GTF_sub_page },
                                 { "transitive", GTF_transitive },
                                 { "cache", GTF_permit_access | GTF_PWT }));
    line_add(" g%u", i);
    result(0);
}

const struct call_kind grant_calls[] = {
    { "grant.map", map, 8 },
    { "grant.unmap", unmap, 8 },
    { "grant.map_unmap", map_then_unmap, 0 },
    { "grant.unmap_and_replace", unmap_and_replace, 3 },
    { "grant.copy_from", copy_from, 3 },
    { "grant.copy_to", copy_to, 3 },
    { "grant.copy", copy, 3 },
    { "grant.swap", swap, 2 },
    { "grant.setup_table", setup_table, 0 },
    { "grant.query_size", query_size, 1 },
    { "grant.get_version", get_version, 1 },
    { "grant.set_version", set_version, 1 },
    { "grant.other", other, 1 },
    { "grant.count", count, 0 },
    { "entry", write_entry_flags, 2 },
    { NULL, NULL, 0 }
};
