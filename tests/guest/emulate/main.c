/*
 * Defends: a kernel in ring 3 can execute the privileged instructions that
 * the ABI emulates, with their results, and no others; and its writes to its
 * own L1 tables are the updates that it could have asked for (M14).
 */
#include "lib/registers.h"
#include "tests/guest/fault.h"
#include "tests/guest/tables.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/physdev.h>

#define UNDEFINED_OPCODE 6
#define PROTECTION       13
#define PAGE_FAULT       14
#define NONCANONICAL     0x8000000000000000ull

/* What the pieces of assembly below leave behind. */
static uint64_t out[4];

static bool faulted(unsigned int vector)
{
    return fault_seen.vector == vector && fault_seen.error == 0;
}

static bool fine(void)
{
    return fault_seen.vector == FAULT_NONE;
}

/* ---- MSRs. ---- */

static bool read_msr(uint32_t msr, uint64_t *value)
{
    FAULT_TRY("movl %[msr], %%ecx\n\trdmsr\n\t"
              "movl %%eax, %[out]\n\tmovl %%edx, 4+%[out]",
              [msr] "r"(msr), [out] "m"(out));
    *value = out[0];
    return fine();
}

static bool write_msr(uint32_t msr, uint64_t value)
{
    FAULT_TRY("movl %[msr], %%ecx\n\tmovl %[low], %%eax\n\t"
              "movl %[high], %%edx\n\twrmsr",
              [msr] "r"(msr), [low] "r"((uint32_t)value),
              [high] "r"((uint32_t)(value >> 32)));
    return fine();
}

static void segment_bases(void)
{
    static const uint32_t msr[] = { MSR_FS_BASE, MSR_GS_BASE,
                                    MSR_SHADOW_GS_BASE };
    static const uint64_t good[] = { 0, 0x1234, 0x7ffffffff000,
                                     0xffff880000000000, ~0ull };
    uint64_t before[3], value;

    for (unsigned int i = 0; i < 3; i++)
        CHECK(read_msr(msr[i], &before[i]));
    for (unsigned int i = 0; i < 3; i++) {
        for (unsigned int j = 0; j < 5; j++) {
            CHECK(write_msr(msr[i], good[j] + i));
            CHECK(read_msr(msr[i], &value) && value == good[j] + i);
        }
        CHECK(!write_msr(msr[i], NONCANONICAL));
        CHECK(faulted(PROTECTION));
        CHECK(read_msr(msr[i], &value) && value == good[4] + i);
    }
    for (unsigned int i = 0; i < 3; i++)
        CHECK(write_msr(msr[i], before[i]));
}

static void X7_other_msrs(void)
{
    static const uint32_t none[] = { 0xdeadbeef, 0x3fffffff, 0xc0000000, ~0u };
    uint64_t value, again = 0;

    CHECK(read_msr(MSR_EFER, &value));
    CHECK_EQ(value & 0x501, 0x501); /* SCE, LME, LMA */
    CHECK(read_msr(0x10, &value) && read_msr(0x10, &again));
    CHECK(again > value);
    for (unsigned int i = 0; i < sizeof(none) / sizeof(*none); i++) {
        CHECK(!read_msr(none[i], &value));
        CHECK(faulted(PROTECTION));
        CHECK(!write_msr(none[i], 0));
        CHECK(faulted(PROTECTION));
    }
}

/* ---- Control and debug registers. ---- */

#define READ_REGISTER(name)                                                    \
    ({                                                                         \
        FAULT_TRY("movq %%" name ", %%rax\n\tmovq %%rax, %[out]",              \
                  [out] "m"(out));                                             \
        out[0];                                                                \
    })
#define WRITE_REGISTER(name, value)                                            \
    ({                                                                         \
        FAULT_TRY("movq %[v], %%" name, [v] "r"((uint64_t)(value)));           \
        fine();                                                                \
    })

