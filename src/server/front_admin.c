#include "server/front_admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "account/distance.h"
#include "account/formats.h"
#include "account/region.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "cosmos/errors.h"
#include "manage/change.h"
#include "server/admin.h"
#include "server/metrics.h"
#include "json/json.h"

enum { CHANGE_TIMEOUT_MS = 2000, SEEN_TIMEOUT_MS = 1000, WARNING_SIZE_MAX = 1024 };

/* ---- the record as the front knows it ---- */

void front_record_init(struct front_record *r)
{
    memset(r, 0, sizeof(*r));
    arena_init(&r->arena);
    list_init(&r->changes);
    list_init(&r->unsaid);
}

void front_record_done(struct front_record *r)
{
    explicit_bzero(&r->record, sizeof(r->record)); /* holds keys */
    arena_done(&r->arena);
}

static void answer_seen(struct front_record *r, coord_rev upto);
static void refuse_unsaid(struct front_record *r);

void front_record_release(struct front_record *r)
{
    answer_seen(r, UINT64_MAX);
    refuse_unsaid(r);
}

enum err front_record_set(struct front_record *r, const struct coord_kv *kv, struct errinfo *ei)
{
    struct arena arena;
    arena_init(&arena);
    struct account_record *fresh = ARENA_NEW(&arena, struct account_record);
    enum err err = record_decode(&arena, arena_str(&arena, kv->value), fresh, ei);
    r->is_behind = err != OK;
    if (err != OK) {
        arena_done(&arena);
        return err;
    }
    arena_done(&r->arena);
    r->record = *fresh;
    r->arena = arena;
    r->rev = kv->rev;
    r->is_known = true;
    answer_seen(r, kv->rev);
    return OK;
}

/* ---- answers ---- */

