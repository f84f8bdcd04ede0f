/*
 * The store's tree: persistent nodes, transactions as second roots.
 *
 * Invariant: a node that anyone can reach never changes, but for its
 * reference count; only tree_domain_remove() edits in place, and it dooms
 * every open transaction first.  Counters of a domain are those of the live
 * tree, plus what its open transactions hold.
 */
#include "guests/control/store_draft.h"

#include "lib/errno.h"
#include "lib/list.h"
#include "lib/string.h"

/* ---- What a transaction remembers. ---- */

static int note_access(struct tree_txn *x, const char *path)
{
    size_t length = strlen(path) + 1;
    struct access *a;

    list_for_each (l, &x->accesses)
        if (strcmp(container_of(l, struct access, link)->path, path) == 0)
            return 0;
    if (x->nr_accesses >= x->tree->quota.accesses)
        return -ENOSPC;
    if (draft_hold(x, 0, (uint32_t)(sizeof(*a) + length)))
        return -ENOSPC;
    a = tree_alloc(sizeof(*a) + length);
    if (!a)
        return -ENOMEM;
    memcpy(a->path, path, length);
    list_add_tail(&a->link, &x->accesses);
    x->nr_accesses++;
    return 0;
}

static struct change *change_create(enum change_kind kind, const char *path)
{
    size_t length = strlen(path) + 1;
    struct change *c = tree_alloc(sizeof(*c) + length);

    if (!c)
        return NULL;
    memset(c, 0, sizeof(*c));
    list_init(&c->link);
    c->kind = kind;
    memcpy(c->path, path, length);
    return c;
}

static void change_free(struct change *c)
{
    list_remove(&c->link);
    blob_put(c->value);
    tree_free(c);
}

static void tell(struct tree *t, const struct change *c)
{
    t->changed(t->data, c->path, c->kind == CHANGE_RM);
}

static void told(struct tree *t)
{
    node_put(t->old);
    t->old = NULL;
}

/* Do one change in the live tree and tell of it, or in a transaction and
 * remember it.  Takes over @c. */
static int make_change(struct tree *t, struct tree_txn *x, uint16_t who,
                       struct change *c)
{
    struct draft d;
    int err = x ? note_access(x, c->path) : 0;

    if (!err && x)
        err = draft_hold(x, 0, (uint32_t)(sizeof(*c) + strlen(c->path)));
    if (err) {
        change_free(c);
        return err;
    }
    draft_begin(&d, t, x);
    err = draft_apply(&d, who, c);
    if (err) {
        draft_drop(&d);
        change_free(c);
        return err;
    }
    draft_publish(&d);
    if (x) {
        list_add_tail(&c->link, &x->changes);
        return 0;
    }
    tell(t, c);
    told(t);
    change_free(c);
    return 0;
}

/* ---- The calls. ---- */

static int look(struct tree *t, struct tree_txn *x, uint16_t who,
                const char *path, struct node **n)
{
    int err;

    if (!tree_path_valid(path))
        return -EINVAL;
    err = x ? note_access(x, path) : 0;
    if (err)
        return err;
    return draft_find(t, x ? x->root : t->root, who, path, TREE_READ, n);
}

int tree_read(struct tree *t, struct tree_txn *x, uint16_t who,
              const char *path, const void **value, size_t *length)
{
    struct node *n;
    int err = look(t, x, who, path, &n);

    if (err)
        return err;
    *value = n->value ? (const void *)n->value->bytes : "";
    *length = n->value ? n->value->length : 0;
    return 0;
}

int tree_write(struct tree *t, struct tree_txn *x, uint16_t who,
               const char *path, const void *value, size_t length)
{
    struct change *c;

    if (!tree_path_valid(path))
        return -EINVAL;
    if (length > TREE_VALUE_MAX)
        return -E2BIG;
    if (length > t->quota.value && !draft_privileged(t, who))
        return -ENOSPC;
    c = change_create(CHANGE_WRITE, path);
    if (!c)
        return -ENOMEM;
    c->value = blob_create(value, length);
    if (!c->value) {
        change_free(c);
        return -ENOMEM;
    }
    return make_change(t, x, who, c);
}

int tree_mkdir(struct tree *t, struct tree_txn *x, uint16_t who,
               const char *path)
{
    unsigned int depth;
    const char *rest;
    struct node *n;
    struct change *c;

    if (!tree_path_valid(path))
        return -EINVAL;
    n = draft_walk(t, x ? x->root : t->root, path, &depth, &rest);
    if (*rest == 0 && draft_access(t, n, who) & TREE_WRITE)
        return x ? note_access(x, path) : 0;
    c = change_create(CHANGE_MKDIR, path);
    return c ? make_change(t, x, who, c) : -ENOMEM;
}

