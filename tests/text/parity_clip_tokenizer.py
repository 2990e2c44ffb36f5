"""The tokenizers against the living reference: texts, calls, files in both directions."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.support.reference import transformers
from tests.text.clip_sentences import (
    BATCH,
    CALLS,
    PAIRS,
    SENTENCES,
    SHORT,
    recorded,
    results,
    write_vocabulary,
)
from tests.text.test_tokenizers import WORDS, make
from tfzoo.text.clip import CLIPTokenizerFast

Reference = transformers.CLIPTokenizerFast
START, END = "<|startoftext|>", "<|endoftext|>"


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def expected(plain_folder) -> Any:
    return Reference.from_pretrained(plain_folder, model_max_length=77)


@pytest.fixture(scope="module")
def ours(plain_folder) -> CLIPTokenizerFast:
    return CLIPTokenizerFast.from_pretrained(plain_folder, model_max_length=77)


@pytest.fixture(autouse=True)
def quiet():
    """Ours warns where the reference logs; what it says is tested elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


FACTS = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "special_tokens_map",
    "all_special_tokens",
    "all_special_ids",
    "additional_special_tokens",
    "vocab_size",
    "pad_token_id",
    "cls_token",
    "clean_up_tokenization_spaces",
    "model_input_names",
    "is_fast",
)


def assert_same(reference: Any, own: CLIPTokenizerFast) -> None:
    """The same settings, added tokens, ids and texts."""
    for fact in FACTS:
        assert getattr(own, fact) == getattr(reference, fact), fact
    assert len(own) == len(reference)
    assert own.get_added_vocab() == reference.get_added_vocab()
    assert str(own.added_tokens_decoder) == str(reference.added_tokens_decoder)
    texts = [*SENTENCES[::3], *SHORT, "a!", "<pad> NEW <new>", "Extra<extra>!!"]
    ids = reference(texts).input_ids
    assert own(texts).input_ids == ids
    for skip in (False, True):
        assert own.batch_decode(ids, skip) == reference.batch_decode(ids, skip)
    call = {"padding": True, "truncation": True, "max_length": 20}
    assert dict(own(BATCH, **call)) == dict(reference(BATCH, **call))


def test_recording_is_of_this_reference(expected):
    assert results(expected) == recorded()


def test_all_sentences_and_calls(expected, ours):
    assert results(ours) == results(expected)
    assert_same(expected, ours)


def test_vocabularies_are_equal(expected, ours):
    assert ours.get_vocab() == expected.get_vocab()
    everything = list(range(49408))
    assert ours.convert_ids_to_tokens(everything) == expected.convert_ids_to_tokens(everything)
    assert ours.batch_decode(everything) == expected.batch_decode(everything)


@pytest.mark.parametrize("padding", [False, True, "max_length"])
@pytest.mark.parametrize("truncation", [None, True, "longest_first", "only_first"])
@pytest.mark.parametrize("max_length", [None, 4, 8, 77])
def test_lengths(expected, ours, padding, truncation, max_length):
    for side in ("right", "left"):
        for multiple in (None, 4):
            call = {"padding": padding, "truncation": truncation, "max_length": max_length}
            call |= {"padding_side": side, "pad_to_multiple_of": multiple}
            if multiple and truncation and (max_length or 77) % multiple and padding:
                continue  # both refuse
            assert dict(ours(BATCH, **call)) == dict(expected(BATCH, **call)), call


def test_refusals_are_the_references(expected, ours):
    for call in (
        {"padding": True, "truncation": True, "pad_to_multiple_of": 4},
        {"padding": "left"},
        {"truncation": "first"},
    ):
        for tokenizer in (expected, ours):
            with pytest.raises(ValueError, match=r"multiple|padding|truncation|Strategy"):
                tokenizer(BATCH, **call)


def test_arrays(expected, ours):
    call = {"padding": True, "truncation": True, "return_tensors": "np"}
    for texts in (BATCH, BATCH[0]):
        theirs, own = expected(texts, **call), ours(texts, **call)
        assert list(own) == list(theirs)
        for name in theirs:
            assert own[name].dtype == theirs[name].dtype == np.int64
            np.testing.assert_array_equal(own[name], theirs[name])


