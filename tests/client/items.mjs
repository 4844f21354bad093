/* Items: create, read, replace, upsert, delete, patch, conditions, expiry, unique keys, odd ids. */
import { Account, assert, authorization, before, failing, makeContainer, plain, run, test, until } from "./lib.mjs";

let account;
let client;
let container;
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client({ consistencyLevel: "Session" });
    container = await makeContainer(client);
});

/* Text of an answer as it was sent, with `key` as partition key header. */
async function raw(method, link, key, body, headers = {}) {
    const date = new Date().toUTCString();
    const res = await fetch(account.endpoint.replace(/\/$/, "") + encodeURI(link), { method, body, headers: {
        "x-ms-date": date, "x-ms-version": "2020-07-15", "content-type": "application/json",
        authorization: authorization(account.key, method, link, date),
        "x-ms-documentdb-partitionkey": JSON.stringify(key), ...headers } });
    return { status: res.status, headers: res.headers, text: await res.text() };
}

const docs = () => `/dbs/tests/colls/${container.id}/docs`;

/* ---- life of an item ---- */

test("create, read, replace, delete, with the properties the system adds", async () => {
    const made = await container.items.create({ id: "life", pk: "a", n: 1, list: [1, { x: null }] });
    assert.equal(made.statusCode, 201);
    assert.deepEqual(plain(made.resource), { id: "life", pk: "a", n: 1, list: [1, { x: null }] });
    const { resource } = made;
    assert.equal(Buffer.from(resource._rid.replace(/-/g, "/"), "base64").length, 16);
    const { resource: definition } = await container.read();
    assert.equal(resource._self, `${definition._self}docs/${resource._rid}/`);
    assert.match(resource._etag, /^".+"$/);
    assert.equal(made.etag, resource._etag);
    assert.ok(Math.abs(resource._ts - Date.now() / 1000) < 10);
    assert.equal(resource._attachments, "attachments/");
    assert.ok(made.requestCharge > 0);

    const read = await container.item("life", "a").read();
    assert.equal(read.statusCode, 200);
    assert.deepEqual(read.resource, resource);
    const replaced = await container.item("life", "a").replace({ ...resource, n: 2 });
    assert.equal(replaced.statusCode, 200);
    assert.equal(replaced.resource.n, 2);
    assert.equal(replaced.resource._rid, resource._rid);
    assert.notEqual(replaced.resource._etag, resource._etag);
    const deleted = await container.item("life", "a").delete();
    assert.equal(deleted.statusCode, 204);
    assert.equal((await container.item("life", "a").read()).statusCode, 404);
    await failing(container.item("life", "a").delete(), 404);
    await failing(container.item("life", "a").replace({ id: "life", pk: "a" }), 404);

    const again = await container.items.create({ id: "life", pk: "a" });
    assert.notEqual(again.resource._rid, resource._rid);
});

test("the same id is 409 in one logical partition and fine in another", async () => {
    await container.items.create({ id: "dup", pk: "a" });
    const err = await failing(container.items.create({ id: "dup", pk: "a" }), 409);
    assert.equal(err.body.code, "Conflict");
    assert.equal((await container.items.create({ id: "dup", pk: "b" })).statusCode, 201);
    assert.equal((await container.item("dup", "b").read()).resource.pk, "b");
});

test("upsert creates with 201 and replaces with 200", async () => {
    assert.equal((await container.items.upsert({ id: "up", pk: "a", n: 1 })).statusCode, 201);
    const second = await container.items.upsert({ id: "up", pk: "a", m: 2 });
    assert.equal(second.statusCode, 200);
    assert.deepEqual(plain(second.resource), { id: "up", pk: "a", m: 2 });
});

test("an id is made by the SDK when there is none, and is required by the server", async () => {
    const { resource } = await container.items.create({ pk: "a" });
    assert.match(resource.id, /^[0-9a-f-]{36}$/);
    for (const body of ['{"pk":"a"}', '{"id":5,"pk":"a"}', '{"id":"","pk":"a"}', '{"id":null,"pk":"a"}']) {
        assert.equal((await raw("POST", docs(), ["a"], body)).status, 400, body);
    }
});

