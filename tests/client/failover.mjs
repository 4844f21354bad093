/* Loss of regions under a load of attached SDK clients. For every fault: the application goes on,
 * and each write it was told to be done is in the container or in the conflict feed afterwards.
 *
 * Clients are used as documented: preferredLocations, request timeout 5 s, nothing else. The gaps
 * are printed; what is asserted is a generous functional bound, far below the five minutes after
 * which an SDK would look for itself. */
import { Account, assert, before, comment, cosmos, isLong, makeContainer, pause, run, test, unique, until } from "./lib.mjs";

const GAP_MAX_MS = 15000;
const PACE_MS = 20;
const level = process.env.HF_LEVEL ?? "Session"; // of the account: see failover-strong.mjs

let account;
let veteran; // lives through all faults
before(async () => {
    account = await Account.start({ faultProxy: true, consistency: level });
    veteran = account.client({ consistencyLevel: "Session", policy: { preferredLocations: account.regionNames } });
});

/* ---- load ---- */

/** Calls fn every PACE_MS, whether or not earlier calls have returned, and keeps book. */
class Stream {
    constructor(name, fn, most = 400) {
        this.name = name;
        this.acked = []; // {id, at}
        this.errors = new Map();
        this.inFlight = 0;
        this.started = performance.now();
        const timer = setInterval(() => {
            if (this.inFlight < most) {
                this.inFlight++;
                fn().then(
                    (id) => this.acked.push({ id, at: performance.now() }),
                    (err) => {
                        const what = `${err.code ?? err.name}${err.substatus ? `/${err.substatus}` : ""}`;
                        this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
                        this.lastError = err;
                    },
                ).finally(() => { this.inFlight--; });
            }
        }, PACE_MS);
        this.end = async () => {
            clearInterval(timer);
            this.stopped = performance.now();
            await until(`${name}: everything in flight returns`, () => this.inFlight === 0, 20000);
        };
    }

    errorCount() {
        return [...this.errors.values()].reduce((a, b) => a + b, 0);
    }

    /** The longest time without a success, from start to stop. */
    gap() {
        const times = [this.started, ...this.acked.map((a) => a.at), this.stopped].sort((a, b) => a - b);
        return Math.round(Math.max(...times.slice(1).map((t, i) => t - times[i])));
    }

    report() {
        const errors = [...this.errors].map(([what, n]) => `${what} x${n}`).join(", ") || "none";
        return `${this.name}: longest gap ${this.gap()} ms, ${this.acked.length} done, errors: ${errors}`;
    }
}

function writeStream(name, container) {
    const run = unique(name);
    let n = 0;
    return new Stream(`writes (${name})`, async () => {
        const id = `${run}-${n++}`;
        await container.items.create({ id, pk: `k${n % 10}`, from: name });
        return id;
    });
}

function readStream(name, container, id, pk) {
    return new Stream(`reads (${name})`, async () => {
        const { statusCode } = await container.item(id, pk).read();
        if (statusCode !== 200) {
            throw Object.assign(new Error(`read: ${statusCode}`), { code: statusCode });
        }
        return id;
    });
}

/** Ids of all items as one region has them. */
async function idsAt(container, regionName) {
    const ids = new Set();
    let token;
    do {
        const answer = await account.call("POST", `/dbs/tests/colls/${container.id}/docs`, { endpoint: account.region(regionName).endpoint,
            body: { query: "SELECT VALUE c.id FROM c" }, headers: { "x-ms-documentdb-isquery": "true",
                "content-type": "application/query+json", "x-ms-max-item-count": "1000", ...(token ? { "x-ms-continuation": token } : {}) } });
        assert.equal(answer.status, 200, `query at ${regionName}: ${answer.text}`);
        answer.body.Documents.forEach((id) => ids.add(id));
        token = answer.headers.get("x-ms-continuation");
    } while (token);
    return ids;
}