def test_methods(expected, ours):
    for tokenizers in zip([expected] * 3, [ours] * 3, strict=True):
        a, b = (
            [
                t.encode("a cat", "dogs"),
                t.tokenize("A Cat's", add_special_tokens=True),
                t.convert_tokens_to_ids(["cat</w>", "nonsense###", END]),
                t.convert_tokens_to_string(["cat</w>", "'s</w>"]),
                t.build_inputs_with_special_tokens([1, 2], [3]),
                t.create_token_type_ids_from_sequences([1, 2], [3]),
                t.get_special_tokens_mask([49406, 5, 49407], already_has_special_tokens=True),
                t.num_special_tokens_to_add(True),
                t("a cat").tokens(),
                t(PAIRS).word_ids(3),
                t(PAIRS).sequence_ids(3),
            ]
            for t in tokenizers
        )
        assert a == b


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"padding": "max_length"},
        {"padding": "max_length", "max_length": 9, "padding_side": "left"},
        {"pad_to_multiple_of": 8},
        {"padding": False},
        {"padding": "max_length", "return_tensors": "np"},
    ],
    ids=str,
)
def test_pad(expected, ours, call):
    for options in ({}, {"return_attention_mask": False}, {"return_special_tokens_mask": True}):
        singles = [dict(expected(text, **options)) for text in SHORT]
        for given_ in (singles, singles[0], dict(expected(SHORT, **options))):
            theirs = expected.pad(json.loads(json.dumps(given_)), **call)
            own = ours.pad(given_, **call)
            assert {k: np.asarray(v, object).tolist() for k, v in own.items()} == {
                k: np.asarray(v, object).tolist() for k, v in theirs.items()
            }


# -- files ----------------------------------------------------------------------------------------


def flags(content: str, **others: Any) -> dict[str, Any]:
    plain = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    return {"content": content, **plain, **others}


NEW = {"49406": flags(START, special=True), "49407": flags(END, special=True, normalized=False)}
FILES: dict[str, dict[str, Any]] = {
    "config": {"tokenizer_config.json": {"model_max_length": 77, "errors": "replace"}},
    "left": {"tokenizer_config.json": {"padding_side": "left", "truncation_side": "left"}},
    "clean": {"tokenizer_config.json": {"clean_up_tokenization_spaces": True, "max_len": 9}},
    "other padding": {"special_tokens_map.json": {"pad_token": "!"}},
    "other padding, flags": {"special_tokens_map.json": {"pad_token": flags("!")}},
    "typed": {
        "tokenizer_config.json": {
            "bos_token": flags(START, __type="AddedToken"),
            "unk_token": flags(END, __type="AddedToken"),
            "pad_token": END,
            "do_lower_case": True,
            "tokenizer_class": "CLIPTokenizer",
        },
        "special_tokens_map.json": {"bos_token": flags(START), "eos_token": flags(END)},
    },
    "flags that contradict": {
        "special_tokens_map.json": {
            "unk_token": flags(END, normalized=False, lstrip=True),
            "eos_token": flags(END),
        }
    },
    "decoder": {
        "tokenizer_config.json": {"added_tokens_decoder": NEW},
        "special_tokens_map.json": {"pad_token": "!"},  # out of date
    },
    "decoder with a new token": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                **NEW,
                "49408": flags("<pad>", special=True, normalized=False),
                "49409": flags("NEW"),
                "49410": flags("<new>", normalized=False, lstrip=True),
            },
            "pad_token": "<pad>",
        }
    },
    "added tokens": {
        "added_tokens.json": {"<pad>": 49408, "NEW": 49409},
        "special_tokens_map.json": {"pad_token": "<pad>"},
    },
    "additional": {
        "added_tokens.json": {"<new>": 49408, "<extra>": 49409},
        "special_tokens_map.json": {"additional_special_tokens": ["<new>", flags("<extra>")]},
    },
}


@pytest.mark.parametrize("form", ["vocabulary", "tokenizer.json", "both"])
@pytest.mark.parametrize("name", FILES)
def test_folders_are_read_alike(plain_folder, expected, tmp_path, name, form):
    if name in ("added tokens", "additional") and form != "vocabulary":
        expected = Reference.from_pretrained(plain_folder)
        expected.add_tokens(list(FILES[name]["added_tokens.json"]))
    if form != "vocabulary":
        expected.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    if form != "tokenizer.json":
        for file in ("vocab.json", "merges.txt"):
            shutil.copy(plain_folder / file, tmp_path)
    for file, values in FILES[name].items():
        (tmp_path / file).write_text(json.dumps(values))
    assert_same(Reference.from_pretrained(tmp_path), CLIPTokenizerFast.from_pretrained(tmp_path))


