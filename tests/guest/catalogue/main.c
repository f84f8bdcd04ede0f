/*
 * Defends: rows of docs/security.md that no other test has: lists of calls
 * that change the mode or the tables they run in (M4, M7), odd words in the
 * list of frames (M17), vCPUs made of nonsense (M19), FPU state that a guest
 * made up (X13), upper halves of 32-bit arguments (X15), both ways into the
 * hypervisor (X17), and two vCPUs of which one makes a table of what the other
 * writes (M6, M22).
 */
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#include <xen/version.h>

#define ROUNDS    20000u
#define SHARED    4u /* frames: shared_info, the grant table */
#define NO_FRAME  0x000ffffffffff000ull /* an entry that no frame can be in */
#define UNTOUCHED 0x5eedull

struct frame {
    uint64_t *page;
    uint64_t mfn;
};

static struct frame new_frame(void)
{
    struct frame f = { .page = page_alloc() };

    f.mfn = virt_to_mfn(f.page);
    return f;
}

static struct frame new_table(void)
{
    struct frame f = new_frame();

    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_READ), 0);
    return f;
}

static void give_up(struct frame f)
{
    CHECK_EQ(page_protect(f.page, f.mfn, PAGE_WRITE), 0);
    page_free(f.page);
}

/* ---- M4: behind an iret in a list of calls nothing is done. ---- */

static bool iret_in_list(struct multicall_entry *list)
{
    uint64_t went_on = 0;

    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "subq $256, %%rsp\n\t" /* beyond the red zone, aligned */
                     "andq $-16, %%rsp\n\t"
                     "pushq %[ss]\n\t"
                     "pushq %%rbx\n\t"
                     "pushfq\n\t"
                     "pushq %[cs]\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq $0\n\t" /* flags */
                     "pushq $0\n\t"
                     "pushq $0\n\t"
                     "pushq $0\n\t"
                     "movl $2, %%esi\n\t"
                     "movl %[multicall], %%eax\n\t"
                     "syscall\n\t"
                     "movl $1, %k[went_on]\n\t"
                     "movq %%rbx, %%rsp\n"
                     "1:"
                     : [went_on] "+&r"(went_on), "+D"(list)
                     : [ss] "i"(FLAT_KERNEL_SS), [cs] "i"(FLAT_KERNEL_CS & ~3),
                       [multicall] "i"(__HYPERVISOR_multicall)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r11", "memory",
                       "cc");
    return went_on;
}

/* An iret to the very place where the list's call returns is one all the same:
 * how far is the stack pointer from where its frame says? */
static uint64_t iret_to_next_instruction(struct multicall_entry *list)
{
    uint64_t distance = UNTOUCHED;

    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "subq $256, %%rsp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "pushq %[ss]\n\t"
                     "pushq %%rbx\n\t"
                     "pushfq\n\t"
                     "pushq %[cs]\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "pushq $0\n\t" /* flags */
                     "pushq $0\n\t"
                     "pushq $0\n\t"
                     "pushq $0\n\t"
                     "movl $1, %%esi\n\t"
                     "movl %[multicall], %%eax\n\t"
                     "syscall\n"
                     "1:\n\t"
                     "movq %%rbx, %[distance]\n\t"
                     "subq %%rsp, %[distance]\n\t"
                     "movq %%rbx, %%rsp"
                     : [distance] "+&r"(distance), "+D"(list)
                     : [ss] "i"(FLAT_KERNEL_SS), [cs] "i"(FLAT_KERNEL_CS & ~3),
                       [multicall] "i"(__HYPERVISOR_multicall)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r11", "memory",
                       "cc");
    return distance;
}

static void M4_list_with_iret(void)
{
    static struct multicall_entry list[2];

    list[0].op = __HYPERVISOR_iret;
    list[1].op = __HYPERVISOR_xen_version;
    list[1].args[0] = XENVER_version;
    list[1].result = UNTOUCHED;
    CHECK(!iret_in_list(list));
    CHECK_EQ(list[1].result, UNTOUCHED);
    CHECK_EQ(iret_to_next_instruction(list), 0);
}

/* ---- M7: each update edits the tree that the one before it left. ---- */

static uint64_t *free_slot(uint64_t *va)
{
    for (*va = (uint64_t)guest.start->pt_base & ~0x1fffffull;; *va += 0x200000) {
        uint64_t *slot = table_entry((const void *)*va, 2);

        if (slot && !(*slot & PTE_PRESENT))
            return slot;
    }
}

