/* What queries answer: a table of query, parameters, documents and rows. Every case also runs with
 * pages of 1, 2 and 3 rows, over one partition and over several, and must give the same text. */
#include "query_lab.h"

#include "base/contract.h"

struct row_case {
    const char *query;
    const char *want;   /* JSON array of rows; '!': an error whose message has this text */
    const char *docs;   /* NULL = people */
    const char *params; /* NULL = none */
};

static const char people[] =
    "[{\"id\":\"a\",\"n\":1,\"t\":\"x\",\"tags\":[\"red\",\"blue\"],\"o\":{\"p\":{\"q\":7}},\"f\":"
    "true},"
    "{\"id\":\"b\",\"n\":2,\"t\":\"y\",\"tags\":[],\"o\":{\"p\":null},\"f\":false},"
    "{\"id\":\"c\",\"n\":3,\"t\":\"x\",\"tags\":[\"red\"],\"kids\":[{\"g\":5,\"m\":\"k1\"},{\"g\":"
    "6,\"m\":\"k2\"}]},"
    "{\"id\":\"d\",\"n\":null,\"t\":\"z\"},"
    "{\"id\":\"e\",\"n\":\"3\",\"t\":\"y\",\"tags\":[\"blue\",\"red\",\"blue\"]}]";

static const char mixed[] =
    "[{\"id\":\"1\",\"v\":\"b\"},{\"id\":\"2\",\"v\":2},{\"id\":\"3\"},{\"id\":\"4\",\"v\":null},"
    "{\"id\":\"5\",\"v\":[1]},{\"id\":\"6\",\"v\":{\"a\":1}},{\"id\":\"7\",\"v\":true},"
    "{\"id\":\"8\",\"v\":\"a\"},{\"id\":\"9\",\"v\":false},{\"id\":\"A\",\"v\":-1},{\"id\":\"B\","
    "\"v\":2}]";

static const char numbers[] =
    "[{\"g\":\"a\",\"v\":1},{\"g\":\"b\",\"v\":2},{\"g\":\"a\",\"v\":3},{\"g\":\"b\"},{\"v\":10},"
    "{\"g\":null,\"v\":5},{\"g\":\"c\",\"v\":\"s\"}]";

