/*
 * What the code under exploration calls instead of touching shared memory.
 * explore.c and relacy.cc each implement these four.
 */
#ifndef TESTS_MODELS_HOOKS_H
#define TESTS_MODELS_HOOKS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum order { ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_SEQ_CST };

uint32_t hook_load(const void *p, uint32_t size, enum order order);
void hook_store(void *p, uint32_t size, uint32_t value, enum order order);
/* One byte becomes what it was, and @keep, or @set; returns what it was.  A
 * full barrier. */
uint32_t hook_change(uint8_t *p, uint8_t keep, uint8_t set);
/* One of the two is in the shared page, the other is the caller's. */
void hook_copy(void *to, const void *from, size_t n);

#ifdef __cplusplus
}
#endif

#endif