int tree_rm(struct tree *t, struct tree_txn *x, uint16_t who, const char *path)
{
    struct change *c;

    if (!tree_path_valid(path))
        return -EINVAL;
    c = change_create(CHANGE_RM, path);
    return c ? make_change(t, x, who, c) : -ENOMEM;
}

int tree_list(struct tree *t, struct tree_txn *x, uint16_t who,
              const char *path, size_t offset, char *buf, size_t room,
              size_t *filled, size_t *total, uint64_t *generation)
{
    struct node *n;
    bool full = false;
    int err = look(t, x, who, path, &n);

    if (err)
        return err;
    *filled = *total = 0;
    *generation = n->generation;
    for (uint32_t i = 0; i < n->nr_children; i++) {
        size_t size = n->child[i]->name_length + 1u;

        if (*total >= offset && *filled + size > room)
            full = true;
        if (*total >= offset && !full) {
            memcpy(buf + *filled, n->child[i]->name, size);
            *filled += size;
        }
        *total += size;
    }
    return 0;
}

int tree_get_perms(struct tree *t, struct tree_txn *x, uint16_t who,
                   const char *path, struct tree_perm *perms,
                   unsigned int *count)
{
    struct node *n;
    int err = look(t, x, who, path, &n);

    if (err)
        return err;
    memcpy(perms, n->perm, n->nr_perms * sizeof(*perms));
    *count = n->nr_perms;
    return 0;
}

int tree_set_perms(struct tree *t, struct tree_txn *x, uint16_t who,
                   const char *path, const struct tree_perm *perms,
                   unsigned int count)
{
    struct change *c;

    if (!tree_path_valid(path) || count == 0)
        return -EINVAL;
    if (count > TREE_PERMS_MAX)
        return -ENOSPC;
    c = change_create(CHANGE_PERMS, path);
    if (!c)
        return -ENOMEM;
    memcpy(c->perm, perms, count * sizeof(*perms));
    c->nr_perms = count;
    return make_change(t, x, who, c);
}

/* ---- Transactions. ---- */

int tree_txn_start(struct tree *t, uint16_t who, struct tree_txn **out)
{
    struct tree_domain *d = draft_domain(t, who);
    struct tree_txn *x;

    if (!d)
        return -EINVAL;
    if (!d->privileged && d->transactions >= t->quota.transactions)
        return -ENOSPC;
    x = tree_alloc(sizeof(*x));
    if (!x)
        return -ENOMEM;
    memset(x, 0, sizeof(*x));
    x->tree = t;
    x->domain = d;
    x->base = node_get(t->root);
    x->root = node_get(t->root);
    list_init(&x->accesses);
    list_init(&x->changes);
    list_add_tail(&x->link, &t->transactions);
    d->transactions++;
    *out = x;
    return 0;
}

void tree_txn_abort(struct tree_txn *x)
{
    list_for_each_safe (a, &x->accesses)
        tree_free(container_of(a, struct access, link));
    list_for_each_safe (c, &x->changes)
        change_free(container_of(c, struct change, link));
    x->domain->pending.nodes -= x->held.nodes;
    x->domain->pending.bytes -= x->held.bytes;
    x->domain->transactions--;
    list_remove(&x->link);
    node_put(x->base);
    node_put(x->root);
    tree_free(x);
}

static uint64_t generation_at(struct tree *t, struct node *root,
                              const char *path)
{
    struct node *n = draft_lookup(t, root, path);

    return n ? n->generation : 0;
}

/* Has anything that it looked at changed since it began? */
static bool conflicts(struct tree_txn *x)
{
    struct tree *t = x->tree;

    if (x->doomed)
        return true;
    if (x->base == t->root)
        return false;
    list_for_each (l, &x->accesses) {
        const char *path = container_of(l, struct access, link)->path;

        if (generation_at(t, x->base, path) != generation_at(t, t->root, path))
            return true;
    }
    return false;
}

/* What the transaction holds is counted again as it is applied. */
static void stop_holding(struct tree_txn *x)
{
    x->domain->pending.nodes -= x->held.nodes;
    x->domain->pending.bytes -= x->held.bytes;
    x->held = (struct usage){ 0, 0 };
}

static int apply_all(struct tree_txn *x)
{
    struct draft d;

    draft_begin(&d, x->tree, NULL);
    list_for_each (l, &x->changes) {
        struct change *c = container_of(l, struct change, link);
        int err = draft_apply(&d, x->domain->id, c);

        if (err) {
            draft_drop(&d);
            return err == -ENOSPC || err == -ENOMEM ? err : -EAGAIN;
        }
    }
    draft_publish(&d);
    return 0;
}

int tree_txn_commit(struct tree_txn *x)
{
    struct tree *t = x->tree;
    int err = conflicts(x) ? -EAGAIN : 0;

    if (!err && !list_empty(&x->changes)) {
        stop_holding(x);
        err = apply_all(x);
        if (!err)
            list_for_each (l, &x->changes)
                tell(t, container_of(l, struct change, link));
        told(t);
    }
    tree_txn_abort(x);
    return err;
}

