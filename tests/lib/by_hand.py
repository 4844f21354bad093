"""The processes of an account started one by one, without a supervisor, from the configuration that `up` wrote.

    with Up(regions=["east"]) as up, Roles(up) as roles:
        roles.coordinator()
        roles.server("east")
        roles.front()
        ...
        roles.stop()
"""
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import types

from holdfast import PROGRAM, ROOT, comment, eq, tail

# Becomes the program of its arguments, with the sockets from descriptor 3 on.
HAND_OVER = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 64) for fd in sys.argv[2].split(",")]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
os.execv(sys.argv[3], sys.argv[3:])
"""


def host_of(endpoint):
    return endpoint.split("/")[2]


class Roles:
    """Stops the `up`; after the `with` nothing runs any more. Each process is known by the name of its
    configuration file: coordinator, front, or that of a region. Its log is DIR/NAME.log."""

    def __init__(self, up):
        eq(up.stop(), 0, "exit code of up")
        self.up = up
        self.run = up.data / "run"
        self.running = {}  # name -> Popen, in the order of their starts
        text = (self.run / f"{up.region_names[0]}.conf").read_text()
        self.coordinator_host = re.search(r"^coordinator = http://(\S+)", text, re.M).group(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for name, p in self.running.items():
            p.kill()
            p.wait()
            if kind:
                comment(f"---- {name}, started by hand ----\n{tail(self.log(name), 15)}")

    def log(self, name):
        return self.up.dir / f"{name}.log"

    def conf(self, name):
        return str(self.run / f"{name}.conf")

    def start(self, role, name, *args, sockets=None):
        """`sockets` {name: listening socket}: handed over as a service manager does."""
        command = [PROGRAM, role, "--config", self.conf(name), *args]
        fds = [s.fileno() for s in sockets.values()] if sockets else []
        if fds:
            command = [sys.executable, "-c", HAND_OVER, ":".join(sockets), ",".join(map(str, fds)), *command]
        with open(self.log(name), "ab") as log:
            self.running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)

    def coordinator(self, *args, sockets=None):
        listen = () if sockets else ("--listen", self.coordinator_host)
        self.start("coordinator", "coordinator", *listen, *args, sockets=sockets)

    def server(self, region, *args):
        self.start("server", region, "--listen", host_of(self.up.region(region)["endpoint"]),
                   "--listen-peer", "127.0.0.1:0", *args)

    def front(self, *args):
        self.start("front", "front", "--listen", host_of(self.up.endpoint), *args)

    def end(self, name):
        """SIGTERM. Its exit code, or "killed" when it has not ended in time."""
        p = self.running.pop(name)
        p.terminate()
        try:
            return p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            return "killed"

    def kill(self, name):
        p = self.running.pop(name)
        p.kill()
        p.wait()

    def stop(self):
        """All of them, the last first; each must end with 0."""
        names = list(reversed(self.running))
        eq({name: self.end(name) for name in names}, dict.fromkeys(names, 0), "exit codes")


class Units(Roles):
    """The processes as the units of dist/systemd start them, with its examples of configuration: nothing was
    made by an `up`. Its folder goes away at the end."""

    def __init__(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-"))
        self.up = types.SimpleNamespace(dir=folder)
        self.run = folder
        self.running = {}
        self.sockets = {}  # unit -> socket: they outlive the process, and its restarts
        self.secret = folder / "coordinator.secret"
        self.secret.write_text("s" * 44 + "\n")
        self.coordinator_url = f"http://127.0.0.1:{self.port('holdfast-coordinator')}"

    def __exit__(self, kind, value, trace):
        super().__exit__(kind, value, trace)
        for one in self.sockets.values():
            one.close()
        shutil.rmtree(self.run, ignore_errors=True)

    def port(self, unit):
        if unit not in self.sockets:
            self.sockets[unit] = socket.create_server(("127.0.0.1", 0))
        return self.sockets[unit].getsockname()[1]

    def configure(self, name, example, **changes):
        """Another line for each of `changes`; with None that line is left out."""
        text = (ROOT / "dist/systemd/examples" / f"{example}.conf").read_text()
        text = text.replace("/etc/holdfast/", f"{self.run}/").replace("/var/lib/holdfast/", f"{self.run}/")
        for key, value in {"coordinator": self.coordinator_url, **changes}.items():
            line = "" if value is None else f"{key.replace('_', '-')} = {value}\n"
            text = re.sub(rf"^{key.replace('_', '-')} = .*\n", line, text, flags=re.M)
        (self.run / f"{name}.conf").write_text(text)

    def unit(self, role, name, *units):
        """`units`: the sockets' ones. Each names its descriptor as the file in dist says."""
        sockets = {}
        for unit in units:
            file = re.sub("@.*", "@", unit) + ".socket"
            text = (ROOT / "dist/systemd" / file).read_text()
            self.port(unit)
            sockets[re.search("^FileDescriptorName=(.*)$", text, re.M).group(1)] = self.sockets[unit]
        self.start(role, name, sockets=sockets)

    def coordinator(self):
        self.configure("coordinator", "coordinator")
        self.unit("coordinator", "coordinator", "holdfast-coordinator")

    def server(self, region, **changes):
        self.configure(region, "east", region=region, dir=self.run / region, profile="lan", disk_reserve="16M",
                       region_endpoint=self.endpoint(region),
                       peer_address=f"127.0.0.1:{self.port(f'holdfast-peer@{region}')}", **changes)
        self.unit("server", region, f"holdfast-http@{region}", f"holdfast-peer@{region}")

    def front(self):
        self.configure("front", "front")
        self.unit("front", "front", "holdfast-front")

    def endpoint(self, region=None):
        return f"http://127.0.0.1:{self.port(f'holdfast-http@{region}' if region else 'holdfast-front')}/"

    def cli(self, *args):
        p = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout, p.stderr
