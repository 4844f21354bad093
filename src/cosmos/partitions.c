/* The partitions of all containers as operators see them: which one is what, who writes it, and whether
 * it can be read here. Names and numbers, no document. */
#include <inttypes.h>

#include "base/contract.h"
#include "cosmos/service_int.h"
#include "json/json.h"

static void bound_member(struct json_out *o, const char *key, const struct container *c,
                         size_t ordinal)
{
    struct buf text;
    buf_init(&text, 256);
    container_bound_text(c, ordinal, &text);
    json_out_member_str(o, key, buf_str(&text));
    buf_done(&text);
}

static void put_part(const struct account_record *rec, const struct container *c, size_t ordinal,
                     struct json_out *o)
{
    const struct part_view *view = c->parts[ordinal];
    unsigned flags = atomic_load(&view->flags);
    struct record_reign reign;
    record_reign(rec, view->pid, &reign);
    const struct record_region *writer = record_region_const(rec, reign.writer);
    json_out_object(o);
    json_out_member_u64(o, "partition", view->pid);
    json_out_member_str(o, "container", c->link);
    json_out_member_u64(o, "range", ordinal);
    bound_member(o, "minInclusive", c, ordinal);
    bound_member(o, "maxExclusive", c, ordinal + 1);
    json_out_member_cstr(o, "writer", writer != NULL ? writer->name : "");
    json_out_member_cstr(o, "phase", account_phase_name(reign.phase));
    json_out_member_bool(o, "readable", (flags & PART_READABLE) != 0);
    json_out_member_bool(o, "whole", (flags & PART_WHOLE) != 0);
    json_out_object_end(o);
}

void cosmos_partitions_json(struct cosmos_service *s, struct buf *out)
{
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "partitions");
    json_out_array(&o);
    if (s->catalog != NULL && s->account != NULL) {
        const struct map *all = &s->catalog->containers;
        for (const struct map_entry *e = map_first(all); e != NULL; e = map_next(e)) {
            const struct container *c = map_value(e);
            for (size_t i = 0; i < c->part_count; i++) {
                put_part(&s->account->rec, c, i, &o);
            }
        }
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
}
