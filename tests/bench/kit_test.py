#!/usr/bin/env python3
"""What the failover measurements conclude from what was seen: figures, counts, tables, and the links they cut.
Prints TAP; takes no database and no Holdfast."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from holdfast import Tap, eq  # noqa: E402
from kit import report  # noqa: E402
from kit.failover import book, cluster, drill, page  # noqa: E402
from kit.failover.book import ACKED, REFUSED, UNKNOWN, Write  # noqa: E402
from kit.failover.relay import Relays  # noqa: E402
from kit.stats import percentile  # noqa: E402

tap = Tap()


def write(name, node, sent, done, outcome=ACKED, is_pinned=False):
    return Write(name, is_pinned, node, sent, done, outcome)


@tap.test("a percentile is the smallest value that so many are not above")
def _():
    eq(percentile([], 50), None)
    eq(percentile([7], 99), 7)
    eq(percentile([4, 1, 3, 2], 50), 2, "the lower one of two in the middle")
    eq(percentile(list(range(1, 101)), 99), 99)
    eq(percentile(list(range(1, 21)), 99), 20, "of 20 the largest")


@tap.test("recovery time is from the fault to the first acknowledgement elsewhere of a write sent after it")
def _():
    writes = [write("a", "n1", 9.0, 9.1), write("b", "n2", 9.9, 10.05),  # sent before the fault: not counted
              write(None, "n1", 10.2, 10.3, REFUSED), write("c", "n2", 12.0, 12.5, is_pinned=True),
              write("d", "n2", 12.9, 13.0), write("e", "n2", 13.0, 13.1)]
    t = book.times(writes, 10.0, "n1")
    eq(t["rto_ms"], 2500.0)
    eq(t["first_failed_ms"], 300.0)
    eq(t["client_rto_ms"], 2950.0, "the pinned client's write ends no gap of those who follow")
    eq(t["old_writer_ms"], None)
    eq(t["both_ms"], 0)


@tap.test("an old writer that goes on after the new one has begun is seen, and for how long")
def _():
    writes = [write("a", "n1", 10.5, 10.6), write("b", "n2", 11.0, 11.1), write("c", "n1", 11.5, 11.6, is_pinned=True)]
    t = book.times(writes, 10.0, "n1")
    eq(t["rto_ms"], 1100.0)
    eq(t["old_writer_ms"], 1600.0)
    eq(t["both_ms"], 500.0)


@tap.test("without a new writer there is no recovery time, and the cell says so")
def _():
    t = book.times([write("a", "n1", 9, 9.1), write("b", "n1", 10, 11, UNKNOWN)], 9.5, "n1")
    eq((t["rto_ms"], t["client_rto_ms"], t["first_failed_ms"]), (None, None, 1500.0))
    c = book.cell([{**t, "rejoin_ms": None, "stall_ms": 1, **book.counts([], set(), set())}])
    eq((c["never_took_over"], c["rto_ms"]), (1, None))


@tap.test("acknowledged writes are surviving, given back or lost; each exactly once")
def _():
    writes = [write(n, "n1", 0, 1) for n in "abcde"] + [
        write("u", "n1", 0, 1, UNKNOWN), write("v", "n1", 0, 1, UNKNOWN), write("r", "n1", 0, 1, REFUSED),
        write(None, "n1", 0, 1, REFUSED)]
    c = book.counts(writes, {"a", "b", "u", "r", "of another run"}, {"b", "c"})
    eq((c["acked"], c["surviving"], c["given_back"], c["lost"]), (5, 2, 1, 2))
    eq(c["acked"], c["surviving"] + c["given_back"] + c["lost"])
    eq((c["unknown"], c["unknown_surviving"], c["refused_surviving"]), (2, 1, 1))


@tap.test("a cell sums the counts and keeps the worst repeat")
def _():
    zero = dict.fromkeys(book.COUNTS, 0)
    none = dict.fromkeys(book.TIMES)
    c = book.cell([{**none, **zero, "rto_ms": 10, "lost": 3}, {**none, **zero, "rto_ms": 30, "given_back": 5}])
    eq((c["lost"], c["given_back"], c["worst_away"]), (3, 5, 5))
    eq(c["rto_ms"], {"n": 2, "min": 10, "p50": 10, "p99": 30, "max": 30})


def part(lost, failed=False, fault="kill"):
    zero = dict.fromkeys(book.COUNTS, 0)
    none = dict.fromkeys(book.TIMES)
    cells = {fault: {**book.cell([{**none, **zero, "rto_ms": 1234.5, "lost": lost}]), "at": "now", "commit": "c", "busy": 0}}
    if failed:
        cells["failed"] = "it broke\nhere"
    return {"together": 1, "groups": {"patroni lowest asynchronous": {"settings": {"ttl": "5 s"}, "cells": cells}}}


@tap.test("cells that were not measured again stay on the page, and a failure does not take them away")
def _():
    both = page.merge(part(1, fault="cut"), part(2))["groups"]["patroni lowest asynchronous"]["cells"]
    eq((both["cut"]["lost"], both["kill"]["lost"]), (1, 2))
    again = page.merge(part(1), {"groups": {"patroni lowest asynchronous": {"settings": {}, "cells": {"failed": "x"}}}})
    group = again["groups"]["patroni lowest asynchronous"]
    eq((group["cells"]["kill"]["lost"], group["cells"]["failed"], group["settings"]), (1, "x", {"ttl": "5 s"}))
    healed = page.merge(again, part(3))["groups"]["patroni lowest asynchronous"]["cells"]
    eq((healed["kill"]["lost"], "failed" in healed), (3, False))


@tap.test("the table says what was lost, how long it took, with which settings, and what failed")
def _():
    text = page.tables(part(41, failed=True), report.table)
    for wanted in ("### Kill", "patroni lowest", "1,234 (1,234-1,234)", " 41 ", "ttl 5 s", "it broke"):
        assert wanted in text, f"{wanted!r} is not in\n{text}"
    assert "here" not in text, "one line of a failure is enough"


@tap.test("what stands around the measured block stays as it is")
def _():
    text = f"above\n{page.BEGIN}\nold\n{page.END}\nbelow\n"
    eq(page.replace_block(text, "new"), f"above\n{page.BEGIN}\n\nnew\n\n{page.END}\nbelow\n")
    for bad in ("no marks", f"{page.END} {page.BEGIN}", page.BEGIN):
        try:
            page.replace_block(bad, "new")
        except ValueError:
            continue
        raise AssertionError(f"{bad!r} was taken")


@tap.test("the page in doc/bench has its marks")
def _():
    root = pathlib.Path(__file__).resolve().parents[2]
    page.replace_block((root / "doc" / "bench" / "failover.md").read_text(encoding="utf-8"), "")


@tap.test("groups are those asked for, each with its repeats")
def _():
    o = types.SimpleNamespace(without=[], group=[], repeats=[3, 5, 20])
    names = [g[0] for g in drill.groups(o)]
    eq(len(names), len(set(names)))
    eq(len(names), 14, "holdfast 2, patroni 3, pg_auto_failover 2 sets of timers, two modes each")
    o.group = ["patroni lowest", "holdfast wan synchronous"]
    eq([g[0] for g in drill.groups(o)],
       ["holdfast wan synchronous", "patroni lowest asynchronous", "patroni lowest synchronous"])
    o.without = ["patroni"]
    eq([g[0] for g in drill.groups(o)], ["holdfast wan synchronous"])
    eq([drill.repeats_of(t, o) for t in ("default", "documented", "lowest", "lan", "wan")], [3, 3, 5, 20, 10])


@tap.test("a data directory's pid file counts only while its server runs")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "postmaster.pid")
        eq(cluster.postmaster(folder), None, "no file")
        path.write_text("nonsense\n", encoding="utf-8")
        eq(cluster.postmaster(folder), None, "no number")
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")
        eq(cluster.postmaster(folder), None, "a process that works elsewhere")
        here = os.getcwd()
        try:
            os.chdir(folder)
            eq(cluster.postmaster(folder), os.getpid(), "a process that works there")
        finally:
            os.chdir(here)


@tap.test("the processes of a session are found, also when the one that began it has ended")
def _():
    shell = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!"], stdout=subprocess.PIPE, text=True, start_new_session=True)
    left = int(shell.stdout.readline())
    shell.wait()
    try:
        eq(cluster.of_session(shell.pid), [left])
        cluster.kill_and_wait(lambda: cluster.of_session(shell.pid))
        eq(cluster.is_there(left), False)
    finally:
        cluster.signal_all([left], signal.SIGKILL)
        shell.stdout.close()


def answers(s, text):
    s.sendall(text)
    return s.recv(100)


@tap.test("a relay passes, swallows and lets go again, and resets what is cut")
def _():
    relays = Relays()
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = relays.add(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", relay.port), 5) as a:
            b, _ = server.accept()
            a.sendall(b"one")
            eq(b.recv(100), b"one", "passes")
            relays.set_mode([relay], "blackhole")
            a.sendall(b"two")
            b.settimeout(0.1)
            try:
                raise AssertionError(f"{b.recv(100)!r} came through")
            except TimeoutError:
                pass
            relays.set_mode([relay], "pass")
            b.settimeout(5)
            eq(b.recv(100), b"two", "what waited arrives")
            relays.set_mode([relay], "cut")
            for end in (a, b):
                try:
                    eq(end.recv(100), b"", "closed")
                except ConnectionResetError:
                    pass
            b.close()
        try:
            with socket.create_connection(("127.0.0.1", relay.port), 5) as c:
                eq(answers(c, b"x"), b"", "a new connection")
        except (ConnectionResetError, BrokenPipeError):
            pass
        relays.set_mode([relay], "pass")
        with socket.create_connection(("127.0.0.1", relay.port), 5) as d:
            b, _ = server.accept()
            b.sendall(b"back")
            eq(d.recv(100), b"back", "passes again")
            b.close()
        relays.close([relay])
        relays.end()


tap.run()
