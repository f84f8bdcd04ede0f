/*
 * The domains: those that live, with what is served to each; the last that
 * ended, with why; and the modules that more can be made from.
 *
 * All policy about life and death is here: starting what GRUB loaded,
 * reporting ends, restarting by the rule of the domain's line, and in batch
 * mode stopping the machine when all work is done.
 */
#ifndef CONTROL_DOMAINS_H
#define CONTROL_DOMAINS_H

#include "guests/control/domcon.h"
#include "guests/control/store_ring.h"
#include "lib/args.h"

#define DOMAINS_MAX 64u
#define ENDED_MAX   32u
#define ENDED_TAIL  2048u

/* A module2 line, understood. */
struct module {
    bool valid;
    struct domain_args args;
    /* Restarting, by its rule. */
    uint64_t restart_at; /* 0: not planned */
    uint32_t quick_ends; /* in a row: each doubles the wait */
};

struct dom {
    struct belfry_domain info; /* as of the last look */
    struct module *module;     /* NULL: none has its name */
    bool seen;                 /* in the present look */
    bool started;              /* by us or an operator */
    bool noted;                /* its first line was */
    struct domcon console;
    struct store_ring ring;
};

struct ended {
    struct belfry_domain info; /* its last; reason and ended are set */
    char why[224];             /* "crashed: page fault at 0x8 in f+0x1c" */
    char last_line[DOMCON_LINE];
    char tail[ENDED_TAIL]; /* the last it printed */
    uint32_t tail_length;
};

extern struct dom *doms[DOMAINS_MAX]; /* NULL: free; the control domain is
                                         not among them */
extern struct module modules[DOMAINS_MAX];
extern unsigned int nr_modules;
extern struct belfry_domain own_info; /* the control domain's */

#define for_each_dom(d)                                                        \
    for (unsigned int d##_i = 0; d##_i < DOMAINS_MAX; d##_i++)                 \
        for (struct dom *d = doms[d##_i]; d; d = NULL)

void domains_start(bool batch);
/* Serve consoles and stores, a little each; true: there is more to do. */
bool domains_work(void);
/* Look for changes if the hypervisor has told of any; restart what is due. */
void domains_check(void);
/* The same, now. */
void domains_look(void);
/* When domains_work or domains_check has something to do; 0: never. */
uint64_t domains_deadline(void);

struct dom *dom_by_id(uint32_t id);
struct dom *dom_by_name(const char *name);
/* Remember the end of a domain (ended.c). */
const struct ended *ended_remember(const struct dom *d);
/* The latest of them, NULL: none known. */
const struct ended *ended_by_name(const char *name);
const struct ended *ended_by_id(uint32_t id, uint64_t generation);
/* The i-th of those remembered, from the oldest; NULL: no more. */
const struct ended *ended_at(unsigned int i);
/* The line of what it printed last that begins at *at, safe to show; *at
 * moves behind it.  False: there is none. */
bool ended_line(const struct ended *e, uint32_t *at, char *to, size_t size);
/* The name of a domain that lives or has lived under this id. */
const char *domain_name(uint32_t id, char *buf, size_t size);

/* End it on an operator's wish: 0 or -Exxx, text says what failed. */
int domain_end(struct dom *d, char *text);
/* Build one from the module of that name, wire and start it. */
int domain_make(const char *name, uint32_t *id, uint64_t *generation,
                char *text);

#endif