static const struct row_case select_cases[] = {
    {"SELECT * FROM c WHERE c.id = 'b'",
     "[{\"id\":\"b\",\"n\":2,\"t\":\"y\",\"tags\":[],\"o\":{\"p\":null},\"f\":false}]", NULL, NULL},
    {"SELECT VALUE c.id FROM c", "[\"a\",\"b\",\"c\",\"d\",\"e\"]", NULL, NULL},
    {"select value c.id from c where c.n = 1", "[\"a\"]", NULL, NULL},
    {"SELECT c.id, c.n FROM c WHERE c.n > 1", "[{\"id\":\"b\",\"n\":2},{\"id\":\"c\",\"n\":3}]",
     NULL, NULL},
    {"SELECT c.id AS x, c.missing FROM c WHERE c.id IN ('a')", "[{\"x\":\"a\"}]", NULL, NULL},
    {"SELECT c.id x FROM c WHERE c.id = 'a'", "[{\"x\":\"a\"}]", NULL, NULL},
    {"SELECT c.n + 1, c.n * 2 FROM c WHERE c.id = 'b'", "[{\"$1\":3,\"$2\":4}]", NULL, NULL},
    {"SELECT c.id, 1, c['t'], c.tags[0] FROM c WHERE c.id='a'",
     "[{\"id\":\"a\",\"$1\":1,\"t\":\"x\",\"$2\":\"red\"}]", NULL, NULL},
    {"SELECT VALUE {name: c.id, \"deep\": {q: c.o.p.q, none: c.zz}, list: [c.n, c.zz, 5]} FROM c "
     "WHERE c.id='a'",
     "[{\"name\":\"a\",\"deep\":{\"q\":7},\"list\":[1,5]}]", NULL, NULL},
    {"SELECT VALUE c.missing FROM c", "[]", NULL, NULL},
    {"SELECT c.missing FROM c", "[{},{},{},{},{}]", NULL, NULL},
    {"SELECT VALUE c.o.p.q FROM c", "[7]", NULL, NULL},
    {"SELECT VALUE c[\"o\"][\"p\"] FROM c", "[{\"q\":7},null]", NULL, NULL},
    {"SELECT VALUE c.tags[1] FROM c", "[\"blue\",\"red\"]", NULL, NULL},
    {"SELECT VALUE r.id FROM Root r WHERE r.n = 1", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE root.id FROM root WHERE root.n = 1", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE p FROM c.o.p p", "[{\"q\":7},null]", NULL, NULL},
    {"SELECT * FROM c.o.p", "[{\"q\":7},null]", NULL, NULL},
    {"SELECT * FROM c.tags[0]", "[\"red\",\"red\",\"blue\"]", NULL, NULL},
    {"SELECT VALUE t FROM t IN c.tags", "[\"red\",\"blue\",\"red\",\"blue\",\"red\",\"blue\"]",
     NULL, NULL},
    {"SELECT c.id, k.m FROM c JOIN k IN c.kids",
     "[{\"id\":\"c\",\"m\":\"k1\"},{\"id\":\"c\",\"m\":\"k2\"}]", NULL, NULL},
    {"SELECT c.id, t, u FROM c JOIN t IN c.tags JOIN u IN c.tags WHERE c.id = 'a'",
     "[{\"id\":\"a\",\"t\":\"red\",\"u\":\"red\"},{\"id\":\"a\",\"t\":\"red\",\"u\":\"blue\"},"
     "{\"id\":\"a\",\"t\":\"blue\",\"u\":\"red\"},{\"id\":\"a\",\"t\":\"blue\",\"u\":\"blue\"}]",
     NULL, NULL},
    {"SELECT VALUE COUNT(1) FROM c JOIN t IN c.tags", "[6]", NULL, NULL},
    {"SELECT c.id, s FROM c JOIN (SELECT VALUE t FROM t IN c.tags WHERE t != 'red') s",
     "[{\"id\":\"a\",\"s\":\"blue\"},{\"id\":\"e\",\"s\":\"blue\"},{\"id\":\"e\",\"s\":\"blue\"}]",
     NULL, NULL},
    {"SELECT VALUE s FROM c JOIN s IN (SELECT VALUE c.tags)",
     "[\"red\",\"blue\",\"red\",\"blue\",\"red\",\"blue\"]", NULL, NULL},
    {"SELECT VALUE s.x FROM (SELECT c.n AS x FROM c WHERE c.t = 'x') s", "[1,3]", NULL, NULL},
    {"SELECT VALUE s FROM (SELECT VALUE x FROM (SELECT VALUE c.n FROM c) x) s WHERE s >= 2",
     "[2,3]", NULL, NULL},
    {"SELECT 1", "[{\"$1\":1}]", NULL, NULL},
    {"SELECT VALUE 1 + 2", "[3]", NULL, NULL},
    {"SELECT VALUE [1, 'a', true, null, undefined]", "[[1,\"a\",true,null]]", NULL, NULL},
    {"SELECT VALUE undefined", "[]", NULL, NULL},
    {"SELECT VALUE 1 WHERE 1 = 2", "[]", NULL, NULL},
    {"SELECT VALUE c.n FROM c WHERE c.n = @n", "[2]", NULL, "[{\"name\":\"@n\",\"value\":2}]"},
    {"SELECT VALUE @x", "[{\"a\":[1]}]", NULL, "[{\"name\":\"@x\",\"value\":{\"a\":[1]}}]"},
    {"SELECT VALUE c.id FROM c WHERE c.id = @x.k", "[\"b\"]", NULL,
     "[{\"name\":\"@x\",\"value\":{\"k\":\"b\"}}]"},
    {"SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(@ids, c.id)", "[\"a\",\"d\"]", NULL,
     "[{\"name\":\"@ids\",\"value\":[\"a\",\"d\"]}]"},
    {"SELECT VALUE c[@p] FROM c WHERE c.id='a'", "[1]", NULL,
     "[{\"name\":\"@p\",\"value\":\"n\"}]"},
    {"SELECT c.id, c.id FROM c WHERE c.id = 'a'", "[{\"id\":\"a\"}]", NULL, NULL},
    {"SELECT VALUE c.big FROM c", "[12345678901234567890]", "[{\"big\":12345678901234567890}]",
     NULL},
    {"SELECT VALUE c.value FROM c", "[1]", "[{\"value\":1}]", NULL},
    {"SELECT VALUE c.id -- comment\nFROM c /* another */ WHERE c.n = 1", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE 'it\\'s \\u00e4 \\ud83d\\ude00'", "[\"it's \xc3\xa4 \xf0\x9f\x98\x80\"]", NULL,
     NULL},
    {"SELECT VALUE 0x1F + 1e1 + .5", "[41.5]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE {documentdb-formattableorderbyquery-filter} AND c.n = 1",
     "[\"a\"]", NULL, NULL},
};

static const struct row_case top_cases[] = {
    {"SELECT TOP 2 VALUE c.id FROM c", "[\"a\",\"b\"]", NULL, NULL},
    {"SELECT TOP 0 * FROM c", "[]", NULL, NULL},
    {"SELECT TOP @n VALUE c.id FROM c", "[\"a\"]", NULL, "[{\"name\":\"@n\",\"value\":1}]"},
    {"SELECT VALUE c.id FROM c OFFSET 1 LIMIT 2", "[\"b\",\"c\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c OFFSET 3 LIMIT 10", "[\"d\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c OFFSET 9 LIMIT 10", "[]", NULL, NULL},
    {"SELECT VALUE c.id FROM c OFFSET 1 LIMIT 0", "[]", NULL, NULL},
    {"SELECT VALUE t FROM t IN c.tags OFFSET 1 LIMIT 3", "[\"blue\",\"red\",\"blue\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c ORDER BY c.id DESC OFFSET 1 LIMIT 3", "[\"d\",\"c\",\"b\"]", NULL,
     NULL},
    {"SELECT TOP 2 VALUE c.id FROM c ORDER BY c.id DESC", "[\"e\",\"d\"]", NULL, NULL},
    {"SELECT DISTINCT TOP 2 VALUE c.t FROM c", "[\"x\",\"y\"]", NULL, NULL},
    {"SELECT DISTINCT VALUE c.t FROM c OFFSET 1 LIMIT 1", "[\"y\"]", NULL, NULL},
    {"SELECT VALUE s FROM (SELECT TOP 3 VALUE c.id FROM c) s WHERE s != 'b'", "[\"a\",\"c\"]", NULL,
     NULL},
    {"SELECT VALUE COUNT(1) FROM (SELECT TOP 3 VALUE c.id FROM c) s", "[3]", NULL, NULL},
};

