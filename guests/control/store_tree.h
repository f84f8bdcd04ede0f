/*
 * The store's tree: nodes with values, owners and permissions, quotas per
 * domain, and transactions.  Pure logic: no rings, no machine.
 *
 * The tree is persistent: a change builds new copies of the nodes on the path
 * to the root and leaves the old ones alone, so that
 *   - a change that fails half-way (no memory, quota) has not happened,
 *   - a transaction is a second root, and ends by doing its changes again
 *     on the live one, all of them or none,
 *   - nothing recurses, whatever the depth.
 *
 * Who asks is always given as a domain id.  A privileged domain may do
 * everything; others what owner and permissions of a node allow, as in
 * Xenstore.  Errors are 0 or -Exxx: -EINVAL a bad path; -ENOENT; -EACCES;
 * -EPERM only a privileged domain may; -ENOSPC quota; -ENOMEM; -E2BIG;
 * -EAGAIN a transaction met a conflict.
 */
#ifndef CONTROL_STORE_TREE_H
#define CONTROL_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PATH_MAX  3072u /* Xen's limit of an absolute path */
#define TREE_VALUE_MAX 4096u
#define TREE_PERMS_MAX 6u

#define TREE_READ  1u
#define TREE_WRITE 2u

/* The first permission names the owner, and the access of all who are not
 * named; each further one the access of one domain. */
struct tree_perm {
    uint16_t id;
    uint16_t access;
};

/* What one unprivileged domain may use. */
struct tree_quota {
    uint32_t nodes;
    uint32_t bytes;        /* of nodes, values and unfinished transactions */
    uint32_t value;        /* of one value */
    uint32_t transactions; /* open at the same time */
    uint32_t accesses;     /* of one transaction */
};

struct tree;
struct tree_txn;

/* Something at path changed: called after the change, while both states can
 * be asked about with tree_visible() and tree_was(). */
typedef void tree_changed_fn(void *data, const char *path, bool removed);

/* Hooks: memory, not necessarily zeroed, or NULL. */
void *tree_alloc(size_t size);
void tree_free(void *p);

/* An empty tree: a root owned by domain 0 that all may read.  NULL: no
 * memory. */
struct tree *tree_create(const struct tree_quota *quota, tree_changed_fn *fn,
                         void *data);
void tree_destroy(struct tree *t);

/* Let a domain exist.  -EEXIST, -ENOMEM. */
int tree_domain_add(struct tree *t, uint16_t id, bool privileged);
bool tree_domain_known(const struct tree *t, uint16_t id);
/* It is no more: what it owned goes, its permissions elsewhere are revoked,
 * its transactions end, and those of others will meet a conflict.  Cannot
 * fail; its id may be used again at once. */
void tree_domain_remove(struct tree *t, uint16_t id);
/* What it owns now. */
uint32_t tree_domain_nodes(const struct tree *t, uint16_t id);
uint32_t tree_domain_bytes(const struct tree *t, uint16_t id);
/* Nodes in all, the root included. */
uint32_t tree_nodes(struct tree *t);

/* "/", or components of letters, digits and -_@ with one slash before each. */
bool tree_path_valid(const char *path);

/* In all that follow, x is an open transaction, or NULL for the live tree. */

/* The value stays valid until the next change. */
int tree_read(struct tree *t, struct tree_txn *x, uint16_t who,
              const char *path, const void **value, size_t *length);
/* Creates the node, and those above it, when they are missing. */
int tree_write(struct tree *t, struct tree_txn *x, uint16_t who,
               const char *path, const void *value, size_t length);
/* As write of an empty value, but an existing node stays as it is. */
int tree_mkdir(struct tree *t, struct tree_txn *x, uint16_t who,
               const char *path);
/* With all below.  0 also if it is missing and the node above exists. */
int tree_rm(struct tree *t, struct tree_txn *x, uint16_t who, const char *path);
/*
 * Names of the children, each with its terminator, from byte @offset of the
 * whole list on: as many whole names as fit in @room.  *filled bytes were
 * written, *total is the length of the whole list, *generation changes when
 * the list does.
 */
int tree_list(struct tree *t, struct tree_txn *x, uint16_t who,
              const char *path, size_t offset, char *buf, size_t room,
              size_t *filled, size_t *total, uint64_t *generation);
int tree_get_perms(struct tree *t, struct tree_txn *x, uint16_t who,
                   const char *path, struct tree_perm *perms,
                   unsigned int *count);
/* Domains that do not exist are left out.  Only a privileged domain may
 * change an owner. */
int tree_set_perms(struct tree *t, struct tree_txn *x, uint16_t who,
                   const char *path, const struct tree_perm *perms,
                   unsigned int count);

int tree_txn_start(struct tree *t, uint16_t who, struct tree_txn **x);
/* The transaction is gone afterwards, whatever the result. */
int tree_txn_commit(struct tree_txn *x);
void tree_txn_abort(struct tree_txn *x);

/* May this domain read the node, as it is now or as it was before the change
 * that is being told? */
bool tree_visible(struct tree *t, uint16_t who, const char *path);
/* Did the node exist before that change? */
bool tree_was(struct tree *t, const char *path);

#endif
