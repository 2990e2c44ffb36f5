"""Perceiver's byte tokenizer: the reference's recorded results, and its behaviour as an object."""

from __future__ import annotations

import copy
import gzip
import inspect
import json
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

import tfzoo
from tests.models.perceiver.image_cases import RECORDED_TEXTS
from tests.models.perceiver.texts import BATCH
from tests.support.record_perceiver_preprocessing import text_results
from tfzoo.hub import HubError
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer
from tfzoo.text.tokenizer import TokenizerError

RECORDS = json.loads(gzip.decompress(RECORDED_TEXTS.read_bytes()))
TOKENIZER = PerceiverTokenizer()


# -- the reference's results ----------------------------------------------------------------------


def test_the_references_recorded_results():
    computed = json.loads(json.dumps(text_results(TOKENIZER)))
    assert set(computed) == set(RECORDS)
    for what, expected in RECORDS.items():
        assert computed[what] == expected, what


def test_known_ids():
    text = "A long paragraph for summarization."
    expected = "4 71 38 114 117 116 109 38 118 103 120 103 109 120 103 118 110 38 108 117 120 38 "
    expected += "121 123 115 115 103 120 111 128 103 122 111 117 116 52 5"
    assert TOKENIZER(text).input_ids == list(map(int, expected.split()))
    expected = [4, 91, 116, 111, 105, 117, 106, 107, 38, 232, 136, 178, 52, 5]
    assert TOKENIZER.encode("Unicode €.") == expected
    assert TOKENIZER.decode(expected) == "[CLS]Unicode €.[SEP]"
    assert TOKENIZER("") == {"input_ids": [4, 5], "attention_mask": [1, 1]}


def test_documented_arguments_in_their_order():
    call = [
        "text",
        "text_pair",
        "text_target",
        "text_pair_target",
        "add_special_tokens",
        "padding",
        "truncation",
        "max_length",
        "stride",
        "is_split_into_words",
        "pad_to_multiple_of",
        "return_tensors",
        "return_token_type_ids",
        "return_attention_mask",
        "return_overflowing_tokens",
        "return_special_tokens_mask",
        "return_offsets_mapping",
        "return_length",
        "verbose",
        "padding_side",
    ]
    assert list(inspect.signature(PerceiverTokenizer.__call__).parameters)[1:21] == call
    roles = [
        "pad_token",
        "bos_token",
        "eos_token",
        "mask_token",
        "cls_token",
        "sep_token",
        "model_max_length",
    ]
    assert list(inspect.signature(PerceiverTokenizer).parameters)[:7] == roles


# -- bytes ----------------------------------------------------------------------------------------


def test_thousands_of_byte_strings_survive():
    """Bytes to ids to bytes, and valid text to ids to text."""
    chance = random.Random(7)
    for _ in range(3000):
        string = chance.randbytes(chance.randrange(80))
        ids = [byte + 6 for byte in string]
        tokens = TOKENIZER.convert_ids_to_tokens(ids)
        assert TOKENIZER.convert_tokens_to_ids(tokens) == ids
        assert bytes(map(ord, tokens)) == string
        assert TOKENIZER.decode(ids) == string.decode("utf-8", errors="replace")


@settings(max_examples=500, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text):
    ids = TOKENIZER(text, split_special_tokens=True).input_ids
    assert ids == [4, *[byte + 6 for byte in text.encode()], 5]
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


def test_invalid_utf8_is_replaced():
    assert TOKENIZER.decode([178]) == "\ufffd"
    assert TOKENIZER.decode(178) == "\ufffd"
    euro = TOKENIZER("€", add_special_tokens=False).input_ids
    assert TOKENIZER.decode([euro[0], 3, *euro[1:]]) == "\ufffd[MASK]\ufffd\ufffd"
    # left out, the special token no longer tears the character apart
    assert TOKENIZER.decode([euro[0], 3, *euro[1:]], skip_special_tokens=True) == "€"


