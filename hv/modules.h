/*
 * GRUB's modules: images and ramdisks, with their lines of grub.cfg.  They
 * stay in memory: for domains created later, and for symbols.
 */
#ifndef HV_MODULES_H
#define HV_MODULES_H

#include "lib/args.h"

#define MODULES_MAX 64u

enum module_kind { MODULE_LEFT_OUT, MODULE_DOMAIN, MODULE_RAMDISK };

struct module {
    const char *line;     /* the text after the file's name */
    const uint8_t *image; /* in the direct map */
    size_t size;
    enum module_kind kind;        /* of a wrong line: left out */
    struct domain_args args;      /* what the line says */
    const struct module *ramdisk; /* of this domain, or NULL */
};

extern struct module modules[MODULES_MAX];
extern unsigned int nr_modules;

/* From the boot code, in the order of grub.cfg. */
void modules_add(const char *line, uint64_t maddr, size_t size);
/* Messages name a module by its place and by the words of its line, for the
 * places are not written in grub.cfg. */
#define MODULE_NAMED "module %u ('%.60s'): "
/* Parse all lines, pair ramdisks with domains, and print a clear line for
 * each that is wrong: "module 3 ('nmae=x'): column 1: unknown key ...". */
void modules_check(void);
/* Its place in grub.cfg, from 1. */
static inline uint16_t module_number(const struct module *m)
{
    return (uint16_t)(m - modules + 1);
}
/* The domain module of that name, or NULL. */
struct module *module_find(const char *name);

#endif
