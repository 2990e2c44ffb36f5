"""Perceiver's tokenizer and image processor against the living reference."""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.perceiver.image_cases import CASES
from tests.models.perceiver.texts import BATCH, CALLS, PAIRS, SENTENCES
from tests.preprocessing.videomae_cases import PHOTOS
from tests.support.reference import transformers
from tfzoo.io import read_image
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.models.perceiver.tokenizer import PerceiverTokenizer

Reference = transformers.PerceiverTokenizer
OURS, EXPECTED = PerceiverTokenizer(), Reference()

WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["[MASK]", "[CLS]", "[SEP]", "[PAD]", "[mask]", "[MAS", "é€😀", " "]),
)
TEXTS = st.lists(WORDS, max_size=6).map("".join)


@pytest.fixture(autouse=True)
def quiet():
    """Ours warns where the reference logs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def same(text: Any, pair: Any = None, **options: Any) -> None:
    """Both tokenizers give the same for one call."""
    expected = dict(EXPECTED(text, pair, **options))
    own = dict(OURS(text, pair, **options))
    assert list(own) == [name for name in own if name in expected]
    assert set(own) == set(expected)
    for name, value in expected.items():
        np.testing.assert_equal(own[name], value, err_msg=name)


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences(text):
    same(text)
    assert OURS.tokenize(text) == EXPECTED.tokenize(text)
    ids = EXPECTED(text).input_ids
    for skip in (False, True):
        assert OURS.decode(ids, skip) == EXPECTED.decode(ids, skip)
        tokens = EXPECTED.convert_ids_to_tokens(ids, skip)
        assert OURS.convert_ids_to_tokens(ids, skip) == tokens


@settings(max_examples=150, deadline=None)
@given(TEXTS, TEXTS)
def test_texts_and_pairs(text, pair):
    same(text)
    same(text, pair, return_token_type_ids=True, return_special_tokens_mask=True)
    same([text, pair], padding=True)
    # the reference's calls ignore split_special_tokens; its constructor does not
    expected = Reference(split_special_tokens=True)([text, pair]).input_ids
    assert OURS([text, pair], split_special_tokens=True).input_ids == expected
    assert PerceiverTokenizer(split_special_tokens=True)([text, pair]).input_ids == expected


@settings(max_examples=150, deadline=None)
@given(
    TEXTS,
    TEXTS,
    st.integers(4, 20),
    st.sampled_from(["right", "left"]),
)
def test_pairs_are_cut_alike(text, pair, length, side):
    own = PerceiverTokenizer(truncation_side=side)
    expected = Reference(truncation_side=side)
    options = {"truncation": True, "max_length": length}
    assert own(text, pair, **options).data == dict(expected(text, pair, **options))


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(3, 12), st.integers(0, 5), st.sampled_from(["right", "left"]))
def test_what_overflows_is_alike(text, length, stride, side):
    if stride and stride >= length - 2:
        stride = 0
    own = PerceiverTokenizer(truncation_side=side)
    expected = Reference(truncation_side=side)
    options = {"truncation": True, "max_length": length, "stride": stride}
    options["return_overflowing_tokens"] = True
    found, wanted = own(text, **options).data, dict(expected(text, **options))
    # the reference counts negatively what still had room
    wanted["num_truncated_tokens"] = max(wanted["num_truncated_tokens"], 0)
    wanted.setdefault("overflowing_tokens", [])
    assert found == wanted


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 261), max_size=40))
def test_any_ids_decode_alike(ids):
    assert OURS.decode(ids) == EXPECTED.decode(ids)
    assert OURS.decode(ids, skip_special_tokens=True) == EXPECTED.decode(ids, True)
    assert OURS.get_special_tokens_mask(ids, None, True) == (
        EXPECTED.get_special_tokens_mask(ids, None, True)
    )


def test_thousands_of_byte_strings_decode_alike():
    chance = random.Random(0)
    strings = [chance.randbytes(chance.randrange(60)) for _ in range(2000)]
    ids = [[byte + 6 for byte in string] for string in strings]
    assert OURS.batch_decode(ids) == EXPECTED.batch_decode(ids)


@pytest.mark.parametrize("options", CALLS, ids=str)
def test_calls(options):
    same(BATCH, **options)
    if not options.get("is_split_into_words"):
        same(PAIRS, **options)
        same([a for a, _ in PAIRS], [b for _, b in PAIRS], **options)


FACTS = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "special_tokens_map",
    "additional_special_tokens",
    "vocab_size",
    "clean_up_tokenization_spaces",
    "model_input_names",
    "is_fast",
    *(f"{role}_token_id" for role in ("pad", "bos", "eos", "mask", "cls", "sep", "unk")),
)


def test_facts():
    for fact in FACTS:
        assert getattr(OURS, fact) == getattr(EXPECTED, fact), fact
    assert set(OURS.all_special_ids) == set(EXPECTED.all_special_ids)
    assert len(OURS) == len(EXPECTED)
    assert OURS.get_vocab() == EXPECTED.get_vocab()
    assert OURS.num_special_tokens_to_add() == EXPECTED.num_special_tokens_to_add()
    assert OURS.num_special_tokens_to_add(True) == EXPECTED.num_special_tokens_to_add(True)
    assert OURS.save_vocabulary("nowhere") == ()


@pytest.mark.parametrize("call", ["build_inputs_with_special_tokens", "get_special_tokens_mask"])
def test_the_form_of_a_sequence(call):
    for arguments in ([[7, 8]], [[7, 8], [9]], [[], []]):
        assert getattr(OURS, call)(*arguments) == getattr(EXPECTED, call)(*arguments)


def test_token_types():
    for arguments in ([[7, 8]], [[7, 8], [9]]):
        types = OURS(
            OURS.decode(arguments[0]),
            OURS.decode(arguments[1]) if len(arguments) > 1 else None,
            return_token_type_ids=True,
        )
        assert types.token_type_ids == OURS.create_token_type_ids_from_sequences(*arguments)


def test_the_reference_reads_our_files_and_we_read_its(tmp_path):
    own = PerceiverTokenizer(mask_token="<hidden>", model_max_length=99, padding_side="left")
    own.add_tokens(["<new>"])
    own.save_pretrained(tmp_path / "ours")
    theirs = Reference.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    for reader in (theirs, PerceiverTokenizer.from_pretrained(tmp_path / "theirs")):
        assert reader.mask_token_id == 3
        assert reader.model_max_length == 99
        assert reader.padding_side == "left"
        text = "a<hidden>b<new>[MASK]"
        assert reader(text).input_ids == own(text).input_ids
        assert reader.decode(own(text).input_ids) == own.decode(own(text).input_ids)
    settings = json.loads((tmp_path / "ours" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PerceiverTokenizer"


# -- images ---------------------------------------------------------------------------------------


def both(images: Any, init: dict[str, Any], call: dict[str, Any]) -> None:
    """The reference's bits."""
    call = {"return_tensors": "np", **call}
    expected = transformers.PerceiverImageProcessor(**init)(images, **call).pixel_values
    computed = PerceiverImageProcessor(**init)(images, **call).pixel_values
    assert computed.dtype == expected.dtype
    np.testing.assert_array_equal(computed, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_image_case_has_the_references_bits(case):
    both(case.images(), case.init, case.call)


@pytest.mark.parametrize("file", sorted(PHOTOS.glob("*.jpg")), ids=lambda file: file.stem)
def test_photos_have_the_references_bits(file):
    photo = read_image(file)
    for image in (photo, photo[:, : photo.shape[0] - 7], photo.transpose(1, 0, 2)[3:]):
        both([image, image[::-1]], {}, {})


@pytest.mark.parametrize("seed", range(15))
def test_random_sizes_have_the_references_bits(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(8, 90, 2)
    tall, wide, crop_tall, crop_wide = rng.integers(8, 80, 4).tolist()
    images = list(rng.integers(0, 256, (2, height, width, 3), np.uint8))
    init = {
        "size": {"height": tall, "width": wide},
        "crop_size": {"height": crop_tall, "width": crop_wide},
    }
    both(images, init, {})
    both(images, init, {"do_resize": False})
    both(images, init, {"do_center_crop": False, "do_normalize": False})


def test_image_processors_files_in_both_directions(tmp_path):
    init = {"size": 60, "crop_size": 72, "image_mean": [0.1, 0.2, 0.3], "do_rescale": False}
    PerceiverImageProcessor(**init).save_pretrained(tmp_path)
    theirs = transformers.PerceiverImageProcessor.from_pretrained(tmp_path)
    expected = transformers.PerceiverImageProcessor(**init)
    assert theirs.to_dict() == expected.to_dict()
    expected.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert PerceiverImageProcessor.from_pretrained(tmp_path).to_dict() == written
