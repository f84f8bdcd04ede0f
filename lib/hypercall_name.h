/* What Xen's hypercalls and their operations are called. */
#ifndef LIB_HYPERCALL_NAME_H
#define LIB_HYPERCALL_NAME_H

#include <stdint.h>

/* "mmu_update"; "hypercall" for a number that is none. */
const char *hypercall_name(uint64_t number);

/* "vcpu_op/is_up": of a call whose first argument says what to do.  NULL for
 * any other call, and for an operation that there is not. */
const char *hypercall_operation_name(uint64_t number, uint32_t operation);

#endif
