"""Patroni 3 with one etcd that no fault concerns, as the built-in coordinator of Holdfast is one process."""
import json
import os
import re
import shutil
import urllib.error
import urllib.request

from kit.failover.cluster import (BIN, NAMES, PSYCOPG2, USER, PostgresCluster, kill_and_wait, make_folder,
                                  of_session, until)
from kit.system import BenchError, Process, accepts, free_ports, run_quiet, wait_for

TIMERS = {
    # What Patroni does when nothing is said.
    "default": {"ttl": 30, "loop_wait": 10, "retry_timeout": 10},
    # The least that its documentation allows (and later versions enforce).
    "documented": {"ttl": 20, "loop_wait": 1, "retry_timeout": 3},
    # The least that works and keeps its rule loop_wait + 2 * retry_timeout <= ttl: version 3.0.2 takes less without
    # a word, but with a retry_timeout of 1 s nobody ever takes the lock again.
    "lowest": {"ttl": 5, "loop_wait": 1, "retry_timeout": 2},
}
LIMIT_S = {"default": 150, "documented": 90, "lowest": 60}
CONFIGURATION = """\
scope: bench
name: {name}
restapi:
  listen: 127.0.0.1:{rest}
  connect_address: 127.0.0.1:{rest_relay}
etcd3:
  hosts: 127.0.0.1:{etcd_relay}
  use_proxies: true
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: {retry_timeout}
    synchronous_mode: {synchronous}
    synchronous_mode_strict: {synchronous}
    postgresql:
      use_pg_rewind: true
      use_slots: true
  initdb: [{{encoding: UTF8}}, data-checksums, {{auth: trust}}]
  users: {{}}
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{relay}
  data_dir: {data}
  bin_dir: {bin}
  pgpass: {folder}/{name}.pgpass
  authentication:
    superuser: {{username: bench, password: bench}}
    replication: {{username: standby, password: standby}}
    rewind: {{username: bench, password: bench}}
  basebackup: [{{checkpoint: fast}}]
  parameters:
    unix_socket_directories: {sockets}
  pg_hba:
    - local all all trust
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
"""


