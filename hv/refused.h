/*
 * Refused hypercalls can be read later (belfry refused).
 *
 * Code that refuses returns refuse(-Exxx, "a sentence"), or says why with
 * refuse_reason() where the error is another's; the dispatcher then records
 * domain, call, argument, error, reason and rip.  A reason that no error
 * follows is forgotten.
 */
#ifndef HV_REFUSED_H
#define HV_REFUSED_H

#include <stdbool.h>

#include "hv/abi/belfry.h"

struct vcpu;

/* Why the current hypercall is being refused; static text. */
void refuse_reason(const char *text);
static inline int refuse(int error, const char *text)
{
    refuse_reason(text);
    return error;
}
/* The same, for a sentence that is made for the occasion; of a domain the last
 * such is kept. */
__attribute__((format(printf, 1, 2))) void refuse_sentence(const char *fmt,
                                                           ...);
/* The argument that matters, where it is not the first. */
void refuse_argument(uint64_t argument);

/* By the dispatcher, when a call ends with an error; and by calls whose
 * items have a status of their own (grants, multicall).  @call is static. */
void refused_record(struct vcpu *v, const char *call, uint64_t argument,
                    long error);

/* BELFRYOP_refused: copy records with sequence > after into *r in order;
 * returns false when there is none. */
bool refused_next(uint64_t after, struct belfry_refusal *r);

#endif
