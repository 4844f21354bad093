/* Consistency levels as the SDK sees them: read from the account, asked for per request, changed while
 * clients are connected, and writes that BoundedStaleness holds back for a while. */
import { Account, assert, before, failing, makeContainer, run, test, until } from "./lib.mjs";

let account;
let client;
before(async () => {
    account = await Account.start({ faultProxy: true, args: ["--no-auto-failover"] });
    client = account.client();
});

async function change(level, ...args) {
    await until(`level ${level}`, async () => (await account.cli("account", "consistency", level, ...args)).code === 0);
}

async function level() {
    return (await client.getDatabaseAccount()).resource.consistencyPolicy;
}

test("the SDK reads the level from the account, before and after it is changed", async () => {
    assert.equal(await level(), "Session");
    await change("Strong");
    assert.equal(await level(), "Strong");
    await change("BoundedStaleness", "--max-staleness-ops", "20", "--max-staleness-seconds", "60");
    assert.equal(await level(), "BoundedStaleness");
});

test("clients that were connected before go on reading and writing while the level changes", async () => {
    const container = await makeContainer(client);
    let isDone = false;
    let written = 0;
    const load = (async () => {
        while (!isDone) {
            const id = `i${written}`;
            await container.items.create({ id, pk: "a" });
            assert.equal((await container.item(id, "a").read()).statusCode, 200, id);
            written++;
        }
    })();
    for (const to of ["Strong", "Session", "Eventual", "BoundedStaleness"]) {
        await change(to);
    }
    isDone = true;
    await load;
    assert.ok(written > 0, `${written} written`);
});

test("a request may ask for less than BoundedStaleness, not for Strong", async () => {
    const container = await makeContainer(client);
    await container.items.create({ id: "1", pk: "a" });
    for (const weaker of ["BoundedStaleness", "Session", "ConsistentPrefix", "Eventual"]) {
        assert.equal((await container.item("1", "a").read({ consistencyLevel: weaker })).statusCode, 200, weaker);
    }
    await failing(container.item("1", "a").read({ consistencyLevel: "Strong" }), 400);
});

test("a write that is held back is tried again by the SDK until the region has caught up", async () => {
    const container = await makeContainer(client);
    await account.links("north", "cut");
    const impatient = account.client({ policy: { retryOptions: { maxRetryAttemptCount: 0 } } });
    const same = impatient.database(container.database.id).container(container.id);
    let n = 0;
    await failing((async () => {
        for (; n < 40; n++) {
            await same.items.create({ id: `i${n}`, pk: "a" });
        }
    })(), 429);
    assert.ok(n >= 15 && n <= 20, `${n} writes before`);
    const patient = container.items.create({ id: "late", pk: "a" });
    await account.links("north", "pass");
    assert.equal((await patient).statusCode, 201);
});

run();
