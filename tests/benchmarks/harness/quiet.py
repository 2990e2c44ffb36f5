"""Whether the machine is quiet enough to measure on. Linux only: it reads /proc."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["MAX_FOREIGN", "MAX_LOAD", "BusyError", "Quiet"]

MAX_LOAD = 0.7  # load average of one minute
MAX_FOREIGN = 0.1  # cores that other programs keep busy while a worker runs
_PAUSE = 5.0
_SAMPLE = 2.0  # seconds that are looked at before each turn
_NEWS = 60.0  # seconds between two lines that say what is waited for

T = TypeVar("T")


class BusyError(RuntimeError):
    """Something else runs, so that no figure would mean anything."""


class Quiet:
    """Keeps a benchmark from running beside anything else.

    Args:
        wait: Seconds that may be spent on waiting and on repeating what was disturbed.
    """

    def __init__(self, wait: float) -> None:
        self.deadline = time.monotonic() + wait
        self._last_news = -_NEWS

    def begin(self) -> None:
        """Return when the load average is low enough.

        Raises:
            BusyError: It has not become so in time.
        """
        while (load := os.getloadavg()[0]) > MAX_LOAD:
            self._pause(f"the load average is {load:.2f}, above {MAX_LOAD}")

    def undisturbed(self, work: Callable[[], T]) -> tuple[T, float]:
        """Run `work`, which computes in child processes, until nothing disturbs it.

        The load average cannot tell: the work itself raises it.

        Returns:
            Its result, and the cores that other programs kept busy meanwhile.

        Raises:
            BusyError: It was disturbed each time, until the time was over.
        """
        while True:
            self._settle()
            start, busy, own = time.monotonic(), _busy_seconds(), _own_seconds()
            result = work()
            others = (_busy_seconds() - busy) - (_own_seconds() - own)
            foreign = max(0.0, others / (time.monotonic() - start))
            if foreign <= MAX_FOREIGN:
                return result, foreign
            self._pause(f"other programs kept {foreign:.2f} cores busy during a turn")

    def _settle(self) -> None:
        """Return when nothing runs; whatever does now is foreign."""
        while True:
            busy = _busy_seconds()
            time.sleep(_SAMPLE)
            foreign = (_busy_seconds() - busy) / _SAMPLE
            if foreign <= MAX_FOREIGN:
                return
            self._pause(f"other programs keep {foreign:.2f} cores busy")

    def _pause(self, why: str) -> None:
        if time.monotonic() + _PAUSE > self.deadline:
            raise BusyError(
                f"The machine is busy ({why}): PyTorch would look several times slower than it "
                "is. Stop what else runs, or let --wait SECONDS wait for it."
            )
        if time.monotonic() - self._last_news >= _NEWS:
            self._last_news = time.monotonic()
            print(f"waiting: {why}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)


def _busy_seconds() -> float:
    """CPU time that all programs, and other guests of the host, have used since the start."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
