/*
 * Defends: a frontend that forges indices, sends garbage or names pages that
 * are not there is disconnected, or answered with an error, and the others
 * are served on (R3, R4, R9, R10, R13); and what it is answered has nothing of
 * the backend's memory between the fields (R12).
 *
 * Each lie has a device of its own.  After every lie that is one too many,
 * the backend's state must be Closed, and stay so; between them an honest
 * device of the same backend must still answer.
 */
#include "guests/drivers/blk.h"
#include "guests/drivers/blkfront.h"
#include "tests/guest/test.h"

#define NS_PER_MS 1000000ull

static const struct protocol protocol = {
    .name = "blkif",
    .device = "vbd",
    .request_size = sizeof(struct blkif_request),
    .response_size = sizeof(struct blkif_response),
    .request_id = offsetof(struct blkif_request, id),
    .response_id = offsetof(struct blkif_response, id),
};

static struct front front;
static struct blkfront *honest;
static uint8_t *page; /* granted to the backend */
static grant_ref_t page_ref;

/* ---- The honest device goes on. ---- */

static void check_honest(void)
{
    static uint8_t before[BLK_REQUEST_SECTORS * BLK_SECTOR];
    static uint8_t after[sizeof(before)];
    static bool known;

    CHECK_EQ(blkfront_read(honest, 0, BLK_REQUEST_SECTORS, after), 0);
    if (known)
        CHECK(memcmp(before, after, sizeof(before)) == 0);
    memcpy(before, after, sizeof(before));
    known = true;
}

/* ---- Devices to lie on. ---- */

static bool open_device(const char *name)
{
    char node[16];
    int ref;

    format_string(node, sizeof(node), "%u", blk_device_number(name));
    if (!CHECK_EQ(front_open_device(&front, &protocol, node, name), 0))
        return false;
    page = page_alloc();
    ref = grant_access(front.peer, page, false);
    CHECK(ref > 0);
    page_ref = (grant_ref_t)ref;
    return true;
}

static bool backend_reaches(enum xenbus_state wanted)
{
    for (unsigned int ms = 0; ms < 2000; ms++) {
        if (xenbus_state_read(front.backend) == wanted)
            return true;
        sleep_ns(NS_PER_MS);
    }
    return false;
}

/* Disconnected, and not let in again by starting the handshake anew. */
static void check_banned(void)
{
    CHECK(backend_reaches(XenbusStateClosed));
    xenbus_state_write(front.path, XenbusStateClosed);
    xenbus_state_write(front.path, XenbusStateInitialising);
    sleep_ns(20 * NS_PER_MS);
    xenbus_state_write(front.path, XenbusStateInitialised);
    sleep_ns(20 * NS_PER_MS);
    CHECK_EQ(xenbus_state_read(front.backend), XenbusStateClosed);
    CHECK_EQ(grant_end(page_ref), 0);
    page_free(page);
    front_close(&front);
    check_honest();
}

static void set_req_prod(uint32_t value)
{
    store_seq_cst(&front.ring.shared->req_prod, value);
    event_send(front.port);
}

static struct blkif_request read_request(void)
{
    struct blkif_request r;

    memset(&r, 0, sizeof(r));
    r.operation = BLKIF_OP_READ;
    r.nr_segments = 1;
    r.seg[0].gref = page_ref;
    r.seg[0].last_sect = 7;
    return r;
}

static void send(struct blkif_request *r)
{
    CHECK_EQ(front_put(&front, r, r), 0);
    CHECK_EQ(front_submit(&front), 0);
}

/* R12: the answer that was just taken, as it stands in the ring: zeros between
 * its fields, and behind it what stood there before, which is our request. */
