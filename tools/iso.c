/*
 * Bootable images.
 *
 * GRUB's core holds every module that grub.cfg needs, so the firmware reads
 * one file and GRUB none: that halves the time to the kernel's first line.
 * The same input gives the same bytes.
 */
#include "tools/iso.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/process.h"

#define GRUB_DIR  "/usr/lib/grub/i386-pc"
#define NOTE_AT   (16 * 2048 + 883) /* "application use" of the volume */
#define NOTE_SIZE 512
#define NOTE_MARK "belfry 1 "
#define DATE      "1704067200" /* of all files: the bytes depend on no clock */

static const char prelude[] =
    /* Without a timeout of its own grub.cfg would wait for a key that
     * nobody can press. */
    "set timeout=0\n";

/* ---- The core image. ----------------------------------------------------- */

struct arguments {
    char **argv;
    size_t nr;
};

static void add_argument(struct arguments *a, char *text)
{
    a->argv = reallocate(a->argv, (a->nr + 2) * sizeof(char *));
    a->argv[a->nr++] = text;
    a->argv[a->nr] = NULL;
}

static void add_arguments(struct arguments *a, const char *const *texts)
{
    for (; *texts; texts++)
        add_argument(a, text_of("%s", *texts));
}

static void free_arguments(struct arguments *a)
{
    for (size_t i = 0; i < a->nr; i++)
        free(a->argv[i]);
    free(a->argv);
}

static void add_module(struct arguments *a, const char *module)
{
    char *path = text_of("%s/%s.mod", GRUB_DIR, module);

    if (strchr(module, '/') || access(path, R_OK)) {
        free(path);
        return;
    }
    free(path);
    for (size_t i = 0; i < a->nr; i++) {
        if (!strcmp(a->argv[i], module))
            return;
    }
    add_argument(a, text_of("%s", module));
}

/* The modules behind the commands of grub.cfg, by GRUB's own list
 * ("*menuentry: normal"). */
static void add_command_modules(struct arguments *a,
                                const struct grub_cfg *cfg)
{
    FILE *list = fopen(GRUB_DIR "/command.lst", "re");
    char command[128], module[128];

    if (!list)
        return;
    while (fscanf(list, "%127[^:]: %127s ", command, module) == 2) {
        const char *name = command + (*command == '*');

        for (size_t i = 0; i < cfg->nr_commands; i++) {
            if (!strcmp(cfg->commands[i], name))
                add_module(a, module);
        }
    }
    fclose(list);
}

static bool write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");

    if (!out || fputs(text, out) < 0 || fclose(out)) {
        complain("%s: %s", path, strerror(errno));
        return false;
    }

    return true;
}

static bool make_core(const struct system *system, const char *dir)
{
    static const char *const modules[] = { "biosdisk", "iso9660", "multiboot2",
                                           "normal",   "boot",    NULL };
    char *config = text_of("%s/prelude.cfg", dir);
    char *core = text_of("%s/core.img", dir);
    const char *const command[] = {
        "grub-mkimage", "-O", "i386-pc-eltorito", "-d", GRUB_DIR,
        "-p", "/boot/grub", "-c", config, "-o", core, NULL
    };
    struct arguments a = { 0 };
    bool good;

    add_arguments(&a, command);
    add_arguments(&a, modules);
    add_command_modules(&a, &system->cfg);
    for (size_t i = 0; i < system->cfg.nr_insmods; i++)
        add_module(&a, system->cfg.insmods[i]);
    good = write_file(config, prelude) &&
           process_run(a.argv, "grub-pc-bin and grub-common");
    free_arguments(&a);
    unlink(config);
    free(config);
    free(core);

    return good;
}

/* ---- The note. ----------------------------------------------------------- */

static bool write_note(const char *image, const struct iso_note *note)
{
    char text[NOTE_SIZE] = { 0 };
    int fd = open(image, O_WRONLY | O_CLOEXEC);
    bool good;

    snprintf(text, sizeof(text), NOTE_MARK "memory=%llu disk_size=%llu disk=%s",
             (unsigned long long)note->memory,
             (unsigned long long)note->disk_size, note->disk);
    good = fd >= 0 && pwrite(fd, text, sizeof(text), NOTE_AT) == sizeof(text);
    if (!good)
        complain("%s: %s", image, strerror(errno));
    if (fd >= 0)
        close(fd);

    return good;
}

static void parse_note(const char *text, struct iso_note *note)
{
    unsigned long long memory, disk_size;
    int end = 0;

    if (sscanf(text, NOTE_MARK "memory=%llu disk_size=%llu disk=%n", &memory,
               &disk_size, &end) < 2 || !end)
        return;
    note->memory = memory;
    note->disk_size = disk_size;
    snprintf(note->disk, sizeof(note->disk), "%.255s", text + end);
}

