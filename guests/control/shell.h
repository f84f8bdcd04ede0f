/* The shell on COM1: the same verbs, in tables. */
#ifndef CONTROL_SHELL_H
#define CONTROL_SHELL_H

#include <stdbool.h>

void shell_start(void);
/* Do a little; true: there is more to do. */
bool shell_work(void);

#endif
