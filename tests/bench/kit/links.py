"""Accounts whose links between regions can be delayed or cut, and what is asked of them besides
documents: states, metrics, operations."""
import json
import socket
import subprocess
import time
import urllib.request

from kit.account import Account, clean_env
from kit.system import HOLDFAST, BenchError


class LinkedAccount(Account):
    """An account started with --fault-proxy."""

    def __init__(self, folder, name, regions, level="Session", more=()):
        super().__init__(folder, name, regions, level, ["--fault-proxy", *more])

    def say(self, lines):
        """Commands to the fault proxy; each must be answered with ok."""
        host, port = json.loads((self.folder / "data" / "account.json").read_text())["faultProxy"].rsplit(":", 1)
        with socket.create_connection((host, int(port)), 5) as s:
            answers = s.makefile("r")
            for line in lines:
                s.sendall((line + "\n").encode())
                answer = answers.readline()
                if not answer.startswith("ok"):
                    raise BenchError(f"{self.name}: {line}: {answer.strip() or 'no answer'}")

    def links(self, mode):
        """All links between regions, each direction; those to the coordinator stay as they are."""
        self.say([f"mode {a}>{b} {mode}" for a in self.regions for b in self.regions if a != b])

    def delay(self, ms):
        self.links(f"delay {ms}" if ms else "pass")


def operate(account, *argv):
    """`holdfast account ...`"""
    got = subprocess.run([str(HOLDFAST), "account", *argv, "--dir", str(account.folder / "data")],
                         env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=90, check=False)
    if got.returncode:
        raise BenchError(f"{account.name}: account {' '.join(argv)}: {got.stdout.strip()}")


def metric(account, region, name):
    """The value of holdfast_NAME of that region's server, which may be busy."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            url = f"http://127.0.0.1:{account.region_port(region)}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith((f"holdfast_{name}{{", f"holdfast_{name} ")):
                        return float(line.rsplit(" ", 1)[1])
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{account.name}: {region} does not tell {name}")


def states(account):
    """{region: state in the account record}, as `holdfast account show` has it."""
    got = subprocess.run([str(HOLDFAST), "account", "show", "--json", "--dir", str(account.folder / "data")],
                         env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         timeout=30, check=False)
    if got.returncode:
        return {}
    return {r["name"]: r["state"] for r in json.loads(got.stdout)["regions"]}


def until(what, ready, limit_s, pause_s=0.02):
    """Seconds until ready() was true."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > limit_s:
            raise BenchError(f"{what}: not after {limit_s} s")
        time.sleep(pause_s)
    return time.monotonic() - began
