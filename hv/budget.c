/*
 * Budgets.
 */
#include "hv/budget.h"

void budget_init(struct budget *b, uint64_t length, uint64_t period,
                 uint64_t stamp)
{
    *b = (struct budget){ .length = length,
                          .period = period,
                          .end = stamp + period };
}

static void begin_period(struct budget *b, uint64_t stamp)
{
    b->end += ((stamp - b->end) / b->period + 1) * b->period;
    b->used = 0;
}

bool budget_charge(struct budget *b, uint64_t ran, uint64_t stamp)
{
    uint64_t since;

    if (b->exhausted)
        return false;
    if (stamp >= b->end)
        begin_period(b, stamp);
    since = stamp - (b->end - b->period);
    b->used += ran < since ? ran : since;
    b->exhausted = b->used >= b->length;
    return b->exhausted;
}

/* A timer's time is rounded: it may be a few stamps early. */
void budget_refill(struct budget *b, uint64_t stamp)
{
    begin_period(b, stamp > b->end ? stamp : b->end);
    b->exhausted = false;
}

uint64_t budget_left(const struct budget *b, uint64_t stamp)
{
    if (b->exhausted || (stamp < b->end && b->used >= b->length))
        return 0;
    return stamp < b->end ? b->length - b->used : b->length;
}