static void partitions_json(const struct account_record *rec, struct json_out *o)
{
    json_out_member_bool(o, "partitionFailover", rec->partition_failover);
    json_out_key(o, "partitions");
    json_out_array(o);
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *p = &rec->overrides[i];
        const struct record_region *w = record_region_const(rec, p->writer);
        const struct record_region *to = record_region_const(rec, p->transfer_to);
        char when[CLOCK_RFC1123_SIZE];
        clock_format_iso(p->opened.wall_ms, when);
        json_out_object(o);
        json_out_member_u64(o, "partition", p->pid);
        json_out_member_cstr(o, "writer", w != NULL ? w->name : "");
        json_out_member_cstr(o, "phase", account_phase_name(p->phase));
        json_out_member_cstr(o, "transferTo", to != NULL ? to->name : "");
        json_out_member_bool(o, "atHome", p->writer == rec->writer && p->phase == PHASE_OPEN);
        json_out_member_bool(o, "pinned", p->is_pinned);
        json_out_member_u64(o, "generation", p->generation);
        json_out_member_u64(o, "epoch", p->epoch);
        json_out_member_bool(o, "lossy", p->opened.is_lossy);
        json_out_member_u64(o, "rule", p->opened.rule);
        json_out_member_cstr(o, "time", p->opened.wall_ms != 0 ? when : "");
        json_out_member_cstr(o, "reason", p->opened.reason);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void account_json(const struct account_record *rec, struct json_out *o)
{
    json_out_member_cstr(o, "account", rec->name);
    json_out_member_cstr(o, "consistency", consistency_name(rec->level));
    if (rec->is_level_changing) {
        json_out_member_cstr(o, "consistencyTo", consistency_name(rec->level_to));
    }
    if (record_lease_level(rec) == CONSISTENCY_BOUNDED_STALENESS) {
        json_out_member_u64(o, "maxStalenessOperations", rec->max_staleness_ops);
        json_out_member_u64(o, "maxStalenessSeconds", rec->max_staleness_s);
    }
    struct buf warning;
    buf_init(&warning, WARNING_SIZE_MAX);
    if (account_warning(rec, &warning)) {
        json_out_key(o, "warning");
        json_out_str(o, buf_str(&warning));
    }
    buf_done(&warning);
    json_out_member_cstr(o, "durability", record_is_degraded(rec) ? "degraded" : "normal");
    json_out_member_bool(o, "automaticFailover", rec->auto_failover);
    json_out_member_cstr(o, "divergedWrites", diverged_name(rec->diverged_writes));
    json_out_member_u64(o, "conflictFeedQuota", rec->feed_quota);
    json_out_member_cstr(o, "phase", account_phase_name(rec->phase));
    const struct record_region *writer = record_region_const(rec, rec->writer);
    json_out_member_cstr(o, "writer", writer ? writer->name : "");
    json_out_member_u64(o, "generation", rec->generation);
    json_out_member_u64(o, "epoch", rec->epoch);
    json_out_member_u64(o, "tokenVersion", rec->token_version);
    json_out_key(o, "regions");
    json_out_array(o);
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *r = &rec->regions[i];
        char since[CLOCK_RFC1123_SIZE];
        clock_format_iso(r->since_wall_ms, since);
        json_out_object(o);
        json_out_member_cstr(o, "name", r->name);
        json_out_member_u64(o, "id", r->id);
        json_out_member_u64(o, "priority", r->priority);
        json_out_member_cstr(o, "state", region_state_name(r->state));
        json_out_member_cstr(o, "since", since);
        json_out_member_bool(o, "forcedOffline", r->is_forced_offline);
        json_out_member_bool(o, "needsFullCopy", r->needs_full_copy);
        json_out_member_u64(o, "unsentOperationsEstimate", r->unsent_ops);
        json_out_member_bool(o, "inQuorum", ((rec->q_mask >> r->id) & 1) != 0);
        json_out_member_cstr(o, "endpoint", r->endpoint);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_key(o, "epochs");
    json_out_array(o);
    for (size_t i = 0; i < rec->epoch_count; i++) {
        const struct record_epoch *e = &rec->epochs[i];
        const struct record_region *w = record_region_const(rec, e->writer);
        char when[CLOCK_RFC1123_SIZE];
        clock_format_iso(e->opened.wall_ms, when);
        json_out_object(o);
        json_out_member_u64(o, "epoch", e->epoch);
        json_out_member_u64(o, "generation", e->generation);
        json_out_member_cstr(o, "writer", w ? w->name : "(removed)");
        json_out_member_u64(o, "startLsn", e->start_lsn);
        json_out_member_bool(o, "lossy", e->opened.is_lossy);
        json_out_member_u64(o, "rule", e->opened.rule);
        json_out_member_cstr(o, "time", when);
        json_out_member_cstr(o, "reason", e->opened.reason);
        json_out_member_u64(o, "detectMs", e->opened.detect_ms);
        json_out_member_u64(o, "waitMs", e->opened.wait_ms);
        json_out_member_u64(o, "promoteMs", e->opened.promote_ms);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    partitions_json(rec, o);
}

static void keys_json(const struct account_record *rec, struct json_out *o)
{
    for (size_t i = 0; i < 4; i++) {
        json_out_key(o, change_key_name(i));
        json_out_cstr(o, rec->key[i]);
    }
}

/* `lost` may be NULL. */
static void answer_json(struct http_req *req, int status, const struct account_record *rec,
                        const struct beat_lags *lost,
                        void (*fill)(const struct account_record *, struct json_out *))
{
    struct buf body;
    struct json_out o;
    buf_init(&body, 4 << 20);
    json_out_init(&o, &body);
    json_out_object(&o);
    if (lost != NULL) {
        beat_put_losses(&o, lost);
    }
    fill(rec, &o);
    json_out_object_end(&o);
    buf_add_char(&body, '\n');
    admin_respond(req, status, &body, "application/json");
    buf_done(&body);
}

static void answer_text(struct http_req *req, int status, const char *text, const char *type)
{
    struct buf body;
    buf_init(&body, 64 << 10);
    buf_add_cstr(&body, text);
    admin_respond(req, status, &body, type);
    buf_done(&body);
}

static void metrics(struct http_req *req, const struct front_record *rec,
                    const struct coord_client *coord, const struct front_status *s)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    metric_process(&b);
    metric_secrets(&b, coord);
    metric_u64(&b, "holdfast_front_forwarded_total", METRIC_COUNTER,
               "Answers of a region passed on.", s->forwarded);
    metric_u64(&b, "holdfast_front_retried_total", METRIC_COUNTER,
               "Requests that a region refused or lost and that were asked again.", s->retried);
    metric_u64(&b, "holdfast_front_unknown_outcome_total", METRIC_COUNTER,
               "Writes whose region was lost before it answered (408).", s->unknown);
    metric_u64(&b, "holdfast_front_stood_in_total", METRIC_COUNTER,
               "Requests answered in place of an absent region.", s->stood_in);
    metric_u64(&b, "holdfast_front_open", METRIC_GAUGE,
               "Requests without an answer: held or being forwarded.", s->open);
    metric_u64(&b, "holdfast_front_held", METRIC_GAUGE, "Requests waiting for a failover to end.",
               s->held);
    metric_u64(&b, "holdfast_front_held_total", METRIC_COUNTER, "Times a request began to wait.",
               s->held_total);
    metric_u64(&b, "holdfast_front_held_expired_total", METRIC_COUNTER,
               "Requests that waited in vain (503).", s->held_expired);
    metric_u64(&b, "holdfast_front_refused_full_total", METRIC_COUNTER,
               "Requests refused because too many waited already (503).", s->refused_full);
    metric_u64(&b, "holdfast_front_ready", METRIC_GAUGE,
               "1 once writes to the global endpoint were possible.", s->is_ready);
    metric_u64(&b, "holdfast_front_coordinator_synced", METRIC_GAUGE,
               "1 while in touch with the coordinator.", s->is_synced);
    metric_head(&b, "holdfast_front_standing_in", METRIC_GAUGE,
                "1 while the front answers for this region.");
    for (size_t i = 0; i < s->region_count; i++) {
        metric_row(&b, "holdfast_front_standing_in", "region", s->regions[i].name,
                   s->regions[i].is_away);
    }
    if (s->has_webhook) {
        metric_u64(&b, "holdfast_webhook_delivered_total", METRIC_COUNTER, "Events delivered.",
                   s->webhook.delivered);
        metric_u64(&b, "holdfast_webhook_failed_attempts_total", METRIC_COUNTER,
                   "Attempts that were not answered with 2xx.", s->webhook.failed_attempts);
        metric_u64(&b, "holdfast_webhook_dropped_total", METRIC_COUNTER,
                   "Events given up after 15 minutes, or because too many waited.",
                   s->webhook.dropped);
        metric_u64(&b, "holdfast_webhook_queued", METRIC_GAUGE, "Events not delivered yet.",
                   s->webhook.queued);
    }
    metric_u64(&b, "holdfast_front_record_unreadable", METRIC_GAUGE,
               "1 while the newest account record cannot be read by this version.", rec->is_behind);
    if (rec->is_known) {
        metric_u64(&b, "holdfast_front_generation", METRIC_GAUGE,
                   "Generation of the account record known here.", rec->record.generation);
    }
    http_metrics_write(s->http_metrics, s->http, &b);
    admin_respond(req, 200, &b, METRIC_CONTENT_TYPE);
    buf_done(&b);
}

/* ---- operations: change the record by compare-and-set ---- */

/* A region that has just been started has not said yet which records it reads, nor anybody of a partition that
 * has just been made. An operator's client waits longer than we do. */
enum { CHANGE_TRIES_MAX = 10, SAID_WAIT_MS = 3000, SAID_RETRY_MS = 100 };

struct change {
    struct http_req *req;
    struct coord_client *coord;
    struct loop *loop;
    struct front_record *known;
    struct str account, op;     /* in req->arena */
    struct account_record *rec; /* likewise: as it is to become */
    struct beat_lags lost;      /* by what heartbeats say of a writer that is taken out */
    unsigned tries;
    /* A region has not said what it reads, or nobody that there is such a partition: */
    bool is_unsaid;
    usec unsaid_until_us; /* 0 = not waited yet */
    /* Made, or waiting for that: */
    struct list link; /* in known->changes or known->unsaid */
    coord_rev rev;
    struct loop_timer *timer;
};

static void answer_made(void *ctx)
{
    struct change *c = ctx;
    bool is_key = str_starts(c->op, STR("keys"));
    answer_json(c->req, 202, c->rec, c->lost.count > 0 ? &c->lost : NULL,
                is_key ? keys_json : account_json);
    list_remove(&c->link);
    loop_timer_free(c->timer);
    mem_free(c);
}

static void answer_seen(struct front_record *r, coord_rev upto)
{
    LIST_FOR_SAFE(l, &r->changes) {
        struct change *c = LIST_ENTRY(l, struct change, link);
        if (c->rev <= upto) {
            answer_made(c);
        }
    }
}

/* Whoever made a change and then asks here must not be told what was before it. A front that hears of
 * nothing for a while says that it was made all the same. */
static void wait_until_seen(struct change *c, coord_rev rev)
{
    c->rev = rev;
    list_push_back(&c->known->changes, &c->link);
    c->timer = loop_timer_new(c->loop, answer_made, c);
    loop_timer_set(c->timer, SEEN_TIMEOUT_MS, 0);
    answer_seen(c->known, c->known->rev);
}

static enum err plan(struct http_req *req, struct str op, const struct account_beats *beats,
                     struct account_record *rec, struct errinfo *ei);
static void try_change(struct change *c);

/* geo-semantics 10: 409 while something is unhealthy, 412 while another operation runs. */
static void refuse(struct change *c, const struct errinfo *ei)
{
    bool is_unhealthy = ei->code == ERR_PRECONDITION;
    admin_respond_error_as(c->req, is_unhealthy ? 409 : err_http_status(ei->code), ei);
    mem_free(c);
}

static void refuse_unsaid(struct front_record *r)
{
    struct errinfo ei = {0};
    err_set(&ei, ERR_UNAVAILABLE, "the front is stopping; nothing was changed");
    LIST_FOR_SAFE(l, &r->unsaid) {
        struct change *c = LIST_ENTRY(l, struct change, link);
        list_remove(&c->link);
        loop_timer_free(c->timer);
        refuse(c, &ei);
    }
}

static void on_changed(void *ctx, const struct coord_txn_result *res)
{
    struct change *c = ctx;
    struct errinfo ei = {0};
    if (res->err == OK && !res->succeeded && c->tries < CHANGE_TRIES_MAX) {
        try_change(c); /* somebody was faster, most often a region that reports in */
        return;
    }
    if (res->err != OK) {
        err_set(&ei, ERR_UNKNOWN_OUTCOME,
                "the coordinator did not answer: the change may have been made");
        err_hint(&ei, "look at `holdfast account show` before trying again");
        admin_respond_error(c->req, &ei);
    } else if (!res->succeeded) {
        err_set(&ei, ERR_CONFLICTING_OPERATION, "the account changed at the same moment");
        err_hint(&ei, "try again");
        admin_respond_error(c->req, &ei);
    } else {
        LOG_INFO("front", "account_changed", "operation=" STR_FMT,
                 STR_ARG(str_starts(c->op, STR("keys")) ? STR("keys") : c->op));
        wait_until_seen(c, res->rev);
        return;
    }
    mem_free(c);
}

/* Then what was not found is the partition, which may be too new for the last heartbeats. */
static bool is_of_partition(struct str op)
{
    return str_eq(op, STR("partitions/failover")) || str_eq(op, STR("partitions/return"));
}

/* The record as it is to become, planned on what the coordinator has now. */
static enum err plan_on(struct change *c, const struct coord_kv *kvs, size_t n, coord_rev *ret_rev,
                        struct errinfo *ei)
{
    struct arena *a = &c->req->arena;
    struct str key = arena_printf(a, COORD_PREFIX STR_FMT "/record", STR_ARG(c->account));
    struct account_record *from = ARENA_NEW(a, struct account_record);
    const struct coord_kv *found = NULL;
    for (size_t i = 0; i < n; i++) {
        found = str_eq(kvs[i].key, key) ? &kvs[i] : found;
    }
    if (found == NULL) {
        return err_set(ei, ERR_NOT_FOUND, "there is no account '" STR_FMT "'", STR_ARG(c->account));
    }
    TRY(record_decode(a, arena_str(a, found->value), from, ei));
    c->rec = ARENA_NEW(a, struct account_record);
    record_copy(a, from, c->rec);
    struct account_beats *beats = ARENA_NEW(a, struct account_beats);
    beats_read(beats, c->account, kvs, n);
    enum err err = plan(c->req, c->op, beats, c->rec, ei);
    c->is_unsaid = err == ERR_NOT_FOUND && is_of_partition(c->op);
    if (err != OK) {
        return err;
    }
    if (str_eq(c->op, STR("offline"))) {
        account_offline_losses(from, c->rec, beats, &c->lost);
    }
    c->is_unsaid = formats_rise(from, c->rec) && !formats_are_said(beats, from);
    TRY(formats_check(beats, from, c->rec, ei));
    TRY(beats_check_transfer(beats, from, c->rec, clock_wall_ms(), ei));
    *ret_rev = found->rev;
    return OK;
}

static void ask_again(void *ctx)
{
    struct change *c = ctx;
    list_remove(&c->link);
    loop_timer_free(c->timer);
    c->timer = NULL;
    c->tries = 0;
    try_change(c);
}

/* false: long enough. */
static bool wait_until_said(struct change *c)
{
    usec now = loop_now(c->loop);
    if (c->unsaid_until_us == 0) {
        c->unsaid_until_us = now + SAID_WAIT_MS * UINT64_C(1000);
    }
    if (!c->is_unsaid || now >= c->unsaid_until_us) {
        return false;
    }
    list_push_back(&c->known->unsaid, &c->link);
    c->timer = loop_timer_new(c->loop, ask_again, c);
    loop_timer_set(c->timer, SAID_RETRY_MS, 0);
    return true;
}

static void on_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct change *c = ctx;
    struct errinfo ei = {0};
    coord_rev rev = 0;
    if (err != OK) {
        err_set(&ei, ERR_UNAVAILABLE, "the coordinator does not answer; nothing was changed");
        refuse(c, &ei);
        return;
    }
    c->is_unsaid = false;
    err = plan_on(c, kvs, n, &rev, &ei);
    if (err != OK && wait_until_said(c)) {
        return;
    }
    if (err != OK) {
        refuse(c, &ei);
        return;
    }
    coord_client_txn(c->coord, change_record_txn(&c->req->arena, c->rec, rev), CHANGE_TIMEOUT_MS,
                     on_changed, c);
}

