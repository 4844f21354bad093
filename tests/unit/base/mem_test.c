/* Heap and arena: alignment, contents, reuse, no leaks; list links. */
#include "base/arena.h"
#include "base/contract.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "lib/t.h"

T_TEST("the probe counts what is alive, every way of allocating and freeing")
{
    mem_probe_start();
    char *a = (char *)mem_alloc(0);
    char *b = (char *)mem_zalloc(10);
    char *c = (char *)mem_realloc(NULL, 5);
    c = (char *)mem_realloc(c, 5000);
    char *d = mem_strdup("abc");
    char *e = (char *)mem_dup("x", 0);
    t_eq_i64(mem_live_count(), 5);
    t_eq_cstr(d, "abc");
    t_eq_int(b[9], 0);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free_secret(d, 4);
    mem_free(e);
    mem_free(NULL);
    mem_free_secret(NULL, 4);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("arena memory is aligned, distinct and keeps its contents over many sizes")
{
    enum { COUNT = 600 };
    static unsigned char *objects[COUNT];
    mem_probe_start();
    struct arena a;
    arena_init(&a);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            size_t n = i % 50 == 49 ? 100000 : i * 3;
            objects[i] = (unsigned char *)arena_alloc(&a, n);
            t_eq_u64((uintptr_t)objects[i] % 16, 0);
            memset(objects[i], (int)(i & 0xff), n);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            size_t n = i % 50 == 49 ? 100000 : i * 3;
            for (size_t k = 0; k < n; k += 7) {
                t_eq_u64(objects[i][k], i & 0xff);
            }
        }
        arena_reset(&a);
        t_eq_u64(a.used_size, 0);
        t_check(mem_live_count() <= 1);
    }
    arena_done(&a);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("arena copies strings and formats text short and long")
{
    struct arena a;
    arena_init(&a);
    t_eq_lit(arena_str(&a, STR("a\0b")), "a\0b");
    t_eq_lit(arena_str(&a, STR_NONE), "");
    t_eq_cstr(arena_cstr(&a, STR("abc")), "abc");
    t_eq_cstr(arena_cstr(&a, STR_NONE), "");
    t_eq_lit(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    struct str s = arena_printf(&a, "%0500d", 7);
    t_eq_u64(s.n, 500);
    t_eq_int(s.p[499], '7');
    t_eq_int(s.p[500], '\0');
    int *zeros = ARENA_NEW_ARRAY(&a, int, 100);
    for (int i = 0; i < 100; i++) {
        t_eq_int(zeros[i], 0);
    }
    arena_done(&a);
}

static void exceed_limit(void *arg)
{
    struct arena a;
    arena_init(&a);
    a.limit_size = 1024;
    (void)arena_alloc(&a, *(size_t *)arg);
    arena_done(&a);
}

T_TEST("an arena over its limit aborts, at the limit it does not")
{
    size_t fits = 1024;
    size_t over = 1025;
    t_check(!t_aborts(exceed_limit, &fits));
    t_check(t_aborts(exceed_limit, &over));
}

struct item {
    int v;
    struct list link;
};

static int sum_in_order(struct list *head)
{
    int sum = 0;
    LIST_FOR(at, head) {
        sum = sum * 10 + LIST_ENTRY(at, struct item, link)->v;
    }
    return sum;
}

T_TEST("a list keeps order through pushes, removals and pops")
{
    struct list head;
    list_init(&head);
    t_check(list_is_empty(&head));
    t_check(list_pop_front(&head) == NULL);
    struct item items[4] = {{.v = 1}, {.v = 2}, {.v = 3}, {.v = 4}};
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    list_insert_before(&items[2].link, &items[3].link);
    t_eq_int(sum_in_order(&head), 1243);
    list_remove(&items[3].link);
    t_check(list_is_empty(&items[3].link));
    LIST_FOR_SAFE(at, &head) {
        if (LIST_ENTRY(at, struct item, link)->v == 2) {
            list_remove(at);
        }
    }
    t_eq_int(sum_in_order(&head), 13);
    t_check(list_pop_front(&head) == &items[0].link);
    t_check(list_pop_front(&head) == &items[2].link);
    t_check(list_is_empty(&head));
}

T_MAIN()
