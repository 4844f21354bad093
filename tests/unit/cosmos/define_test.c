/* Container definitions: what is completed, what is refused, what may change. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "cosmos/catalog.h"
#include "lib/t.h"
#include "json/json.h"

static struct arena a;

static const struct json *parse(const char *text)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    t_ok_info(json_parse(&a, str_of(text), NULL, &v, &ei), &ei);
    return v;
}

static const struct json *define(const char *text)
{
    const struct json *ret = NULL;
    struct errinfo ei = {0};
    t_ok_info(container_define(&a, parse(text), NULL, &ret, &ei), &ei);
    return ret;
}

static void refused(const char *text)
{
    const struct json *ret = NULL;
    struct errinfo ei = {0};
    t_note("%s", text);
    t_err(container_define(&a, parse(text), NULL, &ret, &ei), ERR_INVALID);
    t_check(ret == NULL);
    t_check(ei.message[0] != '\0');
}

/* "...,MEMBER}" around a good definition. */
static const char *with(const char *member)
{
    return arena_printf(&a, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},%s}", member).p;
}

static struct str text(const struct json *v)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    json_write(&b, v);
    struct str s = arena_str(&a, buf_str(&b));
    buf_done(&b);
    return s;
}

static enum err replace(const char *before, const char *after, const struct json **ret)
{
    struct container old = {.doc = define(before)};
    struct errinfo ei = {0};
    return container_define(&a, parse(after), &old, ret, &ei);
}

T_TEST("a short definition is completed")
{
    arena_init(&a);
    const struct json *d = define("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    t_eq_lit(
        text(d),
        "{\"id\":\"c\",\"indexingPolicy\":{\"indexingMode\":\"consistent\",\"automatic\":true,"
        "\"includedPaths\":[{\"path\":\"/*\"}],\"excludedPaths\":[{\"path\":\"/\\\"_etag\\\"/"
        "?\"}]},"
        "\"partitionKey\":{\"paths\":[\"/pk\"],\"kind\":\"Hash\",\"version\":2},"
        "\"conflictResolutionPolicy\":{\"mode\":\"LastWriterWins\",\"conflictResolutionPath\":\"/"
        "_ts\","
        "\"conflictResolutionProcedure\":\"\"},\"geospatialConfig\":{\"type\":\"Geography\"}}");
    arena_done(&a);
}

T_TEST("whatever hash version a client names, the one used is said")
{
    static const char *const versions[] = {"", ",\"version\":1", ",\"version\":2",
                                           ",\"version\":null"};
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        const char *body =
            arena_printf(&a, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]%s}}", versions[i])
                .p;
        uint64_t version = 0;
        t_check(
            json_get_u64(json_get(define(body), STR("partitionKey")), STR("version"), &version));
        t_eq_u64(version, 2);
    }
    arena_done(&a);
}

T_TEST("a whole definition comes back as it was given")
{
    static const char body[] =
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/t\",\"/"
        "u\"],\"kind\":\"MultiHash\",\"version\":2},"
        "\"indexingPolicy\":{\"indexingMode\":\"consistent\",\"automatic\":true,\"includedPaths\":["
        "{\"path\":\"/*\"}],"
        "\"excludedPaths\":[{\"path\":\"/big/*\"}],"
        "\"compositeIndexes\":[[{\"path\":\"/a\",\"order\":\"ascending\"}]],\"spatialIndexes\":[]},"
        "\"defaultTtl\":3600,\"uniqueKeyPolicy\":{\"uniqueKeys\":[{\"paths\":[\"/"
        "mail\"]},{\"paths\":[\"/a\",\"/b/c\"]}]},"
        "\"conflictResolutionPolicy\":{\"mode\":\"Custom\",\"conflictResolutionProcedure\":\"dbs/d/"
        "colls/c/sprocs/s\"},"
        "\"geospatialConfig\":{\"type\":\"Geometry\"}}";
    arena_init(&a);
    const struct json *given = parse(body);
    const struct json *d = define(body);
    static const char *const same[] = {"id",         "partitionKey",    "indexingPolicy",
                                       "defaultTtl", "uniqueKeyPolicy", "geospatialConfig"};
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        t_checkf(json_eq(json_get(d, str_of(same[i])), json_get(given, str_of(same[i]))), "%s",
                 same[i]);
    }
    t_eq_lit(text(json_get(d, STR("conflictResolutionPolicy"))),
             "{\"mode\":\"Custom\",\"conflictResolutionPath\":\"\","
             "\"conflictResolutionProcedure\":\"dbs/d/colls/c/sprocs/s\"}");
    arena_done(&a);
}

T_TEST("system members and nulls are left out")
{
    arena_init(&a);
    const struct json *d = define(with("\"_rid\":\"x\",\"_self\":\"y\",\"_holdfast\":{},\"_ts\":1,"
                                       "\"defaultTtl\":null,\"kept\":1"));
    t_check(json_get(d, STR("_rid")) == NULL);
    t_check(json_get(d, STR("_holdfast")) == NULL);
    t_check(json_get(d, STR("defaultTtl")) == NULL);
    t_check(json_get(d, STR("kept")) != NULL);
    arena_done(&a);
}

