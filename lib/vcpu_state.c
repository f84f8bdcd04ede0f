#include "lib/vcpu_state.h"

static const char *const names[] = { "running", "runnable", "paused", "offline",
                                     "blocked", "serving",  "calling" };

const char *vcpu_state_name(uint32_t state)
{
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
