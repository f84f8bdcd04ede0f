/* The size of the table in hypercall.c: numbers from here on are -ENOSYS. */
#ifndef X86_HYPERCALL_TABLE_H
#define X86_HYPERCALL_TABLE_H

#define NR_HYPERCALLS 56

#endif
