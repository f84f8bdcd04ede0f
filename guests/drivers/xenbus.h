/*
 * The handshake's words: a device is two directories of the store, and each
 * side tells the other where it stands by the number in its `state`.
 *
 * Paths are directories without a final slash, relative (to our own domain)
 * or absolute.
 */
#ifndef DRIVERS_XENBUS_H
#define DRIVERS_XENBUS_H

#include <stdint.h>

#include <xen/io/xenbus.h>

#define XENBUS_PATH_MAX 128u

/* Where @dir's owner stands; XenbusStateUnknown where there is no such node
 * or no sense in it. */
enum xenbus_state xenbus_state_read(const char *dir);
/* Only if the node still exists: a directory that the toolstack has taken
 * away must not come back.  0 or -Exxx. */
int xenbus_state_write(const char *dir, enum xenbus_state state);
const char *xenbus_state_name(enum xenbus_state state);

/* The number in dir/key, or @otherwise. */
uint64_t xenbus_read_number(const char *dir, const char *key,
                            uint64_t otherwise);
/* The text in dir/key, for mem_free; or NULL. */
char *xenbus_read(const char *dir, const char *key);
__attribute__((format(printf, 3, 4))) int
xenbus_write(const char *dir, const char *key, const char *fmt, ...);

#endif