T_TEST("partition keys that cannot be are refused")
{
    static const char *const bad[] = {
        "{\"id\":\"c\"}",
        "{\"id\":\"c\",\"partitionKey\":null}",
        "{\"id\":\"c\",\"partitionKey\":\"/pk\"}",
        "{\"id\":\"c\",\"partitionKey\":{}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":\"/pk\"}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[1]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"pk\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a/*\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a/?\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/a\"],\"kind\":\"MultiHash\"}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/\\\"a\\\"\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/b\",\"/c\",\"/d\"]}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/b\"],\"kind\":\"Hash\"}}",
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\"],\"kind\":\"Range\"}}",
    };
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        refused(bad[i]);
    }
    (void)define("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/b\",\"/c\"]}}");
    (void)define("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\"],\"kind\":\"MultiHash\"}}");
    (void)define("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/\\\"any name\\\"/deep\"]}}");
    arena_done(&a);
}

T_TEST("indexing policies that cannot be are refused")
{
    static const char *const bad[] = {"1",
                                      "[]",
                                      "{\"indexingMode\":\"sometimes\"}",
                                      "{\"indexingMode\":\"none\",\"automatic\":true}",
                                      "{\"includedPaths\":{}}",
                                      "{\"includedPaths\":[\"/*\"]}",
                                      "{\"includedPaths\":[{}]}",
                                      "{\"includedPaths\":[{\"path\":\"no slash\"}]}",
                                      "{\"excludedPaths\":[{\"path\":\"/a/*/b\"}]}",
                                      "{\"excludedPaths\":1}",
                                      "{\"compositeIndexes\":{}}",
                                      "{\"spatialIndexes\":1}"};
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        refused(with(arena_printf(&a, "\"indexingPolicy\":%s", bad[i]).p));
    }
    const struct json *none =
        define(with("\"indexingPolicy\":{\"indexingMode\":\"none\",\"automatic\":false}"));
    t_eq_lit(text(json_get(none, STR("indexingPolicy"))),
             "{\"indexingMode\":\"none\",\"automatic\":false,\"includedPaths\":[],"
             "\"excludedPaths\":[]}");
    const struct json *lazy = define(with("\"indexingPolicy\":{\"indexingMode\":\"Lazy\"}"));
    struct str mode = STR("");
    t_check(json_get_str(json_get(lazy, STR("indexingPolicy")), STR("indexingMode"), &mode));
    t_eq_lit(mode, "consistent");
    arena_done(&a);
}

T_TEST("a default ttl is a positive number of seconds or -1")
{
    static const char *const bad[] = {"0",    "-2",         "\"5\"", "1.5",
                                      "true", "2147483648", "[]",    "1e300"};
    static const char *const good[] = {"-1", "1", "2147483647", "60.0", "6e1"};
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        refused(with(arena_printf(&a, "\"defaultTtl\":%s", bad[i]).p));
    }
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        t_note("%s", good[i]);
        (void)define(with(arena_printf(&a, "\"defaultTtl\":%s", good[i]).p));
    }
    arena_done(&a);
}

static const char *unique_keys(unsigned sets, unsigned paths)
{
    struct buf b;
    buf_init(&b, 8192);
    for (unsigned i = 0; i < sets; i++) {
        buf_add_cstr(&b, i > 0 ? ",{\"paths\":[" : "{\"paths\":[");
        for (unsigned k = 0; k < paths; k++) {
            buf_printf(&b, "%s\"/k%u_%u\"", k > 0 ? "," : "", i, k);
        }
        buf_add_cstr(&b, "]}");
    }
    const char *body = with(
        arena_printf(&a, "\"uniqueKeyPolicy\":{\"uniqueKeys\":[" STR_FMT "]}", STR_ARG(buf_str(&b)))
            .p);
    buf_done(&b);
    return body;
}

T_TEST("unique key policies that cannot be are refused, limits are at their edges")
{
    static const char *const bad[] = {"1",
                                      "[]",
                                      "{\"uniqueKeys\":1}",
                                      "{\"uniqueKeys\":[1]}",
                                      "{\"uniqueKeys\":[{}]}",
                                      "{\"uniqueKeys\":[{\"paths\":[]}]}",
                                      "{\"uniqueKeys\":[{\"paths\":[\"nope\"]}]}",
                                      "{\"uniqueKeys\":[{\"paths\":[\"/a\",\"/a\"]}]}",
                                      "{\"uniqueKeys\":[{\"paths\":[\"/a/*\"]}]}"};
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        refused(with(arena_printf(&a, "\"uniqueKeyPolicy\":%s", bad[i]).p));
    }
    (void)define(unique_keys(UNIQUE_SETS_MAX, 1));
    refused(unique_keys(UNIQUE_SETS_MAX + 1, 1));
    (void)define(unique_keys(1, UNIQUE_PATHS_MAX));
    refused(unique_keys(1, UNIQUE_PATHS_MAX + 1));
    (void)define(with("\"uniqueKeyPolicy\":{\"uniqueKeys\":[]}"));
    (void)define(with("\"uniqueKeyPolicy\":{}"));
    arena_done(&a);
}

