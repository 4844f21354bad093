"""Runs test programs that print TAP, some at a time, for tests/lib/run-kinds: by the `run` of kinds whose
programs are scripts, and by run-suite for Meson tests."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def is_long():
    return os.environ.get("HF_LONG") == "1"


def jobs(default=2):
    return int(os.environ.get("HF_JOBS", 0)) or default


def contained(command, limit_s=0):
    """The command so that nothing which it started outlives it, its limit (0: none), or us (contain.c)."""
    build = pathlib.Path(os.environ.get("HF_BUILD", ROOT / "build"))
    return [str(ROOT / build / "tests/lib/contain"), str(limit_s), *command]


class Program:
    def __init__(self, name, command, env=None, limit_s=150, cwd=ROOT):
        self.name = name
        self.command = command
        self.env = {**os.environ, **(env or {})}
        self.limit_s = limit_s * (10 if is_long() else 1)
        self.cwd = cwd

    def run(self):
        """Its TAP, exit code and seconds."""
        started = time.monotonic()
        process = subprocess.run(contained(self.command, self.limit_s), cwd=self.cwd, env=self.env,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 check=False)
        text = process.stdout.decode("utf-8", "replace")
        if text and not text.endswith("\n"):
            text += "\n"
        return text, process.returncode, time.monotonic() - started


def run_all(programs, at_once):
    """Runs them and prints each one's TAP as it ends. True when all passed."""
    passed = True
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        futures = {pool.submit(p.run): p for p in programs}
        for done in concurrent.futures.as_completed(futures):
            text, code, seconds = done.result()
            passed = passed and code == 0
            sys.stdout.write(f"# program {futures[done].name}\n{text}# exit {code} {seconds:.2f}\n")
            sys.stdout.flush()
    return passed
