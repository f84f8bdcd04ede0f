/*
 * Options: groups that verbs share, and the one parser for all of them.
 *
 * An option means the same for every verb that takes it.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"

/* Keys of options without a short name. */
enum { KEY_NAME = 0x100, KEY_JSON, KEY_NO_HEADER, KEY_SORT, KEY_WATCH,
       KEY_ROOT, KEY_FILE, KEY_UNCHECKED, KEY_MEM, KEY_CPUS, KEY_ACCEL,
       KEY_BATCH, KEY_INTERACTIVE, KEY_ICOUNT, KEY_SMAP, KEY_UEFI, KEY_GDB,
       KEY_DRY_RUN, KEY_TIMEOUT, KEY_DISK, KEY_ARGS };

struct group {
    unsigned int bit;
    struct argp_option options[16];
};

#define OPTION(NAME, KEY, ARG, DOC)                                            \
    { .name = NAME, .key = KEY, .arg = ARG, .doc = DOC }

static const struct group groups[] = {
    { TAKES_OUTPUT,
      { OPTION("output", 'o', "FILE", "the image to write"),
        OPTION("unchecked", KEY_UNCHECKED, NULL,
               "build in spite of mistakes, to see what the hypervisor says "
               "of them") } },
    { TAKES_IMAGE,
      { OPTION("root", KEY_ROOT, "DIR",
               "where the files of grub.cfg are (default: beside it)"),
        OPTION("file", KEY_FILE, "NAME=PATH",
               "take PATH for the file that grub.cfg calls NAME") } },
    { TAKES_MACHINE,
      { OPTION("mem", KEY_MEM, "SIZE", "memory of the machine, e.g. 512M"),
        OPTION("cpus", KEY_CPUS, "N", "processors of the machine") } },
    { TAKES_RUN,
      { OPTION("name", KEY_NAME, "RUN",
               "what to call this run (default: as the image)"),
        OPTION("detach", 'd', NULL,
               "return when the system answers; 'belfry stop' ends it"),
        OPTION("timeout", KEY_TIMEOUT, "SECONDS",
               "end the machine after that time, with status 6; with -d, how "
               "long to wait for its first answer (default 30)"),
        OPTION("accel", KEY_ACCEL, "auto|tcg|kvm",
               "how QEMU executes; auto takes KVM only where it works"),
        OPTION("icount", KEY_ICOUNT, NULL,
               "the clock counts instructions: every run is the same"),
        OPTION("disk", KEY_DISK, "FILE",
               "boot a copy of the image whose first ramdisk is FILE"),
        OPTION("batch", KEY_BATCH, NULL,
               "end with the domains (default when input is no terminal)"),
        OPTION("interactive", KEY_INTERACTIVE, NULL,
               "stay when the domains have ended"),
        OPTION("args", KEY_ARGS, "TEXT",
               "words for the guests of this run alone"),
        OPTION("smap", KEY_SMAP, NULL,
               "leave SMAP on under TCG, which breaks iretq in guests"),
        OPTION("uefi", KEY_UEFI, NULL, "UEFI firmware instead of a BIOS"),
        OPTION("gdb", KEY_GDB, NULL,
               "wait for gdb, and print the command that attaches it"),
        OPTION("dry-run", KEY_DRY_RUN, NULL,
               "print the QEMU command instead") } },
    { TAKES_SYSTEM,
      { OPTION("name", KEY_NAME, "RUN",
               "which running system (default: the newest)") } },
    { TAKES_FOLLOW,
      { OPTION("follow", 'f', NULL, "go on with what comes") } },
    { TAKES_VERBOSE, { OPTION("verbose", 'v', NULL, "show more") } },
    { TAKES_LISTING | TAKES_JSON,
      { OPTION("json", KEY_JSON, NULL, "one JSON document"),
        OPTION("quiet", 'q', NULL, "names only, or nothing") } },
    { TAKES_LISTING,
      { OPTION("no-header", KEY_NO_HEADER, NULL, "leave out the titles"),
        OPTION("sort", KEY_SORT, "COLUMN",
               "sort by a column; -COLUMN for the largest first"),
        OPTION("watch", KEY_WATCH, "SECONDS", "again and again") } },
};

#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

struct parse {
    const struct command *command;
    struct options *options;
};

void options_visit(const struct command *command, option_visitor *visit)
{
    for (size_t i = 0; i < NR_GROUPS; i++) {
        if (!(groups[i].bit & command->takes))
            continue;
        for (const struct argp_option *o = groups[i].options; o->name; o++)
            visit(o->name, o->key < 0x100 ? o->key : 0, o->arg, o->doc);
    }
}

static double parse_seconds(const char *text, struct argp_state *state)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds > 0) || seconds > 1e6)
        argp_error(state, "'%s' is not a number of seconds", text);

    return seconds;
}

static unsigned int parse_cpus(const char *text, struct argp_state *state)
{
    char *end;
    unsigned long cpus = strtoul(text, &end, 10);

    if (*end || cpus < 1 || cpus > 64)
        argp_error(state, "'%s' is not a number of CPUs (1 to 64)", text);

    return (unsigned int)cpus;
}

