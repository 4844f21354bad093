/* What the client tests share: TAP, an account of their own, small helpers.
 *
 * A test file is a plain program: `test(title, fn)` collects, `await run()` runs them in order and
 * prints TAP. Environment, set by tests/client/run: HF_BUILD (build directory), HF_SDK (folder
 * whose node_modules has the SDK), HF_LONG, HF_ONLY (only titles that contain this), HF_KEEP (leave
 * the account's directory there). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export { assert };
export const isLong = process.env.HF_LONG === "1";
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const build = path.resolve(root, process.env.HF_BUILD ?? "build");
export const holdfast = process.env.HF_PROGRAM ?? path.join(build, "src/cli/holdfast");
export const sdkDir = process.env.HF_SDK ?? path.join(root, "tests/client/sdk/4.4.1");
const require = createRequire(path.join(path.resolve(root, sdkDir), "package.json"));
/** The official SDK, unmodified. */
export const cosmos = require("@azure/cosmos");
export const sdkVersion = cosmos.CosmosClient && require("@azure/cosmos/package.json").version;

/* ---- TAP ---- */

const tests = [];
const stops = [];
let setUp = async () => {};

/** Set-up of the whole program; not run when no test is selected. */
export function before(fn) {
    setUp = fn;
}

/** fn may return {skip: REASON} when it finds that it cannot run. */
export function test(title, fn, options = {}) {
    tests.push({ title, fn, timeout_ms: options.timeout_ms ?? 30000, skip: options.skip });
}

export function comment(text) {
    for (const line of String(text).split("\n")) {
        console.log(`# ${line}`);
    }
}

