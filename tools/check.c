/*
 * The checker of system descriptions.
 *
 * It goes on after a mistake: a run shows all of them, in order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errno.h"
#include "lib/start_of_day.h"
#include "tools/bzimage.h"
#include "tools/check.h"

#define MODULES_MOST 64u /* as the hypervisor's table */
#define PAGE_SIZE    4096u
/* The hypervisor with its tables, GRUB and the firmware. */
#define MACHINE_OVERHEAD (48ull << 20)
#define LINE_SIZE        1024u /* what the hypervisor keeps of a line */

/* ---- Findings. ----------------------------------------------------------- */

static void add_finding(struct system *system, struct place place, char *text)
{
    system->findings =
        reallocate(system->findings, (system->nr_findings + 1) *
                                         sizeof(*system->findings));
    system->findings[system->nr_findings++] =
        (struct finding){ .place = place, .message = text };
}

__attribute__((format(printf, 3, 4))) static void
find(struct system *system, struct place place, const char *fmt, ...)
{
    va_list args;
    char *text;

    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = text_of("out of memory");
    va_end(args);
    add_finding(system, place, text);
}

static void on_report(void *context, struct place place, const char *message)
{
    add_finding(context, place, text_of("%s", message));
}

static int compare_findings(const void *a, const void *b)
{
    const struct place x = ((const struct finding *)a)->place;
    const struct place y = ((const struct finding *)b)->place;

    if (x.line != y.line)
        return x.line < y.line ? -1 : 1;

    return (x.column > y.column) - (x.column < y.column);
}

void system_print_findings(const struct system *system)
{
    for (size_t i = 0; i < system->nr_findings; i++) {
        const struct finding *f = &system->findings[i];

        fprintf(stderr, "%s:%u:%u: %s\n", system->path, f->place.line,
                f->place.column, f->message);
    }
    if (system->nr_findings)
        complain("%s: %zu mistake%s", system->path, system->nr_findings,
                 system->nr_findings == 1 ? "" : "s");
}

/* ---- Files. -------------------------------------------------------------- */

/* --file NAME=PATH names a file by its whole name or its last part. */
static bool map_matches(const struct file_map *map, const char *name)
{
    const char *base = strrchr(name, '/');
    const char *whole = name + (*name == '/');

    base = base ? base + 1 : name;

    return (strlen(whole) == map->name_length &&
            !strncmp(whole, map->name, map->name_length)) ||
           (strlen(name) == map->name_length &&
            !strncmp(name, map->name, map->name_length)) ||
           (strlen(base) == map->name_length &&
            !strncmp(base, map->name, map->name_length));
}

static char *host_path(const struct system *system,
                       const struct options *options, const char *name)
{
    const char *slash = strrchr(system->path, '/');

    for (int i = 0; i < options->nr_files; i++) {
        if (map_matches(&options->files[i], name))
            return text_of("%s", options->files[i].path);
    }
    if (options->root)
        return text_of("%s/%s", options->root, name + (*name == '/'));
    if (!slash)
        return text_of("%s", name + (*name == '/'));

    return text_of("%.*s/%s", (int)(slash - system->path), system->path,
                   name + (*name == '/'));
}

static struct system_file *known_file(const struct system *system,
                                      const char *name)
{
    for (size_t i = 0; i < system->nr_files; i++) {
        if (!strcmp(system->files[i]->name, name))
            return system->files[i];
    }

    return NULL;
}

static void look_at_file(struct system *system, struct system_file *file,
                         struct place place)
{
    struct stat st;

    if (stat(file->path, &st)) {
        file->missing = true;
        find(system, place,
             "file '%s' is missing: no %s (or say --file %s=PATH)", file->name,
             file->path, file->name + (*file->name == '/'));
    } else if (!S_ISREG(st.st_mode)) {
        file->missing = true;
        find(system, place, "'%s' (%s) is not a file", file->name, file->path);
    }
    file->size = file->missing ? 0 : (uint64_t)st.st_size;
}

