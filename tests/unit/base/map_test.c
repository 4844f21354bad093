/* The map against a plain array, with random puts and removes; and its iteration order. */
#include "base/map.h"

#include <stdio.h>

#include "base/mem_probe.h"
#include "base/rng.h"
#include "lib/t.h"

T_TEST("an empty map has nothing and iterates over nothing")
{
    struct map m;
    map_init(&m);
    t_check(map_get(&m, STR("a")) == NULL);
    t_check(map_remove(&m, STR("a")) == NULL);
    t_check(map_first(&m) == NULL);
    map_clear(&m);
    map_done(&m);
}

T_TEST("keys are bytes: the empty one, and those with NUL, are keys like others")
{
    struct map m;
    int x;
    int y;
    int z;
    map_init(&m);
    t_check(map_put(&m, STR(""), &x) == NULL);
    t_check(map_put(&m, STR("a\0"), &y) == NULL);
    t_check(map_put(&m, STR("a"), &z) == NULL);
    t_check(map_get(&m, STR_NONE) == &x);
    t_check(map_get(&m, STR("a\0")) == &y);
    t_check(map_put(&m, STR("a"), &x) == &z);
    t_check(map_get(&m, STR("a")) == &x);
    t_eq_u64(m.count, 3);
    map_done(&m);
}

enum { KEY_COUNT = 300 };

struct model {
    int order[KEY_COUNT * 2]; /* keys in insertion order */
    size_t count;
    int values[KEY_COUNT]; /* addresses of these are the values */
    void *now[KEY_COUNT];  /* NULL = absent */
};

static void compare(const struct map *m, const struct model *model)
{
    t_eq_u64(m->count, model->count);
    size_t i = 0;
    for (struct map_entry *e = map_first(m); e != NULL; e = map_next(e)) {
        char key[16];
        t_check(i < model->count);
        int n = snprintf(key, sizeof(key), "key%d", model->order[i]);
        t_eq_str(map_key(e), str_make(key, (size_t)n));
        t_check(map_value(e) == model->now[model->order[i]]);
        i++;
    }
    t_eq_u64(i, model->count);
}

T_TEST("random puts and removes agree with a plain array, order included")
{
    static struct model model;
    struct rng rng;
    struct map m;
    mem_probe_start();
    rng_init(&rng, t_seed());
    map_init(&m);
    for (int step = 0; step < 20000; step++) {
        int k = (int)rng_below(&rng, KEY_COUNT);
        char text[16];
        int n = snprintf(text, sizeof(text), "key%d", k);
        struct str key = str_make(text, (size_t)n);
        t_check(map_get(&m, key) == model.now[k]);
        if (rng_chance(&rng, 1, 2)) {
            void *value = &model.values[rng_below(&rng, KEY_COUNT)];
            t_check(map_put(&m, key, value) == model.now[k]);
            if (model.now[k] == NULL) {
                model.order[model.count++] = k;
            }
            model.now[k] = value;
        } else {
            t_check(map_remove(&m, key) == model.now[k]);
            for (size_t i = 0; model.now[k] != NULL && i < model.count; i++) {
                if (model.order[i] == k) {
                    memmove(&model.order[i], &model.order[i + 1],
                            (model.count - i - 1) * sizeof(int));
                    model.count--;
                    break;
                }
            }
            model.now[k] = NULL;
        }
        if (step % 500 == 0) {
            compare(&m, &model);
        }
    }
    compare(&m, &model);
    map_clear(&m);
    t_eq_u64(m.count, 0);
    map_done(&m);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_MAIN()