test("properties of the system in a body are ignored", async () => {
    const { resource } = await container.items.create({ id: "sys", pk: "a", _rid: "x", _self: "y", _etag: "z", _ts: 1 });
    assert.notEqual(resource._rid, "x");
    assert.notEqual(resource._self, "y");
    assert.notEqual(resource._etag, "z");
    assert.notEqual(resource._ts, 1);
});

test("replace cannot change the id or the partition key", async () => {
    await container.items.create({ id: "fix", pk: "a" });
    const link = `${docs()}/fix`;
    assert.equal((await raw("PUT", link, ["a"], '{"id":"other","pk":"a"}')).status, 400);
    const moved = await raw("PUT", link, ["a"], '{"id":"fix","pk":"b"}');
    assert.equal(moved.status, 400);
    assert.deepEqual(plain((await container.item("fix", "a").read()).resource), { id: "fix", pk: "a" });
});

test("the partition key header must agree with the item: 400/1001", async () => {
    const answer = await raw("POST", docs(), ["other"], '{"id":"1","pk":"a"}');
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get("x-ms-substatus"), "1001");
    for (const header of ["", "a", '"a"', '["a","b"]', "[", "{}"]) {
        const bad = await raw("POST", docs(), null, '{"id":"1","pk":"a"}', { "x-ms-documentdb-partitionkey": header });
        assert.equal(bad.status, 400, JSON.stringify(header));
    }
});

test("prefer: return=minimal answers writes without a body", async () => {
    const res = await raw("POST", docs(), ["a"], '{"id":"min","pk":"a"}', { prefer: "return=minimal" });
    assert.equal(res.status, 201);
    assert.equal(res.text, "");
    assert.match(res.headers.get("etag"), /^".+"$/);
});

/* ---- conditions ---- */

const matching = (etag) => ({ accessCondition: { type: "IfMatch", condition: etag } });

test("if-match guards replace, upsert, delete and patch: 412", async () => {
    const { resource: old } = await container.items.create({ id: "cond", pk: "a", n: 1 });
    const item = container.item("cond", "a");
    const { resource: now } = await item.replace({ ...old, n: 2 }, matching(old._etag));
    const err = await failing(item.replace({ ...old, n: 3 }, matching(old._etag)), 412);
    assert.equal(err.body.code, "PreconditionFailed");
    await failing(container.items.upsert({ id: "cond", pk: "a", n: 3 }, matching(old._etag)), 412);
    await failing(item.delete(matching(old._etag)), 412);
    await failing(item.patch([{ op: "set", path: "/n", value: 3 }], matching(old._etag)), 412);
    assert.equal((await item.read()).resource.n, 2);
    const { resource: patched } = await item.patch([{ op: "set", path: "/n", value: 4 }], matching(now._etag));
    assert.equal((await container.items.upsert({ id: "cond", pk: "a", n: 5 }, matching(patched._etag))).statusCode, 200);
    assert.equal((await item.delete(matching("*"))).statusCode, 204);
});

test("if-none-match on a read: 304 while unchanged", async () => {
    const { resource } = await container.items.create({ id: "fresh", pk: "a" });
    const link = `${docs()}/fresh`;
    const same = await raw("GET", link, ["a"], undefined, { "if-none-match": resource._etag });
    assert.equal(same.status, 304);
    assert.equal(same.text, "");
    assert.equal(same.headers.get("etag"), resource._etag);
    const viaSdk = await container.item("fresh", "a").read(
        { accessCondition: { type: "IfNoneMatch", condition: resource._etag } });
    assert.equal(viaSdk.statusCode, 304);
    await container.item("fresh", "a").replace({ id: "fresh", pk: "a", n: 1 });
    assert.equal((await raw("GET", link, ["a"], undefined, { "if-none-match": resource._etag })).status, 200);
});

test("of many writers with the same etag exactly one wins", async () => {
    const { resource } = await container.items.create({ id: "race", pk: "a", n: 0 });
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) =>
        container.item("race", "a").replace({ id: "race", pk: "a", n: i + 1 }, matching(resource._etag))
            .then(() => i + 1, (err) => { assert.equal(err.code, 412); return 0; })));
    const winners = results.filter((n) => n > 0);
    assert.equal(winners.length, 1);
    assert.equal((await container.item("race", "a").read()).resource.n, winners[0]);
});

