"""A coordinator that is restored from yesterday's copy: it knows of an earlier writer and lower generations than
the regions have seen. They refuse it, loudly, serve what is safe, and nothing acknowledged is lost."""
import os
import pathlib
import shutil
import signal

from holdfast import Tap, Up, Writers, comment, eq, until

tap = Tap()


def log_of(up):
    return up.data / "coordinator" / "coordinator.log"


def restore(up, copy):
    """The file is another one from now on, and the coordinator starts again with it."""
    shutil.copy(copy, f"{log_of(up)}.new")
    os.replace(f"{log_of(up)}.new", log_of(up))
    os.kill(up.children()["coordinator"], signal.SIGKILL)


def events(up, region, kind):
    return [e for e in up.call("GET", "/events", region=region).doc["events"] if e["event"] == kind]


@tap.test("a coordinator restored from an old copy is refused by every region that knows better; the newest copy heals")
def _():
    with Up() as up:
        up.healthy()
        old = pathlib.Path(up.dir) / "old.log"
        shutil.copy(log_of(up), old)
        c = up.make_container("c")
        eq(up.cli("account", "failover", "west")[0], 0, "failover")
        until("west writes", lambda: up.show()["writer"] == "west" and up.show()["phase"] == "OPEN", 15)
        up.healthy()
        load = Writers(up, c, threads=2)
        load.more(50)
        newest = pathlib.Path(up.dir) / "newest.log"
        shutil.copy(log_of(up), newest)
        restore(up, old)
        for region in up.region_names:
            until(f"{region} says that the coordinator went backwards", lambda r=region: events(up, r, "stale_generation"), 20)
            eq(up.call("GET", "/health/write", region=region).status, 503, f"{region} takes no writes")
        before = load.count()
        comment(f"{before} writes acknowledged until the regions refused")
        load.end()
        eq(load.count(), before, "writes acknowledged under a coordinator from the past")
        log = (up.data / "run" / "west.log").read_text()
        assert "error region stale_generation" in log, "an error is logged"
        # The operator puts the newest copy back and starts again.
        up.stop()
        shutil.copy(newest, log_of(up))
        up.start()
        up.healthy(60)
        eq(up.show()["writer"], "west", "the writer of before")
        load.check(allow_feed=False)
        load.check_regions()


tap.run()