static struct system_file *add_file(struct system *system,
                                    const struct options *options,
                                    const char *name, struct place place)
{
    struct system_file *file = known_file(system, name);

    if (file)
        return file;
    file = allocate(sizeof(*file));
    file->name = text_of("%s", name);
    file->path = host_path(system, options, name);
    system->files = reallocate(system->files, (system->nr_files + 1) *
                                                  sizeof(*system->files));
    system->files[system->nr_files++] = file;
    if (*name != '/')
        find(system, place, "file '%s' must begin with '/'", name);
    look_at_file(system, file, place);

    return file;
}

/* The file's bytes, or NULL. */
static void *map_file(const struct system_file *file)
{
    int fd;
    void *bytes;

    if (file->missing || file->size == 0)
        return NULL;
    fd = open(file->unpacked ? file->unpacked : file->path,
              O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    bytes = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);

    return bytes == MAP_FAILED ? NULL : bytes;
}

static bool has_multiboot2_header(const uint8_t *bytes, uint64_t size)
{
    for (uint64_t at = 0; at + 16 <= size && at < 32768; at += 8) {
        uint32_t word[4];

        memcpy(word, bytes + at, sizeof(word));
        if (word[0] == 0xe85250d6 && word[0] + word[1] + word[2] + word[3] == 0)
            return true;
    }

    return false;
}

static void check_kernel(struct system *system, const struct system_file *file,
                         struct place place)
{
    uint8_t *bytes = map_file(file);

    if (!bytes) {
        if (!file->missing)
            find(system, place, "'%s' cannot be read or is empty", file->path);
        return;
    }
    if (!has_multiboot2_header(bytes, file->size))
        find(system, place,
             "'%s' is no hypervisor: it has no multiboot2 header", file->path);
    munmap(bytes, file->size);
}

/* A bzImage is unpacked, and its kernel is the file from now on. */
static bool unpack_kernel(struct system *system, struct system_file *file,
                          struct place place)
{
    uint8_t *bytes = file->unpacked ? NULL : map_file(file);
    uint64_t size = file->size;
    const char *why = "", *temporary = getenv("TMPDIR");
    bool good = true;
    char *prefix;

    if (bytes && bzimage_is_one(bytes, size)) {
        prefix = text_of("%s/belfry-kernel", temporary ? temporary : "/tmp");
        file->unpacked =
            bzimage_unpack(bytes, size, prefix, &file->size, &why);
        free(prefix);
        good = file->unpacked != NULL;
    }
    if (bytes)
        munmap(bytes, size);
    if (!good) {
        file->size = size;
        find(system, place, "'%s' is a bzImage, but %s", file->path, why);
    }

    return good;
}

/* ---- Lines. -------------------------------------------------------------- */

/* Blank out the word at a column, so that the rest can be looked at. */
static bool blank_word(char *line, unsigned int column)
{
    char word[LINE_SIZE];
    unsigned int at = 0;
    size_t pos = 0, start;

    do {
        start = pos;
        if (args_next_word(line, &pos, word, sizeof(word), &at) <= 0)
            return false;
    } while (at < column);
    memset(line + start, ' ', pos - start);

    return at == column;
}

/* Parse a line, reporting each wrong word.  True: what is left of it is a
 * line, so that others may name its domain. */
static bool parse_line(struct system *system, const struct grub_module *module,
                       struct domain_args *args)
{
    char *line = text_of("%s", module->line);
    struct args_error error = { 0 };
    bool first = true, good = false;

    if (strlen(line) >= LINE_SIZE)
        find(system, module->place, "the line is longer than %u characters",
             LINE_SIZE - 1);

    while (!(good = domain_args_parse(line, args, &error) == 0)) {
        bool whole_line = error.column <= 1 && strstr(error.message, "missing");

        /* A name that was wrong is not also missing. */
        if (!whole_line || first)
            find(system, grub_module_place(module, error.column), "%s",
                 error.message);
        first = false;
        if (whole_line || !blank_word(line, error.column))
            break;
    }
    free(line);

    return good;
}

static struct system_domain *find_domain(const struct system *system,
                                         size_t entry, const char *name)
{
    for (size_t i = 0; i < system->nr_domains; i++) {
        struct system_domain *domain = &system->domains[i];

        if (domain->entry == entry && !strcmp(domain->args.name, name))
            return domain;
    }

    return NULL;
}

