/*
 * The hypercalls about the virtual CPU, time, versions and the rest.
 */
#include "tests/conformance/calls/world.h"

#include <xen/callback.h>
#include <xen/features.h>
#include <xen/physdev.h>
#include <xen/version.h>

/* Addresses of code, for callbacks that never come. */
static uint64_t any_code(const char *label)
{
    return ANY(label, { "code", world.code }, { "zero", 0 },
               { "hole", (uint64_t)world.hole }, { "last", (1ull << 47) - 1 },
               { "bit47", 1ull << 47 }, { "high", 0xffff880000000000 },
               { "max", ~0ull }, { "!hypervisor", HV_ADDRESS },
               { "!m2p", HYPERVISOR_VIRT_START });
}

static void set_trap_table(void)
{
    struct trap_info traps[2] = { { .vector = 200 } };

    any_pointer();
    traps[0].address = any_code("address");
    traps[0].cs = (uint16_t)ANY("cs", { "kernel", FLAT_KERNEL_CS },
                                { "0", 0 }, { "hypervisor", 0xe008 },
                                { "max", 0xffff });
    traps[0].flags = (uint8_t)ANY("flags", { "0", 0 }, { "7", 7 },
                                  { "max", 255 });
    result(hypercall_set_trap_table(pass(traps, sizeof(traps))));
    world_traps();
}

static void set_gdt(void)
{
    unsigned long frames[16];
    unsigned int entries;

    any_pointer();
    for (unsigned int i = 0; i < 16; i++)
        frames[i] = world.table_mfn[3];
    frames[0] = any_frame("frame");
    frames[1] = any_frame("second");
    entries = (unsigned int)ANY("entries", { "512", 512 }, { "0", 0 },
                                { "1", 1 }, { "513", 513 }, { "7168", 7168 },
                                { "7169", 7169 }, { "max", ~0u });
    result(hypercall_set_gdt(pass(frames, sizeof(frames)), entries));
}

/* Even numbers: in a page table they are entries that are not present. */
static uint64_t any_descriptor(void)
{
    return ANY("descriptor", { "zero", 0 },
               { "code64", 0x00affa000000fffe },
               { "code64-dpl0", 0x00af9a000000fffe },
               { "code32", 0x00cffa000000fffe },
               { "data", 0x00cff2000000fffe },
               { "data-dpl1", 0x00cfb2000000fffe },
               { "conforming", 0x00affe000000fffe },
               { "absent", 0x00af7a000000fffe },
               { "both-l-and-d", 0x00effa000000fffe },
               { "call-gate", 0x0000ec0000330000 },
               { "tss", 0x00008b0000000066 },
               { "ldt", 0x0000820000000066 }, { "!ones", ~0ull });
}

static void update_descriptor(void)
{
    uint64_t frame = any_frame("frame");
    uint64_t at = frame << PAGE_SHIFT | ANY("offset", { "64", 64 },
                                            { "4", 4 }, { "4088", 4088 });

    if (frame == world.grants_mfn ||
        frame == guest.start->shared_info >> PAGE_SHIFT)
        at = frame << PAGE_SHIFT | 4088;
    result(hypercall_update_descriptor(at, any_descriptor()));
    note_entry(world.data[0][8]);
    note_entry(world.data[0][511]);
}

static void stack_switch(void)
{
    uint64_t ss = ANY("ss", { "kernel", FLAT_KERNEL_SS }, { "0", 0 },
                      { "hypervisor", 0xe010 }, { "max", 0xffff });
    uint64_t sp = any_code("sp");

    result(hypercall_stack_switch(ss, (void *)sp));
}

static void callback_register(void)
{
    struct callback_register op;

    any_pointer();
    op.type = (uint16_t)ANY("type", { "failsafe", CALLBACKTYPE_failsafe },
                            { "syscall", CALLBACKTYPE_syscall },
                            { "event", CALLBACKTYPE_event },
                            { "nmi", CALLBACKTYPE_nmi },
                            { "sysenter", CALLBACKTYPE_sysenter },
                            { "syscall32", CALLBACKTYPE_syscall32 },
                            { "4", 4 }, { "99", 99 });
    op.flags = (uint16_t)ANY("flags", { "0", 0 }, { "mask", 1 },
                             { "max", 0xffff });
    op.address = any_code("address");
    result(hypercall_callback_op(CALLBACKOP_register, pass(&op, sizeof(op))));
}