/* ---- What watchers may ask while they are told. ---- */

bool tree_visible(struct tree *t, uint16_t who, const char *path)
{
    struct node *now = draft_lookup(t, t->root, path);
    struct node *was = t->old ? draft_lookup(t, t->old, path) : NULL;

    return (now && draft_access(t, now, who) & TREE_READ) ||
           (was && draft_access(t, was, who) & TREE_READ);
}

bool tree_was(struct tree *t, const char *path)
{
    return t->old && draft_lookup(t, t->old, path);
}

/* ---- Domains come and go. ---- */

int tree_domain_add(struct tree *t, uint16_t id, bool privileged)
{
    struct tree_domain *d;

    if (draft_domain(t, id))
        return -EEXIST;
    d = tree_alloc(sizeof(*d));
    if (!d)
        return -ENOMEM;
    memset(d, 0, sizeof(*d));
    d->id = id;
    d->privileged = privileged;
    list_add_tail(&d->link, &t->domains);
    return 0;
}

bool tree_domain_known(const struct tree *t, uint16_t id)
{
    return draft_domain(t, id) != NULL;
}

static void revoke(struct node *n, uint16_t id, uint64_t generation)
{
    uint32_t kept = 1;

    for (uint32_t i = 1; i < n->nr_perms; i++)
        if (n->perm[i].id != id)
            n->perm[kept++] = n->perm[i];
    if (kept != n->nr_perms)
        n->generation = generation;
    n->nr_perms = kept;
}

/* Cut the children that @id owns off, in place. */
static void cut_children(struct draft *d, struct node *n, uint16_t id)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n->nr_children; i++) {
        struct node *c = n->child[i];

        if (c->perm[0].id != id) {
            n->child[kept++] = c;
            continue;
        }
        draft_discharge(d, c);
        node_put(c);
    }
    if (kept != n->nr_children)
        n->generation = ++d->tree->generation;
    n->nr_children = kept;
}

/* In place, since it must not fail for want of memory. */
static void purge(struct tree *t, uint16_t id)
{
    struct draft d;
    struct node *todo;

    draft_begin(&d, t, NULL);
    todo = t->root;
    todo->scratch = NULL;
    while (todo) {
        struct node *n = todo;

        todo = n->scratch;
        revoke(n, id, ++t->generation);
        cut_children(&d, n, id);
        for (uint32_t i = 0; i < n->nr_children; i++) {
            n->child[i]->scratch = todo;
            todo = n->child[i];
        }
    }
    draft_publish(&d);
    told(t);
}

void tree_domain_remove(struct tree *t, uint16_t id)
{
    struct tree_domain *d = draft_domain(t, id);

    if (!d)
        return;
    list_for_each_safe (l, &t->transactions) {
        struct tree_txn *x = container_of(l, struct tree_txn, link);

        x->doomed = true;
        if (x->domain == d)
            tree_txn_abort(x);
    }
    purge(t, id);
    list_remove(&d->link);
    tree_free(d);
}

uint32_t tree_domain_nodes(const struct tree *t, uint16_t id)
{
    struct tree_domain *d = draft_domain(t, id);

    return d ? d->used.nodes : 0;
}

uint32_t tree_domain_bytes(const struct tree *t, uint16_t id)
{
    struct tree_domain *d = draft_domain(t, id);

    return d ? d->used.bytes : 0;
}

uint32_t tree_nodes(struct tree *t)
{
    struct node *todo = t->root;
    uint32_t count = 0;

    todo->scratch = NULL;
    while (todo) {
        struct node *n = todo;

        todo = n->scratch;
        count++;
        for (uint32_t i = 0; i < n->nr_children; i++) {
            n->child[i]->scratch = todo;
            todo = n->child[i];
        }
    }
    return count;
}

struct tree *tree_create(const struct tree_quota *quota, tree_changed_fn *fn,
                         void *data)
{
    struct tree *t = tree_alloc(sizeof(*t));

    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->quota = *quota;
    t->changed = fn;
    t->data = data;
    list_init(&t->domains);
    list_init(&t->transactions);
    t->root = node_create("", 0, 0);
    if (!t->root) {
        tree_free(t);
        return NULL;
    }
    t->root->generation = ++t->generation;
    t->root->nr_perms = 1;
    t->root->perm[0] = (struct tree_perm){ .id = 0, .access = TREE_READ };
    return t;
}

void tree_destroy(struct tree *t)
{
    list_for_each_safe (x, &t->transactions)
        tree_txn_abort(container_of(x, struct tree_txn, link));
    list_for_each_safe (d, &t->domains)
        tree_free(container_of(d, struct tree_domain, link));
    node_put(t->root);
    tree_free(t);
}
