"""Links cut one by one, frozen and lost regions, operators' changes: who may write, what is kept."""
import json
import os
import signal
import time

from holdfast import NO_ANSWER, Tap, Up, Writers, comment, eq, metric, pk, until

tap = Tap()
up = Up(fault_proxy=True, args=["--kill-frozen", "0"], spare_ports=1)
tap.cleanup(up.end)


def container(name):
    up.healthy()
    return up.make_container(name)


def others(writer):
    return [n for n in up.region_names if n != writer]


@tap.test("a writer frozen beyond its lease acknowledges nothing when it wakes up")
def _():
    c = container("frozen")
    writer = up.writer()
    load = Writers(up, c, threads=3)
    load.more(30)
    old = up.client(writer, timeout=15)  # a connection that the frozen process itself holds
    eq(old.call("GET", f"{c}/docs/none", headers=pk("a")).status, 404, "the connection works")
    pid = up.pid(writer)
    os.kill(pid, signal.SIGSTOP)
    old.send("POST", f"{c}/docs", body={"id": "from-the-past", "pk": "a"}, headers=pk("a"))
    until("another region writes", lambda: up.writer() != writer, 15)
    load.more(10)
    os.kill(pid, signal.SIGCONT)
    try:
        a = old.receive()
        comment(f"the old writer answered {a.status}/{a.substatus}")
        assert a.status in (403, 408, 503), a
        is_refused = a.status in (403, 503)
    except NO_ANSWER as e:
        comment(f"the old writer hung up: {e!r}")
        is_refused = False
    load.finish()
    a = up.call("GET", f"{c}/docs/from-the-past", headers=pk("a"))
    assert a.status == 404 or not is_refused, a


@tap.test("writer cut from the coordinator: another takes over, the old one rejoins")
def _():
    c = container("coordinator-link")
    writer = up.writer()
    load = Writers(up, c, threads=3)
    load.more(30)
    up.link(f"{writer}>coordinator", "cut")
    try:
        until("another region writes", lambda: up.writer() != writer, 15)
        a = until("the cut region says so", lambda: up.call("POST", f"{c}/docs", region=writer,
                  body={"id": "late", "pk": "a"}, headers=pk("a"), timeout=2))
        assert a.status in (403, 503), a
        load.more(20)
    finally:
        up.link(f"{writer}>coordinator", "pass")
    load.finish()


def cut_one_way(name, link_of):
    c = container(name)
    writer = up.writer()
    link = link_of(writer, others(writer)[0])
    load = Writers(up, c, threads=3)
    load.more(20)
    up.link(link, "cut")
    try:
        load.more(100)
    finally:
        up.link(link, "pass")
    load.finish(allow_feed=False)
    eq(up.writer(), writer, "the writer stays")


@tap.test("writer cut from one peer: writes go on, the peer catches up")
def _():
    cut_one_way("peer-link", lambda writer, peer: f"{writer}>{peer}")


@tap.test("one peer cut from the writer, the way back only: writes go on, the peer catches up")
def _():
    cut_one_way("way-back", lambda writer, peer: f"{peer}>{writer}")


@tap.test("a reader cut off from everything is taken offline, its clients are told, it returns")
def _():
    c = container("reader")
    writer = up.writer()
    peer = others(writer)[1]
    load = Writers(up, c, threads=3)
    load.more(20)
    up.links(peer, "cut")
    try:
        until("it is offline in the record", lambda: up.state(peer) == "OFFLINE", 15)
        names = [l["name"] for l in up.call("GET", "/").doc["readableLocations"]]
        assert peer not in names, names
        load.more(50)
    finally:
        up.links(peer, "pass")
    load.finish(allow_feed=False)
    eq(up.writer(), writer, "the writer stays")


@tap.test("the writer cut off from everything: the diverged writes come back through the feed")
def _():
    c = container("all-links")
    writer = up.writer()
    endpoint = up.region(writer)["endpoint"]
    load = Writers(up, c, threads=2)
    stubborn = Writers(up, c, threads=2, where=lambda: endpoint)  # never looks for another region
    load.more(30)
    up.links(writer, "cut")
    try:
        until("another region writes", lambda: up.writer() != writer, 15)
        load.more(30)
        with stubborn.lock:
            before = len(stubborn.acked)
        time.sleep(0.3)  # long enough for several attempts
        eq(stubborn.count(), before, "writes acknowledged by the cut-off region")
    finally:
        up.links(writer, "pass")
    stubborn.end()
    load.finish()
    stubborn.check()


