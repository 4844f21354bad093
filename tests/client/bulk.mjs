/* Transactional batches, and bulk over one and several partition key ranges. */
import { Account, assert, before, cosmos, makeContainer, plain, run, sorted, test } from "./lib.mjs";

let account;
let client;
let one;   // one range
let three; // 25,000 RU/s: three ranges
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client({ consistencyLevel: "Session" });
    one = await makeContainer(client);
    three = await makeContainer(client, { throughput: 25000 });
});

const create = (doc) => ({ operationType: "Create", resourceBody: doc });
const codes = (answer) => answer.result.map((r) => r.statusCode);

/* ---- transactional batch ---- */

test("a batch with every kind of operation is applied as one", async () => {
    for (const id of ["r", "d", "p", "u", "x"]) {
        await one.items.create({ id, pk: "all", n: 1 });
    }
    const answer = await one.items.batch([
        create({ id: "c", pk: "all" }),
        { operationType: "Upsert", resourceBody: { id: "u", pk: "all", n: 2 } },
        { operationType: "Upsert", resourceBody: { id: "v", pk: "all", n: 2 } },
        { operationType: "Replace", id: "x", resourceBody: { id: "x", pk: "all", n: 2 } },
        { operationType: "Read", id: "r" },
        { operationType: "Delete", id: "d" },
        { operationType: "Patch", id: "p", resourceBody: { operations: [{ op: "incr", path: "/n", value: 4 }] } },
    ], "all");
    assert.equal(answer.code, 200);
    assert.deepEqual(codes(answer), [201, 200, 201, 200, 200, 204, 200]);
    assert.equal(answer.result[4].resourceBody.id, "r");
    assert.equal(answer.result[6].resourceBody.n, 5);
    for (const r of answer.result) {
        assert.equal(typeof r.requestCharge, "number");
    }
    assert.match(answer.result[0].eTag, /^".+"$/);
    const { resources } = await one.items.query("SELECT * FROM c", { partitionKey: "all" }).fetchAll();
    assert.deepEqual(sorted(resources.map(plain), (d) => d.id), [
        { id: "c", pk: "all" }, { id: "p", pk: "all", n: 5 }, { id: "r", pk: "all", n: 1 },
        { id: "u", pk: "all", n: 2 }, { id: "v", pk: "all", n: 2 }, { id: "x", pk: "all", n: 2 }]);
});

test("a batch sees its own earlier operations", async () => {
    const answer = await one.items.batch([
        create({ id: "self", pk: "own", n: 1 }),
        { operationType: "Patch", id: "self", resourceBody: { operations: [{ op: "incr", path: "/n", value: 1 }] } },
        { operationType: "Read", id: "self" },
        { operationType: "Delete", id: "self" },
        create({ id: "self", pk: "own", n: 9 }),
    ], "own");
    assert.deepEqual(codes(answer), [201, 200, 200, 204, 201]);
    assert.equal(answer.result[2].resourceBody.n, 2);
    assert.equal((await one.item("self", "own").read()).resource.n, 9);
});

test("a batch that fails has the reason in its place, 424 elsewhere, and applies nothing", async () => {
    await one.items.create({ id: "there", pk: "fail" });
    const { resource } = await one.items.create({ id: "etag", pk: "fail" });
    const cases = [
        [[create({ id: "a", pk: "fail" }), create({ id: "there", pk: "fail" }), create({ id: "b", pk: "fail" })], 1, 409],
        [[create({ id: "a", pk: "fail" }), { operationType: "Read", id: "none" }], 1, 404],
        [[{ operationType: "Delete", id: "there" }, { operationType: "Delete", id: "none" }], 1, 404],
        [[{ operationType: "Replace", id: "etag", ifMatch: '"stale"', resourceBody: { id: "etag", pk: "fail" } },
            create({ id: "a", pk: "fail" })], 0, 412],
        [[create({ id: "a", pk: "fail" }),
            { operationType: "Patch", id: "there", resourceBody: { condition: "from c where c.n = 1",
                operations: [{ op: "set", path: "/n", value: 1 }] } }], 1, 412],
    ];
    for (const [operations, at, code] of cases) {
        const answer = await one.items.batch(operations, "fail");
        assert.equal(answer.code, 207);
        assert.deepEqual(codes(answer), operations.map((_, i) => (i === at ? code : 424)));
        const { resources } = await one.items.query("SELECT VALUE c.id FROM c", { partitionKey: "fail" }).fetchAll();
        assert.deepEqual(resources.sort(), ["etag", "there"]);
    }
    const good = await one.items.batch([{ operationType: "Replace", id: "etag", ifMatch: resource._etag,
        resourceBody: { id: "etag", pk: "fail", n: 1 } }], "fail");
    assert.deepEqual(codes(good), [200]);
});

