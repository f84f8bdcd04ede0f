/*
 * What a privileged test guest does with other domains: create them from
 * the image's modules, watch them through belfry_op, read their consoles.
 *
 * These tests have no control domain: the test is the initial domain, and
 * the toolstack's small part is here.  A child writes its lines to its
 * console ring, whose page the builder grants to domain 0 under reference
 * 0; child_drain() prints them with the child's name.
 */
#ifndef TEST_PARENT_H
#define TEST_PARENT_H

#include "tests/guest/test.h"

#include <xen/io/console.h>

/* All of them start with size and version. */
#define BELFRY_ARG(type, ...)                                                  \
    {                                                                          \
        .size = sizeof(struct type), .version = BELFRY_ABI_VERSION,            \
        ##__VA_ARGS__                                                          \
    }

struct child {
    unsigned int id;
    uint64_t generation;
    struct xencons_interface *console; /* NULL: not attached */
    struct grant_mapping mapping;
    evtchn_port_t port; /* rings the child: there is room again; 0: none */
    char name[BELFRY_NAME_SIZE];
    char line[128];
    unsigned int length;
};

/* What the hypervisor says of one domain; false if it is no more. */
static inline bool domain_info(unsigned int id, struct belfry_domain *info)
{
    struct belfry_list list = BELFRY_ARG(belfry_list, .first = id, .count = 1,
                                         .domains = info,
                                         .item_size = sizeof(*info));

    return hypercall_belfry_op(BELFRYOP_list, &list) == 0 && list.count == 1 &&
           info->id == id;
}

static inline bool domain_find(const char *name, struct belfry_domain *info)
{
    struct belfry_list list = BELFRY_ARG(belfry_list, .domains = info,
                                         .item_size = sizeof(*info));

    for (;;) {
        list.count = 1;
        if (hypercall_belfry_op(BELFRYOP_list, &list) != 0 || list.count != 1)
            return false;
        if (strcmp(info->name, name) == 0)
            return true;
        list.first = info->id + 1u;
    }
}

static inline long domain_control(unsigned int id, uint64_t generation,
                                  unsigned int action)
{
    struct belfry_control control = BELFRY_ARG(
        belfry_control, .action = action, .id = id, .generation = generation);

    return hypercall_belfry_op(BELFRYOP_control, &control);
}

static inline void machine_info(struct belfry_machine *machine)
{
    *machine = (struct belfry_machine)BELFRY_ARG(belfry_machine);
    BUG_ON(hypercall_belfry_op(BELFRYOP_machine, machine) != 0);
}

static inline uint64_t machine_free_pages(void)
{
    static struct belfry_machine machine;

    machine_info(&machine);
    return machine.free_pages;
}

/* End the domain before its step @kill_at, counted from now; returns how many
 * steps it has made since the last time. */
static inline uint64_t domain_inject(unsigned int id, uint64_t generation,
                                     uint64_t kill_at)
{
    struct belfry_inject a = BELFRY_ARG(belfry_inject, .id = id,
                                        .generation = generation,
                                        .kill_at = kill_at);

    CHECK_EQ(hypercall_belfry_op(BELFRYOP_inject, &a), 0);
    return a.steps;
}

/* ---- The child's console. ---- */
static inline void child_attach(struct child *c, const char *name,
                                unsigned int id, uint64_t generation)
{
    grant_ref_t ref = 0; /* GNTTAB_RESERVED_CONSOLE */
    struct belfry_domain info;

    memset(c, 0, sizeof(*c));
    string_copy(c->name, name, sizeof(c->name));
    c->id = id;
    c->generation = generation;
    if (CHECK_EQ(grant_map((domid_t)id, &ref, 1, false, &c->mapping), 0))
        c->console = c->mapping.address;
    if (CHECK(domain_info(id, &info)))
        CHECK_EQ(event_bind_interdomain((domid_t)id, info.console_port,
                                        &c->port), 0);
}

static inline void child_put(struct child *c, char ch)
{
    if (ch != '\n' && c->length < sizeof(c->line) - 1) {
        if (ch >= ' ')
            c->line[c->length++] = ch;
        return;
    }
    c->line[c->length] = 0;
    printf("[%s] %s\n", c->name, c->line);
    c->length = 0;
}

static inline void child_drain(struct child *c)
{
    uint32_t prod, cons;

    if (!c->console)
        return;
    cons = read_once(&c->console->out_cons);
    prod = load_acquire(&c->console->out_prod);
    if (prod == cons || prod - cons > sizeof(c->console->out))
        return;
    while (cons != prod)
        child_put(c, c->console->out[cons++ & (sizeof(c->console->out) - 1)]);
    store_release(&c->console->out_cons, cons);
    event_send(c->port); /* it may wait for room */
}

static inline void child_detach(struct child *c)
{
    child_drain(c);
    if (c->length > 0)
        child_put(c, '\n');
    if (c->console)
        grant_unmap(&c->mapping);
    c->console = NULL;
    if (c->port)
        CHECK_EQ(event_close(c->port), 0);
    c->port = 0;
}

/* Create from the module of that name; paused. */
static inline bool child_create(struct child *c, const char *name)
{
    struct belfry_create create = BELFRY_ARG(belfry_create);

    string_copy(create.name, name, sizeof(create.name));
    if (!CHECK_EQ(hypercall_belfry_op(BELFRYOP_create, &create), 0)) {
        printf("create %s: %s\n", name, create.text);
        return false;
    }
    child_attach(c, name, create.id, create.generation);
    return true;
}

static inline bool child_start(struct child *c, const char *name)
{
    return child_create(c, name) &&
           CHECK_EQ(domain_control(c->id, c->generation,
                                   BELFRY_CONTROL_UNPAUSE), 0);
}

/* Wait until it has ended: true and *info, or false after @timeout. */
static inline bool child_wait(struct child *c, uint64_t timeout,
                              struct belfry_domain *info)
{
    uint64_t deadline = clock_now() + timeout;

    for (;;) {
        child_drain(c);
        if (!domain_info(c->id, info))
            return false;
        if (info->state == BELFRY_STATE_SHUTDOWN)
            return true;
        if (clock_now() >= deadline)
            return false;
        sleep_ns(1000000);
    }
}

static inline void child_destroy(struct child *c)
{
    child_detach(c);
    CHECK_EQ(domain_control(c->id, c->generation, BELFRY_CONTROL_DESTROY), 0);
}

/* Create and destroy one: what the hypervisor and the runtime allocate for
 * the parent, once, is allocated after this. */
static inline void child_rehearse(const char *name)
{
    struct child c;

    if (child_create(&c, name))
        child_destroy(&c);
}

#endif
