"""Starting, stopping, what is refused, what stays on disk."""
import json
import os
import signal
import socket
import subprocess
import time

from holdfast import PROGRAM, Tap, Up, comment, eq, is_running, pk, until

tap = Tap()


def refused(up, word):
    """Starting it fails soon, with a message that has the word and a hint."""
    p = subprocess.run(up.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert p.returncode != 0, p
    assert word in p.stderr, p.stderr
    return p.stderr


@tap.test("up serves within seconds; SIGTERM and SIGINT end it with 0 and leave no process")
def _():
    with Up() as up:
        for signum in (signal.SIGTERM, signal.SIGINT):
            children = up.children()
            eq(sorted(children), ["coordinator", "front", "server/east", "server/north", "server/west"], "children")
            eq(len(up.regions), 3, "regions in the ready file")
            for region in up.regions:
                assert is_running(region["pid"]), region
            eq(up.call("GET", "/").status, 200, "account document")
            started = time.monotonic()
            eq(up.stop(signum), 0, f"exit code after {signum.name}")
            assert time.monotonic() - started < 6, "the grace time was used up"
            for name, pid in children.items():
                assert not is_running(pid), f"{name} still runs"
            took = up.start()
            comment(f"serving {took * 1000:.0f} ms after the start")
            assert took < 10, took
        eq((os.stat(up.dir / "ready.json").st_mode & 0o777), 0o600, "mode of the ready file: it has the key")
        eq((os.stat(up.data / "account.json").st_mode & 0o777), 0o600, "mode of account.json")


@tap.test("data, key and containers survive a restart, and a power cut")
def _():
    with Up(regions=["east", "west"]) as up:
        container = up.make_container()
        key = up.key
        for how in ("stop", "kill_all"):
            for i in range(20):
                a = up.call("POST", f"{container}/docs", body={"id": f"{how}{i}", "pk": "a", "how": how}, headers=pk("a"))
                eq(a.status, 201, "create")
            getattr(up, how)()
            up.start()
            eq(up.key, key, "the key is kept")
            rows = up.query(container, "SELECT VALUE c.id FROM c")
            eq([i for i in range(20) if f"{how}{i}" not in rows], [], f"missing after {how}")
        up.healthy()


@tap.test("a directory in use is refused and the account there is not disturbed")
def _():
    with Up(regions=["east"]) as up:
        other = Up(regions=["east"], start=False)
        other.data = up.data
        message = refused(other, "in use")
        assert "hint" in message, message
        eq(up.call("GET", "/dbs").status, 200, "the first one serves on")
        other.end()


@tap.test("a directory may be called whatever a file system lets it")
def _():
    with Up(regions=["east"], start=False) as up:
        up.data = up.dir / ' a #1 "b" \\ = , '
        for _ in range(2):
            up.start()
            eq(up.call("GET", "/dbs").status, 200, "a region serves")
            up.stop()
        eq(sorted(p.name for p in up.dir.iterdir() if p.is_dir()), [up.data.name], "directories")


@tap.test("a region may be called as a process or an address of ours is")
def _():
    names = ["global", "front", "coordinator", "account-x"]
    with Up(regions=names) as up:
        container = up.make_container()
        eq(sorted(p.stem for p in (up.data / "run").glob("*.conf")),
           ["coordinator", "front", "global", "server-account-x", "server-coordinator", "server-front"], "files")
        up.beating()
        os.kill(up.pid("global"), signal.SIGKILL)
        ids = iter(range(1000))  # one whose outcome is not known may be there

        def writes():
            return up.call("POST", f"{container}/docs", body={"id": str(next(ids)), "pk": "a"}, headers=pk("a")).status == 201
        until("writes at the global endpoint go on", writes, 30, 0.1)
        up.healthy()
        log = (up.data / "run/front.log").read_text()
        assert "standing_in proc=front region=global" in log and "cannot_stand_in" not in log, log


@tap.test("a port in use is refused")
def _():
    up = Up(regions=["east"], start=False)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", up.port))
        s.listen(1)
        refused(up, "hint")
    up.end()


@tap.test("a newer or unreadable FORMAT is refused before anything is touched")
def _():
    up = Up(regions=["east"])
    eq(up.stop(), 0, "exit code")
    (up.data / "FORMAT").write_text("holdfast-data 999\n")
    refused(up, "999")
    (up.data / "FORMAT").write_text("something else\n")
    refused(up, "FORMAT")
    (up.data / "FORMAT").write_text("holdfast-data 1\n")
    up.start()
    eq(up.call("GET", "/dbs").status, 200, "serves again")
    up.end()


@tap.test("an account.json that was edited badly, or cannot be read, is refused and left as it is")
def _():
    up = Up(regions=["east", "west"])
    eq(up.stop(), 0, "exit code")
    path = up.data / "account.json"
    text = path.read_text()

    def edited(**changes):
        return json.dumps({**json.loads(text), **changes})
    east, west = json.loads(text)["regions"]
    for bad in ("{", "[]", edited(regions=[]), edited(regions={}), edited(regions="east"), edited(regions=[east, east]),
                edited(regions=[{**east, "name": "../../x"}, west]), edited(regions=[east, {**west, "name": ""}]),
                edited(regions=[east, {**west, "slot": east["slot"]}]), edited(formerRegions=[{"name": "a\nb"}]),
                edited(account="../x"), edited(account="x" * 400), edited(padding="x" * 100000)):
        path.write_text(bad)
        refused(up, "account.json")
        assert path.read_text() == bad, f"it was written anew: {bad[:200]}"
    path.unlink()
    path.mkdir()  # stands for a file that cannot be read
    refused(up, "account.json")
    path.rmdir()
    path.write_text(text)
    up.start()
    eq(up.call("GET", "/dbs").status, 200, "serves again")
    up.end()


@tap.test("a token of the management interface that nobody could use is refused")
def _():
    up = Up(regions=["east"])
    eq(up.stop(), 0, "exit code")
    path = up.data / "management.token"
    for bad in ("", "\n", "short", "x" * 10000):
        path.write_text(bad)
        message = refused(up, "management.token")
        assert "remove the file" in message, message
    path.unlink()
    up.start()
    assert len(path.read_text()) > 40
    up.end()


@tap.test("an existing account is not given other regions")
def _():
    up = Up(regions=["east", "west"])
    eq(up.stop(), 0, "exit code")
    other = Up(regions=["east", "north"], start=False)
    other.data = up.data
    refused(other, "regions")
    other.end()
    up.end()


@tap.test("wrong options are refused with a hint, and nothing is made on disk")
def _():
    up = Up(regions=["east"], start=False)
    for extra in (["--consistency", "Stronger"], ["--account", "localhost"], ["--regions", "a,a"],
                  ["--regions", "A B"], ["--engine", "tape"], ["--port", "99999"], ["--nonsense"], ["extra"]):
        p = subprocess.run([PROGRAM, "up", "--dir", str(up.data), *extra], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
        assert p.returncode not in (0, -11, -6), (extra, p)
        assert p.stderr.strip(), extra
    assert not (up.data / "FORMAT").exists()
    up.end()


@tap.test("without their parent the processes end, and the next start finds the data")
def _():
    with Up(regions=["east", "west"]) as up:
        container = up.make_container()
        eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
        children = up.children()
        up.process.kill()
        up.process.wait()
        for name, pid in children.items():
            until(f"{name} has ended", lambda p=pid: not is_running(p), 8)
        up.start()
        eq(up.call("GET", f"{container}/docs/1", headers=pk("a")).status, 200, "read")


@tap.test("the memory engine serves, and says so by forgetting")
def _():
    with Up(regions=["east", "west"], args=["--engine", "mem"]) as up:
        container = up.make_container()
        eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
        eq(up.call("GET", f"{container}/docs/1", headers=pk("a")).status, 200, "read")


@tap.test("one region alone serves and survives its server")
def _():
    with Up(regions=["only"]) as up:
        container = up.make_container()
        eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
        os.kill(up.pid("only"), signal.SIGKILL)
        until("writes go on", lambda: up.call("POST", f"{container}/docs", body={"id": "2", "pk": "a"},
                                              headers=pk("a")).status == 201, 15)
        eq(len(up.query(container, "SELECT * FROM c")), 2, "items")


tap.run()