/* ---- patch ---- */

test("patch: add, set, replace, remove, incr and move", async () => {
    await container.items.create({ id: "patch", pk: "a", n: 1, list: [1, 2], deep: { x: 1 }, gone: true, from: "here" });
    const item = container.item("patch", "a");
    const { resource, statusCode } = await item.patch([
        { op: "add", path: "/added", value: { y: [1] } },
        { op: "add", path: "/list/-", value: 3 },
        { op: "add", path: "/list/0", value: 0 },
        { op: "set", path: "/deep/new", value: "s" },
        { op: "replace", path: "/deep/x", value: null },
        { op: "remove", path: "/gone" },
        { op: "incr", path: "/n", value: 41 },
        { op: "incr", path: "/counter", value: -2 },
    ]);
    assert.equal(statusCode, 200);
    const expected = { id: "patch", pk: "a", n: 42, list: [0, 1, 2, 3], deep: { x: null, new: "s" }, from: "here",
        added: { y: [1] }, counter: -2 };
    assert.deepEqual(plain(resource), expected);
    assert.deepEqual(plain((await item.read()).resource), expected);
    const moved = await raw("PATCH", `${docs()}/patch`, ["a"],
        '{"operations":[{"op":"move","from":"/from","path":"/to"}]}', { "content-type": "application/json_patch+json" });
    assert.equal(moved.status, 200);
    assert.equal(JSON.parse(moved.text).to, "here");
    assert.equal(JSON.parse(moved.text).from, undefined);
});

test("patch: a condition decides, 412 when it is false", async () => {
    await container.items.create({ id: "if", pk: "a", state: "open", n: 1 });
    const item = container.item("if", "a");
    const operations = [{ op: "set", path: "/state", value: "closed" }];
    await failing(item.patch({ condition: "from c where c.n > 1", operations }), 412);
    assert.equal((await item.read()).resource.state, "open");
    const { resource } = await item.patch({ condition: "from c where c.n = 1 and c.state = 'open'", operations });
    assert.equal(resource.state, "closed");
    await failing(item.patch({ condition: "where where", operations }), 400);
});

test("patch: what cannot be done is 400 and changes nothing", async () => {
    await container.items.create({ id: "bad", pk: "a", s: "x", list: [] });
    const item = container.item("bad", "a");
    const cases = [
        [{ op: "remove", path: "/absent" }],
        [{ op: "replace", path: "/absent", value: 1 }],
        [{ op: "set", path: "/no/such/parent", value: 1 }],
        [{ op: "incr", path: "/s", value: 1 }],
        [{ op: "add", path: "/list/5", value: 1 }],
        [{ op: "set", path: "/id", value: "other" }],
        [{ op: "set", path: "/pk", value: "b" }],
        [{ op: "set", path: "/_etag", value: "x" }],
        [{ op: "explode", path: "/s" }],
        [{ op: "set", path: "s", value: 1 }],
        [],
        Array.from({ length: 11 }, (_, i) => ({ op: "set", path: `/p${i}`, value: i })),
    ];
    for (const operations of cases) {
        const res = await raw("PATCH", `${docs()}/bad`, ["a"], JSON.stringify({ operations }));
        assert.equal(res.status, 400, JSON.stringify(operations));
        assert.equal(typeof JSON.parse(res.text).message, "string");
    }
    /* The first operation alone would do: all or nothing. */
    const res = await raw("PATCH", `${docs()}/bad`, ["a"],
        '{"operations":[{"op":"set","path":"/fine","value":1},{"op":"remove","path":"/absent"}]}');
    assert.equal(res.status, 400);
    assert.deepEqual(plain((await item.read()).resource), { id: "bad", pk: "a", s: "x", list: [] });
    await failing(container.item("none", "a").patch([{ op: "set", path: "/x", value: 1 }]), 404);
});

