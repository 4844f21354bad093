/* Container definitions: what a client sends becomes what is stored, completed and checked. */
#include <string.h>

#include "base/contract.h"
#include "cosmos/catalog.h"

enum { DEFINITION_MEMBERS_MAX = 24, TTL_MAX = INT32_MAX };

static enum err bad(struct errinfo *ei, const char *what)
{
    return err_set(ei, ERR_INVALID, "%s", what);
}

static const struct json *make_object(struct arena *a, const struct json_member *from, size_t n)
{
    struct json_member *m = ARENA_NEW_ARRAY(a, struct json_member, n);
    memcpy(m, from, n * sizeof(*m));
    return json_object(a, m, n);
}

static const struct json *make_string_array(struct arena *a, const struct json *const *items,
                                            size_t n)
{
    const struct json **copy = ARENA_NEW_ARRAY(a, const struct json *, n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = items[i];
    }
    return json_array(a, copy, n);
}

static enum err check_paths(struct arena *a, const struct json *paths, size_t max, const char *what,
                            struct errinfo *ei)
{
    if (!paths || paths->type != JSON_ARRAY || paths->count == 0 || paths->count > max) {
        return err_set(ei, ERR_INVALID, "%s needs an array of 1 to %zu paths", what, max);
    }
    struct json_path parsed[UNIQUE_PATHS_MAX];
    ASSERT(max <= UNIQUE_PATHS_MAX);
    for (size_t i = 0; i < paths->count; i++) {
        if (paths->items[i]->type != JSON_STRING) {
            return err_set(ei, ERR_INVALID, "%s: a path must be a string", what);
        }
        TRY(json_path_parse(a, paths->items[i]->text, &parsed[i], ei));
        for (size_t k = 0; k < i; k++) {
            if (json_path_eq(&parsed[i], &parsed[k])) {
                return err_set(ei, ERR_INVALID, "%s: path " STR_FMT " is named twice", what,
                               STR_ARG(paths->items[i]->text));
            }
        }
    }
    return OK;
}

static enum err partition_key(struct arena *a, const struct json *body, const struct json **ret,
                              struct errinfo *ei)
{
    const struct json *pk = json_get(body, STR("partitionKey"));
    if (!pk) {
        return bad(ei, "the container definition needs a partitionKey with paths");
    }
    const struct json *paths = json_get(pk, STR("paths"));
    TRY(check_paths(a, paths, PK_PATHS_MAX, "partitionKey", ei));
    struct str kind = paths->count > 1 ? STR("MultiHash") : STR("Hash");
    struct str given = STR("");
    if (json_get_str(pk, STR("kind"), &given) && !str_eq(given, kind) &&
        !(paths->count == 1 && str_eq(given, STR("MultiHash")))) {
        return err_set(ei, ERR_INVALID,
                       "partitionKey kind '" STR_FMT "' does not go with %zu paths", STR_ARG(given),
                       paths->count);
    }
    kind = given.n > 0 ? given : kind;
    struct json_member m[] = {{STR("paths"), make_string_array(a, paths->items, paths->count)},
                              {STR("kind"), json_string(a, kind)},
                              {STR("version"), json_integer(a, 2)}};
    *ret = make_object(a, m, ARRAY_COUNT(m));
    return OK;
}

static enum err policy_paths(struct arena *a, const struct json *policy, const char *key,
                             struct errinfo *ei)
{
    const struct json *list = json_get(policy, str_of(key));
    if (!list) {
        return OK;
    }
    if (list->type != JSON_ARRAY) {
        return err_set(ei, ERR_INVALID, "indexingPolicy.%s must be an array", key);
    }
    for (size_t i = 0; i < list->count; i++) {
        struct str path = STR("");
        struct json_policy_path parsed;
        if (!json_get_str(list->items[i], STR("path"), &path)) {
            return err_set(ei, ERR_INVALID, "indexingPolicy.%s: an element needs a path", key);
        }
        TRY(json_policy_path_parse(a, path, &parsed, ei));
    }
    return OK;
}

