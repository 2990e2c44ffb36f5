"""TVP's processors against the living reference: pixels of every shape, files, seconds.

Texts with videos are compared part by part: the reference's own processor forgets the videos.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.models.tvp.image_cases import CASES, CHECKPOINT, LIKE, SENTENCES, write_vocabulary
from tests.preprocessing.videomae_cases import PHOTOS, Case, cat, clip, cup
from tests.support.reference import torch, transformers
from tests.text.clip_files import read_json
from tfzoo.models.tvp.image_processor import TvpImageProcessor
from tfzoo.models.tvp.processor import TvpProcessor
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast

VIDEOS = sorted((PHOTOS.parent / "videos").glob("*.mp4"))
FILES = sorted(PHOTOS.glob("*.jpg"))
# (width, height): landscape, portrait, square, tiny, and sizes whose other edge is cut.
SHAPES = [(320, 213), (213, 320), (448, 448), (641, 360), (100, 333), (1280, 720), (720, 1280)]
SHAPES += [(5, 8), (61, 115), (449, 448), (30, 448)]
MODES = ("constant", "reflect", "replicate", "symmetric")


def both(videos: Any, init: Any = None, call: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(expected, computed) pixel values."""
    init, call = init or {}, {"return_tensors": "np", **(call or {})}
    expected = transformers.TvpImageProcessor(**init)(videos, **call).pixel_values
    return expected, TvpImageProcessor(**init)(videos, **call).pixel_values


def assert_equal(expected: np.ndarray, computed: np.ndarray) -> None:
    assert computed.dtype == expected.dtype
    np.testing.assert_array_equal(computed, expected)


# ---- pixels
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_has_the_references_bits(case: Case) -> None:
    assert_equal(*both(case.videos(), case.init, case.call))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_photos_of_every_shape(shape: tuple[int, int]) -> None:
    for file in FILES[:: len(FILES) - 1]:
        photo = Image.open(file).convert("RGB").resize(shape)
        frames = clip(np.asarray(photo))
        for init in ({}, CHECKPOINT):
            assert_equal(*both(frames, init))
        assert_equal(*both([photo, photo], CHECKPOINT))
        assert_equal(*both([frame.transpose(2, 0, 1) for frame in frames], CHECKPOINT))


@pytest.mark.parametrize("file", VIDEOS, ids=lambda file: file.stem)
def test_frames_of_videos(file: Path) -> None:
    frames = tfzoo.read_video(file, num_frames=6).frames
    for init in ({}, CHECKPOINT):
        assert_equal(*both(list(frames), init))
        read = TvpImageProcessor(**init)(file, num_frames=6, return_tensors="np").pixel_values
        assert_equal(both(list(frames), init)[0], read)
    turned = frames[:, :170, 20:].transpose(0, 2, 1, 3)
    assert_equal(*both(list(turned), CHECKPOINT))


@pytest.mark.parametrize("seed", range(16))
def test_random_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(5, 90, 2).tolist()
    edge, crop_height, crop_width, more = rng.integers(4, 80, 4).tolist()
    frames = list(rng.integers(0, 256, (2, height, width, 3), np.uint8))
    init = {
        "size": {"longest_edge": edge},
        "crop_size": {"height": crop_height, "width": crop_width},
        "pad_size": {"height": crop_height + more, "width": crop_width + 1},
        "pad_mode": MODES[seed % 4],
    }
    assert_equal(*both(frames, init))
    assert_equal(*both(frames, init, {"do_resize": False}))
    size = {"height": crop_width, "width": crop_height}
    assert_equal(*both(frames, init, {"size": size, "do_center_crop": False, "do_pad": False}))


