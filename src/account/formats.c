/* Record formats during a rolling upgrade. See formats.h. */
#include "account/formats.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"

enum { BEAT_TEXT_SIZE_MAX = 4096 };

unsigned formats_of_beat(const struct json *beat)
{
    uint64_t n = 0;
    if (!json_get_u64(beat, STR("record_format"), &n) || n < RECORD_FORMAT_UNSAID) {
        return RECORD_FORMAT_UNSAID;
    }
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}

void formats_read(struct account_formats *f, struct str account, const struct coord_kv *kvs,
                  size_t n)
{
    struct json_limits limits = {.text_size_max = BEAT_TEXT_SIZE_MAX, .depth_max = 4};
    struct arena a;
    arena_init(&a);
    *f = (struct account_formats){0};
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
            f->reads[id] = formats_of_beat(beat);
        }
    }
    arena_done(&a);
}

bool formats_are_said(const struct account_formats *f, const struct account_record *rec)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        if (f->reads[rec->regions[i].id] == 0) {
            return false;
        }
    }
    return true;
}

bool formats_rise(const struct account_record *from, const struct account_record *to)
{
    return record_format(to) > record_format(from) && record_format(to) > RECORD_FORMAT_UNSAID;
}

enum err formats_need(const struct account_formats *f, const struct account_record *rec,
                      unsigned format, struct errinfo *ei)
{
    for (size_t i = 0; i < rec->region_count && format > RECORD_FORMAT_UNSAID; i++) {
        const struct record_region *g = &rec->regions[i];
        unsigned reads = f->reads[g->id];
        if (reads >= format) {
            continue;
        }
        if (reads == 0) {
            enum err e =
                err_set(ei, ERR_PRECONDITION,
                        "region %s has not said which account records it can read, and this "
                        "needs format %u",
                        g->name, format);
            err_hint(ei, "start its server with the new version, or remove the region");
            return e;
        }
        enum err e = err_set(ei, ERR_PRECONDITION,
                             "region %s runs a version that cannot read this: it reads account "
                             "records up to format %u, this needs format %u",
                             g->name, reads, format);
        err_hint(ei, "upgrade every region first, then try again");
        return e;
    }
    return OK;
}

enum err formats_check(const struct account_formats *f, const struct account_record *from,
                       const struct account_record *to, struct errinfo *ei)
{
    return formats_rise(from, to) ? formats_need(f, from, record_format(to), ei) : OK;
}