/* The place of a word of a domain's line by how it begins ("vbd=disk:"). */
static struct place word_place(const struct grub_module *module,
                               const char *start)
{
    char word[LINE_SIZE];
    unsigned int column;
    size_t pos = 0;

    while (args_next_word(module->line, &pos, word, sizeof(word), &column) >
           0) {
        if (!strncmp(word, start, strlen(start)))
            return grub_module_place(module, column);
    }

    return module->place;
}

static void add_domain(struct system *system, size_t entry,
                       const struct grub_module *module,
                       const struct domain_args *args,
                       const struct system_file *file)
{
    const struct system_domain *twin = find_domain(system, entry, args->name);

    if (twin) {
        find(system, word_place(module, "name="),
             "a second domain named '%s' (the first is on line %u)",
             args->name, twin->module->place.line);
        return;
    }
    system->domains = reallocate(system->domains, (system->nr_domains + 1) *
                                                      sizeof(*system->domains));
    system->domains[system->nr_domains++] = (struct system_domain){
        .entry = entry,
        .module = module,
        .args = *args,
        .file = file,
        .memory = start_of_day_pages(args->mem, 0) * PAGE_SIZE,
    };
}

/* "a, b, c": what could have been meant. */
static char *domain_names(const struct system *system, size_t entry)
{
    char *names = text_of("%s", "");

    for (size_t i = 0; i < system->nr_domains; i++) {
        char *longer;

        if (system->domains[i].entry != entry)
            continue;
        longer = text_of("%s%s%s", names, *names ? ", " : "",
                         system->domains[i].args.name);
        free(names);
        names = longer;
    }

    return names;
}

static void find_no_domain(struct system *system, size_t entry,
                           struct place place, const char *name)
{
    char *names = domain_names(system, entry);

    find(system, place, "there is no domain '%s' (have: %s)", name, names);
    free(names);
}

static void pair_ramdisk(struct system *system, size_t entry,
                         const struct grub_module *module,
                         const struct domain_args *args,
                         const struct system_file *file)
{
    struct system_domain *domain = find_domain(system, entry, args->ramdisk_of);
    struct place place = word_place(module, "ramdisk=");

    if (!domain) {
        find_no_domain(system, entry, place, args->ramdisk_of);
        return;
    }
    if (domain->ramdisk) {
        find(system, place, "a second ramdisk for domain '%s'",
             args->ramdisk_of);
        return;
    }
    domain->ramdisk = file;
    domain->memory =
        start_of_day_pages(domain->args.mem, file->size) * PAGE_SIZE;
    if (!system->first_ramdisk)
        system->first_ramdisk = file;
}

/* By the very plan that the hypervisor will build it by. */
static void check_fit(struct system *system, const struct system_domain *domain,
                      bool initial, const struct elf_image *elf)
{
    uint64_t ramdisk_size = domain->ramdisk ? domain->ramdisk->size : 0;
    struct start_of_day plan;
    const char *why = "";
    int rc = start_of_day_plan(&plan, elf, domain->memory / PAGE_SIZE,
                               ramdisk_size, !initial, &why);

    if (rc == -ENOMEM)
        find(system, word_place(domain->module, "mem="),
             "domain '%s' has %llu KiB of memory, its start needs mem=%lluK%s",
             domain->args.name, (unsigned long long)(domain->memory >> 10),
             (unsigned long long)plan.used * (PAGE_SIZE >> 10),
             domain->args.mem && ramdisk_size ?
                 " (without mem= it gets the ramdisk on top)" :
                 "");
    else if (rc)
        find(system, domain->module->file_place, "'%s': %s",
             domain->file->path, why);
}

