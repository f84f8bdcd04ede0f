/*
 * Drafts of the store's tree.
 *
 * Invariant: counters of a domain are those of the live tree (used), of the
 * change being made (draft), and what its open transactions keep (pending);
 * a quota is checked against the sum.
 */
#include "guests/control/store_draft.h"

#include "lib/errno.h"
#include "lib/string.h"

/* ---- Looking. ---- */

struct node *draft_walk(struct tree *t, struct node *root, const char *path,
                        unsigned int *depth, const char **rest)
{
    struct node *n = root;

    *depth = 0;
    t->spine[0] = n;
    for (;;) {
        const char *name = path;
        size_t length = path_component(&name);
        bool found;
        uint32_t place;

        *rest = name;
        if (length == 0)
            return n;
        place = node_place(n, name, length, &found);
        if (!found)
            return n;
        n = n->child[place];
        t->spine[++*depth] = n;
        path = name + length;
    }
}

struct node *draft_lookup(struct tree *t, struct node *root, const char *path)
{
    unsigned int depth;
    const char *rest;
    struct node *n = draft_walk(t, root, path, &depth, &rest);

    return *rest ? NULL : n;
}

/* ---- Domains and what they may. ---- */

struct tree_domain *draft_domain(const struct tree *t, uint16_t id)
{
    list_for_each (l, &t->domains) {
        struct tree_domain *d = container_of(l, struct tree_domain, link);

        if (d->id == id)
            return d;
    }
    return NULL;
}

bool draft_privileged(const struct tree *t, uint16_t who)
{
    struct tree_domain *d = draft_domain(t, who);

    return d && d->privileged;
}

unsigned int draft_access(const struct tree *t, const struct node *n,
                          uint16_t who)
{
    if (n->perm[0].id == who || draft_privileged(t, who))
        return TREE_READ | TREE_WRITE;
    for (uint32_t i = 1; i < n->nr_perms; i++)
        if (n->perm[i].id == who)
            return n->perm[i].access;
    return n->perm[0].access;
}

int draft_find(struct tree *t, struct node *root, uint16_t who,
               const char *path, unsigned int access, struct node **out)
{
    unsigned int depth;
    const char *rest;
    struct node *n = draft_walk(t, root, path, &depth, &rest);

    if ((draft_access(t, n, who) & access) != access)
        return -EACCES;
    if (*rest)
        return -ENOENT;
    *out = n;
    return 0;
}

/* ---- Drafts: changes before they are published. ---- */

void draft_begin(struct draft *d, struct tree *t, struct tree_txn *x)
{
    d->tree = t;
    d->txn = x;
    d->root = node_get(x ? x->root : t->root);
    list_for_each (l, &t->domains) {
        struct tree_domain *dom = container_of(l, struct tree_domain, link);

        dom->draft = dom->used;
    }
}

void draft_drop(struct draft *d)
{
    node_put(d->root);
}

void draft_publish(struct draft *d)
{
    struct tree *t = d->tree;

    if (d->txn) {
        node_put(d->txn->root);
        d->txn->root = d->root;
        return;
    }
    list_for_each (l, &t->domains) {
        struct tree_domain *dom = container_of(l, struct tree_domain, link);

        dom->used = dom->draft;
    }
    node_put(t->old);
    t->old = t->root;
    t->root = d->root;
}

static bool over_quota(const struct tree *t, const struct tree_domain *d,
                       const struct usage *live)
{
    return live->nodes + d->pending.nodes > t->quota.nodes ||
           live->bytes + d->pending.bytes > t->quota.bytes;
}

int draft_hold(struct tree_txn *x, uint32_t nodes, uint32_t bytes)
{
    struct tree_domain *d = x->domain;

    d->pending.nodes += nodes;
    d->pending.bytes += bytes;
    x->held.nodes += nodes;
    x->held.bytes += bytes;
    return !d->privileged && over_quota(x->tree, d, &d->used) ? -ENOSPC : 0;
}

/* @owner will have so much more.  Only an unprivileged domain's own doing is
 * refused: the toolstack can always write into a full domain's directory. */
static int charge(struct draft *d, uint16_t who, uint16_t owner, uint32_t nodes,
                  uint32_t bytes)
{
    struct tree_domain *dom = draft_domain(d->tree, owner);

    if (d->txn)
        return draft_hold(d->txn, nodes, bytes);
    if (!dom)
        return 0;
    dom->draft.nodes += nodes;
    dom->draft.bytes += bytes;
    if (draft_privileged(d->tree, who) || dom->privileged)
        return 0;
    return over_quota(d->tree, dom, &dom->draft) ? -ENOSPC : 0;
}

static void discharge(struct draft *d, const struct node *n)
{
    struct tree_domain *dom = draft_domain(d->tree, n->perm[0].id);

    if (!dom || d->txn)
        return;
    dom->draft.nodes--;
    dom->draft.bytes -= node_bytes(n);
}

void draft_discharge(struct draft *d, struct node *top)
{
    struct node *todo = top;

    top->scratch = NULL;
    while (todo) {
        struct node *n = todo;

        todo = n->scratch;
        discharge(d, n);
        for (uint32_t i = 0; i < n->nr_children; i++) {
            n->child[i]->scratch = todo;
            todo = n->child[i];
        }
    }
}

/* Put @leaf (NULL: nothing) in the place of the child @name of spine[depth],
 * and new copies above.  Takes over the reference of @leaf. */
