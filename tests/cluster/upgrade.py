"""Rolling upgrade and back: an account run by programs of two commits at once.

The data are made by the program of BASE. Coordinator, front and servers then run without a supervisor, as under
systemd, and are exchanged one after another while writers write; what was acknowledged is counted at the end, and
session tokens of before are good in every region. No feature of a newer format is used but where a test says so:
until then the way back is open, too (doc/format/README.md)."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.parse

import base
import holdfast
from holdfast import IS_LONG, PROGRAM, Tap, Up, Writers, comment, eq, pk, tail, until

# Upgraded from, and put back to. Moved forward when a format changes in a way that does not go back.
BASE = "2408c3943fa812fd008555349bfe3633974ede2e"
# Upgraded from only: stores of format 1, which are converted when they are opened.
FORMER = "32f945724a3acc68a6b43f2d36d6fd014231f18c"
COORDINATOR, FRONT = "coordinator", "front"
NEW = PROGRAM
REPEATS = 20 if IS_LONG else 1

tap = Tap()


class Mixed(Up):
    """The account's processes by hand, each with a program of its own. Starts as `up` of the old program."""

    def __init__(self, old, **options):
        self.old = old
        self.hand = {}      # role -> Popen
        self.program = {}   # role -> path
        holdfast.PROGRAM = old
        try:
            super().__init__(**options)
        finally:
            holdfast.PROGRAM = NEW

    def restart_up(self, program):
        """`up` of the other program, on the same directory."""
        eq(self.stop(), 0, "exit code of up")
        holdfast.PROGRAM = program
        try:
            self.start()
        finally:
            holdfast.PROGRAM = NEW

    def to_hand(self):
        """From `up` to processes of the old program without a supervisor."""
        eq(self.stop(), 0, "exit code of up")
        text = (self.data / "run/front.conf").read_text()
        conf = dict(l.split(" = ", 1) for l in text.splitlines() if " = " in l)
        self.coordinator = conf["coordinator"].split("//")[1]
        self.secret = (self.data / "run/coordinator.secret").read_text().strip()
        self.spawn_role(COORDINATOR, self.old)
        record = until("the coordinator answers", self.record, 15)
        self.peer_addr = {r["name"]: r["peer_addr"] for r in record["regions"]}
        for name in self.region_names:
            self.spawn_role(name, self.old)
        self.spawn_role(FRONT, self.old)
        for name in self.region_names:
            self.serves(name)
        self.healthy(60)

    def serves(self, name):
        until(f"{name} serves", lambda: self.client(name).get("/health/ready").status == 200, 30)

    def coord(self, method, path, body=None):
        host, port = self.coordinator.split(":")
        c = http.client.HTTPConnection(host, int(port), timeout=3)
        try:
            c.request(method, path, body=None if body is None else json.dumps(body),
                      headers={"authorization": f"Bearer {self.secret}", "content-type": "application/json"})
            answer = c.getresponse()
            text = answer.read().decode()
            eq(answer.status, 200, text[:200])
            return json.loads(text)
        finally:
            c.close()

    RECORD = "holdfast/v1/accounts/holdfast/record"

    def record_kv(self):
        kvs = self.coord("GET", "/v1/read?prefix=" + urllib.parse.quote(self.RECORD, safe=""))["kvs"]
        return next(kv for kv in kvs if kv["key"] == self.RECORD)

    def record(self):
        return json.loads(self.record_kv()["value"])

    def put_record(self, change):
        """As a program would that we do not know: by compare-and-set, until it is in."""
        while True:
            kv = self.record_kv()
            record = json.loads(kv["value"])
            change(record)
            if self.coord("POST", "/v1/txn", {
                    "compare": [{"key": self.RECORD, "rev": kv["rev"]}],
                    "put": [{"key": self.RECORD, "value": json.dumps(record)}]})["succeeded"]:
                return

    def beats(self):
        """What each region's last heartbeat says, by name."""
        prefix = "holdfast/v1/accounts/holdfast/"
        kvs = self.coord("GET", "/v1/read?prefix=" + urllib.parse.quote(prefix, safe=""))["kvs"]
        names = {r["id"]: r["name"] for r in self.record()["regions"]}
        return {names[int(kv["key"].split("/")[-1])]: json.loads(kv["value"])
                for kv in kvs if kv["key"].startswith(prefix + "beat/")}

    def spawn_role(self, role, program):
        where = {COORDINATOR: lambda: [self.coordinator], FRONT: lambda: [self.endpoint.split("/")[2]]}.get(
            role, lambda: [self.region(role)["endpoint"].split("/")[2], "--listen-peer", self.peer_addr[role]])()
        command = [program, role if role in (COORDINATOR, FRONT) else "server", "--config",
                   str(self.data / f"run/{role}.conf"), "--listen", *where]
        with open(self.data / f"run/{role}.log", "ab") as log:
            # The old programs have no TLS on links; they do not know this variable.
            self.hand[role] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                               env={**os.environ, "HOLDFAST_PEER_TLS": "allow"})
        self.program[role] = program
        host, port = where[0].split(":")

        def is_up():
            if self.hand[role].poll() is not None:
                raise AssertionError(f"{role} ended with {self.hand[role].returncode}")
            socket.create_connection((host, int(port)), timeout=1).close()
            return True
        if role != FRONT and role != COORDINATOR:
            return  # a server listens once it knows the account
        until(f"{role} listens", is_up, 20)

    def end_role(self, role, signum=signal.SIGTERM):
        p = self.hand.pop(role)
        p.send_signal(signum)
        code = p.wait(20)
        if signum == signal.SIGTERM:
            eq(code, 0, f"exit code of {role} ({self.program[role]})")

    def exchange(self, role, program, signum=signal.SIGTERM):
        self.end_role(role, signum)
        self.spawn_role(role, program)

    def exchange_region(self, name, program, load, signum=signal.SIGTERM):
        self.exchange(name, program, signum)
        self.serves(name)
        self.healthy(60)
        if load:
            load.more(20, 60)

    def pid(self, region):
        return self.hand[region].pid if self.hand else super().pid(region)

    def logs(self, lines=25):
        super().logs(lines)
        comment("programs: " + ", ".join(f"{r} {'new' if p == NEW else 'old'}" for r, p in self.program.items()))

    def end(self, is_failed=False):
        if is_failed and self.hand:
            self.logs()
        for role in [FRONT, *self.region_names, COORDINATOR]:
            if role in self.hand:
                self.hand[role].send_signal(signal.SIGCONT)
                self.hand[role].terminate()
        for p in self.hand.values():
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                p.kill()
        self.hand = {}
        super().end(is_failed and self.process is not None)


