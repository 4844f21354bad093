"""However a test program ends, nothing that it started goes on: `up` and its servers, frozen ones, too."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import programs
from holdfast import ROOT, Tap, eq, until

tap = Tap()
HERE = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-test-"))
tap.cleanup(lambda: shutil.rmtree(HERE))
LEAVES = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT / "tests/lib")!r})
from holdfast import Up
up = Up(regions=["east", "west"], args=["--kill-frozen", "0"])
os.kill(up.pid("west"), signal.SIGSTOP)
print("started", flush=True)
"""
WAITS = "time.sleep(600)\n"


def left():
    """Names of the processes that belong to an account below HERE."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            args = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if len(args) > 2 and any(a.startswith(str(HERE)) for a in args[2:]):
            found.append(f"{args[1]} {entry.name}")
    return sorted(found)


def program(text):
    path = HERE / "program.py"
    path.write_text(text)
    return programs.Program("program", [sys.executable, str(path)], {"TMPDIR": str(HERE)})


def run_limited(text):
    """With a limit that is small, but lets it start what it is to leave."""
    for limit_s in (3, 10, 30):
        p = program(text)
        p.limit_s = limit_s
        out, code, _ = p.run()
        eq(left(), [], f"processes after {limit_s} s")
        if "started" in out:
            break
    return out, code


@tap.test("the limit is reached: a server that is frozen ends, too")
def _():
    out, code = run_limited(LEAVES + WAITS)
    eq(code, 124, out)
    assert "started" in out and "Bail out! stopped after" in out, out


@tap.test("it ends, is killed, or fails: nothing is left, and its exit code says which")
def _():
    for ending, want in (("os._exit(0)", 0), ("os._exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 137)):
        out, code, _ = program(LEAVES + ending).run()
        eq(left(), [], f"processes after {ending}")
        eq(code, want, out)
        assert "# left running, and killed: holdfast" in out, out


@tap.test("who runs the tests is killed: the programs end with it")
def _():
    (HERE / "program.py").write_text(LEAVES + WAITS)
    runner = subprocess.Popen(
        [sys.executable, "-c", "import sys, programs; programs.Program('', sys.argv[1:]).run()", sys.executable,
         str(HERE / "program.py")], env={**os.environ, "TMPDIR": str(HERE)}, stdin=subprocess.DEVNULL)
    try:
        until("the servers run", lambda: [p for p in left() if p.startswith("server")], 60)
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    until("everything has ended", lambda: not left(), 15)


tap.run()
