"""Each fault again and again with real processes: what it costs, and that nothing is ever lost.

Short form: one SIGSTOP at a random point, and the stall at Strong once. Long form (./test all, or
./test cluster repeats --repeats N): N times each, 20 when not given; about 50 minutes then. Distributions
are printed, and written as JSON (tests/lib/measured.py says where). Bounds of time are demanded only when
this process itself was never kept waiting, as on a crowded machine every lease may run out.
"""
import json
import os
import random
import signal
import time

from holdfast import IS_LONG, Tap, Up, Writers, comment, eq, until
from measured import REPEATS, SEED, Lateness, Summary, reproduce, started

READ_LEASE_MS = 1000  # of the lan profile
STALL_MS = READ_LEASE_MS + 500
STOP_S = (0.2, 30.0) if IS_LONG else (0.5, 2.0)
BACK_S = 60.0  # healed to online again, on a starved machine

# fault, level, further arguments of the drill; seconds of a repeat, about
DRILLS = [
    ("kill", "Session", [], 6), ("pause", "Session", [], 9), ("cut", "Session", [], 9),
    ("blackhole", "Session", [], 10), ("refuse", "Session", [], 9), ("graceful", "Session", [], 5),
    ("disk-full", "Session", ["--hold", "1s"], 7),
    ("slow-disk", "Session", ["--disk-delay", "500ms", "--hold", "3s", "--write-timeout", "10s"], 12),
    ("coordinator-kill", "Session", ["--hold", "1s"], 6), ("double", "Session", [], 8),
    ("flap", "Session", ["--flap-period", "1s", "--hold", "8s"], 16), ("region-remove", "Session", [], 8),
    ("corrupt", "Session", [], 12),
    ("kill", "Strong", [], 6), ("pause", "Strong", [], 9), ("cut", "Strong", [], 9), ("blackhole", "Strong", [], 10),
]

tap = Tap()
late = Lateness()
summary = Summary("repeats")
accounts = {}


def account(level):
    """One for all tests of a level. Disks count as slow early, so that a drill need not wait for it; not at
    Strong, where a region that is cut off would be taken for one that is slow to store."""
    if level not in accounts:
        slow = [] if level == "Strong" else ["--slow-commit", "300ms", "--slow-for", "600ms"]
        accounts[level] = Up(fault_proxy=True, consistency=level, args=[
            *slow, "--kill-frozen", "0", "--failover-hold", "500ms"])
    return accounts[level]


def end_accounts():
    for up in accounts.values():
        up.end()


tap.cleanup(end_accounts)


def others(up):
    writer = up.writer()
    return [n for n in up.region_names if n != writer]


def repeat(title, level, once, check=lambda samples: None):
    """`once(up, rng, number)` measures one repeat. All are in the summary, the failed one's seed is said."""
    up = account(level)
    samples = []
    try:
        for number in range(REPEATS):
            up.healthy(BACK_S)
            late.reset()
            samples.append({**once(up, random.Random(f"{SEED} {title} {number}"), number),
                            "late_ms": late.worst * 1000})
        check(samples)
    except BaseException:
        comment(f"failed: repeat {len(samples)} of {title}")
        reproduce(up, "repeats", title)
        raise
    finally:
        if samples:
            summary.add(title, samples, level=level)


def finish(up, load, fault_at, is_strong=False):
    """Writes go on, all regions are back by themselves, every acknowledged write is accounted for."""
    load.more(20, BACK_S)
    back_at = time.monotonic()
    up.healthy(BACK_S)
    rejoin_ms = (time.monotonic() - back_at) * 1000
    load.end()
    away = load.check(allow_feed=not is_strong)
    load.check_regions(BACK_S)
    return {"gap_ms": gap_after(load, fault_at), "rejoin_ms": rejoin_ms, "acked": len(load.acked),
            "in_feed": away, "lost": 0, "unknown": len(load.unknown)}


def gap_after(load, fault_at):
    with load.lock:
        times = sorted(t for t in load.acked.values() if t >= fault_at)
    return max(b - a for a, b in zip([fault_at, *times], times)) * 1000


# ---- the drills ----

def drill(fault, level, more, seconds):
    up = account(level)
    up.healthy(BACK_S)
    args = ["drill", "--fault", fault, "--json", "--load", "100", "--warm", "500ms", "--repeat", str(REPEATS), *more]
    code, out, err = up.cli(*args, timeout=120 + 6 * seconds * REPEATS)
    samples = json.loads(out)["repeats"] if out.startswith("{") else []
    if samples:
        summary.add(f"drill {fault}, {level}", samples, level=level)
    try:
        eq(code, 0, f"{' '.join(args)}\n{out[-2000:]}\n{err[-2000:]}")
        eq(len(samples), REPEATS, "repeats")
        for s in samples:
            eq(s["lost"], 0, f"lost writes: {s}")
            eq(s["acked"], s["surviving"] + s["in_feed"], "every acknowledged write is accounted for")
            if level == "Strong" or fault in ("graceful", "disk-full", "region-remove", "coordinator-kill"):
                eq(s["in_feed"], 0, f"nothing leaves the data: {s}")
    except BaseException:
        reproduce(up, "repeats", f"drill {fault}, {level}")
        raise


for row in DRILLS:
    @tap.test(f"drill {row[0]}, {row[1]}", long_only=True)
    def _(args=row):
        drill(*args)


# ---- SIGSTOP ----

