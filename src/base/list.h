/* Intrusive doubly linked list. A detached link points to itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/contract.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *pos, struct list *item)
{
    item->next = pos;
    item->prev = pos->prev;
    pos->prev->next = item;
    pos->prev = item;
}

#define list_push_back(head, item) list_insert_before((head), (item))

static inline void list_push_front(struct list *head, struct list *item)
{
    list_insert_before(head->next, item);
}

static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

static inline struct list *list_pop_front(struct list *head)
{
    struct list *first = head->next;
    if (first == head) {
        return NULL;
    }
    list_remove(first);
    return first;
}

#define LIST_ENTRY(ptr, type, member) CONTAINER_OF(ptr, type, member)
/* NOLINTBEGIN(bugprone-macro-parentheses): `var` is a name to declare. */
#define LIST_FOR(var, head) for (struct list *var = (head)->next; var != (head); var = var->next)
#define LIST_FOR_SAFE(var, head)                                                                   \
    for (struct list *var = (head)->next, *var##_next = var->next; var != (head);                  \
         var = var##_next, var##_next = var->next)
/* NOLINTEND(bugprone-macro-parentheses) */
