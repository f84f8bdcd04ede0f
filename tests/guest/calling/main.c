/*
 * Defends: a call has the one ending that is true (answered; the peer dead,
 * why, and which; timed out, with what the peer did; refused; a deadlock), it
 * lends its priority for as long as it lasts and no longer, and nobody waits
 * for ever.
 *
 * The first domain calls; the server does as each request says.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#include "guests/lib/call.h"

#define MS         1000000ull

enum command { ADD, CRASH, LEAVE, HANG, SLEEP, REFUSE, MASK, CALL_BACK, SPIN };

struct request {
    uint64_t command, number;
};

enum { IN_PORT };
enum { OUT_REF, OUT_READY, OUT_RESULT };

/* ---- The server. ---- */
static struct meet *meeting;
static evtchn_port_t own_port;
static void *own_page;

static long call_back(void)
{
    struct call_client back;
    uint64_t room;
    size_t size = sizeof(room);

    BUG_ON(call_client_open(&back, page_alloc(), own_port) != 0);
    meeting->out[OUT_RESULT] = (uint64_t)call_client_call(
        &back, &room, sizeof(room), &room, &size, 0, NULL);
    return event_unmask(own_port);
}

static long work(void *data, const void *request, size_t size, void *answer)
{
    const struct request *r = request;
    uint64_t *number = answer;

    (void)data;
    if (size != sizeof(*r))
        return -1;
    *number = r->number + 1;
    switch (r->command) {
    case CRASH:
        __asm__ volatile("ud2");
        break;
    case LEAVE:
        guest_exit(0);
    case HANG:
        for (;;)
            ;
    case SLEEP:
        sleep_ns(r->number);
        break;
    case REFUSE:
        return -1;
    case MASK:
        call_serve_stop();
        break;
    case CALL_BACK:
        (void)call_back();
        break;
    case SPIN: /* for so long */
        for (uint64_t end = clock_now() + r->number; clock_now() < end;)
            ;
        break;
    default:
        break;
    }
    return sizeof(*number);
}

_Noreturn static void serve(void)
{
    struct call_service service, *const services[] = { &service };

    meeting = meet_offer();
    own_page = page_alloc();
    meeting->out[OUT_REF] = (uint64_t)grant_access(0, own_page, false);
    meeting->beats = 1;
    meet_wait(meeting);
    BUG_ON(event_bind_interdomain(0, (evtchn_port_t)meeting->in[IN_PORT],
                                  &own_port) != 0);
    BUG_ON(call_service_open(&service, own_page, own_port, work, NULL) != 0);
    meeting->out[OUT_READY] = 1;
    if (call_serve(services, 1, 0) == 0) { /* it was told to mask its port */
        event_mask(own_port);
        for (;;)
            sleep_ns(MS);
    }
    guest_exit(service.gone ? 0 : 1);
}

_Noreturn static void spin(void)
{
    for (;;)
        ;
}

/* ---- The caller. ---- */
static struct child server;
static struct meet *at_server;
static struct grant_mapping meet_map, page_map;
static struct call_client client;
static struct call_ending ending;

static bool connect(void)
{
    grant_ref_t ref;
    evtchn_port_t port;

    if (!child_start(&server, "server"))
        return false;
    at_server = meet_find(server.id, &meet_map);
    if (!CHECK(at_server))
        return false;
    while (at_server->beats == 0)
        sleep_ns(MS / 10);
    ref = (grant_ref_t)at_server->out[OUT_REF];
    CHECK_EQ(grant_map((domid_t)server.id, &ref, 1, false, &page_map), 0);
    CHECK_EQ(event_alloc_unbound((domid_t)server.id, &port), 0);
    CHECK_EQ(call_client_open(&client, page_map.address, port), 0);
    at_server->in[IN_PORT] = port;
    meet_go(at_server, 1);
    while (at_server->out[OUT_READY] == 0)
        sleep_ns(MS / 10);
    return true;
}

static void disconnect(void)
{
    event_close(client.port);
    grant_unmap(&page_map);
    grant_unmap(&meet_map);
    child_destroy(&server);
}