T_TEST("conflict policies that cannot be are refused")
{
    arena_init(&a);
    refused(with("\"conflictResolutionPolicy\":1"));
    refused(with("\"conflictResolutionPolicy\":{\"mode\":\"FirstWins\"}"));
    refused(with("\"conflictResolutionPolicy\":{\"mode\":\"LastWriterWins\","
                 "\"conflictResolutionPath\":\"no slash\"}"));
    const struct json *d = define(with("\"conflictResolutionPolicy\":{\"mode\":\"lastWriterWins\","
                                       "\"conflictResolutionPath\":\"\"}"));
    t_eq_lit(text(json_get(d, STR("conflictResolutionPolicy"))),
             "{\"mode\":\"LastWriterWins\",\"conflictResolutionPath\":\"/"
             "_ts\",\"conflictResolutionProcedure\":\"\"}");
    arena_done(&a);
}

T_TEST("what is not served is refused and not silently kept")
{
    arena_init(&a);
    refused(with("\"geospatialConfig\":{\"type\":\"Flat\"}"));
    refused(with("\"geospatialConfig\":1"));
    refused(with("\"computedProperties\":[{\"name\":\"low\",\"query\":\"SELECT VALUE LOWER(c.n) "
                 "FROM c\"}]"));
    refused(with("\"computedProperties\":{}"));
    refused(with("\"changeFeedPolicy\":{\"retentionDuration\":10}"));
    refused(with("\"vectorEmbeddingPolicy\":{\"vectorEmbeddings\":[{\"path\":\"/v\"}]}"));
    (void)define(with("\"computedProperties\":[],\"changeFeedPolicy\":{\"retentionDuration\":0},"
                      "\"vectorEmbeddingPolicy\":{\"vectorEmbeddings\":[]},\"fullTextPolicy\":{}"));
    arena_done(&a);
}

T_TEST("a definition has a limited number of members")
{
    arena_init(&a);
    struct buf b;
    buf_init(&b, 4096);
    for (int i = 0; i < 19;
         i++) { /* id, partitionKey, indexing, conflicts, geospatial are 5; 24 in all */
        buf_printf(&b, "%s\"m%d\":1", i > 0 ? "," : "", i);
    }
    (void)define(with(arena_cstr(&a, buf_str(&b))));
    buf_add_cstr(&b, ",\"one\":1");
    refused(with(arena_cstr(&a, buf_str(&b))));
    buf_done(&b);
    arena_done(&a);
}

T_TEST("where and how documents are stored never changes, the rest may")
{
    static const char unique[] = "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},"
                                 "\"uniqueKeyPolicy\":{\"uniqueKeys\":[{\"paths\":[\"/a\"]}]}}";
    arena_init(&a);
    const char *plain = with("\"x\":1");
    const struct json *ret = NULL;
    t_err(replace(plain, "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", &ret),
          ERR_INVALID);
    t_err(replace(plain, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/other\"]}}", &ret),
          ERR_INVALID);
    t_err(replace(
              plain,
              "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\",\"/b\"],\"kind\":\"MultiHash\"}}",
              &ret),
          ERR_INVALID);
    t_err(replace(plain, unique, &ret), ERR_INVALID);
    t_err(
        replace(unique, with("\"uniqueKeyPolicy\":{\"uniqueKeys\":[{\"paths\":[\"/b\"]}]}"), &ret),
        ERR_INVALID);
    t_err(replace(unique, with("\"uniqueKeyPolicy\":{\"uniqueKeys\":[]}"), &ret), ERR_INVALID);
    t_err(replace(plain, with("\"conflictResolutionPolicy\":{\"mode\":\"Custom\"}"), &ret),
          ERR_INVALID);
    t_check(ret == NULL);
    /* Absent means as before; the same again is no change. */
    t_ok(replace(unique, with("\"defaultTtl\":5"), &ret));
    t_check(json_get(ret, STR("uniqueKeyPolicy")) != NULL);
    t_ok(replace(unique, "{\"id\":\"c\",\"defaultTtl\":5}", &ret));
    t_check(
        json_eq(json_get(ret, STR("partitionKey")), json_get(define(unique), STR("partitionKey"))));
    t_ok(replace(unique, unique, &ret));
    t_ok(replace(plain, with("\"uniqueKeyPolicy\":{\"uniqueKeys\":[]}"), &ret));
    t_ok(replace(plain,
                 with("\"conflictResolutionPolicy\":{\"mode\":\"LastWriterWins\","
                      "\"conflictResolutionPath\":\"/_ts\"}"),
                 &ret));
    t_ok(replace(with("\"defaultTtl\":5"), plain, &ret));
    t_check(json_get(ret, STR("defaultTtl")) == NULL);
    t_ok(replace("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"],\"kind\":\"MultiHash\"}}",
                 "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", &ret));
    t_ok(replace(plain, with("\"indexingPolicy\":{\"indexingMode\":\"none\",\"automatic\":false}"),
                 &ret));
    arena_done(&a);
}

T_MAIN()
