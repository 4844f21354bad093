/* Every official SDK that this machine can get, against host names and TLS: the basics, then faults
 * while one thread writes and one reads. Options are the SDK's own, but for the request timeout (5 s)
 * and the preferred regions. JavaScript always, with one fault; in the long form, or asked for by name
 * with HF_SDKS, the other languages and all faults. The table is in doc/clients.md.
 *
 * A program per language (LANGUAGE/probe.*) prints a line per event: "version V", "check NAME ok" or
 * "check NAME failed WHY", then "w RESULT" and "r RESULT" per write and read, RESULT being "ok" or the
 * error. It ends when its input does. */
import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";
import "./names.mjs";
import { Account, assert, before, comment, isLong, pause, run, sdkDir, test, unique, until } from "./lib.mjs";

const GAP_MAX_MS = 15000;
const FAULT_MS = 4000;
const here = path.dirname(fileURLToPath(import.meta.url));
const cache = path.resolve(here, "../..", process.env.HF_BUILD ?? "build", "client");
const wanted = process.env.HF_SDKS?.split(",") ?? (isLong ? ["javascript", "python", "go", "java"] : ["javascript"]);
const isFull = isLong || process.env.HF_SDKS !== undefined;

let account;
before(async () => {
    account = await Account.start({ faultProxy: true, args: ["--tls"] });
});

/* ---- languages ---- */

function tool(command, args, options = {}) {
    return new Promise((resolve, reject) => {
        execFile(command, args, { timeout: 300000, ...options }, (err, stdout, stderr) => {
            if (err) {
                reject(new Error(`${command} ${args[0]}: ${(stderr || stdout || err.message).trim().split("\n")[0]}`));
            } else {
                resolve(stdout);
            }
        });
    });
}

/** For what needs the network or a tool that may be missing: then the language is skipped. */
async function obtain(...args) {
    try {
        return await tool(...args);
    } catch (err) {
        throw Object.assign(err, { isMissing: true });
    }
}

const languages = {
    javascript: async () => ({ command: "node", args: [path.join(here, "javascript/probe.mjs")],
        env: { HF_SDK: sdkDir, NODE_EXTRA_CA_CERTS: account.ca } }),
    async python() {
        const venv = path.join(cache, "python");
        await obtain("python3", ["-m", "venv", venv]);
        await obtain(path.join(venv, "bin/pip"), ["install", "-q", "-r", path.join(here, "python/requirements.txt")]);
        return { command: path.join(venv, "bin/python"), args: [path.join(here, "python/probe.py")],
            env: { REQUESTS_CA_BUNDLE: account.ca } };
    },
    async go() {
        const program = path.join(cache, "go-probe");
        await obtain("go", ["mod", "download"], { cwd: path.join(here, "go") });
        await tool("go", ["build", "-o", program, "."], { cwd: path.join(here, "go") });
        return { command: program, args: [] };
    },
    async java() {
        const lib = path.join(cache, "java");
        await tool("mvn", ["-q", "-B", "-o", "dependency:copy-dependencies", `-DoutputDirectory=${lib}`], { cwd: path.join(here, "java") })
            .catch(() => obtain("mvn", ["-q", "-B", "dependency:copy-dependencies", `-DoutputDirectory=${lib}`], { cwd: path.join(here, "java") }));
        await tool("javac", ["-cp", `${lib}/*`, "-d", lib, path.join(here, "java/Probe.java")]);
        const store = path.join(account.dir, "trust.p12");
        if (!fs.existsSync(store)) {
            await tool("keytool", ["-importcert", "-noprompt", "-alias", "ca", "-file", account.ca, "-keystore", store,
                "-storepass", "changeit", "-storetype", "PKCS12"]);
        }
        const hosts = path.join(account.dir, "hosts");
        const names = [account.endpoint, ...account.regions.map((r) => r.endpoint)].map((e) => new URL(e).hostname);
        fs.writeFileSync(hosts, `127.0.0.1 localhost ${names.join(" ")}\n`);
        return { command: "java", args: ["-cp", `${lib}:${lib}/*`, `-Djdk.net.hosts.file=${hosts}`,
            `-Djavax.net.ssl.trustStore=${store}`, "-Djavax.net.ssl.trustStorePassword=changeit", "Probe"] };
    },
};

/* ---- a program under way ---- */

