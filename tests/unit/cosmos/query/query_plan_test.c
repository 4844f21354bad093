/* Query plans. The rewritten texts are those that the SDKs' baselines show for the same queries;
 * every rewritten text is also compiled and run, with the filter placeholder as it is and replaced
 * by a condition, as clients do. */
#include "query_lab.h"

#include "base/contract.h"

struct plan_case {
    const char *query;
    const char *rewritten;
    const char *info; /* members that queryInfo must have */
};

#define F "({documentdb-formattableorderbyquery-filter})"

static const struct plan_case cases[] = {
    {"SELECT * FROM c", "", "{\"distinctType\":\"None\",\"aggregates\":[],\"orderBy\":[]}"},
    {"SELECT VALUE c.x FROM c WHERE c.y = 1", "", "{\"hasSelectValue\":true}"},
    {"SELECT * FROM Root r ORDER BY r.blah",
     "SELECT r._rid, [{\"item\": r.blah}] AS orderByItems, r AS payload\nFROM Root AS r\nWHERE " F
     "\nORDER BY r.blah",
     "{\"orderBy\":[\"Ascending\"],\"orderByExpressions\":[\"r.blah\"],\"hasSelectValue\":false}"},
    {"SELECT * FROM Root r ORDER BY r.key DESC",
     "SELECT r._rid, [{\"item\": r.key}] AS orderByItems, r AS payload\nFROM Root AS r\nWHERE " F
     "\nORDER BY r.key DESC",
     "{\"orderBy\":[\"Descending\"]}"},
    {"SELECT TOP 10 * FROM Root r ORDER BY r.key ASC",
     "SELECT TOP 10 r._rid, [{\"item\": r.key}] AS orderByItems, r AS payload\nFROM Root AS "
     "r\nWHERE " F "\nORDER BY r.key ASC",
     "{\"top\":10}"},
    {"SELECT c.blah, c.blah2 FROM Root c ORDER BY c.key",
     "SELECT c._rid, [{\"item\": c.key}] AS orderByItems, {\"blah\": c.blah, \"blah2\": c.blah2} "
     "AS payload\n"
     "FROM Root AS c\nWHERE " F "\nORDER BY c.key",
     "{}"},
    {"SELECT VALUE r.a FROM r WHERE r.d = true ORDER BY r.b",
     "SELECT r._rid, [{\"item\": r.b}] AS orderByItems, r.a AS payload\nFROM r\nWHERE (((r.d = "
     "true) AND " F ") AND IS_DEFINED(r.a))\nORDER BY r.b",
     "{\"hasSelectValue\":true}"},
    {"SELECT VALUE 1 FROM r ORDER BY r._ts",
     "SELECT r._rid, [{\"item\": r._ts}] AS orderByItems, 1 AS payload\nFROM r\nWHERE (" F
     " AND IS_DEFINED(1))\nORDER BY r._ts",
     "{}"},
    {"SELECT TOP 50 r[0] FROM r ORDER BY r.key ASC",
     "SELECT TOP 50 r._rid, [{\"item\": r.key}] AS orderByItems, {\"$1\": r[0]} AS payload\nFROM "
     "r\nWHERE " F "\nORDER BY r.key ASC",
     "{}"},
    {"SELECT TOP 70 r[\"a\"] FROM Root r ORDER BY r.key DESC",
     "SELECT TOP 70 r._rid, [{\"item\": r.key}] AS orderByItems, {\"a\": r[\"a\"]} AS "
     "payload\nFROM Root AS r"
     "\nWHERE " F "\nORDER BY r.key DESC",
     "{}"},
    {"SELECT * FROM Root r WHERE r.x IN (1, 2, 3) ORDER BY r.a, r.b DESC",
     "SELECT r._rid, [{\"item\": r.a}, {\"item\": r.b}] AS orderByItems, r AS payload\nFROM Root "
     "AS r\nWHERE "
     "((r.x IN (1, 2, 3)) AND " F ")\nORDER BY r.a, r.b DESC",
     "{\"orderBy\":[\"Ascending\",\"Descending\"],\"orderByExpressions\":[\"r.a\",\"r.b\"]}"},
    {"SELECT c.id FROM c ORDER BY c.v OFFSET 2 LIMIT 3",
     "SELECT c._rid, [{\"item\": c.v}] AS orderByItems, {\"id\": c.id} AS payload\nFROM c\nWHERE " F
     "\nORDER BY c.v\nOFFSET 0 LIMIT 5",
     "{\"offset\":2,\"limit\":3}"},
    {"SELECT DISTINCT VALUE c.blah FROM c ORDER BY c.blah",
     "SELECT DISTINCT c._rid, [{\"item\": c.blah}] AS orderByItems, c.blah AS payload\nFROM "
     "c\nWHERE (" F " AND IS_DEFINED(c.blah))\nORDER BY c.blah",
     "{\"distinctType\":\"Ordered\"}"},
    {"SELECT DISTINCT TOP 3 c.a FROM c ORDER BY c.b",
     "SELECT DISTINCT c._rid, [{\"item\": c.b}] AS orderByItems, {\"a\": c.a} AS payload\nFROM "
     "c\nWHERE " F "\nORDER BY c.b",
     "{\"distinctType\":\"Unordered\",\"top\":3}"},
    {"SELECT DISTINCT c.blah FROM c", "", "{\"distinctType\":\"Unordered\"}"},
    {"SELECT TOP 4 * FROM c", "", "{\"top\":4}"},
    {"SELECT * FROM c OFFSET 1 LIMIT 2", "SELECT *\nFROM c\nOFFSET 0 LIMIT 3",
     "{\"offset\":1,\"limit\":2}"},
    {"SELECT * FROM c WHERE c.blah = 5 OFFSET 1 LIMIT 2",
     "SELECT *\nFROM c\nWHERE (c.blah = 5)\nOFFSET 0 LIMIT 3", "{}"},
    {"SELECT DISTINCT * FROM c WHERE c.key = 5 OFFSET 1 LIMIT 2",
     "SELECT DISTINCT *\nFROM c\nWHERE (c.key = 5)",
     "{\"distinctType\":\"Unordered\",\"offset\":1,\"limit\":2}"},
    {"SELECT VALUE AVG(c.blah) FROM c",
     "SELECT VALUE [{\"item\": {\"sum\": SUM(c.blah), \"count\": COUNT(c.blah)}}]\nFROM c",
     "{\"aggregates\":[\"Average\"],\"hasSelectValue\":true,\"groupByAliasToAggregateType\":{}}"},
    {"SELECT VALUE MIN(c.blah + 1) FROM c",
     "SELECT VALUE [{\"item\": MIN((c.blah + 1)), \"item2\": {\"min\": MIN((c.blah + 1)), "
     "\"count\": COUNT((c.blah + "
     "1))}}]\nFROM c",
     "{\"aggregates\":[\"Min\"]}"},
    {"SELECT VALUE MAX(c.blah) FROM c WHERE c.x > 1",
     "SELECT VALUE [{\"item\": MAX(c.blah), \"item2\": {\"max\": MAX(c.blah), \"count\": "
     "COUNT(c.blah)}}]\nFROM c\n"
     "WHERE (c.x > 1)",
     "{\"aggregates\":[\"Max\"]}"},
    {"SELECT VALUE COUNT(1) FROM c", "SELECT VALUE [{\"item\": COUNT(1)}]\nFROM c",
     "{\"aggregates\":[\"Count\"]}"},
    {"SELECT VALUE SUM(c.blah) FROM c", "SELECT VALUE [{\"item\": SUM(c.blah)}]\nFROM c",
     "{\"aggregates\":[\"Sum\"]}"},
    {"SELECT VALUE COUNT(1) FROM c WHERE c.key = 5 OFFSET 1 LIMIT 2",
     "SELECT VALUE [{\"item\": COUNT(1)}]\nFROM c\nWHERE (c.key = 5)",
     "{\"offset\":1,\"limit\":2}"},
    {"SELECT SUM(c.blah) as sum_blah, SUM(c.blah) FROM c",
     "SELECT {\"sum_blah\": {\"item\": SUM(c.blah)}, \"$1\": {\"item\": SUM(c.blah)}} AS "
     "payload\nFROM c",
     "{\"aggregates\":[],\"groupByAliases\":[\"sum_blah\",\"$1\"],\"groupByAliasToAggregateType\":{"
     "\"sum_blah\":"
     "\"Sum\",\"$1\":\"Sum\"}}"},
    {"SELECT c.team, c.name, COUNT(1) AS count, AVG(c.age) AS avg_age, MIN(c.age) AS min_age FROM "
     "c GROUP BY "
     "c.team, c.name",
     "SELECT [{\"item\": c.team}, {\"item\": c.name}] AS groupByItems, {\"team\": c.team, "
     "\"name\": c.name, "
     "\"count\": {\"item\": COUNT(1)}, \"avg_age\": {\"item\": {\"sum\": SUM(c.age), \"count\": "
     "COUNT(c.age)}}, "
     "\"min_age\": {\"item\": MIN(c.age), \"item2\": {\"min\": MIN(c.age), \"count\": "
     "COUNT(c.age)}}} AS payload\n"
     "FROM c\nGROUP BY c.team, c.name",
     "{\"groupByExpressions\":[\"c.team\",\"c.name\"],\"groupByAliasToAggregateType\":{\"team\":"
     "null,\"name\":null,"
     "\"count\":\"Count\",\"avg_age\":\"Average\",\"min_age\":\"Min\"}}"},
    {"SELECT VALUE {\"age\": c.age} FROM c GROUP BY c.age",
     "SELECT [{\"item\": c.age}] AS groupByItems, {\"age\": c.age} AS payload\nFROM c\nGROUP BY "
     "c.age",
     "{\"groupByExpressions\":[\"c.age\"],\"hasSelectValue\":true,\"aggregates\":[]}"},
    {"SELECT VALUE AVG(c.age) FROM c GROUP BY c.age",
     "SELECT [{\"item\": c.age}] AS groupByItems, [{\"item\": {\"sum\": SUM(c.age), \"count\": "
     "COUNT(c.age)}}] AS "
     "payload\nFROM c\nGROUP BY c.age",
     "{\"aggregates\":[\"Average\"],\"groupByAliases\":[]}"},
    {"SELECT UPPER(c.name) AS name, SUBSTRING(c.address.city, 0, 3) AS city, Avg(c.income) AS "
     "income FROM c GROUP "
     "BY UPPER(c.name), SUBSTRING(c.address.city, 0, 3)",
     "SELECT [{\"item\": UPPER(c.name)}, {\"item\": SUBSTRING(c.address.city, 0, 3)}] AS "
     "groupByItems, {\"name\": "
     "UPPER(c.name), \"city\": SUBSTRING(c.address.city, 0, 3), \"income\": {\"item\": {\"sum\": "
     "SUM(c.income), "
     "\"count\": COUNT(c.income)}}} AS payload\nFROM c\nGROUP BY UPPER(c.name), "
     "SUBSTRING(c.address.city, 0, 3)",
     "{}"},
    {"SELECT c.name FROM c WHERE c.key = 5 GROUP BY c.name OFFSET 1 LIMIT 2",
     "SELECT [{\"item\": c.name}] AS groupByItems, {\"name\": c.name} AS payload\nFROM c\nWHERE "
     "(c.key = 5)\nGROUP "
     "BY c.name",
     "{\"offset\":1,\"limit\":2}"},
    {"SELECT c.id, t FROM c JOIN t IN c.tags ORDER BY t",
     "SELECT c._rid, [{\"item\": t}] AS orderByItems, {\"id\": c.id, \"t\": t} AS payload\nFROM "
     "c\nJOIN t IN c.tags"
     "\nWHERE " F "\nORDER BY t",
     "{}"},
    {"SELECT VALUE t FROM t IN c.tags ORDER BY t",
     "SELECT c._rid, [{\"item\": t}] AS orderByItems, t AS payload\nFROM c\nJOIN t IN "
     "c.tags\nWHERE (" F " AND IS_DEFINED(t))\nORDER BY t",
     "{}"},
    {"SELECT c.name, s FROM c JOIN (SELECT VALUE score FROM score IN c.scores GROUP BY score) s",
     "", "{}"},
    {"SELECT VALUE ARRAY_CONCAT([1], [2])", "", "{\"hasSelectValue\":true}"},
    {"SELECT * FROM c WHERE c.a LIKE 'x!%%' ESCAPE '!' AND NOT c.b BETWEEN 1 AND -2 AND (c.d ?? "
     "'n') = @p ORDER BY c.a",
     "SELECT c._rid, [{\"item\": c.a}] AS orderByItems, c AS payload\nFROM c\nWHERE (((c.a LIKE "
     "\"x!%%\" ESCAPE "
     "\"!\") AND (NOT (c.b BETWEEN 1 AND (-2))) AND ((c.d ?? \"n\") = @p)) AND " F
     ")\nORDER BY c.a",
     "{}"},
};