static int ask(enum command command, uint64_t number, uint64_t within,
               uint64_t *answer)
{
    struct request r = { command, number };
    size_t size = sizeof(*answer);

    return call_client_call(&client, &r, sizeof(r), answer, &size,
                            within ? clock_now() + within : 0, &ending);
}

static struct belfry_vcpu vcpu_of(unsigned int id)
{
    struct belfry_vcpu v = { 0 };
    struct belfry_vcpus vcpus = BELFRY_ARG(belfry_vcpus, .id = id, .count = 1,
                                           .vcpus = &v, .item_size = sizeof(v));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_vcpus, &vcpus), 0);
    return v;
}

static void calls_are_answered(void)
{
    uint64_t answer = 0;

    for (uint64_t i = 0; i < 5000; i++)
        if (!CHECK_EQ(ask(ADD, i, i % 3 ? 0 : 1000 * MS, &answer), 0) ||
            !CHECK_EQ(answer, i + 1))
            return;
    CHECK_EQ(vcpu_of(server.id).lent_priority, 0);
}

static void a_refusal_is_told(void)
{
    uint64_t answer;

    CHECK_EQ(ask(REFUSE, 0, 0, &answer), -ECANCELED);
    CHECK_EQ(ask(ADD, 1, 0, &answer), 0);
}

/* The server's answer finds that nobody waits; the next call is its own. */
static void a_late_answer_is_dropped(void)
{
    uint64_t answer;

    CHECK_EQ(ask(SLEEP, 30 * MS, 5 * MS, &answer), -ETIMEDOUT);
    CHECK_EQ(ending.evidence, CALL_WORKING);
    CHECK_EQ(vcpu_of(server.id).lent_priority, 0);
    CHECK_EQ(ask(ADD, 7, 0, &answer), 0);
    CHECK_EQ(answer, 8);
}

/* Without a deadline it would be a deadlock for ever. */
static void a_ring_of_calls_is_refused(void)
{
    uint64_t answer;

    CHECK_EQ(ask(CALL_BACK, 3, 0, &answer), 0);
    CHECK_EQ(answer, 4);
    CHECK_EQ((int)at_server->out[OUT_RESULT], -EDEADLK);
    CHECK_EQ(ask(ADD, 1, 0, &answer), 0);
}

/* A medium domain spins, and cannot keep a low server from a high caller. */
static void priority_is_lent(void)
{
    struct child spinner;
    uint64_t answer, began;

    if (!child_start(&spinner, "spinner"))
        return;
    began = clock_now();
    CHECK_EQ(ask(SPIN, 2 * MS, 5000 * MS, &answer), 0);
    CHECK(clock_now() - began < 2500 * MS);
    CHECK_EQ(vcpu_of(server.id).lent_priority, 0);
    child_destroy(&spinner);
}

/* It is kept from its CPU already when it is called. */
static void a_starved_server_is_lent_the_cpu(void)
{
    struct child spinner;
    struct belfry_machine machine;
    uint64_t answer;

    machine_info(&machine);
    if (machine.nr_cpus > 1 || !child_start(&spinner, "spinner"))
        return;
    event_send(client.port); /* it wakes, and does not come to run */
    sleep_ns(2 * MS);
    CHECK_EQ(ask(ADD, 1, 0, &answer), 0); /* lending lets it run */
    child_destroy(&spinner);
}

static void a_paused_server_is_found_out(void)
{
    uint64_t answer;

    domain_control(server.id, 0, BELFRY_CONTROL_PAUSE);
    CHECK_EQ(ask(ADD, 1, 5 * MS, &answer), -ETIMEDOUT);
    CHECK(ending.evidence == CALL_PAUSED || ending.evidence == CALL_NEVER_RAN);
    domain_control(server.id, 0, BELFRY_CONTROL_UNPAUSE);
    CHECK_EQ(ask(ADD, 1, 0, &answer), 0);
}

static void a_deadline_in_the_past_lets_nobody_wait(void)
{
    struct request r = { SLEEP, 50 * MS };
    uint64_t answer, began = clock_now();
    size_t size = sizeof(answer);

    CHECK_EQ(call_client_call(&client, &r, sizeof(r), &answer, &size, 1,
                              &ending),
             -ETIMEDOUT);
    CHECK(clock_now() - began < 40 * MS);
    CHECK_EQ(ask(ADD, 1, 0, &answer), 0);
}

