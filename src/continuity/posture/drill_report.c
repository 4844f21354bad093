/* Measured figures out of a `holdfast drill --json` file: the worst of its repeats. */
#include <sys/stat.h>

#include "base/files.h"
#include "continuity/posture/figures_int.h"
#include "json/json.h"

enum { DRILL_REPORT_SIZE_MAX = 16 << 20 };

static int64_t i64_of(const struct json *v, const char *key)
{
    int64_t n = -1;
    const struct json *m = json_get(v, str_of(key));
    return m && json_is_integer(m, &n) ? n : -1;
}

/* A file may hold anything: only a plain word is repeated in reports. */
static struct str plain_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((s.p[i] < 'a' || s.p[i] > 'z') && s.p[i] != '-') {
            return STR("fault");
        }
    }
    return s.n > 0 && s.n <= 20 ? s : STR("fault");
}

/* A report of several faults has the fault of each repeat. */
static struct str fault_of(const struct json *repeats, struct str whole)
{
    struct str first = STR_NONE;
    for (size_t i = 0; i < repeats->count; i++) {
        struct str one = whole;
        (void)json_get_str(repeats->items[i], STR("fault"), &one);
        first = i == 0 ? one : first;
        if (!str_eq(one, first)) {
            return STR("several faults");
        }
    }
    return plain_word(first);
}

/* Worst recovery time over the repeats, -1 when one of them has none: it did not recover. */
static int64_t worst_rto(const struct json *repeats)
{
    int64_t worst = 0;
    for (size_t i = 0; i < repeats->count; i++) {
        int64_t ms = i64_of(repeats->items[i], "rto_ms");
        ms = ms >= 0 ? ms : i64_of(repeats->items[i], "client_rto_ms");
        if (ms < 0) {
            return -1;
        }
        worst = ms > worst ? ms : worst;
    }
    return worst;
}

static enum err take(struct posture *p, const struct estate_asset *a, struct str name,
                     const struct json *root, int64_t file_ms, struct errinfo *ei)
{
    const struct json *repeats = json_get(root, STR("repeats"));
    struct str fault = STR_NONE;
    if (!repeats || repeats->type != JSON_ARRAY || repeats->count == 0 ||
        !json_get_str(root, STR("fault"), &fault)) {
        return err_set(ei, ERR_INVALID, STR_FMT " is no report of `holdfast drill --json`",
                       STR_ARG(name));
    }
    struct posture_drill d = {.is_there = true, .at_ms = file_ms, .rpo_ms = 0};
    int64_t at = i64_of(root, "finished_at_ms");
    d.at_ms = at >= 0 ? at : file_ms;
    uint64_t lost = 0;
    uint64_t aside = 0;
    for (size_t i = 0; i < repeats->count; i++) {
        uint64_t n = 0;
        lost += json_get_u64(repeats->items[i], STR("lost"), &n) ? n : 0;
        n = 0;
        aside += json_get_u64(repeats->items[i], STR("in_feed"), &n) ? n : 0;
    }
    d.rto_ms = worst_rto(repeats);
    d.rto_how = arena_printf(p->arena, "worst of %zu x " STR_FMT ", " STR_FMT, repeats->count,
                             STR_ARG(fault_of(repeats, fault)), STR_ARG(name));
    if (lost + aside > 0) {
        /* A drill counts writes; it does not say how old they were. */
        d.rpo_ms = -1;
        d.rpo_how =
            arena_printf(p->arena, "%llu writes lost, %llu in the conflict feed, " STR_FMT,
                         (unsigned long long)lost, (unsigned long long)aside, STR_ARG(name));
    } else {
        d.rpo_how =
            arena_printf(p->arena, "every acknowledged write was there, " STR_FMT, STR_ARG(name));
    }
    struct posture_drill *mine = &p->drills[a->idx];
    if (!mine->is_there || d.at_ms >= mine->at_ms) {
        *mine = d;
    }
    return OK;
}

enum err drill_report_read(struct posture *p, const struct estate_asset *a, const char *path,
                           struct str name, struct errinfo *ei)
{
    struct buf text;
    struct arena arena;
    struct stat st;
    buf_init(&text, DRILL_REPORT_SIZE_MAX);
    arena_init(&arena);
    const struct json *root = NULL;
    struct errinfo why = {0};
    enum err err = files_read(path, &text, ei);
    int64_t file_ms = err == OK && stat(path, &st) == 0 ? (int64_t)st.st_mtime * 1000 : 0;
    if (err == OK) {
        err =
            json_parse(&arena, buf_str(&text),
                       &(struct json_limits){.text_size_max = DRILL_REPORT_SIZE_MAX}, &root, &why);
        if (err != OK) {
            err_set(ei, err, "%s: %s", path, why.message);
        }
    }
    if (err == OK) {
        err = take(p, a, name, root, file_ms, ei);
    }
    arena_done(&arena);
    buf_done(&text);
    return err;
}