static void callback_other(void)
{
    struct callback_unregister op = { .type = 0 };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "unregister", CALLBACKOP_unregister },
                            { "99", 99 }, { "max", ~0u });
    op.type = (uint16_t)ANY("type", { "nmi", CALLBACKTYPE_nmi },
                            { "failsafe", CALLBACKTYPE_failsafe },
                            { "syscall", CALLBACKTYPE_syscall },
                            { "event", CALLBACKTYPE_event },
                            { "sysenter", CALLBACKTYPE_sysenter },
                            { "syscall32", CALLBACKTYPE_syscall32 },
                            { "4", 4 }, { "99", 99 });
    result(hypercall_callback_op(cmd, pass(&op, sizeof(op))));
}

static void set_callbacks(void)
{
    uint64_t event = any_code("event"), failsafe = any_code("failsafe"),
             call = any_code("syscall");

    result(hypercall_set_callbacks((void *)event, (void *)failsafe,
                                   (void *)call));
}

static void assist(void)
{
    unsigned int cmd = (unsigned int)ANY("cmd", { "enable", 0 },
                                         { "disable", 1 }, { "2", 2 },
                                         { "max", ~0u });
    unsigned int type = (unsigned int)ANY("type", { "writable", 2 },
                                          { "4gb", 0 }, { "notify", 1 },
                                          { "cr3", 3 }, { "iopl", 4 },
                                          { "6", 6 }, { "31", 31 },
                                          { "64", 64 },
                                          { "max", ~0u },
                                          { "!runstate", 5 },
                                          { "!m2p", 32 });

    result(hypercall_vm_assist(cmd, type));
    hypercall_vm_assist(VMASST_CMD_disable, type);
}

static void set_debugreg(void)
{
    unsigned int reg = (unsigned int)ANY("reg", { "0", 0 }, { "3", 3 },
                                         { "6", 6 }, { "7", 7 }, { "8", 8 },
                                         { "max", ~0u }, { "!4", 4 },
                                         { "!5", 5 });
    uint64_t value = ANY("value", { "0", 0 }, { "code", 0x40000000 },
                         { "hypervisor", HV_ADDRESS },
                         { "bit47", 1ull << 47 }, { "bit32", 1ull << 32 },
                         { "ff0", 0xffff0ff0 }, { "400", 0x400 },
                         { "gd", 0x2000 }, { "io", 0x20002 },
                         { "io-off", 0x20000 }, { "le", 0x300 },
                         { "ones", 0xffffffff });

    result(hypercall_set_debugreg(reg, value));
    for (unsigned int i = 0; i < 8; i++)
        if (i != 4 && i != 5)
            line_add(" %lx", hypercall_get_debugreg(i));
    hypercall_set_debugreg(7, 0);
}

static void get_debugreg(void)
{
    unsigned int reg = (unsigned int)ANY("reg", { "0", 0 }, { "8", 8 },
                                         { "max", ~0u }, { "!4", 4 },
                                         { "!5", 5 });

    result(hypercall_get_debugreg(reg));
}

static void set_segment_base(void)
{
    unsigned int which = (unsigned int)ANY("which", { "fs", 0 },
                                           { "gs-user", 1 },
                                           { "gs-kernel", 2 },
                                           { "gs-selector", 3 }, { "4", 4 },
                                           { "max", ~0u });
    uint64_t base = which == 3 ? ANY("selector", { "0", 0 }, { "3", 3 },
                                     { "data", FLAT_KERNEL_DS },
                                     { "hypervisor", 0xe010 },
                                     { "none", 0x1003 }, { "ldt", 0x27 })
                               : any_code("base");

    result(hypercall_set_segment_base(which, base));
}

static void fpu(void)
{
    result(hypercall_fpu_taskswitch(choose(2)));
    hypercall_fpu_taskswitch(false);
}

static void set_timer(void)
{
    uint64_t when = ANY("when", { "past", 1 }, { "never", 0 },
                        { "max", ~0ull }, { "bit63", 1ull << 63 },
                        { "bit62", 1ull << 62 });

    result(hypercall_set_timer_op(when));
    hypercall_set_timer_op(0);
}

/* ---- vcpu_op ---- */

static void vcpu_simple(void)
{
    unsigned int cmd = (unsigned int)ANY(
        "cmd", { "is_up", VCPUOP_is_up },
        { "stop_periodic", VCPUOP_stop_periodic_timer },
        { "stop_single", VCPUOP_stop_singleshot_timer },
        { "99", 99 }, { "max", ~0u });

    result(hypercall_vcpu_op(cmd, any_vcpu("vcpu"), NULL));
}

