"""The program as it was at an earlier commit, for tests of upgrades: built from the repository's own history, once,
into .cache/base-COMMIT.

    program = base.build(COMMIT)     # path of the program; base.Absent says why there is none
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Absent(Exception):
    """There is no history here, or not that far back: a tarball, a shallow clone."""


def git(*args, **options):
    """The checkout may belong to another user (a container's volume): reading it is all that is done."""
    return subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *args],
                          stdin=subprocess.DEVNULL, check=False, **options)


def run(command, **options):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)
    if p.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {(p.stdout + p.stderr)[-3000:]}")


def build(commit):
    target = ROOT / ".cache" / f"base-{commit[:12]}"
    program = target / "build/src/cli/holdfast"
    if program.exists():
        return str(program)
    try:
        found = git("cat-file", "-e", f"{commit}^{{tree}}", capture_output=True)
    except OSError as e:
        raise Absent(f"git does not run: {e}") from e
    if found.returncode != 0:
        raise Absent(f"commit {commit[:12]} is not in this repository's history (a tarball or a shallow clone)")
    target.parent.mkdir(exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="base-", dir=target.parent))
    try:
        archive = work / "source.tar"
        with open(archive, "wb") as out:
            if git("archive", "--format=tar", commit, stdout=out).returncode != 0:
                raise AssertionError(f"git archive {commit} failed")
        run(["tar", "-xf", str(archive), "-C", str(work)])
        archive.unlink()
        # Fast to build rather than fast; its tests and tools are not wanted.
        run(["meson", "setup", "build", "--buildtype=plain"], cwd=work)
        run(["ninja", "-j", str(os.cpu_count() or 2), "-C", "build", "src/cli/holdfast"], cwd=work)
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return str(program)