@pytest.mark.parametrize("settings_", [{"pad_token": "!"}, {"model_max_length": 9}], ids=str)
def test_overrides(plain_folder, settings_):
    theirs = Reference.from_pretrained(plain_folder, **settings_)
    assert_same(theirs, CLIPTokenizerFast.from_pretrained(plain_folder, **settings_))
    paths = (str(plain_folder / "vocab.json"), str(plain_folder / "merges.txt"))
    assert_same(Reference(*paths, **settings_), CLIPTokenizerFast(*paths, **settings_))


def test_settings_of_tokenizer_json_leak_alike(expected, tmp_path):
    backend = Tokenizer.from_str(expected.backend_tokenizer.to_str())
    backend.enable_padding(direction="left", pad_id=0, pad_token="!", length=12)
    backend.enable_truncation(5, direction="left")
    backend.save(str(tmp_path / "tokenizer.json"))
    file = str(tmp_path / "tokenizer.json")
    assert_same(Reference(tokenizer_file=file), CLIPTokenizerFast(tokenizer_file=file))
    assert_same(Reference.from_pretrained(tmp_path), CLIPTokenizerFast.from_pretrained(tmp_path))


def changed(tokenizer: Any) -> Any:
    tokenizer.add_tokens(["NEW", "<extra>"])
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<new>"]})
    tokenizer.padding_side = "left"
    return tokenizer


@pytest.mark.parametrize("remove", [(), ("tokenizer.json",), ("vocab.json", "merges.txt")], ids=str)
@pytest.mark.parametrize("more", [False, True])
def test_files_go_there_and_back(plain_folder, tmp_path, remove, more):
    pair = [c.from_pretrained(plain_folder, model_max_length=77) for c in BOTH]
    theirs, own = (changed(tokenizer) if more else tokenizer for tokenizer in pair)
    assert_same(theirs, own)
    for writer in (theirs, own):
        folder = tmp_path / type(writer).__module__
        writer.save_pretrained(folder)
        for file in remove:
            (folder / file).unlink()
        read = [c.from_pretrained(folder) for c in BOTH]
        assert_same(*read)
        assert read[0](SENTENCES).input_ids == own(SENTENCES).input_ids


BOTH = (Reference, CLIPTokenizerFast)


def test_reference_loads_our_files_through_its_automatic_class(ours, tmp_path):
    ours.save_pretrained(tmp_path)
    found = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert type(found) is Reference
    assert_same(found, ours)


# -- any text, any vocabulary ---------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(codec="latin-1"), max_size=8),
    st.sampled_from(
        [START, END, "</w>", "'LL", "n't", "  ", "\u00a0", "e\u0301", "🎉", "日本", "42"]
    ),
)
TEXTS = st.lists(PIECES, max_size=10).map("".join)


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), pair=TEXTS, length=st.integers(4, 90))
def test_any_text(expected, ours, texts, pair, length):
    call = {"padding": "max_length", "truncation": True, "max_length": length}
    call |= {"return_offsets_mapping": True}
    assert dict(ours(texts, **call)) == dict(expected(texts, **call))
    pairs = [(text, pair) for text in texts]
    assert dict(ours(pairs, **call)) == dict(expected(pairs, **call))
    ids = expected(texts).input_ids
    assert ours.batch_decode(ids, True) == expected.batch_decode(ids, skip_special_tokens=True)


def test_base_is_the_references_base():
    own = make(padding_side="left")
    special = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep")}
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(own.backend_tokenizer.to_str()),
        model_max_length=6,
        padding_side="left",
        **special,
    )
    assert own.special_tokens_map == theirs.special_tokens_map
    assert own.all_special_tokens == theirs.all_special_tokens
    rng = random.Random(0)
    texts = [" ".join(rng.choices([*WORDS, "dog"], k=rng.randrange(6))) for _ in range(30)]
    for _, call in CALLS.values():
        if call.get("is_split_into_words") or "text_pair" in call:
            continue
        call = {**call, "max_length": 6} if "max_length" in call else call
        if call.get("truncation") == "only_second":
            continue
        if call.get("pad_to_multiple_of") or call.get("truncation") == "only_first":
            continue
        assert dict(own(texts, **call)) == dict(theirs(texts, **call)), call
    pairs = list(zip(texts, texts[::-1], strict=True))
    assert dict(own(pairs)) == dict(theirs(pairs))
    assert dict(own(pairs, padding=True)) == dict(theirs(pairs, padding=True))
