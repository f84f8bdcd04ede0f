/* Single-key dumps on COM1: what the machine looks like from inside, when
 * nobody else answers. */
#include "hv/console.h"

#include "hv/abi/belfry.h"
#include "hv/audit.h"
#include "hv/domain.h"
#include "hv/machine.h"
#include "lib/vcpu_state.h"

#define ESCAPE 0x1d /* Ctrl-] */

static unsigned int escapes;
static bool active;

static void dump_vcpu(const struct vcpu *v)
{
    printk("  vcpu %u %s on CPU %u, rip %#lx, upcall %s%s\n", v->id,
           vcpu_state_name(v->sched.state), v->sched.cpu, v->regs.rip,
           v->evtchn.info->evtchn_upcall_pending ? "pending" : "quiet",
           v->evtchn.info->evtchn_upcall_mask ? ", masked" : "");
}

static void dump_domains(void)
{
    static const char *const state[] = { "being built", "running", "shut down",
                                         "dying" };
    for (struct domain *d = domain_next(0); d; d = domain_after(d)) {
        printk("d%u %s: %s, %lu pages, paused %u times %s\n", d->id, d->name,
               state[d->state], d->nr_pages, d->pauses, d->crash_text);
        for (unsigned int i = 0; i < d->nr_vcpus; i++)
            dump_vcpu(d->vcpu[i]);
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
    switch (byte) {
    case 'd':
        dump_domains();
        break;
    case 'e':
        dump_channels();
        break;
    case 'a':
        dump_audit();
        break;
    case 'P':
        panic("asked for by a key");
    case 'R':
        machine_stop(VERDICT_CODE_FAIL, true);
    case 'q':
        active = false;
        printk("keys go to the initial domain\n");
        break;
    default:
        printk("keys: d domains, e event channels, a audit, P panic, R reset, q back\n");
    }
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
    active = true;
    key('h');
    return true;
}
