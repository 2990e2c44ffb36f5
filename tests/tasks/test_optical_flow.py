"""`compute_flow`: the motion between frames of any size."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.tasks.helpers import FRAMES, make


@pytest.fixture(scope="module")
def flow_model() -> Any:
    return make("OpticalFlow", train_size=[16, 24])


def frames(height: int, width: int) -> list[np.ndarray]:
    """The upper left corner of two real frames."""
    return [np.array(Image.open(path))[:height, :width] for path in FRAMES]


def one_tile(model: Any, pair: list[np.ndarray]) -> np.ndarray:
    """The model's own answer for frames of its size."""
    inputs = tfzoo.flow_patches(np.stack(pair))[None]
    return keras.ops.convert_to_numpy(model(inputs=inputs).logits)[0]


def naive_patches(frame: np.ndarray) -> np.ndarray:
    """Pixel by pixel."""
    height, width = frame.shape[:2]
    patches = np.zeros((height, width, 3, 3, 3), "float32")
    for y, x, dy, dx in itertools.product(range(height), range(width), (0, 1, 2), (0, 1, 2)):
        if 0 <= y + dy - 1 < height and 0 <= x + dx - 1 < width:
            patches[y, x, dy, dx] = frame[y + dy - 1, x + dx - 1] / np.float32(255) * 2 - 1
    return patches.reshape(height, width, 27).transpose(2, 0, 1)


def test_patches_are_the_surroundings_of_each_pixel() -> None:
    pair = frames(7, 9)
    patches = tfzoo.flow_patches(np.stack(pair))
    assert patches.dtype == np.float32
    for found, frame in zip(patches, pair, strict=True):
        np.testing.assert_allclose(found, naive_patches(frame), atol=1e-7)
    with pytest.raises(ValueError, match=r"expected \(T, height, width, 3\)"):
        tfzoo.flow_patches(np.zeros((2, 3, 7, 9)))


def test_frames_of_the_models_size_are_one_tile(flow_model: Any) -> None:
    pair = frames(16, 24)
    flow = tfzoo.compute_flow(flow_model, *pair)
    assert (flow.shape, flow.dtype) == ((16, 24, 2), np.float32)
    np.testing.assert_allclose(flow, one_tile(flow_model, pair), rtol=1e-5, atol=1e-8)
    assert flow.std() > 1e-4, "the same everywhere would prove nothing"


def slowly(model: Any, pair: list[np.ndarray], tile: tuple[int, int], overlap: int) -> np.ndarray:
    """Tiles put together pixel by pixel."""
    size = pair[0].shape[:2]
    places = []
    for whole, part in zip(size, tile, strict=True):
        starts = [0]
        while starts[-1] + part < whole:
            starts.append(min(starts[-1] + part - overlap, whole - part))
        places.append(starts)
    total, weights = np.zeros((*size, 2)), np.zeros((*size, 1))
    for top, left in itertools.product(*places):
        part = [f[top : top + tile[0], left : left + tile[1]] for f in pair]
        flow = one_tile(model, part)
        for y, x in itertools.product(range(tile[0]), range(tile[1])):
            weight = min(y + 1, x + 1, tile[0] - y, tile[1] - x)
            total[top + y, left + x] += weight * flow[y, x]
            weights[top + y, left + x] += weight
    return total / weights


@pytest.mark.parametrize(
    ("height", "width", "overlap"), [(16, 41, 5), (37, 24, 0), (31, 50, 8), (17, 25, 15)]
)
def test_larger_frames_are_tiled(flow_model: Any, height: int, width: int, overlap: int) -> None:
    pair = frames(height, width)
    expected = slowly(flow_model, pair, (16, 24), overlap)
    for batch_size in (1, 3):
        options = {"min_overlap": overlap, "batch_size": batch_size}
        flow = tfzoo.compute_flow(flow_model, *pair, **options)
        np.testing.assert_allclose(flow, expected, atol=1e-5 * np.abs(expected).max())


