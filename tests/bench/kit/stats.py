"""Rounds of interleaved measurements and what is said about them: never a single figure."""
import statistics


def spread(values):
    """{"min","median","max"} of a list; None when it is empty."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def ratios(ours, theirs):
    """Round by round, so that what slowed both is left out."""
    return spread([a / b for a, b in zip(ours, theirs) if b])


def percentile(values, p):
    """The smallest value that p percent are not above."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]


def interleave(subjects, rounds, measure, note):
    """{subject name: [sample of each round]}; the order turns by one each round, so that nobody
    always follows the same neighbour."""
    samples = {s.name: [] for s in subjects}
    for r in range(rounds):
        turn = r % len(subjects)
        for s in subjects[turn:] + subjects[:turn]:
            sample = measure(s)
            samples[s.name].append(sample)
            if sample["errors"]:
                note(f"  {s.name}: {sample['errors']} errors of {sample['count']} ({sample.get('statuses')})")
    return samples


def summary(samples):
    """Rates with their spread; percentiles as the median over rounds; CPU times as the least of all
    rounds, since a disturbance only adds to them."""
    ret = {}
    for name, rows in samples.items():
        ret[name] = {"rate": spread([r["rate"] for r in rows]),
                     "errors": sum(r["errors"] for r in rows)}
        for key in ("p50_us", "p99_us", "p999_us", "cpu_us"):
            ret[name][key] = statistics.median(r[key] for r in rows)
        if "server_us" in rows[0]:
            ret[name]["server_us"] = min(r["server_us"] for r in rows)
        if "threads" in rows[0]:
            ret[name]["reader_us"] = min(r["reader_us"] for r in rows)
            names = {t for r in rows for t in r["threads"]}
            ret[name]["threads"] = {t: min(r["threads"].get(t, 0) for r in rows) for t in sorted(names)}
    return ret
