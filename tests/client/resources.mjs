/* Databases, containers, throughput, users and permissions, script resources, the conflict feed. */
import { Account, assert, before, failing, makeContainer, run, test, unique, until } from "./lib.mjs";

let account;
let client;
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client();
});

/* ---- databases ---- */

test("databases: create, read, list, query, delete", async () => {
    const id = unique("db");
    const made = await client.databases.create({ id });
    assert.equal(made.statusCode, 201);
    assert.equal(made.resource.id, id);
    for (const key of ["_rid", "_self", "_etag", "_colls", "_users"]) {
        assert.equal(typeof made.resource[key], "string", key);
    }
    assert.equal(Buffer.from(made.resource._rid.replace(/-/g, "/"), "base64").length, 4);
    assert.equal(made.resource._self, `dbs/${made.resource._rid}/`);
    assert.match(made.resource._etag, /^".+"$/);
    assert.ok(Number.isInteger(made.resource._ts));

    const read = await client.database(id).read();
    assert.equal(read.statusCode, 200);
    assert.deepEqual(read.resource, made.resource);
    const all = (await client.databases.readAll().fetchAll()).resources;
    assert.equal(all.filter((d) => d.id === id).length, 1);
    const found = (await client.databases.query({
        query: "SELECT * FROM root r WHERE r.id = @id", parameters: [{ name: "@id", value: id }],
    }).fetchAll()).resources;
    assert.deepEqual(found.map((d) => d.id), [id]);

    assert.equal((await client.database(id).delete()).statusCode, 204);
    await failing(client.database(id).read(), 404);
    await failing(client.database(id).delete(), 404);
});

test("databases: names are unique and checked, createIfNotExists finds the old one", async () => {
    const id = unique("db");
    const first = await client.databases.createIfNotExists({ id });
    assert.equal(first.statusCode, 201);
    const again = await client.databases.createIfNotExists({ id });
    assert.equal(again.statusCode, 200);
    assert.equal(again.resource._rid, first.resource._rid);
    await failing(client.databases.create({ id }), 409);
    for (const bad of ["a/b", "a\\b", "a#b", "a?b", "a ", "", "x".repeat(300)]) {
        const { status, body } = await account.call("POST", "/dbs", { body: { id: bad } });
        assert.equal(status, 400, JSON.stringify(bad));
        assert.equal(body.code, "BadRequest");
    }
});

test("databases: the same name again gets another rid, and the old containers are gone", async () => {
    const id = unique("db");
    const { database, resource: one } = await client.databases.create({ id });
    await database.containers.create({ id: "c", partitionKey: "/pk" });
    await database.delete();
    const { resource: two } = await client.databases.create({ id });
    assert.notEqual(two._rid, one._rid);
    assert.deepEqual((await database.containers.readAll().fetchAll()).resources, []);
});

/* ---- containers ---- */

test("containers: defaults are filled in and the key's hash version is said", async () => {
    const { database } = await client.databases.createIfNotExists({ id: "tests" });
    const id = unique("c");
    const { resource, statusCode } = await database.containers.create({ id, partitionKey: "/pk" });
    assert.equal(statusCode, 201);
    assert.deepEqual(resource.partitionKey.paths, ["/pk"]);
    assert.equal(resource.partitionKey.kind, "Hash");
    assert.equal(resource.partitionKey.version, 2);
    assert.equal(resource.indexingPolicy.indexingMode, "consistent");
    assert.equal(resource.indexingPolicy.automatic, true);
    assert.deepEqual(resource.indexingPolicy.includedPaths.map((p) => p.path), ["/*"]);
    assert.equal(resource.conflictResolutionPolicy.mode, "LastWriterWins");
    assert.equal(resource.conflictResolutionPolicy.conflictResolutionPath, "/_ts");
    const rid = Buffer.from(resource._rid.replace(/-/g, "/"), "base64");
    assert.equal(rid.length, 8);
    assert.ok((rid[4] & 0x80) !== 0, "the container bit");
    assert.match(resource._self, new RegExp(`^dbs/[^/]+/colls/${resource._rid.replace(/[+]/g, "\\+")}/$`));
    for (const [key, value] of Object.entries({ _docs: "docs/", _sprocs: "sprocs/", _triggers: "triggers/",
        _udfs: "udfs/", _conflicts: "conflicts/" })) {
        assert.equal(resource[key], value);
    }
    const read = (await database.container(id).read()).resource;
    assert.deepEqual(read, resource);
    assert.equal((await database.containers.createIfNotExists({ id, partitionKey: "/pk" })).statusCode, 200);
    await failing(database.containers.create({ id, partitionKey: "/pk" }), 409);
    const found = await database.containers.query({
        query: "SELECT * FROM c WHERE c.id = @id", parameters: [{ name: "@id", value: id }] }).fetchAll();
    assert.deepEqual(found.resources.map((c) => c.id), [id]);
});

