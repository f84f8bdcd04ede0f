/*
 * The table of commands and the dispatch through it.
 *
 * Nothing else lists the verbs: usage, completion and the man page's section
 * are printed from this table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"

#define LISTING (TAKES_SYSTEM | TAKES_LISTING)

const struct command commands[] = {
    { "image", "GRUB.CFG", "check a system description and build its image",
      "Prints the domains, their memory and their devices.",
      TAKES_IMAGE | TAKES_OUTPUT | TAKES_MACHINE | TAKES_JSON, 1, 1,
      COMPLETE_FILE, verb_image },
    { "check", "GRUB.CFG", "check a system description",
      "Every mistake is one line: file:line:column, what is wrong, and what "
      "would be right.  Status 1 if there is one.",
      TAKES_IMAGE | TAKES_MACHINE | TAKES_JSON, 1, 1, COMPLETE_FILE,
      verb_check },
    { "unpack", "BZIMAGE FILE", "take the kernel out of a Linux bzImage",
      "Images take a bzImage as it is; this is for what else wants the ELF "
      "file inside it.",
      0, 2, 2, COMPLETE_FILE, verb_unpack },
    { "run", "IMAGE [-- QEMU ARGS]", "boot an image in QEMU",
      "The status is the guests' verdict: 0 pass, 1 fail, 2 the hypervisor "
      "stopped itself; 6 when the time was up.  On a terminal the console is "
      "interactive (Ctrl-A x ends QEMU, Ctrl-A h lists its keys); otherwise "
      "the machine ends when its domains have ended.  The other verbs work "
      "from another terminal meanwhile.",
      TAKES_MACHINE | TAKES_RUN | TAKES_VERBOSE | TAKES_EXTRA,
      1, 1, COMPLETE_FILE, verb_run },
    { "stop", "", "end the running system",
      "The control domain is asked first; a system that does not follow "
      "within 3 seconds is ended with QEMU.",
      TAKES_SYSTEM, 0, 0, COMPLETE_NOTHING, verb_stop },
    { "runs", "", "list the running systems", NULL, TAKES_LISTING, 0, 0,
      COMPLETE_NOTHING, verb_runs },
    { "list", "", "list the domains",
      "CPU% is over the domain's life, with --watch since the last listing.",
      LISTING, 0, 0, COMPLETE_NOTHING, verb_listing },
    { "vcpus", "[DOM]", "list the virtual CPUs", NULL, LISTING, 0, 1,
      COMPLETE_DOMAIN, verb_listing },
    { "channels", "[DOM]", "list the event channels",
      "P/M shows for each end whether its port is pending (P) and masked "
      "(M).  SENT, DELIVERED, COALESCED and THROTTLED are sums of both ends; "
      "-v shows a line for each end.",
      LISTING | TAKES_VERBOSE, 0, 1, COMPLETE_DOMAIN, verb_listing },
    { "rings", "[CHANNEL]", "list the shared rings",
      "A ring that a side did not register shows - where that side knows "
      "more.",
      LISTING, 0, 1, COMPLETE_CHANNEL, verb_listing },
    { "grants", "[DOM]", "list the granted pages", NULL, LISTING, 0, 1,
      COMPLETE_DOMAIN, verb_listing },
    { "refused", "[DOM]", "list the last refused hypercalls", NULL, LISTING, 0,
      1, COMPLETE_DOMAIN, verb_listing },
    { "modules", "", "list the modules that domains are created from", NULL,
      LISTING, 0, 0, COMPLETE_NOTHING, verb_listing },
    { "machine", "", "show the machine's totals", NULL,
      TAKES_SYSTEM | TAKES_JSON, 0, 0, COMPLETE_NOTHING, verb_machine },
    { "log", "[SOURCE]", "print the lines of the hypervisor and the domains",
      "SOURCE is a domain's name or 'hypervisor'.",
      TAKES_SYSTEM | TAKES_JSON | TAKES_FOLLOW, 0, 1, COMPLETE_DOMAIN,
      verb_log },
    { "why", "CHANNEL|DOM", "say why a channel or a domain is stuck",
      "The verdict in a sentence, the evidence, and the next command.  "
      "Status 8 if something is wrong.",
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_TARGET, verb_why },
    { "audit", "", "recount all frames, grants and ports",
      "Status 1 if a stored count differs from the recount.",
      TAKES_SYSTEM | TAKES_JSON, 0, 0, COMPLETE_NOTHING, verb_audit },
    { "store", "ls|read|write|rm PATH [VALUE]", "look into the store", NULL,
      TAKES_SYSTEM | TAKES_JSON, 2, 3, COMPLETE_NOTHING, verb_store },
    { "create", "NAME", "create a domain from its module", NULL,
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_MODULE, verb_domain },
    { "destroy", "DOM", "end a domain at once", NULL,
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_DOMAIN, verb_domain },
    { "restart", "DOM", "destroy a domain and create it anew", NULL,
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_DOMAIN, verb_domain },
    { "pause", "DOM", "stop scheduling a domain", NULL,
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_DOMAIN, verb_domain },
    { "unpause", "DOM", "schedule a domain again", NULL,
      TAKES_SYSTEM | TAKES_JSON, 1, 1, COMPLETE_DOMAIN, verb_domain },
    { "pin", "DOM CPUS", "let a domain run on these CPUs alone",
      "CPUS is a list as in 0,2-3.  vcpus shows where each vCPU may run.",
      TAKES_SYSTEM | TAKES_JSON, 2, 2, COMPLETE_DOMAIN, verb_domain },
    { "console", "DOM", "a domain's console",
      "Ctrl-] leaves.  When input is not a terminal it is typed at the "
      "domain, and the verb ends when the console has been quiet for half a "
      "second.",
      TAKES_SYSTEM, 1, 1, COMPLETE_DOMAIN, verb_console },
    { "raw", "LINE", "send a line to the control domain as it stands",
      "\\xNN in LINE is that byte, and a final \\c leaves the line unended.  "
      "Prints the reply.  For testing.",
      TAKES_SYSTEM, 1, 1, COMPLETE_NOTHING, verb_raw },
    { "completion", "bash", "print the completion script for bash",
      "Use it with: eval \"$(belfry completion bash)\"", 0, 1, 1,
      COMPLETE_NOTHING, verb_completion },
    { "help", "[VERB]", "explain a verb",
      "'help man' prints the verbs' section of the man page.", 0, 0, 1,
      COMPLETE_NOTHING, verb_help },
};

const size_t nr_commands = sizeof(commands) / sizeof(commands[0]);

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < nr_commands; i++) {
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    }

    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("Usage: belfry VERB [OPTION...] [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < nr_commands; i++) {
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
    }
    fputs("\n'belfry VERB --help' explains a verb.\n"
          "Status: 0 fine, 1 failed, 2 usage, 3 no such thing, 4 refused, "
          "5 no system,\n6 timed out, 7 version mismatch, 8 something is "
          "wrong.\n", out);
}

static enum status run_command(const struct command *command, int argc,
                               char **argv)
{
    struct options options = { 0 };
    enum status status;

    options_parse(command, argc, argv, &options);
    status = command->run(&options);
    free(options.args);
    free(options.extra);

    return status;
}

static void print_option_for_man(const char *name, int key, const char *arg,
                                 const char *doc)
{
    if (key)
        printf("\t*-%c*, ", key);
    else
        putchar('\t');
    printf("*--%s*%s%s%s++\n\t%s\n\n", name, arg ? "=_" : "", arg ? arg : "",
           arg ? "_" : "", doc);
}

/* In scdoc's language.  A '_' or '*' in the table would need an escape. */
static void print_man_section(void)
{
    for (size_t i = 0; i < nr_commands; i++) {
        const struct command *c = &commands[i];

        printf("*belfry %s*%s%s\n\n\t%s.\n\n", c->name, *c->args ? " " : "",
               c->args, c->summary);
        if (c->more)
            printf("\t%s\n\n", c->more);
        options_visit(c, print_option_for_man);
    }
}

static enum status help_on(const char *name)
{
    const struct command *command = command_find(name);
    static char verb[32], help[] = "--help"; /* argp exits with them */
    char *argv[] = { verb, help, NULL };

    if (!command) {
        complain("no verb '%s' ('belfry help' lists them)", name);
        return STATUS_USAGE;
    }

    snprintf(verb, sizeof(verb), "%s", name);

    return run_command(command, 2, argv); /* --help ends the program */
}

enum status verb_help(const struct options *options)
{
    if (options->nr_args && !strcmp(options->args[0], "man")) {
        print_man_section();
        return STATUS_FINE;
    }
    if (options->nr_args)
        return help_on(options->args[0]);
    print_overview(stdout);

    return STATUS_FINE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return STATUS_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_overview(stdout);
        return STATUS_FINE;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("belfry " BELFRY_VERSION);
        return STATUS_FINE;
    }

    const struct command *command = command_find(argv[1]);

    if (!command) {
        complain("no verb '%s' ('belfry help' lists them)", argv[1]);
        return STATUS_USAGE;
    }

    return (int)run_command(command, argc - 1, argv + 1);
}
