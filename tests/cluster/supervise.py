"""Processes of a running account die or freeze; the supervisor and the others carry on."""
import os
import signal
import time

from holdfast import Tap, Up, Writers, comment, eq, is_running, pk, until

tap = Tap()
up = Up(args=["--kill-frozen", "3s"])
tap.cleanup(up.end)


def restarted(role, old, seconds=15):
    return until(f"{role} runs again", lambda: up.children().get(role) not in (None, old), seconds)


def fault(role, signum=signal.SIGKILL):
    pid = up.children()[role]
    os.kill(pid, signum)
    return pid


def container(name):
    up.healthy()
    return up.make_container(name)


@tap.test("a killed front comes back; regional endpoints serve meanwhile, the global one waits")
def _():
    c = container("front")
    load = Writers(up, c, threads=2)
    load.more(20)
    direct = up.client("east")
    pid = fault("front")
    eq(direct.get("/dbs").status, 200, "the regional endpoint serves while there is no front")
    restarted("front", pid)
    eq(until("the global endpoint answers", lambda: up.call("GET", "/dbs", timeout=3)).status, 200, "global")
    load.more(50)
    load.end()
    assert load.gap() < 10, load.gap()
    load.check(allow_feed=False)


@tap.test("a killed coordinator comes back before any lease is over, or soon after: writes go on")
def _():
    c = container("coordinator")
    before = up.show()
    load = Writers(up, c, threads=3)
    load.more(50)
    pid = fault("coordinator")
    restarted("coordinator", pid)
    load.more(100)
    load.end()
    comment(f"longest gap {load.gap() * 1000:.0f} ms")
    assert load.gap() < 10, load.gap()
    up.healthy()
    after = up.show()
    assert after["generation"] >= before["generation"]
    load.check()
    load.check_regions()


@tap.test("the coordinator frozen beyond the lease: no write is acknowledged then, all go on after")
def _():
    c = container("frozen-coordinator")
    load = Writers(up, c, threads=3)
    load.more(30)
    pid = fault("coordinator", signal.SIGSTOP)
    time.sleep(2.5)  # the fault's length: twice the lease
    with load.lock:
        last = max(load.acked.values())
    silent = time.monotonic() - last
    status = up.cli("status")
    os.kill(pid, signal.SIGCONT)
    eq(status[0], 0, status)
    assert "no region may acknowledge writes now" in status[1], status
    assert "out of touch with the coordinator: east" in status[1], status
    assert silent > 0.8, f"a write was acknowledged {silent} s before the end of the freeze"
    load.finish(50)


@tap.test("asked to, a writer goes on without the coordinator while every region agrees, and stops when one does not")
def _():
    with Up(args=["--kill-frozen", "0", "--watchdog", "0", "--keep-writing-without-coordinator", "yes"]) as alone:
        load = Writers(alone, alone.make_container("agreed"), threads=3)
        load.more(30)
        before = alone.beating()
        stopped = [alone.children()["coordinator"]]
        os.kill(stopped[0], signal.SIGSTOP)
        frozen_at = time.monotonic()

        def last():
            with load.lock:
                return max(load.acked.values())

        try:
            until("a write is acknowledged three leases later", lambda: last() > frozen_at + 4, 20)
            writer = alone.writer()
            status = alone.call("GET", "/_holdfast/status", region=writer).doc
            eq((status["coordinatorInTouch"], status["leaseFresh"]), (False, True), "of the writer")
            reader = next(n for n in alone.region_names if n != writer)
            stopped.append(alone.pid(reader))
            os.kill(stopped[1], signal.SIGSTOP)
            time.sleep(3)
            silent = time.monotonic() - last()
            assert silent > 1, f"a write was acknowledged {silent} s ago, and {reader} had not agreed"
            os.kill(stopped.pop(), signal.SIGCONT)
            again_at = time.monotonic()
            until("writes go on once it agrees again", lambda: last() > again_at, 20)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        load.finish(50, allow_feed=False)
        eq(alone.show()["generation"], before["generation"], "nobody took over")


@tap.test("each region's server in turn is killed and rejoins; writes are away for seconds at most")
def _():
    c = container("servers")
    load = Writers(up, c, threads=3)
    for name in up.region_names:
        load.more(30)
        pid = up.pid(name)
        os.kill(pid, signal.SIGKILL)
        restarted(f"server/{name}", pid)
        up.healthy()
    load.finish(30)
    assert load.gap() < 10, load.gap()


@tap.test("a server frozen for long is stood in for, then killed and started again")
def _():
    c = container("frozen")
    load = Writers(up, c, threads=3)
    load.more(20)
    writer = up.writer()
    pid = up.pid(writer)
    os.kill(pid, signal.SIGSTOP)
    until("another region writes", lambda: up.writer() != writer, 15)
    a = until("the front stands in at the frozen region's address",
              lambda: up.call("GET", f"{c}/docs/none", region=writer, headers=pk("a"), timeout=1))
    eq((a.status, a.substatus), (403, 1008), "reads at the frozen region")
    a = up.call("POST", f"{c}/docs", region=writer, body={"id": "x", "pk": "a"}, headers=pk("a"))
    eq((a.status, a.substatus), (403, 3), "writes at the frozen region")
    eq(up.call("GET", "/", region=writer).status, 200, "account document at the frozen region")
    until("the frozen process is gone", lambda: not is_running(pid), 10)
    restarted(f"server/{writer}", pid)
    load.finish()


@tap.test("two of three regions at once: what is left serves what it may, all comes back")
def _():
    c = container("two")
    load = Writers(up, c, threads=3)
    load.more(20)
    doc = up.show()
    for name in [doc["writer"], next(r["name"] for r in doc["regions"] if r["name"] != doc["writer"])]:
        os.kill(up.pid(name), signal.SIGKILL)
    load.finish(50)


@tap.test("everything but the supervisor is killed at once")
def _():
    c = container("all")
    load = Writers(up, c, threads=3)
    load.more(20)
    for pid in up.children().values():
        os.kill(pid, signal.SIGKILL)
    load.finish(50)


tap.run()
