"""The files of BERT's tokenizers in all their forms, and what is refused."""

from __future__ import annotations

import copy
import json
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers

from tests.text.bert_sentences import BATCH, FEW, SHORT, write_vocabulary
from tfzoo import AutoTokenizer
from tfzoo.core.config import ConfigError
from tfzoo.core.files import read_json
from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast
from tfzoo.text import files
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast
from tfzoo.text.tokenizer import TokenizerError

BOTH = (BertTokenizer, BertTokenizerFast)
ALL = (*BOTH, LxmertTokenizer, LxmertTokenizerFast)
LITTLE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "A", "!", "\u00e9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Only the real vocab.txt."""
    return write_vocabulary(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def little(tmp_path) -> Path:
    """A folder with a vocabulary of eleven tokens, for files that are to be spoilt."""
    write_tokens(tmp_path, LITTLE)
    return tmp_path


def write_tokens(folder: Path, tokens: list[str]) -> None:
    (folder / "vocab.txt").write_text("".join(f"{t}\n" for t in tokens), encoding="utf-8")


def write(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def added(content: str, **flags: bool) -> dict[str, Any]:
    fields = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": content, **fields, **flags}


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ALL)
def test_saved_files_give_the_same_tokenizer(cls, folder, tmp_path):
    options = {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    if not cls.__name__.endswith("Fast"):
        options["never_split"] = ["c++", "a-b"]
    tokenizer = cls.from_pretrained(folder, model_max_length=512, **options)
    tokenizer.add_tokens("<new>")
    paths = tokenizer.save_pretrained(tmp_path / "a" / "b")
    assert {Path(path).name for path in paths} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
    }
    config = read_json(tmp_path / "a" / "b" / "tokenizer_config.json")
    assert config["tokenizer_class"] == cls.__name__.removesuffix("Fast")
    assert {name: config[name] for name in options} == {
        **options,
        **({"never_split": ["a-b", "c++"]} if "never_split" in options else {}),
    }
    again = cls.from_pretrained(tmp_path / "a" / "b")
    texts = [*FEW, "c++ a-b Ca<new>f\u00e9"]
    assert dict(again(texts)) == dict(tokenizer(texts))
    assert again.batch_decode(again(texts).input_ids) == tokenizer.batch_decode(
        tokenizer(texts).input_ids
    )
    again.save_pretrained(tmp_path / "c")
    for path in paths:
        copied = tmp_path / "c" / Path(path).name
        assert copied.read_bytes() == Path(path).read_bytes(), copied.name
    (tmp_path / "c" / "tokenizer.json").unlink()
    assert dict(cls.from_pretrained(tmp_path / "c")(texts)) == dict(tokenizer(texts))
    assert [p.name for p in tmp_path.rglob(".*")] == []


@pytest.mark.parametrize("cls", ALL)
def test_constructor_takes_either_file(cls, folder, tmp_path):
    ours = cls(str(folder / "vocab.txt"))
    assert ours.model_max_length == int(1e30)
    ours.save_pretrained(tmp_path)
    whole = cls(tokenizer_file=tmp_path / "tokenizer.json", padding_side="left")
    assert whole(FEW).input_ids == ours(FEW).input_ids
    assert whole(["a", "a b"], padding=True).input_ids[0][0] == 0
    (tmp_path / "vocab.txt").unlink()
    alone = cls.from_pretrained(tmp_path / "tokenizer.json")
    assert alone(SHORT).input_ids == ours(SHORT).input_ids
    assert (tmp_path / "tokenizer.json").is_file()


def test_vocabulary_file(folder, tmp_path):
    for cls in BOTH:
        tokenizer = cls.from_pretrained(folder)
        (path,) = tokenizer.save_vocabulary(tmp_path / cls.__name__)
        assert Path(path).read_bytes() == (folder / "vocab.txt").read_bytes()
        (path,) = tokenizer.save_vocabulary(tmp_path, "mine")
        assert Path(path).name == "mine-vocab.txt"


def test_lines_of_the_vocabulary(tmp_path):
    text = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\u2028\r\n \r\nb"
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    for cls in BOTH:
        tokens = cls(tmp_path / "vocab.txt").get_vocab()
        assert sorted(tokens, key=tokens.get)[5:] == ["a\u2028", " ", "b"]


def test_failed_write_leaves_the_old_file(little, tmp_path, monkeypatch):
    tokenizer = BertTokenizer.from_pretrained(little)
    tokenizer.save_pretrained(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(self, *args, **kwargs):
        raise OSError("disk full")

    tokenizer.add_tokens("new")
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        tokenizer.save_pretrained(tmp_path / "out")
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(after) == set(before)
    assert after["tokenizer.json"] == before["tokenizer.json"]


# -- what the files say ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="names are text")
def test_a_folder_whose_name_is_not_utf8(little):
    tokenizer = BertTokenizerFast.from_pretrained(little)
    with pytest.raises(OSError, match="the path is not UTF-8"):
        tokenizer.save_pretrained(os.fsdecode(os.fsencode(little) + b"/\xff"))
    assert os.listdir(little) == ["vocab.txt"]


def test_settings_of_the_file(little):
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": False,
        "do_basic_tokenize": True,
        "never_split": ["a!"],
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": 5,
        "padding_side": "left",
        "max_length": 128,
        "name_or_path": "/home/somebody/bert",
        "vocab_file": "/home/somebody/vocab.txt",
        "pad_token": added("!", __type="AddedToken"),
    }
    write(little / "tokenizer_config.json", config)
    for cls in ALL:
        tokenizer = cls.from_pretrained(little)
        assert tokenizer.do_lower_case is False
        assert (tokenizer.model_max_length, tokenizer.padding_side) == (5, "left")
        assert tokenizer.pad_token_id == 9
        assert tokenizer("A cats", padding="max_length").input_ids == [2, 8, 6, 7, 3]
        assert tokenizer("a", padding="max_length").input_ids == [9, 9, 2, 5, 3]
        assert cls.from_pretrained(little, do_lower_case=True)("A").input_ids == [2, 5, 3]
        tokenizer.save_pretrained(little / cls.__name__)
        saved = read_json(little / cls.__name__ / "tokenizer_config.json")
        assert saved["never_split"] == ["a!"]  # the fast ones also write it back
        assert saved["max_length"] == 128
        assert not {"name_or_path", "vocab_file"} & set(saved)
    with pytest.raises(TypeError, match="BertTokenizerFast has no never_split"):
        BertTokenizerFast.from_pretrained(little, never_split=["x"])


def test_files_that_are_replaced_while_they_are_read(little, monkeypatch):
    reading = files.read_settings
    write(little / "tokenizer_config.json", {"model_max_length": 5})

    def read(folder, overrides):
        found = reading(folder, overrides)
        if found["model_max_length"] == 5:
            write_tokens(folder, [*LITTLE, "new"])
            write(folder / "tokenizer_config.json", {"model_max_length": 12})
        return found

    monkeypatch.setattr(files, "read_settings", read)
    tokenizer = BertTokenizer.from_pretrained(little)
    assert (len(tokenizer), tokenizer.model_max_length) == (12, 12)


def test_special_tokens_in_old_and_new_files(little):
    write(little / "special_tokens_map.json", {"mask_token": "!", "pad_token": added("[PAD]")})
    write(little / "added_tokens.json", {"<x>": 11})
    for cls in BOTH:
        tokenizer = cls.from_pretrained(little)
        assert (tokenizer.mask_token_id, tokenizer.pad_token_id) == (9, 0)
        assert tokenizer("cat<x>").input_ids == [2, 6, 11, 3]
    decoder = {
        **{str(i): added(token, special=True) for i, token in enumerate(LITTLE[:5])},
        "11": added("<y>", special=True),
    }
    config = {"added_tokens_decoder": decoder, "mask_token": "<y>", "extra_special_tokens": ["!"]}
    write(little / "tokenizer_config.json", config)  # now the other two are out of date
    for cls in BOTH:
        tokenizer = cls.from_pretrained(little)
        assert (tokenizer.mask_token_id, len(tokenizer), tokenizer.vocab_size) == (11, 12, 11)
        assert tokenizer.additional_special_tokens == ["!"]
        assert tokenizer("cat<y><x>").input_ids == [2, 6, 11, 1, 1, 1, 3]
        tokenizer.save_pretrained(little / cls.__name__)
        again = cls.from_pretrained(little / cls.__name__)
        assert again("cat<y>").input_ids == [2, 6, 11, 3]
        assert again.decode([2, 6, 11, 3], skip_special_tokens=True) == "cat"


def test_arguments_are_set_in_tokenizer_json(little):
    cased = BertTokenizerFast.from_pretrained(little, do_lower_case=False, clean_text=False)
    cased.save_pretrained(little / "cased")
    path = little / "cased" / "tokenizer.json"
    assert BertTokenizerFast(tokenizer_file=path).tokenize("A") == ["a"]  # as the reference
    assert BertTokenizerFast(tokenizer_file=path, do_lower_case=False).tokenize("A") == ["A"]
    assert BertTokenizerFast.from_pretrained(little / "cased").tokenize("A a\u200b") == [
        *["A", "[UNK]"],
    ]
    cleaned = BertTokenizerFast.from_pretrained(little / "cased", clean_text=True)
    assert cleaned.tokenize("A a\u200b") == ["A", "a"]
    other = BertTokenizerFast(tokenizer_file=path, wordpieces_prefix="A")
    assert other.tokenize("aa") == ["[UNK]"]
    assert other.convert_tokens_to_string(["cat", "As"]) == "cats"


def test_normalizers_of_another_kind_stay(little):
    backend = BertTokenizerFast.from_pretrained(little).backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase()])
    backend.save(str(little / "tokenizer.json"))
    tokenizer = BertTokenizerFast.from_pretrained(little, do_lower_case=False)
    assert tokenizer.tokenize("A CAT") == ["a", "cat"]


