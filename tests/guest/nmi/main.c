/*
 * Defends: a vCPU that is sent an NMI takes it at once, whatever masks
 * events, but not while it is in its handler for one: the next comes when
 * that returns by the iret hypercall.
 */
#include "tests/guest/fault.h"

#include <xen/callback.h>
#include <xen/vcpu.h>

#define NMI 2

static unsigned int taken, again;

static long send(void)
{
    return hypercall_vcpu_op(VCPUOP_send_nmi, 0, NULL);
}

/* In the handler: more of them change nothing until it has returned. */
static void handler(struct fault_frame *frame)
{
    unsigned int before = taken++;

    CHECK_EQ(frame->vector, NMI);
    CHECK_EQ(guest.shared->vcpu_info[0].evtchn_upcall_mask, 1);
    while (again > 0) {
        again--;
        CHECK_EQ(send(), 0);
        CHECK_EQ(taken, before + 1);
    }
}

static void callback(const void *address)
{
    struct callback_register reg = { .type = CALLBACKTYPE_nmi,
                                     .address = (unsigned long)address };

    CHECK_EQ(hypercall_callback_op(CALLBACKOP_register, &reg), 0);
}

static void masked_events(uint8_t mask)
{
    guest.shared->vcpu_info[0].evtchn_upcall_mask = mask;
    taken = 0;
    CHECK_EQ(send(), 0);
    CHECK_EQ(taken, 1);
    CHECK_EQ(guest.shared->vcpu_info[0].evtchn_upcall_mask, mask);
}

int guest_main(void)
{
    fault_install();
    fault_by_hypercall = 1;
    fault_hook = handler;
    callback(fault_stubs + NMI * FAULT_STUB_SIZE);

    for (unsigned int i = 0; i < 1000; i++)
        masked_events(1);
    again = 5; /* they become one more */
    taken = 0;
    CHECK_EQ(send(), 0);
    CHECK_EQ(taken, 2);
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_send_nmi, 99, NULL), -ENOENT);
    test_end("nmi");
}
