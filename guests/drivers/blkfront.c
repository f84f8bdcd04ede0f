/*
 * The frontend half of block devices: see blkfront.h.
 *
 * A transfer is a window over the places in d->io, oldest first: filled at
 * its end as long as there is a place, consumed at its head in order.
 */
#include "guests/drivers/blkfront.h"

#include "guests/drivers/shared_page.h"

static const struct protocol blk_protocol = {
    .name = "blkif",
    .device = "vbd",
    .request_size = sizeof(struct blkif_request),
    .response_size = sizeof(struct blkif_response),
    .request_id = offsetof(struct blkif_request, id),
    .response_id = offsetof(struct blkif_response, id),
};

/* ---- One request. ---- */

static unsigned int segments_of(unsigned int sectors)
{
    return (sectors + BLK_PAGE_SECTORS - 1) / BLK_PAGE_SECTORS;
}

static void fill_segments(struct blkif_request *r, const struct blkfront_io *io)
{
    r->nr_segments = (uint8_t)segments_of(io->sectors);
    for (unsigned int i = 0; i < r->nr_segments; i++) {
        unsigned int left = io->sectors - i * BLK_PAGE_SECTORS;

        r->seg[i].gref = io->ref[i];
        r->seg[i].last_sect =
            (uint8_t)((left < BLK_PAGE_SECTORS ? left : BLK_PAGE_SECTORS) - 1);
    }
}

static int put(struct blkfront *d, struct blkfront_io *io)
{
    struct blkif_request r;

    memset(&r, 0, sizeof(r));
    r.operation = io->operation;
    r.sector_number = io->sector;
    fill_segments(&r, io);
    io->done = false;
    io->status = 0;
    return front_put(&d->front, &r, io);
}

static int status_error(int status)
{
    switch (status) {
    case BLKIF_RSP_OKAY:
        return 0;
    case BLKIF_RSP_EOPNOTSUPP:
        return -EOPNOTSUPP;
    default:
        return -EIO;
    }
}

/* Take what has been answered.  0, or the device's error. */
static int reap(struct blkfront *d)
{
    struct blkif_response response;
    void *cookie;
    int error;

    while ((error = front_take(&d->front, &response, &cookie)) == 0) {
        struct blkfront_io *io = cookie;

        if (response.operation != io->operation)
            return front_break(&d->front,
                               "its backend answered another operation");
        io->status = status_error(response.status);
        io->done = true;
    }
    return error == -EAGAIN ? 0 : error;
}

static int wait_for(struct blkfront *d, const struct blkfront_io *io)
{
    int error = reap(d);

    while (!error && !io->done) {
        error = front_wait(&d->front);
        if (!error)
            error = reap(d);
    }
    return error;
}

/* ---- A transfer. ---- */

struct transfer {
    uint8_t operation;
    uint64_t next, end; /* sectors not yet asked for */
    blkfront_fn *fn;
    void *data;
    unsigned int head, in_window; /* of d->io */
    int error;                    /* the first; nothing more is asked then */
};

static void call(const struct transfer *t, const struct blkfront_io *io)
{
    t->fn(t->data, io->sector, io->buffer, (size_t)io->sectors * BLK_SECTOR);
}

static int ask(struct blkfront *d, struct transfer *t)
{
    struct blkfront_io *io = &d->io[(t->head + t->in_window) % d->depth];
    unsigned int most = io->nr_refs * BLK_PAGE_SECTORS;
    uint64_t left = t->end - t->next;
    int error;

    io->operation = t->operation;
    io->sector = t->next;
    io->sectors = left < most ? (unsigned int)left : most;
    if (t->operation == BLKIF_OP_WRITE)
        call(t, io);
    error = put(d, io);
    if (error)
        return error;
    t->next += io->sectors;
    t->in_window++;
    return 0;
}

static void ask_all(struct blkfront *d, struct transfer *t)
{
    while (!t->error && t->next < t->end && t->in_window < d->depth)
        t->error = ask(d, t);
    front_submit(&d->front);
}

static void consume(struct blkfront *d, struct transfer *t)
{
    while (t->in_window > 0 && d->io[t->head].done) {
        struct blkfront_io *io = &d->io[t->head];

        if (!t->error)
            t->error = io->status;
        if (!t->error && t->operation == BLKIF_OP_READ)
            call(t, io);
        t->head = (t->head + 1) % d->depth;
        t->in_window--;
    }
}

/* A broken device gives its requests back; their pages are the backend's
 * until blkfront_close has withdrawn them. */
static int give_up(struct blkfront *d, int error)
{
    void *cookie;

    while (front_cancel(&d->front, &cookie))
        ((struct blkfront_io *)cookie)->done = true;
    return error;
}

static int run(struct blkfront *d, struct transfer *t)
{
    for (;;) {
        int error;

        ask_all(d, t);
        if (t->in_window == 0)
            return t->error;
        error = wait_for(d, &d->io[t->head]);
        if (error)
            return give_up(d, error);
        consume(d, t);
    }
}

static int each(struct blkfront *d, uint8_t operation, uint64_t first,
                uint64_t count, blkfront_fn *fn, void *data)
{
    struct transfer t = { .operation = operation,
                          .next = first,
                          .end = first + count,
                          .fn = fn,
                          .data = data };

    if (first > d->sectors || count > d->sectors - first)
        return -EINVAL;
    if (operation == BLKIF_OP_WRITE && d->readonly)
        return -EROFS;
    return run(d, &t);
}

