"""Files that another process replaces while they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfzoo.core.unmixed import Watch, read_unmixed


def read_between(folder: Path, changes: list[str], by_content: bool = False) -> str:
    """Read two files; between the two, both are replaced, once for each change."""

    def read(watch: Watch) -> str:
        paths = [folder / "a", folder / "b"]
        for path in paths:
            if by_content:
                watch.content(path)
            else:
                watch.files(path)
        first = paths[0].read_text()
        if changes:
            change = changes.pop(0)
            for path in paths:
                path.with_name("new").write_text(change)
                path.with_name("new").replace(path)
        return first + paths[1].read_text()

    for name in "ab":
        (folder / name).write_text("0")
    return read_unmixed(read, folder, KeyError)


@pytest.mark.parametrize("by_content", [False, True])
def test_they_are_read_again(tmp_path: Path, by_content: bool) -> None:
    assert read_between(tmp_path, [], by_content) == "00"
    assert read_between(tmp_path, ["1", "2"], by_content) == "22"


def test_it_has_an_end(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="replaced 5 times while they were read"):
        read_between(tmp_path, list("123456"))
    assert read_between(tmp_path, list("1111111"), by_content=True) == "11"


def test_errors_count_only_where_nothing_changed(tmp_path: Path) -> None:
    calls = []

    def read(watch: Watch) -> int:
        calls.append(0)
        watch.files(tmp_path / "a")
        if len(calls) == 1:
            (tmp_path / "a").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_unmixed(read, tmp_path)
    assert len(calls) == 2


def test_names_that_cannot_be_paths() -> None:
    watch = Watch()
    watch.files(Path("a\0b"))
    watch.content(Path("a\0b"))
    assert watch.is_same()
