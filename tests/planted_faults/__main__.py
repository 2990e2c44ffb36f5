"""Plant each fault in a copy of the tree and report which test catches it.

    python -m tests.planted_faults                    # all of them: a quarter of an hour and more
    python -m tests.planted_faults timesformer hub    # those whose names begin so
    python -m tests.planted_faults --root ../before   # against the tests of another checkout

The tests are those that pytest chooses by default; for a fault marked `slow`, those marked so as
well. In the end every test that caught something runs on the tree as it is: one that also fails
there has caught nothing. The exit code is 1 if a fault was missed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

from tests.planted_faults.fault import Fault
from tests.planted_faults.list import FAULTS
from tests.support.paths import ROOT

SKIPPED = shutil.ignore_patterns(".git", "__pycache__", "*.egg-info", "build", "dist", ".*_cache")
SECONDS = 900  # after which a run is given up
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_SLOW_TOO = ["-m", "not network and not tf_serving"]


class Found(NamedTuple):
    """What became of a fault: the test that caught it, or why none did."""

    fault: Fault
    test: str | None
    why: str
    seconds: float


def run_tests(root: Path, arguments: Iterable[str]) -> str | None:
    """Run tests of the tree at `root`; returns the first one that fails, None if all pass.

    Raises:
        RuntimeError: pytest could not run them, or took too long.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    settings = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=root, env=settings, capture_output=True, text=True, timeout=SECONDS
    )
    if done.returncode == 0:
        return None
    failed = _FAILED.search(done.stdout)
    if not failed:  # none was chosen, or pytest itself broke off
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}")
    return failed.group(1)


def check(fault: Fault, root: Path) -> Found:
    """Plant a fault in the copy at `root`, run its tests, and take it out again."""
    start, path = time.monotonic(), root / fault.file
    test, why, before = None, "its tests pass", path.read_text(encoding="utf-8")
    try:
        path.write_text(fault.planted(root), encoding="utf-8")
        test = run_tests(root, [*(_SLOW_TOO if fault.slow else []), *fault.tests.split()])
    except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
        why = str(error)
    finally:
        path.write_text(before, encoding="utf-8")
    return Found(fault, test, why, time.monotonic() - start)


def check_all(faults: Sequence[Fault], root: Path, jobs: int) -> list[Found]:
    """Check all faults, `jobs` at a time, each of them in a copy of its own.

    Raises:
        RuntimeError: A test that caught a fault also fails without it.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Path] = Queue()
        for index in range(jobs):
            copies.put(Path(shutil.copytree(root, Path(folder, str(index)), ignore=SKIPPED)))

        def work(fault: Fault) -> Found:
            copy = copies.get()
            try:
                found = check(fault, copy)
            finally:
                copies.put(copy)
            said = found.test or f"MISSED: {found.why}"
            print(f"{found.seconds:5.0f} s  {fault.name}: {said}", flush=True)
            return found

        found = list(pool.map(work, faults))
        tests = sorted({one.test for one in found if one.test})
        broken = run_tests(copies.queue[0], [*_SLOW_TOO, *tests]) if tests else None
        if broken:
            raise RuntimeError(f"{broken} fails without any fault: it has caught nothing.")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="beginnings of faults' names")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to test")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="only list them")
    asked = parser.parse_args(arguments)
    faults = [f for f in FAULTS if not asked.names or f.name.startswith(tuple(asked.names))]
    if not faults:
        parser.error(f"no fault's name begins with {' or '.join(asked.names)}")
    if asked.list:
        for fault in faults:
            print(f"{fault.name}: {fault.file}: {fault.old!r} -> {fault.new!r}")
        return 0
    found = check_all(faults, asked.root.resolve(), asked.jobs)
    missed = [one.fault.name for one in found if not one.test]
    print(f"{len(found)} faults, {len(found) - len(missed)} caught, {len(missed)} missed")
    print("\n".join(f"missed: {name}" for name in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
