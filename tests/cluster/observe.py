"""What operators see: metrics that Prometheus reads, health, events and log lines."""
import http.client
import json
import os
import re
import signal

import prometheus
from holdfast import ROOT, Client, Tap, Up, eq, pk, query_headers, until

tap = Tap()
up = Up()
tap.cleanup(up.end)

LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) [a-z_]+ [a-z_]+"
                  r"( [a-z_A-Z]+=(\"([^\"\\]|\\.)*\"|[^\s\"]*))*$")


def get(port, path):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    conn.request("GET", path)
    r = conn.getresponse()
    text = r.read().decode()
    conn.close()
    return r.status, text


def port_of(region=None):
    endpoint = up.region(region)["endpoint"] if region else up.endpoint
    return int(endpoint.rstrip("/").rsplit(":", 1)[1])


def metrics(port):
    status, text = get(port, "/metrics")
    eq(status, 200, "metrics")
    problems, values = prometheus.check(text)
    eq(problems, [], "metrics")
    return values


@tap.test("metrics of server, front and coordinator are what Prometheus expects")
def _():
    up.healthy()
    c = up.make_container("observed")
    for n in range(5):
        eq(up.call("POST", f"{c}/docs", region="east", body={"id": f"i{n}", "pk": "a"}, headers=pk("a")).status, 201)
    eq(up.call("POST", f"{c}/docs", region="east", body={"id": "i0", "pk": "a"}, headers=pk("a")).status, 409)
    eq(up.call("GET", f"{c}/docs/i1", region="east", headers=pk("a")).status, 200)
    eq(up.call("POST", f"{c}/docs", region="east", body={"query": "SELECT * FROM c"}, headers=query_headers()).status, 200)
    eq(up.call("POST", f"{c}/docs", region="west", body={"id": "x", "pk": "a"}, headers=pk("a")).status, 403)
    for region in up.region_names:
        metrics(port_of(region))
    east, west, front = metrics(port_of("east")), metrics(port_of("west")), metrics(port_of())
    answers = "holdfast_http_answers_total"
    eq(prometheus.value(east, answers, operation="create", status="2xx"), 5, "creates")
    eq(prometheus.value(east, answers, operation="create", status="4xx"), 1, "refused creates")
    eq(prometheus.value(east, answers, operation="read", status="2xx"), 1, "reads")
    eq(prometheus.value(east, answers, operation="query"), 1, "queries")
    eq(prometheus.value(east, "holdfast_http_duration_seconds_count", kind="write"), 6, "writes timed")
    assert prometheus.value(east, "holdfast_http_duration_seconds_sum", kind="write") > 0
    assert prometheus.value(east, "holdfast_commit_seconds", quantile="0.99") > 0
    assert prometheus.value(east, "holdfast_commit_groups_total") >= 5
    eq(prometheus.value(west, "holdfast_http_refusals_total", reason="not_writer"), 1, "403/3")
    assert prometheus.value(front, "holdfast_front_forwarded_total") >= 2
    eq(prometheus.value(front, "holdfast_front_coordinator_synced"), 1)
    coordinator = json.loads((up.data / "account.json").read_text())["coordinator"]
    coord = metrics(int(coordinator.rsplit(":", 1)[1]))
    assert prometheus.value(coord, "holdfast_coordinator_revision") > 0


@tap.test("every metric of the alert rules is there to be scraped")
def _():
    rules = (ROOT / "dist/prometheus/holdfast.rules.yml").read_text()
    wanted = set(re.findall(r"holdfast_\w+", "\n".join(l for l in rules.splitlines() if " expr: " in l)))
    there = {name for port in [*map(port_of, up.region_names), port_of()] for name, _ in metrics(port)}
    assert len(wanted) > 10, wanted
    absent = ("holdfast_webhook_", "holdfast_certificate_")  # neither is there here
    missing = {name for name in wanted - there if not name.startswith(absent)}
    eq(missing, set(), "metrics that no process has")


@tap.test("series stay bounded: what clients invent makes none")
def _():
    before = len(metrics(port_of("east")))
    c = up.client("east")
    for n in range(20):
        c.call("POST", f"/dbs/invented{n}/colls/x{n}/docs", body={}, headers={f"x-odd-{n}": "1"})
        c.call("BREW", f"/pot{n}/a/b/c/d/e", body={})
    c.close()
    after = len(metrics(port_of("east")))
    assert after <= before + 4, (before, after)


@tap.test("health says who lives, who serves reads and who serves writes")
def _():
    up.healthy()
    for region in up.region_names:
        eq(get(port_of(region), "/health/live")[0], 200, f"{region} lives")
        eq(get(port_of(region), "/health/ready")[0], 200, f"{region} is ready")
        eq(get(port_of(region), "/health/write")[0], 200 if region == up.writer() else 503, f"{region} writes")
    for path in ("live", "ready", "write"):
        eq(get(port_of(), f"/health/{path}")[0], 200, f"front: {path}")
    eq(get(port_of("east"), "/health/other")[0], 404, "no such health")
    eq(get(port_of(), "/health/other")[0], 404, "no such health at the front")


@tap.test("a failover is told by events with rule numbers, in metrics, and in log lines that parse")
def _():
    before = up.healthy()
    os.kill(up.pid(before["writer"]), signal.SIGKILL)
    until("a new epoch is open", lambda: up.show()["epoch"] > before["epoch"] and up.show()["phase"] == "OPEN", 15)
    writer = up.writer()  # another region, or the same one when it was back first

    def told():
        return [e for e in up.call("GET", "/events", region=writer).doc["events"] if e["event"] == "failover"]
    failover = until(f"{writer} tells of the failover", told)
    assert failover[-1]["rule"] > 0 and "epoch=" in failover[-1]["text"], failover
    later = up.call("GET", f"/events?since={failover[-1]['seq']}", region=writer).doc["events"]
    assert all(e["seq"] > failover[-1]["seq"] for e in later), later
    eq(prometheus.value(metrics(port_of(writer)), "holdfast_openings_total"), 1, "epochs opened")
    up.healthy()
    bad = []
    for path in sorted((up.data / "run").glob("*.log")):
        bad += [f"{path.name}: {l}" for l in path.read_text().splitlines() if not LINE.match(l)]
    eq(bad[:5], [], "log lines")
    for path in (up.data / "run").glob("*.log"):
        assert up.key not in path.read_text(), f"the key is in {path.name}"


@tap.test("operator endpoints want the key; reading ones take a read-only key")
def _():
    writer = up.writer()
    for region in (writer, None):
        anonymous = Client(up.region(region)["endpoint"] if region else up.endpoint, None)
        path = "/_holdfast/status" if region else "/_holdfast/account"
        eq(anonymous.get(path).status, 401, path)
        anonymous.close()
    keys = up.call("GET", "/_holdfast/account/keys").doc
    reader = Client(up.endpoint, keys["primaryReadonly"])
    eq(reader.get("/_holdfast/account").status, 200, "account by a read-only key")
    eq(reader.get("/_holdfast/account/keys").status, 403, "keys by a read-only key")
    eq(reader.call("POST", "/_holdfast/account/failover", body={"region": writer}).status, 403, "failover")
    reader.close()


tap.run()
