/*
 * A system description, checked.
 *
 * What the checker accepts, the hypervisor accepts: both read a domain's
 * line with lib/args.h and its image with lib/elf.h.
 */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "lib/args.h"
#include "tools/belfry.h"
#include "tools/grubcfg.h"

struct finding {
    struct place place;
    char *message;
};

/* A file of the image: what grub.cfg calls it and where it is. */
struct system_file {
    char *name, *path;
    char *unpacked; /* a temporary file that goes into the image instead */
    uint64_t size;  /* of what goes into the image */
    bool missing;
};

struct system_domain {
    size_t entry; /* of grub.cfg */
    const struct grub_module *module;
    struct domain_args args;
    const struct system_file *file;
    const struct system_file *ramdisk; /* NULL: none */
    uint64_t memory;                   /* bytes it gets */
};

struct system {
    const char *path; /* of grub.cfg */
    char *text;
    struct grub_cfg cfg;
    struct finding *findings; /* in order of place */
    size_t nr_findings;
    struct system_file **files; /* each once */
    size_t nr_files;
    struct system_domain *domains;
    size_t nr_domains;
    const struct system_file *first_ramdisk; /* NULL: none */
    uint64_t memory; /* bytes the machine should have, over all entries */
};

/* Read and check.  False, after a complaint: the file cannot be read.
 * Mistakes in it are findings. */
bool system_load(struct system *system, const struct options *options);
void system_free(struct system *system);
/* Print the findings as file:line:column lines on stderr. */
void system_print_findings(const struct system *system);

#endif
