/* Streams with Xen's flex layout: see flex.h. */
#include "rings/flex.h"

#include "lib/atomic.h"
#include "lib/errno.h"
#include "lib/string.h"

#define PAGE 4096u

_Static_assert(offsetof(struct flex_page, out_cons) == 64, "Xen's layout");
_Static_assert(offsetof(struct flex_page, ring_order) == 128, "Xen's layout");

/* Bytes of one direction. */
static uint32_t half(unsigned int order)
{
    return PAGE / 2 << order;
}

static bool fits(const void *page, const void *data, unsigned int order)
{
    uintptr_t p = (uintptr_t)page, d = (uintptr_t)data;

    return order <= FLEX_MAX_ORDER &&
           (p + PAGE <= d || d + 2 * (size_t)half(order) <= p);
}

static int refuse(struct flex *f)
{
    f->from_peer.fault = f->to_peer.fault = RING_NOT_ATTACHED;
    return -EINVAL;
}

int flex_front_attach(struct flex *f, void *page, void *data,
                      unsigned int order)
{
    struct flex_page *shared = page;
    uint8_t *bytes = data;
    int error;

    if (!fits(page, data, order))
        return refuse(f);
    error = stream_attach_consumer(&f->from_peer, bytes, half(order),
                                   &shared->in_prod, &shared->in_cons);
    return error ? error
                 : stream_attach_producer(&f->to_peer, bytes + half(order),
                                          half(order), &shared->out_prod,
                                          &shared->out_cons);
}

int flex_front_create(struct flex *f, void *page, void *data,
                      unsigned int order)
{
    struct flex_page *shared = page;

    if (!fits(page, data, order))
        return refuse(f);
    memset(shared, 0, sizeof(*shared));
    write_once(&shared->ring_order, order);
    return flex_front_attach(f, page, data, order);
}

int flex_order(const void *page)
{
    const struct flex_page *shared = page;
    uint32_t order = read_once(&shared->ring_order);

    return order > FLEX_MAX_ORDER ? -EPROTO : (int)order;
}

int flex_back_attach(struct flex *f, void *page, void *data, unsigned int order)
{
    struct flex_page *shared = page;
    uint8_t *bytes = data;
    int error;

    if (!fits(page, data, order))
        return refuse(f);
    error = stream_attach_producer(&f->to_peer, bytes, half(order),
                                   &shared->in_prod, &shared->in_cons);
    return error ? error
                 : stream_attach_consumer(&f->from_peer, bytes + half(order),
                                          half(order), &shared->out_prod,
                                          &shared->out_cons);
}
