"""Videos in folders, one for each label."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.io.synthetic import cut_off, make_video, places
from tests.models.timesformer.cases import TINY
from tfzoo.data import (
    BrokenFileWarning,
    ClipAugmentation,
    DataError,
    video_dataset_from_directory,
)
from tfzoo.io import choose_indices

LABELS = ("pan", "still", "zoom")
EACH, FRAMES = 4, 20
PROCESSOR = tfzoo.VideoMAEImageProcessor(size=12, crop_size=12)
RAW = tfzoo.VideoMAEImageProcessor(  # the frames as they are
    do_resize=False, crop_size={"height": 48, "width": 64}, do_rescale=False, do_normalize=False
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labels with four videos each, one of them in a folder further down."""
    folder = tmp_path_factory.mktemp("videos")
    for label in LABELS:
        (folder / label / "more").mkdir(parents=True)
        for number in range(EACH):
            place = "more" if number == 3 else "."
            make_video(folder / label / place / f"{number}.mp4", FRAMES + number)
    (folder / "pan" / "notes.txt").write_text("no video")
    (folder / "pan" / ".hidden.mp4").write_text("no video")
    (folder / ".cache").mkdir()
    return folder


def dataset(folder: Path, processor: Any = PROCESSOR, **options: Any) -> Any:
    return video_dataset_from_directory(
        folder, processor, options.pop("num_frames", 4), **{"batch_size": 5, **options}
    )


def labels_of(batches: tf.data.Dataset) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]


def frames_of(batches: tf.data.Dataset) -> list[list[int]]:
    """Which frames each clip has, told by their grey."""
    return [
        places(clip.numpy().transpose(0, 2, 3, 1))
        for inputs, _ in batches
        for clip in inputs["pixel_values"]
    ]


def test_every_video_with_its_label(folder: Path) -> None:
    batches = dataset(folder, shuffle=False)
    assert batches.class_names == list(LABELS)
    assert [Path(p).name for p in batches.file_paths] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"] * 3
    assert labels_of(batches) == [0] * 4 + [1] * 4 + [2] * 4
    assert len(batches) == 3
    inputs, labels = next(iter(batches))
    assert inputs["pixel_values"].shape == (5, 4, 3, 12, 12)
    assert labels.dtype == tf.int32
    for pixels, path in zip(inputs["pixel_values"], batches.file_paths, strict=False):
        expected = PROCESSOR(path, num_frames=4, return_tensors="np").pixel_values[0]
        np.testing.assert_array_equal(pixels, expected)


def test_shapes_are_known_before_anything_is_read(folder: Path) -> None:
    inputs, labels = dataset(folder).element_spec
    assert inputs["pixel_values"].shape.as_list() == [None, 4, 3, 12, 12]
    assert inputs["pixel_values"].dtype == tf.float32
    assert labels.shape.as_list() == [None]


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [("int", (), "int32"), ("categorical", (3,), "float32"), (None, None, None)],
)
def test_forms_of_labels(folder: Path, mode: str | None, shape: Any, dtype: Any) -> None:
    batch = next(iter(dataset(folder, label_mode=mode, shuffle=False, batch_size=12)))
    if mode is None:
        assert set(batch) == {"pixel_values"}
        return
    assert batch[1].shape == (12, *shape)
    assert batch[1].dtype == dtype
    if shape:
        np.testing.assert_array_equal(batch[1], np.repeat(np.eye(3), 4, axis=0))


def test_own_labels_and_names(folder: Path, tmp_path: Path) -> None:
    given = [1, 0] * 6
    assert labels_of(dataset(folder, labels=given, shuffle=False)) == given
    batches = dataset(folder, labels=given, label_mode="binary", shuffle=False, batch_size=12)
    _, labels = next(iter(batches))
    np.testing.assert_array_equal(labels, np.array(given, "float32")[:, None])
    turned = dataset(folder, class_names=LABELS[::-1], shuffle=False)
    assert turned.class_names == list(LABELS[::-1])
    assert labels_of(turned) == [0] * 4 + [1] * 4 + [2] * 4
    assert "zoom" in turned.file_paths[0]
    assert set(next(iter(dataset(folder, labels=None)))) == {"pixel_values"}


