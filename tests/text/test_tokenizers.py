"""The base of the tokenizers, with a vocabulary of words as BERT's: lengths, errors, results."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from tfzoo.core.files import read_json
from tfzoo.text.bert import BertTokenizer
from tfzoo.text.tokenizer import BaseTokenizer, BatchEncoding, TokenizerError

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "red": 5, "cat": 6, ".": 7}


def make(**settings) -> BaseTokenizer:
    backend = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    return BaseTokenizer(backend, **{**special, "model_max_length": 6, **settings})


@pytest.fixture(scope="module")
def tokenizer() -> BaseTokenizer:
    return make()


# -- calls ----------------------------------------------------------------------------------------


def test_token_types_come_by_default(tokenizer):
    encoding = tokenizer("a cat", "red")
    assert dict(encoding) == {
        "input_ids": [2, 4, 6, 3, 5, 3],
        "token_type_ids": [0, 0, 0, 0, 1, 1],
        "attention_mask": [1, 1, 1, 1, 1, 1],
    }
    made = tokenizer.create_token_type_ids_from_sequences([4, 6], [5])
    assert made == encoding.token_type_ids
    assert tokenizer.create_token_type_ids_from_sequences([4, 6]) == [0] * 4
    assert tokenizer.build_inputs_with_special_tokens([4], [5]) == [4, 5]
    assert list(tokenizer("a", return_token_type_ids=False)) == ["input_ids", "attention_mask"]
    assert list(make(model_input_names=["input_ids"])("a")) == ["input_ids"]


def test_encode_and_tokenize(tokenizer):
    assert tokenizer.encode("a dog") == [2, 4, 1, 3]
    assert tokenizer.encode("a", "cat", add_special_tokens=False) == [4, 6]
    assert tokenizer.encode(["a", "cat"], return_tensors="np").shape == (2, 3)
    assert tokenizer.tokenize("a [SEP] cat") == ["a", "[SEP]", "cat"]
    assert tokenizer.tokenize("a", add_special_tokens=True) == ["[CLS]", "a", "[SEP]"]
    assert tokenizer("a [SEP]", split_special_tokens=True).input_ids == [2, 4, 1, 1, 1, 3]
    assert make(split_special_tokens=True)("[SEP]").input_ids == [2, 1, 1, 1, 3]


def test_sides_are_the_tokenizers(tokenizer):
    left = make(padding_side="left", truncation_side="left")
    assert left(["a", "a cat"], padding=True).input_ids == [[0, 2, 4, 3], [2, 4, 6, 3]]
    assert left("a red cat", truncation=True, max_length=3).input_ids == [2, 6, 3]
    assert tokenizer("a red cat", truncation=True, max_length=3).input_ids == [2, 4, 3]
    ids = left(["a", "a cat"], padding=True, padding_side="right").input_ids
    assert ids[0] == [2, 4, 3, 0]


def test_lengths_without_a_limit():
    endless = make(model_max_length=None)
    assert endless.model_max_length == int(1e30)
    for call in ({"truncation": True}, {"padding": "max_length"}):
        with pytest.warns(UserWarning, match="Neither the call nor the checkpoint names"):
            assert endless("a " * 9, **call).input_ids == [2, *[4] * 9, 3]


def test_warnings_of_lengths(tokenizer):
    with pytest.warns(UserWarning, match="max_length=4 without padding and truncation truncates"):
        assert tokenizer("a a a a", max_length=4).input_ids == [2, 4, 4, 3]
    with pytest.warns(UserWarning, match="max_length has no effect with padding=True"):
        assert tokenizer("a", max_length=6, padding=True).input_ids == [2, 4, 3]
    with pytest.warns(UserWarning, match="A text has 8 tokens, the model takes 6"):
        assert len(tokenizer("a a a a a a").input_ids) == 8
    assert len(tokenizer("a a a a a a", max_length=9, truncation=False).input_ids) == 8


REFUSED = {
    "padding": ({"padding": "left"}, "padding must be True, False or one of .*got 'left'"),
    "truncation": ({"truncation": "first"}, "truncation must be .*'only_second', got 'first'"),
    "padding_side": ({"padding_side": "top"}, "padding_side must be 'right' or 'left'"),
    "max_length": ({"truncation": True, "max_length": -1}, "max_length must not be negative"),
    "stride": ({"stride": -1}, "stride must not be negative, got -1"),
    "too short": (
        {"truncation": True, "max_length": 1},
        "max_length=1 is too short for 2 special tokens",
    ),
    "long stride": (
        {"truncation": True, "max_length": 4, "stride": 2},
        "max_length=4 is too short for 2 special tokens and stride=2",
    ),
    "long stride for a pair": (
        {"text_pair": "a a a a", "truncation": True, "max_length": 7, "stride": 2},
        "cannot be encoded so: .*stride.*less than .*Change max_length, stride",
    ),
    "multiple": ({"padding": True, "pad_to_multiple_of": 0}, "at least 1, got 0"),
    "multiple and length": (
        {"padding": True, "truncation": True, "max_length": 5, "pad_to_multiple_of": 4},
        r"max_length \(5\) must be a multiple of pad_to_multiple_of \(4\)",
    ),
    "no second text": (
        {"truncation": "only_second", "max_length": 3},
        "Second sequence not provided. Change max_length, stride or truncation",
    ),
    "pt": ({"return_tensors": "pt"}, r"must be 'np' \(numpy\), 'tf' .*got 'pt'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_calls(tokenizer, name):
    call, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        tokenizer("a red cat", **call)
    assert tokenizer("a").input_ids == [2, 4, 3]  # nothing of the failed call is left


def test_texts_of_another_form(tokenizer):
    for text, words in [
        (None, "There is no text"),
        ([], "The list of texts is empty"),
        (3, "Each text must be a string, got int"),
        (b"a", "got bytes"),
        (["a", None], "got NoneType"),
        ([["a", "b", "c"]], "got list of 3.*is_split_into_words=True"),
        (["a", ("b", "c")], "Some texts are pairs and others are not"),
        (np.array(["a"]), "got ndarray"),
    ]:
        with pytest.raises(ValueError, match=words):
            tokenizer(text)
    with pytest.raises(ValueError, match="a list of words"):
        tokenizer("a b", is_split_into_words=True)
    with pytest.raises(ValueError, match="text_pair must be a list of as many, got str"):
        tokenizer(["a"], "b")
    with pytest.raises(ValueError, match="list of 1, so text_pair must be .*, got list of 2"):
        tokenizer(["a"], ["b", "c"])


def test_padding_needs_a_token():
    bare = make(pad_token=None)
    assert bare.pad_token_id is None
    with pytest.raises(ValueError, match="this tokenizer has none. Set pad_token"):
        bare(["a"], padding=True)
    with pytest.raises(ValueError, match="this tokenizer has none. Set pad_token"):
        bare.pad({"input_ids": [[1]]})
    bare.pad_token = "."
    assert bare(["a", ""], padding=True).input_ids == [[2, 4, 3], [2, 3, 7]]


# -- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["np", "tf"])
def test_arrays_are_int64(tokenizer, kind):
    encoding = tokenizer(["a", "cat"], return_tensors=kind, return_offsets_mapping=True)
    assert all("int64" in str(value.dtype) for value in encoding.values())
    assert tuple(encoding.offset_mapping.shape) == (2, 3, 2)
    empty = tokenizer("", add_special_tokens=False, return_tensors=kind)
    assert "int64" in str(empty.input_ids.dtype)
    assert tuple(empty.input_ids.shape) == (1, 0)
    assert np.array_equal(tokenizer(["a", "cat"]).convert_to(kind).input_ids, encoding.input_ids)


def test_ragged_results_are_refused(tokenizer):
    with pytest.raises(ValueError, match="input_ids .* Pass padding=True .*truncation=True"):
        tokenizer(["a", "a cat"], return_tensors="np")


def test_result_knows_the_backends(tokenizer):
    encoding = tokenizer([("a cat", "red"), ("a", "a")])
    assert encoding.tokens(0) == ["[CLS]", "a", "cat", "[SEP]", "red", "[SEP]"]
    assert encoding.word_ids() == [None, 0, 1, None, 0, None]
    assert encoding.sequence_ids(1) == [None, 0, None, 1, None]
    assert encoding[1].tokens == encoding.tokens(1)
    assert encoding["input_ids"] == encoding.input_ids
    for twin in (pickle.loads(pickle.dumps(encoding)), copy.deepcopy(encoding)):
        assert twin == encoding
        assert twin.tokens(0) == encoding.tokens(0)
    with pytest.raises(AttributeError, match="BatchEncoding has no 'pixel_values'"):
        encoding.pixel_values  # noqa: B018
    with pytest.raises(ValueError, match="Only a tokenizer's own result knows tokens"):
        BatchEncoding({"input_ids": [[1]]}).tokens()
    floats = BatchEncoding({"pixel_values": [[0.5]]}, "np")
    assert floats.pixel_values.tolist() == [[0.5]]


def test_pad(tokenizer):
    results = [tokenizer(text, return_special_tokens_mask=True) for text in ("a", "a cat")]
    padded = tokenizer.pad(results)
    assert padded.input_ids == [[2, 4, 3, 0], [2, 4, 6, 3]]
    assert padded.attention_mask[0] == [1, 1, 1, 0]
    assert padded.special_tokens_mask[0] == [1, 0, 1, 1]
    assert padded == tokenizer(["a", "a cat"], padding=True, return_special_tokens_mask=True)
    assert tokenizer.pad({"input_ids": [4]}, "max_length").input_ids == [4, 0, 0, 0, 0, 0]
    single = tokenizer.pad({"input_ids": [4]}, pad_to_multiple_of=3, padding_side="left")
    assert dict(single) == {"input_ids": [0, 0, 4], "attention_mask": [0, 0, 1]}
    assert tokenizer.pad({"input_ids": [[4], []]}, False).attention_mask == [[1], []]
    kept = tokenizer.pad({"input_ids": [[4]], "label": ["x"]}, return_attention_mask=False)
    assert dict(kept) == {"input_ids": [[4]], "label": ["x"]}
    array = tokenizer.pad({"input_ids": np.array([[4, 5]])}, "max_length", max_length=3)
    assert array.input_ids.tolist() == [[4, 5, 0]]
    tensors = tokenizer.pad([tokenizer("a").convert_to("tf"), tokenizer("a cat").convert_to("tf")])
    assert tuple(tensors.input_ids.shape) == (2, 4)
    assert not isinstance(tensors.input_ids, (list, np.ndarray))


def test_pad_refuses(tokenizer):
    with pytest.raises(ValueError, match="expected encoded texts with 'input_ids', got none"):
        tokenizer.pad([])
    with pytest.raises(ValueError, match=r"got \['attention_mask'\]"):
        tokenizer.pad({"attention_mask": [[1]]})
    with pytest.raises(ValueError, match="the same number of sequences"):
        tokenizer.pad({"input_ids": [[1], [2]], "attention_mask": [[1]]})


# -- vocabulary and special tokens ----------------------------------------------------------------


def test_conversions(tokenizer):
    assert tokenizer.convert_tokens_to_ids("cat") == 6
    assert tokenizer.convert_tokens_to_ids(["cat", "dog"]) == [6, 1]
    assert make(unk_token=None).convert_tokens_to_ids("dog") is None
    assert tokenizer.convert_ids_to_tokens(6) == "cat"
    ids = np.array([2, 6, 3])
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "cat", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(ids, skip_special_tokens=True) == ["cat"]
    assert tokenizer.convert_tokens_to_string(["a", "cat"]) == "a cat"
    assert tokenizer.vocab == tokenizer.get_vocab() == WORDS


def test_decoding(tokenizer):
    assert tokenizer.decode([2, 4, 6, 7, 3]) == "[CLS] a cat . [SEP]"
    assert tokenizer.decode([2, 4, 6, 7, 3], skip_special_tokens=True) == "a cat ."
    assert tokenizer.decode(np.array([6, 7]), clean_up_tokenization_spaces=True) == "cat."
    assert make(clean_up_tokenization_spaces=True).decode([6, 7]) == "cat."
    assert tokenizer.decode(6) == tokenizer.decode(np.int64(6)) == "cat"
    assert tokenizer.decode([]) == ""
    assert tokenizer.batch_decode(np.array([[4, 6], [6, 7]])) == ["a cat", "cat ."]
    tensor = tokenizer("a", return_tensors="tf").input_ids
    assert tokenizer.batch_decode(tensor) == ["[CLS] a [SEP]"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([4, 8], "vocabulary of 8 tokens has no id 8"),
        (-100, "no id -100.*labels of -100"),
        ([[4]], "Use batch_decode for several"),
        ([[4], [4, 5]], "Use batch_decode for several"),
        ([1.5], "whole numbers"),
        (["a"], "whole numbers"),
        ([2**40], "no id 1099511627776"),
    ],
)
def test_unknown_ids_are_refused(tokenizer, ids, words):
    with pytest.raises(ValueError, match=words):
        tokenizer.decode(ids)


def test_special_tokens_can_be_set():
    tokenizer = make()
    tokenizer.mask_token = "."
    assert tokenizer.mask_token_id == 7
    tokenizer.bos_token_id = 4
    assert tokenizer.bos_token == "a"
    tokenizer.bos_token = None
    assert tokenizer.bos_token_id is None
    assert tokenizer.all_special_tokens == ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "."]
    with pytest.raises(TokenizerError, match=r"mask_token '\[MASK\]' is not in the vocabulary"):
        tokenizer.mask_token = "[MASK]"
    with pytest.raises(ValueError, match="no id 99"):
        tokenizer.pad_token_id = 99
    with pytest.raises(TokenizerError, match="additional_special_tokens '<x>' is not in"):
        make(additional_special_tokens=["<x>"])


def test_added_tokens():
    tokenizer = make()
    assert tokenizer.add_tokens(["dog", AddedToken("bird")]) == 2
    assert tokenizer.add_tokens("dog") == 0
    assert (len(tokenizer), tokenizer.vocab_size) == (10, 8)
    assert tokenizer("a dog").input_ids == [2, 4, 8, 3]
    roles = {"mask_token": "[MASK]", "additional_special_tokens": ["<x>", AddedToken("<y>")]}
    assert tokenizer.add_special_tokens(roles) == 3
    assert tokenizer.mask_token_id == 10
    assert tokenizer.additional_special_tokens_ids == [11, 12]
    assert tokenizer.decode([4, 10, 12], skip_special_tokens=True) == "a"
    assert tokenizer.add_special_tokens({"pad_token": "."}) == 1
    assert (tokenizer.pad_token_id, len(tokenizer)) == (7, 13)
    with pytest.raises(ValueError, match="'padding_token' is not a special token: expected bos"):
        tokenizer.add_special_tokens({"padding_token": "x"})


def test_additional_special_tokens_are_replaced_or_extended():
    tokenizer = make()
    add, role = tokenizer.add_special_tokens, "additional_special_tokens"
    assert add({role: ["<x>", "<y>"]}) == 2
    assert add({role: ["<z>", "<x>"]}, replace_additional_special_tokens=False) == 1
    assert tokenizer.additional_special_tokens == ["<x>", "<y>", "<z>"]
    assert add({role: []}) == 0
    assert tokenizer.additional_special_tokens == ["<x>", "<y>", "<z>"]
    assert add({role: ["<w>"]}) == 1
    assert tokenizer.additional_special_tokens == ["<w>"]
    assert tokenizer.convert_tokens_to_ids("<x>") == 8


# Recorded from transformers 4.57.6, BertTokenizer; ids of [CLS], [SEP] and [PAD]: 2, 3, 0.
READY = [
    ({}, {"input_ids": [2, 5, 6, 7, 4, 3]}),
    ({"pair_ids": [7]}, {"input_ids": [2, 5, 6, 7, 4, 3, 7, 3]}),
    ({"add_special_tokens": False}, {"input_ids": [5, 6, 7, 4]}),
    (
        {"padding": "max_length", "max_length": 8, "return_length": True},
        {"input_ids": [2, 5, 6, 7, 4, 3, 0, 0], "length": 8},
    ),
    (
        {"truncation": True, "max_length": 4, "return_overflowing_tokens": True, "stride": 1},
        {
            "input_ids": [2, 5, 6, 3],
            "overflowing_tokens": [6, 7, 4],
            "num_truncated_tokens": 2,
        },
    ),
    (
        {"pair_ids": [7, 5, 6, 7], "truncation": True, "max_length": 6},
        {"input_ids": [2, 5, 6, 3, 7, 3]},
    ),
    (
        {"pair_ids": [7, 5], "truncation": "only_first", "max_length": 6},
        {"input_ids": [2, 5, 3, 7, 5, 3]},
    ),
    (
        {"padding": True, "padding_side": "left", "pad_to_multiple_of": 8},
        {"input_ids": [0, 0, 2, 5, 6, 7, 4, 3], "attention_mask": [0, 0, 1, 1, 1, 1, 1, 1]},
    ),
    ({"return_special_tokens_mask": True}, {"special_tokens_mask": [1, 0, 0, 0, 0, 1]}),
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> BertTokenizer:
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    words = [*WORDS, "[MASK]"]
    path.write_text("\n".join(words))
    return BertTokenizer(path, model_max_length=16)


@pytest.mark.parametrize(("call", "expected"), READY)
def test_ids_are_prepared(bert, call, expected):
    found = bert.prepare_for_model([5, 6, 7, 4], **call)
    assert {name: found[name] for name in expected} == expected
    arrays = bert.prepare_for_model([5, 6], return_tensors="np", prepend_batch_axis=True)
    assert arrays.input_ids.tolist() == [[2, 5, 6, 3]]
    assert bert.prepare_for_model([5], return_tensors="np").input_ids.tolist() == [2, 5, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"return_offsets_mapping": True}, "return_offsets_mapping is undefined"),
        (
            {"return_token_type_ids": True, "add_special_tokens": False},
            "return_token_type_ids without add_special_tokens is undefined",
        ),
        (
            {"pair_ids": [4], "return_overflowing_tokens": True, "truncation": True},
            "return_overflowing_tokens of a pair with truncation='longest_first' is undefined",
        ),
        ({"pair_ids": [99]}, "vocabulary of 9 tokens has no id 99"),
        ({"truncation": True, "max_length": 1}, "too short for 2 special tokens"),
        ({"truncation": "only_second", "max_length": 3}, "Change one of these"),
        (  # a named text keeps a token
            {"pair_ids": [4], "truncation": "only_second", "max_length": 6},
            "Texts of 3 and 1 tokens and 3 special ones cannot be cut to max_length=6",
        ),
    ],
)
def test_ids_that_cannot_be_prepared_are_refused(bert, call, message):
    with pytest.raises(ValueError, match=message):
        bert.prepare_for_model([5, 6, 7], **call)


def test_spaces_around_added_tokens(bert):
    tokenizer = copy.deepcopy(bert)
    tokenizer.add_tokens("<new>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    ids = tokenizer("a <new><x>cat").input_ids
    assert tokenizer.decode(ids) == "[CLS] a <new> <x> cat [SEP]"
    without = {"spaces_between_special_tokens": False}
    assert tokenizer.decode(ids, **without) == "[CLS] a<new><x>cat [SEP]"
    assert tokenizer.batch_decode([ids], True, **without) == ["a<new>cat"]
    assert make().decode([2, 4], **without) == "[CLS] a"  # no effect where is_fast


def test_token_type_of_padding(tmp_path):
    tokenizer = make(pad_token_type_id=3)
    assert tokenizer.pad_token_type_id == 0
    assert tokenizer(["a", "a a"], padding=True).token_type_ids == [[0] * 4] * 2
    tokenizer.save_pretrained(tmp_path)
    assert read_json(tmp_path / "tokenizer_config.json")["pad_token_type_id"] == 3


def test_mask_of_special_tokens(tokenizer):
    mask = tokenizer.get_special_tokens_mask([2, 4, 3], already_has_special_tokens=True)
    assert mask == [1, 0, 1]
    with pytest.raises(ValueError, match="return_special_tokens_mask=True"):
        tokenizer.get_special_tokens_mask([4])


def test_object(tokenizer, tmp_path):
    assert "vocab_size=8, model_max_length=6, padding_side='right'" in repr(tokenizer)
    assert bool(make())
    with pytest.raises(TypeError, match="BaseTokenizer is a base class"):
        BaseTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="truncation_side must be 'right' or 'left', got 'up'"):
        make(truncation_side="up")
