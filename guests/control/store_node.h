/*
 * Nodes of the store's tree, and the paths that name them.
 *
 * Nodes are immutable once others can reach them, and counted: a change makes
 * copies with other content or other children.  What a copy shares with its
 * original (children, values) is counted too.  Functions that take a
 * reference over do so also when they fail.
 */
#ifndef CONTROL_STORE_NODE_H
#define CONTROL_STORE_NODE_H

#include "guests/control/store_tree.h"

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

/* A value: NULL if there is no memory. */
struct blob *blob_create(const void *bytes, size_t length);
struct blob *blob_get(struct blob *b);
void blob_put(struct blob *b);

/* An empty node with room for children, or NULL. */
struct node *node_create(const char *name, size_t length, uint32_t nr_children);
struct node *node_get(struct node *n);
/* Frees what nobody refers to any more, without recursion. */
void node_put(struct node *n);

/* Where the child stands, or would stand. */
uint32_t node_place(const struct node *n, const char *name, size_t length,
                    bool *found);
/*
 * A copy of @n in which the child called @name is @child: put in, replaced,
 * or, if @child is NULL, left out.  Takes over the reference of @child.  The
 * copy has a new generation if the list of names is another.
 */
struct node *node_with_child(uint64_t *generation, const struct node *n,
                             const char *name, size_t length,
                             struct node *child);
/* A copy with another value and a new generation.  Takes over @value. */
struct node *node_with_value(uint64_t *generation, const struct node *n,
                             struct blob *value);
/* What it counts for in a quota. */
uint32_t node_bytes(const struct node *n);

/* The component that *path begins with ("/name..."): its length, and *path
 * moved to the name.  0 at the end. */
size_t path_component(const char **path);

#endif