static const struct {
    const char *query;
    const char *features;
    const char *message;
} refused[] = {
    {"SELECT c.name, ABS(AVG(c.age)) AS a FROM c GROUP BY c.name", NULL,
     "Compositions of aggregates"},
    {"SELECT VALUE {'sum': SUM(r)} FROM r", NULL, "Compositions of aggregates"},
    {"SELECT VALUE [SUM(r)] FROM r", NULL, "Compositions of aggregates"},
    {"SELECT VALUE FLOOR(AVG(r)) FROM r", NULL, "Compositions of aggregates"},
    {"SELECT c.x FROM c GROUP BY c.x ORDER BY c.x", NULL, "ORDER BY together with GROUP BY"},
    {"SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.t FROM c) s", NULL, "A subquery in FROM"},
    {"SELECT VALUE s FROM (SELECT TOP 1 VALUE c FROM c) s", NULL, "A subquery in FROM"},
    {"SELECT VALUE c.x FROM c IN c.items ORDER BY c.x", NULL, "alias of its own"},
    {"SELECT VALUE COUNT(1) FROM c", "OrderBy,Top", "Query contained Aggregate"},
    {"SELECT * FROM c ORDER BY c.a, c.b", "OrderBy, Top", "Query contained MultipleOrderBy"},
    {"SELECT DISTINCT c.a FROM c", "OrderBy", "Query contained Distinct"},
    {"SELECT * FROM c OFFSET 1 LIMIT 1", "OrderBy", "Query contained OffsetAndLimit"},
    {"SELECT c.x FROM c GROUP BY c.x", "OrderBy", "Query contained GroupBy"},
};

