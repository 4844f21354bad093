"""The processes run alone, without a supervisor, from the configuration files that `up` wrote."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

from holdfast import PROGRAM, Client, Tap, Up, eq, free_ports, is_running, pk, tail, until

# Becomes the program of its arguments, with the sockets from descriptor 3 on.
HAND_OVER = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 64) for fd in sys.argv[2].split(",")]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
os.execv(sys.argv[3], sys.argv[3:])
"""

tap = Tap()


class Roles:
    """Coordinator, server and front of a one-region account, each started by hand."""

    def __init__(self, up):
        self.up = up
        self.run = up.data / "run"
        self.running = {}

    def start(self, role, *args, config=None, sockets=None):
        """`sockets` {name: listening socket}: handed over as a service manager does."""
        log = open(self.up.dir / f"{role}.log", "ab")
        command = [PROGRAM, role, "--config", str(config or self.run / f"{role}.conf"), *args]
        fds = [s.fileno() for s in sockets.values()] if sockets else []
        if fds:
            command = [sys.executable, "-c", HAND_OVER, ":".join(sockets), ",".join(map(str, fds)), *command]
        self.running[role] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds)
        log.close()

    def stop(self):
        """SIGTERM to each; all must end with 0."""
        codes = {}
        for role, p in reversed(self.running.items()):
            p.terminate()
            try:
                codes[role] = p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                codes[role] = "killed"
        self.running = {}
        return codes


@tap.test("coordinator, server and front started by hand make up the account")
def _():
    up = Up(regions=["east"])
    container = up.make_container()
    eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
    eq(up.stop(), 0, "exit code of up")
    roles = Roles(up)
    text = (roles.run / "east.conf").read_text()
    coordinator = re.search(r"^coordinator = http://(\S+)", text, re.M).group(1)
    try:
        roles.start("coordinator", "--listen", coordinator)
        roles.start("server", "--listen", up.region("east")["endpoint"].split("/")[2], "--listen-peer", "127.0.0.1:0",
                    config=roles.run / "east.conf")
        roles.start("front", "--listen", up.endpoint.split("/")[2])
        client = Client(up.endpoint, up.key, timeout=3)
        until("the account serves", lambda: client.get("/dbs").status == 200, 15)
        until("the old item is there", lambda: client.get(f"{container}/docs/1", headers=pk("a")).status == 200, 15)
        until("writes are taken", lambda: client.call("POST", f"{container}/docs", body={"id": "2", "pk": "a"},
                                                      headers=pk("a")).status in (201, 409), 15)
        eq(client.get("/health/ready").status, 200, "health of the front")
        server = Client(up.region("east")["endpoint"], up.key)
        eq(server.get("/health/write").status, 200, "health of the server")
        codes = roles.stop()
        eq(codes, {"coordinator": 0, "server": 0, "front": 0}, "exit codes")
    except BaseException:
        for role in ("coordinator", "server", "front"):
            print(f"# ---- {role}\n# " + tail(up.dir / f"{role}.log", 15).replace("\n", "\n# "))
        raise
    finally:
        for p in roles.running.values():
            p.kill()
        up.end()


@tap.test("server and front reach the coordinator over TLS; with another secret they do not believe it")
def _():
    up = Up(regions=["east"])
    container = up.make_container()
    eq(up.stop(), 0, "exit code of up")
    roles = Roles(up)
    coordinator = re.search(r"^coordinator = http://(\S+)", (roles.run / "east.conf").read_text(), re.M).group(1)
    tls = f"127.0.0.1:{free_ports(1)}"
    listen = up.region("east")["endpoint"].split("/")[2]
    over_tls = ("--coordinator", f"https://{tls}")
    other = up.dir / "another.secret"
    other.write_text("0" * 64 + "\n")
    try:
        roles.start("coordinator", "--listen", coordinator, "--listen-tls", tls)
        roles.start("server", "--listen", listen, "--listen-peer", "127.0.0.1:0", *over_tls, "--secret-file", str(other),
                    config=roles.run / "east.conf")
        until("it has tried", lambda: "contact_lost" in (up.dir / "server.log").read_text(), 10)
        eq(roles.running["server"].poll(), None, "it waits")
        text = tail(up.dir / "server.log", 20)
        assert "pinned" in text, text  # the key is another one: the secret was not sent
        roles.running.pop("server").kill()
        roles.start("server", "--listen", listen, "--listen-peer", "127.0.0.1:0", *over_tls, config=roles.run / "east.conf")
        roles.start("front", "--listen", up.endpoint.split("/")[2], *over_tls)
        client = Client(up.endpoint, up.key, timeout=3)
        until("writes are taken", lambda: client.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"},
                                                      headers=pk("a")).status in (201, 409), 15)
        codes = roles.stop()
        eq(codes, {"coordinator": 0, "server": 0, "front": 0}, "exit codes")
    finally:
        roles.stop()
        up.end()


