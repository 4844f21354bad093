/* What the engine tests share: an engine of either driver and short ways to fill it. A test
 * program runs each of its tests once per driver (suite_main). */
#pragma once

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "lib/t.h"

static const char *suite_driver = "mem"; /* of the running test */
static unsigned suite_dir_count;

static inline void suite_dir(char ret[512])
{
    int n = snprintf(ret, 512, "%s/engine-%u", t_tmp_dir(), suite_dir_count);
    ASSERT(n > 0 && n < 512);
}

/* In the directory used last: what a restart does. */
static inline struct engine *suite_reopen(void)
{
    char dir[512];
    suite_dir(dir);
    struct engine *e = NULL;
    struct errinfo ei = {0};
    struct engine_opts opts = {.driver = str_of(suite_driver), .dir = str_of(dir)};
    t_ok_info(engine_open(&opts, &e, &ei), &ei);
    return e;
}

static inline struct engine *suite_open(void)
{
    suite_dir_count++;
    return suite_reopen();
}

static inline bool suite_is_durable(void)
{
    return suite_driver[0] == 'r';
}

/* Applies one batch, synced, and frees it. */
static inline enum err suite_apply(struct engine *e, struct engine_batch *b)
{
    enum err each = OK;
    struct errinfo ei = {0};
    t_ok_info(engine_apply(e, &b, 1, /* sync= */ true, &each, &ei), &ei);
    engine_batch_free(b);
    return each;
}

static inline void suite_report(void *ctx, const char *finding)
{
    UNUSED(ctx);
    t_note("finding: %s", finding);
}

static inline uint64_t suite_verify(struct engine *e)
{
    uint64_t findings = 0;
    struct errinfo ei = {0};
    t_ok_info(engine_verify(e, suite_report, NULL, &findings, &ei), &ei);
    return findings;
}

static inline struct engine_doc suite_doc(lsn at, uint16_t op_idx, const char *text)
{
    return (struct engine_doc){
        .version = {.lsn = at, .op_idx = op_idx, .doc_size = strlen(text)},
        .epoch = 3,
        .rid = 100 + at,
        .ts = 1700000000 + at,
        .hlc = at << 16,
        .origin = 2,
        .text = str_of(text),
    };
}

struct suite_case {
    const char *title;
    t_fn *fn;
};

static inline int suite_main(int argc, char **argv, const struct suite_case *cases, size_t n)
{
    static const char *const names[] = {"mem", "rocksdb"};
    t_start(argc, argv);
    for (size_t d = 0; d < ARRAY_COUNT(names); d++) {
        for (size_t i = 0; i < n; i++) {
            char title[256];
            (void)snprintf(title, sizeof(title), "%s: %s", names[d], cases[i].title);
            suite_driver = names[d];
            t_run(title, cases[i].fn);
        }
    }
    return t_done();
}
#define SUITE_MAIN(cases)                                                                          \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return suite_main(argc, argv, (cases), ARRAY_COUNT(cases));                                \
    }
