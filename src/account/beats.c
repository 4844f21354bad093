/* Heartbeats as the coordinator keeps them. See beats.h; coordio.c writes them. */
#include "account/beats.h"

#include <stdio.h>

#include "base/arena.h"

enum {
    LEASE_MS_MAX = 3600000,
    HEARD_LEASES = 2,
    HEARD_CLOCKS_MS = 1000,
};

unsigned beat_reads(const struct json *beat)
{
    uint64_t n = 0;
    if (!json_get_u64(beat, STR("record_format"), &n) || n < RECORD_FORMAT_UNSAID) {
        return RECORD_FORMAT_UNSAID;
    }
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}

bool beat_could_open(const struct json *beat)
{
    bool b = false;
    /* Programs that do not say it say only whether there is nothing to hand in either. */
    if (!json_get_bool(beat, STR("could_open"), &b)) {
        (void)json_get_bool(beat, STR("is_whole"), &b);
    }
    return b;
}

bool beat_is_old(const struct account_beat *b, int64_t wall_ms)
{
    int64_t limit_ms = HEARD_CLOCKS_MS + (int64_t)HEARD_LEASES * b->lease_ms;
    return !b->is_said || (b->wall_ms != 0 && wall_ms - b->wall_ms > limit_ms);
}

enum err beats_check_transfer(const struct account_beats *b, const struct account_record *from,
                              const struct account_record *to, int64_t wall_ms, struct errinfo *ei)
{
    bool begins = to->phase == PHASE_TRANSFER && from->phase != PHASE_TRANSFER;
    const struct account_lag *lag = begins && b != NULL ? &b->behind[to->transfer_to] : NULL;
    if (lag == NULL || lag->by == 0 || lag->by != from->writer ||
        lag->generation != from->generation || beat_is_old(&b->of[from->writer], wall_ms)) {
        return OK;
    }
    err_set(ei, ERR_PRECONDITION,
            "region %s is %u.%u s behind the write region: it lacks about %llu operations",
            record_region_const(to, to->transfer_to)->name, lag->ms / 1000, lag->ms % 1000 / 100,
            (unsigned long long)lag->ops);
    err_hint(
        ei, "writes would be held in vain: wait until it has caught up (lag in `holdfast status`)");
    return ERR_PRECONDITION;
}

static uint64_t get_u64(const struct json *v, struct str key)
{
    uint64_t n = 0;
    (void)json_get_u64(v, key, &n);
    return n;
}

/* Of two that say something the one with the higher generation is the writer. */
static void behind_read(struct account_beats *b, region_id by, const struct json *beat)
{
    const struct json *list = json_get(beat, STR("behind"));
    generation g = get_u64(beat, STR("generation"));
    for (size_t i = 0; list != NULL && list->type == JSON_ARRAY && i < list->count; i++) {
        uint64_t id = get_u64(list->items[i], STR("region"));
        uint64_t ms = get_u64(list->items[i], STR("ms"));
        if (id < 1 || id > REGION_ID_MAX || g < b->behind[id].generation) {
            continue;
        }
        b->behind[id] = (struct account_lag){.by = by,
                                             .generation = g,
                                             .ms = ms > UINT32_MAX ? UINT32_MAX : (unsigned)ms,
                                             .ops = get_u64(list->items[i], STR("operations"))};
    }
}

/* "lags": [[region, partition, entries it lacks, entries there are], ...] */
static bool lag_read(const struct json *row, struct repl_part_lag *ret)
{
    uint64_t n[4] = {0};
    if (row->type != JSON_ARRAY || row->count != ARRAY_COUNT(n)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(n); i++) {
        if (row->items[i]->type != JSON_NUMBER || !str_to_u64(row->items[i]->src, &n[i])) {
            return false;
        }
    }
    *ret = (struct repl_part_lag){(region_id)n[0], n[1], n[2], n[3]};
    return n[0] >= 1 && n[0] <= REGION_ID_MAX;
}

void beat_get_lags(struct beat_lags *ret, const struct json *beat, region_id only)
{
    const struct json *list = json_get(beat, STR("lags"));
    ret->count = 0;
    for (size_t i = 0; list != NULL && list->type == JSON_ARRAY && i < list->count; i++) {
        struct repl_part_lag x;
        bool is_wanted = lag_read(list->items[i], &x) && (only == 0 || x.region == only);
        if (is_wanted && ret->count < REPL_LAGS_MAX) {
            ret->of[ret->count++] = x;
        }
    }
}

