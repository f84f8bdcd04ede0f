/* The part of spinlock.h that is rare. */
#include "lib/spinlock.h"

void spin_lock_wait(spinlock_t *lock)
{
    do
        while (read_once(&lock->held))
            spin_relax();
    while (!spin_trylock(lock));
}