static const struct json *one_param(struct arena *a)
{
    const struct json *v = NULL;
    t_ok(json_parse(a, STR("[{\"name\":\"@p\",\"value\":1}]"), NULL, &v, NULL));
    return v;
}

static const struct json *plan_of(struct arena *a, const char *query,
                                  const struct query_plan_opts *opts)
{
    struct query *q = NULL;
    struct errinfo ei = {0};
    struct buf out;
    const struct json *v = NULL;
    buf_init(&out, 1 << 20);
    enum err err = query_compile(a, str_of(query), one_param(a), NULL, &q, &ei);
    t_checkf(err == OK, "%s: %s", query, ei.message);
    err = query_plan(q, opts, &out, &ei);
    t_checkf(err == OK, "%s: %s", query, ei.message);
    t_ok(json_parse(a, arena_str(a, buf_str(&out)), NULL, &v, NULL));
    buf_done(&out);
    return v;
}

static struct str member_text(const struct json *v, const char *key)
{
    struct str s = STR_NONE;
    t_check(json_get_str(v, str_of(key), &s));
    return s;
}

T_TEST("plans and rewritten queries are those of the baselines")
{
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct plan_case *c = &cases[i];
        struct query_plan_opts opts = {0};
        const struct json *plan = plan_of(&a, c->query, &opts);
        const struct json *info = json_get(plan, STR("queryInfo"));
        struct str rewritten = member_text(info, "rewrittenQuery");
        t_checkf(str_eq(rewritten, str_of(c->rewritten)), "%s\n# got  " STR_FMT "\n# want %s",
                 c->query, STR_ARG(rewritten), c->rewritten);
        const struct json *want = NULL;
        t_ok(json_parse(&a, str_of(c->info), NULL, &want, NULL));
        for (size_t k = 0; k < want->count; k++) {
            const struct json *got = json_get(info, want->members[k].key);
            t_checkf(got != NULL && json_eq(got, want->members[k].value), "%s: " STR_FMT, c->query,
                     STR_ARG(want->members[k].key));
        }
    }
    arena_done(&a);
}

