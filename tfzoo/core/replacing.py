"""Files and folders that are replaced as a whole. Standard library only.

New content is first written to a workshop: a hidden folder beside its place, locked by the process
that writes. Then it takes its place in one step. Whenever the process is killed or interrupted, or
the disk is full, what is there is the whole old content or the whole new one; the workshop is
removed by the next call.

`replacing` does that for a file or a folder, `updating` for some files of a folder. Inside their
blocks further calls write straight into the workshop, so that what several functions write takes
its place together.

A folder needs a system that exchanges two folders in one step, as Linux and macOS do on most of
their own file systems. Elsewhere its old content waits in the workshop for a moment, or the new
one does: the next call, or `recover` before the next reading, finishes it or takes it back. A
folder that cannot be moved keeps its place and gets new content. Who holds the folder itself open
or has it as a bind mount, in a container say, sees an emptied one once it is replaced, and has to
open it again: mount the folder above it.

What replaces a file or folder has the rights of the old one, what is new those of the umask.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfzoo.core import file_system as system
from tfzoo.core.untrusted import is_plain_name

__all__ = ["destination", "recover", "replacing", "updating"]

_MARK = ".tfzoo-unfinished"  # ends the name of a workshop
_ADDED = len("..12345678") + len(_MARK)  # what the name of a workshop has beside its target's
_OLD = ".old"  # added to the name of a folder that makes room for the new one
_PLAN = "plan.json"  # what an update still has to do; written when all of its files are there
_MAX_PLAN = 2**25

_Test = Callable[[str], bool]


@dataclass
class _Update:
    """What an update does to its folder beside adding files; blocks inside it add to this."""

    folder: Path
    obsolete: list[_Test] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    is_whole: bool = False  # whether everything else in the folder goes

    def drops(self, path: Path) -> bool:
        """Whether something that is in the folder goes."""
        if self.is_whole:
            return not path.name.endswith(_MARK)
        return any(is_obsolete(path.name) for is_obsolete in self.obsolete) and not path.is_dir()

    def add(self, obsolete: _Test | None, gates: Iterable[str]) -> None:
        self.obsolete += [] if obsolete is None else [obsolete]
        self.gates += [name for name in gates if name not in self.gates]


# Where running blocks write to: nobody else sees it, and it takes its place when they end.
_under_way: dict[Path, _Update | None] = {}


@contextlib.contextmanager
def replacing(target: Path, force: bool) -> Iterator[Path]:
    """A path to write to, whose file or folder takes the place of `target` after the block.

    Args:
        target: File or folder to write; folders above it are made.
        force: Whether it may exist, and then be replaced.

    Raises:
        FileExistsError: It exists, and `force` is not given; or it is a folder to be replaced that
            holds the working directory.
        IsADirectoryError: A file was written, and the target is a folder.
        NotADirectoryError: A folder was written, and the target is a file.
        OSError: It cannot be written.

    Example:
        >>> target = Path(tempfile.mkdtemp()) / "greeting.txt"
        >>> with replacing(target, force=True) as path:
        ...     _ = path.write_text("hello")
        >>> target.read_text()
        'hello'
    """
    target = _absolute(target)
    if _is_private(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        yield target
        return
    if target.is_symlink():  # what it leads to is written, as by `open`
        target = Path(os.path.realpath(target))
    if target.is_dir() and system.holds_working_directory(target):
        raise FileExistsError(f"{target} holds the working directory: choose another name.")
    with _workshop(target, target.parent) as workshop:
        if os.path.lexists(target) and not force:
            raise FileExistsError(f"{target} exists: choose another name, or allow to replace it.")
        made = workshop / target.name
        with _private(made):
            yield made
        system.sync(made)
        exists = os.path.lexists(target)
        if exists and not force:
            raise FileExistsError(f"{target} has come to exist meanwhile; it is not replaced.")
        _check_kind(made, target)
        _keep_rights(made, target)
        if not (exists and made.is_dir() and system.exchange(made, target)):
            if exists and made.is_dir() and not _moved(target, workshop / f"{target.name}{_OLD}"):
                _refill(target, made)
            else:
                os.replace(made, target)
        system.sync_names(target.parent)


@contextlib.contextmanager
def updating(
    folder: Path, obsolete: _Test | None = None, gates: Iterable[str] = ()
) -> Iterator[Path]:
    """An empty folder to write to, whose files take their places in `folder` together.

    Other files of the folder stay as they are.

    Args:
        folder: Made where needed, with those above it.
        obsolete: Whether an older file of this name goes when the new ones come.
        gates: Files without which no reader takes the others for whole, the first one first: where
            the files cannot be replaced in one step, these go before them and come after them.

    Raises:
        IsADirectoryError: A file was written where the folder has a folder.
        NotADirectoryError: The folder is a file, or has one where a folder was written.
        OSError: The folder cannot be written.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with updating(folder) as new:
        ...     for name in ("a.txt", "b.txt"):
        ...         _ = (new / name).write_text("hello")
        >>> sorted(os.listdir(folder))
        ['a.txt', 'b.txt']
    """
    folder = _absolute(folder)
    if _is_private(folder):
        folder.mkdir(parents=True, exist_ok=True)
        outer = _under_way.get(folder)
        if outer is not None:
            outer.add(obsolete, gates)
        yield folder
        return
    folder = Path(os.path.realpath(folder))
    update = _Update(folder)
    update.add(obsolete, gates)
    with _workshop(folder, folder if folder.exists() else folder.parent) as workshop:
        staging = workshop / folder.name
        staging.mkdir()
        with _private(staging, update):
            yield staging
        system.sync(staging)
        _commit(workshop, folder, update)


def destination(folder: Path) -> Path:
    """The folder that holds the present files: while one is updated, not the one written to.

    Args:
        folder: Any folder, or what `updating` gave for one.

    Example:
        >>> folder = Path(tempfile.mkdtemp()).resolve()
        >>> with updating(folder) as new:
        ...     print(destination(new) == folder, destination(folder) == folder)
        True True
    """
    update = _under_way.get(_absolute(folder))
    return folder if update is None else update.folder


def recover(path: Path) -> None:
    """Finish or undo what a killed process left of a file or folder that is about to be read.

    Nothing happens where nothing was left, or where this process may not write.

    Args:
        path: A folder, a file in one, or where either should be.
    """
    with contextlib.suppress(OSError, ValueError):  # the latter for what cannot be a path
        path = _absolute(path)
        if not os.path.lexists(path):
            _remove_abandoned(path.parent)
        folder = path if path.is_dir() else path.parent
        if any(_read_plan(workshop) for workshop in _inside(folder)):
            with system.locked(folder):
                _finish(folder)
        if _inside(folder):
            _remove_abandoned(folder)


def _absolute(path: Path) -> Path:
    """The absolute form of a path, in which `..` goes up from where a link before it leads to."""
    return Path(os.path.realpath(path) if ".." in path.parts else os.path.abspath(path))


def _moved(folder: Path, place: Path) -> bool:
    """Move a folder, unless it is a mount point or comes from a lower layer of an overlay."""
    try:
        os.rename(folder, place)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        return False
    return True


def _refill(folder: Path, made: Path) -> None:
    """Give a folder the content of another, which may be of another file system, and no other."""
    workshop, lock = _locked_folder(folder, ".")
    try:
        staging = workshop / folder.name
        shutil.copytree(made, staging, symlinks=True)
        system.sync(staging)
        files = [path.name for path in staging.iterdir() if not path.is_dir()]
        _commit(workshop, folder, _Update(folder, gates=files, is_whole=True))
    finally:
        _clear(workshop)
        lock.close()


# ---- workshops
def _is_private(path: Path) -> bool:
    """Whether a running block writes to this path or to a folder above it."""
    return any(place in _under_way for place in (path, *path.parents))


@contextlib.contextmanager
def _private(made: Path, update: _Update | None = None) -> Iterator[None]:
    _under_way[made] = update
    try:
        yield
    finally:
        del _under_way[made]


@contextlib.contextmanager
def _workshop(target: Path, where: Path) -> Iterator[Path]:
    """An empty folder that is removed at the end, and the folders made for it after a failure.

    Args:
        target: What is to be written.
        where: The folder to make it in: that above the target, or the target itself.
    """
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for folder in {target.parent, where}:
                _remove_abandoned(folder)
            workshop, lock = _new_workshop(target, where)
        except OSError as error:
            # The kind stays: PermissionError, NotADirectoryError, ...
            raised = type(error)(f"{where} cannot be written to: {error.strerror}.")
            if error.errno == errno.ENAMETOOLONG:
                raised = OSError(
                    f"{target}: the name is too long. While it is written, a name that has "
                    f"{_ADDED} bytes more stands beside it: choose a shorter one."
                )
            raised.errno = error.errno
            raise raised from error
        try:
            yield workshop
        finally:
            try:
                _clear(workshop)
            finally:
                lock.close()
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def _new_workshop(target: Path, where: Path) -> tuple[Path, system.Lock]:
    """An empty folder beside `target`, or else in it, and the lock on it.

    One that is made in the target has its group and default rights. Whether it can be moved beside
    it shows whether the two are of one file system, and the folder above may be written.
    """
    if where != target:
        return _locked_folder(where, f".{target.name}.")
    with system.locked(target):
        _finish(target)
        workshop, lock = _locked_folder(target, ".")
        beside = target.parent / f".{target.name}{workshop.name}"
        try:
            os.rename(workshop, beside)
        except OSError:
            return workshop, lock
        return beside, lock


def _locked_folder(where: Path, prefix: str) -> tuple[Path, system.Lock]:
    while True:
        made = Path(tempfile.mkdtemp(dir=where, prefix=prefix, suffix=_MARK))
        lock = system.Lock(made, wait=True)
        if made.is_dir():
            return made, lock
        lock.close()  # before the lock, another process took it for abandoned


def _target_of(workshop: Path) -> Path:
    """What a workshop is for, from its name: `.<name>.<random><mark>`, or without the name."""
    name = workshop.name[1:].removesuffix(_MARK).rpartition(".")[0]
    return workshop.parent if name in ("", "..") else workshop.parent / name


def _inside(folder: Path) -> list[Path]:
    """The workshops in a folder for its own files."""
    return [path for path in folder.glob(f".*{_MARK}") if _target_of(path) == folder]


def _remove_abandoned(folder: Path) -> None:
    """Remove the workshops in a folder of processes that have ended: nobody holds their locks."""
    for workshop in list(folder.glob(f".*{_MARK}")):
        lock = system.Lock(workshop)
        with contextlib.suppress(OSError):
            if lock.is_held and _is_own(workshop):
                _clear(workshop)
        lock.close()


def _is_own(workshop: Path) -> bool:
    """Whether it is this user's: what strangers put into a shared folder is left alone."""
    found = workshop.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == getattr(os, "geteuid", lambda: 0)()


