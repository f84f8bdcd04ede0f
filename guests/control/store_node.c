/*
 * Nodes: made, copied, counted, freed.
 *
 * Invariant: children are sorted by name, and every pointer in a node holds
 * one reference.
 */
#include "guests/control/store_node.h"

#include "lib/string.h"

struct blob *blob_create(const void *bytes, size_t length)
{
    struct blob *b = tree_alloc(sizeof(*b) + length);

    if (!b)
        return NULL;
    b->refs = 1;
    b->length = (uint32_t)length;
    memcpy(b->bytes, bytes, length);
    return b;
}

struct blob *blob_get(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

void blob_put(struct blob *b)
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
void node_put(struct node *n)
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

struct node *node_get(struct node *n)
{
    n->refs++;
    return n;
}

struct node *node_create(const char *name, size_t length, uint32_t nr_children)
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

uint32_t node_place(const struct node *n, const char *name, size_t length,
                    bool *found)
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

struct node *node_with_child(uint64_t *generation, const struct node *n,
                             const char *name, size_t length,
                             struct node *child)
{
    bool found;
    uint32_t place = node_place(n, name, length, &found);
    struct node *copy =
        node_create(n->name, n->name_length, n->nr_children + 1);
    uint32_t to = 0;

    if (!copy) {
        node_put(child);
        return NULL;
    }
    node_copy_content(copy, n);
    if (found != (child != NULL))
        copy->generation = ++*generation;
    for (uint32_t i = 0; i <= n->nr_children; i++) {
        if (i == place && child)
            copy->child[to++] = child;
        if (i < n->nr_children && !(i == place && found))
            copy->child[to++] = node_get(n->child[i]);
    }
    copy->nr_children = to;
    return copy;
}

struct node *node_with_value(uint64_t *generation, const struct node *n,
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
    copy->generation = ++*generation;
    for (uint32_t i = 0; i < n->nr_children; i++)
        copy->child[i] = node_get(n->child[i]);
    copy->nr_children = n->nr_children;
    return copy;
}

uint32_t node_bytes(const struct node *n)
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

size_t path_component(const char **path)
{
    const char *end;

    if (**path == '/')
        (*path)++;
    end = *path;
    while (*end && *end != '/')
        end++;
    return (size_t)(end - *path);
}
