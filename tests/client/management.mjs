/* The management interface, through the official client of Azure's, unmodified. */
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { Account, assert, call, cosmos, failing, run, test, until, before } from "./lib.mjs";

const require = createRequire(path.join(process.env.HF_MANAGEMENT_SDK, "package.json"));
const { CosmosDBManagementClient } = require("@azure/arm-cosmosdb");
const { createClientPipeline } = require("@azure/core-client");

const subscription = "11111111-2222-3333-4444-555555555555";
const group = "group one";
let account;
let accounts; // the client's operations on accounts

/* The client adds its token only to https URLs. On loopback without TLS the caller's own policy does,
 * under the name that tells the client that there is one. */
function managementClient(token) {
    const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600000 }) };
    const pipeline = createClientPipeline({});
    pipeline.addPolicy({
        name: "bearerTokenAuthenticationPolicy",
        async sendRequest(request, next) {
            request.headers.set("Authorization", `Bearer ${(await credential.getToken()).token}`);
            return next(request);
        },
    });
    return new CosmosDBManagementClient(credential, subscription,
        { endpoint: account.endpoint.replace(/\/$/, ""), pipeline, allowInsecureConnection: true });
}

const token = () => fs.readFileSync(path.join(account.data, "management.token"), "utf8").trim();

async function refused(promise, status, says) {
    try {
        await promise;
    } catch (err) {
        assert.equal(err.statusCode, status, `${err.message}`);
        assert.match(err.message, says);
        assert.equal(typeof err.code, "string");
        return err;
    }
    throw new assert.AssertionError({ message: `expected ${status}, but it went well` });
}

const order = (...names) => ({ failoverPolicies: names.map((locationName, failoverPriority) => ({ locationName, failoverPriority })) });
const places = (...names) => order(...names).failoverPolicies;
const writerOf = (doc) => doc.writeLocations.map((l) => l.locationName).join();

before(async () => {
    account = await Account.start();
    accounts = managementClient(token()).databaseAccounts;
});

test("the token is in a file for its owner only; without it, or with a key, everything is 401", async () => {
    const file = path.join(account.data, "management.token");
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    for (const wrong of ["", "x", token() + "x", token().slice(1), account.key]) {
        await refused(managementClient(wrong).databaseAccounts.get(group, "holdfast"), 401, /bearer token/);
    }
    const bare = await fetch(`${account.endpoint}subscriptions/s/providers/Microsoft.DocumentDB/databaseAccounts?api-version=1`);
    assert.equal(bare.status, 401);
    assert.equal((await bare.json()).error.code, "AuthenticationFailed");
    for (const name of account.regionNames) { // regions do not speak it
        const { status } = await call(account.region(name).endpoint, account.key, "GET", "/subscriptions/s");
        assert.ok(status === 400 || status === 404 || status === 401, `${status}`);
    }
});

test("names are taken or free", async () => {
    assert.equal((await accounts.checkNameExists("holdfast")).body, true);
    assert.equal((await accounts.checkNameExists("nobody")).body, false);
});

