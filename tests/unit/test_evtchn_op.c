/*
 * event_channel_op: what is copied in and out of the guest, what is undone
 * when that fails, and the operations that are refused on purpose.
 */
#include <check.h>

#include "grant_world.h"

static uint32_t woken;
static uint64_t shown; /* by the last refusal */

void sched_wake(struct vcpu *v)
{
    (void)v;
    woken++;
}

void refuse_argument(uint64_t argument)
{
    shown = argument;
}

struct domain *domain_get(uint16_t id)
{
    struct domain *d = domain_find(id);

    return d && domain_hold(d) ? d : NULL;
}

/* No port here has a limit. */
void printk_guest(uint16_t domid, const char *fmt, ...)
{
    (void)domid, (void)fmt;
    abort();
}

static struct evtchn_vcpu *vcpus[NR_DOMAINS][1];

static void begin(void)
{
    world_begin();
    for (unsigned int n = 0; n < NR_DOMAINS; n++) {
        struct domain *d = dom(n);
        struct evtchn_vcpu *v = vcpus[n][0] = &world[n].v.evtchn;

        d->shared = alloc_page_memory();
        d->evtchn.self = (struct evtchn_end){ .domid = d->id,
                                              .state = BELFRY_PEER_ALIVE,
                                              .generation = d->generation };
        d->evtchn.privileged = d->privileged;
        d->evtchn.shared = d->shared;
        d->evtchn.nr_vcpus = 1;
        d->evtchn.vcpu = vcpus[n];
        v->domain = &d->evtchn;
        v->info = &d->shared->vcpu_info[0];
        if (evtchn_domain_init(&d->evtchn) != 0)
            abort();
    }
    woken = 0;
}

static void end(void)
{
    for (unsigned int n = 0; n < NR_DOMAINS; n++) {
        while (!evtchn_domain_destroy(&dom(n)->evtchn, 100))
            ;
        evtchn_domain_free(&dom(n)->evtchn);
        free_page_memory(dom(n)->shared);
    }
    world_end();
}

static long op(unsigned int n, uint32_t cmd, void *arg)
{
    return event_channel_op(&world[n].v, cmd, arg);
}

static unsigned int audit(void)
{
    differences = 0;
    for (unsigned int n = 0; n < NR_DOMAINS; n++)
        (void)evtchn_audit(&dom(n)->evtchn);
    return differences;
}

static uint32_t state_of(unsigned int n, uint32_t port)
{
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };

    ck_assert_int_eq(op(n, EVTCHNOP_status, &s), 0);
    return s.status;
}

/* A channel's whole life, by the hypercall alone. */
START_TEST(every_operation_reaches_its_module)
{
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 2 };
    struct evtchn_bind_interdomain bind = { .remote_dom = 1 };
    struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };
    struct evtchn_bind_vcpu move = { .vcpu = 0 };
    struct evtchn_unmask unmask;
    struct evtchn_close close;

    ck_assert_int_eq(op(1, EVTCHNOP_alloc_unbound, &alloc), 0);
    bind.remote_port = alloc.port;
    ck_assert_int_eq(op(2, EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert_uint_eq(state_of(1, alloc.port), EVTCHNSTAT_interdomain);
    dom(1)->shared->evtchn_mask[0] = 1ul << alloc.port;
    woken = 0;
    ck_assert_int_eq(evtchn_send(&dom(2)->evtchn, bind.local_port), 0);
    ck_assert_uint_eq(woken, 0);
    unmask.port = alloc.port;
    ck_assert_int_eq(op(1, EVTCHNOP_unmask, &unmask), 0);
    ck_assert_uint_eq(woken, 1);
    move.port = alloc.port;
    ck_assert_int_eq(op(1, EVTCHNOP_bind_vcpu, &move), 0);
    ck_assert_int_eq(op(1, EVTCHNOP_bind_virq, &virq), 0);
    ck_assert_uint_eq(state_of(1, virq.port), EVTCHNSTAT_virq);
    ck_assert_int_eq(op(1, EVTCHNOP_bind_ipi, &ipi), 0);
    ck_assert_uint_eq(state_of(1, ipi.port), EVTCHNSTAT_ipi);
    close.port = alloc.port;
    ck_assert_int_eq(op(1, EVTCHNOP_close, &close), 0);
    ck_assert_int_eq(op(1, EVTCHNOP_close, &close), -EINVAL);
    ck_assert_uint_eq(shown, alloc.port);
    ck_assert_uint_eq(state_of(2, bind.local_port), EVTCHNSTAT_unbound);
    ck_assert_uint_eq(dom(1)->refs, 2); /* its own, and its frames' */
}
END_TEST

START_TEST(what_cannot_be_read_is_refused)
{
    for (uint32_t cmd = 0; cmd < 14; cmd++)
        if (cmd != EVTCHNOP_send)
            ck_assert_int_eq(op(1, cmd, FAULTS), -EFAULT);
    ck_assert_int_eq(op(1, 14, FAULTS), -ENOSYS);
    ck_assert_int_eq(op(1, ~0u, FAULTS), -ENOSYS);
    ck_assert_uint_eq(audit(), 0);
}
END_TEST

START_TEST(a_port_that_cannot_be_told_is_closed_again)
{
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 2 };
    struct evtchn_alloc_unbound other = { .dom = 3, .remote_dom = 2 };
    struct evtchn_bind_interdomain bind = { .remote_dom = 1 };
    struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };

    ck_assert_int_eq(op(1, EVTCHNOP_alloc_unbound, &alloc), 0);
    bind.remote_port = alloc.port;
    copies_out_left = 0;
    ck_assert_int_eq(op(1, EVTCHNOP_alloc_unbound, &alloc), -EFAULT);
    ck_assert_int_eq(op(0, EVTCHNOP_alloc_unbound, &other), -EFAULT);
    ck_assert_int_eq(op(2, EVTCHNOP_bind_interdomain, &bind), -EFAULT);
    ck_assert_int_eq(op(2, EVTCHNOP_bind_virq, &virq), -EFAULT);
    ck_assert_int_eq(op(2, EVTCHNOP_bind_ipi, &ipi), -EFAULT);
    copies_out_left = -1;
    ck_assert_uint_eq(state_of(1, 2), EVTCHNSTAT_closed);
    ck_assert_uint_eq(state_of(2, 1), EVTCHNSTAT_closed);
    ck_assert_uint_eq(state_of(3, 1), EVTCHNSTAT_closed);
    ck_assert_uint_eq(dom(3)->refs, 2);
    /* As if it had never been bound. */
    ck_assert_int_eq(op(2, EVTCHNOP_bind_interdomain, &bind), 0);
    ck_assert_int_eq(op(2, EVTCHNOP_bind_virq, &virq), 0);
    ck_assert_uint_eq(audit(), 0);
}
END_TEST