class Probe {
    constructor(program, mode, regions) {
        this.times = { w: [], r: [] };
        this.errors = { w: new Map(), r: new Map() };
        this.container = unique("c");
        this.checks = [];
        this.stderr = "";
        this.child = spawn(program.command, program.args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...program.env,
            HF_ENDPOINT: account.endpoint, HF_KEY: account.key, HF_CA: account.ca, HF_MODE: mode,
            HF_REGIONS: regions.join(","), HF_CONTAINER: this.container } });
        this.child.stderr.on("data", (d) => { this.stderr = (this.stderr + d).slice(-2000); });
        this.exited = new Promise((resolve) => this.child.once("close", resolve));
        readline.createInterface({ input: this.child.stdout }).on("line", (line) => this.take(line.split(" ")));
    }

    take([kind, what, ...rest]) {
        if (kind === "version") {
            this.version = what;
        } else if (kind === "check") {
            this.checks.push({ name: what, isOk: rest[0] === "ok", why: rest.slice(1).join(" ") });
        } else if (kind === "w" || kind === "r") {
            if (what === "ok") {
                this.times[kind].push(performance.now());
            } else {
                this.errors[kind].set(what, (this.errors[kind].get(what) ?? 0) + 1);
            }
        }
    }

    /** Each stream has had `count` more successes; false when that takes too long. */
    async flows(count, limit_ms) {
        const marks = { w: this.times.w.length, r: this.times.r.length };
        const end = performance.now() + limit_ms;
        while (["w", "r"].some((k) => this.times[k].length < marks[k] + count)) {
            assert.equal(this.child.exitCode, null, `the program ended: ${this.stderr}`);
            if (performance.now() > end) {
                return false;
            }
            await pause(20);
        }
        return true;
    }

    /** The longest time without a success, until now. */
    gap(kind) {
        const times = [...this.times[kind], performance.now()];
        return Math.round(Math.max(...times.slice(1).map((t, i) => t - times[i])));
    }

    report(kind) {
        const errors = [...this.errors[kind]].map(([what, n]) => `${what} x${n}`).join(", ") || "none";
        return `gap ${this.gap(kind)} ms, errors ${errors}`;
    }

    async end() {
        this.child.stdin.end();
        const timer = setTimeout(() => this.child.kill("SIGKILL"), 60000);
        await this.exited;
        clearTimeout(timer);
    }
}

/* ---- faults: each returns what repairs it ---- */

async function links(region, mode) {
    await account.links(region, mode);
    return () => account.links(region, "pass");
}

const faults = {
    kill: async (region) => { process.kill(await account.pid(region), "SIGKILL"); },
    async pause(region) {
        const pid = await account.pid(region);
        process.kill(pid, "SIGSTOP");
        return async () => {
            try {
                process.kill(pid, "SIGCONT");
            } catch (err) {
                assert.equal(err.code, "ESRCH"); // its supervisor has replaced it
            }
        };
    },
    cut: (region) => links(region, "cut"),
    blackhole: (region) => links(region, "blackhole"),
    async graceful(region) {
        const target = account.regionNames.find((r) => r !== region);
        const { code, text } = await account.cli("account", "failover", target);
        assert.equal(code, 0, text);
    },
    async partition(region, { container }) {
        const id = await account.partitionOf(container);
        await account.partition("failover", id, account.regionNames.find((r) => r !== region));
        return () => account.partition("return", id);
    },
};

async function drill(program, language, fault) {
    const { writer } = await account.healthy(60000);
    const probe = new Probe(program, "load", [writer, ...account.regionNames.filter((r) => r !== writer)]);
    let heal;
    try {
        assert.ok(await probe.flows(20, 60000), `the load runs: ${probe.report("w")} ${probe.stderr}`);
        const started = performance.now();
        heal = await faults[fault](writer, probe);
        if (fault !== "partition") {
            await until("another region writes", async () => {
                const doc = await account.show();
                return doc.phase === "OPEN" && doc.writer !== writer;
            }, 30000);
        }
        await pause(Math.max(0, heal ? FAULT_MS - (performance.now() - started) : 0)); // the fault lasts this long
        await heal?.();
        heal = undefined;
        await probe.flows(60, 45000);
        comment(`${language} ${probe.version} | ${fault} | writes: ${probe.report("w")} | reads: ${probe.report("r")}`);
        for (const kind of ["w", "r"]) {
            assert.ok(probe.gap(kind) < GAP_MAX_MS, `${kind}: ${probe.report(kind)}`);
        }
    } finally {
        await heal?.();
        await probe.end();
    }
}

for (const language of wanted) {
    let preparing;
    /** Its program, or why this machine cannot get it; whichever test comes first waits for it. */
    const prepared = () => {
        preparing ??= languages[language]().then((program) => ({ program }), (err) => {
            if (!err.isMissing) {
                throw err;
            }
            return { skip: err.message.slice(0, 200) };
        });
        return preparing;
    };
    test(`${language}: create, read, query and the change feed by host name over TLS`, async () => {
        const { program, skip } = await prepared();
        if (skip) {
            return { skip };
        }
        const probe = new Probe(program, "basics", account.regionNames);
        await probe.end();
        comment(`${language} ${probe.version}: ${probe.checks.map((c) => c.name).join(" ")}`);
        const bad = probe.checks.filter((c) => !c.isOk);
        assert.deepEqual(bad, []);
        assert.ok(probe.checks.length >= 8, probe.stderr);
        return undefined;
    }, { timeout_ms: 400000 });
    for (const fault of isFull ? Object.keys(faults) : ["kill"]) {
        test(`${language}: ${fault} ${fault === "partition" ? "taken from" : "of"} the write region`, async () => {
            const { program, skip } = await prepared();
            return program ? drill(program, language, fault) : { skip };
        }, { timeout_ms: 400000 });
    }
}

await run();