def _clear(workshop: Path) -> None:
    """Put back into its target what only a workshop has, and remove it."""
    target = _target_of(workshop)
    if workshop.parent == target and (workshop / _PLAN).is_file():
        return  # all of it is to take its place in the target
    old = workshop / f"{target.name}{_OLD}"
    if os.path.lexists(old) and not os.path.lexists(target):
        os.rename(old, target)
    _give_back(workshop, target)
    shutil.rmtree(workshop, ignore_errors=True)


# ---- the files of a folder
def _commit(workshop: Path, folder: Path, update: _Update) -> None:
    """Let the files take their places, and remove those that are obsolete."""
    staging = workshop / folder.name
    if not folder.exists():
        try:
            os.rename(staging, folder)
        except OSError:
            if not folder.is_dir():  # which it has become meanwhile
                raise
        else:
            system.sync_names(folder.parent)
            return
    with system.locked(folder):
        _finish(folder)
        new = os.listdir(staging)
        for name in new:
            _check_kind(staging / name, folder / name)
            _keep_rights(staging / name, folder / name)
        obsolete = [
            name for name in os.listdir(folder) if name not in new and update.drops(folder / name)
        ]
        if len(new) == 1 and not obsolete and not (staging / new[0]).is_dir():
            os.replace(staging / new[0], folder / new[0])
        elif new or obsolete:
            plan = {
                "name": folder.name,
                "new": new,
                "obsolete": obsolete,
                "gates": update.gates,
                "old": {name: _identity(folder / name) for name in (*new, *obsolete)},
                "kept": {},
            }
            if workshop.parent == folder or not _exchanged(workshop, folder, plan):
                _commit_in_place(workshop, folder, plan)
    system.sync_names(folder)


