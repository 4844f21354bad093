"""SIGKILL under concurrent load, round after round over one account; see ledger.py.

Usage: account.py single|session|strong ROUNDS [SEED]
    single   one region; its server or everything dies
    session  three regions at Session: a server, several, the coordinator, or everything
    strong   the same at Strong: nothing acknowledged may ever leave
"""
import os
import random
import signal
import sys
import time

from holdfast import Tap, Up, comment
from ledger import Load

KIND, ROUNDS = sys.argv[1], int(sys.argv[2])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it had died of the round before and is not back yet


def power_cut(up, _rng):
    up.kill_all()
    up.start()


def writer(up, _rng):
    kill(up.pid(up.writer()))


def any_server(up, rng):
    kill(up.pid(rng.choice(up.region_names)))


def all_servers(up, _rng):
    for name, pid in up.children().items():
        if name.startswith("server/"):
            kill(pid)


def coordinator(up, _rng):
    pid = up.children().get("coordinator")
    if pid is not None:  # else the last round's death is not over: each restart takes longer
        kill(pid)


def writer_and_coordinator(up, rng):
    pid = up.pid(up.writer())
    coordinator(up, rng)
    kill(pid)


FAULTS = {
    "single": [(writer, 5), (power_cut, 5)],
    "session": [(writer, 6), (any_server, 4), (all_servers, 2), (coordinator, 2), (writer_and_coordinator, 2), (power_cut, 4)],
    "strong": [(writer, 6), (any_server, 4), (all_servers, 2), (coordinator, 2), (writer_and_coordinator, 2), (power_cut, 4)],
}
tap = Tap()


@tap.test(f"{KIND}: {ROUNDS} rounds of SIGKILL under load, every acknowledged write accounted for")
def _():
    rng = random.Random(SEED)
    comment(f"seed {SEED}: tests/crash/run {KIND} {SEED}")
    regions = ["only"] if KIND == "single" else ["east", "west", "north"]
    consistency = "Strong" if KIND == "strong" else None
    faults, weights = zip(*FAULTS[KIND])
    with Up(regions=regions, consistency=consistency) as up:
        load = Load(up, KIND != "session", rng.random())
        done = 0
        try:
            for done in range(1, ROUNDS + 1):
                load.resume()
                time.sleep(rng.uniform(0.15, 0.6))  # the load before the fault
                fault = rng.choices(faults, weights)[0]
                started = time.monotonic()
                fault(up, rng)
                time.sleep(rng.uniform(0, 0.4))  # some meet the fault under way
                load.pause()
                load.serves(60)
                load.check()
                if done % 10 == 0 or done == ROUNDS:
                    comment(f"round {done}: {dict(load.counts)}; {fault.__name__} took {time.monotonic() - started:.1f} s")
            load.end()
            assert load.counts["acked"] > 50 * ROUNDS, f"hardly any load: {load.counts}"
            assert load.counts["unknown"] > 0, "no fault met a write under way"
        except BaseException:
            comment(f"in round {done} after {fault.__name__ if done else 'the start'}; {dict(load.counts)}")
            raise


tap.run()