/** Every acknowledged write survives or is in the conflict feed. Returns counts. */
async function settle(container, streams) {
    await account.healthy(60000);
    const acked = streams.flatMap((s) => s.acked.map((a) => a.id));
    const fresh = account.client({ consistencyLevel: "Session" }).database("tests").container(container.id);
    const surviving = new Set((await fresh.items.query("SELECT VALUE c.id FROM c", { maxItemCount: 1000 }).fetchAll()).resources);
    const feed = (await fresh.conflicts.readAll({ maxItemCount: 500 }).fetchAll()).resources;
    const inFeed = new Set(feed.map((c) => JSON.parse(c.content).id));
    const lost = acked.filter((id) => !surviving.has(id) && !inFeed.has(id));
    const away = acked.filter((id) => !surviving.has(id) && inFeed.has(id));
    comment(`${acked.length} acknowledged, ${acked.length - away.length - lost.length} surviving, ` +
        `${away.length} in the conflict feed, ${lost.length} lost`);
    assert.deepEqual(lost.slice(0, 10), [], "lost writes");
    if (level === "Strong") {
        assert.deepEqual(away, [], "at Strong nothing acknowledged leaves the container");
    }
    for (const name of account.regionNames) { // every region holds the same afterwards
        let there;
        try {
            await until(`${name} has all`, async () => {
                there = await idsAt(container, name);
                return there.size === surviving.size;
            }, 15000, 100);
        } finally {
            const missing = [...surviving].filter((id) => !there.has(id));
            const extra = [...there].filter((id) => !surviving.has(id));
            if (missing.length + extra.length > 0) {
                comment(`${name}: ${there.size} items, missing ${missing.slice(0, 5)}, more than there should be ${extra.slice(0, 5)}`);
            }
        }
    }
    if (feed.length > 0) {
        await useFeed(fresh, feed);
    }
    return { acked: acked.length, away: away.length, surviving };
}

/** The conflict feed as an application uses it: read a record, delete it. */
async function useFeed(container, feed) {
    const record = feed[0];
    const key = JSON.parse(record.content).pk;
    const { resource } = await container.conflict(record.id, key).read();
    assert.equal(resource.id, record.id);
    assert.equal(resource.resourceType, "document");
    assert.ok(["create", "replace", "delete"].includes(resource.operationType), resource.operationType);
    assert.equal(resource.content, record.content);
    assert.equal((await container.conflict(record.id, key).delete()).statusCode, 204);
    const left = (await container.conflicts.readAll().fetchAll()).resources;
    assert.equal(left.length, feed.length - 1);
}

/** Follows the change feed across everything that happens. */
class Follower {
    constructor(container) {
        this.seen = new Set();
        this.errors = 0;
        this.iterator = container.items.getChangeFeedIterator({
            changeFeedStartFrom: cosmos.ChangeFeedStartFrom.Beginning(), maxItemCount: 100 });
        this.running = this.run();
    }

    async run() {
        for (let wasEnding = false; ;) {
            try {
                const page = await this.iterator.readNext();
                for (const doc of page.result ?? []) {
                    this.seen.add(doc.id);
                }
                if (page.statusCode === 304) {
                    if (wasEnding) {
                        return;
                    }
                    wasEnding = this.isEnding === true;
                    await pause(PACE_MS);
                }
            } catch (err) {
                this.errors++; // an application would try again from its token, too
                this.lastError = err;
                assert.ok(this.errors < 500, `change feed: ${err.stack}`);
                await pause(PACE_MS);
            }
        }
    }

    /** Everything that survived was seen. */
    async end(surviving) {
        this.isEnding = true;
        await this.running;
        const missed = [...surviving].filter((id) => !this.seen.has(id));
        comment(`change feed: ${this.seen.size} items, ${this.errors} errors${this.lastError ? ` (${this.lastError.code})` : ""}`);
        assert.deepEqual(missed.slice(0, 10), [], "items the change feed never showed");
    }
}

/**
 * One fault: clients attach and run, `inject` breaks, the load goes on until `recovered`, `heal`
 * repairs, the load goes on a little, then everything is counted.
 */
