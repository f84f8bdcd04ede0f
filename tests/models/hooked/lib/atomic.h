/*
 * Takes the place of lib/atomic.h where the rings are built to be explored:
 * every access to shared memory is a call to the checker, which decides when
 * it happens and what it sees.  Only what rings/ uses is here.
 */
#ifndef LIB_ATOMIC_H
#define LIB_ATOMIC_H

#include <stdint.h>

#include "tests/models/hooks.h"

#define MODEL_LOAD(p, order)                                                  \
    ((__typeof__(+*(p)))hook_load(p, sizeof(*(p)), order))

#define read_once(p)        MODEL_LOAD(p, ORDER_RELAXED)
#define write_once(p, v)    hook_store(p, sizeof(*(p)), v, ORDER_RELAXED)
#define load_acquire(p)     MODEL_LOAD(p, ORDER_ACQUIRE)
#define store_release(p, v) hook_store(p, sizeof(*(p)), v, ORDER_RELEASE)
#define load_seq_cst(p)     MODEL_LOAD(p, ORDER_SEQ_CST)
#define store_seq_cst(p, v) hook_store(p, sizeof(*(p)), v, ORDER_SEQ_CST)
#define atomic_or(p, v)     hook_change(p, 0xff, v)
#define atomic_and(p, v)    hook_change(p, v, 0)

#endif
