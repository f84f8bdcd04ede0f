/*
 * A guest's own user mode: tables for it, code that runs there, and the way
 * back into the program.
 *
 * user_set_up() builds the tables and takes over the callbacks; USER() names
 * a piece of code, user_run() runs one with given flags.  Whatever comes out
 * of user mode ends user_run() with its frame in fault_seen; the callbacks
 * have the vectors BY_SYSCALL and BY_EVENT.
 */
#ifndef TEST_USER_H
#define TEST_USER_H

#include "lib/registers.h"
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#define USER_BASE   0x0000010000000000ull /* slot 2 of the top table */
#define USER_CODE   USER_BASE
#define USER_DATA   (USER_BASE + PAGE_SIZE)
#define USER_STACK  (USER_BASE + 2 * PAGE_SIZE)
#define USER_RO     (USER_BASE + 3 * PAGE_SIZE)
#define USER_PAGES  4u

#define BY_SYSCALL 0x100u /* vectors of our own for the callbacks */
#define BY_EVENT   0x101u

extern char user_syscall_entry[], user_event_entry[];
uint64_t user_resume_rsp __attribute__((used));
void user_enter(const struct iret_context *frame);
extern char user_resume[];

/* user_enter leaves to user mode and returns when something has come back;
 * the callbacks become vectors of the handlers' common frame. */
__asm__(".pushsection .text\n"
        "user_syscall_entry:\n"
        "    popq %rcx\n"
        "    popq %r11\n"
        "    pushq $0\n"
        "    pushq $0x100\n"
        "    jmp fault_common\n"
        "user_event_entry:\n"
        "    popq %rcx\n"
        "    popq %r11\n"
        "    pushq $0\n"
        "    pushq $0x101\n"
        "    jmp fault_common\n"
        ".globl user_enter\n"
        "user_enter:\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, user_resume_rsp(%rip)\n"
        "    movq %rdi, %rsp\n"
        "    movl $0x51ed, %edi\n" /* arguments of a system call */
        "    movl $23, %eax\n"
        "    syscall\n"
        "    ud2\n"
        "user_resume:\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    ret\n"
        ".popsection\n");

static uint8_t *code; /* the kernel's view of USER_CODE */
static char *kernel_stack;
static uint64_t *user_l4;
static uint64_t frame_at; /* where the last frame was pushed */

/* Whatever came out of user mode: note it, and go back into user_enter. */
static void came_back(struct fault_frame *frame)
{
    frame_at = (uint64_t)frame;
    if ((frame->cs & 3) == 0 && frame->vector != BY_EVENT)
        panic("vector %lu from the kernel at 0x%lx", frame->vector,
              frame->rip);
    frame->rip = (uint64_t)user_resume;
    frame->cs = FLAT_KERNEL_CS & ~3u;
    frame->ss = FLAT_KERNEL_SS;
    frame->rsp = user_resume_rsp;
    frame->rflags = 2; /* events stay off */
}

/* ---- Setting it up. ---- */
static uint64_t *new_table(void)
{
    return page_alloc();
}

static void make_readonly(uint64_t *table)
{
    CHECK_EQ(page_protect(table, virt_to_mfn(table), PAGE_READ), 0);
}

static uint64_t as_table(const uint64_t *table)
{
    return virt_to_mfn(table) << PAGE_SHIFT | PTE_TABLE;
}

static void map_user_pages(uint64_t *l1)
{
    for (unsigned int i = 0; i < USER_PAGES; i++) {
        void *page = page_alloc();
        uint64_t bits = i == 0 || i == 3 ? PAGE_READ : PAGE_WRITE;

        if (i == 0)
            code = page;
        if (i == 1 || i == 2)
            bits |= PTE_NX;
        l1[i] = virt_to_mfn(page) << PAGE_SHIFT | bits;
    }
}

static void build_user_tables(void)
{
    uint64_t *l1 = new_table(), *l2 = new_table(), *l3 = new_table();

    user_l4 = new_table();
    map_user_pages(l1);
    l2[0] = as_table(l1);
    l3[0] = as_table(l2);
    user_l4[2] = as_table(l3);
    make_readonly(l1);
    make_readonly(l2);
    make_readonly(l3);
    make_readonly(user_l4);
    CHECK_EQ(mmuext_mfn(MMUEXT_PIN_L4_TABLE, virt_to_mfn(user_l4)), 0);
    CHECK_EQ(mmuext_mfn(MMUEXT_NEW_USER_BASEPTR, virt_to_mfn(user_l4)), 0);
}

static void user_set_up(void)
{
    build_user_tables();
    kernel_stack = page_alloc();
    CHECK_EQ(hypercall_stack_switch(FLAT_KERNEL_SS, kernel_stack + PAGE_SIZE),
             0);
    CHECK_EQ(hypercall_set_callbacks(user_event_entry, user_event_entry,
                                     user_syscall_entry), 0);
    fault_hook = came_back;
}

/* ---- Running a piece of code there. ---- */
#define USER(name, text)                                                       \
    __asm__(".pushsection .rodata\n"                                           \
            "user_" #name ": " text "\n"                                       \
            "user_" #name "_end: nop\n"                                        \
            ".popsection\n");                                                  \
    extern const uint8_t user_##name[], user_##name##_end[]

static inline void user_run(const uint8_t *text, const uint8_t *end,
                            uint64_t rflags, uint64_t flags)
{
    struct iret_context frame = { .rax = 0x7a7a, .r11 = 0x1111, .rcx = 0x2222,
                                  .flags = flags, .rip = USER_CODE,
                                  .cs = FLAT_USER_CS, .rflags = rflags,
                                  .rsp = USER_STACK + PAGE_SIZE - 16,
                                  .ss = FLAT_USER_SS };

    memset(code, 0xcc, 256);
    memcpy(code, text, (size_t)(end - text));
    fault_clear();
    user_enter(&frame);
}

#endif