@tap.test("a coordinator takes both of its sockets from a service manager, and goes on with them after a restart")
def _():
    up = Up(regions=["east"])
    eq(up.stop(), 0, "exit code of up")
    roles = Roles(up)
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as tls:
        sockets = {"coordinator": plain, "coordinator-tls": tls}
        try:
            roles.start("coordinator", sockets=sockets)
            roles.start("server", "--listen", up.region("east")["endpoint"].split("/")[2], "--listen-peer", "127.0.0.1:0",
                        "--coordinator", f"https://127.0.0.1:{tls.getsockname()[1]}", config=roles.run / "east.conf")
            server = Client(up.region("east")["endpoint"], up.key)
            until("it writes", lambda: server.get("/health/write").status == 200, 15)
            roles.start("front", "--listen", up.endpoint.split("/")[2],
                        "--coordinator", f"http://127.0.0.1:{plain.getsockname()[1]}")
            until("the front knows the account", lambda: Client(up.endpoint, up.key).get("/health/ready").status == 200, 15)
            in_touch = lambda: server.get("/_holdfast/status").doc["coordinatorInTouch"]  # noqa: E731
            eq(in_touch(), True, "in touch")
            roles.running["coordinator"].terminate()
            eq(roles.running.pop("coordinator").wait(10), 0, "exit code of the coordinator")
            until("the server misses it", lambda: not in_touch(), 15)
            roles.start("coordinator", sockets=sockets)
            until("the server is in touch again", in_touch, 15)
            eq(roles.stop(), {"coordinator": 0, "server": 0, "front": 0}, "exit codes")
        finally:
            roles.stop()
            up.end()


@tap.test("a server whose coordinator is away waits instead of ending, and serves once it is there")
def _():
    up = Up(regions=["east"])
    eq(up.stop(), 0, "exit code of up")
    roles = Roles(up)
    coordinator = re.search(r"^coordinator = http://(\S+)", (roles.run / "east.conf").read_text(), re.M).group(1)
    try:
        roles.start("server", "--listen", up.region("east")["endpoint"].split("/")[2], "--listen-peer", "127.0.0.1:0",
                    config=roles.run / "east.conf")
        server = Client(up.region("east")["endpoint"], up.key)
        until("it has tried", lambda: "contact_lost" in (up.dir / "server.log").read_text(), 10)
        # Until it knows the account it accepts no connection: a front may stand in at its address.
        eq(roles.running["server"].poll(), None, "the server runs")
        roles.start("coordinator", "--listen", coordinator)
        until("it writes", lambda: server.get("/health/write").status == 200, 15)
    finally:
        roles.stop()
        up.end()


@tap.test("a service manager confirms a stop, and nobody waits for the lease")
def _():
    up = Up(regions=["east", "west"], args=["--profile", "wan"])
    eq(up.stop(), 0, "exit code of up")
    roles = Roles(up)
    coordinator = re.search(r"^coordinator = http://(\S+)", (roles.run / "east.conf").read_text(), re.M).group(1)

    def confirm():
        return subprocess.run([PROGRAM, "server", "--config", str(roles.run / "east.conf"), "--confirm-stop"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)

    try:
        roles.start("coordinator", "--listen", coordinator)
        for region in ("east", "west"):
            roles.start("server", "--listen", up.region(region)["endpoint"].split("/")[2],
                        "--listen-peer", "127.0.0.1:0", config=roles.run / f"{region}.conf")
            roles.running[region] = roles.running.pop("server")
        east, west = (Client(up.region(r)["endpoint"], up.key, timeout=3) for r in ("east", "west"))
        until("east writes", lambda: east.get("/health/write").status == 200, 15)
        until("west reads", lambda: west.get("/_holdfast/status").doc["regions"][1]["state"] == "ONLINE_READ", 15)
        early = confirm()
        assert early.returncode != 0 and "cannot be confirmed" in early.stderr, early
        roles.running["east"].kill()
        roles.running.pop("east").wait()
        late = confirm()
        eq(late.returncode, 0, late.stderr)
        until("west writes", lambda: west.get("/health/write").status == 200, 15)
        told = [e for e in west.get("/_holdfast/events").doc["events"] if e["event"] == "failover"][-1]
        eq(told["rule"], 310, told["text"])  # not 311, which waits
    finally:
        roles.stop()
        up.end()


@tap.test("two servers never share a store")
def _():
    with Up(regions=["east"]) as up:
        p = subprocess.run([PROGRAM, "server", "--config", str(up.data / "run" / "east.conf"), "--listen", "127.0.0.1:0",
                            "--listen-peer", "127.0.0.1:0"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15)
        assert p.returncode != 0, p
        assert p.stdout + p.stderr, "it says why"
        assert is_running(up.pid("east"))


@tap.test("a role with nonsense in its configuration says so and ends")
def _():
    up = Up(regions=["east"], start=False)
    bad = pathlib.Path(up.dir) / "bad.conf"
    for text in ("nonsense = 1\n", "http-threads = many\n", "region\n", "engine = tape\nregion = east\n"):
        bad.write_text(text)
        p = subprocess.run([PROGRAM, "server", "--config", str(bad), "--listen", "127.0.0.1:0", "--listen-peer", "127.0.0.1:0"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15)
        assert p.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT), (text, p)
        assert p.stderr.strip(), text
    p = subprocess.run([PROGRAM, "server", "--config", os.devnull + ".absent"], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=15)
    assert p.returncode != 0 and p.stderr.strip()
    up.end()


tap.run()
