/* The account document, endpoints, keys, and how requests are refused. */
import { Account, assert, before, call, cosmos, failing, makeContainer, run, test, until } from "./lib.mjs";

let account;
let client;
before(async () => {
    account = await Account.start({ args: ["--profile", "wan"] }); // no failover because a test machine is busy
    client = account.client();
});

test("the account document has what every SDK reads", async () => {
    const { status, body, headers } = await account.call("GET", "/");
    assert.equal(status, 200);
    assert.notEqual(body.id, "localhost");
    assert.deepEqual(body.writableLocations.map((l) => l.name), ["east"]);
    assert.deepEqual(body.readableLocations.map((l) => l.name), ["east", "west", "north"]);
    for (const location of body.readableLocations) {
        assert.equal(location.databaseAccountEndpoint, account.region(location.name).endpoint);
        assert.match(location.databaseAccountEndpoint, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    }
    assert.equal(body.enableMultipleWriteLocations, false);
    assert.equal(body.enablePerPartitionFailoverBehavior, true);
    assert.equal(body.userConsistencyPolicy.defaultConsistencyLevel, "Session");
    for (const key of ["userReplicationPolicy", "systemReplicationPolicy", "readPolicy"]) {
        assert.equal(typeof body[key], "object", key);
    }
    assert.equal(typeof JSON.parse(body.queryEngineConfiguration), "object");
    assert.equal(body._dbs, "//dbs/");
    assert.match(headers.get("cache-control") ?? "", /no-store/);
});

test("every region and the global endpoint serve the same document", async () => {
    const global = (await account.call("GET", "/")).body;
    for (const region of account.regions) {
        const { status, body } = await account.call("GET", "/", { endpoint: region.endpoint });
        assert.equal(status, 200);
        assert.notEqual(body.id, "localhost");
        /* As in the real service, the id names the endpoint that was asked. */
        assert.deepEqual({ ...body, id: "", _rid: "" }, { ...global, id: "", _rid: "" }, region.name);
    }
});

test("the SDK finds the regions and respects the preference", async () => {
    const { resource } = await client.getDatabaseAccount();
    assert.equal(resource.writableLocations[0].name, "east");
    assert.equal(resource.readableLocations.length, 3);
    assert.equal(await client.getWriteEndpoint(), account.region("east").endpoint);
    const other = account.client({ policy: { preferredLocations: ["north", "west", "east"] } });
    await other.getDatabaseAccount();
    assert.equal(await other.getReadEndpoint(), account.region("north").endpoint);
    assert.equal(await other.getWriteEndpoint(), account.region("east").endpoint);
    assert.equal((await other.getReadEndpoints()).length, 3);
});

test("discovery off: everything works through the global endpoint", async () => {
    const direct = account.client({ policy: { enableEndpointDiscovery: false } });
    const container = await makeContainer(direct);
    await container.items.create({ id: "1", pk: "a" });
    assert.equal((await container.item("1", "a").read()).resource.id, "1");
    assert.equal((await container.items.query("SELECT * FROM c").fetchAll()).resources.length, 1);
});

test("a wrong, missing or malformed signature is 401 with a JSON body", async () => {
    const wrong = Buffer.alloc(64, 7).toString("base64");
    await failing(account.client({ key: wrong }).getDatabaseAccount(), 401);
    await failing(account.client({ key: wrong }).databases.readAll().fetchAll(), 401);
    for (const headers of [{}, { authorization: "" }, { authorization: "nonsense" },
        { authorization: "type%3Dmaster%26ver%3D1.0%26sig%3Dabc" }, { authorization: "type%3" },
        { authorization: encodeURIComponent("type=master&ver=9.9&sig=" + wrong) }]) {
        const { status, body } = await call(account.endpoint, "", "GET", "/dbs", { headers });
        assert.equal(status, 401, JSON.stringify(headers));
        assert.equal(body.code, "Unauthorized");
        assert.equal(typeof body.message, "string");
    }
});

test("a date more than 15 minutes off is 403, less is fine", async () => {
    const at = (minutes) => new Date(Date.now() + minutes * 60000).toUTCString();
    for (const minutes of [-20, 20]) {
        const { status, body } = await account.call("GET", "/dbs", { date: at(minutes) });
        assert.equal(status, 403, `${minutes} minutes`);
        assert.equal(body.code, "Forbidden");
    }
    for (const minutes of [-10, 10]) {
        assert.equal((await account.call("GET", "/dbs", { date: at(minutes) })).status, 200);
    }
});

test("the secondary key works; read-only keys read and cannot write", async () => {
    const keys = (await account.call("GET", "/_holdfast/account/keys")).body;
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "a" });
    const with_key = (key) => account.client({ key }).database("tests").container(container.id);

    await with_key(keys.secondary).items.create({ id: "2", pk: "a" });
    for (const key of [keys.primaryReadonly, keys.secondaryReadonly]) {
        const reader = with_key(key);
        assert.equal((await reader.item("1", "a").read()).resource.id, "1");
        assert.equal((await reader.items.query("SELECT * FROM c").fetchAll()).resources.length, 2);
        await failing(reader.items.create({ id: "3", pk: "a" }), 403);
        await failing(reader.item("1", "a").delete(), 403);
        await failing(account.client({ key }).databases.create({ id: "no" }), 403);
        const answer = await account.call("GET", "/_holdfast/account/keys", { key });
        assert.equal(answer.status, 403);
    }
});

