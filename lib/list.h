/* Doubly linked circular lists of embedded nodes. */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member)                                        \
    ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_between(struct list *node, struct list *prev,
                                       struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_add_head(struct list *node, struct list *head)
{
    list_insert_between(node, head, head->next);
}

static inline void list_add_tail(struct list *node, struct list *head)
{
    list_insert_between(node, head->prev, head);
}

/* Leaves the node a list of its own, so removing it twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#define list_for_each(node, head)                                              \
    for (struct list *node = (head)->next; node != (head); node = node->next)

/* The body may remove the node it is given. */
#define list_for_each_safe(node, head)                                         \
    for (struct list *node = (head)->next, *node##_next = node->next;          \
         node != (head); node = node##_next, node##_next = node->next)

#endif