async function withTimeout(promise, ms, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

function describe(err) {
    const stack = (err?.stack ?? String(err)).split("\n");
    const lines = stack.filter((l) => !/^ +at .*(node_modules|node:internal)/.test(l));
    for (const key of ["code", "substatus", "body", "activityId"]) {
        if (err?.[key] !== undefined) {
            lines.push(`${key}: ${JSON.stringify(err[key])}`);
        }
    }
    return lines.join("\n");
}

/** Runs everything collected; ends the process. */
export async function run() {
    const only = process.env.HF_ONLY ?? "";
    let failed = 0;
    let n = 0;
    console.log(`# @azure/cosmos ${sdkVersion}, node ${process.version}`);
    const selected = tests.filter((one) => one.title.includes(only));
    try {
        await (selected.length > 0 ? setUp() : undefined);
    } catch (err) {
        n = failed = 1;
        selected.length = 0;
        console.log(`not ok 1 - set-up`);
        comment(describe(err));
    }
    for (const t of selected) {
        n++;
        if (t.skip) {
            console.log(`ok ${n} - ${t.title} # SKIP ${t.skip}`);
            continue;
        }
        const started = performance.now();
        try {
            const skip = await withTimeout(Promise.resolve().then(t.fn), t.timeout_ms, t.title);
            console.log(`ok ${n} - ${t.title}${skip?.skip ? ` # SKIP ${skip.skip}` : ""}`);
        } catch (err) {
            failed++;
            console.log(`not ok ${n} - ${t.title}`);
            comment(describe(err));
            comment(`after ${Math.round(performance.now() - started)} ms`);
        }
    }
    for (const stop of stops.reverse()) {
        try {
            await stop(failed > 0);
        } catch (err) {
            failed++;
            n++;
            console.log(`not ok ${n} - the account stops cleanly`);
            comment(describe(err));
        }
    }
    console.log(`1..${n}`);
    process.exit(failed > 0 ? 1 : 0);
}

/* ---- waiting ---- */

/** Polls `fn` until it returns something true (an error counts as false); that is the result. */
export async function until(what, fn, timeout_ms = 10000, every_ms = 20) {
    const end = performance.now() + timeout_ms;
    let last;
    for (;;) {
        try {
            const result = await fn();
            if (result) {
                return result;
            }
            last = undefined;
        } catch (err) {
            last = err;
        }
        if (performance.now() > end) {
            throw new Error(`not within ${timeout_ms} ms: ${what}`, { cause: last });
        }
        await pause(every_ms);
    }
}

/** For pacing a load or a poll; never to wait for something to have happened. */
export function pause(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

/* ---- an account ---- */

function portIsFree(port) {
    return new Promise((resolve) => {
        const server = net.createServer();
        server.once("error", () => resolve(false));
        server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
}

async function freePorts(count) {
    for (let i = 0; i < 200; i++) {
        const base = 20000 + Math.floor(Math.random() * 790) * 16; // below the ports of outgoing connections
        let isFree = true;
        for (let p = base; p < base + count && isFree; p++) {
            isFree = await portIsFree(p);
        }
        if (isFree) {
            return base;
        }
    }
    throw new Error("no free run of ports found");
}

function tail(file, lines) {
    return fs.readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
}

export class Account {
    /** Starts `holdfast up` and waits until it serves. Stopped and checked by run(). */
    static async start(options = {}) {
        const a = new Account();
        a.dir = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-client-"));
        a.regionNames = options.regions ?? ["east", "west", "north"];
        a.port = await freePorts(a.regionNames.length + 1);
        a.data = path.join(a.dir, "data");
        const ready = path.join(a.dir, "ready.json");
        const args = ["up", "--dir", a.data, "--port", String(a.port), "--ready-file", ready,
            "--regions", a.regionNames.join(","), ...(options.args ?? [])];
        if (options.consistency) {
            args.push("--consistency", options.consistency);
        }
        if (options.faultProxy) {
            args.push("--fault-proxy");
        }
        a.log = path.join(a.dir, "up.log");
        const out = fs.openSync(a.log, "a");
        a.child = spawn(holdfast, args, { stdio: ["ignore", out, out] });
        fs.closeSync(out);
        a.exited = new Promise((resolve) => {
            a.child.once("error", (err) => resolve({ error: err }));
            a.child.once("exit", (code, signal) => resolve({ code, signal }));
        });
        stops.push((isFailed) => a.stop(isFailed));
        let end;
        a.exited.then((how) => { end = how; });
        await until("account is ready", () => {
            if (end) {
                throw new Error(`up ended: ${JSON.stringify(end)}\n${tail(a.log, 20)}`);
            }
            return fs.existsSync(ready);
        }, 30000);
        Object.assign(a, JSON.parse(fs.readFileSync(ready, "utf8")));
        trusted = a.ca ? fs.readFileSync(a.ca) : trusted;
        return a;
    }

    async stop(isFailed) {
        if (this.child.exitCode === null && this.child.signalCode === null) {
            this.child.kill("SIGTERM");
        }
        let how;
        try {
            how = await withTimeout(this.exited, 15000, "stopping the account");
            assert.deepEqual(how, { code: 0, signal: null }, "exit of `holdfast up`");
        } catch (err) {
            this.printLogs();
            this.child.kill("SIGKILL");
            throw err;
        }
        if (isFailed) {
            this.printLogs();
        }
        if (process.env.HF_KEEP) {
            comment(`kept: ${this.dir}`);
        } else {
            fs.rmSync(this.dir, { recursive: true, force: true });
        }
    }

    printLogs() {
        const run = path.join(this.data, "run");
        const files = fs.existsSync(run) ? fs.readdirSync(run).filter((f) => f.endsWith(".log")) : [];
        for (const file of [this.log, ...files.map((f) => path.join(run, f))]) {
            comment(`---- ${path.basename(file)} ----`);
            comment(tail(file, 25));
        }
    }

    /** A client of the SDK. Options go over the defaults; `policy` into connectionPolicy. */
    client({ policy, ...options } = {}) {
        const client = new cosmos.CosmosClient({
            endpoint: this.endpoint,
            key: this.key,
            connectionPolicy: { requestTimeout: 5000, ...policy },
            ...options,
        });
        return client;
    }

    region(name) {
        const found = this.regions.find((r) => r.name === name);
        assert.ok(found, `region ${name}`);
        return found;
    }

    /** A signed request past the SDK: {status, headers, body (parsed)}. */
    async call(method, link, options = {}) {
        return call(options.endpoint ?? this.endpoint, options.key ?? this.key, method, link, options);
    }

    /** The account as an operator sees it. */
    async show() {
        const answer = await this.call("GET", "/_holdfast/account");
        assert.equal(answer.status, 200);
        return answer.body;
    }

    async writer() {
        return (await this.show()).writer;
    }

    /** Waits until every region is online and one of them writes. */
    async healthy(timeout_ms = 30000) {
        return until("all regions are online", async () => {
            const doc = await this.show();
            const online = doc.regions.filter((r) => r.state.startsWith("ONLINE"));
            return doc.phase === "OPEN" && online.length === doc.regions.length && doc;
        }, timeout_ms);
    }

    async pid(regionName) {
        const answer = await this.call("GET", "/_holdfast/process",
            { endpoint: this.region(regionName).endpoint });
        assert.equal(answer.status, 200);
        assert.ok(answer.body.pid > 1);
        return answer.body.pid;
    }

    /** Runs the program's other commands against this account. */
    async cli(...args) {
        const child = spawn(holdfast, args.concat(["--dir", this.data]), { stdio: ["ignore", "pipe", "pipe"] });
        let text = "";
        child.stdout.on("data", (d) => { text += d; });
        child.stderr.on("data", (d) => { text += d; });
        const code = await new Promise((resolve) => child.once("close", resolve));
        return { code, text };
    }

    /** The number of the container's only partition. */
    async partitionOf(container) {
        const { code, text } = await this.cli("account", "partition", "list", "--json");
        assert.equal(code, 0, text);
        const part = JSON.parse(text).partitions.find((p) => p.container.endsWith(`/colls/${container}`));
        assert.ok(part, text);
        return String(part.partition);
    }

    /** Moves a partition, and again while a region has not yet said that it can take part (409). */
    async partition(...args) {
        await until(`partition ${args.join(" ")}`, async () => {
            const { code, text } = await this.cli("account", "partition", ...args);
            assert.equal(code, 0, text);
            return true;
        }, 20000, 200);
    }

    /** Cuts ("cut"), delays or heals ("pass") every link of a region to coordinator and peers. */
    async links(regionName, mode) {
        const others = this.regionNames.filter((r) => r !== regionName);
        const names = [`${regionName}>coordinator`];
        for (const other of others) {
            names.push(`${regionName}>${other}`, `${other}>${regionName}`);
        }
        for (const name of names) {
            await this.link(name, mode);
        }
    }

    async link(name, mode) {
        const { faultProxy } = JSON.parse(fs.readFileSync(path.join(this.data, "account.json"), "utf8"));
        const [host, port] = faultProxy.split(":");
        const answer = await new Promise((resolve, reject) => {
            const socket = net.connect(Number(port), host, () => socket.write(`mode ${name} ${mode}\n`));
            let text = "";
            socket.on("data", (d) => {
                text += d;
                if (text.includes("\n")) {
                    socket.end();
                    resolve(text.trim());
                }
            });
            socket.on("error", reject);
            socket.on("end", () => resolve(text.trim()));
        });
        assert.match(answer, /^ok/, `fault proxy: mode ${name} ${mode}`);
    }
}

/* ---- requests past the SDK ---- */

let trusted; // PEM of the authority of an account with TLS

/** What `call` needs of fetch, which knows no authorities of its own. */
function fetchTls(url, { method, headers, body }) {
    return new Promise((resolve, reject) => {
        const req = https.request(url, { method, headers, ca: trusted }, (res) => {
            let text = "";
            res.setEncoding("utf8");
            res.on("data", (d) => { text += d; });
            res.on("error", reject);
            res.on("end", () => resolve({ status: res.statusCode, headers: new Headers(res.headers), text: async () => text }));
        });
        req.on("error", reject);
        req.end(body);
    });
}

const { createHmac } = await import("node:crypto");

/** Resource type and link of a path, as the master key signs them. */
function signedParts(link) {
    const parts = link.split("/").filter((p) => p.length > 0);
    if (parts.length === 0) {
        return ["", ""];
    }
    return parts.length % 2 === 0
        ? [parts[parts.length - 2], parts.join("/")]
        : [parts[parts.length - 1], parts.slice(0, -1).join("/")];
}

export function authorization(key, method, link, date) {
    const [type, id] = signedParts(link);
    const text = `${method.toLowerCase()}\n${type}\n${id}\n${date.toLowerCase()}\n\n`;
    const sig = createHmac("sha256", Buffer.from(key, "base64")).update(text, "utf8").digest("base64");
    return encodeURIComponent(`type=master&ver=1.0&sig=${sig}`);
}

export async function call(endpoint, key, method, link, { headers = {}, body, date } = {}) {
    const when = date ?? new Date().toUTCString();
    const all = { "x-ms-date": when, "x-ms-version": "2020-07-15", ...headers };
    if (key) {
        all.authorization = authorization(key, method, link, when);
    }
    if (body !== undefined && !all["content-type"]) {
        all["content-type"] = "application/json";
    }
    const send = endpoint.startsWith("https:") ? fetchTls : fetch;
    const res = await send(endpoint.replace(/\/$/, "") + encodeURI(link), {
        method, headers: all, body: typeof body === "object" ? JSON.stringify(body) : body,
    });
    const text = await res.text();
    let doc = null;
    if (text.length > 0) {
        doc = JSON.parse(text);
    }
    return { status: res.status, headers: res.headers, body: doc, text };
}

/* ---- small things ---- */

/** The error that fn ends with; fails when it does not. */
export async function failing(fn, code, substatus) {
    let err;
    try {
        const result = await (typeof fn === "function" ? fn() : fn);
        err = new assert.AssertionError({
            message: `expected ${code}, but it went well: ${JSON.stringify(result?.statusCode ?? result)?.slice(0, 200)}`,
        });
    } catch (e) {
        if (e.code === code && (substatus === undefined || (e.substatus ?? 0) === substatus)) {
            return e;
        }
        err = new Error(`expected ${code}${substatus === undefined ? "" : `/${substatus}`}, got ${e.code}/${e.substatus}: ${e.message}`,
            { cause: e });
    }
    throw err;
}

let counter = 0;
export function unique(prefix) {
    counter++;
    return `${prefix}-${process.pid}-${counter}`;
}

/** A database of its own, or a container in one shared database. */
export async function makeContainer(client, definition = {}, options = undefined) {
    const { database } = await client.databases.createIfNotExists({ id: "tests" });
    const { container } = await database.containers.create(
        { id: unique("c"), partitionKey: { paths: ["/pk"] }, ...definition }, options);
    return container;
}

/** Without what the server adds. */
export function plain(doc) {
    const { _rid, _self, _etag, _ts, _attachments, _lsn, ...rest } = doc;
    return rest;
}

export function sorted(list, key = (x) => x) {
    return [...list].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