@pytest.mark.parametrize("layout", [None, "channels_first", "channels_last"])
def test_single_steps(layout: str | None) -> None:
    theirs, ours = transformers.TvpImageProcessor(), TvpImageProcessor()
    enum = transformers.image_transforms.PaddingMode
    for image in (cat(), cup().transpose(2, 0, 1)):
        steps = [
            ("resize", ({"longest_edge": 50},), {}),
            ("resize", ({"height": 31, "width": 50}, 3), {}),
            ("center_crop", ({"height": 20, "width": 200},), {}),
            ("rescale", (1 / 255,), {}),
            ("normalize", ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1]), {}),
            ("pad_image", ({"height": 150, "width": 160}, 3), {}),
            ("pad_image", ({"height": 150, "width": 160},), {"pad_mode": enum.SYMMETRIC}),
        ]
        for name, arguments, options in steps:
            options = {**options, "data_format": layout}
            expected = getattr(theirs, name)(image, *arguments, **options)
            assert_equal(expected, getattr(ours, name)(image, *arguments, **options))


def test_results_without_return_tensors() -> None:
    videos = [clip(cat(), 2), clip(cup(), 3)]
    expected = transformers.TvpImageProcessor(**LIKE)(videos).pixel_values
    computed = TvpImageProcessor(**LIKE)(videos).pixel_values
    assert isinstance(computed, list)
    assert len(computed) == len(expected) == 2
    for theirs, ours in zip(expected, computed, strict=True):
        assert_equal(theirs, ours)


def test_what_the_reference_refuses_is_refused() -> None:
    for call in (
        {"pad_size": {"height": 20, "width": 20}},
        {"size": 20},
        {"pad_mode": "edge", "pad_size": {"height": 60, "width": 60}},
        {"constant_values": (1, 2, 3)},
    ):
        for cls in (transformers.TvpImageProcessor, TvpImageProcessor):
            with pytest.raises(ValueError, match=r"\w"):
                cls(**LIKE)(clip(cat()), **call)


def test_it_is_as_fast_as_the_reference() -> None:
    frames = list(tfzoo.read_video(VIDEOS[0], num_frames=8).frames)
    processors = (transformers.TvpImageProcessor(**CHECKPOINT), TvpImageProcessor(**CHECKPOINT))
    best = [np.inf, np.inf]
    for _ in range(7):
        for i, processor in enumerate(processors):
            start = time.process_time()
            processor(frames, return_tensors="np")
            best[i] = min(best[i], time.process_time() - start)
    assert best[1] <= 1.2 * best[0]  # it is faster; the margin is for a busy machine


# ---- files
def test_the_reference_reads_what_is_written(tmp_path: Path) -> None:
    init = {**LIKE, "pad_mode": "reflect", "constant_values": 0.5}
    TvpImageProcessor(**init).save_pretrained(tmp_path)
    theirs = transformers.TvpImageProcessor.from_pretrained(tmp_path).to_dict()
    assert theirs == transformers.TvpImageProcessor(**init).to_dict()


def test_what_the_reference_writes_is_read(tmp_path: Path) -> None:
    init = {**LIKE, "resample": 3}
    transformers.TvpImageProcessor(**init).save_pretrained(tmp_path)
    read = TvpImageProcessor.from_pretrained(tmp_path)
    assert read.to_dict() == read_json(tmp_path / "preprocessor_config.json")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


def make(package: Any, vocabulary: Path) -> Any:
    """A processor of either package."""
    if package is transformers:
        tokenizer = transformers.BertTokenizerFast.from_pretrained(vocabulary)
        return transformers.TvpProcessor(transformers.TvpImageProcessor(**LIKE), tokenizer)
    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    return TvpProcessor(TvpImageProcessor(**LIKE), tokenizer)


def documented(theirs: Any, text: list[str], videos: Any, length: int | None) -> dict[str, Any]:
    """What the reference's documents promise, of its working parts."""
    options = {"padding": "max_length", "max_length": length, "return_token_type_ids": False}
    texts = theirs.tokenizer(text, truncation=True, return_tensors="np", **options)
    return {**texts, **theirs.image_processor(videos, return_tensors="np")}