static enum accel parse_accel(const char *text, struct argp_state *state)
{
    static const char *const names[] = { "auto", "tcg", "kvm" };

    for (unsigned int i = 0; i < 3; i++) {
        if (!strcmp(text, names[i]))
            return (enum accel)i;
    }
    argp_error(state, "'%s' is none of auto, tcg, kvm", text);

    return ACCEL_AUTO;
}

static void parse_file(const char *text, struct options *options,
                       struct argp_state *state)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || !equals[1])
        argp_error(state, "--file takes NAME=PATH, not '%s'", text);
    if (options->nr_files == MAX_FILE_MAPS)
        argp_error(state, "more than %d --file options", MAX_FILE_MAPS);

    options->files[options->nr_files++] = (struct file_map){
        .name = text,
        .name_length = (size_t)(equals - text),
        .path = equals + 1,
    };
}

static void parse_mem(const char *text, struct options *options,
                      struct argp_state *state)
{
    if (!parse_size(text, &options->mem) || options->mem == 0)
        argp_error(state, "'%s' is not a size (512M, 2G)", text);
}

/* Options of check, image and run. */
static error_t parse_machine_option(int key, char *arg,
                                    struct argp_state *state)
{
    struct parse *parse = state->input;
    struct options *options = parse->options;

    switch (key) {
    case 'o': options->output = arg; return 0;
    case 'd': options->detach = true; return 0;
    case KEY_ROOT: options->root = arg; return 0;
    case KEY_UNCHECKED: options->unchecked = true; return 0;
    case KEY_FILE: parse_file(arg, options, state); return 0;
    case KEY_MEM: parse_mem(arg, options, state); return 0;
    case KEY_CPUS: options->cpus = parse_cpus(arg, state); return 0;
    case KEY_ACCEL: options->accel = parse_accel(arg, state); return 0;
    case KEY_BATCH: options->batch = true; return 0;
    case KEY_INTERACTIVE: options->interactive = true; return 0;
    case KEY_ICOUNT: options->icount = true; return 0;
    case KEY_SMAP: options->smap = true; return 0;
    case KEY_UEFI: options->uefi = true; return 0;
    case KEY_GDB: options->gdb = true; return 0;
    case KEY_DRY_RUN: options->dry_run = true; return 0;
    case KEY_TIMEOUT: options->timeout = parse_seconds(arg, state); return 0;
    case KEY_DISK: options->disk = arg; return 0;
    case KEY_ARGS: options->run_args = arg; return 0;
    }

    return ARGP_ERR_UNKNOWN;
}

static void take_argument(char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct options *options = parse->options;
    bool full = options->nr_args == parse->command->max_args;

    /* argp moves what stood before `--' behind it, in its order: the verb's
     * own arguments come first. */
    if (full && state->quoted && (parse->command->takes & TAKES_EXTRA)) {
        options->extra[options->nr_extra++] = arg;
        return;
    }
    if (full)
        argp_error(state, "one argument too many: '%s'", arg);
    options->args[options->nr_args++] = arg;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct parse *parse = state->input;
    struct options *options = parse->options;

    switch (key) {
    case KEY_NAME: options->name = arg; return 0;
    case 'f': options->follow = true; return 0;
    case 'v': options->verbose = true; return 0;
    case 'q': options->quiet = true; return 0;
    case KEY_JSON: options->json = true; return 0;
    case KEY_NO_HEADER: options->no_header = true; return 0;
    case KEY_SORT: options->sort = arg; return 0;
    case KEY_WATCH: options->watch = parse_seconds(arg, state); return 0;
    case ARGP_KEY_ARG: take_argument(arg, state); return 0;
    case ARGP_KEY_END:
        if (options->nr_args < parse->command->min_args)
            argp_error(state, "%s is missing", parse->command->args);
        return 0;
    }

    return parse_machine_option(key, arg, state);
}

/* All options of a verb as one array, which argp wants. */
static struct argp_option *gather_options(const struct command *command)
{
    struct argp_option *all = allocate(NR_GROUPS * sizeof(groups[0]));
    size_t n = 0;

    for (size_t i = 0; i < NR_GROUPS; i++) {
        if (!(groups[i].bit & command->takes))
            continue;
        for (const struct argp_option *o = groups[i].options; o->name; o++)
            all[n++] = *o;
    }
    memset(&all[n], 0, sizeof(all[n]));

    return all;
}

void options_parse(const struct command *command, int argc, char **argv,
                   struct options *options)
{
    struct parse parse = { command, options };
    char *doc = text_of("Belfry: %s.%s%s", command->summary,
                        command->more ? "\v" : "",
                        command->more ? command->more : "");
    struct argp_option *all = gather_options(command);
    struct argp argp = {
        .options = all,
        .parser = parse_option,
        .args_doc = command->args,
        .doc = doc,
    };
    static char name[48]; /* argp keeps it for its messages */

    snprintf(name, sizeof(name), "belfry %s", command->name);
    options->verb = command->name;
    options->args = allocate((size_t)(argc + 1) * sizeof(char *));
    options->extra = allocate((size_t)(argc + 1) * sizeof(char *));
    argv[0] = name;
    argp_err_exit_status = STATUS_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &parse);
    free(all);
    free(doc);
}
