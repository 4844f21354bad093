"""Checks Prometheus text (version 0.0.4) as `promtool check metrics` does: syntax, one HELP and TYPE
for each name and before its rows, names, units, suffixes, no series twice, histograms that add up.

    problems, values = prometheus.check(text)    # values: {(name, ((label, value), ...)): number}
"""
import re

NAME = re.compile(r"^[a-z_:][a-z0-9_:]*$")
ROW = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
BAD_UNITS = ("milliseconds", "millis", "ms", "microseconds", "us", "minutes", "hours", "kilobytes", "megabytes", "kb", "mb")
PARTS = ("_bucket", "_sum", "_count")


def labels_of(text, problem):
    labels, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        if not match:
            problem(f"bad labels: {text}")
            break
        labels.append((match.group(1), match.group(2)))
        at = match.end()
    return tuple(sorted(labels))


def family_of(name, kinds):
    if name in kinds:
        return name
    for part in PARTS:
        base = name.removesuffix(part)
        if base != name and kinds.get(base) in ("histogram", "summary"):
            return base
    return None


def check_name(name, kind, problem):
    if not NAME.match(name):
        problem(f"{name}: not snake_case")
    words = name.split("_")
    for unit in BAD_UNITS:
        if unit in words:
            problem(f"{name}: base units only, not {unit}")
    if kind == "counter" and not name.endswith("_total"):
        problem(f"{name}: a counter ends in _total")
    if kind != "counter" and name.endswith("_total"):
        problem(f"{name}: only counters end in _total")
    if kind not in ("histogram", "summary") and name.endswith(PARTS):
        problem(f"{name}: suffix of a histogram")
    if any(word in words for word in ("gauge", "counter", "histogram", "summary")):
        problem(f"{name}: the type is no part of the name")


def check_histograms(kinds, values, problem):
    for name in (n for n, kind in kinds.items() if kind == "histogram"):
        groups = {}
        for (row, labels), value in values.items():
            if row == name + "_bucket":
                rest = tuple(l for l in labels if l[0] != "le")
                groups.setdefault(rest, []).append((float(dict(labels)["le"].replace("+Inf", "inf")), value))
        for rest, buckets in groups.items():
            counts = [v for _, v in sorted(buckets)]
            if counts != sorted(counts):
                problem(f"{name}{rest}: buckets are not cumulative")
            if sorted(buckets)[-1][0] != float("inf"):
                problem(f"{name}{rest}: no bucket for +Inf")
            if values.get((name + "_count", rest)) != counts[-1]:
                problem(f"{name}{rest}: count is not the last bucket")
            if (name + "_sum", rest) not in values:
                problem(f"{name}{rest}: no sum")


def check(text):
    problems, helps, kinds, values, seen = [], {}, {}, {}, []
    problem = problems.append
    if not text.endswith("\n"):
        problem("the last line has no end")
    for line in text.split("\n"):
        if line.startswith("# HELP ") or line.startswith("# TYPE "):
            _, what, name, rest = line.split(" ", 3)
            table = helps if what == "HELP" else kinds
            if name in table:
                problem(f"{name}: second {what}")
            table[name] = rest
            if what == "TYPE":
                check_name(name, rest, problem)
                if rest not in ("counter", "gauge", "histogram", "summary", "untyped"):
                    problem(f"{name}: unknown type {rest}")
        elif line and not line.startswith("#"):
            match = ROW.match(line)
            if not match:
                problem(f"bad line: {line}")
                continue
            name, labels = match.group(1), labels_of(match.group(2) or "", problem)
            family = family_of(name, kinds)
            if family is None or family not in helps:
                problem(f"{name}: row without HELP and TYPE before it")
            if family in seen[:-1]:
                problem(f"{family}: its rows are not together")
            if family not in seen:
                seen.append(family)
            if (name, labels) in values:
                problem(f"{name}{labels}: twice")
            if any(l in ("le", "quantile") for l, _ in labels) and kinds.get(family) not in ("histogram", "summary"):
                problem(f"{name}: label of a histogram or summary")
            try:
                values[(name, labels)] = float(match.group(3))
            except ValueError:
                problem(f"{name}: bad value {match.group(3)}")
    check_histograms(kinds, values, problem)
    return problems, values


def value(values, name, **labels):
    """Sum over all series of that name with (at least) these labels."""
    return sum(v for (n, have), v in values.items() if n == name and set(labels.items()) <= set(have))