static void vcpu_timers(void)
{
    struct vcpu_set_singleshot_timer single = { .flags = 0 };
    struct vcpu_set_periodic_timer periodic;
    uint32_t vcpu;

    any_pointer();
    vcpu = any_vcpu("vcpu");
    if (choose(2)) {
        periodic.period_ns = ANY("period", { "0", 0 }, { "999999", 999999 },
                                 { "1000000", 1000000 }, { "max", ~0ull },
                                 { "bit62", 1ull << 62 });
        result(hypercall_vcpu_op(VCPUOP_set_periodic_timer, vcpu,
                                 pass(&periodic, sizeof(periodic))));
        hypercall_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
        return;
    }
    single.timeout_abs_ns = ANY("timeout", { "1", 1 }, { "0", 0 },
                                { "max", ~0ull }, { "bit62", 1ull << 62 });
    single.flags = (uint32_t)ANY("flags", { "0", 0 }, { "future", 1 },
                                 { "6", 6 });
    result(hypercall_vcpu_op(VCPUOP_set_singleshot_timer, vcpu,
                             pass(&single, sizeof(single))));
    hypercall_set_timer_op(0);
}

static void vcpu_areas(void)
{
    uint64_t address;
    uint32_t vcpu;
    bool time;

    any_pointer();
    time = choose(2);
    line_add(time ? " time" : " runstate");
    vcpu = any_vcpu("vcpu");
    address = (uint64_t)odd_pointer("area");
    result(hypercall_vcpu_op(time ? VCPUOP_register_vcpu_time_memory_area
                                  : VCPUOP_register_runstate_memory_area,
                             vcpu, pass(&address, sizeof(address))));
    address = 0;
    hypercall_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &address);
}

static void vcpu_runstate(void)
{
    struct vcpu_runstate_info info = { .state = 77 };
    uint32_t vcpu;

    any_pointer();
    vcpu = any_vcpu("vcpu");
    result(hypercall_vcpu_op(VCPUOP_get_runstate_info, vcpu,
                             pass(&info, sizeof(info))));
    fetch(&info, sizeof(info));
    line_add(" state=%d", info.state);
}

/* Only what must be refused: a vcpu_info moves once. */
static void vcpu_info(void)
{
    struct vcpu_register_vcpu_info op;
    uint32_t vcpu;

    any_pointer();
    vcpu = any_vcpu("vcpu");
    op.mfn = ANY("frame", { "none", NO_FRAME }, { "max", ~0ull });
    op.offset = (uint32_t)ANY("offset", { "0", 0 }, { "4032", 4032 },
                              { "4", 4 }, { "4033", 4033 }, { "max", ~0u });
    result(hypercall_vcpu_op(VCPUOP_register_vcpu_info, vcpu,
                             pass(&op, sizeof(op))));
}

/* ---- Versions. ---- */

static void version(void)
{
    static char buffer[2048];
    unsigned int cmd;
    long rc;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "version", XENVER_version },
                            { "extra", XENVER_extraversion },
                            { "compile", XENVER_compile_info },
                            { "capabilities", XENVER_capabilities },
                            { "changeset", XENVER_changeset },
                            { "platform", XENVER_platform_parameters },
                            { "handle", XENVER_guest_handle },
                            { "commandline", XENVER_commandline },
                            { "11", 11 }, { "99", 99 }, { "max", ~0u },
                            { "!pagesize", XENVER_pagesize },
                            { "!build", XENVER_build_id });
    rc = hypercall_xen_version(cmd, pass(buffer, sizeof(buffer)));
    result(rc);
}

static void features(void)
{
    struct xen_feature_info info = { .submap = 0 };

    any_pointer();
    info.submap_idx = (unsigned int)ANY("index", { "0", 0 }, { "1", 1 },
                                        { "max", ~0u });
    result(hypercall_xen_version(XENVER_get_features,
                                 pass(&info, sizeof(info))));
    fetch(&info, sizeof(info));
    line_add(" 0x%x", info.submap);
}

/* ---- The rest. ---- */

