/*
 * The domain builder (hv/builder.h): start of day as Xen's toolstack does it.
 *
 * Nothing that an image or a line says is believed before it was checked,
 * and the page tables written here are validated like a guest's, last of
 * all.  Whatever fails, domain_destroy() gives everything back.
 */
#include "hv/builder.h"

#include "hv/console.h"
#include "hv/grant.h"
#include "hv/vcpu_op.h"
#include "hv/x86/context.h"
#include "hv/x86/cpu.h"
#include "hv/x86/pte.h"
#include "lib/format.h"
#include "lib/start_of_day.h"
#include "lib/string.h"

#define PER_PAGE   (PAGE_SIZE / sizeof(uint64_t))
#define TABLE_BITS (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define READ_ONLY  (TABLE_BITS & ~PTE_RW)

#define STUB_SIZE 32u
#define INT3      0xcc

_Static_assert(sizeof(struct start_info) <= PAGE_SIZE, "one page");

/* A domain under construction.  Nobody else knows it yet, so its frames are
 * written through the direct map without locks. */
struct build {
    const struct module *module;
    bool privileged;
    const struct domain_args *args; /* the module's */
    struct elf_image elf;
    struct start_of_day plan;
    struct domain *d;
    mfn_t root; /* L4 */

    uint64_t next_table, tables_end; /* frame numbers to make tables of */
    mfn_t last; /* what build_mfn() found last, 0: nothing yet */
    uint64_t last_pfn;

    char *text; /* what was wrong, for a person */
    size_t text_size;
};

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
        return fail(b, -ENOMEM,
                    "wants %lu KiB of memory, %lu KiB are free (mem=, and --mem of belfry run)",
                    nr_pages * 4, free * 4);
    rc = start_of_day_plan(&b->plan, &b->elf, nr_pages, ramdisk_size(b),
                           !b->privileged, &why);
    if (rc == -ENOMEM)
        return fail(b, -ENOMEM, "has %lu KiB of memory, its start needs mem=%luK",
                    nr_pages * 4, b->plan.used * 4);
    return rc ? fail(b, -ENOEXEC, "%s", why) : 0;
}

/* ---- Frames. ---- */

/* The machine frame of the domain's frame @pfn.  The domain's own list has its
 * frames in order, and what is built is built in order too, as a rule: the
 * next frame is near the last one. */
static mfn_t build_mfn(struct build *b, uint64_t pfn)
{
    if (!b->last || pfn < b->last_pfn) {
        b->last = b->d->page_list;
        b->last_pfn = 0;
    }
    for (; b->last_pfn < pfn; b->last_pfn++)
        b->last = page_of(b->last)->next;
    return b->last;
}

/* That of its page @va, which the plan maps from plan.base on. */
static mfn_t build_mfn_at(struct build *b, uint64_t va)
{
    return build_mfn(b, (va - b->plan.base) >> PAGE_SHIFT);
}

static void *build_page_at(struct build *b, uint64_t va)
{
    return mfn_to_virt(build_mfn_at(b, va));
}

/* ---- The page of hypercall stubs: that of call N stands at 32 N. ---- */

/* A stub keeps what SYSCALL destroys, rcx and r11, on the guest's stack. */
static const uint8_t plain_stub[] = {
    0x51,             /*  0 push rcx */
    0x41, 0x53,       /*  1 push r11 */
    0xb8, 0, 0, 0, 0, /*  3 mov  eax, number */
    0x0f, 0x05,       /*  8 syscall */
    0x41, 0x5b,       /* 10 pop  r11 */
    0x59,             /* 12 pop  rcx */
    0xc3,             /* 13 ret */
};
#define PLAIN_NUMBER_AT 4

/* That of iret never returns: it leaves them there with rax, and the hypervisor
 * takes all three back (struct iret_context). */
static const uint8_t iret_stub[] = {
    0x51,                              /*  0 push rcx */
    0x41, 0x53,                        /*  1 push r11 */
    0x50,                              /*  3 push rax */
    0xb8, __HYPERVISOR_iret, 0, 0, 0,  /*  4 mov  eax, iret */
    0x0f, 0x05,                        /*  9 syscall */
};

