"""One failover after the other, and the part of the measurements that is made of them."""
import concurrent.futures
import json
import os
import signal
import subprocess
import threading
import time

from kit.failover import book
from kit.failover.autofailover import AutoFailover
from kit.failover.cluster import interrupted, is_there, kill_and_wait, signal_all, until
from kit.failover.holdfast import CONTAINER, DATABASE, Holdfast
from kit.failover.patroni import Patroni
from kit.failover.relay import Relays
from kit.system import BenchError, note, remove

PYTHON = "/usr/bin/python3"  # Debian's: it has Debian's psycopg2
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")
FAULTS = ("kill", "pause", "cut", "graceful")
MORE_FAULTS = ("blackhole",)
SUBJECTS = {"holdfast": (Holdfast, ("lan", "wan")), "patroni": (Patroni, ("default", "documented", "lowest")),
            "pg_auto_failover": (AutoFailover, ("default", "lowest"))}
MODES = ("asynchronous", "synchronous")
WARM_S = 1.0
HOLD_S = 3.0   # a fault lasts at least so long
CLUSTERS_MAX = 4
BACK_S = 75    # a node not back by then does not come back: the slowest that came took a third of it
AFTER_S = 0.5  # load after writes flow again, and after the node's return


class LoadClient:
    """The client process, and which nodes it has seen acknowledge."""

    def __init__(self, cluster, run):
        self.out = cluster.folder / "writes.json"
        self.out.unlink(missing_ok=True)
        task = {"kind": cluster.kind, "nodes": cluster.nodes, "run": run, "out": str(self.out)}
        if cluster.kind == "holdfast":
            task.update(front=cluster.front_port, key=cluster.key, database=DATABASE, container=CONTAINER)
        self.seen = {}
        with open(cluster.folder / "client.log", "ab") as log:
            self.child = subprocess.Popen([PYTHON, CLIENT, json.dumps(task)], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        for line in self.child.stdout:
            self.seen[line.split()[1]] = time.monotonic()

    def stop(self):
        """All writes, and for how many seconds the client itself stood still."""
        try:
            self.child.stdin.close()
            self.child.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            self.kill()
        self.listener.join(5)
        if not self.out.exists():
            raise BenchError("the client left no list of its writes; see client.log")
        left = json.loads(self.out.read_text(encoding="utf-8"))
        return [book.Write(*w) for w in left["writes"]], left["stall"]

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Fault:
    """Begun on a node, and ended by end() in every case."""

    def __init__(self, cluster, kind, node):
        self.cluster, self.kind, self.node = cluster, kind, node
        self.stopped = []
        self.error = None
        self.thread = None
        self.is_begun = False

    def begin(self):
        self.is_begun = True
        if self.kind == "kill":
            kill_and_wait(lambda: self.cluster.node_pids(self.node))
        elif self.kind == "pause":
            self._freeze()
        elif self.kind in ("cut", "blackhole"):
            self.cluster.cut(self.node, self.kind)
        else:
            self.thread = threading.Thread(target=self._change, daemon=True)
            self.thread.start()

    def _freeze(self):
        """All its processes; again until no new one is found, since one may fork while it is counted."""
        while True:
            new = [p for p in self.cluster.node_pids(self.node) if p not in self.stopped]
            if not new:
                return
            signal_all(new, signal.SIGSTOP)
            self.stopped += new

    def _change(self):
        try:
            self.cluster.change(self.node)
        except (BenchError, OSError, subprocess.TimeoutExpired) as e:
            self.error = e

    def end(self):
        if not self.is_begun:
            return
        self.is_begun = False
        if self.kind == "kill":
            self.cluster.restart(self.node)
        elif self.kind == "pause":
            signal_all([p for p in self.stopped if is_there(p)], signal.SIGCONT)
        elif self.kind in ("cut", "blackhole"):
            self.cluster.cut(self.node, "pass")
        else:
            self.thread.join(self.cluster.limit_s)


def one(cluster, kind, run):
    """One failover. What could not be measured is None in it; BenchError: it could not be carried out."""
    until(f"{cluster.name}: is healthy", getattr(cluster, "is_ready", cluster.is_healthy), cluster.limit_s + 30)
    old = until(f"{cluster.name}: somebody writes", cluster.writer, cluster.limit_s)
    client = LoadClient(cluster, run)
    fault = Fault(cluster, kind, old)
    try:
        until("the client writes", lambda: old in client.seen, 20, 0.02)
        time.sleep(WARM_S)
        at = time.monotonic()
        fault.begin()
        took_over = _wait(cluster, client, old, fault, at)
        healed = time.monotonic()
        fault.end()
        back = _wait_back(cluster, old, healed)
        time.sleep(AFTER_S)
        writes, stall = client.stop()
    finally:
        client.kill()
        fault.end()
    if fault.error and not took_over:
        raise BenchError(str(fault.error))
    ids, given_back = (until(f"{cluster.name}: what is left can be read", lambda read=read: read(run), cluster.limit_s)
                       for read in (cluster.ids, cluster.given_back))
    row = {**book.times(writes, at, old), **book.counts(writes, ids, given_back)}
    row["rejoin_ms"] = book.ms(back - (at if kind == "graceful" else healed)) if back else None
    row["stall_ms"] = book.ms(stall)
    return row


def _wait(cluster, client, old, fault, at):
    """Until another node has acknowledged and the fault has lasted; false: nobody took over in its time."""
    least = 0 if fault.kind == "graceful" else HOLD_S
    while time.monotonic() - at < cluster.limit_s:
        if set(client.seen) - {old} and time.monotonic() - at >= least:
            time.sleep(AFTER_S)
            return True
        if fault.error:
            return False
        if interrupted.wait(0.02):
            break
    return False


def _wait_back(cluster, old, healed):
    """When the node was a reader in step again; None: not in its time."""
    while time.monotonic() - healed < min(BACK_S, cluster.limit_s):
        try:
            if cluster.is_healthy() and cluster.writer() != old and cluster.is_reader(old):
                return time.monotonic()
        except (BenchError, OSError, subprocess.TimeoutExpired):
            pass
        if interrupted.wait(0.1):
            break
    return None


# ---- groups ----

def groups(options):
    """(subject, timers, mode) that were asked for."""
    ret = []
    for subject, (make, all_timers) in SUBJECTS.items():
        for timers in all_timers:
            for mode in MODES:
                name = f"{subject} {timers} {mode}"
                if subject not in options.without and (not options.group or any(g in name for g in options.group)):
                    ret.append((name, make, timers, mode))
    return ret


def repeats_of(timers, options):
    slow, low, own = options.repeats
    if timers == "wan":  # takes three times as long as lan
        return -(-own // 2)
    return own if timers == "lan" else slow if timers in ("default", "documented") else low


class Group:
    """The cells of one cluster. One that does not get well again counts as that, and is replaced by a new one."""

    def __init__(self, folder, relays, group, options):
        self.name, self.make, self.timers, self.mode = group
        self.folder, self.relays, self.options = folder, relays, options
        self.cluster = None
        self.made = 0

    def run(self):
        ret = {"settings": {}, "cells": {}}
        try:
            if self.make.missing():
                raise BenchError("not installed: " + ", ".join(self.make.missing()))
            self._renew()
            ret["settings"] = self.cluster.settings()
            for kind in self.options.fault or FAULTS:
                self._cell(kind, ret["cells"])
        except (BenchError, OSError, subprocess.TimeoutExpired) as e:
            note(f"  {self.name}: {e!r}")
            ret["cells"]["failed"] = str(e) or repr(e)
        finally:
            self._end()
        return ret

    def _renew(self):
        self._end()
        if self.made > CLUSTERS_MAX:
            raise BenchError(f"given up after {self.made} clusters that did not get well again")
        self.made += 1
        folder = self.folder.with_name(f"{self.folder.name}{'abcdefgh'[self.made - 1]}")
        folder.mkdir()
        folder.chmod(0o755)
        self.cluster = self.make(folder, self.relays, self.timers, self.mode)
        self.cluster.start()
        note(f"  {self.name}: up")

    def _end(self):
        if self.cluster:
            self.cluster.stop()
            _keep_logs(self.cluster.folder, self.name, self.options)
            remove(self.cluster.folder)
            self.cluster = None

    def _cell(self, kind, ret):
        rows, broken = [], 0
        for i in range(repeats_of(self.timers, self.options)):
            if not self.cluster:
                self._renew()
            try:
                row = one(self.cluster, kind, f"{kind}{i}")
            except BenchError as e:
                if interrupted.is_set():
                    raise
                note(f"  {self.name} {kind} {i + 1}: {e}")
                broken += 1
                self._end()
            else:
                rows.append(row)
                note(f"  {self.name} {kind} {i + 1}: rto {row['rto_ms']} ms, client {row['client_rto_ms']} ms, back after "
                     f"{row['rejoin_ms']} ms, {row['acked']} acked, {row['lost']} lost, {row['given_back']} given back, stood "
                     f"still {row['stall_ms']} ms")
                if row["rejoin_ms"] is None:
                    self._end()
            ret[kind] = {**book.cell(rows), "broken": broken, "rows": rows}


def _keep_logs(folder, name, options):
    if options.keep_logs:
        target = os.path.join(options.keep_logs, name.replace(" ", "-"), folder.name)
        os.makedirs(target, exist_ok=True)
        for log in folder.glob("*.log"):
            with open(os.path.join(target, log.name), "wb") as f:
                f.write(log.read_bytes())


def failovers(folder, options):
    """Groups run `together` at a time: mostly they wait for timers, not for the machine. Interrupted, it ends every
    process and returns what was measured until then."""
    relays = Relays()
    for signum in (signal.SIGINT, signal.SIGTERM):  # a shell may have started us with the former ignored
        signal.signal(signum, signal.default_int_handler)
    todo = groups(options)
    pool = concurrent.futures.ThreadPoolExecutor(options.together)
    futures = {g[0]: pool.submit(Group(folder / f"g{i}", relays, g, options).run) for i, g in enumerate(todo)}
    try:
        concurrent.futures.wait(futures.values())
    except KeyboardInterrupt:
        note("  interrupted: ending what runs")
        interrupted.set()
    pool.shutdown(cancel_futures=True)
    relays.end()
    return {"together": max(1, min(options.together, len(todo))),
            "groups": {name: f.result() for name, f in futures.items() if not f.cancelled()}}