static void multicall(void)
{
    struct multicall_entry calls[3];
    unsigned int n;

    any_pointer();
    memset(calls, 0, sizeof(calls));
    calls[0].op = __HYPERVISOR_xen_version;
    calls[1].op = ANY("op", { "xen_version", __HYPERVISOR_xen_version },
                      { "multicall", __HYPERVISOR_multicall },
                      { "get_debugreg", __HYPERVISOR_get_debugreg },
                      { "event", __HYPERVISOR_event_channel_op },
                      { "none", 63 }, { "64", 64 }, { "max", ~0ull });
    calls[1].args[0] = ANY("arg", { "0", 0 }, { "2", 2 }, { "99", 99 });
    calls[2].op = __HYPERVISOR_vm_assist;
    calls[2].args[1] = ANY("arg2", { "2", 2 }, { "6", 6 });
    n = (unsigned int)ANY("n", { "3", 3 }, { "0", 0 }, { "1", 1 });
    result(hypercall_multicall(pass(calls, sizeof(calls)), n));
    fetch(calls, sizeof(calls));
    for (unsigned int i = 0; i < 3; i++)
        line_add(" %ld", (long)calls[i].result);
}

static void physdev(void)
{
    uint64_t arg[4] = { 0 };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "iopl", PHYSDEVOP_set_iopl },
                            { "iobitmap", PHYSDEVOP_set_iobitmap },
                            { "99", 99 }, { "max", ~0u });
    if (cmd == PHYSDEVOP_set_iopl)
        arg[0] = ANY("level", { "0", 0 }, { "3", 3 }, { "4", 4 },
                     { "max", ~0u });
    if (cmd == PHYSDEVOP_set_iobitmap)
        arg[1] = ANY("ports", { "0", 0 }, { "65536", 65536 },
                     { "65537", 65537 });
    result(hypercall_physdev_op(cmd, pass(arg, sizeof(arg))));
}

static void console(void)
{
    char text[8] = "";
    unsigned int cmd, count = 0;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "write", CONSOLEIO_write },
                            { "read", CONSOLEIO_read }, { "2", 2 },
                            { "max", ~0u });
    if (cmd != CONSOLEIO_write) /* Xen writes what there is of it */
        count = (unsigned int)ANY("n", { "0", 0 }, { "bit31", 1u << 31 },
                                  { "max", ~0u });
    result(hypercall_console_io(cmd, count, pass(text, sizeof(text))));
}

static void sched(void)
{
    uint64_t arg[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
    unsigned int cmd;

    any_pointer();
    cmd = (unsigned int)ANY("cmd", { "yield", SCHEDOP_yield },
                            { "remote", SCHEDOP_remote_shutdown },
                            { "99", 99 }, { "max", ~0u },
                            { "!code", SCHEDOP_shutdown_code },
                            { "!watchdog", SCHEDOP_watchdog },
                            { "!pin", SCHEDOP_pin_override });
    result(hypercall_sched_op(cmd, pass(arg, sizeof(arg))));
}

/* Numbers that are no hypercall, or none for a PV64 guest. */
static void numbers(void)
{
    static const uint8_t known[] = { 25, 28, 30, 41, 42, 44, 45, 46, 47 };
    unsigned int i = choose(sizeof(known) + 6);
    uint64_t number = i < sizeof(known) ? known[i]
                      : i == sizeof(known)     ? 56
                      : i == sizeof(known) + 1 ? 63
                      : i == sizeof(known) + 2 ? 64
                      : i == sizeof(known) + 3 ? 1000
                      : i == sizeof(known) + 4 ? 1ull << 32
                                               : ~0ull;

    line_add(" number=%ld", (long)number);
    result(hypercall(number, ~0ull, 0, 0, 0, 0));
}

const struct call_kind machine_calls[] = {
    { "set_trap_table", set_trap_table, 1 },
    { "set_gdt", set_gdt, 2 },
    { "update_descriptor", update_descriptor, 2 },
    { "stack_switch", stack_switch, 1 },
    { "callback.register", callback_register, 1 },
    { "callback.other", callback_other, 1 },
    { "set_callbacks", set_callbacks, 1 },
    { "vm_assist", assist, 1 },
    { "set_debugreg", set_debugreg, 2 },
    { "get_debugreg", get_debugreg, 1 },
    { "set_segment_base", set_segment_base, 1 },
    { "fpu_taskswitch", fpu, 1 },
    { "set_timer_op", set_timer, 1 },
    { "vcpu.simple", vcpu_simple, 1 },
    { "vcpu.timers", vcpu_timers, 1 },
    { "vcpu.areas", vcpu_areas, 1 },
    { "vcpu.runstate", vcpu_runstate, 1 },
    { "vcpu.info", vcpu_info, 1 },
    { "xen_version", version, 1 },
    { "xen_version.features", features, 1 },
    { "multicall", multicall, 1 },
    { "physdev", physdev, 1 },
    { "console_io", console, 1 },
    { "sched.other", sched, 0 },
    { "number", numbers, 0 },
    { NULL, NULL, 0 }
};
