/*
 * Events: from the bits that the hypervisor sets to handlers, and sleeping.
 *
 * Handlers never run on top of the program: the vCPU's upcall mask is set
 * all the time, and only SCHEDOP_block clears it.  The hypervisor then looks
 * once more before it puts the vCPU to sleep, so nothing is lost between
 * our look and the sleep.
 *
 * A ring passes through two steps.  collect() moves it from the shared page
 * to rung[]; deliver() takes it from there and calls the handler.  All that
 * is under way lies in rung[], never in a local variable, so a handler that
 * itself waits sees every ring.  For the same reason, and because rung[] is
 * refilled only from outside the loop, a port that rings without end cannot
 * keep the others from their turn.
 */
#include "guests/lib/internal.h"

#define WORDS     64u /* of 64 ports each: the 2-level ABI */
#define PER_CHUNK (PAGE_SIZE / sizeof(struct handler))

struct handler {
    event_fn *fn;
    void *data;
};

static uint64_t rung[WORDS];    /* collected, not yet taken or delivered */
static uint64_t news[WORDS];    /* collected, not yet told of by event_poll */
static uint64_t handled[WORDS]; /* the port has a handler */
static uint64_t words_due;      /* words that event_poll must look at */
static struct handler *handlers[WORDS * 64 / PER_CHUNK];

static evtchn_port_t timer_port; /* 0: not yet bound */

static inline struct vcpu_info *vcpu(void)
{
    return &guest.shared->vcpu_info[0];
}

static struct handler *handler_of(evtchn_port_t port)
{
    return &handlers[port / PER_CHUNK][port % PER_CHUNK];
}

static inline void collect_word(unsigned long w)
{
    struct shared_info *shared = guest.shared;
    uint64_t ready = read_once(&shared->evtchn_pending[w]) &
                     ~read_once(&shared->evtchn_mask[w]);

    __atomic_fetch_and(&shared->evtchn_pending[w], ~ready, __ATOMIC_SEQ_CST);
    rung[w] |= ready;
    news[w] |= ready;
    words_due |= 1ull << w;
}

/* The flag is cleared before the look, by the rule of the ABI: a ring that
 * comes after the look sets it again.  The exchange is the barrier. */
static inline void collect(void)
{
    uint64_t selector;

    if (!read_once(&vcpu()->evtchn_upcall_pending))
        return;
    write_once(&vcpu()->evtchn_upcall_pending, 0);
    selector = atomic_xchg(&vcpu()->evtchn_pending_sel, 0);
    for (; selector; selector &= selector - 1)
        collect_word((unsigned long)__builtin_ctzll(selector));
}

void event_ignore(evtchn_port_t port, void *data)
{
    (void)port, (void)data;
}

/* Run the handlers of one word; true if it had news. */
static bool deliver_word(unsigned int w)
{
    uint64_t ready;
    bool any = news[w] & ~handled[w];

    news[w] = 0;
    while ((ready = rung[w] & handled[w])) {
        evtchn_port_t port = w * 64 + (unsigned int)__builtin_ctzll(ready);
        const struct handler *h = handler_of(port);

        rung[w] &= ~(ready & -ready);
        h->fn(port, h->data);
        any |= h->fn != event_ignore;
    }
    return any;
}

static bool deliver(void)
{
    bool any = false;

    while (words_due) {
        unsigned int w = (unsigned int)__builtin_ctzll(words_due);

        words_due &= words_due - 1;
        any |= deliver_word(w);
    }
    return any;
}

bool event_poll(void)
{
    collect();
    return words_due && deliver();
}

static inline bool take_rung(evtchn_port_t port)
{
    uint64_t bit = 1ull << port % 64;

    if (!(rung[port / 64] & bit))
        return false;
    rung[port / 64] &= ~bit;
    news[port / 64] &= ~bit;
    return true;
}

/* ---- Sleeping. ---- */

static inline void block(void)
{
    hypercall_block(&vcpu()->evtchn_upcall_mask);
}

void event_wait(void)
{
    while (!event_poll())
        block();
}

/* The timer of an earlier sleep that something else ended may still fire: a
 * ring that nobody is told of, it costs a turn in the loop below. */
static void set_timer(uint64_t deadline)
{
    if (!timer_port) {
        BUG_ON(event_bind_virq(VIRQ_TIMER, &timer_port));
        BUG_ON(event_handle(timer_port, event_ignore, NULL));
    }
    BUG_ON(hypercall_set_timer_op(deadline));
}

bool event_wait_until(uint64_t deadline)
{
    while (!event_poll()) {
        if (clock_now() >= deadline)
            return false;
        set_timer(deadline);
        block();
    }
    return true;
}

/* The one wait that is written for the fewest instructions: as a rule the
 * port is the only one that rang. */
