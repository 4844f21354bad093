"""Secrets changed under load: every process goes along, no write waits for it, the former one is dead."""
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import urllib.error
import urllib.request

from holdfast import PROGRAM, Client, Tap, Up, Writers, comment, eq, free_ports, pk, until

tap = Tap()
STEPS = ("{old}\n{new}\n", "{new}\n{old}\n", "{new}\n")  # each everywhere before the next


def replace(path, text):
    path.with_suffix(".next").write_text(text)
    path.with_suffix(".next").rename(path)


def metric(endpoint, name):
    with urllib.request.urlopen(f"{endpoint.rstrip('/')}/metrics", timeout=5) as answer:
        found = re.search(rf"^{name} (\d+)$", answer.read().decode(), re.M)
    assert found, f"{name} at {endpoint}"
    return int(found.group(1))


def changes(endpoint):
    return metric(endpoint, "holdfast_coordinator_secret_changes_total")


def status_of(coordinator, secret):
    request = urllib.request.Request(f"{coordinator}/v1/read?prefix=x", headers={"Authorization": f"Bearer {secret}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def no_secret_in(logs, values):
    for log in logs:
        text = log.read_text(errors="replace")
        for value in values:
            assert value not in text, f"a secret is in {log}"


@tap.test("the coordinator's secret: three regions and a front change it under load, and again by themselves")
def _():
    with Up() as up:
        container = up.make_container()
        path = up.data / "run/coordinator.secret"
        old, new = path.read_text().strip(), secrets.token_urlsafe(32)
        coordinator = json.loads((up.data / "account.json").read_text())["coordinator"]
        everybody = [coordinator, up.endpoint, *(r["endpoint"] for r in up.regions)]
        pids, writer = up.children(), up.writer()
        load = Writers(up, container, threads=3)
        load.more(20)
        for step, text in enumerate(STEPS, 1):
            replace(path, text.format(old=old, new=new))
            if step < 3:  # asked; the last time they find it by themselves
                for pid in pids.values():
                    os.kill(pid, signal.SIGHUP)
            for endpoint in everybody:
                until(f"{endpoint} has step {step}", lambda e=endpoint, n=step: changes(e) == n, 20)
                eq(metric(endpoint, "holdfast_coordinator_secrets"), 1 if step == 3 else 2, "secrets")
            eq(status_of(coordinator, old), 401 if step == 3 else 200, f"the old one after step {step}")
            eq(status_of(coordinator, new), 200, f"the new one after step {step}")
            load.more(30)
        load.end()
        eq(load.check(allow_feed=False), 0, "in the feed")
        eq((load.unknown, load.refused), (set(), set()), "writes without a good answer")
        assert load.gap() < 1.0, load.gap()
        eq((up.children(), up.writer()), (pids, writer), "processes and writer")
        load.check_regions()
        no_secret_in((up.data / "run").glob("*.log"), (old, new))
        up.stop()
        up.start()
        up.healthy()
        eq(path.read_text().strip(), new, "the secret after a restart")
        eq(json.loads((up.data / "account.json").read_text())["coordinatorSecret"], new, "in account.json")
        eq(up.call("GET", container).status, 200, "the account serves")


@tap.test("a file that cannot be used: the processes go on with what they have and say why")
def _():
    with Up(regions=["east"]) as up:
        container = up.make_container()
        path = up.data / "run/coordinator.secret"
        kept = path.read_text()
        replace(path, "one\ntwo\nthree\n")
        children = up.children()
        for pid in children.values():
            os.kill(pid, signal.SIGHUP)
        for role in children:
            log = up.data / "run" / f"{role.removeprefix('server/')}.log"
            until(f"{role} refuses it", lambda p=log: "secret_refused" in p.read_text())
            assert "more than 2 secrets" in log.read_text(), role
        eq(up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"}, headers=pk("a")).status, 201, "a write")
        eq(up.children(), children, "processes")
        replace(path, kept)


def servers_below(directory):
    """Of hosted accounts, too; not those that `up` is."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            args = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if len(args) > 3 and args[1] in (b"server", b"front", b"coordinator") and str(directory).encode() in args[3]:
            yield int(entry.name)


@tap.test("an account that is hosted beside it follows the same file")
def _():
    with Up(regions=["east"]) as up:
        eq(up.cli("account", "create", "beside", "--regions", "east")[0], 0, "account create")
        directory = next((up.data / "accounts").iterdir())
        endpoint = json.loads((directory / "account.json").read_text())["endpoint"]
        path = up.data / "run/coordinator.secret"
        old, new = path.read_text().strip(), secrets.token_urlsafe(32)
        coordinator = json.loads((up.data / "account.json").read_text())["coordinator"]
        until("it serves", lambda: changes(endpoint) == 0, 20)
        for step, text in enumerate(STEPS, 1):
            replace(path, text.format(old=old, new=new))
            for pid in servers_below(up.data):
                os.kill(pid, signal.SIGHUP)
            for place in (coordinator, endpoint):
                until(f"{place} has step {step}", lambda e=place, n=step: changes(e) == n, 20)
        until("in touch with the new one", lambda: metric(endpoint, "holdfast_front_coordinator_synced") == 1)
        assert not (directory / "run/coordinator.secret").exists(), "a copy of the secret"


class Alone:
    """Coordinator, server and front by themselves, each with a secret file of its own, over TLS."""

    def __init__(self, up):
        self.up, self.secrets, self.processes = up, {}, []
        run = up.data / "run"
        plain, tls = (f"127.0.0.1:{free_ports(1)}" for _ in range(2))
        self.coordinator = f"http://{plain}"
        first = (run / "coordinator.secret").read_text()
        listen = up.region("east")["endpoint"].split("/")[2]
        over_tls = ("--coordinator", f"https://{tls}")
        for role, conf, args in (
                ("coordinator", "coordinator", ("--listen", plain, "--listen-tls", tls)),
                ("server", "east", ("--listen", listen, "--listen-peer", "127.0.0.1:0", *over_tls)),
                ("front", "front", ("--listen", up.endpoint.split("/")[2], *over_tls))):
            self.secrets[role] = up.dir / f"{role}.secret"
            self.secrets[role].write_text(first)
            log = open(up.dir / f"{role}.log", "ab")
            self.processes.append(subprocess.Popen(
                [PROGRAM, role, "--config", str(run / f"{conf}.conf"), "--secret-file", str(self.secrets[role]), *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            log.close()
        self.endpoints = {"coordinator": self.coordinator, "server": up.region("east")["endpoint"],
                          "front": up.endpoint}

    def end(self):
        for p in reversed(self.processes):
            p.terminate()
        return [p.wait(20) for p in self.processes]


@tap.test("over TLS the pinned key changes with it, in whatever order the files arrive")
def _():
    up = Up(regions=["east"])
    container = up.make_container()
    eq(up.stop(), 0, "exit code of up")
    alone = Alone(up)
    try:
        client = Client(up.endpoint, up.key, timeout=3)
        until("writes are taken", lambda: client.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"},
                                                      headers=pk("a")).status in (201, 409), 15)
        load = Writers(up, container, threads=2)
        load.more(20)
        old, new = alone.secrets["front"].read_text().strip(), secrets.token_urlsafe(32)
        orders = (("server", "coordinator", "front"), ("coordinator", "front", "server"),
                  ("front", "server", "coordinator"))
        for step, (text, order) in enumerate(zip(STEPS, orders), 1):
            for role in order:
                replace(alone.secrets[role], text.format(old=old, new=new))
                alone.processes[list(alone.secrets).index(role)].send_signal(signal.SIGHUP)
                until(f"{role} has step {step}", lambda r=role, n=step: changes(alone.endpoints[r]) == n, 20)
                load.more(30)
        eq(metric(alone.coordinator, "holdfast_coordinator_second_secret_requests_total"), 0, "uses of the old one")
        load.end()
        eq(load.check(allow_feed=False), 0, "in the feed")
        eq((load.unknown, load.refused), (set(), set()), "writes without a good answer")
        refused = metric(alone.coordinator, "holdfast_coordinator_unauthorized_total")
        comment(f"{refused} requests were refused on the way")
        eq(status_of(alone.coordinator, old), 401, "the old one")
        no_secret_in([up.dir / f"{r}.log" for r in alone.secrets], (old, new))
        eq(alone.end(), [0, 0, 0], "exit codes")
    finally:
        for p in alone.processes:
            p.kill()
        up.end()


tap.run()
