"""Throughput and latency at each consistency level, by the number of regions and the delay of the links
between them."""
from kit.links import LinkedAccount, operate
from kit.peers import http_load
from kit.stats import interleave, summary
from kit.system import note

NAMES = ["east", "west", "north", "south", "centre"]
COUNTS = (1, 2, 3, 5)
DELAYS = (0, 20, 80)
LEVELS = ("Eventual", "ConsistentPrefix", "Session", "BoundedStaleness", "Strong")
WORKS = (("create", 1), ("create", 64), ("create", 512), ("read", 1), ("read", 64))


class _Level:
    """One level of the account: a subject of interleaved measurements."""

    def __init__(self, account, level):
        self.account = account
        self.name = level

    def measure(self, work, connections, options):
        a = self.account
        if a.level != self.name:
            operate(a, "consistency", self.name)
            a.level = self.name
        # Reads go to the region that is the farthest down the order, writes to the write region.
        port = a.region_port(a.regions[-1]) if work == "read" else a.writer_port
        more = ["--header", f"x-ms-session-token: {a.token}"] if work == "read" and self.name == "Session" else []
        return http_load(port, work, connections, options.seconds, options.warm, *more, key=a.key)


def _cells(account, options):
    subjects = [_Level(account, level) for level in LEVELS]

    def all_of(level):
        """All works of a level in one go: a change of level takes longer than a measurement."""
        cell = {f"{w} x{c}": level.measure(w, c, options) for w, c in WORKS}
        return {**next(iter(cell.values())), "cell": cell,
                "errors": sum(s["errors"] for s in cell.values())}

    rows = interleave(subjects, options.rounds, all_of, note)
    ret = {}
    for w, c in WORKS:
        ret[f"{w} x{c}"] = summary({n: [r["cell"][f"{w} x{c}"] for r in samples] for n, samples in rows.items()})
    return ret


def levels(folder, options):
    ret = {}
    for count in COUNTS:
        account = LinkedAccount(folder, f"levels{count}", NAMES[:count], "Session")
        try:
            account.start()
            for delay in DELAYS if count > 1 else DELAYS[:1]:
                account.delay(delay)
                ret[f"{count} {delay}"] = cells = _cells(account, options)
                note(f"  {count} regions, {delay} ms: creates x64 " + ", ".join(
                    f"{n} {v['rate']['median']:.0f}/s" for n, v in cells["create x64"].items()))
        finally:
            account.stop()
            account.forget()
    return ret
