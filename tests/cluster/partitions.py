"""One partition written by another region than the account's write region, with real processes."""
import http.client
import json
import os
import signal
import subprocess

from holdfast import PROGRAM, Tap, Up, Writers, eq, pk, until

tap = Tap()
up = Up(fault_proxy=True)
tap.cleanup(up.end)


def account():
    return up.client().get("/_holdfast/account").doc


def partition(*args):
    code, out, err = up.cli("account", "partition", *args)
    eq(code, 0, out + err)


def create(container, item, region=None):
    return up.call("POST", f"{container}/docs", region=region, body={"id": item, "pk": "a"}, headers=pk("a"))


def id_of(container):
    """The number of the container's only partition: of the place in the metadata log that made it."""
    etag = up.call("GET", container).doc["_etag"].strip('"')
    return int(etag.split("-")[-1], 16) << 9


def rows():
    return {row["partition"]: row for row in account()["partitions"]}


def listed():
    """The partitions by id, as `account partition list --json` has them."""
    code, out, err = up.cli("account", "partition", "list", "--json")
    eq(code, 0, out + err)
    return {p["partition"]: p for p in json.loads(out)["partitions"]}


@tap.test("the list names each partition, its keys and its writer; rules 600.. are a table like the others")
def _():
    up.healthy()
    c = up.make_container("listed")
    up.settled()
    part = listed()[id_of(c)]
    eq((part["container"], part["minInclusive"], part["maxExclusive"]), ("dbs/tests/colls/listed", "", "FF"), "place")
    eq((part["writer"], part["phase"]), ("east", "OPEN"), "writer")
    eq(part["sound"], {"east": True, "west": True, "north": True}, "sound")
    code, out, err = up.cli("account", "partition", "list")
    eq(code, 0, err)
    line = [line for line in out.splitlines() if "dbs/tests/colls/listed" in line][0].split()
    eq((line[0], line[-1]), (str(id_of(c)), "-"), "a line of the table")
    inspect = lambda table: subprocess.run([PROGRAM, "inspect", "fsm", table], capture_output=True, text=True, timeout=30)
    table = inspect("partition")
    eq(table.returncode, 0, table.stderr)
    assert "machine partition" in table.stdout and "\n    610 " in table.stdout, table.stdout
    eq(inspect("container").returncode, 2, "no such table")


@tap.test("an operator moves one partition under load: only it moves, nothing is lost")
def _():
    up.healthy()
    c = up.make_container("moved")
    other = up.make_container("stays")
    load = Writers(up, c, threads=2, where=lambda: up.endpoint)
    load.more(20)
    partition("failover", str(id_of(c)), "west")
    eq(account()["writer"], "east", "the account's writer")
    eq(rows()[id_of(c)]["writer"], "west", "the partition's writer")
    until("the list says so", lambda: listed()[id_of(c)]["writer"] == "west", 10)
    load.more(20)
    answer = create(c, "at-east", "east")
    eq((answer.status, answer.substatus), (403, 3), "the account's writer")
    eq(create(c, "at-west", "west").status, 201, "the partition's writer")
    eq(create(other, "at-east", "east").status, 201, "another partition")
    eq(create(other, "at-west", "west").status, 403, "another partition, elsewhere")
    eq(create(c, "at-front").status, 201, "the global endpoint")
    load.more(20)
    partition("return", str(id_of(c)))
    eq(create(c, "back", "east").status, 201, "back at the account's writer")
    eq(create(c, "not-there", "west").status, 403, "not where it was")
    load.end()
    eq(len(load.unknown), 0, "writes with unknown outcome")
    load.check(allow_feed=False)
    load.check_regions()


@tap.test("its writer dies: another region writes it, the account's writer stays")
def _():
    up.healthy()
    c = "/dbs/tests/colls/moved"
    partition("failover", str(id_of(c)), "west", "--force")
    eq(create(c, "before", "west").status, 201, "the partition's writer")
    os.kill(up.pid("west"), signal.SIGKILL)
    until("another writer", lambda: rows()[id_of(c)]["writer"] != "west" and rows()[id_of(c)]["phase"] == "OPEN", 20)
    eq(account()["writer"], "east", "the account's writer")
    until("writes", lambda: create(c, "after").status in (201, 409), 20)


def spoil(region, container):
    """From now on what is stored of the container's partition there cannot be read, until it is replaced."""
    eq(up.call("POST", "/_holdfast/fault", region=region, body={"corruptPartition": id_of(container)}).status, 200, "spoil")


