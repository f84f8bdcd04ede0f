/*
 * The verbs image and check.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/check.h"
#include "tools/iso.h"
#include "tools/text.h"

static const char *restart_name(enum args_restart restart)
{
    static const char *const names[] = { "never", "on-crash", "always" };

    return names[restart];
}

/* "vbd=disk:xvda", as it is written in grub.cfg. */
static void device_text(char *buf, size_t size, const struct args_device *d)
{
    if (d->kind == DEVICE_VBD)
        snprintf(buf, size, "vbd=%s:%s", d->peer, d->name);
    else if (d->kind == DEVICE_VIF)
        snprintf(buf, size, "vif=%s", d->peer);
    else
        snprintf(buf, size, "chan=%s:%s", d->name, d->peer);
}

static void print_domain(const struct system_domain *domain)
{
    char memory[16], image[16], ramdisk[16] = "-", device[80];

    text_bytes(memory, sizeof(memory), domain->memory);
    text_bytes(image, sizeof(image), domain->file->size);
    if (domain->ramdisk)
        text_bytes(ramdisk, sizeof(ramdisk), domain->ramdisk->size);
    printf("%-12s %6s %5u %4u  %-8s %6s %7s ", domain->args.name, memory,
           domain->args.vcpus, domain->args.priority,
           restart_name(domain->args.restart), image, ramdisk);
    for (unsigned int i = 0; i < domain->args.nr_devices; i++) {
        device_text(device, sizeof(device), &domain->args.device[i]);
        printf(" %s", device);
    }
    putchar('\n');
}

static void print_report(const struct system *system, const char *image)
{
    char memory[16];

    printf("DOMAIN          MEM VCPUS PRIO  RESTART   IMAGE RAMDISK  "
           "DEVICES\n");
    for (size_t i = 0; i < system->nr_domains; i++)
        print_domain(&system->domains[i]);
    text_bytes(memory, sizeof(memory), (system->memory + 1048575) >> 20 << 20);
    printf("%s: %zu domain%s, a machine of %s\n",
           image ? image : system->path, system->nr_domains,
           system->nr_domains == 1 ? "" : "s", memory);
}

static json_t *domain_json(const struct system_domain *domain)
{
    json_t *devices = json_array();
    char device[80];

    for (unsigned int i = 0; i < domain->args.nr_devices; i++) {
        device_text(device, sizeof(device), &domain->args.device[i]);
        json_array_append_new(devices, json_string(device));
    }

    return json_pack("{s:s, s:I, s:i, s:i, s:s, s:s, s:I, s:o?, s:o}",
                     "name", domain->args.name,
                     "memory", (json_int_t)domain->memory,
                     "vcpus", (int)domain->args.vcpus,
                     "priority", (int)domain->args.priority,
                     "restart", restart_name(domain->args.restart),
                     "file", domain->file->path,
                     "size", (json_int_t)domain->file->size,
                     "ramdisk", domain->ramdisk
                         ? json_string(domain->ramdisk->path) : json_null(),
                     "devices", devices);
}

static void print_json(const struct system *system)
{
    json_t *domains = json_array(), *findings = json_array(), *document;

    for (size_t i = 0; i < system->nr_domains; i++)
        json_array_append_new(domains, domain_json(&system->domains[i]));
    for (size_t i = 0; i < system->nr_findings; i++) {
        const struct finding *f = &system->findings[i];

        json_array_append_new(findings,
                              json_pack("{s:s, s:i, s:i, s:s}",
                                        "file", system->path,
                                        "line", (int)f->place.line,
                                        "column", (int)f->place.column,
                                        "message", f->message));
    }
    document = json_pack("{s:s, s:i, s:{s:o, s:o, s:I}}",
                         "schema", "belfry.check", "version", 1, "data",
                         "mistakes", findings, "domains", domains,
                         "memory", (json_int_t)system->memory);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

static void show(const struct system *system, const struct options *options,
                 const char *image)
{
    if (options->json)
        print_json(system);
    else if (system->nr_findings)
        system_print_findings(system);
    else if (!options->quiet)
        print_report(system, image);
}

enum status verb_check(const struct options *options)
{
    struct system system;
    bool good;

    if (!system_load(&system, options))
        return STATUS_FAILED;
    show(&system, options, NULL);
    good = system.nr_findings == 0;
    system_free(&system);

    return good ? STATUS_FINE : STATUS_FAILED;
}

/* Can an image be made of it at all? */
static bool may_build(const struct system *system,
                      const struct options *options)
{
    if (system->nr_findings == 0)
        return true;
    for (size_t i = 0; i < system->nr_files; i++) {
        if (system->files[i]->missing)
            return false;
    }

    return options->unchecked;
}

enum status verb_image(const struct options *options)
{
    struct system system;
    bool good;

    if (!options->output) {
        complain("image: where to? -o FILE is missing");
        return STATUS_USAGE;
    }
    if (!system_load(&system, options))
        return STATUS_FAILED;
    good = may_build(&system, options) && iso_build(&system, options->output);
    if (good || system.nr_findings)
        show(&system, options, options->output);
    system_free(&system);

    return good ? STATUS_FINE : STATUS_FAILED;
}
