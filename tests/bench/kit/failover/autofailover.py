"""pg_auto_failover 2 with one monitor that no fault concerns. Its monitor listens on every address when it is
left alone: the `postgres` that it starts is a script of ours that says 127.0.0.1 instead."""
import getpass
import os

from kit.failover.cluster import (BIN, NAMES, PSYCOPG2, USER, PostgresCluster, kill_and_wait, make_folder,
                                  of_session, sql, until)
from kit.system import BenchError, Process, free_ports, run_quiet

MONITOR = {
    # What the extension has when nothing is said; milliseconds.
    "default": {"health_check_period": 5000, "health_check_timeout": 5000, "health_check_max_retries": 2,
                "health_check_retry_delay": 2000, "node_considered_unhealthy_timeout": 20000,
                "startup_grace_period": 10000, "primary_demote_timeout": 30000},
    # It takes 1 ms everywhere, which would take healthy nodes for dead ones: keepers report once a second, and
    # that cannot be set. So: the least with one report in hand, and a demote timeout above the time after which
    # a cut-off writer stops itself.
    "lowest": {"health_check_period": 500, "health_check_timeout": 500, "health_check_max_retries": 1,
               "health_check_retry_delay": 100, "node_considered_unhealthy_timeout": 2500,
               "startup_grace_period": 1000, "primary_demote_timeout": 2500},
}
KEEPER = {  # seconds
    "default": {"network_partition_timeout": 20, "prepare_promotion_catchup": 30, "prepare_promotion_walreceiver": 5},
    "lowest": {"network_partition_timeout": 1, "prepare_promotion_catchup": 1, "prepare_promotion_walreceiver": 1},
}
LIMIT_S = {"default": 180, "lowest": 60}


