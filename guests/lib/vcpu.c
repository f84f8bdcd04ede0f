/*
 * Further vCPUs: bringing them up, telling which one runs, their sleep.
 *
 * A vCPU is known by the stack it runs on, so nothing that a guest may ruin
 * (its GS, a register) can make one take itself for another.  All but vCPU 0
 * keep their upcalls masked for ever and sleep by SCHEDOP_poll, which wakes
 * for a port that is masked: no ring of theirs reaches the words of event.c.
 */
#include "guests/lib/internal.h"

#define MAX_VCPUS   32u
#define STACK_PAGES 8u /* the lowest is the guard */
#define STACK_SIZE  (STACK_PAGES * PAGE_SIZE)

static struct vcpu {
    char *stack; /* NULL: was never started */
    vcpu_fn *fn;
    void *data;
} vcpus[MAX_VCPUS];
static unsigned int end_started = 1; /* no id from here on was ever started */

unsigned int vcpu_id(void)
{
    uint64_t here = (uint64_t)__builtin_frame_address(0);

    for (unsigned int id = 1; id < end_started; id++)
        if (here - (uint64_t)vcpus[id].stack < STACK_SIZE)
            return id;
    return 0;
}

void vcpu_stack(uint64_t *bottom, uint64_t *top)
{
    const char *own = vcpus[vcpu_id()].stack;

    *bottom = (uint64_t)(own ? own + PAGE_SIZE : stack_bottom);
    *top = (uint64_t)(own ? own + STACK_SIZE : stack_top);
}

bool vcpu_is_up(unsigned int id)
{
    return hypercall_vcpu_op(VCPUOP_is_up, id, NULL) == 1;
}

unsigned int vcpu_count(void)
{
    unsigned int n = 1;

    while (n < MAX_VCPUS && hypercall_vcpu_op(VCPUOP_is_up, n, NULL) >= 0)
        n++;
    return n;
}

/* Where a vCPU begins, and is again whenever it comes up after a rest. */
_Noreturn static void begin(void)
{
    unsigned int id = vcpu_id();

    trap_init();
    hypercall_vcpu_op(VCPUOP_stop_periodic_timer, id, NULL);
    for (;;) {
        vcpus[id].fn(vcpus[id].data);
        hypercall_vcpu_op(VCPUOP_down, id, NULL);
    }
}

static int initialise(unsigned int id, char *stack)
{
    struct vcpu_guest_context *context = mem_alloc(sizeof(*context));
    int error;

    if (!context)
        return -ENOMEM;
    context->flags = VGCF_in_kernel;
    context->user_regs.rip = (unsigned long)begin;
    context->user_regs.rsp = (unsigned long)stack + STACK_SIZE - 8;
    context->user_regs.cs = FLAT_KERNEL_CS;
    context->user_regs.ss = FLAT_KERNEL_SS;
    context->kernel_ss = FLAT_KERNEL_SS;
    context->kernel_sp = (unsigned long)stack + STACK_SIZE;
    context->ctrlreg[3] = virt_to_mfn((void *)guest.start->pt_base)
                          << PAGE_SHIFT;
    error = (int)hypercall_vcpu_op(VCPUOP_initialise, id, context);
    mem_free(context);
    return error;
}

/* Once a vCPU: a stack with a page below it that nothing is mapped at. */
static int create(unsigned int id)
{
    char *stack = pages_alloc(STACK_PAGES);
    int error;

    if (!stack)
        return -ENOMEM;
    error = initialise(id, stack);
    if (error) {
        pages_free(stack, STACK_PAGES);
        return error;
    }
    BUG_ON(page_set_entry(stack, 0));
    vcpus[id].stack = stack;
    if (id >= end_started)
        store_release(&end_started, id + 1);
    return 0;
}

int vcpu_start(unsigned int id, vcpu_fn *fn, void *data)
{
    int error;

    if (id == 0 || id >= MAX_VCPUS)
        return -ENOENT;
    if (vcpu_is_up(id))
        return -EBUSY;
    if (!vcpus[id].stack && (error = create(id)) != 0)
        return error;
    vcpus[id].fn = fn;
    vcpus[id].data = data;
    return (int)hypercall_vcpu_op(VCPUOP_up, id, NULL);
}

bool vcpu_wait_for(evtchn_port_t port, uint64_t deadline)
{
    uint64_t *pending = guest.shared->evtchn_pending;
    struct sched_poll poll = { .nr_ports = 1, .timeout = deadline };

    set_xen_guest_handle(poll.ports, &port);
    while (!bit_test_and_clear(pending, port)) {
        if (deadline && clock_now() >= deadline)
            return false;
        hypercall_sched_op(SCHEDOP_poll, &poll);
    }
    return true;
}
