#include "server/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "base/clock.h"
#include "base/contract.h"

static const char *name_of(const struct account_record *rec, region_id id)
{
    const struct record_region *r = record_region_const(rec, id);
    return r ? r->name : "";
}

/* Both the feed's and the webhook's: the fields of one event. */
static void head(struct json_out *o, const struct account_record *rec, const char *type,
                 const char *id, int64_t wall_ms)
{
    char when[CLOCK_RFC1123_SIZE];
    clock_format_iso(wall_ms, when);
    json_out_object(o);
    json_out_member_cstr(o, "type", type);
    json_out_member_cstr(o, "id", id);
    json_out_member_cstr(o, "time", when);
    json_out_member_cstr(o, "account", rec->name);
}

static void send_epoch(const struct account_record *rec, const struct record_epoch *e,
                       const char *type, const char *from, struct webhook *webhook)
{
    struct buf body;
    struct json_out o;
    char id[RECORD_NAME_MAX + 40];
    (void)snprintf(id, sizeof(id), "%s/epoch/%" PRIu64, rec->name, e->epoch);
    buf_init(&body, 64 << 10);
    json_out_init(&o, &body);
    head(&o, rec, type, id, e->opened.wall_ms);
    json_out_member_u64(&o, "epoch", e->epoch);
    json_out_member_u64(&o, "generation", e->generation);
    json_out_member_cstr(&o, "writer", name_of(rec, e->writer));
    json_out_member_cstr(&o, "previousWriter", from);
    json_out_member_u64(&o, "rule", e->opened.rule);
    json_out_member_cstr(&o, "reason", e->opened.reason);
    json_out_member_bool(&o, "mayHaveConflicts", e->opened.is_lossy);
    json_out_member_u64(&o, "detectMs", e->opened.detect_ms);
    json_out_member_u64(&o, "waitMs", e->opened.wait_ms);
    json_out_member_u64(&o, "promoteMs", e->opened.promote_ms);
    json_out_object_end(&o);
    webhook_send(webhook, type, id, buf_str(&body));
    buf_done(&body);
}

static void note_epochs(const struct story *s, const struct account_record *rec, int64_t wall_ms,
                        struct feed *feed, struct webhook *webhook)
{
    for (size_t i = 1; i < rec->epoch_count; i++) { /* the first one of all replaces nobody */
        const struct record_epoch *e = &rec->epochs[i];
        bool is_new = s->is_known ? e->epoch > s->epoch
                                  : wall_ms - e->opened.wall_ms < STORY_RECENT_MS && e->epoch > 1;
        if (!is_new) {
            continue;
        }
        const struct record_epoch *before = &rec->epochs[i - 1];
        bool is_other = before->writer != e->writer;
        const char *type = is_other ? "failover" : "reopened";
        char text[FEED_TEXT_SIZE];
        (void)snprintf(
            text, sizeof(text),
            "epoch=%" PRIu64 " generation=%" PRIu64 " from=%s to=%s may_have_conflicts=%s "
            "detect_ms=%u wait_ms=%u promote_ms=%u reason=\"%s\"",
            e->epoch, e->generation, name_of(rec, before->writer), name_of(rec, e->writer),
            e->opened.is_lossy ? "true" : "false", e->opened.detect_ms, e->opened.wait_ms,
            e->opened.promote_ms, e->opened.reason);
        feed_add(feed, e->opened.wall_ms, type, e->opened.rule, text);
        send_epoch(rec, e, type, name_of(rec, before->writer), webhook);
    }
}

static void tell_region(const struct account_record *rec, const char *region, const char *from,
                        const char *to, int64_t wall_ms, struct feed *feed, struct webhook *webhook)
{
    char text[FEED_TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "region=%s from=%s to=%s", region, from, to);
    feed_add(feed, wall_ms, "region_state", 0, text);
    struct buf body;
    struct json_out o;
    char id[2 * RECORD_NAME_MAX + 64];
    (void)snprintf(id, sizeof(id), "%s/region/%s/%s/%" PRId64, rec->name, region, to, wall_ms);
    buf_init(&body, 16 << 10);
    json_out_init(&o, &body);
    head(&o, rec, "region_state", id, wall_ms);
    json_out_member_cstr(&o, "region", region);
    json_out_member_cstr(&o, "from", from);
    json_out_member_cstr(&o, "to", to);
    json_out_member_u64(&o, "epoch", rec->epoch);
    json_out_object_end(&o);
    webhook_send(webhook, "region_state", id, buf_str(&body));
    buf_done(&body);
}

static void note_regions(const struct story *s, const struct account_record *rec, int64_t wall_ms,
                         struct feed *feed, struct webhook *webhook)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *r = &rec->regions[i];
        const char *was = "ABSENT";
        for (size_t k = 0; k < s->region_count; k++) {
            was = s->regions[k].id == r->id ? region_state_name(s->regions[k].state) : was;
        }
        if (strcmp(was, region_state_name(r->state)) != 0) {
            tell_region(rec, r->name, was, region_state_name(r->state), r->since_wall_ms, feed,
                        webhook);
        }
    }
    for (size_t k = 0; k < s->region_count; k++) {
        if (record_region_const(rec, s->regions[k].id) == NULL) {
            tell_region(rec, s->regions[k].name, region_state_name(s->regions[k].state), "ABSENT",
                        wall_ms, feed, webhook);
        }
    }
}

void story_note(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook)
{
    note_epochs(s, rec, wall_ms, feed, webhook);
    if (s->is_known) {
        note_regions(s, rec, wall_ms, feed, webhook);
        if (s->level != rec->level) {
            char text[FEED_TEXT_SIZE];
            (void)snprintf(text, sizeof(text), "from=%s to=%s", consistency_name(s->level),
                           consistency_name(rec->level));
            feed_add(feed, wall_ms, "consistency", 0, text);
        }
    }
    s->is_known = true;
    s->epoch = rec->epoch;
    s->level = rec->level;
    s->region_count = rec->region_count;
    for (size_t i = 0; i < rec->region_count; i++) {
        s->regions[i].id = rec->regions[i].id;
        s->regions[i].state = rec->regions[i].state;
        memcpy(s->regions[i].name, rec->regions[i].name, sizeof(s->regions[i].name));
    }
}
