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

/* What an epoch may have lost of the one before it. */
struct loss {
    uint64_t ops;           /* by the record; 0 = nothing, or not known */
    struct beat_lags parts; /* where it is most, by what the writer before said last */
};

static void find_loss(const struct story *s, const struct account_record *rec,
                      const struct record_epoch *before, const struct record_epoch *e,
                      struct loss *ret)
{
    const struct record_region *g = record_region_const(rec, before->writer);
    const struct beat_said *said = &s->said[before->writer];
    ret->parts.count = 0;
    ret->ops = 0;
    if (!e->opened.is_lossy || before->writer == e->writer) {
        return;
    }
    ret->ops = g != NULL ? g->unsent_ops : 0;
    bool is_of_then = said->generation >= before->generation && said->generation < e->generation;
    for (size_t i = 0; is_of_then && i < said->lags.count; i++) {
        const struct repl_part_lag *x = &said->lags.of[i];
        if (x->region == e->writer && record_override(rec, x->pid) == NULL) {
            ret->parts.of[ret->parts.count++] = *x;
        }
    }
}

static void put_loss(struct json_out *o, const struct loss *loss)
{
    json_out_member_u64(o, "lostOperationsEstimate", loss->ops);
    beat_put_losses(o, &loss->parts);
}

void story_beat(struct story *s, region_id id, struct str beat)
{
    struct json_limits limits = {.text_size_max = BEAT_SIZE_MAX, .depth_max = 4};
    struct arena a;
    const struct json *v = NULL;
    arena_init(&a);
    if (json_parse(&a, beat, &limits, &v, NULL) == OK) {
        beat_note_lags(&s->said[id], v, 0);
    }
    arena_done(&a);
}

static void send_epoch(const struct account_record *rec, const struct record_epoch *e,
                       const char *type, const char *from, const struct loss *loss,
                       struct webhook *webhook)
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
    put_loss(&o, loss);
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
        struct loss loss;
        find_loss(s, rec, before, e, &loss);
        char lost[BEAT_LOSS_TEXT_SIZE];
        char text[FEED_TEXT_SIZE];
        (void)snprintf(
            text, sizeof(text),
            "epoch=%" PRIu64 " generation=%" PRIu64 " from=%s to=%s may_have_conflicts=%s "
            "lost_operations_estimate=%" PRIu64 "%s detect_ms=%u wait_ms=%u promote_ms=%u "
            "reason=\"%s\"",
            e->epoch, e->generation, name_of(rec, before->writer), name_of(rec, e->writer),
            e->opened.is_lossy ? "true" : "false", loss.ops, beat_loss_text(&loss.parts, lost),
            e->opened.detect_ms, e->opened.wait_ms, e->opened.promote_ms, e->opened.reason);
        feed_add(feed, e->opened.wall_ms, type, e->opened.rule, text);
        send_epoch(rec, e, type, name_of(rec, before->writer), &loss, webhook);
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

/* ---- partitions with a writer of their own ---- */

/* The region that has opened it last is another one than the account's writer. */
static bool is_elsewhere(const struct account_record *rec, const struct record_override *o)
{
    return o != NULL && o->holder != 0 && o->holder != rec->writer;
}

struct part_news {
    const char *type; /* partition_moved, partition_returned */
    pid pid;
    epoch epoch; /* under which it was or is written elsewhere, when it has no newer one */
    region_id from, to;
    const struct record_override *row; /* NULL: it is gone, and with it how that came about */
};

static void tell_part(const struct account_record *rec, const struct part_news *n, int64_t wall_ms,
                      struct feed *feed, struct webhook *webhook)
{
    static const struct record_opening unknown;
    const struct record_opening *p = n->row != NULL ? &n->row->opened : &unknown;
    int64_t at_ms = p->wall_ms != 0 ? p->wall_ms : wall_ms;
    epoch e = n->row != NULL ? n->row->epoch : n->epoch;
    char text[FEED_TEXT_SIZE];
    (void)snprintf(text, sizeof(text),
                   "partition=%" PRIu64 " epoch=%" PRIu64
                   " from=%s to=%s may_have_conflicts=%s detect_ms=%u wait_ms=%u promote_ms=%u "
                   "reason=\"%s\"",
                   n->pid, e, name_of(rec, n->from), name_of(rec, n->to),
                   p->is_lossy ? "true" : "false", p->detect_ms, p->wait_ms, p->promote_ms,
                   p->reason);
    feed_add(feed, at_ms, n->type, p->rule, text);
    struct buf body;
    struct json_out o;
    char id[RECORD_NAME_MAX + 96];
    (void)snprintf(id, sizeof(id), "%s/%s/%" PRIu64 "/epoch/%" PRIu64, rec->name, n->type, n->pid,
                   e);
    buf_init(&body, 16 << 10);
    json_out_init(&o, &body);
    head(&o, rec, n->type, id, at_ms);
    json_out_member_u64(&o, "partition", n->pid);
    json_out_member_u64(&o, "epoch", e);
    json_out_member_cstr(&o, "writer", name_of(rec, n->to));
    json_out_member_cstr(&o, "previousWriter", name_of(rec, n->from));
    json_out_member_u64(&o, "rule", p->rule);
    json_out_member_cstr(&o, "reason", p->reason);
    json_out_member_bool(&o, "mayHaveConflicts", p->is_lossy);
    json_out_member_u64(&o, "detectMs", p->detect_ms);
    json_out_member_u64(&o, "waitMs", p->wait_ms);
    json_out_member_u64(&o, "promoteMs", p->promote_ms);
    json_out_object_end(&o);
    webhook_send(webhook, n->type, id, buf_str(&body));
    buf_done(&body);
}

