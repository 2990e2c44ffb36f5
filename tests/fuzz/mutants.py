"""Files changed at random: what accidents, other programs and strangers make of them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz import containers

__all__ = ["Files", "bytes_mutant", "changed", "json_mutant", "mutant", "text_mutant"]

#: A folder: the content of each file by its name.
Files = dict[str, bytes]

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
NAMES = (
    *("1²", "٣", "-1", "a:b", "new\nline", "\x1b[31mred", "\u202egnp", "é", ".hidden", "9" * 200),
    *(" ", "a\\b", "\udcff"),  # the last is a byte that is not UTF-8
)


def mutant(files: Files, rng: random.Random, *, renames: bool = False) -> Files:
    """A copy of a folder in which one file, at times two, is other than it was.

    Args:
        files: The folder. Names that begin with an underscore are left alone.
        rng: Decides.
        renames: Whether files may get other names as well.
    """
    files = dict(files)
    names = sorted(name for name in files if not name.startswith("_"))
    for name in rng.sample(names, min(rng.choice((1, 1, 1, 1, 2)), len(names))):
        if renames and rng.random() < 0.3:
            suffix = rng.choice((Path(name).suffix,) * 4 + ("", ".txt"))
            files[rng.choice(NAMES) + suffix] = files.pop(name)
        elif len(names) > 1 and rng.random() < 0.01:
            del files[name]
        else:
            files[name] = changed(name, files[name], rng)
    return files


def changed(name: str, content: bytes, rng: random.Random) -> bytes:
    """One file's content, changed as its kind suggests; one in eight as mere bytes."""
    special = _KINDS.get(Path(name).suffix.lower())
    if special is None or rng.random() < 1 / 8:
        return bytes_mutant(content, rng)
    try:
        return special(content, rng)
    except containers.NotThisKind:
        return bytes_mutant(content, rng)


# -- JSON -----------------------------------------------------------------------------------------

_DEEP = 100_000
_RAW_VALUES = (  # what `json.dumps` does not write
    "[" * _DEEP + "]" * _DEEP,
    '{"a":' * 2000 + "1" + "}" * 2000,
    "[" * 900 + "]" * 900,
    "9" * 5000,
    "-" + "9" * 5000,
    "1e400",
    "-1e400",
    "1E+2",
    "NaN",
    "Infinity",
    "-Infinity",
    "1.0",
    "-0",
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**31, 2**32, 2**63, 2**64, 10**8, 10**9, 10**30),
    *(0.0, -0.0, 0.5, 1.5, -1.5, 1e-45, 1e308, 4.0),
    *("", " ", "0", "1", "-1", "1.5", "nan", "inf", "true", "None", "a", "é", "²", "٣"),
    *("\0", "a\0b", "\x1b[31m", "\u202e", "\ud800", "\ufeff", "\r\n", "a" * 10_000, "../x", "/x"),
    *([], [[]], [None], [0], [0, 0], [1, 2, 3], [-1], ["a"], [1.5, "a", None], [0] * 1000),
    *({}, {"": None}, {"a": 1}, {"0": "a"}, {"height": 0, "width": 0}, {"shortest_edge": 10**9}),
    *({"height": 10**9, "width": 1}, {"shortest_edge": 1, "longest_edge": 10**9}, {"content": 1}),
)
_KEYS = (
    *("validate", "self", "cls", "args", "kwargs", "_merge", "to_dict", "from_dict", "fields"),
    *("__class__", "__dict__", "__init__", "__eq__", "__module__", "from_pretrained", "reject"),
    *("save_pretrained", "preprocess", "model_type", "num_labels", "id2label", "label2id"),
    *("sub_configs", "name_or_path", "_name_or_path", "processor_class", "tokenizer_class"),
    *("image_processor", "image_processor_type", "feature_extractor_type", "auto_map", "dtype"),
    *("torch_dtype", "quantization_config", "init_kwargs", "backend_tokenizer", "_special"),
    *("vocab_file", "tokenizer_file", "added_tokens_decoder", "extra_special_tokens", "config"),
    *("", " ", "0", "-1", "1.5", "\0", "\x1b[2J", "\u202e", "\ud800", "a" * 10_000, "é"),
)


