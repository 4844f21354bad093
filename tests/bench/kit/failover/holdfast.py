"""Holdfast with each process on its own, as under systemd: nobody stands by who would tell of a death. Front and
coordinator stand apart, as etcd and the monitor do for the peers: no fault concerns them."""
import json
import re

from kit.account import Account, call, clean_env
from kit.failover.cluster import kill_and_wait, until
from kit.system import HOLDFAST, BenchError, Process, free_ports, run_quiet, wait_for

REGIONS = ("east", "west", "north")
LEVEL = {"asynchronous": "Session", "synchronous": "Strong"}
HOLD_S = {"lan": 5, "wan": 600}  # --failover-hold when nothing is said
LIMIT_S = {"lan": 60, "wan": 120}
LEASE_MS = {"lan": (1200, 200), "wan": (6000, 500)}  # src/account/region.c
DATABASE, CONTAINER = "bench", "items"


class Holdfast:
    subject = "holdfast"
    kind = "holdfast"

    def __init__(self, folder, relays, timers, mode):
        self.name = f"holdfast {timers} {mode}"
        self.folder, self.relays, self.timers, self.mode = folder, relays, timers, mode
        self.limit_s = LIMIT_S[timers]
        self.processes, self.relay, self.peer_ports = {}, {}, {}
        # Repeats are to be faults of their own, and ten minutes between two of them is too long to wait for.
        self.hold_s = 5

    @staticmethod
    def missing():
        return [] if HOLDFAST.exists() else [str(HOLDFAST)]

    def settings(self):
        lease, beat = LEASE_MS[self.timers]
        return {"holdfast": run_quiet([HOLDFAST, "version"]).split()[-1], "regions": len(REGIONS),
                "coordinator": "built-in x1, no fault concerns it; no supervisor, so nobody confirms a death",
                "profile": self.timers + (" (default)" if self.timers == "lan" else ""), "lease": f"{lease} ms",
                "beat": f"{beat} ms", "failover-hold": f"{self.hold_s} s (default {HOLD_S[self.timers]} s); each repeat "
                                                       "waits until it is over",
                "level": LEVEL[self.mode]}

    # ---- life ----

    def start(self):
        first = Account(self.folder, "account", list(REGIONS), LEVEL[self.mode],
                        ("--profile", self.timers, "--failover-hold", f"{self.hold_s}s"))
        first.spawn()  # writes the configuration of every process and makes the account
        try:
            wait_for(self.name, first.process, first.ready_file.exists, 60)
            first.make_container()
        finally:
            first.stop()
        self.key, self.front_port = first.key, first.port
        self.ports = {r: first.region_port(r) for r in REGIONS}
        self.run = first.folder / "data" / "run"
        self.coordinator = int(re.search(r"^coordinator = http://127.0.0.1:(\d+)", self._text("front"), re.M).group(1))
        self._spawn("coordinator", "coordinator", "--listen", f"127.0.0.1:{self.coordinator}")
        for r in REGIONS:
            self.peer_ports[r] = free_ports(1)
        for r in REGIONS:
            # By where it goes: a relay for each direction between two regions, and one to the coordinator.
            self.relay[r] = {o: self.relays.add(self.peer_ports[o]) for o in REGIONS if o != r}
            self.relay[r]["coordinator"] = self.relays.add(self.coordinator)
        for r in REGIONS:
            self.restart(r)
        self._spawn("front", "front", "--listen", f"127.0.0.1:{self.front_port}")
        until(f"{self.name}: is healthy", self.is_healthy, 60)

    def _text(self, name):
        return (self.run / f"{name}.conf").read_text(encoding="utf-8")

    def _spawn(self, name, role, *argv):
        self.processes[name] = Process([HOLDFAST, role, "--config", self.run / f"{name}.conf", *argv],
                                       self.folder / f"{name}.log", env=clean_env())

    def restart(self, r):
        if r in self.processes:
            self.processes[r].stop()
        override = ",".join(f"{o}=127.0.0.1:{self.relay[r][o].port}" for o in REGIONS if o != r)
        self._spawn(r, "server", "--listen", f"127.0.0.1:{self.ports[r]}", "--listen-peer",
                    f"127.0.0.1:{self.peer_ports[r]}", "--coordinator",
                    f"http://127.0.0.1:{self.relay[r]['coordinator'].port}", "--peer-override", override)

    def stop(self):
        for name in list(self.processes):
            try:
                kill_and_wait(lambda n=name: self.node_pids(n))
            except BenchError:
                pass
            self.processes[name].stop()
        self.relays.close([x for of in self.relay.values() for x in of.values()])

    # ---- what it says ----

    @property
    def nodes(self):
        return [{"name": r, "port": self.ports[r]} for r in REGIONS]

    def _get(self, path, port=None):
        status, headers, document = call(port or self.front_port, self.key, "GET", path)
        if status != 200:
            raise BenchError(f"GET {path}: {status}")
        return headers, document

    def _account(self):
        return self._get("/_holdfast/account")[1]

    def writer(self):
        account = self._account()
        return account["writer"] if account["phase"] == "OPEN" else None

    def is_healthy(self):
        account = self._account()
        return account["phase"] == "OPEN" and all(r["state"].startswith("ONLINE") for r in account["regions"])

    def is_ready(self):
        """And no failover would be held back because of the one before."""
        return self.is_healthy() and all(
            self._get("/_holdfast/status", p)[1].get("failoverHoldLeftMs", 0) == 0 for p in self.ports.values())

    def is_reader(self, r):
        return next(x["state"] for x in self._account()["regions"] if x["name"] == r).startswith("ONLINE")

    def _pages(self, path, key):
        token = None
        while True:
            headers = {"x-ms-max-item-count": "1000", **({"x-ms-continuation": token} if token else {})}
            status, answer, document = call(self.ports[self.writer()], self.key, "GET", path, headers=headers, timeout=20)
            if status != 200:
                raise BenchError(f"GET {path}: {status}")
            yield from document[key]
            token = answer.get("x-ms-continuation")
            if not token:
                return

    def ids(self, run):
        items = self._pages(f"/dbs/{DATABASE}/colls/{CONTAINER}/docs", "Documents")
        return {i["id"] for i in items if i["id"].startswith(run + "-")}

    def given_back(self, run):
        """The conflict feed."""
        records = self._pages(f"/dbs/{DATABASE}/colls/{CONTAINER}/conflicts", "Conflicts")
        ids = {json.loads(r["content"]).get("id", "") for r in records if r.get("content")}
        return {i for i in ids if i.startswith(run + "-")}

    # ---- faults ----

    def node_pids(self, r):
        process = self.processes[r]
        return [process.pid] if process.is_alive() else []

    def cut(self, r, mode):
        others = [self.relay[o][r] for o in REGIONS if o != r]
        self.relays.set_mode(list(self.relay[r].values()) + others, mode)

    def change(self, r):
        to = next(x["name"] for x in self._account()["regions"] if x["name"] != r)
        status, _, document = call(self.front_port, self.key, "POST", "/_holdfast/account/failover", {"region": to},
                                   timeout=30)
        if status >= 300:
            raise BenchError(f"failover to {to}: {status} {document}")