static enum err indexing_policy(struct arena *a, const struct json *body, const struct json **ret,
                                struct errinfo *ei)
{
    const struct json *given = json_get(body, STR("indexingPolicy"));
    if (given && given->type != JSON_OBJECT) {
        return bad(ei, "indexingPolicy must be an object");
    }
    TRY(policy_paths(a, given, "includedPaths", ei));
    TRY(policy_paths(a, given, "excludedPaths", ei));
    struct str mode = STR("consistent");
    bool is_automatic = true;
    (void)json_get_str(given, STR("indexingMode"), &mode);
    bool has_automatic = json_get_bool(given, STR("automatic"), &is_automatic);
    bool is_none = str_eq_nocase(mode, STR("none"));
    if (!is_none && !str_eq_nocase(mode, STR("consistent")) && !str_eq_nocase(mode, STR("lazy"))) {
        return err_set(ei, ERR_INVALID, "unknown indexingMode '" STR_FMT "'", STR_ARG(mode));
    }
    if (is_none && has_automatic && is_automatic) {
        return bad(ei, "indexingMode none needs automatic false");
    }
    struct json_member m[DEFINITION_MEMBERS_MAX];
    size_t n = 0;
    m[n++] = (struct json_member){STR("indexingMode"),
                                  json_string(a, is_none ? STR("none") : STR("consistent"))};
    m[n++] = (struct json_member){STR("automatic"), json_bool(is_automatic && !is_none)};
    const struct json *included = json_get(given, STR("includedPaths"));
    const struct json *excluded = json_get(given, STR("excludedPaths"));
    if (!included && !is_none) {
        struct json_member all = {STR("path"), json_string(a, STR("/*"))};
        const struct json *item = make_object(a, &all, 1);
        included = make_string_array(a, &item, 1);
    }
    if (!excluded && !is_none) {
        struct json_member etag = {STR("path"), json_string(a, STR("/\"_etag\"/?"))};
        const struct json *item = make_object(a, &etag, 1);
        excluded = make_string_array(a, &item, 1);
    }
    m[n++] =
        (struct json_member){STR("includedPaths"), included ? included : json_array(a, NULL, 0)};
    m[n++] =
        (struct json_member){STR("excludedPaths"), excluded ? excluded : json_array(a, NULL, 0)};
    static const char *const kept[] = {"compositeIndexes", "spatialIndexes", "vectorIndexes",
                                       "fullTextIndexes"};
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        const struct json *v = json_get(given, str_of(kept[i]));
        if (v && v->type != JSON_ARRAY) {
            return err_set(ei, ERR_INVALID, "indexingPolicy.%s must be an array", kept[i]);
        }
        if (v) {
            m[n++] = (struct json_member){str_of(kept[i]), v};
        }
    }
    *ret = make_object(a, m, n);
    return OK;
}

static enum err check_ttl(const struct json *body, struct errinfo *ei)
{
    const struct json *ttl = json_get(body, STR("defaultTtl"));
    int64_t seconds = 0;
    if (ttl && ttl->type != JSON_NULL &&
        (!json_is_integer(ttl, &seconds) || (seconds < 1 && seconds != -1) || seconds > TTL_MAX)) {
        return bad(ei, "defaultTtl must be a positive number of seconds or -1");
    }
    return OK;
}

static enum err check_uniques(struct arena *a, const struct json *policy, struct errinfo *ei)
{
    if (!policy || policy->type == JSON_NULL) {
        return OK;
    }
    if (policy->type != JSON_OBJECT) {
        return bad(ei, "uniqueKeyPolicy must be an object");
    }
    const struct json *sets = json_get(policy, STR("uniqueKeys"));
    if (!sets) {
        return OK;
    }
    if (sets->type != JSON_ARRAY || sets->count > UNIQUE_SETS_MAX) {
        return err_set(ei, ERR_INVALID, "uniqueKeyPolicy needs an array of at most %d unique keys",
                       UNIQUE_SETS_MAX);
    }
    for (size_t i = 0; i < sets->count; i++) {
        TRY(check_paths(a, json_get(sets->items[i], STR("paths")), UNIQUE_PATHS_MAX,
                        "uniqueKeyPolicy", ei));
    }
    return OK;
}