test("a regenerated key replaces the old one without a restart", async () => {
    const before = (await account.call("GET", "/_holdfast/account/keys")).body.secondary;
    const { code, text } = await account.cli("account", "keys", "--regenerate", "secondary", "--json");
    assert.equal(code, 0, text);
    const after = (await account.call("GET", "/_holdfast/account/keys")).body.secondary;
    assert.notEqual(after, before, "a front answers once it has seen the change");
    for (const endpoint of [account.endpoint, ...account.regions.map((r) => r.endpoint)]) {
        await until("the new key works", async () =>
            (await account.call("GET", "/dbs", { endpoint, key: after })).status === 200);
        await until("the old key does not", async () =>
            (await account.call("GET", "/dbs", { endpoint, key: before })).status === 401);
    }
});

test("writes at a read region are 403/3 before anything is applied", async () => {
    const container = await makeContainer(client);
    const link = `/dbs/tests/colls/${container.id}/docs`;
    const headers = { "x-ms-documentdb-partitionkey": '["a"]' };
    const west = account.region("west").endpoint;
    const answer = await account.call("POST", link, { endpoint: west, headers, body: { id: "1", pk: "a" } });
    assert.equal(answer.status, 403);
    assert.equal(answer.headers.get("x-ms-substatus"), "3");
    assert.equal(answer.body.code, "Forbidden");
    const made = await account.call("POST", "/dbs", { endpoint: west, body: { id: "nope" } });
    assert.equal(made.status, 403);
    assert.equal(made.headers.get("x-ms-substatus"), "3");
    assert.equal((await container.item("1", "a").read()).statusCode, 404);
});

test("whatever is wrong, the body is a JSON object", async () => {
    const container = await makeContainer(client);
    const docs = `/dbs/tests/colls/${container.id}/docs`;
    const pk = { "x-ms-documentdb-partitionkey": '["a"]' };
    const cases = [
        ["GET", "/nonsense", {}, [400, 404]],
        ["GET", "/dbs/tests/nonsense", {}, [400, 404]],
        ["PUT", "/dbs", { body: {} }, [400, 404, 405]],
        ["PATCH", "/dbs/tests", { body: {} }, [400, 404, 405]],
        ["POST", "/dbs", { body: "{" }, [400]],
        ["POST", "/dbs", { body: "[]" }, [400]],
        ["POST", "/dbs", { body: {} }, [400]],
        ["POST", "/dbs", { body: { id: 7 } }, [400]],
        ["POST", docs, { body: "not json", headers: pk }, [400]],
        ["POST", docs, { body: "[1]", headers: pk }, [400]],
        ["POST", docs, { body: { id: "1", pk: "a" }, headers: { "x-ms-documentdb-partitionkey": "{" } }, [400]],
        ["GET", "/dbs/absent", {}, [404]],
        ["GET", "/dbs/tests/colls/absent", {}, [404]],
        ["GET", `${docs}/absent`, { headers: pk }, [404]],
        ["GET", "/media/x", {}, [404]],
    ];
    for (const [method, link, options, statuses] of cases) {
        const what = `${method} ${link}`;
        const { status, body, headers } = await account.call(method, link, options);
        assert.ok(statuses.includes(status), `${what}: ${status}`);
        assert.equal(typeof body?.code, "string", what);
        assert.equal(typeof body?.message, "string", what);
        assert.match(headers.get("content-type"), /^application\/json/, what);
        assert.match(headers.get("x-ms-activity-id"), /^[0-9a-f-]{36}$/, what);
    }
});

