"""What the three systems have in common: nodes made of processes, faults, and PostgreSQL's own tools.

A cluster has name, timers, mode, nodes (of the client), settings() for the page, and:
    start()               until it is healthy and has its table or container
    is_healthy()          one writer, every other node a reader in step
    writer()              name of the node that writes; None: nobody, as far as is known
    node_pids(name)       every process of the node: database and agent
    cut(name, mode)       the node's links to peers and to the keeper of decisions
    restart(name)         a machine that was killed boots
    change(name)          the graceful change away from it
    ids(run), given_back(run)     what is found afterwards
    stop()"""
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from kit.system import BenchError, children, run_quiet

BIN = "/usr/lib/postgresql/15/bin"
PSYCOPG2 = "/usr/lib/python3/dist-packages/psycopg2"  # of the client
NAMES = ("n1", "n2", "n3")
USER = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


def tree(pid):
    """The process and all below it."""
    return [pid] + [p for c in children(pid) for p in tree(c)]


def stat(pid):
    """State, parent, group, session, ... of /proc; [] when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


def is_there(pid):
    return stat(pid)[:1] not in ([], ["Z"])


def of_session(leader):
    """What a process of ours started, as far as it made no session of its own, also when the process is dead."""
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and stat(p)[3:4] == [str(leader)]]


def signal_all(pids, signum):
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            pass


def kill_and_wait(find, limit_s=10):
    """SIGKILL to what find() names, again as long as it names any: a process may fork while it is counted."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        pids = [p for p in find() if is_there(p)]
        if not pids:
            return
        signal_all(pids, signal.SIGKILL)
        time.sleep(0.005)
    raise BenchError("processes that were killed are still there")


def postmaster(data):
    """Pid of the server that runs in this data directory; None: none does."""
    try:
        pid = int(pathlib.Path(data, "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except (OSError, ValueError, IndexError):
        return None
    return pid if cwd == os.path.realpath(data) else None  # else the file is of a server that was killed


def make_folder(path):
    path.mkdir(parents=True, exist_ok=True)
    if USER:
        shutil.chown(path, USER, USER)
    path.chmod(0o700)
    return path


def sql(socket_folder, port, text, user="bench", database="bench", limit_s=15):
    """Rows of one statement, fields separated by |. Through the server's own socket: no cut concerns it."""
    env = {**os.environ, "PGCONNECT_TIMEOUT": "3"}
    out = run_quiet([f"{BIN}/psql", "-X", "-A", "-t", "-q", "-h", socket_folder, "-p", port, "-U", user, "-d", database,
                     "-c", text], timeout=limit_s, env=env, cwd="/")
    return out.split("\n")[:-1]


interrupted = threading.Event()  # whoever waits gives up


def until(what, holds, limit_s, every=0.1):
    """What holds() returned first that is not false; an exception of the usual kinds counts as not yet."""
    end = time.monotonic() + limit_s
    last = None
    while True:
        try:
            found = holds()
            if found or isinstance(found, set):
                return found
            last = None
        except (BenchError, OSError, ValueError, KeyError, TypeError, IndexError, subprocess.TimeoutExpired) as e:
            last = e
        if time.monotonic() > end:
            raise BenchError(f"not within {limit_s} s: {what}" + (f" ({last})" if last else ""))
        if interrupted.wait(every):
            raise BenchError("interrupted")


class PostgresCluster:
    """What Patroni's and pg_auto_failover's nodes share. Needs self.sockets, self.ports {name: port},
    self.data {name: folder}."""
    kind = "postgresql"
    database = "bench"
    superuser = "bench"

    def sql(self, name, text, limit_s=15):
        return sql(self.sockets, self.ports[name], text, database=self.database, limit_s=limit_s)

    @property
    def nodes(self):
        return [{"name": n, "port": self.ports[n], "database": self.database} for n in NAMES]

    def streaming(self, writer):
        """How many standbys the writer has in step (and how many of them it waits for)."""
        rows = self.sql(writer, "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' AND "
                                "pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 1048576")
        return len(rows), sum(r in ("sync", "quorum") for r in rows)

    def in_step(self, writer):
        all_of_them, waited_for = self.streaming(writer)
        return all_of_them == len(NAMES) - 1 and (waited_for > 0) == (self.mode == "synchronous")

    def make_table(self):
        """And no line in the server's log for each write that a reader refuses to the client pinned to it."""
        def made():
            writer = self.writer()
            self.sql(writer, "CREATE TABLE IF NOT EXISTS items (id text PRIMARY KEY, pad text)")
            sql(self.sockets, self.ports[writer], "ALTER ROLE bench SET log_min_messages = log", self.superuser, "postgres")
            return True
        until(f"{self.name}: the table is made", made, 30)

    def is_reader(self, name):
        return self.sql(name, "SELECT pg_is_in_recovery()") == ["t"]

    def ids(self, run):
        return set(self.sql(self.writer(), f"SELECT id FROM items WHERE starts_with(id, '{run}-')", 60))

    def given_back(self, run):
        """Nothing: what pg_rewind or a new base backup takes off a former writer is kept nowhere."""
        del run
        return set()

    def server_pids(self, name):
        pid = postmaster(self.data[name])
        return tree(pid) if pid else []

    def version(self):
        return run_quiet([f"{BIN}/postgres", "--version"]).split()[2]
