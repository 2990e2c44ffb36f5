"""CLIP's tokenizer: the reference's recorded results, and its behaviour as an object."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.text.clip_sentences import (
    BATCH,
    CALLS,
    SENTENCES,
    SHORT,
    recorded,
    results,
    write_vocabulary,
)
from tfzoo.text.clip import CLIPTokenizerFast

RECORDS = recorded()
START, END = "<|startoftext|>", "<|endoftext|>"


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory) -> Path:
    """Only the real vocab.json and merges.txt."""
    return write_vocabulary(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def tokenizer(plain_folder) -> CLIPTokenizerFast:
    return CLIPTokenizerFast.from_pretrained(plain_folder, model_max_length=77)


@pytest.fixture(scope="module")
def computed(tokenizer):
    with pytest.warns(UserWarning, match="the model takes 77. Pass truncation=True"):
        return results(tokenizer)


# -- the reference's results ----------------------------------------------------------------------


@pytest.mark.parametrize("what", ["ids", "mask", "offsets", "decoded", "skipped", "cleaned"])
def test_the_references_sentences(computed, what):
    answers = RECORDS["sentences"][what]
    assert len(answers) == len(SENTENCES)
    for text, expected, found in zip(SENTENCES, answers, computed["sentences"][what], strict=True):
        assert found == expected, repr(text)


def test_the_references_tokens(computed):
    assert computed["sentences"]["tokens"] == RECORDS["sentences"]["tokens"]


@pytest.mark.parametrize("name", CALLS)
def test_the_references_calls(computed, name):
    assert computed["calls"][name] == RECORDS["calls"][name]
    assert list(computed["calls"][name]) == list(RECORDS["calls"][name])


def test_every_recording_is_used():
    assert set(RECORDS["calls"]) == set(CALLS)


def test_sentence_of_the_documentation(tokenizer):
    ids = tokenizer("cat's dog!!").input_ids
    assert ids == [49406, 2368, 568, 1929, 748, 49407]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "cat 's dog !!"
    assert tokenizer.decode(np.array(ids)) == f"{START}cat 's dog !! {END}"
    assert tokenizer.convert_ids_to_tokens(ids)[1:3] == ["cat</w>", "'s</w>"]
    assert tokenizer.convert_tokens_to_string(["cat</w>", "'s</w>"]) == "cat</w>'s</w>"


def test_facts_of_the_vocabulary(tokenizer):
    assert len(tokenizer) == tokenizer.vocab_size == len(tokenizer.get_vocab()) == 49408
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (49406, 49407)
    assert tokenizer.pad_token_id == tokenizer.unk_token_id == 49407
    assert tokenizer.all_special_tokens == [START, END]
    assert tokenizer.all_special_ids == [49406, 49407]
    assert tokenizer.cls_token is None
    assert tokenizer.cls_token_id is None
    assert tokenizer.is_fast
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"]
    assert tokenizer.get_added_vocab() == {START: 49406, END: 49407}


def test_form_of_a_sequence(tokenizer):
    pair = tokenizer("a cat", "two dogs").input_ids
    first, second = (
        tokenizer(t, add_special_tokens=False).input_ids for t in ("a cat", "two dogs")
    )
    assert tokenizer.build_inputs_with_special_tokens(first, second) == pair
    assert tokenizer.build_inputs_with_special_tokens(first) == tokenizer("a cat").input_ids
    assert tokenizer.create_token_type_ids_from_sequences(first, second) == [0] * len(pair)
    assert tokenizer.create_token_type_ids_from_sequences(first) == [0] * 4
    assert tokenizer.num_special_tokens_to_add() == 2
    assert tokenizer.num_special_tokens_to_add(pair=True) == 4
    mask = tokenizer.get_special_tokens_mask(pair, already_has_special_tokens=True)
    assert mask == [1, 0, 0, 1, 1, 0, 0, 1]


# -- an object among others -----------------------------------------------------------------------


def test_copies_and_pickles(tokenizer):
    for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        twin.padding_side = "left"
        assert twin(BATCH, truncation=True) == tokenizer(BATCH, truncation=True)
        twin.add_tokens("<new>")
        assert len(twin) == len(tokenizer) + 1
    assert tokenizer.padding_side == "right"


def test_threads_do_not_disturb_each_other(tokenizer):
    plans = [
        {"padding": "max_length"},
        {"padding": True, "padding_side": "left"},
        {},
        {"truncation": True, "max_length": 3},
        {"split_special_tokens": True},
    ]
    expected = [dict(tokenizer(SHORT, **plan)) for plan in plans]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda n: dict(tokenizer(SHORT, **plans[n % 5])), range(100)))
    assert all(result == expected[n % 5] for n, result in enumerate(found))