def test_lone_surrogates_are_refused():
    with pytest.raises(ValueError, match="cannot be written in UTF-8"):
        TOKENIZER("a\ud800b")


# -- special tokens -------------------------------------------------------------------------------


def test_special_tokens_in_a_text():
    assert TOKENIZER("a[MASK] b", add_special_tokens=False).input_ids == [103, 3, 38, 104]
    assert 3 not in TOKENIZER("a[mask]").input_ids
    assert 3 not in TOKENIZER("a[MASK]", split_special_tokens=True).input_ids
    assert PerceiverTokenizer(split_special_tokens=True)("[MASK]").input_ids[1] == 97
    mask = TOKENIZER("a[MASK]", return_special_tokens_mask=True).special_tokens_mask
    assert mask == [1, 0, 0, 1]
    whole = TOKENIZER.get_special_tokens_mask([4, 103, 3, 5], already_has_special_tokens=True)
    assert whole == [1, 0, 1, 1]


def test_renamed_special_tokens():
    tokenizer = PerceiverTokenizer(mask_token="<hidden>")
    assert tokenizer.mask_token_id == 3
    assert tokenizer("<hidden>").input_ids == [4, 3, 5]
    assert 3 not in tokenizer("[MASK]").input_ids


def test_flags_of_special_tokens():
    eager = PerceiverTokenizer(mask_token=AddedToken("[MASK]", lstrip=True, special=True))
    assert eager("a [MASK] b", add_special_tokens=False).input_ids == [103, 3, 38, 104]
    word = PerceiverTokenizer(mask_token=AddedToken("M", single_word=True, special=True))
    assert word("aM M", add_special_tokens=False).input_ids == [103, 83, 38, 3]


def test_tokens_can_be_added():
    tokenizer = PerceiverTokenizer()
    assert tokenizer.add_tokens(["<x>", "<xy>"]) == 2
    assert tokenizer.add_tokens("<x>") == 0
    assert (len(tokenizer), tokenizer.vocab_size) == (264, 256)
    ids = tokenizer("a<xy><x>b", add_special_tokens=False).input_ids
    assert ids == [103, 263, 262, 104]
    assert tokenizer.decode(ids) == "a <xy> <x> b"  # apart, as in the reference
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<s>"]}) == 1
    assert tokenizer.decode(tokenizer("a<s>b").input_ids) == "[CLS]a <s> b[SEP]"
    assert tokenizer.decode(tokenizer("a<s>b").input_ids, True) == "ab"


@pytest.mark.parametrize("wrong", [{"mask_token": None}, {"mask_token": "[PAD]"}])
def test_six_special_tokens_are_needed(wrong):
    with pytest.raises(TokenizerError, match="six different special tokens"):
        PerceiverTokenizer(**wrong)


def test_what_is_not_in_the_vocabulary():
    assert TOKENIZER.convert_tokens_to_ids("€") is None
    assert TOKENIZER.convert_tokens_to_ids(["a", "[MASK]"]) == [103, 3]
    for ids in ([262], [-1], 10**12):
        with pytest.raises(ValueError, match="262 tokens has no id"):
            TOKENIZER.decode(ids)
    with pytest.raises(ValueError, match="'€' is not a token"):
        TOKENIZER.convert_tokens_to_string(["a", "€"])


# -- calls ----------------------------------------------------------------------------------------


def test_pairs():
    encoding = TOKENIZER("ab", "c", return_token_type_ids=True, return_special_tokens_mask=True)
    assert encoding.input_ids == [4, 103, 104, 5, 105, 5]
    assert encoding.token_type_ids == [0, 0, 0, 0, 1, 1]
    assert encoding.special_tokens_mask == [1, 0, 0, 1, 0, 1]
    assert encoding.tokens() == ["[CLS]", "a", "b", "[SEP]", "c", "[SEP]"]
    assert encoding.sequence_ids() == [None, 0, 0, None, 1, None]
    assert TOKENIZER("ab", "").input_ids == [4, 103, 104, 5, 5]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(11, ("abcd", "efgh")), (10, ("abcd", "efg")), (9, ("abc", "efg")), (3, ("", ""))],
)
def test_pairs_of_one_length_lose_from_the_second_first(length, expected):
    ids = TOKENIZER("abcd", "efgh", truncation=True, max_length=length).input_ids
    assert TOKENIZER.decode(ids) == "[CLS]{}[SEP]{}[SEP]".format(*expected)