START_TEST(E5_reset_is_not_offered)
{
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 2 };
    struct evtchn_reset reset = { .dom = DOMID_SELF };

    ck_assert_int_eq(op(1, EVTCHNOP_alloc_unbound, &alloc), 0);
    ck_assert_int_eq(op(1, EVTCHNOP_reset, &reset), -EOPNOTSUPP);
    ck_assert_uint_eq(state_of(1, alloc.port), EVTCHNSTAT_unbound);
}
END_TEST

START_TEST(E7_fifo_channels_are_not_offered)
{
    const uint64_t own = world[1].own[0];
    struct {
        uint64_t gfn;
        uint32_t offset, vcpu;
        int rc;
    } rows[] = {
        { own, 0, 0, -ENOSYS },         { own, 0, 1, -ENOENT },
        { own, 4, 0, -EINVAL },         { own, 4096 - 8, 0, -EINVAL },
        { own, ~0u & ~7u, 0, -EINVAL }, { world[2].own[0], 0, 0, -EINVAL },
        { 0, 0, 0, -EINVAL },           { NR_FRAMES, 0, 0, -EINVAL },
        { ~0ul, 0, 0, -EINVAL },
    };
    struct evtchn_expand_array expand = { .array_gfn = own };

    for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct evtchn_init_control init = { .control_gfn = rows[i].gfn,
                                            .offset = rows[i].offset,
                                            .vcpu = rows[i].vcpu };

        ck_assert_int_eq(op(1, EVTCHNOP_init_control, &init), rows[i].rc);
        ck_assert_int_eq(op(1, EVTCHNOP_expand_array, &expand), -EOPNOTSUPP);
    }
    ck_assert_uint_eq(world_audit(), 0);
}
END_TEST

START_TEST(priorities_and_interrupts_are_refused_as_xen_does)
{
    struct evtchn_set_priority priority = { .port = 1, .priority = 3 };
    struct evtchn_bind_pirq pirq = { .pirq = 1 };

    ck_assert_int_eq(op(1, EVTCHNOP_set_priority, &priority), -ENOSYS);
    priority.port = 32;
    ck_assert_int_eq(op(1, EVTCHNOP_set_priority, &priority), -EINVAL);
    ck_assert_int_eq(op(1, EVTCHNOP_bind_pirq, &pirq), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evtchn_op");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, every_operation_reaches_its_module);
    tcase_add_test(tests, what_cannot_be_read_is_refused);
    tcase_add_test(tests, a_port_that_cannot_be_told_is_closed_again);
    tcase_add_test(tests, E5_reset_is_not_offered);
    tcase_add_test(tests, E7_fifo_channels_are_not_offered);
    tcase_add_test(tests, priorities_and_interrupts_are_refused_as_xen_does);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