@tap.test("damage that only a client's read meets: the partition goes elsewhere, is repaired, and comes back")
def _():
    up.healthy()
    c = up.make_container("spoiled")
    other = up.make_container("sound")
    home = account()["writer"]
    for i in range(20):
        eq(create(c, f"i{i}").status, 201, "create")
        eq(create(other, f"i{i}").status, 201, "create")
    up.settled()
    spoil(home, c)
    read = lambda region=None, container=c: up.call("GET", f"{container}/docs/i7", region=region, headers=pk("a"))
    eq(read(home).status, 503, "the damage, without a failover")
    eq(read(home, other).status, 200, "another partition")
    sound = listed()[id_of(c)]["sound"]
    eq([region for region in sound if not sound[region]], [home], "not sound at")
    assert id_of(c) not in rows(), rows()
    partition("automatic", "on")
    until("another writer", lambda: rows().get(id_of(c), {}).get("writer", home) != home, 20)
    eq(rows()[id_of(c)]["rule"] in (350, 355), True, rows())
    until("writes go on", lambda: create(c, "meanwhile").status in (201, 409), 20)
    eq(account()["writer"], home, "the account's writer")
    eq(create(other, "meanwhile", home).status, 201, "another partition stays")
    until("it is back", lambda: rows().get(id_of(c), {"atHome": True})["atHome"], 40)
    until("writes at home", lambda: create(c, "back", home).status in (201, 409), 20)
    partition("automatic", "off")
    eq(read(home).status, 200, "repaired")
    up.settled()
    want = {f"i{i}" for i in range(20)} | {"meanwhile", "back"}
    for region in ("east", "west", "north"):
        got = up.query(c, "SELECT VALUE c.id FROM c", region=region)
        eq(set(got), want, f"documents at {region}")


@tap.test("the region that took a damaged partition is killed: a third one takes it, nothing is lost")
def _():
    up.healthy()
    c = up.make_container("twice")
    home = account()["writer"]
    partition("automatic", "on")
    load = Writers(up, c, threads=2, where=lambda: up.endpoint)
    load.more(20)
    up.settled()
    spoil(home, c)
    taken = lambda *but: (row := rows().get(id_of(c))) and row["writer"] not in but and row["phase"] == "OPEN" and row["writer"]
    first = until("another writer", lambda: taken(home), 20)
    load.more(20)
    os.kill(up.pid(first), signal.SIGKILL)
    until("yet another writer", lambda: taken(first), 30)
    eq(account()["writer"], home, "the account's writer")
    load.more(20)
    load.end()
    up.healthy()
    until("it is sound everywhere", lambda: all(listed()[id_of(c)]["sound"].values()), 40)
    up.settled()
    load.check()
    load.check_regions()
    partition("automatic", "off")


def flip(region, text):
    """One bit of each place in the region's data files that holds the text. Returns how many there were."""
    n = 0
    for path in (up.data / "regions" / region).rglob("*.sst"):
        data = bytearray(path.read_bytes())
        at = data.find(text)
        while at >= 0:
            data[at] ^= 1
            n += 1
            at = data.find(text, at + 1)
        path.write_bytes(data)
    return n


@tap.test("bits of a region's data file flip: its reads are right or refused, its log says so, others have all")
def _():
    up.healthy()
    c = up.make_container("flipped")
    reader = next(r for r in up.region_names if r != account()["writer"])
    marks = [os.urandom(32).hex() for _ in range(60)]
    for i, mark in enumerate(marks):
        body = {"id": f"i{i}", "pk": "a", "mark": mark, "pad": "x" * 5000}
        eq(up.call("POST", f"{c}/docs", body=body, headers=pk("a")).status, 201, "create")
    up.settled()
    os.kill(up.pid(reader), signal.SIGKILL)  # what is in the journal comes into a data file
    until("the document is in a data file, and flipped", lambda: flip(reader, marks[30].encode()), 20)
    until("the region is back", lambda: up.pid(reader), 20)
    os.kill(up.pid(reader), signal.SIGKILL)

    def is_noticed():
        """By a read (503), or by the store itself, which then does not serve at all."""
        try:
            answer = up.call("GET", f"{c}/docs/i30", region=reader, headers=pk("a"), timeout=2)
            assert answer.status != 200 or answer.doc["mark"] == marks[30], answer
        except (OSError, http.client.HTTPException):
            pass
        return any("Corruption" in log.read_text() for log in (up.data / "run").glob(f"*{reader}*.log"))
    until("the damage is noticed", is_noticed, 30, 0.1)
    until("writes go on", lambda: create(c, "meanwhile").status in (201, 409), 20)
    want = {f"i{i}": m for i, m in enumerate(marks)} | {"meanwhile": None}
    for region in (r for r in up.region_names if r != reader):
        same = lambda n=region: {d["id"]: d.get("mark") for d in up.query(c, "SELECT c.id, c.mark FROM c", region=n)} == want
        until(f"all is at {region}", same, 10)


@tap.test("what cannot be asked for is refused with a sentence")
def _():
    c = up.make_container("refusals")
    for args, part in (
        (("failover", "0", "west"), "metadata partition"),
        (("failover", str(id_of(c)), "mars"), "no region 'mars'"),
        (("failover", "999999", "west"), "no region has a partition 999999"),
        (("return", "999999"), "no region has a partition 999999"),
        (("failover", "x", "west"), "account partition"),
        (("automatic", "perhaps"), "account partition"),
    ):
        code, out, err = up.cli("account", "partition", *args)
        assert code != 0 and part in out + err, (args, out, err)
    # By whoever uses the endpoint itself, too.
    body = {"partition": 999999 << 9, "region": "west", "force": True}
    answer = up.client().call("POST", "/_holdfast/account/partitions/failover", body=body)
    eq(answer.status, 404, answer.text)
    assert body["partition"] not in rows(), rows()


tap.run()
