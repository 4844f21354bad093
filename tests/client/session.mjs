/* Session consistency: writes go to the write region, reads to a read region, and what a client has
 * written or seen it sees. */
import { Account, assert, before, makeContainer, run, test, until } from "./lib.mjs";

let account;
before(async () => {
    account = await Account.start({ faultProxy: true });
});

function session(region) {
    return account.client({ consistencyLevel: "Session", policy: { preferredLocations: [region] } });
}

/* Where the last attempt of an operation went. */
function endpoints(response) {
    return [...response.diagnostics.clientSideRequestStatistics.locationEndpointsContacted];
}

test("reads go to the preferred region, writes to the write region", async () => {
    const container = await makeContainer(session("west"));
    const written = await container.items.create({ id: "1", pk: "a" });
    assert.ok(endpoints(written).includes(account.region("east").endpoint), JSON.stringify(endpoints(written)));
    const read = await container.item("1", "a").read();
    assert.equal(read.statusCode, 200);
    assert.ok(endpoints(read).includes(account.region("west").endpoint), JSON.stringify(endpoints(read)));
});

test("read your writes at a read region: create, replace, patch, delete", async () => {
    const container = await makeContainer(session("west"));
    for (let i = 0; i < 60; i++) {
        const item = container.item(`i${i}`, "a");
        await container.items.create({ id: `i${i}`, pk: "a", n: 1 });
        assert.equal((await item.read()).resource?.n, 1, `created ${i}`);
        await item.replace({ id: `i${i}`, pk: "a", n: 2 });
        assert.equal((await item.read()).resource?.n, 2, `replaced ${i}`);
        await item.patch([{ op: "incr", path: "/n", value: 1 }]);
        const seen = (await container.items.query("SELECT VALUE c.n FROM c WHERE c.id = @id".replace("@id", `"i${i}"`),
            { partitionKey: "a" }).fetchAll()).resources;
        assert.deepEqual(seen, [3], `queried ${i}`);
        await item.delete();
        assert.equal((await item.read()).statusCode, 404, `deleted ${i}`);
    }
});

test("read your writes over several ranges, with batch and bulk", async () => {
    const client = session("north");
    const container = await makeContainer(client, {}, { offerThroughput: 25000 });
    const operations = Array.from({ length: 60 }, (_, i) => ({ operationType: "Create", resourceBody: { id: "x", pk: `k${i}` } }));
    const results = await container.items.bulk(operations);
    assert.ok(results.every((r) => r.statusCode === 201));
    const read = await Promise.all(operations.map((o) => container.item("x", o.resourceBody.pk).read()));
    assert.ok(read.every((r) => r.statusCode === 200));
    assert.deepEqual((await container.items.query("SELECT VALUE COUNT(1) FROM c").fetchAll()).resources, [60]);
    await container.items.batch([{ operationType: "Create", resourceBody: { id: "b", pk: "k0" } }], "k0");
    assert.equal((await container.item("b", "k0").read()).statusCode, 200);
});

test("monotonic reads while another client writes", async () => {
    const writer = session("east");
    const container = await makeContainer(writer);
    await container.items.create({ id: "m", pk: "a", n: 0 });
    const reader = session("west").database("tests").container(container.id);
    let done = false;
    const load = (async () => {
        for (let n = 1; n <= 150; n++) {
            await container.item("m", "a").replace({ id: "m", pk: "a", n });
        }
        done = true;
    })();
    let last = -1;
    await until("west has the item", async () => (await reader.item("m", "a").read()).statusCode === 200);
    while (!done) {
        const { resource } = await reader.item("m", "a").read();
        assert.ok(resource.n >= last, `${resource.n} after ${last}`);
        last = resource.n;
    }
    await load;
});

test("a token handed to another client carries the session with it", async () => {
    const container = await makeContainer(session("east"));
    const other = account.client({ policy: { preferredLocations: ["north"] } }).database("tests").container(container.id);
    await until("north knows the container", async () => (await other.read()).statusCode === 200);
    for (let i = 0; i < 40; i++) {
        const { headers } = await container.items.upsert({ id: "h", pk: "a", n: i });
        const { resource } = await other.item("h", "a").read({ consistencyLevel: "Session", sessionToken: headers["x-ms-session-token"] });
        assert.ok(resource.n >= i, `${resource?.n} at ${i}`);
    }
});

test("a token from the future is 404/1002 after a wait, in JSON, and does no harm", async () => {
    const container = await makeContainer(session("east"));
    const { headers } = await container.items.create({ id: "1", pk: "a" });
    const token = headers["x-ms-session-token"];
    const [range, version, global, ...regions] = token.split(/[:#]/);
    const lsn = String(Number(global) + 100000);
    const ahead = `${range}:${version}#${lsn}` + regions.map((r) => `#${r.split("=")[0]}=${lsn}`).join("");
    const link = `/dbs/tests/colls/${container.id}/docs/1`;
    for (const region of account.regions) {
        const answer = await account.call("GET", link, { endpoint: region.endpoint,
            headers: { "x-ms-documentdb-partitionkey": '["a"]', "x-ms-session-token": ahead, "x-ms-consistency-level": "Session" } });
        assert.equal(answer.status, 404, region.name);
        assert.equal(answer.headers.get("x-ms-substatus"), "1002");
        assert.equal(answer.body.code, "NotFound");
    }
    for (const odd of ["", "nonsense", "0:", "0:-1#5", `${range}:${version}#x`, "99:1#5#1=5", ",,,", token + "," + token]) {
        const answer = await account.call("GET", link, { headers: { "x-ms-documentdb-partitionkey": '["a"]', "x-ms-session-token": odd } });
        assert.ok([200, 400, 404, 410].includes(answer.status), `${JSON.stringify(odd)}: ${answer.status}`);
    }
});

test("a read region that lags says so to a session that is ahead, and never gives it an old answer", async () => {
    const client = session("east");
    const container = await makeContainer(client);
    const { resource } = await container.items.create({ id: "1", pk: "a", n: 0 });
    const link = `/dbs/tests/colls/${container.id}/docs/1`;
    const west = account.region("west").endpoint;
    const read = (token) => account.call("GET", link, { endpoint: west, headers: {
        "x-ms-documentdb-partitionkey": '["a"]', "x-ms-session-token": token, "x-ms-consistency-level": "Session" } });
    await until("west has the item", async () => (await read("")).status === 200);
    await account.link("east>west", "cut");
    try {
        const { headers } = await container.item("1", "a").replace({ ...resource, n: 1 });
        const answer = await read(headers["x-ms-session-token"]);
        if (answer.status === 200) {
            assert.equal(answer.body.n, 1); // it asked a region that has it
        } else {
            assert.equal(answer.status, 404);
            assert.equal(answer.headers.get("x-ms-substatus"), "1002");
        }
        assert.equal((await read("")).body.n, 0, "without a token the old version is fine");
        await account.link("east>west", "pass");
        await until("west has caught up", async () => (await read(headers["x-ms-session-token"])).body.n === 1);
    } finally {
        await account.link("east>west", "pass");
    }
    await account.healthy();
});

test("without a session, reads elsewhere are allowed to lag but converge", async () => {
    const container = await makeContainer(account.client());
    await container.items.create({ id: "1", pk: "a" });
    const reader = account.client({ policy: { preferredLocations: ["north"] } }).database("tests").container(container.id);
    await until("it arrives", async () => (await reader.item("1", "a").read()).statusCode === 200);
});

await run();
