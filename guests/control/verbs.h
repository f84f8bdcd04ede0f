/*
 * The verbs of the tool and the shell: one table, each written once.
 *
 * A verb checks everything before it emits anything, so that a failure can
 * still become an error document.
 */
#ifndef CONTROL_VERBS_H
#define CONTROL_VERBS_H

#include "guests/control/domains.h"
#include "guests/control/emit.h"
#include "guests/control/table.h"

/* Exit codes of the tool. */
#define CODE_FAILED    1
#define CODE_USAGE     2
#define CODE_NOT_FOUND 3
#define CODE_REFUSED   4
#define CODE_BAD       8

#define CALL_ARGS 6u

struct call {
    struct emit *emit;
    unsigned int argc; /* without the verb itself */
    const char *argv[CALL_ARGS];
    char what[256];               /* what failed */
    void (*have)(struct emit *e); /* emits the names that would do */
    bool stop;                    /* the machine stops after the reply */
};

struct verb {
    const char *name;
    const char *usage; /* "[DOM]" */
    const char *help;
    const char *schema;
    unsigned int min, max;        /* arguments */
    int (*run)(struct call *c);   /* 0 or a code */
    const struct column *columns; /* of the shell's table, or NULL */
};

extern const struct verb domain_verbs[], channel_verbs[], other_verbs[];

const struct verb *verb_find(const char *name);
/* The i-th of all, NULL: no more. */
const struct verb *verb_at(unsigned int i);
/* Find and run it: 0 or a code, what says more. */
int verb_run(const struct verb *v, struct call *c);

/* For verbs: set what, return the code. */
__attribute__((format(printf, 3, 4))) int call_fail(struct call *c, int code,
                                                    const char *fmt, ...);
/* The hypervisor refused: -Exxx to a code and a sentence. */
int call_refused(struct call *c, int err, const char *what, const char *text);
/* A living domain by name or id; the control domain too. */
int call_domain(struct call *c, const char *arg, struct belfry_domain *out);
/* The same, but not the control domain: it serves the others. */
int call_other(struct call *c, const char *arg, struct dom **out);
bool parse_u64(const char *text, uint64_t *out);
const char *errno_name(int err);

/* All living domains, the control domain first; returns how many. */
unsigned int living(const struct belfry_domain **to, unsigned int room);
void emit_domain_names(struct emit *e);

#endif
