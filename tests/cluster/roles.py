"""The processes run alone, without a supervisor, from the configuration files that `up` wrote."""
import json
import os
import pathlib
import signal
import socket
import subprocess

from by_hand import Roles, Units
from holdfast import PROGRAM, Client, Tap, Up, eq, free_ports, is_running, pk, tail, until

tap = Tap()


def takes_writes(up, container):
    return up.call("POST", f"{container}/docs", body={"id": "2", "pk": "a"}, headers=pk("a")).status in (201, 409)


@tap.test("coordinator, server and front started by hand make up the account")
def _():
    with Up(regions=["east"]) as up:
        container = up.make_container()
        eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "create")
        with Roles(up) as roles:
            roles.coordinator()
            roles.server("east")
            roles.front()
            client = Client(up.endpoint, up.key, timeout=3)
            until("the account serves", lambda: client.get("/dbs").status == 200, 15)
            until("the old item is there", lambda: client.get(f"{container}/docs/1", headers=pk("a")).status == 200, 15)
            until("writes are taken", lambda: takes_writes(up, container), 15)
            eq(client.get("/health/ready").status, 200, "health of the front")
            eq(up.call("GET", "/health/write", region="east").status, 200, "health of the server")
            roles.stop()


@tap.test("without `up`: an account is made at the coordinator, and grows by a region that says where it is")
def _():
    with Units() as units:
        units.coordinator()
        units.server("east")
        units.front()
        until("server and front say what they wait for",
              lambda: all("no_account" in units.log(p).read_text() for p in ("east", "front")), 15)
        init = ("account", "init", "shop", "--coordinator", units.coordinator_url, "--secret-file", str(units.secret))
        code, _, err = units.cli(*init, "--regions", "east,west")
        assert code == 2 and "with one region" in err, (code, err)
        code, out, err = units.cli(*init, "--regions", "east", "--json")
        eq(code, 0, err)
        key = json.loads(out)["key"]
        code, _, err = units.cli(*init, "--regions", "east")
        assert code == 1 and "knows an account shop already" in err, (code, err)
        units.server("west")
        until("west says what it waits for", lambda: "not_in_account" in units.log("west").read_text(), 15)
        at = ("--endpoint", units.endpoint(), "--key", key)
        until("the front serves", lambda: units.cli("account", "show", *at)[0] == 0, 15)
        code, out, err = units.cli("account", "regions", "add", "west", *at, "--json")
        eq(code, 0, out + err)
        eq({r["name"]: (r["state"], r["endpoint"]) for r in json.loads(out)["regions"]},
           {"east": ("ONLINE_WRITE", units.endpoint("east")), "west": ("ONLINE_READ", units.endpoint("west"))}, "regions")
        eq(units.log("west").read_text().count("not_in_account"), 1, "it is said once")
        code, out, err = units.cli("account", "failover", "west", *at)
        eq(code, 0, out + err)
        assert key not in "".join(units.log(p).read_text() for p in units.running), "the key is in a log"
        units.stop()


@tap.test("a server does not put into the record what nobody could reach")
def _():
    with Units() as units:
        for changes, want in (({"region_endpoint": "127.0.0.1:8082"}, "region-endpoint"),
                              ({"peer_address": "http://127.0.0.1:8091/"}, "peer-address")):
            units.configure("east", "east", dir=units.run / "east", **changes)
            code, _, err = units.cli("server", "--config", units.conf("east"))
            assert code == 78 and want in err, (code, err)


@tap.test("server and front reach the coordinator over TLS; with another secret they do not believe it")
def _():
    with Up(regions=["east"]) as up:
        container = up.make_container()
        with Roles(up) as roles:
            tls = f"127.0.0.1:{free_ports(1)}"
            over_tls = ("--coordinator", f"https://{tls}")
            other = up.dir / "another.secret"
            other.write_text("0" * 64 + "\n")
            roles.coordinator("--listen-tls", tls)
            roles.server("east", *over_tls, "--secret-file", str(other))
            until("it has tried", lambda: "contact_lost" in roles.log("east").read_text(), 10)
            eq(roles.running["east"].poll(), None, "it waits")
            text = tail(roles.log("east"), 20)
            assert "pinned" in text, text  # the key is another one: the secret was not sent
            roles.kill("east")
            roles.server("east", *over_tls)
            roles.front(*over_tls)
            until("writes are taken", lambda: takes_writes(up, container), 15)
            roles.stop()


@tap.test("a coordinator takes both of its sockets from a service manager, and goes on with them after a restart")
def _():
    with (socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as tls,
          Up(regions=["east"]) as up, Roles(up) as roles):
        sockets = {"coordinator": plain, "coordinator-tls": tls}
        roles.coordinator(sockets=sockets)
        roles.server("east", "--coordinator", f"https://127.0.0.1:{tls.getsockname()[1]}")
        server = up.client("east")
        until("it writes", lambda: server.get("/health/write").status == 200, 15)
        roles.front("--coordinator", f"http://127.0.0.1:{plain.getsockname()[1]}")
        until("the front knows the account", lambda: up.call("GET", "/health/ready").status == 200, 15)
        in_touch = lambda: server.get("/_holdfast/status").doc["coordinatorInTouch"]  # noqa: E731
        eq(in_touch(), True, "in touch")
        eq(roles.end("coordinator"), 0, "exit code of the coordinator")
        until("the server misses it", lambda: not in_touch(), 15)
        roles.coordinator(sockets=sockets)
        until("the server is in touch again", in_touch, 15)
        roles.stop()


@tap.test("a server whose coordinator is away waits instead of ending, and serves once it is there")
def _():
    with Up(regions=["east"]) as up, Roles(up) as roles:
        roles.server("east")
        until("it has tried", lambda: "contact_lost" in roles.log("east").read_text(), 10)
        # Until it knows the account it accepts no connection: a front may stand in at its address.
        eq(roles.running["east"].poll(), None, "the server runs")
        roles.coordinator()
        until("it writes", lambda: up.call("GET", "/health/write", region="east").status == 200, 15)


@tap.test("a service manager confirms a stop, and nobody waits for the lease")
def _():
    with Up(regions=["east", "west"], args=["--profile", "wan"]) as up, Roles(up) as roles:
        def confirm():
            return subprocess.run([PROGRAM, "server", "--config", roles.conf("east"), "--confirm-stop"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)

        roles.coordinator()
        roles.server("east")
        roles.server("west")
        east, west = (up.client(r, timeout=3) for r in ("east", "west"))
        until("east writes", lambda: east.get("/health/write").status == 200, 15)
        until("west reads", lambda: west.get("/_holdfast/status").doc["regions"][1]["state"] == "ONLINE_READ", 15)
        early = confirm()
        assert early.returncode != 0 and "cannot be confirmed" in early.stderr, early
        roles.kill("east")
        late = confirm()
        eq(late.returncode, 0, late.stderr)
        until("west writes", lambda: west.get("/health/write").status == 200, 15)
        told = [e for e in west.get("/_holdfast/events").doc["events"] if e["event"] == "failover"][-1]
        eq(told["rule"], 310, told["text"])  # not 311, which waits


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
