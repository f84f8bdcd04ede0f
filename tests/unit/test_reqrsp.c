/*
 * Request/response rings on the host: layout, limits, hostile indices.
 *
 * The oracle is <xen/io/ring.h> itself: its macros drive the other end, and
 * decide next to our functions when a bell is due.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <xen/io/ring.h>

#include "lib/atomic.h"
#include "lib/errno.h"
#include "rings/reqrsp.h"
#include "rings/trusted.h"

/* What the macros of <xen/io/ring.h> expect from their user. */
#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)

#define PAGE 4096u

/* Check's own macros tell the parent of every success through a pipe: too
 * slow for loops of millions. */
#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

struct request {
    uint64_t id;
    uint64_t body[13];
};

struct response {
    uint64_t id;
    int16_t status;
};

struct tiny {
    uint8_t bytes[12];
};

DEFINE_RING_TYPES(wide, struct request, struct response);
DEFINE_RING_TYPES(tiny, struct tiny, struct tiny);

#define SLOT  sizeof(union wide_sring_entry)
#define SLOTS 32u

static _Alignas(PAGE) uint8_t page[2 * PAGE];
static struct ring_front front;
static struct ring_back back;

static struct ring_shared *shared(void)
{
    return (struct ring_shared *)page;
}

/* Both ends on a fresh page, as if they had run until @index. */
static void connect_at(uint32_t index)
{
    must(ring_front_create(&front, page, PAGE, SLOT) == 0);
    shared()->req_prod = shared()->rsp_prod = index;
    shared()->req_event = shared()->rsp_event = index + 1;
    must(ring_front_attach(&front, page, PAGE, SLOT, index) == 0);
    must(ring_back_attach(&back, page, PAGE, SLOT) == 0);
    must(back.nr_slots == SLOTS);
}

static int put_request(uint64_t id)
{
    struct request request = { .id = id, .body = { id * 3 } };

    return ring_front_put(&front, &request, sizeof(request));
}

static int answer_one(void)
{
    struct request request;
    struct response response;
    int error = ring_back_take(&back, &request, sizeof(request));

    if (error)
        return error;
    memset(&response, 0, sizeof(response));
    response.id = request.id;
    must(request.body[0] == request.id * 3);
    return ring_back_put(&back, &response, sizeof(response));
}

/* ---- Layout. ---- */

START_TEST(layout_is_that_of_xen)
{
    ck_assert_uint_eq(offsetof(struct ring_shared, req_prod),
                      offsetof(struct wide_sring, req_prod));
    ck_assert_uint_eq(offsetof(struct ring_shared, req_event),
                      offsetof(struct wide_sring, req_event));
    ck_assert_uint_eq(offsetof(struct ring_shared, rsp_prod),
                      offsetof(struct wide_sring, rsp_prod));
    ck_assert_uint_eq(offsetof(struct ring_shared, rsp_event),
                      offsetof(struct wide_sring, rsp_event));
    ck_assert_uint_eq(offsetof(struct ring_shared, slots),
                      offsetof(struct wide_sring, ring));
    ck_assert_uint_eq(offsetof(struct ring_shared, slots),
                      offsetof(struct tiny_sring, ring));
}
END_TEST

START_TEST(slot_counts_are_those_of_xen)
{
    struct wide_sring *wide = (struct wide_sring *)page;
    struct tiny_sring *tiny = (struct tiny_sring *)page;

    for (size_t bytes = PAGE; bytes <= 64 * PAGE; bytes *= 2) {
        ck_assert_uint_eq(ring_slots(bytes, SLOT),
                          (uint32_t)__RING_SIZE(wide, bytes));
        ck_assert_uint_eq(ring_slots(bytes, sizeof(struct tiny)),
                          (uint32_t)__RING_SIZE(tiny, bytes));
    }
    ck_assert_uint_eq(ring_slots(PAGE, SLOT), SLOTS);
}
END_TEST