def _exchanged(workshop: Path, folder: Path, plan: dict[str, Any]) -> bool:
    """Complete the new files to a new folder, of hard links, and exchange the two if possible.

    It is not where the folder holds others, which may be large, or where a process works in it,
    which would find itself in the old one. `_clear` removes that.
    """
    staging = workshop / folder.name
    kept: dict[str, int] = {}
    if system.is_working_directory(folder):
        return False
    others = [e for e in os.scandir(folder) if e.name not in (*plan["new"], *plan["obsolete"])]
    is_ready = not any(entry.is_dir(follow_symlinks=False) for entry in others)
    if is_ready:
        try:
            for entry in others:
                os.link(entry.path, staging / entry.name, follow_symlinks=False)
                kept[entry.name] = entry.inode()
            _take_over_rights(folder, staging)
            _write_plan(workshop, {**plan, "kept": kept})
        except (OSError, RuntimeError):  # a file system without such links, say
            is_ready = False
    if is_ready and system.exchange(staging, folder):
        return True
    for name in kept:
        (staging / name).unlink()
    return False


def _take_over_rights(folder: Path, new: Path) -> None:
    own, other = new.stat(), folder.stat()
    if (own.st_uid, own.st_gid) != (other.st_uid, other.st_gid):
        os.chown(new, other.st_uid, other.st_gid)
    shutil.copystat(folder, new)
    os.utime(new)


def _give_back(workshop: Path, folder: Path) -> None:
    """Give a folder what others put into its old version at the moment of its exchange."""
    plan = _read_plan(workshop)
    if plan is None or folder.is_symlink() or not folder.is_dir():
        return
    if not (workshop / plan["name"]).is_dir():
        return
    own = {*plan["new"], *plan["obsolete"]}
    for entry in list(os.scandir(workshop / plan["name"])):
        place, kept = folder / entry.name, plan["kept"].get(entry.name)
        if entry.name in own or entry.inode() == kept:
            continue
        if not os.path.lexists(place) or os.lstat(place).st_ino == kept:
            os.replace(entry.path, place)


