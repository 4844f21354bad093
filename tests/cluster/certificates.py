"""A renewed certificate under running processes: shown to new connections, and nobody is dropped."""
import http.client
import os
import re
import signal
import ssl

from holdfast import Tap, Up, eq, until

tap = Tap()


def pair_of_another():
    """Of an account of the same name elsewhere: for the same hosts."""
    with Up(args=["--tls"]) as other:
        return {name: (other.data / "tls" / name).read_text() for name in ("server.pem", "server.key", "ca.pem")}


RENEWED, AGAIN = pair_of_another(), pair_of_another()
up = Up(args=["--tls"])
tap.cleanup(up.end)
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE


def ports():
    """{role: port} of every process that clients connect to."""
    found = {f"server/{r['name']}": r["endpoint"] for r in up.regions}
    found["front"] = up.endpoint
    return {role: int(endpoint.rstrip("/").rsplit(":", 1)[1]) for role, endpoint in found.items()}


def connect(port):
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=UNCHECKED)


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    eq(answer.status, 200, path)
    return text


def first_of(text):
    return re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S).group(0)


def shown(port):
    return ssl.get_server_certificate(("127.0.0.1", port)).strip()


def put(files):
    for name, text in files.items():
        path = up.data / "tls" / name
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)


def hang_up(account):
    for role, pid in account.children().items():
        if role == "front" or role.startswith("server/"):
            os.kill(pid, signal.SIGHUP)


@tap.test("SIGHUP: servers and front show the renewed certificate; processes and connections stay")
def _():
    pids = up.children()
    opened = {role: connect(port) for role, port in ports().items()}
    for connection in opened.values():
        get(connection, "/health/live")
    before = {role: c.sock for role, c in opened.items()}
    own = first_of((up.data / "tls/server.pem").read_text())
    for role, port in ports().items():
        eq(shown(port), own, f"{role} at first")
    put(RENEWED)
    hang_up(up)
    for role, port in ports().items():
        until(f"{role} shows it", lambda p=port: shown(p) == first_of(RENEWED["server.pem"]))
        get(opened[role], "/health/live")
        assert opened[role].sock is before[role], f"{role}: the connection was made anew"
        text = get(connect(port), "/metrics")
        ends = float(re.search(r"^holdfast_certificate_not_after_timestamp_seconds\S* (\S+)$", text, re.M).group(1))
        assert ends > 1.7e9, ends
    eq(up.children(), pids, "processes")


@tap.test("files that do not belong together: the former certificate stays, the log says why")
def _():
    put({"server.key": "no key\n"})
    hang_up(up)
    for role, port in ports().items():
        log = up.data / "run" / f"{role.removeprefix('server/')}.log"
        until(f"{role} refuses it", lambda p=log: "certificate_refused" in p.read_text())
        eq(shown(port), first_of(RENEWED["server.pem"]), role)
    put(RENEWED)


@tap.test("certificates given by symbolic links: pointing those elsewhere renews them")
def _():
    pairs = up.dir / "pairs"
    for name, files in (("first", RENEWED), ("second", AGAIN)):
        (pairs / name).mkdir(parents=True)
        for file, text in files.items():
            (pairs / name / file).write_text(text)
    (pairs / "now").symlink_to("first")
    given = [f"--tls-{option}={pairs}/now/{file}" for option, file in
             (("cert", "server.pem"), ("key", "server.key"), ("ca", "ca.pem"))]
    with Up(args=given) as account:
        ports = [int(r["endpoint"].rstrip("/").rsplit(":", 1)[1]) for r in account.regions]
        for port in ports:
            eq(shown(port), first_of(RENEWED["server.pem"]), "at first")
        (pairs / "then").symlink_to("second")
        (pairs / "then").rename(pairs / "now")
        hang_up(account)
        for port in ports:
            until("the other one is shown", lambda p=port: shown(p) == first_of(AGAIN["server.pem"]))


tap.run()