def test_only_one_of_a_pair_is_cut():
    for strategy, text in (("only_first", "[CLS]a[SEP]efgh[SEP]"), ("only_second", None)):
        ids = TOKENIZER("abcd", "efgh", truncation=strategy, max_length=8).input_ids
        assert TOKENIZER.decode(ids) == (text or "[CLS]abcd[SEP]e[SEP]")
    with pytest.raises(ValueError, match="Texts of 4 and 4 tokens and 3 special .* max_length=4"):
        TOKENIZER("abcd", "efgh", truncation="only_first", max_length=4)
    with pytest.raises(ValueError, match="Texts of 4 tokens and 2 special ones cannot be cut"):
        TOKENIZER("abcd", truncation="only_second", max_length=4)


@pytest.mark.parametrize(
    ("side", "ids", "overflow"),
    [("right", [103, 104], [104, 105, 106]), ("left", [105, 106], [103, 104, 105])],
)
def test_what_is_cut_off(side, ids, overflow):
    tokenizer = PerceiverTokenizer(truncation_side=side)
    options = {"truncation": True, "max_length": 4, "return_overflowing_tokens": True}
    found = tokenizer("abcd", stride=1, **options)
    assert found.input_ids == [4, *ids, 5]
    assert (found.overflowing_tokens, found.num_truncated_tokens) == (overflow, 2)
    fits = tokenizer(["ab", "a"], **options)
    assert (fits.overflowing_tokens, fits.num_truncated_tokens) == ([[], []], [0, 0])


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding(side):
    encoding = TOKENIZER(BATCH, padding=True, padding_side=side, return_special_tokens_mask=True)
    (length,) = {len(ids) for ids in encoding.input_ids}
    columns = zip(*(encoding[name] for name in encoding), strict=True)
    for text, (ids, mask, special) in zip(BATCH, columns, strict=True):
        own = TOKENIZER(text).input_ids
        count = length - len(own)
        if side == "right":
            assert (ids, mask) == (own + [0] * count, [1] * len(own) + [0] * count)
        else:
            assert (ids, mask) == ([0] * count + own, [0] * count + [1] * len(own))
        assert sum(special) == count + 2
    whole = TOKENIZER("a", padding="max_length", return_tensors="np")
    assert whole.input_ids.shape == (1, 2048)
    assert TOKENIZER.pad(TOKENIZER(["a", "bc"]), return_tensors="np").input_ids.shape == (2, 4)


def test_over_long_texts_are_kept_with_a_warning():
    tokenizer = PerceiverTokenizer(model_max_length=8)
    with pytest.warns(UserWarning, match="A text has 12 tokens, the model takes 8"):
        assert len(tokenizer("abcdefghij").input_ids) == 12
    assert len(tokenizer("abcdefghij", truncation=True).input_ids) == 8


def test_tensors():
    from keras import ops

    encoding = TOKENIZER(["hi", "you"], padding=True, return_tensors="tf")
    assert ops.is_tensor(encoding.input_ids)
    assert encoding.input_ids.shape == (2, 5)
    assert ops.convert_to_numpy(encoding.input_ids).dtype == np.int64
    array = TOKENIZER("hi", return_tensors="np").input_ids
    assert (array.dtype, array.shape) == (np.int64, (1, 4))
    assert TOKENIZER.batch_decode(encoding.input_ids, True) == ["hi", "you"]


def test_words_are_joined_without_spaces():
    ids = TOKENIZER(["ab", "[MASK]", "c"], is_split_into_words=True).input_ids
    assert ids == TOKENIZER("ab[MASK]c").input_ids
    batch = TOKENIZER([["a"], ["b", "c"]], is_split_into_words=True).input_ids
    assert batch == TOKENIZER(["a", "bc"]).input_ids


