"""Secrets changed under load: every process goes along, no write waits for it, the former one is dead."""
import json
import os
import pathlib
import secrets
import signal
import urllib.error
import urllib.request

from by_hand import Roles
from holdfast import Tap, Up, Writers, comment, eq, free_ports, metric, pk, until

tap = Tap()
STEPS = ("{old}\n{new}\n", "{new}\n{old}\n", "{new}\n")  # each everywhere before the next


def replace(path, text):
    path.with_suffix(".next").write_text(text)
    path.with_suffix(".next").rename(path)


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
        load.check(allow_feed=False)
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


@tap.test("over TLS the pinned key changes with it, in whatever order the files arrive")
def _():
    with Up(regions=["east"]) as up:
        container = up.make_container()
        with Roles(up) as roles:
            rotate_by_hand(up, roles, container)


def rotate_by_hand(up, roles, container):
    """Coordinator, server and front with a secret file of their own each."""
    old, new = (roles.run / "coordinator.secret").read_text().strip(), secrets.token_urlsafe(32)
    files = {name: up.dir / f"{name}.secret" for name in ("coordinator", "east", "front")}
    for path in files.values():
        path.write_text(old)
    tls = f"127.0.0.1:{free_ports(1)}"

    def options(name):
        return ("--secret-file", str(files[name]), "--coordinator", f"https://{tls}")

    roles.coordinator("--listen-tls", tls, *options("coordinator")[:2])
    roles.server("east", *options("east"))
    roles.front(*options("front"))
    coordinator = f"http://{roles.coordinator_host}"
    endpoints = {"coordinator": coordinator, "east": up.region("east")["endpoint"], "front": up.endpoint}
    until("writes are taken", lambda: up.call("POST", f"{container}/docs", body={"id": "1", "pk": "a"},
                                              headers=pk("a")).status in (201, 409), 15)
    load = Writers(up, container, threads=2)
    load.more(20)
    orders = (("east", "coordinator", "front"), ("coordinator", "front", "east"), ("front", "east", "coordinator"))
    for step, (text, order) in enumerate(zip(STEPS, orders), 1):
        for name in order:
            replace(files[name], text.format(old=old, new=new))
            roles.running[name].send_signal(signal.SIGHUP)
            until(f"{name} has step {step}", lambda e=endpoints[name], n=step: changes(e) == n, 20)
            load.more(30)
    eq(metric(coordinator, "holdfast_coordinator_second_secret_requests_total"), 0, "uses of the old one")
    load.end()
    load.check(allow_feed=False)
    eq((load.unknown, load.refused), (set(), set()), "writes without a good answer")
    comment(f"{metric(coordinator, 'holdfast_coordinator_unauthorized_total'):.0f} requests were refused on the way")
    eq(status_of(coordinator, old), 401, "the old one")
    no_secret_in(map(roles.log, files), (old, new))
    roles.stop()


tap.run()
