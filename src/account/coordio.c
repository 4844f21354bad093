/* Talking to the coordinator: heartbeats, what others' heartbeats say, changes of the record.
 *
 * A heartbeat compares the record's revision: one that succeeds proves that no newer record existed
 * when it was executed, and for the writer it is the renewal of the lease. A change of the record
 * compares it too. An unknown outcome is not decided upon: the watch or a later transaction shows
 * whether the record moved. */
#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "repl/lease.h"
#include "json/json.h"

/* ---- values ---- */

enum { BEHIND_SIZE_MAX = 128 }; /* a row, and the end of the list and of the heartbeat */

/* Regions to which no graceful change would come about: whoever plans one cannot know. As many as there is room
 * for. */
static void encode_behind(const struct region *r, usec now, struct json_out *o,
                          const struct buf *out)
{
    bool is_any = false;
    for (size_t i = 0; region_acts_as_writer(r) && i < r->rec->region_count &&
                       out->n + BEHIND_SIZE_MAX < BEAT_SIZE_MAX;
         i++) {
        region_id id = r->rec->regions[i].id;
        struct repl_lag lag;
        if (id == r->cfg.self) {
            continue;
        }
        repl_lag(r->repl, id, &lag);
        if (lag.since_us == 0 || now - lag.since_us < ms(r->cfg.timers.lag_small_ms)) {
            continue;
        }
        if (!is_any) {
            json_out_key(o, "behind");
            json_out_array(o);
            is_any = true;
        }
        json_out_object(o);
        json_out_member_u64(o, "region", id);
        json_out_member_u64(o, "ms", (now - lag.since_us) / 1000);
        json_out_member_u64(o, "operations", lag.ops);
        json_out_object_end(o);
    }
    if (is_any) {
        json_out_array_end(o);
    }
}

/* Who could take over, if only by an operator who accepts a loss. */
static uint64_t successors(const struct region *r)
{
    uint64_t mask = record_online_mask(r->rec);
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        mask |= g->state == REGION_RECOVERING ? record_mask(g->id) : 0;
    }
    return mask & ~record_mask(r->cfg.self);
}

static void beat_encode(struct region *r, struct buf *out)
{
    usec now = region_now(r);
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_key(&o, "n");
    json_out_u64(&o, ++r->beat_no);
    json_out_key(&o, "incarnation");
    json_out_u64(&o, r->cfg.incarnation);
    json_out_key(&o, "generation");
    json_out_u64(&o, r->rec->generation);
    json_out_key(&o, "record_rev");
    json_out_u64(&o, r->rec_rev);
    json_out_key(&o, "lease_ms");
    json_out_u64(&o, r->cfg.timers.lease_ms);
    json_out_key(&o, "role");
    json_out_cstr(&o, region_role_name((enum region_role)r->role));
    json_out_key(&o, "is_whole");
    json_out_bool(&o, repl_is_whole(r->repl));
    json_out_key(&o, "could_open");
    json_out_bool(&o, repl_could_open(r->repl));
    json_out_key(&o, "wants_online");
    json_out_bool(&o,
                  r->role == ROLE_RECOVERING && repl_is_whole(r->repl) && repl_is_matched(r->repl));
    json_out_key(&o, "slow_disk");
    json_out_bool(&o, disk_health_was_slow(&r->health.disk, now, r->cfg.timers.slow_for_ms));
    json_out_key(&o, "low_disk");
    json_out_bool(&o, r->health.is_disk_low);
    json_out_member_i64(&o, "wall_ms", r->io.wall_ms(r->io.ctx));
    json_out_member_u64(&o, "record_format", RECORD_FORMAT);
    json_out_key(&o, "partitions");
    json_out_u64(&o, repl_part_count(r->repl));
    json_out_member_u64(&o, "top_partition", repl_parts_top(r->repl));
    json_out_key(&o, "ord");
    json_out_u64(&o, repl_total_ord(r->repl));
    pid unsound[UNSOUND_MAX];
    size_t n = parts_unsound(r, unsound);
    if (n > 0) {
        json_out_key(&o, "unsound");
        json_out_array(&o);
        for (size_t i = 0; i < n; i++) {
            json_out_u64(&o, unsound[i]);
        }
        json_out_array_end(&o);
    }
    uint64_t followers = parts_promise(r);
    if (followers != 0) {
        json_out_key(&o, "followers");
        json_out_array(&o);
        for (region_id id = 1; id <= REGION_ID_MAX; id++) {
            if ((followers & record_mask(id)) != 0) {
                json_out_u64(&o, id);
            }
        }
        json_out_array_end(&o);
    }
    encode_behind(r, now, &o, out);
    struct beat_lags lags;
    lags.count = repl_lags(r->repl, successors(r), lags.of);
    while (lags.count > 0 && out->n + BEAT_LAGS_SIZE(lags.count) >= BEAT_SIZE_MAX) {
        lags.count--; /* what is above is needed, and never this long */
    }
    beat_put_lags(&o, &lags);
    json_out_object_end(&o);
    ASSERT(buf_ok(out) && out->n <= BEAT_SIZE_MAX);
}

