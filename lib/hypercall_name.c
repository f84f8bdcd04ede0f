#include "lib/hypercall_name.h"

#include <stddef.h>

#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xen.h>

/* clang-format off: a list is as long as it is */
#define CALL(name) [__HYPERVISOR_##name] = #name

static const char *const calls[] = {
    CALL(set_trap_table), CALL(mmu_update), CALL(set_gdt), CALL(stack_switch),
    CALL(set_callbacks), CALL(fpu_taskswitch), CALL(sched_op_compat),
    CALL(platform_op), CALL(set_debugreg), CALL(get_debugreg),
    CALL(update_descriptor), CALL(memory_op), CALL(multicall),
    CALL(update_va_mapping), CALL(set_timer_op), CALL(event_channel_op_compat),
    CALL(xen_version), CALL(console_io), CALL(physdev_op_compat),
    CALL(grant_table_op), CALL(vm_assist), CALL(update_va_mapping_otherdomain),
    CALL(iret), CALL(vcpu_op), CALL(set_segment_base), CALL(mmuext_op),
    CALL(xsm_op), CALL(nmi_op), CALL(sched_op), CALL(callback_op),
    CALL(xenoprof_op), CALL(event_channel_op), CALL(physdev_op), CALL(hvm_op),
    CALL(sysctl), CALL(domctl), CALL(kexec_op), CALL(tmem_op), CALL(argo_op),
    CALL(xenpmu_op), CALL(dm_op), CALL(hypfs_op),
    [__HYPERVISOR_arch_7] = "belfry_op", /* Xen leaves it to others */
};

#define MEMORY(name)   [XENMEM_##name] = "memory_op/" #name
#define VERSION(name)  [XENVER_##name] = "xen_version/" #name
#define CONSOLE(name)  [CONSOLEIO_##name] = "console_io/" #name
#define GRANT(op, name) [GNTTABOP_##op] = "grant_table_op/" #name
#define ASSIST(name)   [VMASST_CMD_##name] = "vm_assist/" #name
#define VCPU(name)     [VCPUOP_##name] = "vcpu_op/" #name
#define SCHED(name)    [SCHEDOP_##name] = "sched_op/" #name
#define CALLBACK(name) [CALLBACKOP_##name] = "callback_op/" #name
#define EVENT(name)    [EVTCHNOP_##name] = "event_channel_op/" #name
#define PHYSDEV(name)  [PHYSDEVOP_##name] = "physdev_op/" #name

static const char *const memory[] = {
    MEMORY(increase_reservation), MEMORY(decrease_reservation),
    MEMORY(populate_physmap), MEMORY(maximum_ram_page),
    MEMORY(current_reservation), MEMORY(maximum_reservation),
    MEMORY(machphys_mfn_list), MEMORY(add_to_physmap), MEMORY(memory_map),
    MEMORY(machine_memory_map), MEMORY(exchange), MEMORY(machphys_mapping),
    MEMORY(set_memory_map), MEMORY(maximum_gpfn), MEMORY(remove_from_physmap),
};
static const char *const version[] = {
    VERSION(version), VERSION(extraversion), VERSION(compile_info),
    VERSION(capabilities), VERSION(changeset), VERSION(platform_parameters),
    VERSION(get_features), VERSION(pagesize), VERSION(guest_handle),
    VERSION(commandline), VERSION(build_id),
};
static const char *const console[] = { CONSOLE(write), CONSOLE(read) };
static const char *const grant[] = {
    GRANT(map_grant_ref, map), GRANT(unmap_grant_ref, unmap),
    GRANT(setup_table, setup_table), GRANT(transfer, transfer),
    GRANT(copy, copy), GRANT(query_size, query_size),
    GRANT(unmap_and_replace, replace), GRANT(set_version, set_version),
    GRANT(get_status_frames, get_status_frames),
    GRANT(get_version, get_version), GRANT(swap_grant_ref, swap),
    GRANT(cache_flush, cache_flush),
};
static const char *const assist[] = { ASSIST(enable), ASSIST(disable) };
static const char *const vcpu[] = {
    VCPU(initialise), VCPU(up), VCPU(down), VCPU(is_up),
    VCPU(get_runstate_info), VCPU(register_runstate_memory_area),
    VCPU(set_periodic_timer), VCPU(stop_periodic_timer),
    VCPU(set_singleshot_timer), VCPU(stop_singleshot_timer),
    VCPU(register_vcpu_info), VCPU(send_nmi), VCPU(get_physid),
    VCPU(register_vcpu_time_memory_area),
};
static const char *const sched[] = {
    SCHED(yield), SCHED(block), SCHED(shutdown), SCHED(poll),
    SCHED(remote_shutdown), SCHED(shutdown_code), SCHED(watchdog),
    SCHED(pin_override),
};
static const char *const callback[] = {
    CALLBACK(register), CALLBACK(unregister),
};
static const char *const event[] = {
    EVENT(bind_interdomain), EVENT(bind_virq), EVENT(bind_pirq), EVENT(close),
    EVENT(send), EVENT(status), EVENT(alloc_unbound), EVENT(bind_ipi),
    EVENT(bind_vcpu), EVENT(unmask), EVENT(reset), EVENT(init_control),
    EVENT(expand_array), EVENT(set_priority),
};
static const char *const physdev[] = {
    PHYSDEV(irq_status_query), PHYSDEV(set_iopl), PHYSDEV(set_iobitmap),
    PHYSDEV(apic_read), PHYSDEV(apic_write), PHYSDEV(eoi), PHYSDEV(map_pirq),
    PHYSDEV(unmap_pirq), PHYSDEV(pirq_eoi_gmfn_v1), PHYSDEV(setup_gsi),
    PHYSDEV(get_free_pirq), PHYSDEV(pirq_eoi_gmfn_v2),
};
/* clang-format on */

#define COUNT(array)            (sizeof(array) / sizeof((array)[0]))
#define OPERATIONS(call, names) [__HYPERVISOR_##call] = { names, COUNT(names) }

static const struct operations {
    const char *const *name;
    size_t count;
} operations[] = {
    OPERATIONS(memory_op, memory),       OPERATIONS(xen_version, version),
    OPERATIONS(console_io, console),     OPERATIONS(grant_table_op, grant),
    OPERATIONS(vm_assist, assist),       OPERATIONS(vcpu_op, vcpu),
    OPERATIONS(sched_op, sched),         OPERATIONS(callback_op, callback),
    OPERATIONS(event_channel_op, event), OPERATIONS(physdev_op, physdev),
};

const char *hypercall_name(uint64_t number)
{
    return number < COUNT(calls) && calls[number] ? calls[number] : "hypercall";
}

const char *hypercall_operation_name(uint64_t number, uint32_t operation)
{
    const struct operations *of =
        number < COUNT(operations) ? &operations[number] : NULL;

    return of && operation < of->count ? of->name[operation] : NULL;
}
