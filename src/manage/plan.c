/* Request bodies as changes. See plan.h. */
#include "manage/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "account/distance.h"
#include "account/region.h"
#include "base/contract.h"
#include "manage/change.h"

/* ---- reading ---- */

struct request {
    size_t count; /* of regions, in priority order; 0 = none given */
    char names[REGIONS_MAX][RECORD_NAME_MAX];
    bool has_level, has_auto_failover, auto_failover;
    struct level_request level;
    struct str diverged; /* empty = not given */
    bool has_quota;
    uint64_t feed_quota;
};

static bool is_absent(const struct json *v)
{
    return v == NULL || v->type == JSON_NULL;
}

/* What asks for nothing: clients send such values for things that they do not use. */
static bool is_off(const struct json *v)
{
    switch (v->type) {
    case JSON_UNDEFINED:
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return !v->boolean;
    case JSON_STRING:
        return v->text.n == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        return v->count == 0;
    case JSON_NUMBER:
        break;
    }
    return false;
}

/* [{locationName, failoverPriority, ...}]: names in priority order. */
static enum err read_order(const struct json *items, struct request *q, struct errinfo *ei)
{
    if (items->type != JSON_ARRAY || items->count == 0 || items->count > REGIONS_MAX) {
        return err_set(ei, ERR_INVALID, "the list of regions has 1 to %d entries", REGIONS_MAX);
    }
    memset(q->names, 0, sizeof(q->names));
    for (size_t i = 0; i < items->count; i++) {
        struct str given = STR_NONE;
        char name[RECORD_NAME_MAX];
        uint64_t priority = i;
        bool is_redundant = false;
        if (!json_get_str(items->items[i], STR("locationName"), &given)) {
            return err_set(ei, ERR_INVALID, "an entry of the list of regions has no locationName");
        }
        TRY(hosted_region_name(given, name, ei));
        const struct json *number = json_get(items->items[i], STR("failoverPriority"));
        if (!is_absent(number) &&
            (!json_get_u64(items->items[i], STR("failoverPriority"), &priority) ||
             priority >= items->count)) {
            return err_set(ei, ERR_INVALID, "the priority of region %s is not one of 0 to %zu",
                           name, items->count - 1);
        }
        (void)json_get_bool(items->items[i], STR("isZoneRedundant"), &is_redundant);
        if (is_redundant) {
            return err_set(ei, ERR_UNSUPPORTED,
                           "region %s keeps one copy of the data: it cannot be zone redundant",
                           name);
        }
        if (q->names[priority][0]) {
            return err_set(ei, ERR_INVALID, "priority %" PRIu64 " is given twice", priority);
        }
        for (size_t k = 0; k < items->count; k++) {
            if (strcmp(q->names[k], name) == 0) {
                return err_set(ei, ERR_INVALID, "region %s is named twice", name);
            }
        }
        memcpy(q->names[priority], name, sizeof(name));
    }
    q->count = items->count;
    return OK;
}

static enum err read_bound(const struct json *policy, const char *key, uint64_t *ret,
                           struct errinfo *ei)
{
    if (is_absent(json_get(policy, str_of(key)))) {
        return OK;
    }
    if (!json_get_u64(policy, str_of(key), ret) || *ret == 0) {
        return err_set(ei, ERR_INVALID, "%s is no whole number above 0", key);
    }
    return OK;
}

static enum err read_level(const struct json *policy, struct request *q, struct errinfo *ei)
{
    struct str level = STR_NONE;
    if (!json_get_str(policy, STR("defaultConsistencyLevel"), &level) ||
        !consistency_parse(level, &q->level.level)) {
        return err_set(ei, ERR_INVALID,
                       "unknown consistency level '" STR_FMT
                       "': Strong, BoundedStaleness, Session, ConsistentPrefix or Eventual",
                       STR_ARG(str_slice(level, 0, 60)));
    }
    /* Clients send bounds with every level; they count at the one that has them. */
    if (q->level.level == CONSISTENCY_BOUNDED_STALENESS) {
        TRY(read_bound(policy, "maxStalenessPrefix", &q->level.max_staleness_ops, ei));
        TRY(read_bound(policy, "maxIntervalInSeconds", &q->level.max_staleness_s, ei));
    }
    q->has_level = true;
    return OK;
}