static uint64_t get_u64(const struct json *v, const char *key)
{
    const struct json *m = json_get(v, str_of(key));
    uint64_t n = 0;
    return m != NULL && m->type == JSON_NUMBER && str_to_u64(m->src, &n) ? n : 0;
}

static bool get_bool(const struct json *v, const char *key)
{
    bool b = false;
    (void)json_get_bool(v, str_of(key), &b); /* absent: false */
    return b;
}

/* Numbers of a list, as many as there is room for. Absent: none. */
static size_t get_list(const struct json *v, const char *key, uint64_t *to, size_t max)
{
    const struct json *list = json_get(v, str_of(key));
    size_t n = 0;
    for (size_t i = 0; list != NULL && list->type == JSON_ARRAY && i < list->count && n < max;
         i++) {
        const struct json *item = list->items[i];
        n += item->type == JSON_NUMBER && str_to_u64(item->src, &to[n]);
    }
    return n;
}

static void get_followers(struct member *m, const struct json *v)
{
    uint64_t ids[REGION_ID_MAX];
    size_t n = get_list(v, "followers", ids, ARRAY_COUNT(ids));
    m->followers = 0;
    for (size_t i = 0; i < n; i++) {
        m->followers |= ids[i] <= REGION_ID_MAX ? record_mask((region_id)ids[i]) : 0;
    }
}

/* Returns the sender's wall clock; 0 = it did not say. */
static int64_t beat_decode(struct region *r, struct member *m, struct str value)
{
    int64_t wall_ms = 0;
    struct arena a;
    arena_init(&a);
    const struct json *v = NULL;
    struct json_limits limits = {.text_size_max = BEAT_SIZE_MAX, .depth_max = 4};
    if (json_parse(&a, value, &limits, &v, NULL) == OK && v->type == JSON_OBJECT) {
        m->incarnation = get_u64(v, "incarnation");
        m->generation = get_u64(v, "generation");
        m->rec_rev = get_u64(v, "record_rev");
        uint64_t lease = get_u64(v, "lease_ms");
        m->lease_ms = lease > UINT32_MAX / 2 ? UINT32_MAX / 2 : (unsigned)lease;
        m->parts = get_u64(v, "partitions");
        m->ord = get_u64(v, "ord");
        m->is_whole = get_bool(v, "is_whole");
        m->wants_online = get_bool(v, "wants_online");
        m->is_disk_slow = get_bool(v, "slow_disk");
        m->is_disk_low = get_bool(v, "low_disk");
        m->reads = beat_reads(v);
        m->could_open = beat_could_open(v);
        m->unsound_count = get_list(v, "unsound", m->unsound, UNSOUND_MAX);
        get_followers(m, v);
        beat_note_lags(&m->said, v, r->cfg.self);
        uint64_t wall = get_u64(v, "wall_ms");
        wall_ms = wall > INT64_MAX / 2 ? 0 : (int64_t)wall;
    }
    arena_done(&a);
    return wall_ms;
}

static uint64_t stopped_decode(struct str value)
{
    struct arena a;
    arena_init(&a);
    const struct json *v = NULL;
    uint64_t n = 0;
    if (json_parse(&a, value, NULL, &v, NULL) == OK) {
        n = get_u64(v, "incarnation");
    }
    arena_done(&a);
    return n;
}

/* ---- what is known of the others ---- */

static unsigned lease_ms_of(const struct region *r, const struct member *m)
{
    return m->lease_ms > r->cfg.timers.lease_ms ? m->lease_ms : r->cfg.timers.lease_ms;
}

bool coordio_lease_has_passed(const struct region *r, region_id id, usec since_us)
{
    return region_now(r) >= lease_expired_at(since_us, lease_ms_of(r, &r->members[id]),
                                             r->cfg.timers.wait_margin_ms);
}