T_TEST("rewritten queries compile, also with a condition for the filter")
{
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct str text = str_of(cases[i].rewritten);
        struct query *q = NULL;
        struct errinfo ei = {0};
        if (text.n == 0) {
            continue;
        }
        t_ok_info(query_compile(&a, text, one_param(&a), NULL, &q, &ei), &ei);
        ptrdiff_t at = str_find(text, STR("{documentdb"));
        if (at < 0) {
            continue;
        }
        size_t len = strlen("{documentdb-formattableorderbyquery-filter}");
        struct str with = arena_printf(&a, STR_FMT "true" STR_FMT, (int)at, text.p,
                                       STR_ARG(str_slice(text, (size_t)at + len, text.n)));
        t_ok_info(query_compile(&a, with, one_param(&a), NULL, &q, &ei), &ei);
    }
    arena_done(&a);
}

T_TEST("forms that a client cannot merge are refused")
{
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct query *q = NULL;
        struct errinfo ei = {0};
        struct buf out;
        buf_init(&out, 1 << 20);
        t_ok_info(query_compile(&a, str_of(refused[i].query), NULL, NULL, &q, &ei), &ei);
        struct query_plan_opts opts = {.features = str_of(refused[i].features)};
        t_err(query_plan(q, &opts, &out, &ei), ERR_SYNTAX);
        t_contains(str_of(ei.message), refused[i].message);
        buf_done(&out);
    }
    arena_done(&a);
}

