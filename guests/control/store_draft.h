/*
 * Drafts: changes to the store's tree before they are published, with
 * permissions and quotas.  Inside of store_tree: nobody else includes this.
 *
 * A draft holds a root of its own.  Dropping it undoes everything; publishing
 * it makes it the live tree, or the tree of its transaction.
 */
#ifndef CONTROL_STORE_DRAFT_H
#define CONTROL_STORE_DRAFT_H

#include "guests/control/store_node.h"
#include "lib/list.h"

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

/*
 * Walk from @root as far as nodes exist.  t->spine[0 .. *depth] are the nodes
 * met; *rest is what was not found, "" if everything was.
 */
struct node *draft_walk(struct tree *t, struct node *root, const char *path,
                        unsigned int *depth, const char **rest);
/* The node at @path, or NULL. */
struct node *draft_lookup(struct tree *t, struct node *root, const char *path);
/* Find a node that @who has @access to.  A node that is missing is -ENOENT
 * only for those who could have seen it. */
int draft_find(struct tree *t, struct node *root, uint16_t who,
               const char *path, unsigned int access, struct node **out);
unsigned int draft_access(const struct tree *t, const struct node *n,
                          uint16_t who);

struct tree_domain *draft_domain(const struct tree *t, uint16_t id);
bool draft_privileged(const struct tree *t, uint16_t who);
/* Memory that an open transaction of the domain keeps: -ENOSPC beyond its
 * quota. */
int draft_hold(struct tree_txn *x, uint32_t nodes, uint32_t bytes);
/* The nodes from @top down are no longer their owners'. */
void draft_discharge(struct draft *d, struct node *top);

void draft_begin(struct draft *d, struct tree *t, struct tree_txn *x);
void draft_drop(struct draft *d);
void draft_publish(struct draft *d);
/* 0, or -Exxx and the draft is to be dropped. */
int draft_apply(struct draft *d, uint16_t who, const struct change *c);

#endif