int blkfront_read_each(struct blkfront *d, uint64_t first, uint64_t count,
                       blkfront_fn *fn, void *data)
{
    return each(d, BLKIF_OP_READ, first, count, fn, data);
}

int blkfront_write_each(struct blkfront *d, uint64_t first, uint64_t count,
                        blkfront_fn *fn, void *data)
{
    return each(d, BLKIF_OP_WRITE, first, count, fn, data);
}

/* The caller's memory, and the sector that its first byte belongs to. */
struct memory {
    uint8_t *to;
    const uint8_t *from;
    uint64_t first;
};

static void copy_out(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    const struct memory *m = data;

    memcpy(m->to + (sector - m->first) * BLK_SECTOR, bytes, n);
}

static void copy_in(void *data, uint64_t sector, uint8_t *bytes, size_t n)
{
    const struct memory *m = data;

    memcpy(bytes, m->from + (sector - m->first) * BLK_SECTOR, n);
}

int blkfront_read(struct blkfront *d, uint64_t first, uint64_t count, void *to)
{
    struct memory m = { .to = to, .first = first };

    return each(d, BLKIF_OP_READ, first, count, copy_out, &m);
}

int blkfront_write(struct blkfront *d, uint64_t first, uint64_t count,
                   const void *from)
{
    struct memory m = { .from = from, .first = first };

    return each(d, BLKIF_OP_WRITE, first, count, copy_in, &m);
}

int blkfront_flush(struct blkfront *d)
{
    struct blkfront_io *io = &d->io[0];
    int error;

    if (!d->can_flush)
        return -EOPNOTSUPP;
    io->operation = BLKIF_OP_FLUSH_DISKCACHE;
    io->sector = 0;
    io->sectors = 0;
    error = put(d, io);
    if (!error)
        error = front_submit(&d->front);
    if (!error)
        error = wait_for(d, io);
    return error ? give_up(d, error) : io->status;
}

/* ---- Pages for the data. ---- */

/* The pages behind nr_refs were never granted. */
static void free_buffer(struct blkfront_io *io)
{
    for (unsigned int i = 0; i < BLK_SEGMENTS; i++) {
        uint8_t *page = io->buffer + i * PAGE_SIZE;

        if (i < io->nr_refs)
            shared_page_free(page, io->ref[i]);
        else
            page_free(page);
    }
    io->nr_refs = 0;
}

static bool make_buffer(struct blkfront *d, struct blkfront_io *io)
{
    io->buffer = pages_alloc(BLK_SEGMENTS);
    if (!io->buffer)
        return false;
    for (unsigned int i = 0; i < BLK_SEGMENTS; i++) {
        int ref =
            grant_access(d->front.peer, io->buffer + i * PAGE_SIZE, false);

        if (ref < 0) {
            free_buffer(io);
            return false;
        }
        io->ref[io->nr_refs++] = (grant_ref_t)ref;
    }
    return true;
}

/* A full ring's worth, or what half of the free memory holds: a small domain
 * has a shorter queue. */
static int make_buffers(struct blkfront *d)
{
    size_t most = pages_available() / 2 / BLK_SEGMENTS;

    if (most > front_free(&d->front))
        most = front_free(&d->front);
    while (d->depth < most && d->depth < BLKFRONT_DEPTH &&
           make_buffer(d, &d->io[d->depth]))
        d->depth++;
    return d->depth > 0 ? 0 : -ENOMEM;
}

/* ---- The device. ---- */

/* Sectors of 512 bytes, whatever the disk's own: the protocol's unit. */
static int read_properties(struct blkfront *d)
{
    uint64_t size = front_read_number(&d->front, "sector-size", BLK_SECTOR);
    uint64_t sectors = front_read_number(&d->front, "sectors", 0);

    if (size % BLK_SECTOR || size == 0 || size > UINT32_MAX ||
        sectors > UINT64_MAX / size)
        return front_break(&d->front, "its backend gives it no sensible size");
    d->sectors = sectors * (size / BLK_SECTOR);
    d->readonly = front_read_number(&d->front, "info", 0) & VDISK_READONLY;
    d->can_flush = front_read_number(&d->front, "feature-flush-cache", 0);
    return 0;
}

int blkfront_open(struct blkfront **out, const char *name)
{
    unsigned int number = blk_device_number(name);
    struct blkfront *d;
    char node[16];
    int error;

    if (!number) {
        printf("%s: a disk's name is xvda to xvdp\n", name);
        return -EINVAL;
    }
    d = mem_alloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    format_string(node, sizeof(node), "%u", number);
    error = front_open_device(&d->front, &blk_protocol, node, name);
    if (error) {
        mem_free(d);
        return error;
    }
    error = read_properties(d);
    if (!error)
        error = make_buffers(d);
    if (error)
        blkfront_close(d);
    else
        *out = d;
    return error;
}

void blkfront_close(struct blkfront *d)
{
    front_close(&d->front);
    for (unsigned int i = 0; i < d->depth; i++)
        free_buffer(&d->io[i]);
    mem_free(d);
}
