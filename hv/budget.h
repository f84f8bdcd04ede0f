/*
 * A budget: so much running time in each period.
 *
 * Times are stamps (timer.h).  Periods follow each other on a grid that
 * begins with budget_init(); what is left of one is lost at its end.  Nothing
 * happens by itself: whoever charges or looks says what time it is.
 */
#ifndef HV_BUDGET_H
#define HV_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct budget {
    uint64_t length, period; /* length 0: there is no limit */
    uint64_t used;           /* in the period that ends at: */
    uint64_t end;
    bool exhausted; /* until budget_refill() */
};

void budget_init(struct budget *b, uint64_t length, uint64_t period,
                 uint64_t stamp);
/* @ran has been used, until @stamp; what of it was in an earlier period does
 * not count.  True if that was the last of it. */
bool budget_charge(struct budget *b, uint64_t ran, uint64_t stamp);
/* The period has ended: it is full again. */
void budget_refill(struct budget *b, uint64_t stamp);
uint64_t budget_left(const struct budget *b, uint64_t stamp);

#endif