void event_wait_for(evtchn_port_t port)
{
    unsigned long w = port / 64;

    for (;;) {
        collect();
        if (words_due == 1ull << w && rung[w] == 1ull << port % 64) {
            words_due = rung[w] = news[w] = 0;
            return;
        }
        if (words_due)
            deliver();
        if (take_rung(port))
            return;
        block();
    }
}

void sleep_ns(uint64_t ns)
{
    uint64_t deadline = clock_now() + ns;

    while (event_wait_until(deadline))
        ;
}

bool event_quiet_wait(evtchn_port_t port, uint64_t deadline)
{
    while (!event_take(port)) {
        if (deadline) {
            if (clock_now() >= deadline)
                return false;
            set_timer(deadline);
        }
        block();
    }
    return true;
}

/* ---- Ports. ---- */

bool event_take(evtchn_port_t port)
{
    collect();
    return take_rung(port);
}

void event_raise(evtchn_port_t port)
{
    rung[port / 64] |= 1ull << port % 64;
    words_due |= 1ull << port / 64;
}

/* Nothing of a port's former life may ring its next owner. */
static void forget(evtchn_port_t port)
{
    uint64_t bit = 1ull << port % 64;

    rung[port / 64] &= ~bit;
    news[port / 64] &= ~bit;
    handled[port / 64] &= ~bit;
}

int event_alloc_unbound(domid_t remote, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound op = { .dom = DOMID_SELF,
                                       .remote_dom = remote };
    int error = (int)hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    if (!error)
        *port = op.port;
    return error;
}

int event_bind_interdomain(domid_t remote, evtchn_port_t remote_port,
                           evtchn_port_t *port)
{
    struct evtchn_bind_interdomain op = { .remote_dom = remote,
                                          .remote_port = remote_port };
    int error = (int)hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    if (!error)
        *port = op.local_port;
    return error;
}

int event_bind_virq(unsigned int virq, evtchn_port_t *port)
{
    struct evtchn_bind_virq op = { .virq = virq };
    int error = (int)hypercall_event_channel_op(EVTCHNOP_bind_virq, &op);

    if (!error)
        *port = op.port;
    return error;
}

int event_bind_ipi(evtchn_port_t *port)
{
    struct evtchn_bind_ipi op = { 0 };
    int error = (int)hypercall_event_channel_op(EVTCHNOP_bind_ipi, &op);

    if (!error)
        *port = op.port;
    return error;
}

int event_handle(evtchn_port_t port, event_fn *fn, void *data)
{
    struct handler **chunk;

    if (port >= WORDS * 64)
        return -EINVAL;
    chunk = &handlers[port / PER_CHUNK];
    if (!*chunk)
        *chunk = page_try_alloc();
    if (!*chunk)
        return -ENOMEM;
    *handler_of(port) = (struct handler){ .fn = fn, .data = data };
    handled[port / 64] |= 1ull << port % 64;
    /* Rung before it had a handler: that ring is for the handler now. */
    words_due |= 1ull << port / 64;
    return event_unmask(port);
}

int event_send(evtchn_port_t port)
{
    struct evtchn_send op = { .port = port };

    return (int)hypercall_event_channel_op(EVTCHNOP_send, &op);
}

int event_mask(evtchn_port_t port)
{
    if (port >= WORDS * 64)
        return -EINVAL;
    bit_test_and_set(guest.shared->evtchn_mask, port);
    return 0;
}

int event_unmask(evtchn_port_t port)
{
    struct evtchn_unmask op = { .port = port };

    return (int)hypercall_event_channel_op(EVTCHNOP_unmask, &op);
}

int event_close(evtchn_port_t port)
{
    struct evtchn_close op = { .port = port };
    int error = (int)hypercall_event_channel_op(EVTCHNOP_close, &op);

    if (error)
        return error;
    bit_test_and_set(guest.shared->evtchn_mask, port);
    forget(port);
    return 0;
}

static int port_op(struct belfry_port *op)
{
    op->size = sizeof(*op);
    op->version = BELFRY_ABI_VERSION;
    return (int)hypercall_belfry_op(BELFRYOP_port, op);
}

int event_limit(evtchn_port_t port, uint32_t credits, uint64_t interval_ns)
{
    struct belfry_port op = { .port = port,
                              .set = BELFRY_PORT_SET_CREDITS,
                              .credits = credits,
                              .interval = interval_ns };

    return port_op(&op);
}

int event_notice(evtchn_port_t port)
{
    struct belfry_port op = { .port = port,
                              .set = BELFRY_PORT_SET_OPTIONS,
                              .options = BELFRY_PORT_NOTICE };

    return port_op(&op);
}

void event_init(void)
{
    for (unsigned int w = 0; w < WORDS; w++)
        write_once(&guest.shared->evtchn_mask[w], ~0ull);
    write_once(&vcpu()->evtchn_upcall_mask, 1);
}
