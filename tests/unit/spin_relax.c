/* What waits for a lock in a host test merely pauses. */
#include "lib/spinlock.h"

void spin_relax(void)
{
    __builtin_ia32_pause();
}
