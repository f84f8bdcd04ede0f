/* Single-key dumps on COM1: what the machine looks like from inside, when
 * nobody else answers. */
#include "hv/console.h"

#include "hv/audit.h"
#include "hv/domain.h"
#include "hv/machine.h"
#include "lib/vcpu_state.h"

#define ESCAPE 0x1d /* Ctrl-] */

static unsigned int escapes;
static bool active;

static void dump_domains(void)
{
    static const char *const state[] = { "being built", "running", "shut down",
                                         "dying" };
    for (struct domain *d = domain_next(0); d; d = domain_after(d)) {
        printk("d%u %s: %s, %lu pages, paused %u times %s\n", d->id, d->name,
               state[d->state], d->nr_pages, d->pauses, d->crash_text);
        for (unsigned int i = 0; i < d->nr_vcpus; i++) {
            const struct vcpu *v = d->vcpu[i];
            const struct vcpu_info *info = v->evtchn.info;

            printk("  vcpu %u %s on CPU %u, rip %#lx, upcall %s%s\n", v->id,
                   vcpu_state_name(v->sched.state), v->sched.cpu, v->regs.rip,
                   info->evtchn_upcall_pending ? "pending" : "quiet",
                   info->evtchn_upcall_mask ? ", masked" : "");
        }
    }
}

static void dump_channels(void)
{
    struct belfry_channel c;
    for (struct domain *d = domain_next(0); d; d = domain_after(d))
        for (uint32_t port = 0; evtchn_info(&d->evtchn, &port, &c); port++)
            printk("d%u:%u state %u to d%u:%u%s%s sent %lu\n", d->id, c.port,
                   c.state, c.remote_id, c.remote_port,
                   c.pending ? " pending" : "", c.masked ? " masked" : "",
                   c.sent);
}

static void dump_audit(void)
{
    struct belfry_audit a;

    audit_run(&a);
    printk("audit: %lu frames, %lu tables, %lu grants, %lu ports: "
           "%lu differences %s\n",
           a.frames, a.page_tables, a.grants, a.ports, a.differences, a.first);
}

static void key(uint8_t byte)
{
    active = byte != 'q';
    if (!active)
        printk("keys go to the initial domain\n");
    else if (byte == 'd')
        dump_domains();
    else if (byte == 'e')
        dump_channels();
    else if (byte == 'a')
        dump_audit();
    else if (byte == 'P')
        panic("asked for by a key");
    else if (byte == 'R')
        machine_stop(VERDICT_CODE_FAIL, true);
    else
        printk("keys: d domains, e event channels, a audit, P panic, R reset, q back\n");
}

bool keys_input(uint8_t byte)
{
    if (active) {
        key(byte);
        return true;
    }
    escapes = byte == ESCAPE ? escapes + 1 : 0;
    if (escapes < 3)
        return false;
    escapes = 0;
    key('h');
    return true;
}