test("all operations of a batch share one place in the log", async () => {
    const answer = await one.items.batch(Array.from({ length: 10 }, (_, i) => create({ id: `l${i}`, pk: "place" })), "place");
    assert.equal(answer.code, 200);
    const feed = one.items.getChangeFeedIterator({ changeFeedStartFrom: cosmos.ChangeFeedStartFrom.Beginning("place") });
    const page = await feed.readNext();
    assert.equal(page.result.length, 10);
    assert.equal(new Set(page.result.map((d) => d._lsn)).size, 1);
});

test("100 operations fit, 101 and mixed partition keys are 400", async () => {
    const many = (n) => Array.from({ length: n }, (_, i) => create({ id: `m${i}`, pk: "many" }));
    assert.equal((await one.items.batch(many(100), "many")).code, 200);
    const link = `/dbs/tests/colls/${one.id}/docs`;
    const headers = { "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true",
        "x-ms-documentdb-partitionkey": '["over"]' };
    const over = Array.from({ length: 101 }, (_, i) => create({ id: `m${i}`, pk: "over" }));
    assert.equal((await account.call("POST", link, { headers, body: over })).status, 400);
    assert.equal((await account.call("POST", link, { headers, body: "{" })).status, 400);
    assert.equal((await account.call("POST", link, { headers, body: [{ operationType: "Explode" }] })).status, 400);
    const mixed = await account.call("POST", link, { headers, body: [create({ id: "1", pk: "over" }), create({ id: "2", pk: "other" })] });
    assert.ok(mixed.status === 400 || (mixed.status === 207 && mixed.body[1].statusCode === 400), String(mixed.status));
    assert.deepEqual((await one.items.query("SELECT VALUE c.id FROM c", { partitionKey: "over" }).fetchAll()).resources, []);
});

test("batches by hierarchical key", async () => {
    const tree = await makeContainer(client, { partitionKey: { paths: ["/t", "/u"], kind: "MultiHash", version: 2 } });
    const answer = await tree.items.batch([create({ id: "1", t: "a", u: "b" }), create({ id: "2", t: "a", u: "b" })], ["a", "b"]);
    assert.equal(answer.code, 200);
    assert.equal((await tree.item("2", ["a", "b"]).read()).statusCode, 200);
});

test("concurrent batches on the same items never mix", async () => {
    const round = async (n) => {
        const answer = await one.items.batch(["x", "y", "z"].map((id) =>
            ({ operationType: "Upsert", resourceBody: { id, pk: "mix", n } })), "mix");
        assert.equal(answer.code, 200);
    };
    await round(0);
    let done = false;
    const reader = (async () => {
        while (!done) {
            const { resources } = await one.items.query("SELECT VALUE c.n FROM c", { partitionKey: "mix" }).fetchAll();
            assert.equal(new Set(resources).size, 1, `seen together: ${resources}`);
        }
    })();
    await Promise.all(Array.from({ length: 40 }, (_, i) => round(i + 1)));
    done = true;
    await reader;
});

/* ---- bulk ---- */

const oddKeys = ["", "a", "ä€", "x".repeat(100), "x".repeat(101), 0, 1, -1, 5.5, 1e300, true, false, null];

test("bulk routes every kind of key to the range the server expects", async () => {
    const operations = oddKeys.map((pk, i) => create({ id: `odd${i}`, pk }))
        .concat(Array.from({ length: 80 }, (_, i) => create({ id: `k${i}`, pk: `key-${i}` })));
    const answer = await three.items.bulk(operations);
    assert.deepEqual([...new Set(answer.map((r) => r.statusCode))], [201]);
    for (const [i, pk] of oddKeys.entries()) {
        assert.equal((await three.item(`odd${i}`, pk).read()).statusCode, 200, `key ${String(pk).slice(0, 9)}`);
    }
    const { resources: ranges } = await three.readPartitionKeyRanges().fetchAll();
    assert.equal(ranges.length, 3);
    let total = 0;
    for (const range of ranges) {
        const answer = await account.call("GET", `/dbs/tests/colls/${three.id}/docs`,
            { headers: { "x-ms-documentdb-partitionkeyrangeid": range.id, "x-ms-max-item-count": "1000" } });
        assert.equal(answer.status, 200);
        assert.ok(answer.body.Documents.length > 0, `range ${range.id} has items`);
        total += answer.body.Documents.length;
    }
    assert.equal(total, operations.length);
});

