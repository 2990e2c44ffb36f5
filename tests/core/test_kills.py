"""What replaces files is struck at each of its calls to the file system: old or new, never between.

The slow tests do so for every writer, kind of strike and file system, at every 75th call, or at
every one (minutes) where TFZOO_EVERY_CALL is set. They print how often.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.kills import (
    DONE,
    MODES,
    RAISED,
    STRIKES,
    run_short_of_room,
    snapshot,
    strike_everywhere,
    workshops,
)
from tests.support.processes import run_python
from tests.support.writers import WRITERS, Writer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked")
EVERY = 1 if os.environ.get("TFZOO_EVERY_CALL") else 75
HDF5 = ("keras folder", "h5", "h5 shards", "to weights", "region h5")  # it may crash then
each_writer = pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)


PLAIN = """
import sys
from pathlib import Path
from tests.support.kills import MODES, STRIKES, strike_everywhere
from tests.support.processes import run_python
from tests.support.writers import WRITERS

by_name = {writer.name: writer for writer in WRITERS}
for name, strikes, every in (("weights", STRIKES, 2), ("npz", STRIKES[:2], 2)):
    for strike in strikes:
        for mode in MODES[:2]:
            folder = Path(sys.argv[1], name, strike, mode)
            print(strike_everywhere(by_name[name], folder, strike, mode, every))
"""


def test_folders_are_whole_wherever_a_writer_is_struck(tmp_path: Path) -> None:
    """In a process without TensorFlow, which is forked in a tenth of the time."""
    counts = [int(count) for count in run_python(PLAIN, tmp_path).split()]
    assert len(counts) == 12
    assert min(counts) > 10


@each_writer
def test_every_writer_is_struck_now_and_then(writer: Writer, tmp_path: Path) -> None:
    assert strike_everywhere(writer, tmp_path / "a", "interrupt", every=15) > 0
    assert strike_everywhere(writer, tmp_path / "b", "kill", every=81) > 0


def modes(writer: Writer) -> Sequence[str]:
    """What matters to a writer: folders are exchanged, and others' files linked into new ones."""
    if writer.shares or writer.name == "h5 shards":
        return MODES
    return MODES[:1] if Path(writer.path).suffix else MODES[:2]


@pytest.mark.slow
@pytest.mark.parametrize("strike", STRIKES)
@each_writer
def test_every_writer_in_every_way(
    writer: Writer, strike: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mode in modes(writer):
        count = strike_everywhere(writer, tmp_path / mode, strike, mode, EVERY)
        with capsys.disabled():
            print(f"\nstruck: {writer.name}, {mode}: {strike} at {count} calls")
        assert count > 5 / EVERY


@each_writer
def test_short_writes_leave_the_old_version(writer: Writer, tmp_path: Path) -> None:
    """As on a full disk, which not Python alone writes to."""
    writer.write(tmp_path / "new" / writer.path, 2)
    for size in (0, 6_000, 10**7):
        root = tmp_path / str(size)
        writer.prepare(root)
        old = snapshot(root)
        code = run_short_of_room(partial(writer.write, root / writer.path, 2), size)
        if code == DONE:
            assert size > 0
            return
        assert snapshot(root) == old, size
        if code != -signal.SIGSEGV or writer.name not in HDF5:
            assert code == RAISED, size
            assert workshops(root) == [], size
    pytest.fail("too small a limit")


@each_writer
def test_files_have_the_users_rights(writer: Writer, tmp_path: Path) -> None:
    """What is new has those of the umask, what is replaced those of the old one."""

    def check(private: Sequence[Path]) -> list[Path]:
        paths = list((tmp_path / "root").rglob("*"))
        for path in paths:
            expected = (0o700, 0o600) if path in private else (0o750, 0o640)
            assert stat.S_IMODE(path.stat().st_mode) == expected[path.is_file()], path
        return paths

    before = os.umask(0o027)
    try:
        writer.prepare(tmp_path / "root")
        private = check([])
        for path in private:
            path.chmod(0o600 if path.is_file() else 0o700)
        writer.write(tmp_path / "root" / writer.path, 2)
    finally:
        os.umask(before)
    check(private)
