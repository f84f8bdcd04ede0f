/*
 * Streams in Xen's flex and vchan layouts.  The oracles are Xen's headers:
 * where each field stands, and for flex their functions on the other end.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/io/ring.h>
#include <xen/io/libxenvchan.h>

#include "lib/errno.h"
#include "rings/flex.h"
#include "rings/vchan.h"

#define PAGE 4096u

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            ck_abort_msg("line %d: %s", __LINE__, #cond);                      \
    } while (0)

DEFINE_XEN_FLEX_RING_AND_INTF(xen);

static _Alignas(PAGE) uint8_t page[PAGE], buffer[2][64 * PAGE];

/* ---- Flex. ---- */

START_TEST(flex_layout_is_that_of_xen)
{
    ck_assert_uint_eq(offsetof(struct flex_page, in_cons),
                      offsetof(struct xen_data_intf, in_cons));
    ck_assert_uint_eq(offsetof(struct flex_page, in_prod),
                      offsetof(struct xen_data_intf, in_prod));
    ck_assert_uint_eq(offsetof(struct flex_page, out_cons),
                      offsetof(struct xen_data_intf, out_cons));
    ck_assert_uint_eq(offsetof(struct flex_page, out_prod),
                      offsetof(struct xen_data_intf, out_prod));
    ck_assert_uint_eq(offsetof(struct flex_page, ring_order),
                      offsetof(struct xen_data_intf, ring_order));
    ck_assert_uint_eq(offsetof(struct flex_page, ref),
                      offsetof(struct xen_data_intf, ref));
}
END_TEST

/* Our front, and a back of Xen's functions: an echo of chunks of all sizes. */
START_TEST(our_flex_front_talks_to_a_back_of_xens_functions)
{
    struct xen_data_intf *intf = (struct xen_data_intf *)page;
    const RING_IDX size = XEN_FLEX_RING_SIZE(1);
    uint8_t sent[700], got[700];
    uint32_t sum = 0;
    struct flex f;

    ck_assert_int_eq(flex_front_create(&f, page, buffer[0], 1), 0);
    ck_assert_uint_eq(intf->ring_order, 1);
    for (uint32_t n = 1; n < sizeof(sent); n++) {
        RING_IDX cons, prod;

        for (uint32_t i = 0; i < n; i++)
            sent[i] = (uint8_t)(sum += 7 * i + n);
        must(stream_write(&f.to_peer, sent, n) == (int)n);

        must(xen_queued(intf->out_prod, intf->out_cons, size) == n);
        cons = xen_mask(intf->out_cons, size);
        xen_read_packet(got, buffer[0] + size, n,
                        xen_mask(intf->out_prod, size), &cons, size);
        must(memcmp(got, sent, n) == 0);
        intf->out_cons += n;
        prod = xen_mask(intf->in_prod, size);
        xen_write_packet(buffer[0], got, n, &prod,
                         xen_mask(intf->in_cons, size), size);
        intf->in_prod += n;

        memset(got, 0, sizeof(got));
        must(stream_read(&f.from_peer, got, sizeof(got)) == (int)n);
        must(memcmp(got, sent, n) == 0);
    }
}
END_TEST

START_TEST(flex_ends_meet_at_every_order)
{
    static const char word[] = "a word";
    char got[sizeof(word)];
    struct flex front, back;

    for (unsigned int order = 0; order <= 6; order++) {
        ck_assert_int_eq(flex_front_create(&front, page, buffer, order), 0);
        ck_assert_int_eq(flex_order(page), (int)order);
        ck_assert_int_eq(flex_back_attach(&back, page, buffer, order), 0);
        ck_assert_int_eq(stream_writable(&front.to_peer),
                         (int)XEN_FLEX_RING_SIZE(order));
        for (unsigned int i = 0; i < 3; i++) {
            struct flex *from = i % 2 ? &back : &front;
            struct flex *to = i % 2 ? &front : &back;

            must(stream_write(&from->to_peer, word, sizeof(word)) ==
                 sizeof(word));
            must(stream_read(&to->from_peer, got, sizeof(got)) == sizeof(got));
            ck_assert_str_eq(got, word);
        }
    }
}
END_TEST

START_TEST(flex_orders_that_no_frontend_makes_are_refused)
{
    struct flex f;

    for (uint32_t order = FLEX_MAX_ORDER + 1; order != 0; order *= 2) {
        ((struct flex_page *)page)->ring_order = order;
        ck_assert_int_eq(flex_order(page), -EPROTO);
        ck_assert_int_eq(flex_back_attach(&f, page, buffer, order), -EINVAL);
        ck_assert_int_eq(stream_readable(&f.from_peer), -EPROTO);
        ck_assert_int_eq(stream_writable(&f.to_peer), -EPROTO);
    }
}
END_TEST

