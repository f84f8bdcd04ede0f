/*
 * The backend half of block devices: see blkback.h.
 *
 * A request is checked in the private copy that the framework hands us; what
 * the copy says is what is done.
 */
#include "guests/drivers/blkback.h"

#include "guests/drivers/back.h"
#include "guests/drivers/blk.h"

/* A segment of a disk that does not begin at a page boundary is two copies. */
#define MAX_COPIES (2u * BLK_SEGMENTS)

static const struct protocol blk_protocol = {
    .name = "blkif",
    .device = "vbd",
    .request_size = sizeof(struct blkif_request),
    .response_size = sizeof(struct blkif_response),
    .request_id = offsetof(struct blkif_request, id),
    .response_id = offsetof(struct blkif_response, id),
};

static struct blkback_disk disk;

/* ---- Moving data. ---- */

struct copies {
    struct gnttab_copy op[MAX_COPIES];
    unsigned int n;
    domid_t peer;
    bool to_peer;
};

static void add_copy(struct copies *c, grant_ref_t ref, unsigned int offset,
                     uint8_t *own, unsigned int n)
{
    struct gnttab_copy *op = &c->op[c->n++];
    struct gnttab_copy_ptr theirs = { .u.ref = ref,
                                      .domid = c->peer,
                                      .offset = (uint16_t)offset };
    struct gnttab_copy_ptr ours = { .u.gmfn = virt_to_mfn(own),
                                    .domid = DOMID_SELF,
                                    .offset = (uint16_t)((uintptr_t)own %
                                                         PAGE_SIZE) };

    op->source = c->to_peer ? ours : theirs;
    op->dest = c->to_peer ? theirs : ours;
    op->len = (uint16_t)n;
    op->flags = c->to_peer ? GNTCOPY_dest_gref : GNTCOPY_source_gref;
    op->status = GNTST_general_error;
}

static uint8_t *add_segment(struct copies *c,
                            const struct blkif_request_segment *segment,
                            uint8_t *own)
{
    unsigned int offset = segment->first_sect * BLK_SECTOR;
    unsigned int left = (segment->last_sect + 1u) * BLK_SECTOR - offset;

    while (left > 0) {
        unsigned int part =
            (unsigned int)(PAGE_SIZE - (uintptr_t)own % PAGE_SIZE);

        if (part > left)
            part = left;
        add_copy(c, segment->gref, offset, own, part);
        own += part;
        offset += part;
        left -= part;
    }
    return own;
}

static int transfer(domid_t peer, const struct blkif_request *r)
{
    static struct copies c;
    uint8_t *own = disk.bytes + r->sector_number * BLK_SECTOR;

    c.n = 0;
    c.peer = peer;
    c.to_peer = r->operation == BLKIF_OP_READ;
    for (unsigned int i = 0; i < r->nr_segments; i++)
        own = add_segment(&c, &r->seg[i], own);

    if (hypercall_grant_table_op(GNTTABOP_copy, c.op, c.n))
        return BLKIF_RSP_ERROR;
    for (unsigned int i = 0; i < c.n; i++)
        if (c.op[i].status != GNTST_okay)
            return BLKIF_RSP_ERROR;
    return BLKIF_RSP_OKAY;
}

/* ---- What the framework calls. ---- */

/* What a frontend may do: one of these two is a device's data. */
struct access {
    bool readonly;
    unsigned int info; /* as the protocol says it */
};
static struct access full_access = { .readonly = false };
static struct access read_access = { .readonly = true, .info = VDISK_READONLY };

static int serve(struct back *b, const void *message)
{
    const struct blkif_request *request = message;
    const struct access *access = b->data;
    struct blkif_response response;
    const char *reason;
    int status = blk_check(request, disk.sectors, access->readonly, &reason);

    if (status == BLK_GARBAGE)
        return back_garbage(b, reason);
    if (status == BLKIF_RSP_OKAY &&
        request->operation != BLKIF_OP_FLUSH_DISKCACHE)
        status = transfer(b->peer, request);

    memset(&response, 0, sizeof(response)); /* the padding is seen, too */
    response.id = request->id;
    response.operation = request->operation;
    response.status = (int16_t)status;
    return back_reply(b, &response);
}

static int probe(struct back *b)
{
    char *mode = back_read(b, "mode");
    bool may_write = !disk.readonly && mode && !strcmp(mode, "w");

    b->data = may_write ? &full_access : &read_access;
    mem_free(mode);
    return back_publish(b, "feature-flush-cache", "1");
}

static int connect(struct back *b)
{
    const struct access *access = b->data;
    int error = back_publish(b, "sectors", "%lu", disk.sectors);

    if (!error)
        error = back_publish(b, "sector-size", "%u", BLK_SECTOR);
    if (!error)
        error = back_publish(b, "info", "%u", access->info);
    return error;
}

int blkback_start(const struct blkback_disk *served)
{
    static const struct back_driver driver = {
        .protocol = &blk_protocol,
        .probe = probe,
        .connect = connect,
        .serve = serve,
    };

    disk = *served;
    return back_add_devices(&driver);
}
