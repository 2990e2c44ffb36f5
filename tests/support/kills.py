"""Processes that are killed, interrupted or failed by the system at any call to the file system.

A process is forked for each call of what is tested, and killed at that call; what only raises needs
one for all calls. Python reports the calls itself, before they are made: `sys.addaudithook`.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import resource
import shutil
import signal
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import h5py

from tests.support.paths import ROOT
from tests.support.writers import Writer
from tfzoo.core import file_system, replacing

__all__ = [
    "DONE",
    "MODES",
    "RAISED",
    "STRIKES",
    "run_short_of_room",
    "snapshot",
    "strike_everywhere",
    "workshops",
]

_CALLS = {
    "exchange",
    "fcntl.flock",
    "open",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "os.setxattr",
    "os.truncate",
    "os.utime",
}
_NEED_ROOM = {"os.mkdir", "os.link"}
_OTHERS = (sys.prefix, sys.base_prefix, str(ROOT), "/dev", "/etc", "/proc", "/sys", "/usr")
_SECONDS = 60  # that a child may take

STRIKES = ("kill", "interrupt", "failure", "full disk")
MODES = ("exchange", "no exchange", "no links", "inside")

DONE, SPARED, RAISED, WRONG = 0, 3, 4, 5

State = dict[str, Any]
Work = Callable[[], Any]


def strike_everywhere(
    writer: Writer, folder: Path, strike: str, mode: str = "exchange", every: int = 1
) -> int:
    """Strike a writer at each call, and check what is there afterwards and after the next run.

    Args:
        writer: Writes its first version, and then the second one, at which it is struck.
        folder: An empty folder to work in.
        strike: One of `STRIKES`.
        mode: One of `MODES`: what the system can do.
        every: Strike at every how many calls.

    Returns:
        How often it was struck.
    """
    with mock.patch.object(os, "fsync", _pass):  # it takes time, and a kill does not show it
        return _strike_everywhere(writer, folder, strike, mode, every)


def _strike_everywhere(writer: Writer, folder: Path, strike: str, mode: str, every: int) -> int:
    before, after = folder / "before", folder / "after"
    writer.prepare(before)
    shutil.copytree(before, after)
    writer.write(after / writer.path, 2)
    if strike == "kill":
        return _strikes(writer, folder, strike, mode, every, _apart)
    report = folder / "report"
    code = _forked(
        lambda: report.write_text(str(_strikes(writer, folder, strike, mode, every, _attempt)))
    )
    assert code == DONE, (writer.name, strike, mode)
    return int(report.read_text())


def _strikes(
    writer: Writer, folder: Path, strike: str, mode: str, every: int, attempt: Callable[..., int]
) -> int:
    old, new = snapshot(folder / "before"), snapshot(folder / "after")
    assert old != new
    for call in itertools.count(1, every):
        root = folder / "here"
        shutil.copytree(folder / "before", root)
        where = f"{writer.name}, {strike} at call {call}, {mode}"
        work = partial(writer.write, root / writer.path, 2)
        code = attempt(work, call, strike, mode)
        assert code in (DONE, SPARED, RAISED, -signal.SIGKILL), where
        if mode == "exchange":
            assert snapshot(root) in (old, new), where
        else:
            _check_readers(root, old, new, writer, where)
        replacing.recover(root / writer.path)
        assert snapshot(root) in (old, new), where
        if strike == "full disk":
            assert workshops(root) == [], where
        if code == DONE:
            assert snapshot(root) == new, where
            return (call - 1) // every
        work()
        assert snapshot(root) == new, where
        assert workshops(root) == [], where
        shutil.rmtree(root)
    raise AssertionError


def _check_readers(root: Path, old: State, new: State, writer: Writer, where: str) -> None:
    """Readers that know nothing of workshops find the files they need of one version, or not."""
    found = snapshot(root)
    for whole in (old, new):
        gates = [str(Path(writer.path, name)) for name in writer.gates]
        gates = [name for name in gates if name in whole]
        if gates and all(found.get(name) == whole[name] for name in gates):
            assert found == whole, where


# ---- being struck
def run_short_of_room(work: Work, size: int) -> int:
    """Run `work` in a forked process in which no file may grow beyond a size.

    Returns:
        `DONE`, `RAISED` for an error of the system, `WRONG` for any other, or a negative signal.
    """

    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            work()
        except OSError:
            return RAISED
        return DONE

    return _forked(limited)


def _apart(work: Work, call: int, strike: str, mode: str) -> int:
    return _forked(lambda: _attempt(work, call, strike, mode))


def _forked(work: Work) -> int:
    """What `work` returns in a forked process, if that is a number; or its signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which stay behind
        child = os.fork()
    if not child:
        code = WRONG
        try:
            signal.alarm(_SECONDS)
            sys.stdout = io.StringIO()
            code = work()
            code = code if code in (SPARED, RAISED) else DONE
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


