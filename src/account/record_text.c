/* The account record as text.
 *
 * Encoding is JSON because operators read it in the coordinator and because it is small and rare.
 * Decoding is strict on purpose: an unknown member means that a newer program wrote it, and going
 * on without understanding it could give two writers. Numbers are read from their source text, so
 * that 64-bit values survive. */
#include <string.h>

#include "account/record.h"
#include "account/record_int.h"
#include "base/contract.h"
#include "coord/coord.h"
#include "json/json.h"

enum { RECORD_TEXT_SIZE_MAX = COORD_VALUE_SIZE_MAX };

/* ---- formats ---- */

/* Does anything need what format 1 cannot say? A program of format 1 fences itself off before it
 * misunderstands the rest. */
static bool has_levels(const struct account_record *r)
{
    return r->is_level_changing || r->strong_since != 0 || r->max_staleness_ops != 0;
}

/* Raises of the token version by lossy epochs alone, as formats 1 and 2 have them. */
static void derive_versions(struct account_record *r)
{
    uint64_t version = r->token_version;
    for (size_t i = r->epoch_count; i-- > 0;) {
        r->epochs[i].token_version = version;
        version -= r->epochs[i].opened.is_lossy && version > 0;
    }
}

/* Does it use a member of format 3? What is known of unsent entries alone does not count: it would
 * turn every failover into the end of a rolling upgrade. */
static bool has_topology(const struct account_record *r)
{
    bool has = r->former_count > 0;
    for (size_t i = 0; i < r->region_count; i++) {
        has = has || r->regions[i].needs_full_copy || r->regions[i].unsent_ops != 0;
    }
    uint64_t version = r->token_version;
    for (size_t i = r->epoch_count; i-- > 0;) {
        has = has || r->epochs[i].token_version != version;
        version -= r->epochs[i].opened.is_lossy && version > 0;
    }
    return has;
}

/* Does it use a member of format 4? */
static bool has_partitions(const struct account_record *r)
{
    return r->override_count > 0 || r->partition_failover || r->generation_floor != 0 ||
           r->epoch_floor != 0;
}

/* Does it use a member of format 5? */
static bool has_diverged(const struct account_record *r)
{
    return r->diverged_writes != DIVERGED_FEED || r->feed_quota != 0;
}

/* ---- encoding ---- */

static void put_region(struct json_out *o, const struct record_region *g)
{
    json_out_object(o);
    json_out_member_u64(o, "id", g->id);
    json_out_member_cstr(o, "name", g->name);
    json_out_member_cstr(o, "endpoint", g->endpoint);
    json_out_member_cstr(o, "peer_addr", g->peer_addr);
    json_out_member_u64(o, "priority", g->priority);
    json_out_member_cstr(o, "state", region_state_name(g->state));
    json_out_member_bool(o, "is_forced_offline", g->is_forced_offline);
    json_out_member_u64(o, "incarnation", g->incarnation);
    json_out_member_i64(o, "since_wall_ms", g->since_wall_ms);
    json_out_object_end(o);
}

/* Members of the object that is open. */
static void put_opening(struct json_out *o, const struct record_opening *x)
{
    json_out_member_bool(o, "is_lossy", x->is_lossy);
    json_out_member_u64(o, "rule", x->rule);
    json_out_member_i64(o, "wall_ms", x->wall_ms);
    json_out_member_cstr(o, "reason", x->reason);
    json_out_member_u64(o, "detect_ms", x->detect_ms);
    json_out_member_u64(o, "wait_ms", x->wait_ms);
    json_out_member_u64(o, "promote_ms", x->promote_ms);
}