test("bulk: each operation succeeds or fails for itself, answers in order", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    await container.items.create({ id: "have", pk: "h", n: 1 });
    const answer = await container.items.bulk([
        create({ id: "1", pk: "a" }),
        create({ id: "have", pk: "h" }),
        { operationType: "Read", id: "have", partitionKey: "h" },
        { operationType: "Read", id: "none", partitionKey: "zzz" },
        { operationType: "Upsert", resourceBody: { id: "2", pk: "b" }, partitionKey: "b" },
        { operationType: "Replace", id: "none", partitionKey: "c", resourceBody: { id: "none", pk: "c" } },
        { operationType: "Patch", id: "have", partitionKey: "h", resourceBody: { operations: [{ op: "incr", path: "/n", value: 1 }] } },
        { operationType: "Delete", id: "none", partitionKey: "d" },
    ], { continueOnError: true });
    assert.deepEqual(answer.map((r) => r.statusCode), [201, 409, 200, 404, 201, 404, 200, 404]);
    assert.equal(answer[2].resourceBody.id, "have");
    assert.equal((await container.item("have", "h").read()).resource.n, 2);
});

test("bulk of hierarchical keys", async () => {
    const tree = await makeContainer(client, { throughput: 25000,
        partitionKey: { paths: ["/t", "/u"], kind: "MultiHash", version: 2 } });
    const answer = await tree.items.bulk(Array.from({ length: 60 }, (_, i) => create({ id: "x", t: `t${i % 7}`, u: `u${i}` })));
    assert.deepEqual([...new Set(answer.map((r) => r.statusCode))], [201]);
    assert.equal((await tree.item("x", ["t3", "u10"]).read()).statusCode, 200);
});

test("executeBulkOperations writes thousands over all ranges", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    const n = 2000;
    const operations = Array.from({ length: n }, (_, i) =>
        ({ operationType: "Create", partitionKey: `p${i % 97}`, resourceBody: { id: `i${i}`, pk: `p${i % 97}`, n: i } }));
    const results = await container.items.executeBulkOperations(operations);
    assert.equal(results.length, n);
    for (const [i, r] of results.entries()) {
        assert.equal(r.response?.statusCode, 201, `${i}: ${r.error?.message}`);
    }
    const { resources } = await container.items.query("SELECT VALUE COUNT(1) FROM c").fetchAll();
    assert.deepEqual(resources, [n]);
    const again = await container.items.executeBulkOperations(operations.slice(0, 3));
    assert.deepEqual(again.map((r) => r.error?.code ?? r.response?.statusCode), [409, 409, 409]);
});

test("a range id that does not exist is 410/1002, a key of another range, too", async () => {
    const link = `/dbs/tests/colls/${three.id}/docs`;
    const answer = await account.call("GET", link, { headers: { "x-ms-documentdb-partitionkeyrangeid": "777" } });
    assert.equal(answer.status, 410);
    assert.equal(answer.headers.get("x-ms-substatus"), "1002");
    const headers = { "x-ms-cosmos-is-batch-request": "True", "x-ms-cosmos-batch-atomic": "False",
        "x-ms-cosmos-batch-continue-on-error": "True", "x-ms-documentdb-partitionkeyrangeid": "777" };
    const bulk = await account.call("POST", link, { headers, body: [{ operationType: "Create",
        partitionKey: '["a"]', resourceBody: { id: "1", pk: "a" } }] });
    assert.equal(bulk.status, 410);
    assert.equal(bulk.headers.get("x-ms-substatus"), "1002");
});

test("large bulk bodies: fifty items of 100 KB", async () => {
    const v = "x".repeat(100000);
    const answer = await three.items.bulk(Array.from({ length: 50 }, (_, i) => create({ id: `big${i}`, pk: `big${i}`, v })));
    assert.deepEqual([...new Set(answer.map((r) => r.statusCode))], [201]);
});

test("a batch over 2 MiB is 413 and applies nothing", async () => {
    const v = "x".repeat(1100000);
    const answer = await account.call("POST", `/dbs/tests/colls/${three.id}/docs`, { headers: {
        "x-ms-cosmos-is-batch-request": "true", "x-ms-cosmos-batch-atomic": "true", "x-ms-documentdb-partitionkey": '["p"]' },
    body: [create({ id: "b1", pk: "p", v }), create({ id: "b2", pk: "p", v })] });
    assert.equal(answer.status, 413);
    assert.equal(answer.body.code, "RequestEntityTooLarge");
    assert.equal((await three.item("b1", "p").read()).statusCode, 404);
});

await run();
