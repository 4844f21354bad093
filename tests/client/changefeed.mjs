/* The change feed: from the beginning, from now, from a time; by key, by range; stopped and resumed. */
import { Account, assert, before, cosmos, failing, makeContainer, pause, run, sorted, test } from "./lib.mjs";

const { ChangeFeedStartFrom } = cosmos;
let account;
let client;
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client({ consistencyLevel: "Session" });
});

/* Reads until nothing is new: {docs, token, pages}. */
async function drain(container, from, options = {}) {
    const iterator = container.items.getChangeFeedIterator({ changeFeedStartFrom: from, ...options });
    const docs = [];
    for (let pages = 1; ; pages++) {
        const page = await iterator.readNext();
        docs.push(...(page.result ?? []));
        if (page.statusCode === 304) {
            return { docs, token: page.continuationToken, pages, iterator };
        }
        assert.equal(page.statusCode, 200);
        assert.ok(page.result.length <= (options.maxItemCount ?? Infinity) || options.maxItemCount === undefined);
        assert.ok(pages < 1000, "the feed pauses");
    }
}

const ids = (docs) => docs.map((d) => d.id);

test("from the beginning: each item once, at its last change, in order of change", async () => {
    const container = await makeContainer(client);
    for (let i = 0; i < 20; i++) {
        await container.items.create({ id: `i${i}`, pk: `p${i % 3}`, v: 1 });
    }
    await container.item("i3", "p0").replace({ id: "i3", pk: "p0", v: 2 });
    await container.item("i4", "p1").delete();
    const { docs } = await drain(container, ChangeFeedStartFrom.Beginning());
    const expected = Array.from({ length: 20 }, (_, i) => `i${i}`).filter((id) => id !== "i3" && id !== "i4").concat("i3");
    assert.deepEqual(ids(docs), expected);
    assert.equal(docs.at(-1).v, 2);
    const lsns = docs.map((d) => d._lsn);
    assert.deepEqual(lsns, [...lsns].sort((a, b) => a - b), "_lsn grows");
    assert.ok(lsns.every(Number.isInteger));
});

test("small pages give the same, and a page holds no more than asked for", async () => {
    const container = await makeContainer(client);
    for (let i = 0; i < 25; i++) {
        await container.items.create({ id: `i${i}`, pk: "p" });
    }
    const { docs, pages } = await drain(container, ChangeFeedStartFrom.Beginning(), { maxItemCount: 4 });
    assert.deepEqual(ids(docs), Array.from({ length: 25 }, (_, i) => `i${i}`));
    assert.ok(pages >= 8, `${pages} pages`);
});

test("from now: nothing old, everything new", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "old", pk: "p" });
    const { docs, iterator } = await drain(container, ChangeFeedStartFrom.Now());
    assert.deepEqual(docs, []);
    await container.items.create({ id: "new", pk: "p" });
    const page = await iterator.readNext();
    assert.deepEqual(ids(page.result), ["new"]);
});

test("from a time: what changed at or after that second", async () => {
    const container = await makeContainer(client);
    const { resource: old } = await container.items.create({ id: "old", pk: "p" });
    while (Math.floor(Date.now() / 1000) <= old._ts + 1) {
        await pause(50); // the resolution is a second
    }
    const since = new Date(Math.floor(Date.now() / 1000) * 1000);
    await container.items.create({ id: "new", pk: "p" });
    const { docs } = await drain(container, ChangeFeedStartFrom.Time(since));
    assert.deepEqual(ids(docs), ["new"]);
    const all = await drain(container, ChangeFeedStartFrom.Time(new Date(0)));
    assert.deepEqual(ids(all.docs), ["old", "new"]);
});

test("of one partition key only", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    for (let i = 0; i < 30; i++) {
        await container.items.create({ id: `i${i}`, pk: `p${i % 10}` });
    }
    const { docs, token } = await drain(container, ChangeFeedStartFrom.Beginning("p7"));
    assert.deepEqual(ids(docs), ["i7", "i17", "i27"]);
    await container.items.create({ id: "more", pk: "p7" });
    await container.items.create({ id: "other", pk: "p8" });
    const next = await drain(container, ChangeFeedStartFrom.Continuation(token));
    assert.deepEqual(ids(next.docs), ["more"]);
});

