/* The JavaScript SDK as an application uses it; driven by ../sdks.mjs, which says what is printed. */
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import "../names.mjs";

const env = process.env;
const require = createRequire(path.join(path.resolve(env.HF_SDK), "package.json"));
const { CosmosClient, ChangeFeedStartFrom } = require("@azure/cosmos");
const say = (...words) => process.stdout.write(`${words.join(" ")}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let isEnding = false;
readline.createInterface({ input: process.stdin }).on("close", () => { isEnding = true; });

say("version", require("@azure/cosmos/package.json").version);
const client = new CosmosClient({ endpoint: env.HF_ENDPOINT, key: env.HF_KEY,
    connectionPolicy: { requestTimeout: 5000, preferredLocations: env.HF_REGIONS.split(",") } });

async function check(name, fn) {
    try {
        await fn();
        say("check", name, "ok");
    } catch (err) {
        say("check", name, "failed", String(err?.stack ?? err).split("\n").slice(0, 4).join(" | "));
    }
}

function must(condition, what) {
    if (!condition) {
        throw new Error(what);
    }
}

const { database } = await client.databases.createIfNotExists({ id: "sdks" });
const { container } = await database.containers.createIfNotExists({ id: env.HF_CONTAINER, partitionKey: { paths: ["/pk"] } });

async function basics() {
    await check("create", () => container.items.create({ id: "1", pk: "a", n: 1 }));
    await check("read", async () => must((await container.item("1", "a").read()).resource.n === 1, "n"));
    await check("replace", () => container.item("1", "a").replace({ id: "1", pk: "a", n: 2 }));
    await check("upsert", () => container.items.upsert({ id: "2", pk: "b", n: 3 }));
    await check("patch", () => container.item("2", "b").patch([{ op: "set", path: "/n", value: 4 }]));
    await check("query", async () => {
        const { resources } = await container.items.query("SELECT * FROM c WHERE c.n >= 2 ORDER BY c.n").fetchAll();
        must(resources.map((r) => r.n).join() === "2,4", JSON.stringify(resources));
    });
    await check("changefeed", async () => {
        const feed = container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Beginning() });
        const seen = new Set();
        for (let page = await feed.readNext(); page.statusCode !== 304; page = await feed.readNext()) {
            page.result.forEach((r) => seen.add(r.id));
        }
        must(seen.size === 2, [...seen].join());
    });
    await check("delete", () => container.item("2", "b").delete());
    await check("missing", async () => must((await container.item("2", "b").read()).statusCode === 404, "404"));
}

async function stream(letter, fn) {
    for (let n = 0; !isEnding; n++) {
        try {
            await fn(n);
            say(letter, "ok");
        } catch (err) {
            say(letter, `${err.code ?? err.name}${err.substatus ? `/${err.substatus}` : ""}`);
        }
        await pause(20);
    }
}

if (env.HF_MODE === "basics") {
    await basics();
} else {
    await container.items.upsert({ id: "read-me", pk: "r" });
    await Promise.all([
        stream("w", (n) => container.items.create({ id: `w${n}`, pk: `k${n % 10}` })),
        stream("r", async () => must((await container.item("read-me", "r").read()).statusCode === 200, "not found")),
    ]);
}
process.exit(0);
