/*
 * The domain builder (hv/builder.h): start of day as Xen's toolstack does it.
 *
 * Nothing that an image or a line says is believed before it was checked,
 * and the page tables written here are validated like a guest's, last of
 * all.  Whatever fails, domain_destroy() gives everything back.
 */
#include "hv/builder.h"

#include <stdarg.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>

#include "hv/console.h"
#include "hv/grant.h"
#include "hv/sched.h"
#include "hv/vcpu_op.h"
#include "hv/x86/build.h"
#include "hv/x86/context.h"
#include "hv/x86/cpu.h"
#include "lib/errno.h"
#include "lib/format.h"
#include "lib/string.h"

_Static_assert(sizeof(struct start_info) <= PAGE_SIZE, "one page");

__attribute__((format(printf, 3, 4))) static int fail(struct build *b, int rc,
                                                      const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    format_string_v(b->text, b->text_size, fmt, args);
    va_end(args);

    return rc;
}

/* ---- Before there is a domain: all that the files say. ---- */

static int check_line(struct build *b)
{
    if (b->module->kind != MODULE_DOMAIN)
        return fail(b, -EINVAL, "its line is wrong, or not a domain's");
    if ((b->args->cpus & cpus_mask()) == 0)
        return fail(b, -EINVAL, "cpus= names none of this machine's %u CPUs",
                    nr_cpus);
    if (domain_name_is_taken(b->args->name))
        return fail(b, -EEXIST, "a domain of the name '%s' lives",
                    b->args->name);
    return 0;
}

static uint64_t ramdisk_size(const struct build *b)
{
    return b->module->ramdisk ? b->module->ramdisk->size : 0;
}

static int check_image(struct build *b)
{
    uint64_t nr_pages = start_of_day_pages(b->args->mem, ramdisk_size(b));
    uint64_t free = alloc_free_pages();
    const char *why = "";
    int rc;

    if (elf_parse(&b->elf, b->module->image, b->module->size, &why))
        return fail(b, -ENOEXEC, "%s", why);
    if (nr_pages > free)
        return fail(b, -ENOMEM, "wants %lu KiB of memory, %lu KiB are free",
                    nr_pages * 4, free * 4);
    rc = start_of_day_plan(&b->plan, &b->elf, nr_pages, ramdisk_size(b),
                           !b->privileged, &why);
    if (rc == -ENOMEM)
        return fail(b, -ENOMEM, "has %lu KiB of memory, its start needs %lu",
                    nr_pages * 4, b->plan.used * 4);
    return rc ? fail(b, -ENOEXEC, "%s", why) : 0;
}

/* ---- The domain's devices of the first hour. ---- */

/* A page that the initial domain may map, and a port that it may bind. */
static int build_ring(struct build *b, uint32_t ref, uint64_t va,
                      uint32_t *port)
{
    struct evtchn_alloc_unbound op = {
        .dom = DOMID_SELF,
        .remote_dom = initial_domain->id,
    };
    int rc = evtchn_alloc_unbound(&b->d->evtchn, &op);

    *port = op.port;
    return rc ? rc : grant_set_entry(b->d, ref, initial_domain->id,
                                     build_mfn_at(b, va));
}

/* The initial domain itself has neither, as on Xen. */
static int build_rings(struct build *b)
{
    int rc;

    if (b->privileged)
        return 0;
    rc = build_ring(b, GNTTAB_RESERVED_XENSTORE, b->plan.store,
                    &b->d->store_port);
    return rc ? rc : build_ring(b, GNTTAB_RESERVED_CONSOLE, b->plan.console,
                                &b->d->console_port);
}

static void describe_ramdisk(const struct build *b, struct start_info *si)
{
    if (!b->module->ramdisk)
        return;
    si->mod_len = ramdisk_size(b);
    si->mod_start = b->plan.ramdisk;
    if (!b->plan.ramdisk) {
        si->mod_start = b->plan.ramdisk_pfn;
        si->flags |= SIF_MOD_START_PFN;
    }
}

static void describe_rings(struct build *b, struct start_info *si)
{
    si->store_mfn = build_mfn_at(b, b->plan.store);
    si->store_evtchn = b->d->store_port;
    si->console.domU.mfn = build_mfn_at(b, b->plan.console);
    si->console.domU.evtchn = b->d->console_port;
}

static void write_start_info(struct build *b)
{
    struct start_info *si = build_page_at(b, b->plan.start_info);
    const struct start_of_day *plan = &b->plan;

    string_copy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
    si->nr_pages = plan->nr_pages;
    si->shared_info = virt_to_mfn(b->d->shared) << PAGE_SHIFT;
    if (b->privileged)
        si->flags = SIF_INITDOMAIN | SIF_PRIVILEGED;
    else
        describe_rings(b, si);
    si->pt_base = plan->tables;
    si->nr_pt_frames = plan->nr_tables;
    si->mfn_list = plan->p2m;
    describe_ramdisk(b, si);
    string_copy((char *)si->cmd_line, b->args->cmdline, sizeof(si->cmd_line));
    if (b->elf.init_p2m) {
        si->first_p2m_pfn = plan->p2m_table_pfn;
        si->nr_p2m_frames = plan->p2m_tables + plan->p2m_pages;
    }
}