T_TEST("one logical partition needs no plan unless rows must be merged")
{
    struct arena a;
    arena_init(&a);
    struct str paths[] = {STR("/key"), STR("/o/\"b c\"")};
    struct query_plan_opts opts = {.pk_paths = paths, .pk_path_count = 1};
    opts.ranges_json =
        STR("[{\"min\":\"AA\",\"max\":\"AA\",\"isMinInclusive\":true,\"isMaxInclusive\":true}]");
    const struct json *plan =
        plan_of(&a, "SELECT * FROM r WHERE r.key = 'k' ORDER BY r.x OFFSET 1 LIMIT 2", &opts);
    const struct json *info = json_get(plan, STR("queryInfo"));
    t_eq_lit(member_text(info, "rewrittenQuery"), "");
    t_eq_u64(json_get(info, STR("orderBy"))->count, 0);
    t_check(json_get(info, STR("offset"))->type == JSON_NULL);
    t_eq_lit(member_text(json_get(plan, STR("queryRanges"))->items[0], "min"), "AA");
    opts.pk_path_count = 2;
    info = json_get(plan_of(&a, "SELECT * FROM r WHERE r.key = 'k' ORDER BY r.x", &opts),
                    STR("queryInfo"));
    t_check(member_text(info, "rewrittenQuery").n > 0);
    info = json_get(
        plan_of(&a, "SELECT * FROM r WHERE r.key = 'k' AND r.o['b c'] = 1 ORDER BY r.x", &opts),
        STR("queryInfo"));
    t_eq_lit(member_text(info, "rewrittenQuery"), "");
    opts.has_partition_key = true;
    info = json_get(plan_of(&a, "SELECT * FROM r ORDER BY r.x", &opts), STR("queryInfo"));
    t_eq_lit(member_text(info, "rewrittenQuery"), "");
    arena_done(&a);
}

T_TEST("a query without documents is sent to one range")
{
    struct arena a;
    arena_init(&a);
    struct query_plan_opts opts = {0};
    const struct json *plan = plan_of(&a, "SELECT VALUE 1", &opts);
    const struct json *range = json_get(plan, STR("queryRanges"))->items[0];
    t_eq_lit(member_text(range, "max"), "");
    arena_done(&a);
}

/* ---- pins ---- */

static const struct {
    const char *query;
    size_t pinned; /* of /pk and /o/x */
    const char *first;
    const char *id;
} pins[] = {
    {"SELECT * FROM c WHERE c.pk = 'a'", 1, "\"a\"", NULL},
    {"SELECT * FROM c WHERE 'a' = c.pk AND c.o.x = 5", 2, "\"a\"", NULL},
    {"SELECT * FROM c WHERE c.z > 1 AND (c.o['x'] = 5 AND c['pk'] = -1)", 2, "-1", NULL},
    {"SELECT * FROM c WHERE c.pk = @p AND c.id = 'i'", 1, "1", "i"},
    {"SELECT * FROM c WHERE c.pk IN (null)", 1, "null", NULL},
    {"SELECT * FROM c WHERE c.pk = CONCAT('a', 'b')", 1, "\"ab\"", NULL},
    {"SELECT * FROM c WHERE c.pk = 'a' OR c.pk = 'b'", 0, NULL, NULL},
    {"SELECT * FROM c WHERE NOT (c.pk = 'a')", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.pk != 'a'", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.pk NOT IN ('a')", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.pk = c.other", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.pk = undefined", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.pk.x = 'a'", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.o.x = 5", 0, NULL, NULL},
    {"SELECT VALUE t FROM c JOIN t IN c.a WHERE c.pk = 'a' AND t.id = 'x'", 1, "\"a\"", NULL},
    {"SELECT VALUE t FROM t IN c.a WHERE t.pk = 'a'", 0, NULL, NULL},
    {"SELECT VALUE s FROM (SELECT * FROM c WHERE c.pk = 'a' AND c.id = 'q') s WHERE s.z = 1", 1,
     "\"a\"", "q"},
    {"SELECT VALUE s FROM (SELECT * FROM c) s WHERE s.pk = 'a'", 0, NULL, NULL},
    {"SELECT * FROM c WHERE EXISTS(SELECT VALUE 1 FROM t IN c.a WHERE c.pk = 'a')", 0, NULL, NULL},
    {"SELECT * FROM c WHERE c.id = 5", 0, NULL, NULL},
    {"SELECT VALUE COUNT(1) FROM c WHERE c.pk = true AND true", 1, "true", NULL},
};

