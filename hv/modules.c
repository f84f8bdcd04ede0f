/*
 * GRUB's modules.
 *
 * A module whose line is wrong stays in the table, so that numbers in
 * messages are positions in grub.cfg, but it is no domain and no ramdisk.
 */
#include "hv/modules.h"

#include "hv/console.h"
#include "hv/x86/page.h"
#include "lib/string.h"

struct module modules[MODULES_MAX];
unsigned int nr_modules;

void modules_add(const char *line, uint64_t maddr, size_t size)
{
    if (nr_modules == MODULES_MAX) {
        printk("module %u and later ones are ignored: %u is the limit\n",
               nr_modules + 1, MODULES_MAX);
        return;
    }
    modules[nr_modules++] = (struct module){
        .line = line,
        .image = (const uint8_t *)directmap + maddr,
        .size = size,
    };
}

struct module *module_find(const char *name)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].kind == MODULE_DOMAIN &&
            strcmp(modules[i].args.name, name) == 0)
            return &modules[i];
    return NULL;
}

/* Modules are counted from 1 in messages, as a person counts lines. */
static void read_line(unsigned int i)
{
    struct module *m = &modules[i];
    struct args_error err;

    if (domain_args_parse(m->line, &m->args, &err)) {
        printk(MODULE_NAMED "column %u: %s\n", i + 1, m->line, err.column,
               err.message);
        memset(&m->args, 0, sizeof(m->args));
    } else if (module_find(m->args.name)) {
        printk(MODULE_NAMED "a second domain '%s' is left out\n", i + 1,
               m->line, m->args.name);
    } else if (m->args.name[0] != '\0') {
        m->kind = MODULE_DOMAIN;
    }
}

static void pair_ramdisk(unsigned int i)
{
    struct module *m = &modules[i];
    const char *name = m->args.ramdisk_of;
    struct module *domain = module_find(name);

    if (!domain) {
        printk(MODULE_NAMED "no domain '%s' for this ramdisk\n", i + 1, m->line,
               name);
    } else if (domain->ramdisk) {
        printk(MODULE_NAMED "a second ramdisk for '%s' is left out\n", i + 1,
               m->line, name);
    } else {
        m->kind = MODULE_RAMDISK;
        domain->ramdisk = m;
    }
}

void modules_check(void)
{
    for (unsigned int i = 0; i < nr_modules; i++)
        read_line(i);
    /* A ramdisk may stand before its domain. */
    for (unsigned int i = 0; i < nr_modules; i++)
        if (modules[i].args.ramdisk_of[0] != '\0')
            pair_ramdisk(i);
}
