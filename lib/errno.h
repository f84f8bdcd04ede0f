/*
 * Error numbers: the host's where there is a host, else Xen's table, which
 * has the same values, and four that Xen never returns to a guest.
 */
#ifndef LIB_ERRNO_H
#define LIB_ERRNO_H

#if __STDC_HOSTED__
#include <errno.h>
#else
#define XEN_ERRNO(name, value) name = value,
enum errno_value {
#include <xen/errno.h>
    EPIPE = 32,    /* the peer has gone */
    EPROTO = 71,   /* the peer broke the protocol */
    ECANCELED = 125, /* nobody waits for it any more */
    ERESTART = 85, /* inside the hypervisor: call again */
};
#undef XEN_ERRNO
#endif

#endif