test("containers: a definition with everything comes back as given", async () => {
    const given = {
        partitionKey: { paths: ["/t", "/u"], kind: "MultiHash", version: 2 },
        indexingPolicy: {
            indexingMode: "consistent", automatic: true,
            includedPaths: [{ path: "/*" }],
            excludedPaths: [{ path: "/big/*" }, { path: "/\"_etag\"/?" }],
            compositeIndexes: [[{ path: "/a", order: "ascending" }, { path: "/b", order: "descending" }]],
        },
        defaultTtl: 3600,
        uniqueKeyPolicy: { uniqueKeys: [{ paths: ["/mail"] }, { paths: ["/a", "/b/c"] }] },
    };
    const container = await makeContainer(client, given);
    const { resource } = await container.read();
    assert.deepEqual(resource.partitionKey, given.partitionKey);
    assert.deepEqual(resource.indexingPolicy.compositeIndexes, given.indexingPolicy.compositeIndexes);
    assert.ok(resource.indexingPolicy.excludedPaths.some((p) => p.path === "/big/*"));
    assert.equal(resource.defaultTtl, 3600);
    assert.deepEqual(resource.uniqueKeyPolicy.uniqueKeys.map((k) => k.paths), [["/mail"], ["/a", "/b/c"]]);
});

test("containers: what may change changes, what is fixed is 400", async () => {
    const container = await makeContainer(client);
    const { resource } = await container.read();
    const changed = await container.replace({ ...resource, defaultTtl: 60,
        indexingPolicy: { ...resource.indexingPolicy, excludedPaths: [{ path: "/x/*" }] } });
    assert.equal(changed.statusCode, 200);
    assert.equal(changed.resource.defaultTtl, 60);
    assert.equal(changed.resource._rid, resource._rid);
    assert.notEqual(changed.resource._etag, resource._etag);
    const read = (await container.read()).resource;
    assert.equal(read.defaultTtl, 60);
    assert.ok(read.indexingPolicy.excludedPaths.some((p) => p.path === "/x/*"));
    await failing(container.replace({ ...resource, partitionKey: { paths: ["/other"] } }), 400);
});

test("containers: wrong definitions are 400", async () => {
    const { database } = await client.databases.createIfNotExists({ id: "tests" });
    const link = `/dbs/${database.id}/colls`;
    const good = { partitionKey: { paths: ["/pk"], kind: "Hash", version: 2 } };
    const bad = [
        { ...good, id: "" },
        { ...good, id: "a/b" },
        { id: "x", partitionKey: { paths: ["pk"] } },
        { id: "x", partitionKey: { paths: [] } },
        { id: "x", partitionKey: { paths: ["/a", "/b", "/c", "/d"], kind: "MultiHash", version: 2 } },
        { ...good, id: "x", defaultTtl: 0 },
        { ...good, id: "x", defaultTtl: -5 },
        { ...good, id: "x", defaultTtl: "soon" },
        { ...good, id: "x", indexingPolicy: { indexingMode: "sometimes" } },
        { ...good, id: "x", indexingPolicy: { includedPaths: [{ path: "no slash" }] } },
        { ...good, id: "x", uniqueKeyPolicy: { uniqueKeys: [{ paths: ["nope"] }] } },
    ];
    for (const body of bad) {
        const answer = await account.call("POST", link, { body });
        assert.equal(answer.status, 400, JSON.stringify(body));
        assert.equal(answer.body.code, "BadRequest");
    }
    const { resources } = await database.containers.readAll().fetchAll();
    assert.ok(!resources.some((c) => c.id === "x"));
});

test("containers: deleted means gone, made again means new and empty", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "a" });
    const before = (await container.read()).resource;
    assert.equal((await container.delete()).statusCode, 204);
    await failing(container.read(), 404);
    const gone = await account.call("GET", `/dbs/tests/colls/${container.id}/docs/1`,
        { headers: { "x-ms-documentdb-partitionkey": '["a"]' } });
    assert.equal(gone.status, 404);
    assert.equal(gone.headers.get("x-ms-substatus"), "1003");
    const { resource } = await container.database.containers.create({ id: container.id, partitionKey: "/pk" });
    assert.notEqual(resource._rid, before._rid);
    const fresh = account.client().database("tests").container(container.id);
    assert.equal((await fresh.item("1", "a").read()).statusCode, 404);
    assert.equal((await fresh.items.create({ id: "1", pk: "a" })).statusCode, 201);
});

