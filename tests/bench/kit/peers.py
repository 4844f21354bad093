"""What Holdfast is compared with. Each has a name, start(), stop(), and
measure(work, connections, seconds, warm) -> the sample that the load generators print."""
import json
import os
import shutil
import signal
import subprocess

from kit.system import (BenchError, Process, TOOLS, accepts, free_ports, run_quiet, tree_cpu_s, wait_for)

IDS = 20000
FILL = IDS + 256  # the last requests of a run may be cut off; more than there are connections


def run_tool(argv, seconds, env=None):
    """The JSON that one of our load generators prints, flattened to its sample."""
    out = run_quiet([TOOLS / argv[0], *argv[1:]], timeout=seconds + 120, env=env)
    answer = json.loads(out)
    return {**answer.pop("sample"), **answer}


def http_load(port, work, connections, seconds, warm, *more, key=None):
    env = {**os.environ, "BENCH_KEY": key} if key else None
    return run_tool(["load", "--target", f"127.0.0.1:{port}", "--work", work, "--connections",
                     connections, "--seconds", seconds, "--warm", warm, "--ids", IDS,
                     "--prefix", "n" + os.urandom(4).hex(), *more], seconds, env)


def counting_cpu(process, seconds, measure):
    """The sample, with the CPU time that the peer's processes used per request as `server_us`."""
    before = tree_cpu_s(process.pid)
    sample = measure()
    done = sample.get("done") or sample["rate"] * seconds
    sample["server_us"] = (tree_cpu_s(process.pid) - before) * 1e6 / max(done, 1)
    return sample


class BareHttp:
    """libmicrohttpd alone: the ceiling of anything that answers over HTTP with these threads."""
    name = "libmicrohttpd"
    works = ("create", "upsert", "read")

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self):
        self.process = Process([TOOLS / "mhd_bare", 0, 2], self.folder / "mhd.log",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self.process.child.stdout.readline())

    def measure(self, work, connections, seconds, warm):
        return counting_cpu(self.process, seconds + warm,
                            lambda: http_load(self.port, work, connections, seconds, warm))

    def stop(self):
        if self.process:
            self.process.stop()


class BareRocks:
    """RocksDB alone: N threads, each write durable; the ceiling of the disk and the store."""
    works = ("create", "upsert", "read")

    def __init__(self, folder, has_log=False):
        self.name = "rocksdb+log" if has_log else "rocksdb"
        self.works = ("create",) if has_log else BareRocks.works
        self.folder = folder / self.name
        self.has_log = has_log

    def start(self):
        pass

    def measure(self, work, connections, seconds, warm):
        return run_tool(["rocks_bare", self.folder, work, connections, seconds, warm, IDS] +
                        (["--log"] if self.has_log else []), seconds)

    def stop(self):
        pass


class Postgres:
    """One PostgreSQL 15: synchronous_commit and fsync on, 256 MB of buffers, the rest as it comes."""
    name = "postgresql"
    works = ("create", "upsert", "read")
    BIN = "/usr/lib/postgresql/15/bin"

    def __init__(self, folder):
        self.folder = folder / "postgres"
        self.process = None
        self.user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root

    def start(self):
        self.folder.mkdir()
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        data = self.folder / "data"
        run_quiet([f"{self.BIN}/initdb", "-D", data, "-A", "trust", "-U", "bench",
                   "--no-instructions"], cwd="/", user=self.user)
        self.port = free_ports(1)
        self.process = Process(
            [f"{self.BIN}/postgres", "-D", data, "-p", self.port, "-h", "127.0.0.1",
             "-k", self.folder, "-c", "shared_buffers=256MB", "-c", "synchronous_commit=on", "-c",
             "fsync=on"], self.folder.parent / "postgres.log", cwd="/", user=self.user)
        self.conninfo = f"host=127.0.0.1 port={self.port} user=bench dbname=postgres"
        wait_for("postgres", self.process, lambda: accepts(self.port) and self._answers())
        run_quiet([TOOLS / "pg_load", self.conninfo, "fill", 0, 0, 0, IDS], timeout=120)

    def _answers(self):
        return subprocess.call([f"{self.BIN}/pg_isready", "-q", "-h", "127.0.0.1", "-p",
                                str(self.port)]) == 0

    def measure(self, work, connections, seconds, warm):
        return counting_cpu(self.process, seconds + warm, lambda: run_tool(
            ["pg_load", self.conninfo, work, connections, seconds, warm, IDS], seconds))

    def version(self):
        return run_quiet([f"{self.BIN}/postgres", "--version"]).split()[2]

    def stop(self):
        if self.process:
            self.process.stop(signal.SIGINT)  # "fast": waits for no client


class Etcd:
    """One etcd 3.4, spoken to in gRPC as its own clients do."""
    name = "etcd"
    works = ("create", "upsert", "read")

    def __init__(self, folder):
        self.folder = folder / "etcd"
        self.process = None

    def start(self):
        program = shutil.which("etcd")
        if not program:
            raise BenchError("etcd is not installed")
        self.port = free_ports(2)
        client = f"http://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{self.port + 1}"
        self.process = Process(
            [program, "--data-dir", self.folder, "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
             "--quota-backend-bytes", 8 << 30], self.folder.parent / "etcd.log")
        wait_for("etcd", self.process, lambda: accepts(self.port))
        wait_for("etcd", self.process, self._answers)
        run_tool(["load", "--protocol", "grpc", "--target", f"127.0.0.1:{self.port}", "--work",
                  "create", "--connections", 64, "--count", FILL, "--prefix", "fill"], 60)

    def _answers(self):
        sample = run_tool(["load", "--protocol", "grpc", "--target", f"127.0.0.1:{self.port}",
                           "--work", "create", "--count", 1, "--prefix", "hello"], 20)
        return sample["errors"] == 0

    def measure(self, work, connections, seconds, warm):
        return counting_cpu(self.process, seconds + warm, lambda: http_load(
            self.port, work, connections, seconds, warm, "--protocol", "grpc"))

    def version(self):
        return run_quiet(["etcd", "--version"]).split()[2]

    def stop(self):
        if self.process:
            self.process.stop()
