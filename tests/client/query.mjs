/* Queries over three partition key ranges, each answered in four ways that must agree: by the
 * server alone, through the SDK's query plan and merge, and both in small pages. */
import { Account, assert, before, failing, makeContainer, plain, run, test } from "./lib.mjs";

const words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "Kappa"];
const docs = Array.from({ length: 130 }, (_, i) => ({
    id: `i${String(i).padStart(3, "0")}`,
    pk: `p${i % 13}`,
    n: (i * 37) % 130,
    f: ((i * 7) % 50) / 4,
    s: `${words[i % 10]}-${(i * 17) % 100}`,
    flag: i % 3 === 0,
    group: `g${i % 5}`,
    tags: [`t${i % 4}`, `t${i % 7}`],
    nested: { a: i % 4, b: `b${i % 6}` },
    ...(i % 4 === 0 ? { maybe: i } : {}),
    nul: i % 10 === 0 ? null : i,
}));

let account;
let client;
let container;
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client({ consistencyLevel: "Session" });
    container = await makeContainer(client, { throughput: 25000 });
    const results = await Promise.all([0, 1, 2].map((part) =>
        container.items.bulk(docs.filter((_, i) => i % 3 === part).map((d) => ({ operationType: "Create", resourceBody: d })))));
    assert.ok(results.flat().every((r) => r.statusCode === 201), "the data is in");
    assert.equal((await container.readPartitionKeyRanges().fetchAll()).resources.length, 3);
});

const sum = (list) => list.reduce((a, b) => a + b, 0);
const by = (...keys) => (a, b) => {
    for (const [get, direction = 1] of keys) {
        if (get(a) !== get(b)) {
            return get(a) < get(b) ? -direction : direction;
        }
    }
    return 0;
};
function grouped(list, key) {
    const groups = new Map();
    for (const d of list) {
        groups.set(d[key], [...(groups.get(d[key]) ?? []), d]);
    }
    return [...groups.entries()];
}

