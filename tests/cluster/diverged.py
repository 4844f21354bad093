"""What becomes of writes that a failover could not keep: the account's setting, and where each of them is."""
import json
import os
import signal
import subprocess

from holdfast import PROGRAM, Tap, Up, eq, metric, pk, until

tap = Tap()
up = Up(regions=["east", "west"], fault_proxy=True)
tap.cleanup(up.end)
ITEMS, ROUNDS = 5, 4  # what is lost: so many versions of so many items


def write(link, id, version):
    return up.call("POST", link + "/docs", body={"id": id, "pk": "a", "v": version},
                   headers={**pk("a"), "x-ms-documentdb-is-upsert": "true"})


def lose(link):
    """The writer dies with writes that the other region lacks, and comes back; it, and its archives since."""
    writer = up.writer()
    other = next(n for n in up.region_names if n != writer)
    folder = up.data / "regions" / writer / "archive"
    had = set(folder.glob("*.hfar"))
    for name in (f"{writer}>{other}", f"{other}>{writer}"):
        up.link(name, "cut")
    for i in range(ROUNDS * ITEMS):
        assert write(link, f"i{i % ITEMS}", i).status in (200, 201)
    os.kill(up.children()[f"server/{writer}"], signal.SIGKILL)
    until("the other region writes", lambda: up.writer() == other, 20)
    for name in (f"{writer}>{other}", f"{other}>{writer}"):
        up.link(name, "pass")
    up.settled(60)
    return writer, sorted(set(folder.glob("*.hfar")) - had)


def archived(files):
    """Versions that are in archives."""
    found = set()
    for f in files:
        p = subprocess.run([PROGRAM, "inspect", "archive", str(f), "--bodies"], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=30)
        eq(p.returncode, 0, p.stderr)
        found |= {v for v in range(ROUNDS * ITEMS) if f'"v":{v},' in p.stdout}
    return found


def kept(region, link, recorded, archived_only):
    """What the region says that it has handed in since its start, and what is in the feed."""
    eq(len(up.conflicts(link)), recorded, "conflict records")
    endpoint = up.region(region)["endpoint"]
    eq(metric(endpoint, "holdfast_diverged_writes_recorded_total"), recorded, "recorded")
    eq(metric(endpoint, "holdfast_diverged_writes_archived_total"), archived_only, "in the archive only")
    status = up.client(region).get("/_holdfast/status").doc
    eq((status["divergedWritesRecorded"], status["divergedWritesArchivedOnly"]), (recorded, archived_only), "status")
    code, out, err = up.cli("events", "--region", region)
    eq(code, 0, err)
    assert f"recorded={recorded} archived_only={archived_only}" in out, out


@tap.test("feed: each lost write is a record; the region says so")
def _():
    up.healthy()
    link = up.make_container("all")
    region, files = lose(link)
    kept(region, link, ROUNDS * ITEMS, 0)
    eq(archived(files), set(range(ROUNDS * ITEMS)), "archived")


@tap.test("feed-latest: the last lost version of each item is a record, the others are archived")
def _():
    up.healthy()
    code, out, err = up.cli("account", "diverged-writes", "feed-latest", "--json")
    eq(code, 0, err)
    eq(json.loads(out)["divergedWrites"], "feed-latest", out)
    link = up.make_container("latest")
    region, files = lose(link)
    kept(region, link, ITEMS, ROUNDS * ITEMS - ITEMS)
    eq(sorted(c["v"] for c in up.conflicts(link)), list(range((ROUNDS - 1) * ITEMS, ROUNDS * ITEMS)), "versions")
    eq(archived(files), set(range(ROUNDS * ITEMS)), "archived")


@tap.test("archive: no lost write is a record, all are archived")
def _():
    up.healthy()
    code, out, err = up.cli("account", "diverged-writes", "archive")
    eq(code, 0, err)
    assert "a failover cannot keep: archive" in out, out
    link = up.make_container("archive")
    region, files = lose(link)
    kept(region, link, 0, ROUNDS * ITEMS)
    eq(archived(files), set(range(ROUNDS * ITEMS)), "archived")