START_TEST(no_ring_fits_where_no_slot_fits)
{
    ck_assert_uint_eq(ring_slots(0, 8), 0);
    ck_assert_uint_eq(ring_slots(64, 8), 0);
    ck_assert_uint_eq(ring_slots(71, 8), 0);
    ck_assert_uint_eq(ring_slots(72, 8), 1);
    ck_assert_uint_eq(ring_slots(PAGE, 0), 0);
    ck_assert_uint_eq(ring_slots(PAGE, SIZE_MAX), 0);
    ck_assert_int_eq(ring_front_create(&front, page, 64, 8), -EINVAL);
    ck_assert_int_eq(ring_back_attach(&back, page, 64, 8), -EINVAL);
}
END_TEST

START_TEST(create_is_xens_ring_init)
{
    static _Alignas(PAGE) uint8_t other[PAGE];
    struct wide_sring *theirs = (struct wide_sring *)other;

    memset(other, 0, sizeof(other));
    SHARED_RING_INIT(theirs);
    connect_at(0);
    ck_assert_mem_eq(page, other, PAGE);
}
END_TEST

START_TEST(nothing_is_written_behind_the_ring)
{
    memset(page, 0xa5, sizeof(page));
    connect_at(0);
    for (unsigned int i = 0; i < SLOTS; i++)
        ck_assert_int_eq(put_request(i), 0);
    ring_front_publish(&front);
    while (answer_one() == 0)
        continue;
    for (size_t i = PAGE; i < sizeof(page); i++)
        ck_assert_uint_eq(page[i], 0xa5);
}
END_TEST

/* ---- Honest use. ---- */

START_TEST(a_request_comes_back_as_its_response)
{
    struct response response;

    connect_at(0);
    ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                     -EAGAIN);
    ck_assert_int_eq(answer_one(), -EAGAIN);
    ck_assert_int_eq(put_request(77), 0);
    ck_assert_int_eq(answer_one(), -EAGAIN); /* not published yet */
    ck_assert(ring_front_publish(&front));
    ck_assert_int_eq(answer_one(), 0);
    ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                     -EAGAIN);
    ck_assert(ring_back_publish(&back));
    ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)), 0);
    ck_assert_uint_eq(response.id, 77);
}
END_TEST

/* XSA-86's second lesson: full is not a fault.  At every phase of the
 * indices, and across the wrap of 32 bits. */
START_TEST(R2_a_full_ring_is_served_not_refused)
{
    struct response response;

    connect_at(UINT32_MAX - 100);
    for (unsigned int round = 0; round < 200; round++) {
        for (unsigned int i = 0; i < SLOTS; i++)
            ck_assert_int_eq(put_request(round * SLOTS + i), 0);
        ck_assert_uint_eq(ring_front_free(&front), 0);
        ck_assert_int_eq(put_request(0), -ENOSPC);
        ring_front_publish(&front);
        for (unsigned int i = 0; i < SLOTS; i++)
            ck_assert_int_eq(answer_one(), 0);
        ck_assert_int_eq(answer_one(), -EAGAIN);
        ring_back_publish(&back);
        for (unsigned int i = 0; i < SLOTS; i++) {
            ck_assert_int_eq(
                ring_front_take(&front, &response, sizeof(response)), 0);
            ck_assert_uint_eq(response.id, round * SLOTS + i);
        }
        ck_assert_uint_eq(ring_front_free(&front), SLOTS);
    }
    ck_assert_uint_eq(front.stats.full, 200);
}
END_TEST

START_TEST(more_responses_than_requests_are_refused)
{
    struct response response = { .id = 1 };

    connect_at(5);
    ck_assert_int_eq(ring_back_put(&back, &response, sizeof(response)),
                     -ENOSPC);
    put_request(1);
    ring_front_publish(&front);
    ck_assert_int_eq(answer_one(), 0);
    ck_assert_int_eq(ring_back_put(&back, &response, sizeof(response)),
                     -ENOSPC);
}
END_TEST

START_TEST(a_size_beyond_the_slot_is_refused)
{
    static uint8_t big[SLOT + 1];

    connect_at(0);
    ck_assert_int_eq(ring_front_put(&front, big, SLOT + 1), -EINVAL);
    put_request(1);
    ring_front_publish(&front);
    ck_assert_int_eq(ring_back_take(&back, big, SLOT + 1), -EINVAL);
    ck_assert_int_eq(answer_one(), 0);
    ck_assert_int_eq(ring_back_put(&back, big, SLOT + 1), -EINVAL);
    ring_back_publish(&back);
    ck_assert_int_eq(ring_front_take(&front, big, SLOT + 1), -EINVAL);
    ck_assert_int_eq(front.fault | back.fault, 0);
}
END_TEST