T_TEST("the partition key and the id that a filter pins are found")
{
    struct arena a;
    arena_init(&a);
    struct str paths[] = {STR("/pk"), STR("/o/x")};
    for (size_t i = 0; i < ARRAY_COUNT(pins); i++) {
        struct query *q = NULL;
        struct errinfo ei = {0};
        const struct json *values[QUERY_PK_PATHS_MAX] = {NULL};
        t_ok_info(query_compile(&a, str_of(pins[i].query), one_param(&a), NULL, &q, &ei), &ei);
        size_t n = query_pinned_keys(q, paths, 2, values);
        t_checkf(n == pins[i].pinned, "%s: %zu", pins[i].query, n);
        if (n > 0) {
            const struct json *want = NULL;
            t_ok(json_parse(&a, str_of(pins[i].first), NULL, &want, NULL));
            t_checkf(json_eq(values[0], want), "%s", pins[i].query);
        }
        struct str id = STR("-");
        bool has_id = query_pinned_id(q, &id);
        t_checkf(has_id == (pins[i].id != NULL), "%s", pins[i].query);
        t_check(!has_id || str_eq(id, str_of(pins[i].id)));
    }
    arena_done(&a);
}

static const struct {
    const char *query;
    const char *points; /* ids and keys; NULL: not single items */
} points[] = {
    {"SELECT * FROM c WHERE c.id = 'a' AND c.pk = 1", "a=1 "},
    {"SELECT * FROM c WHERE (c.id = 'a' AND c.pk = 1) OR (c.pk = 'x' AND c.id = 'b')",
     "a=1 b=\"x\" "},
    {"SELECT * FROM c WHERE c.pk = 1 AND c.id IN ('a', 'b', 'c') AND c.z > 1", "a=1 b=1 c=1 "},
    {"SELECT * FROM c WHERE c.id = 'a' AND c.id = 'b' AND c.pk = 1", "a=1 "},
    {"SELECT * FROM c WHERE c.id = 'a'", NULL},
    {"SELECT * FROM c WHERE c.id = 'a' OR c.pk = 1", NULL},
    {"SELECT * FROM c WHERE (c.id = 'a' AND c.pk = 1) OR c.z = 1", NULL},
    {"SELECT * FROM c WHERE c.pk = 1 AND c.id IN ('a', c.z)", NULL},
    {"SELECT * FROM c WHERE c.pk = 1 AND c.id NOT IN ('a')", NULL},
    {"SELECT * FROM c WHERE c.pk = 1 AND c.id IN ('a', 'b', 'c', 'd', 'e')", NULL},
    {"SELECT * FROM c WHERE c.pk = 1 AND c.id = 5", NULL},
    {"SELECT * FROM c", NULL},
};

T_TEST("filters that name single items are recognised")
{
    struct arena a;
    arena_init(&a);
    struct str path = STR("/pk");
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct query *q = NULL;
        struct query_point list[4];
        size_t n = 0;
        struct buf text;
        buf_init(&text, 1000);
        t_ok(query_compile(&a, str_of(points[i].query), NULL, NULL, &q, NULL));
        bool is_points = query_pinned_points(q, &path, 1, ARRAY_COUNT(list), list, &n);
        t_checkf(is_points == (points[i].points != NULL), "%s", points[i].query);
        for (size_t k = 0; is_points && k < n; k++) {
            buf_printf(&text, STR_FMT "=", STR_ARG(list[k].id));
            json_write(&text, list[k].keys[0]);
            buf_add_char(&text, ' ');
        }
        t_check(!is_points || str_eq(buf_str(&text), str_of(points[i].points)));
        buf_done(&text);
    }
    struct query *q = NULL; /* the id may be the partition key */
    struct query_point list[4];
    size_t n = 0;
    path = STR("/id");
    t_ok(query_compile(&a, STR("SELECT * FROM c WHERE c.id IN ('a', 'b')"), NULL, NULL, &q, NULL));
    t_check(query_pinned_points(q, &path, 1, ARRAY_COUNT(list), list, &n));
    t_eq_u64(n, 2);
    t_eq_lit(list[1].keys[0]->text, "b");
    arena_done(&a);
}

