/*
 * Every operation on event channels, with every kind of argument.
 */
#include "tests/conformance/calls/world.h"

static long event_op(unsigned int cmd, void *arg, size_t size)
{
    long rc = hypercall_event_channel_op(cmd, pass(arg, size));

    fetch(arg, size);
    result(rc);
    return rc;
}

/* Calls that open a port do not get an argument that cannot be written: Xen
 * then leaves the port open, Belfry closes it. */
static void alloc_unbound(void)
{
    struct evtchn_alloc_unbound op = { .port = 0 };

    any_pointer_but_read_only();
    op.dom = any_domid("dom");
    op.remote_dom = any_domid("remote");
    if (event_op(EVTCHNOP_alloc_unbound, &op, sizeof(op)) == 0)
        keep_port(op.port);
}

static void bind_interdomain(void)
{
    struct evtchn_bind_interdomain op = { .local_port = 0 };

    any_pointer_but_read_only();
    op.remote_dom = any_domid("remote");
    op.remote_port = any_port("port");
    if (event_op(EVTCHNOP_bind_interdomain, &op, sizeof(op)) == 0)
        keep_port(op.local_port);
    note_pending();
}

static void bind_virq(void)
{
    struct evtchn_bind_virq op = { .port = 0 };
    unsigned int virq;

    any_pointer_but_read_only();
    virq = choose(NR_VIRQS + 3);
    op.virq = virq == NR_VIRQS + 2 ? ~0u : virq;
    line_add(" virq=%d", (int)op.virq);
    op.vcpu = any_vcpu("vcpu");
    if (event_op(EVTCHNOP_bind_virq, &op, sizeof(op)) == 0)
        keep_port(op.port);
}

static void bind_pirq(void)
{
    struct evtchn_bind_pirq op = { .port = 0 };

    any_pointer_but_read_only();
    op.pirq = (uint32_t)ANY("pirq", { "none", 100000 }, { "max", ~0u },
                            { "!5", 5 });
    op.flags = (uint32_t)ANY("flags", { "0", 0 }, { "share", 1 });
    if (event_op(EVTCHNOP_bind_pirq, &op, sizeof(op)) == 0)
        keep_port(op.port);
}

static void bind_ipi(void)
{
    struct evtchn_bind_ipi op = { .port = 0 };

    any_pointer_but_read_only();
    op.vcpu = any_vcpu("vcpu");
    if (event_op(EVTCHNOP_bind_ipi, &op, sizeof(op)) == 0)
        keep_port(op.port);
}

static void bind_vcpu(void)
{
    struct evtchn_bind_vcpu op;

    any_pointer();
    op.port = any_port("port");
    op.vcpu = any_vcpu("vcpu");
    event_op(EVTCHNOP_bind_vcpu, &op, sizeof(op));
}

static void close(void)
{
    struct evtchn_close op;

    any_pointer();
    op.port = any_port("port");
    event_op(EVTCHNOP_close, &op, sizeof(op));
    note_pending();
}

static void send(void)
{
    struct evtchn_send op;

    any_pointer();
    op.port = any_port("port");
    event_op(EVTCHNOP_send, &op, sizeof(op));
    note_pending();
}

/* The bits that say so, too: the mask is the guest's to set. */
static void unmask(void)
{
    struct evtchn_unmask op;
    struct vcpu_info *info = &guest.shared->vcpu_info[0];

    any_pointer();
    op.port = any_port("port");
    write_once(&info->evtchn_upcall_pending, 0);
    write_once(&info->evtchn_pending_sel, 0);
    event_op(EVTCHNOP_unmask, &op, sizeof(op));
    if (op.port < 4096 && op.port)
        line_add(" masked=%d",
                 bit_test((uint64_t *)guest.shared->evtchn_mask, op.port));
    note_pending();
}

static void clear_bit(void)
{
    evtchn_port_t port;

    port = any_port("port");
    if (port && port < 4096) {
        bit_test_and_clear((uint64_t *)guest.shared->evtchn_pending, port);
        bit_test_and_set((uint64_t *)guest.shared->evtchn_mask, port);
    }
    result(0);
    note_pending();
}

