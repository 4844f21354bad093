"""Wall clocks that jump and drift, in real processes under load: nothing but an alarm comes of it. Leases do not know
the wall clock; `_ts` of a document never falls; nothing expires early."""
import threading
import time

from holdfast import NO_ANSWER, Tap, Up, Writers, comment, eq, metric, pk, until

HOUR_MS = 3600 * 1000
tap = Tap()
up = Up(fault_proxy=True)
tap.cleanup(up.end)


def clock(region, ahead_ms=0, drift_ppm=0):
    """The order itself is signed with a date, and the region believes either clock only after a moment."""
    def put():
        return up.call("POST", "/_holdfast/fault", region=region,
                       body={"clock": {"aheadMs": ahead_ms, "driftPpm": drift_ppm}}).status == 200
    until(f"{region}'s clock is set", put, 20)


def events(region, kind):
    return [e for e in up.call("GET", "/events", region=region).doc["events"] if e["event"] == kind]


def drifts(region):
    return [("off=true" in e["text"]) for e in events(region, "clock_drift")]


def is_off(region):
    return metric(up.region(region)["endpoint"], "holdfast_clock_drift") == 1


class Replacer(threading.Thread):
    """Writes one document again and again; `_ts` must not fall."""

    def __init__(self, container):
        super().__init__(daemon=True)
        self.container, self.seen, self.fell, self.is_ended = container, [], [], threading.Event()
        self.start()

    def run(self):
        client = up.client(up.writer())
        n = 0
        while not self.is_ended.is_set():
            n += 1
            try:
                a = client.call("POST", f"{self.container}/docs", body={"id": "same", "pk": "a", "n": n},
                                headers={**pk("a"), "x-ms-documentdb-is-upsert": "true"})
            except NO_ANSWER:
                continue
            if a.status in (200, 201):
                if self.seen and a.doc["_ts"] < self.seen[-1]:
                    self.fell.append((self.seen[-1], a.doc["_ts"]))
                self.seen.append(a.doc["_ts"])
            time.sleep(0.01)

    def end(self):
        self.is_ended.set()
        self.join(20)
        eq(self.fell, [], "_ts that fell")


def lives(container, name, region):
    return up.call("GET", f"{container}/docs/{name}", region=region, headers=pk("a")).status


def lives_on(container, name, region):
    """While the region does not know yet which clock to believe it may refuse (403), but never hide it."""
    seen = set()

    def look():
        seen.add(lives(container, name, region))
        return 200 in seen
    until(f"{name} is answered at {region}", look, 15)
    assert seen <= {200, 403}, seen


def disturb(region, settings, container, title):
    """Each of the settings for a while, then right again: what must hold meanwhile and afterwards."""
    before = up.healthy()
    told = len(drifts(region))
    load, same = Writers(up, container, threads=3), Replacer(container)
    load.more(20)
    for ahead_ms, drift_ppm in settings:
        clock(region, ahead_ms, drift_ppm)
        until(f"{region} tells that its clock is off", lambda: is_off(region), 40, 0.1)
        load.more(40)
        lives_on(container, "hours", region)
    clock(region)
    until(f"{region} tells that its clock is right", lambda: not is_off(region), 40, 0.1)
    load.more(20)
    load.end()
    same.end()
    after = up.healthy()
    eq((after["writer"], after["epoch"], after["generation"]), (before["writer"], before["epoch"], before["generation"]),
       "nobody took over")
    for name in up.region_names:
        eq(events(name, "lease_lost"), [], f"leases lost at {name}")
        lives_on(container, "hours", name)
    said = drifts(region)[told:]
    assert said and said[0] and not said[-1], said
    load.check(allow_feed=False)
    load.check_regions()
    comment(f"{title}: {len(same.seen)} writes of one document, longest gap {load.gap() * 1000:.0f} ms")


def container_with_clock(name):
    c = up.make_container(name, defaultTtl=-1)
    eq(up.call("POST", f"{c}/docs", body={"id": "hours", "pk": "a", "ttl": 1800}, headers=pk("a")).status, 201)
    return c


@tap.test("the write region's clock jumps an hour forward, then back: no failover, `_ts` never falls, nothing goes early")
def _():
    up.healthy()
    c = container_with_clock("jump")
    disturb(up.writer(), [(HOUR_MS, 0), (-HOUR_MS, 0)], c, "writer, +1 h, -1 h")


@tap.test("a read region's clock jumps: the same")
def _():
    up.healthy()
    c = container_with_clock("reader")
    writer = up.writer()
    disturb(next(n for n in up.region_names if n != writer), [(-HOUR_MS, 0), (HOUR_MS, 0)], c, "reader, -1 h, +1 h")


@tap.test("the write region's clock runs 5 % fast: the alarm comes and goes, documents expire in time afterwards")
def _():
    up.healthy()
    c = container_with_clock("drift")
    disturb(up.writer(), [(0, 50000)], c, "writer, 5 % fast")
    eq(up.call("POST", f"{c}/docs", body={"id": "short", "pk": "a", "ttl": 1}, headers=pk("a")).status, 201)
    for name in up.region_names:
        until(f"it has expired at {name}", lambda n=name: lives(c, "short", n) == 404, 20)


@tap.test("nonsense is refused, and only drills may do this")
def _():
    for bad in ({"aheadMs": "x"}, {"aheadMs": 86400001}, {"driftPpm": -500001}, 7):
        eq(up.call("POST", "/_holdfast/fault", region="east", body={"clock": bad}).status, 400, str(bad))


tap.run()