START_TEST(flex_pages_that_overlap_are_refused)
{
    uint8_t *memory = buffer[0];
    struct flex f;

    for (size_t at = 0; at < 5 * PAGE; at += 512) {
        /* Data in the second and third page, indices all around it. */
        bool apart = at == 0 || at >= 3 * PAGE;

        must(flex_front_create(&f, memory + at, memory + PAGE, 1) ==
             (apart ? 0 : -EINVAL));
    }
}
END_TEST

/* ---- Vchan. ---- */

static struct vchan server, client;

/* Orders 10 and 11 in the page, others with pages of their own. */
static struct vchan_area area(unsigned int left, unsigned int right)
{
    return (struct vchan_area){ .page = page,
                                .left = left < 12 ? NULL : buffer[0],
                                .right = right < 12 ? NULL : buffer[1],
                                .left_order = left,
                                .right_order = right };
}

static void meet(unsigned int left, unsigned int right)
{
    struct vchan_area a = area(left, right);
    unsigned int l, r;

    memset(page, 0xee, sizeof(page));
    must(vchan_create(&server, &a) == 0);
    must(vchan_peer(&server) == VCHAN_PEER_NOT_YET);
    must(vchan_orders(page, &l, &r) == 0 && l == left && r == right);
    must(vchan_attach(&client, &a) == 0);
}

START_TEST(vchan_layout_is_that_of_xen)
{
    struct vchan_interface *xen = (struct vchan_interface *)page;
    bool bell;

    ck_assert_uint_eq(offsetof(struct vchan_page, grants),
                      offsetof(struct vchan_interface, grants));
    meet(10, 11);
    ck_assert_uint_eq(xen->left_order, 10);
    ck_assert_uint_eq(xen->right_order, 11);
    ck_assert_uint_eq(xen->cli_live, 1);
    ck_assert_uint_eq(xen->srv_live, 1);
    ck_assert_uint_eq(xen->cli_notify, VCHAN_NOTIFY_WRITE);
    ck_assert_uint_eq(xen->srv_notify, VCHAN_NOTIFY_WRITE);
    vchan_write(&client, "left", 4, &bell);
    ck_assert_uint_eq(xen->left.prod, 4);
    ck_assert_mem_eq(page + 1024, "left", 4);
    vchan_write(&server, "right", 5, &bell);
    ck_assert_uint_eq(xen->right.prod, 5);
    ck_assert_mem_eq(page + 2048, "right", 5);
}
END_TEST

/* Each side's bit stands in the byte of the side that shall ring. */
START_TEST(a_vchan_bell_rings_only_for_who_asked)
{
    struct vchan_interface *xen = (struct vchan_interface *)page;
    uint8_t bytes[1024] = { 0 };
    bool bell;

    meet(10, 11);
    ck_assert_int_eq(vchan_write(&client, bytes, 8, &bell), 8);
    ck_assert(bell); /* asked for at the start, as libxenvchan does */
    ck_assert_uint_eq(xen->cli_notify, 0);
    vchan_write(&client, bytes, 8, &bell);
    ck_assert(!bell);
    ck_assert(vchan_arm_read(&server)); /* there are bytes */
    vchan_read(&server, bytes, 1024, &bell);
    ck_assert(!bell);
    ck_assert(!vchan_arm_read(&server));
    ck_assert_uint_eq(xen->cli_notify, VCHAN_NOTIFY_WRITE);
    vchan_write(&client, bytes, 1024, &bell);
    ck_assert(bell);
    ck_assert_int_eq(vchan_write(&client, bytes, 1, &bell), 0);
    ck_assert(!bell);
    ck_assert(!vchan_arm_write(&client));
    ck_assert_uint_eq(xen->srv_notify, VCHAN_NOTIFY_READ | VCHAN_NOTIFY_WRITE);
    vchan_read(&server, bytes, 1, &bell);
    ck_assert(bell);
    ck_assert_uint_eq(xen->srv_notify, VCHAN_NOTIFY_WRITE);
    ck_assert(vchan_arm_write(&client));
}
END_TEST