static void try_change(struct change *c)
{
    c->tries++;
    struct str prefix = arena_printf(&c->req->arena, COORD_PREFIX STR_FMT "/", STR_ARG(c->account));
    coord_client_read(c->coord, prefix, CHANGE_TIMEOUT_MS, on_read, c);
}

static enum err plan_bound(const struct json *body, const char *key, uint64_t *ret,
                           struct errinfo *ei)
{
    const struct json *v = json_get(body, str_of(key));
    if (v == NULL || v->type == JSON_NULL) {
        return OK;
    }
    if (!json_get_u64(body, str_of(key), ret) || *ret == 0) {
        return err_set(ei, ERR_INVALID, "%s is no whole number above 0", key);
    }
    return OK;
}

static enum err plan_level(const struct json *body, bool is_forced, struct account_record *rec,
                           struct errinfo *ei)
{
    struct level_request q = {0};
    struct str level = STR_NONE;
    if (!json_get_str(body, STR("level"), &level) || !consistency_parse(level, &q.level)) {
        return err_set(ei, ERR_INVALID,
                       "unknown consistency level '" STR_FMT
                       "': Strong, BoundedStaleness, Session, ConsistentPrefix or Eventual",
                       STR_ARG(str_slice(level, 0, 60)));
    }
    TRY(plan_bound(body, "maxStalenessOperations", &q.max_staleness_ops, ei));
    TRY(plan_bound(body, "maxStalenessSeconds", &q.max_staleness_s, ei));
    if (q.level != rec->level && !is_forced) {
        TRY(distance_check(rec, q.level, STR(""), ei));
    }
    return account_plan_consistency(rec, &q, ei);
}

