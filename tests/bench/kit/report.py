"""Tables for people and the page that is kept under doc/bench."""
from kit.failover import page as failover

TARGETS = """Targets are those of the design: they are aims for this machine, not promises."""


def number(x, digits=0):
    if x is None:
        return "-"
    return f"{x:,.{digits}f}"


def band(s, digits=2):
    """median (min-max)"""
    if not s:
        return "-"
    return f"{s['median']:,.{digits}f} ({s['min']:,.{digits}f}-{s['max']:,.{digits}f})"


def table(head, rows):
    """A Markdown table with aligned columns: readable as it is."""
    rows = [[str(c) for c in r] for r in rows]
    width = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(c.ljust(w) for c, w in zip(r, width)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (w + 2) for w in width) + "|", *map(line, rows)])


def _latency(cell):
    return [number(cell["p50_us"]), number(cell["p99_us"]), number(cell["p999_us"])]


def _works(works, titles, ratio_of):
    out = []
    for work, cells in works.items():
        rows = []
        for connections, cell in cells.items():
            for name, s in cell["subjects"].items():
                rows.append([connections, name, band(s["rate"], 0), *_latency(s),
                             band(cell["ratios"].get(name)), number(s["errors"])])
        out.append(f"### {titles.get(work, work)}\n\n" +
                   table(["connections", "subject", "requests/s", "p50 us", "p99 us", "p99.9 us",
                          ratio_of, "errors"], rows))
    return "\n\n".join(out)


def _cost(works):
    """Where the CPU time goes, per request: what other work on the machine changes least."""
    rows = []
    for work, cells in works.items():
        for connections, cell in cells.items():
            for name, s in cell["subjects"].items():
                t = dict(s.get("threads", {}))
                known = [t.pop(n, 0) for n in ("MHD-worker", "core", "commit")] if t else []
                split = [number(v, 1) for v in (*known, sum(t.values()), s["reader_us"])] if known else ["-"] * 5
                server = s.get("server_us")
                rows.append([work, connections, name, number((server or 0) + s["cpu_us"], 1), number(server, 1),
                             number(s["cpu_us"], 1), *split])
    return ("\n\n### CPU time per request\n\nMicroseconds, the least of all rounds: all of it, the server's, the load "
            "generator's (RocksDB alone runs inside of it). Then where the write region's server spends it: http "
            "threads, core thread, commit thread, RocksDB's own threads (which thread does the work of the core "
            "and of the commit depends on the load); and what each other region used.\n\n" +
            table(["work", "connections", "subject", "all", "server", "generator", "http", "core", "commit", "other",
                   "other region"], rows))


TITLES = {"create": "Durable creates of 1 KiB", "upsert": "Durable upserts of existing 1 KiB items",
          "read": "Point reads of 1 KiB items"}


def _peers(p):
    versions = ", ".join(f"{k} {v}" for k, v in p["versions"].items())
    return (f"One region, level Session. Versions: {versions or '-'}. etcd is spoken to in gRPC. "
            "rocksdb: N threads, each put synced; rocksdb+log: the item twice, once as a log record. "
            "libmicrohttpd: the same request bytes answered from memory, nothing stored.\n\n" +
            _works(p["works"], TITLES, "holdfast / subject") + _cost(p["works"]))


def _regions(p):
    return ("All processes of all regions share this machine, so three regions do three times the "
            "work on the same cores and disk.\n\n" + _works(p["works"], TITLES, "subject / one") +
            _cost(p["works"]))


def _lag(p):
    rows = []
    for when in ("idle", "half"):
        for region, s in p[when].items():
            if region != "rate":
                rows.append([f"{number(p[when]['rate'])}/s", region, number(s["p50_us"] / 1e3, 2),
                             number(s["p99_us"] / 1e3, 2), number(s["max_us"] / 1e3, 2), s["count"],
                             s["errors"]])
    return (f"Acknowledged at the writer to read at the other region (level Eventual), so it includes "
            f"one read and up to 0.25 ms between polls. Peak of this account: {number(p['peak'])} "
            f"creates/s.\n\n" +
            table(["background", "reader", "p50 ms", "p99 ms", "max ms", "probes", "errors"], rows))


def _startup(p):
    return table(["data", "runs", "first GET / ms", "first create ms"],
                 [[k, v["runs"], band(v["served_ms"], 0), band(v["created_ms"], 0)] for k, v in p.items()])


