"""Text from strangers, and files that only stand for others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfzoo.core.untrusted import escaped, refuse_lfs_pointer

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d6caea8\n"
    b"size 1024\n"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("layer.0.weight", "layer.0.weight"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\nerror: b\r\t", r"a\nerror: b\r\t"),
        ("\x7f\x9b31m\x00", r"\x7f\x9b31m\x00"),
        ("a\u202eb\u2066c\u2028", r"a\u202eb\u2066c\u2028"),
        ("\ud800", r"\ud800"),
        ("größe 漢字 שלום 👩‍🚀", "größe 漢字 שלום 👩‍🚀"),
        ("", ""),
    ],
)
def test_escaped_text_steers_no_terminal(text: str, shown: str) -> None:
    assert escaped(text) == shown
    shown.encode()  # can be printed


def test_pointers_are_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(POINTER)
    with pytest.raises(KeyError, match="is a Git LFS pointer, .*git lfs pull"):
        refuse_lfs_pointer(path, KeyError)


@pytest.mark.parametrize("content", [b"", b"version ", b"version 3\n", b"[PAD]\n" + POINTER])
def test_other_files_are_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content)
    refuse_lfs_pointer(path, KeyError)


def test_what_is_not_a_file_is_left_to_its_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe", "a\0b"):
        refuse_lfs_pointer(path, KeyError)
