/*
 * Defends: the decoder of guests' instructions stays inside the bytes there
 * are, whatever they say, and finds the operands that the CPU would.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "hv/guest_copy.h"
#include "hv/x86/insn.h"
#include "lib/errno.h"

/* ---- Guest memory: two pages, of which the second may be missing. ---- */

#define MEMORY_AT   0x10000ull
#define MEMORY_SIZE 8192u

static uint8_t memory[MEMORY_SIZE];
static uint64_t memory_end = MEMORY_AT + MEMORY_SIZE;

int guest_copy_from(void *dst, const void *guest_src, size_t n)
{
    uint64_t at = (uint64_t)guest_src;

    if (at < MEMORY_AT || n > MEMORY_SIZE || at + n > memory_end)
        return -EFAULT;
    memcpy(dst, memory + (at - MEMORY_AT), n);
    return 0;
}

static struct cpu_user_regs regs;

static void place(const void *bytes, size_t n, uint64_t at)
{
    memcpy(memory + (at - MEMORY_AT), bytes, n);
    regs.rip = at;
}

#define BYTES(...)                                                             \
    place((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){          \
                                                __VA_ARGS__ }), MEMORY_AT)

static void set_up(void)
{
    memory_end = MEMORY_AT + MEMORY_SIZE;
    memset(memory, 0x90, sizeof(memory));
    regs = (struct cpu_user_regs){
        .rax = 0x1111, .rcx = 0x2222, .rdx = 0x3333, .rbx = 0x4444,
        .rsp = 0x5555, .rbp = 0x6666, .rsi = 0x7777, .rdi = 0x8888,
        .r8 = 0x9999, .r12 = 0xcccc, .r13 = 0xdddd,
    };
}

/* ---- Operands. ---- */

START_TEST(operands)
{
    struct insn i;
    uint64_t value;

    BYTES(0xf0, 0x48, 0x0f, 0xb1, 0x11); /* lock cmpxchg %rdx, (%rcx) */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 0));
    ck_assert(i.lock && i.memory && i.size == 8);
    ck_assert_uint_eq(i.opcode, 0x0fb1);
    ck_assert_uint_eq(i.address, 0x2222);
    ck_assert_uint_eq(i.reg, 2);
    ck_assert_uint_eq(i.length, 5);

    BYTES(0x66, 0x83, 0x64, 0xc8, 0xf0, 0xdf); /* andw $-33, -16(%rax,%rcx,8) */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 1));
    ck_assert(insn_immediate(&i, 1, &value));
    ck_assert_uint_eq(i.address, 0x1111 + 8 * 0x2222 - 16);
    ck_assert_uint_eq(i.size, 2);
    ck_assert_uint_eq(value, (uint64_t)-33);
    ck_assert_uint_eq(i.length, 6);

    BYTES(0x80, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x02); /* orb $2, 0x100(%rip) */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 1));
    ck_assert_uint_eq(i.address, MEMORY_AT + 7 + 0x100);

    BYTES(0x49, 0x89, 0x04, 0x24); /* mov %rax, (%r12) */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 0));
    ck_assert_uint_eq(i.address, 0xcccc);

    BYTES(0x41, 0x89, 0x45, 0x00); /* mov %eax, 0(%r13) */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 0));
    ck_assert_uint_eq(i.address, 0xdddd);

    BYTES(0x89, 0x04, 0x25, 0x00, 0x00, 0x00, 0x80); /* mov %eax, -2 GiB */
    ck_assert(insn_start(&i, &regs) && insn_modrm(&i, &regs, 0));
    ck_assert_uint_eq(i.address, 0xffffffff80000000);
}
END_TEST

START_TEST(register_parts)
{
    struct insn i = { 0 };

    regs.rax = 0x1122334455667788;
    ck_assert_uint_eq(insn_get(&i, &regs, 4, 1), 0x77); /* AH */
    insn_set(&i, &regs, 4, 1, 0xaa);
    ck_assert_uint_eq(regs.rax, 0x112233445566aa88);
    insn_set(&i, &regs, 0, 2, 0xbbbb);
    ck_assert_uint_eq(regs.rax, 0x112233445566bbbb);
    insn_set(&i, &regs, 0, 4, 0xcccccccc);
    ck_assert_uint_eq(regs.rax, 0xcccccccc);
    i.rex = 0x40;
    ck_assert_uint_eq(insn_get(&i, &regs, 4, 1), 0x55); /* SPL */
    insn_set(&i, &regs, 12, 8, ~0ull);
    ck_assert_uint_eq(regs.r12, ~0ull);
}
END_TEST

/* ---- The end of what there is. ---- */

START_TEST(stops_where_memory_does)
{
    static const uint8_t code[] = { 0x48, 0xc7, 0x01, 1, 2, 3, 4 };
    struct insn i;
    uint64_t value;

    memory_end = MEMORY_AT + 4096;
    for (size_t there = 0; there <= sizeof(code); there++) {
        bool whole = there == sizeof(code);

        place(code, there, memory_end - there);
        ck_assert(whole == (insn_start(&i, &regs) &&
                            insn_modrm(&i, &regs, 4) &&
                            insn_immediate(&i, 4, &value)));
        ck_assert_uint_le(i.length, there);
    }
}
END_TEST

/* Prefixes alone are no instruction, and no more than 15 bytes are one. */
START_TEST(no_longer_than_fifteen)
{
    struct insn i;

    memset(memory, 0x66, 4096);
    regs.rip = MEMORY_AT;
    ck_assert(!insn_start(&i, &regs));
    memory[14] = 0xc7;
    ck_assert(insn_start(&i, &regs));
    ck_assert(!insn_modrm(&i, &regs, 0));
    memory[13] = 0x0f;
    ck_assert(insn_start(&i, &regs));
    ck_assert_uint_eq(i.opcode, 0x0fc7);
}
END_TEST

START_TEST(random_bytes)
{
    struct insn i;
    uint64_t value;

    srandom(1);
    for (unsigned int n = 0; n < 50000; n++) {
        size_t there = 1 + (size_t)random() % 16;

        memory_end = MEMORY_AT + 4096;
        regs.rip = memory_end - there;
        for (size_t k = 0; k < there; k++)
            memory[4096 - there + k] = (uint8_t)random();
        /* Segment bases are registers that the host may not let us read. */
        if (insn_start(&i, &regs) && !i.segment &&
            insn_modrm(&i, &regs, (unsigned int)random() % 5))
            (void)insn_immediate(&i, 1u << random() % 3, &value);
        ck_assert_uint_le(i.length, i.count);
        ck_assert_uint_le(i.count, there);
        ck_assert(i.size == 2 || i.size == 4 || i.size == 8);
        ck_assert(i.reg < 16 && i.rm < 16);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("insn");
    TCase *tc = tcase_create("insn");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, operands);
    tcase_add_test(tc, register_parts);
    tcase_add_test(tc, stops_where_memory_does);
    tcase_add_test(tc, no_longer_than_fifteen);
    tcase_add_test(tc, random_bytes);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
