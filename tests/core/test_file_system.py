"""What the operating system offers for files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tfzoo.core.file_system import check_space, is_utf8, writing

NOT_UTF8 = os.fsdecode(b"/folder/\xff")


@pytest.mark.parametrize("target", ["disk", "disk/new/file", "disk/file", "link", "link/new"])
def test_space_is_that_of_the_disk_that_is_written_to(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    (tmp_path / "link").symlink_to("disk")
    free = {tmp_path / "disk": 10, tmp_path: 99}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free[place]))
    check_space(tmp_path / target, 10)
    with pytest.raises(OSError, match="needs up to .*disk has"):
        check_space(tmp_path / target, 11)


def test_paths_that_other_languages_do_not_take() -> None:
    assert is_utf8("größe")
    assert not is_utf8(Path(NOT_UTF8))
    with pytest.raises(OSError, match="could not be written: the path is not UTF-8"):  # noqa: SIM117
        with writing(NOT_UTF8):
            NOT_UTF8.encode()
    with pytest.raises(UnicodeEncodeError), writing("path"):
        NOT_UTF8.encode()
