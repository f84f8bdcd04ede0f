/*
 * Bootable images.
 *
 * GRUB's core, one for PCs with a BIOS and one for UEFI, holds every module
 * that grub.cfg needs, so the firmware reads one file and GRUB none: that
 * halves the time to the kernel's first line.  The same input gives the same
 * bytes.
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

#define NOTE_AT   (16 * 2048 + 883) /* "application use" of the volume */
#define NOTE_SIZE 512
#define NOTE_MARK "belfry 1 "
#define DATE      "1704067200" /* of all files: the bytes depend on no clock */

#define BIOS_DIR "/usr/lib/grub/i386-pc"
#define UEFI_DIR "/usr/lib/grub/x86_64-efi"
#define VOLUME   "BELFRY"

/* A firmware, and the GRUB that it starts. */
struct firmware {
    const char *dir;    /* GRUB's modules */
    const char *format; /* of the core, as grub-mkimage calls it */
    const char *core;   /* the file's name */
    const char *package;
    const char *prelude; /* runs before grub.cfg */
    const char *modules[8];
};

/* Without a timeout of its own grub.cfg would wait for a key that nobody can
 * press.  UEFI starts GRUB from a partition of its own, whence it must find
 * the rest. */
static const struct firmware bios = {
    BIOS_DIR, "i386-pc-eltorito", "core.img", "grub-pc-bin and grub-common",
    "set timeout=0\n",
    { "biosdisk", "iso9660", "multiboot2", "normal", "boot" },
};
static const struct firmware uefi = {
    UEFI_DIR, "x86_64-efi", "bootx64.efi",
    "grub-efi-amd64-bin and grub-common",
    "search.fs_label " VOLUME " root\n"
    "set prefix=($root)/boot/grub\n"
    "set timeout=0\n",
    { "search_label", "iso9660", "multiboot2", "normal", "boot" },
};

/* ---- The core images. ---------------------------------------------------- */

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

static void add_module(struct arguments *a, const struct firmware *firmware,
                       const char *module)
{
    char *path = text_of("%s/%s.mod", firmware->dir, module);

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
                                const struct firmware *firmware,
                                const struct grub_cfg *cfg)
{
    char *path = text_of("%s/command.lst", firmware->dir);
    FILE *list = fopen(path, "re");
    char command[128], module[128];

    free(path);
    if (!list)
        return;
    while (fscanf(list, "%127[^:]: %127s ", command, module) == 2) {
        const char *name = command + (*command == '*');

        for (size_t i = 0; i < cfg->nr_commands; i++) {
            if (!strcmp(cfg->commands[i], name))
                add_module(a, firmware, module);
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

static bool make_core(const struct firmware *firmware,
                      const struct system *system, const char *dir)
{
    char *config = text_of("%s/prelude.cfg", dir);
    char *core = text_of("%s/%s", dir, firmware->core);
    const char *const command[] = {
        "grub-mkimage", "-O", firmware->format, "-d", firmware->dir,
        "-p", "/boot/grub", "-c", config, "-o", core, NULL
    };
    struct arguments a = { 0 };
    bool good;

    add_arguments(&a, command);
    add_arguments(&a, firmware->modules);
    add_command_modules(&a, firmware, &system->cfg);
    for (size_t i = 0; i < system->cfg.nr_insmods; i++)
        add_module(&a, firmware, system->cfg.insmods[i]);
    good = write_file(config, firmware->prelude) &&
           process_run(a.argv, firmware->package);
    free_arguments(&a);
    unlink(config);
    free(config);
    free(core);

    return good;
}

/* ---- The partition that UEFI boots from. --------------------------------- */

#define SECTOR 512u
/* What a file system has besides the file: boot sector, tables, root and two
 * directories. */
#define FAT_SECTORS 64u

static bool run_mtool(const char *const words[])
{
    struct arguments a = { 0 };
    bool good;

    add_arguments(&a, words);
    good = process_run(a.argv, "mtools");
    free_arguments(&a);

    return good;
}

/* A FAT file system just large enough for GRUB, under the name that UEFI looks
 * for on a medium it has not seen. */
static bool make_uefi_partition(const char *dir)
{
    char *core = text_of("%s/%s", dir, uefi.core);
    char *image = text_of("%s/uefi.img", dir);
    struct stat st = { 0 };
    bool good = stat(core, &st) == 0;
    char *sectors = text_of("%llu", (unsigned long long)st.st_size / SECTOR +
                                        (unsigned int)st.st_size / SECTOR / 64 +
                                        FAT_SECTORS);

    good = good &&
           run_mtool((const char *const[]){ "mformat", "-C", "-i", image, "-T",
                                            sectors, "-h", "2", "-s", "18",
                                            "-N", "0", "::", NULL }) &&
           run_mtool((const char *const[]){ "mmd", "-i", image, "::/EFI",
                                            "::/EFI/BOOT", NULL }) &&
           run_mtool((const char *const[]){ "mcopy", "-i", image, core,
                                            "::/EFI/BOOT/BOOTX64.EFI", NULL });
    free(sectors);
    free(image);
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
        "xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", VOLUME,
        "-graft-points", "-b", "boot/grub/core.img", "-no-emul-boot",
        "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info",
        "--grub2-mbr", BIOS_DIR "/boot_hybrid.img", "--efi-boot",
        "boot/grub/uefi.img", "-efi-boot-part", "--efi-boot-image",
        "--set_all_file_dates", "=" DATE, "-o", NULL
    };
    struct arguments a = { 0 };
    char *core = text_of("%s/%s", dir, bios.core);
    char *partition = text_of("%s/uefi.img", dir);
    bool good;

    add_arguments(&a, command);
    add_argument(&a, text_of("%s", output));
    add_argument(&a, graft("/boot/grub/core.img", core));
    add_argument(&a, graft("/boot/grub/uefi.img", partition));
    add_argument(&a, graft("/boot/grub/grub.cfg", system->path));
    for (size_t i = 0; i < system->nr_files; i++)
        add_argument(&a, graft(system->files[i]->name,
                               system->files[i]->unpacked
                                   ? system->files[i]->unpacked
                                   : system->files[i]->path));
    good = process_run(a.argv, "xorriso");
    free_arguments(&a);
    free(partition);
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

static void remove_temporaries(char *dir)
{
    const char *const names[] = { bios.core, uefi.core, "uefi.img" };

    if (!dir)
        return;
    for (size_t i = 0; i < 3; i++) {
        char *path = text_of("%s/%s", dir, names[i]);

        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
}

bool iso_build(const struct system *system, const char *output)
{
    struct iso_note note = note_of(system);
    char *dir = process_temp_dir();
    char *temporary = text_of("%s.new", output);
    bool good;

    setenv("SOURCE_DATE_EPOCH", DATE, 1);
    good = dir && make_core(&bios, system, dir) &&
           make_core(&uefi, system, dir) && make_uefi_partition(dir) &&
           make_file_system(system, dir, temporary) &&
           write_note(temporary, &note) && put_in_place(temporary, output);
    if (!good)
        unlink(temporary);
    remove_temporaries(dir);
    free(temporary);

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