def test_links_are_followed_where_asked(tmp_path: Path) -> None:
    for place in ("here/a", "there"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "1.mp4").touch()
    (tmp_path / "here" / "a" / "more").symlink_to(tmp_path / "there")
    for labels in ("inferred", None):
        for follow, names in {False: ["1.mp4"], True: ["1.mp4", "more/1.mp4"]}.items():
            found = dataset(tmp_path / "here", labels=labels, follow_links=follow)
            assert found.file_paths == [str(tmp_path / "here" / "a" / name) for name in names]
    (tmp_path / "there" / "back").symlink_to(tmp_path / "here")  # a circle
    found = dataset(tmp_path / "here", labels=None, follow_links=True)
    assert [Path(path).name for path in found.file_paths] == ["1.mp4", "1.mp4"]


def test_folders_that_cannot_be_read_are_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == LABELS[1]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=f"{LABELS[1]}: the folder cannot be read: Permission den"):
        dataset(folder)


def test_split(folder: Path) -> None:
    options = {"validation_split": 0.25, "seed": 3}
    training = dataset(folder, subset="training", **options)
    validation = dataset(folder, subset="validation", **options)
    assert sorted(labels_of(validation)) == [0, 1, 2]  # a quarter of each
    assert len(training.file_paths) == 9
    assert not set(training.file_paths) & set(validation.file_paths)
    both = dataset(folder, subset="both", **options)
    assert [part.file_paths for part in both] == [training.file_paths, validation.file_paths]
    other = dataset(folder, subset="validation", validation_split=0.25, seed=4)
    assert other.file_paths != validation.file_paths


def test_held_out_videos_stay_as_they_are(folder: Path) -> None:
    options = {"sampling": "random_clip", "frame_sample_rate": 2, "seed": 1}
    flip = ClipAugmentation(flip=1.0, brightness=0.3)
    training, validation = dataset(
        folder, RAW, validation_split=0.5, subset="both", augment=flip, **options
    )
    assert frames_of(validation) == frames_of(validation)
    assert frames_of(training) != frames_of(training)
    middles = [
        choose_indices(n, 4, "centre", frame_sample_rate=2).tolist()
        for n in (int(Path(p).stem) + FRAMES for p in validation.file_paths)
    ]
    assert frames_of(validation) == middles


def test_each_epoch_has_other_clips(folder: Path) -> None:
    options = {"sampling": "random_clip", "frame_sample_rate": 3, "shuffle": False}
    one, same = (dataset(folder, RAW, seed=5, **options) for _ in range(2))
    first, second = frames_of(one), frames_of(one)
    assert first != second
    assert [first, second] == [frames_of(same), frames_of(same)]
    for clip in first:
        assert clip[0] >= 0
        assert np.diff(clip).min() >= 3