/* A new backend goes on where the old one published last. */
START_TEST(attach_goes_on_at_the_published_index)
{
    struct response response;

    connect_at(1000);
    put_request(1);
    ring_front_publish(&front);
    answer_one();
    ring_back_publish(&back);
    put_request(2);
    ring_front_publish(&front);

    ck_assert_int_eq(ring_back_attach(&back, page, PAGE, SLOT), 0);
    ck_assert_int_eq(answer_one(), 0);
    ring_back_publish(&back);
    for (uint64_t id = 1; id <= 2; id++) {
        ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                         0);
        ck_assert_uint_eq(response.id, id);
    }
}
END_TEST

/* The same page, other sides: nothing was in flight, so nothing is lost. */
START_TEST(a_new_front_goes_on_at_an_index_that_both_know)
{
    struct response response;

    connect_at(UINT32_MAX - 1);
    for (uint64_t id = 0; id < 7; id++) {
        put_request(id);
        ring_front_publish(&front);
        ck_assert_int_eq(answer_one(), 0);
        ring_back_publish(&back);
        ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                         0);
        ck_assert_uint_eq(response.id, id);
        ck_assert_int_eq(
            ring_front_attach(&front, page, PAGE, SLOT, front.rsp_cons), 0);
        ck_assert_uint_eq(ring_front_free(&front), SLOTS);
        if (id % 2)
            ck_assert_int_eq(
                ring_back_attach_at(&back, page, PAGE, SLOT, front.rsp_cons),
                0);
    }
}
END_TEST

/* Why a dead backend's ring is made anew: the contract of ring_back_attach. */
START_TEST(an_unpublished_response_stands_where_its_request_stood)
{
    struct request request;
    struct response response = { .id = 99 };

    connect_at(0);
    put_request(1);
    ring_front_publish(&front);
    ring_back_take(&back, &request, sizeof(request));
    ring_back_put(&back, &response, sizeof(response));

    ck_assert_int_eq(ring_back_attach(&back, page, PAGE, SLOT), 0);
    ck_assert_int_eq(ring_back_take(&back, &request, sizeof(request)), 0);
    ck_assert_uint_eq(request.id, 99);
}
END_TEST

/* Where a caller forgot to look at what create and attach returned. */
START_TEST(a_ring_that_was_refused_touches_nothing)
{
    static struct request request;

    ck_assert_int_eq(ring_front_create(&front, page + 1, PAGE, SLOT), -EINVAL);
    ck_assert_int_eq(ring_front_attach(&front, page, 64, SLOT, 3), -EINVAL);
    ck_assert_int_eq(put_request(1), -EPROTO);
    ck_assert_int_eq(ring_front_take(&front, &request, 8), -EPROTO);
    ck_assert(!ring_front_publish(&front) && !ring_front_arm(&front));
    ck_assert_uint_eq(ring_front_free(&front), 0);

    ck_assert_int_eq(ring_back_attach(&back, page + 2, PAGE, SLOT), -EINVAL);
    ck_assert_int_eq(ring_back_take(&back, &request, 8), -EPROTO);
    ck_assert_int_eq(ring_back_put(&back, &request, 8), -EPROTO);
    ck_assert(!ring_back_publish(&back) && !ring_back_arm(&back));
    ck_assert_str_eq(ring_fault_name(back.fault), "was never attached");
}
END_TEST

START_TEST(every_fault_has_a_name)
{
    for (int i = -1; i <= RING_NOT_ATTACHED + 1; i++)
        for (int j = -1; j < i; j++)
            if (i <= RING_NOT_ATTACHED && j >= 0)
                ck_assert_str_ne(ring_fault_name((enum ring_fault)i),
                                 ring_fault_name((enum ring_fault)j));
    ck_assert_str_eq(ring_fault_name((enum ring_fault)1000),
                     ring_fault_name((enum ring_fault) - 1));
}
END_TEST