bool coordio_is_expired(const struct region *r, region_id id)
{
    const struct member *m = &r->members[id];
    /* Silence means nothing while we cannot hear. */
    return r->is_synced && m->seen_us != 0 && coordio_lease_has_passed(r, id, m->seen_us);
}

bool coordio_has_ended(const struct region *r, region_id id, uint64_t incarnation)
{
    const struct member *m = &r->members[id];
    return (m->stopped != 0 && m->stopped == incarnation) ||
           (m->incarnation != 0 && m->incarnation != incarnation);
}

bool coordio_is_stopped(const struct region *r, region_id id)
{
    const struct member *m = &r->members[id];
    if (m->stopped == 0) {
        return false;
    }
    if (m->incarnation != 0) {
        return m->stopped == m->incarnation;
    }
    const struct record_epoch *reign = region_reign(r);
    const struct record_region *g = r->rec != NULL ? record_region_const(r->rec, id) : NULL;
    return (reign != NULL && reign->writer == id && reign->incarnation == m->stopped) ||
           (g != NULL && g->incarnation == m->stopped);
}

bool coordio_is_alive(const struct region *r, region_id id)
{
    return r->members[id].beat_rev != 0 && !coordio_is_expired(r, id) && !coordio_is_stopped(r, id);
}

uint64_t coordio_alive_mask(const struct region *r)
{
    uint64_t live = 0;
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (id != r->cfg.self && coordio_is_alive(r, id)) {
            live |= record_mask(id);
        }
    }
    return live;
}

static void on_beat(struct region *r, region_id id, const struct coord_kv *kv)
{
    struct member *m = &r->members[id];
    coord_rev rev = kv->is_deleted ? 0 : kv->rev;
    if (rev == m->beat_rev && m->seen_us != 0) {
        return; /* told again: it was not bumped since */
    }
    m->beat_rev = rev;
    m->seen_us = region_now(r);
    if (!kv->is_deleted) {
        health_on_beat(r, id, beat_decode(r, m, kv->value));
    }
    bool may_know = r->rec != NULL && r->role != ROLE_FENCED;
    if (may_know && ((id == r->rec->writer && r->token_shown < r->rec->token_version) ||
                     parts_await_version(r, id))) {
        region_update_mode(r); /* the writer may know the token version by now */
        region_publish_view(r);
        write_recheck_waits(r);
    }
}

static void beat_is_absent(struct region *r, region_id id)
{
    struct member *m = &r->members[id];
    if (m->beat_rev != 0 || m->seen_us == 0) {
        m->beat_rev = 0;
        m->seen_us = region_now(r);
    }
}

/* ---- the record ---- */

static void tell_changes(struct region *r, const struct account_record *old)
{
    const struct account_record *rec = r->rec;
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        const struct record_region *was = old != NULL ? record_region_const(old, g->id) : NULL;
        if (was != NULL && was->needs_full_copy != g->needs_full_copy) {
            region_event(r, EVENT_REGION_STATE, RULE_FULL_COPY, "region=%s needs_full_copy=%s",
                         g->name, g->needs_full_copy ? "true" : "false");
        }
        if (old != NULL && was == NULL) {
            region_event(r, EVENT_REGION_STATE, 0, "region=%s from=absent to=%s", g->name,
                         region_state_name(g->state));
        }
        if (was == NULL || was->state == g->state) {
            continue;
        }
        region_event(r, EVENT_REGION_STATE, r->own_rule, "region=%s from=%s to=%s forced=%s",
                     g->name, region_state_name(was->state), region_state_name(g->state),
                     g->is_forced_offline ? "true" : "false");
        if (was->state == REGION_RECOVERING && g->state == REGION_ONLINE_READ) {
            region_event(r, EVENT_REJOINED, RULE_ADMIT, "region=%s", g->name);
        }
    }
    for (size_t i = 0; old != NULL && i < old->region_count; i++) {
        const struct record_region *was = &old->regions[i];
        if (record_region_const(rec, was->id) == NULL) {
            region_event(r, EVENT_REGION_STATE, RULE_REMOVED, "region=%s from=%s to=absent",
                         was->name, region_state_name(was->state));
        }
    }
    if (old != NULL &&
        (old->level != rec->level || record_lease_level(old) != record_lease_level(rec))) {
        region_event(r, EVENT_LEVEL, old->level != rec->level ? RULE_LEVEL : 0,
                     "level=%s was=%s to=%s", consistency_name(rec->level),
                     consistency_name(old->level), consistency_name(record_lease_level(rec)));
    }
    if (old != NULL && old->lsn_limit != rec->lsn_limit && old->epoch == rec->epoch) {
        region_event(r, EVENT_LSN_BLOCK, RULE_LSN_BLOCK, "limit=%llu",
                     (unsigned long long)rec->lsn_limit);
    }
}