_hook: Callable[[str, tuple[Any, ...]], None] | None = None


def _attempt(work: Work, call: int, strike: str, mode: str) -> int:
    """Run `work`, and strike it at one of its calls."""
    global _hook
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _CALLS or _is_elsewhere(arguments):
            return
        count += 1
        if strike == "full disk" and count >= call and _needs_room(event, arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if count == call and strike == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == call and strike == "interrupt":
            raise KeyboardInterrupt
        if count == call and strike == "failure":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    if _hook is None:  # such hooks stay for good: one for all
        sys.addaudithook(lambda *event: _hook(*event))
        _arrange(mode)
    _hook = hook
    try:
        work()
    except (OSError, KeyboardInterrupt, UnboundLocalError):  # the last from Keras's own clean-up
        return RAISED
    finally:
        _hook = _pass
    return SPARED if count >= call else DONE


def _pass(*_: Any) -> None:
    """Strike nobody."""


def _is_elsewhere(arguments: tuple[Any, ...]) -> bool:
    """Whether a call is for a file of Python's or the system's."""
    return isinstance(arguments[0], (str, os.PathLike)) and str(arguments[0]).startswith(_OTHERS)


def _needs_room(event: str, arguments: tuple[Any, ...]) -> bool:
    return event in _NEED_ROOM or (event == "open" and bool(arguments[2] & os.O_CREAT))


def _arrange(mode: str) -> None:
    """Let the system lack what some lack."""
    exchange, rename = file_system.exchange, os.rename

    def reported(one: Path, two: Path) -> bool:
        sys.audit("exchange", one)
        done = mode == "exchange" and exchange(one, two)
        sys.audit("exchange", one)
        return done

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def inside(source: Any, target: Any) -> None:
        if mode == "inside" and Path(target).parent == Path(source).parent.parent:
            refused()
        rename(source, target)

    file_system.exchange, os.rename = reported, inside
    if mode == "no links":
        os.link = refused


# ---- what is there
def snapshot(root: Path) -> State:
    """The content of all files, but for those in workshops."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(root)): _content(path)
        for path in files
        if not any(part.endswith(replacing._MARK) for part in path.relative_to(root).parts)
    }


def workshops(root: Path) -> list[Path]:
    """The workshops that are there, and other temporary files."""
    endings = (replacing._MARK, ".tmp")
    return [path for path in root.rglob("*") if path.name.endswith(endings)]


def _content(path: Path) -> Any:
    """What is in a file, without the time at which it was written."""
    if path.name == "metadata.json":
        return "Keras's version and the time"
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            weights = io.BytesIO(archive.read("model.weights.h5"))
            return archive.read("config.json"), _arrays(weights)
    return _arrays(path) if path.suffix == ".h5" else path.read_bytes()


def _arrays(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tolist()

    with h5py.File(file) as opened:
        opened.visititems(note)
    return found
