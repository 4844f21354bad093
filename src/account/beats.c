/* Heartbeats as the coordinator keeps them. See beats.h; coordio.c writes them. */
#include "account/beats.h"

#include "base/arena.h"

enum { BEAT_TEXT_SIZE_MAX = 4096, LEASE_MS_MAX = 3600000 };

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
}

void beats_read(struct account_beats *b, struct str account, const struct coord_kv *kvs, size_t n)
{
    struct json_limits limits = {.text_size_max = BEAT_TEXT_SIZE_MAX, .depth_max = 4};
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
        }
    }
    arena_done(&a);
}
