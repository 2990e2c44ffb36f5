"""Files and folders that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfzoo.core.files import replacing, write_json


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_the_old_one(kind: str, tmp_path: Path) -> None:
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
    with (
        pytest.raises(FileExistsError, match="has come to exist"),
        replacing(target, False) as path,
    ):
        path.write_text("other")
    assert old.read_text() == "new"
    assert os.listdir(tmp_path) == ["target"]


def test_a_folder_comes_back_if_its_replacement_was_killed(tmp_path: Path) -> None:
    """As it is after a kill between the two steps in which a folder is replaced."""
    old = tmp_path / ".target.x.unfinished" / "target.old"
    old.mkdir(parents=True)
    (old / "inside").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "target", force=True):
        raise RuntimeError("interrupted")
    assert (tmp_path / "target" / "inside").read_text() == "old"
    assert os.listdir(tmp_path) == ["target"]


def test_an_unwritable_folder_keeps_its_kind_of_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="inside cannot be written to: Not a directory"):
        write_json(tmp_path / "file" / "inside" / "x.json", {})
