"""Holdfast accounts started for measurements, and the few signed requests they need."""
import base64
import email.utils
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import time
import urllib.parse

from kit.peers import FILL, IDS, http_load
from kit.system import (HOLDFAST, BenchError, Process, children, command, free_ports, remove,
                        thread_times, wait_for)

DATABASE = "bench"
CONTAINER = "items"


def key_for(seed):
    return base64.b64encode(hashlib.sha512(seed.encode()).digest()).decode()


def sign(key, verb, kind, link, date):
    text = f"{verb.lower()}\n{kind}\n{link}\n{date.lower()}\n\n".encode()
    mac = hmac.new(base64.b64decode(key), text, hashlib.sha256).digest()
    return urllib.parse.quote(f"type=master&ver=1.0&sig={base64.b64encode(mac).decode()}", safe="")


def request_headers(key, verb, path):
    parts = [p for p in path.split("/") if p]
    if len(parts) % 2 == 0:
        kind, link = (parts[-2], "/".join(parts)) if parts else ("", "")
    else:
        kind, link = parts[-1], "/".join(parts[:-1])
    date = email.utils.formatdate(usegmt=True)
    return {"x-ms-date": date, "authorization": sign(key, verb, kind, link, date), "x-ms-version": "2020-07-15",
            "content-type": "application/json"}


def call(port, key, verb, path, body=None, headers=None, timeout=5):
    """(status, headers, document) of one request; OSError when there is no answer."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        conn.request(verb, path, body=None if body is None else json.dumps(body),
                     headers={**request_headers(key, verb, path), **(headers or {})})
        answer = conn.getresponse()
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text else None
    except http.client.HTTPException as e:
        raise OSError(str(e)) from e
    finally:
        conn.close()


class Account:
    """One `holdfast up`. As a subject of measurements it is loaded at its write region."""
    works = ("create", "upsert", "replace", "read")

    def __init__(self, folder, name, regions, level="Session", more=()):
        self.name = name
        self.folder = folder / name
        self.regions = regions
        self.level = level
        self.more = list(more)
        self.key = key_for(name)
        self.process = None
        self.token = ""
        self.program = HOLDFAST

    # ---- life ----

    def spawn(self):
        """Starts without waiting for anything."""
        self.folder.mkdir(exist_ok=True)
        self.port = free_ports(len(self.regions) + 1)
        self.ready_file = self.folder / "ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.process = Process(
            [self.program, "up", "--dir", self.folder / "data", "--port", self.port, "--regions",
             ",".join(self.regions), "--consistency", self.level, "--key", self.key, "--ready-file",
             self.ready_file, "--quiet", *self.more], self.folder / "up.log")

    def region_port(self, region):
        return self.port + 1 + self.regions.index(region)

    @property
    def writer_port(self):
        return self.port + 1

    def start(self):
        self.spawn()
        wait_for(f"account {self.name}", self.process, self.ready_file.exists)
        self.make_container()
        self.fill()

    def stop(self):
        if self.process:
            self.process.stop()

    def forget(self):
        remove(self.folder)

    # ---- requests ----

    def call(self, verb, path, body=None, headers=None, port=None):
        return call(port or self.writer_port, self.key, verb, path, body, headers)

    def make_container(self):
        self.expect_created("/dbs", {"id": DATABASE})
        self.expect_created(f"/dbs/{DATABASE}/colls", {
            "id": CONTAINER, "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}})

    def expect_created(self, path, body, limit_s=30):
        """The write region may still be on its way to opening for writes."""
        until = time.monotonic() + limit_s
        answer = None
        while time.monotonic() < until:
            try:
                answer = self.call("POST", path, body)
                if answer[0] in (201, 409):
                    return
            except OSError as e:
                answer = e
            time.sleep(0.01)
        raise BenchError(f"{self.name}: POST {path} was not accepted: {answer}")

    def fill(self):
        sample = http_load(self.writer_port, "create", 64, 60, 0, "--count", FILL, "--prefix", "fill",
                           key=self.key)
        if sample["count"] < FILL or sample["broken"]:
            raise BenchError(f"{self.name} could not be filled: {sample}")
        # An SDK sends the token of its last answer with reads at Session.
        id_ = f"fill-{IDS - 1:010d}"
        status, headers, _ = self.call("GET", f"/dbs/{DATABASE}/colls/{CONTAINER}/docs/{id_}",
                                       headers={"x-ms-documentdb-partitionkey": json.dumps([id_])})
        if status != 200:
            raise BenchError(f"{self.name}: what was just written reads as {status}")
        self.token = headers.get("x-ms-session-token", "")

    def measure(self, work, connections, seconds, warm):
        """The sample, and what a request cost in CPU time: `threads` and `server_us` of the write
        region's server, `reader_us` of each other region's on average."""
        more = []
        if work == "read" and self.level == "Session" and self.token:
            more = ["--header", f"x-ms-session-token: {self.token}"]
        try:
            before = {p: thread_times(p) for p in self.servers()}
            sample = http_load(self.writer_port, work, connections, seconds, warm, *more, key=self.key)
            done = max(sample["done"], 1)
            spent = {p: {k: (v - before[p].get(k, 0)) * 1e6 / done for k, v in thread_times(p).items()}
                     for p in before}
        except OSError as e:  # a server ended: its last words are worth more than ours
            raise BenchError(f"{self.name}: {e}\n{self.process.tail(20)}") from e
        sample["threads"] = spent.pop(self.servers()[0])
        sample["server_us"] = sum(sample["threads"].values())
        sample["reader_us"] = sum(sum(t.values()) for t in spent.values()) / max(len(spent), 1)
        return sample

    # ---- processes ----

    def pids(self, role):
        """Of the children of `up` that play a role: server, front, coordinator."""
        return [p for p in children(self.process.pid) if role in command(p)[1:2]]

    def servers(self):
        """Pids in the order of the regions: each one's configuration is named for its region."""
        by_name = {pathlib.Path(command(p)[3]).stem: p for p in self.pids("server")}
        return [by_name[r] for r in self.regions]


def clean_env():
    """Without what would make our account another one."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