class _Json:
    """A JSON document that can hold what `json.dumps` does not write."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self._raw: dict[str, str] = {}

    def raw(self, text: str) -> str:
        """A value that is written as this text."""
        mark = f"@raw{len(self._raw)}@"
        self._raw[json.dumps(mark)] = text
        return mark

    def text(self, **how: Any) -> str:
        """The document."""
        written = json.dumps(self.value, **how)
        for mark, raw in self._raw.items():
            written = written.replace(mark, raw)
        return written


def json_mutant(content: bytes, rng: random.Random, **how: Any) -> bytes:
    """A JSON document with odd values, keys or text; `how` goes to `json.dumps`.

    Raises:
        NotThisKind: It is not JSON.
    """
    try:
        document = _Json(json.loads(content))
    except ValueError as error:
        raise containers.NotThisKind from error
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_JSON_CHANGES)(document, rng)
    text = document.text(**{"indent": rng.choice((None, 2)), **how})
    if rng.random() < 0.1:
        return rng.choice(_DOCUMENTS)(text)
    return text.encode("utf-8", "surrogatepass")


def _place(document: _Json, rng: random.Random) -> tuple[Any, Any] | None:
    """A random container and a key or index of it; shallow ones are likelier."""
    container = document.value
    if not isinstance(container, (dict, list)) or not container:
        return None
    while True:
        key = rng.choice(list(container) if isinstance(container, dict) else range(len(container)))
        inner = container[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.3:
            return container, key
        container = inner


def _odd_value(document: _Json, rng: random.Random, value: Any = None) -> Any:
    """A value to put in the place of another one."""
    if rng.random() < 0.2:
        return document.raw(rng.choice(_RAW_VALUES))
    if rng.random() < 0.4:
        return rng.choice(_retyped(value))
    return rng.choice(_VALUES)


def _retyped(value: Any) -> list[Any]:
    """The same value in other types, and its neighbours."""
    found: list[Any] = [str(value), [value], {"a": value}, [value, value], None]
    if isinstance(value, bool):
        found += [not value, int(value)]
    elif isinstance(value, (int, float)) and math.isfinite(value):
        found += [-value, value + 1, value - 1, value * 2, value * 1000, value / 2, float(value)]
    elif isinstance(value, str):
        found += [value.upper(), value + " ", value[1:], value * 2, list(value), value + "\0"]
    elif isinstance(value, list):
        found += [value * 2, value[:-1], value[::-1], value * 100, dict(enumerate(value[:50]))]
    elif isinstance(value, dict):
        found += [list(value), list(value.values()), {f"{k} ": v for k, v in value.items()}]
    return found


def _replace(document: _Json, rng: random.Random) -> None:
    place = _place(document, rng)
    if place is not None:
        container, key = place
        container[key] = _odd_value(document, rng, container[key])


def _drop(document: _Json, rng: random.Random) -> None:
    place = _place(document, rng)
    if place is not None:
        del place[0][place[1]]


def _add(document: _Json, rng: random.Random) -> None:
    place = _place(document, rng)
    container = document.value if place is None or rng.random() < 0.5 else place[0]
    if isinstance(container, dict):
        container[rng.choice(_KEYS)] = _odd_value(document, rng)
    elif isinstance(container, list):
        container.insert(rng.randrange(len(container) + 1), _odd_value(document, rng))


def _rename(document: _Json, rng: random.Random) -> None:
    place = _place(document, rng)
    if place is not None and isinstance(place[0], dict):
        container, key = place
        value = container.pop(key)
        container[rng.choice((*_KEYS, f"{key} ", key.upper(), key[:-1]))] = value


def _twice(document: _Json, rng: random.Random) -> None:
    """Give an object the same key twice."""
    place = _place(document, rng)
    if place is not None and isinstance(place[0], dict):
        container, key = place
        container[document.raw(json.dumps(key))] = _odd_value(document, rng, container[key])


def _swap(document: _Json, rng: random.Random) -> None:
    one, other = _place(document, rng), _place(document, rng)
    if one is not None and other is not None:
        (a, i), (b, j) = one, other
        left, right = _copied(a[i]), _copied(b[j])
        a[i] = right
        if isinstance(b, dict) or j < len(b):
            b[j] = left


def _nest(document: _Json, rng: random.Random) -> None:
    """Put the whole document into itself."""
    place = _place(document, rng)
    if place is not None:
        whole = _copied(document.value)
        place[0][place[1]] = whole


def _wrap(document: _Json, rng: random.Random) -> None:
    document.value = rng.choice(([document.value], {"a": document.value}, [], {}, "a", 5, None))


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


_JSON_CHANGES: tuple[Callable[[_Json, random.Random], None], ...] = (
    *(_replace,) * 8,
    *(_drop,) * 3,
    *(_add,) * 4,
    *(_rename,) * 2,
    *(_twice, _swap, _swap, _nest, _wrap),
)
_DOCUMENTS: tuple[Callable[[str], bytes], ...] = (
    lambda text: b"\xef\xbb\xbf" + _encoded(text),
    lambda text: text.encode("utf-16", "surrogatepass"),
    lambda text: text.encode("utf-32-be", "surrogatepass"),
    lambda text: text.encode("latin-1", "replace"),
    lambda text: _encoded(text)[: len(text) // 2],
    lambda text: _encoded(text) * 2,
    lambda text: _encoded(text) + b"\0" * 10,
    lambda text: _encoded(text).replace(b'"', b"'"),
    lambda text: _encoded(text).replace(b"}", b",}"),
    lambda text: b"// a comment\n" + _encoded(text),
    lambda text: b"\r\n \t" + _encoded(text),
    lambda text: b"",
    lambda text: b" ",
    lambda text: b"\xff\xfe",
    lambda text: b"<!DOCTYPE html><html><body>Not found</body></html>",
    lambda text: LFS_POINTER,
)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# -- lines ----------------------------------------------------------------------------------------

_FIELDS = (
    *(b"", b" ", b"0", b"-1", b"1.5", b"nan", b"-inf", b"1e999", b"9" * 5000, b"a", b"\0"),
    *("²".encode(), "٣".encode(), b"\x1b[31m", b"\xff\xfe", b"a" * 100_000, b"##", b"\xef\xbb\xbf"),
)


def text_mutant(content: bytes, rng: random.Random) -> bytes:
    """Lines, or their fields, that are gone, doubled, swapped or odd."""
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines)) if lines else 0
        lines[at : at + 1] = _line_mutant(lines[at] if lines else b"", rng)
    ends = rng.choice((b"\n",) * 8 + (b"\r\n", b"\r", b"\n\n", "\u2028".encode()))
    whole = ends.join(lines)
    if rng.random() < 0.15:
        whole = rng.choice(
            (
                b"\xef\xbb\xbf" + whole,
                whole + b"\n\n",
                whole.rstrip(),
                whole + b"\0",
                whole[: len(whole) // 2],
                whole.decode("utf-8", "replace").encode("utf-16"),
                b"",
                LFS_POINTER,
            )
        )
    return whole


def _line_mutant(line: bytes, rng: random.Random) -> list[bytes]:
    """What stands in the place of a line."""
    sign = rng.choice((b"\t", b" ", b"##"))
    fields = line.split(sign)
    place = rng.randrange(len(fields))
    other = rng.choice(_FIELDS)
    return rng.choice(
        (
            [],
            [line, line],
            [line, b""],
            [other],
            [line + other],
            [other + line],
            [sign.join(fields[:place] + fields[place + 1 :])],
            [sign.join([*fields[:place], other, *fields[place:]])],
            [sign.join([*fields[:place], other, *fields[place + 1 :]])],
            [sign.join([*fields[:place], other, *fields[place + 1 :]])],
            [sign.join(fields[::-1])],
            [line.replace(sign, b",")],
            [bytes_mutant(line, rng)],
        )
    )


# -- bytes ----------------------------------------------------------------------------------------

_INTEGERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_WIDE = (*_INTEGERS, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def bytes_mutant(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are flipped, missing, repeated, or other numbers."""
    if rng.random() < 0.02:
        return rng.choice((b"", b"\0", b"\0" * 1000, content[:1], content[:16], LFS_POINTER))
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        rng.choice(_BYTE_CHANGES)(data, rng)
    return bytes(data)