test("over three ranges: everything once, in order within a key", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    const n = 90;
    for (let i = 0; i < n; i++) {
        await container.items.create({ id: `i${String(i).padStart(2, "0")}`, pk: `p${i % 10}` });
    }
    const { docs } = await drain(container, ChangeFeedStartFrom.Beginning(), { maxItemCount: 10 });
    assert.equal(docs.length, n);
    assert.equal(new Set(ids(docs)).size, n);
    for (let k = 0; k < 10; k++) {
        const mine = ids(docs.filter((d) => d.pk === `p${k}`));
        assert.deepEqual(mine, [...mine].sort());
    }
});

test("feed ranges read in parallel are together the whole", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    for (let i = 0; i < 60; i++) {
        await container.items.create({ id: `i${i}`, pk: `p${i}` });
    }
    const ranges = await container.getFeedRanges();
    assert.equal(ranges.length, 3);
    const parts = await Promise.all(ranges.map((r) => drain(container, ChangeFeedStartFrom.Beginning(r))));
    assert.ok(parts.every((p) => p.docs.length > 0));
    const all = parts.flatMap((p) => ids(p.docs));
    assert.equal(all.length, 60);
    assert.equal(new Set(all).size, 60);
    const more = await container.items.create({ id: "more", pk: "p1" });
    assert.equal(more.statusCode, 201);
    const next = await Promise.all(parts.map((p) => drain(container, ChangeFeedStartFrom.Continuation(p.token))));
    assert.deepEqual(next.flatMap((p) => ids(p.docs)), ["more"]);
});

test("hierarchical keys: a full key and a prefix", async () => {
    const container = await makeContainer(client, { throughput: 25000, partitionKey: { paths: ["/t", "/u"], kind: "MultiHash", version: 2 } });
    for (let i = 0; i < 40; i++) {
        await container.items.create({ id: `i${i}`, t: `t${i % 4}`, u: `u${i % 8}` });
    }
    const full = await drain(container, ChangeFeedStartFrom.Beginning(["t1", "u5"]));
    assert.deepEqual(ids(full.docs), ["i5", "i13", "i21", "i29", "i37"]);
    const prefix = await drain(container, ChangeFeedStartFrom.Beginning(["t1"]));
    assert.deepEqual(sorted(ids(prefix.docs)), sorted(Array.from({ length: 10 }, (_, i) => `i${i * 4 + 1}`)));
});

test("a token goes on in another client, at another region, any number of times", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    const seen = [];
    let from = ChangeFeedStartFrom.Beginning();
    for (let round = 0; round < 6; round++) {
        for (let i = 0; i < 10; i++) {
            await container.items.create({ id: `r${round}-${i}`, pk: `p${i}` });
        }
        const region = account.regionNames[round % 3];
        const other = account.client({ policy: { preferredLocations: [region] } }).database("tests").container(container.id);
        const { docs, token } = await drain(other, from, { maxItemCount: 3 });
        seen.push(...ids(docs));
        from = ChangeFeedStartFrom.Continuation(token);
    }
    const last = await drain(container, from);
    seen.push(...ids(last.docs));
    assert.equal(seen.length, 60);
    assert.equal(new Set(seen).size, 60);
});

test("concurrent writers: nothing is skipped", async () => {
    const container = await makeContainer(client, { throughput: 25000 });
    const iterator = container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Beginning(), maxItemCount: 25 });
    const seen = new Set();
    let done = false;
    const reader = (async () => {
        for (;;) {
            const stop = done;
            const page = await iterator.readNext();
            for (const d of page.result ?? []) {
                seen.add(d.id);
            }
            if (page.statusCode === 304 && stop) {
                return;
            }
        }
    })();
    await Promise.all(Array.from({ length: 8 }, async (_, w) => {
        for (let i = 0; i < 40; i++) {
            await container.items.create({ id: `w${w}-${i}`, pk: `k${w}${i % 5}` });
        }
    }));
    done = true;
    await reader;
    assert.equal(seen.size, 320);
});

