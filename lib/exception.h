/* What the processor's exceptions are called. */
#ifndef LIB_EXCEPTION_H
#define LIB_EXCEPTION_H

#include <stdint.h>

#define NR_EXCEPTIONS 32u

/* "page fault"; "interrupt" for a vector that is none. */
const char *exception_name(uint32_t vector);

#endif