def _spot(data: bytearray, rng: random.Random) -> int:
    """A place; half of them in the first bytes, where headers are."""
    if not data:
        return 0
    return rng.randrange(min(len(data), 256) if rng.random() < 0.5 else len(data))


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_spot(data, rng)] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    at, length = _spot(data, rng), rng.choice((1, 1, 2, 4, 16, 64))
    filling = rng.choice((b"\0", b"\xff", None))
    data[at : at + length] = rng.randbytes(length) if filling is None else filling * length


def _number(data: bytearray, rng: random.Random) -> None:
    width = rng.choice((1, 2, 4, 4, 8))
    value = rng.choice(_WIDE if width == 8 else _INTEGERS) % 256**width
    at = _spot(data, rng)
    data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _delete(data: bytearray, rng: random.Random) -> None:
    at = _spot(data, rng)
    del data[at : at + rng.choice((1, 2, 4, 8, 100, 1000))]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = _spot(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 100)))


def _repeat(data: bytearray, rng: random.Random) -> None:
    begin, at = _spot(data, rng), _spot(data, rng)
    data[at:at] = data[begin : begin + rng.choice((4, 16, 256, 4096))] * rng.choice((1, 1, 2, 50))


def _exchange(data: bytearray, rng: random.Random) -> None:
    one, other, length = _spot(data, rng), _spot(data, rng), rng.choice((4, 16, 64))
    data[one : one + length], data[other : other + length] = (
        data[other : other + length],
        data[one : one + length],
    )


