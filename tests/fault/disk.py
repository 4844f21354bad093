"""Disks that fail, fill up or are slow, under accounts of real processes (HOLDFAST_TEST_DISK).

A failed sync leaves it open what is on the disk: the process must end, and what it acknowledged
before must be there when it is back. A full disk must not end anything: writes are refused in
words, reads go on, and where another region has room the write region moves there.
"""
import contextlib
import os
import pathlib
import re
import time

import prometheus
from holdfast import NO_ANSWER, Tap, Up, Writers, comment, eq, metrics_text, pk, until

tap = Tap()
MIB = 1 << 20


@contextlib.contextmanager
def account(spec, **kw):
    """An account whose processes see that fault. It ends with the fault still there."""
    os.environ["HOLDFAST_TEST_DISK"] = spec
    try:
        up = Up(**kw)
    finally:
        del os.environ["HOLDFAST_TEST_DISK"]
    with up:
        yield up


def again(up):
    """The same account on a sound disk."""
    up.stop()
    up.start()
    up.healthy()


def ends_of(up, child):
    """How processes of that child ended, as the supervisor logged it."""
    text = (up.dir / "up.log").read_text()
    return re.findall(rf'child_stopped [^\n]*child={child} how="([^"]*)"', text)


def fill(up, container, region, size=64 << 10, limit=2000):
    """Creates items there until one is refused. The ids acknowledged, and the refusal."""
    client = up.client(region)
    acked = []
    try:
        for n in range(limit):
            body = {"id": f"fill-{n}", "pk": "a", "text": "x" * size}
            a = client.call("POST", f"{container}/docs", body=body, headers=pk("a"))
            if a.status != 201:
                return acked, a
            acked.append(body["id"])
    finally:
        client.close()
    raise AssertionError("the disk never filled up")


def is_all_there(up, container, acked, region=None):
    rows = set(up.query(container, "SELECT VALUE c.id FROM c", region=region))
    eq([i for i in acked if i not in rows][:5], [], "acknowledged writes that are lost")


@tap.test("one region, syncs that fail: the server ends with 74, is back, and nothing acknowledged is lost")
def _():
    with account("fail-sync-after:150", regions=["only"]) as up:
        c = up.make_container("c")
        load = Writers(up, c, threads=4)
        until("the disk failed three times", lambda: len(ends_of(up, "server/only")) >= 3, 30)
        load.more(50)
        load.end()
        eq(set(ends_of(up, "server/only")), {"exit 74"}, "ends of the server")
        log = (up.data / "run" / "only.log").read_text()
        assert "error server fatal" in log and "sync failed" in log, "the log says why"
        again(up)
        load.check(allow_feed=False)


@tap.test("three regions, syncs fail in the write region: another takes over, everything is accounted for")
def _():
    with account("fail-sync-after:150,at:regions/east/") as up:
        up.healthy()
        c = up.make_container("c")
        load = Writers(up, c, threads=4)
        until("the disk failed", lambda: ends_of(up, "server/east"), 30)
        load.more(100)
        until("the others saw it", lambda: up.show()["epoch"] > 1, 15)
        load.more(50)
        load.end()
        assert set(ends_of(up, "server/east")) == {"exit 74"}, ends_of(up, "server/east")
        assert load.gap() < 10, load.gap()
        again(up)
        load.check()
        load.check_regions()


@tap.test("Strong, syncs fail in a read region: writes go on without it, none leaves the data")
def _():
    with account("fail-sync-after:200,at:regions/west/", consistency="Strong") as up:
        up.healthy()
        c = up.make_container("c")
        load = Writers(up, c, threads=4)
        until("the disk failed", lambda: ends_of(up, "server/west"), 30)
        load.more(200)
        load.end()
        eq(ends_of(up, "server/east"), [], "ends of the write region")
        again(up)
        load.check(allow_feed=False)
        load.check_regions()


