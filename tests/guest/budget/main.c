/*
 * Defends: a domain with a budget has its priority for so much of each
 * period and no more, be it in its own code or in a server's that it has
 * called; what is left over is for those below, and what nobody else wants
 * is for it.
 *
 * All are on one CPU, and its clock counts instructions.  The hog and the
 * caller have 2 ms in 10 at priority 20, the counter has 8, the server 4.
 */
#include "tests/guest/meet.h"
#include "tests/guest/parent.h"

#define MS       1000000ull
#define MEASURED (200 * MS)

enum { GO_SPIN = 1, GO_REST, GO_CALL, GO_SERVE };

enum { IN_PEER, IN_PORT };
enum { OUT_PORT };

static void spin(struct meet *m)
{
    while (m->go == GO_SPIN)
        m->beats++;
}

/* Offers a port to a domain, and works for whoever calls on it. */
static void serve(struct meet *m)
{
    evtchn_port_t port, answer = 0;

    BUG_ON(event_alloc_unbound((domid_t)m->in[IN_PEER], &port) != 0);
    event_unmask(port);
    m->out[OUT_PORT] = port;
    while (m->go == GO_SERVE) {
        hypercall_belfry_serve(answer, clock_now() + 5 * MS);
        event_take(port);
        for (unsigned int i = 0; i < 30000; i++)
            m->beats++;
        answer = port;
    }
}

static void call(struct meet *m)
{
    evtchn_port_t port;

    BUG_ON(event_bind_interdomain((domid_t)m->in[IN_PEER],
                                  (evtchn_port_t)m->in[IN_PORT], &port) != 0);
    while (m->go == GO_CALL) {
        hypercall_belfry_call(port, 0);
        event_take(port);
        m->beats++;
    }
}

_Noreturn static void child_main(void)
{
    struct meet *m = meet_offer();

    for (;;) {
        if (meet_wait(m) == GO_SPIN)
            spin(m);
        else if (m->go == GO_SERVE)
            serve(m);
        else if (m->go == GO_CALL)
            call(m);
        else
            sleep_ns(MS);
    }
}

struct player {
    struct child child;
    struct meet *m;
    struct grant_mapping mapping;
    uint64_t before, percent; /* of the CPU's time, when last measured */
};

static struct player hog, caller, counter, server;

static void start(struct player *p, const char *name)
{
    if (!child_start(&p->child, name) ||
        !CHECK(p->m = meet_find(p->child.id, &p->mapping)))
        test_end("budget");
}

static void stop(struct player *p)
{
    grant_unmap(&p->mapping);
    child_destroy(&p->child);
}

static struct belfry_vcpu vcpu(const struct player *p)
{
    struct belfry_vcpu v = { .cpu = ~0u };
    struct belfry_vcpus list =
        BELFRY_ARG(belfry_vcpus, .id = p->child.id, .count = 1, .vcpus = &v,
                   .item_size = sizeof(v));

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_vcpus, &list), 0);
    return v;
}

static void measure(void)
{
    struct player *all[] = { &hog, &caller, &counter, &server };

    sleep_ns(20 * MS);
    for (unsigned int i = 0; i < 4; i++)
        all[i]->before = vcpu(all[i]).cpu_time;
    sleep_ns(MEASURED);
    for (unsigned int i = 0; i < 4; i++)
        all[i]->percent =
            (vcpu(all[i]).cpu_time - all[i]->before) * 100 / MEASURED;
    printf("percent: hog %lu, caller %lu, counter %lu, server %lu\n",
           hog.percent, caller.percent, counter.percent, server.percent);
}

/* Within a tenth of what it should be, and one for the rounding. */
static bool is_about(uint64_t percent, uint64_t want)
{
    return percent * 10 + 10 >= want * 9 && percent * 10 <= want * 11 + 10;
}

static void the_rest_is_for_others(void)
{
    meet_go(hog.m, GO_SPIN);
    meet_go(counter.m, GO_SPIN);
    measure();
    CHECK(is_about(hog.percent, 20));
    CHECK(is_about(counter.percent, 79));
}

static void alone_it_has_all(void)
{
    meet_go(counter.m, GO_REST);
    measure();
    CHECK(hog.percent >= 97);
    meet_go(hog.m, GO_REST);
}

/* The server has a fifth of the time, at its caller's priority, and nothing
 * of its own beside the counter. */
static void a_server_uses_its_callers(void)
{
    server.m->in[IN_PEER] = caller.child.id;
    caller.m->in[IN_PEER] = server.child.id;
    meet_go(server.m, GO_SERVE);
    while (!server.m->out[OUT_PORT])
        sleep_ns(MS);
    caller.m->in[IN_PORT] = server.m->out[OUT_PORT];
    meet_go(caller.m, GO_CALL);
    meet_go(counter.m, GO_SPIN);
    measure();
    CHECK(is_about(server.percent + caller.percent, 20));
    CHECK(server.percent > caller.percent);
    CHECK(is_about(counter.percent, 79));
}

/* Seen at many moments: full, less, none. */
static void what_is_left_shows(void)
{
    unsigned int some = 0, none = 0;

    CHECK_EQ(vcpu(&counter).budget, 0);
    CHECK_EQ(vcpu(&counter).budget_left, 0);
    meet_go(hog.m, GO_SPIN);
    for (unsigned int i = 0; i < 40; i++) {
        struct belfry_vcpu v;

        sleep_ns(700000);
        v = vcpu(&hog);
        CHECK(v.budget / 1000 == 2000 || v.budget / 1000 == 1999);
        CHECK(v.period / 1000 == 10000 || v.period / 1000 == 9999);
        CHECK(v.budget_left <= v.budget);
        CHECK_EQ(v.priority, 20);
        some += v.budget_left > 0;
        none += v.budget_left == 0;
    }
    printf("some left %u times, none %u times\n", some, none);
    CHECK(some >= 4 && none >= 20);
}

int guest_main(void)
{
    uint64_t before;

    if (!guest.initial)
        child_main();
    test_needs_belfry("budget");
    child_rehearse("hog");
    before = machine_free_pages();
    start(&hog, "hog");
    start(&caller, "caller");
    start(&counter, "counter");
    start(&server, "server");
    meet_go(caller.m, GO_REST);
    meet_go(server.m, GO_REST);
    the_rest_is_for_others();
    alone_it_has_all();
    a_server_uses_its_callers();
    what_is_left_shows();
    stop(&hog);    /* while it is exhausted, perhaps */
    stop(&caller); /* in a call */
    stop(&counter);
    stop(&server);
    CHECK_EQ(machine_free_pages(), before);
    test_end("budget");
}
