/* Waiters are released in order of need, equal needs in order of arrival. */
#include "repl/wait.h"

#include "lib/t.h"

T_TEST("waiters come out by need, then by arrival")
{
    struct list head;
    list_init(&head);
    struct wait_node n[5];
    const lsn needs[5] = {10, 30, 20, 10, 30};
    for (size_t i = 0; i < 5; i++) {
        wait_node_init(&n[i]);
        wait_add(&head, &n[i], needs[i]);
    }
    t_check(wait_pop(&head, 9) == NULL);
    t_check(wait_pop(&head, 10) == &n[0]);
    t_check(wait_pop(&head, 10) == &n[3]);
    t_check(wait_pop(&head, 19) == NULL);
    wait_remove(&n[1]);
    t_check(wait_pop(&head, 100) == &n[2]);
    t_check(wait_pop_any(&head) == &n[4]);
    t_check(wait_pop_any(&head) == NULL);
    t_check(list_is_empty(&head));
}

T_MAIN()
