/*
 * Defends: a frontend survives a backend that answers what nobody asked,
 * answers twice, forges the ring's index or goes away: the device is broken
 * with the right error, every outstanding request ends, memory comes back
 * (R2, R15, R16).  And what a backend can read of its frontend's memory is
 * what the frontend wrote for it (R11).
 *
 * One program, two domains: the liar serves disks xvda to xvdk, each with a
 * lie of its own from the second request on.
 */
#include "guests/drivers/back.h"
#include "guests/drivers/blkfront.h"
#include "tests/guest/test.h"

/* ---- The liar. ---- */

enum lie {
    HONEST,        /* xvda */
    NEXT_ID,       /* an id that is not outstanding */
    SAME_ID_AGAIN, /* the one before, answered already */
    HUGE_ID,       /* outside any table */
    OTHER_OPERATION,
    FORGED_INDEX, /* more responses than there were requests */
    ODD_STATUS,   /* a number that is no status */
    FAILED,       /* an honest failure of each second request */
    CLOSES,       /* without an answer */
    VANISHES,     /* takes its state away */
    READS_ALL,    /* fails the request if it finds what is not for it */
};

/* What the frontend has in its memory, and never writes to a disk. */
#define SECRET 0x5ec2e75ec2e75ec2ull

static const struct protocol protocol = {
    .name = "blkif",
    .device = "vbd",
    .request_size = sizeof(struct blkif_request),
    .response_size = sizeof(struct blkif_response),
    .request_id = offsetof(struct blkif_request, id),
    .response_id = offsetof(struct blkif_response, id),
};

static enum lie lie_of(const struct back *b)
{
    return (enum lie)(b->name[3] - 'a');
}

static void leave(struct back *b, bool vanish)
{
    char path[XENBUS_PATH_MAX + 8];

    format_string(path, sizeof(path), "%s/state", b->path);
    if (vanish)
        store_rm(path);
    else
        store_write(path, "%u", XenbusStateClosing);
}

static bool has_secret(const void *page)
{
    const uint64_t *words = page;

    for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
        if (words[i] == SECRET)
            return true;
    return false;
}

/* All of every page that it was given, whatever part it is to use. */
static bool sees_secret(const struct back *b, const struct blkif_request *r)
{
    bool seen = has_secret(b->ring.shared);
    struct grant_mapping m;

    for (unsigned int i = 0; i < r->nr_segments; i++) {
        if (grant_map(b->peer, &r->seg[i].gref, 1, true, &m))
            continue;
        seen |= has_secret(m.address);
        grant_unmap(&m);
    }
    return seen;
}

static int lie(struct back *b, struct blkif_response *response, uint64_t before)
{
    switch (lie_of(b)) {
    case NEXT_ID:
        response->id++;
        break;
    case SAME_ID_AGAIN:
        response->id = before;
        break;
    case HUGE_ID:
        response->id = UINT64_MAX;
        break;
    case OTHER_OPERATION:
        response->operation = BLKIF_OP_WRITE;
        break;
    case FORGED_INDEX:
        b->ring.rsp_prod += 100; /* published with the rest */
        return 0;
    case ODD_STATUS:
        response->status = 7777;
        break;
    case FAILED:
        response->status = BLKIF_RSP_ERROR;
        break;
    case CLOSES:
    case VANISHES:
        leave(b, lie_of(b) == VANISHES);
        return 0;
    default:
        break;
    }
    return back_reply(b, response);
}

static int serve(struct back *b, const void *message)
{
    const struct blkif_request *request = message;
    struct blkif_response response;
    static uint64_t before;
    int error;

    memset(&response, 0, sizeof(response));
    response.id = request->id;
    response.operation = request->operation;
    if (lie_of(b) == READS_ALL && sees_secret(b, request))
        response.status = BLKIF_RSP_ERROR;
    error =
        b->served % 2 ? lie(b, &response, before) : back_reply(b, &response);
    before = request->id;
    return error;
}