/* [text, expected, options]; options: ordered, params, direct (the SDK's merge cannot do it). */
const cases = [
    /* filters and projections */
    ["SELECT * FROM c", () => docs],
    ["SELECT * FROM c WHERE c.n < 10", () => docs.filter((d) => d.n < 10)],
    ["SELECT c.id, c.n FROM c WHERE c.flag = true AND c.group IN ('g1', 'g3')",
        () => docs.filter((d) => d.flag && ["g1", "g3"].includes(d.group)).map(({ id, n }) => ({ id, n }))],
    ["SELECT VALUE c.n FROM c WHERE c.nested.a = @a AND c.nested['b'] != @b",
        () => docs.filter((d) => d.nested.a === 2 && d.nested.b !== "b2").map((d) => d.n),
        { params: { "@a": 2, "@b": "b2" } }],
    ["SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(@list, c.n)", () => docs.filter((d) => [3, 5, 7, 1000].includes(d.n)).map((d) => d.id),
        { params: { "@list": [3, 5, 7, 1000] } }],
    ["SELECT VALUE c.id FROM c WHERE c.n BETWEEN 20 AND 25", () => docs.filter((d) => d.n >= 20 && d.n <= 25).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE NOT c.flag AND (c.n < 5 OR c.n > 125)",
        () => docs.filter((d) => !d.flag && (d.n < 5 || d.n > 125)).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE IS_DEFINED(c.maybe)", () => docs.filter((d) => "maybe" in d).map((d) => d.id)],
    ["SELECT VALUE c.maybe FROM c", () => docs.filter((d) => "maybe" in d).map((d) => d.maybe)],
    ["SELECT VALUE c.id FROM c WHERE IS_NULL(c.nul)", () => docs.filter((d) => d.nul === null).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE c.nul = null", () => docs.filter((d) => d.nul === null).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE STARTSWITH(c.s, 'alpha') OR ENDSWITH(c.s, '9')",
        () => docs.filter((d) => d.s.startsWith("alpha") || d.s.endsWith("9")).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE CONTAINS(c.s, 'KAPPA', true)", () => docs.filter((d) => /kappa/i.test(d.s)).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE c.s LIKE '%eta-1%'", () => docs.filter((d) => d.s.includes("eta-1")).map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE ARRAY_CONTAINS(c.tags, 't3')", () => docs.filter((d) => d.tags.includes("t3")).map((d) => d.id)],
    ["SELECT VALUE {i: c.id, up: UPPER(c.group), d: c.n * 2 + 1, q: c.flag ? 'y' : 'n', m: c.maybe ?? -1} FROM c WHERE c.n < 20",
        () => docs.filter((d) => d.n < 20).map((d) => ({ i: d.id, up: d.group.toUpperCase(), d: d.n * 2 + 1, q: d.flag ? "y" : "n", m: d.maybe ?? -1 }))],
    ["SELECT c.id, CONCAT(c.group, '/', c.nested.b) AS path, LENGTH(c.s) AS len, SUBSTRING(c.s, 0, 3) AS head FROM c WHERE c.group = 'g2'",
        () => docs.filter((d) => d.group === "g2").map((d) => ({ id: d.id, path: `${d.group}/${d.nested.b}`, len: d.s.length, head: d.s.slice(0, 3) }))],
    ["SELECT VALUE ROUND(c.f) FROM c WHERE c.n = 37", () => docs.filter((d) => d.n === 37).map((d) => Math.floor(d.f + 0.5))],
    ["SELECT VALUE c.id FROM c WHERE c.pk = 'p4'", () => docs.filter((d) => d.pk === "p4").map((d) => d.id)],
    ["SELECT VALUE c.id FROM c WHERE c.pk = 'p4' AND c.id = 'i004'", () => ["i004"]],
    ["SELECT VALUE c.id FROM c WHERE c.pk IN ('p1', 'p12', 'absent')", () => docs.filter((d) => ["p1", "p12"].includes(d.pk)).map((d) => d.id)],
    ["SELECT VALUE 1 FROM c WHERE false", () => []],
    ["SELECT VALUE r.nested.a FROM root r WHERE r.n = 0", () => docs.filter((d) => d.n === 0).map((d) => d.nested.a)],
    /* joins and subqueries */
    ["SELECT c.id, t FROM c JOIN t IN c.tags WHERE t = 't6'", () => docs.flatMap((d) => d.tags.filter((t) => t === "t6").map((t) => ({ id: d.id, t })))],
    ["SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 't5')", () => docs.filter((d) => d.tags.includes("t5")).map((d) => d.id)],
    ["SELECT VALUE ARRAY(SELECT VALUE CONCAT(t, '!') FROM t IN c.tags) FROM c WHERE c.n = 5", () => docs.filter((d) => d.n === 5).map((d) => d.tags.map((t) => `${t}!`))],
    /* order */
    ["SELECT VALUE c.n FROM c ORDER BY c.n", () => docs.map((d) => d.n).sort((a, b) => a - b), { ordered: true }],
    ["SELECT VALUE c.n FROM c ORDER BY c.n DESC", () => docs.map((d) => d.n).sort((a, b) => b - a), { ordered: true }],
    ["SELECT c.s, c.n FROM c WHERE c.n >= 50 ORDER BY c.s ASC", () => docs.filter((d) => d.n >= 50).sort(by([(d) => d.s])).map(({ s, n }) => ({ s, n })), { ordered: true, ties: (r) => r.s }],
    ["SELECT VALUE [c.group, c.n] FROM c ORDER BY c.group ASC, c.n DESC", () => [...docs].sort(by([(d) => d.group], [(d) => d.n, -1])).map((d) => [d.group, d.n]), { ordered: true }],
    ["SELECT VALUE c.f FROM c ORDER BY c.f", () => docs.map((d) => d.f).sort((a, b) => a - b), { ordered: true }],
    ["SELECT TOP 7 VALUE c.n FROM c ORDER BY c.n", () => [0, 1, 2, 3, 4, 5, 6], { ordered: true }],
    ["SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 10 LIMIT 15", () => Array.from({ length: 15 }, (_, i) => i + 10), { ordered: true }],
    ["SELECT VALUE c.n FROM c WHERE c.n < 20 ORDER BY c.n DESC OFFSET 5 LIMIT 100", () => Array.from({ length: 15 }, (_, i) => 14 - i), { ordered: true }],
    ["SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 500 LIMIT 5", () => [], { ordered: true }],
    ["SELECT VALUE c.nul FROM c ORDER BY c.nul DESC", () => docs.map((d) => d.nul).sort((a, b) => (b ?? -1) - (a ?? -1)), { ordered: true, direct: true }],
    /* aggregates */
    ["SELECT VALUE COUNT(1) FROM c", () => [docs.length]],
    ["SELECT VALUE COUNT(1) FROM c WHERE c.n < 0", () => [0]],
    ["SELECT VALUE COUNT(c.maybe) FROM c", () => [docs.filter((d) => "maybe" in d).length]],
    ["SELECT VALUE SUM(c.n) FROM c", () => [sum(docs.map((d) => d.n))]],
    ["SELECT VALUE AVG(c.n) FROM c WHERE c.flag", () => { const l = docs.filter((d) => d.flag).map((d) => d.n); return [sum(l) / l.length]; }],
    ["SELECT VALUE MIN(c.n) FROM c WHERE c.n > 11", () => [12]],
    ["SELECT VALUE MAX(c.s) FROM c", () => [docs.map((d) => d.s).sort().at(-1)]],
    ["SELECT COUNT(1) AS n, SUM(c.n) AS s, MIN(c.n) AS lo, MAX(c.n) AS hi FROM c WHERE c.group = 'g4'",
        () => { const l = docs.filter((d) => d.group === "g4").map((d) => d.n); return [{ n: l.length, s: sum(l), lo: Math.min(...l), hi: Math.max(...l) }]; }],
    ["SELECT c.group, COUNT(1) AS n, AVG(c.n) AS a FROM c GROUP BY c.group",
        () => grouped(docs, "group").map(([group, l]) => ({ group, n: l.length, a: sum(l.map((d) => d.n)) / l.length }))],
    ["SELECT c.flag, MAX(c.n) AS hi, MIN(c.s) AS lo FROM c WHERE c.n < 100 GROUP BY c.flag",
        () => grouped(docs.filter((d) => d.n < 100), "flag").map(([flag, l]) => ({ flag, hi: Math.max(...l.map((d) => d.n)), lo: l.map((d) => d.s).sort()[0] }))],
    ["SELECT VALUE COUNT(1) FROM c GROUP BY c.group", () => grouped(docs, "group").map(([, l]) => l.length)],
    ["SELECT c.group, c.flag, SUM(c.n) AS s FROM c GROUP BY c.group, c.flag", () => {
        const map = new Map();
        for (const d of docs) {
            const key = `${d.group}${d.flag}`;
            map.set(key, { group: d.group, flag: d.flag, s: (map.get(key)?.s ?? 0) + d.n });
        }
        return [...map.values()];
    }],
    /* distinct */
    ["SELECT DISTINCT VALUE c.group FROM c", () => ["g0", "g1", "g2", "g3", "g4"]],
    ["SELECT DISTINCT c.flag, c.nested.a FROM c", () => [true, false].flatMap((flag) => [0, 1, 2, 3].map((a) => ({ flag, a })))],
    ["SELECT DISTINCT VALUE c.group FROM c ORDER BY c.group DESC", () => ["g4", "g3", "g2", "g1", "g0"], { ordered: true }],
];

const ways = [
    ["the server", {}],
    ["the server in pages of 7", { maxItemCount: 7 }],
    ["the plan", { forceQueryPlan: true }],
    ["the plan in pages of 7", { forceQueryPlan: true, maxItemCount: 7 }],
];

const canonical = (v) => JSON.stringify(v, (_, x) => (x && typeof x === "object" && !Array.isArray(x)
    ? Object.fromEntries(Object.entries(x).sort(([a], [b]) => (a < b ? -1 : 1))) : x));

function clean(row) {
    return row && typeof row === "object" && "_rid" in row ? plain(row) : row;
}

for (const [text, expected, { params = {}, ordered = false, direct = false, ties } = {}] of cases) {
    test(text, async () => {
        const spec = { query: text, parameters: Object.entries(params).map(([name, value]) => ({ name, value })) };
        for (const [name, options] of ways.filter(([, o]) => !(direct && o.forceQueryPlan))) {
            const { resources } = await container.items.query(spec, options).fetchAll();
            let got = resources.map(clean);
            let want = expected();
            if (ties) {
                assert.deepEqual(got.map(ties), want.map(ties), `order by ${name}`);
            }
            if (!ordered || ties) {
                got = got.map(canonical).sort();
                want = want.map(canonical).sort();
            }
            assert.deepEqual(got, want, `by ${name}`);
        }
    });
}

test("TOP and OFFSET LIMIT without order return the right number of rows", async () => {
    for (const [, options] of ways) {
        assert.equal((await container.items.query("SELECT TOP 9 * FROM c", options).fetchAll()).resources.length, 9);
        assert.equal((await container.items.query("SELECT VALUE c.id FROM c OFFSET 120 LIMIT 30", options).fetchAll()).resources.length, 10);
    }
});

test("a partition key option limits the query to that key", async () => {
    /* Not with forceQueryPlan: there the SDK sends the range's id instead of the key. */
    for (const options of [{}, { maxItemCount: 3 }]) {
        const { resources } = await container.items.query("SELECT VALUE c.id FROM c ORDER BY c.id", { partitionKey: "p7", ...options }).fetchAll();
        assert.deepEqual(resources, docs.filter((d) => d.pk === "p7").map((d) => d.id));
        const counted = await container.items.query("SELECT VALUE COUNT(1) FROM c", { partitionKey: "p7", ...options }).fetchAll();
        assert.deepEqual(counted.resources, [10]);
    }
});

test("every page's continuation goes on in a client that knows nothing else", async () => {
    for (const [text, ordered] of [["SELECT VALUE c.id FROM c", false], ["SELECT VALUE c.id FROM c WHERE c.n > 20 ORDER BY c.n DESC", true],
        ["SELECT DISTINCT VALUE c.nested FROM c", false], ["SELECT c.group, COUNT(1) AS n FROM c GROUP BY c.group", false]]) {
        const whole = (await container.items.query(text).fetchAll()).resources;
        const seen = [];
        let token;
        let pages = 0;
        do {
            const fresh = account.client().database("tests").container(container.id);
            const page = await fresh.items.query(text, { maxItemCount: 4, continuationToken: token }).fetchNext();
            assert.ok(page.resources.length <= 4);
            seen.push(...page.resources);
            token = page.continuationToken;
            assert.ok((token ?? "").length <= 1024, `token of ${token?.length} characters`);
            assert.ok(pages++ < 100, "the query ends");
        } while (token);
        const order = (list) => (ordered ? list : list.map(canonical).sort());
        assert.deepEqual(order(seen), order(whole), text);
    }
});

test("a continuation goes on at another region", async () => {
    const at = (name) => account.client({ policy: { preferredLocations: [name] } }).database("tests").container(container.id);
    const text = "SELECT VALUE c.n FROM c ORDER BY c.n";
    const seen = [];
    let token;
    let turn = 0;
    do {
        const page = await at(account.regionNames[turn++ % 3]).items.query(text, { maxItemCount: 20, continuationToken: token }).fetchNext();
        seen.push(...page.resources);
        token = page.continuationToken;
    } while (token && turn < 50);
    assert.deepEqual(seen, docs.map((d) => d.n).sort((a, b) => a - b));
});

test("a continuation of another query, or a made-up one, is 400", async () => {
    const page = await container.items.query("SELECT * FROM c", { maxItemCount: 5 }).fetchNext();
    assert.ok(page.continuationToken);
    await failing(container.items.query("SELECT * FROM c WHERE c.n > 3", { continuationToken: page.continuationToken }).fetchNext(), 400);
    await failing(container.items.query("SELECT * FROM c", { continuationToken: "made-up" }).fetchNext(), 400);
    const bent = page.continuationToken.slice(0, -6) + "AAAAAA";
    if (bent !== page.continuationToken) {
        await failing(container.items.query("SELECT * FROM c", { continuationToken: bent }).fetchNext(), 400);
    }
});

test("paging while others write loses and repeats nothing that was there before", async () => {
    const changing = await makeContainer(client);
    const ids = Array.from({ length: 60 }, (_, i) => `s${i}`);
    await Promise.all(ids.map((id) => changing.items.create({ id, pk: id, old: true })));
    let done = false;
    const writer = (async () => {
        for (let i = 0; !done; i++) {
            await changing.items.create({ id: `new${i}`, pk: `new${i}`, old: false });
            await changing.item(`s${i % 60}`, `s${i % 60}`).patch([{ op: "set", path: "/touched", value: i }]);
        }
    })();
    const seen = [];
    const iterator = changing.items.query("SELECT VALUE c.id FROM c WHERE c.old", { maxItemCount: 5 });
    while (iterator.hasMoreResults()) {
        seen.push(...((await iterator.fetchNext()).resources ?? []));
    }
    done = true;
    await writer;
    assert.deepEqual(seen.sort(), ids.sort());
});

test("what is wrong with a query is said, with 400", async () => {
    for (const text of ["SELEC * FROM c", "SELECT * FROM", "SELECT * FROM c WHERE", "SELECT nope(c) FROM c", "", "SELECT VALUE udf.f(c) FROM c",
        "SELECT * FROM c WHERE c.x = @absent", "SELECT * FROM c; DROP c"]) {
        const err = await failing(container.items.query(text).fetchAll(), 400);
        assert.ok((err.body?.message ?? err.message).length > 5, text);
    }
    const link = `/dbs/tests/colls/${container.id}/docs`;
    const headers = { "x-ms-documentdb-isquery": "true", "content-type": "application/query+json" };
    for (const body of ["{", "{}", '{"query":7}', '{"query":"SELECT * FROM c","parameters":7}', "[]"]) {
        assert.equal((await account.call("POST", link, { headers, body })).status, 400, body);
    }
});

test("metrics come when asked for and can be parsed", async () => {
    const { headers } = await container.items.query("SELECT * FROM c WHERE c.n = 1", { populateQueryMetrics: true, partitionKey: "p1" }).fetchNext();
    assert.ok(Number.parseFloat(headers["x-ms-request-charge"]) > 0);
    const answer = await account.call("POST", `/dbs/tests/colls/${container.id}/docs`, { body: { query: "SELECT * FROM c WHERE c.n = 1" },
        headers: { "x-ms-documentdb-isquery": "true", "content-type": "application/query+json", "x-ms-documentdb-populatequerymetrics": "true" } });
    assert.equal(answer.status, 200);
    const metrics = Object.fromEntries(answer.headers.get("x-ms-documentdb-query-metrics").split(";").map((p) => p.split("=")));
    assert.ok("totalExecutionTimeInMs" in metrics && "retrievedDocumentCount" in metrics);
    assert.equal(Number(answer.headers.get("x-ms-item-count")), answer.body.Documents.length);
    assert.equal(answer.body._count, 1);
});

test("the plan request is answered for all of these, and says what it cannot do", async () => {
    const link = `/dbs/tests/colls/${container.id}/docs`;
    const headers = { "x-ms-cosmos-is-query-plan-request": "True", "content-type": "application/query+json", "x-ms-cosmos-query-version": "1.4",
        "x-ms-cosmos-supported-query-features": "NonValueAggregate,Aggregate,Distinct,MultipleOrderBy,OffsetAndLimit,OrderBy,Top,CompositeAggregate,GroupBy,MultipleAggregates" };
    for (const [text, , { params = {} } = {}] of cases) {
        const body = { query: text, parameters: Object.entries(params).map(([name, value]) => ({ name, value })) };
        const answer = await account.call("POST", link, { headers, body });
        assert.equal(answer.status, 200, text);
        assert.equal(answer.body.partitionedQueryExecutionInfoVersion, 2);
        assert.ok(Array.isArray(answer.body.queryInfo.aggregates), text);
        assert.ok(answer.body.queryRanges.length >= 1, text);
        for (const range of answer.body.queryRanges) {
            assert.ok(range.min < range.max || (range.min === range.max && range.isMinInclusive && range.isMaxInclusive));
        }
    }
    const bad = await account.call("POST", link, { headers, body: { query: "SELECT" } });
    assert.equal(bad.status, 400);
    const plan = await account.call("POST", link, { headers: { ...headers, "x-ms-cosmos-supported-query-features": "None" },
        body: { query: "SELECT c.group, COUNT(1) AS n FROM c GROUP BY c.group" } });
    assert.equal(plan.status, 400);
});

await run();
