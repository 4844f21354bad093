"""What the cluster and crash tests share: TAP, an account of real processes, signed requests.

    from holdfast import Up, Tap, until
    tap = Tap()
    @tap.test("a title that says what holds")
    def _():
        with Up(regions=["east", "west"]) as up: ...
    tap.run()

Environment: HF_BUILD (build directory), HF_LONG, HF_ONLY (only titles that contain this).
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import urllib.request
from email.utils import formatdate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("HF_PROGRAM") or str(ROOT / os.environ.get("HF_BUILD", "build") / "src/cli/holdfast")
IS_LONG = os.environ.get("HF_LONG") == "1"
REGIONS = ["east", "west", "north"]


# ---- TAP ----

class Tap:
    def __init__(self):
        self.tests = []
        self.cleanups = []

    def test(self, title, long_only=False):
        def add(fn):
            if IS_LONG or not long_only:
                self.tests.append((title, fn))
            return fn
        return add

    def cleanup(self, fn):
        """Called when all tests have run; what it raises is a failure."""
        self.cleanups.append(fn)

    def run(self):
        sys.stdout.reconfigure(line_buffering=True)
        only = os.environ.get("HF_ONLY", "")
        failed = n = 0
        todo = [t for t in self.tests if only in t[0]]
        for title, fn in todo + [("what was started stops cleanly", fn) for fn in reversed(self.cleanups)]:
            n += 1
            started = time.monotonic()
            try:
                fn()
                print(f"ok {n} - {title} # {time.monotonic() - started:.1f} s")
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {n} - {title}")
                comment(traceback.format_exc())
        print(f"1..{n}")
        sys.exit(1 if failed else 0)


def comment(text):
    for line in str(text).rstrip().split("\n"):
        print(f"# {line}")


def until(what, fn, seconds=10.0, every=0.02):
    """Polls fn until it returns something true (an exception counts as not yet)."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            result = fn()
            if result:
                return result
            last = None
        except Exception as e:  # pylint: disable=broad-except
            last = e
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(every)


