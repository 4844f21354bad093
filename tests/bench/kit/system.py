"""The machine, its processes and ports, and where data goes."""
import mmap
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("HF_BUILD", ROOT / "build"))
TOOLS = BUILD / "tests" / "bench"
HOLDFAST = BUILD / "src" / "cli" / "holdfast"


class BenchError(Exception):
    """Something that cannot be measured here, in words for people."""


def note(text):
    print(text, file=sys.stderr, flush=True)


def prepare(need_holdfast, parts=()):
    """Installs what is missing and builds the programs used."""
    install = str(ROOT / "tests" / "bench" / "install")
    if "failover" in parts and subprocess.call([install, "failover"]) != 0:
        note("packages of peers are missing: their failovers are left out")
    elif "failover" not in parts and subprocess.call([install]) != 0:
        raise BenchError("packages are missing")
    if not (BUILD / "build.ninja").exists():
        run_quiet(["meson", "setup", str(BUILD), "--buildtype=debugoptimized"])
    tools = [] if parts == ["failover"] else ["load", "lag", "mhd_bare", "rocks_bare", "pg_load"]
    known = run_quiet(["ninja", "-C", str(BUILD), "-t", "targets", "all"])
    if "tests/bench/pg_load:" not in known and parts != ["failover"]:  # libpq came after the first configuration
        run_quiet(["meson", "setup", "--reconfigure", str(BUILD)])
    targets = [f"tests/bench/{t}" for t in tools]
    if need_holdfast:
        targets.append("src/cli/holdfast")
    run_quiet(["ninja", "-C", str(BUILD), *targets])


def as_user(user):
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def run_quiet(argv, timeout=600, env=None, cwd=ROOT, user=None):
    """Standard output; an error shows what the program said."""
    try:
        done = subprocess.run([str(a) for a in argv], cwd=cwd, env=env, timeout=timeout, check=False,
                              **as_user(user), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as e:
        raise BenchError(f"{argv[0]} is not there: run `./test bench` once, or set HF_BUILD") from e
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BenchError(f"{argv[0]} failed ({done.returncode}):\n{tail}")
    return done.stdout


# ---- where data goes ----

def filesystem(path):
    """Type of the filesystem that holds path, and its mount options."""
    best = ("", "unknown", "")
    real = os.path.realpath(path)
    for line in open("/proc/self/mounts", encoding="utf-8"):
        _, point, kind, options = line.split()[:4]
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind, options)
    return best[1], best[2]


def data_folder():
    """A fresh folder on the repository's filesystem that other users can reach."""
    device = os.stat(ROOT).st_dev
    for base in (pathlib.Path("/var/tmp"), pathlib.Path("/tmp"), ROOT / ".cache"):
        base.mkdir(exist_ok=True)
        if os.stat(base).st_dev == device and filesystem(base)[0] not in ("tmpfs", "ramfs"):
            path = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir=base))
            path.chmod(0o755)
            return path
    raise BenchError("no folder for data on a real disk: the repository itself is on tmpfs")


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


# ---- processes ----

class Process:
    """A child with its output in a file; stopped by its pid."""

    def __init__(self, argv, log, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=None,
                 user=None):
        self.log = log
        self.started = time.monotonic()
        with open(log, "ab") as out:
            self.child = subprocess.Popen([str(a) for a in argv], stdin=stdin,
                                          stdout=out if stdout is None else stdout, stderr=out,
                                          env=env, cwd=cwd, start_new_session=True,
                                          **as_user(user))
        self.pid = self.child.pid

    def is_alive(self):
        return self.child.poll() is None

    def stop(self, signum=signal.SIGTERM, grace_s=15):
        if self.is_alive():
            self.child.send_signal(signum)
            try:
                self.child.wait(grace_s)
            except subprocess.TimeoutExpired:
                note(f"process {self.pid} did not end in {grace_s} s, killing it (log: {self.log})")
                self.child.kill()
                self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()

    def tail(self, lines=10):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])


def wait_for(what, process, ready, limit_s=30):
    """Polls until ready() is true; gives up when the process ends."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if ready():
            return
        if not process.is_alive():
            raise BenchError(f"{what} ended early:\n{process.tail()}")
        time.sleep(0.02)
    raise BenchError(f"{what} was not ready in {limit_s} s:\n{process.tail()}")


def accepts(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


_next_port = 21000 + os.getpid() % 8000
_ports_lock = threading.Lock()


def free_ports(count):
    """The first of `count` ports in a row that nobody listens on."""
    global _next_port
    while _next_port < 60000:
        with _ports_lock:
            first = _next_port
            _next_port += count
        if all(_is_free(p) for p in range(first, first + count)):
            return first
    raise BenchError("no free ports")


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def children(pid):
    """Pids of the direct children."""
    try:
        return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def thread_times(pid):
    """{thread name: CPU seconds} of a process; threads of one name are added up, the first thread is
    called "core"."""
    ret = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            text = open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii").read()
            name = open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8").read().strip()
        except OSError:
            continue  # it has just ended
        name = "core" if int(task) == pid else name
        ret[name] = ret.get(name, 0) + int(text.split()[0]) / 1e9
    return ret


def tree_cpu_s(pid):
    """CPU seconds of a process, of those below it, and of those below it that have ended."""
    try:
        fields = open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace").read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    own = sum(int(x) for x in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(tree_cpu_s(p) for p in children(pid))


def command(pid):
    return open(f"/proc/{pid}/cmdline", "rb").read().decode(errors="replace").split("\0")[:-1]


# ---- description ----

def machine(data):
    """What a figure depends on; nothing that names this machine."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", open("/proc/cpuinfo").read(), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", open("/proc/meminfo").read(), re.M)
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', open("/etc/os-release").read(), re.M))
    debian = pathlib.Path("/etc/debian_version")
    kind, options = filesystem(data)
    virtual = re.search(r"^flags\s*:.*\bhypervisor\b", open("/proc/cpuinfo").read(), re.M)
    return {
        "cores": os.cpu_count(),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "is_virtual": bool(virtual),
        "memory_gib": round(int(memory.group(1)) / (1 << 20), 1),
        "filesystem": f"{kind} ({options})",
        "kernel": platform.release(),
        "system": release.get("NAME", "") + " " +
                  (debian.read_text().strip() if debian.exists() else release.get("VERSION_ID", "")),
    }


def touch_memory(share=0.6):
    """Writes to a large part of the free memory once. A virtual machine's host gives it memory page by
    page at the first touch, which costs more than anything measured here does with the page: without
    this, whoever comes first pays. Returns the GiB touched."""
    available = int(re.search(r"^MemAvailable:\s*(\d+)", open("/proc/meminfo").read(), re.M).group(1))
    size = int(available * 1024 * share) >> 20 << 20
    piece = b"\1" * (1 << 20)
    with mmap.mmap(-1, size) as memory:
        for _ in range(0, size, len(piece)):
            memory.write(piece)
    return round(size / (1 << 30), 1)


def commit():
    try:
        name = run_quiet(["git", "rev-parse", "--short=12", "HEAD"]).strip()
        changed = run_quiet(["git", "status", "--porcelain", "--untracked-files=no"]).strip()
        return name + ("+changes" if changed else "")
    except (BenchError, OSError):
        return "unknown"


class Load:
    """How busy the machine was with other things: CPU time that is not ours or our children's."""

    def __init__(self):
        self.began = time.monotonic()
        self.busy = self._busy()

    @staticmethod
    def _busy():
        fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
        return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")

    def cores(self):
        """Cores in use on average since this was made."""
        return (self._busy() - self.busy) / max(time.monotonic() - self.began, 0.001)
