/*
 * Completion for bash, printed from the table of commands.
 *
 * Names of domains and channels are asked of the running system; without one
 * there are none to offer.
 */
#include <stdio.h>
#include <string.h>

#include "tools/belfry.h"

static void print_option(const char *name, int key, const char *arg,
                         const char *doc)
{
    (void)arg;
    (void)doc;
    if (key)
        printf(" -%c", key);
    printf(" --%s", name);
}

static const char *words_for(enum complete complete)
{
    switch (complete) {
    case COMPLETE_DOMAIN: return "$(belfry list -q 2>/dev/null)";
    case COMPLETE_CHANNEL: return "$(belfry channels -q 2>/dev/null)";
    case COMPLETE_MODULE: return "$(belfry modules -q 2>/dev/null)";
    case COMPLETE_TARGET:
        return "$(belfry list -q 2>/dev/null; belfry channels -q 2>/dev/null)";
    case COMPLETE_FILE:
    case COMPLETE_NOTHING: break;
    }

    return "";
}

static const char *first_words(const struct command *command)
{
    if (!strcmp(command->name, "store"))
        return "ls read write rm";
    if (!strcmp(command->name, "completion"))
        return "bash";

    return words_for(command->complete);
}

static void print_case(const struct command *command)
{
    printf("    %s)\n        options=\"", command->name);
    options_visit(command, print_option);
    printf(" --help\"\n        words=\"%s\"\n        files=%d ;;\n",
           first_words(command),
           command->complete == COMPLETE_FILE ||
               (command->takes & (TAKES_IMAGE | TAKES_RUN)) != 0);
}

enum status verb_completion(const struct options *options)
{
    if (strcmp(options->args[0], "bash")) {
        complain("completion: only for bash");
        return STATUS_USAGE;
    }
    fputs("_belfry()\n{\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} options= words= files=0\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"", stdout);
    for (size_t i = 0; i < nr_commands; i++)
        printf("%s%s", i ? " " : "", commands[i].name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n"
          "    case ${COMP_WORDS[1]} in\n", stdout);
    for (size_t i = 0; i < nr_commands; i++)
        print_case(&commands[i]);
    fputs("    esac\n"
          "    case $cur in\n"
          "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
          "    *)  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "        [ \"$files\" = 1 ] && "
          "COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
          "    esac\n}\n"
          "complete -o filenames -F _belfry belfry\n", stdout);

    return STATUS_FINE;
}
