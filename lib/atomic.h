/*
 * Memory orders, in one file.  Everything shared between CPUs or domains is
 * read and written through these names; a call site says which pair it is
 * one end of.
 *
 * read_once/write_once: one access, no ordering, never repeated or torn by
 * the compiler.  load_acquire pairs with store_release.  seq_cst is for the
 * store-buffering pairs of "arm, then look again" (rings/README).
 */
#ifndef LIB_ATOMIC_H
#define LIB_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define read_once(p)        __atomic_load_n(p, __ATOMIC_RELAXED)
#define write_once(p, v)    __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define load_seq_cst(p)     __atomic_load_n(p, __ATOMIC_SEQ_CST)

/*
 * A store and then a barrier: a locked exchange, which compilers make of one
 * store, would fetch a line that another CPU has only after all stores before
 * it; a plain one fetches it meanwhile.  The thread sanitizer knows no
 * barriers that stand alone.
 */
#ifdef __SANITIZE_THREAD__
#define store_seq_cst(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
#else
#define store_seq_cst(p, v)                                                    \
    do {                                                                       \
        __atomic_store_n(p, v, __ATOMIC_RELEASE);                              \
        __atomic_thread_fence(__ATOMIC_SEQ_CST);                               \
    } while (0)
#endif

#define atomic_xchg(p, v)      __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define atomic_add_return(p, v) __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST)
#define atomic_sub_return(p, v) __atomic_sub_fetch(p, v, __ATOMIC_SEQ_CST)

/* The value before; both are full barriers. */
#define atomic_or(p, v)  __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define atomic_and(p, v) __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST)

/* If *p == *old, store v and return true; else load *p into *old. */
#define atomic_cas(p, old, v)                                                  \
    __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST,            \
                                __ATOMIC_SEQ_CST)

/* Bits of an array of 64-bit words, as in Xen's shared pages.  The forms
 * that test are full barriers (a locked instruction). */
static inline bool bit_test(const uint64_t *words, unsigned int bit)
{
    return read_once(&words[bit / 64]) >> (bit % 64) & 1;
}

static inline bool bit_test_and_set(uint64_t *words, unsigned int bit)
{
    uint64_t mask = 1ULL << (bit % 64);

    return __atomic_fetch_or(&words[bit / 64], mask, __ATOMIC_SEQ_CST) & mask;
}

static inline bool bit_test_and_clear(uint64_t *words, unsigned int bit)
{
    uint64_t mask = 1ULL << (bit % 64);

    return __atomic_fetch_and(&words[bit / 64], ~mask, __ATOMIC_SEQ_CST) & mask;
}

#endif