static const struct row_case undefined_cases[] = {
    /* Comparisons. */
    {"SELECT VALUE [1 = 1, 1 = 2, 1 = '1', null = null, null = 0, [1] = [1], {a:1} = {a:1}, true "
     "!= 1]",
     "[[true,false,false,true,false,true,true,true]]", NULL, NULL},
    {"SELECT VALUE [1 < 'a', null < 1, [1] < [2], undefined = 1, undefined != 1]", "[[]]", NULL,
     NULL},
    {"SELECT VALUE ['a' < 'b', false < true, null <= null, 2 >= 2, 'B' > 'a']",
     "[[true,true,true,true,false]]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n != null", "[\"a\",\"b\",\"c\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n < 3", "[\"a\",\"b\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT (c.n < 3)", "[\"c\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT c.n = 3", "[\"a\",\"b\",\"d\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.f", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT c.f", "[\"b\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n", "[]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.missing = 1 OR c.n = 1", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT (c.missing = 1 OR c.n = 1)", "[]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT (c.missing = 1 AND c.n = 1)", "[\"b\",\"c\",\"d\",\"e\"]",
     NULL, NULL},
    /* Three-valued logic in full. */
    {"SELECT VALUE [true AND true, true AND false, false AND false, false AND undefined, undefined "
     "AND "
     "false, 1 AND false]",
     "[[true,false,false,false,false,false]]", NULL, NULL},
    {"SELECT VALUE [true AND undefined, undefined AND undefined, true AND 1, NOT undefined, NOT 1, "
     "false "
     "OR undefined, undefined OR 1]",
     "[[]]", NULL, NULL},
    {"SELECT VALUE [true OR undefined, undefined OR true, false OR true, false OR false, 1 OR "
     "true]",
     "[[true,true,true,false,true]]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n BETWEEN 2 AND 3", "[\"b\",\"c\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n NOT BETWEEN 2 AND 3", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n BETWEEN 1 AND 2 AND c.id = 'b'", "[\"b\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n IN (1, '3', null)", "[\"a\",\"d\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n NOT IN (1, '3', null)", "[\"b\",\"c\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.zz NOT IN (1)", "[]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.n IN (9,8,7,6,5,4,3,-1,'3',null,true,-2)",
     "[\"c\",\"d\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.id NOT IN ('q','w','e','r','t','a','s','d','f')",
     "[\"b\",\"c\"]", NULL, NULL},
    {"SELECT VALUE [c.zz ?? 'none', c.n ?? 'none', undefined ?? undefined ?? 3] FROM c WHERE c.id "
     "= 'd'",
     "[[\"none\",null,3]]", NULL, NULL},
    {"SELECT VALUE [true ? 1 : 2, false ? 1 : 2, undefined ? 1 : 2, 1 ? 1 : 2, false ? 1 : true ? "
     "3 : 4]",
     "[[1,2,2,2,3]]", NULL, NULL},
    /* Arithmetic. */
    {"SELECT VALUE [1 + 2 * 3, (1 + 2) * 3, 7 % 4, 7 / 2, -c.n, +c.n, 2 - -1] FROM c WHERE "
     "c.id='b'",
     "[[7,9,3,3.5,-2,2,3]]", NULL, NULL},
    {"SELECT VALUE [1 + 'a', 'a' + 'b', -'a', null + 1, 1 / 0, 0 / 0, 5 % 0]", "[[]]", NULL, NULL},
    {"SELECT VALUE [100 >> 2, 100 << 2, 100 >>> 0, 100 & 1000, 100 | 1000, 100 ^ 1000, ~5, -1 >>> "
     "0, "
     "2147483648 | 0, 1.9 | 0]",
     "[[25,400,100,96,1004,908,-6,4294967295,-2147483648,1]]", NULL, NULL},
    {"SELECT VALUE ['a' || 'b' || c.id, 'a' || 1] FROM c WHERE c.id = 'a'", "[[\"aba\"]]", NULL,
     NULL},
    {"SELECT VALUE c.id FROM c WHERE c.id || c.t = 'ax'", "[\"a\"]", NULL, NULL},
    {"SELECT VALUE [0.1 + 0.2, 1e308 * 10, 9007199254740993 + 0]",
     "[[0.30000000000000004,9007199254740992]]", NULL, NULL},
    /* Access. */
    {"SELECT VALUE [c.tags[5], c.tags[-1], c.tags['x'], c.o[0], c.n.x, c.o.p.q.r, c.tags[0.5]] "
     "FROM c",
     "[[],[],[],[],[]]", NULL, NULL},
    {"SELECT VALUE [1,2,3][1]", "[2]", NULL, NULL},
    {"SELECT VALUE {a: 5}.a", "[5]", NULL, NULL},
};

static const struct row_case like_cases[] = {
    {"SELECT VALUE ['abc' LIKE 'a%', 'abc' LIKE '%b%', 'abc' LIKE '_b_', 'abc' LIKE 'a', 'abc' "
     "LIKE 'ABC', "
     "'' LIKE '%', '' LIKE '', '' LIKE '_']",
     "[[true,true,true,false,false,true,true,false]]", NULL, NULL},
    {"SELECT VALUE ['abc' LIKE '[a-c]%', 'abc' LIKE '[^a]%', 'dbc' LIKE '[^a-c]bc', 'a[b' LIKE "
     "'a[b', "
     "'50%' LIKE '50!%' ESCAPE '!', '500' LIKE '50!%' ESCAPE '!', 'a_b' LIKE 'a^_b' ESCAPE '^']",
     "[[true,false,true,true,true,false,true]]", NULL, NULL},
    {"SELECT VALUE ['abc' NOT LIKE 'a%', 1 LIKE 'a', 'a' LIKE 1, 1 NOT LIKE 'a', '\\u00e4x' LIKE "
     "'_x']",
     "[[false,true]]", NULL, NULL},
    {"SELECT VALUE 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab' LIKE '%a%a%a%a%a%a%a%a%a%c'", "[false]", NULL,
     NULL},
    {"SELECT VALUE 'mississippi' LIKE '%iss%ip%'", "[true]", NULL, NULL},
    {"SELECT VALUE ['aXb' LIKE 'a%b', 'ab' LIKE 'a%b', 'a' LIKE 'a%a', 'aa' LIKE 'a%a', 'abc' LIKE "
     "'%bc', 'abcb' LIKE '%bc', 'x' LIKE '%%', 'abab' LIKE 'ab%ab%', 'aba' LIKE '%ab%a%', 'ab' "
     "LIKE "
     "'%ab%b']",
     "[[true,true,false,true,true,false,true,true,true,false]]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE c.t LIKE '%' AND NOT c.id LIKE 'a'",
     "[\"b\",\"c\",\"d\",\"e\"]", NULL, NULL},
};

static const struct row_case order_cases[] = {
    {"SELECT VALUE c.id FROM c ORDER BY c.v",
     "[\"3\",\"4\",\"9\",\"7\",\"A\",\"2\",\"B\",\"8\",\"1\",\"5\",\"6\"]", mixed, NULL},
    {"SELECT VALUE c.id FROM c ORDER BY c.v ASC",
     "[\"3\",\"4\",\"9\",\"7\",\"A\",\"2\",\"B\",\"8\",\"1\",\"5\",\"6\"]", mixed, NULL},
    {"SELECT VALUE c.id FROM c ORDER BY c.missing",
     "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"A\",\"B\"]", mixed, NULL},
    {"SELECT VALUE c.id FROM c ORDER BY c.t, c.id DESC", "[\"c\",\"a\",\"e\",\"b\",\"d\"]", NULL,
     NULL},
    {"SELECT VALUE c.id FROM c ORDER BY c.t DESC, c.n ASC", "[\"d\",\"b\",\"e\",\"a\",\"c\"]", NULL,
     NULL},
    {"SELECT c.n FROM c ORDER BY c.n + 0 DESC",
     "[{\"n\":3},{\"n\":2},{\"n\":1},{\"n\":\"3\"},{\"n\":null}]", NULL, NULL},
    {"SELECT VALUE c.n FROM c ORDER BY c.id", "[1,2,3,null,\"3\"]", NULL, NULL},
    {"SELECT VALUE c.missing FROM c ORDER BY c.id", "[]", NULL, NULL},
    {"SELECT VALUE t FROM c JOIN t IN c.tags ORDER BY t, c.id",
     "[\"blue\",\"blue\",\"blue\",\"red\",\"red\",\"red\"]", NULL, NULL},
    {"SELECT c.id, t FROM c JOIN t IN c.tags ORDER BY t DESC",
     "[{\"id\":\"e\",\"t\":\"red\"},{\"id\":\"c\",\"t\":\"red\"},{\"id\":\"a\",\"t\":\"red\"},"
     "{\"id\":\"e\",\"t\":\"blue\"},{\"id\":\"e\",\"t\":\"blue\"},{\"id\":\"a\",\"t\":\"blue\"}]",
     NULL, NULL},
    {"SELECT VALUE s FROM (SELECT VALUE c.id FROM c ORDER BY c.id DESC) s",
     "[\"e\",\"d\",\"c\",\"b\",\"a\"]", NULL, NULL},
    {"SELECT * FROM c ORDER BY c.v DESC", "[{\"v\":2},{\"v\":1}]", "[{\"v\":1},{\"v\":2}]", NULL},
    {"SELECT DISTINCT VALUE c.t FROM c ORDER BY c.t DESC", "[\"z\",\"y\",\"x\"]", NULL, NULL},
};

static const struct row_case subquery_cases[] = {
    {"SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'blue')",
     "[\"a\",\"e\"]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE NOT EXISTS(SELECT VALUE t FROM t IN c.tags)", "[\"b\",\"d\"]",
     NULL, NULL},
    {"SELECT c.id, ARRAY(SELECT VALUE k.g FROM k IN c.kids) AS gs FROM c WHERE c.id IN ('a','c')",
     "[{\"id\":\"a\",\"gs\":[]},{\"id\":\"c\",\"gs\":[5,6]}]", NULL, NULL},
    {"SELECT VALUE ARRAY(SELECT DISTINCT VALUE t FROM t IN c.tags) FROM c WHERE c.id = 'e'",
     "[[\"blue\",\"red\"]]", NULL, NULL},
    {"SELECT VALUE (SELECT VALUE SUM(k.g) FROM k IN c.kids) FROM c", "[0,0,11,0,0]", NULL, NULL},
    {"SELECT VALUE (SELECT VALUE MAX(k.m) FROM k IN c.kids) FROM c", "[\"k2\"]", NULL, NULL},
    {"SELECT c.id, (SELECT COUNT(1) AS n FROM t IN c.tags).n FROM c WHERE c.n = 1",
     "[{\"id\":\"a\",\"n\":2}]", NULL, NULL},
    {"SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags ORDER BY t) FROM c WHERE c.id = 'e'",
     "[[\"blue\",\"blue\",\"red\"]]", NULL, NULL},
    {"SELECT VALUE ARRAY(SELECT t, COUNT(1) AS n FROM t IN c.tags GROUP BY t ORDER BY t DESC) FROM "
     "c "
     "WHERE c.id = 'e'",
     "[[{\"t\":\"red\",\"n\":1},{\"t\":\"blue\",\"n\":2}]]", NULL, NULL},
    {"SELECT VALUE ARRAY(SELECT TOP 1 VALUE t FROM t IN c.tags) FROM c WHERE c.id = 'e'",
     "[[\"blue\"]]", NULL, NULL},
    {"SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags OFFSET 1 LIMIT 5) FROM c WHERE c.id = 'e'",
     "[[\"red\",\"blue\"]]", NULL, NULL},
    {"SELECT VALUE (SELECT VALUE 5)", "[5]", NULL, NULL},
    {"SELECT VALUE [FIRST(SELECT VALUE t FROM t IN c.tags), LAST(SELECT VALUE t FROM t IN c.tags)] "
     "FROM c "
     "WHERE c.id = 'a'",
     "[[\"red\",\"blue\"]]", NULL, NULL},
    {"SELECT VALUE c.id FROM c WHERE ALL(SELECT VALUE t FROM t IN c.tags WHERE t = 'red')",
     "[\"b\",\"c\",\"d\"]", NULL, NULL},
    {"SELECT VALUE (SELECT VALUE t FROM t IN c.tags) FROM c", "!cardinality of a scalar subquery",
     NULL, NULL},
    {"SELECT VALUE k.m FROM c JOIN (SELECT VALUE k FROM k IN c.kids WHERE EXISTS(SELECT VALUE 1 "
     "FROM t IN c.tags "
     "WHERE t = 'red') AND k.g > 5) k",
     "[\"k2\"]", NULL, NULL},
    {"SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.t FROM c)", "[3]", NULL, NULL},
    {"SELECT COUNT(1) AS n FROM (SELECT DISTINCT c.t FROM c) s", "[{\"n\":3}]", NULL, NULL},
};

static const struct row_case aggregate_cases[] = {
    {"SELECT VALUE COUNT(1) FROM c", "[7]", numbers, NULL},
    {"SELECT VALUE COUNT(c.v) FROM c", "[6]", numbers, NULL},
    {"SELECT VALUE COUNT(c) FROM c", "[7]", numbers, NULL},
    {"SELECT VALUE SUM(c.v) FROM c WHERE IS_NUMBER(c.v)", "[21]", numbers, NULL},
    {"SELECT VALUE SUM(c.v) FROM c", "[]", numbers, NULL},
    {"SELECT SUM(c.v) AS s, AVG(c.v) AS a, MIN(c.v) AS lo, MAX(c.v) AS hi, COUNT(1) AS n FROM c",
     "[{\"lo\":1,\"hi\":\"s\",\"n\":7}]", numbers, NULL},
    {"SELECT VALUE AVG(c.v) FROM c WHERE c.g IN ('a','b')", "[2]", numbers, NULL},
    {"SELECT COUNT(1), SUM(c.v) FROM c WHERE c.g = 'a'", "[{\"$1\":2,\"$2\":4}]", numbers, NULL},
    {"SELECT VALUE COUNT(1) FROM c WHERE false", "[0]", numbers, NULL},
    {"SELECT VALUE SUM(c.v) FROM c WHERE false", "[0]", numbers, NULL},
    {"SELECT VALUE AVG(c.v) FROM c WHERE false", "[]", numbers, NULL},
    {"SELECT VALUE MIN(c.v) FROM c WHERE false", "[]", numbers, NULL},
    {"SELECT MAX(c.v) AS m, COUNT(1) AS n FROM c WHERE false", "[{\"n\":0}]", numbers, NULL},
    {"SELECT VALUE MAX(c.v) FROM c", "[]", "[{\"v\":1},{\"v\":[1]}]", NULL},
    {"SELECT VALUE [MIN(c.v), MAX(c.v)] FROM c", "[[null,\"b\"]]",
     "[{\"v\":true},{\"v\":null},{\"v\":\"b\"},{\"v\":3}]", NULL},
    {"SELECT VALUE {total: SUM(c.v) + 1, twice: 2 * COUNT(1), abs: ABS(MIN(c.v))} FROM c WHERE c.g "
     "= 'b'",
     "[{\"total\":3,\"twice\":4,\"abs\":2}]", numbers, NULL},
    {"SELECT VALUE [{\"item\": {\"sum\": SUM(c.v), \"count\": COUNT(c.v)}}] FROM c WHERE c.g = 'a'",
     "[[{\"item\":{\"sum\":4,\"count\":2}}]]", numbers, NULL},
    {"SELECT VALUE [{\"item\": MIN(c.zz), \"item2\": {\"min\": MIN(c.zz), \"count\": "
     "COUNT(c.zz)}}] FROM c",
     "[[{\"item2\":{\"count\":0}}]]", numbers, NULL},
    {"SELECT c.g, COUNT(1) AS n, SUM(c.v) AS s FROM c GROUP BY c.g",
     "[{\"g\":\"a\",\"n\":2,\"s\":4},{\"g\":\"b\",\"n\":2,\"s\":2},{\"n\":1,\"s\":10},{\"g\":null,"
     "\"n\":1,\"s\":5},"
     "{\"g\":\"c\",\"n\":1}]",
     numbers, NULL},
    {"SELECT VALUE c.g FROM c GROUP BY c.g", "[\"a\",\"b\",null,\"c\"]", numbers, NULL},
    {"SELECT VALUE COUNT(1) FROM c GROUP BY c.g", "[2,2,1,1,1]", numbers, NULL},
    {"SELECT UPPER(c.g) AS u, AVG(c.v) AS a FROM c WHERE c.g != null AND c.g != 'c' GROUP BY "
     "UPPER(c.g)",
     "[{\"u\":\"A\",\"a\":2},{\"u\":\"B\",\"a\":2}]", numbers, NULL},
    {"SELECT c.g, COUNT(1) AS n FROM c GROUP BY c.g ORDER BY COUNT(1) DESC, c.g DESC",
     "[{\"g\":\"b\",\"n\":2},{\"g\":\"a\",\"n\":2},{\"g\":\"c\",\"n\":1},{\"g\":null,\"n\":1},{"
     "\"n\":1}]",
     numbers, NULL},
    {"SELECT c.g FROM c GROUP BY c.g OFFSET 1 LIMIT 2", "[{\"g\":\"b\"},{}]", numbers, NULL},
    {"SELECT [{\"item\": c.g}] AS groupByItems, {\"g\": c.g, \"n\": {\"item\": COUNT(1)}} AS "
     "payload FROM c "
     "WHERE c.g = 'a' GROUP BY c.g",
     "[{\"groupByItems\":[{\"item\":\"a\"}],\"payload\":{\"g\":\"a\",\"n\":{\"item\":2}}}]",
     numbers, NULL},
    {"SELECT VALUE {\"age\": c.v} FROM c WHERE c.v < 3 GROUP BY c.v", "[{\"age\":1},{\"age\":2}]",
     numbers, NULL},
    {"SELECT c.x.y, COUNT(1) AS n FROM c GROUP BY c.x", "[{\"y\":1,\"n\":2},{\"y\":2,\"n\":1}]",
     "[{\"x\":{\"y\":1,\"z\":0}},{\"x\":{\"z\":0,\"y\":1.0}},{\"x\":{\"y\":2}}]", NULL},
    {"SELECT t, COUNT(1) AS n FROM c JOIN t IN c.tags GROUP BY t",
     "[{\"t\":\"red\",\"n\":3},{\"t\":\"blue\",\"n\":3}]", NULL, NULL},
    {"SELECT DISTINCT COUNT(1) AS n FROM c GROUP BY c.g", "[{\"n\":2},{\"n\":1}]", numbers, NULL},
    {"SELECT VALUE COUNTIF(c.v > 2) FROM c", "[3]", numbers, NULL},
    {"SELECT VALUE MAKELIST(c.g) FROM c WHERE c.g != null", "[[\"a\",\"b\",\"a\",\"b\",\"c\"]]",
     numbers, NULL},
    {"SELECT VALUE MAKESET(c.g) FROM c WHERE c.g != null", "[[\"a\",\"b\",\"c\"]]", numbers, NULL},
    {"SELECT VALUE SUM(1)", "[1]", NULL, NULL},
};

static const struct row_case distinct_cases[] = {
    {"SELECT DISTINCT VALUE c.v FROM c", "[1,\"1\",null,[1,{\"a\":1}],{\"a\":1,\"b\":2},true]",
     "[{\"v\":1},{\"v\":1.0},{\"v\":\"1\"},{\"v\":null},{\"v\":[1,{\"a\":1}]},{\"v\":[1,{\"a\":1}]}"
     ","
     "{\"v\":{\"a\":1,\"b\":2}},{\"v\":{\"b\":2,\"a\":1}},{},{\"v\":true},{\"v\":1e0}]",
     NULL},
    {"SELECT DISTINCT c.t FROM c", "[{\"t\":\"x\"},{\"t\":\"y\"},{\"t\":\"z\"}]", NULL, NULL},
    {"SELECT DISTINCT c.f FROM c", "[{\"f\":true},{\"f\":false},{}]", NULL, NULL},
    {"SELECT DISTINCT VALUE t FROM c JOIN t IN c.tags", "[\"red\",\"blue\"]", NULL, NULL},
    {"SELECT DISTINCT c._rid, c.t FROM c ORDER BY c.t",
     "[{\"_rid\":\"1\",\"t\":\"x\"},{\"_rid\":\"2\",\"t\":\"x\"}]",
     "[{\"_rid\":\"1\",\"t\":\"x\"},{\"_rid\":\"2\",\"t\":\"x\"}]", NULL},
    {"SELECT DISTINCT * FROM c", "[{\"a\":1,\"b\":2},{\"a\":1}]",
     "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1},{\"a\":1}]", NULL},
};

static const struct row_case error_cases[] = {
    {"SELECT", "!unexpected end of the query", NULL, NULL},
    {"", "!unexpected end of the query", NULL, NULL},
    {"SELECT * FORM c", "!incorrect syntax near 'FORM'", NULL, NULL},
    {"SELECT * FROM c WHERE", "!unexpected end", NULL, NULL},
    {"SELECT c.id FROM c extra stuff", "!\\\"start\\\":25,\\\"end\\\":30", NULL, NULL},
    {"SELECT d.id FROM c", "!Identifier 'd' could not be resolved.", NULL, NULL},
    {"SELECT * FROM c JOIN t IN x.tags", "!SC2040", NULL, NULL},
    {"SELECT VALUE t FROM c JOIN t IN x.tags", "!Identifier 'x' could not be resolved.", NULL,
     NULL},
    {"SELECT VALUE 1 FROM c JOIN c IN c.tags", "!specified more than once", NULL, NULL},
    {"SELECT *", "!without a FROM", NULL, NULL},
    {"SELECT * FROM c GROUP BY c.x", "!SC2041", NULL, NULL},
    {"SELECT c.x FROM c GROUP BY c.y", "!Property reference 'c.x' is invalid", NULL, NULL},
    {"SELECT c.x, COUNT(1) FROM c", "!Property reference 'c.x' is invalid", NULL, NULL},
    {"SELECT COUNT(SUM(c.x)) FROM c", "!Cannot perform an aggregate function", NULL, NULL},
    {"SELECT * FROM c WHERE COUNT(1) > 1", "!Aggregate functions are only allowed", NULL, NULL},
    {"SELECT BADFUNC(c.x) FROM c", "!'BADFUNC' is not a recognized built-in function name.", NULL,
     NULL},
    {"SELECT udf.f(c.x) FROM c", "!User-defined functions are not implemented", NULL, NULL},
    {"SELECT ST_DISTANCE(c.x, c.y) FROM c", "!is not implemented", NULL, NULL},
    {"SELECT * FROM c WHERE FullTextContains(c.x, 'a')", "!is not implemented", NULL, NULL},
    {"SELECT TOP 5 * FROM c ORDER BY VectorDistance(c.e, [1])", "!is not implemented", NULL, NULL},
    {"SELECT TOP 5 * FROM c ORDER BY RANK FullTextScore(c.e, 'a')", "!is not implemented", NULL,
     NULL},
    {"SELECT STARTSWITH(c.x) FROM c", "!The STARTSWITH function requires 2 to 3 argument(s).", NULL,
     NULL},
    {"SELECT ABS() FROM c", "!The ABS function requires 1 argument(s).", NULL, NULL},
    {"SELECT CONCAT('a') FROM c", "!requires at least 2 argument(s)", NULL, NULL},
    {"SELECT * FROM c WHERE c.x = @nope", "!The parameter '@nope' is not specified.", NULL, NULL},
    {"SELECT * FROM c OFFSET -1 LIMIT 10", "!incorrect syntax near '-'", NULL, NULL},
    {"SELECT * FROM c OFFSET 4294967296 LIMIT 10", "!The OFFSET count value exceeds", NULL, NULL},
    {"SELECT TOP 1.5 * FROM c", "!TOP count value must be", NULL, NULL},
    {"SELECT TOP 1 * FROM c OFFSET 1 LIMIT 1", "!cannot be used together", NULL, NULL},
    {"SELECT * FROM c WHERE c.x = 'abc", "!incorrect syntax near ''abc'", NULL, NULL},
    {"SELECT * FROM c WHERE c.x = '\\q'", "!incorrect syntax near", NULL, NULL},
    {"SELECT * FROM c WHERE c.x = 12ab", "!incorrect syntax near '12ab'", NULL, NULL},
    {"SELECT * FROM c WHERE c.x = 1e999", "!incorrect syntax near '1e999'", NULL, NULL},
    {"SELECT * FROM c WHERE c.x # 1", "!incorrect syntax near '#'", NULL, NULL},
    {"SELECT * FROM c WHERE REGEXMATCH(c.x, '(')", "!regular expression is invalid", NULL, NULL},
    {"SELECT COUNT(*) FROM c", "!incorrect syntax near '*'", NULL, NULL},
    {"SELECT * FROM c /* open", "!incorrect syntax near", NULL, NULL},
    {"SELECT 1 FROM c ESCAPE", "!incorrect syntax near 'ESCAPE'", NULL, NULL},
    {"SELECT * FROM c WHERE c.x LIKE 'a' ESCAPE 'ab'", "!incorrect syntax", NULL, NULL},
    {"SELECT '\\u00e4\\\"\\n' x, FROM c", "!\\\"start\\\":23", NULL, NULL},
    {"SELECT '\xc3\xa4\xf0\x9f\x98\x80' x, FROM c", "!\\\"start\\\":16", NULL, NULL},
    {"SELECT VALUE 1 FROM c", "!parameters are invalid", NULL, "[{\"name\":\"x\",\"value\":1}]"},
    {"SELECT VALUE 1 FROM c", "!parameters are invalid", NULL, "{}"},
    {"SELECT VALUE 1 FROM c", "!there twice", NULL,
     "[{\"name\":\"@x\",\"value\":1},{\"name\":\"@x\"}]"},
};

static struct query_doc docs[LAB_DOCS_MAX];

static enum err run_once(struct arena *a, const struct row_case *c, int64_t page,
                         size_t per_partition, struct lab_rows *r, struct errinfo *ei)
{
    struct query *q = NULL;
    const struct json *params = NULL;
    buf_init(&r->text, 1);
    if (c->params != NULL) {
        t_ok(json_parse(a, str_of(c->params), NULL, &params, NULL));
    }
    TRY(query_compile(a, str_of(c->query), params, NULL, &q, ei));
    struct lab_source s = {.docs = docs};
    s.count = lab_docs(a, c->docs != NULL ? c->docs : people, per_partition, docs);
    struct query_page_opts opts = {.item_max = page};
    return lab_run(q, &s, opts, r, ei);
}

static void check_error(struct arena *a, const struct row_case *c)
{
    struct errinfo ei = {0};
    struct lab_rows r;
    enum err err = run_once(a, c, 1000, 0, &r, &ei);
    buf_done(&r.text);
    t_checkf(err != OK, "no error: %s", c->query);
    t_checkf(ei.code == err, "%s", c->query);
    t_checkf(err == ERR_SYNTAX || err == ERR_UNSUPPORTED, "%s: %s", c->query, err_name(err));
    const struct json *v = NULL; /* the message is JSON, as clients expect */
    t_checkf(json_parse(a, str_of(ei.message), NULL, &v, NULL) == OK, "%s: %s", c->query,
             ei.message);
    struct str found = STR_NONE;
    const struct json *first = json_get(v, STR("errors"))->items[0];
    t_check(json_get_str(first, STR("message"), &found));
    struct buf all;
    buf_init(&all, 4096);
    json_write_string(&all, str_of(ei.message)); /* locations are looked up in escaped form */
    bool has = str_find(found, str_of(c->want + 1)) >= 0 ||
               str_find(buf_str(&all), str_of(c->want + 1)) >= 0;
    t_checkf(has, "%s: %s", c->query, ei.message);
    buf_done(&all);
}

static void check_case(const struct row_case *c)
{
    struct arena a;
    arena_init(&a);
    if (c->want[0] == '!') {
        check_error(&a, c);
        arena_done(&a);
        return;
    }
    static const size_t partitions[] = {0, 1, 2};
    struct buf first;
    buf_init(&first, LAB_TEXT_MAX);
    for (size_t k = 0; k < 3; k++) {
        static const int64_t pages[] = {1000, 1, 2, 3};
        for (size_t i = 0; i < 4; i++) {
            struct errinfo ei = {0};
            struct lab_rows r;
            enum err err = run_once(&a, c, pages[i], partitions[k], &r, &ei);
            t_checkf(err == OK, "%s: %s", c->query, ei.message);
            if (k == 0 && i == 0) {
                buf_add_str(&first, buf_str(&r.text));
                t_checkf(lab_same(&a, buf_str(&first), str_of(c->want)),
                         "%s\n# got  " STR_FMT "\n# want %s", c->query, STR_ARG(buf_str(&first)),
                         c->want);
            }
            bool is_desc =
                k > 0 && str_find(str_of(c->query), STR("DESC")) >= 0; /* ties go by partition */
            t_checkf(is_desc || str_eq(buf_str(&r.text), buf_str(&first)),
                     "%s: pages of %d, %zu a partition\n# got  " STR_FMT "\n# want " STR_FMT,
                     c->query, (int)pages[i], partitions[k], STR_ARG(buf_str(&r.text)),
                     STR_ARG(buf_str(&first)));
            buf_done(&r.text);
        }
    }
    buf_done(&first);
    arena_done(&a);
}

static void check_all(const struct row_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_case(&cases[i]);
    }
}

T_TEST("the select list, FROM, JOIN and parameters")
{
    check_all(select_cases, ARRAY_COUNT(select_cases));
}

T_TEST("TOP, OFFSET and LIMIT")
{
    check_all(top_cases, ARRAY_COUNT(top_cases));
}

T_TEST("undefined goes through operators as the language says")
{
    check_all(undefined_cases, ARRAY_COUNT(undefined_cases));
}

T_TEST("LIKE")
{
    check_all(like_cases, ARRAY_COUNT(like_cases));
}

T_TEST("ORDER BY over all types, several keys and ties")
{
    check_all(order_cases, ARRAY_COUNT(order_cases));
}

T_TEST("subqueries")
{
    check_all(subquery_cases, ARRAY_COUNT(subquery_cases));
}

T_TEST("aggregates and GROUP BY")
{
    check_all(aggregate_cases, ARRAY_COUNT(aggregate_cases));
}

T_TEST("DISTINCT")
{
    check_all(distinct_cases, ARRAY_COUNT(distinct_cases));
}

T_TEST("errors say what and where")
{
    check_all(error_cases, ARRAY_COUNT(error_cases));
}

T_MAIN()