static void set_slot(struct multicall_entry *m, struct mmu_update *req,
                     const uint64_t *slot, const struct frame *table)
{
    req->ptr = virt_to_maddr(slot);
    req->val = table ? table->mfn << PAGE_SHIFT | PTE_TABLE : 0;
    *m = (struct multicall_entry){ .op = __HYPERVISOR_mmu_update };
    m->args[0] = (unsigned long)req;
    m->args[1] = 1;
    m->args[3] = DOMID_SELF;
}

static void set_page(struct multicall_entry *m, uint64_t va, uint64_t pte)
{
    *m = (struct multicall_entry){ .op = __HYPERVISOR_update_va_mapping };
    m->args[0] = va;
    m->args[1] = pte;
    m->args[2] = UVMF_INVLPG;
}

static void M7_update_after_update(void)
{
    struct frame first = new_table(), second = new_table();
    struct frame a = new_frame(), b = new_frame();
    static struct multicall_entry list[5];
    static struct mmu_update req[3];
    uint64_t va, *slot = free_slot(&va);

    set_slot(&list[0], &req[0], slot, &first);
    set_page(&list[1], va, a.mfn << PAGE_SHIFT | PAGE_WRITE);
    set_slot(&list[2], &req[1], slot, &second);
    set_page(&list[3], va, b.mfn << PAGE_SHIFT | PAGE_WRITE);
    set_slot(&list[4], &req[2], slot, NULL);
    CHECK_EQ(hypercall_multicall(list, 5), 0);
    for (unsigned int i = 0; i < 5; i++)
        CHECK_EQ(list[i].result, 0);
    CHECK_EQ(pte_frame(first.page[0]), a.mfn);
    CHECK_EQ(pte_frame(second.page[0]), b.mfn);
    CHECK_EQ(mmuext_va(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    give_up(first);
    give_up(second);
    page_free(a.page);
    page_free(b.page);
}

/* ---- M17: what a guest says of its frames is believed by nobody. ---- */

static void M17_machine_to_phys_specials(void)
{
    static const uint64_t odd[] = { 0, ~0ull, ~0ull >> 1, 1ull << 52,
                                    0x7ff0bad, 0xffff800000000000 };
    struct frame f = new_frame();
    uint64_t pfn = m2p_table[f.mfn];
    struct mmu_update req = {
        .ptr = f.mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE
    };

    for (unsigned int i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        req.val = odd[i];
        CHECK_EQ(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF), 0);
        CHECK_EQ(page_protect(f.page, f.mfn, PAGE_READ), 0);
        CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L1_TABLE, f.mfn), 0);
        CHECK(page_protect(f.page, f.mfn, PAGE_WRITE) < 0);
        CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, f.mfn), 0);
        CHECK_EQ(page_protect(f.page, f.mfn, PAGE_WRITE), 0);
        check_audit("with an odd word in the list");
    }
    req.val = pfn;
    CHECK_EQ(hypercall_mmu_update(&req, 1, NULL, DOMID_SELF), 0);
    page_free(f.page);
}

/* Nor is the list of others' frames ours to write: the hypervisor's own and
 * the free ones. */
static void M17_machine_to_phys_of_others(void)
{
    uint64_t end = (uint64_t)hypercall_memory_op(XENMEM_maximum_ram_page, NULL);
    unsigned int taken = 0, others = 0;

    for (uint64_t mfn = 0; mfn <= end; mfn++) {
        struct mmu_update req = {
            .ptr = mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE,
            .val = m2p_table[mfn]
        };

        if (mfn_is_own(mfn, end + 1))
            continue;
        others++;
        taken += hypercall_mmu_update(&req, 1, NULL, DOMID_SELF) == 0;
    }
    CHECK(others > 1000);
    printf("frames: %u of others, %u of them shared with us\n", others, taken);
    CHECK(taken <= SHARED);
}

/* ---- X15, X17. ---- */

