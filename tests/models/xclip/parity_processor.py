"""X-CLIP's processor against the living reference, calls and files.

The reference's 4.57 drops `videos=` without a word, so it gets its videos as `images=`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.preprocessing.videomae_cases import cat, clip, cup
from tests.support.paths import FIXTURES
from tests.support.reference import transformers
from tests.text.clip_files import SMALL, TEXTS, read_json, write_vocabulary
from tfzoo.io import read_video

VIDEO = FIXTURES / "videos" / "nasa_13013.mp4"
ODD = ["", "  ", "CAT'S 123", "caf\u00e9 \u00a0x", "<|endoftext|> a", "a " * 90]
CALLS: dict[str, dict[str, Any]] = {
    "texts": {"text": TEXTS, "padding": True},
    "one text": {"text": "a cat"},
    "odd texts": {"text": ODD, "padding": "max_length", "truncation": True},
    "to a length": {"text": TEXTS, "padding": "max_length", "max_length": 30},
    "cut": {"text": TEXTS, "padding": True, "truncation": True, "max_length": 6},
    "no special tokens": {"text": TEXTS, "padding": "longest", "add_special_tokens": False},
    "a video": {"images": clip(cat())},
    "videos": {"images": [clip(cat(), 3), clip(cup(), 3)]},
    "other pixels": {"images": clip(cup()), "size": {"height": 50, "width": 60}, "crop_size": 40},
    "both": {"text": TEXTS, "images": clip(cat()), "padding": True},
    "dicts": {
        "text": TEXTS,
        "images": clip(cat()),
        "text_kwargs": {"padding": "max_length", "max_length": 9, "truncation": True},
        "images_kwargs": {"crop_size": 40, "do_normalize": False},
        "common_kwargs": {"return_tensors": "np"},
    },
    "batches": {"text": TEXTS[:2], "images": [clip(cat()), clip(cup())], "padding": True},
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def theirs(vocabulary: Path) -> Any:
    return transformers.XCLIPProcessor(
        transformers.VideoMAEImageProcessor(**SMALL),
        transformers.CLIPTokenizerFast.from_pretrained(vocabulary),
    )


@pytest.fixture(scope="module")
def ours(vocabulary: Path) -> tfzoo.XCLIPProcessor:
    return tfzoo.XCLIPProcessor(
        tfzoo.VideoMAEImageProcessor(**SMALL),
        tfzoo.CLIPTokenizerFast.from_pretrained(vocabulary),
    )


def assert_same(computed: Any, expected: Any) -> None:
    assert list(computed) == list(expected)
    for name, value in expected.items():
        assert computed[name].dtype == value.dtype
        np.testing.assert_array_equal(computed[name], value, err_msg=name)


def run(processor: Any, call: dict[str, Any]) -> Any:
    """A call with arrays; the reference takes dicts of keywords apart."""
    arrays = {} if "common_kwargs" in call else {"return_tensors": "np"}
    return processor(**copy.deepcopy({**call, **arrays}))


def assert_same_calls(ours: Any, theirs: Any) -> None:
    for call in CALLS.values():
        assert_same(run(ours, call), run(theirs, call))


@pytest.mark.parametrize("name", CALLS)
def test_calls(ours: Any, theirs: Any, name: str) -> None:
    call = dict(CALLS[name])
    expected = run(theirs, call)
    assert_same(run(ours, call), expected)
    if "images" in call:
        call["videos"] = call.pop("images")
        assert_same(run(ours, call), expected)


def test_lists(ours: Any, theirs: Any) -> None:
    for text in (TEXTS, TEXTS[0]):
        assert dict(ours(text=text)) == dict(theirs(text=text))


def test_the_documented_example(ours: Any, theirs: Any) -> None:
    video = list(read_video(VIDEO, num_frames=8).frames)
    texts = ["playing sports", "eating spaghetti", "go shopping"]
    expected = theirs(text=texts, images=video, return_tensors="np", padding=True)
    assert_same(ours(text=texts, videos=video, return_tensors="np", padding=True), expected)
    read = ours(text=texts, videos=VIDEO, num_frames=8, return_tensors="np", padding=True)
    assert_same(read, expected)


def test_names_and_decoding(ours: Any, theirs: Any) -> None:
    assert ours.model_input_names == theirs.model_input_names
    ids = theirs(text=[*TEXTS, *ODD], padding=True).input_ids
    for skip in (True, False):
        expected = theirs.batch_decode(ids, skip_special_tokens=skip)
        assert ours.batch_decode(ids, skip_special_tokens=skip) == expected
        assert ours.decode(ids[0], skip_special_tokens=skip) == expected[0]


def test_the_reference_reads_what_is_written(ours: Any, theirs: Any, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    for auto in (transformers.XCLIPProcessor, transformers.AutoProcessor):
        read = auto.from_pretrained(tmp_path)
        assert type(read) is transformers.XCLIPProcessor
        assert read.tokenizer.model_max_length == 77
        assert_same_calls(ours, read)
    theirs.save_pretrained(tmp_path / "theirs")
    written = [read_json(f / "preprocessor_config.json") for f in (tmp_path, tmp_path / "theirs")]
    assert written[0] == written[1]


@pytest.mark.parametrize("legacy", [True, False], ids=["two files", "one file"])
def test_what_the_reference_writes_is_read(theirs: Any, tmp_path: Path, legacy: bool) -> None:
    theirs.save_pretrained(tmp_path, legacy_serialization=legacy)
    assert (tmp_path / "preprocessor_config.json").exists() is legacy
    for auto in (tfzoo.XCLIPProcessor, tfzoo.AutoProcessor):
        read = auto.from_pretrained(tmp_path)
        assert type(read) is tfzoo.XCLIPProcessor
        assert_same_calls(read, theirs)
    assert type(tfzoo.AutoTokenizer.from_pretrained(tmp_path)) is tfzoo.CLIPTokenizerFast
    assert type(tfzoo.AutoImageProcessor.from_pretrained(tmp_path)) is tfzoo.VideoMAEImageProcessor
