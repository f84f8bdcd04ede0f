/*
 * A run as a whole: the line that says when all domains were up, and the end
 * of the machine in batch mode.
 */
#ifndef CONTROL_BATCH_H
#define CONTROL_BATCH_H

#include "guests/control/domains.h"

void batch_start(bool batch);
/* A module that should have become a domain has not. */
void batch_count_unbuilt(void);
/* It may have printed its first line. */
void batch_note_line(struct dom *d);
/* Say once when all have. */
void batch_report(void);
/* It has ended. */
void batch_count_end(const struct dom *d);
/* In batch mode, with nothing left to wait for: stop the machine. */
void batch_check(void);

bool domain_crashed(const struct belfry_domain *i);

#endif
