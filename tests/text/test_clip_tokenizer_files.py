"""The files of CLIP's tokenizer in all their forms, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from tests.text.clip_sentences import BATCH, SHORT, write_vocabulary
from tfzoo.core.files import read_json
from tfzoo.hub import HubFileNotFoundError
from tfzoo.text.clip import CLIPTokenizer, CLIPTokenizerFast
from tfzoo.text.tokenizer import TokenizerError

START, END = "<|startoftext|>", "<|endoftext|>"
LITTLE = ["c", "a", "t", "a</w>", "t</w>", "ca", "cat</w>", START, END]


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory) -> Path:
    """Only the real vocab.json and merges.txt."""
    return write_vocabulary(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def tokenizer(plain_folder) -> CLIPTokenizerFast:
    return CLIPTokenizerFast.from_pretrained(plain_folder, model_max_length=77)


@pytest.fixture
def little(tmp_path) -> Path:
    """A folder with a vocabulary of nine tokens, for files that are to be spoilt."""
    write(tmp_path / "vocab.json", {token: index for index, token in enumerate(LITTLE)})
    (tmp_path / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    return tmp_path


def write(path: Path, values) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def added(content: str, **flags) -> dict:
    fields = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"content": content, **fields, **flags}


# -- files ----------------------------------------------------------------------------------------


def test_saved_files_give_the_same_tokenizer(tokenizer, tmp_path):
    paths = tokenizer.save_pretrained(tmp_path / "a" / "b")
    assert {Path(path).name for path in paths} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "merges.txt",
    }
    assert all(Path(path).is_file() for path in paths)
    again = CLIPTokenizer.from_pretrained(tmp_path / "a" / "b")
    assert again.model_max_length == 77
    assert again(BATCH, truncation=True) == tokenizer(BATCH, truncation=True)
    again.save_pretrained(tmp_path / "c")
    for path in paths:
        copied = tmp_path / "c" / Path(path).name
        assert copied.read_bytes() == Path(path).read_bytes(), copied.name
    (tmp_path / "c" / "tokenizer.json").unlink()
    assert CLIPTokenizerFast.from_pretrained(tmp_path / "c")(SHORT) == tokenizer(SHORT)
    assert [p.name for p in tmp_path.rglob(".*")] == []


def test_constructor_takes_either_form(plain_folder, tokenizer, tmp_path):
    ours = CLIPTokenizerFast(plain_folder / "vocab.json", str(plain_folder / "merges.txt"))
    assert ours.model_max_length == int(1e30)
    ours.save_pretrained(tmp_path)
    whole = CLIPTokenizerFast(tokenizer_file=tmp_path / "tokenizer.json", padding_side="left")
    assert whole(SHORT) == ours(SHORT) == tokenizer(SHORT)
    assert whole(["a", "a b"], padding=True).input_ids[0][0] == 49407
    name = CLIPTokenizerFast.from_pretrained(tmp_path / "vocab.json")
    assert name("x") == ours("x")


def test_failed_write_leaves_the_old_file(little, tmp_path, monkeypatch):
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    tokenizer.save_pretrained(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(self, *args, **kwargs):
        raise OSError("disk full")

    tokenizer.model_max_length = 5
    tokenizer.add_tokens("new")
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        tokenizer.save_pretrained(tmp_path / "out")
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(after) == set(before)
    assert after["tokenizer.json"] == before["tokenizer.json"]


def test_settings_of_the_file(little):
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 4,
        "padding_side": "left",
        "errors": "replace",
        "add_prefix_space": False,
        "name_or_path": "/home/somebody/clip",
        "tokenizer_file": "/home/somebody/tokenizer.json",
        "pad_token": added("t</w>", __type="AddedToken"),
        "bos_token": START,
        "cls_token": None,
    }
    write(little / "tokenizer_config.json", config)
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    assert (tokenizer.model_max_length, tokenizer.padding_side) == (4, "left")
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("t</w>", 4)
    assert tokenizer(["cat", ""], padding="max_length").input_ids == [[4, 7, 6, 8], [4, 4, 7, 8]]
    assert CLIPTokenizerFast.from_pretrained(little, padding_side="right").padding_side == "right"
    tokenizer.save_pretrained(little / "out")
    saved = read_json(little / "out" / "tokenizer_config.json")
    assert saved["errors"] == "replace"
    assert not {"name_or_path", "tokenizer_file"} & set(saved)
    write(little / "tokenizer_config.json", {"max_len": 6})
    assert CLIPTokenizerFast.from_pretrained(little).model_max_length == 6


def test_special_tokens_in_old_and_new_files(little):
    named = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "c"}
    write(little / "special_tokens_map.json", named)
    assert CLIPTokenizerFast.from_pretrained(little).pad_token_id == 0
    fields = {name: added(token) for name, token in named.items()}
    fields["additional_special_tokens"] = ["t", added("ca")]
    write(little / "special_tokens_map.json", fields)
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.additional_special_tokens == ["t", "ca"]
    assert tokenizer.additional_special_tokens_ids == [2, 5]
    assert tokenizer.special_tokens_map["additional_special_tokens"] == ["t", "ca"]
    assert CLIPTokenizerFast.from_pretrained(little, pad_token="a").pad_token_id == 1
    decoder = {"7": added(START, special=True), "8": added(END, special=True)}
    decoder["9"] = added("<new>", special=True, normalized=False)
    config = {"added_tokens_decoder": decoder, "pad_token": "<new>", "extra_special_tokens": ["t"]}
    write(little / "tokenizer_config.json", config)  # now special_tokens_map.json is out of date
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    assert (tokenizer.pad_token_id, len(tokenizer), tokenizer.vocab_size) == (9, 10, 9)
    assert tokenizer.additional_special_tokens == ["t"]
    tokenizer.save_pretrained(little / "out")
    assert CLIPTokenizerFast.from_pretrained(little / "out")("a<new>").input_ids == [7, 3, 9, 8]


def test_added_tokens_file(little):
    write(little / "added_tokens.json", {"<pad>": 9, "new": 10})
    write(little / "special_tokens_map.json", {"pad_token": "<pad>"})
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    assert (tokenizer.pad_token_id, len(tokenizer)) == (9, 11)
    ids = tokenizer("cat NEW").input_ids
    assert ids == [7, 6, 10, 8]
    assert tokenizer.decode([9, *ids], skip_special_tokens=True) == "cat new"
    write(little / "added_tokens.json", {"<pad>": 20})
    with pytest.raises(TokenizerError, match="'<pad>' has the id 20, but after this.* it has 9"):
        CLIPTokenizerFast.from_pretrained(little)


def test_padding_of_the_file_does_not_leak(little):
    tokenizer = CLIPTokenizerFast.from_pretrained(little)
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(direction="left", length=9, pad_id=0, pad_token="c")
    backend.enable_truncation(3, direction="left")
    backend.save(str(little / "tokenizer.json"))
    loaded = CLIPTokenizerFast.from_pretrained(little)
    assert loaded("a cat cat").input_ids == [7, 3, 6, 6, 8]
    assert (loaded.padding_side, loaded.truncation_side) == ("left", "left")  # as the reference
    assert loaded("a cat", truncation=True, max_length=3).input_ids == [7, 6, 8]
    assert loaded(["a cat", "a"], padding=True).input_ids[1] == [8, 7, 3, 8]
    assert loaded.backend_tokenizer.padding is None
    assert CLIPTokenizerFast.from_pretrained(little, padding_side="right").padding_side == "right"


# -- refusals -------------------------------------------------------------------------------------


def replace_vocabulary(folder, vocabulary):
    write(folder / "vocab.json", vocabulary)


def replace_merges(folder, text):
    (folder / "merges.txt").write_text(text)


def replace_tokenizer(folder, text):
    (folder / "tokenizer.json").write_text(text)


GAP = {**{token: index for index, token in enumerate(LITTLE[:-1])}, END: 20}
BROKEN = {
    "no files": (lambda f: (f / "vocab.json").unlink(), "expected tokenizer.json, or vocab.json"),
    "vocabulary no JSON": (lambda f: (f / "vocab.json").write_text("{"), "vocab.json is not valid"),
    "vocabulary a list": (lambda f: replace_vocabulary(f, LITTLE), "must hold a JSON object"),
    "empty vocabulary": (lambda f: replace_vocabulary(f, {}), "vocab.json.*it is empty"),
    "gap": (lambda f: replace_vocabulary(f, GAP), "each of the ids 0 to 8.*at id 8"),
    "id a string": (lambda f: replace_vocabulary(f, {"a": "0"}), "'a' has the id '0'"),
    "no end": (
        lambda f: replace_vocabulary(f, {t: i for i, t in enumerate(LITTLE[:-1])}),
        r"vocab.json lacks the unk_token '<\|endoftext\|>'",
    ),
    "merge of unknown tokens": (
        lambda f: replace_merges(f, "#version: 0.2\nc a\nd o\n"),
        "merges.txt, line 3: the token 'd' is not in .*vocab.json",
    ),
    "unknown result": (lambda f: replace_merges(f, "#version: 0.2\nt a\n"), "line 2: .*'ta'"),
    "merge of three": (
        lambda f: replace_merges(f, "#version: 0.2\nc a t\n"),
        "line 2: expected two",
    ),
    "no header": (lambda f: replace_merges(f, "c a\nca t</w>\n"), "'#version: 0.2' in the first"),
    "tokenizer no JSON": (lambda f: replace_tokenizer(f, "{"), "tokenizer.json is not valid JSON"),
    "not a tokenizer": (lambda f: replace_tokenizer(f, "{}"), "is not a tokenizer.json of the"),
    "config no JSON": (lambda f: (f / "tokenizer_config.json").write_text("]"), "not valid JSON"),
    "class of another": (
        lambda f: write(f / "tokenizer_config.json", {"tokenizer_class": "BertTokenizerFast"}),
        "expected a tokenizer of class CLIPTokenizer or .*got BertTokenizerFast. Load",
    ),
    "special token unknown": (
        lambda f: write(f / "special_tokens_map.json", {"pad_token": "<pad>"}),
        r"pad_token '<pad>' is not in the vocabulary of 9 .*add_special_tokens\(\{'pad_token'",
    ),
    "special token with flags unknown": (
        lambda f: write(f / "special_tokens_map.json", {"pad_token": added("<pad>")}),
        "pad_token '<pad>' is not in the vocabulary",
    ),
    "special token a number": (
        lambda f: write(f / "special_tokens_map.json", {"pad_token": 3}),
        "must be a string, got 3",
    ),
    "special token malformed": (
        lambda f: write(f / "special_tokens_map.json", {"pad_token": {"text": "a"}}),
        "expected a token's content and flags",
    ),
    "added tokens a list": (
        lambda f: write(f / "tokenizer_config.json", {"added_tokens_decoder": ["a"]}),
        "must map ids to tokens",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(little, name):
    spoil, words = BROKEN[name]
    spoil(little)
    with pytest.raises(TokenizerError, match=words) as caught:
        CLIPTokenizerFast.from_pretrained(little)
    assert isinstance(caught.value, ValueError)


def test_files_of_other_tokenizers(little):
    path = little / "tokenizer.json"
    Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(TokenizerError, match=r"words end in '</w>', got WordPiece"):
        CLIPTokenizerFast.from_pretrained(little)
    Tokenizer(models.BPE({"a": 0}, [])).save(str(path))
    with pytest.raises(TokenizerError, match="got BPE with the end"):
        CLIPTokenizerFast(tokenizer_file=path)
    Tokenizer(models.BPE({"a": 0}, [], end_of_word_suffix="</w>")).save(str(path))
    with pytest.raises(TokenizerError, match="old form of before 2022"):
        CLIPTokenizerFast.from_pretrained(little)


def test_missing_files(tmp_path):
    with pytest.raises(TokenizerError, match="needs tokenizer_file .* or both vocab_file"):
        CLIPTokenizerFast()
    with pytest.raises(TokenizerError, match=r"nowhere.json cannot be read \(No such file"):
        CLIPTokenizerFast(tmp_path / "nowhere.json", tmp_path / "merges.txt")
    with pytest.raises(TokenizerError, match=r"nowhere.json cannot be read \(No such file"):
        CLIPTokenizerFast(tokenizer_file=tmp_path / "nowhere.json")
    with pytest.raises(HubFileNotFoundError, match="no file or folder"):
        CLIPTokenizerFast.from_pretrained(tmp_path / "nowhere")


def test_unknown_arguments(little):
    with pytest.raises(TypeError, match="max_lenght"):
        CLIPTokenizerFast.from_pretrained(little, max_lenght=3)
    with pytest.raises(TokenizerError, match="needs bos_token"):
        CLIPTokenizerFast.from_pretrained(little, bos_token=None)
    with pytest.raises(ValueError, match="padding_side must be 'right' or 'left', got 'top'"):
        CLIPTokenizerFast.from_pretrained(little, padding_side="top")