def eq(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


# ---- requests ----

def resource_of(link):
    """Resource type and link of a path, as the master key signs them."""
    if link.startswith(("/events", "/_holdfast/")):
        link = link.split("?")[0]  # elsewhere a ? belongs to a name
    parts = [p for p in link.split("/") if p]
    if not parts:
        return "", ""
    if len(parts) % 2 == 0:
        return parts[-2], "/".join(parts)
    return parts[-1], "/".join(parts[:-1])


class Answer:
    def __init__(self, status, headers, text):
        self.status = status
        self.headers = headers
        self.text = text
        self.doc = json.loads(text) if text else None
        self.substatus = int(headers.get("x-ms-substatus") or 0)

    def __repr__(self):
        return f"<{self.status}/{self.substatus} {self.text[:300]!r}>"


class Client:
    """One keep-alive connection to one address. Not for several threads at once."""

    def __init__(self, endpoint, key, timeout=5.0):
        url = urllib.parse.urlsplit(endpoint)
        self.host, self.port = url.hostname, url.port
        self.key = base64.b64decode(key) if key else None
        self.timeout = timeout
        self.conn = None

    def close(self):
        if self.conn:
            self.conn.close()
            self.conn = None

    def sign(self, method, link, date):
        kind, name = resource_of(link)
        text = f"{method.lower()}\n{kind}\n{name}\n{date.lower()}\n\n"
        sig = base64.b64encode(hmac.new(self.key, text.encode(), hashlib.sha256).digest()).decode()
        return urllib.parse.quote(f"type=master&ver=1.0&sig={sig}", safe="")

    def send(self, method, link, body=None, headers=None):
        """Sends without waiting for the answer; take it with receive()."""
        if self.conn is None:
            self.conn = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        date = formatdate(usegmt=True)
        all_headers = {"x-ms-date": date, "x-ms-version": "2020-07-15", **(headers or {})}
        if self.key:
            all_headers["authorization"] = self.sign(method, link, date)
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            data = data.encode() if isinstance(data, str) else data
            all_headers.setdefault("content-type", "application/json")
        safe = "/?=&" if link.startswith(("/events", "/_holdfast/")) else "/?"
        self.conn.request(method, urllib.parse.quote(link, safe=safe), body=data, headers=all_headers)

    def receive(self):
        response = self.conn.getresponse()
        text = response.read().decode()
        return Answer(response.status, response.headers, text)

    def call(self, method, link, body=None, headers=None):
        """Raises OSError or http.client.HTTPException when there is no whole answer."""
        try:
            self.send(method, link, body, headers)
            return self.receive()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def get(self, link, **kw):
        return self.call("GET", link, **kw)


def pk(value):
    return {"x-ms-documentdb-partitionkey": json.dumps([value])}


def query_headers(**extra):
    return {"x-ms-documentdb-isquery": "true", "content-type": "application/query+json",
            "x-ms-documentdb-query-enablecrosspartition": "true", "x-ms-max-item-count": "1000",
            **{k.replace("_", "-"): v for k, v in extra.items()}}


NO_ANSWER = (OSError, http.client.HTTPException)


def metrics_text(endpoint):
    """What the process at that address tells Prometheus."""
    with urllib.request.urlopen(f"{endpoint.rstrip('/')}/metrics", timeout=5) as answer:
        return answer.read().decode()


def metric(endpoint, name):
    """The value of its one row."""
    rows = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", metrics_text(endpoint), re.M)
    eq(len(rows), 1, f"rows of {name} at {endpoint}")
    return float(rows[0])


# ---- an account ----

def free_ports(count):
    """The first of `count` ports below those that the kernel gives to outgoing connections: an account that is
    started again must not find one of its own taken."""
    for _ in range(200):
        base = 20000 + random.randrange(790) * 16
        try:
            for port in range(base, base + count):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    raise AssertionError("no free run of ports found")


def tail(path, lines):
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").rstrip().split("\n")[-lines:])
    except OSError as e:
        return str(e)


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


class Up:
    """`holdfast up` in a process group of its own, in a directory that goes away at the end."""

    def __init__(self, regions=None, args=(), fault_proxy=False, consistency=None, start=True,
                 spare_ports=0):
        self.region_names = regions or REGIONS
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-"))
        self.data = self.dir / "data"
        self.port = free_ports(len(self.region_names) + 1 + spare_ports)
        self.args = list(args)
        if fault_proxy:
            self.args.append("--fault-proxy")
        if consistency:
            self.args += ["--consistency", consistency]
        self.process = None
        self.keep = False  # the directory stays, for whoever looks into a failure
        self.lock = threading.Lock()
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.end(kind is not None)

    def command(self):
        return [PROGRAM, "up", "--dir", str(self.data), "--port", str(self.port), "--ready-file",
                str(self.dir / "ready.json"), "--regions", ",".join(self.region_names), *self.args]

    def spawn(self):
        ready = self.dir / "ready.json"
        ready.unlink(missing_ok=True)
        with open(self.dir / "up.log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def start(self, seconds=30.0):
        """Until it serves. Returns how long that took."""
        started = time.monotonic()
        self.spawn()
        ready = self.dir / "ready.json"

        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError("up ended")
            return ready.exists()
        try:
            until("the account is ready", is_ready, seconds, 0.01)
        except AssertionError:
            self.logs()
            self.kill_all()
            raise
        took = time.monotonic() - started
        self.info = json.loads(ready.read_text())
        self.endpoint, self.key, self.regions = self.info["endpoint"], self.info["key"], self.info["regions"]
        return took

    def stop(self, signum=signal.SIGTERM, seconds=15.0):
        """Asks it to end; returns the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.logs()
            self.kill_all()
            raise AssertionError(f"up did not end within {seconds} s")
        self.process = None
        return code

    def kill_all(self):
        """The power goes: every process of the account at once."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None

    def statuses(self):
        """What each region says of itself now, for whoever has to find out why a test failed."""
        for r in self.regions:
            try:
                comment(f"status of {r['name']}: {self.call('GET', '/_holdfast/status', region=r['name'], timeout=2).text}")
            except (OSError, http.client.HTTPException) as err:
                comment(f"status of {r['name']}: {err}")

    def end(self, is_failed=False):
        try:
            if is_failed:
                self.statuses()
            code = self.stop()
            if code != 0:
                self.logs()
                raise AssertionError(f"exit code {code} of up")
            if is_failed:
                self.logs()
        finally:
            self.kill_all()
            if not self.keep:
                shutil.rmtree(self.dir, ignore_errors=True)

    def logs(self, lines=25):
        comment("---- up ----\n" + tail(self.dir / "up.log", lines))
        for path in sorted((self.data / "run").glob("*.log")):
            comment(f"---- {path.name} ----\n" + tail(path, lines))

    # -- requests --

    def client(self, region=None, timeout=5.0):
        return Client(self.region(region)["endpoint"] if region else self.endpoint, self.key, timeout)

    def call(self, method, link, region=None, timeout=5.0, **kw):
        c = self.client(region, timeout)
        try:
            return c.call(method, link, **kw)
        finally:
            c.close()

    def region(self, name):
        return next(r for r in self.regions if r["name"] == name)

    def show(self):
        a = self.call("GET", "/_holdfast/account")
        eq(a.status, 200, "account")
        return a.doc

    def writer(self):
        return self.show()["writer"]

    def state(self, name):
        return next(r["state"] for r in self.show()["regions"] if r["name"] == name)

    def healthy(self, seconds=30.0):
        def look():
            doc = self.show()
            return doc if doc["phase"] == "OPEN" and all(r["state"].startswith("ONLINE") for r in doc["regions"]) else None
        return until("all regions are online", look, seconds, 0.05)

    def beating(self, seconds=30.0):
        """As healthy(), and every region has beaten and heard all others: a region that was just started takes over
        from nobody and agrees to nothing before."""
        doc = self.healthy(seconds)

        def look():
            return all(r.get("heartbeatFresh", True) for name in self.region_names
                       for r in self.call("GET", "/_holdfast/status", region=name).doc["regions"])
        until("every region hears all others beat", look, seconds, 0.05)
        time.sleep(0.5)  # two more beats: the answers to the first ones are here
        return doc

    def settled(self, seconds=30.0):
        """Nothing is under way that a change of writer began: only now is the conflict feed complete. A region
        that was no writer may have a suffix to hand in as well, and is online all the while."""
        def look():
            for name in self.region_names:
                try:
                    a = self.call("GET", "/_holdfast/status", region=name, timeout=2)
                    if a.status != 200 or not a.doc.get("settled", True):  # older programs do not say
                        return False
                except NO_ANSWER:
                    return False
            return True
        self.healthy(seconds)
        return until("all regions are settled", look, seconds, 0.05)

    def pid(self, region):
        a = self.call("GET", "/_holdfast/process", region=region)
        eq(a.status, 200, f"process of {region}")
        return a.doc["pid"]

    def children(self):
        """{role or server/REGION: pid} of the processes that belong to this account."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                args = (entry / "cmdline").read_bytes().split(b"\0")
                if os.getpgid(int(entry.name)) != self.process.pid or int(entry.name) == self.process.pid:
                    continue
            except (OSError, ProcessLookupError):
                continue
            if len(args) < 4 or args[2] != b"--config":
                continue
            role = args[1].decode()
            name = pathlib.Path(args[3].decode()).stem  # DIR/run/NAME.conf
            found[f"server/{name}" if role == "server" else role] = int(entry.name)
        return found

    # -- tools --

    def cli(self, *args, timeout=60):
        p = subprocess.run([PROGRAM, *args, "--dir", str(self.data)], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=timeout)
        return p.returncode, p.stdout, p.stderr

    def link(self, name, mode):
        address = json.loads((self.data / "account.json").read_text())["faultProxy"]
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=3) as s:
            s.sendall(f"mode {name} {mode}\n".encode())
            answer = s.makefile().readline().strip()
        assert answer.startswith("ok"), f"fault proxy: mode {name} {mode}: {answer}"

    def links(self, region, mode):
        """Every link of a region to coordinator and peers."""
        names = [f"{region}>coordinator"]
        for other in self.region_names:
            if other != region:
                names += [f"{region}>{other}", f"{other}>{region}"]
        for name in names:
            self.link(name, mode)

    # -- data --

    def make_container(self, name="c", database="tests", **definition):
        headers = {}
        if "throughput" in definition:
            headers["x-ms-offer-throughput"] = str(definition.pop("throughput"))
        a = self.call("POST", "/dbs", body={"id": database})
        assert a.status in (201, 409), a
        body = {"id": name, "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}, **definition}
        a = self.call("POST", f"/dbs/{database}/colls", body=body, headers=headers)
        eq(a.status, 201, f"container {name}: {a}")
        return f"/dbs/{database}/colls/{name}"

    def query(self, container, text, region=None, headers=None):
        """All rows, page by page."""
        rows = []
        more = query_headers()
        more.update(headers or {})
        c = self.client(region, timeout=20)
        try:
            while True:
                a = c.call("POST", f"{container}/docs", body={"query": text, "parameters": []}, headers=more)
                eq(a.status, 200, f"query {text}: {a}")
                rows += a.doc["Documents"]
                token = a.headers.get("x-ms-continuation")
                if not token:
                    return rows
                more["x-ms-continuation"] = token
        finally:
            c.close()

    def conflicts(self, container):
        """Contents of the conflict feed, parsed, each with its record under "_conflict"."""
        out = []
        headers = {"x-ms-max-item-count": "1000"}
        c = self.client(timeout=20)
        try:
            while True:
                a = c.call("GET", f"{container}/conflicts", headers=headers)
                eq(a.status, 200, f"conflicts: {a}")
                for record in a.doc["Conflicts"]:
                    content = json.loads(record["content"]) if record.get("content") else {}
                    content["_conflict"] = record
                    out.append(content)
                token = a.headers.get("x-ms-continuation")
                if not token:
                    return out
                headers["x-ms-continuation"] = token
        finally:
            c.close()


# ---- load ----

class Writers:
    """Threads that create items with ids of their own and keep book, outside the store, of what was
    acknowledged. `where()` gives the endpoint for a new connection; asked again after any trouble."""

    def __init__(self, up, container, threads=4, pace=0.005, where=None):
        self.up, self.container, self.pace = up, container, pace
        self.where = where or self.writer_endpoint
        self.acked = {}    # id -> time
        self.unknown = set()
        self.refused = set()
        self.lock = threading.Lock()
        self.is_ended = threading.Event()
        self.run_id = f"{random.randrange(1 << 40):x}"
        self.started = time.monotonic()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)]
        for t in self.threads:
            t.start()

    def writer_endpoint(self):
        c = Client(self.up.endpoint, self.up.key, timeout=2)
        try:
            return c.get("/").doc["writableLocations"][0]["databaseAccountEndpoint"]
        finally:
            c.close()

    def work(self, thread):
        client = None
        number = 0
        while not self.is_ended.is_set():
            if client is None:
                try:
                    client = Client(self.where(), self.up.key, timeout=1.5)
                except (*NO_ANSWER, KeyError, IndexError, TypeError, ValueError):
                    time.sleep(0.02)
                    continue
            number += 1
            name = f"{self.run_id}-{thread}-{number}"
            key = f"k{number % 16}"
            body = {"id": name, "pk": key, "n": number}
            try:
                a = client.call("POST", f"{self.container}/docs", body=body, headers=pk(key))
            except NO_ANSWER:
                with self.lock:
                    self.unknown.add(name)
                client = None
                continue
            with self.lock:
                if a.status == 201:
                    self.acked[name] = time.monotonic()
                elif a.status in (403, 503, 429):
                    self.refused.add(name)
                else:
                    self.unknown.add(name)
            if a.status != 201:
                client.close()
                client = None
                time.sleep(0.01)
            time.sleep(self.pace)

    def count(self):
        with self.lock:
            return len(self.acked)

    def more(self, count, seconds=30.0):
        """Waits until that many further writes are acknowledged."""
        goal = self.count() + count
        until(f"{count} more writes are acknowledged", lambda: self.count() >= goal, seconds)

    def end(self):
        self.is_ended.set()
        for t in self.threads:
            t.join(20)
        self.stopped = time.monotonic()

    def gap(self):
        times = sorted([self.started, *self.acked.values(), self.stopped])
        return max(b - a for a, b in zip(times, times[1:]))

    def check(self, allow_feed=True):
        """After everything has healed: no acknowledged write is lost, no refused one applied."""
        self.up.settled()
        rows = set(self.up.query(self.container, "SELECT VALUE c.id FROM c"))
        feed = {c.get("id") for c in self.up.conflicts(self.container)}
        lost = [i for i in self.acked if i not in rows and i not in feed]
        away = [i for i in self.acked if i not in rows and i in feed]
        applied = [i for i in self.refused if i in rows]
        comment(f"{len(self.acked)} acknowledged, {len(away)} in the conflict feed, {len(lost)} lost, "
                f"{len(self.unknown)} unknown, {len(self.refused)} refused, longest gap {self.gap() * 1000:.0f} ms")
        eq(lost[:5], [], "acknowledged writes that are lost")
        eq(applied[:5], [], "refused writes that were applied")
        if not allow_feed:
            eq(away[:5], [], "acknowledged writes that left the container")
        return len(away)

    def finish(self, more=20, allow_feed=True):
        """The end as soon as `more` writes are acknowledged, and both checks."""
        self.more(more)
        self.end()
        self.check(allow_feed)
        self.check_regions()

    def check_regions(self, seconds=20.0):
        """Every region comes to hold the same versions of the same items."""
        def versions(region=None):
            return {(r["id"], r["_etag"]) for r in
                    self.up.query(self.container, "SELECT c.id, c._etag FROM c", region=region)}
        want = versions()
        for name in self.up.region_names:
            got = set()

            def same(n=name):
                got.clear()
                got.update(versions(n))
                return got == want
            try:
                until(f"{name} has the same items", same, seconds, 0.1)
            except AssertionError:
                comment(f"{name}: missing {sorted(want - got)[:5]}, instead {sorted(got - want)[:5]}")
                raise
