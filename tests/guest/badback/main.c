/*
 * Defends: a frontend survives a backend that answers what nobody asked,
 * answers twice, forges the ring's index or goes away: the device is broken
 * with the right error, every outstanding request ends, memory comes back
 * (R2, R15, R16).
 *
 * One program, two domains: the liar serves disks xvda to xvdj, each with a
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
};

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
    R16_a_backend_that_leaves();
    CHECK_EQ(pages_available(), pages);
    test_end("badback");
}