static void X15_upper_halves(void)
{
    static struct gnttab_query_size size = { .dom = DOMID_SELF };
    static struct evtchn_status status = { .dom = DOMID_SELF, .port = 4000 };
    const uint64_t arg[] = { (uint64_t)&size, (uint64_t)&status };

    for (unsigned int i = 0; i < 64; i++) {
        uint64_t high = random_next() << 32;

        CHECK_EQ(hypercall(__HYPERVISOR_xen_version, high | XENVER_version, 0,
                           0, 0, 0), hypercall_xen_version(XENVER_version, 0));
        CHECK_EQ(hypercall(__HYPERVISOR_sched_op, high | SCHEDOP_yield, 0, 0,
                           0, 0), 0);
        CHECK_EQ(hypercall(__HYPERVISOR_grant_table_op,
                           high | GNTTABOP_query_size, arg[0], high | 1, 0, 0),
                 0);
        CHECK_EQ(hypercall(__HYPERVISOR_event_channel_op,
                           high | EVTCHNOP_status, arg[1], 0, 0, 0),
                 hypercall_event_channel_op(EVTCHNOP_status, &status));
        CHECK_EQ(hypercall(__HYPERVISOR_vcpu_op, high | VCPUOP_is_up, high, 0,
                           0, 0), 1);
        CHECK_EQ(hypercall(__HYPERVISOR_mmu_update, arg[0], high, 0,
                           DOMID_SELF, 0), 0);
    }
}

static void X17_both_ways_in(void)
{
    static char direct[16], page[16];

    CHECK_EQ(hypercall(__HYPERVISOR_xen_version, XENVER_extraversion,
                       (uint64_t)direct, 0, 0, 0), 0);
    CHECK_EQ(hypercall_xen_version(XENVER_extraversion, page), 0);
    CHECK_EQ(memcmp(direct, page, sizeof(page)), 0);
    CHECK_EQ(hypercall(__HYPERVISOR_xen_version, ~0u, 0, 0, 0, 0),
             hypercall_xen_version(~0u, NULL));
}

/* ---- M19: the second vCPU. ---- */

static struct vcpu_guest_context context;
static struct frame stack;
static struct frame table, window;
static volatile bool stop;
static volatile uint64_t writes, faults;
static uint32_t first_mxcsr;
static uint16_t first_control;

/* Map, write nonsense and take it away, unmap without a flush, and try to
 * write on. */
_Noreturn static void second_vcpu(void)
{
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1"
                     : "=m"(first_mxcsr), "=m"(first_control));
    while (!stop) {
        if (hypercall_update_va_mapping(window.page,
                                        table.mfn << PAGE_SHIFT | PAGE_WRITE,
                                        UVMF_INVLPG) == 0) {
            ((volatile uint64_t *)window.page)[7] = NO_FRAME | PAGE_READ;
            ((volatile uint64_t *)window.page)[7] = 0;
            writes++;
            hypercall_update_va_mapping(window.page, 0, UVMF_NONE);
        }
        for (unsigned int i = 0; i < 64; i++) {
            FAULT_TRY("movq %[bad], (%[a])\n\tmovq $0, (%[a])",
                      [a] "r"(&window.page[7]), [bad] "r"(NO_FRAME | PAGE_READ));
            faults += fault_seen.vector == 14;
        }
    }
    hypercall_vcpu_op(VCPUOP_down, 1, NULL);
    for (;;)
        hypercall_sched_op(SCHEDOP_yield, NULL);
}

static void make_context(void)
{
    memset(&context, 0, sizeof(context));
    for (unsigned int i = 0; i < 256; i++) {
        context.trap_ctxt[i].vector = (uint8_t)i;
        context.trap_ctxt[i].cs = FLAT_KERNEL_CS;
        context.trap_ctxt[i].address =
            (unsigned long)fault_stubs + i * FAULT_STUB_SIZE;
    }
    /* State that no CPU would load, and the mark that it is there. */
    memset(&context.fpu_ctxt, 0xff, sizeof(context.fpu_ctxt));
    context.flags = VGCF_in_kernel | VGCF_i387_valid;
    context.user_regs.rip = (unsigned long)second_vcpu;
    context.user_regs.rsp = (unsigned long)stack.page + PAGE_SIZE - 8;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.kernel_ss = FLAT_KERNEL_SS;
    context.kernel_sp = (unsigned long)stack.page + PAGE_SIZE;
    context.ctrlreg[3] = virt_to_maddr((void *)guest.start->pt_base);
}

static long initialise(void)
{
    return hypercall_vcpu_op(VCPUOP_initialise, 1, &context);
}

