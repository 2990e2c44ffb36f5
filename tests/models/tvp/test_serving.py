"""TVP's `ground`: the seconds of the host path; an error for a bad request alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.support.endpoints import traced
from tests.support.paths import FIXTURES
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tfzoo.export import ServingError, ServingOptions
from tfzoo.models.tvp.serving import endpoints

VIDEOS = sorted((FIXTURES / "videos").glob("*.mp4"))
QUERIES = ["a person sits", "the person opens a door and runs"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = write_tvp_checkpoint(tmp_path_factory.mktemp("tvp"))
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(folder)
    return model, tfzoo.TvpProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def run(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "ground")


@pytest.fixture(scope="module")
def clips() -> list[Any]:
    return [tfzoo.read_video(path, num_frames=4, sampling="spread") for path in VIDEOS]


def encoded(frames: np.ndarray) -> list[bytes]:
    """Frames as PNG, without loss."""
    files = []
    for frame in frames:
        Image.fromarray(frame).save(buffer := io.BytesIO(), "PNG", compress_level=1)
        files.append(buffer.getvalue())
    return files


@pytest.fixture(scope="module")
def good(loaded: tuple[Any, Any], clips: list[Any]) -> dict[str, np.ndarray]:
    """A request of two videos of different sizes, with a sentence each."""
    text = loaded[1].tokenizer(QUERIES, padding=True, return_tensors="np")
    return {
        "frames": np.array([encoded(clip.frames) for clip in clips], object),
        "input_ids": text["input_ids"],
        "attention_mask": text["attention_mask"],
        "duration": np.array([clip.duration for clip in clips], "float32"),
    }


def test_seconds_equal_the_hosts(
    loaded: tuple[Any, Any], run: Callable, clips: list[Any], good: dict[str, np.ndarray]
) -> None:
    model, processor = loaded
    videos = [clip.frames for clip in clips]
    inputs = processor(text=QUERIES, videos=videos, padding=True, return_tensors="np")
    logits = model(**inputs).logits
    expected = processor.post_process_batch(logits, [clip.duration for clip in clips])
    seconds = run(**good)["seconds"]
    assert np.round(seconds.astype("float64"), 1).tolist() == [list(row) for row in expected]
    exact = np.asarray(logits) * good["duration"][:, None]
    np.testing.assert_allclose(seconds, exact, atol=0.01)


def test_bad_requests_are_refused_and_the_next_is_answered(
    run: Callable, good: dict[str, np.ndarray]
) -> None:
    first = run(**good)["seconds"]
    corrupt = good["frames"].copy()
    corrupt[1, 2] = corrupt[1, 2][:200]
    bad = [
        ({"frames": corrupt}, "."),
        ({"frames": good["frames"][:, :3]}, r"4 frames of each video.*3"),
        ({"duration": np.array([5, 0], "float32")}, "seconds above 0"),
        ({"duration": np.array([5, np.nan], "float32")}, "duration: expected finite numbers"),
        ({"input_ids": good["input_ids"] + 1000}, "ids from 0 to"),
        ({"attention_mask": good["attention_mask"][:, :1]}, "attention_mask and input_ids must"),
        ({name: value[:0] for name, value in good.items()}, "at least one text"),
    ]
    for changed, words in bad:
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            run(**{**good, **changed})
        np.testing.assert_array_equal(run(**good)["seconds"], first)


def test_prompts_of_one_frame_serve_any_number(
    tmp_path: Path, clips: list[Any], good: dict[str, np.ndarray]
) -> None:
    fields = {"visual_prompter_apply": "remove", "num_frames": 1}
    folder = write_tvp_checkpoint(tmp_path, **fields)
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(folder)
    run = traced(model, tfzoo.TvpProcessor.from_pretrained(folder), "ground")
    seconds = run(**{**good, "frames": good["frames"][:, :2]})["seconds"]
    assert seconds.shape == (2, 2)


def test_what_does_not_fit_is_refused(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    options = ServingOptions()
    with pytest.raises(ServingError, match="TFTvpModel has no signature"):
        endpoints(model.model, processor, options)
    with pytest.raises(ServingError, match="with a TvpProcessor, got a TvpImageProcessor"):
        endpoints(model, processor.image_processor, options)
    large = tfzoo.TvpImageProcessor(size={"longest_edge": 32}, pad_size=32, do_center_crop=False)
    with pytest.raises(ServingError, match="does not fit the model.*64 x 64"):
        endpoints(model, tfzoo.TvpProcessor(large, processor.tokenizer), options)