def old_programs():
    try:
        return [base.build(commit) for commit in (BASE, FORMER)]
    except base.Absent as e:
        comment(f"skipped: {e}")
        return None, None


OLD, FORMER_PROGRAM = old_programs()


def test(title, long_only=False):
    """A test that needs the old programs; said to be skipped where there are none."""
    if OLD is None:
        return lambda fn: tap.test(title + " # SKIP no history of the repository", long_only)(lambda: None)
    return tap.test(title, long_only)


class Tokens:
    """Session tokens of writes, and that they are good: a read with one sees the write."""

    def __init__(self, up, container):
        self.up, self.container, self.taken = up, container, []

    def take(self, count=4):
        for _ in range(count):
            name = f"token-{len(self.taken)}"
            key = f"k{len(self.taken) % 16}"

            def create(name=name, key=key):
                a = self.up.call("POST", f"{self.container}/docs", body={"id": name, "pk": key}, headers=pk(key))
                return a if a.status in (201, 409) else None
            a = until("a write is acknowledged", create, 20)
            if a.status == 201:
                self.taken.append((name, key, a.headers["x-ms-session-token"]))

    def check(self, level, conflicts=()):
        asked = {"x-ms-consistency-level": "Session"} if level != "Eventual" else {}  # never more than the account's
        for region in self.up.region_names:
            client = self.up.client(region)
            for name, key, token in self.taken:
                def read(client=client, name=name, key=key, token=token):
                    a = client.get(f"{self.container}/docs/{name}",
                                   headers={**pk(key), "x-ms-session-token": token, **asked})
                    return a if a.status != 503 else None
                a = until("a read is answered", read, 20)
                ok = a.status == 200 or name in conflicts
                assert ok, f"{name} with its token of before, at {region}: {a}"