/* As many messages as there are slots, at once, in 16 pages. */
START_TEST(a_ring_of_several_pages_uses_all_of_them)
{
    static _Alignas(PAGE) uint8_t pages[17 * PAGE];
    const uint32_t slots = ring_slots(16 * PAGE, SLOT);
    struct response response;

    memset(pages + 16 * PAGE, 0xa5, PAGE);
    ck_assert_uint_gt(slots * SLOT, 8 * PAGE - SLOT);
    ck_assert_int_eq(ring_front_create(&front, pages, 16 * PAGE, SLOT), 0);
    ck_assert_int_eq(ring_back_attach(&back, pages, 16 * PAGE, SLOT), 0);
    for (uint32_t i = 0; i < slots; i++)
        ck_assert_int_eq(put_request(i), 0);
    ck_assert_int_eq(put_request(slots), -ENOSPC);
    ring_front_publish(&front);
    for (uint32_t i = 0; i < slots; i++)
        ck_assert_int_eq(answer_one(), 0);
    ring_back_publish(&back);
    for (uint32_t i = 0; i < slots; i++) {
        ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                         0);
        ck_assert_uint_eq(response.id, i);
    }
    for (size_t i = 16 * PAGE; i < sizeof(pages); i++)
        must(pages[i] == 0xa5);
}
END_TEST

/* ---- Slots in place. ---- */

START_TEST(trusting_sides_exchange_without_a_copy)
{
    connect_at(UINT32_MAX - 5);
    for (uint64_t id = 0; id < 100; id++) {
        const struct request *request = NULL;
        const struct response *response = NULL;
        void *slot, *same;

        ck_assert_int_eq(trusted_front_claim(&front, &slot), 0);
        ck_assert_int_eq(trusted_front_claim(&front, &same), 0);
        ck_assert_ptr_eq(slot, same);
        ((struct request *)slot)->id = id;
        trusted_front_put(&front);
        ring_front_publish(&front);

        ck_assert_int_eq(trusted_back_claim(&back, &slot), -ENOSPC);
        ck_assert_int_eq(trusted_back_peek(&back, (const void **)&request), 0);
        ck_assert_uint_eq(request->id, id);
        trusted_back_release(&back);
        ck_assert_int_eq(trusted_back_claim(&back, &slot), 0);
        ((struct response *)slot)->id = id + 1;
        trusted_back_put(&back);
        ring_back_publish(&back);

        ck_assert_int_eq(trusted_front_peek(&front, (const void **)&response),
                         0);
        ck_assert_uint_eq(response->id, id + 1);
        trusted_front_release(&front);
        ck_assert_int_eq(trusted_front_peek(&front, (const void **)&response),
                         -EAGAIN);
    }
}
END_TEST

START_TEST(slots_in_place_are_limited_as_copied_ones_are)
{
    const void *seen;
    void *slot;

    connect_at(0);
    for (unsigned int i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(trusted_front_claim(&front, &slot), 0);
        trusted_front_put(&front);
    }
    ck_assert_int_eq(trusted_front_claim(&front, &slot), -ENOSPC);
    ck_assert_ptr_null(slot);
    seen = slot = page;
    shared()->rsp_prod = 1; /* nothing was published yet */
    ck_assert_int_eq(trusted_front_peek(&front, &seen), -EPROTO);
    ck_assert_int_eq(trusted_front_claim(&front, &slot), -EPROTO);
    ck_assert(!seen && !slot);
    seen = slot = page;
    shared()->req_prod = SLOTS + 1;
    ck_assert_int_eq(trusted_back_peek(&back, &seen), -EPROTO);
    ck_assert_int_eq(trusted_back_claim(&back, &slot), -EPROTO);
    ck_assert(!seen && !slot);
}
END_TEST

START_TEST(any_size_is_copied_whole_and_no_further)
{
    static uint8_t from[256], to[256];

    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (uint8_t)(i * 7 + 1);
    for (size_t n = 0; n <= 200; n++) {
        memset(to, 0, sizeof(to));
        shared_copy_any(to + n % 8, from + n % 5, n);
        ck_assert_mem_eq(to + n % 8, from + n % 5, n);
        ck_assert_uint_eq(to[n % 8 + n], 0);
    }
}
END_TEST