static void task_switched(void)
{
    uint64_t cr0 = READ_REGISTER("cr0");

    CHECK_EQ(cr0 & CR0_TS, 0);
    CHECK_EQ(cr0 & 0x80010001, 0x80010001); /* PG, WP, PE */
    CHECK(WRITE_REGISTER("cr0", cr0 | CR0_TS));
    CHECK_EQ(READ_REGISTER("cr0"), cr0 | CR0_TS);
    FAULT_TRY("fninit");
    CHECK_EQ(fault_seen.vector, 7);
    CHECK_EQ(READ_REGISTER("cr0"), cr0); /* the fault cleared it */
    CHECK(WRITE_REGISTER("cr0", cr0 | CR0_TS));
    FAULT_TRY("clts");
    CHECK(fine());
    FAULT_TRY("fninit");
    CHECK(fine());
    CHECK_EQ(hypercall_fpu_taskswitch(true), 0);
    CHECK_EQ(READ_REGISTER("cr0"), cr0 | CR0_TS);
    CHECK(WRITE_REGISTER("cr0", cr0));
    CHECK_EQ(READ_REGISTER("cr0"), cr0);
}

static void X14_control_registers(void)
{
    uint64_t cr0 = READ_REGISTER("cr0"), cr3, cr4;

    CHECK(!WRITE_REGISTER("cr0", cr0 & ~1ull));
    CHECK(faulted(PROTECTION));
    CHECK(!WRITE_REGISTER("cr0", cr0 ^ 1ull << 29)); /* NW */
    CHECK(WRITE_REGISTER("cr2", 0x123456789));
    CHECK_EQ(READ_REGISTER("cr2"), 0x123456789);
    CHECK_EQ(guest.shared->vcpu_info[0].arch.cr2, 0x123456789);

    cr3 = READ_REGISTER("cr3");
    CHECK_EQ(cr3 >> PAGE_SHIFT, virt_to_mfn((void *)guest.start->pt_base));
    CHECK(WRITE_REGISTER("cr3", cr3));
    CHECK(!WRITE_REGISTER("cr3", virt_to_maddr(out) & ~0xfffull));
    CHECK(faulted(PROTECTION)); /* a page of data is no L4 */
    CHECK(!WRITE_REGISTER("cr3", 0x0000fffffffff000));
    CHECK(!WRITE_REGISTER("cr3", 0));
    CHECK_EQ(READ_REGISTER("cr3"), cr3);

    cr4 = READ_REGISTER("cr4");
    CHECK(cr4 & CR4_PAE);
    CHECK(WRITE_REGISTER("cr4", cr4 | CR4_OSXSAVE));
    CHECK_EQ(READ_REGISTER("cr4") & CR4_PAE, CR4_PAE);
    READ_REGISTER("cr8");
    CHECK(faulted(PROTECTION));
}

static void debug_registers(void)
{
    CHECK(WRITE_REGISTER("dr0", (uint64_t)out));
    CHECK_EQ(READ_REGISTER("dr0"), out);
    CHECK_EQ(hypercall_get_debugreg(0), out);
    CHECK(!WRITE_REGISTER("dr1", HYPERVISOR_VIRT_START));
    CHECK(faulted(PROTECTION));
    CHECK(WRITE_REGISTER("dr7", 0x400));
    CHECK_EQ(READ_REGISTER("dr7"), 0x400);
    CHECK(WRITE_REGISTER("dr0", 0));
}

/* What has no place in a guest's kernel stays what it is in ring 3. */
static void no_others(void)
{
    FAULT_TRY("hlt");
    CHECK(faulted(PROTECTION));
    FAULT_TRY("invd");
    CHECK(faulted(PROTECTION));
    FAULT_TRY("lgdt %[out]", [out] "m"(out));
    CHECK(faulted(PROTECTION));
    FAULT_TRY("lmsw %%ax", [out] "m"(out));
    CHECK(faulted(PROTECTION));
    FAULT_TRY("invlpg %[out]", [out] "m"(out));
    CHECK(faulted(PROTECTION));
    FAULT_TRY("wbinvd");
    CHECK(fine());
}

