"""Nobody is left who has everything: an operator is told what that costs, and decides."""
import subprocess
import time

from holdfast import PROGRAM, Tap, Up, comment, eq, pk, until

tap = Tap()
up = Up(regions=["east", "west", "north"], fault_proxy=True, consistency="Strong")
tap.cleanup(up.end)
state = {}
ALONE = 20


def create(id, **kw):
    return up.call("POST", state["link"] + "/docs", body={"id": id, "pk": "a"}, headers=pk("a"), **kw)


def inspect(*args):
    p = subprocess.run([PROGRAM, "inspect", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return p.returncode, p.stdout, p.stderr


def is_there(id, **kw):
    return up.call("GET", state["link"] + f"/docs/{id}", headers=pk("a"), **kw).status


@tap.test("the last writer went on alone, and is gone when the others come back: nobody takes over")
def _():
    up.healthy()
    state["link"] = up.make_container("c")
    eq(create("all").status, 201, "with all")
    for region in ("west", "north"):
        up.links(region, "cut")
        until(f"{region} is taken out", lambda r=region: up.state(r) == "OFFLINE", 20)
    for i in range(ALONE):
        eq(create(f"alone-{i}").status, 201, "alone")
    time.sleep(1)  # several heartbeats: the estimate is by the last one
    up.links("east", "cut")
    for name in ("west>coordinator", "north>coordinator", "west>north", "north>west"):
        up.link(name, "pass")  # not those to east
    for region in ("west", "north"):
        until(f"{region} is catching up", lambda r=region: up.state(r) == "RECOVERING", 20)
    eq(up.show()["writer"], "east", "writer")


@tap.test("taking it out is refused, with what each of the others lacks, on both interfaces")
def _():
    def is_heard_of_all():
        refusal = up.cli("account", "offline", "east")
        return refusal if "not heard of" not in refusal[2] else None
    code, _, err = until("both others beat", is_heard_of_all)
    comment(err.strip().replace("\n", " "))
    eq(code, 1, err)
    for text in ("the only one with all acknowledged data", "west is RECOVERING and lacks about",
                 "north is RECOVERING and lacks about", "--force"):
        assert text in err, (text, err)
    a = up.call("POST", "/_holdfast/account/offline", body={"region": "east"})
    eq(a.status, 409, a)
    code, _, err = up.cli("account", "offline", "east", "--to", "west")
    eq(code, 2, err)
    assert "--force" in err, err
    eq(up.cli("account", "show", "--to", "west")[0], 2, "usage")
    eq(up.show()["writer"], "east", "writer")


@tap.test("accepted, the region that was named writes, at a new token version, without what it lacked")
def _():
    before = up.show()
    code, out, err = up.cli("account", "offline", "east", "--force", "--to", "north")
    eq(code, 0, err)
    comment(out.splitlines()[0])
    assert "estimated loss: " in out and "operations" in out, out
    after = up.show()
    eq(after["writer"], "north", "writer")
    assert after["tokenVersion"] > before["tokenVersion"], after
    eq(after["epochs"][-1]["rule"], 316, "rule")
    eq(after["epochs"][-1]["lossy"], True, "lossy")
    until("writes go on", lambda: create("after").status in (201, 409), 20)
    until("west is online again", lambda: up.state("west") == "ONLINE_READ", 30)
    eq(is_there("all"), 200, "what all had")
    eq(is_there("alone-0"), 404, "what only east had")


@tap.test("should the lost region come back after all, it hands in what was given up")
def _():
    up.links("east", "pass")
    eq(up.cli("account", "online", "east")[0], 0, "online")
    up.settled()
    feed = up.conflicts(state["link"])
    eq(len(feed), ALONE, "conflict records")
    eq({r["id"] for r in feed}, {f"alone-{i}" for i in range(ALONE)}, "items in the feed")
    for region in ("east", "west", "north"):
        until(f"{region} reads what came after", lambda r=region: is_there("after", region=r) == 200)


@tap.test("what it handed in is also in an archive of its own, which can be read")
def _():
    files = sorted((up.data / "regions" / "east" / "archive").glob("*.hfar"))
    assert files, "archives"
    shown = ""
    for file in files:
        code, out, err = inspect("archive", str(file), "--bodies", "--limit", "1000")
        eq(code, 0, err)
        shown += out
    for i in range(ALONE):
        assert f'"alone-{i}"' in shown, (i, shown)
    cut = up.data / "cut.hfar"
    cut.write_bytes(files[0].read_bytes()[:-1])
    code, _, err = inspect("archive", str(cut))
    eq(code, 74, err)


tap.run()
