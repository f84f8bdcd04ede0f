/*
 * A domain's console: what it prints, and what is typed at it.
 *
 * Invariant: memory is bounded; a ring with impossible indices ends this
 * console and nothing else.
 */
#ifndef CONTROL_DOMCON_H
#define CONTROL_DOMCON_H

#include "guests/lib/guest.h"
#include "rings/stream.h"

#define DOMCON_KEPT  8192u /* the last bytes it printed */
#define DOMCON_LINE  200u
#define DOMCON_TYPED 256u

struct domcon {
    bool open, dirty;
    const char *closed_why; /* by a protocol fault; NULL: not */
    domid_t id;
    const char *name;
    evtchn_port_t port;
    struct grant_mapping page;
    struct stream out, in;
    char line[DOMCON_LINE]; /* the line so far */
    uint32_t line_length;
    uint64_t line_since; /* when its first byte came */
    uint64_t first_line; /* when it first spoke, 0: never */
    bool bad_verdict;    /* it printed "verdict: fail" or "broken" */
    char last_line[DOMCON_LINE];
    char typed[DOMCON_TYPED]; /* waits for room in the ring */
    uint32_t nr_typed;
    uint64_t position; /* bytes ever printed */
    char kept[DOMCON_KEPT];
};

/* Serve a domain's console page.  0 or -Exxx, and then nothing is open. */
int domcon_open(struct domcon *c, domid_t id, const char *name,
                evtchn_port_t remote);
/* Read what is left, end the last line, let go of the page. */
void domcon_close(struct domcon *c);
/* Do a little; true: there is more to do. */
bool domcon_work(struct domcon *c);
/* Is nothing in its ring, either way, that a bell would have to announce? */
bool domcon_is_empty(const struct domcon *c);
/* When a partial line wants to be shown; 0: there is none. */
uint64_t domcon_deadline(const struct domcon *c);
/* Type at the domain: how many bytes were taken. */
size_t domcon_type(struct domcon *c, const char *text, size_t n);
/* What was printed from *position on, as far as it is kept; *position moves
 * on.  Bytes, 0 to room. */
size_t domcon_read(const struct domcon *c, uint64_t *position, char *to,
                   size_t room);

#endif
