"""BERT's tokenizers against the living reference: texts, options, added tokens, files."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from tests.support.record_bert_tokenizer import reference_of
from tests.support.reference import transformers
from tests.text.bert_sentences import (
    BATCH,
    FEW,
    PAIRS,
    SENTENCES,
    SHORT,
    VARIANTS,
    recorded,
    results,
    write_vocabulary,
)
from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast

OURS = {
    "BertTokenizer": BertTokenizer,
    "BertTokenizerFast": BertTokenizerFast,
    "LxmertTokenizer": LxmertTokenizer,
    "LxmertTokenizerFast": LxmertTokenizerFast,
}
FILES_OF = ("BertTokenizer", "LxmertTokenizerFast")  # LXMERT's are BERT's, and read alike
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
    "clean_up_tokenization_spaces",
    "model_input_names",
    "is_fast",
    "do_lower_case",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module", params=["BertTokenizer", "BertTokenizerFast"])
def pair(request, folder) -> tuple[Any, Any]:
    """The reference's tokenizer and ours."""
    return both(request.param, folder, model_max_length=512)


@pytest.fixture(autouse=True)
def quiet():
    """Ours warns where the reference logs; what it says is tested elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def both(name: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    classes = getattr(transformers, name), OURS[name]
    return tuple(cls.from_pretrained(folder, **options) for cls in classes)


def assert_same(reference: Any, own: Any) -> None:
    """The same settings, added tokens, ids and texts."""
    for fact in FACTS:
        assert getattr(own, fact) == getattr(reference, fact), fact
    assert len(own) == len(reference)
    texts = [*FEW, *SHORT, "NEW<extra>x <pad> new<new> renewal"]
    ids = reference(texts).input_ids
    assert own(texts).input_ids == ids
    for text in texts:
        assert own.tokenize(text) == reference.tokenize(text), text
    for skip in (False, True):
        assert own.batch_decode(ids, skip) == reference.batch_decode(ids, skip)
    call = {"padding": True, "truncation": True, "max_length": 20}
    assert dict(own(BATCH, **call)) == dict(reference(BATCH, **call))
    assert dict(own(PAIRS, **call)) == dict(reference(PAIRS, **call))


# -- texts and calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "prefix"),
    [*((variant, "Lxmert") for variant in VARIANTS), ("fast", "Bert"), ("slow", "Bert")],
)
def test_recording_is_of_this_reference(variant, prefix, tmp_path):
    assert results(reference_of(variant, tmp_path, prefix), variant) == recorded()[variant]


def test_vocabularies_are_equal(pair):
    reference, own = pair
    assert_same(reference, own)
    assert own.get_vocab() == reference.get_vocab()
    everything = list(range(30522))
    assert own.convert_ids_to_tokens(everything) == reference.convert_ids_to_tokens(everything)
    assert own.batch_decode(everything) == reference.batch_decode(everything)


@pytest.mark.parametrize("padding", [False, True, "max_length"])
@pytest.mark.parametrize("truncation", [None, True, "longest_first", "only_first"])
@pytest.mark.parametrize("max_length", [None, 4, 8, 64])
def test_lengths(pair, padding, truncation, max_length):
    reference, own = pair
    for side in ("right", "left"):
        for multiple in (None, 4):
            call = {"padding": padding, "truncation": truncation, "max_length": max_length}
            call |= {"padding_side": side, "pad_to_multiple_of": multiple}
            assert dict(own(BATCH, **call)) == dict(reference(BATCH, **call)), call


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["BertTokenizer", "BertTokenizerFast"])
def test_pairs(folder, side, name):
    reference, own = both(name, folder, truncation_side=side)
    for length in range(4, 24):
        call = {"truncation": "longest_first", "max_length": length, "padding": True}
        assert dict(own(PAIRS, **call)) == dict(reference(PAIRS, **call)), length


def test_methods(pair):
    a, b = (
        [
            t.encode("a cat", "dogs"),
            t.tokenize("A Cat's [MASK]"),
            t.convert_tokens_to_ids(["cat", "nonsense###", "[SEP]"]),
            t.convert_tokens_to_string(["una", "##ffa", "##ble", ",", "it", "'", "s", "##x"]),
            t.build_inputs_with_special_tokens([1, 2], [3]),
            t.build_inputs_with_special_tokens([]),
            t.create_token_type_ids_from_sequences([1, 2], [3]),
            t.create_token_type_ids_from_sequences([1, 2]),
            t.get_special_tokens_mask([101, 5, 102], already_has_special_tokens=True),
            t.num_special_tokens_to_add(True),
            t.decode([101, 2123, 1005, 1056, 102], skip_special_tokens=True),
            t.decode(7592),
            t(PAIRS, return_special_tokens_mask=True)["special_tokens_mask"],
        ]
        for t in pair
    )
    assert a == b
    reference, own = pair
    if not reference.is_fast:  # the fast one refuses
        for ids in ([[1, 2]], [[1], [2, 3]], [[], []]):
            assert own.get_special_tokens_mask(*ids) == reference.get_special_tokens_mask(*ids)


# -- options --------------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {"do_lower_case": False},
    {"strip_accents": False},
    {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    {"unk_token": "[unused1]", "pad_token": "[unused2]", "mask_token": "[unused3]"},
    {"cls_token": "[unused1]", "sep_token": "[unused2]"},
    {"cls_token": AddedToken("[unused1]", lstrip=True), "sep_token": "!"},
    {"additional_special_tokens": ["[unused7]", "cat"]},
    {"clean_up_tokenization_spaces": False},
    {"padding_side": "left", "truncation_side": "left"},
]
SLOW_OPTIONS: list[dict[str, Any]] = [
    {"never_split": ["c++", "[x]", "dog's", "[mask]", "Hello,"]},
    {"never_split": ["Hello,", "WORLD!", "d'été"], "do_lower_case": False},
    {"do_basic_tokenize": False, "do_lower_case": False},
]
NEVER = "c++ c++! [x] dog's DOG'S [mask] Hello, WORLD! d'été D'ÉTÉ hello, [MASK] a[x]b"


@pytest.mark.parametrize("options", [*OPTIONS, *SLOW_OPTIONS], ids=str)
@pytest.mark.parametrize("name", OURS)
def test_options(folder, name, options):
    if options in SLOW_OPTIONS and name.endswith("Fast"):
        with pytest.raises(TypeError, match="has no"):
            OURS[name].from_pretrained(folder, **options)
        return
    reference, own = both(name, folder, **options)
    if options.get("do_basic_tokenize", True):  # else the reference's property fails
        assert_same(reference, own)
    assert own.tokenize(NEVER) == reference.tokenize(NEVER)
    assert own([NEVER, *SENTENCES]).input_ids == reference([NEVER, *SENTENCES]).input_ids


def grown(tokenizer: Any) -> Any:
    tokenizer.add_tokens(["NEW", "<extra>", "[E1]"])
    tokenizer.add_tokens(AddedToken("<L>", lstrip=True, normalized=False))
    tokenizer.add_tokens([AddedToken("one", single_word=True)])
    tokenizer.add_tokens(AddedToken("<R>", rstrip=True, special=True, normalized=False), True)
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<new>"]})
    return tokenizer


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("name", OURS)
def test_added_tokens(folder, name, lower):
    reference, own = map(grown, both(name, folder, do_lower_case=lower))
    texts = [
        "renewal NEW New newt",
        "a <L> b<L>c",
        "a <R>   b [MASK]<R> c",
        "one someone one's One, oneness (one) one",
        "x<extra>y <EXTRA> [E1] [e1]",
        "<new><pad><new> <NEW>",
        "one<new>one two",
    ]
    for text in texts:
        assert own.tokenize(text) == reference.tokenize(text), text
        ids = reference(text).input_ids
        assert own(text).input_ids == ids
        assert own.decode(ids) == reference.decode(ids)
        assert own.decode(ids, True) == reference.decode(ids, skip_special_tokens=True)
    assert len(own) == len(reference)
    assert own.get_vocab() == reference.get_vocab()
    assert own(texts, padding=True).input_ids == reference(texts, padding=True).input_ids


# -- files ----------------------------------------------------------------------------------------


def flags(content: str, **others: Any) -> dict[str, Any]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": content, **plain, **others}


NAMES = ("pad", "unk", "cls", "sep", "mask")
OLD = {f"{name}_token": f"[{name.upper()}]" for name in NAMES}
NEW = {
    index: flags(f"[{name.upper()}]", special=True)
    for name, index in zip(NAMES, ("0", "100", "101", "102", "103"), strict=True)
}
FILES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "bare": {"tokenizer_config.json": {"do_lower_case": True}},
    "cased": {"tokenizer_config.json": {"do_lower_case": False, "model_max_length": 512}},
    "published": {
        "tokenizer_config.json": {
            "do_lower_case": True,
            "unk_token": "[UNK]",
            "strip_accents": None,
            "tokenize_chinese_chars": True,
            "never_split": None,
            "do_basic_tokenize": True,
            "special_tokens_map_file": None,
            "max_len": 512,
        },
        "special_tokens_map.json": OLD,
    },
    "decoder": {
        "tokenizer_config.json": {
            "added_tokens_decoder": NEW,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 512,
            **OLD,
        },
        "special_tokens_map.json": {"pad_token": "!"},  # out of date
    },
    "decoder with new tokens": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                **NEW,
                "30522": flags("<pad>", special=True),
                "30523": flags("<new>", special=True, lstrip=True),
            },
            **OLD,
            "pad_token": "<pad>",
            "additional_special_tokens": ["<new>"],
        }
    },
    "flags": {"special_tokens_map.json": {n: flags(t) for n, t in OLD.items()}},
    "added tokens": {
        "added_tokens.json": {"<pad>": 30522, "<extra>": 30523},
        "special_tokens_map.json": {"pad_token": "<pad>"},
    },
}


@pytest.mark.parametrize("name", FILES_OF)
@pytest.mark.parametrize("form", ["vocabulary", "both"])
@pytest.mark.parametrize("files", FILES)
def test_folders_are_read_alike(folder, tmp_path, files, form, name):
    shutil.copy(folder / "vocab.txt", tmp_path)
    if form == "both":
        writer = transformers.BertTokenizerFast.from_pretrained(folder)
        writer.add_tokens(list(FILES[files].get("added_tokens.json", ())))
        writer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    for file, values in FILES[files].items():
        (tmp_path / file).write_text(json.dumps(values))
    assert_same(*both(name, tmp_path))


@pytest.mark.parametrize("name", FILES_OF)
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("remove", [(), ("tokenizer.json",)], ids=str)
def test_files_go_there_and_back(folder, tmp_path, name, more, remove):
    pair = both(name, folder, do_lower_case=False, model_max_length=512)
    theirs, own = (grown(tokenizer) if more else tokenizer for tokenizer in pair)
    for writer in (theirs, own):
        place = tmp_path / type(writer).__module__
        writer.save_pretrained(place)
        for file in remove:
            (place / file).unlink(missing_ok=True)
        read = both(name, place)
        assert_same(*read)
        assert read[0](SENTENCES).input_ids == own(SENTENCES).input_ids


@pytest.mark.parametrize("name", OURS)
def test_reference_loads_our_files_through_its_automatic_class(folder, tmp_path, name):
    own = OURS[name].from_pretrained(folder, do_lower_case=False)
    own.save_pretrained(tmp_path)
    found = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert type(found).__name__ == f"{name.removesuffix('Fast')}Fast"
    fast = OURS[type(found).__name__].from_pretrained(tmp_path)
    assert_same(found, fast)


def test_settings_of_tokenizer_json(folder, tmp_path):
    backend = Tokenizer.from_str(
        transformers.BertTokenizerFast.from_pretrained(
            folder, do_lower_case=False
        ).backend_tokenizer.to_str()
    )
    backend.enable_padding(direction="left", pad_id=0, pad_token="[PAD]", length=12)
    backend.enable_truncation(5, direction="left")
    backend.save(str(tmp_path / "tokenizer.json"))
    file = str(tmp_path / "tokenizer.json")
    for options in ({}, {"do_lower_case": False}, {"strip_accents": True}):
        theirs = transformers.BertTokenizerFast(tokenizer_file=file, **options)
        assert_same(theirs, BertTokenizerFast(tokenizer_file=file, **options))
        assert_same(*both("BertTokenizerFast", tmp_path, **options))


# -- any text, any option -------------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=8),
    st.text(st.characters(codec="latin-1"), max_size=8),
    st.sampled_from(
        ["[MASK]", "[SEP]", "##", "don't", "n't", "  ", "\u00a0", "e\u0301", "🎉", "日本", "42"]
    ),
    st.sampled_from(["İ", "Σ", "ß", "\u00ad", "\u200d", "\u2028", "x" * 60, "한국", "é" * 50]),
)
TEXTS = st.lists(PIECES, max_size=10).map("".join)
QUIET = [HealthCheck.function_scoped_fixture]
MANY = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=QUIET)


@MANY
@given(texts=st.lists(TEXTS, min_size=1, max_size=4), second=TEXTS, length=st.integers(5, 60))
def test_any_text(pair, texts, second, length):
    reference, own = pair
    call = {"padding": "max_length", "truncation": True, "max_length": length}
    pairs = [(text, second) for text in texts]
    if reference.is_fast:
        call["return_offsets_mapping"] = True
    assert dict(own(texts, **call)) == dict(reference(texts, **call))
    assert dict(own(pairs, **call)) == dict(reference(pairs, **call))
    ids = reference(texts).input_ids
    assert own(texts).input_ids == ids
    for clean in (False, True, None):
        assert own.batch_decode(ids, True, clean) == reference.batch_decode(ids, True, clean)


TOKENIZERS: dict[str, tuple[Any, Any]] = {}


@MANY
@given(
    text=TEXTS,
    lower=st.booleans(),
    strip=st.sampled_from([None, True, False]),
    ideographs=st.booleans(),
    name=st.sampled_from(["LxmertTokenizer", "LxmertTokenizerFast"]),
)
def test_any_option(folder, text, lower, strip, ideographs, name):
    options = {"do_lower_case": lower, "strip_accents": strip}
    options["tokenize_chinese_chars"] = ideographs
    key = name + str(options)
    if key not in TOKENIZERS:
        TOKENIZERS[key] = both(name, folder, **options)
    reference, own = TOKENIZERS[key]
    assert own.tokenize(text) == reference.tokenize(text)
    assert own(text).input_ids == reference(text).input_ids