static void the_wrong_ports_are_refused(void)
{
    evtchn_port_t alone, a, b;

    CHECK_EQ(hypercall_belfry_call(4000, 0), -EINVAL);
    CHECK_EQ(hypercall_belfry_call(0xffffffff, 0), -EINVAL);
    CHECK_EQ(hypercall_belfry_serve(4000, 0), -EINVAL);
    CHECK_EQ(event_alloc_unbound(DOMID_SELF, &alone), 0);
    CHECK_EQ(hypercall_belfry_call(alone, 0), -EINVAL);
    CHECK_EQ(event_close(alone), 0);
    CHECK_EQ(hypercall_belfry_call(alone, 0), -EINVAL);
    /* One's own other end: nobody else could ever answer. */
    CHECK_EQ(event_alloc_unbound(DOMID_SELF, &a), 0);
    CHECK_EQ(event_bind_interdomain(DOMID_SELF, a, &b), 0);
    CHECK_EQ(hypercall_belfry_call(a, 0), -EDEADLK);
    CHECK_EQ(event_close(a), 0);
    CHECK_EQ(event_close(b), 0);
}

/* ---- Ends of the server. ---- */
static void a_masked_port_is_named(void)
{
    uint64_t answer;

    CHECK_EQ(ask(MASK, 1, 0, &answer), 0);
    sleep_ns(5 * MS);
    CHECK_EQ(ask(ADD, 1, 10 * MS, &answer), -ETIMEDOUT);
    CHECK_EQ(ending.evidence, CALL_MASKED);
}

static void a_crash_is_told(void)
{
    uint64_t answer;

    CHECK_EQ(ask(CRASH, 0, 0, &answer), -EPIPE);
    CHECK_EQ(ending.peer.state, BELFRY_PEER_CRASHED);
    CHECK_EQ(ending.peer.generation, server.generation);
    CHECK_EQ(ask(ADD, 0, 0, &answer), -EPIPE);
}

static void leaving_is_told(void)
{
    uint64_t answer;

    CHECK_EQ(ask(LEAVE, 0, 0, &answer), -EPIPE);
    CHECK_EQ(ending.peer.state, BELFRY_PEER_SHUTDOWN);
    CHECK_EQ(ending.peer.reason, SHUTDOWN_poweroff);
}

/* Before, while it sleeps with the CPU lent; then it is destroyed, and built
 * anew. */
static void a_successor_is_named(void)
{
    uint64_t answer;
    struct belfry_control control =
        BELFRY_ARG(belfry_control, .action = BELFRY_CONTROL_RESTART,
                   .id = server.id);

    grant_unmap(&meet_map);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_control, &control), 0);
    CHECK_EQ(ask(ADD, 0, 0, &answer), -EPIPE);
    CHECK_EQ(ending.peer.state, BELFRY_PEER_DESTROYED);
    CHECK_EQ(ending.peer.successor, control.id);
    CHECK_EQ(ending.peer.successor_generation, control.generation);
    server.id = control.id;
    server.generation = control.generation;
}

static void with_server(void (*part)(void))
{
    if (connect())
        part();
    disconnect();
}

static void while_it_lives(void)
{
    calls_are_answered();
    a_refusal_is_told();
    a_late_answer_is_dropped();
    a_ring_of_calls_is_refused();
    priority_is_lent();
    a_starved_server_is_lent_the_cpu();
    a_paused_server_is_found_out();
    a_deadline_in_the_past_lets_nobody_wait();
    the_wrong_ports_are_refused();
}

int guest_main(void)
{
    uint64_t free_pages;

    if (!guest.initial && strcmp(guest.name, "spinner") == 0)
        spin();
    if (!guest.initial)
        serve();
    child_rehearse("server");
    with_server(while_it_lives);
    free_pages = machine_free_pages();
    with_server(a_masked_port_is_named);
    with_server(a_crash_is_told);
    with_server(leaving_is_told);
    with_server(a_successor_is_named);
    CHECK_EQ(machine_free_pages(), free_pages);
    test_end("calling");
}