@tap.test("graceful change under load: nothing is lost, nothing leaves, the pause is short")
def _():
    c = container("graceful")
    writer = up.writer()
    target = others(writer)[0]
    load = Writers(up, c, threads=3)
    load.more(30)
    code, out, err = up.cli("account", "failover", target)
    eq(code, 0, out + err)
    eq(up.writer(), target, "writer")
    load.finish(allow_feed=False)
    eq(len(load.unknown), 0, "writes with unknown outcome")
    assert load.gap() < 5, load.gap()


@tap.test("a change to a region that does not answer is rolled back, and the operator is told at once")
def _():
    up.healthy()
    writer = up.writer()
    target = others(writer)[0]
    pid = up.children()[f"server/{target}"]
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        code, out, err = up.cli("account", "failover", target, "--wait", "60s")
        took = time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == 1 and "rolled back" in err, (code, out, err)
    assert took < 30, took
    eq(up.writer(), writer, "writer")
    up.healthy()


@tap.test("an operator takes the writer offline by force, and back online")
def _():
    c = container("forced")
    writer = up.writer()
    load = Writers(up, c, threads=3)
    load.more(30)
    code, out, err = up.cli("account", "offline", writer, "--force")
    eq(code, 0, out + err)
    assert "estimated loss: " in out, out
    assert up.writer() != writer
    a = up.call("GET", f"{c}/docs/none", region=writer, headers=pk("a"))
    eq((a.status, a.substatus), (403, 1008), "reads at the offline region")
    load.more(30)
    time.sleep(1.5)  # longer than a lease: it must not come back by itself
    eq(up.state(writer), "OFFLINE", "it stays offline")
    code, out, err = up.cli("account", "online", writer)
    eq(code, 0, out + err)
    load.finish()


@tap.test("what a writer could not send is estimated by partition: by its removal, by the event of its successor")
def _():
    c = container("unsent")
    writer = up.writer()
    for n in others(writer):
        up.link(f"{writer}>{n}", "cut")
    try:
        for i in range(20):
            a = up.call("POST", f"{c}/docs", region=writer, body={"id": str(i), "pk": "a"}, headers=pk("a"))
            eq(a.status, 201, "created")
        time.sleep(0.6)  # three heartbeats
        code, out, err = up.cli("account", "offline", writer, "--force", "--json")
        eq(code, 0, out + err)
    finally:
        up.link("*", "pass")
    lost = json.loads(out)["lostInPartitions"]
    assert lost[0]["operationsEstimate"] >= 20, lost
    partition = lost[0]["partition"]
    text = until("the front tells", lambda: [e["text"] for e in up.call("GET", "/events").doc["events"]
                                             if e["event"] == "failover" and f"from={writer}" in e["text"]])[-1]
    assert f'lost_in_partitions="{partition}:{lost[0]["operationsEstimate"]}' in text, text
    text = [e["text"] for e in up.call("GET", "/events", region=up.writer()).doc["events"] if e["event"] == "failover"][-1]
    assert f'lost_in_partitions="{partition}:' in text, text
    eq(up.cli("account", "online", writer)[0], 0, "online")
    up.healthy()


@tap.test("a change feed read in an epoch that got lost goes on from where that parted, not from the beginning")
def _():
    c = container("lost-epoch")
    a, b, n = up.writer(), *others(up.writer())

    def write(region, names):
        for name in names:
            r = up.call("POST", f"{c}/docs", region=region, body={"id": name, "pk": "a"}, headers=pk("a"))
            eq(r.status, 201, f"{name} in {region}")

    def feed(region, etag=None):
        headers = {"A-IM": "Incremental feed", "x-ms-documentdb-partitionkeyrangeid": "0", "x-ms-max-item-count": "-1"}
        r = up.call("GET", f"{c}/docs", region=region, headers={**headers, **({"if-none-match": etag} if etag else {})})
        return [d["id"] for d in r.doc["Documents"]] if r.status == 200 else [], r.headers.get("etag")

    write(a, ["all"])
    until("everybody has it", lambda: all(feed(r)[0] == ["all"] for r in (a, b, n)))
    for link in (f"{a}>{b}", f"{b}>{n}", f"{n}>{b}"):
        up.link(link, "cut")
    try:
        write(a, ["not-in-b"])
        until("one reader has it", lambda: feed(n)[0] == ["all", "not-in-b"])
        eq(up.cli("account", "offline", a, "--force", "--to", b)[0], 0, "offline")
        write(b, ["lost"])
        ids, etag = feed(b)
        eq(ids, ["all", "lost"], "the feed in the epoch to be lost")
        eq(up.cli("account", "offline", b, "--force", "--to", n)[0], 0, "offline")
        write(n, ["after"])
        eq(feed(n, etag)[0], ["not-in-b", "after"], "what the reader has not seen")
    finally:
        up.link("*", "pass")
    for region in (a, b):
        eq(up.cli("account", "online", region)[0], 0, "online")
    up.healthy()


