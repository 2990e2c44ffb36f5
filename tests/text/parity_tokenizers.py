"""What all tokenizers can do, against the living reference: ready ids, roles, decoding."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfzoo
from tests.support.reference import transformers
from tests.text.bert_sentences import write_vocabulary as write_words
from tests.text.clip_sentences import write_vocabulary as write_pieces

NAMES = ("BertTokenizer", "BertTokenizerFast", "CLIPTokenizerFast", "PerceiverTokenizer")
SLOW = ("BertTokenizer", "PerceiverTokenizer")
TEXTS = ("a <new> <x><y>cat <z>", "<x>", "a <z> <w>b", "[MASK]<new>", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    words = write_words(tmp_path_factory.mktemp("bert"))
    return {"Bert": words, "CLIP": write_pieces(tmp_path_factory.mktemp("clip"))}


def both(name: str, folders: dict[str, Path], **settings: Any) -> tuple[Any, Any]:
    """(theirs, ours)."""
    made: list[Any] = []
    for package in (transformers, tfzoo):
        cls = getattr(package, name)
        folder = next((path for key, path in folders.items() if name.startswith(key)), None)
        made.append(cls.from_pretrained(folder, **settings) if folder else cls(**settings))
    return made[0], made[1]


_made: dict[str, Any] = {}  # for all examples


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.integers(10, 250), max_size=9),
    pair=st.none() | st.lists(st.integers(10, 250), max_size=9),
    special=st.booleans(),
    truncation=st.sampled_from([None, False, True, "only_first", "only_second"]),
    padding=st.sampled_from([False, True, "max_length"]),
    length=st.none() | st.integers(4, 14),
    stride=st.integers(0, 1),
    sides=st.tuples(*[st.sampled_from(["right", "left"])] * 2),
    mask=st.booleans(),
)
def test_ids_are_prepared_alike(
    name, folders, ids, pair, special, truncation, padding, length, stride, sides, mask
):
    if not (ids or special):
        return  # the reference leaves a sequence of no ids without padding
    theirs, ours = _made.get(name) or both(name, folders, model_max_length=12)
    _made[name] = theirs, ours
    theirs.truncation_side = ours.truncation_side = sides[0]
    call = {
        "add_special_tokens": special,
        "truncation": truncation,
        "padding": padding,
        "max_length": length,
        "stride": stride,
        "padding_side": sides[1],
        "return_special_tokens_mask": mask and name != "BertTokenizerFast" and "CLIP" not in name,
        "return_overflowing_tokens": pair is None and truncation is True,
        "return_length": mask,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = dict(ours.prepare_for_model(ids, pair, **call))
        except ValueError as error:  # where the reference logs, and leaves the text as it is
            words = str(error)
            assert "cut to max_length" in words or "too short for" in words, words
            return
        wanted = dict(theirs.prepare_for_model(ids, pair, **call))
    if "num_truncated_tokens" in wanted:  # counted negatively where there still is room
        wanted["num_truncated_tokens"] = max(wanted["num_truncated_tokens"], 0)
    assert found == wanted


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_ready_ids(name: str, folders: dict[str, Path]) -> None:
    theirs, ours = both(name, folders)
    for batch in (True, False):
        call = {"return_tensors": "np", "prepend_batch_axis": batch}
        found, wanted = (t.prepare_for_model([20, 30, 40], **call) for t in (ours, theirs))
        assert {k: v.tolist() for k, v in found.items()} == {
            k: v.tolist() for k, v in wanted.items()
        }


@pytest.mark.parametrize("name", NAMES)
def test_roles_and_decoding(name: str, folders: dict[str, Path]) -> None:
    pair = both(name, folders)
    theirs, ours = pair
    assert ours.pad_token_type_id == theirs.pad_token_type_id == 0

    def add(tokens: list[str], **how: Any) -> None:
        roles = {"additional_special_tokens": tokens}
        counts = [t.add_special_tokens(dict(roles), **how) for t in pair]
        assert counts[0] == counts[1]
        assert ours.additional_special_tokens == theirs.additional_special_tokens
        assert len(ours) == len(theirs)
        assert ours.get_added_vocab() == theirs.get_added_vocab()

    for tokenizer in pair:
        tokenizer.add_tokens(["<new>"])
    add(["<x>", "<y>"])
    add(["<z>", "<x>"], replace_additional_special_tokens=False)
    add([])
    add([], replace_additional_special_tokens=False)
    for _ in range(2):
        for text in TEXTS:
            ids = theirs(text).input_ids
            assert ours(text).input_ids == ids
            for skip in (True, False):
                for spaces in (True, False):
                    how = {"skip_special_tokens": skip, "spaces_between_special_tokens": spaces}
                    assert ours.decode(ids, **how) == theirs.decode(ids, **how), (text, how)
                    assert ours.batch_decode([ids], **how) == theirs.batch_decode([ids], **how)
        add(["<w>"])


@pytest.mark.parametrize("name", NAMES)
def test_pad_token_type_id_is_kept(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    theirs, ours = both(name, folders, pad_token_type_id=3)
    call = {"padding": True, "return_token_type_ids": True}
    texts = ["a", "a cat"]
    assert ours(texts, **call).token_type_ids == theirs(texts, **call)["token_type_ids"]
    ours.save_pretrained(tmp_path)
    read = getattr(transformers, name).from_pretrained(tmp_path)
    assert read.init_kwargs["pad_token_type_id"] == 3
    read = getattr(tfzoo, name).from_pretrained(tmp_path)
    assert read.init_kwargs["pad_token_type_id"] == 3
