/*
 * Defends: a guest cannot flood the hypervisor's log (D8), yet what it was
 * refused last can be read.
 */
#include "tests/guest/parent.h"

#define BAD_CALLS 200000u
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
        hypercall(50 + i % 5, 0, 0, 0, 0, 0);
        break;
    default:
        hypercall_xen_version(2, (void *)8);
    }
}

/* The newest refusal is the one that was just made. */
static void last_refusal(void)
{
    struct belfry_refusal kept[BELFRY_REFUSED_KEPT];
    struct belfry_refused op = BELFRY_ARG(belfry_refused,
                                          .item_size = sizeof(kept[0]),
                                          .count = BELFRY_REFUSED_KEPT,
                                          .refusals = kept);
    struct evtchn_send send = { .port = 4711 };
    const struct belfry_refusal *last;

    CHECK_EQ(hypercall_event_channel_op(EVTCHNOP_send, &send), -EINVAL);
    CHECK_EQ(hypercall_belfry_op(BELFRYOP_refused, &op), 0);
    if (!CHECK_EQ(op.count, BELFRY_REFUSED_KEPT))
        return;
    last = &kept[op.count - 1];
    CHECK_EQ(last->error, -EINVAL);
    CHECK_EQ(last->argument, 4711);
    CHECK_EQ(last->id, guest.domid);
    CHECK(strncmp(last->call, "event_channel_op", 16) == 0);
    CHECK(last->rip != 0 && last->symbol[0] != 0);
    for (unsigned int i = 1; i < op.count; i++)
        CHECK(kept[i].sequence > kept[i - 1].sequence);
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
    last_refusal();
    test_end("quiet");
}