@tap.test("a region added while the account runs is behind the proxy, too, and after the proxy's restart")
def _():
    c = container("added")
    load = Writers(up, c, threads=3)
    load.more(20)
    code, out, err = up.cli("account", "regions", "add", "south")
    eq(code, 0, out + err)
    pid = up.children()["proxy"]
    for is_again in (False, True):
        if is_again:
            os.kill(pid, signal.SIGKILL)
            until("the proxy runs again", lambda: up.children().get("proxy") not in (None, pid))
        up.healthy()
        until("its links are known", lambda: [up.link(n, "cut") for n in (
            "south>coordinator", "south>east", "east>south", "south>north", "west>south")])
        until("the cut region is offline", lambda: up.state("south") == "OFFLINE", 15)
        load.more(20)
        up.link("*", "pass")
    up.healthy()
    load.end()
    load.check(allow_feed=False)
    code, out, err = up.cli("account", "regions", "remove", "south")
    eq(code, 0, out + err)
    until("it has left", lambda: all(r["name"] != "south" for r in up.show()["regions"]), 15)


@tap.test("a reader goes offline and online on request; refusals are said")
def _():
    c = container("offline-reader")
    writer = up.writer()
    peer = others(writer)[0]
    code, out, err = up.cli("account", "offline", peer)
    eq(code, 0, out + err)
    eq(up.call("POST", f"{c}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
    code, _, err = up.cli("account", "failover", peer)
    assert code != 0 and err.strip(), "an offline region cannot become the writer"
    code, out, err = up.cli("account", "offline", others(writer)[1])
    eq(code, 0, out + err)
    code, out, err = up.cli("status")
    eq(code, 0, out + err)
    assert "no other region is online to take over" in out and "would leave the data" not in out, out
    code, out, err = up.cli("account", "online", others(writer)[1])
    eq(code, 0, out + err)
    code, _, err = up.cli("account", "failover", "atlantis")
    assert code != 0 and err.strip(), err
    code, out, err = up.cli("account", "online", peer)
    eq(code, 0, out + err)
    up.healthy()
    until("it has what it missed", lambda: up.call("GET", f"{c}/docs/1", region=peer, headers=pk("a")).status == 200)


def links_of(account, region):
    """{"encrypted": n, "plain": n} of links that came up at that region since its process started."""
    return {kind: metric(account.region(region)["endpoint"], f"holdfast_links_{kind}_total")
            for kind in ("encrypted", "plain")}


@tap.test("links of up are plain unless asked for; encrypted ones come back after a cut and a killed writer")
def _():
    for name in up.region_names:
        seen = links_of(up, name)
        assert seen["plain"] > 0 and seen["encrypted"] == 0, f"{name}: {seen}"
    with Up(fault_proxy=True, args=["--peer-tls", "require"]) as account:
        account.healthy()
        c = account.make_container("encrypted")
        load = Writers(account, c, threads=3)
        load.more(20)
        writer = account.writer()
        peer = next(n for n in account.region_names if n != writer)
        before = links_of(account, peer)["encrypted"]
        for name in (f"{writer}>{peer}", f"{peer}>{writer}"):
            account.link(name, "cut")
        load.more(20)
        account.link("*", "pass")
        until("the cut link is back", lambda: links_of(account, peer)["encrypted"] > before)
        os.kill(account.pid(writer), signal.SIGKILL)
        until("another region writes", lambda: account.writer() != writer, 15)
        load.finish()
        for name in account.region_names:
            seen = links_of(account, name)
            assert seen["encrypted"] > 0 and seen["plain"] == 0, f"{name}: {seen}"


tap.run()