class AutoFailover(PostgresCluster):
    subject = "pg_auto_failover"
    program = "/usr/bin/pg_autoctl"
    superuser = USER or getpass.getuser()  # who made the cluster

    def __init__(self, folder, relays, timers, mode):
        self.name = f"pg_auto_failover {timers} {mode}"
        self.folder, self.relays, self.timers, self.mode = folder, relays, timers, mode
        self.limit_s = LIMIT_S[timers]
        self.home = make_folder(folder / "h")
        self.sockets = make_folder(folder / "s")
        self.monitor = folder / "m"
        self.data = {"monitor": self.monitor, **{n: folder / n for n in NAMES}}
        self.ports, self.relay, self.agents = {}, {}, {}
        self.env = {"HOME": str(self.home), "XDG_CONFIG_HOME": f"{self.home}/c", "XDG_DATA_HOME": f"{self.home}/d",
                    "XDG_RUNTIME_DIR": f"{self.home}/r", "PG_REGRESS_SOCK_DIR": str(self.sockets),
                    "PGHOST": str(self.sockets), "PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8"}

    @staticmethod
    def missing():
        return [p for p in ("/usr/bin/pg_autoctl", f"{BIN}/postgres", "/usr/lib/postgresql/15/lib/pgautofailover.so",
                            PSYCOPG2)
                if not os.path.exists(p)]

    def settings(self):
        return {"pg_auto_failover": run_quiet([self.program, "--version"]).split()[2], "postgresql": self.version(),
                "nodes": "3 and one monitor that no fault concerns",
                **{k: v if k.endswith("retries") else f"{v} ms" for k, v in MONITOR[self.timers].items()},
                **{k: f"{v} s" for k, v in KEEPER[self.timers].items()},
                "number_sync_standbys": self.sync_standbys(),
                "replication_quorum": "true" if self.mode == "synchronous" else "false, all nodes"}

    def sync_standbys(self):
        """The monitor sets it by itself: to 1 with the second standby that counts."""
        return "1" if self.mode == "synchronous" else "0"

    # ---- life ----

    def _autoctl(self, *argv, limit_s=90):
        return run_quiet([self.program, *argv], timeout=limit_s, env=self.env, cwd="/", user=USER)

    def _bin(self):
        """PostgreSQL's programs, with a `postgres` that listens on loopback only."""
        folder = make_folder(self.folder / "bin")
        for name in os.listdir(BIN):
            if name != "postgres":
                (folder / name).symlink_to(f"{BIN}/{name}")
        wrapper = folder / "postgres"
        wrapper.write_text('#!/bin/bash\nfor a; do shift; [ "$a" = "*" ] && a=127.0.0.1; set -- "$@" "$a"; done\n'
                           f'exec {BIN}/postgres "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
        return folder

    def start(self):
        make_folder(self.folder)
        self.monitor_port = free_ports(1)
        self._autoctl("create", "monitor", "--pgdata", self.monitor, "--pgport", self.monitor_port, "--hostname",
                      "127.0.0.1", "--no-ssl", "--skip-pg-hba", "--pgctl", self._bin() / "pg_ctl")
        self._run("monitor", self.monitor)
        until(f"{self.name}: the monitor answers", lambda: self._monitor("SELECT 1") == ["1"], 60)
        for key, value in MONITOR[self.timers].items():
            self._monitor(f"ALTER SYSTEM SET pgautofailover.{key} = {value}")
        self._monitor("SELECT pg_reload_conf()")
        for n in NAMES:
            self._create(n)
        until(f"{self.name}: is healthy", self.is_healthy, 120)
        self.make_table()

    def _create(self, n):
        """The others reach it at an address of its own, where the relay listens; it listens on 127.0.0.1."""
        self.ports[n] = free_ports(1)
        address = f"127.0.1.{NAMES.index(n) + 1}"
        self.relay[n] = {"postgresql": self.relays.add(self.ports[n], address, self.ports[n]),
                         "monitor": self.relays.add(self.monitor_port)}
        self._autoctl("create", "postgres", "--pgdata", self.data[n], "--pgport", self.ports[n], "--listen", "127.0.0.1",
                      "--hostname", address, "--name", n, "--username", "bench", "--dbname", "bench", "--no-ssl",
                      "--skip-pg-hba", "--replication-quorum", "true" if self.mode == "synchronous" else "false",
                      "--monitor", f"postgres://autoctl_node@127.0.0.1:{self.relay[n]['monitor'].port}"
                                   "/pg_auto_failover?sslmode=prefer")
        for key, value in KEEPER[self.timers].items():
            self._autoctl("config", "set", f"timeout.{key}", str(value), "--pgdata", self.data[n])
        self._run(n, self.data[n])
        wanted = ("single", "wait_primary", "primary") if n == NAMES[0] else ("secondary",)
        until(f"{self.name}: {n} is {wanted[0]}", lambda: self._states().get(n, ("",))[0] in wanted, 90)

    def _run(self, n, data):
        self.agents[n] = Process([self.program, "run", "--pgdata", data], self.folder / f"{n}.log", cwd="/", user=USER,
                                 env=self.env)

    def stop(self):
        for n, agent in self.agents.items():
            try:
                kill_and_wait(lambda name=n: self.node_pids(name))
            except BenchError:
                pass
            agent.stop()
        self.relays.close([r for of in self.relay.values() for r in of.values()])

    # ---- what it says ----

    def _monitor(self, text):
        return sql(self.sockets, self.monitor_port, text, self.superuser, "pg_auto_failover")

    def _states(self):
        """{node: (reported, assigned, health)}"""
        rows = self._monitor("SELECT nodename, reportedstate, goalstate, health FROM pgautofailover.node")
        return {n: (reported, goal, health) for n, reported, goal, health in (r.split("|") for r in rows)}

    def writer(self):
        return next((n for n, (reported, goal, _) in self._states().items()
                     if reported == goal and reported in ("single", "wait_primary", "primary", "join_primary")), None)

    def is_healthy(self):
        states = self._states()
        return (sorted(s[0] for s in states.values()) == ["primary", "secondary", "secondary"] and
                all(reported == goal and health == "1" for reported, goal, health in states.values()) and
                self._monitor("SELECT number_sync_standbys FROM pgautofailover.formation") == [self.sync_standbys()] and
                self.in_step(self.writer()))

    # ---- faults ----

    def node_pids(self, n):
        pids = self.server_pids(n)
        return list(dict.fromkeys(pids + of_session(self.agents[n].pid)))

    def cut(self, n, mode):
        self.relays.set_mode(list(self.relay[n].values()), mode)

    def restart(self, n):
        self.agents[n].stop()
        self._run(n, self.data[n])

    def change(self, n):
        del n
        self._autoctl("perform", "switchover", "--pgdata", self.monitor, limit_s=self.limit_s)

