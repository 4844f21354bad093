"""Consistency levels of a running account: changed under load, bounded, refused with a sentence."""
import threading

from holdfast import Tap, Up, Writers, eq, pk, until

tap = Tap()
up = Up(fault_proxy=True, args=["--no-auto-failover"])
tap.cleanup(up.end)


def account():
    return up.client().get("/_holdfast/account").doc


def change(level, *args):
    code, out, err = up.cli("account", "consistency", level, *args)
    eq(code, 0, out + err)
    eq(account()["consistency"], level, "level")
    return err


def create(container, item, region=None, **kw):
    return up.call("POST", f"{container}/docs", region=region, body={"id": item, "pk": "a"}, headers=pk("a"), **kw)


def read(container, item, region, level=None):
    headers = pk("a")
    if level:
        headers["x-ms-consistency-level"] = level
    return up.call("GET", f"{container}/docs/{item}", region=region, headers=headers)


@tap.test("every change of level under load: all writes are answered, and none is lost")
def _():
    up.healthy()
    c = up.make_container("changes")
    load = Writers(up, c, threads=4)
    for level in ("Strong", "BoundedStaleness", "Eventual", "ConsistentPrefix", "Strong", "Session"):
        load.more(20)
        change(level)
    load.more(20)
    load.end()
    eq(len(load.unknown), 0, "writes with unknown outcome")
    load.check(allow_feed=False)
    load.check_regions()


@tap.test("once Strong is in force, what was written before at Session is read in every region")
def _():
    up.healthy()
    c = up.make_container("strong")
    for i in range(20):
        eq(create(c, f"i{i}").status, 201, "create")
    change("Strong")
    for name in up.region_names:
        # A region that does not know of the change yet refuses "Strong", and one without a lease any strong read.
        until("a read lease", lambda n=name: read(c, "i19", n, "Strong").status == 200, 3)
        for i in range(20):
            eq(read(c, f"i{i}", name).status, 200, f"i{i} at {name}")
    change("Session")


@tap.test("a request may ask for less than the account, not for more, and sees the level change")
def _():
    up.healthy()
    c = up.make_container("ask")
    eq(create(c, "1").status, 201, "create")
    eq(read(c, "1", up.writer(), "BoundedStaleness").status, 400, "more than Session")
    warning = change("BoundedStaleness", "--max-staleness-ops", "1000", "--max-staleness-seconds", "60")
    assert "warning" in warning, warning
    eq(up.client().get("/").doc["userConsistencyPolicy"],
       {"defaultConsistencyLevel": "BoundedStaleness", "maxStalenessPrefix": 1000, "maxIntervalInSeconds": 60},
       "policy")
    until("bounded reads", lambda: read(c, "1", up.writer(), "BoundedStaleness").status == 200, 5)
    eq(read(c, "1", up.writer(), "Strong").status, 400, "more than BoundedStaleness")


@tap.test("a region that is cut off holds writes back at the bound, and serves nothing too old")
def _():
    up.healthy()
    change("BoundedStaleness", "--max-staleness-ops", "20")
    c = up.make_container("bound")
    writer = up.writer()
    peer = next(n for n in up.region_names if n != writer)
    up.links(peer, "cut")
    try:
        answers = []
        until("a write is refused", lambda: answers.append(create(c, f"i{len(answers)}", writer)) or
              answers[-1].status == 429, 20)
        eq(answers[-1].headers["x-ms-retry-after-ms"], "500", "when to try again")
        eq({a.status for a in answers[:-1]}, {201}, "writes before")
        assert 18 <= len(answers) - 1 <= 20, len(answers)  # the epoch's first entry may still count
        eq(read(c, "i0", writer).status, 200, "read at the writer")
        until("the region does not read any more", lambda: read(c, "i0", peer).status == 503, 5)
        eq(read(c, "i0", peer, "Eventual").status in (200, 404), True, "an eventual read goes on")
        eq(account()["durability"], "normal", "durability")
    finally:
        up.links(peer, "pass")
    until("writes go on", lambda: create(c, "again", writer).status in (201, 409), 20)
    until("and reads", lambda: read(c, "again", peer).status == 200, 10)


@tap.test("operations that meet are planned again on what the other one left")
def _():
    up.healthy()
    answers = []

    def rotate():
        client = up.client()
        for _n in range(40):
            answers.append(client.call("POST", "/_holdfast/account/keys/regenerate", body={"key": "secondaryReadonly"}))
        client.close()

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for t in threads:
        t.start()
    for level in ("Session", "Eventual", "BoundedStaleness"):
        change(level)
    for t in threads:
        t.join()
    eq({a.status for a in answers}, {202}, "answers")


@tap.test("changes that cannot be made are refused with a sentence")
def _():
    up.healthy()
    peer = next(n for n in up.region_names if n != up.writer())
    code, out, err = up.cli("account", "consistency", "Stronger")
    assert code != 0 and "unknown consistency level" in err, out + err
    code, out, err = up.cli("account", "consistency", "BoundedStaleness", "--max-staleness-seconds", "4")
    assert code != 0 and "5 to 86400 seconds" in err, out + err
    eq(up.cli("account", "offline", peer)[0], 0, "offline")
    answer = up.client().call("POST", "/_holdfast/account/consistency", body={"level": "Strong"})
    eq(answer.status, 409, repr(answer))
    eq(answer.doc["code"], "ERR_PRECONDITION", "not that something exists")
    assert "during an outage" in answer.text, answer.text
    eq(up.cli("account", "online", peer)[0], 0, "online")


@tap.test("a restart keeps the level and its bounds")
def _():
    up.healthy()
    eq(up.stop(), 0, "exit code")
    up.start()
    doc = account()
    eq((doc["consistency"], doc["maxStalenessOperations"], doc["maxStalenessSeconds"]), ("BoundedStaleness", 20, 60),
       "level")


tap.run()
