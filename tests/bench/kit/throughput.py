"""Requests a second and their latencies: Holdfast beside what its parts and its peers reach, and
three regions beside one."""
from kit.account import Account
from kit.peers import BareHttp, BareRocks, Etcd, Postgres
from kit.stats import interleave, ratios, summary
from kit.system import BenchError, note

CONNECTIONS = (1, 8, 64)
REGIONS = ["east", "west", "north"]


def compare(subjects, work, options, ours):
    """One workload at each number of connections; ratios of `ours` to every other subject."""
    ret = {}
    for connections in options.connections:
        rows = interleave([s for s in subjects if work in s.works], options.rounds,
                          lambda s, c=connections: s.measure(work, c, options.seconds, options.warm),
                          note)
        cell = {"subjects": summary(rows), "ratios": {}}
        if ours in rows:
            mine = [r["rate"] for r in rows[ours]]
            cell["ratios"] = {other: ratios(mine, [r["rate"] for r in rows[other]])
                              for other in rows if other != ours}
        ret[str(connections)] = cell
        note(f"  {work} x{connections}: " + ", ".join(
            f"{n} {v['rate']['median']:.0f}/s" for n, v in cell["subjects"].items()))
    return ret


def _started(subjects):
    """Those that could be started; the others are named and left out."""
    up = []
    for s in subjects:
        try:
            s.start()
            up.append(s)
        except (BenchError, OSError) as e:
            note(f"left out: {s.name}: {e}")
            s.stop()
    return up


def _versions(subjects):
    return {s.name: s.version() for s in subjects if hasattr(s, "version")}


def peers(folder, options):
    """One region against the bare parts, PostgreSQL and etcd."""
    works = [w for w in ("create", "upsert", "read") if options.wants(w)]
    subjects = [Account(folder, "holdfast", REGIONS[:1]), BareRocks(folder),
                BareRocks(folder, has_log=True), BareHttp(folder), Postgres(folder), Etcd(folder)]
    subjects = _started([s for s in subjects if s.name not in options.without])
    try:
        return {"versions": _versions(subjects),
                "works": {w: compare(subjects, w, options, "holdfast") for w in works}}
    finally:
        for s in subjects:
            s.stop()


def regions(folder, options):
    """Three regions at Session and at Strong against one: what distance-free replication costs."""
    subjects = _started([Account(folder, "one", REGIONS[:1]), Account(folder, "three-session", REGIONS),
                         Account(folder, "three-strong", REGIONS, level="Strong")])
    try:
        ret = {}
        for work in ("create", "read"):
            cells = compare(subjects, work, options, "one")
            for cell in cells.values():  # three over one
                cell["ratios"] = {k: {"min": 1 / v["max"], "median": 1 / v["median"], "max": 1 / v["min"]}
                                  for k, v in cell["ratios"].items() if v}
            ret[work] = cells
        return {"works": ret}
    finally:
        for s in subjects:
            s.stop()