def _memory(p):
    return table(["when", "servers MiB", "front", "coordinator", "supervisor"],
                 [[when.replace("_", " "), *(", ".join(number(x) for x in m[r])
                                            for r in ("server", "front", "coordinator", "up"))]
                  for when, m in p.items()])


def _recovery(p):
    rows = []
    for name, c in p.items():
        if "failed" in c:
            rows.append([name, *["-"] * 9])
            continue
        rows.append([name, c["repeats"], *(number(c[k]) for k in (
            "p50_ms", "p99_ms", "worst_ms", "client_worst_ms", "acked", "in_feed", "lost", "errors"))])
    return ("Fault to first acknowledged write at the new writer; for a graceful change the longest gap "
            "between acknowledged writes. 200 creates/s, 16 connections, lan timers.\n\n" +
            table(["drill", "repeats", "p50 ms", "p99 ms", "worst ms", "client worst ms", "acknowledged",
                   "in feed", "lost", "errors"], rows))


def _levels(p):
    head = ["regions", "delay ms", "level", *(f"{w}, {what}" for w in next(iter(p.values()))
                                              for what in ("a second", "p50 ms"))]
    rows = []
    for name, works in p.items():
        count, delay = name.split()
        for level in next(iter(works.values())):
            row = [count, delay, level]
            for cells in works.values():
                row += [band(cells[level]["rate"], 0), number(cells[level]["p50_us"] / 1e3, 2)]
            rows.append(row)
    return ("Creates at the write region, reads at the last region in the order of failover, by connections. The "
            "delay is added to each direction of the links between regions, so that a round trip takes twice as "
            "long; the links to the coordinator are not delayed. At Strong a create waits for one round trip, and "
            "N connections reach at most N writes per round trip: where that is what is measured, no window of "
            "Holdfast's own is in the way.\n\n" + table(head, rows))


def _copies(p):
    titles = {"copy": "full copy", "checked": "full copy, most items there already", "log": "log"}
    rows = [[title, delay, band(c["mb_s"], 1), band(c["ms"], 0)]
            for key, title in titles.items() for delay, c in p[key].items()]
    d = p["diverged"]
    b = p["busy"]
    clients = [[w, number(c["rate"]), when, *(number(c[when][k]) for k in ("p50_us", "p99_us", "p999_us"))]
               for w, c in b["works"].items() for when in ("quiet", "copying")]
    return (f"{number(p['items'])} items of 1 KiB in one partition; MB/s of items brought or checked, without the "
            "time until the region is admitted. Sender, receiver and disk are the same machine's.\n\n" +
            table(["way", "delay ms", "MB/s", "ms"], rows) +
            f"\n\nClients of the write region, 8 connections for each work, both at once, without and beside a full copy "
            f"of {number(b['items'])} items, which ran at {band(b['mb_s'], 0)} MB/s then and outlasted them in "
            f"{b['outlasted']} of {b['rounds']} rounds; medians over rounds, errors: "
            f"{sum(c['errors'] for c in b['works'].values())}.\n\n" +
            table(["work", "a second", "when", "p50 us", "p99 us", "p99.9 us"], clients) +
            f"\n\nA region that was killed with {number(d['writes'])} writes that nobody else had was back, with all "
            f"of them in the conflict feed, after {band(d['s'], 1)} s.")


def _growth(p):
    def rates(row):
        return [number(row["create"]["rate"]), number(row["read"]["rate"])]

    parts = table(["partitions", "MiB", "wake-ups/s", "CPU idle, per mille", "creates/s x64", "reads/s x64",
                   "status ms", "failover ms", "start ms"],
                  [[n, number(max(r["mib"])), number(max(r["wakeups"])), number(max(r["cpu_permille"]), 1),
                    *rates(r), number(r["status_ms"]), number(r["failover_ms"]), number(r["start_ms"])]
                   for n, r in p["partitions"].items()])
    items = table(["items", "MiB", "creates/s x64", "reads/s x64", "start ms"],
                  [[number(int(n)), number(max(r["mib"])), *rates(r), number(r["start_ms"])]
                   for n, r in p["items"].items()])
    return ("Three regions; a container is one partition, the load goes to one of them. Memory, wake-ups and CPU are "
            "those of the largest server, idle. Failover: from the kill of the write region to the first item taken by "
            f"the next.\n\n{parts}\n\nOne region, one partition:\n\n{items}")


def _idle(p):
    return ("Of each server; three seconds alone.\n\n" + table(
        ["regions", "MiB", "wake-ups/s", "CPU, per mille of a core"],
        [[n, *(", ".join(number(x, d) for x in r[k])
               for k, d in (("mib", 0), ("wakeups", 0), ("cpu_permille", 1)))] for n, r in p.items()]))