def test_a_uniform_answer_stays_uniform(flow_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tiles, weights add up; and every tile lies in the frame, none twice."""
    seen = []

    def constant(model: Any, tiles: list[np.ndarray]) -> np.ndarray:
        seen.extend(tile.tobytes() for tile in tiles)
        assert all(tile.shape == (2, 16, 24, 3) for tile in tiles)
        return np.broadcast_to(np.float32([3, -4]), (len(tiles), 16, 24, 2))

    monkeypatch.setattr("tfzoo.tasks.optical_flow._flows", constant)
    rng = np.random.default_rng(0)
    for height, width in itertools.product((16, 17, 28, 60), (24, 44, 95)):
        seen.clear()
        pair = rng.integers(0, 256, (2, height, width, 3), np.uint8)
        flow = tfzoo.compute_flow(flow_model, *pair, min_overlap=4, batch_size=2)
        np.testing.assert_allclose(flow, np.broadcast_to([3, -4], flow.shape), rtol=1e-5)
        rows, columns = -(-(height - 4) // 12), -(-(width - 4) // 20)
        assert len(seen) == len(set(seen)) == rows * columns


def test_frames_come_in_many_forms(flow_model: Any) -> None:
    options = {"min_overlap": 4, "batch_size": 32}
    expected = tfzoo.compute_flow(flow_model, *frames(60, 96), **options)
    assert expected.shape == (60, 96, 2)
    pillow = [Image.open(path) for path in FRAMES]
    first = [np.array(image).transpose(2, 0, 1) for image in pillow]
    for pair in (FRAMES, pillow, first):
        np.testing.assert_array_equal(tfzoo.compute_flow(flow_model, *pair, **options), expected)


def test_a_bar_counts_the_tiles(
    flow_model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tqdm

    options = {"min_overlap": 4, "batch_size": 2}
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options)
    assert capsys.readouterr().err == "", "stderr is not a terminal"
    shown = lambda **kwargs: tqdm.tqdm(**{**kwargs, "disable": kwargs["disable"] or False})  # noqa: E731
    monkeypatch.setattr("tfzoo.tasks.optical_flow.tqdm", shown)
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options)
    assert "3/3" in capsys.readouterr().err
    tfzoo.compute_flow(flow_model, *frames(16, 64), **options, progress=False)
    assert capsys.readouterr().err == ""


def test_frames_that_cannot_be(flow_model: Any) -> None:
    good = frames(20, 30)

    def refused(message: str, first: Any, second: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            tfzoo.compute_flow(flow_model, first, second, **options)

    upright = [frame.transpose(1, 0, 2)[:24, :16] for frame in good]
    refused(r"\(height, width\) = \(24, 16\), the model takes \(16, 24\) or more", *upright)
    refused("Both frames must have one size", good[0], good[1][:, :-1])
    refused("image2: expected pixels as uint8", good[0], good[1] / 255)
    refused("min_overlap: expected 0 to 15 pixels", *good, min_overlap=16)
    refused("batch_size: expected 1 or more", *good, batch_size=0)
    with pytest.raises(TypeError, match="expected a TFPerceiverForOpticalFlow, got a str"):
        tfzoo.compute_flow("model", *good)


def test_damaged_weights_are_reported() -> None:
    model = make("OpticalFlow", train_size=[16, 24])
    model.weights[0].assign(model.weights[0] * np.nan)
    with pytest.raises(ValueError, match="outputs are not finite"):
        tfzoo.compute_flow(model, *FRAMES)


def test_frames_of_too_many_pixels(flow_model: Any) -> None:
    wide = np.broadcast_to(np.uint8(0), (16, 2**21 + 1, 3))
    with pytest.raises(ValueError, match=r"\(16, 2097153\), expected up to 33554432 pixels"):
        tfzoo.compute_flow(flow_model, wide, wide)


def test_too_many_tiles(flow_model: Any) -> None:
    pair = np.broadcast_to(np.uint8(0), (2, 145, 1158, 3))
    with pytest.raises(ValueError, match="expected up to 16384 tiles, got 130 x 127"):
        tfzoo.compute_flow(flow_model, *pair, min_overlap=15)