def _commit_in_place(workshop: Path, folder: Path, plan: dict[str, Any]) -> None:
    """Let the files take their places one by one.

    Once the workshop lies in the folder and has a plan, whoever comes next finishes the update.
    """
    _write_plan(workshop, plan)
    if workshop.parent != folder:
        inside = folder / workshop.name.removeprefix(f".{folder.name}")
        os.rename(workshop, inside)
        workshop = inside
    try:
        _roll_forward(workshop, folder, plan)
    finally:  # again, should it have been interrupted
        if workshop.exists():
            _roll_forward(workshop, folder, plan)


def _finish(folder: Path) -> None:
    """Finish the updates of a locked folder that killed processes left."""
    for workshop in _inside(folder):
        plan = _read_plan(workshop)
        if plan is not None and _is_superseded(workshop, folder, plan):
            shutil.rmtree(workshop, ignore_errors=True)
        elif plan is not None:
            _roll_forward(workshop, folder, plan)


def _is_superseded(workshop: Path, folder: Path, plan: dict[str, Any]) -> bool:
    """Whether another program has meanwhile written what is to be replaced."""
    waiting = [name for name in plan["new"] if os.path.lexists(workshop / plan["name"] / name)]
    found = {name: _identity(folder / name) for name in (*waiting, *plan["obsolete"])}
    return any(own not in (None, plan["old"].get(name)) for name, own in found.items())


def _identity(path: Path) -> list[int] | None:
    """What changes when a file does, or when a folder is another one; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    is_folder = stat.S_ISDIR(found.st_mode)
    return [found.st_ino] if is_folder else [found.st_size, found.st_mtime_ns]


def _roll_forward(workshop: Path, folder: Path, plan: dict[str, Any]) -> None:
    """Do what is left of a plan. Any step may have been done before, or be done by another."""
    staging, gates = workshop / plan["name"], plan["gates"]
    waiting = [name for name in plan["new"] if os.path.lexists(staging / name)]
    old = [name for name in gates if name in waiting]
    for name in [*old, *plan["obsolete"]]:
        if _identity(folder / name) == plan["old"].get(name):
            _remove(folder / name)
    behind = [name for name in reversed(gates) if name in waiting]
    for name in [*(name for name in waiting if name not in gates), *behind]:
        if (staging / name).is_dir():
            _remove(folder / name)  # a folder, or a link to one
        with contextlib.suppress(FileNotFoundError):
            os.replace(staging / name, folder / name)
    system.sync_names(folder)
    shutil.rmtree(workshop, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_plan(workshop: Path, plan: dict[str, Any]) -> None:
    unfinished = workshop / f"{_PLAN}.tmp"
    unfinished.write_text(json.dumps(plan), encoding="utf-8")
    system.sync(unfinished)
    os.replace(unfinished, workshop / _PLAN)


def _read_plan(workshop: Path) -> dict[str, Any] | None:
    """The plan in a workshop, None if there is none.

    It may be a stranger's, come with a folder: none of its names leads out of that folder.
    """
    path = workshop / _PLAN
    try:
        found = path.lstat()
        if not _is_own(workshop) or not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_PLAN:
            return None
        plan = json.loads(path.read_text(encoding="utf-8"))
        lists = [plan["new"], plan["obsolete"], plan["gates"]]
        maps = [plan["old"], plan["kept"]]
        names = [plan["name"], *(name for part in (*lists, *maps) for name in part)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    has_form = all(isinstance(part, list) for part in lists)
    has_form = has_form and all(isinstance(part, dict) for part in maps)
    if not has_form or not all(map(is_plain_name, names)):
        return None
    return None if (workshop / plan["name"]).is_symlink() else plan


def _keep_rights(made: Path, target: Path) -> None:
    """Give a file, or a folder with all in it, the rights of those that it replaces."""
    for path in sorted([made, *made.rglob("*")], reverse=True):  # folders after what is in them
        old = target / path.relative_to(made)
        is_kept = os.path.lexists(old) and not old.is_symlink() and not path.is_symlink()
        if is_kept and old.is_dir() == path.is_dir():
            shutil.copymode(old, path)


def _check_kind(made: Path, target: Path) -> None:
    """Refuse to put a file in a folder's place, and the other way round."""
    if not os.path.lexists(target) or made.is_dir() == target.is_dir():
        return
    if made.is_dir():
        raise NotADirectoryError(f"{target}: expected a folder to replace, found a file.")
    raise IsADirectoryError(f"{target}: expected a file to replace, found a folder.")