static void M19_vcpu_of_nonsense(void)
{
    struct frame data = new_frame();
    const uint64_t bad_tables[] = {
        0,           data.mfn << PAGE_SHIFT,
        NO_FRAME,    1ull << 40,
        ~0ull << 12, pte_frame(*table_entry(data.page, 3)) << PAGE_SHIFT
    };

    stack = new_frame();
    CHECK(hypercall_vcpu_op(VCPUOP_up, 1, NULL) < 0);
    for (unsigned int i = 0; i < 100; i++) {
        uint64_t *words = (uint64_t *)&context;

        for (size_t k = 0; k < sizeof(context) / 8; k++)
            words[k] = random_next();
        CHECK(initialise() < 0);
    }
    for (unsigned int i = 0; i < sizeof(bad_tables) / 8; i++) {
        make_context();
        context.ctrlreg[3] = bad_tables[i];
        CHECK(initialise() < 0);
        make_context();
        context.ctrlreg[1] = bad_tables[i] | 1;
        if (i > 0) /* 0: no user mode, which is right */
            CHECK(initialise() < 0);
    }
    make_context();
    context.gdt_ents = 512; /* a frame that is writable, and 9,000 entries */
    context.gdt_frames[0] = data.mfn;
    CHECK(initialise() < 0);
    context.gdt_ents = 9000;
    CHECK(initialise() < 0);
    make_context();
    context.syscall_callback_eip = 0x8000000000000000;
    CHECK(initialise() < 0);
    check_audit("after vCPUs of nonsense");
    CHECK(hypercall_vcpu_op(VCPUOP_up, 1, NULL) < 0);
    make_context();
    CHECK_EQ(initialise(), 0);
    CHECK_EQ(initialise(), -EEXIST);
    CHECK(hypercall_vcpu_op(VCPUOP_initialise, 2, &context) < 0);
    page_free(data.page);
}

/* ---- X13: what the hypervisor loads it has saved, or made, itself. ---- */

static void X13_extended_state(void)
{
    static uint8_t area[4096] __attribute__((aligned(64)));
    unsigned int refused = 0;

    CHECK_EQ(first_mxcsr, 0x1f80);
    CHECK_EQ(first_control, 0x37f);
    for (unsigned int i = 0; i < 1000; i++) {
        for (size_t k = 0; k < 64; k++) /* the header */
            area[512 + k] = (uint8_t)random_next();
        FAULT_TRY("movl $7, %%eax\n\txorl %%edx, %%edx\n\txrstor (%[a])",
                  [a] "r"(area));
        refused += fault_seen.vector == 13;
        /* Of ours a switch is made of, and that must not fault for it. */
        hypercall_sched_op(SCHEDOP_yield, NULL);
    }
    CHECK_EQ(refused, 1000);
}

/* ---- M6, M22: a table on one vCPU, writable on the other. ---- */

/* A pinned page keeps what was validated; true if it was pinned. */
static bool pinned_is_as_checked(void)
{
    const volatile uint64_t *entry = &table.page[7];
    unsigned int changed = 0;

    if (mmuext_mfn(MMUEXT_PIN_L1_TABLE, table.mfn) != 0)
        return false;
    for (unsigned int i = 0; i < 200; i++)
        changed += *entry != 0;
    CHECK_EQ(changed, 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_UNPIN_TABLE, table.mfn), 0);
    return true;
}

static void M6_M22_table_or_writable(void)
{
    unsigned int pinned = 0;

    table = new_table();
    window = new_frame();
    CHECK_EQ(hypercall_vcpu_op(VCPUOP_up, 1, NULL), 0);
    for (unsigned int i = 0; i < ROUNDS; i++)
        pinned += pinned_is_as_checked();
    stop = true;
    while (hypercall_vcpu_op(VCPUOP_is_up, 1, NULL) == 1)
        sleep_ns(1000000);
    printf("pinned %u times of %u, written %lu times, %lu page faults\n",
           pinned, ROUNDS, writes, faults);
    CHECK(pinned > 10 && writes > 10 && faults > 10);
    CHECK_EQ(page_protect(window.page, window.mfn, PAGE_WRITE), 0);
    page_free(window.page);
    give_up(table);
}

int guest_main(void)
{
    random_seed(cmdline_number("seed", 1));
    test_needs_belfry("catalogue");
    fault_install();
    M4_list_with_iret();
    M7_update_after_update();
    M17_machine_to_phys_specials();
    M17_machine_to_phys_of_others();
    X15_upper_halves();
    X17_both_ways_in();
    M19_vcpu_of_nonsense();
    M6_M22_table_or_writable();
    X13_extended_state();
    test_end("catalogue");
}
