"""Lines of Charades-STA as sentences, videos and spans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.io.synthetic import make_video, timed
from tests.support.tvp_checkpoint import write_tvp_checkpoint
from tfzoo.data import BrokenFileWarning, DataError, grounding_dataset_from_charades

LINES = """AB12C 0.5 1.5##the dog runs.
AB12C 0 30.9##a person is sitting
X 1.0 2.0##a dog##runs

Y 0.25 0.75 ##a person runs
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 2, 3 and 1 seconds."""
    folder = tmp_path_factory.mktemp("videos")
    for name, frames in (("AB12C.mp4", 50), ("X.mkv", 75), ("Y.MP4", 25)):
        made = make_video(folder / name.lower(), frames)
        made.rename(folder / name)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tvp_checkpoint(tmp_path_factory.mktemp("tiny") / "tvp")


@pytest.fixture(scope="module")
def processor(checkpoint: Path) -> Any:
    return tfzoo.TvpProcessor.from_pretrained(checkpoint)


@pytest.fixture
def make(folder: Path, processor: Any, tmp_path: Path) -> Callable:
    def build(text: str | bytes = LINES, **options: Any) -> Any:
        path = tmp_path / "moments.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        options = {"processor": processor, "num_frames": 4, "shuffle": False, **options}
        return grounding_dataset_from_charades(path, options.pop("directory", folder), **options)

    return build


def test_a_variable_frame_rate(make: Callable, tmp_path: Path) -> None:
    (tmp_path / "uneven").mkdir()
    timed(tmp_path / "uneven" / "V.mp4", [0, 40, 80, 2000, 4000], "libx264")
    dataset = make("V 0.08 2.0##it runs", directory=tmp_path / "uneven", num_frames=5)
    ((_, labels),) = list(dataset)
    seconds = labels.numpy()[0, 0]
    np.testing.assert_allclose(labels[0, 1:], [0.4 * seconds, 0.6 * seconds], rtol=1e-3)


def test_sentences_videos_and_spans(make: Callable, processor: Any) -> None:
    dataset = make()
    assert [Path(path).name for path in dataset.file_paths] == [
        *("AB12C.mp4", "AB12C.mp4", "X.mkv", "Y.MP4")
    ]
    ((inputs, labels),) = list(dataset)
    assert inputs["pixel_values"].shape == (4, 4, 3, 64, 64)
    spans = [[2, 0.5, 1.5], [2, 0, 2], [3, 1, 2], [1, 0.25, 0.75]]  # the second's end is clipped
    np.testing.assert_allclose(labels, spans, atol=0.05)
    assert (labels[:, 2] <= labels[:, 0]).numpy().all()
    sentences = [*("the dog runs.", "a person is sitting", "a dog##runs", "a person runs")]
    texts = processor(text=sentences, padding=True, return_tensors="np")
    np.testing.assert_array_equal(inputs["input_ids"], texts["input_ids"])
    np.testing.assert_array_equal(inputs["attention_mask"], texts["attention_mask"])
    clip = tfzoo.read_video(dataset.file_paths[2], num_frames=4, sampling="spread").frames
    expected = processor(videos=clip, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(inputs["pixel_values"][2], expected)


def test_a_byte_order_mark(make: Callable) -> None:
    dataset = make(b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode())
    assert Path(dataset.file_paths[0]).name == "AB12C.mp4"
    assert len(dataset.file_paths) == 4


def test_lines_that_end_in_a_carriage_return(make: Callable) -> None:
    assert len(make(LINES.replace("\n", "\r")).file_paths) == 4
    with pytest.raises(DataError, match="line 6: expected"):
        make(LINES.replace("\n", "\r") + "X one 2##a dog\r")


def test_a_length_for_all_sentences(make: Callable) -> None:
    inputs, _ = make(max_text_length=18).element_spec
    assert inputs["input_ids"].shape.as_list() == [None, 18]
    with pytest.raises(ValueError, match="max_text_length is 3"):
        make(max_text_length=3)


def test_augmentation(make: Callable) -> None:
    dataset = make(augment=lambda frames, rng: np.zeros_like(frames))
    pixels = next(iter(dataset))[0]["pixel_values"].numpy()
    assert (pixels[:, 1:] == pixels[:, :1]).all()


def test_progress_of_reading(make: Callable) -> None:
    said: list[tuple[int, int | None]] = []
    make(progress=lambda done, total: said.append((done, total)))
    assert len(said) == 5
    assert said[-1] == (len(LINES), len(LINES))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines VIDEO START END##SENTENCE, found none"),
        ("\n\n", "found none"),
        ("X 1.0 2.0 a rocket", "line 1: expected VIDEO START END##SENTENCE.*got 'X 1.0"),
        (LINES + "X one 2##a dog", "line 6: expected"),
        ("X 1.0 2.0##  ", "line 1: expected"),
        ("X -1.0 2.0##a dog", "line 1: expected"),
        ("X 2.0 1.0##a dog", "a start before the end, got 2 and 1 s"),
        ("X 1.0 1.0##a dog", "a start before the end"),
        (b"X 1.0 2.0##\xff\xfe", "expected UTF-8 text"),
        (b"X 1.0 2.0##a dog\n\xef\xbb\xbfX 1 2##a dog\n", r"missing: \ufeffX"),
        ("\x1b[2JZ 1.0 2.0##a dog", r"1 of 1 videos are missing: \\x1b\[2JZ"),
        ("Z 1.0 2.0##a dog", "1 of 1 videos are missing: Z"),
        (LINES + "Z 1.0 2.0##a dog", "1 of 4 videos are missing: Z"),
    ],
)
def test_wrong_lines(make: Callable, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(text)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_frames": 1}, ValueError, "num_frames must be at least 2"),
        ({"num_frames": "3"}, ValueError, "num_frames must be a whole number, got '3'"),
        ({"directory": "nowhere"}, DataError, "expected the folder of the videos"),
        ({"processor": tfzoo.TvpImageProcessor()}, TypeError, "expected a TvpProcessor"),
        ({"on_error": "no"}, ValueError, "on_error"),
    ],
)
def test_wrong_arguments(make: Callable, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_missing_annotations(folder: Path, processor: Any) -> None:
    with pytest.raises(DataError, match="no such file"):
        grounding_dataset_from_charades(folder / "none.txt", folder, processor, 4)


def test_two_files_of_one_name(processor: Any, tmp_path: Path, make: Callable) -> None:
    for suffix in ("mp4", "mkv"):
        make_video(tmp_path / f"X.{suffix}", 10)
    with pytest.raises(DataError, match=r"X\.mkv has the same name"):
        make("X 0 0.2##a dog", directory=tmp_path)


def test_what_cannot_be_read(make: Callable) -> None:
    late = LINES + "Y 1.5 2.0##a dog\n"
    with pytest.raises(tf.errors.InvalidArgumentError, match="begins after the video has ended"):
        list(make(late))
    dataset = make(late + "Z 1.0 2.0##a dog\n", on_error="skip")
    with pytest.warns(BrokenFileWarning) as said:
        assert sum(len(labels) for _, labels in dataset) == 4
    assert len(said) == len(dataset.skipped) == 2


def test_a_name_that_leads_out_of_the_folder(make: Callable, folder: Path) -> None:
    """It is not that of a video in it, either."""
    text = f"{LINES}../{folder.name}/AB12C 1.0 2.0##a dog\n../AB12C 1.0 2.0##a dog\n"
    with pytest.raises(DataError, match=r"2 of 5 videos are missing: \.\./"):
        make(text)
    with pytest.warns(BrokenFileWarning, match=r"there is no video '\.\./"):
        assert sum(len(labels) for _, labels in make(text, on_error="skip")) == 4


def test_fit_takes_it_as_it_is(make: Callable, checkpoint: Path) -> None:
    model = tfzoo.TFTvpForVideoGrounding.from_pretrained(checkpoint)
    metrics = tfzoo.metrics.grounding_metrics()
    model.compile(keras.optimizers.SGD(1e-3), metrics=metrics, run_eagerly=True)
    history = model.fit(make(batch_size=3), shuffle=False, epochs=2, verbose=0).history
    assert {"loss", "loss_iou", "mean_iou"} <= set(history)
    assert np.isfinite(history["loss"]).all()
