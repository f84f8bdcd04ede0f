/* Streams with Xen's vchan layout: see vchan.h for the contract. */
#include "rings/vchan.h"

#include "lib/atomic.h"
#include "lib/errno.h"

#define PAGE 4096u

#define NOTIFY_WRITE 1u /* VCHAN_NOTIFY_* */
#define NOTIFY_READ  2u

_Static_assert(sizeof(struct vchan_page) == 24, "Xen's layout");

/* ---- Where the buffers are. ---- */

static uint32_t size_of(unsigned int order)
{
    return 1u << order;
}

static bool in_page(unsigned int order)
{
    return size_of(order) < PAGE;
}

static uint32_t nr_grants(unsigned int order)
{
    return in_page(order) ? 0 : size_of(order) / PAGE;
}

/* Where the grants must end: a buffer of order 10 begins at 1024, one of 11
 * at 2048. */
static uint32_t room_for_grants(unsigned int left, unsigned int right)
{
    unsigned int order = left < right ? left : right;

    return in_page(order) ? size_of(order) : PAGE;
}

static bool are_orders(unsigned int left, unsigned int right)
{
    if (left < VCHAN_MIN_ORDER || left > VCHAN_MAX_ORDER ||
        right < VCHAN_MIN_ORDER || right > VCHAN_MAX_ORDER)
        return false;
    if (left == right && in_page(left))
        return false;
    return sizeof(struct vchan_page) +
               sizeof(uint32_t) * (nr_grants(left) + nr_grants(right)) <=
           room_for_grants(left, right);
}

static uint8_t *buffer(const struct vchan_area *a, void *own,
                       unsigned int order)
{
    return in_page(order) ? (uint8_t *)a->page + size_of(order) : own;
}

static bool apart(const void *a, uint32_t a_size, const void *b,
                  uint32_t b_size)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;

    return x + a_size <= y || y + b_size <= x;
}

static bool is_area(const struct vchan_area *a)
{
    uint32_t left = size_of(a->left_order), right = size_of(a->right_order);
    const uint8_t *l = buffer(a, a->left, a->left_order);
    const uint8_t *r = buffer(a, a->right, a->right_order);

    return l && r && apart(l, left, r, right) &&
           (in_page(a->left_order) || apart(l, left, a->page, PAGE)) &&
           (in_page(a->right_order) || apart(r, right, a->page, PAGE));
}

/* ---- Making and taking. ---- */

static bool is_good(const struct vchan_area *a)
{
    return (uintptr_t)a->page % sizeof(uint32_t) == 0 &&
           are_orders(a->left_order, a->right_order) && is_area(a);
}

static int refuse(struct vchan *v)
{
    *v = (struct vchan){ .from_peer.fault = RING_NOT_ATTACHED,
                         .to_peer.fault = RING_NOT_ATTACHED };
    return -EINVAL;
}

int vchan_create(struct vchan *v, const struct vchan_area *a)
{
    struct vchan_page *page = a->page;
    int error;

    if (!is_good(a))
        return refuse(v);
    *page = (struct vchan_page){ .left_order = (uint16_t)a->left_order,
                                 .right_order = (uint16_t)a->right_order,
                                 .cli_live = VCHAN_PEER_NOT_YET,
                                 .srv_live = VCHAN_PEER_HERE,
                                 .cli_notify = NOTIFY_WRITE,
                                 .srv_notify = NOTIFY_WRITE };
    *v = (struct vchan){ .page = page,
                         .we_ask = &page->cli_notify,
                         .we_are_asked = &page->srv_notify,
                         .own_live = &page->srv_live,
                         .peer_live = &page->cli_live };
    error = stream_attach_consumer(
        &v->from_peer, buffer(a, a->left, a->left_order),
        size_of(a->left_order), &page->left.prod, &page->left.cons);
    if (!error)
        error = stream_attach_producer(
            &v->to_peer, buffer(a, a->right, a->right_order),
            size_of(a->right_order), &page->right.prod, &page->right.cons);
    return error ? refuse(v) : 0;
}

int vchan_orders(const void *page, unsigned int *left, unsigned int *right)
{
    const struct vchan_page *shared = page;

    *left = read_once(&shared->left_order);
    *right = read_once(&shared->right_order);
    return are_orders(*left, *right) ? 0 : -EPROTO;
}

int vchan_attach(struct vchan *v, const struct vchan_area *a)
{
    struct vchan_page *page = a->page;
    int error;

    if (!is_good(a))
        return refuse(v);
    *v = (struct vchan){ .page = page,
                         .we_ask = &page->srv_notify,
                         .we_are_asked = &page->cli_notify,
                         .own_live = &page->cli_live,
                         .peer_live = &page->srv_live };
    error = stream_attach_producer(
        &v->to_peer, buffer(a, a->left, a->left_order), size_of(a->left_order),
        &page->left.prod, &page->left.cons);
    if (!error)
        error = stream_attach_consumer(
            &v->from_peer, buffer(a, a->right, a->right_order),
            size_of(a->right_order), &page->right.prod, &page->right.cons);
    if (error)
        return refuse(v);
    write_once(v->own_live, VCHAN_PEER_HERE);
    return 0;
}

/* ---- Bytes and bells. ---- */

/* S2. */
static bool bell_due(struct vchan *v, uint8_t what)
{
    return atomic_and(v->we_are_asked, (uint8_t)~what) & what;
}

int vchan_write(struct vchan *v, const void *bytes, uint32_t n, bool *bell)
{
    int done = stream_write(&v->to_peer, bytes, n);

    *bell = done > 0 && bell_due(v, NOTIFY_WRITE);
    return done;
}

int vchan_read(struct vchan *v, void *bytes, uint32_t n, bool *bell)
{
    int done = stream_read(&v->from_peer, bytes, n);

    *bell = done > 0 && bell_due(v, NOTIFY_READ);
    return done;
}

/* S1.  A fault that nobody has met yet is met by the next read or write. */
bool vchan_arm_read(struct vchan *v)
{
    if (v->from_peer.fault)
        return false;
    if (stream_readable(&v->from_peer) != 0)
        return true;
    atomic_or(v->we_ask, (uint8_t)NOTIFY_WRITE);
    return stream_readable(&v->from_peer) != 0;
}

bool vchan_arm_write(struct vchan *v)
{
    if (v->to_peer.fault)
        return false;
    if (stream_writable(&v->to_peer) != 0)
        return true;
    atomic_or(v->we_ask, (uint8_t)NOTIFY_READ);
    return stream_writable(&v->to_peer) != 0;
}

enum vchan_peer vchan_peer(const struct vchan *v)
{
    uint8_t live = v->page ? read_once(v->peer_live) : VCHAN_PEER_GONE;

    return live <= VCHAN_PEER_NOT_YET ? (enum vchan_peer)live : VCHAN_PEER_GONE;
}

void vchan_close(struct vchan *v)
{
    if (v->page)
        write_once(v->own_live, VCHAN_PEER_GONE);
}
