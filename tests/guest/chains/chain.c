/*
 * The three of the chain.  Each does what an honest program does: it makes its
 * calls or serves, and when it learns that the other end of a link is gone it
 * takes that link apart, looks how the other is, and reports.
 */
#include "tests/guest/chains/chains.h"

struct request {
    uint64_t number;
};

/* B's answer also says how C is, if it is not well. */
struct answer {
    uint64_t number;
    struct chain_sight server;
};

static struct meet *meet;
static volatile struct chain_orders *orders;
static volatile struct chain_report *report;

static struct call_client client;
static struct call_service service;
static struct grant_mapping up_mapping;
static void *down_page;

_Noreturn static void sleep_for_good(void)
{
    for (;;)
        event_wait();
}

void chain_point(const char *name)
{
    uint64_t point = report->points++;

    hypercall_belfry_step((uint64_t)name);
    if (point == orders->stop_at)
        report->stopped = 1;
    while (point == orders->stop_at)
        sleep_ns(100000);
}

static void note(volatile struct chain_sight *sight,
                 const struct call_peer *peer)
{
    sight->state = peer->state;
    sight->generation = peer->generation;
}

static void look(volatile struct chain_sight *sight, uint64_t port)
{
    struct call_peer peer;

    call_look((evtchn_port_t)port, &peer);
    note(sight, &peer);
}

/* ---- The links. ---- */

static void come_to(uint64_t stage)
{
    store_release(&report->stage, stage);
    while (load_acquire(&meet->go) <= stage)
        sleep_ns(100000);
}

static void offer_down(void)
{
    evtchn_port_t port;

    down_page = page_alloc();
    report->down.ref =
        (uint64_t)grant_access((domid_t)orders->server, down_page, false);
    BUG_ON(event_alloc_unbound((domid_t)orders->server, &port) != 0);
    report->down.port = port;
}

static long serve(void *data, const void *bytes, size_t size, void *answer);

static void bind_up(void)
{
    grant_ref_t ref = (grant_ref_t)orders->up.ref;
    evtchn_port_t port;

    BUG_ON(grant_map((domid_t)orders->caller, &ref, 1, false, &up_mapping));
    BUG_ON(event_bind_interdomain((domid_t)orders->caller,
                                  (evtchn_port_t)orders->up.port, &port));
    BUG_ON(call_service_open(&service, up_mapping.address, port, serve, NULL));
}

static void leave_up(void)
{
    note(&report->caller, &service.end);
    report->closed_up = 1;
    grant_unmap(&up_mapping);
    event_close(service.port);
}

static void leave_down(void)
{
    if (!report->error)
        look(&report->server, client.port);
    report->closed_down = 1;
    event_close(client.port);
    /* It may be dead, and not destroyed: that pins no page. */
    if (report->server.state == BELFRY_PEER_CRASHED)
        BUG_ON(grant_revoke((grant_ref_t)report->down.ref, 0) != 0);
}

/* ---- Calls. ---- */

/* Also where it is refused there is an answer: all zero, or why. */
static int call_down(uint64_t number, struct answer *answer)
{
    struct request request = { number };
    struct call_ending ending = { 0 };
    size_t size = sizeof(*answer);
    uint64_t deadline = orders->patience ? clock_now() + orders->patience : 0;
    int error = call_client_call(&client, &request, sizeof(request), answer,
                                 &size, deadline, &ending);

    if (!size)
        memset(answer, 0, sizeof(*answer));
    if (!error)
        return 0;
    report->error = (uint64_t)-error;
    report->evidence = ending.evidence;
    if (error == -EPIPE || error == -ETIMEDOUT)
        note(&report->server, &ending.peer);
    else
        look(&report->server, client.port);
    return error;
}

/* C's answer is the number doubled, and B's is one more than that. */
static long serve(void *data, const void *bytes, size_t size, void *to)
{
    struct answer *answer = to;
    struct request request;

    (void)data;
    if (size != sizeof(request))
        return -1;
    memcpy(&request, bytes, sizeof(request));
    memset(answer, 0, sizeof(*answer));
    answer->number = 2 * request.number;
    if (!down_page)
        return sizeof(*answer);
    if (report->error == 0 && call_down(request.number, answer) == 0) {
        report->answered++;
        answer->number++;
    } else {
        answer->server = report->server;
        if (orders->refuses)
            return CALL_REFUSED(sizeof(*answer));
    }
    return sizeof(*answer);
}

static void make_calls(void)
{
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct answer answer;
        int error = call_down(i, &answer);

        if (answer.server.state) {
            report->told = answer.server;
            return;
        }
        if (error)
            return;
        BUG_ON(answer.number != 2 * i + 1);
        report->answered++;
    }
}

/* ---- A whole life. ---- */

static void prepare(enum role role)
{
    evtchn_port_t bell = 0;

    if (role == A) {
        BUG_ON(event_alloc_unbound(0, &bell) != 0);
        BUG_ON(event_unmask(bell) != 0);
        report->bell = bell;
    }
    come_to(0);
    if (role != C)
        offer_down();
    come_to(STAGE_OFFERED);
    if (role != A)
        bind_up();
    come_to(STAGE_BOUND);
    if (role != C)
        BUG_ON(call_client_open(&client, down_page,
                                (evtchn_port_t)report->down.port) != 0);
    store_release(&report->stage, STAGE_READY);
    if (role == A)
        event_wait_for(bell);
}

_Noreturn void chain_main(enum role role)
{
    struct call_service *services[] = { &service };

    meet = meet_offer();
    orders = chain_orders(meet);
    report = chain_report(meet);
    prepare(role);
    if (role == A)
        make_calls();
    else
        while (call_serve(services, 1, 0) != -EPIPE)
            ;
    if (role != A)
        leave_up();
    if (role != C)
        leave_down();
    store_release(&report->done, 1);
    sleep_for_good();
}