test("headers beyond the limit are refused in JSON, long session headers are not", async () => {
    const fine = await account.call("GET", "/dbs", { headers: { "x-filler": "x".repeat(14000) } });
    assert.equal(fine.status, 200);
    const res = await account.call("GET", "/dbs", { headers: { "x-filler": "x".repeat(400000) } })
        .catch((err) => ({ err }));
    if (!res.err) { // hanging up is the HTTP layer's other choice
        assert.equal(res.status, 431);
        assert.equal(typeof res.body.code, "string");
    }
});

test("double and trailing slashes are tolerated", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "a" });
    for (const link of ["//dbs", "/dbs/", `//dbs/tests/colls/${container.id}/docs/`]) {
        const { status } = await account.call("GET", link);
        assert.equal(status, 200, link);
    }
});

test("an activity id is echoed, a charge and a fresh id are always there", async () => {
    const mine = "11111111-2222-3333-4444-555555555555";
    const echoed = await account.call("GET", "/dbs", { headers: { "x-ms-activity-id": mine } });
    assert.equal(echoed.headers.get("x-ms-activity-id"), mine);
    const { headers } = await account.call("GET", "/dbs");
    assert.match(headers.get("x-ms-activity-id"), /^[0-9a-f-]{36}$/);
    assert.ok(Number.isFinite(Number.parseFloat(headers.get("x-ms-request-charge"))));
});

test("a request may ask for a weaker level than the account's, not for a stronger one", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "a" });
    for (const level of ["Session", "ConsistentPrefix", "Eventual"]) {
        const { statusCode } = await container.item("1", "a").read({ consistencyLevel: level });
        assert.equal(statusCode, 200, level);
    }
    for (const level of ["Strong", "BoundedStaleness"]) {
        await failing(container.item("1", "a").read({ consistencyLevel: level }), 400);
    }
    await failing(container.item("1", "a").read({ consistencyLevel: "Nonsense" }), 400);
});

test("health and metrics need no key, operator endpoints do", async () => {
    for (const endpoint of [account.endpoint, ...account.regions.map((r) => r.endpoint)]) {
        for (const link of ["/health/live", "/health/ready"]) {
            const { status, body } = await call(endpoint, "", "GET", link);
            assert.equal(status, 200, link);
            assert.equal(typeof body.status, "string");
        }
        const metrics = await fetch(`${endpoint}metrics`);
        assert.equal(metrics.status, 200);
        assert.match(await metrics.text(), /^# HELP holdfast_/);
        assert.equal((await call(endpoint, "", "GET", "/_holdfast/status")).status, 401);
        assert.equal((await call(endpoint, "", "GET", "/_holdfast/account")).status, 401);
    }
    const write = async (name) => (await call(account.region(name).endpoint, "", "GET", "/health/write")).status;
    assert.equal(await write("east"), 200);
    assert.equal(await write("west"), 503);
});

test("many requests at once share the connections", async () => {
    const container = await makeContainer(client);
    const ids = Array.from({ length: 200 }, (_, i) => String(i));
    await Promise.all(ids.map((id) => container.items.create({ id, pk: id })));
    const read = await Promise.all(ids.map((id) => container.item(id, id).read()));
    assert.deepEqual(read.map((r) => r.resource.id), ids);
    assert.equal(cosmos.CosmosClient.name, "CosmosClient");
});

await run();