static void note_members(struct region *r)
{
    const struct account_record *rec = r->rec;
    for (size_t i = 0; i < rec->region_count; i++) {
        region_id id = rec->regions[i].id;
        struct member *m = &r->members[id];
        if ((rec->q_mask & record_mask(id)) != 0) {
            m->out_rev = 0;
        } else if (m->out_rev == 0) {
            m->out_rev = r->rec_rev;
        }
        if (id != r->cfg.self) {
            repl_add_peer(r->repl, id);
        }
    }
}

/* When did we learn that the newest epoch's reign is over? */
static void note_reign(struct region *r, const struct account_record *old)
{
    const struct account_record *rec = r->rec;
    const struct record_epoch *reign = region_reign(r);
    if (reign == NULL || rec->generation == reign->generation) {
        r->reign_over_us = 0;
    } else if (old == NULL || old->epoch != rec->epoch || r->reign_over_us == 0) {
        r->reign_over_us = region_now(r);
    }
}

/* A region that has claimed something may write other things, and gives leases for those: it does not know
 * yet what others lack of the one, and need not have what they have shown. Its leases count for that from the
 * next question on, once it has opened it. */
static void note_open(struct region *r, const struct account_record *old)
{
    if (old == NULL || old->generation != r->rec->generation || r->rec->phase == PHASE_PROMOTING) {
        r->read_from_us = 0;
    }
    if (r->rec->phase != PHASE_PROMOTING && r->read_from_us == 0) {
        r->read_from_us = region_next_question(r);
    }
}

void coordio_on_record(struct region *r, struct str value, coord_rev rev)
{
    if (rev <= r->rec_rev || r->role == ROLE_FENCED) {
        return;
    }
    unsigned at = r->rec != NULL ? 1 - r->rec_at : 0;
    struct arena *a = &r->rec_arena[at];
    struct errinfo ei = {0};
    arena_reset(a);
    struct account_record *rec = ARENA_NEW(a, struct account_record);
    enum err e = record_decode(a, value, rec, &ei);
    if (e != OK) {
        region_event(r, EVENT_CORRUPT, 0, "what=\"account record\" error=\"%s\"", ei.message);
        region_step(r, EV_STALE); /* acting without understanding it could make two writers */
        return;
    }
    const struct account_record *old = r->rec;
    r->rec = rec;
    r->rec_at = at;
    r->rec_rev = rev;
    if (old == NULL || old->token_version != rec->token_version) {
        r->token_rev = rev;
    }
    if (old == NULL || old->generation != rec->generation) {
        r->reign_rev = rev;
    }
    /* A change of ours that compared an older revision cannot be executed any more. */
    r->evicting = 0;
    r->joining = 0;
    if (old == NULL || old->generation != rec->generation || old->writer != rec->writer) {
        r->claim_ready_us = 0;
    }
    note_members(r);
    note_reign(r, old);
    note_open(r, old);
    parts_on_record(r, old);
    health_on_record(r, old == NULL);
    if (old != NULL && old->writer != rec->writer) {
        health_on_writer(r, old->writer);
    }
    tell_changes(r, old);
    region_step(r, EV_RECORD);
    write_recheck_waits(r);
}

static void on_kv(struct region *r, const struct coord_kv *kv)
{
    struct str prefix = str_of(r->key_prefix);
    if (!str_starts(kv->key, prefix)) {
        return;
    }
    struct str rest = str_slice(kv->key, prefix.n, kv->key.n - prefix.n);
    struct str kind, id_text;
    uint64_t id = 0;
    if (str_eq(rest, STR("record"))) {
        if (kv->is_deleted) {
            region_event(r, EVENT_REGION_STATE, 0, "record=deleted");
        } else {
            coordio_on_record(r, kv->value, kv->rev);
        }
    } else if (str_split(rest, '/', &kind, &id_text) && str_to_u64(id_text, &id) && id >= 1 &&
               id <= REGION_ID_MAX) {
        if (str_eq(kind, STR("beat"))) {
            on_beat(r, (region_id)id, kv);
        } else if (str_eq(kind, STR("stopped"))) {
            r->members[id].stopped = kv->is_deleted ? 0 : stopped_decode(kv->value);
        } else if (str_eq(kind, STR("objection"))) {
            objection_on_kv(r, (region_id)id, !kv->is_deleted);
        }
    }
}