@tap.test("lww: the later of the lost and the present version is the item, what it replaced is in the feed")
def _():
    up.healthy()
    code, out, err = up.cli("account", "diverged-writes", "lww")
    eq(code, 0, err)
    link = up.make_container("lww")
    for i in range(ITEMS - 1):  # the last item is made in the suffix: that it was not deleted nobody knows
        eq(write(link, f"i{i}", 1000 + i).status, 201, "before")
    other = next(n for n in up.region_names if n != up.writer())
    until("the other region has them", lambda: len(up.query(link, "SELECT c.id FROM c", region=other)) == ITEMS - 1)
    region, files = lose(link)
    last = (ROUNDS - 1) * ITEMS
    found = {d["id"]: d for d in up.query(link, "SELECT * FROM c")}
    eq({k: d["v"] for k, d in found.items()}, {f"i{i}": last + i for i in range(ITEMS - 1)}, "items")
    kept(region, link, ROUNDS * ITEMS, 0)
    eq(metric(up.region(up.writer())["endpoint"], "holdfast_diverged_writes_applied_total"), ITEMS - 1, "applied")
    for c in up.conflicts(link):
        record = c["_conflict"]
        if record.get("x_applied"):
            i = c["v"] - 1000
            eq((c["id"], record["resourceId"]), (f"i{i}", found[f"i{i}"]["_rid"]), "what was replaced")
        else:
            assert c["v"] < last or c["v"] == last + ITEMS - 1, c
    eq(sum(bool(c["_conflict"].get("x_applied")) for c in up.conflicts(link)), ITEMS - 1, "records of those applied")
    eq(archived(files), set(range(ROUNDS * ITEMS)), "archived")


@tap.test("a full feed: what comes then is archived only, events and figures say so; deleting makes room")
def _():
    up.healthy()
    link = up.make_container("full")
    code, out, err = up.cli("account", "diverged-writes", "feed", "--feed-quota", "1k")
    eq(code, 0, err)
    assert "conflict feed at most 1024 bytes" in out, out
    region, files = lose(link)
    records = up.conflicts(link)
    eq(archived(files), set(range(ROUNDS * ITEMS)), "archived")
    writer = up.writer()
    status = up.client(writer).get("/_holdfast/status").doc
    eq(status["conflictFeedQuota"], 1024, "quota")
    assert status["conflictFeedSize"] >= 1024, status["conflictFeedSize"]
    returned = up.client(region).get("/_holdfast/status").doc
    eq(returned["divergedWritesRecorded"], len(records), "recorded")
    eq(returned["divergedWritesRecorded"] + returned["divergedWritesArchivedOnly"], ROUNDS * ITEMS, "all of them")
    eq(returned["conflictFeedSize"], status["conflictFeedSize"], "size of the feed in both regions")
    until("the writer tells", lambda: "is_full=1" in up.cli("events", "--region", writer)[1])
    code, _, err = up.cli("drill", "--fault", "kill", "--repeat", "1")
    assert code != 0 and "conflict feed is full" in err, err
    for of in (f"/dbs/tests/colls/{name}" for name in ("all", "latest", "lww", "full")):
        for c in up.conflicts(of):
            eq(up.call("DELETE", f"{of}/conflicts/{c['_conflict']['id']}", headers=pk("a")).status, 204, "delete")
    until("there is room again", lambda: "is_full=0" in up.cli("events", "--region", writer)[1])
    eq(up.client(writer).get("/_holdfast/status").doc["conflictFeedSize"], 0, "an empty feed")
    code, out, err = up.cli("account", "diverged-writes", "feed", "--feed-quota", "0")
    eq(code, 0, err)


@tap.test("what is no setting is refused with what there is; a drill refuses an account that makes no records")
def _():
    for value, words in (("heap", "feed, feed-latest"), ("", "feed, feed-latest")):
        eq(up.call("POST", "/_holdfast/account/diverged-writes", body={"divergedWrites": value}).status, 400, value)
        code, _, err = up.cli("account", "diverged-writes", value)
        assert code != 0 and words in err, err
    eq(up.cli("account", "diverged-writes", "archive")[0], 0, "set")
    code, _, err = up.cli("drill", "--fault", "kill", "--repeat", "1")
    assert code != 0 and "diverged-writes feed" in err, err
    code, _, err = up.cli("account", "diverged-writes", "feed")
    eq(code, 0, err)
    eq(up.show()["divergedWrites"], "feed", "the setting")


tap.run()