test("patch: concurrent increments all count", async () => {
    await container.items.create({ id: "sum", pk: "a", n: 0 });
    await Promise.all(Array.from({ length: 50 }, () =>
        container.item("sum", "a").patch([{ op: "incr", path: "/n", value: 1 }])));
    assert.equal((await container.item("sum", "a").read()).resource.n, 50);
});

/* ---- ids, keys, content ---- */

test("odd ids: question marks, percent signs, spaces, Unicode, controls", async () => {
    const ids = ["a?b", "?", "a?b=c&d=e", "%", "%20", "a%2Fb", "100%", " lead", "in side", "ümläut", "日本語", "🙂",
        "a+b", "a&b", "a=b", "a'b", "a\"b", "a;b", "a:b", "a,b", "a@b", "$", "~", "^", "|", "[x]", "{x}", "<x>", ".",
        "..", "...", "tab\there", "x".repeat(255), "conflicts", "docs", "-0"];
    const unnameable = [".", "..", "?"]; // the SDK's URL drops these: no such client can address them
    const odd = await makeContainer(client);
    for (const id of ids) {
        const made = await odd.items.create({ id, pk: "a" });
        assert.equal(made.resource.id, id, `create ${JSON.stringify(id)}`);
    }
    for (const id of ids) {
        if (unnameable.includes(id)) {
            continue;
        }
        const read = await odd.item(id, "a").read();
        assert.equal(read.statusCode, 200, `read ${JSON.stringify(id)}`);
        assert.equal(read.resource.id, id);
        await odd.item(id, "a").replace({ id, pk: "a", n: 1 });
        await odd.item(id, "a").patch([{ op: "incr", path: "/n", value: 1 }]);
        assert.equal((await odd.item(id, "a").read()).resource.n, 2);
    }
    const all = (await odd.items.readAll().fetchAll()).resources.map((d) => d.id);
    assert.deepEqual([...all].sort(), [...ids].sort());
    for (const id of ids.filter((i) => !unnameable.includes(i))) {
        assert.equal((await odd.item(id, "a").delete()).statusCode, 204, JSON.stringify(id));
    }
});

test("forbidden ids are 400: slash, backslash, hash, too long", async () => {
    for (const id of ["a/b", "a\\b", "a#b", "x".repeat(1100)]) {
        const res = await raw("POST", docs(), ["a"], JSON.stringify({ id, pk: "a" }));
        assert.equal(res.status, 400, JSON.stringify(id.slice(0, 20)));
    }
});

test("partition keys of every type are keys of their own", async () => {
    const keyed = await makeContainer(client);
    const keys = ["", "a", "a\u0000b", "ünï", "x".repeat(300), 0, 1, -1, 1.5, 1e300, true, false, null, undefined];
    for (const [i, pk] of keys.entries()) {
        await keyed.items.create(pk === undefined ? { id: "1", i } : { id: "1", pk, i });
    }
    for (const [i, pk] of keys.entries()) {
        const read = await keyed.item("1", pk).read();
        assert.equal(read.statusCode, 200, `key ${JSON.stringify(pk)?.slice(0, 20)}`);
        assert.equal(read.resource.i, i);
        const { resources } = await keyed.items.query("SELECT VALUE c.i FROM c",
            { partitionKey: pk === undefined ? {} : pk }).fetchAll();
        assert.deepEqual(resources, [i], `query of key ${JSON.stringify(pk)?.slice(0, 20)}`);
    }
    assert.equal((await keyed.items.readAll().fetchAll()).resources.length, keys.length);
});

test("nested and quoted partition key paths", async () => {
    const nested = await makeContainer(client, { partitionKey: { paths: ["/a/b"] } });
    await nested.items.create({ id: "1", a: { b: "x" } });
    assert.equal((await nested.item("1", "x").read()).statusCode, 200);
    const quoted = await makeContainer(client, { partitionKey: { paths: ['/"odd key"'] } });
    await quoted.items.create({ id: "1", "odd key": 7 });
    assert.equal((await quoted.item("1", 7).read()).statusCode, 200);
});