/* One by one, or counted. */
static void note_part(struct story *s, const struct account_record *rec, const struct part_news *n,
                      int64_t wall_ms, struct feed *feed, struct webhook *webhook)
{
    if (wall_ms - s->parts_since_ms >= STORY_PARTS_MS || wall_ms < s->parts_since_ms) {
        s->parts_since_ms = wall_ms;
        s->parts_told = 0;
    }
    if (s->parts_told < STORY_PARTS_MAX) {
        s->parts_told++;
        tell_part(rec, n, wall_ms, feed, webhook);
        return;
    }
    s->untold.since_ms = story_is_behind(s) ? s->untold.since_ms : wall_ms;
    bool is_back = n->to == rec->writer;
    s->untold.moved += !is_back;
    s->untold.returned += is_back;
    s->untold.lossy += n->row != NULL && n->row->opened.is_lossy;
}

void story_tick(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook)
{
    static const char type[] = "partitions_moved";
    if (!story_is_behind(s) ||
        (wall_ms - s->untold.since_ms < STORY_SUM_MS && wall_ms >= s->untold.since_ms)) {
        return;
    }
    char text[FEED_TEXT_SIZE];
    (void)snprintf(text, sizeof(text),
                   "moved=%" PRIu64 " returned=%" PRIu64 " may_have_conflicts=%" PRIu64
                   " elsewhere_now=%zu",
                   s->untold.moved, s->untold.returned, s->untold.lossy, s->part_count);
    feed_add(feed, wall_ms, type, 0, text);
    struct buf body;
    struct json_out o;
    char id[RECORD_NAME_MAX + 64];
    (void)snprintf(id, sizeof(id), "%s/%s/%" PRId64, rec->name, type, wall_ms);
    buf_init(&body, 16 << 10);
    json_out_init(&o, &body);
    head(&o, rec, type, id, wall_ms);
    json_out_member_u64(&o, "moved", s->untold.moved);
    json_out_member_u64(&o, "returned", s->untold.returned);
    json_out_member_u64(&o, "mayHaveConflicts", s->untold.lossy);
    json_out_member_u64(&o, "elsewhereNow", s->part_count);
    json_out_object_end(&o);
    webhook_send(webhook, type, id, buf_str(&body));
    buf_done(&body);
    s->untold.moved = s->untold.returned = s->untold.lossy = 0;
}

/* While the account itself has no writer that is open, nothing is elsewhere than that. */
static void note_parts(struct story *s, const struct account_record *rec, int64_t wall_ms,
                       struct feed *feed, struct webhook *webhook)
{
    if (rec->phase == PHASE_PROMOTING) {
        return;
    }
    for (size_t i = 0; i < s->part_count; i++) {
        const struct record_override *o = record_override(rec, s->parts[i].pid);
        if (!is_elsewhere(rec, o)) {
            note_part(s, rec,
                      &(struct part_news){"partition_returned", s->parts[i].pid, s->parts[i].epoch,
                                          s->parts[i].at, rec->writer, o},
                      wall_ms, feed, webhook);
        }
    }
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        region_id from = s->is_known ? rec->writer : 0;
        for (size_t k = 0; k < s->part_count; k++) {
            from = s->parts[k].pid == o->pid ? s->parts[k].at : from;
        }
        bool is_told = s->is_known || wall_ms - o->opened.wall_ms < STORY_RECENT_MS;
        if (is_elsewhere(rec, o) && from != o->holder && is_told) {
            note_part(s, rec,
                      &(struct part_news){"partition_moved", o->pid, o->epoch, from, o->holder, o},
                      wall_ms, feed, webhook);
        }
    }
    s->part_count = 0;
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        if (is_elsewhere(rec, o)) {
            s->parts[s->part_count].pid = o->pid;
            s->parts[s->part_count].at = o->holder;
            s->parts[s->part_count++].epoch = o->epoch;
        }
    }
}

void story_note(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook)
{
    note_epochs(s, rec, wall_ms, feed, webhook);
    note_parts(s, rec, wall_ms, feed, webhook);
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