def old_account(old, level):
    """Data of the old program with a history: a failover, a graceful change, a region taken out and back."""
    up = Mixed(old, consistency=level)
    try:
        up.healthy()
        c = up.make_container("kept", defaultTtl=-1)
        load = Writers(up, c, threads=4)
        load.more(60)
        writer = up.writer()
        os.kill(up.pid(writer), signal.SIGKILL)
        until("another region writes", lambda: up.writer() != writer, 15)
        up.healthy()
        load.more(20)
        target = next(n for n in up.region_names if n != up.writer())
        eq(up.cli("account", "failover", target)[0], 0, "failover")
        up.healthy()
        load.more(20)
        load.end()
        tokens = Tokens(up, c)
        tokens.take(8)
    except BaseException:
        up.end(True)
        raise
    return up, c, load, tokens


def readers_of(up):
    writer = up.writer()
    return [n for n in up.region_names if n != writer]


def finish(up, container, loads, tokens, level):
    for load in loads:
        load.end()
    up.healthy(60)
    strong = level == "Strong"
    for load in loads:
        load.check(allow_feed=not strong)
    loads[-1].check_regions(60)
    tokens.check(level, {c.get("id") for c in up.conflicts(container)})


def rolling(level, order, program, up, container, tokens):
    """Exchanges everything while writers write. order: which comes when."""
    load = Writers(up, container, threads=4)
    load.more(20)
    took = {}
    for what in order:
        started = time.monotonic()
        writer = up.writer()
        if what in (COORDINATOR, FRONT):
            up.exchange(what, program)
            load.more(20, 60)
        elif what == "readers":
            for name in readers_of(up):
                if up.program[name] != program:
                    up.exchange_region(name, program, load)
        else:
            up.exchange_region(writer, program, load)
            for name in [n for n in up.region_names if up.program[n] != program]:
                up.exchange_region(name, program, load)
        tokens.take(2)
        took[what] = time.monotonic() - started
    comment(f"{level}, {' '.join(order)}: " + " ".join(f"{k} {v:.1f} s" for k, v in took.items()))
    return load


@test("under load: coordinator, readers, writer, front to this program; then back, the writer first")
def _():
    orders = [(COORDINATOR, "readers", "writer", FRONT), (FRONT, "writer", COORDINATOR),
              ("readers", "writer", COORDINATOR, FRONT), ("writer", FRONT, COORDINATOR)]
    for n in range(REPEATS):
        level = "Strong" if n % 2 else "Session"
        forth, back = orders[n % 4], orders[(n + 1) % 4]
        up, c, load, tokens = old_account(OLD, level)
        is_failed = True
        try:
            up.to_hand()
            loads = [load]
            loads.append(rolling(level, forth, NEW, up, c, tokens))
            loads[-1].end()
            eq(up.record()["format"] <= 3, True, "format of the record without a feature of a newer one")
            loads.append(rolling(level, back, OLD, up, c, tokens))
            finish(up, c, loads, tokens, level)
            is_failed = False
        finally:
            up.end(is_failed)


@test("under load from a store of format 1, the writer first; the old program refuses the converted store")
def _():
    orders = [("writer", COORDINATOR, FRONT), (COORDINATOR, FRONT, "readers", "writer")]
    for n in range(REPEATS):
        level = "Strong" if n % 2 else "Session"
        up, c, load, tokens = old_account(FORMER_PROGRAM, level)
        is_failed = True
        try:
            up.to_hand()
            again = rolling(level, orders[n % 2], NEW, up, c, tokens)
            victim = readers_of(up)[0]
            up.end_role(victim)
            up.spawn_role(victim, FORMER_PROGRAM)
            eq(up.hand.pop(victim).wait(20), 78, "exit code: another program is needed")
            text = tail(up.data / f"run/{victim}.log", 3)
            assert "format 2, this program knows up to 1" in text, text
            up.spawn_role(victim, NEW)
            up.serves(victim)
            finish(up, c, [load, again], tokens, level)
            is_failed = False
        finally:
            up.end(is_failed)