test("a batch arrives in one page whatever the page size", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "before", pk: "p" });
    await container.items.batch(Array.from({ length: 8 }, (_, i) => ({ operationType: "Create", resourceBody: { id: `b${i}`, pk: "p" } })), "p");
    await container.items.create({ id: "after", pk: "p" });
    const iterator = container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Beginning(), maxItemCount: 3 });
    const pages = [];
    for (;;) {
        const page = await iterator.readNext();
        if (page.statusCode === 304) {
            break;
        }
        pages.push(ids(page.result));
    }
    const withBatch = pages.filter((p) => p.some((id) => id.startsWith("b") && id !== "before"));
    assert.equal(withBatch.length, 1, JSON.stringify(pages));
    assert.deepEqual(pages.flat(), ["before", ...Array.from({ length: 8 }, (_, i) => `b${i}`), "after"]);
});

test("the wire: 304 carries the same etag, no continuation header, etags never go back", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "p" });
    const link = `/dbs/tests/colls/${container.id}/docs`;
    const read = (headers) => account.call("GET", link, { headers: { "A-IM": "Incremental Feed", "x-ms-documentdb-partitionkeyrangeid": "0", ...headers } });
    const first = await read({});
    assert.equal(first.status, 200);
    assert.equal(first.body.Documents.length, 1);
    assert.equal(first.headers.get("x-ms-continuation"), null);
    const etag = first.headers.get("etag");
    assert.match(etag, /^".+"$/);
    for (let i = 0; i < 3; i++) {
        const none = await read({ "if-none-match": etag, "A-IM": "incremental feed" });
        assert.equal(none.status, 304);
        assert.equal(none.headers.get("etag"), etag);
    }
    const now = await read({ "if-none-match": "*" });
    assert.ok(now.status === 304 || (now.status === 200 && now.body.Documents.length === 0));
    assert.match(now.headers.get("etag"), /^".+"$/);
    const gone = await read({ "x-ms-documentdb-partitionkeyrangeid": "99" });
    assert.equal(gone.status, 410);
    assert.equal(gone.headers.get("x-ms-substatus"), "1002");
    const bad = await read({ "if-none-match": '"what is this"' });
    assert.equal(bad.status, 400);
});

test("expired items leave no hole, deleted ones do not come back", async () => {
    const container = await makeContainer(client, { defaultTtl: -1 });
    await container.items.create({ id: "a", pk: "p" });
    await container.items.create({ id: "gone", pk: "p" });
    await container.items.create({ id: "b", pk: "p" });
    const start = await drain(container, ChangeFeedStartFrom.Beginning());
    await container.item("gone", "p").delete();
    await container.items.create({ id: "c", pk: "p" });
    const next = await drain(container, ChangeFeedStartFrom.Continuation(start.token));
    assert.deepEqual(ids(next.docs), ["c"]);
    assert.deepEqual(ids((await drain(container, ChangeFeedStartFrom.Beginning())).docs), ["a", "b", "c"]);
});

test("the older iterator, by partition key", async () => {
    const container = await makeContainer(client);
    for (let i = 0; i < 5; i++) {
        await container.items.create({ id: `i${i}`, pk: "p" });
    }
    const iterator = container.items.changeFeed("p", { startFromBeginning: true, maxItemCount: 2 });
    const seen = [];
    while (iterator.hasMoreResults) {
        const page = await iterator.fetchNext();
        seen.push(...ids(page.result ?? []));
        if (page.statusCode === 304) {
            break;
        }
    }
    assert.deepEqual(seen, ["i0", "i1", "i2", "i3", "i4"]);
});

test("all versions and deletes are refused clearly where they are not kept", async () => {
    const container = await makeContainer(client);
    const answer = await account.call("GET", `/dbs/tests/colls/${container.id}/docs`, { headers: {
        "A-IM": "Full-Fidelity Feed", "x-ms-cosmos-changefeed-wire-format-version": "2021-09-15",
        "x-ms-documentdb-partitionkeyrangeid": "0", "if-none-match": "*" } });
    assert.ok([304, 400, 501].includes(answer.status), String(answer.status));
    await failing(container.item("x", "y").delete(), 404);
});

await run();
