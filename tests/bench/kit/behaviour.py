"""What is not throughput: replication lag, times to start and to recover, memory."""
import json
import os
import signal
import subprocess
import time

from kit.account import Account, clean_env
from kit.peers import run_tool
from kit.stats import percentile, spread
from kit.system import HOLDFAST, TOOLS, BenchError, Process, note, rss_kib, wait_for
from kit.throughput import REGIONS

FAULTS = ("kill", "pause", "cut", "graceful")
IDLE_S = 3  # before memory is looked at


# ---- lag ----

def _lag_under(account, rate, options, what):
    """Probes both readers while `rate` creates a second run in the background."""
    background = None
    count = 200 if options.quick else 1000
    if rate:
        env = {**os.environ, "BENCH_KEY": account.key}
        background = Process([TOOLS / "load", "--target", f"127.0.0.1:{account.writer_port}", "--work",
                              "create", "--connections", 16, "--rate", int(rate), "--seconds", 600,
                              "--prefix", "b" + os.urandom(4).hex()], account.folder / "load.log", env=env)
        time.sleep(0.5)
    ret = {"rate": rate}
    try:
        for region in REGIONS[1:]:
            sample = run_tool(["lag", "--writer", f"127.0.0.1:{account.writer_port}", "--reader",
                               f"127.0.0.1:{account.region_port(region)}", "--count", count, "--gap-ms", 2],
                              120, {**os.environ, "BENCH_KEY": account.key})
            ret[region] = sample
            note(f"  lag {what}, {region}: p50 {sample['p50_us'] / 1e3:.2f} ms, "
                 f"p99 {sample['p99_us'] / 1e3:.2f} ms, {sample['errors']} errors")
    finally:
        if background:
            background.stop()
    return ret


def lag(folder, options):
    """At half of the peak that this very account reaches just before."""
    account = Account(folder, "lag", REGIONS)
    try:
        account.start()
        peak = account.measure("create", 64, 2 if options.quick else 4, 0.5)["rate"]
        note(f"  peak of three regions: {peak:.0f}/s")
        return {"peak": peak, "level": "Session", "idle": _lag_under(account, 0, options, "idle"),
                "half": _lag_under(account, peak / 2, options, "at half of peak")}
    finally:
        account.stop()


# ---- start-up ----

def _answers(account, verb, path, body, status, port=None):
    try:
        return account.call(verb, path, body, port=port)[0] == status
    except OSError:
        return False


def _since(account, ready, limit_s=30):
    """Seconds from the start of the process until ready() holds."""
    until = account.process.started + limit_s
    while time.monotonic() < until:
        if ready():
            return time.monotonic() - account.process.started
        if not account.process.is_alive():
            raise BenchError(f"{account.name} ended:\n{account.process.tail()}")
        time.sleep(0.002)
    raise BenchError(f"{account.name}: not served in {limit_s} s")


def _one_start(account, path, body):
    account.spawn()
    try:
        served = _since(account, lambda: _answers(account, "GET", "/", None, 200, account.port))
        written = _since(account, lambda: _answers(account, "POST", path, body, 201))
        return served, written
    finally:
        account.stop()


def startup(folder, options):
    """`holdfast up` with three regions, from exec to the first answers, new and with data."""
    rows = {"new": [], "again": []}
    for i in range(3 if options.quick else 10):
        account = Account(folder, f"start{i}", REGIONS)
        rows["new"].append(_one_start(account, "/dbs", {"id": "a"}))
        rows["again"].append(_one_start(account, "/dbs", {"id": "b"}))
        account.forget()
    ret = {}
    for kind, times in rows.items():
        ret[kind] = {"runs": len(times), "served_ms": spread([s * 1e3 for s, _ in times]),
                     "created_ms": spread([c * 1e3 for _, c in times])}
        note(f"  start {kind}: served {ret[kind]['served_ms']['median']:.0f} ms, "
             f"first create {ret[kind]['created_ms']['median']:.0f} ms")
    return ret


# ---- memory ----

def memory(folder, options):
    """Resident memory of the processes of an idle account with three regions: after its start, and
    after it has taken a load and been left alone."""
    account = Account(folder, "memory", REGIONS)
    ret = {}
    try:
        account.spawn()
        wait_for("account", account.process, account.ready_file.exists)
        for when in ("fresh", "after_load"):
            if when == "after_load":
                account.make_container()
                account.fill()
                account.measure("create", 64, 2 if options.quick else 5, 0)
            time.sleep(IDLE_S)
            ret[when] = {role: [rss_kib(p) / 1024 for p in account.pids(role)]
                         for role in ("server", "front", "coordinator")}
            ret[when]["up"] = [rss_kib(account.process.pid) / 1024]
            note(f"  memory {when}: servers " +
                 ", ".join(f"{m:.0f}" for m in ret[when]["server"]) + " MiB")
        return ret
    finally:
        account.stop()


# ---- recovery ----

def _drill(folder, fault, level, repeats):
    """The drill's JSON. It ends with 1 when an objective was missed: the figures are there then."""
    argv = [str(HOLDFAST), "drill", "--start", "--fault", fault, "--repeat", str(repeats), "--level", level,
            "--json"]
    # A group of its own: the account that the drill starts must not outlive it when we give up.
    drill = subprocess.Popen(argv, cwd=folder, env=clean_env(), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = drill.communicate(timeout=200 + 20 * repeats)
        return json.loads(out)
    except subprocess.TimeoutExpired as e:
        raise BenchError(f"drill {fault} did not end in {e.timeout:.0f} s") from e
    except ValueError as e:
        raise BenchError(f"drill {fault} gave no result ({drill.returncode}): " +
                         "\n".join(err.splitlines()[-5:])) from e
    finally:
        if drill.poll() is None:
            os.killpg(drill.pid, signal.SIGTERM)
            drill.communicate()


def recovery(folder, options):
    ret = {}
    for level in ("Session", "Strong"):
        for fault in FAULTS:
            if level == "Strong" and fault == "graceful":
                continue
            try:
                rows = _drill(folder, fault, level, options.repeat)["repeats"]
            except BenchError as e:
                note(f"  {level} {fault}: {e}")
                ret[f"{level} {fault}"] = {"failed": str(e)}
                continue
            key = "client_rto_ms" if fault == "graceful" else "rto_ms"
            times = [r[key] for r in rows if r[key] is not None]
            cell = {"repeats": len(rows), "measured": key, "p50_ms": percentile(times, 50),
                    "p99_ms": percentile(times, 99), "worst_ms": max(times, default=None),
                    "client_worst_ms": max((r["client_rto_ms"] for r in rows
                                            if r["client_rto_ms"] is not None), default=None)}
            for count in ("acked", "surviving", "in_feed", "lost", "unknown", "errors"):
                cell[count] = sum(r[count] for r in rows)
            ret[f"{level} {fault}"] = cell
            note(f"  {level} {fault}: p50 {cell['p50_ms']} ms, worst {cell['worst_ms']} ms, "
                 f"lost {cell['lost']}, in feed {cell['in_feed']} of {cell['acked']}")
    return ret
