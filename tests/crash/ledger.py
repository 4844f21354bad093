"""Concurrent load on one account with a ledger outside of it, and the comparison of the two.

Every value written is a number v that is never used twice, with a text made from it. Per key (an
item, or a group of items written by batch) the ledger knows

    acked      the last value whose write was acknowledged; None = the item's absence
    history    every value acknowledged since the last check
    maybe      values whose write had no answer and may have been applied, not yet superseded
    lingering  the same, but they may even be applied later (we gave up waiting)
    refused    values the server said were certainly not applied

Strict accounts (one region, or Strong) must show `acked` or one of the maybes. At Session a failover
may take acknowledged values away, but then they are in the conflict feed.
"""
import collections
import random
import threading
import time

from holdfast import NO_ANSWER, Client, comment, eq, pk, until

ITEM_KEYS = 16     # per thread
GROUP_SIZE = 5     # items of one batch
UNIQUE_MAX = 1500  # rows; then a new container
CHURN_MAX = 6      # containers that come and go
ABSENT = None


def text_of(v):
    """What an item with value v carries: mostly short, sometimes of many pages."""
    size = 20 + v * 7919 % 500
    if v % 97 == 0:
        size += 60000
    return (f"{v}-" * (size // len(str(v)) + 1))[:size]


class Numbers:
    def __init__(self):
        self.lock = threading.Lock()
        self.next = 0

    def take(self):
        with self.lock:
            self.next += 1
            return self.next


class Key:
    def __init__(self, name):
        self.name = name
        self.acked = ABSENT
        self.history = set()
        self.maybe = set()
        self.lingering = set()
        self.refused = set()

    def note(self, v, outcome, is_new_state=True):
        """Outcome of a write that makes v (or ABSENT) the state."""
        if outcome == "acked":
            if is_new_state:
                self.acked = v
            self.history.add(v)
            self.maybe.clear()
        elif outcome == "unknown":
            self.maybe.add(v)
        elif outcome == "lingering":
            self.lingering.add(v)
        elif v is not ABSENT:
            self.refused.add(v)

    def settle(self, v):
        """The account was compared in peace: from now on this is what counts."""
        self.acked = v
        self.history = {v}
        self.maybe.clear()
        self.lingering.clear()


class Load:
    """Threads of one kind each, all stopped at a gate while the account is compared."""

    def __init__(self, up, is_strict, seed):
        self.up, self.is_strict = up, is_strict
        self.numbers = Numbers()
        self.rng = random.Random(seed)
        self.items = up.make_container("items")
        self.batches = up.make_container("batches")
        self.unique_count = 0
        self.make_unique()
        self.keys = {}      # item id -> Key
        self.groups = {}    # partition key -> Key
        self.churned = {}   # container name -> True (there), False (gone), None (either)
        self.feed_etag = None
        self.feed_seen = {}  # item id -> last v seen
        self.feed_all = collections.defaultdict(set)
        self.counts = collections.Counter()
        self.is_open = threading.Event()
        self.is_ended = False
        self.busy = 0
        self.cond = threading.Condition()
        self.threads = []
        for n, work in enumerate([self.item_work] * 3 + [self.batch_work] * 2 + [self.unique_work] * 2 + [self.churn_work]):
            rng = random.Random(self.rng.random())
            self.threads.append(threading.Thread(target=self.run, args=(work, n, rng), daemon=True))
        for t in self.threads:
            t.start()

    # -- running --

    def run(self, work, number, rng):
        state = {}
        client = None
        while True:
            self.is_open.wait()
            if self.is_ended:
                return
            with self.cond:
                if not self.is_open.is_set():
                    continue
                self.busy += 1
            try:
                if client is None:
                    client = Client(self.where(), self.up.key, timeout=5)
                if not work(client, number, rng, state):
                    client.close()
                    client = None
                    time.sleep(0.01)
            except (*NO_ANSWER, KeyError, IndexError, TypeError, ValueError):
                client = None  # where() had no answer: nothing was sent
                time.sleep(0.01)
            finally:
                with self.cond:
                    self.busy -= 1
                    self.cond.notify_all()

    def where(self):
        if len(self.up.regions) == 1:
            return self.up.regions[0]["endpoint"]
        c = Client(self.up.endpoint, self.up.key, timeout=2)
        try:
            return c.get("/").doc["writableLocations"][0]["databaseAccountEndpoint"]
        finally:
            c.close()

    def resume(self):
        self.is_open.set()

    def pause(self):
        """Closes the gate and waits until every operation has its outcome."""
        self.is_open.clear()
        with self.cond:
            if not self.cond.wait_for(lambda: self.busy == 0, 30):
                raise AssertionError("operations without an outcome after 30 s")

    def end(self):
        self.pause()
        self.is_ended = True
        self.is_open.set()
        for t in self.threads:
            t.join(10)

    def send(self, client, method, link, body, key, headers=None):
        """(outcome, answer): acked, refused, unknown or lingering."""
        try:
            a = client.call(method, link, body=body, headers={**pk(key), **(headers or {})})
        except TimeoutError:
            self.counts["lingering"] += 1
            return "lingering", None
        except NO_ANSWER:
            self.counts["unknown"] += 1
            return "unknown", None
        if a.status in (200, 201, 204):
            self.counts["acked"] += 1
            return "acked", a
        if a.status == 207 or a.status in (400, 403, 404, 409, 412, 429, 503):
            self.counts["refused"] += 1
            return "refused", a
        if a.status in (401, 413) or a.status == 500:
            self.counts[f"status {a.status}"] += 1
            comment(f"unexpected: {method} {link}: {a}")
        self.counts["unknown"] += 1
        return ("lingering" if a.status == 408 else "unknown"), a

    # -- items: create, replace, upsert, patch, delete --

    def item_work(self, client, number, rng, state):
        name = f"i{number}-{rng.randrange(ITEM_KEYS)}"
        key = self.keys.setdefault(name, Key(name))
        part = f"p{number}"
        v = self.numbers.take()
        doc = {"id": name, "pk": part, "v": v, "text": text_of(v)}
        link = f"{self.items}/docs"
        choice = rng.random()
        if choice < 0.3:
            outcome, a = self.send(client, "POST", link, doc, part)
        elif choice < 0.6:
            outcome, a = self.send(client, "POST", link, doc, part, {"x-ms-documentdb-is-upsert": "True"})
        elif choice < 0.8:
            outcome, a = self.send(client, "PUT", f"{link}/{name}", doc, part)
        elif choice < 0.9 or not self.is_strict:
            ops = [{"op": "set", "path": "/v", "value": v}, {"op": "set", "path": "/text", "value": text_of(v)}]
            outcome, a = self.send(client, "PATCH", f"{link}/{name}", {"operations": ops}, part)
        else:
            v = ABSENT  # deletes only where nothing acknowledged may be taken back
            outcome, a = self.send(client, "DELETE", f"{link}/{name}", None, part)
        key.note(v, outcome)
        return a is not None and a.status not in (403, 503)

    # -- batches: five items with one value --

    def batch_work(self, client, number, rng, state):
        part = f"b{number}-{rng.randrange(6)}"
        key = self.groups.setdefault(part, Key(part))
        v = self.numbers.take()
        ops = [{"operationType": "Upsert", "resourceBody": {"id": f"{part}-{i}", "pk": part, "v": v, "text": text_of(v)}}
               for i in range(GROUP_SIZE)]
        if rng.random() < 0.2:  # one that cannot be: nothing of it may stay
            ops.append({"operationType": "Read", "id": "none"})
        outcome, a = self.send(client, "POST", f"{self.batches}/docs", ops, part,
                               {"x-ms-cosmos-is-batch-request": "True", "x-ms-cosmos-batch-atomic": "True"})
        key.note(v, outcome)
        return a is not None and a.status not in (403, 503)

    # -- unique keys: threads race for the same values --

    def make_unique(self):
        self.unique_count += 1
        self.unique = self.up.make_container(f"unique{self.unique_count}", uniqueKeyPolicy={"uniqueKeys": [{"paths": ["/u"]}]})
        self.unique_acked = {}    # id -> u
        self.unique_unknown = {}
        self.unique_refused = {}
        self.unique_turn = 0

    def unique_work(self, client, number, rng, state):
        with self.numbers.lock:
            self.unique_turn += 1
            u = self.unique_turn // 3  # three tries for each value, by either thread
        name = f"u{number}-{self.numbers.take()}"
        outcome, a = self.send(client, "POST", f"{self.unique}/docs", {"id": name, "pk": "u", "u": u}, "u")
        book = {"acked": self.unique_acked, "refused": self.unique_refused}.get(outcome, self.unique_unknown)
        book[name] = u
        return a is not None and a.status not in (403, 503)

    # -- containers that come and go, each with an item --

    def churn_work(self, client, number, rng, state):
        there = [n for n, is_there in self.churned.items() if is_there]
        if len(there) >= CHURN_MAX or (there and rng.random() < 0.4):
            name = rng.choice(there)
            self.churned[name] = None
            outcome, a = self.send(client, "DELETE", f"/dbs/tests/colls/{name}", None, "x")
            self.churned[name] = {"acked": False, "refused": True}.get(outcome)
        else:
            name = f"churn{self.numbers.take()}"
            self.churned[name] = None
            body = {"id": name, "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}}
            outcome, a = self.send(client, "POST", "/dbs/tests/colls", body, "x")
            self.churned[name] = {"acked": True, "refused": False}.get(outcome)
            if outcome == "acked":
                self.send(client, "POST", f"/dbs/tests/colls/{name}/docs", {"id": "1", "pk": "x"}, "x")
        time.sleep(rng.uniform(0, 0.03))  # each change of the catalog costs every region a little
        return a is not None and a.status not in (403, 503)

    # -- comparing --

    def check_churned(self):
        problems = []
        a = self.up.call("GET", "/dbs/tests/colls", timeout=20)
        eq(a.status, 200, "list of containers")
        names = {c["id"] for c in a.doc["DocumentCollections"]}
        for name, is_there in self.churned.items():
            if is_there is not None and (name in names) != is_there:
                problems.append(f"container {name} is {'there' if name in names else 'gone'} against its answer")
        problems += [f"container {n} was never made" for n in names if n.startswith("churn") and n not in self.churned]
        self.churned = {n: True for n in self.churned if n in names}
        return problems

    def read_feed(self):
        """Everything new in the items container's change feed."""
        c = self.up.client(timeout=20)
        try:
            while True:
                headers = {"A-IM": "Incremental Feed", "x-ms-documentdb-partitionkeyrangeid": "0", "x-ms-max-item-count": "100"}
                if self.feed_etag:
                    headers["if-none-match"] = self.feed_etag
                a = c.get(f"{self.items}/docs", headers=headers)
                assert a.status in (200, 304), f"change feed: {a}"
                self.feed_etag = a.headers["etag"]
                if a.status == 304:
                    return
                for doc in a.doc["Documents"]:
                    self.feed_seen[doc["id"]] = doc["v"]
                    self.feed_all[doc["id"]].add(doc["v"])
        finally:
            c.close()

    def check(self):
        """With the gate closed and the account healthy: the store and the ledger agree."""
        problems = []
        rows = {r["id"]: r for r in self.up.query(self.items, "SELECT c.id, c.v, c.text FROM c")}
        feed = set()
        if not self.is_strict:
            for container in (self.items, self.batches):
                feed |= {c.get("v") for c in self.up.conflicts(container)}
        for name, row in rows.items():
            if row["text"] != text_of(row["v"]):
                problems.append(f"{name}: content is not that of value {row['v']}")
        for name, key in self.keys.items():
            v = rows[name]["v"] if name in rows else ABSENT
            problems += self.check_key(key, v, feed)
        problems += self.check_groups(feed)
        self.read_feed()
        for name, row in rows.items():
            seen = self.feed_seen.get(name)
            if self.is_strict and seen != row["v"]:
                problems.append(f"{name}: value {row['v']}, but the change feed said {seen}")
            elif not self.is_strict and (seen is None or max(self.feed_all[name]) < row["v"]):
                problems.append(f"{name}: value {row['v']} was never in the change feed")
        problems += self.check_churned()
        problems += self.check_unique()
        problems += self.check_regions()
        eq(problems[:10], [], f"{len(problems)} problems")
        for name, key in self.keys.items():
            key.settle(rows[name]["v"] if name in rows else ABSENT)

    def check_key(self, key, v, feed):
        if v is not ABSENT and v in key.refused:
            return [f"{key.name}: shows {v}, which was refused"]
        if self.is_strict:
            allowed = {key.acked} | key.maybe | key.lingering
            if v not in allowed:
                return [f"{key.name}: shows {v}, acknowledged was {key.acked}, possible {sorted(key.maybe | key.lingering, key=str)}"]
            return []
        lost = [x for x in key.history if x is not ABSENT and x not in feed and (v is ABSENT or v < x) and v not in key.lingering]
        return [f"{key.name}: shows {v}; acknowledged {x} is neither superseded nor in the conflict feed" for x in lost]

    def check_groups(self, feed):
        problems = []
        groups = collections.defaultdict(list)
        for r in self.up.query(self.batches, "SELECT c.id, c.pk, c.v, c.text FROM c"):
            groups[r["pk"]].append(r)
        for name, key in self.groups.items():
            values = {r["v"] for r in groups[name]}
            if len(values) > 1 or (values and len(groups[name]) != GROUP_SIZE):
                problems.append(f"{name}: torn batch: {sorted((r['id'], r['v']) for r in groups[name])}")
                continue
            v = values.pop() if values else ABSENT
            problems += self.check_key(key, v, feed)
            key.settle(v)
        return problems

    def check_regions(self):
        """Every region comes to hold the same versions of the same items."""
        if len(self.up.regions) == 1:
            return []
        problems = []
        for container in (self.items, self.batches, self.unique):
            def versions(region=None, c=container):
                return {(r["id"], r["_rid"], r["_etag"]) for r in
                        self.up.query(c, "SELECT c.id, c._rid, c._etag FROM c", region=region)}
            want = versions()
            for name in self.up.region_names:
                try:
                    until(f"{name} has the same", lambda n=name: versions(n) == want, 10, 0.1)
                except AssertionError:
                    got = versions(name)
                    problems.append(f"{container} in {name}: missing {sorted(want - got)[:3]}, instead {sorted(got - want)[:3]}")
        return problems

    def check_unique(self):
        problems = []
        feed = set() if self.is_strict else {c.get("id") for c in self.up.conflicts(self.unique)}
        rows = {r["id"]: r["u"] for r in self.up.query(self.unique, "SELECT c.id, c.u FROM c")}
        for u, n in collections.Counter(rows.values()).items():
            if n > 1:
                problems.append(f"unique value {u} is there {n} times")
        for name, u in self.unique_acked.items():
            if name not in rows and name not in feed:
                problems.append(f"acknowledged {name} (unique value {u}) is lost")
        problems += [f"refused {name} is there" for name in self.unique_refused if name in rows]
        # The index agrees with the items: taken values are refused, free ones are not.
        c = Client(self.where(), self.up.key, timeout=5)
        values = set(range(self.unique_turn // 3 + 1))
        taken = set(rows.values())
        for u in random.sample(sorted(values), min(20, len(values))):
            name = f"probe-{self.numbers.take()}"
            a = c.call("POST", f"{self.unique}/docs", body={"id": name, "pk": "u", "u": u}, headers=pk("u"))
            if a.status != (409 if u in taken else 201):
                problems.append(f"unique value {u} is {'taken' if u in taken else 'free'}, create said {a}")
            if a.status == 201:
                a = c.call("DELETE", f"{self.unique}/docs/{name}", headers=pk("u"))
                eq(a.status, 204, "delete of the probe")
        c.close()
        self.unique_acked = {n: u for n, u in self.unique_acked.items() if n in rows}
        if len(rows) > UNIQUE_MAX:
            eq(self.up.call("DELETE", self.unique).status, 204, "delete of the container")
            self.make_unique()
        return problems

    def serves(self, seconds=30):
        """Waits until every region is online and writes are taken."""
        self.up.healthy(seconds)

        def write():
            a = self.up.call("POST", f"{self.batches}/docs", body={"id": "alive", "pk": "alive", "v": 0, "text": ""},
                             headers={**pk("alive"), "x-ms-documentdb-is-upsert": "True"})
            return a.status in (200, 201)
        until("writes are taken", write, seconds, 0.05)
        self.up.settled(seconds)
