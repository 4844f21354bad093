"""Regions join, leave and come back while the account works."""
import json
import os
import signal
import socket
import time

from holdfast import Tap, Up, Writers, comment, eq, is_running, pk, until

tap = Tap()
up = Up(regions=["east", "west"], spare_ports=9)
tap.cleanup(up.end)
state = {}


def learn_regions():
    """As a tool does: from account.json."""
    doc = json.loads((up.data / "account.json").read_text())
    up.regions = doc["regions"]
    up.region_names = [r["name"] for r in doc["regions"]]
    return up.region_names


def must(*args):
    code, out, err = up.cli("account", *args)
    eq(code, 0, f"account {' '.join(args)}: {out}{err}")
    return out


def listed():
    doc = up.call("GET", "/").doc
    return [r["name"] for r in doc["readableLocations"]]


@tap.test("a region is found by its name without case and blanks, and what is said of it is true")
def _():
    up.beating()
    for name, writer in (("W E st", "west"), ("E A S T", "east")):
        assert "complete in" in must("failover", name), name
        eq(up.writer(), writer, "writer")
        up.beating()
    assert "complete in" in must("regions", "priority", "EAST, we st")


@tap.test("a region added under load gets everything, under the next id and port")
def _():
    c = state["container"] = up.make_container("regions")
    load = state["load"] = Writers(up, c, threads=4)
    load.more(200)
    seen = []

    def lists():
        seen.append(tuple(listed()))
        return load.count()
    before = up.show()["tokenVersion"]
    started = time.monotonic()
    lists()
    must("regions", "add", "south")
    comment(f"online after {time.monotonic() - started:.2f} s")
    lists()
    eq(learn_regions(), ["east", "west", "south"], "account.json")
    account = up.show()
    south = next(r for r in account["regions"] if r["name"] == "south")
    eq((south["id"], south["priority"], south["state"]), (3, 2, "ONLINE_READ"), "south")
    eq(account["tokenVersion"], before + 1, "token version")
    eq(listed(), ["east", "west", "south"], "account document")
    load.finish(100, allow_feed=False)
    assert load.gap() < 2, load.gap()


@tap.test("refusals say why, with the status that clients understand")
def _():
    cases = [("add", {"region": "West"}, 400, "in the account already"),
             ("add", {"region": "a/b"}, 400, "letters"),
             ("add", {"region": "center", "priority": 0}, 400, "write region"),
             ("add", {"region": "center", "priority": -1}, 400, "priority"),
             ("remove", {"region": "east"}, 400, "takes the account's writes"),
             ("remove", {"region": "nowhere"}, 400, "no region"),
             ("priority", {"regions": ["east", "west"]}, 400, "all 3 regions"),
             ("priority", {"regions": "east"}, 400, "list"),
             ("twist", {"region": "east"}, 404, "no such operation")]
    for op, body, status, text in cases:
        a = up.call("POST", f"/_holdfast/account/regions/{op}", body=body)
        eq(a.status, status, f"{op} {body}: {a}")
        assert text in a.text, (text, a)
    code, _, err = up.cli("account", "regions", "remove")
    eq(code, 2, err)


@tap.test("a region removed under load: 403/1008 there, its process ends, the others go on")
def _():
    load = Writers(up, state["container"], threads=4)
    load.more(50)
    west = up.client("west")
    eq(west.get("/dbs").status, 200, "before")
    pid = up.children()["server/west"]
    must("regions", "remove", "west")
    until("the process of west has ended", lambda: not is_running(pid))
    eq(listed(), ["east", "south"], "account document")
    def answers_gone():
        a = up.call("GET", "/dbs", region="west", timeout=3)
        return (a.status, a.substatus) == (403, 1008)
    until("the front answers for west", answers_gone)
    west.close()
    load.more(100)
    load.end()
    assert load.gap() < 2, load.gap()
    eq(learn_regions(), ["east", "south"], "account.json")
    load.check(allow_feed=False)
    load.check_regions()


@tap.test("a region whose port is taken joins once the port is free")
def _():
    with Up(regions=["one"], spare_ports=2) as other:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", other.port + 2))
            s.listen(1)
            eq(other.cli("account", "regions", "add", "two", "--wait", "0")[0], 0, "exit code")
            until("it is said why", lambda: "region_not_started" in (other.dir / "up.log").read_text(), 30)
        until("it is online", lambda: other.state("two") == "ONLINE_READ", 30)
        eq((other.dir / "up.log").read_text().count("region_not_started"), 1, "times that it is said")


