/*
 * `why`: gathers what verdict.h judges.
 */
#ifndef CONTROL_WHY_H
#define CONTROL_WHY_H

#include "guests/control/verbs.h"

int run_why(struct call *c);
/* For the list of names that would do. */
void emit_channel_names(struct emit *e);

#endif