static void hypercall_page_fill(void *page)
{
    uint8_t *stub = page;

    memset(page, INT3, PAGE_SIZE);
    for (uint8_t n = 0; n < PAGE_SIZE / STUB_SIZE; n++, stub += STUB_SIZE) {
        memcpy(stub, plain_stub, sizeof(plain_stub));
        stub[PLAIN_NUMBER_AT] = n;
    }
    stub = (uint8_t *)page + __HYPERVISOR_iret * STUB_SIZE;
    memset(stub, INT3, STUB_SIZE);
    memcpy(stub, iret_stub, sizeof(iret_stub));
}

/* ---- Contents. ---- */

/* Copy to consecutive frames, from byte @offset of frame @pfn on. */
static void copy_in(struct build *b, uint64_t pfn, uint64_t offset,
                    const uint8_t *data, uint64_t size)
{
    while (size > 0) {
        uint64_t n = PAGE_SIZE - offset < size ? PAGE_SIZE - offset : size;

        memcpy((char *)mfn_to_virt(build_mfn(b, pfn)) + offset, data, n);
        data += n;
        size -= n;
        pfn++;
        offset = 0;
    }
}

/* Frames come zeroed, so what a segment has beyond the file is done. */
static void copy_image(struct build *b)
{
    uint64_t dest, file_size, mem_size;
    const uint8_t *data;

    for (unsigned int i = 0;
         elf_segment(&b->elf, i, &data, &dest, &file_size, &mem_size); i++)
        copy_in(b, (dest - b->plan.base) >> PAGE_SHIFT, dest % PAGE_SIZE, data,
                file_size);
}

/* The guest's list of its frames, and the machine's of whose they are. */
static void write_p2m(struct build *b)
{
    mfn_t mfn = b->d->page_list;
    uint64_t *list = NULL;

    for (uint64_t pfn = 0; pfn < b->plan.nr_pages; pfn++) {
        if (pfn % PER_PAGE == 0)
            list = mfn_to_virt(build_mfn(b, b->plan.p2m_pfn + pfn / PER_PAGE));
        list[pfn % PER_PAGE] = mfn;
        m2p[mfn] = pfn;
        mfn = page_of(mfn)->next;
    }
}

static void build_contents(struct build *b)
{
    const struct module *ramdisk = b->module->ramdisk;

    write_p2m(b);
    copy_image(b);
    if (ramdisk)
        copy_in(b, b->plan.ramdisk_pfn, 0, ramdisk->image, ramdisk->size);
    if (b->elf.hypercall_page)
        hypercall_page_fill(build_page_at(b, b->elf.hypercall_page));
}

/* ---- Page tables. ---- */

/* The L1 entry for @va, with the tables above it made as needed; NULL if
 * the frames for tables have run out. */
static uint64_t *l1_entry(struct build *b, uint64_t va)
{
    uint64_t *table = mfn_to_virt(b->root);

    for (unsigned int level = 4; level > 1; level--) {
        uint64_t *entry = &table[pt_index(va, level)];

        if (*entry == 0) {
            if (b->next_table == b->tables_end)
                return NULL;
            *entry = build_mfn(b, b->next_table++) << PAGE_SHIFT | TABLE_BITS;
        }
        table = mfn_to_virt(pte_frame(*entry));
    }
    return &table[pt_index(va, 1)];
}

static int map(struct build *b, uint64_t va, uint64_t pfn, uint64_t count,
               uint64_t bits)
{
    for (; count > 0; count--, pfn++, va += PAGE_SIZE) {
        uint64_t *entry = l1_entry(b, va);

        if (!entry)
            return -ENOMEM;
        *entry = build_mfn(b, pfn) << PAGE_SHIFT | bits;
    }
    return 0;
}