static void R12_nothing_between_the_fields(const struct blkif_request *r)
{
    const uint32_t taken = front.ring.rsp_cons - 1;
    const uint8_t *slot = front.ring.shared->slots +
                          (taken & front.ring.mask) * front.ring.slot_size;
    const size_t size = sizeof(struct blkif_response);

    CHECK_EQ(slot[9], 0);
    for (unsigned int i = 12; i < size; i++)
        CHECK_EQ(slot[i], 0);
    CHECK(!memcmp(slot + size, (const uint8_t *)r + size, sizeof(*r) - size));
}

/* The answer's status, or 1: none came. */
static int answer_to(struct blkif_request *r)
{
    struct blkif_response response;
    void *cookie;

    send(r);
    for (;;) {
        int error = front_take(&front, &response, &cookie);

        if (!error) {
            R12_nothing_between_the_fields(r);
            return response.status;
        }
        if (error != -EAGAIN || front_wait(&front))
            return 1;
    }
}

/* ---- Lies that end it. ---- */

static void R4_more_requests_than_slots(void)
{
    if (!open_device("xvdb"))
        return;
    set_req_prod(front.ring.nr_slots + 1);
    check_banned();
}

static void R4_an_index_that_goes_back(void)
{
    struct blkif_request r;

    if (!open_device("xvdc"))
        return;
    r = read_request();
    CHECK_EQ(answer_to(&r), BLKIF_RSP_OKAY);
    set_req_prod(0);
    check_banned();
}

static void R13_too_many_segments(void)
{
    struct blkif_request r;

    if (!open_device("xvdd"))
        return;
    r = read_request();
    r.nr_segments = 255;
    send(&r);
    check_banned();
}

static void R13_a_segment_outside_its_page(void)
{
    struct blkif_request r;

    if (!open_device("xvde"))
        return;
    r = read_request();
    r.operation = BLKIF_OP_WRITE;
    r.seg[0].first_sect = 250;
    r.seg[0].last_sect = 255;
    send(&r);
    check_banned();
}

/* ---- A handshake with nothing behind it. ---- */

/* The device connects, closes, and offers what is not there. */
static void offer(const char *name, const char *key, const char *value)
{
    if (!open_device(name))
        return;
    xenbus_state_write(front.path, XenbusStateClosing);
    CHECK(backend_reaches(XenbusStateClosing));
    xenbus_state_write(front.path, XenbusStateClosed);
    CHECK(backend_reaches(XenbusStateClosed));
    xenbus_state_write(front.path, XenbusStateInitialising);
    CHECK(backend_reaches(XenbusStateInitWait));
    CHECK_EQ(xenbus_write(front.path, key, "%s", value), 0);
    xenbus_state_write(front.path, XenbusStateInitialised);
    check_banned();
}

/* Before there is a ring: the backend has said what it speaks. */
static void another_version_is_refused(void)
{
    struct protocol next = protocol;

    next.version++;
    CHECK_EQ(front_open_device(&front, &next, "51888", "xvdl"), -EPROTO);
    check_honest();
}

/* ---- The ring's page taken away under the backend. ---- */

/* With time, or none at all, while it has requests to serve.  It lets go, and
 * a new handshake is welcome. */
static void the_ring_is_revoked(const char *name, uint64_t time)
{
    struct blkif_request r;

    if (!open_device(name))
        return;
    r = read_request();
    for (unsigned int i = 0; i < 8; i++)
        send(&r);
    CHECK_EQ(grant_revoke_begin((grant_ref_t)front.ring_ref,
                                clock_now() + time),
             0);
    event_send(front.port);
    CHECK(backend_reaches(XenbusStateClosed));
    xenbus_state_write(front.path, XenbusStateClosed);
    xenbus_state_write(front.path, XenbusStateInitialising);
    CHECK(backend_reaches(XenbusStateInitWait));
    CHECK_EQ(grant_end(page_ref), 0);
    page_free(page);
    front_close(&front);
    check_honest();
}

/* ---- Lies that cost one request. ---- */

