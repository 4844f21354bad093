"""What partitions, items and regions cost: rates, memory, wake-ups, times to start and to fail over."""
import os
import signal
import time

from kit.account import CONTAINER, DATABASE, Account
from kit.links import operate, states, until
from kit.peers import http_load
from kit.system import BenchError, note, rss_kib

REGIONS = ["east", "west", "north"]
PARTITIONS = (1, 16, 256, 1024)
ITEMS = (10000, 100000, 1000000)
IDLE_S = 3


def _switches(pid):
    """Times that threads of a process have waited for something, so far."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt"))
        except OSError:
            continue  # it has just ended
    return total


def _cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(x) for x in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def _idle(account):
    """Of each server, alone for a while: MiB, wake-ups a second, CPU in per mille of a core."""
    time.sleep(IDLE_S)
    pids = account.servers()
    before = {p: (_switches(p), _cpu_s(p)) for p in pids}
    began = time.monotonic()
    time.sleep(IDLE_S)
    took = time.monotonic() - began
    return {"mib": [rss_kib(p) / 1024 for p in pids],
            "wakeups": [(_switches(p) - before[p][0]) / took for p in pids],
            "cpu_permille": [(_cpu_s(p) - before[p][1]) / took * 1000 for p in pids]}


class _Bare(Account):
    """Without the items that comparisons use: this part makes its own."""

    def fill(self):
        """Nothing."""


def _one(account, path, body, port):
    try:
        return account.call("POST", path, {**body, "pk": body["id"]}, port=port,
                            headers={"x-ms-documentdb-partitionkey": f'["{body["id"]}"]'})[0] == 201
    except OSError:
        return False


def _new_item(account, port):
    """Seconds until that region took a new item."""
    path = f"/dbs/{DATABASE}/colls/{CONTAINER}/docs"
    return until(f"{account.name}: an item", lambda: _one(
        account, path, {"id": os.urandom(6).hex()}, port), 60)


def _failover(account):
    """The write region is killed; milliseconds until the next one takes an item."""
    os.kill(account.servers()[0], signal.SIGKILL)
    return _new_item(account, account.region_port("west")) * 1e3


def _restart(account):
    """Milliseconds from the start of all processes until an item was written at the write region."""
    account.stop()
    account.spawn()
    began = time.monotonic()
    while time.monotonic() - began < 60:
        for region in account.regions:
            if _one(account, f"/dbs/{DATABASE}/colls/{CONTAINER}/docs", {"id": os.urandom(6).hex()},
                    account.region_port(region)):
                return (time.monotonic() - began) * 1e3
        time.sleep(0.005)
    raise BenchError(f"{account.name}: not served 60 s after a restart")


def _status_ms(account):
    began = time.monotonic()
    states(account)
    return (time.monotonic() - began) * 1e3


def _rates(account, options, items, port=None):
    ret = {}
    for work in ("create", "read"):
        sample = http_load(port or account.writer_port, work, 64, options.seconds, options.warm, "--ids", items,
                           key=account.key)
        ret[work] = {"rate": sample["rate"], "p99_us": sample["p99_us"], "errors": sample["errors"]}
    return ret


def _write(account, count, first):
    http_load(account.writer_port, "create", 64, 900, 0, "--count", count, "--prefix", first, key=account.key)


def _by_partitions(folder, options):
    rows = {}
    account = _Bare(folder, "partitions", REGIONS)
    made = 1
    try:
        account.start()
        _write(account, 2000 + 256, "fill")
        for count in PARTITIONS[:3] if options.quick else PARTITIONS:
            for i in range(made, count):
                account.expect_created(f"/dbs/{DATABASE}/colls", {
                    "id": f"more{i}", "partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 2}})
            made = count
            row = {**_idle(account), **_rates(account, options, 2000), "status_ms": _status_ms(account)}
            row["failover_ms"] = _failover(account)
            until("the killed region is back", lambda: list(states(account).values()).count("ONLINE_READ") == 2, 90)
            row["start_ms"] = _restart(account)
            until("all regions", lambda: list(states(account).values()).count("ONLINE_READ") == 2, 90)
            if states(account).get("east") != "ONLINE_WRITE":
                _back(account)
            rows[str(count)] = row
            note(f"  {count} partitions: {max(row['mib']):.0f} MiB, {max(row['wakeups']):.0f} wake-ups/s, "
                 f"creates {row['create']['rate']:.0f}/s, failover {row['failover_ms']:.0f} ms, "
                 f"start {row['start_ms']:.0f} ms")
    finally:
        account.stop()
        account.forget()
    return rows


def _back(account):
    operate(account, "failover", "east")
    until("east writes", lambda: states(account).get("east") == "ONLINE_WRITE", 60)


def _by_items(folder, options):
    rows = {}
    account = _Bare(folder, "items", REGIONS[:1])
    made = 0
    try:
        account.start()
        for count in ITEMS[:2] if options.quick else ITEMS:
            while made < count:
                # Ids count up from 0 with each prefix: the first 10,000 are those that are read.
                step = min(count - made, 1000000)
                _write(account, step, "fill" if made == 0 else f"more{made}")
                made += step
            row = {"mib": [rss_kib(account.servers()[0]) / 1024], **_rates(account, options, 9000)}
            row["start_ms"] = _restart(account)
            rows[str(count)] = row
            note(f"  {count} items: {row['mib'][0]:.0f} MiB, creates {row['create']['rate']:.0f}/s, "
                 f"reads {row['read']['rate']:.0f}/s, start {row['start_ms']:.0f} ms")
    finally:
        account.stop()
        account.forget()
    return rows


def growth(folder, options):
    return {"partitions": _by_partitions(folder, options), "items": _by_items(folder, options)}


def idle(folder, options):
    """An account of one to five regions that nobody uses."""
    names = [*REGIONS, "south", "centre"]
    ret = {}
    for count in (1, 3) if options.quick else (1, 2, 3, 4, 5):
        account = _Bare(folder, f"idle{count}", names[:count])
        try:
            account.start()
            ret[str(count)] = _idle(account)
            note(f"  {count} regions: {max(ret[str(count)]['mib']):.0f} MiB, "
                 f"{max(ret[str(count)]['wakeups']):.0f} wake-ups/s, "
                 f"{max(ret[str(count)]['cpu_permille']):.1f} per mille of a core")
        finally:
            account.stop()
            account.forget()
    return ret