T_TEST("info says how a query runs")
{
    static const struct {
        const char *query;
        enum query_class class;
        bool is_ordered, is_aggregated, is_verbatim, has_from;
    } infos[] = {
        {"SELECT * FROM c", QUERY_STREAM, false, false, true, true},
        {"SELECT TOP 3 VALUE c FROM c", QUERY_STREAM, false, false, true, true},
        {"SELECT * FROM c WHERE c.x = 1", QUERY_STREAM, false, false, false, true},
        {"SELECT * FROM c ORDER BY c.x", QUERY_SORT, true, false, false, true},
        {"SELECT DISTINCT c.x FROM c", QUERY_WHOLE, false, false, false, true},
        {"SELECT DISTINCT c._rid, c.x FROM c ORDER BY c.x", QUERY_SORT, true, false, false, true},
        {"SELECT VALUE COUNT(1) FROM c", QUERY_WHOLE, false, true, false, true},
        {"SELECT c.x FROM c GROUP BY c.x", QUERY_WHOLE, false, true, false, true},
        {"SELECT VALUE s FROM (SELECT VALUE c.x FROM c) s", QUERY_STREAM, false, false, false,
         true},
        {"SELECT VALUE s FROM (SELECT VALUE COUNT(1) FROM c) s", QUERY_WHOLE, false, true, false,
         true},
        {"SELECT 1", QUERY_WHOLE, false, false, false, false},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(infos); i++) {
        struct query *q = NULL;
        t_ok(query_compile(&a, str_of(infos[i].query), NULL, NULL, &q, NULL));
        struct query_info info = query_info(q);
        t_checkf(info.class == infos[i].class, "%s", infos[i].query);
        t_checkf(info.is_ordered == infos[i].is_ordered, "%s", infos[i].query);
        t_checkf(info.is_aggregated == infos[i].is_aggregated, "%s", infos[i].query);
        t_checkf(info.is_verbatim == infos[i].is_verbatim, "%s", infos[i].query);
        t_checkf(info.has_from == infos[i].has_from, "%s", infos[i].query);
    }
    arena_done(&a);
}

/* ---- limits, each at its edge ---- */

static enum err try_text(struct arena *a, struct buf *text, const struct query_limits *limits,
                         const char *message)
{
    struct query *q = NULL;
    struct errinfo ei = {0};
    enum err err = query_compile(a, buf_str(text), NULL, limits, &q, &ei);
    if (err != OK) {
        t_contains(str_of(ei.message), message);
    }
    buf_clear(text);
    return err;
}

static void repeat(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_add_cstr(b, s);
    }
}