test("accounts are shown and listed in the shape that the client reads", async () => {
    const doc = await accounts.get(group, "holdfast");
    assert.equal(doc.name, "holdfast");
    assert.equal(doc.id, `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.DocumentDB/databaseAccounts/holdfast`);
    assert.equal(doc.type, "Microsoft.DocumentDB/databaseAccounts");
    assert.equal(doc.kind, "GlobalDocumentDB");
    assert.equal(doc.provisioningState, "Succeeded");
    assert.equal(doc.documentEndpoint, account.endpoint);
    assert.equal(doc.consistencyPolicy.defaultConsistencyLevel, "Session");
    assert.equal(doc.enableAutomaticFailover, true);
    assert.match(doc.instanceId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.deepEqual(doc.locations.map((l) => [l.locationName, l.failoverPriority, l.documentEndpoint]),
        account.regionNames.map((name, i) => [name, i, account.region(name).endpoint]));
    assert.equal(writerOf(doc), "east");
    assert.deepEqual(doc.failoverPolicies.map((p) => p.id), account.regionNames.map((n) => `holdfast-${n}`));
    for (const list of [accounts.list(), accounts.listByResourceGroup(group)]) {
        const names = [];
        for await (const one of list) {
            names.push(one.name);
        }
        assert.deepEqual(names, ["holdfast"]);
    }
    await refused(accounts.get(group, "nobody"), 404, /no account 'nobody'/);
});

test("an operation is followed at the address that was given, whatever the group is called", async () => {
    const headers = { authorization: `Bearer ${token()}`, "content-type": "application/json" };
    const at = `${account.endpoint}subscriptions/${encodeURIComponent("a/b")}/resourceGroups/${encodeURIComponent("gr\u00fcn #1?")}` +
        "/providers/Microsoft.DocumentDB/databaseAccounts/holdfast?api-version=1";
    const started = await fetch(at, { method: "PATCH", headers, body: JSON.stringify({ properties: { enableAutomaticFailover: true } }) });
    assert.equal(started.status, 202, await started.text());
    for (const name of ["location", "azure-asyncoperation"]) {
        const answer = await fetch(started.headers.get(name), { headers });
        assert.equal(answer.status, 200, `${started.headers.get(name)}: ${await answer.text()}`);
    }
});

test("an account is created, takes data with its own keys, and is deleted", async () => {
    const made = await accounts.beginCreateOrUpdateAndWait(group, "shop", {
        location: "East US",
        databaseAccountOfferType: "Standard",
        locations: places("East US", "West US"),
        consistencyPolicy: { defaultConsistencyLevel: "Eventual" },
    });
    assert.equal(made.provisioningState, "Succeeded");
    assert.deepEqual(made.locations.map((l) => l.locationName), ["eastus", "westus"]);
    assert.notEqual(made.documentEndpoint, account.endpoint);
    assert.equal((await accounts.checkNameExists("shop")).body, true);
    const { connectionStrings } = await accounts.listConnectionStrings(group, "shop");
    const shop = new cosmos.CosmosClient(connectionStrings[0].connectionString);
    const { database } = await shop.databases.create({ id: "db" });
    const { container } = await database.containers.create({ id: "c", partitionKey: "/pk" });
    await container.items.create({ id: "1", pk: "a" });
    assert.equal((await container.item("1", "a").read()).resource.id, "1");
    assert.equal((await shop.getDatabaseAccount()).resource.consistencyPolicy, "Eventual");
    await failing(new cosmos.CosmosClient({ endpoint: made.documentEndpoint, key: account.key }).getDatabaseAccount(), 401);
    await failing(account.client().database("db").read(), 404); // the first account knows nothing of it

    await accounts.beginFailoverPriorityChangeAndWait(group, "shop", order("West US", "East US"));
    assert.equal(writerOf(await accounts.get(group, "shop")), "westus");
    assert.equal((await container.item("1", "a").read()).resource.id, "1");

    // Its own supervisor killed, and all its processes with it: it comes back with what it had.
    const killed = processOf("up", "run/account-shop.conf");
    process.kill(killed, "SIGKILL");
    await until("another supervisor runs", () => ![undefined, killed].includes(processOf("up", "run/account-shop.conf")));
    await until("the data is there again", async () => (await container.item("1", "a").read()).resource?.id === "1", 20000);
    assert.equal((await accounts.get(group, "shop")).documentEndpoint, made.documentEndpoint);

    const { code, text } = await account.cli("account", "list");
    assert.equal(code, 0, text);
    assert.match(text, /shop/);
    await accounts.beginDeleteAndWait(group, "shop");
    await refused(accounts.get(group, "shop"), 404, /no account 'shop'/);
    assert.equal((await accounts.checkNameExists("shop")).body, false);
    assert.deepEqual(fs.readdirSync(path.join(account.data, "accounts")), []);
    await accounts.beginDeleteAndWait(group, "shop"); // gone already: nothing to do
    await refused(accounts.beginDeleteAndWait(group, "holdfast"), 409, /started with/);
}, { timeout_ms: 60000 });

test("what cannot be created is refused with a sentence", async () => {
    const wanted = (more) => ({ location: "a", databaseAccountOfferType: "Standard", locations: places("a", "b"), ...more });
    const create = (name, more) => accounts.beginCreateOrUpdateAndWait(group, name, wanted(more));
    await refused(create("-x-", {}), 400, /no name of an account/);
    await refused(create("shop", { locations: [] }), 400, /1 to/);
    await refused(create("shop", { locations: places("a", "A ") }), 400, /named twice/);
    await refused(create("shop", { locations: [{ locationName: "a", failoverPriority: 1 }, { locationName: "b", failoverPriority: 1 }] }), 400, /given twice/);
    await refused(create("shop", { locations: [{ locationName: "a", isZoneRedundant: true }] }), 501, /zone redundant/);
    await refused(create("shop", { enableMultipleWriteLocations: true }), 501, /write regions/);
    await refused(create("shop", { enableMultipleWriteLocations: true, consistencyPolicy: { defaultConsistencyLevel: "Strong" } }), 400, /Strong/);
    await refused(create("shop", { consistencyPolicy: { defaultConsistencyLevel: "BoundedStaleness", maxIntervalInSeconds: 1 } }), 400, /bounded staleness/);
    await refused(create("shop", { kind: "MongoDB" }), 501, /'kind'/);
    await refused(create("shop", { enableFreeTier: true }), 501, /enableFreeTier/);
    assert.equal((await accounts.checkNameExists("shop")).body, false);
}, { timeout_ms: 60000 });

test("level and automatic failover are patched, not together with locations", async () => {
    const update = (what) => accounts.beginUpdateAndWait(group, "holdfast", what);
    const weaker = await update({ consistencyPolicy: { defaultConsistencyLevel: "ConsistentPrefix" } });
    assert.equal(weaker.consistencyPolicy.defaultConsistencyLevel, "ConsistentPrefix");
    assert.equal((await account.client().getDatabaseAccount()).resource.consistencyPolicy, "ConsistentPrefix");
    const both = await update({ consistencyPolicy: { defaultConsistencyLevel: "Session" }, enableAutomaticFailover: false });
    assert.equal(both.consistencyPolicy.defaultConsistencyLevel, "Session");
    assert.equal(both.enableAutomaticFailover, false);
    assert.equal((await update({ enableAutomaticFailover: true })).enableAutomaticFailover, true);
    await refused(update({ enableAutomaticFailover: false, locations: places("west", "east", "north") }), 400, /one request/);
    await refused(update({ tags: { a: "b" } }), 501, /'tags'/);
    assert.deepEqual((await update({ locations: places("east", "west", "north") })).locations.length, 3); // as it is
}, { timeout_ms: 60000 });

test("priority 0 moves the write region gracefully", async () => {
    await accounts.beginFailoverPriorityChangeAndWait(group, "holdfast", order("West", "east", "north"));
    const doc = await accounts.get(group, "holdfast");
    assert.equal(writerOf(doc), "west");
    assert.equal(doc.location, "west");
    const change = (...names) => accounts.beginFailoverPriorityChangeAndWait(group, "holdfast", order(...names));
    await refused(change("east", "west"), 400, /all 3 regions/);
    await refused(change("east", "east", "west"), 400, /named twice/);
    await refused(change("east", "west", "south"), 400, /south|named/);
    await change("east", "west", "north");
    assert.equal(writerOf(await accounts.get(group, "holdfast")), "east");
}, { timeout_ms: 60000 });

test("a region is added with all data, and removed again", async () => {
    const update = (...names) => accounts.beginUpdateAndWait(group, "holdfast", { locations: places(...names) });
    const { database } = await account.client().databases.create({ id: "regions" });
    const { container } = await database.containers.create({ id: "c", partitionKey: "/pk" });
    await container.items.create({ id: "1", pk: "a" });
    await refused(update("east", "west", "north", "a", "b"), 400, /one region/);
    await refused(update("east"), 400, /one region/);
    await refused(update("west", "north"), 400, /takes the account's writes|write/);
    const more = await update("east", "west", "north", "South 2");
    assert.equal(more.locations.length, 4);
    const south = more.locations[3];
    assert.deepEqual([south.locationName, south.failoverPriority, south.provisioningState], ["south2", 3, "Succeeded"]);
    const there = await call(south.documentEndpoint, account.key, "GET", "/dbs/regions/colls/c/docs/1",
        { headers: { "x-ms-documentdb-partitionkey": '["a"]' } });
    assert.equal(there.status, 200);
    assert.equal(there.body.id, "1");
    const fewer = await update("east", "west", "north");
    assert.deepEqual(fewer.locations.map((l) => l.locationName), ["east", "west", "north"]);
    assert.equal((await container.item("1", "a").read()).resource.id, "1");
}, { timeout_ms: 60000 });

test("priorities of read regions are reordered", async () => {
    await accounts.beginFailoverPriorityChangeAndWait(group, "holdfast", order("east", "north", "west"));
    const doc = await accounts.get(group, "holdfast");
    assert.deepEqual(doc.failoverPolicies.map((p) => p.locationName), ["east", "north", "west"]);
    assert.equal(writerOf(doc), "east");
    await accounts.beginFailoverPriorityChangeAndWait(group, "holdfast", order("east", "west", "north"));
}, { timeout_ms: 60000 });

test("a region is taken offline and brought online; meanwhile other changes are 409", async () => {
    await accounts.beginOfflineRegionAndWait(group, "holdfast", { region: "East" });
    const during = await accounts.get(group, "holdfast");
    assert.equal(writerOf(during), "west");
    assert.equal(during.locations.find((l) => l.locationName === "east").provisioningState, "Offline");
    assert.deepEqual(during.readLocations.map((l) => l.locationName).sort(), ["north", "west"]);
    await refused(accounts.beginFailoverPriorityChangeAndWait(group, "holdfast", order("north", "west", "east")), 409, /east is OFFLINE/);
    await refused(accounts.beginUpdateAndWait(group, "holdfast", { consistencyPolicy: { defaultConsistencyLevel: "Strong" } }), 409, /east is OFFLINE/);
    await refused(accounts.beginOfflineRegionAndWait(group, "holdfast", { region: "mars" }), 400, /no region 'mars'/);
    await accounts.beginOnlineRegionAndWait(group, "holdfast", { region: "east" });
    const after = await accounts.get(group, "holdfast");
    assert.equal(after.readLocations.length, 3);
    assert.equal(writerOf(after), "west"); // it comes back as a read region
    await accounts.beginOnlineRegionAndWait(group, "holdfast", { region: "east" }); // no effect
}, { timeout_ms: 60000 });

test("keys are listed and rotated: the new one works, the old one is refused, without a restart", async () => {
    const keys = await accounts.listKeys(group, "holdfast");
    assert.equal(keys.primaryMasterKey, account.key);
    const { connectionStrings } = await accounts.listConnectionStrings(group, "holdfast");
    assert.deepEqual(connectionStrings.map((c) => [c.keyKind, c.connectionString]), [
        ["Primary", `AccountEndpoint=${account.endpoint};AccountKey=${keys.primaryMasterKey};`],
        ["Secondary", `AccountEndpoint=${account.endpoint};AccountKey=${keys.secondaryMasterKey};`],
        ["PrimaryReadonly", `AccountEndpoint=${account.endpoint};AccountKey=${keys.primaryReadonlyMasterKey};`],
        ["SecondaryReadonly", `AccountEndpoint=${account.endpoint};AccountKey=${keys.secondaryReadonlyMasterKey};`]]);
    const kinds = { primary: "primaryMasterKey", secondary: "secondaryMasterKey",
        primaryReadonly: "primaryReadonlyMasterKey", secondaryReadonly: "secondaryReadonlyMasterKey" };
    for (const [keyKind, field] of Object.entries(kinds)) {
        const old = (await accounts.listKeys(group, "holdfast"))[field];
        await accounts.beginRegenerateKeyAndWait(group, "holdfast", { keyKind });
        const fresh = (await accounts.listKeys(group, "holdfast"))[field];
        assert.notEqual(fresh, old, keyKind);
        for (const endpoint of [account.endpoint, ...account.regions.map((r) => r.endpoint)]) {
            const status = async (key) => (await call(endpoint, key, "GET", "/dbs")).status;
            await until(`the new ${keyKind} key works at ${endpoint}`, async () => await status(fresh) === 200);
            await until(`the old ${keyKind} key is refused at ${endpoint}`, async () => await status(old) === 401);
        }
    }
    const now = await accounts.listKeys(group, "holdfast");
    account.key = now.primaryMasterKey;
    for (const read of [await accounts.getReadOnlyKeys(group, "holdfast"), await accounts.listReadOnlyKeys(group, "holdfast")]) {
        assert.equal(read.primaryReadonlyMasterKey, now.primaryReadonlyMasterKey);
        assert.equal(read.secondaryReadonlyMasterKey, now.secondaryReadonlyMasterKey);
        assert.equal(read.primaryMasterKey, undefined);
    }
    await refused(accounts.beginRegenerateKeyAndWait(group, "holdfast", { keyKind: "tertiary" }), 400, /unknown key/);
}, { timeout_ms: 60000 });

test("an operation can be followed by another client, and after the front was restarted", async () => {
    let location;
    await accounts.beginFailoverPriorityChange(group, "holdfast", order("north", "west", "east"), {
        onResponse: (raw) => { location ??= raw.headers.get("azure-asyncoperation"); },
    });
    assert.match(location, /operationsStatus/);
    process.kill(processOf("front", "run/front.conf"), "SIGKILL");
    const done = await until("the operation is done", async () => {
        const res = await fetch(location, { headers: { authorization: `Bearer ${token()}` } });
        const doc = await res.json();
        return doc.status === "Succeeded" && doc;
    }, 20000, 100);
    assert.equal(done.error, undefined);
    assert.equal(writerOf(await accounts.get(group, "holdfast")), "north");
    const lost = location.replace(/operationsStatus\/[^?]*/, "operationsStatus/unknown");
    assert.equal((await fetch(lost, { headers: { authorization: `Bearer ${token()}` } })).status, 404);
}, { timeout_ms: 60000 });

/** The pid of the process of that role with that configuration file; undefined when there is none. */
function processOf(role, conf) {
    const found = fs.readdirSync("/proc").find((pid) => {
        try {
            const args = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
            return args[1] === role && args.includes(path.join(account.data, conf));
        } catch {
            return false; // no process, or it has ended meanwhile
        }
    });
    return found && Number(found);
}

test("paths and bodies that make no sense get an error in the client's form", async () => {
    const base = `${account.endpoint}subscriptions/s/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts`;
    const cases = [
        ["GET", `${base}/holdfast`, undefined, 400], // no api-version
        ["GET", `${base}/holdfast?api-version=`, undefined, 400],
        ["PUT", `${base}/shop?api-version=1`, "{", 400],
        ["PUT", `${base}/shop?api-version=1`, "[]", 400],
        ["PUT", `${base}/shop?api-version=1`, undefined, 400],
        ["PATCH", `${base}/holdfast?api-version=1`, '{"properties":7}', 400],
        ["PATCH", `${base}/holdfast?api-version=1`, '{"properties":{"consistencyPolicy":{"defaultConsistencyLevel":"Quite"}}}', 400],
        ["PATCH", `${base}/nobody?api-version=1`, "{}", 404],
        ["POST", `${base}/holdfast?api-version=1`, "{}", 400],
        ["POST", `${base}/holdfast/nonsense?api-version=1`, "{}", 404],
        ["POST", `${base}/holdfast/offlineRegion?api-version=1`, "{}", 400],
        ["PUT", `${base}/holdfast/sqlDatabases/d?api-version=1`, "{}", 501],
        ["GET", `${account.endpoint}subscriptions/s/nonsense?api-version=1`, undefined, 404],
    ];
    for (const [method, url, body, status] of cases) {
        const res = await fetch(url, { method, body, headers: { authorization: `Bearer ${token()}` } });
        const doc = await res.json();
        assert.equal(res.status, status, `${method} ${url}: ${JSON.stringify(doc)}`);
        assert.equal(typeof doc.error.code, "string");
        assert.ok(doc.error.message.length > 10);
    }
});

await run();
