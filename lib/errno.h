/*
 * Error numbers: the host's where there is a host, else Xen's table, which
 * has the same values.
 */
#ifndef LIB_ERRNO_H
#define LIB_ERRNO_H

#if __STDC_HOSTED__
#include <errno.h>
#else
#define XEN_ERRNO(name, value) name = value,
enum errno_value {
#include <xen/errno.h>
};
#undef XEN_ERRNO
#endif

#endif
