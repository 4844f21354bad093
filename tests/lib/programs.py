"""Runs test programs that print TAP, some at a time, for tests/lib/run-kinds. Used by the `run` of
kinds whose programs are scripts rather than Meson tests."""
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def is_long():
    return os.environ.get("HF_LONG") == "1"


def jobs(default=2):
    return int(os.environ.get("HF_JOBS", 0)) or default


class Program:
    def __init__(self, name, command, env=None, limit_s=150):
        self.name = name
        self.command = command
        self.env = env or {}
        self.limit_s = limit_s * (6 if is_long() else 1)

    def run(self):
        """Its TAP, exit code and seconds. Over the limit it is asked to end, then made to."""
        started = time.monotonic()
        process = subprocess.Popen(self.command, cwd=ROOT, env={**os.environ, **self.env},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=self.limit_s)
        except subprocess.TimeoutExpired:
            for signum in (signal.SIGTERM, signal.SIGKILL):  # our own child and what it started
                try:
                    os.killpg(process.pid, signum)
                    output, _ = process.communicate(timeout=10)
                    break
                except ProcessLookupError:
                    output, _ = process.communicate()
                    break
                except subprocess.TimeoutExpired:
                    continue
            output += f"\nBail out! stopped after {self.limit_s} s\n".encode()
        text = output.decode("utf-8", "replace")
        if not text.endswith("\n"):
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