def test_targets_become_labels():
    encoding = TOKENIZER(["a", "b"], text_target=["c", "d"])
    assert encoding.labels == TOKENIZER(["c", "d"]).input_ids
    assert TOKENIZER(text_target="c") == TOKENIZER("c")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"text": None}, "There is no text"),
        ({"text": 5}, "Each text must be a string"),
        ({"text": ["a", "bc"], "return_tensors": "np"}, "different lengths"),
        ({"text": "a", "return_tensors": "pt"}, "return_tensors must be 'np'"),
        ({"text": "a", "return_offsets_mapping": True}, "has no offsets"),
        ({"text": "a", "truncation": True, "max_length": 1}, "too short for 2 special tokens"),
        ({"text": "a", "padding": "longer"}, "padding must be True, False or one of"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER(**call)
    with pytest.raises(ValueError, match="know words and offsets"):
        TOKENIZER("a").word_ids()


def test_threads_and_copies():
    expected = TOKENIZER(BATCH, padding=True).input_ids
    for tokenizer in (copy.deepcopy(TOKENIZER), pickle.loads(pickle.dumps(TOKENIZER))):
        with ThreadPoolExecutor(4) as pool:
            results = pool.map(lambda _, t=tokenizer: t(BATCH, padding=True).input_ids, range(40))
        assert all(result == expected for result in results)


# -- files ----------------------------------------------------------------------------------------


def test_files_come_back(tmp_path):
    tokenizer = PerceiverTokenizer(model_max_length=64, padding_side="left", mask_token="<m>")
    tokenizer.add_tokens(["<x>"])
    paths = tokenizer.save_pretrained(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / path for path in paths)
    again = PerceiverTokenizer.from_pretrained(tmp_path)
    text = ["a<m>b<x>", "€"]
    assert again(text, padding=True) == tokenizer(text, padding=True)
    assert (again.model_max_length, again.padding_side, len(again)) == (64, "left", 263)
    assert PerceiverTokenizer.from_pretrained(tmp_path, model_max_length=9).model_max_length == 9
    assert tokenizer.save_vocabulary(tmp_path) == ()


def test_auto_tokenizer_finds_the_class(tmp_path):
    PerceiverTokenizer(model_max_length=64).save_pretrained(tmp_path)
    tokenizer = tfzoo.AutoTokenizer.from_pretrained(tmp_path)
    assert (type(tokenizer), tokenizer.model_max_length) == (PerceiverTokenizer, 64)
    # where no class is named, the model's config decides
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"model_max_length": 32}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "perceiver"}))
    tokenizer = tfzoo.AutoTokenizer.from_pretrained(tmp_path)
    assert (type(tokenizer), tokenizer.model_max_length) == (PerceiverTokenizer, 32)


def test_published_files_are_read(tmp_path):
    """The old form: bare names, and a list of their flags."""
    config = {
        "model_max_length": 2048,
        "pad_token": "[PAD]",
        "mask_token": {"__type": "AddedToken", "content": "[MASK]", "lstrip": False},
        "tokenizer_class": "PerceiverTokenizer",
        "special_tokens_map_file": None,
        "name_or_path": "somewhere",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"cls_token": "[CLS]"}))
    tokenizer = PerceiverTokenizer.from_pretrained(tmp_path)
    assert tokenizer("a[MASK]").input_ids == [4, 103, 3, 5]
    assert len(tokenizer) == 262


def test_files_of_others_are_refused(tmp_path):
    with pytest.raises(HubError, match=r"tokenizer_config\.json"):
        PerceiverTokenizer.from_pretrained(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    with pytest.raises(TokenizerError, match="expected a tokenizer of class PerceiverTokenizer"):
        PerceiverTokenizer.from_pretrained(tmp_path)
    config.write_text("{")
    with pytest.raises(TokenizerError):
        PerceiverTokenizer.from_pretrained(tmp_path)