test("containers: metadata made at the writer is seen in every region", async () => {
    const container = await makeContainer(client);
    for (const region of account.regions) {
        await until(`${region.name} knows the container`, async () =>
            (await account.call("GET", `/dbs/tests/colls/${container.id}`, { endpoint: region.endpoint })).status === 200);
    }
});

/* ---- throughput ---- */

test("throughput: given at creation, read and replaced through the offer", async () => {
    const container = await makeContainer(client, { throughput: 500 });
    const self = (await container.read()).resource._self;
    const { resource: offer } = await container.readOffer();
    assert.equal(offer.content.offerThroughput, 500);
    assert.equal(offer.resource, self);
    assert.equal(offer.offerVersion, "V2");
    const changed = await client.offer(offer.id).replace({ ...offer,
        content: { ...offer.content, offerThroughput: 700 } });
    assert.equal(changed.resource.content.offerThroughput, 700);
    assert.equal((await container.readOffer()).resource.content.offerThroughput, 700);
    assert.equal((await client.offer(offer.id).read()).resource.content.offerThroughput, 700);
    const all = (await client.offers.readAll().fetchAll()).resources;
    assert.ok(all.some((o) => o.id === offer.id));
});

test("throughput: autoscale and databases", async () => {
    const scaling = await makeContainer(client, { maxThroughput: 4000 });
    const { resource: offer } = await scaling.readOffer();
    assert.equal(offer.content.offerAutopilotSettings.maxThroughput, 4000);
    const { database } = await client.databases.create({ id: unique("db"), throughput: 600 });
    assert.equal((await database.readOffer()).resource.content.offerThroughput, 600);
    await database.delete();
});

test("throughput: nonsense is 400", async () => {
    for (const headers of [{ "x-ms-offer-throughput": "many" }, { "x-ms-offer-throughput": "-1" },
        { "x-ms-cosmos-offer-autopilot-settings": "{" },
        { "x-ms-offer-throughput": "400", "x-ms-cosmos-offer-autopilot-settings": '{"maxThroughput":4000}' }]) {
        const { status } = await account.call("POST", "/dbs", { headers, body: { id: unique("db") } });
        assert.equal(status, 400, JSON.stringify(headers));
    }
});

test("ranges: one per started 10,000 RU/s, without gaps", async () => {
    for (const [throughput, count] of [[undefined, 1], [25000, 3]]) {
        const container = await makeContainer(client, throughput ? { throughput } : {});
        const { resources } = await container.readPartitionKeyRanges().fetchAll();
        assert.equal(resources.length, count);
        let at = "";
        for (const range of resources.sort((a, b) => (a.minInclusive < b.minInclusive ? -1 : 1))) {
            assert.equal(range.minInclusive, at);
            assert.match(range.id, /^\d+$/);
            assert.equal(range.status, "online");
            at = range.maxExclusive;
        }
        assert.equal(at, "FF");
    }
});

test("ranges: read as a change feed they end with 304", async () => {
    const container = await makeContainer(client);
    const link = `/dbs/tests/colls/${container.id}/pkranges`;
    const headers = { "A-IM": "Incremental Feed", "x-ms-max-item-count": "-1" };
    const first = await account.call("GET", link, { headers });
    assert.equal(first.status, 200);
    assert.equal(first.body.PartitionKeyRanges.length, 1);
    const etag = first.headers.get("etag");
    assert.ok(etag);
    const second = await account.call("GET", link, { headers: { ...headers, "if-none-match": etag } });
    assert.equal(second.status, 304);
    assert.equal(second.headers.get("etag"), etag);
});

/* ---- users and permissions ---- */

test("users and permissions: create, read, upsert, replace, list, delete", async () => {
    const { database } = await client.databases.createIfNotExists({ id: "tests" });
    const container = await makeContainer(client);
    const id = unique("user");
    const { user, resource, statusCode } = await database.users.create({ id });
    assert.equal(statusCode, 201);
    assert.equal(resource.id, id);
    const rid = Buffer.from(resource._rid.replace(/-/g, "/"), "base64");
    assert.equal(rid.length, 8);
    assert.ok((rid[4] & 0x80) === 0, "no container bit");
    assert.equal((await database.users.upsert({ id })).statusCode, 200);
    assert.equal((await user.read()).resource.id, id);
    await failing(database.users.create({ id }), 409);

    const made = await user.permissions.create({ id: "p", permissionMode: "Read", resource: container.url });
    assert.equal(made.statusCode, 201);
    assert.match(made.resource._token, /^type=resource&ver=1/);
    assert.equal(made.resource.resource, container.url);
    const replaced = await user.permission("p").replace({ id: "p", permissionMode: "All", resource: container.url });
    assert.match(String(replaced.resource.permissionMode), /^all$/i);
    assert.deepEqual((await user.permissions.readAll().fetchAll()).resources.map((p) => p.id), ["p"]);
    assert.equal((await user.permission("p").delete()).statusCode, 204);
    await failing(user.permission("p").read(), 404);
    assert.equal((await user.delete()).statusCode, 204);
    await failing(user.read(), 404);
});

