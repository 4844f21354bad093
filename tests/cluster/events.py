"""The event feed and the webhook of real processes: a failover is told by the front, by the new writer, and to
another system, which is down at first."""
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import signal
import tempfile
import threading
import urllib.error
import urllib.request

import prometheus
from holdfast import Client, Tap, Up, eq, metrics_text, until

tap = Tap()
SECRET = "a secret that nobody else knows"
received, refusals = [], [2]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((dict(self.headers), body))
        refusals[0] -= 1
        self.send_response(500 if refusals[0] >= 0 else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
tap.cleanup(receiver.shutdown)
secrets = tempfile.TemporaryDirectory(prefix="holdfast-test-")
tap.cleanup(secrets.cleanup)
secret_file = pathlib.Path(secrets.name) / "secret"
secret_file.write_text(SECRET + "\n")
up = Up(args=["--webhook", f"http://someone:hidden@127.0.0.1:{receiver.server_port}/hook", "--webhook-secret-file", str(secret_file)])
tap.cleanup(up.end)


@tap.test("the events command tells what the front and the servers told, by time")
def _():
    code, out, err = up.cli("events", "--json")
    eq((code, err), (0, ""), "events")
    rows = [json.loads(line) for line in out.splitlines()]
    eq({r["by"] for r in rows}, {"front", *up.region_names}, "who tells")
    times = [r["event"]["wallMs"] for r in rows]
    eq(times, sorted(times), "by time")
    writer = up.writer()
    code, out, err = up.cli("events", "--region", writer)
    assert code == 0 and " role " in out and "to=WRITER" in out and " front " not in out, (code, out, err)
    code, _, err = up.cli("events", "--region", "mars")
    assert code == 1 and "no region 'mars'" in err, (code, err)
    eq(up.cli("events", "now")[0], 2, "an argument")


@tap.test("the front's feed, the new writer's feed and the webhook tell of a failover; long polls wake up")
def _():
    before = up.beating()  # else the writer itself is back before the others may take over
    start = up.call("GET", "/events").doc
    waiting = {}

    def poll():
        waiting["answer"] = up.call("GET", f"/events?since={start['last']}&wait=30", timeout=40)
    thread = threading.Thread(target=poll)
    thread.start()
    os.kill(up.pid(before["writer"]), signal.SIGKILL)
    thread.join(30)
    first = waiting["answer"].doc
    assert first["events"] and first["events"][0]["seq"] == start["last"] + 1, first
    eq((first["process"], first["instance"]), ("front", start["instance"]), "whose feed")

    def told(region, want):
        return [e for e in up.call("GET", "/events", region=region).doc["events"] if e["event"] == want]
    story = until("the front tells", lambda: told(None, "failover"), 15)
    assert story[-1]["rule"] in (310, 311, 312) and "reason=" in story[-1]["text"], story
    assert until("and that it stands in", lambda: told(None, "standing_in")), "standing in"
    writer = up.writer()
    assert until("the writer tells", lambda: told(writer, "failover"))
    up.healthy()

    def delivered():
        good = [r for r in received[2:] if r[0].get("x-holdfast-event") == "failover"]
        return good or None
    headers, body = until("the webhook got it in spite of two refusals", delivered, 30)[0]
    stamp = headers["x-holdfast-timestamp"]
    want = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    eq(headers["x-holdfast-signature"], "sha256=" + want, "signature")
    doc = json.loads(body)
    eq((doc["type"], doc["account"], doc["previousWriter"]), ("failover", before["account"], before["writer"]), "event")
    assert isinstance(doc["lostInPartitions"], list) and doc["lostOperationsEstimate"] >= 0, doc
    eq(headers["x-holdfast-delivery"], doc["id"], "delivery id")
    eq(received[0][0]["x-holdfast-delivery"], received[1][0]["x-holdfast-delivery"], "tried again with the same id")


@tap.test("the front's feed and the webhook tell of one partition that moves, and of its return")
def _():
    writer = up.healthy()["writer"]
    to = next(n for n in up.region_names if n != writer)
    container = up.make_container("moves")
    up.settled()
    part = int(up.call("GET", container).doc["_etag"].strip('"').split("-")[-1], 16) << 9

    def told(what):
        return [e for e in up.call("GET", "/events").doc["events"]
                if e["event"] == what and f"partition={part} " in e["text"]]

    def sent(what):
        return [d for d in (json.loads(body) for _, body in received) if d["type"] == what and d["partition"] == part]
    for command, what, at in ((("failover", str(part), to), "partition_moved", to),
                              (("return", str(part)), "partition_returned", writer)):
        code, out, err = up.cli("account", "partition", *command)
        eq(code, 0, out + err)
        assert f"to={at} " in until("the feed tells", lambda w=what: told(w))[-1]["text"], told(what)
        doc = until("the webhook tells", lambda w=what: sent(w))[-1]
        eq((doc["writer"], doc["previousWriter"], doc["mayHaveConflicts"]), (at, {to: writer, writer: to}[at], False), "event")


def replace(path, text):
    fresh = path.with_name(path.name + ".next")
    fresh.write_text(text + "\n")
    os.chmod(fresh, 0o600)
    fresh.rename(path)


@tap.test("the webhook's secret and the management token are taken from their files while the front runs")
def _():
    other = "another secret that nobody knows"
    token_file = up.data / "management.token"
    old = token_file.read_text().strip()

    def manage(token):
        request = urllib.request.Request(f"{up.endpoint.rstrip('/')}/subscriptions/s/providers/Microsoft.DocumentDB/"
                                         "databaseAccounts?api-version=2024-08-15",
                                         headers={"authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as e:
            return e.code
    eq((manage(old), manage(other)), (200, 401), "before")
    replace(secret_file, other)
    replace(token_file, other)
    os.kill(up.children()["front"], signal.SIGHUP)
    until("the new token opens the interface", lambda: manage(other) == 200)
    eq(manage(old), 401, "the former token")
    count = len(received)
    writer = up.healthy()["writer"]
    to = next(n for n in up.region_names if n != writer)
    eq(up.cli("account", "failover", to)[0], 0, "a graceful change")
    headers, body = until("the webhook tells", lambda: received[count:] or None)[0]
    want = hmac.new(other.encode(), headers["x-holdfast-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    eq(headers["x-holdfast-signature"], "sha256=" + want, "signed with the new secret")
    replace(token_file, "short")
    os.kill(up.children()["front"], signal.SIGHUP)
    until("a token that is too short is refused", lambda: "secret_refused" in (up.data / "run" / "front.log").read_text())
    eq((manage(other), manage("short")), (200, 401), "the former one holds")
    replace(token_file, other)


@tap.test("the webhook's metrics are there")
def _():
    _, values = prometheus.check(metrics_text(up.endpoint))
    assert prometheus.value(values, "holdfast_webhook_delivered_total") >= 1, values
    eq(prometheus.value(values, "holdfast_webhook_failed_attempts_total"), 2, "refusals")
    eq(prometheus.value(values, "holdfast_webhook_dropped_total"), 0, "dropped")


@tap.test("feeds want a key, any of them, and sensible questions")
def _():
    keys = up.call("GET", "/_holdfast/account/keys").doc
    for region in ("west", None):
        endpoint = up.region(region)["endpoint"] if region else up.endpoint
        for key, want in ((None, 401), (keys["primaryReadonly"], 200)):
            c = Client(endpoint, key)
            eq(c.get("/events").status, want, f"{region}: {'read-only key' if key else 'no key'}")
            c.close()
        for query in ("since=x", "wait=61", "after=1"):
            eq(up.call("GET", f"/events?{query}", region=region).status, 400, query)


@tap.test("nothing of the webhook's password or secret is in a log")
def _():
    for path in (up.data / "run").glob("*.log"):
        text = path.read_text()
        for secret in (SECRET, "hidden", up.key):
            assert secret not in text, f"{secret} in {path.name}"


@tap.test("a webhook that cannot be one is refused at the start")
def _():
    for args, want in ((["--webhook", "gopher://x"], 2), (["--webhook-secret-file", str(secret_file)], 2),
                       (["--webhook", "http://x", "--webhook-secret-file", "/dev/null"], 78)):
        code, _, err = up.cli("up", *args)
        eq(code, want, f"{args}: {err}")


tap.run()
