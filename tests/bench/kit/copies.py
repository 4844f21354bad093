"""How fast a region gets its data: by a full copy, by checksums when it has them already, by the log;
what clients of the write region notice of a full copy; and how long a rejoin takes that has writes to bring back."""
import os
import re
import signal
import statistics
import threading
import time

from kit.links import LinkedAccount, metric, operate, states, until
from kit.peers import http_load
from kit.stats import spread
from kit.system import BenchError, note

PAIR = ["east", "west"]
DELAYS = (0, 20, 80)
ITEM_SIZE = 1024  # of the load generator's items, about
DIVERGED = 10000
PAUSE_S = 0.05  # between looks at what is being measured, which cost the same cores
BUSY = {"create": 1000, "read": 4000}  # requests a second of clients beside a copy, far below what the machine does
BUSY_S = 1.0
COPIED = re.compile(r"full copy complete\\?\" copied=(\d+) kept=(\d+) took_ms=(\d+)")


class _Pair(LinkedAccount):
    """Two regions. west is taken out, east is written to, west is let in over longer links."""

    def __init__(self, folder, name, more=()):
        super().__init__(folder, name, PAIR, more=more)

    def fill(self):
        """Not here: the number of items is this part's own."""

    def write(self, work, count):
        prefix = ("--prefix", "fill") if work == "create" else ()
        sample = http_load(self.writer_port, work, 64, 600, 0, "--ids", count, "--count", count, *prefix,
                           key=self.key)
        if sample["broken"]:
            raise BenchError(f"{self.name}: {sample['broken']} connections broke")

    def copies(self):
        """What west has said of each finished copy: (documents copied, kept, ms)."""
        with open(self.folder / "data" / "run" / "west.log", encoding="utf-8", errors="replace") as f:
            return [tuple(int(x) for x in m) for m in COPIED.findall(f.read())]

    def begun(self):
        with open(self.folder / "data" / "run" / "west.log", encoding="utf-8", errors="replace") as f:
            return f.read().count("full copy begins")

    def leave(self):
        operate(self, "offline", "west", "--force")

    def come_back(self, delay):
        """The copies that it takes until it is ONLINE_READ."""
        self.delay(delay)
        done = len(self.copies())
        operate(self, "online", "west", "--wait", "0")
        # Asking for states starts a program: at every 20 ms that was a fourth of the two cores. The log
        # says when the copy is over, and how long it took.
        until(f"{self.name}: west copied at {delay} ms", lambda: len(self.copies()) > done, 150, PAUSE_S)
        until(f"{self.name}: west online at {delay} ms", lambda: states(self).get("west") == "ONLINE_READ", 150,
              5 * PAUSE_S)
        return self.copies()[done:]


def _copy(account, delay, before):
    """The largest partition's copy when west comes back after `before`."""
    account.leave()
    before()
    # Over its budget the log is trimmed, whoever is away; until then there is nothing to copy.
    until("the log is trimmed", lambda: metric(account, "east", "log_bytes") <=
          metric(account, "east", "log_budget_bytes"), 30)
    copied, kept, ms = max(account.come_back(delay), key=lambda c: c[0] + c[1])
    account.delay(0)
    return {"copied": copied, "kept": kept, "ms": ms,
            "mb_s": (copied + kept) * ITEM_SIZE / 1e3 / max(ms, 1)}


def _log(account, delay, count):
    """The log that west lacks: from the first entry it applies to the last. What it lacked when it was
    taken out comes on top, so the end is where nothing more arrives."""
    account.leave()
    account.write("upsert", count)
    applied = lambda: metric(account, "west", "entries_applied_total")
    account.delay(delay)
    first = now = applied()
    began = moved = None
    operate(account, "online", "west", "--wait", "0")
    end = time.monotonic() + 150
    while moved is None or now - first < count or time.monotonic() - moved < 1:
        n = applied()
        if n > now:
            moved = time.monotonic()
            if began is None:
                began, first = moved, n
                count -= n - now
            now = n
        if time.monotonic() > end:
            raise BenchError(f"the log did not arrive: {now - first} of {count} entries")
        time.sleep(PAUSE_S / 2)
    took = max(moved - began, 0.001)
    until("west online", lambda: states(account).get("west") == "ONLINE_READ", 60)
    account.delay(0)
    return {"entries": int(now - first), "ms": took * 1e3, "mb_s": (now - first) * ITEM_SIZE / 1e6 / took}


def _diverged(account, count):
    """count writes that only east has when it is killed, then brought back into the conflict feed."""
    account.links("cut")
    account.write("create", count)
    east = account.servers()[0]
    os.kill(east, signal.SIGKILL)
    until("west writes", lambda: states(account).get("west") == "ONLINE_WRITE", 60)
    account.links("pass")
    took = until("east rejoined", lambda: states(account).get("east") == "ONLINE_READ", 120)
    records = metric(account, "west", "conflict_records_total")
    return {"s": took, "records": int(records)}


