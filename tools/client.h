/*
 * A conversation with a running system, through its broker.
 *
 * Replies are untrusted: client_ask returns only those whose envelope is as
 * docs/protocol.md says, and readers of the data take what is missing or of
 * another type as absent.
 */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include <jansson.h>

#include "tools/belfry.h"
#include "tools/buffer.h"
#include "tools/runs.h"

struct client {
    int fd;
    char name[RUN_NAME_SIZE]; /* of the system */
    unsigned int counter;
    struct buffer in;
};

/* Complains if it fails; then there is nothing to close. */
enum status client_open(struct client *client, const char *name);
void client_close(struct client *client);

/*
 * Send the words (a NULL behind the last) and await the reply.  *reply is
 * the whole document on success, to be released, and NULL after a complaint.
 */
enum status client_ask(struct client *client, json_t **reply,
                       const char *const *words);

/* As client_ask, without complaining: *error is what to say, to be freed. */
enum status client_try(struct client *client, json_t **reply, char **error,
                       const char *const *words);

/* Has the other side closed the connection?  Waits so many milliseconds. */
bool client_has_ended(struct client *client, int ms);

#endif
