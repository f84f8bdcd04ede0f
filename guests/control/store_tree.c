/*
 * The store's tree: persistent nodes, transactions as second roots.
 *
 * Invariant: a node that anyone can reach never changes, but for its
 * reference count; only tree_domain_remove() edits in place, and it dooms
 * every open transaction first.  Counters of a domain are those of the live
 * tree, plus what its open transactions hold.
 */
#include "guests/control/store_tree.h"

#include "lib/errno.h"
#include "lib/list.h"
#include "lib/string.h"

/* A value, shared by the copies of its node. */
struct blob {
    uint32_t refs;
    uint32_t length;
    uint8_t bytes[];
};

struct node {
    uint32_t refs;
    uint32_t nr_children;
    uint64_t generation;  /* of its value, permissions and list of names */
    struct node **child;  /* sorted by name */
    struct blob *value;   /* NULL: empty */
    struct node *scratch; /* links nodes that are being freed or walked */
    uint32_t nr_perms;
    struct tree_perm perm[TREE_PERMS_MAX];
    uint32_t name_length;
    char name[];
};

struct usage {
    uint32_t nodes, bytes;
};

struct tree_domain {
    struct list link;
    uint16_t id;
    bool privileged;
    struct usage used;    /* in the live tree */
    struct usage draft;   /* in the change being made */
    struct usage pending; /* in open transactions */
    uint32_t transactions;
};

#define DEPTH_MAX (TREE_PATH_MAX / 2)

struct tree {
    struct node *root;
    struct node *old; /* the root before the change being told */
    uint64_t generation;
    struct list domains;
    struct list transactions;
    struct tree_quota quota;
    tree_changed_fn *changed;
    void *data;
    struct node *spine[DEPTH_MAX + 1]; /* of the last walk, root first */
};

enum change_kind { CHANGE_WRITE, CHANGE_MKDIR, CHANGE_RM, CHANGE_PERMS };

/* One change of a transaction, to be done again on the live tree. */
struct change {
    struct list link;
    enum change_kind kind;
    struct blob *value;
    unsigned int nr_perms;
    struct tree_perm perm[TREE_PERMS_MAX];
    char path[];
};

/* A path that a transaction looked at. */
struct access {
    struct list link;
    char path[];
};

struct tree_txn {
    struct list link;
    struct tree *tree;
    struct tree_domain *domain;
    struct node *base; /* the tree when it began */
    struct node *root; /* the tree as it sees it */
    bool doomed;
    struct usage held; /* its part of domain->pending */
    uint32_t nr_accesses;
    struct list accesses, changes;
};

/* A tree under change: the live one's next root, or a transaction's. */
struct draft {
    struct tree *tree;
    struct tree_txn *txn;
    struct node *root; /* with a reference */
};

/* ---- Values and nodes. ---- */

static struct blob *blob_create(const void *bytes, size_t length)
{
    struct blob *b = tree_alloc(sizeof(*b) + length);

    if (!b)
        return NULL;
    b->refs = 1;
    b->length = (uint32_t)length;
    memcpy(b->bytes, bytes, length);
    return b;
}

