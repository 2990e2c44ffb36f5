"""Files of tokenizers with values of the wrong kinds: a TokenizerError for each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast
from tfzoo.text.clip import CLIPTokenizerFast
from tfzoo.text.tokenizer import BaseTokenizer, TokenizerError

CLASSES = (BertTokenizer, BertTokenizerFast, CLIPTokenizerFast, PerceiverTokenizer)
CONFIG, SPECIAL = "tokenizer_config.json", "special_tokens_map.json"
ADDED, WHOLE = "added_tokens.json", "tokenizer.json"
DEEP = "[" * 10**5


def write_little(cls: type[BaseTokenizer], folder: Path) -> None:
    """A small vocabulary that the class reads."""
    if cls is CLIPTokenizerFast:
        tokens = ["a", "a</w>", "<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
    elif cls is PerceiverTokenizer:
        (folder / CONFIG).write_text("{}")
    else:
        (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest, tmp_path: Path) -> type[BaseTokenizer]:
    write_little(request.param, tmp_path)
    return request.param


def test_byte_order_marks_do_not_matter(cls: type[BaseTokenizer], tmp_path: Path) -> None:
    expected = cls.from_pretrained(tmp_path)("a").input_ids
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert cls.from_pretrained(tmp_path)("a").input_ids == expected


WRONG: dict[str, list[Any]] = {
    "tokenizer_class": [5, ["BertTokenizer"], {}],
    "model_max_length": ["77", 0, -1, True, [77], float("nan"), float("inf")],
    "padding_side": ["top", 1, ["left"]],
    "truncation_side": ["up", {}],
    "model_input_names": ["input_ids", [1], {"a": 1}],
    "clean_up_tokenization_spaces": ["yes", 1],
    "split_special_tokens": [2],
    "additional_special_tokens": [5, "<x>", {"a": "b"}, [5], [None, 3], [{"content": 1}], [""]],
    "extra_special_tokens": [5, "<x>", {"image_token": 5}, [[]]],
    "added_tokens_decoder": [5, ["a"], {"x": {}}, {"1": "a"}, {"9" * 5000: {"content": "a"}}, None],
    "pad_token": [5, ["a"], {}, {"content": ["a"]}, {"content": "a", "lstrip": 1}, ""],
    "do_lower_case": ["yes", 1, None],
    "do_basic_tokenize": ["yes"],
    "tokenize_chinese_chars": [1, None],
    "strip_accents": ["no"],
    "never_split": ["a", [5], {"a": 1}],
    "clean_text": [0],
    "wordpieces_prefix": [5, ["##"]],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_wrong_kinds_in_the_config(
    name: str, value: Any, cls: type[BaseTokenizer], tmp_path: Path
) -> None:
    (tmp_path / CONFIG).write_text(json.dumps({name: value}))
    with pytest.raises(TokenizerError):
        cls.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["self", "validate", "__class__", "backend_tokenizer", "_special"])
def test_names_of_attributes_are_kept_apart(
    name: str, cls: type[BaseTokenizer], tmp_path: Path
) -> None:
    (tmp_path / CONFIG).write_text(json.dumps({name: 1}))
    tokenizer = cls.from_pretrained(tmp_path)
    assert tokenizer.init_kwargs[name] == 1
    assert tokenizer("a").input_ids


FILES: dict[str, list[Any]] = {
    CONFIG: [[], 5, DEEP],
    SPECIAL: [
        [],
        DEEP,
        {"additional_special_tokens": "a"},
        {"additional_special_tokens": {"a": 1}},
        {"additional_special_tokens": [5]},
        {"additional_special_tokens": [{"content": []}]},
        {"cls_token": {"content": {}}},
        {"cls_token": 1.5},
    ],
    ADDED: [[], DEEP, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": -1}, {"a": True}, {"a": 1.0}],
    WHOLE: [
        *([], DEEP, 5, {}, {"model": 5}),
        {"added_tokens": 5},
        {"added_tokens": [5]},
        {"added_tokens": [{"id": "1", "content": "a"}]},
        {"added_tokens": [{"id": 1}]},
    ],
}


@pytest.mark.parametrize(
    ("file", "content"), [(file, content) for file, many in FILES.items() for content in many]
)
def test_wrong_kinds_in_other_files(
    file: str, content: Any, cls: type[BaseTokenizer], tmp_path: Path
) -> None:
    if file == WHOLE and cls is PerceiverTokenizer:
        return  # it has no such file
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / file).write_text(text)
    with pytest.raises(TokenizerError):
        cls.from_pretrained(tmp_path)


def spoilt_merges(folder: Path) -> None:
    (folder / "merges.txt").write_bytes(b"#version: 0.2\n\xff\xff\n")


def spoilt_ids(folder: Path) -> None:
    (folder / "vocab.json").write_text('{"a": 99999999999999999999999, "b": 0}')


@pytest.mark.parametrize("spoil", [spoilt_merges, spoilt_ids])
def test_vocabularies_that_are_none(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    write_little(CLIPTokenizerFast, tmp_path)
    spoil(tmp_path)
    with pytest.raises(TokenizerError):
        CLIPTokenizerFast.from_pretrained(tmp_path)


def test_lengths_are_whole_numbers(cls: type[BaseTokenizer], tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"model_max_length": 1e30}')
    assert cls.from_pretrained(tmp_path).model_max_length == int(1e30)
    (tmp_path / CONFIG).write_text('{"model_max_length": 7.0, "padding_side": null}')
    tokenizer = cls.from_pretrained(tmp_path)
    assert tokenizer("a " * 9, truncation=True, padding="max_length").input_ids[6]
