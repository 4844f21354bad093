"""`holdfast inspect` of a stopped account's files: places and sizes, documents only when asked for, keys never."""
import json
import subprocess

from holdfast import PROGRAM, Tap, Up, eq, pk

tap = Tap()
up = Up(regions=["only"])
tap.cleanup(up.end)
SECRETS = []


def inspect(*args):
    p = subprocess.run([PROGRAM, "inspect", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return p.returncode, p.stdout, p.stderr


def store():
    return str(up.data / "regions" / "only" / "store")


@tap.test("a log shows places and sizes; documents only with --bodies")
def _():
    SECRETS.extend(up.call("GET", "/_holdfast/account/keys").doc.values())
    c = up.make_container("c")
    eq(up.call("POST", f"{c}/docs", body={"id": "hush", "pk": "a", "text": "whisper"}, headers=pk("a")).status, 201, "create")
    for names, want in ((("--database", "nope"), "no database 'nope'"), (("--container", "nope"), "no container 'nope'")):
        code, out, err = up.cli("conflicts", "list", *names)
        assert (code, out) == (1, "") and want in err, (code, out, err)
    code, _, err = inspect("store", "--store", store())
    eq(code, 73, f"a running region: {err}")
    eq(up.stop(), 0, "stop")
    code, out, err = inspect("store", "--store", store())
    eq(code, 0, err)
    partitions = [line.split()[0] for line in out.splitlines()[2:] if line[:1].isdigit() and len(line.split()) > 3]
    found = False
    for partition in partitions:
        code, out, err = inspect("log", "--store", store(), "--partition", partition)
        eq(code, 0, err)
        assert "whisper" not in out and "hush" not in out, out
        code, out, err = inspect("log", "--store", store(), "--partition", partition, "--bodies")
        eq(code, 0, err)
        found = found or ('"whisper"' in out and "hush" in out)
    assert found, partitions
    code, out, err = inspect("log", "--store", store(), "--partition", "77")
    assert (code, out) == (1, "") and "no partition 77" in err, (code, out, err)
    code, out, err = inspect("log", "--store", store(), "--partition", partitions[0], "--from", "999999999")
    assert (code, out) == (0, "") and "has no entry from 999999999 on" in err, (code, out, err)


def lines(*args):
    code, out, err = inspect(*args, "--json")
    eq(code, 0, err)
    return [json.loads(line) for line in out.splitlines()]


@tap.test("the same as JSON: one object for tables and stores, one a line for logs and records")
def _():
    [table] = lines("fsm", "region")
    eq((table["machine"], table["initial"]), ("region", "STARTING"), "machine")
    assert any(r["number"] == 140 and r["from"] == "TAKING" and r["to"] == "WRITER" for r in table["rows"]), table
    assert any(r["number"] == 330 and r["name"] == "disk_slow" for r in table["decisions"]), table
    [parts] = lines("fsm", "partition")
    assert all(r["name"].startswith("partition_") for r in parts["decisions"]) and parts["decisions"], parts
    code, _, err = inspect("fsm", "--json", "--format", "dot")
    assert code == 2 and "not both" in err, err
    [found] = lines("store", "--store", store())
    eq(found["findings"], [], "findings")
    texts = []
    for part in found["partitions"]:
        entries = lines("log", "--store", store(), "--partition", str(part["partition"]), "--bodies")
        eq(entries[-1]["lsn"], part["tail"], "the log's end")
        texts += [op["document"].get("text") for e in entries for op in e["operations"] if op["document"]]
        bare = lines("log", "--store", store(), "--partition", str(part["partition"]))
        assert all("document" not in op and "key" not in op for e in bare for op in e["operations"]), bare
    assert "whisper" in texts, texts
    [record] = lines("record", "--coordinator", str(up.data / "coordinator"))
    eq((record["keys"], record["regions"][0]["name"]), ("(not shown)", "only"), "record")


@tap.test("the account record is shown from the coordinator's file, without its keys")
def _():
    code, out, err = inspect("record", "--coordinator", str(up.data / "coordinator"))
    eq(code, 0, err)
    doc = json.loads(out)
    eq((doc["name"], doc["regions"][0]["name"], doc["keys"], doc["peer_secret"]), (doc["name"], "only", "(not shown)", "(not shown)"), "record")
    assert doc["epoch"] >= 1 and doc["epochs"][0]["rule"] > 0, doc
    for secret in SECRETS:
        assert secret not in out, "a key is shown"
    eq(inspect("record", "--coordinator", str(up.data / "coordinator"), "--account", "other")[0], 1, "no such account")


tap.run()
