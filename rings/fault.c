/* Names of faults: see fault.h. */
#include "rings/fault.h"

#include <stddef.h>

const char *ring_fault_name(enum ring_fault fault)
{
    static const char *const names[] = {
        [RING_SOUND] = "has done nothing wrong",
        [RING_FORGED_REQUESTS] = "published more requests than slots are free",
        [RING_FORGED_RESPONSES] = "published more responses than requests",
        [RING_FORGED_PROD] = "published more than there is room for",
        [RING_FORGED_CONS] = "took more than was written",
        [RING_NOT_ATTACHED] = "was never attached",
    };

    if ((size_t)fault >= sizeof(names) / sizeof(names[0]))
        return "has a fault without a name";
    return names[fault];
}
