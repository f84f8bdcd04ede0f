/*
 * Defends: a guest cannot flood the hypervisor's log (D8), yet what it was
 * refused last can be read, by the names of the call and its operation.
 */
#include "tests/guest/parent.h"

#define BAD_CALLS 200000u
#define NOT_A_CALL 43u /* and the four after it: numbers of no hypercall */
#define MAX_LINES 30u
#define A_SECOND  12u  /* lines that are allowed */
#define LOOK      200u /* calls: before the log has gone round */

/* Lines of the log from *position on, which moves to its end. */
static unsigned int new_lines(uint64_t *position)
{
    static char text[4096];
    struct belfry_log op = BELFRY_ARG(belfry_log, .position = *position,
                                      .buffer = text);
    unsigned int lines = 0;

    do {
        op.length = sizeof(text);
        if (!CHECK_EQ(hypercall_belfry_op(BELFRYOP_log, &op), 0))
            break;
        for (unsigned int i = 0; i < op.length; i++)
            lines += text[i] == '\n';
    } while (op.length > 0);
    *position = op.position;
    return lines;
}

static void bad_call(unsigned int i)
{
    struct evtchn_send send = { .port = 5000 + i };

    switch (i % 4) {
    case 0:
        hypercall_event_channel_op(EVTCHNOP_send, &send);
        break;
    case 1:
        hypercall_update_va_mapping((void *)HYPERVISOR_VIRT_START, 7, 0);
        break;
    case 2:
        hypercall(NOT_A_CALL + i % 5, 0, 0, 0, 0, 0);
        break;
    default:
        hypercall_xen_version(2, (void *)8);
    }
}

/* The newest refusal is the one that was just made: it names the call, with
 * its operation, and the argument that matters. */
static void last_refusal(const char *call, uint64_t argument, int error)
{
    static struct belfry_refusal kept[BELFRY_REFUSED_KEPT];
    struct belfry_refused op = BELFRY_ARG(belfry_refused,
                                          .item_size = sizeof(kept[0]),
                                          .count = BELFRY_REFUSED_KEPT,
                                          .refusals = kept);
    const struct belfry_refusal *last;

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_refused, &op), 0);
    if (!CHECK_EQ(op.count, BELFRY_REFUSED_KEPT))
        return;
    last = &kept[op.count - 1];
    CHECK_EQ(last->error, error);
    CHECK_EQ(last->argument, argument);
    CHECK_EQ(last->id, guest.domid);
    if (!CHECK(strcmp(last->call, call) == 0))
        printf("    (%s, not %s)\n", last->call, call);
    CHECK(last->rip != 0 && last->symbol[0] != 0);
    for (unsigned int i = 1; i < op.count; i++)
        CHECK(kept[i].sequence > kept[i - 1].sequence);
}

static void refusals_are_named(void)
{
    struct evtchn_send send = { .port = 4711 };
    struct mmu_update update = { .ptr = 0x123456789000 };
    struct mmuext_op unpin = { .cmd = MMUEXT_UNPIN_TABLE,
                               .arg1.mfn = 0x987654321 };
    struct belfry_peek peek = BELFRY_ARG(belfry_peek);

    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_send, &send), -EINVAL);
    last_refusal("event_channel_op/send", 4711, -EINVAL);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_is_up, 77, NULL), -ENOENT);
    last_refusal("vcpu_op/is_up", 77, -ENOENT);
    CHECK_EQ(hypercall_sched_op(999, NULL), -ENOSYS);
    last_refusal("sched_op", 999, -ENOSYS);
    CHECK_EQ(hypercall_mmu_update(&update, 1, NULL, DOMID_SELF), -EINVAL);
    last_refusal("mmu_update", update.ptr, -EINVAL);
    CHECK_EQ(hypercall_mmuext_op(&unpin, 1, NULL, DOMID_SELF), -EINVAL);
    last_refusal("mmuext_op", unpin.arg1.mfn, -EINVAL);
    peek.version++;
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_peek, &peek), -EPROTO);
    last_refusal("belfry_op/peek", (uint64_t)&peek, -EPROTO);
    CHECK_EQ(hypercall(__HYPERVISOR_domctl, 0, 0, 0, 0, 0), -EPERM);
    last_refusal("domctl", 0, -EPERM);
    CHECK_EQ(hypercall(__HYPERVISOR_hvm_op, 0, 0, 0, 0, 0), -ENOSYS);
    last_refusal("hvm_op", __HYPERVISOR_hvm_op, -ENOSYS);
    CHECK_EQ(hypercall(1000, 0, 0, 0, 0, 0), -ENOSYS);
    last_refusal("hypercall", 1000, -ENOSYS);
}

int guest_main(void)
{
    uint64_t position = 0, start;
    unsigned int lines = 0, seconds;

    test_needs_belfry("quiet");
    new_lines(&position);
    start = clock_now();
    for (unsigned int i = 0; i < BAD_CALLS; i++) {
        bad_call(i);
        if (i % LOOK == 0)
            lines += new_lines(&position);
    }
    lines += new_lines(&position);
    seconds = (unsigned int)((clock_now() - start) / 1000000000);
    printf("%u bad calls, %u lines, %u s\n", BAD_CALLS, lines, seconds);
    CHECK(lines <= MAX_LINES + A_SECOND * seconds);
    refusals_are_named();
    test_end("quiet");
}