/* No policy and an empty one are the same. */
static const struct json *unique_sets(const struct json *policy)
{
    const struct json *sets = json_get(policy, STR("uniqueKeys"));
    return sets && sets->count > 0 ? sets : NULL;
}

static enum err conflict_policy(struct arena *a, const struct json *given, const struct json **ret,
                                struct errinfo *ei)
{
    if (given && given->type != JSON_OBJECT && given->type != JSON_NULL) {
        return bad(ei, "conflictResolutionPolicy must be an object");
    }
    struct str mode = STR("LastWriterWins");
    struct str path = STR("/_ts");
    struct str procedure = STR("");
    (void)json_get_str(given, STR("mode"), &mode);
    (void)json_get_str(given, STR("conflictResolutionPath"), &path);
    (void)json_get_str(given, STR("conflictResolutionProcedure"), &procedure);
    bool is_custom = str_eq_nocase(mode, STR("Custom"));
    if (!is_custom && !str_eq_nocase(mode, STR("LastWriterWins"))) {
        return err_set(ei, ERR_INVALID, "unknown conflict resolution mode '" STR_FMT "'",
                       STR_ARG(mode));
    }
    struct json_path parsed;
    if (!is_custom && path.n > 0) {
        TRY(json_path_parse(a, path, &parsed, ei));
    }
    struct json_member m[] = {
        {STR("mode"), json_string(a, is_custom ? STR("Custom") : STR("LastWriterWins"))},
        {STR("conflictResolutionPath"), json_string(a, is_custom    ? STR("")
                                                       : path.n > 0 ? path
                                                                    : STR("/_ts"))},
        {STR("conflictResolutionProcedure"), json_string(a, procedure)},
    };
    *ret = make_object(a, m, ARRAY_COUNT(m));
    return OK;
}

static enum err geospatial(struct arena *a, const struct json *given, const struct json **ret,
                           struct errinfo *ei)
{
    struct str type = STR("Geography");
    bool is_given = given && given->type != JSON_NULL;
    if (is_given && (given->type != JSON_OBJECT ||
                     (json_get(given, STR("type")) && !json_get_str(given, STR("type"), &type)) ||
                     (!str_eq(type, STR("Geography")) && !str_eq(type, STR("Geometry"))))) {
        return bad(ei, "geospatialConfig needs the type Geography or Geometry");
    }
    struct json_member m = {STR("type"), json_string(a, type)};
    *ret = is_given ? given : make_object(a, &m, 1);
    return OK;
}

/* What changes the meaning of queries or feeds and is not served must not be taken as if it were. */
static enum err check_unserved(const struct json *body, struct errinfo *ei)
{
    const struct json *computed = json_get(body, STR("computedProperties"));
    const struct json *vectors =
        json_get(json_get(body, STR("vectorEmbeddingPolicy")), STR("vectorEmbeddings"));
    uint64_t retention = 0;
    if (computed && computed->type != JSON_NULL &&
        (computed->type != JSON_ARRAY || computed->count > 0)) {
        return bad(ei, "computedProperties are not implemented");
    }
    if (vectors && vectors->count > 0) {
        return bad(ei, "vectorEmbeddingPolicy is not implemented");
    }
    if (json_get_u64(json_get(body, STR("changeFeedPolicy")), STR("retentionDuration"),
                     &retention) &&
        retention > 0) {
        return bad(ei, "changeFeedPolicy: the feed of all versions is not implemented; only the "
                       "latest version is kept");
    }
    return OK;
}

static bool is_system_member(struct str key)
{
    return key.n > 0 && key.p[0] == '_';
}

/* May be replaced: everything but what decides where and how documents are stored. What the new
 * definition does not name stays as it was. */
