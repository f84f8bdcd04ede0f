/*
 * The system description: one line a domain (docs/grub.cfg.md).
 *
 * grub.cfg's `module2 FILE key=value ...` reaches the hypervisor as the text
 * after FILE.  `belfry check` and the kernel use this same parser, so what
 * one refuses the other refuses, with the same words.  GRUB moves quotes
 * (`cmdline="a b"` arrives as `"cmdline=a b"`, an inner quote as `\"`): both
 * spellings are accepted everywhere.
 *
 * Keys of a domain line:
 *   name=NAME        letters, digits, '-' and '_'; 1 to 31; required
 *   mem=N[K|M|G]     memory in MiB if no suffix; default: 16 MiB, plus the
 *                    size of the ramdisk, which the builder adds
 *   vcpus=N          1 to 32, default 1
 *   cpus=LIST        CPUs it may run on, e.g. 0,2-3; default all
 *   priority=N       0 to 31, larger first, default 8
 *   budget=N period=N  microseconds; both or neither: at its priority each
 *                    vCPU runs for a budget in a period, then at 0
 *   restart=P        never (default), on-crash or always
 *   cmdline=TEXT     given to the guest as it stands
 *   paused=yes|no    do not start it; an operator will
 *   autostart=yes|no no: the module is only a template for `belfry create`
 *   vbd=BACKEND:DEV  a block device DEV (xvda) served by domain BACKEND
 *   vif=BACKEND      a network device served by domain BACKEND
 *   chan=NAME:PEER   an event channel and a shared page with domain PEER
 * The last three may be given several times, ARGS_MAX_DEVICES together.
 * A ramdisk line has the one key ramdisk=NAME.
 */
#ifndef LIB_ARGS_H
#define LIB_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_NAME_SIZE    32u /* with the terminator */
#define ARGS_CMDLINE_SIZE 512u
#define ARGS_MAX_DEVICES  16u
#define ARGS_MIN_BUDGET   100u      /* microseconds: switches cost some too */
#define ARGS_MAX_PERIOD   10000000u /* microseconds */

enum args_restart { RESTART_NEVER, RESTART_ON_CRASH, RESTART_ALWAYS };

enum args_device_kind { DEVICE_VBD, DEVICE_VIF, DEVICE_CHAN };

struct args_device {
    enum args_device_kind kind;
    char peer[ARGS_NAME_SIZE]; /* backend, or the channel's other domain */
    char name[ARGS_NAME_SIZE]; /* xvda; the channel's name; "" for a vif */
};

struct domain_args {
    char name[ARGS_NAME_SIZE];       /* "" on a ramdisk line */
    char ramdisk_of[ARGS_NAME_SIZE]; /* "" on a domain line */
    uint64_t mem;                    /* bytes, 0 if not given */
    unsigned int vcpus;
    uint64_t cpus; /* bit mask */
    unsigned int priority;
    unsigned int budget, period; /* microseconds; 0: not given */
    enum args_restart restart;
    bool paused, autostart;
    unsigned int nr_devices;
    struct args_device device[ARGS_MAX_DEVICES];
    char cmdline[ARGS_CMDLINE_SIZE];
};

struct args_error {
    unsigned int column; /* of the offending word, from 1, in the line given */
    char message[128];   /* "unknown key 'nmae' (did you mean 'name'?)" */
};

/*
 * Parse one line.  Returns 0, or -EINVAL with *err filled in; *out is then
 * unspecified.  Never writes outside *out whatever the line holds.
 */
int domain_args_parse(const char *line, struct domain_args *out,
                      struct args_error *err);

/* A list of CPUs, "0,2-3", as a mask.  False: it is none. */
bool args_parse_cpus(const char *text, uint64_t *cpus);

/*
 * Split the next word off a line by the quoting rules above.
 *
 * Copies it, unquoted, to word (size bytes with the terminator), sets
 * *column (from 1) to where it began, and moves *pos behind it.  Returns 1,
 * 0 at the end of the line, or -EINVAL (unclosed quote, word too long).
 */
int args_next_word(const char *line, size_t *pos, char *word, size_t size,
                   unsigned int *column);

#endif
