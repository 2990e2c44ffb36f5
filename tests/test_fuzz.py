"""Mutated files: some through each reader; `python -m tests.fuzz` reads 20,000."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.judge import SECONDS, Prepared, judge
from tests.fuzz.readers import LIGHT, READERS
from tests.fuzz.worker import judge_input, make_input, read_seeds
from tests.support.paths import ROOT
from tfzoo.io import ImageError, read_image

MUTANTS = 20  # of each reader, after its sound files


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in LIGHT else pytest.mark.slow) for n in READERS]
)
def test_mutated_files_are_accepted_rightly_or_refused(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound, prepared = read_seeds(reader, tmp_path), reader.prepare()
    faults = []
    for number in range(len(sound) + MUTANTS):
        start, files = time.process_time(), make_input(reader, sound, number, seed=0)
        verdict = judge_input(prepared, tmp_path / "work", files, number < len(sound))
        assert time.process_time() - start < SECONDS
        if verdict.kind == "fault":
            faults.append((number, verdict))
    assert faults == []


def test_the_same_seed_makes_the_same_mutants(tmp_path: Path) -> None:
    reader = READERS["pickle"]
    sound = read_seeds(reader, tmp_path)
    one, same = ([make_input(reader, sound, i, seed=1) for i in range(4, 40)] for _ in range(2))
    assert one == same
    assert sum(files not in sound for files in one) > 30


def refusing(error: Exception) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "kind", "text"),
    [
        (refusing(ImageError("expected an image")), "refused", "ImageError"),
        (refusing(KeyError("size")), "fault", "KeyError"),
        (refusing(ImageError("an image \x1b[31m")), "fault", "control characters"),
        (refusing(ImageError("a" * 20_000)), "fault", "more than"),
        (lambda folder: int("²"), "fault", "not raised on purpose"),
        (lambda folder: folder, "accepted", ""),
    ],
    ids=["documented", "undocumented", "control", "long", "raw", "accepted"],
)
def test_errors_are_judged(read: Callable, kind: str, text: str, tmp_path: Path) -> None:
    """By the docstrings of `read_image` and of a function that documents ValueError."""

    def documented() -> None:
        """Read.

        Raises:
            ValueError: Never.
        """

    verdict = judge(Prepared(read, lambda found: None, [read_image, documented]), tmp_path)
    assert verdict.kind == kind
    assert text in verdict.type


@pytest.mark.slow
def test_the_command_reads_in_processes_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", "40", "--reader", "pickle"]
    command += ["--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-10_000:]
    assert re.search(r"^all +40 +\d+ +\d+ +0 ", done.stdout, re.MULTILINE), done.stdout