def test_cleaning_up_after_files(little):
    assert BertTokenizerFast.from_pretrained(little).clean_up_tokenization_spaces is True
    file = little / "tokenizer.json"
    BertTokenizerFast.from_pretrained(little).backend_tokenizer.save(str(file))
    for cls, expected in ((BertTokenizerFast, False), (BertTokenizer, True)):
        assert cls.from_pretrained(little).clean_up_tokenization_spaces is expected
        asked = cls.from_pretrained(little, clean_up_tokenization_spaces=not expected)
        assert asked.clean_up_tokenization_spaces is not expected


def test_padding_of_the_file_does_not_leak(little):
    backend = BertTokenizerFast.from_pretrained(little).backend_tokenizer
    backend.enable_padding(length=9)
    backend.enable_truncation(3)
    backend.save(str(little / "tokenizer.json"))
    for cls in BOTH:
        assert cls.from_pretrained(little)("a cats cats").input_ids == [2, 5, 6, 7, 6, 7, 3]


@pytest.mark.parametrize("name", ["Bert", "Lxmert", "PreTrained", "Tokenizers"])
def test_files_of_kin(little, name):
    kind = "TokenizersBackend" if name == "Tokenizers" else f"{name}TokenizerFast"
    write(little / "tokenizer_config.json", {"tokenizer_class": kind, "do_lower_case": False})
    for cls in ALL:
        assert cls.from_pretrained(little).tokenize("A") == ["A"]