static enum err check_unchanged(const struct container *old, const struct json *body,
                                const struct json *pk, const struct json *conflict,
                                struct errinfo *ei)
{
    const struct json *was = json_get(old->doc, STR("partitionKey"));
    const char *what = NULL;
    if (!json_eq(json_get(body, STR("id")), json_get(old->doc, STR("id")))) {
        what = "the id";
    } else if (!json_eq(json_get(pk, STR("paths")), json_get(was, STR("paths")))) {
        what = "the partition key";
    } else if (json_get(body, STR("uniqueKeyPolicy"))) {
        const struct json *is_now = unique_sets(json_get(body, STR("uniqueKeyPolicy")));
        const struct json *was_then = unique_sets(json_get(old->doc, STR("uniqueKeyPolicy")));
        bool is_same = is_now && was_then ? json_eq(is_now, was_then) : is_now == was_then;
        what = is_same ? NULL : "the unique key policy";
    }
    if (!what && json_get(body, STR("conflictResolutionPolicy")) &&
        !json_eq(conflict, json_get(old->doc, STR("conflictResolutionPolicy")))) {
        what = "the conflict resolution policy";
    }
    return what ? err_set(ei, ERR_INVALID, "%s of a container cannot be changed", what) : OK;
}

enum err container_define(struct arena *a, const struct json *body, const struct container *old,
                          const struct json **ret, struct errinfo *ei)
{
    struct json_member m[DEFINITION_MEMBERS_MAX];
    size_t n = 0;
    const struct json *id = json_get(body, STR("id"));
    const struct json *pk = NULL;
    const struct json *indexing = NULL;
    const struct json *conflict = NULL;
    ASSERT(id && id->type == JSON_STRING); /* the caller checked it */
    const struct json *fixed = old ? old->doc : body;
    const struct json *geo = NULL;
    if (json_get(body, STR("partitionKey")) || !old) {
        TRY(partition_key(a, body, &pk, ei));
    } else {
        pk = json_get(old->doc, STR("partitionKey"));
    }
    TRY(indexing_policy(a, body, &indexing, ei));
    TRY(check_ttl(body, ei));
    TRY(check_uniques(a, json_get(body, STR("uniqueKeyPolicy")), ei));
    TRY(conflict_policy(a, json_get(body, STR("conflictResolutionPolicy")), &conflict, ei));
    TRY(geospatial(a, json_get(body, STR("geospatialConfig")), &geo, ei));
    TRY(check_unserved(body, ei));
    if (old) {
        TRY(check_unchanged(old, body, pk, conflict, ei));
        pk = json_get(old->doc, STR("partitionKey"));
        conflict = json_get(old->doc, STR("conflictResolutionPolicy"));
    }
    m[n++] = (struct json_member){STR("id"), id};
    m[n++] = (struct json_member){STR("indexingPolicy"), indexing};
    m[n++] = (struct json_member){STR("partitionKey"), pk};
    const struct json *uniques = json_get(fixed, STR("uniqueKeyPolicy"));
    if (uniques && uniques->type != JSON_NULL) {
        m[n++] = (struct json_member){STR("uniqueKeyPolicy"), uniques};
    }
    m[n++] = (struct json_member){STR("conflictResolutionPolicy"), conflict};
    m[n++] = (struct json_member){STR("geospatialConfig"), geo};
    for (size_t i = 0; i < body->count; i++) {
        struct str key = body->members[i].key;
        bool is_there = is_system_member(key);
        for (size_t k = 0; k < n; k++) {
            is_there = is_there || str_eq(m[k].key, key);
        }
        const struct json *value = body->members[i].value;
        if (is_there || value->type == JSON_NULL || str_eq(key, STR("uniqueKeyPolicy"))) {
            continue;
        }
        if (n == DEFINITION_MEMBERS_MAX) {
            return bad(ei, "the container definition has too many members");
        }
        m[n++] = (struct json_member){key, value};
    }
    *ret = make_object(a, m, n);
    return OK;
}