static struct blob *blob_get(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

static void blob_put(struct blob *b)
{
    if (b && --b->refs == 0)
        tree_free(b);
}

static void node_free_one(struct node *n)
{
    blob_put(n->value);
    tree_free(n->child);
    tree_free(n);
}

/* Drop a reference; what nobody refers to any more goes, level by level. */
static void node_put(struct node *n)
{
    struct node *dead = NULL;

    if (!n || --n->refs > 0)
        return;
    n->scratch = NULL;
    dead = n;
    while (dead) {
        n = dead;
        dead = n->scratch;
        for (uint32_t i = 0; i < n->nr_children; i++) {
            struct node *c = n->child[i];

            if (--c->refs == 0) {
                c->scratch = dead;
                dead = c;
            }
        }
        node_free_one(n);
    }
}

static struct node *node_get(struct node *n)
{
    n->refs++;
    return n;
}

static struct node *node_create(const char *name, size_t length,
                                uint32_t nr_children)
{
    struct node *n = tree_alloc(sizeof(*n) + length + 1);

    if (!n)
        return NULL;
    memset(n, 0, sizeof(*n));
    n->child = tree_alloc((nr_children + 1) * sizeof(*n->child));
    if (!n->child) {
        tree_free(n);
        return NULL;
    }
    n->refs = 1;
    n->name_length = (uint32_t)length;
    memcpy(n->name, name, length);
    n->name[length] = 0;
    return n;
}

static void node_copy_content(struct node *to, const struct node *from)
{
    to->generation = from->generation;
    to->value = blob_get(from->value);
    to->nr_perms = from->nr_perms;
    memcpy(to->perm, from->perm, sizeof(to->perm));
}

static int name_compare(const struct node *n, const char *name, size_t length)
{
    size_t common = n->name_length < length ? n->name_length : length;
    int order = memcmp(n->name, name, common);

    if (order)
        return order;
    return n->name_length < length ? -1 : n->name_length > length;
}

/* Where the child stands, or would stand. */
static uint32_t child_place(const struct node *n, const char *name,
                            size_t length, bool *found)
{
    uint32_t low = 0, high = n->nr_children;

    *found = false;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = name_compare(n->child[middle], name, length);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * A copy of @n in which the child called @name is @child: put in, replaced,
 * or, if @child is NULL, left out.  Takes over the caller's reference of
 * @child, also when it fails with NULL.
 */
static struct node *node_with_child(struct tree *t, const struct node *n,
                                    const char *name, size_t length,
                                    struct node *child)
{
    bool found;
    uint32_t place = child_place(n, name, length, &found);
    struct node *copy =
        node_create(n->name, n->name_length, n->nr_children + 1);
    uint32_t to = 0;

    if (!copy) {
        node_put(child);
        return NULL;
    }
    node_copy_content(copy, n);
    if (found != (child != NULL))
        copy->generation = ++t->generation;
    for (uint32_t i = 0; i <= n->nr_children; i++) {
        if (i == place && child)
            copy->child[to++] = child;
        if (i < n->nr_children && !(i == place && found))
            copy->child[to++] = node_get(n->child[i]);
    }
    copy->nr_children = to;
    return copy;
}

/* A copy with other content.  Takes over the reference of @value. */
static struct node *node_with_value(struct tree *t, const struct node *n,
                                    struct blob *value)
{
    struct node *copy = node_create(n->name, n->name_length, n->nr_children);

    if (!copy) {
        blob_put(value);
        return NULL;
    }
    node_copy_content(copy, n);
    blob_put(copy->value);
    copy->value = value;
    copy->generation = ++t->generation;
    for (uint32_t i = 0; i < n->nr_children; i++)
        copy->child[i] = node_get(n->child[i]);
    copy->nr_children = n->nr_children;
    return copy;
}

static uint32_t node_bytes(const struct node *n)
{
    return (uint32_t)sizeof(*n) + n->name_length +
           (n->value ? n->value->length : 0);
}

/* ---- Paths. ---- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '@';
}

bool tree_path_valid(const char *path)
{
    size_t length = strnlen(path, TREE_PATH_MAX + 1), name = 0;

    if (length == 0 || length > TREE_PATH_MAX || path[0] != '/')
        return false;
    if (length == 1)
        return true;
    for (size_t i = 1; i < length; i++) {
        if (path[i] == '/') {
            if (name == 0)
                return false;
            name = 0;
        } else if (name_char(path[i])) {
            name++;
        } else {
            return false;
        }
    }
    return name > 0;
}

/* The component that *path begins with ("/name..."): its length, and *path
 * moved to the name.  0 at the end. */
static size_t component(const char **path)
{
    const char *end;

    if (**path == '/')
        (*path)++;
    end = *path;
    while (*end && *end != '/')
        end++;
    return (size_t)(end - *path);
}

/*
 * Walk from @root as far as nodes exist.  t->spine[0 .. *depth] are the nodes
 * met; *rest is what was not found, "" if everything was.
 */
static struct node *walk(struct tree *t, struct node *root, const char *path,
                         unsigned int *depth, const char **rest)
{
    struct node *n = root;

    *depth = 0;
    t->spine[0] = n;
    for (;;) {
        const char *name = path;
        size_t length = component(&name);
        bool found;
        uint32_t place;

        *rest = name;
        if (length == 0)
            return n;
        place = child_place(n, name, length, &found);
        if (!found)
            return n;
        n = n->child[place];
        t->spine[++*depth] = n;
        path = name + length;
    }
}

static struct node *lookup(struct tree *t, struct node *root, const char *path)
{
    unsigned int depth;
    const char *rest;
    struct node *n = walk(t, root, path, &depth, &rest);

    return *rest ? NULL : n;
}

/* ---- Domains and what they may. ---- */

static struct tree_domain *domain_find(const struct tree *t, uint16_t id)
{
    list_for_each (l, &t->domains) {
        struct tree_domain *d = container_of(l, struct tree_domain, link);

        if (d->id == id)
            return d;
    }
    return NULL;
}

static bool is_privileged(const struct tree *t, uint16_t who)
{
    struct tree_domain *d = domain_find(t, who);

    return d && d->privileged;
}

static unsigned int access_of(const struct tree *t, const struct node *n,
                              uint16_t who)
{
    if (n->perm[0].id == who || is_privileged(t, who))
        return TREE_READ | TREE_WRITE;
    for (uint32_t i = 1; i < n->nr_perms; i++)
        if (n->perm[i].id == who)
            return n->perm[i].access;
    return n->perm[0].access;
}

/* Find a node that @who has @access to.  A node that is missing is -ENOENT
 * only for those who could have seen it. */
static int find(struct tree *t, struct node *root, uint16_t who,
                const char *path, unsigned int access, struct node **out)
{
    unsigned int depth;
    const char *rest;
    struct node *n = walk(t, root, path, &depth, &rest);

    if ((access_of(t, n, who) & access) != access)
        return -EACCES;
    if (*rest)
        return -ENOENT;
    *out = n;
    return 0;
}

/* ---- Drafts: changes before they are published. ---- */

static void draft_begin(struct draft *d, struct tree *t, struct tree_txn *x)
{
    d->tree = t;
    d->txn = x;
    d->root = node_get(x ? x->root : t->root);
    list_for_each (l, &t->domains) {
        struct tree_domain *dom = container_of(l, struct tree_domain, link);

        dom->draft = dom->used;
    }
}

static void draft_drop(struct draft *d)
{
    node_put(d->root);
}

static void draft_publish(struct draft *d)
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

/* Memory that an open transaction of the domain keeps. */
static int hold(struct tree_txn *x, uint32_t nodes, uint32_t bytes)
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
static int charge(struct draft *d, uint16_t who, uint16_t owner,
                  uint32_t nodes, uint32_t bytes)
{
    struct tree_domain *dom = domain_find(d->tree, owner);

    if (d->txn)
        return hold(d->txn, nodes, bytes);
    if (!dom)
        return 0;
    dom->draft.nodes += nodes;
    dom->draft.bytes += bytes;
    if (is_privileged(d->tree, who) || dom->privileged)
        return 0;
    return over_quota(d->tree, dom, &dom->draft) ? -ENOSPC : 0;
}

static void discharge(struct draft *d, const struct node *n)
{
    struct tree_domain *dom = domain_find(d->tree, n->perm[0].id);

    if (!dom || d->txn)
        return;
    dom->draft.nodes--;
    dom->draft.bytes -= node_bytes(n);
}

static void discharge_tree(struct draft *d, struct node *top)
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
        leaf = node_with_child(d->tree, spine[i], name, length, leaf);
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

    while ((length = component(&rest)) > 0) {
        struct node *n = node_create(rest, length, 1);

        if (!n) {
            node_put(top);
            return -ENOMEM;
        }
        n->generation = ++t->generation;
        n->nr_perms = above->nr_perms;
        memcpy(n->perm, above->perm, sizeof(n->perm));
        if (!is_privileged(t, who))
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
    size_t length = component(&name);
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
    struct node *n = walk(d->tree, d->root, path, &depth, &rest);
    uint32_t before = node_bytes(n), after;
    int err;

    if (!(access_of(d->tree, n, who) & TREE_WRITE))
        return -EACCES;
    if (*rest)
        return draft_create(d, who, depth, rest, value);
    if (keep)
        return 0;
    copy = node_with_value(d->tree, n, blob_get(value));
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
    struct node *n = walk(d->tree, d->root, path, &depth, &rest);
    size_t length;

    if (!(access_of(d->tree, n, who) & TREE_WRITE))
        return -EACCES;
    if (*rest) {
        name = rest;
        length = component(&name);
        return name[length] ? -ENOENT : 0; /* only the last one is missing */
    }
    if (depth == 0)
        return -EINVAL;
    discharge_tree(d, n);
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
        if (i == 0 || domain_find(t, from[i].id))
            to[kept++] = from[i];
    return kept;
}

static int draft_set_perms(struct draft *d, uint16_t who, const char *path,
                           const struct tree_perm *perms, unsigned int count)
{
    struct tree *t = d->tree;
    unsigned int depth;
    const char *rest;
    struct node *copy, *n = walk(t, d->root, path, &depth, &rest);
    bool privileged = is_privileged(t, who);

    if (*rest)
        return access_of(t, n, who) & TREE_READ ? -ENOENT : -EACCES;
    if (n->perm[0].id != who && !privileged)
        return -EACCES;
    if (perms[0].id != n->perm[0].id && !privileged)
        return -EPERM;
    if (!domain_find(t, perms[0].id) || (depth == 0 && perms[0].id != 0))
        return -EINVAL;
    copy = node_with_value(t, n, blob_get(n->value));
    if (!copy)
        return -ENOMEM;
    copy->nr_perms = living_perms(t, perms, count, copy->perm);
    discharge(d, n);
    (void)charge(d, 0, copy->perm[0].id, 1, node_bytes(copy));
    return replace(d, depth, copy);
}

static int draft_apply(struct draft *d, uint16_t who, const struct change *c)
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
    if (hold(x, 0, (uint32_t)(sizeof(*a) + length)))
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
        err = hold(x, 0, (uint32_t)(sizeof(*c) + strlen(c->path)));
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
    return find(t, x ? x->root : t->root, who, path, TREE_READ, n);
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
    if (length > t->quota.value && !is_privileged(t, who))
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
    n = walk(t, x ? x->root : t->root, path, &depth, &rest);
    if (*rest == 0 && access_of(t, n, who) & TREE_WRITE)
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
    struct tree_domain *d = domain_find(t, who);
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
    struct node *n = lookup(t, root, path);

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
    struct node *now = lookup(t, t->root, path);
    struct node *was = t->old ? lookup(t, t->old, path) : NULL;

    return (now && access_of(t, now, who) & TREE_READ) ||
           (was && access_of(t, was, who) & TREE_READ);
}

bool tree_was(struct tree *t, const char *path)
{
    return t->old && lookup(t, t->old, path);
}

/* ---- Domains come and go. ---- */

int tree_domain_add(struct tree *t, uint16_t id, bool privileged)
{
    struct tree_domain *d;

    if (domain_find(t, id))
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
    return domain_find(t, id) != NULL;
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
        discharge_tree(d, c);
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
    struct tree_domain *d = domain_find(t, id);

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
    struct tree_domain *d = domain_find(t, id);

    return d ? d->used.nodes : 0;
}

uint32_t tree_domain_bytes(const struct tree *t, uint16_t id)
{
    struct tree_domain *d = domain_find(t, id);

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