T_TEST("limits of text, nesting, joins, nodes and lists hold at their edges")
{
    struct arena a;
    struct buf b;
    arena_init(&a);
    buf_init(&b, 1 << 20);
    for (int over = 0; over < 2; over++) {
        size_t more = over == 1 ? 1 : 0;
        enum err want = over == 1 ? ERR_SYNTAX : OK;
        const char *head = "SELECT * FROM c";
        buf_add_cstr(&b, head);
        repeat(&b, " ", QUERY_TEXT_SIZE_MAX - strlen(head) + more);
        t_eq_int(try_text(&a, &b, NULL, "maximum of 262144 bytes"), want);

        buf_add_cstr(&b, "SELECT VALUE "); /* the select and the innermost expression count too */
        repeat(&b, "(", QUERY_DEPTH_MAX - 2 + more);
        buf_add_char(&b, '1');
        repeat(&b, ")", QUERY_DEPTH_MAX - 2 + more);
        t_eq_int(try_text(&a, &b, NULL, "maximum nesting"), want);

        buf_add_cstr(&b, "SELECT VALUE c");
        repeat(&b, ".a", QUERY_DEPTH_MAX - 1 + more);
        buf_add_cstr(&b, " FROM c");
        t_eq_int(try_text(&a, &b, NULL, "maximum nesting"), want);

        buf_add_cstr(&b, "SELECT VALUE 1");
        repeat(&b, " + 1", QUERY_DEPTH_MAX - 1 + more);
        t_eq_int(try_text(&a, &b, NULL, "maximum nesting"), want);

        buf_add_cstr(&b, "SELECT VALUE 1 FROM c");
        for (size_t i = 0; i < QUERY_JOINS_MAX + more; i++) {
            buf_printf(&b, " JOIN x%zu IN c.a", i);
        }
        t_eq_int(try_text(&a, &b, NULL, "maximum of 5 joins"), want);

        buf_add_cstr(&b, "SELECT VALUE 1 FROM c ORDER BY c.a0");
        for (size_t i = 1; i < QUERY_ORDER_KEYS_MAX + more; i++) {
            buf_printf(&b, ", c.a%zu", i);
        }
        t_eq_int(try_text(&a, &b, NULL, "ORDER BY clause exceeds"), want);

        buf_add_cstr(&b, "SELECT VALUE 1 FROM c GROUP BY c.a0");
        for (size_t i = 1; i < QUERY_GROUP_KEYS_MAX + more; i++) {
            buf_printf(&b, ", c.a%zu", i);
        }
        t_eq_int(try_text(&a, &b, NULL, "GROUP BY clause exceeds"), want);

        buf_add_cstr(&b, "SELECT VALUE [SUM(c.a0)");
        for (size_t i = 1; i < QUERY_SLOTS_MAX - 1 + more; i++) {
            buf_printf(&b, ", SUM(c.a%zu)", i);
        }
        buf_add_cstr(&b, "] FROM c");
        t_eq_int(try_text(&a, &b, NULL, "bindings and aggregates"), want);

        buf_add_cstr(&b, "SELECT VALUE [1,2,3,4] FROM c"); /* four literals, array, name of FROM */
        struct query_limits limits = {.nodes_max = 6 - more};
        t_eq_int(try_text(&a, &b, &limits, "of 5 expressions"), want);

        buf_add_cstr(&b, "SELECT VALUE 1 FROM c JOIN d IN c.d");
        limits = (struct query_limits){.joins_max = 1};
        t_eq_int(try_text(&a, &b, &limits, "joins"), OK);
    }
    buf_done(&b);
    arena_done(&a);
}

T_TEST("long chains are not deep: 20000 alternatives, 5000 parts")
{
    struct arena a;
    struct buf b;
    arena_init(&a);
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "SELECT * FROM c WHERE c.x = 1");
    repeat(&b, " OR c.x = 1", 20000);
    t_ok(try_text(&a, &b, NULL, ""));
    buf_add_cstr(&b, "SELECT VALUE '' ");
    repeat(&b, "|| c.x ", 5000);
    buf_add_cstr(&b, "FROM c");
    t_ok(try_text(&a, &b, NULL, ""));
    buf_add_cstr(&b, "SELECT * FROM c WHERE c.x IN (0");
    repeat(&b, ",1", 60000);
    buf_add_cstr(&b, ")");
    t_ok(try_text(&a, &b, NULL, ""));
    buf_done(&b);
    arena_done(&a);
}

T_TEST("patch conditions: from ... where ..., nothing else")
{
    static const struct {
        const char *text;
        const char *doc;
        int want; /* 2: does not compile */
    } conditions[] = {
        {"from c where c.x = 1", "{\"x\":1}", 1},
        {"from c where c.x = 1", "{\"x\":2}", 0},
        {"from c where c.x = 1", "{}", 0},
        {"FROM c WHERE NOT IS_DEFINED(c.x)", "{}", 1},
        {"from c", "{}", 1},
        {"from c join t in c.a where t = 2", "{\"a\":[1,2]}", 2}, /* a star needs one source */
        {"from t in c.a where t = 2", "{\"a\":[1,2]}", 1},
        {"from c where c.x", "{\"x\":1}", 0},
        {"select * from c where c.x = 1", "{}", 2},
        {"c.x = 1", "{}", 2},
        {"from c where c.x = 1 order by c.x", "{}", 2},
        {"", "{}", 2},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < ARRAY_COUNT(conditions); i++) {
        struct query *q = NULL;
        bool holds = false;
        enum err err = query_compile_condition(&a, str_of(conditions[i].text), NULL, &q, NULL);
        t_checkf((err != OK) == (conditions[i].want == 2), "%s", conditions[i].text);
        if (err == OK) {
            t_ok(query_condition(q, str_of(conditions[i].doc), 0, &holds, NULL));
            t_checkf(holds == (conditions[i].want == 1), "%s", conditions[i].text);
        }
    }
    arena_done(&a);
}

T_MAIN()