/* ---- The first vCPU. ---- */

/* What a new vCPU has not been given by domain_create() already. */
static void set_registers(struct build *b)
{
    struct vcpu *v = b->d->vcpu[0];

    v->regs.rip = b->elf.entry;
    v->regs.rsp = v->arch.kernel_sp = b->plan.stack + PAGE_SIZE;
    v->regs.rsi = b->plan.start_info;
    v->regs.rflags = guest_rflags(0);
    v->regs.cs = FLAT_KERNEL_CS;
    v->regs.ss = FLAT_KERNEL_SS;
}

/* Validate the page tables: a pin, and the first vCPU's use. */
static int validate_tables(struct build *b)
{
    struct domain *d = b->d;
    int rc;

    spin_lock(&d->pt_lock);
    do
        rc = pagetable_pin(d, b->root, 4);
    while (rc == -ERESTART);
    if (!rc)
        rc = pagetable_get(d, b->root, 4);
    if (!rc)
        d->vcpu[0]->arch.kernel_table = b->root;
    spin_unlock(&d->pt_lock);

    return rc ? fail(b, rc, "its first page tables are not valid: %d", rc) : 0;
}

/* Nothing can fail from here on.  The first vCPU is up, though the domain is
 * paused; the others wait for the guest to initialise them. */
static void start_vcpus(struct build *b)
{
    struct vcpu *first = b->d->vcpu[0];

    set_registers(b);
    first->setup = VCPU_INITIALISED;
    vcpu_update_time(first);
    vcpu_timers_start(first);
    sched_online(first);
}

/* ---- All of it. ---- */

static int build_domain(struct build *b)
{
    struct domain *d = b->d;
    int rc;

    d->max_pages = b->plan.nr_pages;

    rc = build_frames(b);
    if (rc)
        return fail(b, rc, "memory ran out while it was built");
    build_contents(b);
    rc = build_tables(b);
    if (rc)
        return fail(b, rc, "its first page tables do not fit");
    rc = build_rings(b);
    if (rc)
        return fail(b, rc, "no store and console for it: %d", rc);
    write_start_info(b);
    rc = validate_tables(b);
    if (!rc)
        start_vcpus(b);
    return rc;
}

/* Check everything, then create and build. */
static int create(struct build *b)
{
    int rc = check_line(b);

    if (!rc)
        rc = check_image(b);
    if (rc)
        return rc;
    b->d = domain_create(b->module, b->privileged);
    if (!b->d)
        return fail(b, -ENOMEM, "no memory for a domain of %u vCPUs",
                    b->args->vcpus);
    /* The reference we got is the list's; this is our own. */
    atomic_add_return(&b->d->refs, 1);
    rc = build_domain(b);
    if (rc) {
        while (domain_destroy(b->d) == -ERESTART)
            ;
        domain_put(b->d);
    }
    return rc;
}

int builder_create(const struct module *m, bool privileged,
                   struct domain **out, char *text, size_t text_size)
{
    struct build b = {
        .module = m,
        .args = &m->args,
        .privileged = privileged,
        .text = text,
        .text_size = text_size,
    };
    int rc;

    text[0] = '\0';
    rc = create(&b);
    if (rc)
        return rc;
    domain_publish(b.d);
    *out = b.d;
    return 0;
}

/* ---- At boot. ---- */

static bool boot_one(unsigned int i, bool privileged)
{
    struct domain *d;
    char text[160];

    if (builder_create(&modules[i], privileged, &d, text, sizeof(text))) {
        printk("module %u: no domain: %s\n", i + 1, text);
        return false;
    }
    printk("domain %u: %s, %lu KiB, %u vCPU%s\n", d->id, d->name,
           d->nr_pages * 4, d->nr_vcpus, d->nr_vcpus == 1 ? "" : "s");
    if (privileged) {
        initial_domain = d;
        domain_unpause(d);
    } else {
        domain_put(d);
    }
    return true;
}

/* The first module is the initial domain, right or wrong: its privileges
 * never fall to another because of a slip in its line.  The others stay
 * paused: it starts each one when its entries in the store stand. */
unsigned int builder_boot(void)
{
    unsigned int first = 0, running = 0;

    while (first < nr_modules && modules[first].kind == MODULE_RAMDISK)
        first++;
    if (first == nr_modules || !boot_one(first, true))
        return 0;
    for (unsigned int i = first + 1; i < nr_modules; i++)
        if (modules[i].kind == MODULE_DOMAIN && modules[i].args.autostart)
            running += boot_one(i, false);

    return running + 1;
}
