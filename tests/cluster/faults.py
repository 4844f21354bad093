"""`holdfast drill` with the faults of links, disks and coordinator: nothing is lost in any of them, and each
does what it says. The account's disks count as slow early, so that a test need not wait for it."""
import html.parser
import json

from holdfast import Client, Tap, Up, comment, eq, pk, until

tap = Tap()
up = Up(fault_proxy=True, args=["--slow-commit", "300ms", "--slow-for", "600ms"])
tap.cleanup(up.end)


def drill(fault, *more):
    up.healthy()
    code, out, err = up.cli("drill", "--fault", fault, "--json", "--load", "100", "--warm", "500ms", *more, timeout=120)
    eq(code, 0, f"exit code\n{out}\n{err}")
    result = json.loads(out)
    eq(result["fault"], fault, "fault")
    repeat = result["repeats"][0]
    eq(repeat["lost"], 0, f"lost writes\n{out}")
    assert repeat["acked"] > 0, repeat
    eq(repeat["acked"], repeat["surviving"] + repeat["in_feed"], "every acknowledged write is accounted for")
    comment(f"{fault}: rto {repeat['rto_ms']} ms, client {repeat['client_rto_ms']} ms, rejoin {repeat['rejoin_ms']} ms, "
            f"{repeat['acked']} acked, {repeat['in_feed']} in feed, {repeat['writer_changes']} epochs")
    return repeat


@tap.test("drill: a full disk hands over without an error, reads go on")
def _():
    repeat = drill("disk-full", "--hold", "1s")
    eq(repeat["in_feed"], 0, "a hand-over loses nothing")
    assert repeat["new_writer"] and repeat["new_writer"] != repeat["region"], repeat
    assert repeat["read_rto_ms"] < 2000, repeat


@tap.test("drill: a slow disk hands over once, and the writer stays where it went")
def _():
    repeat = drill("slow-disk", "--disk-delay", "500ms", "--hold", "3s", "--write-timeout", "10s")
    eq((repeat["in_feed"], repeat["writer_changes"]), (0, 1), "one hand-over, nothing lost")
    eq(up.writer(), repeat["new_writer"], "writer afterwards")


@tap.test("drill: data of one partition that cannot be read: it alone fails over, and comes back")
def _():
    before = up.healthy()
    repeat = drill("corrupt")
    assert repeat["rto_ms"] >= 0 and repeat["rejoin_ms"] > repeat["rto_ms"], repeat
    assert repeat["new_writer"] not in ("", repeat["region"]), repeat
    eq((repeat["writer_changes"], up.writer()), (0, before["writer"]), "the account's writer stays")
    eq(up.show()["partitionFailover"], False, "the setting is as it was")
    code, _, err = up.cli("drill", "--fault", "corrupt", "--repeat", "51")
    assert code == 2 and "50 times" in err, (code, err)


@tap.test("a graceful change to a region that is far behind is refused, with how far")
def _():
    w = up.healthy()["writer"]
    to = next(r["name"] for r in up.show()["regions"] if r["name"] != w)
    up.make_container("far")
    eq(up.call("POST", "/_holdfast/fault", region=to, body={"disk": "slow", "delayMs": 4000}).status, 200, "fault")
    for i in range(3):
        eq(up.call("POST", "/dbs/tests/colls/far/docs", body={"id": str(i), "pk": "a"}, headers=pk("a")).status, 201, "put")

    def lag_ms():
        status = up.call("GET", "/_holdfast/status", region=w).doc
        return next(r["lagMs"] for r in status["regions"] if r["name"] == to)
    until("its lag, said by two heartbeats", lambda: lag_ms() > 1500)
    code, out, err = up.cli("account", "failover", to)
    assert code != 0 and f"region {to} is " in err and "behind the write region" in err, (code, out, err)
    eq((up.writer(), up.show()["phase"]), (w, "OPEN"), "nothing has begun")
    eq(up.call("POST", "/_holdfast/fault", region=to, body={"disk": "sound"}).status, 200, "healed")
    up.healthy()
    until("the change once it has caught up", lambda: up.cli("account", "failover", to)[0] == 0)


@tap.test("drill: the region that takes over is killed, too")
def _():
    before = up.healthy()["generation"]
    repeat = drill("double")
    assert up.show()["generation"] >= before + 2, "both were the writer, or about to be"
    assert repeat["rto_ms"] >= 0, repeat


@tap.test("drill: a coordinator that is killed costs no failover")
def _():
    before = up.healthy()
    repeat = drill("coordinator-kill", "--hold", "1s")
    eq((repeat["writer_changes"], up.show()["epoch"]), (0, before["epoch"]), "epochs")
    eq(repeat["in_feed"], 0, "in feed")


