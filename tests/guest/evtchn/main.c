/*
 * Defends: every operation on event channels does what Xen's ABI says, with
 * Xen's errors, and one bit means one bit (E1, E2, E7, E8, E10, E13, E14).
 */
#include "tests/guest/test.h"

#define MAX_PORTS 4096u
#define NOBODY    1234 /* no domain of that id lives */

static struct shared_info *shared;

static struct vcpu_info *vcpu(void)
{
    return &shared->vcpu_info[0];
}

static bool pending(evtchn_port_t port)
{
    return bit_test((uint64_t *)shared->evtchn_pending, port);
}

static void clear_pending(evtchn_port_t port)
{
    bit_test_and_clear((uint64_t *)shared->evtchn_pending, port);
}

static void set_mask(evtchn_port_t port, bool masked)
{
    if (masked)
        bit_test_and_set((uint64_t *)shared->evtchn_mask, port);
    else
        bit_test_and_clear((uint64_t *)shared->evtchn_mask, port);
}

/* ---- The calls, with their errors. ---- */
static long alloc(domid_t dom, domid_t remote, evtchn_port_t *port)
{
    struct evtchn_alloc_unbound op = { .dom = dom, .remote_dom = remote };
    long error = hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &op);

    *port = op.port;
    return error;
}

static long bind(domid_t remote, evtchn_port_t remote_port,
                 evtchn_port_t *port)
{
    struct evtchn_bind_interdomain op = { .remote_dom = remote,
                                          .remote_port = remote_port };
    long error = hypercall_event_channel_op(EVTCHNOP_bind_interdomain, &op);

    *port = op.local_port;
    return error;
}

static long bind_virq(uint32_t virq, uint32_t on, evtchn_port_t *port)
{
    struct evtchn_bind_virq op = { .virq = virq, .vcpu = on };
    long error = hypercall_event_channel_op(EVTCHNOP_bind_virq, &op);

    *port = op.port;
    return error;
}

static long bind_ipi(uint32_t on, evtchn_port_t *port)
{
    struct evtchn_bind_ipi op = { .vcpu = on };
    long error = hypercall_event_channel_op(EVTCHNOP_bind_ipi, &op);

    *port = op.port;
    return error;
}

static long bind_vcpu(evtchn_port_t port, uint32_t to)
{
    struct evtchn_bind_vcpu op = { .port = port, .vcpu = to };

    return hypercall_event_channel_op(EVTCHNOP_bind_vcpu, &op);
}

static long close_port(evtchn_port_t port)
{
    struct evtchn_close op = { .port = port };

    return hypercall_event_channel_op(EVTCHNOP_close, &op);
}

static long send(evtchn_port_t port)
{
    struct evtchn_send op = { .port = port };

    return hypercall_event_channel_op(EVTCHNOP_send, &op);
}

static long unmask(evtchn_port_t port)
{
    struct evtchn_unmask op = { .port = port };

    return hypercall_event_channel_op(EVTCHNOP_unmask, &op);
}

static long status(domid_t dom, evtchn_port_t port, struct evtchn_status *op)
{
    memset(op, 0xff, sizeof(*op));
    op->dom = dom;
    op->port = port;
    return hypercall_event_channel_op(EVTCHNOP_status, op);
}

static long poll(evtchn_port_t *ports, unsigned int n, uint64_t timeout)
{
    struct sched_poll op = { .nr_ports = n, .timeout = timeout };

    set_xen_guest_handle(op.ports, ports);
    return hypercall_sched_op(SCHEDOP_poll, &op);
}

/* A channel from this domain to itself: a rings b, b rings a. */
static void make_loop(evtchn_port_t *a, evtchn_port_t *b)
{
    CHECK_EQ(alloc(DOMID_SELF, DOMID_SELF, a), 0);
    CHECK_EQ(bind(DOMID_SELF, *a, b), 0);
    set_mask(*a, true);
    set_mask(*b, true);
    clear_pending(*a);
    clear_pending(*b);
}

