/*
 * The server on COM2: one request a line, one JSON document a line
 * (docs/protocol.md).
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <stdbool.h>

void server_start(void);
/* Do a little; true: there is more to do. */
bool server_work(void);

#endif
