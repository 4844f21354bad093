/* Waiters ordered by the lsn they need: released in order once it is reached. */
#pragma once

#include "base/list.h"
#include "base/types.h"

struct wait_node {
    lsn need;         /* released once this is reached */
    struct list link; /* in a waiter list, ordered by need, equal ones in order of arrival */
};

void wait_node_init(struct wait_node *n);
void wait_add(struct list *head, struct wait_node *n, lsn need);
void wait_remove(struct wait_node *n);
struct wait_node *wait_pop(struct list *head, lsn reached); /* NULL: none is ready */
struct wait_node *wait_pop_any(struct list *head);