_BYTE_CHANGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    *(_flip,) * 4,
    *(_overwrite,) * 3,
    *(_number,) * 4,
    *(_truncate, _delete, _delete, _insert, _repeat, _exchange),
)


# -- kinds ----------------------------------------------------------------------------------------


def _png(content: bytes, rng: random.Random) -> bytes:
    """A PNG with one other chunk; its check sum is right, so that it is looked at."""
    return containers.png_mutant(content, rng, bytes_mutant)


def _zip(content: bytes, rng: random.Random) -> bytes:
    return containers.zip_mutant(content, rng, changed, rng.choice((True, True, False)))


def _torch(content: bytes, rng: random.Random) -> bytes:
    """PyTorch's file: an archive that is not compressed, or pickles one behind another."""
    if content.startswith(b"PK\3\4"):
        return containers.zip_mutant(content, rng, changed, rng.random() < 0.1)
    return containers.pickles_mutant(content, rng)


def _safetensors(content: bytes, rng: random.Random) -> bytes:
    def header(text: bytes, rng: random.Random) -> bytes:
        return json_mutant(text, rng, indent=None)

    return containers.safetensors_mutant(content, rng, header)


_KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".json": json_mutant,
    ".txt": text_mutant,
    ".tsv": text_mutant,
    ".png": _png,
    ".npz": _zip,
    ".keras": _zip,
    ".npy": containers.npy_mutant,
    ".bin": _torch,
    ".pkl": containers.pickles_mutant,
    ".safetensors": _safetensors,
    ".h5": containers.h5_mutant,
}