test("hierarchical partition keys: full keys, prefixes, missing levels", async () => {
    const tree = await makeContainer(client, {
        partitionKey: { paths: ["/tenant", "/user"], kind: "MultiHash", version: 2 } });
    for (const tenant of ["t1", "t2"]) {
        for (let user = 0; user < 5; user++) {
            await tree.items.create({ id: "x", tenant, user: `u${user}`, n: user });
        }
    }
    assert.equal((await tree.item("x", ["t1", "u3"]).read()).resource.n, 3);
    await failing(tree.items.create({ id: "x", tenant: "t1", user: "u3" }), 409);
    const full = await tree.items.query("SELECT VALUE c.n FROM c", { partitionKey: ["t2", "u4"] }).fetchAll();
    assert.deepEqual(full.resources, [4]);
    const prefix = await tree.items.query("SELECT VALUE c.n FROM c WHERE c.tenant = 't1'").fetchAll();
    assert.deepEqual(prefix.resources.sort(), [0, 1, 2, 3, 4]);
    const byHeader = await tree.items.query("SELECT VALUE c.tenant FROM c", { partitionKey: ["t1"] }).fetchAll();
    assert.deepEqual(byHeader.resources, ["t1", "t1", "t1", "t1", "t1"]);
    await tree.item("x", ["t1", "u3"]).replace({ id: "x", tenant: "t1", user: "u3", n: 33 });
    await tree.item("x", ["t2", "u0"]).delete();
    assert.equal((await tree.items.readAll().fetchAll()).resources.length, 9);
});

test("numbers and strings come back as they were written", async () => {
    const text = '{"id":"num","pk":"a","big":9007199254740993,"huge":123456789012345678901234567890,"tiny":1e-7,' +
        '"exp":1.5E+10,"zero":0,"neg":-5,"dec":0.1,"trail":1.10,"str":"\\u00e9\\n\\u2028 \\"q\\" \\\\ /",' +
        '"b":1,"a":2,"":"empty","nul":"x\\u0000y","__proto__":{"p":1}}';
    assert.equal((await raw("POST", docs(), ["a"], text)).status, 201);
    const read = await raw("GET", `${docs()}/num`, ["a"]);
    assert.equal(read.status, 200);
    for (const part of ['"big":9007199254740993', '"huge":123456789012345678901234567890', '"tiny":1e-7', '"dec":0.1',
        '"neg":-5', '"zero":0', '"b":1,"a":2', '"":"empty"', '"__proto__":{"p":1}']) {
        assert.ok(read.text.replace(/\s/g, "").includes(part), `${part} in ${read.text}`);
    }
    const doc = JSON.parse(read.text);
    assert.equal(doc.exp, 1.5e10);
    assert.equal(doc.trail, 1.1);
    assert.equal(doc.str, "\u00e9\n\u2028 \"q\" \\ /");
    assert.equal(doc.nul, "x\u0000y");
    const { resource } = await container.items.create({ id: "round", pk: "a", v: [0.1, 1e21, -1e-9, 2 ** 53, "\u2028", "🙂"] });
    assert.deepEqual(resource.v, [0.1, 1e21, -1e-9, 2 ** 53, "\u2028", "🙂"]);
});

test("bad JSON is 400, deep nesting is served or refused, never fatal", async () => {
    for (const body of ["", "{", '{"id":"1","pk":"a"', '{"id":"1","pk":"a",}', "{'id':'1'}", '{"id":"1","pk":"a"} x',
        "null", "7", '{"id":"\ud800\\ud800","pk":"a"', '{"id":"1","pk":"a","n":01}', '{"id":"1","pk":"a","n":+1}']) {
        assert.equal((await raw("POST", docs(), ["a"], body)).status, 400, body);
    }
    const nested = (n) => `{"id":"deep${n}","pk":"a","v":${"[".repeat(n)}${"]".repeat(n)}}`;
    assert.equal((await raw("POST", docs(), ["a"], nested(60))).status, 201);
    const deep = await raw("POST", docs(), ["a"], nested(100000));
    assert.ok([201, 400, 413].includes(deep.status), `${deep.status} ${deep.text.slice(0, 200)}`);
    assert.equal((await container.item("deep60", "a").read()).statusCode, 200);
});