/* ---- CPUID. ---- */

static void forced_cpuid(uint32_t leaf, uint32_t sub, uint32_t result[4])
{
    FAULT_TRY("pushq %%rbx\n\tmovl %[leaf], %%eax\n\tmovl %[sub], %%ecx\n\t"
              "ud2\n\t.byte 'x', 'e', 'n'\n\tcpuid\n\t"
              "movl %%eax, (%[r])\n\tmovl %%ebx, 4(%[r])\n\t"
              "movl %%ecx, 8(%[r])\n\tmovl %%edx, 12(%[r])\n\tpopq %%rbx",
              [leaf] "r"(leaf), [sub] "r"(sub), [r] "r"(result));
    CHECK(fine());
}

static void identification(void)
{
    uint32_t r[4];

    forced_cpuid(XEN_CPUID_FIRST_LEAF, 0, r);
    CHECK(r[0] >= XEN_CPUID_FIRST_LEAF + 2);
    CHECK_EQ(r[1], XEN_CPUID_SIGNATURE_EBX);
    CHECK_EQ(r[2], XEN_CPUID_SIGNATURE_ECX);
    CHECK_EQ(r[3], XEN_CPUID_SIGNATURE_EDX);
    forced_cpuid(XEN_CPUID_FIRST_LEAF + 1, 0, r);
    CHECK_EQ(r[0], 4 << 16 | 17);
    forced_cpuid(XEN_CPUID_FIRST_LEAF + 2, 0, r);
    CHECK(r[2] & XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD);
    forced_cpuid(1, 0, r);
    CHECK_EQ(r[2] >> 31, 1);           /* a hypervisor */
    CHECK_EQ(r[2] >> 17 & 1, 0);       /* PCID */
    CHECK_EQ(r[3] & 0x06000020, 0x06000020); /* MSR, SSE, SSE2 */
    CHECK_EQ(r[3] & (1 << 13), 0);     /* PGE */
    forced_cpuid(7, 0, r);
    CHECK_EQ(r[1] & (1 << 7 | 1 << 10 | 1 << 20), 0); /* SMEP INVPCID SMAP */
    forced_cpuid(0x80000001, 0, r);
    CHECK_EQ(r[3] & 1 << 29, 1 << 29); /* long mode */
    CHECK_EQ(r[3] & 1 << 26, 0);       /* pages of 1 GiB */
    forced_cpuid(0x80000008, 0, r);
    CHECK_EQ(r[0] >> 8 & 0xff, 48);
}

/* Anything but the whole mark and CPUID is an invalid opcode, at its start. */
static void not_quite_forced(void)
{
    static uint64_t at;

#define NOT_FORCED(bytes)                                                      \
    FAULT_TRY("leaq 1f(%%rip), %%rax\n\tmovq %%rax, %[at]\n"                   \
              "1:\t.byte " bytes, [at] "m"(at));                               \
    CHECK(faulted(UNDEFINED_OPCODE));                                          \
    CHECK_EQ(fault_seen.rip, at)
    NOT_FORCED("0x0f, 0x0b, 'x', 'e', 'n', 0x90, 0x90");
    NOT_FORCED("0x0f, 0x0b, 'x', 'e', 'm', 0x0f, 0xa2");
    NOT_FORCED("0x0f, 0x0b, 0x0f, 0xa2, 0x90, 0x90, 0x90");
#undef NOT_FORCED
}