static void drop_loop(evtchn_port_t a, evtchn_port_t b)
{
    CHECK_EQ(close_port(a), 0);
    CHECK_EQ(close_port(b), 0);
    clear_pending(a);
    clear_pending(b);
}

static void allocation(void)
{
    struct evtchn_status st;
    evtchn_port_t a, b, c;

    CHECK_EQ(alloc(DOMID_SELF, NOBODY, &a), 0);
    CHECK(a > 0 && a < MAX_PORTS);
    CHECK_EQ(status(DOMID_SELF, a, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_unbound);
    CHECK_EQ(st.u.unbound.dom, NOBODY);
    CHECK_EQ(bind(DOMID_SELF, a, &c), -EINVAL); /* not meant for us */
    CHECK_EQ(close_port(a), 0);

    CHECK_EQ(alloc(guest.domid, DOMID_SELF, &a), 0);
    CHECK_EQ(bind(guest.domid, a, &b), 0);
    CHECK(a != b);
    CHECK_EQ(status(guest.domid, a, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_interdomain);
    CHECK_EQ(st.u.interdomain.dom, guest.domid);
    CHECK_EQ(st.u.interdomain.port, b);
    CHECK_EQ(bind(DOMID_SELF, a, &c), -EINVAL); /* taken */
    /* Closing one end leaves the other unbound, for the same peer. */
    CHECK_EQ(close_port(b), 0);
    CHECK_EQ(status(DOMID_SELF, a, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_unbound);
    CHECK_EQ(st.u.unbound.dom, guest.domid);
    CHECK_EQ(bind(DOMID_SELF, a, &b), 0);
    drop_loop(a, b);

    CHECK_EQ(alloc(NOBODY, DOMID_SELF, &a), guest.initial ? -ESRCH : -EPERM);
    CHECK_EQ(bind(NOBODY, 1, &a), -ESRCH);
    CHECK_EQ(bind(DOMID_SELF, MAX_PORTS, &a), -EINVAL);
    CHECK_EQ(bind(DOMID_SELF, ~0u, &a), -EINVAL);
    CHECK_EQ(bind(DOMID_SELF, 0, &a), -EINVAL);
}

static void virqs_and_ipis(void)
{
    struct evtchn_status st;
    evtchn_port_t debug, again, ipi;

    CHECK_EQ(bind_virq(VIRQ_DEBUG, 0, &debug), 0);
    CHECK_EQ(status(DOMID_SELF, debug, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_virq);
    CHECK_EQ(st.u.virq, VIRQ_DEBUG);
    CHECK_EQ(bind_virq(VIRQ_DEBUG, 0, &again), -EEXIST);
    CHECK_EQ(send(debug), -EINVAL);
    CHECK_EQ(bind_vcpu(debug, 0), -EINVAL); /* one a vCPU, it stays there */
    CHECK_EQ(close_port(debug), 0);
    CHECK_EQ(bind_virq(VIRQ_DEBUG, 0, &debug), 0);
    CHECK_EQ(close_port(debug), 0);
    CHECK_EQ(bind_virq(NR_VIRQS, 0, &again), -EINVAL);
    CHECK_EQ(bind_virq(~0u, 0, &again), -EINVAL);
    CHECK_EQ(bind_virq(VIRQ_DEBUG, 1, &again), -ENOENT);
    CHECK_EQ(bind_virq(VIRQ_DEBUG, ~0u, &again), -ENOENT);
    CHECK_EQ(bind_virq(VIRQ_DOM_EXC, 1, &again), -EINVAL);

    CHECK_EQ(bind_ipi(1, &ipi), -ENOENT);
    CHECK_EQ(bind_ipi(~0u, &ipi), -ENOENT);
    CHECK_EQ(bind_ipi(0, &ipi), 0);
    CHECK_EQ(status(DOMID_SELF, ipi, &st), 0);
    CHECK_EQ(st.status, EVTCHNSTAT_ipi);
    CHECK_EQ(bind_vcpu(ipi, 0), -EINVAL);
    set_mask(ipi, true);
    CHECK_EQ(send(ipi), 0);
    CHECK(pending(ipi));
    clear_pending(ipi);
    CHECK_EQ(close_port(ipi), 0);
}

/* E1: operations on ports that were never allocated, near and far. */
static void unallocated_ports(void)
{
    struct evtchn_status st;
    unsigned int wrong = 0;

    for (uint64_t port = 2048; port <= 1ul << 17; port++) {
        evtchn_port_t p = (evtchn_port_t)port;

        wrong += send(p) != -EINVAL;
        wrong += close_port(p) != -EINVAL;
        wrong += bind_vcpu(p, 0) != -EINVAL;
        wrong += poll(&p, 1, 1) != -EINVAL;
        if (p >= MAX_PORTS) {
            wrong += unmask(p) != -EINVAL;
            wrong += status(DOMID_SELF, p, &st) != -EINVAL;
        }
    }
    CHECK_EQ(wrong, 0);
    for (int bit = 12; bit < 33; bit++) {
        evtchn_port_t p = bit == 32 ? ~0u : 1u << bit;

        CHECK_EQ(send(p), -EINVAL);
        CHECK_EQ(close_port(p), -EINVAL);
        CHECK_EQ(unmask(p), -EINVAL);
        CHECK_EQ(bind_vcpu(p, 0), -EINVAL);
        CHECK_EQ(status(DOMID_SELF, p, &st), -EINVAL);
        CHECK_EQ(poll(&p, 1, 1), -EINVAL);
    }
    CHECK_EQ(send(0), -EINVAL);
    CHECK_EQ(close_port(0), -EINVAL);
    CHECK_EQ(bind_vcpu(0, 0), -EINVAL);
}

/* E14: what nothing can ring cannot be polled for. */
static void polling(void)
{
    evtchn_port_t a, b, many[129] = { 0 };
    uint64_t before;

    make_loop(&a, &b);
    before = clock_now();
    CHECK_EQ(poll(&a, 1, before + 2000000), 0);
    CHECK(clock_now() >= before + 2000000); /* nothing rang: it timed out */
    CHECK_EQ(send(b), 0);
    before = clock_now();
    CHECK_EQ(poll(&a, 1, before + 1000000000), 0);
    CHECK(clock_now() < before + 500000000); /* masked, but it rang */
    CHECK_EQ(poll(&a, 1, 0), 0);
    clear_pending(a);
    CHECK_EQ(poll(many, 129, 1), -EINVAL);
    CHECK_EQ(poll(NULL, 1, 1), -EFAULT);
    drop_loop(a, b);
    CHECK_EQ(poll(&a, 1, 1), -EINVAL);
}

/* One bit: no payload, no count; mask holds back, unmask raises. */
static void one_bit(void)
{
    evtchn_port_t a, b;

    make_loop(&a, &b);
    vcpu()->evtchn_upcall_pending = 0; /* events are off, as ever */
    vcpu()->evtchn_pending_sel = 0;

    CHECK_EQ(send(b), 0);
    CHECK(pending(a) && !pending(b));
    CHECK(!vcpu()->evtchn_upcall_pending);
    CHECK(!(vcpu()->evtchn_pending_sel >> a / 64 & 1));
    CHECK_EQ(send(b), 0); /* coalesced */
    CHECK_EQ(unmask(a), 0);
    CHECK(vcpu()->evtchn_upcall_pending);
    CHECK(vcpu()->evtchn_pending_sel >> a / 64 & 1);
    CHECK(!bit_test((uint64_t *)shared->evtchn_mask, a));

    vcpu()->evtchn_upcall_pending = 0;
    vcpu()->evtchn_pending_sel = 0;
    CHECK_EQ(send(b), 0); /* still pending: no second notice */
    CHECK(!vcpu()->evtchn_upcall_pending);
    clear_pending(a);
    CHECK_EQ(send(b), 0);
    CHECK(pending(a) && vcpu()->evtchn_upcall_pending);
    clear_pending(a);
    vcpu()->evtchn_upcall_pending = 0;
    vcpu()->evtchn_pending_sel = 0;
    CHECK_EQ(unmask(a), 0); /* nothing pending: nothing raised */
    CHECK(!vcpu()->evtchn_upcall_pending);
    CHECK_EQ(send(a), 0); /* the other way, masked */
    CHECK(pending(b) && !vcpu()->evtchn_upcall_pending);

    set_mask(a, true);
    CHECK_EQ(bind_vcpu(a, 1), -ENOENT);
    CHECK_EQ(bind_vcpu(a, ~0u), -ENOENT);
    CHECK_EQ(bind_vcpu(a, 0), 0);
    drop_loop(a, b);
}

/* A send to an end whose peer is gone is Xen's: taken, and lost. */
static void unbound_send(void)
{
    evtchn_port_t a, b;

    make_loop(&a, &b);
    CHECK_EQ(close_port(a), 0);
    CHECK_EQ(send(b), 0);
    CHECK_EQ(close_port(b), 0);
}

/* E2, E8, E10: all ports, and nothing outside their bits changes. */
static void exhaustion(void)
{
    static evtchn_port_t ports[MAX_PORTS];
    static uint8_t before[sizeof(struct arch_shared_info)];
    unsigned int n, again = 0;
    evtchn_port_t port;

    memcpy(before, &shared->arch, sizeof(before));
    for (n = 0; n < MAX_PORTS; n++)
        if (alloc(DOMID_SELF, DOMID_SELF, &ports[n]) != 0)
            break;
    CHECK(n > MAX_PORTS - 64 && n < MAX_PORTS);
    for (unsigned int i = 0; i < 100; i++)
        CHECK_EQ(alloc(DOMID_SELF, DOMID_SELF, &port), -ENOSPC);
    for (unsigned int i = 0; i < 1000; i++)
        if (!CHECK_EQ(bind_virq(VIRQ_DEBUG, 0, &port), -ENOSPC))
            break;
    CHECK_EQ(bind_ipi(0, &port), -ENOSPC);
    CHECK_EQ(bind(DOMID_SELF, ports[0], &port), -ENOSPC);
    check_audit("with all ports in use");

    /* Free every other one, and ring the rest through them. */
    for (unsigned int i = 0; i + 1 < n; i += 2) {
        CHECK_EQ(close_port(ports[i]), 0);
        CHECK_EQ(bind(DOMID_SELF, ports[i + 1], &port), 0);
        CHECK_EQ(send(port), 0);
        CHECK_EQ(send(ports[i + 1]), 0);
        CHECK(pending(ports[i + 1]) && pending(port));
        ports[i] = port;
    }
    CHECK(memcmp(before, &shared->arch, sizeof(before)) == 0);
    for (unsigned int i = 0; i < n; i++) {
        CHECK_EQ(close_port(ports[i]), 0);
        clear_pending(ports[i]);
    }
    for (unsigned int i = 0; i < MAX_PORTS; i++, again++)
        if (alloc(DOMID_SELF, DOMID_SELF, &ports[i]) != 0)
            break;
    CHECK_EQ(again, n);
    for (unsigned int i = 0; i < again; i++)
        CHECK_EQ(close_port(ports[i]), 0);
}

/* E7: the FIFO ABI is not built; asking for it changes nothing. */
static void no_fifo(void)
{
    struct evtchn_init_control control = { .control_gfn = ~0ull >> 12 };
    struct evtchn_expand_array expand = { .array_gfn = 0 };
    struct evtchn_reset reset = { .dom = DOMID_SELF };
    evtchn_port_t a, b;

    CHECK(hypercall_event_channel_op(EVTCHNOP_init_control, &control) < 0);
    CHECK(hypercall_event_channel_op(EVTCHNOP_expand_array, &expand) < 0);
    if (guest.on_belfry) {
        control.control_gfn = virt_to_mfn(page_alloc());
        CHECK(hypercall_event_channel_op(EVTCHNOP_init_control, &control) < 0);
        CHECK(hypercall_event_channel_op(EVTCHNOP_reset, &reset) < 0);
    }
    CHECK_EQ(hypercall_event_channel_op(99, &expand), -ENOSYS);
    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_send, NULL), -EFAULT);
    make_loop(&a, &b);
    CHECK_EQ(send(b), 0);
    CHECK(pending(a));
    drop_loop(a, b);
}

/* E13: a vcpu_info where none can be. */
static void E13_vcpu_info_placement(void)
{
    struct vcpu_register_vcpu_info op = { .mfn = virt_to_mfn(page_alloc()) };

    for (unsigned int offset = 1; offset < 8; offset++) {
        op.offset = offset;
        CHECK(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 0, &op) < 0);
    }
    for (unsigned int offset = 4096 - 63; offset <= 4200; offset++) {
        op.offset = offset;
        CHECK(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 0, &op) < 0);
    }
    op.offset = ~0u;
    CHECK(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 0, &op) < 0);
    op.offset = 0;
    op.mfn = ~0ull >> 12;
    CHECK(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 0, &op) < 0);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_register_vcpu_info, 1, &op), -ENOENT);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_register_vcpu_info, ~0u, &op), -ENOENT);
}