static void put_epoch(struct json_out *o, const struct record_epoch *e)
{
    json_out_object(o);
    json_out_member_u64(o, "epoch", e->epoch);
    json_out_member_u64(o, "generation", e->generation);
    json_out_member_u64(o, "writer", e->writer);
    json_out_member_u64(o, "incarnation", e->incarnation);
    json_out_member_u64(o, "start_lsn", e->start_lsn);
    put_opening(o, &e->opened);
    json_out_key(o, "branches");
    json_out_array(o);
    for (size_t i = 0; i < e->branch_count; i++) {
        json_out_array(o);
        json_out_u64(o, e->branches[i].pid);
        json_out_u64(o, e->branches[i].epoch);
        json_out_u64(o, e->branches[i].lsn);
        json_out_array_end(o);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void put_levels(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "levels");
    json_out_object(o);
    json_out_member_cstr(o, "to", consistency_name(record_lease_level(r)));
    json_out_member_u64(o, "strong_since", r->strong_since);
    json_out_member_u64(o, "max_staleness_ops", r->max_staleness_ops);
    json_out_member_u64(o, "max_staleness_s", r->max_staleness_s);
    json_out_object_end(o);
}

static void put_pair(struct json_out *o, uint64_t id, uint64_t v)
{
    json_out_array(o);
    json_out_u64(o, id);
    json_out_u64(o, v);
    json_out_array_end(o);
}

static void put_topology(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "topology");
    json_out_object(o);
    json_out_key(o, "former");
    json_out_array(o);
    for (size_t i = 0; i < r->former_count; i++) {
        json_out_array(o);
        json_out_u64(o, r->former[i].id);
        json_out_cstr(o, r->former[i].name);
        json_out_array_end(o);
    }
    json_out_array_end(o);
    json_out_key(o, "needs_full_copy");
    json_out_array(o);
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].needs_full_copy) {
            json_out_u64(o, r->regions[i].id);
        }
    }
    json_out_array_end(o);
    json_out_key(o, "unsent_ops");
    json_out_array(o);
    for (size_t i = 0; i < r->region_count; i++) {
        if (r->regions[i].unsent_ops != 0) {
            put_pair(o, r->regions[i].id, r->regions[i].unsent_ops);
        }
    }
    json_out_array_end(o);
    json_out_key(o, "token_versions");
    json_out_array(o);
    for (size_t i = 0; i < r->epoch_count; i++) {
        json_out_u64(o, r->epochs[i].token_version);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void put_override(struct json_out *o, const struct record_override *x)
{
    json_out_object(o);
    json_out_member_u64(o, "pid", x->pid);
    json_out_member_cstr(o, "phase", record_phase_names[x->phase]);
    json_out_member_u64(o, "writer", x->writer);
    json_out_member_u64(o, "incarnation", x->incarnation);
    json_out_member_u64(o, "generation", x->generation);
    json_out_member_u64(o, "transfer_to", x->transfer_to);
    json_out_member_bool(o, "is_pinned", x->is_pinned);
    json_out_member_u64(o, "epoch", x->epoch);
    json_out_member_u64(o, "holder", x->holder);
    json_out_member_u64(o, "holder_incarnation", x->holder_incarnation);
    json_out_member_u64(o, "holder_generation", x->holder_generation);
    json_out_member_u64(o, "start_lsn", x->start_lsn);
    json_out_member_u64(o, "branch_epoch", x->branch.epoch);
    json_out_member_u64(o, "branch_lsn", x->branch.lsn);
    put_opening(o, &x->opened);
    json_out_member_u64(o, "token_version", x->token_version);
    json_out_member_u64(o, "lossy_epoch", x->lossy_epoch);
    json_out_member_u64(o, "lossy_version", x->lossy_version);
    json_out_object_end(o);
}

static void put_partitions(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "partitions");
    json_out_object(o);
    json_out_member_bool(o, "failover", r->partition_failover);
    json_out_member_u64(o, "generation_floor", r->generation_floor);
    json_out_member_u64(o, "epoch_floor", r->epoch_floor);
    json_out_key(o, "overrides");
    json_out_array(o);
    for (size_t i = 0; i < r->override_count; i++) {
        put_override(o, &r->overrides[i]);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void put_diverged(struct json_out *o, const struct account_record *r)
{
    json_out_key(o, "diverged");
    json_out_object(o);
    json_out_member_cstr(o, "writes", diverged_name(r->diverged_writes));
    json_out_member_u64(o, "feed_quota", r->feed_quota);
    json_out_object_end(o);
}

unsigned record_format(const struct account_record *r)
{
    return has_diverged(r)     ? 5
           : has_partitions(r) ? 4
           : has_topology(r)   ? 3
           : has_levels(r)     ? 2
                               : 1;
}

void record_encode(const struct account_record *r, struct buf *out)
{
    char reason[256];
    ASSERT(record_check(r, reason));
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_u64(&o, "format", record_format(r));
    json_out_member_cstr(&o, "name", r->name);
    json_out_member_cstr(&o, "level", consistency_name(r->level));
    if (has_levels(r)) {
        put_levels(&o, r);
    }
    json_out_member_bool(&o, "auto_failover", r->auto_failover);
    json_out_member_cstr(&o, "phase", record_phase_names[r->phase]);
    json_out_member_u64(&o, "writer", r->writer);
    json_out_member_u64(&o, "writer_incarnation", r->writer_incarnation);
    json_out_member_u64(&o, "generation", r->generation);
    json_out_member_u64(&o, "epoch", r->epoch);
    json_out_member_u64(&o, "transfer_to", r->transfer_to);
    json_out_member_i64(&o, "transfer_deadline_wall_ms", r->transfer_deadline_wall_ms);
    json_out_member_u64(&o, "q_mask", r->q_mask);
    json_out_member_u64(&o, "token_version", r->token_version);
    json_out_member_u64(&o, "lsn_limit", r->lsn_limit);
    json_out_member_u64(&o, "next_region_id", r->next_region_id);
    json_out_key(&o, "keys");
    json_out_array(&o);
    for (size_t i = 0; i < ARRAY_COUNT(r->key); i++) {
        json_out_cstr(&o, r->key[i]);
    }
    json_out_array_end(&o);
    json_out_member_cstr(&o, "peer_secret", r->peer_secret);
    json_out_key(&o, "regions");
    json_out_array(&o);
    for (size_t i = 0; i < r->region_count; i++) {
        put_region(&o, &r->regions[i]);
    }
    json_out_array_end(&o);
    json_out_key(&o, "epochs");
    json_out_array(&o);
    for (size_t i = 0; i < r->epoch_count; i++) {
        put_epoch(&o, &r->epochs[i]);
    }
    json_out_array_end(&o);
    if (has_topology(r)) {
        put_topology(&o, r);
    }
    if (has_partitions(r)) {
        put_partitions(&o, r);
    }
    if (has_diverged(r)) {
        put_diverged(&o, r);
    }
    json_out_object_end(&o);
}

/* ---- decoding: the first failure sticks in `ei`, later reads do nothing ---- */

struct dec {
    struct errinfo *ei;
    enum err err;
};

static void fail(struct dec *d, enum err e, const char *key, const char *text)
{
    if (d->err == OK) {
        d->err = err_set(d->ei, e, "account record: member '%s' %s", key, text);
    }
}

static const struct json *need(struct dec *d, const struct json *v, const char *key,
                               enum json_type type)
{
    const struct json *m = json_get(v, str_of(key));
    if (m == NULL || m->type != type) {
        fail(d, ERR_CORRUPT, key, "is missing or of another type");
        return NULL;
    }
    return m;
}

static bool number_u64(const struct json *m, uint64_t *ret)
{
    return m->type == JSON_NUMBER && str_to_u64(m->src, ret);
}

static uint64_t need_u64(struct dec *d, const struct json *v, const char *key, uint64_t max)
{
    const struct json *m = need(d, v, key, JSON_NUMBER);
    uint64_t n = 0;
    if (m != NULL && (!number_u64(m, &n) || n > max)) {
        fail(d, ERR_CORRUPT, key, "is out of range");
        return 0;
    }
    return n;
}

static int64_t need_i64(struct dec *d, const struct json *v, const char *key)
{
    const struct json *m = need(d, v, key, JSON_NUMBER);
    int64_t n = 0;
    if (m != NULL && !str_to_i64(m->src, &n)) {
        fail(d, ERR_CORRUPT, key, "is out of range");
        return 0;
    }
    return n;
}

static bool need_bool(struct dec *d, const struct json *v, const char *key)
{
    const struct json *m = need(d, v, key, JSON_BOOL);
    return m != NULL && m->boolean;
}

static void copy_text(struct dec *d, const struct json *m, const char *key, char *out, size_t size)
{
    if (m == NULL) {
        return;
    }
    if (m->text.n >= size || (m->text.n > 0 && memchr(m->text.p, 0, m->text.n) != NULL)) {
        fail(d, ERR_CORRUPT, key, "is too long or contains NUL");
        return;
    }
    memset(out, 0, size);
    if (m->text.n > 0) {
        memcpy(out, m->text.p, m->text.n);
    }
}

static void need_text(struct dec *d, const struct json *v, const char *key, char *out, size_t size)
{
    copy_text(d, need(d, v, key, JSON_STRING), key, out, size);
}

/* One of a table's names; 0 after a failure. */
static int need_name(struct dec *d, const struct json *v, const char *key, const char *const *names,
                     int count)
{
    const struct json *m = need(d, v, key, JSON_STRING);
    if (m == NULL) {
        return 0;
    }
    int i = record_name_find(names, count, m->text);
    if (i < 0) {
        fail(d, ERR_FORMAT_NEWER, key, "has an unknown value");
        return 0;
    }
    return i;
}

static void only_members(struct dec *d, const struct json *v, const char *const *known, size_t n)
{
    for (size_t i = 0; v != NULL && v->type == JSON_OBJECT && i < v->count; i++) {
        bool found = false;
        for (size_t k = 0; k < n && !found; k++) {
            found = str_eq(v->members[i].key, str_of(known[k]));
        }
        if (!found) {
            fail(d, ERR_FORMAT_NEWER, "?", "is unknown: written by a newer version");
        }
    }
}

static const struct json *need_array(struct dec *d, const struct json *v, const char *key,
                                     size_t count_max)
{
    const struct json *m = need(d, v, key, JSON_ARRAY);
    if (m != NULL && m->count > count_max) {
        fail(d, ERR_CORRUPT, key, "has too many elements");
        return NULL;
    }
    return m;
}

static void get_region(struct dec *d, const struct json *v, struct record_region *g)
{
    static const char *const known[] = {"id",           "name",  "endpoint",          "peer_addr",
                                        "priority",     "state", "is_forced_offline", "incarnation",
                                        "since_wall_ms"};
    only_members(d, v, known, ARRAY_COUNT(known));
    g->id = (region_id)need_u64(d, v, "id", REGION_ID_MAX);
    need_text(d, v, "name", g->name, sizeof(g->name));
    need_text(d, v, "endpoint", g->endpoint, sizeof(g->endpoint));
    need_text(d, v, "peer_addr", g->peer_addr, sizeof(g->peer_addr));
    g->priority = (uint32_t)need_u64(d, v, "priority", REGIONS_MAX - 1);
    g->state = (enum region_state)need_name(d, v, "state", record_state_names, REGION_STATE_COUNT);
    g->is_forced_offline = need_bool(d, v, "is_forced_offline");
    g->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    g->since_wall_ms = need_i64(d, v, "since_wall_ms");
}

static void get_branches(struct dec *d, struct arena *a, const struct json *v,
                         struct record_epoch *e)
{
    const struct json *list = need_array(d, v, "branches", RECORD_BRANCHES_MAX);
    if (list == NULL || list->count == 0) {
        return;
    }
    struct record_branch *b = ARENA_NEW_ARRAY(a, struct record_branch, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const struct json *row = list->items[i];
        if (row->type != JSON_ARRAY || row->count != 3 || !number_u64(row->items[0], &b[i].pid) ||
            !number_u64(row->items[1], &b[i].epoch) || !number_u64(row->items[2], &b[i].lsn)) {
            fail(d, ERR_CORRUPT, "branches", "has a bad row");
            return;
        }
    }
    e->branches = b;
    e->branch_count = list->count;
}

static void get_opening(struct dec *d, const struct json *v, struct record_opening *x)
{
    x->is_lossy = need_bool(d, v, "is_lossy");
    x->rule = (uint32_t)need_u64(d, v, "rule", UINT32_MAX);
    x->wall_ms = need_i64(d, v, "wall_ms");
    need_text(d, v, "reason", x->reason, sizeof(x->reason));
    x->detect_ms = (uint32_t)need_u64(d, v, "detect_ms", UINT32_MAX);
    x->wait_ms = (uint32_t)need_u64(d, v, "wait_ms", UINT32_MAX);
    x->promote_ms = (uint32_t)need_u64(d, v, "promote_ms", UINT32_MAX);
}

static void get_epoch(struct dec *d, struct arena *a, const struct json *v, struct record_epoch *e)
{
    static const char *const known[] = {
        "epoch",   "generation", "writer",    "incarnation", "start_lsn",  "is_lossy", "rule",
        "wall_ms", "reason",     "detect_ms", "wait_ms",     "promote_ms", "branches"};
    only_members(d, v, known, ARRAY_COUNT(known));
    e->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    e->generation = need_u64(d, v, "generation", UINT64_MAX);
    e->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    e->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    e->start_lsn = need_u64(d, v, "start_lsn", LSN_MAX);
    get_opening(d, v, &e->opened);
    get_branches(d, a, v, e);
}

static void get_lists(struct dec *d, struct arena *a, const struct json *v,
                      struct account_record *r)
{
    const struct json *keys = need_array(d, v, "keys", ARRAY_COUNT(r->key));
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        if (keys->items[i]->type != JSON_STRING) {
            fail(d, ERR_CORRUPT, "keys", "holds something else than strings");
            break;
        }
        copy_text(d, keys->items[i], "keys", r->key[i], sizeof(r->key[i]));
    }
    const struct json *regions = need_array(d, v, "regions", REGIONS_MAX);
    for (size_t i = 0; regions != NULL && i < regions->count && d->err == OK; i++) {
        get_region(d, regions->items[i], &r->regions[r->region_count++]);
    }
    const struct json *epochs = need_array(d, v, "epochs", RECORD_EPOCHS_MAX);
    for (size_t i = 0; epochs != NULL && i < epochs->count && d->err == OK; i++) {
        get_epoch(d, a, epochs->items[i], &r->epochs[r->epoch_count++]);
    }
}

/* Absent in a record of format 1: no change runs, and a bounded level has the usual bounds. */
static void get_levels(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"to", "strong_since", "max_staleness_ops",
                                        "max_staleness_s"};
    const struct json *m = json_get(v, STR("levels"));
    if (m == NULL) {
        if (r->level == CONSISTENCY_BOUNDED_STALENESS) {
            r->max_staleness_ops = STALENESS_OPS_ADVISED;
            r->max_staleness_s = STALENESS_S_ADVISED;
        }
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "levels", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    r->level_to = (enum consistency)need_name(d, m, "to", record_level_names, CONSISTENCY_COUNT);
    r->is_level_changing = r->level_to != r->level;
    r->strong_since = need_u64(d, m, "strong_since", UINT64_MAX);
    r->max_staleness_ops = need_u64(d, m, "max_staleness_ops", STALENESS_OPS_MAX);
    r->max_staleness_s = (uint32_t)need_u64(d, m, "max_staleness_s", STALENESS_S_MAX);
}

static void get_former(struct dec *d, const struct json *v, struct account_record *r)
{
    const struct json *list = need_array(d, v, "former", ARRAY_COUNT(r->former));
    for (size_t i = 0; list != NULL && i < list->count && d->err == OK; i++) {
        const struct json *row = list->items[i];
        uint64_t id = 0;
        if (row->type != JSON_ARRAY || row->count != 2 || !number_u64(row->items[0], &id) ||
            id > REGION_ID_MAX || row->items[1]->type != JSON_STRING) {
            fail(d, ERR_CORRUPT, "former", "has a bad row");
            return;
        }
        struct record_former *f = &r->former[r->former_count++];
        f->id = (region_id)id;
        copy_text(d, row->items[1], "former", f->name, sizeof(f->name));
    }
}

static struct record_region *member_of(struct dec *d, struct account_record *r,
                                       const struct json *id, const char *key)
{
    uint64_t n = 0;
    struct record_region *g =
        number_u64(id, &n) && n <= REGION_ID_MAX ? record_region(r, (region_id)n) : NULL;
    if (g == NULL) {
        fail(d, ERR_CORRUPT, key, "names no region of the account");
    }
    return g;
}

/* Absent in a record of format 1 or 2: regions never changed. After regions and epochs. */
static void get_topology(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"former", "needs_full_copy", "unsent_ops",
                                        "token_versions"};
    const struct json *m = json_get(v, STR("topology"));
    if (m == NULL) {
        derive_versions(r);
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "topology", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    get_former(d, m, r);
    const struct json *copies = need_array(d, m, "needs_full_copy", REGIONS_MAX);
    for (size_t i = 0; copies != NULL && i < copies->count; i++) {
        struct record_region *g = member_of(d, r, copies->items[i], "needs_full_copy");
        if (g != NULL) {
            g->needs_full_copy = true;
        }
    }
    const struct json *unsent = need_array(d, m, "unsent_ops", REGIONS_MAX);
    for (size_t i = 0; unsent != NULL && i < unsent->count && d->err == OK; i++) {
        const struct json *row = unsent->items[i];
        bool is_pair = row->type == JSON_ARRAY && row->count == 2;
        struct record_region *g = is_pair ? member_of(d, r, row->items[0], "unsent_ops") : NULL;
        if (g == NULL || !number_u64(row->items[1], &g->unsent_ops)) {
            fail(d, ERR_CORRUPT, "unsent_ops", "has a bad row");
        }
    }
    const struct json *versions = need_array(d, m, "token_versions", RECORD_EPOCHS_MAX);
    if (versions != NULL && versions->count != r->epoch_count) {
        fail(d, ERR_CORRUPT, "token_versions", "does not have one number per epoch");
        return;
    }
    for (size_t i = 0; versions != NULL && i < versions->count; i++) {
        if (!number_u64(versions->items[i], &r->epochs[i].token_version)) {
            fail(d, ERR_CORRUPT, "token_versions", "has something else than numbers");
        }
    }
}

static void get_override(struct dec *d, const struct json *v, struct record_override *x)
{
    static const char *const known[] = {
        "pid",         "phase",       "writer",        "incarnation",  "generation",
        "transfer_to", "is_pinned",   "epoch",         "holder",       "holder_incarnation",
        "start_lsn",   "is_lossy",    "branch_epoch",  "branch_lsn",   "holder_generation",
        "rule",        "wall_ms",     "reason",        "detect_ms",    "wait_ms",
        "promote_ms",  "lossy_epoch", "lossy_version", "token_version"};
    only_members(d, v, known, ARRAY_COUNT(known));
    x->pid = need_u64(d, v, "pid", UINT64_MAX);
    x->phase = (enum account_phase)need_name(d, v, "phase", record_phase_names, PHASE_COUNT);
    x->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    x->incarnation = need_u64(d, v, "incarnation", UINT64_MAX);
    x->generation = need_u64(d, v, "generation", UINT64_MAX);
    x->transfer_to = (region_id)need_u64(d, v, "transfer_to", REGION_ID_MAX);
    x->is_pinned = need_bool(d, v, "is_pinned");
    x->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    x->holder = (region_id)need_u64(d, v, "holder", REGION_ID_MAX);
    x->holder_incarnation = need_u64(d, v, "holder_incarnation", UINT64_MAX);
    x->holder_generation = need_u64(d, v, "holder_generation", UINT64_MAX);
    x->start_lsn = need_u64(d, v, "start_lsn", LSN_MAX);
    x->branch.pid = x->pid;
    x->branch.epoch = need_u64(d, v, "branch_epoch", UINT64_MAX);
    x->branch.lsn = need_u64(d, v, "branch_lsn", LSN_MAX);
    get_opening(d, v, &x->opened);
    x->token_version = need_u64(d, v, "token_version", UINT64_MAX);
    x->lossy_epoch = need_u64(d, v, "lossy_epoch", UINT64_MAX);
    x->lossy_version = need_u64(d, v, "lossy_version", UINT64_MAX);
}

/* Absent in a record before format 4: no partition has a writer of its own. */
static void get_partitions(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"failover", "generation_floor", "epoch_floor", "overrides"};
    const struct json *m = json_get(v, STR("partitions"));
    if (m == NULL) {
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "partitions", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    r->partition_failover = need_bool(d, m, "failover");
    r->generation_floor = need_u64(d, m, "generation_floor", UINT64_MAX);
    r->epoch_floor = need_u64(d, m, "epoch_floor", UINT64_MAX);
    const struct json *rows = need_array(d, m, "overrides", RECORD_OVERRIDES_MAX);
    for (size_t i = 0; rows != NULL && i < rows->count && d->err == OK; i++) {
        get_override(d, rows->items[i], &r->overrides[r->override_count++]);
    }
}

/* Absent in a record before format 5: all writes that are lost go to the feed. */
static void get_diverged(struct dec *d, const struct json *v, struct account_record *r)
{
    static const char *const known[] = {"writes", "feed_quota"};
    const struct json *m = json_get(v, STR("diverged"));
    if (m == NULL) {
        return;
    }
    if (m->type != JSON_OBJECT) {
        fail(d, ERR_CORRUPT, "diverged", "is no object");
        return;
    }
    only_members(d, m, known, ARRAY_COUNT(known));
    r->diverged_writes =
        (enum diverged_writes)need_name(d, m, "writes", diverged_names, DIVERGED_COUNT);
    r->feed_quota = need_u64(d, m, "feed_quota", FEED_QUOTA_MAX);
}

static void get_record(struct dec *d, struct arena *a, const struct json *v,
                       struct account_record *r)
{
    static const char *const known[] = {
        "format",        "name",          "level",       "levels",
        "auto_failover", "phase",         "writer",      "writer_incarnation",
        "generation",    "epoch",         "transfer_to", "transfer_deadline_wall_ms",
        "q_mask",        "token_version", "lsn_limit",   "next_region_id",
        "keys",          "peer_secret",   "regions",     "epochs",
        "topology",      "partitions",    "diverged"};
    uint64_t format = need_u64(d, v, "format", UINT64_MAX);
    if (format > RECORD_FORMAT && d->err == OK) {
        d->err =
            err_set(d->ei, ERR_FORMAT_NEWER,
                    "the account record has format %llu of a newer version, this program reads "
                    "up to %d",
                    (unsigned long long)format, RECORD_FORMAT);
        err_hint(d->ei, "run the version that the other regions run");
        return;
    }
    only_members(d, v, known, ARRAY_COUNT(known));
    need_text(d, v, "name", r->name, sizeof(r->name));
    r->level = (enum consistency)need_name(d, v, "level", record_level_names, CONSISTENCY_COUNT);
    get_levels(d, v, r);
    r->auto_failover = need_bool(d, v, "auto_failover");
    r->phase = (enum account_phase)need_name(d, v, "phase", record_phase_names, PHASE_COUNT);
    r->writer = (region_id)need_u64(d, v, "writer", REGION_ID_MAX);
    r->writer_incarnation = need_u64(d, v, "writer_incarnation", UINT64_MAX);
    r->generation = need_u64(d, v, "generation", UINT64_MAX);
    r->epoch = need_u64(d, v, "epoch", UINT64_MAX);
    r->transfer_to = (region_id)need_u64(d, v, "transfer_to", REGION_ID_MAX);
    r->transfer_deadline_wall_ms = need_i64(d, v, "transfer_deadline_wall_ms");
    r->q_mask = need_u64(d, v, "q_mask", UINT64_MAX);
    r->token_version = need_u64(d, v, "token_version", UINT64_MAX);
    r->lsn_limit = need_u64(d, v, "lsn_limit", LSN_MAX);
    r->next_region_id = (region_id)need_u64(d, v, "next_region_id", REGION_ID_MAX + 1);
    need_text(d, v, "peer_secret", r->peer_secret, sizeof(r->peer_secret));
    get_lists(d, a, v, r);
    get_topology(d, v, r);
    get_partitions(d, v, r);
    get_diverged(d, v, r);
}

enum err record_decode(struct arena *a, struct str text, struct account_record *ret,
                       struct errinfo *ei)
{
    struct json_limits limits = {.text_size_max = RECORD_TEXT_SIZE_MAX, .depth_max = 8};
    const struct json *v = NULL;
    struct errinfo local = {0};
    if (json_parse(a, text, &limits, &v, &local) != OK) {
        return err_set(ei, ERR_CORRUPT, "account record is no JSON: %s", local.message);
    }
    if (v->type != JSON_OBJECT) {
        return err_set(ei, ERR_CORRUPT, "account record is no JSON object");
    }
    struct account_record *r = ARENA_NEW(a, struct account_record);
    struct dec d = {.ei = ei, .err = OK};
    get_record(&d, a, v, r);
    if (d.err != OK) {
        return d.err;
    }
    char reason[256];
    if (!record_check(r, reason)) {
        return err_set(ei, ERR_CORRUPT, "account record: %s", reason);
    }
    *ret = *r;
    return OK;
}