def test_augmentation_sees_whole_clips(folder: Path) -> None:
    seen = []

    def augment(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append((frames.shape, frames.dtype, rng.random()))
        return np.full_like(frames, 7)

    batches = dataset(folder, RAW, augment=augment, seed=0)
    assert all((inputs["pixel_values"].numpy() == 7).all() for inputs, _ in batches)
    assert {shape for shape, _, _ in seen} == {(4, 48, 64, 3)}
    assert {dtype for _, dtype, _ in seen} == {np.dtype("uint8")}
    assert len({number for _, _, number in seen}) == 12


def test_clips_of_unequal_length_are_refused(folder: Path) -> None:
    def cut(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return frames[: rng.integers(1, 4)]

    with pytest.raises(tf.errors.InvalidArgumentError, match="change the number of frames"):
        list(dataset(folder, augment=cut, seed=0))


@pytest.fixture
def with_broken(tmp_path: Path) -> Path:
    """Two labels; a cut-off video, a file that is not a video, and one of three frames."""
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        make_video(tmp_path / label / "whole.mp4", 10)
    cut_off(make_video(tmp_path / "a" / "cut.mp4", 30))
    (tmp_path / "b" / "text.mp4").write_bytes(b"this is no video at all" * 20)
    make_video(tmp_path / "b" / "short.mp4", 3)
    return tmp_path


def test_broken_videos_end_the_reading(with_broken: Path) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cut\.mp4"):
        list(dataset(with_broken, shuffle=False))


def test_broken_videos_are_reported_and_skipped(with_broken: Path) -> None:
    batches = dataset(with_broken, on_error="skip")
    with pytest.warns(BrokenFileWarning) as said:
        assert sorted(labels_of(batches)) == [0, 1]
    names = {Path(path).name for path in batches.skipped}
    assert names == {"cut.mp4", "text.mp4", "short.mp4"}
    assert len(said) == 3
    assert "The video has 3 frames; 4 frames" in " ".join(batches.skipped.values())
    repeated = dataset(with_broken, on_error="skip", sampling="spread")
    with pytest.warns(BrokenFileWarning):
        assert sorted(labels_of(repeated)) == [0, 1, 1]


def test_progress_of_indexing(folder: Path) -> None:
    said: list[tuple[int, int | None]] = []
    dataset(folder, progress=lambda done, total: said.append((done, total)))
    assert said[-1] == (12, None)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_frames": 0}, ValueError, "num_frames must be at least 1"),
        ({"num_frames": 2.0}, ValueError, "num_frames must be a whole number"),
        ({"sampling": "all"}, ValueError, "sampling must be one of"),
        ({"labels": [0, 1]}, DataError, "12 whole numbers.*got int64 of shape"),
        ({"labels": [[0]] * 12}, DataError, r"of shape \(12, 1\)"),
        ({"labels": [0.5] * 12}, DataError, "12 whole numbers"),
        ({"labels": [-1] * 12}, DataError, "numbers from 0 on"),
        ({"labels": "folders"}, DataError, "expected 'inferred'"),
        ({"labels": None, "class_names": ["a"]}, ValueError, "class_names orders inferred"),
        ({"label_mode": "one-hot"}, ValueError, "label_mode must be one of"),
        ({"label_mode": "binary"}, DataError, "needs two labels, got 3"),
        ({"class_names": ["pan"]}, DataError, "the folders' names"),
        ({"validation_split": 0.2}, ValueError, "belong together"),
        ({"subset": "training"}, ValueError, "belong together"),
        ({"validation_split": 0.2, "subset": "test"}, ValueError, "subset must be"),
        ({"validation_split": 1.2, "subset": "both"}, ValueError, "between 0 and 1"),
        ({"validation_split": 0.2, "subset": "training"}, ValueError, "needs a seed"),
        ({"validation_split": 0.01, "subset": "both"}, DataError, "both parts must have some"),
        ({"augment": "flip"}, TypeError, "augment: expected a function"),
        ({"processor": "checkpoint"}, TypeError, "expected a processor of videos"),
        ({"processor": tfzoo.Owlv2ImageProcessor(size=16)}, TypeError, "prepares images"),
        (
            {"processor": tfzoo.VideoMAEImageProcessor(size=12, do_center_crop=False)},
            ValueError,
            "different sizes.*batch_size=1",
        ),
        ({"on_error": "warn"}, ValueError, "on_error must be"),
    ],
)
def test_wrong_arguments(folder: Path, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        dataset(folder, **options)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: expected a folder"):
        dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="a folder of videos for each label, found none"):
        dataset(tmp_path)
    with pytest.raises(DataError, match=r"expected videos, found none \(files that end in \.3g2"):
        dataset(tmp_path, labels=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected videos, found none"):
        dataset(tmp_path)
    make_video(tmp_path / "loose.mp4", 4)
    with pytest.raises(DataError, match=r"found beside them loose\.mp4"):
        dataset(tmp_path)


def test_fit_takes_it_as_it_is(folder: Path) -> None:
    keras.utils.set_random_seed(0)
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    training, validation = dataset(
        folder, validation_split=0.25, subset="both", seed=0, augment=ClipAugmentation(flip=0.5)
    )
    model.compile(keras.optimizers.SGD(1e-3), metrics=["accuracy"], run_eagerly=True)
    history = model.fit(
        training, validation_data=validation, epochs=2, shuffle=False, verbose=0
    ).history
    assert {"loss", "val_loss"} <= set(history)
    assert np.isfinite(history["loss"]).all()
    assert model.predict(dataset(folder, labels=None), verbose=0).logits.shape == (12, 3)