@tap.test("one region, full disk: 503 in JSON, reads go on in the same process, and after more space writes do")
def _():
    with account(f"full-after:{24 * MIB}", regions=["only"], args=["--disk-reserve", "8M"]) as up:
        c = up.make_container("c")
        pid = up.pid("only")
        acked, refusal = fill(up, c, "only")
        eq(refusal.status, 503, f"refusal: {refusal}")
        assert refusal.doc["code"] and "disk" in refusal.doc["message"], refusal
        assert len(acked) > 50, len(acked)
        item = f"{c}/docs/{acked[0]}"
        for method, link, body in [("POST", f"{c}/docs", {"id": "one-more", "pk": "a"}), ("DELETE", item, None),
                                   ("POST", "/dbs", {"id": "another"})]:
            for region in ("only", None):
                a = up.call(method, link, region=region, body=body, headers=pk("a"), timeout=10)
                eq(a.status, 503, f"{method} {link} at {region or 'the global endpoint'}: {a}")
                assert a.doc["message"], a
        eq(up.call("GET", item, region="only", headers=pk("a")).status, 200, "a read")
        is_all_there(up, c, acked)
        eq((up.pid("only"), ends_of(up, "server/only")), (pid, []), "the process")
        eq(up.call("GET", "/health/ready", region="only").status, 200, "ready")
        eq(up.call("GET", "/health/write", region="only").status, 503, "writes")
        assert "error server disk_low" in (up.data / "run" / "only.log").read_text()
        again(up)
        is_all_there(up, c, acked)
        eq(up.call("POST", f"{c}/docs", body={"id": "one-more", "pk": "a"}, headers=pk("a")).status, 201, "a write")


@tap.test("three regions, the write region's disk is full: writes move to a region with room, none is lost")
def _():
    with account(f"full-after:{24 * MIB},at:regions/east/", args=["--disk-reserve", "8M"]) as up:
        up.healthy()
        c = up.make_container("c")
        acked, refusal = fill(up, c, "east")
        assert refusal.status in (503, 403), refusal
        writer = until("another region writes", lambda: up.writer() != "east" and up.show()["phase"] == "OPEN" and up.writer(), 15)
        a = up.call("POST", f"{c}/docs", body={"id": "after", "pk": "a"}, headers=pk("a"), timeout=10)
        eq(a.status, 201, f"a write: {a}")
        eq(ends_of(up, "server/east"), [], "ends of the full region")
        is_all_there(up, c, acked + ["after"], writer)
        eq(up.call("GET", f"{c}/docs/{acked[0]}", region="east", headers=pk("a")).status, 200, "a read there")
        time.sleep(1)  # the writer is chosen once, not again and again
        eq((up.writer(), up.show()["phase"]), (writer, "OPEN"), "the writer stays")


@tap.test("disks that are full to the last byte end servers, not writes that were acknowledged")
def _():
    with account(f"full-after:{12 * MIB}", regions=["only"], args=["--disk-reserve", "0"]) as up:
        c = up.make_container("c")
        acked = []
        try:
            acked, refusal = fill(up, c, "only")
            assert refusal.status in (408, 503), refusal
        except NO_ANSWER as e:
            comment(f"the connection broke: {e!r}")
        until("the server ended", lambda: ends_of(up, "server/only"), 10)
        eq(set(ends_of(up, "server/only")), {"exit 74"}, "ends of the server")
        again(up)
        is_all_there(up, c, acked)


@tap.test("a slow disk makes writes slow, ends no lease, and costs reads nothing")
def _():
    with account("slow:60") as up:
        up.healthy()
        c = up.make_container("c")
        before = up.show()
        load = Writers(up, c, threads=8)
        load.more(150, 40)
        reads = []
        client = up.client("east")
        key = next(iter(load.acked))
        number = int(key.rsplit("-", 1)[1])
        for _ in range(20):
            started = time.monotonic()
            eq(client.call("GET", f"{c}/docs/{key}", headers=pk(f"k{number % 16}")).status, 200, "a read")
            reads.append(time.monotonic() - started)
        client.close()
        load.end()
        comment(f"slowest of 20 reads {max(reads) * 1000:.1f} ms, longest gap {load.gap() * 1000:.0f} ms")
        assert sorted(reads)[10] < 0.05, reads
        after = up.show()
        eq((after["writer"], after["epoch"]), (before["writer"], before["epoch"]), "the writer")
        _, values = prometheus.check(metrics_text(up.region("east")["endpoint"]))
        p50 = prometheus.value(values, "holdfast_commit_seconds", quantile="0.5")
        assert p50 >= 0.05, p50
        groups = prometheus.value(values, "holdfast_commit_groups_total")
        batches = prometheus.value(values, "holdfast_commit_batches_total")
        comment(f"{batches:.0f} batches in {groups:.0f} groups")
        load.check(allow_feed=False)


@tap.test("a disk that fails from the first byte keeps the server from starting, and up says which and why")
def _():
    os.environ["HOLDFAST_TEST_DISK"] = "fail-sync-after:0"
    up = Up(regions=["only"], start=False)
    try:
        up.spawn()
        until("up explains", lambda: "still waiting for: server only" in (up.dir / "up.log").read_text(), 15)
        assert ends_of(up, "server/only"), "the server ended"
        assert pathlib.Path(up.data / "run" / "only.log").exists()
        eq(up.stop(), 0, "exit code of up")
    finally:
        del os.environ["HOLDFAST_TEST_DISK"]
        up.kill_all()
        up.end()


tap.run()