@pytest.mark.parametrize(
    "kind", [None, "LxmertTokenizer", "LxmertTokenizerFast", "PreTrainedTokenizerFast"]
)
def test_automatic_class(little, kind):
    write(little / "config.json", {"model_type": "lxmert"})
    if kind:
        write(little / "tokenizer_config.json", {"tokenizer_class": kind, "model_max_length": 7})
    tokenizer = AutoTokenizer.from_pretrained(little, do_lower_case=False)
    assert type(tokenizer) is LxmertTokenizerFast
    assert tokenizer("A cats").input_ids == [2, 8, 6, 7, 3]
    tokenizer.save_pretrained(little / "out")
    again = AutoTokenizer.from_pretrained(little / "out")
    assert type(again) is LxmertTokenizerFast
    call = {"truncation": True, "max_length": 7}
    assert dict(again(BATCH, **call)) == dict(tokenizer(BATCH, **call))
    (little / "config.json").unlink()
    if kind in (None, "PreTrainedTokenizerFast"):
        with pytest.raises((ConfigError, OSError)):
            AutoTokenizer.from_pretrained(little)


# -- refusals -------------------------------------------------------------------------------------


def without(token: str) -> list[str]:
    return [other for other in LITTLE if other != token]


BROKEN = {
    "no files": (lambda f: (f / "vocab.txt").unlink(), "expected tokenizer.json, or vocab.txt"),
    "empty": (lambda f: (f / "vocab.txt").write_text(""), "vocab.txt.*it is empty"),
    "twice": (lambda f: write_tokens(f, [*LITTLE, "a"]), "'a' is in line 6 and in line 12"),
    "no text": (lambda f: (f / "vocab.txt").write_bytes(b"\xff\xfe"), "not text in UTF-8"),
    "no [CLS]": (lambda f: write_tokens(f, without("[CLS]")), r"lacks the cls_token '\[CLS\]'"),
    "no [UNK]": (lambda f: write_tokens(f, without("[UNK]")), r"lacks the unk_token '\[UNK\]'"),
    "no [MASK]": (
        lambda f: write_tokens(f, without("[MASK]")),
        r"mask_token '\[MASK\]' is not in the vocabulary of 10",
    ),
    "no JSON": (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer.json is not valid"),
    "no tokenizer": (lambda f: write(f / "tokenizer.json", {}), "is not a tokenizer.json of the"),
    "another model": (
        lambda f: Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]")).save(
            str(f / "tokenizer.json")
        ),
        "expected a WordPiece model, got WordLevel",
    ),
    "class of another": (
        lambda f: write(f / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizerFast"}),
        "expected a tokenizer of class Bert.*got CLIPTokenizerFast. Load",
    ),
}


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(little, cls, name):
    spoil, words = BROKEN[name]
    spoil(little)
    with pytest.raises(TokenizerError, match=words):
        cls.from_pretrained(little)


