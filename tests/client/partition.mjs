/* One partition written by another region than the account's write region, and back, under an application that
 * uses attached SDK clients as documented. Nothing it does fails, and nothing that was acknowledged is missing. */
import { Account, assert, before, comment, makeContainer, run, test, unique } from "./lib.mjs";

let account;
let longest_ms = 0; // of a write, with all that the SDK did for it
before(async () => {
    account = await Account.start();
    await account.healthy();
});

/** Writes an item and reads it back as long as `more` says so; each must succeed. */
async function work(container, ids, name, more) {
    for (let n = 0; more(n); n++) {
        const id = unique(name);
        const started = performance.now();
        const { statusCode } = await container.items.create({ id, pk: `k${n % 5}`, n });
        assert.equal(statusCode, 201);
        longest_ms = Math.max(longest_ms, performance.now() - started);
        ids.push(id);
        const read = await container.item(id, `k${n % 5}`).read();
        assert.equal(read.statusCode, 200, `read of ${id}`);
        assert.equal(read.resource.n, n);
    }
}

test("an application goes on writing and reading while a partition moves and returns", async () => {
    const options = { consistencyLevel: "Session", policy: { preferredLocations: account.regionNames } };
    const clients = [account.client(options), account.client(options)];
    const containerId = (await makeContainer(clients[0])).id;
    const containers = clients.map((c) => c.database("tests").container(containerId));
    const ids = [];
    const id = await account.partitionOf(containerId);
    const home = await account.writer();
    const away = account.regionNames.find((name) => name !== home);
    await work(containers[0], ids, "before", (n) => n < 5);
    let isMoving = true;
    const during = Promise.all(containers.map((c, i) => work(c, ids, `during${i}`, () => isMoving)));
    await account.partition("failover", id, away);
    const document = (await account.call("GET", "/")).body;
    assert.equal(document.enablePerPartitionFailoverBehavior, true);
    assert.equal(document.writableLocations[0].name, home, "the account's write region stays");
    isMoving = false;
    await during;
    const moved = ids.length;
    await work(containers[0], ids, "away", (n) => n < 20); // a client that saw the move
    await work(account.client(options).database("tests").container(containerId), ids, "fresh", (n) => n < 20);
    const pk = { "x-ms-documentdb-partitionkey": '["k0"]' };
    const refused = await account.call("POST", `/dbs/tests/colls/${containerId}/docs`,
        { endpoint: account.region(home).endpoint, body: { id: "x", pk: "k0" }, headers: pk });
    assert.deepEqual([refused.status, refused.headers.get("x-ms-substatus")], [403, "3"]);
    isMoving = true;
    const back = Promise.all(containers.map((c, i) => work(c, ids, `back${i}`, () => isMoving)));
    await account.partition("return", id);
    isMoving = false;
    await back;
    await work(containers[1], ids, "after", (n) => n < 20);
    const { resources } = await containers[0].items.query("SELECT VALUE c.id FROM c").fetchAll();
    assert.deepEqual(resources.sort(), ids.sort());
    comment(`${ids.length} items, ${moved} of them until the move was over; longest write ${Math.round(longest_ms)} ms`);
}, { timeout_ms: 60000 });

await run();
