/*
 * grub.cfg as GRUB reads it: words, quotes, continued lines, menu entries.
 *
 * Only what says which files are loaded is kept.  A module's line is put
 * together as GRUB's multiboot2 loader does it, so lib/args.h sees here what
 * it sees in the kernel; a column in that line leads back to its place in
 * the file.
 */
#ifndef TOOLS_GRUBCFG_H
#define TOOLS_GRUBCFG_H

#include <stdbool.h>
#include <stddef.h>

struct place {
    unsigned int line, column; /* from 1 */
};

/* Where each word of a module's line came from. */
struct word_origin {
    unsigned int offset; /* in the line */
    struct place place;
};

struct grub_module {
    struct place place; /* of the command */
    char *file;
    struct place file_place;
    char *line; /* what the kernel gets: the words behind the file */
    struct word_origin *origins;
    size_t nr_origins;
};

struct grub_entry {
    char *title; /* "" for what stands outside all entries */
    struct place place;
    char *kernel; /* NULL: it loads none */
    struct place kernel_place;
    struct grub_module *modules;
    size_t nr_modules;
};

struct grub_cfg {
    struct grub_entry *entries; /* the first holds what is outside */
    size_t nr_entries;
    char **commands; /* every command word, once: which modules GRUB needs */
    size_t nr_commands;
    char **insmods;
    size_t nr_insmods;
};

typedef void grub_report(void *context, struct place place,
                         const char *message);

/* Parse text (with a terminating NUL); mistakes go to report. */
void grub_cfg_parse(const char *text, struct grub_cfg *cfg,
                    grub_report *report, void *context);
void grub_cfg_free(struct grub_cfg *cfg);

/* The place of a column (from 1) of a module's line. */
struct place grub_module_place(const struct grub_module *module,
                               unsigned int column);

#endif