static void note_status(const struct evtchn_status *op)
{
    line_add(" status=%u vcpu=%u", op->status, op->vcpu);
    switch (op->status) {
    case EVTCHNSTAT_unbound:
        line_add(" for=%u", op->u.unbound.dom);
        break;
    case EVTCHNSTAT_interdomain:
        line_add(" peer=%u:+%u", op->u.interdomain.dom,
                 op->u.interdomain.port - world.first_port);
        break;
    case EVTCHNSTAT_virq:
        line_add(" virq=%u", op->u.virq);
        break;
    }
}

static void status(void)
{
    struct evtchn_status op = { .status = 0 };

    any_pointer();
    op.dom = any_domid("dom");
    op.port = any_port("port");
    if (event_op(EVTCHNOP_status, &op, sizeof(op)) == 0)
        note_status(&op);
}

/* Only what must be refused: Xen would change over to FIFO channels. */
static void init_control(void)
{
    struct evtchn_init_control op = { .link_bits = 0 };

    any_pointer();
    op.vcpu = (uint32_t)ANY("vcpu", { "1", 1 }, { "max", ~0u }, { "0", 0 });
    op.control_gfn = ANY("frame", { "none", NO_FRAME });
    op.offset = (uint32_t)ANY("offset", { "0", 0 }, { "4", 4 },
                              { "4096", 4096 });
    event_op(EVTCHNOP_init_control, &op, sizeof(op));
}

static void expand_array(void)
{
    struct evtchn_expand_array op;

    any_pointer();
    op.array_gfn = ANY("frame", { "d0", world.data_mfn[0] },
                       { "none", NO_FRAME });
    event_op(EVTCHNOP_expand_array, &op, sizeof(op));
}

static void set_priority(void)
{
    struct evtchn_set_priority op;

    any_pointer();
    op.port = any_port("port");
    op.priority = (uint32_t)ANY("priority", { "7", 7 }, { "0", 0 },
                                { "16", 16 });
    event_op(EVTCHNOP_set_priority, &op, sizeof(op));
}

static void reset(void)
{
    struct evtchn_reset op;

    any_pointer();
    op.dom = (domid_t)ANY("dom", { "nobody", NOBODY },
                          { "invalid", DOMID_INVALID });
    event_op(EVTCHNOP_reset, &op, sizeof(op));
}

static void other(void)
{
    struct evtchn_reset op = { .dom = NOBODY };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "15", 15 }, { "99", 99 }, { "max", ~0u },
                            { "!14", 14 });
    event_op(cmd, &op, sizeof(op));
}

static void poll(void)
{
    evtchn_port_t ports[2];
    struct sched_poll op;

    any_pointer();
    ports[0] = any_port("port");
    ports[1] = transcript.random ? any_port("second") : world.port[0];
    set_xen_guest_handle(op.ports, ports);
    op.nr_ports = (unsigned int)ANY("n", { "1", 1 }, { "0", 0 }, { "2", 2 },
                                    { "129", 129 }, { "max", ~0u });
    op.timeout = 1; /* long ago */
    result(hypercall_sched_op(SCHEDOP_poll, pass(&op, sizeof(op))));
}

static void poll_odd_list(void)
{
    struct sched_poll op = { .nr_ports = 1, .timeout = 1 };

    any_pointer();
    set_xen_guest_handle(op.ports, odd_pointer("ports"));
    if (op.ports.p && can_write(op.ports.p))
        *op.ports.p = world.port[0];
    result(hypercall_sched_op(SCHEDOP_poll, pass(&op, sizeof(op))));
}

const struct call_kind event_calls[] = {
    { "evtchn.alloc_unbound", alloc_unbound, 3 },
    { "evtchn.bind_interdomain", bind_interdomain, 6 },
    { "evtchn.bind_virq", bind_virq, 2 },
    { "evtchn.bind_pirq", bind_pirq, 1 },
    { "evtchn.bind_ipi", bind_ipi, 2 },
    { "evtchn.bind_vcpu", bind_vcpu, 2 },
    { "evtchn.close", close, 3 },
    { "evtchn.send", send, 8 },
    { "evtchn.unmask", unmask, 4 },
    { "clear", clear_bit, 4 },
    { "evtchn.status", status, 4 },
    { "evtchn.init_control", init_control, 0 },
    { "evtchn.expand_array", expand_array, 1 },
    { "evtchn.set_priority", set_priority, 1 },
    { "evtchn.reset", reset, 0 },
    { "evtchn.other", other, 1 },
    { "sched.poll", poll, 3 },
    { "sched.poll_list", poll_odd_list, 0 },
    { NULL, NULL, 0 }
};
