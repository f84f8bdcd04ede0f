/*
 * Running systems, found by their sockets.
 *
 * A run NAME has NAME.sock (its broker listens), and when detached NAME.log
 * (its console), in $XDG_RUNTIME_DIR/belfry or /tmp/belfry-UID.  A socket
 * that nobody listens on is left over from a broker that was killed: whoever
 * meets it removes it.
 */
#ifndef TOOLS_RUNS_H
#define TOOLS_RUNS_H

#include <stddef.h>
#include <time.h>

#include "tools/belfry.h"

#define RUN_NAME_SIZE 64

struct run {
    char name[RUN_NAME_SIZE];
    struct timespec started;
};

/* The directory, made if it is not there and ours alone; NULL after a
 * complaint.  Stays valid. */
const char *runs_dir(void);
/* "DIR/NAME.SUFFIX", to be freed; NULL after a complaint. */
char *runs_path(const char *name, const char *suffix);

/* A name for a new run of that image: wanted, or the image's own name, with
 * a number behind it if that is taken.  False after a complaint: wanted is
 * taken or no name. */
bool runs_choose_name(const char *image, const char *wanted,
                      char name[RUN_NAME_SIZE]);

/* Connect to a run's broker.  name NULL: the newest.  Returns the socket, or
 * minus a status after a complaint; found gets the name. */
int runs_connect(const char *name, char found[RUN_NAME_SIZE]);

/* All that live, newest first; *runs is to be freed. */
size_t runs_list(struct run **runs);

/* Listen under a name.  The socket, or -1 after a complaint. */
int runs_listen(const char *name);

#endif