def pid_of(up, role):
    if role == "coordinator":
        return up.children()["coordinator"]
    return up.pid(up.writer() if role == "writer" else others(up)[0])


def stop_once(role):
    def once(up, rng, number):
        load = Writers(up, up.make_container(f"stop-{role}-{number}"), threads=3)
        load.more(20, BACK_S)
        pid = pid_of(up, role)
        low, high = STOP_S
        seconds = low * (high / low) ** rng.random()
        time.sleep(rng.random() * 0.5)  # any point of a heartbeat's period
        started(role, f"stopped for {seconds:.2f} s")
        fault_at = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)  # the fault's length
        finally:
            os.kill(pid, signal.SIGCONT)
        return {"stopped_ms": seconds * 1000, **finish(up, load, fault_at)}
    return once


for one in ("writer", "reader", "coordinator"):
    @tap.test(f"{one} stopped for {STOP_S[0]} to {STOP_S[1]} s at any point", long_only=one != "writer")
    def _(role=one):
        def check(samples):
            for s in samples:
                if role == "reader" and s["late_ms"] < 300:
                    assert s["gap_ms"] < 1000, f"a stopped reader costs Session writes nothing: {s}"
        repeat(f"{role} stopped", "Session", stop_once(role), check)


# ---- an operator takes the write region offline ----

FORCED_MS = 3000  # of geo-semantics 2.3; what is left of a lease (lan: 1.25 s) may come on top


def forced_once(is_frozen):
    def once(up, rng, number):
        load = Writers(up, up.make_container(f"forced-{is_frozen}-{number}"), threads=3)
        load.more(20, BACK_S)
        writer = up.writer()
        pid = up.pid(writer)
        time.sleep(rng.random() * 0.5)  # any point of a heartbeat's period
        started("forced", f"{writer} offline{', frozen' if is_frozen else ''}")
        fault_at = time.monotonic()
        if is_frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            code, out, err = up.cli("account", "offline", writer)
            eq(code, 0, out + err)
            load.more(20, BACK_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert up.writer() != writer, "the write region is another one"
        code, out, err = up.cli("account", "online", writer)
        eq(code, 0, out + err)
        return finish(up, load, fault_at)
    return once


for one in (False, True):
    @tap.test(f"the {'frozen' if one else 'healthy'} write region is taken offline by an operator", long_only=True)
    def _(is_frozen=one):
        def check(samples):
            limit = FORCED_MS + (1250 if is_frozen else 0)
            quiet = [s["gap_ms"] for s in samples if s["late_ms"] < 300]
            eq([ms for ms in quiet if ms > limit], [], f"gaps longer than {limit} ms")
        repeat(f"taken offline, {'frozen' if is_frozen else 'healthy'}", "Session", forced_once(is_frozen), check)


# ---- restarts ----

def rolling_restart(up, _rng, number):
    """Each server in turn, as an operator would: asked to end, waited for until it is back."""
    load = Writers(up, up.make_container(f"rolling-{number}"), threads=3)
    load.more(20, BACK_S)
    fault_at = time.monotonic()
    for name in up.region_names:
        pid = up.pid(name)
        os.kill(pid, signal.SIGTERM)
        until(f"{name} runs again", lambda n=name, p=pid: up.children().get(f"server/{n}") not in (None, p), BACK_S)
        up.healthy(BACK_S)
    return finish(up, load, fault_at)


@tap.test("rolling restart", long_only=True)
def _():
    def check(samples):
        eq([s["in_feed"] for s in samples if s["in_feed"] and s["late_ms"] < 300], [], "in the feed")
    repeat("rolling restart", "Session", rolling_restart, check)


# ---- the stall at Strong ----

LOSSES = ("kill", "stop", "cut", "blackhole")


def stall_once(how):
    """Writes at Strong wait for a read region that dies: for its read lease, if nobody knows better."""
    def once(up, rng, number):
        load = Writers(up, up.make_container(f"stall-{how}-{number}"), threads=4)
        load.more(50, BACK_S)
        peer = rng.choice(others(up))
        pid = up.pid(peer)
        time.sleep(rng.random() * 0.4)  # any point of a ping's period
        fault_at = time.monotonic()
        started("stall", f"{how} {peer}")
        try:
            if how in ("kill", "stop"):
                os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
            else:
                up.links(peer, how)
            until("writes wait no longer", lambda: time.monotonic() - fault_at > 2 and
                  load.count() and time.monotonic() - max(load.acked.copy().values()) < 0.2, BACK_S)
            stall_ms = gap_after(load, fault_at)
        finally:
            if how == "stop":
                os.kill(pid, signal.SIGCONT)
            up.link("*", "pass")
        return {"stall_ms": stall_ms, **finish(up, load, fault_at, is_strong=True)}
    return once


for one in LOSSES:
    @tap.test(f"Strong: a read region is lost by {one}: writes wait at most {STALL_MS} ms", long_only=one != "blackhole")
    def _(how=one):
        def check(samples):
            quiet = [s["stall_ms"] for s in samples if s["late_ms"] < 100]
            comment(f"{len(quiet)} of {len(samples)} repeats on a machine that was quiet")
            eq([ms for ms in quiet if ms > STALL_MS], [], "stalls longer than the read lease and half a second")
        repeat(f"stall at Strong, {how}", "Strong", stall_once(how), check)


comment(f"seed {SEED}, {REPEATS} repeats each")
tap.run()
