"""Files and folders that are replaced as a whole; what a kill leaves, see `test_kills`."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tfzoo.core import file_system
from tfzoo.core import replacing as module
from tfzoo.core.files import write_json
from tfzoo.core.replacing import destination, recover, replacing, updating


def texts(folder: Path) -> dict[str, str]:
    """All that is in a folder."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fill(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(params=["exchange", "no exchange"])
def system(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a system that exchanges folders and with one that does not."""
    if request.param == "no exchange":
        monkeypatch.setattr(file_system, "exchange", lambda one, two: False)
    return request.param


# ---- replacing
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_the_old_one(kind: str, tmp_path: Path, system: str) -> None:
    target = tmp_path / "target"
    old = target if kind == "file" else target / "inside"
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")

    def write(text: str) -> None:
        with replacing(target, force=True) as path:
            new = path if kind == "file" else path / "inside"
            new.parent.mkdir(exist_ok=True)
            new.write_text(text)
            if text == "broken":
                raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        write("broken")
    assert old.read_text() == "old"
    write("new")
    assert old.read_text() == "new"
    with pytest.raises(FileExistsError, match="exists: choose"), replacing(target, force=False):
        pytest.fail("too late")
    assert old.read_text() == "new"
    assert os.listdir(tmp_path) == ["target"]


def test_what_has_come_to_exist_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with (
        pytest.raises(FileExistsError, match="has come to exist meanwhile"),
        replacing(target, force=False) as path,
    ):
        shutil.copy(fill(tmp_path, target="theirs") / "target", path)
    assert texts(tmp_path) == {"target": "theirs"}


def test_a_folder_comes_back_if_its_replacement_was_killed(tmp_path: Path) -> None:
    """As it is after a kill between the two steps in which a folder is replaced."""
    for finish in (recover, lambda target: write_json(target.with_name("other"), {})):
        old = tmp_path / ".target.x.tfzoo-unfinished" / "target.old"
        fill(old, inside="old")
        finish(tmp_path / "target")
        assert texts(tmp_path / "target") == {"inside": "old"}
        (tmp_path / "other").unlink(missing_ok=True)
        assert os.listdir(tmp_path) == ["target"]
        (tmp_path / "target" / "inside").unlink()
        (tmp_path / "target").rmdir()


def test_an_unwritable_folder_keeps_its_kind_of_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="inside cannot be written to: Not a directory"):
        write_json(tmp_path / "file" / "inside" / "x.json", {})


@pytest.mark.parametrize("call", [replacing, updating])
def test_names_without_room_for_that_of_a_workshop_are_refused(call: Any, tmp_path: Path) -> None:
    options = {"force": True} if call is replacing else {}
    with call(tmp_path / ("x" * 228), **options) as path:
        fill(path, a="new")
    with pytest.raises(OSError, match="x: the name is too long.* 27 bytes more"):  # noqa: SIM117
        with call(tmp_path / ("x" * 229), **options):
            pytest.fail("too late")
    assert texts(tmp_path) == {f"{'x' * 228}/a": "new"}


def test_what_replaces_has_the_rights_of_the_old(tmp_path: Path, system: str) -> None:
    """In folders inside as well; a link's are not its own."""
    target = fill(tmp_path / "target", a="old", link="old", other="old")
    fill(target / "inside", a="old")
    target.joinpath("link").unlink()
    target.joinpath("link").symlink_to("other")
    for path, mode in ((target, 0o711), (target / "inside", 0o700), (target / "other", 0o604)):
        path.chmod(mode)
    for path in (target / "a", target / "inside" / "a"):
        path.chmod(0o400)
    before = os.umask(0o022)
    try:
        for _ in range(2):
            with replacing(target, force=True) as path:
                fill(path, a="new", link="new", new="new")
                fill(path / "inside", a="new", new="new")
    finally:
        os.umask(before)
    modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
    private = {"target/a": 0o400, "target/inside": 0o700, "target/inside/a": 0o400}
    public = dict.fromkeys(("target/link", "target/new", "target/inside/new"), 0o644)
    assert modes == {"target": 0o711, **private, **public}


def test_a_failure_leaves_no_new_folders(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "a" / "b" / "c", force=False):
        raise RuntimeError
    with pytest.raises(RuntimeError), updating(tmp_path / "a" / "b"):
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_files_and_folders_do_not_replace_each_other(tmp_path: Path) -> None:
    fill(tmp_path / "folder", mine="old")
    (tmp_path / "file").write_text("old")
    with pytest.raises(IsADirectoryError, match="expected a file to replace, found a folder"):
        write_json(tmp_path / "folder", {})
    with (
        pytest.raises(NotADirectoryError, match="expected a folder to replace, found a file"),
        replacing(tmp_path / "file", force=True) as path,
    ):
        path.mkdir()
    assert texts(tmp_path) == {"file": "old", "folder/mine": "old"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_leads_to_what_is_written(kind: str, tmp_path: Path, system: str) -> None:
    real = fill(tmp_path / "store", real="old") / ("real" if kind == "file" else "")
    (tmp_path / "link").symlink_to(real)
    with replacing(tmp_path / "link", force=True) as path:
        (path.write_text("new") if kind == "file" else fill(path, real="new"))
    assert (tmp_path / "link").is_symlink()
    assert texts(tmp_path / "store") == {"real": "new"}
    assert sorted(os.listdir(tmp_path)) == ["link", "store"]


def test_the_folder_above_a_link_is_that_of_what_it_leads_to(tmp_path: Path) -> None:
    fill(tmp_path / "deep" / "inner")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "inner")
    write_json(tmp_path / "link" / ".." / "x.json", {})
    with updating(tmp_path / "link" / "..") as new:
        fill(new, a="new")
        assert destination(new) == tmp_path / "deep"
    killed = fill(tmp_path / "deep" / ".y.12345678.tfzoo-unfinished" / "y.old", b="old")
    recover(tmp_path / "link" / ".." / "y")
    assert texts(tmp_path / "deep") == {"a": "new", "x.json": "{}\n", "y/b": "old"}
    assert not killed.exists()


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(NotADirectoryError), updating(tmp_path / "link") as new:
        fill(new, a="new")
    with pytest.raises(FileExistsError), replacing(tmp_path / "link", force=False):
        pytest.fail("too late")
    write_json(tmp_path / "link", {})
    assert (tmp_path / "link").read_text() == "{}\n"


def test_the_working_directory_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.chdir(fill(tmp_path / "here", a="old", b="old", mine="mine"))
    with (
        pytest.raises(FileExistsError, match="holds the working directory"),
        replacing(Path("."), force=True),
    ):
        pytest.fail("too late")
    with updating(Path(".")) as new:
        fill(new, a="new", b="new")
    assert texts(Path(".")) == {"a": "new", "b": "new", "mine": "mine"}
    assert os.listdir(tmp_path) == ["here"]


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EBUSY])
def test_a_folder_that_cannot_be_moved(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount point, or of a lower layer of an overlay."""
    target = fill(tmp_path / "target", a="old", gone="old", same="old")
    fill(target / "variables", data="old", more="old")
    fill(target / "old only", data="old")
    rename = os.rename

    def refusing(source: Any, place: Any) -> None:
        other_system = (Path(source) == target) or (
            error == errno.EBUSY
            and (target in Path(source).parents) != (target in Path(place).parents)
        )
        if other_system:
            raise OSError(error, os.strerror(error))
        rename(source, place)

    monkeypatch.setattr(os, "rename", refusing)
    monkeypatch.setattr(file_system, "exchange", lambda one, two: False)

    def write() -> None:
        with replacing(target, force=True) as path:
            fill(path, a="new", same="old")
            fill(path / "variables", data="new")

    copy = shutil.copytree
    for struck in ("copytree", "_roll_forward"):
        owner = shutil if struck == "copytree" else module
        monkeypatch.setattr(owner, struck, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write()
        assert texts(target)["a"] == "old"
        monkeypatch.setattr(shutil, "copytree", copy)
    monkeypatch.undo()
    recover(target)  # finishes what was planned
    wanted = {"a": "new", "same": "old", "variables/data": "new"}
    assert texts(target) == wanted
    fill(target, gone="again")
    monkeypatch.setattr(os, "rename", refusing)
    monkeypatch.setattr(file_system, "exchange", lambda one, two: False)
    write()
    assert texts(target) == wanted
    assert os.listdir(tmp_path) == ["target"]


def test_what_was_given_up_inside_is_removed_before_reading(tmp_path: Path) -> None:
    fill(tmp_path / ".abc.tfzoo-unfinished" / tmp_path.name, half="new")
    recover(tmp_path)
    assert os.listdir(tmp_path) == []


# ---- updating
@pytest.mark.parametrize("within", [False, True], ids=["", "with a folder in it"])
def test_files_of_a_folder_are_replaced_together(within: bool, tmp_path: Path, system: str) -> None:
    folder = fill(tmp_path / "folder", a="old", b="old", gone="old", mine="mine")
    folder.chmod(0o750)
    if within:
        fill(folder / "runs", log="log")
    before = (folder / "mine").stat()
    with updating(folder, obsolete=lambda name: name == "gone") as new:
        fill(new, a="new", b="new", c="new")
        assert texts(folder)["a"] == "old"
    inside = {"runs/log": "log"} if within else {}
    assert texts(folder) == {"a": "new", "b": "new", "c": "new", "mine": "mine", **inside}
    after = (folder / "mine").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert folder.stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_inside_is_replaced(tmp_path: Path, system: str) -> None:
    folder = fill(tmp_path / "folder", a="old")
    fill(folder / "assets", gone="old")
    with updating(folder) as new:
        fill(new, a="new")
        fill(new / "assets", b="new")
    assert texts(tmp_path) == {"folder/a": "new", "folder/assets/b": "new"}


def test_a_link_to_a_folder_inside_is_replaced(tmp_path: Path, system: str) -> None:
    """What it leads to may be shared, and stays."""
    folder, shared = fill(tmp_path / "folder", a="old"), fill(tmp_path / "shared", mine="mine")
    (folder / "assets").symlink_to(shared)
    with updating(folder) as new:
        fill(new, a="new")
        fill(new / "assets", b="new")
    assert texts(folder) == {"a": "new", "assets/b": "new"}
    assert texts(shared) == {"mine": "mine"}


def test_what_functions_write_inside_is_part_of_it(tmp_path: Path, system: str) -> None:
    folder = fill(tmp_path / "folder", gone="old")

    def inner(place: Path) -> None:
        with updating(place, obsolete=lambda name: name == "gone") as new:
            write_json(new / "b.json", {})
        assert destination(place) == folder

    with updating(folder) as new:
        write_json(new / "a.json", {})
        inner(new)
        assert os.listdir(folder) == ["gone"]
        assert sorted(os.listdir(new)) == ["a.json", "b.json"]
    assert sorted(os.listdir(folder)) == ["a.json", "b.json"]


def test_a_link_to_a_folder_stays_one(tmp_path: Path, system: str) -> None:
    fill(tmp_path / "real", a="old", b="old")
    (tmp_path / "link").symlink_to("real")
    with updating(tmp_path / "link") as new:
        fill(new, a="new", b="new")
    assert (tmp_path / "link").is_symlink()
    assert texts(tmp_path / "real") == {"a": "new", "b": "new"}


def test_writers_come_one_after_the_other(tmp_path: Path, system: str) -> None:
    folder = fill(tmp_path / "folder", mine="mine")
    barrier, names = threading.Barrier(4), "abcd"

    def write(name: str) -> None:
        barrier.wait()
        for version in range(5):
            with updating(folder) as new:
                fill(new, **{f"{name}1": str(version), f"{name}2": str(version)})

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"{name}{i}": "4" for name in names for i in (1, 2)}
    assert texts(folder) == {**expected, "mine": "mine"}
    assert os.listdir(tmp_path) == ["folder"]


def test_what_others_write_at_the_last_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "folder", a="old", b="old", log="old", mine="mine")
    exchange = file_system.exchange

    def late(one: Path, two: Path) -> bool:
        fill(folder, theirs="theirs")
        fill(tmp_path, log="newer")
        os.replace(tmp_path / "log", folder / "log")
        return exchange(one, two)

    monkeypatch.setattr(file_system, "exchange", late)
    with updating(folder) as new:
        fill(new, a="new", b="new")
    others = {"log": "newer", "theirs": "theirs", "mine": "mine"}
    assert texts(folder) == {"a": "new", "b": "new", **others}


def test_the_folder_of_a_shell_is_not_exchanged(tmp_path: Path) -> None:
    folder = fill(tmp_path / "folder", a="old", b="old")
    with subprocess.Popen(["cat"], cwd=folder, stdin=subprocess.PIPE) as process:
        inode = folder.stat().st_ino
        with updating(folder) as new:
            fill(new, a="new", b="new")
        assert folder.stat().st_ino == inode or not Path("/proc").is_dir()
        process.communicate()
    assert texts(folder) == {"a": "new", "b": "new"}


def killed_update(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """As it is after a kill once the new files lie in the folder, none of them in its place."""

    def fail(*_: Any) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(file_system, "exchange", lambda one, two: False)
        patch.setattr(module, "_roll_forward", fail)
        with pytest.raises(OSError, match="killed"), updating(folder, gates=[*files][:1]) as new:
            fill(new, **files)


def test_what_another_program_wrote_after_a_kill_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "folder", a="old", b="old")
    killed_update(folder, monkeypatch, a="new", b="new")
    assert len(os.listdir(folder)) == 3
    (folder / "a").write_text("theirs, newer")
    recover(folder)
    assert texts(tmp_path) == {"folder/a": "theirs, newer", "folder/b": "old"}


def test_names_of_any_signs_are_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a:b", "c\\d") if os.name == "posix" else ("a", "c")
    folder = fill(tmp_path / names[0], **dict.fromkeys(names, "old"))
    killed_update(folder, monkeypatch, **dict.fromkeys(names, "new"))
    recover(folder)
    assert texts(folder) == dict.fromkeys(names, "new")


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    fill(tmp_path / "folder" / "a", mine="mine")
    with (
        pytest.raises(IsADirectoryError, match="expected a file to replace"),
        updating(tmp_path / "folder") as new,
    ):
        fill(new, a="new", b="new")
    assert texts(tmp_path) == {"folder/a/mine": "mine"}


# ---- what others leave
@pytest.mark.parametrize(
    "change",
    [
        {"obsolete": ["../precious"]},
        {"new": ["../precious"]},
        {"name": ".."},
        {"gates": ["/etc/passwd"], "new": ["/etc/passwd"]},
        {"kept": {"a/b": 1}},
        {"new": "abc"},
        {"new": None},
        {"obsolete": [["a"]]},
    ],
    ids=str,
)
def test_a_strangers_plan_leads_nowhere(change: dict[str, Any], tmp_path: Path) -> None:
    folder = fill(tmp_path / "folder", mine="mine")
    fill(tmp_path, precious="precious")
    workshop = folder / ".12345678.tfzoo-unfinished"
    fill(workshop / "folder", a="a")
    plan = {"name": "folder", "new": ["a"], "obsolete": [], "gates": [], "old": {}, "kept": {}}
    plan |= change
    (workshop / "plan.json").write_text(json.dumps(plan))
    before = texts(tmp_path)
    recover(folder)
    assert texts(tmp_path) == before


def test_a_strangers_links_are_not_followed(tmp_path: Path) -> None:
    folder, secrets = fill(tmp_path / "folder"), fill(tmp_path / "secrets", key="key")
    workshop = folder / ".12345678.tfzoo-unfinished"
    workshop.mkdir()
    (workshop / "folder").symlink_to(secrets)
    plan = {"name": "folder", "new": ["key"], "obsolete": [], "gates": [], "old": {}, "kept": {}}
    (workshop / "plan.json").write_text(json.dumps(plan))
    recover(folder)
    assert texts(secrets) == {"key": "key"}
    (folder / ".87654321.tfzoo-unfinished").symlink_to(secrets)
    with updating(folder) as new:
        fill(new, a="a", b="b")
    assert texts(secrets) == {"key": "key"}


def test_a_strangers_plan_replaces_no_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "folder")
    fill(folder / "photos", mine="mine")
    workshop = folder / ".12345678.tfzoo-unfinished"
    fill(workshop / "folder" / "photos", evil="evil")
    plan = {"name": "folder", "new": ["photos"], "obsolete": [], "gates": [], "old": {}, "kept": {}}
    (workshop / "plan.json").write_text(json.dumps(plan))
    recover(folder)
    assert texts(folder) == {"photos/mine": "mine"}


@pytest.mark.parametrize("name", ["", "plan.json"], ids=["for a workshop", "for a plan"])
def test_a_strangers_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    pipe = tmp_path / ".12345678.tfzoo-unfinished" / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)

    def work() -> None:
        recover(tmp_path)
        write_json(tmp_path / "x.json", {})

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert (tmp_path / "x.json").exists()


@pytest.mark.parametrize("name", ["..", "link"])
def test_a_strangers_workshop_is_for_nothing_outside_its_folder(name: str, tmp_path: Path) -> None:
    """Its name says what it is for."""
    folder = fill(tmp_path / "folder")
    (folder / "link").symlink_to(tmp_path)
    workshop = fill(folder / f".{name}.12345678.tfzoo-unfinished")
    fill(workshop / "folder", evil="evil")
    plan = {"name": "folder", "new": [], "obsolete": [], "gates": [], "old": {}, "kept": {}}
    (workshop / "plan.json").write_text(json.dumps(plan))
    write_json(folder / "x.json", {})
    recover(folder)
    assert os.listdir(tmp_path) == ["folder"]
    assert sorted(os.listdir(folder)) == ["link", "x.json"]


@pytest.mark.parametrize("path", ["no/such/place", "\0", "x" * 5000, ""])
def test_there_may_be_nothing_to_recover(path: str, tmp_path: Path) -> None:
    recover(tmp_path / path)
    assert os.listdir(tmp_path) == []