/* ---- Bells. ---- */

START_TEST(the_bell_rings_only_for_who_sleeps)
{
    connect_at(0);
    put_request(1);
    ck_assert(ring_front_publish(&front)); /* armed at the start */
    put_request(2);
    ck_assert(!ring_front_publish(&front)); /* nobody armed again */
    ck_assert(!ring_front_publish(&front)); /* nothing new */
    ck_assert(ring_back_arm(&back));        /* two to take: no sleep */
    ck_assert_uint_eq(shared()->req_event, 1);
    answer_one();
    answer_one();
    ck_assert(!ring_back_arm(&back));
    ck_assert_uint_eq(shared()->req_event, 3);
    put_request(3);
    ck_assert(ring_front_publish(&front));
    ck_assert_uint_eq(front.stats.notified, 2);
    ck_assert_uint_eq(front.stats.suppressed, 1);
    ck_assert_uint_eq(front.stats.prod_at_notify, 3);
}
END_TEST

/* Our front and Xen's macros decide alike for every event index near. */
START_TEST(bells_are_those_of_xen)
{
    static const uint32_t bases[] = { 0, 100, UINT32_MAX - 3, 0x7ffffffe };

    for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++)
        for (uint32_t batch = 1; batch <= 8; batch++)
            for (uint32_t event = 0; event < 48; event++) {
                wide_front_ring_t xen;
                bool theirs;

                connect_at(bases[b]);
                FRONT_RING_ATTACH(&xen, (struct wide_sring *)page, bases[b],
                                  PAGE);
                shared()->req_event = bases[b] + event - 16;
                xen.req_prod_pvt += batch;
                RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&xen, theirs);

                shared()->req_prod = bases[b];
                for (uint32_t i = 0; i < batch; i++)
                    put_request(i);
                ck_assert_int_eq(ring_front_publish(&front), theirs);
            }
}
END_TEST

START_TEST(our_back_serves_a_front_of_xens_macros)
{
    struct wide_sring *sring = (struct wide_sring *)page;
    wide_front_ring_t xen;
    struct response response;

    connect_at(0);
    memset(page, 0, PAGE);
    XEN_FRONT_RING_INIT(&xen, sring, PAGE);
    ring_back_attach(&back, page, PAGE, SLOT);
    for (uint64_t i = 0; i < 1000; i++) {
        struct request *slot = RING_GET_REQUEST(&xen, xen.req_prod_pvt);
        bool notify;

        slot->id = i;
        slot->body[0] = i * 3;
        xen.req_prod_pvt++;
        RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&xen, notify);
        ck_assert(notify);
        ck_assert_int_eq(answer_one(), 0);
        ring_back_publish(&back);
        ck_assert(!ring_back_arm(&back));
        RING_COPY_RESPONSE(&xen, xen.rsp_cons, &response);
        ck_assert_uint_eq(response.id, i);
        xen.rsp_cons++;
    }
}
END_TEST

START_TEST(our_front_talks_to_a_back_of_xens_macros)
{
    wide_back_ring_t xen;

    connect_at(0);
    BACK_RING_INIT(&xen, (struct wide_sring *)page, PAGE);
    for (uint64_t i = 0; i < 1000; i++) {
        struct response response;
        struct request request;
        bool notify;

        put_request(i);
        ring_front_publish(&front);
        RING_COPY_REQUEST(&xen, xen.req_cons, &request);
        xen.req_cons++;
        RING_GET_RESPONSE(&xen, xen.rsp_prod_pvt)->id = request.id;
        xen.rsp_prod_pvt++;
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&xen, notify);
        ck_assert(notify);
        ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)),
                         0);
        ck_assert_uint_eq(response.id, i);
        ck_assert(!ring_front_arm(&front));
    }
}
END_TEST

/* ---- Hostile peers. ---- */

/* Indices where off-by-one and sign mistakes live, relative to honest. */
static const uint32_t far_away[] = {
    0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xffff0000, 0xffffffff,
};
#define NEAR   (3 * SLOTS)
#define FORGED (2 * NEAR + sizeof(far_away) / sizeof(far_away[0]))

