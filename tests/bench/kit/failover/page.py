"""The tables of the failovers, and the page under doc/bench that holds them between two marks: what is written
around them by hand stays, and so do cells that were not measured again."""
import json
import pathlib

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FAULTS = ("kill", "pause", "cut", "blackhole", "graceful")


def merge(old, new):
    """Of two {"groups": ...}: each cell as it was measured last. A group that failed leaves what there was."""
    groups = {name: {"settings": g["settings"], "cells": dict(g["cells"])} for name, g in old.get("groups", {}).items()}
    for name, g in new["groups"].items():
        kept = groups.setdefault(name, {"settings": {}, "cells": {}})
        kept["settings"] = g["settings"] or kept["settings"]
        kept["cells"].update(g["cells"])
        if "failed" not in g["cells"]:
            kept["cells"].pop("failed", None)
    return {**old, **new, "groups": groups}


def whole(x):
    return "-" if x is None else f"{x:,.0f}"


def band(d):
    """p50 (smallest-largest)"""
    if not d:
        return "-"
    return f"{whole(d['p50'])} ({whole(d['min'])}-{whole(d['max'])})"


def cells(part, fault):
    """(group, cell) of one fault, asynchronous ones first."""
    rows = [(name, g["cells"][fault]) for name, g in part["groups"].items() if fault in g["cells"]]
    return sorted(rows, key=lambda r: r[0].split()[-1])


# No node took over in its time; the node did not come back in its time; the cluster was not healthy again in its
# time. After the latter two the next repeat had a new cluster.
TROUBLE = (("never_took_over", "never"), ("never_back", "not back"), ("broken", "broken"))


def _row(name, c):
    subject, timers, mode = name.split()
    odd = [f"{c[key]} {what}" for key, what in TROUBLE if c.get(key)]
    p99 = c["rto_ms"]["p99"] if c["rto_ms"] else None
    return [mode, f"{subject} {timers}", ", ".join([str(c["repeats"])] + odd), band(c["rto_ms"]), whole(p99),
            band(c["client_rto_ms"]), band(c["old_writer_ms"]), band(c["both_ms"]), band(c["rejoin_ms"]),
            whole(c["acked"]), whole(c["lost"]), whole(c["given_back"]), whole(c["worst_away"]), whole(c["stall_ms"] and c["stall_ms"]["max"])]


HEAD = ["replication", "subject", "repeats", "new writer", "p99", "client's gap", "old writer until", "two writers",
        "back after", "acknowledged", "lost", "given back", "worst repeat",
        "stood still"]


def tables(part, table):
    """All faults; `table` draws one. Milliseconds: p50 (smallest-largest)."""
    out = []
    for fault in FAULTS:
        rows = [_row(name, c) for name, c in cells(part, fault)]
        if rows:
            out.append(f"### {fault.capitalize()}\n\n" + table(HEAD, rows))
    failed = [f"- {name}: {g['cells']['failed'].splitlines()[0]}" for name, g in part["groups"].items()
              if "failed" in g["cells"]]
    if failed:
        out.append("Not measured, or not to the end:\n\n" + "\n".join(failed))
    odd = [f"- {name}, {fault}: {c['refused_surviving']}" for fault in FAULTS for name, c in cells(part, fault)
           if c["refused_surviving"]]
    if odd:
        out.append("Writes that were refused, and are there all the same:\n\n" + "\n".join(odd))
    settings = [f"- **{name}**: " + "; ".join(f"{k} {v}" for k, v in g["settings"].items())
                for name, g in part["groups"].items() if g["settings"]]
    out.append("### Settings\n\n" + "\n".join(settings))
    return "\n\n".join(out)


def stamp(part, when, commit, busy):
    """Says of each cell when, of what and beside how much other work it was measured."""
    for g in part["groups"].values():
        for fault in FAULTS:
            if fault in g["cells"]:
                g["cells"][fault].update(at=when, commit=commit, busy=busy)


def _measured(part):
    runs = {}
    for name, g in part["groups"].items():
        for fault in FAULTS:
            c = g["cells"].get(fault)
            if c:
                runs.setdefault((c["at"], c["commit"], c["busy"]), set()).add(name)
    return "\n".join(f"- {at}, commit {commit}, {busy} cores busy with something else before the start: "
                     f"{', '.join(sorted(names))}" for (at, commit, busy), names in sorted(runs.items()))


def replace_block(text, block):
    """`text` with what stands between the marks replaced; ValueError when a mark is missing."""
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if end < begin:
        raise ValueError("the marks stand in the wrong order")
    return f"{text[:begin]}\n\n{block}\n\n{text[end:]}"


def save(root, results, part, table):
    """doc/bench/failover.json, and the block of failover.md."""
    data = pathlib.Path(root) / "doc" / "bench" / "failover.json"
    page = data.with_suffix(".md")
    stamp(part, results["date"], results["commit"], results["measured"]["failover"]["busy_cores_before"])
    merged = merge(json.loads(data.read_text(encoding="utf-8")) if data.exists() else {}, part)
    merged["machine"] = results["machine"]
    m = results["machine"]
    block = (f"{m['cores']} cores ({m['cpu']}{', virtual' if m['is_virtual'] else ''}), {m['memory_gib']} GiB, "
             f"{m['filesystem'].split()[0]}, Linux {m['kernel']}, {m['system'].strip()}; {merged['together']} groups at a "
             f"time at most.\n\n{_measured(merged)}\n\n{tables(merged, table)}")
    page.write_text(replace_block(page.read_text(encoding="utf-8"), block), encoding="utf-8")
    data.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    return page
