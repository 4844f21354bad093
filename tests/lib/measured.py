"""Repeats of cluster tests: how many, from which seed, what was measured, how crowded the machine was.

Environment: HF_REPEATS (repeats of each fault in the long form, 20 when not given), HF_SEED (printed; the
same seed draws the same faults), HF_SUMMARY (directory of the JSON summaries, BUILD/measured when not given).
"""
import json
import os
import pathlib
import random
import subprocess
import threading
import time

from holdfast import IS_LONG, ROOT, comment

REPEATS = int(os.environ.get("HF_REPEATS") or 0) or (20 if IS_LONG else 1)
SEED = int(os.environ.get("HF_SEED") or 0) or (random.randrange(1, 1 << 31) if IS_LONG else 1)
SUMMARIES = pathlib.Path(os.environ.get("HF_SUMMARY")
                         or ROOT / os.environ.get("HF_BUILD", "build") / "measured")
CROWDED_S = 0.3  # a quarter of the lease of the lan profile


def percentile(values, p):
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * p // 100) - 1)] if ordered else None


def spread(values):
    return {"n": len(values), "p50": percentile(values, 50), "p99": percentile(values, 99),
            "worst": max(values, default=None)}


class Lateness:
    """How late this process was woken, at worst, since the last reset: what a starved machine looks
    like from inside. Expectations about time mean nothing beyond that."""

    def __init__(self):
        self.worst = 0.0
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            before = time.monotonic()
            time.sleep(0.01)
            self.worst = max(self.worst, time.monotonic() - before - 0.01)

    def reset(self):
        self.worst = 0.0

    def is_crowded(self):
        return self.worst > CROWDED_S


class Summary:
    """Rows of measurements of one program: printed as TAP diagnostics, written as JSON after each."""

    def __init__(self, name):
        self.name = name
        self.rows = []
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                                text=True, check=False).stdout.strip()
        self.head = {"program": name, "commit": commit, "cpus": os.cpu_count(), "seed": SEED,
                     "repeats": REPEATS, "started_at": int(time.time())}

    def add(self, title, samples, **more):
        """`samples`: dictionaries of one repeat each. Numbers ending in _ms become spreads, other
        numbers are added up; None is left out."""
        row = {"title": title, "repeats": len(samples), **more, "load_average": os.getloadavg()[0]}
        for key in dict.fromkeys(k for s in samples for k in s):
            values = [s[key] for s in samples if isinstance(s.get(key), (int, float))]
            if values:
                row[key] = spread(values) if key.endswith("_ms") else sum(values)
        self.rows.append({**row, "samples": samples})
        SUMMARIES.mkdir(parents=True, exist_ok=True)
        path = SUMMARIES / f"{self.name}.json"
        path.write_text(json.dumps({**self.head, "rows": self.rows}, indent=1) + "\n")
        times = " ".join(f"{k} p50={v['p50']:.0f} p99={v['p99']:.0f} worst={v['worst']:.0f}"
                         for k, v in row.items() if isinstance(v, dict) and v["n"])
        counts = " ".join(f"{k}={v}" for k, v in row.items()
                          if isinstance(v, int) and k not in ("repeats",))
        comment(f"{title}: {len(samples)} repeats, {times}, {counts}")


def reproduce(up, program, title=""):
    """Says how to have a failure again, and keeps the account's files."""
    up.keep = True
    comment(f"repeat: ./test cluster {program}{f' {title!r}' if title else ''} --seed {SEED} "
            f"--repeats {REPEATS}")
    comment(f"kept: {up.dir}")


def started(title, fault):
    """One line, so that a hang can be told from a long run."""
    comment(f"{time.strftime('%H:%M:%S')} {title}: {fault}")