static uint32_t forged(unsigned int i)
{
    return i < 2 * NEAR ? i - NEAR : far_away[i - 2 * NEAR];
}

/* The backend has taken @taken, answered @answered of these, and published
 * the first @published answers. */
static void back_state(uint32_t base, uint32_t taken, uint32_t answered,
                       uint32_t published)
{
    connect_at(base);
    for (uint32_t i = 0; i < taken; i++)
        put_request(i);
    ring_front_publish(&front);
    for (uint32_t i = 0; i < taken; i++) {
        struct request request;
        struct response response = { .id = i };

        must(ring_back_take(&back, &request, sizeof(request)) == 0);
        if (i < answered)
            ring_back_put(&back, &response, sizeof(response));
        if (i + 1 == published)
            ring_back_publish(&back);
    }
}

static void check_back(uint32_t base, uint32_t taken, uint32_t answered,
                       uint32_t published, uint32_t distance)
{
    uint32_t most = SLOTS - (taken - published);
    struct request request;
    int expected = distance == 0 ? -EAGAIN : distance <= most ? 0 : -EPROTO;

    back_state(base, taken, answered, published);
    shared()->req_prod = base + taken + distance;
    must(ring_back_take(&back, &request, sizeof(request)) == expected);
    if (expected != -EPROTO)
        return;
    shared()->req_prod = base + taken + 1; /* mending it does not help */
    must(ring_back_take(&back, &request, sizeof(request)) == -EPROTO);
    must(ring_back_put(&back, &request, 8) == -EPROTO);
    must(!ring_back_arm(&back));
    must(!ring_back_publish(&back));
    must(back.fault == RING_FORGED_REQUESTS);
}

START_TEST(R4_request_index_out_of_reach_is_a_sticky_fault)
{
    for (uint32_t taken = 0; taken <= SLOTS; taken++)
        for (uint32_t answered = 0; answered <= taken; answered++)
            for (uint32_t published = 0; published <= answered; published++)
                for (unsigned int i = 0; i < FORGED; i++)
                    check_back(UINT32_MAX - 20, taken, answered, published,
                               forged(i));
}
END_TEST

/* No take returns more than the honest count whatever req_prod says. */
START_TEST(R4_a_forged_index_never_yields_more_than_the_ring)
{
    struct request request;
    unsigned int taken;

    for (uint32_t i = 0; i < 200000; i++) {
        connect_at(i * 2654435761u);
        shared()->req_prod = (uint32_t)rand() * 3u;
        for (taken = 0; !ring_back_take(&back, &request, sizeof(request));)
            taken++;
        must(taken <= SLOTS);
    }
}
END_TEST

static void check_front(uint32_t base, uint32_t published, uint32_t taken,
                        uint32_t distance)
{
    struct response response;
    uint32_t most = published - taken;
    int expected = distance == 0 ? -EAGAIN : distance <= most ? 0 : -EPROTO;

    connect_at(base);
    for (uint32_t i = 0; i < published; i++)
        put_request(i);
    ring_front_publish(&front);
    shared()->rsp_prod = base + taken;
    for (uint32_t i = 0; i < taken; i++)
        must(ring_front_take(&front, &response, sizeof(response)) == 0);

    shared()->rsp_prod = base + taken + distance;
    must(ring_front_take(&front, &response, sizeof(response)) == expected);
    if (expected != -EPROTO)
        return;
    shared()->rsp_prod = base + taken;
    must(ring_front_take(&front, &response, sizeof(response)) == -EPROTO);
    must(put_request(1) == -EPROTO);
    must(!ring_front_arm(&front));
    must(!ring_front_publish(&front));
}

START_TEST(R2_response_index_out_of_reach_is_a_sticky_fault)
{
    static const uint32_t bases[] = { 0, UINT32_MAX - 20, 0x7ffffff0 };

    for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++)
        for (uint32_t published = 0; published <= SLOTS; published++)
            for (uint32_t taken = 0; taken <= published; taken++)
                for (unsigned int i = 0; i < FORGED; i++)
                    check_front(bases[b], published, taken, forged(i));
}
END_TEST