@pytest.mark.parametrize("cls", BOTH)
def test_missing_files_and_tokens(cls, little):
    with pytest.raises(TokenizerError, match="needs vocab_file .* or tokenizer_file"):
        cls()
    for name in ("vocab_file", "tokenizer_file"):
        with pytest.raises(TokenizerError, match=r"nowhere cannot be read"):
            cls(**{name: little / "nowhere"})
    for name in ("unk_token", "cls_token", "sep_token"):
        with pytest.raises(TokenizerError, match=f"needs .*{name}"):
            cls(little / "vocab.txt", **{name: None})
    write_tokens(little, without("[MASK]"))
    assert cls(little / "vocab.txt", mask_token=None).mask_token_id is None


# ---- one object, many uses
@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("kind", ["np", "tf"])
def test_arrays(cls, folder, kind):
    found = cls(folder / "vocab.txt")(SHORT, padding=True, return_tensors=kind)
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        array = np.asarray(found[name])
        assert array.dtype == np.int64
        assert array.shape == (len(SHORT), 7)
    assert isinstance(found.input_ids, np.ndarray) is (kind == "np")


@pytest.mark.parametrize("cls", BOTH)
def test_copies_and_pickles(cls, folder):
    tokenizer = cls(folder / "vocab.txt")
    tokenizer(SHORT)
    for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert dict(twin(BATCH)) == dict(tokenizer(BATCH))
        twin.add_tokens("<new>")
        assert twin("<new>").input_ids == [101, 30522, 102]
        assert tokenizer("<new>").input_ids == [101, 1026, 2047, 1028, 102]


@pytest.mark.parametrize("cls", BOTH)
def test_threads_do_not_disturb_each_other(cls, folder):
    tokenizer = cls(folder / "vocab.txt")
    plans = [{"padding": True}, {"truncation": True, "max_length": 3}, {}]
    expected = [dict(tokenizer(SHORT, **plan)) for plan in plans]
    fresh = cls(folder / "vocab.txt")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda n: dict(fresh(SHORT, **plans[n % 3])), range(60)))
    assert all(result == expected[n % 3] for n, result in enumerate(found))