static enum err plan_diverged(const struct json *body, struct account_record *rec,
                              struct errinfo *ei)
{
    struct str value = STR("");
    uint64_t quota = rec->feed_quota;
    (void)json_get_str(body, STR("divergedWrites"), &value);
    if (json_get(body, STR("conflictFeedQuota")) != NULL &&
        !json_get_u64(body, STR("conflictFeedQuota"), &quota)) {
        return err_set(ei, ERR_INVALID, "conflictFeedQuota is no whole number of bytes");
    }
    return account_plan_diverged(rec, value, quota, ei);
}

static enum err plan_regions(const struct json *body, struct str op, struct str region,
                             bool is_forced, struct account_record *rec, struct errinfo *ei)
{
    int64_t now = clock_wall_ms();
    if (str_eq(op, STR("regions/add"))) {
        uint64_t priority = 0;
        bool is_given = json_get(body, STR("priority")) != NULL;
        if (is_given &&
            (!json_get_u64(body, STR("priority"), &priority) || priority > REGIONS_MAX)) {
            return err_set(ei, ERR_INVALID, "priority is no whole number from 1 to %d",
                           REGIONS_MAX - 1);
        }
        if (!is_forced) {
            TRY(distance_check(rec, record_write_level(rec), region, ei));
        }
        return account_plan_add(rec, region, is_given ? (int64_t)priority : -1, now, ei);
    }
    if (str_eq(op, STR("regions/remove"))) {
        return account_plan_remove(rec, region, is_forced, now, ei);
    }
    if (!str_eq(op, STR("regions/priority"))) {
        return err_set(ei, ERR_NOT_FOUND, "no such operation '" STR_FMT "'", STR_ARG(op));
    }
    const struct json *list = json_get(body, STR("regions"));
    struct str names[REGIONS_MAX];
    if (list == NULL || list->type != JSON_ARRAY || list->count > REGIONS_MAX) {
        return err_set(ei, ERR_INVALID, "regions is no list of at most %d names", REGIONS_MAX);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->type != JSON_STRING) {
            return err_set(ei, ERR_INVALID, "regions holds something else than names");
        }
        names[i] = list->items[i]->text;
    }
    return account_plan_priorities(rec, names, list->count, now, ei);
}