static void check_domain_image(struct system *system,
                               const struct system_domain *domain, bool initial)
{
    const struct system_file *file = domain->file;
    struct place place = domain->module->file_place;
    struct elf_image elf;
    const char *why = "";
    uint8_t *bytes;

    if (!unpack_kernel(system, known_file(system, file->name), place))
        return;
    bytes = map_file(file);
    if (!bytes) {
        if (!file->missing)
            find(system, place, "'%s' cannot be read or is empty", file->path);
        return;
    }
    if (file->size > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        find(system, place, "'%s' is compressed; gunzip it first", file->path);
    else if (elf_parse(&elf, bytes, file->size, &why))
        find(system, place, "'%s' is no Xen PV64 kernel: %s", file->path, why);
    else
        check_fit(system, domain, initial, &elf);
    munmap(bytes, file->size);
}

/* A backend's ramdisk is its disk, and disks have whole sectors. */
static void check_disk(struct system *system,
                       const struct system_domain *domain,
                       const struct args_device *device,
                       const struct system_domain *backend)
{
    char *word = text_of("vbd=%s:%s", device->peer, device->name);

    if (device->kind == DEVICE_VBD && backend->ramdisk &&
        backend->ramdisk->size % 512)
        find(system, word_place(domain->module, word),
             "the disk behind it, '%s', has %llu bytes: not a multiple of 512",
             backend->ramdisk->path,
             (unsigned long long)backend->ramdisk->size);
    free(word);
}

static void check_devices(struct system *system,
                          const struct system_domain *domain)
{
    static const char *const keys[] = {
        [DEVICE_VBD] = "vbd", [DEVICE_VIF] = "vif", [DEVICE_CHAN] = "chan"
    };

    for (unsigned int i = 0; i < domain->args.nr_devices; i++) {
        const struct args_device *device = &domain->args.device[i];
        const struct system_domain *peer =
            find_domain(system, domain->entry, device->peer);
        char *word;

        if (peer) {
            check_disk(system, domain, device, peer);
            continue;
        }
        if (device->kind == DEVICE_CHAN)
            word = text_of("chan=%s:", device->name);
        else
            word = text_of("%s=%s", keys[device->kind], device->peer);
        find_no_domain(system, domain->entry,
                       word_place(domain->module, word), device->peer);
        free(word);
    }
}

/* A channel's name stands for one channel, at either of its ends. */
static void check_channel_names(struct system *system,
                                const struct system_domain *domain)
{
    for (unsigned int i = 0; i < domain->args.nr_devices; i++) {
        const struct args_device *device = &domain->args.device[i];

        if (device->kind != DEVICE_CHAN)
            continue;
        for (const struct system_domain *other = system->domains;
             other < domain; other++) {
            for (unsigned int j = 0; j < other->args.nr_devices; j++) {
                const struct args_device *d = &other->args.device[j];

                if (other->entry != domain->entry || d->kind != DEVICE_CHAN ||
                    strcmp(d->name, device->name))
                    continue;
                char *word = text_of("chan=%s:", device->name);

                find(system, word_place(domain->module, word),
                     "channel '%s' is named on line %u already (one line "
                     "names it for both ends)",
                     device->name, other->module->place.line);
                free(word);
            }
        }
    }
}

static void check_cpus(struct system *system,
                       const struct system_domain *domain, unsigned int cpus)
{
    if (cpus && cpus < 64 && !(domain->args.cpus & ((1ull << cpus) - 1)))
        find(system, word_place(domain->module, "cpus="),
             "none of these CPUs exists: the machine has %u (--cpus)", cpus);
}

/* ---- Entries. ------------------------------------------------------------ */

/* Memory of an entry; complains where it passes what --mem gives. */
static uint64_t add_up_memory(struct system *system, size_t entry,
                              uint64_t limit)
{
    uint64_t sum = MACHINE_OVERHEAD;
    bool told = false;

    for (size_t i = 0; i < system->nr_domains; i++) {
        const struct system_domain *domain = &system->domains[i];

        if (domain->entry != entry)
            continue;
        sum += domain->file->size;
        if (domain->ramdisk)
            sum += domain->ramdisk->size;
        if (domain->args.autostart)
            sum += domain->memory;
        if (limit && sum > limit && !told) {
            find(system, word_place(domain->module, "mem="),
                 "with domain '%s' the system needs %llu MiB; --mem gives "
                 "%llu MiB",
                 domain->args.name, (unsigned long long)(sum >> 20),
                 (unsigned long long)(limit >> 20));
            told = true;
        }
    }

    return sum;
}

struct pending_ramdisk {
    const struct grub_module *module;
    struct domain_args args;
    const struct system_file *file;
};

/* Ramdisks are paired when all domains are known: order does not matter. */
static void read_modules(struct system *system, const struct options *options,
                         size_t index)
{
    const struct grub_entry *entry = &system->cfg.entries[index];
    struct pending_ramdisk *ramdisks =
        allocate((entry->nr_modules + 1) * sizeof(*ramdisks));
    size_t nr = 0;

    for (size_t i = 0; i < entry->nr_modules; i++) {
        const struct grub_module *module = &entry->modules[i];
        struct domain_args args;
        const struct system_file *file =
            add_file(system, options, module->file, module->file_place);

        if (!parse_line(system, module, &args))
            continue;
        if (*args.name)
            add_domain(system, index, module, &args, file);
        else
            ramdisks[nr++] = (struct pending_ramdisk){ module, args, file };
    }
    for (size_t i = 0; i < nr; i++)
        pair_ramdisk(system, index, ramdisks[i].module, &ramdisks[i].args,
                     ramdisks[i].file);
    free(ramdisks);
}

static void check_entry(struct system *system, const struct options *options,
                        size_t index)
{
    const struct grub_entry *entry = &system->cfg.entries[index];
    size_t first = system->nr_domains;
    uint64_t memory;

    check_kernel(system,
                 add_file(system, options, entry->kernel, entry->kernel_place),
                 entry->kernel_place);
    if (entry->nr_modules > MODULES_MOST)
        find(system, entry->modules[MODULES_MOST].place,
             "more than %u modules", MODULES_MOST);
    if (entry->nr_modules == 0)
        find(system, entry->kernel_place,
             "no domains: add a line like 'module2 /guests/ping.elf "
             "name=ping'");
    read_modules(system, options, index);

    for (size_t i = first; i < system->nr_domains; i++) {
        check_domain_image(system, &system->domains[i], i == first);
        check_devices(system, &system->domains[i]);
        check_channel_names(system, &system->domains[i]);
        check_cpus(system, &system->domains[i], options->cpus);
    }
    memory = add_up_memory(system, index, options->mem);
    if (memory > system->memory)
        system->memory = memory;
}

/* A whole text file; NULL after a complaint. */
static char *read_text(const char *path)
{
    FILE *in = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    ssize_t length;

    if (!in) {
        complain("%s: %s", path, strerror(errno));
        return NULL;
    }
    errno = 0;
    length = getdelim(&text, &size, '\0', in);
    if (length < 0 && errno) {
        complain("%s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    } else if (length < 0) {
        free(text);
        text = text_of("%s", "");
    }
    fclose(in);

    return text;
}

bool system_load(struct system *system, const struct options *options)
{
    bool any = false;

    *system = (struct system){ .path = options->args[0] };
    system->text = read_text(system->path);
    if (!system->text)
        return false;

    grub_cfg_parse(system->text, &system->cfg, on_report, system);
    for (size_t i = 0; i < system->cfg.nr_entries; i++) {
        if (!system->cfg.entries[i].kernel)
            continue;
        any = true;
        check_entry(system, options, i);
    }
    if (!any)
        find(system, (struct place){ 1, 1 },
             "no 'multiboot2 /belfry.elf' line: nothing to boot");
    if (system->nr_findings)
        qsort(system->findings, system->nr_findings,
              sizeof(*system->findings), compare_findings);

    return true;
}

void system_free(struct system *system)
{
    for (size_t i = 0; i < system->nr_findings; i++)
        free(system->findings[i].message);
    for (size_t i = 0; i < system->nr_files; i++) {
        if (system->files[i]->unpacked)
            unlink(system->files[i]->unpacked);
        free(system->files[i]->unpacked);
        free(system->files[i]->name);
        free(system->files[i]->path);
        free(system->files[i]);
    }
    free(system->findings);
    free(system->files);
    free(system->domains);
    free(system->text);
    grub_cfg_free(&system->cfg);
}