/* What the control tool shows of a port, after a known history. */
static void counters(void)
{
    static struct belfry_channel channel;
    struct belfry_channels list = { .size = sizeof(list),
                                    .version = BELFRY_ABI_VERSION,
                                    .id = guest.domid,
                                    .count = 1,
                                    .item_size = sizeof(channel),
                                    .channels = &channel };
    evtchn_port_t a, b;

    if (!guest.on_belfry || !guest.initial)
        return;
    make_loop(&a, &b);
    set_mask(a, false);
    send(b); /* delivered */
    send(b); /* coalesced */
    send(b); /* coalesced */
    clear_pending(a);
    set_mask(a, true);
    send(b);   /* held back ... */
    unmask(a); /* ... and delivered */
    clear_pending(a);
    list.first = a;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &list), 0);
    CHECK_EQ(list.count, 1);
    CHECK_EQ(channel.port, a);
    CHECK_EQ(channel.state, BELFRY_PORT_INTERDOMAIN);
    CHECK_EQ(channel.remote_id, guest.domid);
    CHECK_EQ(channel.remote_port, b);
    CHECK_EQ(channel.sent, 4);
    CHECK_EQ(channel.coalesced, 2);
    CHECK_EQ(channel.delivered, 2);
    CHECK_EQ(channel.pending, 0);
    CHECK_EQ(channel.masked, 0);
    CHECK(channel.last_sent != 0 && channel.last_delivered != 0);
    CHECK(channel.last_sent <= clock_now());
    set_mask(a, true);
    close_port(a);
    send(b); /* dropped */
    list.first = b;
    list.count = 1;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_channels, &list), 0);
    CHECK_EQ(channel.port, b);
    CHECK_EQ(channel.state, BELFRY_PORT_UNBOUND);
    CHECK_EQ(channel.dropped, 1);
    close_port(b);
}

/* Ring, then sleep, ten thousand times: no ring is lost in between. */
static void no_lost_wakeup(void)
{
    evtchn_port_t a, b;
    unsigned int got = 0;

    make_loop(&a, &b);
    event_unmask(a);
    for (unsigned int i = 0; i < 10000; i++) {
        send(b);
        event_wait_for(a);
        got++;
    }
    CHECK_EQ(got, 10000);
    event_mask(a);
    drop_loop(a, b);
}

int guest_main(void)
{
    shared = guest.shared;
    allocation();
    virqs_and_ipis();
    unallocated_ports();
    polling();
    one_bit();
    unbound_send();
    exhaustion();
    no_fifo();
    E13_vcpu_info_placement();
    counters();
    no_lost_wakeup();
    test_end("evtchn");
}