/* What a side has written it never believes from the page. */
START_TEST(R2_own_indices_are_not_read_back)
{
    struct response response;

    connect_at(0);
    put_request(1);
    ring_front_publish(&front);
    shared()->req_prod = 12345; /* the peer scribbles; the front goes on */
    put_request(2);
    ring_front_publish(&front);
    ck_assert_uint_eq(shared()->req_prod, 2);

    answer_one();
    ring_back_publish(&back);
    shared()->rsp_prod = 999;
    answer_one();
    ring_back_publish(&back);
    ck_assert_uint_eq(shared()->rsp_prod, 2);
    ck_assert_int_eq(ring_front_take(&front, &response, sizeof(response)), 0);
}
END_TEST

static bool flip_stop;

static void *flip_every_field(void *unused)
{
    volatile uint64_t *slot = (volatile uint64_t *)shared()->slots;

    while (!read_once(&flip_stop))
        for (size_t i = 0; i < SLOT * SLOTS / 8; i++)
            slot[i] = slot[i] == 3 ? UINT64_MAX : 3;
    return unused;
}

/* XSA-155: a length that was checked is the length that is used, though the
 * peer flips it all the time. */
START_TEST(R1_what_was_checked_is_what_is_used)
{
    static const char text[8] = "1234567";
    uint64_t seen[2] = { 0, 0 };
    struct request request;
    pthread_t thread;
    char out[8];

    connect_at(0);
    pthread_create(&thread, NULL, flip_every_field, NULL);
    for (unsigned int i = 0; i < 3000000; i++) {
        if (ring_back_take(&back, &request, sizeof(request)) != 0) {
            ring_back_attach(&back, page, PAGE, SLOT);
            shared()->req_prod = SLOTS;
            continue;
        }
        seen[request.id == 3]++;
        if (request.id <= sizeof(out))
            memcpy(out, text, (size_t)request.id); /* ASan watches */
    }
    write_once(&flip_stop, true);
    pthread_join(thread, NULL);
    ck_assert_uint_gt(seen[0], 0);
    ck_assert_uint_gt(seen[1], 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reqrsp");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, layout_is_that_of_xen);
    tcase_add_test(tests, slot_counts_are_those_of_xen);
    tcase_add_test(tests, no_ring_fits_where_no_slot_fits);
    tcase_add_test(tests, create_is_xens_ring_init);
    tcase_add_test(tests, nothing_is_written_behind_the_ring);
    tcase_add_test(tests, a_request_comes_back_as_its_response);
    tcase_add_test(tests, R2_a_full_ring_is_served_not_refused);
    tcase_add_test(tests, more_responses_than_requests_are_refused);
    tcase_add_test(tests, a_size_beyond_the_slot_is_refused);
    tcase_add_test(tests, attach_goes_on_at_the_published_index);
    tcase_add_test(tests, a_new_front_goes_on_at_an_index_that_both_know);
    tcase_add_test(tests,
                   an_unpublished_response_stands_where_its_request_stood);
    tcase_add_test(tests, a_ring_that_was_refused_touches_nothing);
    tcase_add_test(tests, every_fault_has_a_name);
    tcase_add_test(tests, a_ring_of_several_pages_uses_all_of_them);
    tcase_add_test(tests, trusting_sides_exchange_without_a_copy);
    tcase_add_test(tests, slots_in_place_are_limited_as_copied_ones_are);
    tcase_add_test(tests, any_size_is_copied_whole_and_no_further);
    tcase_add_test(tests, the_bell_rings_only_for_who_sleeps);
    tcase_add_test(tests, bells_are_those_of_xen);
    tcase_add_test(tests, our_back_serves_a_front_of_xens_macros);
    tcase_add_test(tests, our_front_talks_to_a_back_of_xens_macros);
    tcase_add_test(tests, R4_request_index_out_of_reach_is_a_sticky_fault);
    tcase_add_test(tests, R4_a_forged_index_never_yields_more_than_the_ring);
    tcase_add_test(tests, R2_response_index_out_of_reach_is_a_sticky_fault);
    tcase_add_test(tests, R2_own_indices_are_not_read_back);
    tcase_add_test(tests, R1_what_was_checked_is_what_is_used);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