/* Properties that say what is so anyway, and those that answers carry and clients send back. */
static bool is_as_it_is(struct str key, const struct json *v)
{
    static const struct {
        const char *key;
        const char *value; /* NULL = whatever it is */
    } fine[] = {
        {"databaseAccountOfferType", "Standard"},
        {"createMode", "Default"},
        {"publicNetworkAccess", "Enabled"},
        {"networkAclBypass", "None"},
        {"capacityMode", "Provisioned"},
        {"provisioningState", NULL},
        {"documentEndpoint", NULL},
        {"instanceId", NULL},
        {"writeLocations", NULL},
        {"readLocations", NULL},
        {"failoverPolicies", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++) {
        if (str_eq(key, str_of(fine[i].key))) {
            return fine[i].value == NULL ||
                   (v->type == JSON_STRING && str_eq_nocase(v->text, str_of(fine[i].value)));
        }
    }
    return is_off(v);
}

static enum err read_property(struct str key, const struct json *v, struct request *q,
                              struct errinfo *ei)
{
    if (v->type == JSON_NULL) {
        return OK;
    }
    if (str_eq(key, STR("locations"))) {
        return read_order(v, q, ei);
    }
    if (str_eq(key, STR("consistencyPolicy"))) {
        return OK; /* read already */
    }
    if (str_eq(key, STR("enableAutomaticFailover"))) {
        if (v->type != JSON_BOOL) {
            return err_set(ei, ERR_INVALID, "enableAutomaticFailover is neither true nor false");
        }
        q->has_auto_failover = true;
        q->auto_failover = v->boolean;
        return OK;
    }
    if (str_eq(key, STR("divergedWrites"))) {
        if (v->type != JSON_STRING || v->text.n == 0) {
            return err_set(ei, ERR_INVALID, "divergedWrites is no word");
        }
        q->diverged = v->text;
        return OK;
    }
    if (str_eq(key, STR("conflictFeedQuota"))) {
        q->has_quota = v->type == JSON_NUMBER && str_to_u64(v->src, &q->feed_quota);
        return q->has_quota
                   ? OK
                   : err_set(ei, ERR_INVALID, "conflictFeedQuota is no whole number of bytes");
    }
    if (is_as_it_is(key, v)) {
        return OK;
    }
    if (str_eq(key, STR("enableMultipleWriteLocations"))) {
        return err_set(ei, ERR_UNSUPPORTED,
                       "one region takes the writes of an account: several "
                       "write regions are not implemented");
    }
    return err_set(ei, ERR_UNSUPPORTED, "the property '" STR_FMT "' cannot be set: not implemented",
                   STR_ARG(str_slice(key, 0, 64)));
}

static bool is_multi_strong(const struct json *properties, const struct request *q)
{
    bool is_multi = false;
    (void)json_get_bool(properties, STR("enableMultipleWriteLocations"), &is_multi);
    return is_multi && q->has_level && q->level.level == CONSISTENCY_STRONG;
}

static enum err read_properties(const struct json *properties, struct request *q,
                                struct errinfo *ei)
{
    if (is_absent(properties)) {
        return OK;
    }
    if (properties->type != JSON_OBJECT) {
        return err_set(ei, ERR_INVALID, "the properties are no object");
    }
    const struct json *policy = json_get(properties, STR("consistencyPolicy"));
    if (!is_absent(policy)) {
        TRY(read_level(policy, q, ei));
    }
    if (is_multi_strong(properties, q)) {
        return err_set(ei, ERR_INVALID,
                       "Strong cannot be kept with several write regions: choose one of the two");
    }
    for (size_t i = 0; i < properties->count; i++) {
        TRY(read_property(properties->members[i].key, properties->members[i].value, q, ei));
    }
    return OK;
}

static enum err read_request(const struct json *body, struct request *q, struct errinfo *ei)
{
    if (body == NULL || body->type != JSON_OBJECT) {
        return err_set(ei, ERR_INVALID, "the body is no JSON object");
    }
    static const char *const known[] = {"id", "name", "type", "location", "systemData"};
    for (size_t i = 0; i < body->count; i++) {
        struct str key = body->members[i].key;
        const struct json *v = body->members[i].value;
        bool is_known = is_off(v) || str_eq(key, STR("properties"));
        for (size_t k = 0; k < ARRAY_COUNT(known); k++) {
            is_known = is_known || str_eq(key, str_of(known[k]));
        }
        struct str word = STR_NONE;
        if (str_eq(key, STR("kind"))) {
            is_known = v->type == JSON_STRING && str_eq_nocase(v->text, STR("GlobalDocumentDB"));
        } else if (str_eq(key, STR("identity"))) {
            is_known = json_get_str(v, STR("type"), &word) && str_eq_nocase(word, STR("None"));
        }
        if (!is_known) {
            return err_set(ei, ERR_UNSUPPORTED, "'" STR_FMT "' cannot be set: not implemented",
                           STR_ARG(str_slice(key, 0, 64)));
        }
    }
    return read_properties(json_get(body, STR("properties")), q, ei);
}

/* ---- create ---- */

/* The same checks as its own processes will make when they start. */
static enum err check_wanted(const struct hosted *h, struct errinfo *ei)
{
    struct account_record rec;
    account_init(&rec, h->account, h->level);
    for (size_t i = 0; i < h->region_count; i++) {
        TRY(account_add_region(&rec, h->regions[i], "http://127.0.0.1:1/", "127.0.0.1:1", 0, ei));
    }
    if (h->level == CONSISTENCY_BOUNDED_STALENESS) {
        const struct level_request q = {h->level, h->max_staleness_ops, h->max_staleness_s};
        TRY(account_set_bounds(&rec, &q, ei));
    }
    return distance_check(&rec, h->level, STR(""), ei);
}

enum err manage_plan_create(const struct json *body, struct str name, int64_t wall_ms,
                            struct hosted *ret, struct errinfo *ei)
{
    struct request q = {0};
    struct hosted h = {.level = CONSISTENCY_SESSION, .auto_failover = true};
    struct str offer = STR_NONE;
    TRY(hosted_check_account(name, ei));
    TRY(read_request(body, &q, ei));
    if (!json_get_str(json_get(body, STR("properties")), STR("databaseAccountOfferType"), &offer)) {
        return err_set(ei, ERR_INVALID,
                       "the property databaseAccountOfferType is missing: it is \"Standard\"");
    }
    if (q.count == 0) {
        return err_set(ei, ERR_INVALID, "an account needs at least one region in locations");
    }
    STATIC_ASSERT((int)HOSTED_REGIONS_MAX == (int)REGIONS_MAX, "the list was read with this limit");
    if (q.has_auto_failover && q.auto_failover && q.count == 1) {
        return err_set(ei, ERR_INVALID, "automatic failover needs two or more regions");
    }
    if ((q.diverged.n > 0 && !str_eq_nocase(q.diverged, str_of(diverged_name(DIVERGED_FEED)))) ||
        q.feed_quota != 0) {
        enum err e = err_set(ei, ERR_UNSUPPORTED,
                             "a new account begins with divergedWrites feed and the usual quota");
        err_hint(ei, "change it when the account is there (PATCH)");
        return e;
    }
    memcpy(h.account, name.p, name.n);
    h.region_count = q.count;
    memcpy(h.regions, q.names, sizeof(h.regions));
    if (q.has_level) {
        h.level = q.level.level;
        h.max_staleness_ops = q.level.max_staleness_ops;
        h.max_staleness_s = q.level.max_staleness_s;
    }
    if (q.has_auto_failover) {
        h.auto_failover = q.auto_failover;
    }
    h.created_wall_ms = wall_ms;
    TRY(check_wanted(&h, ei));
    *ret = h;
    return OK;
}

/* ---- update ---- */

static void name_region(struct manage_op *op, enum manage_op_kind kind, const char *name)
{
    op->kind = kind;
    (void)snprintf(op->arg, sizeof(op->arg), "%s", name);
}

static bool has_name(const struct request *q, const char *region)
{
    char name[RECORD_NAME_MAX];
    if (hosted_region_name(str_of(region), name, NULL) != OK) {
        return false;
    }
    for (size_t i = 0; i < q->count; i++) {
        if (strcmp(q->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_in_order(struct account_record *rec, const struct request *q)
{
    for (size_t i = 0; i < q->count && i < rec->region_count; i++) {
        if (record_region_by_name(rec, str_of(q->names[i])) != &rec->regions[i]) {
            return false;
        }
    }
    return q->count == rec->region_count;
}

static enum err plan_order(struct account_record *rec, const struct request *q, int64_t wall_ms,
                           struct manage_op *op, struct errinfo *ei)
{
    struct str names[REGIONS_MAX];
    ASSERT(q->count > 0);
    for (size_t i = 0; i < q->count; i++) {
        names[i] = str_of(q->names[i]);
    }
    const struct record_region *first = record_region_by_name(rec, names[0]);
    bool is_failover = first != NULL && first->id != rec->writer;
    TRY(account_plan_priorities(rec, names, q->count, wall_ms, ei));
    op->kind = OP_UPDATE;
    if (is_failover) {
        name_region(op, OP_FAILOVER, q->names[0]);
    }
    return OK;
}

static enum err plan_locations(struct account_record *rec, const struct request *q, int64_t wall_ms,
                               struct manage_op *op, struct errinfo *ei)
{
    size_t added_count = 0;
    size_t added = 0;
    size_t removed_count = 0;
    char removed[RECORD_NAME_MAX] = "";
    for (size_t i = 0; i < q->count; i++) {
        if (record_region_by_name(rec, str_of(q->names[i])) == NULL) {
            added_count++;
            added = i;
        }
    }
    for (size_t i = 0; i < rec->region_count; i++) {
        if (!has_name(q, rec->regions[i].name)) {
            removed_count++;
            memcpy(removed, rec->regions[i].name, sizeof(removed));
        }
    }
    if (added_count + removed_count == 0) {
        return plan_order(rec, q, wall_ms, op, ei);
    }
    if (added_count + removed_count > 1) {
        return err_set(ei, ERR_INVALID,
                       "one region can be added or removed at a time, not %zu and %zu", added_count,
                       removed_count);
    }
    if (added_count == 1) {
        name_region(op, OP_ADD, q->names[added]);
        TRY(distance_check(rec, record_write_level(rec), str_of(q->names[added]), ei));
        TRY(account_plan_add(rec, str_of(q->names[added]), (int64_t)added, wall_ms, ei));
    } else {
        TRY(hosted_region_name(str_of(removed), op->arg, ei));
        op->kind = OP_REMOVE;
        TRY(account_plan_remove(rec, str_of(removed), /* force= */ false, wall_ms, ei));
        return OK;
    }
    if (!is_in_order(rec, q)) {
        return err_set(ei, ERR_INVALID,
                       "a region cannot be added and the others reordered in one request");
    }
    return OK;
}

static bool has_other_level(const struct account_record *rec, const struct level_request *q)
{
    return rec->is_level_changing || rec->level != q->level ||
           (q->max_staleness_ops != 0 && q->max_staleness_ops != rec->max_staleness_ops) ||
           (q->max_staleness_s != 0 && q->max_staleness_s != rec->max_staleness_s);
}

static void name_level(struct manage_op *op, enum consistency level)
{
    struct buf text;
    buf_init(&text, sizeof(op->arg) - 1);
    buf_add_lower(&text, str_of(consistency_name(level)));
    ASSERT(buf_ok(&text));
    memcpy(op->arg, text.p, text.n);
    buf_done(&text);
    op->kind = OP_CONSISTENCY;
}

enum err manage_plan_update(const struct json *body, struct account_record *rec, int64_t wall_ms,
                            struct manage_op *op, struct errinfo *ei)
{
    struct request q = {0};
    TRY(read_request(body, &q, ei));
    bool moves = q.count > 0 && !is_in_order(rec, &q);
    bool levels = q.has_level && has_other_level(rec, &q.level);
    bool switches = q.has_auto_failover && q.auto_failover != rec->auto_failover;
    struct str diverged =
        q.diverged.n > 0 ? q.diverged : str_of(diverged_name(rec->diverged_writes));
    uint64_t quota = q.has_quota ? q.feed_quota : rec->feed_quota;
    bool diverges = quota != rec->feed_quota ||
                    !str_eq_nocase(diverged, str_of(diverged_name(rec->diverged_writes)));
    op->kind = OP_UPDATE;
    if (moves && (levels || switches || diverges)) {
        return err_set(ei, ERR_INVALID,
                       "locations and other properties cannot be changed in one request");
    }
    if (moves) {
        return plan_locations(rec, &q, wall_ms, op, ei);
    }
    if (diverges) {
        TRY(account_plan_diverged(rec, diverged, quota, ei));
    }
    if (switches) {
        TRY(account_plan_auto_failover(rec, q.auto_failover, ei));
    }
    if (levels) {
        if (q.level.level != rec->level) {
            TRY(distance_check(rec, q.level.level, STR(""), ei));
        }
        TRY(account_plan_consistency(rec, &q.level, ei));
        name_level(op, q.level.level);
    }
    return OK;
}

/* ---- actions ---- */

static enum err plan_offline(const struct json *body, struct str region,
                             const struct account_beats *beats, struct account_record *rec,
                             int64_t wall_ms, struct errinfo *ei)
{
    const struct json *force = json_get(body, STR("force"));
    struct str word = STR_NONE;
    struct offline_request q = {.beats = beats};
    if (!is_absent(force)) {
        q.accepts_loss = json_get_str(body, STR("force"), &word) &&
                         str_eq_nocase(word, STR("data-loss-accepted"));
        if (!q.accepts_loss) {
            return err_set(ei, ERR_INVALID, "\"force\" is not \"data-loss-accepted\"");
        }
    }
    return account_plan_offline(rec, region, &q, wall_ms, ei);
}

static enum err plan_region(struct str action, const struct json *body,
                            const struct account_beats *beats, struct account_record *rec,
                            int64_t wall_ms, struct manage_op *op, struct errinfo *ei)
{
    struct str given = STR_NONE;
    bool is_offline = str_eq_nocase(action, STR("offlineRegion"));
    if (!json_get_str(body, STR("region"), &given)) {
        return err_set(ei, ERR_INVALID, "the body has no \"region\"");
    }
    TRY(hosted_region_name(given, op->arg, ei));
    op->kind = is_offline ? OP_OFFLINE : OP_ONLINE;
    return is_offline ? plan_offline(body, given, beats, rec, wall_ms, ei)
                      : account_plan_online(rec, given, wall_ms, ei);
}

enum err manage_plan_action(struct str action, const struct json *body,
                            const struct account_beats *beats, struct account_record *rec,
                            int64_t wall_ms, struct manage_op *op, struct errinfo *ei)
{
    if (str_eq_nocase(action, STR("failoverPriorityChange"))) {
        const struct json *items = json_get(body, STR("failoverPolicies"));
        struct request q = {0};
        if (is_absent(items)) {
            return err_set(ei, ERR_INVALID, "the body has no \"failoverPolicies\"");
        }
        TRY(read_order(items, &q, ei));
        return plan_order(rec, &q, wall_ms, op, ei);
    }
    if (str_eq_nocase(action, STR("offlineRegion")) || str_eq_nocase(action, STR("onlineRegion"))) {
        return plan_region(action, body, beats, rec, wall_ms, op, ei);
    }
    if (str_eq_nocase(action, STR("regenerateKey"))) {
        struct str kind = STR_NONE;
        op->kind = OP_UPDATE;
        if (!json_get_str(body, STR("keyKind"), &kind)) {
            return err_set(ei, ERR_INVALID, "the body has no \"keyKind\"");
        }
        return change_key(rec, kind, ei);
    }
    return err_set(ei, ERR_NOT_FOUND, "no such operation '" STR_FMT "'",
                   STR_ARG(str_slice(action, 0, 64)));
}