/* XCR0 is what CPUID says that it can be. */
static void X13_extended_state(void)
{
    uint64_t cr4 = READ_REGISTER("cr4");
    uint32_t r[4];

    CHECK(WRITE_REGISTER("cr4", cr4 | CR4_OSXSAVE));
    forced_cpuid(13, 0, r);
    CHECK_EQ(r[0] & 3, 3);
    FAULT_TRY("xorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\tmovl %[v], %%eax\n\t"
              "xsetbv\n\txgetbv\n\tmovl %%eax, %[out]",
              [v] "r"(r[0]), [out] "m"(out));
    CHECK(fine());
    CHECK_EQ((uint32_t)out[0], r[0]);
    FAULT_TRY("xorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\txorl %%eax, %%eax\n\t"
              "xsetbv");
    CHECK(faulted(PROTECTION));
    FAULT_TRY("movl $1, %%ecx\n\txorl %%edx, %%edx\n\tmovl $3, %%eax\n\t"
              "xsetbv");
    CHECK(faulted(PROTECTION));
}

/* ---- Ports. ---- */

#define NO_PORT 0x5678 /* nothing is there in QEMU's machine either */

static void set_iopl(uint32_t level)
{
    struct physdev_set_iopl op = { .iopl = level };

    CHECK_EQ(hypercall_physdev_op(PHYSDEVOP_set_iopl, &op), 0);
}

static long set_bitmap(const void *bits, uint32_t ports)
{
    struct physdev_set_iobitmap op = { .nr_ports = ports };

    set_xen_guest_handle(op.bitmap, (uint8_t *)(uint64_t)bits);
    return hypercall_physdev_op(PHYSDEVOP_set_iobitmap, &op);
}

/* IN of a byte, a word or a doubleword; what rax is afterwards. */
#define IN(instruction)                                                        \
    ({                                                                         \
        FAULT_TRY("movl $" "0x5678" ", %%edx\n\t"                              \
                  "movabsq $0x1122334455667788, %%rax\n\t" instruction         \
                  "\n\tmovq %%rax, %[out]",                                    \
                  [out] "m"(out));                                             \
        fine();                                                                \
    })

static void ports_by_level(void)
{
    set_iopl(0);
    CHECK(!IN("inb %%dx, %%al"));
    CHECK(faulted(PROTECTION));
    FAULT_TRY("cli");
    CHECK(faulted(PROTECTION));
    set_iopl(1);
    CHECK(IN("inb %%dx, %%al"));
    CHECK_EQ(out[0], 0x11223344556677ff);
    CHECK(IN("inw %%dx, %%ax"));
    CHECK_EQ(out[0], 0x112233445566ffff);
    CHECK(IN("inl %%dx, %%eax"));
    CHECK_EQ(out[0], 0xffffffff);
    CHECK(IN("inb $0xe9, %%al")); /* an immediate */
    FAULT_TRY("movl $0x5678, %%edx\n\toutb %%al, %%dx\n\toutl %%eax, %%dx");
    CHECK(fine());
    FAULT_TRY("cli\n\tsti");
    CHECK(fine());
    set_iopl(0);
}

static void ports_by_bitmap(void)
{
    static uint8_t bits[8192 + 1];

    memset(bits, 0xff, sizeof(bits));
    CHECK_EQ(set_bitmap(bits, 65536), 0);
    CHECK(!IN("inb %%dx, %%al"));
    bits[NO_PORT / 8] &= (uint8_t)~(1 << NO_PORT % 8);
    CHECK(IN("inb %%dx, %%al"));
    CHECK(!IN("inl %%dx, %%eax")); /* the ports behind it are closed */
    memset(bits + NO_PORT / 8, 0, 2);
    CHECK(IN("inl %%dx, %%eax"));
    CHECK_EQ(set_bitmap(bits, NO_PORT), 0); /* ends before it */
    CHECK(!IN("inb %%dx, %%al"));
    CHECK_EQ(set_bitmap(bits, 65537), -EINVAL);
    CHECK_EQ(set_bitmap((void *)HYPERVISOR_VIRT_START, 65536), -EINVAL);
    CHECK_EQ(set_bitmap((void *)0x700000000000, 65536), 0); /* not mapped */
    CHECK(!IN("inb %%dx, %%al"));
    CHECK_EQ(set_bitmap(NULL, 0), 0);
}

