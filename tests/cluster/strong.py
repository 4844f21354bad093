"""Strong consistency with real processes: nothing acknowledged ever leaves, whatever is lost."""
import os
import signal

from holdfast import Tap, Up, Writers, comment, eq, pk, until

tap = Tap()
up = Up(fault_proxy=True, consistency="Strong")
tap.cleanup(up.end)


def container(name):
    up.healthy()
    return up.make_container(name)


@tap.test("the write region is killed: the same items, none in the feed")
def _():
    c = container("kill")
    load = Writers(up, c, threads=4)
    load.more(50)
    writer = up.writer()
    os.kill(up.pid(writer), signal.SIGKILL)
    until("another region writes", lambda: up.writer() != writer, 15)
    load.finish(allow_feed=False)


@tap.test("the write region is cut off: the same")
def _():
    c = container("cut")
    load = Writers(up, c, threads=4)
    load.more(50)
    writer = up.writer()
    up.links(writer, "cut")
    try:
        until("another region writes", lambda: up.writer() != writer, 15)
        load.more(20)
    finally:
        up.links(writer, "pass")
    load.finish(allow_feed=False)


@tap.test("a read region is lost: writes pause for its lease, then go on")
def _():
    c = container("reader")
    load = Writers(up, c, threads=4)
    load.more(50)
    writer = up.writer()
    peer = next(n for n in up.region_names if n != writer)
    up.links(peer, "cut")
    try:
        load.more(50)
        a = until("the cut region does not answer with old data", lambda: up.call(
            "GET", f"{c}/docs/none", region=peer, headers=pk("a"), timeout=3))
        assert a.status in (403, 503), a
    finally:
        up.links(peer, "pass")
    load.finish(allow_feed=False)
    assert load.gap() < 12, load.gap()


@tap.test("a write acknowledged is read in every region at once")
def _():
    c = container("read")
    clients = {n: up.client(n) for n in up.region_names}
    writer = up.client(up.writer())
    for i in range(60):
        eq(writer.call("POST", f"{c}/docs", body={"id": f"i{i}", "pk": "a", "n": i}, headers=pk("a")).status, 201, "create")
        for name, client in clients.items():
            a = client.call("GET", f"{c}/docs/i{i}", headers=pk("a"))
            eq(a.status, 200, f"item {i} at {name}: {a}")
    comment("60 writes, each read in three regions after its acknowledgement")


@tap.test("graceful changes under load: every accepted write is answered, none with unknown outcome")
def _():
    c = container("graceful")
    load = Writers(up, c, threads=8, pace=0)
    for _round in range(6):
        load.more(30)
        writer = up.writer()
        target = next(n for n in up.region_names if n != writer)
        code, out, err = up.cli("account", "failover", target)
        eq(code, 0, out + err)
    load.finish(allow_feed=False)
    eq(len(load.unknown), 0, "writes with unknown outcome")


tap.run()