class Patroni(PostgresCluster):
    subject = "patroni"
    database = "postgres"
    agent = "/usr/bin/patroni"

    def __init__(self, folder, relays, timers, mode):
        self.name = f"patroni {timers} {mode}"
        self.folder, self.relays, self.timers, self.mode = folder, relays, timers, mode
        self.limit_s = LIMIT_S[timers]
        self.sockets = make_folder(folder / "s")
        self.data = {n: folder / n for n in NAMES}
        self.ports, self.rest, self.relay, self.agents = {}, {}, {}, {}
        self.etcd = None

    @staticmethod
    def missing():
        return [p for p in ("/usr/bin/patroni", f"{BIN}/postgres", "/usr/bin/etcd", PSYCOPG2) if not os.path.exists(p)]

    def settings(self):
        t = TIMERS[self.timers]
        return {"patroni": self.agent_version(), "postgresql": self.version(), "nodes": 3,
                "dcs": f"etcd {run_quiet(['etcd', '--version']).split()[2]} x1 (v3), no fault concerns it",
                **{k: f"{v} s" for k, v in t.items()},
                "synchronous_mode": "on, strict" if self.mode == "synchronous" else "off",
                "use_pg_rewind": "on", "basebackup": "checkpoint fast", "watchdog": "off (default)",
                "failsafe_mode": "off (default)",
                "maximum_lag_on_failover": "1 MiB (default)"}

    def agent_version(self):
        return run_quiet([self.agent, "--version"]).split()[-1]

    # ---- life ----

    def start(self):
        self._start_etcd()
        for n in NAMES:
            self.ports[n] = free_ports(2)
            self.rest[n] = self.ports[n] + 1
            self.relay[n] = {"postgresql": self.relays.add(self.ports[n]), "rest": self.relays.add(self.rest[n]),
                             "etcd": self.relays.add(self.etcd_port)}
            self._configure(n)
        self._start_agent("n1")
        until(f"{self.name}: n1 writes", lambda: self.writer() == "n1", 90)
        for n in NAMES[1:]:
            self._start_agent(n)
        until(f"{self.name}: is healthy", self.is_healthy, 120)
        self.make_table()

    def _start_etcd(self):
        self.etcd_port = free_ports(2)
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.etcd_port, self.etcd_port + 1))
        self.etcd = Process([shutil.which("etcd"), "--data-dir", self.folder / "etcd", "--listen-client-urls", client,
                             "--advertise-client-urls", client, "--listen-peer-urls", peer,
                             "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"],
                            self.folder / "etcd.log")
        wait_for("etcd", self.etcd, lambda: accepts(self.etcd_port) and self._knows_its_version())

    def _knows_its_version(self):
        """Patroni ends when it asks too early."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.etcd_port}/version", timeout=2) as answer:
            return json.load(answer)["etcdcluster"] != "not_decided"

    def _configure(self, n):
        path = self.folder / f"{n}.yml"
        path.write_text(CONFIGURATION.format(
            name=n, rest=self.rest[n], rest_relay=self.relay[n]["rest"].port, etcd_relay=self.relay[n]["etcd"].port,
            port=self.ports[n], relay=self.relay[n]["postgresql"].port, data=self.data[n], bin=BIN, folder=self.sockets,
            sockets=self.sockets, synchronous="true" if self.mode == "synchronous" else "false",
            **TIMERS[self.timers]), encoding="utf-8")

    def _start_agent(self, n):
        make_folder(self.data[n])
        self.agents[n] = Process([self.agent, self.folder / f"{n}.yml"], self.folder / f"{n}.log", cwd="/", user=USER,
                                 env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(self.sockets), "LANG": "C.UTF-8"})

    def stop(self):
        for n in self.agents:
            try:
                kill_and_wait(lambda name=n: self.node_pids(name))
            except BenchError:
                pass
            self.agents[n].stop()
        if self.etcd:
            self.etcd.stop()
        self.relays.close([r for of in self.relay.values() for r in of.values()])

    # ---- what it says ----

    def _members(self):
        """Of the first agent that answers: {name: (role, state)}."""
        for n in NAMES:
            if n not in self.rest:
                continue
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.rest[n]}/cluster", timeout=2) as answer:
                    return {m["name"]: m for m in json.load(answer)["members"]}
            except (OSError, urllib.error.URLError, ValueError):
                continue
        return {}

    def writer(self):
        members = self._members()
        return next((n for n, m in members.items() if m["role"] == "leader" and m["state"] == "running"), None)

    def is_healthy(self):
        members = self._members()
        return (len(members) == len(NAMES) and all(m["state"] in ("running", "streaming") for m in members.values()) and
                len({m.get("timeline") for m in members.values()}) == 1 and self.in_step(self.writer()))

    # ---- faults ----

    def node_pids(self, n):
        return list(dict.fromkeys(self.server_pids(n) + of_session(self.agents[n].pid)))

    def cut(self, n, mode):
        self.relays.set_mode(list(self.relay[n].values()), mode)

    def restart(self, n):
        self.agents[n].stop()
        self._start_agent(n)

    def change(self, n):
        """POST /switchover; it answers when it is done. Returns when it was asked."""
        to = next(x for x in NAMES if x != n and (self.mode != "synchronous" or self._is_synchronous(n, x)))
        body = json.dumps({"leader": n, "candidate": to}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest[n]}/switchover", body,
                                         {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.limit_s) as answer:
                answer.read()
        except urllib.error.HTTPError as e:
            raise BenchError(f"switchover refused ({e.code}): {e.read()[:200]!r}") from e

    def _is_synchronous(self, writer, n):
        names = self.sql(writer, "SELECT application_name FROM pg_stat_replication "
                                 "WHERE sync_state IN ('sync', 'quorum')")
        return n in [re.sub(r"\W", "", x) for x in names]