static int connect(struct back *b)
{
    return back_publish(b, "sectors", "100000");
}

_Noreturn static void be_the_liar(void)
{
    static const struct back_driver driver = {
        .protocol = &protocol,
        .serve = serve,
        .connect = connect,
    };

    if (back_add_devices(&driver))
        verdict(VERDICT_BROKEN, "liar");
    back_run();
}

/* ---- The frontend. ---- */

/* Read many requests' worth from a liar: the error, and what it costs. */
static void meet(const char *name, int error, bool breaks)
{
    static uint8_t buffer[8 * BLK_REQUEST_SECTORS * BLK_SECTOR];
    struct blkfront *disk;

    if (!CHECK_EQ(blkfront_open(&disk, name), 0))
        return;
    CHECK_EQ(blkfront_read(disk, 0, 8 * BLK_REQUEST_SECTORS, buffer), error);
    CHECK_EQ(disk->front.error, breaks ? error : 0);
    CHECK(list_empty(&disk->front.in_flight));
    if (breaks)
        CHECK_EQ(blkfront_read(disk, 0, 1, buffer), error);
    blkfront_close(disk);
}

static void R15_lies_break_the_device(void)
{
    meet("xvda", 0, false);
    meet("xvdb", -EPROTO, true);
    meet("xvdc", -EPROTO, true);
    meet("xvdd", -EPROTO, true);
    meet("xvde", -EPROTO, true);
    meet("xvdf", -EPROTO, true);
    meet("xvda", 0, false); /* the others are no worse for it */
}

static void R15_failures_are_only_failures(void)
{
    meet("xvdg", -EIO, false);
    meet("xvdh", -EIO, false);
}

/* The one that vanishes still maps the ring's page when we close: the page
 * is put aside, and comes back when the next device is closed. */
static void R16_a_backend_that_leaves(void)
{
    meet("xvdi", -EPIPE, true);
    meet("xvdj", -EPIPE, true);
    meet("xvda", 0, false);
}

/* Every free page, and small objects that are freed again. */
static void fill_memory_with_secrets(void)
{
    void **page, **pages = NULL;
    uint64_t *object[64];

    while ((page = page_try_alloc()) != NULL) {
        for (unsigned int i = 1; i < PAGE_SIZE / 8; i++)
            ((uint64_t *)page)[i] = SECRET;
        *page = pages;
        pages = page;
    }
    while ((page = pages) != NULL) {
        pages = *page;
        *page = (void *)SECRET;
        page_free(page);
    }
    for (unsigned int i = 0; i < 64; i++) {
        object[i] = mem_alloc(64);
        for (unsigned int k = 0; k < 8; k++)
            object[i][k] = SECRET;
    }
    for (unsigned int i = 0; i < 64; i++)
        mem_free(object[i]);
}

static void R11_granted_pages_have_nothing_else(void)
{
    static const uint8_t part[BLK_SECTOR] = { 1 };
    struct blkfront *disk;

    fill_memory_with_secrets();
    meet("xvdk", 0, false);
    if (!CHECK_EQ(blkfront_open(&disk, "xvdk"), 0))
        return;
    for (unsigned int i = 0; i < 20; i++)
        CHECK_EQ(blkfront_write(disk, i, 1, part), 0);
    blkfront_close(disk);
}

int guest_main(void)
{
    char value[8];
    size_t pages;

    if (cmdline_get("liar", value, sizeof(value)))
        be_the_liar();
    meet("xvda", 0, false); /* the runtime now has the pages that it keeps */
    pages = pages_available();
    R15_lies_break_the_device();
    R15_failures_are_only_failures();
    CHECK_EQ(pages_available(), pages);
    R11_granted_pages_have_nothing_else();
    CHECK_EQ(pages_available(), pages);
    R16_a_backend_that_leaves();
    CHECK_EQ(pages_available(), pages);
    test_end("badback");
}