async function drill({ inject, recovered, heal = async () => {}, reads, allowErrors = true }) {
    await account.healthy(60000);
    const container = await makeContainer(veteran);
    await container.items.create({ id: "read-me", pk: "k0" });
    const at = (client) => client.database("tests").container(container.id);
    const attach = (options) => at(account.client({ consistencyLevel: "Session", ...options }));
    const others = account.regionNames.filter((r) => r !== reads);
    const clients = {
        veteran: at(veteran),
        "no preference": attach({}),
        "global endpoint only": attach({ policy: { enableEndpointDiscovery: false } }),
    };
    const reader = attach({ policy: { preferredLocations: [reads, ...others] } });
    for (const [name, one] of Object.entries({ ...clients, reader })) {
        // These clients have no session yet: a read region may be a moment behind.
        await until(`${name} reads`, async () => (await one.item("read-me", "k0").read()).statusCode === 200, 10000);
    }
    const writes = Object.entries(clients).map(([name, one]) => writeStream(name, one));
    const readers = [
        readStream("prefers the faulty region", reader, "read-me", "k0"),
        new Stream("queries (no preference)", async () => {
            const { resources } = await clients["no preference"].items.query("SELECT VALUE c.id FROM c WHERE c.id = 'read-me'").fetchAll();
            assert.deepEqual(resources, ["read-me"]);
            return "read-me";
        }),
    ];
    const follower = new Follower(at(account.client({ policy: { preferredLocations: [reads, ...others] } })));
    const all = [...writes, ...readers];
    const after = async (what, count) => {
        const marks = all.map((s) => s.acked.length);
        await until(what, () => all.every((s, i) => s.acked.length >= marks[i] + count), 60000);
    };
    try {
        await after("the load runs", 20);
        await inject();
        if (recovered) {
            await until("the account has recovered", recovered, 60000);
        }
        await after("the load runs on after the fault", 60);
        await heal();
        await after("the load runs on after the repair", 20);
    } finally {
        for (const stream of all) {
            await stream.end();
        }
        for (const stream of all) {
            comment(stream.report());
        }
    }
    for (const stream of all) {
        assert.ok(stream.gap() < GAP_MAX_MS, `${stream.name}: gap of ${stream.gap()} ms`);
        if (!allowErrors) {
            assert.equal(stream.errorCount(), 0, `${stream.name}: ${stream.lastError?.stack}`);
        }
    }
    const counts = await settle(container, writes);
    await follower.end(counts.surviving);
    return counts;
}

/* ---- faults ---- */

const movedFrom = (region) => async () => {
    const doc = await account.show();
    return doc.phase === "OPEN" && doc.writer !== region;
};

test("the write region's server is killed", async () => {
    const writer = await account.writer();
    await drill({ reads: writer, recovered: movedFrom(writer),
        inject: async () => process.kill(await account.pid(writer), "SIGKILL") });
}, { timeout_ms: 120000 });

test("the write region's server freezes for four seconds", async () => {
    const writer = await account.writer();
    const pid = await account.pid(writer);
    await drill({ reads: writer, recovered: movedFrom(writer),
        inject: async () => {
            process.kill(pid, "SIGSTOP");
            setTimeout(() => {
                try {
                    process.kill(pid, "SIGCONT");
                } catch (e) {
                    if (e.code !== "ESRCH") { // its supervisor killed it: then it is back already
                        throw e;
                    }
                }
            }, 4000);
        },
        heal: () => pause(3000) }); // the load meets the former writer awake again
}, { timeout_ms: 120000 });

test("the write region is cut off from coordinator and peers, not from clients", async () => {
    const writer = await account.writer();
    try {
        await drill({ reads: writer, recovered: movedFrom(writer),
            inject: () => account.links(writer, "cut"),
            heal: () => account.links(writer, "pass") });
    } finally {
        await account.links(writer, "pass");
    }
}, { timeout_ms: 120000 });

test("the write region changes gracefully: no error reaches any client", async () => {
    const doc = await account.healthy(60000);
    const target = doc.regions.find((r) => r.name !== doc.writer).name;
    const { away } = await drill({ reads: doc.writer, recovered: movedFrom(doc.writer), allowErrors: false,
        inject: async () => {
            const { code, text } = await account.cli("account", "failover", target);
            assert.equal(code, 0, text);
        } });
    assert.equal(away, 0, "nothing leaves the container");
    assert.equal(await account.writer(), target);
}, { timeout_ms: 120000 });

test("a read region's server is killed: writes do not notice", async () => {
    const doc = await account.healthy(60000);
    const region = doc.regions.find((r) => r.name !== doc.writer).name;
    const { away } = await drill({ reads: region,
        inject: async () => process.kill(await account.pid(region), "SIGKILL") });
    assert.equal(away, 0);
    assert.equal(await account.writer(), doc.writer);
}, { timeout_ms: 120000 });

test("killed again and again, the same clients go on", async () => {
    for (let round = 0; round < (isLong ? 10 : 2); round++) {
        const writer = await account.writer();
        await drill({ reads: writer, recovered: movedFrom(writer),
            inject: async () => process.kill(await account.pid(writer), "SIGKILL") });
    }
}, { timeout_ms: isLong ? 600000 : 180000 });

test("the long-lived client still reads and writes, in the region that writes now", async () => {
    const container = await makeContainer(veteran);
    assert.equal((await container.items.create({ id: "1", pk: "a" })).statusCode, 201);
    assert.equal((await container.item("1", "a").read()).statusCode, 200);
    await veteran.getDatabaseAccount();
});

await run();
