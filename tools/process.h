/*
 * Programs that the tool starts.
 */
#ifndef TOOLS_PROCESS_H
#define TOOLS_PROCESS_H

#include <stdbool.h>

/* Run a program to its end without input.  Its output is shown only if it
 * fails.  False, after a complaint, if it does; package says what to install
 * when it is not there. */
bool process_run(char *const argv[], const char *package);

/* The command as one would type it at a shell. */
void process_print(char *const argv[]);

/* A new directory for temporary files; the caller frees the name. */
char *process_temp_dir(void);

#endif