static int build_tables(struct build *b)
{
    const struct start_of_day *plan = &b->plan;
    uint64_t first = (plan->tables - plan->base) >> PAGE_SHIFT;
    int rc;

    b->root = build_mfn(b, first);
    b->next_table = first + 1;
    b->tables_end = first + plan->nr_tables;
    rc = map(b, plan->base, 0, (plan->end - plan->base) >> PAGE_SHIFT,
             TABLE_BITS);
    if (!rc)
        rc = map(b, plan->tables, first, plan->nr_tables, READ_ONLY);
    if (rc || plan->p2m_tables == 0)
        return rc;
    b->next_table = plan->p2m_table_pfn;
    b->tables_end = plan->p2m_table_pfn + plan->p2m_tables;
    return map(b, plan->p2m, plan->p2m_pfn, plan->p2m_pages, TABLE_BITS);
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

static void write_start_info(struct build *b)
{
    struct start_info *si = build_page_at(b, b->plan.start_info);
    const struct start_of_day *plan = &b->plan;

    string_copy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
    si->nr_pages = plan->nr_pages;
    si->shared_info = virt_to_mfn(b->d->shared) << PAGE_SHIFT;
    if (b->privileged) {
        si->flags = SIF_INITDOMAIN | SIF_PRIVILEGED;
    } else {
        si->store_mfn = build_mfn_at(b, plan->store);
        si->store_evtchn = b->d->store_port;
        si->console.domU.mfn = build_mfn_at(b, plan->console);
        si->console.domU.evtchn = b->d->console_port;
    }
    si->pt_base = plan->tables;
    si->nr_pt_frames = plan->nr_tables;
    si->mfn_list = plan->p2m;
    if (b->module->ramdisk) {
        si->mod_len = ramdisk_size(b);
        si->mod_start = plan->ramdisk ? plan->ramdisk : plan->ramdisk_pfn;
        si->flags |= plan->ramdisk ? 0 : SIF_MOD_START_PFN;
    }
    string_copy((char *)si->cmd_line, b->args->cmdline, sizeof(si->cmd_line));
    if (b->elf.init_p2m) {
        si->first_p2m_pfn = plan->p2m_table_pfn;
        si->nr_p2m_frames = plan->p2m_tables + plan->p2m_pages;
    }
}

/* ---- The first vCPU. ---- */

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

/* Nothing can fail from here on.  It is up, though the domain is paused; the
 * others wait for the guest to initialise them. */
static void start_vcpu(struct build *b)
{
    struct vcpu *v = b->d->vcpu[0];

    v->regs.rip = b->elf.entry;
    v->regs.rsp = v->arch.kernel_sp = b->plan.stack + PAGE_SIZE;
    v->regs.rsi = b->plan.start_info;
    v->regs.rflags = guest_rflags(0);
    v->regs.cs = FLAT_KERNEL_CS;
    v->regs.ss = FLAT_KERNEL_SS;
    v->setup = VCPU_INITIALISED;
    vcpu_start(v);
}

/* ---- All of it. ---- */

static int build_domain(struct build *b)
{
    struct domain *d = b->d;
    int rc;

    d->max_pages = b->plan.nr_pages;
    while (d->nr_pages < d->max_pages)
        if (!domain_page_alloc(d))
            return fail(b, -ENOMEM, "memory ran out while it was built");
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
        start_vcpu(b);
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
    rc = check_line(&b);
    if (!rc)
        rc = check_image(&b);
    if (rc)
        return rc;
    b.d = *out = domain_create(m, privileged);
    if (!b.d)
        return fail(&b, -ENOMEM, "no memory for a domain of %u vCPUs",
                    b.args->vcpus);
    /* The reference we got is the list's; this is our own. */
    atomic_add_return(&b.d->refs, 1);
    rc = build_domain(&b);
    if (!rc) {
        domain_publish(b.d);
        return 0;
    }
    while (domain_destroy(b.d) == -ERESTART)
        ;
    domain_put(b.d);
    return rc;
}

/* ---- At boot. ---- */

static bool boot_one(unsigned int i, bool privileged)
{
    struct domain *d;
    char text[160];

    if (builder_create(&modules[i], privileged, &d, text, sizeof(text))) {
        printk(MODULE_NAMED "no domain: %s\n", i + 1, modules[i].line, text);
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