@tap.test("what could not be written for want of space is written once there is some")
def _():
    with Up(regions=["one"], spare_ports=2) as other:
        def told():
            return (other.dir / "up.log").read_text()

        def saved():
            return json.loads((other.data / "account.json").read_text())
        old = saved()["key"]
        blocks = [other.data / "account.json.new", other.data / "run/two.conf.new"]  # stand for a full disk
        for block in blocks:
            (block / "x").mkdir(parents=True)
        code, out, err = other.cli("account", "keys", "--regenerate", "primary", "--json")
        eq(code, 0, f"exit code: {err}")
        new = json.loads(out)["primary"]
        at = ("--endpoint", other.endpoint, "--key", new)
        eq(other.cli("account", "regions", "add", "two", "--wait", "0", *at)[0], 0, "exit code")
        until("it is said", lambda: "account_not_saved" in told() and "region_not_started" in told(), 30)
        time.sleep(2.5)  # of the next attempts nothing is said
        eq([told().count(what) for what in ("account_not_saved", "region_not_started")], [1, 1], "times that it is said")
        for block in blocks:
            (block / "x").rmdir()
            block.rmdir()
        until("tools find the new key", lambda: saved()["key"] == new != old)
        other.key = new
        until("it is online", lambda: other.state("two") == "ONLINE_READ", 30)
        until("both are in account.json", lambda: len(saved()["regions"]) == 2)


@tap.test("a region called as people write it has a host name")
def _():
    with Up(regions=["one"], args=["--tls"], spare_ports=2) as other:
        code, out, err = other.cli("account", "regions", "add", "South US", "--json")
        eq(code, 0, f"exit code: {out}{err}")
        eq([(r["name"], r["endpoint"]) for r in json.loads(out)["regions"]],
           [("one", f"https://holdfast-one.localhost:{other.port + 1}/"),
            ("South US", f"https://holdfast-southus.localhost:{other.port + 2}/")], "regions")
        code, out, err = other.cli("status", "--json")
        eq([s["status"] is not None for s in json.loads(out)["servers"]], [True, True], f"they answer: {err}")


@tap.test("the changed set outlives a restart")
def _():
    eq(up.stop(), 0, "exit code")
    up.start()
    eq(learn_regions(), ["east", "south"], "account.json")
    up.healthy()
    eq(listed(), ["east", "south"], "account document")
    eq(sorted(k for k in up.children() if k.startswith("server/")), ["server/east", "server/south"], "servers")


@tap.test("a region added back has its old id and port, and brings its data up to date")
def _():
    load = Writers(up, state["container"], threads=4)
    load.more(100)
    started = time.monotonic()
    must("regions", "add", "west", "--priority", "1")
    comment(f"online after {time.monotonic() - started:.2f} s")
    learn_regions()
    west = next(r for r in up.show()["regions"] if r["name"] == "west")
    eq((west["id"], west["priority"]), (2, 1), "west")
    eq(up.region("west")["endpoint"], f"http://127.0.0.1:{up.port + 2}/", "its port")
    load.finish(100, allow_feed=False)


@tap.test("another order of the regions: the first one takes the writes, nothing is lost")
def _():
    load = Writers(up, state["container"], threads=4)
    load.more(50)
    must("regions", "priority", "south,east,west")
    eq(up.writer(), "south", "writer")
    eq(listed(), ["south", "east", "west"], "account document")
    load.finish(100)
    assert load.gap() < 3, load.gap()


@tap.test("a former writer with what only it has: removed with --force only, its writes come back with it")
def _():
    load = Writers(up, state["container"], threads=4)
    load.more(100)
    pid = up.children()["server/south"]
    os.kill(pid, signal.SIGKILL)
    until("another region writes", lambda: up.show()["phase"] == "OPEN" and up.writer() != "south")
    load.more(50)
    up.healthy()
    must("offline", "south")
    code, _, err = up.cli("account", "regions", "remove", "south")
    assert code != 0 and "OFFLINE" in err and "--force" in err, (code, err)
    must("regions", "remove", "south", "--force")
    load.more(50)
    must("regions", "add", "south")
    learn_regions()
    load.finish(50)


@tap.test("more names than an account starts with: each has its own place, and keeps it over a restart")
def _():
    ports = {}
    for i in range(8):
        name = f"more{i}"
        must("regions", "add", name)
        learn_regions()
        ports[name] = up.region(name)["endpoint"]
        if i < 6:
            must("regions", "remove", name)
    eq(len(set(ports.values())), 8, f"places {ports}")
    eq(up.stop(), 0, "exit code")
    up.start()
    learn_regions()
    up.healthy()
    must("regions", "add", "more3")
    learn_regions()
    eq({n: up.region(n)["endpoint"] for n in ("more3", "more6", "more7")},
       {n: ports[n] for n in ("more3", "more6", "more7")}, "the same places")
    for name in ("more3", "more7"):
        eq(up.call("GET", "/dbs", region=name).status, 200, name)


tap.run()