test("items up to 2 MiB are stored, larger ones are 413", async () => {
    const near = "x".repeat(2 * 1024 * 1024 - 4096);
    assert.equal((await container.items.create({ id: "near", pk: "a", near })).statusCode, 201);
    assert.equal((await container.item("near", "a").read()).resource.near.length, near.length);
    const err = await failing(container.items.create({ id: "over", pk: "a", v: near + "x".repeat(8192) }), 413);
    assert.equal(err.body.code, "RequestEntityTooLarge");
    assert.equal((await container.item("over", "a").read()).statusCode, 404);
    await failing(container.item("near", "a").patch([{ op: "add", path: "/more", value: "y".repeat(8192) }]), 413);
    await container.item("near", "a").delete();
});

/* ---- expiry ---- */

test("expiry: gone from reads and queries at once, counted from the last write", async () => {
    const brief = await makeContainer(client, { defaultTtl: -1 });
    await brief.items.create({ id: "stays", pk: "a" });
    await brief.items.create({ id: "goes", pk: "a", ttl: 1 });
    await brief.items.create({ id: "never", pk: "a", ttl: -1 });
    assert.equal((await brief.item("goes", "a").read()).statusCode, 200);
    await until("the item expires", async () => (await brief.item("goes", "a").read()).statusCode === 404, 8000, 50);
    const left = (await brief.items.query("SELECT VALUE c.id FROM c").fetchAll()).resources;
    assert.deepEqual(left.sort(), ["never", "stays"]);
    assert.equal((await brief.items.create({ id: "goes", pk: "a" })).statusCode, 201);
    const short = await makeContainer(client, { defaultTtl: 1 });
    await short.items.create({ id: "1", pk: "a" });
    await short.items.create({ id: "2", pk: "a", ttl: -1 });
    await until("the default applies", async () => (await short.item("1", "a").read()).statusCode === 404, 8000, 50);
    assert.equal((await short.item("2", "a").read()).statusCode, 200);
});

test("expiry: a ttl counts only where the container has it on, wrong ones are 400", async () => {
    await container.items.create({ id: "off", pk: "a", ttl: 1 });
    const brief = await makeContainer(client, { defaultTtl: -1 });
    for (const ttl of [0, -2, "10", 1.5]) {
        const res = await raw("POST", `/dbs/tests/colls/${brief.id}/docs`, ["a"], JSON.stringify({ id: "x", pk: "a", ttl }));
        assert.equal(res.status, 400, JSON.stringify(ttl));
    }
    await brief.items.create({ id: "clock", pk: "a", ttl: 1 });
    await until("the other one has expired", async () =>
        (await brief.item("clock", "a").read()).statusCode === 404, 8000, 50);
    assert.equal((await container.item("off", "a").read()).statusCode, 200);
});

/* ---- unique keys ---- */

test("unique keys hold in one logical partition, for every way to write", async () => {
    const strict = await makeContainer(client, { uniqueKeyPolicy: { uniqueKeys: [{ paths: ["/mail"] }, { paths: ["/a", "/b/c"] }] } });
    await strict.items.create({ id: "1", pk: "p", mail: "x@y", a: 1, b: { c: 1 } });
    const err = await failing(strict.items.create({ id: "2", pk: "p", mail: "x@y", a: 2, b: { c: 2 } }), 409);
    assert.equal(err.body.code, "Conflict");
    await failing(strict.items.create({ id: "2", pk: "p", mail: "other", a: 1, b: { c: 1 } }), 409);
    await strict.items.create({ id: "2", pk: "q", mail: "x@y", a: 1, b: { c: 1 } });
    await strict.items.create({ id: "3", pk: "p", mail: "z@y", a: 1, b: { c: 2 } });
    await failing(strict.item("3", "p").replace({ id: "3", pk: "p", mail: "x@y", a: 5, b: { c: 5 } }), 409);
    await failing(strict.items.upsert({ id: "3", pk: "p", mail: "x@y", a: 5, b: { c: 5 } }), 409);
    await failing(strict.item("3", "p").patch([{ op: "set", path: "/mail", value: "x@y" }]), 409);
    await failing(strict.items.batch([{ operationType: "Create", resourceBody: { id: "4", pk: "p", mail: "n@y" } },
        { operationType: "Create", resourceBody: { id: "5", pk: "p", mail: "x@y" } }], "p")
        .then((r) => { if (r.code === 207 && r.result[1].statusCode === 409) { throw Object.assign(new Error("409"), { code: 409 }); } return r; }), 409);
    assert.equal((await strict.item("4", "p").read()).statusCode, 404);
    /* Replacing an item with its own values is no violation; deleting one frees its value. */
    assert.equal((await strict.item("1", "p").replace({ id: "1", pk: "p", mail: "x@y", a: 1, b: { c: 1 }, n: 2 })).statusCode, 200);
    await strict.item("1", "p").delete();
    assert.equal((await strict.items.create({ id: "9", pk: "p", mail: "x@y", a: 9, b: { c: 9 } })).statusCode, 201);
});