bool iso_read_note(const char *image, struct iso_note *note)
{
    char text[NOTE_SIZE + 1] = { 0 }, magic[5] = { 0 };
    int fd = open(image, O_RDONLY | O_CLOEXEC);

    memset(note, 0, sizeof(*note));
    if (fd < 0) {
        complain("%s: %s%s", image, strerror(errno),
                 errno == ENOENT ? " (belfry image builds one)" : "");
        return false;
    }
    if (pread(fd, magic, 5, 16 * 2048 + 1) != 5 || memcmp(magic, "CD001", 5) ||
        pread(fd, text, NOTE_SIZE, NOTE_AT) != NOTE_SIZE) {
        complain("%s: not a bootable image (belfry image builds one)", image);
        close(fd);
        return false;
    }
    close(fd);
    parse_note(text, note);

    return true;
}

/* ---- The file system. ---------------------------------------------------- */

/* xorriso reads NAME=PATH; a backslash makes the next sign an ordinary one. */
static void write_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '=' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

/* A link on the host would become a link in the image, to nowhere. */
static char *resolve(const char *path)
{
    char *real = realpath(path, NULL);

    return real ? real : text_of("%s", path);
}

static char *graft(const char *name, const char *path)
{
    char *text, *real = resolve(path);
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (*name != '/')
        fputc('/', out);
    write_escaped(out, name);
    fputc('=', out);
    write_escaped(out, real);
    fclose(out);
    free(real);

    return text;
}

static bool make_file_system(const struct system *system, const char *dir,
                             const char *output)
{
    static const char *const command[] = {
        "xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "BELFRY",
        "-graft-points", "-b", "boot/grub/core.img", "-no-emul-boot",
        "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info",
        "--grub2-mbr", GRUB_DIR "/boot_hybrid.img", "--set_all_file_dates",
        "=" DATE, "-o", NULL
    };
    struct arguments a = { 0 };
    char *core = text_of("%s/core.img", dir);
    bool good;

    add_arguments(&a, command);
    add_argument(&a, text_of("%s", output));
    add_argument(&a, graft("/boot/grub/core.img", core));
    add_argument(&a, graft("/boot/grub/grub.cfg", system->path));
    for (size_t i = 0; i < system->nr_files; i++)
        add_argument(&a, graft(system->files[i]->name,
                               system->files[i]->unpacked
                                   ? system->files[i]->unpacked
                                   : system->files[i]->path));
    good = process_run(a.argv, "xorriso");
    free_arguments(&a);
    free(core);

    return good;
}

static struct iso_note note_of(const struct system *system)
{
    struct iso_note note = { .memory = system->memory };

    if (system->first_ramdisk &&
        strlen(system->first_ramdisk->name) < sizeof(note.disk)) {
        strcpy(note.disk, system->first_ramdisk->name);
        note.disk_size = system->first_ramdisk->size;
    }

    return note;
}

static bool put_in_place(const char *temporary, const char *output)
{
    if (rename(temporary, output)) {
        complain("%s: %s", output, strerror(errno));
        return false;
    }

    return true;
}

bool iso_build(const struct system *system, const char *output)
{
    struct iso_note note = note_of(system);
    char *dir = process_temp_dir();
    char *temporary = text_of("%s.new", output);
    char *core;
    bool good;

    setenv("SOURCE_DATE_EPOCH", DATE, 1);
    good = dir && make_core(system, dir) &&
           make_file_system(system, dir, temporary) &&
           write_note(temporary, &note) && put_in_place(temporary, output);
    if (!good)
        unlink(temporary);
    if (dir) {
        core = text_of("%s/core.img", dir);
        unlink(core);
        rmdir(dir);
        free(core);
    }
    free(temporary);
    free(dir);

    return good;
}

bool iso_replace_disk(const char *image, const struct iso_note *note,
                      const char *disk, uint64_t disk_size, const char *output)
{
    struct iso_note new_note = *note;
    char *name = text_of("%s", note->disk), *path = resolve(disk);
    char *in = text_of("%s", image), *out = text_of("stdio:%s", output);
    char *const argv[] = {
        (char[]){ "xorriso" }, (char[]){ "-report_about" },
        (char[]){ "SORRY" }, (char[]){ "-indev" }, in,
        (char[]){ "-outdev" }, out, (char[]){ "-boot_image" },
        (char[]){ "any" }, (char[]){ "replay" }, (char[]){ "-overwrite" },
        (char[]){ "on" }, (char[]){ "-map" }, path, name, NULL
    };
    bool good;

    new_note.disk_size = disk_size;
    /* A ramdisk is there twice: as a module, and in its domain. */
    new_note.memory += 2 * disk_size;
    new_note.memory -= 2 * note->disk_size;
    good = process_run(argv, "xorriso") && write_note(output, &new_note);
    free(name);
    free(path);
    free(in);
    free(out);

    return good;
}