static enum err plan_partitions(const struct json *body, struct str op, struct str region,
                                bool is_forced, const struct account_beats *beats,
                                struct account_record *rec, struct errinfo *ei)
{
    uint64_t p = 0;
    bool is_on = false;
    if (str_eq(op, STR("partitions/automatic"))) {
        return json_get_bool(body, STR("enabled"), &is_on)
                   ? account_plan_partition_auto(rec, is_on, ei)
                   : err_set(ei, ERR_INVALID, "enabled is neither true nor false");
    }
    if (!json_get_u64(body, STR("partition"), &p)) {
        return err_set(ei, ERR_INVALID, "partition is no whole number");
    }
    if (str_eq(op, STR("partitions/failover"))) {
        return account_plan_partition_failover(rec, p, region, is_forced, beats, ei);
    }
    if (str_eq(op, STR("partitions/return"))) {
        return account_plan_partition_return(rec, p, beats, ei);
    }
    return err_set(ei, ERR_NOT_FOUND, "no such operation '" STR_FMT "'", STR_ARG(op));
}

static enum err plan(struct http_req *req, struct str op, const struct account_beats *beats,
                     struct account_record *rec, struct errinfo *ei)
{
    const struct json *body = NULL;
    struct str region = STR_NONE;
    struct str key = STR_NONE;
    bool is_forced = false;
    TRY(json_parse(&req->arena, req->body, NULL, &body, ei));
    (void)json_get_str(body, STR("region"), &region);
    (void)json_get_str(body, STR("key"), &key);
    (void)json_get_bool(body, STR("force"), &is_forced);
    int64_t now = clock_wall_ms();
    if (str_eq(op, STR("failover"))) {
        return account_plan_failover(rec, region, now, ei);
    }
    if (str_eq(op, STR("offline"))) {
        struct offline_request q = {.accepts_loss = is_forced, .to = STR(""), .beats = beats};
        (void)json_get_str(body, STR("to"), &q.to);
        return account_plan_offline(rec, region, &q, now, ei);
    }
    if (str_eq(op, STR("online"))) {
        return account_plan_online(rec, region, now, ei);
    }
    if (str_starts(op, STR("regions/"))) {
        return plan_regions(body, op, region, is_forced, rec, ei);
    }
    if (str_starts(op, STR("partitions/"))) {
        return plan_partitions(body, op, region, is_forced, beats, rec, ei);
    }
    if (str_eq(op, STR("consistency"))) {
        return plan_level(body, is_forced, rec, ei);
    }
    if (str_eq(op, STR("diverged-writes"))) {
        return plan_diverged(body, rec, ei);
    }
    if (str_eq(op, STR("keys/regenerate"))) {
        return change_key(rec, key, ei);
    }
    return err_set(ei, ERR_NOT_FOUND, "no such operation '" STR_FMT "'", STR_ARG(op));
}