def assert_same_call(theirs: Any, ours: Any) -> None:
    videos = [clip(cat()), clip(cup())]
    for length in (None, 12):
        expected = documented(theirs, SENTENCES, videos, length)
        computed = ours(SENTENCES, videos, "np", max_text_length=length)
        assert list(computed) == list(expected)
        for name, value in expected.items():
            assert_equal(value, computed[name])


def test_calls(vocabulary: Path) -> None:
    theirs, ours = make(transformers, vocabulary), make(tfzoo, vocabulary)
    assert_same_call(theirs, ours)
    assert ours.model_input_names == theirs.model_input_names
    long = ["a dog " * 20, "a dog"]
    expected = documented(theirs, long, clip(cat()), 9)
    computed = ours(long, clip(cat()), "np", max_text_length=9, truncation=True)
    assert_equal(expected["input_ids"], computed.input_ids)
    assert_equal(expected["attention_mask"], computed.attention_mask)
    ids = expected["input_ids"]
    for skip in (True, False):
        decoded = theirs.batch_decode(ids, skip_special_tokens=skip)
        assert ours.batch_decode(ids, skip_special_tokens=skip) == decoded


def test_keywords_in_dicts(vocabulary: Path) -> None:
    theirs, ours = make(transformers, vocabulary), make(tfzoo, vocabulary)
    videos = [clip(cat()), clip(cup())]
    call: dict[str, Any] = {
        "text_kwargs": {"padding": "max_length", "max_length": 9, "truncation": True},
        "images_kwargs": {"do_normalize": False},
        "common_kwargs": {"return_tensors": "np"},
    }
    computed = ours(SENTENCES[:2], videos, **call)
    expected = theirs(text=SENTENCES[:2], images=videos, **call)
    assert {*expected} - {"token_type_ids"} == {*computed}  # which the model cannot take
    for name, value in computed.items():
        assert_equal(np.asarray(expected[name]), value)


def test_processors_are_exchanged(vocabulary: Path, tmp_path: Path) -> None:
    theirs, ours = make(transformers, vocabulary), make(tfzoo, vocabulary)
    ours.save_pretrained(tmp_path / "ours")
    read = transformers.TvpProcessor.from_pretrained(tmp_path / "ours", use_fast=False)
    assert type(read.image_processor) is transformers.TvpImageProcessor
    assert_same_call(read, ours)
    for legacy in (True, False):
        theirs.save_pretrained(tmp_path / str(legacy), legacy_serialization=legacy)
        assert_same_call(theirs, TvpProcessor.from_pretrained(tmp_path / str(legacy)))


def test_the_slow_tokenizer(vocabulary: Path) -> None:
    theirs = transformers.BertTokenizer.from_pretrained(vocabulary)
    ours = TvpProcessor(TvpImageProcessor(**LIKE), BertTokenizer.from_pretrained(vocabulary))
    expected = theirs(SENTENCES, padding="max_length", max_length=15, return_tensors="np")
    computed = ours(text=SENTENCES, max_text_length=15, return_tensors="np")
    assert_equal(expected["input_ids"], computed.input_ids)


@pytest.mark.parametrize("seed", range(8))
def test_seconds(seed: int, vocabulary: Path) -> None:
    theirs, ours = make(transformers, vocabulary), make(tfzoo, vocabulary)
    rng = np.random.default_rng(seed)
    logits = rng.random((5, 2), np.float32)
    logits = np.round(logits * 40) / np.float32(40) if seed % 2 else logits  # halves of tenths
    durations = [float(rng.choice([1.0, 2.0, 10.0, 30.96, 0.5])) for _ in logits]
    for row, duration in zip(logits, durations, strict=True):
        expected = theirs.post_process_video_grounding(torch.tensor(row[None]), duration)
        assert ours.post_process_video_grounding(row[None], duration) == expected
    each = [
        theirs.post_process_video_grounding(torch.tensor(row[None]), duration)
        for row, duration in zip(logits, durations, strict=True)
    ]
    assert ours.post_process_batch(logits, durations) == each
