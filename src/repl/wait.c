/* Ordered waiters: almost every arrival needs the newest lsn, so the search starts at the end. */
#include "repl/wait.h"

#include "base/contract.h"

void wait_node_init(struct wait_node *n)
{
    n->need = 0;
    list_init(&n->link);
}

void wait_add(struct list *head, struct wait_node *n, lsn need)
{
    n->need = need;
    struct list *pos = head;
    while (pos->prev != head && LIST_ENTRY(pos->prev, struct wait_node, link)->need > need) {
        pos = pos->prev;
    }
    list_insert_before(pos, &n->link);
}

void wait_remove(struct wait_node *n)
{
    list_remove(&n->link);
}

struct wait_node *wait_pop(struct list *head, lsn reached)
{
    if (list_is_empty(head)) {
        return NULL;
    }
    struct wait_node *n = LIST_ENTRY(head->next, struct wait_node, link);
    if (n->need > reached) {
        return NULL;
    }
    list_remove(&n->link);
    return n;
}

struct wait_node *wait_pop_any(struct list *head)
{
    return wait_pop(head, UINT64_MAX);
}