static void operate(struct http_req *req, struct str op, struct front_record *known,
                    struct coord_client *coord, struct loop *loop)
{
    struct change *c = MEM_NEW(struct change);
    list_init(&c->link);
    c->req = req;
    c->coord = coord;
    c->loop = loop;
    c->known = known;
    c->op = arena_str(&req->arena, op);
    c->account = arena_str(&req->arena, str_of(known->record.name));
    try_change(c);
}

void front_admin(struct http_req *req, struct front_record *rec, struct cosmos_auth *auth,
                 struct coord_client *coord, struct loop *loop, const struct front_status *status)
{
    struct str path = req->target;
    bool is_get = str_eq(req->method, STR("GET"));
    if (str_eq(path, STR("/health/live"))) {
        answer_text(req, 200, "{\"status\":\"live\"}\n", "application/json");
        return;
    }
    if (str_eq(path, STR("/health/ready")) || str_eq(path, STR("/health/write"))) {
        bool is_write = str_eq(path, STR("/health/write"));
        bool is_fine =
            status->is_ready && !status->is_stale && rec->is_known && !rec->is_behind &&
            (!is_write || (rec->record.phase != PHASE_PROMOTING && rec->record.writer != 0));
        answer_text(req, is_fine ? 200 : 503,
                    is_fine ? "{\"status\":\"ok\"}\n" : "{\"status\":\"not ready\"}\n",
                    "application/json");
        return;
    }
    if (str_eq(path, STR("/metrics"))) {
        metrics(req, rec, coord, status);
        return;
    }
    struct errinfo ei = {0};
    bool is_read_only = false;
    if (str_starts(path, STR("/health/"))) {
        err_set(&ei, ERR_NOT_FOUND, "no such health endpoint");
        err_hint(&ei, "live, ready or write");
    } else if (!rec->is_known) {
        err_set(&ei, ERR_UNAVAILABLE,
                rec->is_behind ? "this version of the front cannot read the account record"
                               : "the account is not known here yet");
    } else if (admin_check(auth, req, 0, &is_read_only, &ei) != OK) {
        UNUSED(ei); /* filled */
    } else if (is_read_only && (!is_get || str_ends(path, STR("/keys")))) {
        err_set(&ei, ERR_FORBIDDEN, "this needs a read-write key");
    }
    if (ei.code != OK) {
        admin_respond_error(req, &ei);
        return;
    }
    struct str base = STR("/_holdfast/account");
    if (is_get && feed_is_target(path)) {
        feed_serve(status->feed, req);
    } else if (is_get && str_eq(path, base)) {
        answer_json(req, 200, &rec->record, NULL, account_json);
    } else if (is_get && str_eq(path, STR("/_holdfast/account/keys"))) {
        answer_json(req, 200, &rec->record, NULL, keys_json);
    } else if (str_eq(req->method, STR("POST")) && str_starts(path, STR("/_holdfast/account/"))) {
        operate(req, str_slice(path, base.n + 1, path.n), rec, coord, loop);
    } else {
        err_set(&ei, ERR_NOT_FOUND, "no such operator endpoint");
        admin_respond_error(req, &ei);
    }
}
