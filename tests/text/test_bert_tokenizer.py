"""BERT's tokenizers: the reference's recorded results, and what is between a text and its ids."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import AddedToken

from tests.text.bert_sentences import (
    BATCH,
    CALLS,
    FAST_CALLS,
    LONG,
    PAIRS,
    SENTENCES,
    SHORT,
    VARIANTS,
    calls_of,
    recorded,
    results,
    texts_of,
    write_vocabulary,
)
from tfzoo.models.lxmert.tokenizer import LxmertTokenizer, LxmertTokenizerFast
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast

RECORDS = recorded()
BOTH = (BertTokenizer, BertTokenizerFast)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """The real vocabulary, and one with capitals."""
    names = ("uncased", "cased")
    return {name: write_vocabulary(tmp_path_factory.mktemp(name), name) for name in names}


@pytest.fixture(scope="module")
def vocabulary(folders) -> Path:
    return folders["uncased"] / "vocab.txt"


@pytest.fixture(scope="module")
def fast(vocabulary) -> BertTokenizerFast:
    return BertTokenizerFast(vocabulary, model_max_length=512)


@pytest.fixture(scope="module")
def slow(vocabulary) -> BertTokenizer:
    return BertTokenizer(vocabulary, model_max_length=512)


@pytest.fixture(scope="module")
def computed(folders) -> dict[str, Any]:
    answers = {}
    for name, (kind, tokens, options) in VARIANTS.items():
        cls = BertTokenizerFast if kind else BertTokenizer
        tokenizer = cls(folders[tokens] / "vocab.txt", model_max_length=512, **options)
        answers[name] = results(tokenizer, name)
    return answers


# -- the reference's results ----------------------------------------------------------------------

ANSWERS = [(name, what) for name in VARIANTS for what in RECORDS[name] if what != "calls"]


@pytest.mark.parametrize(("variant", "what"), ANSWERS)
def test_the_references_sentences(computed, variant, what):
    answers, texts = RECORDS[variant][what], texts_of(variant)
    assert len(answers) == len(texts[:120] if what == "tokens" else texts)
    for text, expected, found in zip(texts, answers, computed[variant][what], strict=False):
        assert found == expected, repr(text)
    assert len(computed[variant][what]) == len(answers)


CALLED = [(variant, name) for variant in ("fast", "slow") for name in calls_of(variant)]


@pytest.mark.parametrize(("variant", "name"), CALLED)
def test_the_references_calls(computed, variant, name):
    expected, found = (answers[variant]["calls"][name] for answers in (RECORDS, computed))
    assert found == expected
    assert variant == "slow" or list(found) == list(expected)


def test_every_recording_is_used_and_tells_variants_apart():
    assert set(RECORDS) == set(VARIANTS)
    assert set(RECORDS["fast"]["calls"]) == {*CALLS, *FAST_CALLS}
    assert len(SENTENCES) > 350
    ids = {name: str(RECORDS[name]["ids"]) for name in VARIANTS}
    equal = [(a, b) for a, b in combinations(VARIANTS, 2) if ids[a] == ids[b]]
    assert equal == [
        *[
            (f"{kind}, cased=True, strip_accents=None", f"{kind}, cased=True, strip_accents=False")
            for kind in ("fast", "slow")
        ],
        ("fast, ideographs as letters", "slow, ideographs as letters"),
    ]
    assert RECORDS["fast"]["decoded"] != RECORDS["slow"]["decoded"]
    assert RECORDS["slow"]["cleaned"] != RECORDS["slow"]["as is"]


# -- words and pieces -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", BOTH)
def test_sentences_of_the_documentation(cls, vocabulary):
    tokenizer = cls(vocabulary)
    assert tokenizer.tokenize("UNaff\u00e1ble") == ["una", "##ffa", "##ble"]
    ids = tokenizer("Hello, my dog is cute").input_ids
    assert ids == [101, 7592, 1010, 2026, 3899, 2003, 10140, 102]
    assert tokenizer.decode(ids) == "[CLS] hello, my dog is cute [SEP]"
    assert tokenizer.decode(np.array(ids), skip_special_tokens=True) == "hello, my dog is cute"
    assert tokenizer.tokenize("x" * 101) == ["[UNK]"] != tokenizer.tokenize("x" * 100)
    assert tokenizer.tokenize("a[MASK]b [mask]") == ["a", "[MASK]", "b", "[", "mask", "]"]
    assert tokenizer.tokenize("ah\u535a\u63a8zz") == ["ah", "\u535a", "[UNK]", "z", "##z"]
    assert tokenizer.tokenize("soft\u00adhyphen zero\u200bspace") == tokenizer.tokenize(
        "softhyphen zerospace"
    )
    assert tokenizer("").input_ids == [101, 102]


@pytest.mark.parametrize("cls", BOTH)
def test_cleaning_up(cls, vocabulary):
    tokenizer = cls(vocabulary)
    assert tokenizer.clean_up_tokenization_spaces is True
    ids = tokenizer("don't, it is he's. So?", add_special_tokens=False).input_ids
    assert tokenizer.decode(ids) == "don't, it is he's. so?"
    raw = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    ours = "don ' t , it is he ' s . so ?"
    assert raw == (ours if cls is BertTokenizer else "don ' t, it is he ' s. so?")
    plain = cls(vocabulary, clean_up_tokenization_spaces=False)
    assert plain.decode(ids) == raw
    assert plain.batch_decode([ids], clean_up_tokenization_spaces=True) == [tokenizer.decode(ids)]


def test_joining_tokens(slow, fast):
    pieces = ["una", "##ffa", "##ble", "!", "##s"]
    assert slow.convert_tokens_to_string(pieces) == "unaffable !s"
    assert fast.convert_tokens_to_string(pieces) == "unaffable!s"


@pytest.mark.parametrize("cls", BOTH)
def test_facts_of_the_vocabulary(cls, vocabulary):
    tokenizer = cls(vocabulary)
    assert tokenizer.vocab_size == len(tokenizer) == len(tokenizer.get_vocab()) == 30522
    special = ("pad", "unk", "cls", "sep", "mask")
    ids = [getattr(tokenizer, f"{name}_token_id") for name in special]
    assert ids == [0, 100, 101, 102, 103]
    assert tokenizer.all_special_ids == [100, 102, 0, 101, 103]
    assert tokenizer.bos_token is None
    assert tokenizer.model_input_names == ["input_ids", "token_type_ids", "attention_mask"]
    assert tokenizer.do_lower_case is True
    assert cls(vocabulary, do_lower_case=False).do_lower_case is False
    assert tokenizer.is_fast is (cls is BertTokenizerFast)
    assert tokenizer.convert_tokens_to_ids(["cat", "nonsense!"]) == [4937, 100]
    with pytest.raises(ValueError, match="has no id 30522"):
        tokenizer.decode([30522])


@pytest.mark.parametrize("cls", [*BOTH, LxmertTokenizer, LxmertTokenizerFast])
def test_form_of_a_sequence(cls, vocabulary):
    tokenizer = cls(vocabulary)
    first, second = (tokenizer.encode(t, add_special_tokens=False) for t in ("a cat", "two"))
    whole = tokenizer("a cat", "two", return_special_tokens_mask=True)
    assert tokenizer.build_inputs_with_special_tokens(first, second) == whole.input_ids
    assert tokenizer.build_inputs_with_special_tokens(first) == tokenizer("a cat").input_ids
    assert tokenizer.create_token_type_ids_from_sequences(first, second) == whole.token_type_ids
    assert tokenizer.create_token_type_ids_from_sequences(first) == [0] * 4
    assert whole.token_type_ids == [0, 0, 0, 0, 1, 1]
    assert tokenizer.get_special_tokens_mask(first, second) == whole.special_tokens_mask
    assert tokenizer.get_special_tokens_mask(first) == [1, 0, 0, 1]
    assert tokenizer.get_special_tokens_mask([], []) == [1, 1, 1]
    mask = tokenizer.get_special_tokens_mask(whole.input_ids, already_has_special_tokens=True)
    assert mask == whole.special_tokens_mask == [1, 0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="expected one whole sequence"):
        tokenizer.get_special_tokens_mask(first, second, already_has_special_tokens=True)
    assert [tokenizer.num_special_tokens_to_add(pair) for pair in (False, True)] == [2, 3]


# -- options --------------------------------------------------------------------------------------


def test_never_split(vocabulary):
    assert BertTokenizer(vocabulary).tokenize("c++ rocks") == ["c", "+", "+", "rocks"]
    tokenizer = BertTokenizer(vocabulary, never_split=["c++"])
    assert tokenizer.tokenize("c++ rocks C++") == ["c++", "rocks", "c++"]
    assert tokenizer.tokenize("(c++)") == ["(", "c", "+", "+", ")"]
    assert tokenizer("c++ rocks").input_ids == [101, 100, 5749, 102]  # it has no id of its own
    capitals = BertTokenizer(vocabulary, never_split=["C++"])
    assert capitals.tokenize("C++") == ["c", "+", "+"]  # letters become small first
    cased = BertTokenizer(vocabulary, never_split=["C++"], do_lower_case=False)
    assert cased.tokenize("C++") == ["C++"]
    for wrong in ("c++", b"c++", [3]):
        with pytest.raises(TypeError, match="never_split must be a list of words"):
            BertTokenizer(vocabulary, never_split=wrong)


def test_words_only(vocabulary):
    tokenizer = BertTokenizer(vocabulary, do_basic_tokenize=False, never_split=["c++"])
    assert tokenizer.tokenize("a cat") == ["a", "cat"]
    assert tokenizer.tokenize("A c++ [MASK] it's") == [
        *["[UNK]", "c", "##+", "##+", "[MASK]"],  # capitals stay, nothing is kept whole
        *["it", "##'", "##s"],
    ]


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("cased", [False, True])
@pytest.mark.parametrize("strip", [None, True, False])
def test_accents(cls, cased, strip, folders):
    path = folders["cased" if cased else "uncased"] / "vocab.txt"
    tokenizer = cls(path, do_lower_case=not cased, strip_accents=strip)
    stripped = strip or (strip is None and not cased)
    kept = ["Caf\u00e9"] if cased else ["[UNK]"]  # the uncased vocabulary has no such piece
    plain = ["Cafe"] if cased else ["cafe"]
    assert tokenizer.tokenize("Caf\u00e9") == (plain if stripped else kept)


def test_options_of_the_backend(vocabulary):
    text = "a\u200bb\u0007 caf\u00e9"
    assert BertTokenizerFast(vocabulary).tokenize(text) == ["ab", "cafe"]
    raw = BertTokenizerFast(vocabulary, clean_text=False).tokenize(text)
    assert raw == ["[UNK]", "cafe"]
    other = BertTokenizerFast(vocabulary, wordpieces_prefix="")
    assert other.tokenize("catdog") == ["cat", "dog"]
    assert BertTokenizerFast(vocabulary).tokenize("catdog") == ["cat", "##dog"]
    assert other.decode(other("catdog").input_ids, True) == "catdog"
    for name in ("never_split", "do_basic_tokenize"):
        with pytest.raises(TypeError, match=f"BertTokenizerFast has no {name}. Use BertTokenizer"):
            BertTokenizerFast(vocabulary, **{name: None})
    for cls in BOTH:
        with pytest.raises(TypeError, match="do_lowercase"):
            cls(vocabulary, do_lowercase=True)
        with pytest.raises(TypeError):
            cls(vocabulary, do_lower_case="yes")


def test_other_special_tokens(vocabulary):
    names = {"cls_token": "[unused1]", "sep_token": "[unused2]", "pad_token": "[unused3]"}
    for cls in BOTH:
        tokenizer = cls(vocabulary, unk_token="[unused4]", mask_token=None, **names)
        ids = tokenizer(["\u2603", "a a"], padding=True).input_ids
        assert ids == [[2, 5, 3, 4], [2, 1037, 1037, 3]]
        assert tokenizer.tokenize("[unused1]x") == ["[unused1]", "x"]
        assert tokenizer.mask_token is None


# -- added tokens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["<obj>", None, {"a": "<obj>"}])
def test_additional_special_tokens_are_a_list(vocabulary, extra):
    tokenizer = BertTokenizerFast(vocabulary)
    count = len(tokenizer)
    with pytest.raises(ValueError, match="additional_special_tokens must be a list of tokens"):
        tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": extra})
    assert len(tokenizer) == count
    assert tokenizer.pad_token == "[PAD]"


def test_added_tokens_of_the_slow_class(vocabulary):
    tokenizer = BertTokenizer(vocabulary)
    assert tokenizer.add_tokens(["NEW", "[E1]"]) == 2
    assert tokenizer.convert_tokens_to_ids(["new", "[e1]"]) == [2047, 30522]
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<S>"]}) == 1
    assert (len(tokenizer), tokenizer.vocab_size) == (30524, 30522)
    assert tokenizer.tokenize("renewal [E1]New<S><s>") == [
        *["re", "new", "al", "[e1]", "new", "<S>"],
        *["<", "s", ">"],
    ]
    ids = tokenizer("a [e1] <S> b", add_special_tokens=False).input_ids
    assert ids == [1037, 30522, 30523, 1038]
    assert tokenizer.decode(ids) == "a [e1] <S> b"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "a [e1] b"
    pieces = tokenizer.convert_tokens_to_ids(["una", "##ffa", "[e1]", "##ble"])
    assert tokenizer.decode(pieces) == "unaffa [e1] ##ble"


def test_flags_of_added_tokens(vocabulary):
    tokenizer = BertTokenizer(vocabulary)
    tokens = [
        AddedToken("<L>", lstrip=True, normalized=False),
        AddedToken("<R>", rstrip=True, normalized=False, special=True),
        AddedToken("one", single_word=True),
    ]
    tokenizer.add_tokens(tokens)
    tokenizer.add_special_tokens({"mask_token": AddedToken("<R>", rstrip=True, normalized=False)})
    assert tokenizer.tokenize("a <R> b") == ["a", "<R>", "b"]
    assert tokenizer.tokenize("someone one oneness One") == [
        *["someone", "one", "one", "##ness", "one"],
    ]


def test_split_special_tokens(slow, fast):
    for tokenizer in (slow, fast):
        found = tokenizer.tokenize("a [MASK] b[SEP]", split_special_tokens=True)
        assert found == ["a", "[", "mask", "]", "b", "[", "sep", "]"]
        assert tokenizer(["[MASK]"], split_special_tokens=True).input_ids == [
            [101, 1031, 7308, 1033, 102]
        ]


# -- calls ----------------------------------------------------------------------------------------


def test_ties_of_longest_first(slow, fast):
    pair = ("one two three", "four five six")
    call = {"truncation": True, "max_length": 8, "add_special_tokens": True}
    assert slow.decode(slow(*pair, **call).input_ids) == "[CLS] one two three [SEP] four five [SEP]"
    assert fast.decode(fast(*pair, **call).input_ids) == "[CLS] one two [SEP] four five six [SEP]"


@pytest.mark.parametrize("side", ["right", "left"])
def test_sides_of_truncation(vocabulary, side):
    tokenizer = BertTokenizer(vocabulary, truncation_side=side, padding_side="left")
    found = tokenizer("one two three", truncation=True, max_length=4).input_ids
    kept = "one two" if side == "right" else "two three"
    assert tokenizer.decode(found, skip_special_tokens=True) == kept
    padded = tokenizer(["one", "one two"], padding=True)
    assert padded.input_ids[0] == [0, 101, 2028, 102]
    assert padded.attention_mask[0] == [0, 1, 1, 1]


def test_overflow_of_the_slow_class(slow, fast):
    call = {"truncation": True, "max_length": 8, "stride": 2, "return_overflowing_tokens": True}
    ours, theirs = (tokenizer(BATCH, padding=True, **call) for tokenizer in (slow, fast))
    assert dict(ours) == dict(theirs)
    assert ours.overflow_to_sample_mapping.count(BATCH.index(LONG)) > 5
    pair = slow(*PAIRS[0], truncation="only_second", max_length=7, return_overflowing_tokens=True)
    assert [slow.decode(ids, True) for ids in pair.input_ids] == [
        "a cat two dogs",
        "a cat and a",
        "a cat bird",
    ]
    assert pair.token_type_ids == [[0] * 4 + [1] * 3, [0] * 4 + [1] * 3, [0] * 4 + [1] * 2]


@pytest.mark.parametrize(
    ("texts", "call", "words"),
    [
        (("a b",), {"truncation": "only_second", "max_length": 3}, "Texts of 2 tokens and 2"),
        (("a", "b c d"), {"truncation": "only_first", "max_length": 4}, "Texts of 1 and 3 tokens"),
        (("a b c",), {"truncation": True, "max_length": 4, "stride": 2}, "max_length=4"),
        (("a", "b c d"), {"truncation": True, "max_length": 6, "stride": 2}, "stride=2"),
        (("a",), {"truncation": True, "max_length": 1}, "max_length=1 is too short"),
        (("a", None), {"return_offsets_mapping": True}, "no offsets. Use BertTokenizerFast"),
        ((3,), {}, "must be a string, got int"),
    ],
)
def test_impossible_calls(slow, texts, call, words):
    with pytest.raises(ValueError, match=words):
        slow(*texts, **call)


def test_half_a_character(slow, fast, vocabulary):
    assert slow("a \ud800").input_ids == slow("a").input_ids  # cannot be seen
    for tokenizer in (fast, BertTokenizer(vocabulary, do_basic_tokenize=False)):
        with pytest.raises(ValueError, match=r"encode|utf-8"):
            tokenizer("a \ud800")


def test_padding_needs_a_token(vocabulary):
    for cls in BOTH:
        with pytest.raises(ValueError, match="Padding needs a padding token"):
            cls(vocabulary, pad_token=None)(["a", "a b"], padding=True)


def test_offsets_of_accents(fast):
    text = "e\u0301a\u0300 \u00e9cole soft\u00adly"
    encoding = fast(text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = [text[first:last] for first, last in encoding.offset_mapping]
    assert encoding.tokens() == ["ea", "ecole", "softly"]
    assert pieces == ["e\u0301a", "\u00e9cole", "soft\u00adly"]


def test_words_of_tokens(slow, fast):
    for texts in (SHORT, PAIRS[:3]):
        ours, theirs = slow(texts), fast(texts)
        for number in range(len(texts)):
            assert ours.tokens(number) == theirs.tokens(number)
            assert ours.word_ids(number) == theirs.word_ids(number)
            assert ours.sequence_ids(number) == theirs.sequence_ids(number)
    words = [["unaffable", "it's"], ["a"]]
    for tokenizer in (slow, fast):
        found = tokenizer(words, is_split_into_words=True)
        assert found.word_ids(0) == [None, 0, 0, 0, 1, 1, 1, None]
