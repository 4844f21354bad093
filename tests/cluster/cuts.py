"""Every directed link between three regions and the coordinator is cut, alone and in pairs, under load.

A link "east>west" is what east has dialled: its messages for west, or its requests to the coordinator and
the answers to them. The coordinator dials nobody, and TCP has no half that works alone, so these nine are
all there are. Short form: the pair that asks most; long form: 9 and 36 pairs, at Session and Strong.

What is expected (W the write region, A the first and B the second reader by priority, C the coordinator):

    cut               at any level                   besides, at Strong
    W>C               W is replaced, by A            -
    A>C               A is taken offline             -
    W>C and A>C       W is replaced, by B; A is out  -
    W>A or A>W        no failover; A may be taken    A is taken offline: writes wait for it no longer
                      offline after a while          than its read lease and half a second
    A>B or B>A        nothing                        the same as W>A once one of the two is the writer
"""
import itertools
import time

from holdfast import IS_LONG, Tap, Up, Writers, comment, eq, until
from measured import SEED, Lateness, Summary, reproduce, started

LINKS = [a + b for a, b in itertools.product("WAB", "CWAB") if a != b]
HOLD_S = 2.0    # a lease and what is added to it is over by then
BOUND_S = 15.0  # for a starved machine; what it took is in the summary
ATTEMPTS = 3    # of a case whose expectation was missed on a machine that starved this very process

tap = Tap()
late = Lateness()
summary = Summary("cuts")


def expected(cut, is_strong):
    """Role of the writer afterwards, readers that must go, readers that may go."""
    writer = "W"
    if "WC" in cut:
        writer = "B" if "AC" in cut else "A"
    readers = [r for r in "AB" if r != writer]
    must = {r for r in readers if r + "C" in cut}
    silent = {r for r in readers if writer + r in cut or r + writer in cut}
    return writer, must | silent if is_strong else must, silent


@tap.test("the table of what is expected: replaced when cut off from the coordinator, else not")
def _():
    eq(len(LINKS), 9, "links")
    for is_strong in (False, True):
        eq(expected({"WC"}, is_strong), ("A", set(), set()), "W>C")
        eq(expected({"WC", "AC"}, is_strong), ("B", {"A"}, set()), "W>C A>C")
        eq(expected({"AB", "BA"}, is_strong), ("W", set(), set()), "A>B B>A")
        eq(expected({"AC", "BC"}, is_strong), ("W", {"A", "B"}, set()), "A>C B>C")
    eq(expected({"AW"}, False), ("W", set(), {"A"}), "A>W")
    eq(expected({"AW"}, True), ("W", {"A"}, {"A"}), "A>W at Strong")
    eq(expected({"WC", "AB"}, True), ("A", {"B"}, {"B"}), "W>C A>B at Strong")


class Unexpected(AssertionError):
    pass


def states(up):
    doc = up.show()
    return doc, {r["name"]: r["state"] for r in doc["regions"]}


def settle(up, names, cut, is_strong):
    """The expectation comes true while the links are cut, and stays true for HOLD_S."""
    writer, must, may = expected(cut, is_strong)
    started_at = time.monotonic()

    def is_so():
        doc, state = states(up)
        return (doc["writer"] == names[writer] and doc["phase"] == "OPEN"
                and all(state[names[r]] not in ("ONLINE_READ", "ONLINE_WRITE") for r in must))
    try:
        until(f"{names[writer]} writes and {sorted(names[r] for r in must)} are out", is_so, BOUND_S)
    except AssertionError as e:
        raise Unexpected(f"{e}: {states(up)}") from e
    took = time.monotonic() - started_at
    time.sleep(max(0.0, HOLD_S - took))  # the fault's length
    doc, state = states(up)
    if doc["writer"] != names[writer]:
        raise Unexpected(f"the writer is {doc['writer']}, not {names[writer]}")
    for role in set("AB") - {writer} - must - may:
        if state[names[role]] != "ONLINE_READ":
            raise Unexpected(f"reader {role} is {state[names[role]]}: {state}")
    return took


def attempt(up, cut, is_strong, number):
    doc = up.healthy()
    readers = sorted((r for r in doc["regions"] if r["name"] != doc["writer"]), key=lambda r: r["priority"])
    names = dict(zip("WABC", [doc["writer"], readers[0]["name"], readers[1]["name"], "coordinator"]))
    load = Writers(up, up.make_container(f"cut{number}"), threads=3)
    late.reset()
    try:
        load.more(30)
        cut_at = time.monotonic()
        for link in sorted(cut):
            up.link(f"{names[link[0]]}>{names[link[1]]}", "cut")
        try:
            took = settle(up, names, cut, is_strong)
            load.more(20, BOUND_S)  # while the links are still cut
        finally:
            up.link("*", "pass")
        healed_at = time.monotonic()
        up.healthy()
        rejoin = time.monotonic() - healed_at
        load.more(20, BOUND_S)
    finally:
        load.end()
    away = load.check(allow_feed=not is_strong)
    load.check_regions()
    after = [t for t in load.acked.values() if t >= cut_at]
    gap = max(b - a for a, b in zip([cut_at, *sorted(after)], sorted(after)))
    return {"settled_ms": took * 1000, "gap_ms": gap * 1000, "rejoin_ms": rejoin * 1000,
            "acked": len(load.acked), "in_feed": away, "lost": 0, "unknown": len(load.unknown),
            "failovers": up.show()["epoch"] - doc["epoch"], "late_ms": late.worst * 1000}


numbers = itertools.count()


def case(up, cut, is_strong):
    for n in range(ATTEMPTS):
        try:
            return attempt(up, cut, is_strong, next(numbers))
        except Unexpected as e:
            if n + 1 == ATTEMPTS or not late.is_crowded():
                raise
            comment(f"again, as this process was {late.worst:.1f} s late: {e}")
    raise AssertionError("not reached")


def run(level, cuts):
    samples = []
    with Up(fault_proxy=True, consistency=level, args=["--failover-hold", "500ms"]) as up:
        for cut in cuts:
            title = f"{level} " + " ".join(sorted(f"{l[0]}>{l[1]}" for l in cut))
            started("cut", title)
            try:
                sample = case(up, set(cut), level == "Strong")
            except BaseException:
                comment(f"failed: {title}")
                reproduce(up, "cuts", f"{level}: each")
                raise
            samples.append({"cut": title, **sample})
            expected_failovers = int("WC" in cut)
            if sample["failovers"] != expected_failovers and not late.is_crowded():
                raise AssertionError(f"{title}: {sample['failovers']} failovers, not {expected_failovers}")
    return samples


@tap.test("Strong: the writer cut from the coordinator and its successor from the other reader")
def _():
    run("Strong", [("WC", "AB")])


for one in ("Session", "Strong"):
    @tap.test(f"{one}: each directed link cut alone", long_only=True)
    def _(level=one):
        summary.add(f"{level}, one link", run(level, [(l,) for l in LINKS]))

    @tap.test(f"{one}: each pair of directed links cut", long_only=True)
    def _(level=one):
        summary.add(f"{level}, two links", run(level, list(itertools.combinations(LINKS, 2))))


if IS_LONG:
    comment(f"seed {SEED} (these cases are all there are: nothing is drawn)")
tap.run()