void region_on_kv(struct region *r, const struct coord_kv *kv)
{
    on_kv(r, kv);
}

void region_on_coord(struct region *r, bool is_synced)
{
    r->is_synced = is_synced;
    if (!is_synced || r->rec == NULL) {
        return;
    }
    for (size_t i = 0; i < r->rec->region_count; i++) {
        struct member *m = &r->members[r->rec->regions[i].id];
        if (m->seen_us == 0) {
            m->seen_us = region_now(r); /* the wait for a missing heartbeat starts here */
        }
    }
}

/* ---- transactions ---- */

static void beat_key(const struct region *r, region_id id, char out[KEY_SIZE])
{
    (void)snprintf(out, KEY_SIZE, COORD_PREFIX "%s/beat/%u", r->account, id);
}

static void send_beat(struct region *r)
{
    struct txn_slot *s = &r->beat;
    ASSERT(s->ticket == 0);
    buf_clear(&s->value);
    beat_encode(r, &s->value);
    struct coord_txn t = {
        .compare_count = 1,
        .compares = {{.key = str_of(r->key_record), .rev = r->rec_rev}},
        .put_count = 1,
        .puts = {{.key = str_of(r->key_beat), .value = buf_str(&s->value), .is_volatile = true}},
    };
    s->ticket = r->next_ticket++;
    s->sent_us = region_now(r);
    s->rec_rev = r->rec_rev;
    s->generation = r->rec->generation;
    s->compared = 0;
    r->io.txn(r->io.ctx, &t, s->ticket);
}

void coordio_tick(struct region *r)
{
    if (r->rec == NULL || r->role == ROLE_FENCED || region_self(r) == NULL) {
        return;
    }
    if (r->beat.ticket == 0 && region_now(r) >= r->next_beat_us) {
        send_beat(r);
    }
}

void coordio_change(struct region *r, enum rule rule, struct account_record *next,
                    region_id compare_beat, bool puts_beat)
{
    struct txn_slot *s = &r->change;
    ASSERT(s->ticket == 0);
    char why[256];
    record_settle(next);
    ASSERT(record_check(next, why));
    buf_clear(&s->value);
    record_encode(next, &s->value);
    if (record_format(next) > record_format(r->rec) && !decide_may_write(r, record_format(next))) {
        region_event(r, EVENT_CORRUPT, rule,
                     "what=\"a region cannot read such a record\" format=%u", record_format(next));
        r->next_change_us = region_now(r) + ms(1000);
        return;
    }
    if (!buf_ok(&s->value)) {
        region_event(r, EVENT_CORRUPT, rule, "what=\"account record is too large\"");
        r->next_change_us = region_now(r) + ms(1000);
        return;
    }
    struct buf beat;
    buf_init(&beat, BEAT_SIZE_MAX);
    char other[KEY_SIZE];
    struct coord_txn t = {
        .compare_count = BUG(BUG_ROLLBACK_UNCOMPARED) && rule == RULE_ROLLBACK ? 0 : 1,
        .compares = {{.key = str_of(r->key_record), .rev = r->rec_rev}},
        .put_count = 1,
        .puts = {{.key = str_of(r->key_record), .value = buf_str(&s->value)}},
    };
    if (compare_beat != 0) {
        beat_key(r, compare_beat, other);
        t.compares[t.compare_count++] =
            (struct coord_compare){.key = str_of(other), .rev = r->members[compare_beat].beat_rev};
    }
    if (puts_beat) {
        beat_encode(r, &beat);
        t.puts[t.put_count++] = (struct coord_put){
            .key = str_of(r->key_beat), .value = buf_str(&beat), .is_volatile = true};
    }
    s->ticket = r->next_ticket++;
    s->sent_us = region_now(r);
    s->rec_rev = r->rec_rev;
    s->generation = next->generation;
    s->rule = rule;
    s->compared = compare_beat;
    s->puts_beat = puts_beat;
    r->io.txn(r->io.ctx, &t, s->ticket);
    buf_done(&beat);
}