SECTIONS = {"peers": ("Against the parts and the peers", _peers), "regions": ("Three regions against one", _regions),
            "lag": ("Replication lag", _lag), "startup": ("Start of three regions", _startup),
            "memory": ("Memory of an idle account of three regions", _memory),
            "recovery": ("Write unavailability", _recovery),
            "levels": ("Levels, regions and distance", _levels),
            "copies": ("Copies and rejoins", _copies),
            "growth": ("Many partitions, many items", _growth),
            "idle": ("Idle accounts of one to five regions", _idle),
            "failover": ("Failover beside Patroni and pg_auto_failover", lambda p: failover.tables(p, table))}


# ---- measured against the design ----

def _worst(values):
    values = [v for v in values if v is not None]
    return max(values) if values else None


def _ratio_rows(parts):
    rows = []
    works = parts.get("peers", {}).get("works", {})
    aims = [("create", "rocksdb", 0.7), ("read", "libmicrohttpd", 0.7), ("upsert", "postgresql", 1.0),
            ("create", "postgresql", 1.0),
            ("create", "etcd", 1.0)]
    for work, peer, aim in aims:
        for connections, cell in works.get(work, {}).items():
            r = cell["ratios"].get(peer)
            if r:
                rows.append([f"{work} x{connections} / {peer}", f">= {aim:.2f}", band(r), r["median"] >= aim])
    return rows


def _recovery_row(parts, name, title, aim):
    c = parts.get("recovery", {}).get(name, {})
    if c.get("p99_ms") is None:
        return []
    return [[title, f"p99 < {aim} ms", f"p50 {number(c['p50_ms'])}, p99 {number(c['p99_ms'])} ms of "
             f"{c['repeats']}", c["p99_ms"] < aim]]


# What is known to hold a figure back, by the start of its row; shown only where a target is missed.
WHY = {
    "create x1 ": "a lone client waits for all of it in turn, and nothing overlaps with another request: the HTTP "
                  "exchange, its signature and the JSON, and one synced group in which the item is written twice, in the "
                  "log entry and as the document (compare rocksdb+log)",
    "create": "RocksDB alone writes each item once; here it is written twice, in the log entry and as the document, "
              "with a change row: compare rocksdb+log in the table of CPU time; and the HTTP exchange, its signature "
              "and the JSON share the same cores",
    "upsert": "as for creates",
    "read": "signature, path, engine and the answer's headers cost about as much as the HTTP exchange itself",
    "replication lag": "all regions and the load share the cores: a reader waits for its turn",
    "seeding": "reading, sending, applying and syncing share the machine's cores and disk",
    "rejoin": "each write of the suffix becomes a conflict record, written like any other",
    "pause": "the lease of 1.2 s has to end first; on a crowded machine the ones who watch it wait for a core, too",
    "cut": "as for a pause",
    "killed": "most repeats take well under 100 ms; the slow ones are spread up to a second and more (a second run at a "
              "load average of 13: 9 to 1,085 ms), so it looks like processes waiting for a core; not traced further",
}


def _why(figure):
    return next((text for start, text in WHY.items() if figure.startswith(start)), "see the section above")


def targets(results):
    """[what, target, measured, met]: one row per figure of the design that was measured."""
    parts = {k: v for k, v in results["parts"].items() if "failed" not in v}
    rows = _ratio_rows(parts)
    for level in ("Session", "Strong"):
        rows += _recovery_row(parts, f"{level} kill", f"killed, {level}", 500)
        for fault in ("pause", "cut"):
            rows += _recovery_row(parts, f"{level} {fault}", f"{fault}, {level}", 2000)
    rows += _recovery_row(parts, "Session graceful", "graceful change: gap", 300)
    drills = [c for c in parts.get("recovery", {}).values() if "failed" not in c]
    if drills:
        lost = sum(c["lost"] for c in drills)
        rows.append(["acknowledged - surviving - in feed", "0", f"{lost} of {number(sum(c['acked'] for c in drills))}",
                     lost == 0])
        strong = sum(c["in_feed"] for n, c in parts["recovery"].items()
                     if n.startswith("Strong") and "failed" not in c)
        rows.append(["in the feed at Strong", "0", str(strong), strong == 0])
        errors = parts["recovery"].get("Session graceful", {}).get("errors")
        if errors is not None:
            rows.append(["errors at a graceful change", "0", str(errors), errors == 0])
    if "lag" in parts:
        p99 = _worst([s["p99_us"] / 1e3 for r, s in parts["lag"]["half"].items() if r != "rate"])
        rows.append(["replication lag at half of peak", "p99 < 50 ms", f"{number(p99, 2)} ms", p99 < 50])
    if "startup" in parts:
        s = parts["startup"]["new"]["served_ms"]
        rows.append(["start to first answer", "< 1000 ms", band(s, 0) + " ms", s["max"] < 1000])
    if "copies" in parts:
        c = parts["copies"]
        best = c["copy"]["0"]["mb_s"]
        rows.append(["seeding, full copy", ">= 100 MB/s", band(best, 0) + " MB/s", best["median"] >= 100])
        d = c["diverged"]["s"]
        rows.append([f"rejoin with {number(c['diverged']['writes'])} diverged writes", "< 10 s", band(d, 1) + " s",
                     d["max"] < 10])
    if "memory" in parts:
        m = _worst(parts["memory"]["fresh"]["server"])
        rows.append(["idle server", "< 60 MiB", f"{number(m)} MiB", m is not None and m < 60])
    return rows


