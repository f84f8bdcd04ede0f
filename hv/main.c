/* Start and stop of the machine, and what it tells the initial domain. */
#include "hv/machine.h"

#include "hv/builder.h"
#include "hv/console.h"
#include "hv/x86/apic.h"
#include "hv/x86/boot.h"
#include "hv/x86/cpu.h"
#include "hv/x86/serial.h"
#include "hv/x86/smp.h"
#include "lib/string.h"

#define DEBUG_EXIT_PORT 0xf4
#define ACPI_SLEEP_S5   0x2000 /* SLP_EN with SLP_TYP 0, as QEMU's tables say */
#define RESET_PORT      0xcf9
#define RESET_HARD      0x06

uint64_t boot_tsc;
char run_args[256];

void hv_main(void)
{
    cpu_init(0);
    apic_init();
    time_init();
    smp_start();
    fw_cfg_read("opt/belfry/args", run_args, sizeof(run_args));
    printk("%lu MiB of memory, %u CPU%s, SMEP %s, SMAP %s\n",
           alloc_total_pages() >> 8, nr_cpus, nr_cpus == 1 ? "" : "s",
           read_cr4() & CR4_SMEP ? "on" : "off",
           read_cr4() & CR4_SMAP ? "on" : "off");
    printk("belfry_op version %u: counters audit refused rings manage calls "
           "notice credits revoke inject\n",
           BELFRY_ABI_VERSION);
    serial_interrupt();
    modules_check();
    if (!builder_boot())
        panic("no domain could be built");
    this_cpu()->need_resched = 1;
    cpu_start_guests();
}

_Noreturn void machine_stop(int code, bool reboot)
{
    out8(DEBUG_EXIT_PORT, (uint8_t)code);
    if (reboot)
        out8(RESET_PORT, RESET_HARD);
    if (acpi.pm1a_control)
        out16(acpi.pm1a_control, ACPI_SLEEP_S5);
    for (;;)
        halt();
}

void machine_totals(struct belfry_machine *m)
{
    uint64_t idle = 0;

    m->nr_cpus = nr_cpus;
    m->nr_domains = 0;
    m->total_pages = alloc_total_pages();
    m->free_pages = alloc_free_pages();
    m->cpu_khz = time_scale.khz;
    m->now = now();
    m->boot_tsc = boot_tsc;
    string_copy(m->run_args, run_args, sizeof(m->run_args));
    m->context_switches = m->interrupts = m->hypercalls = 0;
    for (unsigned int i = 0; i < nr_cpus; i++) {
        idle += cpus[i]->queue.idle_time;
        m->context_switches += cpus[i]->queue.switches;
        m->interrupts += cpus[i]->interrupts;
        m->hypercalls += cpus[i]->hypercalls;
    }
    m->idle_time = stamps_to_ns(idle);
    for (struct domain *d = domain_next(0); d; d = domain_after(d)) {
        m->nr_domains++;
        for (unsigned int i = 0; i < d->nr_vcpus; i++)
            m->hypercalls += d->vcpu[i]->hypercalls;
    }
}

void machine_tell(uint32_t virq)
{
    if (!nr_cpus)
        return; /* the first lines of the log come before that */
    this_cpu()->raised |= 1u << virq;
    this_cpu()->need_resched = 1;
}

void machine_tell_initial_domain(void)
{
    uint32_t raised = this_cpu()->raised;

    this_cpu()->raised = 0;
    for (; initial_domain && raised; raised &= raised - 1)
        evtchn_send_global_virq(&initial_domain->evtchn,
                                (uint32_t)__builtin_ctz(raised));
}