static int rebuild(struct draft *d, unsigned int depth, const char *name,
                   size_t length, struct node *leaf)
{
    struct node **spine = d->tree->spine;

    for (unsigned int i = depth + 1; i-- > 0;) {
        leaf =
            node_with_child(&d->tree->generation, spine[i], name, length, leaf);
        if (!leaf)
            return -ENOMEM;
        name = spine[i]->name;
        length = spine[i]->name_length;
    }
    node_put(d->root);
    d->root = leaf;
    return 0;
}

/* Replace spine[depth] by @copy. */
static int replace(struct draft *d, unsigned int depth, struct node *copy)
{
    if (depth == 0) {
        node_put(d->root);
        d->root = copy;
        return 0;
    }
    return rebuild(d, depth - 1, copy->name, copy->name_length, copy);
}

/* The node at the end of the missing path @rest, with those between it and
 * the existing @above: a chain, returned by its top. */
static int make_chain(struct draft *d, uint16_t who, const struct node *above,
                      const char *rest, struct blob *value, struct node **out)
{
    struct tree *t = d->tree;
    struct node *top = NULL, *bottom = NULL;
    size_t length;

    while ((length = path_component(&rest)) > 0) {
        struct node *n = node_create(rest, length, 1);

        if (!n) {
            node_put(top);
            return -ENOMEM;
        }
        n->generation = ++t->generation;
        n->nr_perms = above->nr_perms;
        memcpy(n->perm, above->perm, sizeof(n->perm));
        if (!draft_privileged(t, who))
            n->perm[0].id = who;
        if (bottom)
            bottom->child[bottom->nr_children++] = n;
        else
            top = n;
        bottom = n;
        rest += length;
        if (*rest == 0)
            n->value = blob_get(value);
        if (charge(d, who, n->perm[0].id, 1, node_bytes(n))) {
            node_put(top);
            return -ENOSPC;
        }
    }
    *out = top;
    return 0;
}

static int draft_create(struct draft *d, uint16_t who, unsigned int depth,
                        const char *rest, struct blob *value)
{
    struct node *chain;
    const char *name = rest;
    size_t length = path_component(&name);
    int err = make_chain(d, who, d->tree->spine[depth], rest, value, &chain);

    if (err)
        return err;
    return rebuild(d, depth, name, length, chain);
}

static int draft_write(struct draft *d, uint16_t who, const char *path,
                       struct blob *value, bool keep)
{
    unsigned int depth;
    const char *rest;
    struct node *copy;
    struct node *n = draft_walk(d->tree, d->root, path, &depth, &rest);
    uint32_t before = node_bytes(n), after;
    int err;

    if (!(draft_access(d->tree, n, who) & TREE_WRITE))
        return -EACCES;
    if (*rest)
        return draft_create(d, who, depth, rest, value);
    if (keep)
        return 0;
    copy = node_with_value(&d->tree->generation, n, blob_get(value));
    if (!copy)
        return -ENOMEM;
    after = node_bytes(copy);
    err = charge(d, who, n->perm[0].id, 0, d->txn ? after : after - before);
    if (err && (d->txn || after > before)) {
        node_put(copy);
        return err;
    }
    return replace(d, depth, copy);
}

static int draft_rm(struct draft *d, uint16_t who, const char *path)
{
    unsigned int depth;
    const char *rest, *name;
    struct node *n = draft_walk(d->tree, d->root, path, &depth, &rest);
    size_t length;

    if (!(draft_access(d->tree, n, who) & TREE_WRITE))
        return -EACCES;
    if (*rest) {
        name = rest;
        length = path_component(&name);
        return name[length] ? -ENOENT : 0; /* only the last one is missing */
    }
    if (depth == 0)
        return -EINVAL;
    draft_discharge(d, n);
    return rebuild(d, depth - 1, n->name, n->name_length, NULL);
}

/* Those that name a living domain; a dead domain's rights must not wait for
 * whoever gets its id. */
static unsigned int living_perms(const struct tree *t,
                                 const struct tree_perm *from,
                                 unsigned int count, struct tree_perm *to)
{
    unsigned int kept = 0;

    for (unsigned int i = 0; i < count; i++)
        if (i == 0 || draft_domain(t, from[i].id))
            to[kept++] = from[i];
    return kept;
}

static int draft_set_perms(struct draft *d, uint16_t who, const char *path,
                           const struct tree_perm *perms, unsigned int count)
{
    struct tree *t = d->tree;
    unsigned int depth;
    const char *rest;
    struct node *copy, *n = draft_walk(t, d->root, path, &depth, &rest);
    bool privileged = draft_privileged(t, who);

    if (*rest)
        return draft_access(t, n, who) & TREE_READ ? -ENOENT : -EACCES;
    if (n->perm[0].id != who && !privileged)
        return -EACCES;
    if (perms[0].id != n->perm[0].id && !privileged)
        return -EPERM;
    if (!draft_domain(t, perms[0].id) || (depth == 0 && perms[0].id != 0))
        return -EINVAL;
    copy = node_with_value(&t->generation, n, blob_get(n->value));
    if (!copy)
        return -ENOMEM;
    copy->nr_perms = living_perms(t, perms, count, copy->perm);
    discharge(d, n);
    (void)charge(d, 0, copy->perm[0].id, 1, node_bytes(copy));
    return replace(d, depth, copy);
}

int draft_apply(struct draft *d, uint16_t who, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_WRITE:
        return draft_write(d, who, c->path, c->value, false);
    case CHANGE_MKDIR:
        return draft_write(d, who, c->path, NULL, true);
    case CHANGE_RM:
        return draft_rm(d, who, c->path);
    case CHANGE_PERMS:
        return draft_set_perms(d, who, c->path, c->perm, c->nr_perms);
    }
    return -EINVAL;
}