@tap.test("drill: links that refuse, and are slow all the while")
def _():
    repeat = drill("refuse", "--hold", "1s", "--link-delay-ms", "20")
    assert repeat["new_writer"] != repeat["region"], repeat


@tap.test("drill: links that swallow everything", long_only=True)
def _():
    drill("blackhole")


@tap.test("drill: links that flap around the lease move the writer rarely", long_only=True)
def _():
    repeat = drill("flap", "--flap-period", "2s", "--hold", "30s")
    assert repeat["writer_changes"] <= 7, repeat  # one in five seconds at most, and none is usual


@tap.test("drill: every level in turn", long_only=True)
def _():
    code, out, err = up.cli("drill", "--level", "all", "--fault", "kill", "--json", "--load", "50", timeout=300)
    eq(code, 0, out + err)
    levels = [r["level"] for r in json.loads(out)["repeats"]]
    assert "Strong" in levels and "Session" in levels and "Eventual" in levels, levels


class Page(html.parser.HTMLParser):
    """Checks that elements nest, that nothing is loaded, and gathers the text."""
    EMPTY = {"meta", "br", "img", "link", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.problems, self.text, self.seen = [], [], "", []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag in ("script", "link", "img", "iframe", "object") or any(k in ("src", "href", "onload") for k, _ in attrs):
            self.problems.append(f"{tag} {attrs}")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.text += data


@tap.test("drill: the report is a page that stands alone, and says what the JSON says")
def _():
    page = up.dir / "report.html"
    repeat = drill("kill", "--html", str(page), "--max-rto-ms", "60000")
    parsed = Page()
    parsed.feed(page.read_text())
    eq((parsed.problems, parsed.open), ([], []), "elements of the page")
    assert parsed.seen.count("svg") in (1, 2), parsed.seen
    for text in ("objectives met", "nothing lost", f"0 of {repeat['acked']} over all repeats", "fault: kill", "What this drill does not cover",
                 f"Another region took writes after {repeat['rto_ms']}\xa0ms"):
        assert text in parsed.text, (text, parsed.text[:3000])
    assert up.key not in page.read_text(), "the key is in the report"
    for path in ("/nowhere/at/all.html", "/tmp"):
        code, out, err = up.cli("drill", "--fault", "kill", "--load", "50", "--html", path)
        eq((code, out), (74, ""), f"a report that cannot be written, told before anything is broken: {err}")


@tap.test("drill: a region is removed under load and added again, and nobody notices")
def _():
    before = up.healthy()
    repeat = drill("region-remove")
    eq((repeat["in_feed"], repeat["writer_changes"], repeat["errors"]), (0, 0, 0), "in feed, epochs, refused for good")
    assert repeat["region"] != before["writer"] and repeat["rejoin_ms"] >= 0, repeat
    code, _, err = up.cli("drill", "--fault", "region-remove", "--region", up.writer())
    assert code != 0 and "change the write region first" in err, err


@tap.test("drill: what cannot be drilled says so")
def _():
    for args, want, says in ((["--fault", "burn"], 2, "unknown fault"),
                             (["--fault", "kill", "--region", "mars"], 1, "no region 'mars'"),
                             (["--level", "strog"], 2, "unknown consistency level 'strog'"),
                             (["--level", "Strong"], 2, "runs at Session, not at Strong"),
                             (["--regions", "a,b"], 2, "--regions is for an account that the drill starts")):
        code, _, err = up.cli("drill", *args)
        assert (code, says in err) == (want, True), (args, code, err)


@tap.test("disk faults can be switched on only in an account that was started for drills")
def _():
    eq(up.call("POST", "/_holdfast/fault", region="west", body={"disk": "melt"}).status, 400, "no such fault")
    for body in ({"disk": "slow"}, {"disk": "slow", "delayMs": 600001}, {}):
        eq(up.call("POST", "/_holdfast/fault", region="west", body=body).status, 400, str(body))
    keys = up.call("GET", "/_holdfast/account/keys").doc
    for key, want in ((None, 401), (keys["primaryReadonly"], 403)):
        other = Client(up.region("west")["endpoint"], key)
        eq(other.call("POST", "/_holdfast/fault", body={"disk": "full"}).status, want, "key")
        other.close()
    with Up(regions=["only"]) as plain:
        eq(plain.call("POST", "/_holdfast/fault", region="only", body={"disk": "full"}).status, 404, "not for drills")
        eq(plain.call("GET", "/health/write", region="only").status, 200, "writes")


tap.run()