static void wrong_requests_are_answered(void)
{
    static const uint8_t unknown[] = { BLKIF_OP_WRITE_BARRIER, BLKIF_OP_DISCARD,
                                       BLKIF_OP_INDIRECT, 77, 255 };
    static const uint64_t sectors[] = { 1ull << 32, 1ull << 55, 1ull << 63,
                                        UINT64_MAX, UINT64_MAX - 7 };
    struct blkif_request r;

    for (size_t i = 0; i < sizeof(unknown); i++) {
        r = read_request();
        r.operation = unknown[i];
        CHECK_EQ(answer_to(&r), BLKIF_RSP_EOPNOTSUPP);
    }
    for (size_t i = 0; i < sizeof(sectors) / sizeof(sectors[0]); i++) {
        r = read_request();
        r.sector_number = sectors[i];
        CHECK_EQ(answer_to(&r), BLKIF_RSP_ERROR);
    }
    r = read_request();
    r.nr_segments = 0;
    CHECK_EQ(answer_to(&r), BLKIF_RSP_ERROR);
}

/* Every subset of bad references in a request fails that request, leaves
 * nothing of ours mapped, and the next request is served. */
static void R10_references_that_are_not_there(void)
{
    for (unsigned int bad = 1; bad < 1u << BLK_SEGMENTS; bad += 37) {
        struct blkif_request r = read_request();

        r.nr_segments = BLK_SEGMENTS;
        for (unsigned int i = 0; i < BLK_SEGMENTS; i++) {
            r.seg[i].gref = bad >> i & 1 ? 0x7fffffffu - i : page_ref;
            r.seg[i].last_sect = 0;
        }
        CHECK_EQ(answer_to(&r), BLKIF_RSP_ERROR);
    }
}

static void writing_to_what_was_granted_for_reading(void)
{
    struct blkif_request r = read_request();
    int ref = grant_access(front.peer, page, true);

    r.seg[0].gref = (grant_ref_t)ref;
    CHECK_EQ(answer_to(&r), BLKIF_RSP_ERROR);
    CHECK_EQ(grant_end((grant_ref_t)ref), 0);
}

static void lies_that_cost_one_request(void)
{
    struct blkif_request r;

    if (!open_device("xvdh"))
        return;
    wrong_requests_are_answered();
    R10_references_that_are_not_there();
    writing_to_what_was_granted_for_reading();
    r = read_request();
    CHECK_EQ(answer_to(&r), BLKIF_RSP_OKAY);
    CHECK_EQ(grant_end(page_ref), 0);
    page_free(page);
    front_close(&front);
    check_honest();
}

/* ---- States that jump about. ---- */

static void R9_states_faster_than_anyone_follows(void)
{
    if (!open_device("xvdi"))
        return;
    for (unsigned int i = 0; i < 300; i++) {
        xenbus_state_write(front.path, (enum xenbus_state)random_below(9));
        if (random_below(4) == 0)
            sleep_ns(random_below(NS_PER_MS));
    }
    xenbus_state_write(front.path, XenbusStateClosed);
    CHECK(backend_reaches(XenbusStateClosed));
    CHECK_EQ(grant_end(page_ref), 0);
    page_free(page);
    front_close(&front);
    check_honest();
}

int guest_main(void)
{
    if (blkfront_open(&honest, "xvda"))
        verdict(VERDICT_BROKEN, "badfront");
    check_honest();
    R4_more_requests_than_slots();
    R4_an_index_that_goes_back();
    R13_too_many_segments();
    R13_a_segment_outside_its_page();
    offer("xvdf", "ring-ref", "123456");
    offer("xvdg", "event-channel", "4000");
    offer("xvdj", "descriptor",
          "blkif version=9 features=0x0 needs=0x0 request=112 response=16 "
          "slots=32");
    offer("xvdk", "descriptor", "blkif version=zero");
    another_version_is_refused();
    the_ring_is_revoked("xvdm", 3600000 * NS_PER_MS);
    the_ring_is_revoked("xvdn", 0);
    lies_that_cost_one_request();
    R9_states_faster_than_anyone_follows();
    blkfront_close(honest);
    test_end("badfront");
}