def _target_table(results):
    rows = targets(results)
    missed = list(dict.fromkeys(f"- {a.split(' / ')[0]}: {_why(a)}" for a, _, _, d in rows if not d))
    text = table(["figure", "target", "measured", "met"], [[a, b, c, "yes" if d else "NO"] for a, b, c, d in rows])
    return text + ("\n\nWhat holds back what was missed:\n\n" + "\n".join(missed) if missed else "")


def _body(results):
    out = []
    for name, (title, draw) in SECTIONS.items():
        part = results["parts"].get(name)
        if part is not None:
            out.append(f"## {title}\n\n" + (f"Not measured: {part['failed']}" if "failed" in part else draw(part)))
    if targets(results):
        out.append("## Against the design\n\n" + TARGETS + "\n\n" + _target_table(results))
    return "\n\n".join(out)


def _head(results):
    m = results["machine"]
    o = results["options"]
    lines = [f"{results['date']}, commit {results['commit']}",
             f"{m['cores']} cores ({m['cpu']}{', virtual' if m['is_virtual'] else ''}), {m['memory_gib']} GiB, "
             f"{m['filesystem']}, Linux {m['kernel']}, {m['system'].strip()}",
             f"{o['rounds']} rounds of {o['seconds']} s, {o['drill_repeats']} repeats of each drill, load "
             f"generator and peers on the same cores; {results['busy_cores_before']} cores were busy with "
             f"something else before the start; took {results['took_s']} s"]
    if results["remark"]:
        lines.append(results["remark"])
    return lines


CROWDED = """**The machine was crowded** when this was measured: other work kept at least half of its cores busy.
Then requests a second say as much about the scheduler as about the subjects. Each runnable thread gets its
share of the cores, so that 64 PostgreSQL processes get more of the machine than five threads of Holdfast,
and whoever waits for the disk waits for a core afterwards: a sync that takes 0.1 ms on the idle machine
took milliseconds here, for every subject. Ratios swing with it; their bands show how far. The CPU time per
request is what other work changes least."""


def _crowded(results):
    half = results["machine"]["cores"] / 2
    names = [n for n in ("peers", "regions") if results["measured"].get(n, {}).get("busy_cores_before", 0) >= half]
    return CROWDED + "\n\n" if names else ""


def _measured(results):
    titles = {name: title for name, (title, _) in SECTIONS.items()}
    return table(["part", "at (UTC)", "commit", "cores busy with something else", "rounds", "drill repeats"],
                 [[titles[n], m["at"], m["commit"], f"{m['busy_cores_before']:.1f}",
                   f"{m['rounds']} of {m['seconds']} s", m["drill_repeats"] if n == "recovery" else "-"]
                  for n, m in results["measured"].items()])


def tables(results):
    return "\n".join(_head(results)) + "\n\n" + _body(results)


def page(results):
    """Of all parts of a day: what may differ between them stands in the first table."""
    head = [line for line in _head(results) if not line.startswith((results["date"], f"{results['options']['rounds']} rounds"))]
    return (f"# Measurements of {results['date'][:10]}\n\n" + "\n".join(f"- {line}" for line in head) +
            "\n- load generator and peers on the same cores\n\n"
            "Made by `./test bench --save`. Bands are median (smallest-largest) over rounds; latencies are "
            "medians over rounds. Ratios are taken round by round.\n\n" + _measured(results) + "\n\n" +
            _crowded(results) + _body(results) + "\n")
