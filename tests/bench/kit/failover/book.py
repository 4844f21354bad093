"""What the client's writes say about one failover. Pure: lists in, figures out; times in seconds of one
clock, results in milliseconds."""
import collections

from kit.stats import percentile

ACKED, REFUSED, UNKNOWN = "acked", "refused", "unknown"

# id None: no connection could be had, so there was no write. `is_pinned`: of a client that knows one node
# only; the others go where the product's own way of finding the writer leads them.
Write = collections.namedtuple("Write", "id is_pinned node sent done outcome")

COUNTS = ("acked", "surviving", "given_back", "lost", "unknown", "unknown_surviving", "refused_surviving")
TIMES = ("rto_ms", "client_rto_ms", "first_failed_ms", "old_writer_ms", "both_ms", "rejoin_ms", "stall_ms")


def ms(seconds):
    return None if seconds is None else round(seconds * 1000, 1)


def longest_gap(times, begin):
    """Seconds of the longest time without an event from `begin` on, as far as an event ended it."""
    gap = 0
    last = begin
    for t in sorted(times):
        if t > begin:
            gap = max(gap, t - last)
            last = t
    return gap


def times(writes, fault, old):
    """Of the writes alone; `old` is the node that wrote before the fault."""
    acked = [w for w in writes if w.outcome == ACKED]
    new = min((w.done for w in acked if w.node != old and w.sent >= fault), default=None)
    last_old = max((w.done for w in acked if w.node == old and w.done >= fault), default=None)
    failed = min((w.done for w in writes if not w.is_pinned and w.outcome != ACKED and w.done >= fault), default=None)
    return {
        "rto_ms": ms(new - fault) if new is not None else None,
        "client_rto_ms": ms(longest_gap([w.done for w in acked if not w.is_pinned], fault)) if new is not None else None,
        "first_failed_ms": ms(failed - fault) if failed is not None else None,
        "old_writer_ms": ms(last_old - fault) if last_old is not None else None,
        "both_ms": ms(max(0, last_old - new)) if last_old is not None and new is not None else 0,
    }


def counts(writes, surviving, given_back):
    """Sets of ids: found in the data afterwards, found in what the product keeps of what it took out."""
    of = {kind: {w.id for w in writes if w.outcome == kind and w.id is not None}
          for kind in (ACKED, REFUSED, UNKNOWN)}
    return {
        "acked": len(of[ACKED]),
        "surviving": len(of[ACKED] & surviving),
        "given_back": len((of[ACKED] - surviving) & given_back),
        "lost": len(of[ACKED] - surviving - given_back),
        "unknown": len(of[UNKNOWN]),
        "unknown_surviving": len(of[UNKNOWN] & (surviving | given_back)),
        "refused_surviving": len(of[REFUSED] & surviving),
    }


def distribution(values):
    """None when nothing was measured; p99 of fewer than 100 values is the largest."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {"n": len(values), "min": min(values), "p50": percentile(values, 50), "p99": percentile(values, 99),
            "max": max(values)}


def cell(rows):
    """Many failovers of one kind."""
    ret = {"repeats": len(rows)}
    for key in TIMES:
        ret[key] = distribution([r[key] for r in rows])
    for key in COUNTS:
        ret[key] = sum(r[key] for r in rows)
    ret["worst_away"] = max((r["lost"] + r["given_back"] for r in rows), default=0)
    ret["never_took_over"] = sum(r["rto_ms"] is None for r in rows)
    ret["never_back"] = sum(r["rejoin_ms"] is None for r in rows)
    return ret