def _clients(account, count):
    """What clients of the write region get while nothing else goes on: both loads at once, by work."""
    samples = {}
    threads = [threading.Thread(target=lambda work=work, rate=rate: samples.update({work: http_load(
        account.writer_port, work, 8, BUSY_S, 0, "--rate", rate, "--ids", count, key=account.key)}))
        for work, rate in BUSY.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if len(samples) != len(BUSY):
        raise BenchError(f"{account.name}: a load did not end well")
    return samples


def _busy(account, count):
    """Clients without and beside a full copy of everything; the copy has to outlast them."""
    ret = {"quiet": _clients(account, count)}
    account.leave()
    account.write("upsert", count)
    until("the log is trimmed", lambda: metric(account, "east", "log_bytes") <=
          metric(account, "east", "log_budget_bytes"), 60)
    begun, done = account.begun(), len(account.copies())
    back = threading.Thread(target=account.come_back, args=(0,))
    back.start()
    until("the copy begins", lambda: account.begun() > begun, 60, PAUSE_S / 5)
    ret["copying"] = _clients(account, count)
    ret["outlasted"] = len(account.copies()) == done
    back.join()
    if len(account.copies()) == done:
        raise BenchError(f"{account.name}: west was not copied")
    copied, kept, ms = max(account.copies()[done:], key=lambda c: c[0] + c[1])
    ret["mb_s"] = (copied + kept) * ITEM_SIZE / 1e3 / max(ms, 1)
    note(f"  beside a full copy ({ret['mb_s']:.1f} MB/s): " + ", ".join(
        f"{w} p50 {ret['quiet'][w]['p50_us']} -> {ret['copying'][w]['p50_us']} us, "
        f"p99 {ret['quiet'][w]['p99_us']} -> {ret['copying'][w]['p99_us']} us" for w in BUSY))
    return ret


def _busy_summary(rows):
    ret = {"rounds": len(rows), "outlasted": sum(r["outlasted"] for r in rows),
           "mb_s": spread([r["mb_s"] for r in rows]), "works": {}}
    for work, rate in BUSY.items():
        ret["works"][work] = {"rate": rate, "errors": sum(r[k][work]["errors"] for r in rows for k in ("quiet", "copying"))}
        for when in ("quiet", "copying"):
            ret["works"][work][when] = {key: statistics.median(r[when][work][key] for r in rows)
                                        for key in ("p50_us", "p99_us", "p999_us")}
    return ret


def _series(what, rounds, delays, measure):
    ret = {str(d): [] for d in delays}
    for _ in range(rounds):
        for d in delays:
            ret[str(d)].append(measure(d))
            note(f"  {what}, {d} ms: {ret[str(d)][-1]['mb_s']:.1f} MB/s")
    return {d: {"mb_s": spread([r["mb_s"] for r in rows]), "ms": spread([r["ms"] for r in rows])}
            for d, rows in ret.items()}


def copies(folder, options):
    count = 20000 if options.quick else 100000
    ret = {"items": count, "item_size": ITEM_SIZE}
    account = _Pair(folder, "copy", ["--log-budget", "4M"])
    try:
        account.start()
        account.write("create", count)
        ret["copy"] = _series("full copy", options.rounds, DELAYS,
                              lambda d: _copy(account, d, lambda: account.write("upsert", count)))
        some = max(count // 8, 12000)  # more than the log may keep
        ret["checked"] = _series("full copy of what is mostly there", options.rounds, DELAYS,
                                 lambda d: _copy(account, d, lambda: account.write("upsert", some)))
    finally:
        account.stop()
        account.forget()
    account = _Pair(folder, "busy", ["--log-budget", "4M"])
    many = count * 4
    try:
        account.start()
        account.write("create", many)
        ret["busy"] = {**_busy_summary([_busy(account, many) for _ in range(options.rounds)]), "items": many}
    finally:
        account.stop()
        account.forget()
    account = _Pair(folder, "log")
    try:
        account.start()
        account.write("create", count)
        ret["log"] = _series("log", options.rounds, DELAYS, lambda d: _log(account, d, count // 2))
    finally:
        account.stop()
        account.forget()
    rows = []
    for i in range(options.rounds):
        account = _Pair(folder, f"diverged{i}")
        try:
            account.start()
            rows.append(_diverged(account, DIVERGED))
            note(f"  rejoin with {rows[-1]['records']} of {DIVERGED} diverged writes: {rows[-1]['s']:.1f} s")
        finally:
            account.stop()
            account.forget()
    ret["diverged"] = {"writes": DIVERGED, "s": spread([r["s"] for r in rows]),
                       "records": spread([r["records"] for r in rows])}
    return ret
