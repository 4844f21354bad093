/* The memory driver's tree: versions are independent of each other and nothing leaks. */
#include "base/mem_probe.h"
#include "base/rng.h"
#include "engine/mem/tree.h"
#include "suite.h"

enum { KEYS = 200, VERSIONS = 12 };

static void check_version(const struct node *root, const uint32_t *want)
{
    for (int is_backward = 0; is_backward < 2; is_backward++) {
        struct tree_walk w;
        struct str key;
        struct str value;
        size_t k = is_backward ? KEYS : 0;
        tree_walk_init(&w, root, STR_NONE, is_backward != 0);
        while (tree_walk_next(&w, &key, &value)) {
            do {
                k = is_backward ? k - 1 : k + 1;
            } while (want[is_backward ? k : k - 1] == 0);
            size_t at = is_backward ? k : k - 1;
            uint64_t number = 0;
            t_check(str_to_u64(str_slice(key, 1, key.n), &number));
            t_eq_u64(number, 1000 + at);
            t_check(str_to_u64(value, &number));
            t_eq_u64(number, want[at]);
        }
        while (is_backward ? k > 0 : k < KEYS) {
            k = is_backward ? k - 1 : k + 1;
            t_eq_u64(want[is_backward ? k : k - 1], 0);
        }
        tree_walk_done(&w);
    }
}

T_TEST("versions stay what they were while the tree goes on")
{
    static uint32_t now[KEYS];
    static uint32_t kept[VERSIONS][KEYS];
    struct node *versions[VERSIONS] = {NULL};
    struct rng rng;
    struct tree t;
    memset(now, 0, sizeof(now));
    memset(kept, 0, sizeof(kept));
    mem_probe_start();
    rng_init(&rng, t_seed());
    tree_init(&t, 1);
    for (uint32_t i = 1; i <= 6000; i++) {
        char key[8];
        char value[16];
        size_t k = rng_below(&rng, KEYS);
        (void)snprintf(key, sizeof(key), "k%zu", 1000 + k);
        if (rng_chance(&rng, 2, 5)) {
            tree_delete(&t, str_of(key));
            now[k] = 0;
        } else {
            (void)snprintf(value, sizeof(value), "%u", i);
            tree_put(&t, str_of(key), str_of(value));
            now[k] = i;
        }
        if (rng_chance(&rng, 1, 40)) {
            size_t v = rng_below(&rng, VERSIONS);
            check_version(versions[v], kept[v]);
            tree_root_unref(versions[v]);
            versions[v] = tree_root_ref(t.root);
            memcpy(kept[v], now, sizeof(now));
        }
    }
    check_version(t.root, now);
    for (size_t v = 0; v < VERSIONS; v++) {
        check_version(versions[v], kept[v]);
        tree_root_unref(versions[v]);
    }
    for (size_t k = 0; k < KEYS; k++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "k%zu", 1000 + k);
        struct cell *c = tree_find(t.root, str_of(key));
        t_eq_bool(c != NULL, now[k] != 0);
        if (c != NULL) {
            cell_unref(c);
        }
        tree_delete(&t, str_of(key));
    }
    t_check(t.root == NULL);
    t_eq_u64(t.size, 0);
    tree_done(&t);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

static size_t depth(const struct tree *t)
{
    struct tree_walk w;
    tree_walk_init(&w, t->root, STR_NONE, false);
    size_t d = w.cap; /* a power of two above the left spine */
    tree_walk_done(&w);
    return d;
}

T_TEST("keys that come in order do not make it deep")
{
    struct tree t;
    tree_init(&t, 1);
    for (unsigned i = 0; i < 50000; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%08u", i);
        tree_put(&t, str_of(key), STR("v"));
    }
    t_check(depth(&t) <= 64);
    tree_done(&t);
}

T_MAIN()
