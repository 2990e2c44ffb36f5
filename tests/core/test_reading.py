"""JSON and text files beside a checkpoint: what is read, and what ends in an error of its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfzoo.core.files import TEXT_BYTES, load_json, read_json, read_text

MARK = b"\xef\xbb\xbf"


class ReadingError(Exception):
    """What a reader of some room raises."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_a_byte_order_mark_and_other_line_ends_do_not_matter(path: Path) -> None:
    path.write_bytes(MARK + b'{"a":\r\n 1}')
    assert read_json(path) == {"a": 1}
    path.write_bytes(MARK + b"cat\r\ndog\rcow\n")
    assert read_text(path) == "cat\ndog\ncow\n"
    path.write_bytes(b"[1, 2]")
    assert load_json(path) == [1, 2]


@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
@pytest.mark.parametrize("levels", [101, 700, 100_000])
def test_deep_files_are_refused(pair: str, levels: int, path: Path) -> None:
    opening, closing = pair[:-1], pair[-1]
    inside = "1" if pair == '{"a":}' else ""
    path.write_text(opening * levels + inside + closing * levels)
    with pytest.raises(ReadingError, match="JSON of at most 100 levels, got a deeper one"):
        load_json(path, ReadingError)


def test_a_hundred_levels_are_read(path: Path) -> None:
    path.write_text("[" * 100 + "]" * 100)
    assert repr(load_json(path)) == path.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON: Exceeds the limit"),
        (b'{"a": "\\ud800"}', "not valid JSON: .*surrogates"),
        (b"\xff\xfe{\x00}\x00", "not text in UTF-8"),
        (b"[1]", "must hold a JSON object, got list"),
        (b"1", "must hold a JSON object, got int"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ReadingError, match=message):
        read_json(path, ReadingError)


def test_whole_characters_in_two_halves_are_read(path: Path) -> None:
    path.write_text(r'{"a": "\ud83d\ude00"}')
    assert read_json(path) == {"a": "\N{GRINNING FACE}"}


def test_large_files_are_refused_before_they_are_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(TEXT_BYTES + 1)  # takes no room on the disk
    with pytest.raises(ReadingError, match="at most 33,554,432 bytes, got a larger one"):
        read_json(path, ReadingError)
    path.write_text("[1, 2]")
    with pytest.raises(ReadingError, match="at most 5 bytes"):
        load_json(path, ReadingError, 5)


def test_what_cannot_be_opened_stays_an_error_of_the_system(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(path, ReadingError)