test("a resource token reads what it covers and nothing else", async () => {
    const { database } = await client.databases.createIfNotExists({ id: "tests" });
    const mine = await makeContainer(client);
    const other = await makeContainer(client);
    for (const container of [mine, other]) {
        await container.items.create({ id: "1", pk: "a" });
    }
    const { user } = await database.users.create({ id: unique("user") });
    const { resource: read } = await user.permissions.create({ id: "r", permissionMode: "Read", resource: mine.url });
    const with_token = (token) => account.client({ key: undefined, resourceTokens: { [mine.url]: token } });

    const reader = with_token(read._token).database("tests").container(mine.id);
    assert.equal((await reader.item("1", "a").read()).resource.id, "1");
    assert.equal((await reader.items.query("SELECT * FROM c").fetchAll()).resources.length, 1);
    await failing(reader.items.create({ id: "2", pk: "a" }), 403);

    const { resource: all } = await user.permissions.create({ id: "a", permissionMode: "All", resource: mine.url });
    const writer = with_token(all._token).database("tests").container(mine.id);
    assert.equal((await writer.items.create({ id: "2", pk: "a" })).statusCode, 201);

    const forged = with_token(read._token.slice(0, -8) + "AAAAAAA=");
    await failing(forged.database("tests").container(mine.id).items.create({ id: "3", pk: "a" }), 401);
    const link = `/dbs/tests/colls/${other.id}/docs/1`;
    const outside = await account.call("GET", link, { key: "", headers: {
        authorization: encodeURIComponent(read._token), "x-ms-documentdb-partitionkey": '["a"]' } });
    assert.ok([401, 403].includes(outside.status), String(outside.status));
});

/* ---- scripts are stored, not run ---- */

test("stored procedures, triggers and functions are kept as resources", async () => {
    const container = await makeContainer(client);
    const body = "function () { getContext().getResponse().setBody('x'); }";
    const sprocs = container.scripts.storedProcedures;
    assert.equal((await sprocs.create({ id: "s", body })).statusCode, 201);
    assert.equal((await container.scripts.storedProcedure("s").read()).resource.body, body);
    const replaced = await container.scripts.storedProcedure("s").replace({ id: "s", body: body + "//2" });
    assert.equal(replaced.resource.body, body + "//2");
    assert.deepEqual((await sprocs.readAll().fetchAll()).resources.map((s) => s.id), ["s"]);
    await failing(sprocs.create({ id: "s", body }), 409);

    const triggers = container.scripts.triggers;
    await triggers.create({ id: "t", body, triggerType: "Pre", triggerOperation: "All" });
    const trigger = (await container.scripts.trigger("t").read()).resource;
    assert.equal(trigger.triggerType.toLowerCase(), "pre");
    const functions = container.scripts.userDefinedFunctions;
    await functions.create({ id: "f", body: "function (x) { return x; }" });
    assert.deepEqual((await functions.readAll().fetchAll()).resources.map((f) => f.id), ["f"]);
    for (const script of [container.scripts.storedProcedure("s"), container.scripts.trigger("t"),
        container.scripts.userDefinedFunction("f")]) {
        assert.equal((await script.delete()).statusCode, 204);
    }
});

test("running a script is refused clearly, not with a crash or a lie", async () => {
    const container = await makeContainer(client);
    await container.scripts.storedProcedures.create({ id: "s", body: "function () {}" });
    let error;
    try {
        await container.scripts.storedProcedure("s").execute("a", []);
    } catch (err) {
        error = err;
    }
    assert.ok(error, "execution must not claim to have worked");
    assert.ok([400, 501].includes(error.code), String(error.code));
    assert.ok((error.body?.message ?? error.message).length > 10);
});

/* ---- conflicts ---- */

test("the conflict feed of a fresh container is there and empty", async () => {
    const container = await makeContainer(client);
    assert.deepEqual((await container.conflicts.readAll().fetchAll()).resources, []);
    assert.deepEqual((await container.conflicts.query("SELECT * FROM c").fetchAll()).resources, []);
    await failing(container.conflict("absent", "a").read(), 404);
    await failing(container.conflict("absent", "a").delete(), 404);
});

await run();
