/*
 * Calls between guests: how a side rings and sleeps, and a server's loop.
 */
#include "guests/lib/call.h"
#include "guests/lib/internal.h"

/* ---- What is known of the other end. ---- */

static int port_op(struct belfry_port *op)
{
    op->size = sizeof(*op);
    op->version = BELFRY_ABI_VERSION;
    if (!guest.on_belfry)
        return -ENOSYS;
    return (int)hypercall_belfry_op(BELFRYOP_port, op);
}

void call_look(evtchn_port_t port, struct call_peer *peer)
{
    struct belfry_port op = { .port = port };

    *peer = (struct call_peer){ .vector = 0xffffffffu, .cpu_runs = ~0u };
    if (port_op(&op))
        return;
    peer->domain = op.peer;
    peer->state = op.peer_state;
    peer->generation = op.peer_generation;
    peer->reason = op.peer_reason;
    peer->vector = op.peer_vector;
    peer->rip = op.peer_rip;
    peer->successor = op.successor;
    peer->successor_generation = op.successor_generation;
    peer->vcpu_state = op.peer_vcpu_state;
    peer->vcpu_since = op.peer_vcpu_since;
    peer->pending = op.peer_pending;
    peer->masked = op.peer_masked;
    peer->upcall_masked = op.upcall_masked;
    peer->cpu_runs = op.cpu_runs;
}

static bool is_gone(const struct call_peer *peer)
{
    return peer->state > BELFRY_PEER_ALIVE;
}

static int ask_for_notice(evtchn_port_t port)
{
    struct belfry_port op = { .port = port,
                              .set = BELFRY_PORT_SET_OPTIONS,
                              .options = BELFRY_PORT_NOTICE };
    int error = port_op(&op);

    return error == -ENOSYS ? 0 : error;
}

/* ---- The caller. ---- */

static int way_call(void *bell, uint64_t deadline)
{
    evtchn_port_t port = ((const struct call_client *)bell)->port;
    int error;

    if (guest.on_belfry) {
        long result = hypercall_belfry_call(port, deadline);

        return result < 0 ? (int)result : 0;
    }
    error = event_send(port);
    if (!error)
        (void)vcpu_wait_for(port, deadline);
    return error;
}

static void way_look(void *bell, struct call_peer *peer)
{
    call_look(((const struct call_client *)bell)->port, peer);
}

static const struct call_way way = { way_call, way_look, clock_now };

int call_client_open(struct call_client *c, void *page, evtchn_port_t port)
{
    int error = event_mask(port);

    c->port = port;
    call_open(&c->caller, page, &way, c);
    return error ? error : ask_for_notice(port);
}

int call_client_call(struct call_client *c, const void *request, size_t size,
                     void *answer, size_t *answer_size, uint64_t deadline,
                     struct call_ending *ending)
{
    return call_make(&c->caller, request, size, answer, answer_size, deadline,
                     ending);
}

/* ---- The server. ---- */

static bool stopped;

void call_serve_stop(void)
{
    stopped = true;
}

int call_service_open(struct call_service *s, void *page, evtchn_port_t port,
                      call_fn *fn, void *data)
{
    int error = ask_for_notice(port);

    *s = (struct call_service){ .port = port, .fn = fn, .data = data };
    call_attach(&s->server, page);
    return error ? error : event_unmask(port);
}

/* A request of @s, if there is one.  True: its caller is to be rung. */
static bool serve_one(struct call_service *s)
{
    static uint8_t request[CALL_BYTES], answer[CALL_BYTES];
    size_t size = sizeof(request);
    int error = call_take(&s->server, request, &size);
    long n;

    if (error == -EPROTO)
        s->gone = true;
    if (error)
        return false;
    n = s->fn(s->data, request, size, answer);
    error = n < 0 ? call_refuse(&s->server, answer, (size_t)(-1 - n))
                  : call_answer(&s->server, answer, (size_t)n);
    s->served += error == 0;
    s->unwanted += error == -ECANCELED;
    return error == 0;
}

/* Its bell rang, and there was no request: has the caller left? */
static void look_after(struct call_service *s)
{
    if (!s->gone) {
        call_look(s->port, &s->end);
        s->gone = is_gone(&s->end);
    }
}

/* Ring @answered (or nobody), and sleep until something rings.  The port that
 * was handed over, or 0: look at all. */
static evtchn_port_t answer_and_sleep(struct call_service *answered,
                                      uint64_t deadline)
{
    evtchn_port_t port = answered ? answered->port : 0;
    long result;

    if (guest.on_belfry) {
        result = hypercall_belfry_serve(port, deadline);
        if (result > 0)
            return (evtchn_port_t)result;
        if (result == -EPIPE && answered)
            look_after(answered);
    } else if (port) {
        (void)event_send(port);
    } else if (deadline) {
        (void)event_wait_until(deadline);
        return 0;
    } else {
        event_wait();
        return 0;
    }
    (void)event_poll();
    return 0;
}

/* Rings that the runtime has collected, perhaps while a request was worked
 * on.  True: there are some that nobody has looked into. */
static bool any_rang(struct call_service *const *services, unsigned int n)
{
    bool any = false;

    for (unsigned int i = 0; i < n; i++) {
        if (event_take(services[i]->port))
            services[i]->rang = true;
        any |= services[i]->rang;
    }
    return any;
}

/* Take a request from each whose bell has rung.  The last one answered is not
 * rung yet, but returned, so that it can be handed over. */
static struct call_service *look_at_all(struct call_service *const *services,
                                        unsigned int n)
{
    struct call_service *answered = NULL;

    for (unsigned int i = 0; i < n; i++) {
        struct call_service *s = services[i];

        if (!s->rang)
            continue;
        s->rang = false;
        if (serve_one(s)) {
            if (answered)
                (void)event_send(answered->port);
            answered = s;
        } else {
            look_after(s);
        }
    }
    return answered;
}

static struct call_service *find(struct call_service *const *services,
                                 unsigned int n, evtchn_port_t port)
{
    for (unsigned int i = 0; i < n; i++)
        if (services[i]->port == port)
            return services[i];
    return NULL;
}

static bool any_gone(struct call_service *const *services, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        if (services[i]->gone)
            return true;
    return false;
}

/* Why serving should end; 1: it should not. */
static int reason_to_stop(struct call_service *const *services, unsigned int n,
                          uint64_t deadline)
{
    if (any_gone(services, n))
        return -EPIPE;
    if (stopped)
        return 0;
    return deadline && clock_now() >= deadline ? -ETIMEDOUT : 1;
}

int call_serve(struct call_service *const *services, unsigned int n,
               uint64_t deadline)
{
    struct call_service *answered = NULL, *s;
    evtchn_port_t port;
    int reason;

    stopped = false;
    for (unsigned int i = 0; i < n; i++)
        services[i]->rang = true; /* whatever came before */
    for (;;) {
        if (any_rang(services, n)) {
            if (answered)
                (void)event_send(answered->port);
            answered = look_at_all(services, n);
            continue;
        }
        reason = reason_to_stop(services, n, deadline);
        if (reason <= 0) {
            if (answered)
                (void)event_send(answered->port);
            return reason;
        }
        port = answer_and_sleep(answered, deadline);
        s = port ? find(services, n, port) : NULL;
        answered = s && serve_one(s) ? s : NULL;
    }
}