test("unique keys: a missing value counts as a value", async () => {
    const strict = await makeContainer(client, { uniqueKeyPolicy: { uniqueKeys: [{ paths: ["/mail"] }] } });
    await strict.items.create({ id: "1", pk: "p" });
    await failing(strict.items.create({ id: "2", pk: "p" }), 409);
});

test("unique keys: of many who want one value exactly one gets it", async () => {
    const strict = await makeContainer(client, { uniqueKeyPolicy: { uniqueKeys: [{ paths: ["/mail"] }] } });
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) =>
        strict.items.create({ id: String(i), pk: "p", mail: "one" }).then(() => 1, (err) => { assert.equal(err.code, 409); return 0; })));
    assert.equal(results.reduce((a, b) => a + b), 1);
    assert.equal((await strict.items.readAll().fetchAll()).resources.length, 1);
});

/* ---- feeds ---- */

test("reading all items page by page gives each once", async () => {
    const many = await makeContainer(client);
    const ids = Array.from({ length: 120 }, (_, i) => `i${i}`);
    await Promise.all(ids.map((id) => many.items.create({ id, pk: id })));
    const seen = [];
    const iterator = many.items.readAll({ maxItemCount: 17 });
    let pages = 0;
    while (iterator.hasMoreResults()) {
        const { resources } = await iterator.fetchNext();
        seen.push(...(resources ?? []).map((d) => d.id));
        assert.ok((resources ?? []).length <= 17);
        pages++;
        assert.ok(pages < 100, "the feed ends");
    }
    assert.deepEqual(seen.sort(), ids.sort());
});

test("all items of one partition key are deleted, others stay", async () => {
    const some = await makeContainer(client);
    for (let i = 0; i < 30; i++) {
        await some.items.create({ id: String(i), pk: i % 2 ? "odd" : "even" });
    }
    const answer = await some.deleteAllItemsForPartitionKey("odd");
    assert.ok(answer.code === undefined || answer.code < 300);
    await until("the odd ones are gone", async () =>
        (await some.items.query("SELECT VALUE c.id FROM c", { partitionKey: "odd" }).fetchAll()).resources.length === 0);
    assert.equal((await some.items.query("SELECT VALUE c.id FROM c", { partitionKey: "even" }).fetchAll()).resources.length, 15);
});

test("the session token covers the write and comes with errors, too", async () => {
    const headers = (answer) => answer.headers.get("x-ms-session-token");
    const made = await raw("POST", docs(), ["tok"], '{"id":"tok","pk":"tok"}');
    assert.match(headers(made), /^\d+:\d+#\d+(#\d+=\d+)*$/);
    const { resource: definition } = await container.read();
    for (const answer of [made, await raw("POST", docs(), ["tok"], '{"id":"tok","pk":"tok"}'),
        await raw("GET", `${docs()}/none`, ["tok"]),
        await raw("DELETE", `${docs()}/tok`, ["tok"], undefined, { "if-match": '"x"' })]) {
        assert.match(headers(answer) ?? "", /^\d+:\d+#\d+/, String(answer.status));
        assert.equal(answer.headers.get("x-ms-content-path"), definition._rid);
        assert.equal(answer.headers.get("x-ms-alt-content-path"), `dbs/tests/colls/${container.id}`);
    }
});

await run();
