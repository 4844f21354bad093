#!/usr/bin/python3
"""The client of every failover: FOLLOWERS writers that follow the writer, and one writer pinned to each node,
which shows when that node takes writes, and what becomes of those who do not know better than to stay.

Started with Debian's own Python, for its psycopg2. What to do is one JSON object in argv[1]; says "acked NODE"
when a node acknowledges a write for the first time, ends when its input ends, and leaves all writes (book.Write)
and how long it stood still itself as JSON in the file named there.

Following, PostgreSQL: libpq's hosts with target_session_attrs=read-write, walked here one by one so that a
host that swallows costs CONNECT_S and not libpq's least of 2 s each time; after a failure the walk begins
behind the host that failed. Following, Holdfast: the first writable location of the account document at the
global endpoint, read again after every refusal and every time-out."""
import http.client
import json
import pathlib
import random
import select
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from kit.failover.book import ACKED, REFUSED, UNKNOWN, Write  # noqa: E402

FOLLOWERS = 4
PACE_S = 0.02         # between two writes of one follower: 200 writes a second together
PINNED_PACE_S = 0.01  # the resolution of "first write at the new writer"
TIMEOUT_S = 1.0       # of a write
CONNECT_S = 0.5
WATCH_S = 0.01
PAD = "0" * 256


class Refused(Exception):
    """Certainly not applied."""


class Unknown(Exception):
    """No answer, or one that leaves it open."""


# ---- PostgreSQL ----

class Postgres:
    """One connection, with a deadline for everything: psycopg2's asynchronous mode."""

    def __init__(self, node, wants_writer):
        import psycopg2  # pylint: disable=import-outside-toplevel
        self.api = psycopg2
        more = " target_session_attrs=read-write" if wants_writer else ""
        self.connection = None
        try:
            self.connection = psycopg2.connect(f"host=127.0.0.1 port={node['port']} user=bench "
                                               f"dbname={node['database']} application_name=bench{more}", async_=1)
            self._wait(CONNECT_S)
        except (psycopg2.Error, TimeoutError) as e:
            self.close()
            raise Refused(str(e)) from e

    def _wait(self, limit_s):
        from psycopg2 import extensions  # pylint: disable=import-outside-toplevel
        until = time.monotonic() + limit_s
        while True:
            state = self.connection.poll()
            if state == extensions.POLL_OK:
                return
            fd = [self.connection.fileno()]
            left = until - time.monotonic()
            ready = left > 0 and select.select(fd if state == extensions.POLL_READ else [],
                                               fd if state == extensions.POLL_WRITE else [], [], left)
            if not ready or not (ready[0] or ready[1]):
                raise TimeoutError

    def write(self, name):
        try:
            cursor = self.connection.cursor()
            cursor.execute("INSERT INTO items (id, pad) VALUES (%s, %s)", (name, PAD))
            self._wait(TIMEOUT_S)
        except self.api.Error as e:
            if e.pgcode == "25006":  # read-only transaction
                raise Refused from e
            raise Unknown(str(e)) from e
        except TimeoutError as e:
            raise Unknown from e
        if any("WARNING" in n for n in self.connection.notices):
            raise Unknown  # "... committed locally, but might not have been replicated to the standby"

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except self.api.Error:
                pass
            self.connection = None


# ---- Holdfast ----

class Region:
    """One keep-alive connection to a region's server."""

    def __init__(self, node, task):
        self.node, self.task = node, task
        self.http = http.client.HTTPConnection("127.0.0.1", node["port"], timeout=CONNECT_S)
        try:
            self.http.connect()
        except OSError as e:
            raise Refused(str(e)) from e
        self.http.sock.settimeout(TIMEOUT_S)

    def write(self, name):
        from kit.account import request_headers  # pylint: disable=import-outside-toplevel
        path = f"/dbs/{self.task['database']}/colls/{self.task['container']}/docs"
        headers = request_headers(self.task["key"], "POST", path)
        headers["x-ms-documentdb-partitionkey"] = json.dumps([name[-1]])
        try:
            self.http.request("POST", path, json.dumps({"id": name, "pk": name[-1], "pad": PAD}), headers)
            answer = self.http.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as e:
            raise Unknown(str(e)) from e
        if answer.status in (403, 429, 503):
            raise Refused(str(answer.status))
        if answer.status != 201:
            raise Unknown(str(answer.status))

    def close(self):
        self.http.close()