START_TEST(a_vchan_that_ends_is_told)
{
    meet(12, 10);
    ck_assert_int_eq(vchan_peer(&server), VCHAN_PEER_HERE);
    ck_assert_int_eq(vchan_peer(&client), VCHAN_PEER_HERE);
    vchan_close(&client);
    ck_assert_int_eq(vchan_peer(&server), VCHAN_PEER_GONE);
    ck_assert_int_eq(vchan_peer(&client), VCHAN_PEER_HERE);
    ((struct vchan_page *)page)->cli_live = 77;
    ck_assert_int_eq(vchan_peer(&server), VCHAN_PEER_GONE);
}
END_TEST

/* A pair of orders is good if Xen's comment on them says so. */
static bool xen_allows(unsigned int left, unsigned int right)
{
    unsigned int least = left < right ? left : right;
    size_t grants;

    if (least < 10 || left > 20 || right > 20 || (left == right && left < 12))
        return false;
    grants = (left < 12 ? 0 : 1u << (left - 12)) +
             (right < 12 ? 0 : 1u << (right - 12));
    return sizeof(struct vchan_interface) + 4 * grants <=
           (least < 12 ? 1u << least : PAGE);
}

START_TEST(vchan_orders_that_no_server_makes_are_refused)
{
    struct vchan_page *shared = (struct vchan_page *)page;

    for (unsigned int left = 0; left < 70; left++)
        for (unsigned int right = 0; right < 70; right++) {
            unsigned int l, r;
            struct vchan_area a = area(left, right);

            memset(page, 0, sizeof(page));
            shared->left_order = (uint16_t)left;
            shared->right_order = (uint16_t)right;
            must(vchan_orders(page, &l, &r) ==
                 (xen_allows(left, right) ? 0 : -EPROTO));
            if (xen_allows(left, right))
                continue;
            must(vchan_attach(&client, &a) == -EINVAL);
            must(stream_writable(&client.to_peer) == -EPROTO);
            must(vchan_peer(&client) == VCHAN_PEER_GONE);
            vchan_close(&client);
        }
}
END_TEST

START_TEST(vchan_buffers_that_overlap_are_refused)
{
    struct vchan_area a = area(13, 12);

    a.left = NULL;
    ck_assert_int_eq(vchan_create(&server, &a), -EINVAL);
    a.left = page;
    ck_assert_int_eq(vchan_create(&server, &a), -EINVAL);
    a.left = buffer[0];
    a.right = buffer[0] + PAGE;
    ck_assert_int_eq(vchan_create(&server, &a), -EINVAL);
    a.right = buffer[0] + 2 * PAGE;
    ck_assert_int_eq(vchan_create(&server, &a), 0);
}
END_TEST

START_TEST(a_vchan_fault_stays_and_rings_nothing)
{
    struct vchan_page *shared = (struct vchan_page *)page;
    uint8_t bytes[8];
    bool bell = true;

    meet(10, 11);
    shared->left.prod = 1025;
    shared->cli_notify = shared->srv_notify = 0xff;
    ck_assert(vchan_arm_read(&server)); /* the read will tell */
    ck_assert_int_eq(vchan_read(&server, bytes, 8, &bell), -EPROTO);
    ck_assert(!bell && !vchan_arm_read(&server));
    shared->left.prod = 8;
    ck_assert_int_eq(vchan_read(&server, bytes, 8, &bell), -EPROTO);
    ck_assert_int_eq(server.from_peer.fault, RING_FORGED_PROD);
    shared->right.cons = 1;
    ck_assert_int_eq(vchan_write(&server, bytes, 8, &bell), -EPROTO);
    ck_assert(!bell && !vchan_arm_write(&server));
    ck_assert_int_eq(server.to_peer.fault, RING_FORGED_CONS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_layouts");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, flex_layout_is_that_of_xen);
    tcase_add_test(tests, our_flex_front_talks_to_a_back_of_xens_functions);
    tcase_add_test(tests, flex_ends_meet_at_every_order);
    tcase_add_test(tests, flex_orders_that_no_frontend_makes_are_refused);
    tcase_add_test(tests, flex_pages_that_overlap_are_refused);
    tcase_add_test(tests, vchan_layout_is_that_of_xen);
    tcase_add_test(tests, a_vchan_bell_rings_only_for_who_asked);
    tcase_add_test(tests, a_vchan_that_ends_is_told);
    tcase_add_test(tests, vchan_orders_that_no_server_makes_are_refused);
    tcase_add_test(tests, vchan_buffers_that_overlap_are_refused);
    tcase_add_test(tests, a_vchan_fault_stays_and_rings_nothing);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
