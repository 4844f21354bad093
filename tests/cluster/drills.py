"""`holdfast drill` runs each fault once against a running account and finds nothing lost."""
import json
import signal
import subprocess

from holdfast import PROGRAM, Tap, Up, comment, eq, until

tap = Tap()
up = Up(fault_proxy=True)
tap.cleanup(up.end)


def drill(fault, *more):
    up.healthy()
    code, out, err = up.cli("drill", "--fault", fault, "--json", "--load", "100", "--warm", "500ms",
                            "--hold", "2s", *more, timeout=120)
    eq(code, 0, f"exit code\n{out}\n{err}")
    result = json.loads(out)
    eq(result["fault"], fault, "fault")
    eq(result["objectives_met"], True, "objectives")
    for repeat in result["repeats"]:
        eq(repeat["lost"], 0, f"lost writes\n{out}")
        assert repeat["acked"] > 0, repeat
        eq(repeat["acked"], repeat["surviving"] + repeat["in_feed"], "every acknowledged write is accounted for")
        comment(f"{fault}: rto {repeat['rto_ms']} ms, client {repeat['client_rto_ms']} ms, rejoin {repeat['rejoin_ms']} ms, "
                f"{repeat['acked']} acked, {repeat['in_feed']} in feed")
    return result


for one in ("pause", "cut"):
    @tap.test(f"drill: {one}")
    def _(fault=one):
        drill(fault)


@tap.test("drill: several faults, one after the other")
def _():
    result = drill("kill,graceful")
    eq([r["fault"] for r in result["repeats"]], ["kill", "graceful"], "faults")
    eq([g["fault"] for g in result["groups"]], ["kill", "graceful"], "groups")
    eq(result["left_out"], [], "left out")
    eq(result["repeats"][1]["in_feed"], 0, "graceful: nothing leaves the data")


@tap.test("drill: objectives that are missed are said and end with a failure")
def _():
    up.healthy()
    code, out, _ = up.cli("drill", "--fault", "kill", "--json", "--load", "50", "--warm", "300ms", "--max-rto-ms", "1", timeout=120)
    eq(code, 1, "exit code")
    eq(json.loads(out)["objectives_met"], False, "objectives")


@tap.test("drill: interrupted, it leaves nothing frozen and no container behind")
def _():
    up.healthy()
    writer = up.writer()
    p = subprocess.Popen([PROGRAM, "drill", "--fault", "pause", "--hold", "60s", "--warm", "300ms", "--dir", str(up.data)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until("another region writes", lambda: up.writer() not in ("", writer), 30)
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=30)
    assert p.returncode == -signal.SIGTERM and out == "" and "interrupted" in err, (p.returncode, out, err)
    up.healthy()
    eq([c["id"] for c in up.call("GET", "/dbs/holdfast-drill/colls").doc["DocumentCollections"]], [], "containers")


@tap.test("drill: starts an account of its own when there is none", long_only=True)
def _():
    code, out, err = up.cli("drill", "--start", "--fault", "kill", "--level", "Strong", "--json", "--load", "50", timeout=120)
    eq(code, 0, out + err)
    eq(json.loads(out)["repeats"][0]["in_feed"], 0, "Strong: nothing leaves the data")


@tap.test("drill: of several faults those that cannot be done here are left out, and named", long_only=True)
def _():
    plain = Up()
    try:
        plain.healthy()
        code, out, err = plain.cli("drill", "--fault", "kill,cut,disk-full", "--json", "--load", "50", timeout=120)
        eq(code, 0, out + err)
        result = json.loads(out)
        eq([r["fault"] for r in result["repeats"]], ["kill"], "faults")
        eq([t.split(":")[0] for t in result["left_out"]], ["cut", "disk-full"], "left out")
        code, out, err = plain.cli("drill", "--fault", "cut,disk-full", "--json", timeout=120)
        assert code == 69 and out == "" and "none of these faults" in err, (code, out, err)
    finally:
        plain.end()


tap.run()