# ---- both ----

class Client:
    def __init__(self, task):
        self.task = task
        self.nodes = task["nodes"]
        self.is_ended = threading.Event()
        self.lock = threading.Lock()
        self.writes = []
        self.stall = 0
        self.seen = set()

    def connect(self, node, wants_writer=False):
        return Postgres(node, wants_writer) if self.task["kind"] == "postgresql" else Region(node, self.task)

    def note(self, write):
        with self.lock:
            self.writes.append(write)
            if write.outcome == ACKED and write.node not in self.seen:
                self.seen.add(write.node)
                print("acked", write.node, flush=True)

    def attempt(self, connection, node, name, is_pinned):
        """Whether the connection may be used again."""
        sent = time.monotonic()
        outcome = ACKED
        try:
            connection.write(name)
        except Refused:
            outcome = REFUSED
        except Unknown:
            outcome = UNKNOWN
        self.note(Write(name, is_pinned, node["name"], sent, time.monotonic(), outcome))
        return outcome

    def no_connection(self, node, sent, is_pinned):
        self.note(Write(None, is_pinned, node, sent, time.monotonic(), REFUSED))

    def pinned(self, index):
        node, connection, n = self.nodes[index], None, 0
        while not self.is_ended.wait(PINNED_PACE_S):
            try:
                connection = connection or self.connect(node)
            except Refused:
                continue
            n += 1
            outcome = self.attempt(connection, node, f"{self.task['run']}-p{index}-{n}", True)
            if outcome == UNKNOWN:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def writer(self, after):
        """(node, connection) of who writes now; `after` is the node that failed."""
        if self.task["kind"] == "postgresql":
            first = self.nodes.index(after) + 1 if after else 0
            for i in range(len(self.nodes)):
                node = self.nodes[(first + i) % len(self.nodes)]
                try:
                    return node, self.connect(node, wants_writer=True)
                except Refused:
                    continue
            raise Refused
        from kit.account import call  # pylint: disable=import-outside-toplevel
        try:
            _, _, document = call(self.task["front"], self.task["key"], "GET", "/", timeout=TIMEOUT_S)
            name = document["writableLocations"][0]["name"]
        except (OSError, ValueError, KeyError, IndexError, TypeError) as e:
            raise Refused from e
        node = next(n for n in self.nodes if n["name"] == name)
        return node, self.connect(node)

    def follower(self, index):
        node, connection, n = None, None, 0
        while not self.is_ended.wait(PACE_S * (0.75 + random.random() / 2)):
            sent = time.monotonic()
            if connection is None:
                try:
                    node, connection = self.writer(node)
                except Refused:
                    self.no_connection(node["name"] if node else "", sent, False)
                    continue
            n += 1
            if self.attempt(connection, node, f"{self.task['run']}-f{index}-{n}", False) != ACKED:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def watch(self):
        """The longest that this process waited for its turn: a gap that long says nothing about the cluster."""
        last = time.monotonic()
        while not self.is_ended.wait(WATCH_S):
            now = time.monotonic()
            self.stall = max(self.stall, now - last - WATCH_S)
            last = now

    def run(self):
        threads = [threading.Thread(target=self.watch, daemon=True)]
        threads += [threading.Thread(target=self.follower, args=(i,), daemon=True) for i in range(FOLLOWERS)]
        threads += [threading.Thread(target=self.pinned, args=(i,), daemon=True) for i in range(len(self.nodes))]
        for t in threads:
            t.start()
        sys.stdin.read()  # until the harness closes it, or is gone
        self.is_ended.set()
        for t in threads:
            t.join(2 * TIMEOUT_S + CONNECT_S)
        with self.lock:
            pathlib.Path(self.task["out"]).write_text(json.dumps({"stall": self.stall, "writes": self.writes}),
                                                      encoding="utf-8")


if __name__ == "__main__":
    Client(json.loads(sys.argv[1])).run()
