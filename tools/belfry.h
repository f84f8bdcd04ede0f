/*
 * The host tool `belfry`: what its files share.
 *
 * One table of commands (main.c) drives dispatch, usage, bash completion and
 * the man page; a verb is a row of it and one function.
 */
#ifndef TOOLS_BELFRY_H
#define TOOLS_BELFRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses; the control domain's error codes are the same numbers. */
enum status {
    STATUS_FINE,
    STATUS_FAILED,
    STATUS_USAGE,
    STATUS_NOT_FOUND,
    STATUS_REFUSED,     /* by the hypervisor */
    STATUS_UNREACHABLE, /* no system is running */
    STATUS_TIMED_OUT,
    STATUS_VERSION, /* the two sides speak different versions */
    STATUS_WRONG,   /* `why` found something wrong */
};

enum accel { ACCEL_AUTO, ACCEL_TCG, ACCEL_KVM };

#define MAX_FILE_MAPS 16

/* --file NAME=PATH: the file that grub.cfg calls NAME is PATH. */
struct file_map {
    const char *name;
    size_t name_length;
    const char *path;
};

/* Everything the options and arguments of any verb can say. */
struct options {
    const char *verb;
    char **args; /* without options; points into argv */
    int nr_args;
    char **extra; /* behind "--" */
    int nr_extra;

    /* Verbs that talk to a system. */
    const char *name; /* of the run; NULL: the newest */
    bool verbose;

    /* Listings. */
    bool json, quiet, no_header;
    const char *sort;
    double watch; /* seconds, 0: once */
    bool follow;

    /* check and image. */
    const char *root, *output;
    bool unchecked; /* build in spite of mistakes */
    struct file_map files[MAX_FILE_MAPS];
    int nr_files;

    /* check and run. */
    uint64_t mem; /* bytes, 0: not given */
    unsigned int cpus;

    /* run. */
    enum accel accel;
    bool detach, batch, interactive, icount, smap, uefi, gdb, dry_run;
    double timeout; /* seconds, 0: none */
    const char *disk, *run_args;
};

enum complete { COMPLETE_NOTHING, COMPLETE_FILE, COMPLETE_DOMAIN,
                COMPLETE_CHANNEL, COMPLETE_TARGET, COMPLETE_MODULE };

/* Groups of options that a verb takes. */
#define TAKES_SYSTEM  (1u << 0) /* --name */
#define TAKES_LISTING (1u << 1) /* --json -q --no-header --sort --watch */
#define TAKES_JSON    (1u << 2) /* --json -q alone */
#define TAKES_VERBOSE (1u << 3)
#define TAKES_FOLLOW  (1u << 4)
#define TAKES_IMAGE   (1u << 5) /* --root --file */
#define TAKES_OUTPUT  (1u << 6)
#define TAKES_MACHINE (1u << 7) /* --mem --cpus */
#define TAKES_RUN     (1u << 8)
#define TAKES_EXTRA   (1u << 9) /* -- ARGS */

struct command {
    const char *name;
    const char *args;    /* "[DOM]", as in usage */
    const char *summary; /* one line, no full stop */
    const char *more;    /* sentences for --help and the man page, or NULL */
    unsigned int takes;  /* TAKES_* */
    int min_args, max_args;
    enum complete complete; /* what the first argument is */
    enum status (*run)(const struct options *options);
};

extern const struct command commands[];
extern const size_t nr_commands;

const struct command *command_find(const char *name);

/* Parse a verb's arguments (argv[0] is the verb).  Exits by itself on --help
 * (0) and on a mistake (STATUS_USAGE), as argp does. */
void options_parse(const struct command *command, int argc, char **argv,
                   struct options *options);

/* The options of a verb, one call each: long name, short key or 0, argument
 * or NULL, help.  For completion and the man page. */
typedef void option_visitor(const char *name, int key, const char *arg,
                            const char *doc);
void options_visit(const struct command *command, option_visitor *visit);

/* "belfry: ...\n" on stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

/* Memory is short: say so and exit, for there is nothing better to do. */
void *allocate(size_t size);
void *reallocate(void *old, size_t size);
__attribute__((format(printf, 1, 2))) char *text_of(const char *fmt, ...);

/* "16", "16M", "1G" to bytes (MiB without a suffix).  False: not a size. */
bool parse_size(const char *text, uint64_t *bytes);

/* The verbs. */
enum status verb_image(const struct options *options);
enum status verb_check(const struct options *options);
enum status verb_unpack(const struct options *options);
enum status verb_run(const struct options *options);
enum status verb_stop(const struct options *options);
enum status verb_runs(const struct options *options);
enum status verb_listing(const struct options *options);
enum status verb_log(const struct options *options);
enum status verb_why(const struct options *options);
enum status verb_audit(const struct options *options);
enum status verb_machine(const struct options *options);
enum status verb_store(const struct options *options);
enum status verb_domain(const struct options *options);
enum status verb_console(const struct options *options);
enum status verb_raw(const struct options *options);
enum status verb_completion(const struct options *options);
enum status verb_help(const struct options *options);

#endif