@test("the old directory is opened by `up` of this program, and again by the old one")
def _():
    for n in range(REPEATS):
        level = random.choice(["Session", "Strong", "BoundedStaleness", "Eventual"]) if IS_LONG else "Session"
        former = n % 2 == 1
        up, c, load, tokens = old_account(FORMER_PROGRAM if former else OLD, level)
        is_failed = True
        try:
            for program in (NEW, NEW) if former else (NEW, OLD, NEW):
                up.restart_up(program)
                up.healthy(60)
                more = Writers(up, c, threads=4)
                more.more(20)
                finish(up, c, [load, more], tokens, level)
                tokens.take(2)
            is_failed = False
        finally:
            up.end(is_failed)


def give_away(up, enabled):
    """An operator's change that needs a record of format 4, which OLD does not read."""
    return up.call("POST", "/_holdfast/account/partitions/automatic", body={"enabled": enabled})


def refuses_format_4(up):
    """As long as one region runs the old program; the refusal names one such region and changes nothing."""
    before = up.record()["format"]
    answer = until("the front knows the account", lambda: (a := give_away(up, True)).status != 503 and a, 20)
    eq(answer.status, 409, answer)
    old = [n for n in up.region_names if up.program[n] == OLD]
    assert any(f"region {n} " in answer.text for n in old) and "format 4" in answer.text, answer
    eq((up.record()["format"], up.show()["partitionFailover"]), (before, False), "nothing has changed")


def takes_format_4(up):
    """Once every region reads it, a heartbeat later; without the feature the record is of the old format again."""
    before = up.record()["format"]
    until("every region says what it reads", lambda: give_away(up, True).status == 202, 20)
    eq(up.record()["format"], 4, "format with the feature")
    until("and off again", lambda: give_away(up, False).status == 202, 20)  # 412 while a region changes its state
    eq(up.record()["format"], before, "format without it")


@test("a record of a newer program: the old program stops with a sentence, nothing is lost, nothing rewritten; "
      "what the old one could not read is refused before (409)")
def _():
    up, c, load, tokens = old_account(OLD, "Session")
    is_failed = True
    try:
        up.to_hand()
        victim = readers_of(up)[0]
        up.exchange_region(victim, NEW, None)  # one of each stops
        up.exchange(FRONT, NEW)
        refuses_format_4(up)
        before = up.record()
        up.put_record(lambda r: r.update(format=99))
        for name in up.region_names:
            until(f"{name} stops serving writes", lambda n=name: up.client(n).get("/health/write").status == 503, 20)
        text = tail(up.data / f"run/{victim}.log", 40)
        assert "newer version" in text and "format 99" in text, text
        time.sleep(1)
        eq(up.record()["format"], 99, "the record is left alone")
        # A restart does not help: it says so and ends.
        up.end_role(victim)
        for program in (OLD, NEW):
            up.spawn_role(victim, program)
            eq(up.hand.pop(victim).wait(20), 78, "exit code: another program is needed")
            text = tail(up.data / f"run/{victim}.log", 10)
            assert "newer" in text, text
        until("the front says that it cannot follow", lambda: up.client().get("/health/ready").status == 503)
        # The newer program is taken away: whatever it wrote, its data are as they were.
        up.put_record(lambda r: r.update(format=before["format"]))
        up.spawn_role(victim, NEW)
        for name in up.region_names:
            if name != victim:
                up.exchange(name, NEW)
        up.healthy(60)
        takes_format_4(up)
        finish(up, c, [load], tokens, "Session")
        is_failed = False
    finally:
        up.end(is_failed)


tap.run()
