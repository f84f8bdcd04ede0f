/*
 * rings/call.c, with each of its points a step of the injector.  It stands
 * before the library at the link, so that this one is taken.
 */
#include "tests/guest/chains/chains.h"

#define CALL_POINT(name) chain_point(name)

#include "rings/call.c"
