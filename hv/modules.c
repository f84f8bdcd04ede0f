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

/* Name of the domain that a module is, or is the ramdisk of. */
static char module_name[MODULES_MAX][ARGS_NAME_SIZE];

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
        if (modules[i].is_domain && strcmp(module_name[i], name) == 0)
            return &modules[i];
    return NULL;
}

/* Modules are counted from 1 in messages, as a person counts lines. */
static void check_domain(unsigned int i, const char *name)
{
    if (module_find(name)) {
        printk("module %u: a second domain of the name '%s' is left out\n",
               i + 1, name);
        return;
    }
    string_copy(module_name[i], name, sizeof(module_name[i]));
    modules[i].is_domain = true;
}

/* Returns whether module @i is a good ramdisk line. */
static bool check_line(unsigned int i)
{
    struct domain_args args;
    struct args_error err;

    if (domain_args_parse(modules[i].line, &args, &err)) {
        printk("module %u: column %u: %s\n", i + 1, err.column, err.message);
        return false;
    }
    if (args.ramdisk_of[0] == '\0') {
        check_domain(i, args.name);
        return false;
    }
    string_copy(module_name[i], args.ramdisk_of, sizeof(module_name[i]));
    return true;
}

static void pair_ramdisk(unsigned int i)
{
    struct module *domain = module_find(module_name[i]);

    if (!domain)
        printk("module %u: no domain '%s' for this ramdisk\n", i + 1,
               module_name[i]);
    else if (domain->ramdisk)
        printk("module %u: a second ramdisk for '%s' is left out\n", i + 1,
               module_name[i]);
    else
        domain->ramdisk = &modules[i];
}

void modules_check(void)
{
    uint64_t ramdisks = 0;

    for (unsigned int i = 0; i < nr_modules; i++)
        if (check_line(i))
            ramdisks |= 1ULL << i;
    /* A ramdisk may stand before its domain. */
    for (unsigned int i = 0; i < nr_modules; i++)
        if (ramdisks >> i & 1)
            pair_ramdisk(i);
}