/* ---- The decoder. ---- */

/* One step over an emulated instruction ends behind it. */
static void single_step(void)
{
    static uint64_t stepped;

    FAULT_TRY("leaq 1f(%%rip), %%rax\n\tmovq %%rax, %[stepped]\n\t"
              "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
              "movq %%cr0, %%rax\n1:\tnop",
              [stepped] "m"(stepped));
    CHECK(faulted(1));
    CHECK_EQ(fault_seen.rip, stepped);
    CHECK_EQ(hypercall_get_debugreg(6) & 0x4000, 0x4000);
    CHECK_EQ(hypercall_set_debugreg(6, 0), 0);
}

/* Call the bytes: they must end with a return, or fault. */
static bool call(const void *code)
{
    FAULT_TRY("movl $0x5678, %%edx\n\tmovl $0x400, %%eax\n\t"
              "movl $0xdeadbeef, %%ecx\n\tcall *%[code]",
              [code] "r"(code));
    return fine();
}

/* An instruction may end with the last byte before what is not mapped, but
 * not behind it. */
static void at_the_end_of_memory(void)
{
    static const uint8_t code[] = { 0x0f, 0x20, 0xc0, 0xc3 }; /* CR0 to rax */
    uint8_t *pages = pages_alloc(2), *end = pages + PAGE_SIZE;
    uint64_t mfn = virt_to_mfn(end);

    memcpy(end - 3, code, sizeof(code)); /* the return on the next page */
    CHECK(call(end - 3));
    CHECK_EQ(page_protect(end, mfn, 0), 0);
    CHECK(!call(end - 3));
    CHECK_EQ(fault_seen.vector, PAGE_FAULT);
    CHECK_EQ(fault_seen.rip, end);
    memcpy(end - 2, code, 2);
    CHECK(!call(end - 2)); /* a page fault; QEMU looks at the level first */
    CHECK_EQ(fault_seen.rip, end - 2);
    memcpy(end - sizeof(code), code, sizeof(code));
    CHECK(call(end - sizeof(code)));
    CHECK_EQ(page_protect(end, mfn, PAGE_WRITE), 0);
}

/* Any prefixes before any of these opcodes, with registers that a mistake
 * does not hurt: the guest goes on, whatever they mean. */
static void random_bytes(void)
{
    static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                        0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x40,
                                        0x44, 0x48, 0x4c };
    static const uint8_t second[] = { 0x01, 0x06, 0x08, 0x09, 0x0b, 0x20, 0x21,
                                      0x22, 0x23, 0x30, 0x32, 0x33 };
    uint8_t *code = page_alloc();
    uint64_t cr3 = READ_REGISTER("cr3");

    for (unsigned int i = 0; i < 20000; i++) {
        unsigned int n = 0, wanted = (unsigned int)random_below(12);

        while (n < wanted)
            code[n++] = prefixes[random_below(sizeof(prefixes))];
        code[n++] = 0x0f;
        code[n] = second[random_below(sizeof(second))];
        if (code[n] == 0x01 || (code[n] & 0xf0) == 0x20) /* has ModRM: rax */
            code[++n] = (uint8_t)(0xc0 | (random_next() & 0x38));
        n++;
        code[n++] = 0xc3;
        (void)call(code);
        test_checks++;
    }
    CHECK_EQ(READ_REGISTER("cr3"), cr3);
    CHECK_EQ(hypercall_fpu_taskswitch(false), 0);
    page_free(code);
}

int guest_main(void)
{
    random_seed(cmdline_number("seed", 1));
    fault_install();
    segment_bases();
    X7_other_msrs();
    task_switched();
    X14_control_registers();
    debug_registers();
    no_others();
    identification();
    not_quite_forced();
    X13_extended_state();
    ports_by_level();
    ports_by_bitmap();
    single_step();
    at_the_end_of_memory();
    random_bytes();
    test_end("emulate");
}