void beat_note_lags(struct beat_said *said, const struct json *beat, region_id only)
{
    const struct json *list = json_get(beat, STR("lags"));
    generation g = get_u64(beat, STR("generation"));
    if (list != NULL || g <= said->generation) {
        said->generation = g;
        beat_get_lags(&said->lags, beat, only);
    }
}

void beat_put_lags(struct json_out *o, const struct beat_lags *lags)
{
    if (lags->count == 0) {
        return;
    }
    json_out_key(o, "lags");
    json_out_array(o);
    for (size_t i = 0; i < lags->count; i++) {
        const struct repl_part_lag *x = &lags->of[i];
        json_out_array(o);
        json_out_u64(o, x->region);
        json_out_u64(o, x->pid);
        json_out_u64(o, x->ops);
        json_out_u64(o, x->ord);
        json_out_array_end(o);
    }
    json_out_array_end(o);
}

void beat_put_losses(struct json_out *o, const struct beat_lags *lost)
{
    json_out_key(o, "lostInPartitions");
    json_out_array(o);
    for (size_t i = 0; i < lost->count; i++) {
        json_out_object(o);
        json_out_member_u64(o, "partition", lost->of[i].pid);
        json_out_member_u64(o, "operationsEstimate", lost->of[i].ops);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

const char *beat_loss_text(const struct beat_lags *lost, char out[BEAT_LOSS_TEXT_SIZE])
{
    enum { ROW = 64 }; /* more than the longest, and the end */
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < lost->count && n + ROW < BEAT_LOSS_TEXT_SIZE; i++) {
        int more =
            snprintf(out + n, BEAT_LOSS_TEXT_SIZE - n, "%s%llu:%llu",
                     i == 0 ? " lost_in_partitions=\"" : " ", (unsigned long long)lost->of[i].pid,
                     (unsigned long long)lost->of[i].ops);
        n += more > 0 ? (size_t)more : 0;
    }
    if (n > 0) {
        (void)snprintf(out + n, BEAT_LOSS_TEXT_SIZE - n, "\"");
    }
    return out;
}

static void beat_read(struct account_beat *b, const struct json *beat)
{
    uint64_t wall = 0;
    uint64_t lease = 0;
    b->is_said = true;
    b->reads = beat_reads(beat);
    b->could_open = beat_could_open(beat);
    (void)json_get_u64(beat, STR("ord"), &b->ord);
    (void)json_get_u64(beat, STR("wall_ms"), &wall);
    (void)json_get_u64(beat, STR("lease_ms"), &lease);
    b->lease_ms = lease > LEASE_MS_MAX ? LEASE_MS_MAX : (unsigned)lease;
    b->wall_ms = wall > INT64_MAX / 2 ? 0 : (int64_t)wall;
    b->top = UINT64_MAX;
    (void)json_get_u64(beat, STR("top_partition"), &b->top);
    beat_get_lags(&b->lags, beat, 0);
}

pid beats_top(const struct account_beats *b)
{
    bool is_said = false;
    pid top = 0;
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        if (b->of[id].is_said) {
            is_said = true;
            top = b->of[id].top > top ? b->of[id].top : top;
        }
    }
    return is_said ? top : UINT64_MAX;
}

void beats_read(struct account_beats *b, struct str account, const struct coord_kv *kvs, size_t n)
{
    struct json_limits limits = {.text_size_max = BEAT_SIZE_MAX, .depth_max = 4};
    struct arena a;
    arena_init(&a);
    *b = (struct account_beats){0};
    struct str prefix = arena_printf(&a, COORD_PREFIX STR_FMT "/beat/", STR_ARG(account));
    for (size_t i = 0; i < n; i++) {
        uint64_t id = 0;
        const struct json *beat = NULL;
        if (kvs[i].is_deleted || !str_starts(kvs[i].key, prefix) ||
            !str_to_u64(str_slice(kvs[i].key, prefix.n, kvs[i].key.n), &id) || id < 1 ||
            id > REGION_ID_MAX) {
            continue;
        }
        if (json_parse(&a, kvs[i].value, &limits, &beat, NULL) == OK && beat->type == JSON_OBJECT) {
            beat_read(&b->of[id], beat);
            behind_read(b, (region_id)id, beat);
        }
    }
    arena_done(&a);
}