/* A transaction that did not succeed shows what is there instead. */
static void absorb(struct region *r, const struct txn_slot *s, const struct coord_txn_result *res)
{
    char key[KEY_SIZE];
    bool has_beat = false, has_record = false;
    coord_rev shown = 0;
    if (s->compared != 0) {
        beat_key(r, s->compared, key);
    }
    for (size_t i = 0; i < res->kv_count; i++) {
        const struct coord_kv *kv = &res->kvs[i];
        has_beat = has_beat || (s->compared != 0 && str_eq(kv->key, str_of(key)));
        if (str_eq(kv->key, str_of(r->key_record))) {
            has_record = true;
            shown = kv->rev;
        }
        on_kv(r, kv);
    }
    if (s->compared != 0 && !has_beat) {
        beat_is_absent(r, s->compared);
    }
    /* Sent when we knew of a later revision than it shows: the coordinator lost history. */
    if (!has_record || shown < s->rec_rev) {
        region_event(r, EVENT_STALE_GENERATION, 0,
                     "what=\"coordinator went backwards\" known_rev=%llu shown_rev=%llu",
                     (unsigned long long)s->rec_rev, (unsigned long long)shown);
        if (r->role != ROLE_FENCED) {
            objection_raise(r, shown, r->rec->generation);
            region_step(r, EV_STALE);
        }
    }
}

static usec later(usec a, usec b)
{
    return a > b ? a : b;
}

static void on_beat_result(struct region *r, const struct coord_txn_result *res)
{
    struct txn_slot s = r->beat;
    usec now = region_now(r);
    r->beat.ticket = 0;
    r->next_beat_us = later(now, s.sent_us + ms(r->cfg.timers.beat_ms));
    if (res->err != OK) {
        return; /* unknown: no renewal; the next one follows at its time */
    }
    if (!res->succeeded) {
        absorb(r, &s, res);
        if (r->rec_rev > s.rec_rev) {
            r->next_beat_us = now; /* with the newer record, at once: it is our lease */
        }
        return;
    }
    if (s.sent_us > r->good_us) {
        r->good_us = s.sent_us;
        r->good_rev = s.rec_rev;
        parts_publish(r);
    }
    if (region_acts_as_writer(r) && s.generation == r->rec->generation &&
        s.sent_us > r->lease_from_us) {
        r->lease_from_us = s.sent_us;
        r->lease_was_fresh = region_lease_is_fresh(r);
        region_publish_view(r);
    }
}

static void on_change_result(struct region *r, const struct coord_txn_result *res)
{
    struct txn_slot *s = &r->change;
    usec now = region_now(r);
    s->ticket = 0;
    r->next_change_us = now + ms(TXN_BACKOFF_MS) + rng_below(&r->rng, ms(TXN_BACKOFF_MS));
    if (res->err != OK) {
        r->unsettled_rev = s->rec_rev;
        return; /* unknown: the watch tells, or the same change is tried on the same revision */
    }
    if (!res->succeeded) {
        absorb(r, s, res);
        return;
    }
    r->next_change_us = now;
    contract_trace("rule", (unsigned)s->rule, (unsigned)r->role);
    bool opens = s->rule == RULE_OPEN || s->rule == RULE_TAKE || s->rule == RULE_ROLLBACK;
    usec sent_us = s->sent_us;
    generation g = s->generation;
    if (opens && s->puts_beat) {
        r->lease_from_us = later(r->lease_from_us, sent_us); /* counts once the role is taken */
    }
    r->own_rule = (uint32_t)s->rule;
    if (s->puts_beat && sent_us > r->good_us) {
        r->good_us = sent_us;
        r->good_rev = res->rev;
    }
    coordio_on_record(r, buf_str(&s->value), res->rev);
    r->own_rule = 0;
    if (!region_acts_as_writer(r) || r->rec->generation != g) {
        if (!region_acts_as_writer(r)) {
            r->lease_from_us = 0;
        }
    }
    region_publish_view(r);
    r->next_beat_us = later(now, sent_us + ms(r->cfg.timers.beat_ms) / 2);
}

void region_on_txn(struct region *r, uint64_t ticket, const struct coord_txn_result *res)
{
    if (ticket == r->beat.ticket) {
        on_beat_result(r, res);
    } else if (ticket == r->change.ticket) {
        on_change_result(r, res);
    } else if (ticket == r->objection.ticket) {
        objection_on_result(r, res);
    }
}
